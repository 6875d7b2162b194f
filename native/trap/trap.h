/*
 * The trap: every system call that names a file, starts a program or could
 * block SIGSYS comes here by way of a seccomp filter, in the very thread that
 * made it, and is answered as the view defines.
 */
#ifndef LPMX_TRAP_H
#define LPMX_TRAP_H

#include <stddef.h>
#include <stdint.h>

#include "../include/lpmx_abi.h"
#include "../include/lpmx_core.h"
#include "../sys/sys.h"
#include "slot.h"

#pragma GCC visibility push(hidden)

/* The kernel's own structures; libc's have other layouts. */
struct trap_siginfo {
	int signal, error, code, padding;
	void *address;
	int number;
	unsigned architecture;
};

struct trap_altstack {
	uint64_t sp;
	uint32_t flags, padding;
	uint64_t size;
};

struct trap_slot;

#if defined(__x86_64__)
#include "machine_x86_64.h"
#elif defined(__aarch64__)
#include "machine_aarch64.h"
#endif

/* See slots.c for who may change what. */
struct trap_slot {
	volatile uint64_t owner;  /* thread and process, 0: free */
	volatile uint64_t sp;     /* the program's stack pointer, 0: not yet known */
	volatile uint64_t frame;  /* the signal frame, or sp */
	uint64_t number;          /* of the system call */
	uint64_t registers[TRAP_REGISTER_COUNT];
	struct trap_altstack altstack; /* to be armed again, or flags 0 */
	volatile uint32_t exec_tid;    /* thread that left by exec in this slot, or 0 */
	uint32_t guarded;
	char *arena;              /* exec's vectors; stays with the slot */
	uint64_t arena_size;
	struct core_task *task;   /* whose call this is: the process's, or a vfork child's own */
	uint64_t mask;                 /* the program's, while all signals are blocked for `left` */
	struct trap_altstack left;     /* the alternate stack that the program is on; size 0: none */
	TRAP_SLOT_OF_MACHINE
};

#define TRAP_SIGSYS 31
#define TRAP_SIGSYS_BIT (1ul << (TRAP_SIGSYS - 1))

/* ---- slots.c ---- */

/* Before anything else; `fast`: the thread pointer can be read without the kernel; `sp` is
 * where the stack of the first thread begins. */
void trap_slots_begin(int fast, uint64_t sp);
/* Where the host's ld.so can be: its calls are not trapped there (LPMX_EXEMPT_SIZE).  Once. */
uint64_t trap_room_for_linker(void);
/* A slot of the calling thread, which has its stack pointer at `sp`. */
struct trap_slot *trap_claim(uint64_t sp, uint64_t frame);
/* The stack that the loader itself starts on. */
struct trap_slot *trap_first_slot(void);
/* Does the caller share its memory with a parent that waits in vfork? */
int trap_in_vfork_child(void);
/* The process whose memory this is, and what tells the caller's thread from its others. */
uint32_t trap_owner(void);
uint64_t trap_thread(void);

/* May the entry from rewritten sites take the first slot?  From then on it does. */
int trap_slots_for_sites(void);

/* ---- sites_x86_64.c: call sites that trap often ---- */

#ifdef TRAP_HAS_SITES
#define TRAP_SITES 1
/* They are rewritten from now on; `said`: LPMX_ENV_REWRITE's value, or NULL: the view asks. */
void trap_sites_begin(const char *said);
/* They are no more, and what was goes by the signal. */
void trap_sites_stop(void);
/* What the next program is to be told, or "" for nothing. */
const char *trap_sites_told(void);
/* The call `nr` at the site that ends at `ip` came by the signal. */
void trap_site_seen(uint64_t ip, uint64_t nr);
#else
#define TRAP_SITES 0
/* None is rewritten: each call comes by the signal. */
static inline void trap_sites_begin(const char *said)
{
	(void)said;
}
static inline void trap_sites_stop(void)
{
}
static inline const char *trap_sites_told(void)
{
	return "";
}
static inline void trap_site_seen(uint64_t ip, uint64_t nr)
{
	(void)ip;
	(void)nr;
}
#endif

/* ---- stubs_x86_64.c ---- */

struct trap_site {
	uint64_t next;    /* where the program goes on */
	uint32_t number;  /* of the system call */
	uint32_t unused;
};

/*
 * A stub for the call `number` that goes on at `next`, within reach of a jump from there: its
 * address; 0 if there is none, -errno if it was refused.  `gap_end`: the end of unused addresses
 * below, or 0.
 */
long trap_stub(uint64_t next, uint64_t number, uint64_t gap_end);

/* ---- boundary_x86_64.c ---- */

/* Does an instruction begin at `at`, for certain? */
int trap_is_boundary(uint64_t at);

/* ---- child.c ---- */

/* The task that call `nr` is about, or NULL where there is no memory for one. */
struct core_task *trap_task_for(long nr);

/* ---- filter.c ---- */

/* Install the filter unless this process has it already: 0, or -errno.  `sites`: with what
 * rewritten call sites need, if they can be. */
long trap_filter_install(int sites);
int trap_filter_present(void);
/* Does it trap how a program installs a filter of its own? */
int trap_filter_sees_filters(void);
/* Is `nr` a call of the core that is trapped whatever its arguments? */
int trap_filter_is_whole(long nr);

/* ---- signals.c ---- */

void trap_signals_begin(void);
/* Is `nr` one that could block, ignore or replace SIGSYS? */
int trap_signal_call(long nr);
long trap_signal_run(long nr, const long a[6]);

/* ---- altstack.c ---- */

/* `needed`: AT_MINSIGSTKSZ, or 0 if the kernel does not say. */
void trap_altstack_begin(uint64_t needed);
long trap_altstack_run(const struct trap_slot *slot, const long a[6]);
/* Is there one at all?  For the entry from rewritten sites. */
extern volatile uint32_t trap_altstacks;
/* About to leave the program's stack, at `sp`, for the slot's: `left` says whether it is an
 * alternate one.  If so: on the slot's, and about to go back from there. */
void trap_altstack_leaving(struct trap_slot *slot, uint64_t sp);
void trap_altstack_left(struct trap_slot *slot);
void trap_altstack_returning(struct trap_slot *slot);
/* Has any slot such a call? */
int trap_altstack_any_left(void);
/* Nobody goes back. */
void trap_altstack_abandoned(struct trap_slot *slot);
/* On the program's stack again, with the mask that the slot had. */
void trap_altstack_mask(uint64_t mask);
/* Does an alternate stack that is disarmed while a handler is on it hold one of the two places
 * and not the other? */
int trap_altstack_parts(uint64_t a, uint64_t b);

/* ---- dispatch.c ---- */

/* The one process of this loader, and what is known about its program. */
extern struct core_task trap_task;
/* Calls issued from here pass untranslated (the host's ld.so in a kernel view). */
extern uint64_t trap_untranslated_low, trap_untranslated_high;

void trap_begin_program(void);
long trap_dispatch(struct trap_slot *slot, long nr, const long a[6], uint64_t ip);

/* ---- traced.c ---- */

#define TRAP_STOP_HELD '1'     /* SIGTRAP is blocked until the program begins */
#define TRAP_STOP_BLOCKED '0'  /* the program had it blocked itself */

/* PTRACE_TRACEME. */
long trap_trace_me(void);
/* What is to be told the next loader of the stop at its program's first instruction: a
 * letter, or 0 if nobody waits for that; and the exec is about to be made, or has failed. */
char trap_stop_hold(void);
void trap_before_exec(void);
void trap_stop_release(char held);
/* A loader was told `held`; at the end of its work it goes on at `entry` by this. */
void trap_stop_begin(char held);
int trap_stop_is_due(void);
void trap_stop_enter(uint64_t sp, uint64_t entry) __attribute__((noreturn));

/* ---- hostview.c ---- */

/* Run a call in a host view: nothing but the program's own /proc/self/exe is ours. */
long trap_host_call(struct core_task *task, long nr, const long a[6]);
/* Is this the link that leads to the caller's program? */
int trap_is_own_program(const char *path);

/* ---- operations.c ---- */

long trap_operation(struct core_task *task, const long a[6]);

/* ---- user.c ---- */

/* Can the `size` bytes at `p` be read? */
int trap_readable(const void *p, size_t size);
/* Copy a string of the program: its length, -EFAULT, or `too_long`. */
long trap_string(const char *from, char *to, size_t size, long too_long);
/* Count the pointers of a vector and, if `bytes` is given, check its strings
 * and add up their sizes.  -EFAULT if any of it cannot be read. */
long trap_vector(char *const *vector, size_t *bytes);

/* ---- entry ---- */

void trap_signal_entry(int signal, void *info, void *context);
void trap_signal_return(void);
void trap_site_entry(void);
void trap_resume(struct trap_frame *frame) __attribute__((noreturn));
long trap_call(long nr, long a0, long a1, long a2, long a3, long a4, long a5);

#pragma GCC visibility pop

#endif
