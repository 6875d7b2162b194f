/*
 * Slots: the stacks that intercepted calls run on.
 *
 * A slot belongs to a thread, told by its thread pointer, while `owner` says so.  It is
 * claimed by an atomic exchange and given back by storing 0.  A thread may own
 * several: a signal handler that interrupts an intercepted call makes calls of
 * its own.  Three things can keep a thread from ever coming back to a slot:
 *
 *   siglongjmp    out of such a handler.  The slot is known to be abandoned when
 *                 its thread makes a call from a frame at or above the one the
 *                 slot was claimed from: what is above it on the stack has then
 *                 returned.  Both the program's stack pointer and the place of the
 *                 signal frame must say so, for either alone is fooled by a
 *                 handler on an alternate stack, or off it.
 *   exec          in a vfork child, which shares our memory.  The slot carries
 *                 the child's thread id; any other thread of this owner may take it.
 *   fork          copies the slots of threads that do not exist in the child; those of
 *                 the thread that forked are its own there, too.
 *                 `owner` carries some bits of the process id; a page that the
 *                 kernel wipes on fork (but not on vfork) holds the current one.
 *
 * `sp` is 0 from before `owner` is set until all else is, and from before
 * `owner` is cleared; a slot whose sp is 0 is never taken for abandoned.  That
 * makes it safe for a signal to arrive between any two instructions.
 *
 * When all slots are in use (a thousand threads in connect()), more are mapped.
 * If that fails the thread waits until one is free: slow, never wrong.
 */
#include <linux/mman.h>
#include <linux/signal.h>

#include "trap.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* The first chunk, one slot that nearly every program can do with, is in the loader: too
 * small for a huge page, which would be cleared at every start for the few that are used. */
#define CHUNK_SLOTS 6
#define CHUNK_SIZE (CHUNK_SLOTS * (size_t)TRAP_SLOT_SIZE)
#define CHUNKS_MAX 4096
#define THREAD_BITS TRAP_SLOT_OWNER_THREAD_BITS
#define THREAD_MASK ((1ul << THREAD_BITS) - 1)
/* A signal cannot have left more than this on the same stack. */
#define STACK_REACH (64ul << 20)
#define ARENA_KEPT (256ul << 10)

_Static_assert(offsetof(struct trap_slot, owner) == TRAP_SLOT_OWNER, "slot.h");
_Static_assert(offsetof(struct trap_slot, sp) == TRAP_SLOT_SP, "slot.h");
_Static_assert(offsetof(struct trap_slot, frame) == TRAP_SLOT_FRAME, "slot.h");
_Static_assert(offsetof(struct trap_slot, number) == TRAP_SLOT_NUMBER, "slot.h");
_Static_assert(offsetof(struct trap_slot, registers) == TRAP_SLOT_REGISTERS, "slot.h");
_Static_assert(offsetof(struct trap_slot, altstack.flags) == TRAP_SLOT_ALTSTACK_FLAGS, "slot.h");
_Static_assert(offsetof(struct trap_slot, exec_tid) == TRAP_SLOT_EXEC_TID, "slot.h");
_Static_assert(offsetof(struct trap_slot, mask) == TRAP_SLOT_MASK, "slot.h");
_Static_assert(offsetof(struct trap_slot, left.size) == TRAP_SLOT_LEFT_SIZE, "slot.h");
_Static_assert(sizeof(struct trap_slot) <= TRAP_SLOT_HEADER, "slot.h");
_Static_assert(offsetof(struct trap_ucontext, registers) == TRAP_UC_REGISTERS, "slot.h");
#ifdef TRAP_UC_FPSTATE
_Static_assert(offsetof(struct trap_ucontext, vector_state) == TRAP_UC_FPSTATE, "slot.h");
_Static_assert(offsetof(struct trap_ucontext, mask) == TRAP_UC_MASK, "slot.h");
#endif
#ifdef TRAP_SLOT_KEPT
_Static_assert(offsetof(struct trap_slot, kept) == TRAP_SLOT_KEPT, "slot.h");
#endif

/* The entry from rewritten sites takes this one, or none.  Nothing that can be written to is
 * below it (loader.lds): it needs no guard. */
char trap_first_chunk[TRAP_SLOT_SIZE] __attribute__((aligned(4096)));
/* The others, used from the front; mostly not touched at all. */
static char *volatile more[CHUNKS_MAX - 1];
static int fast_thread;
/* The first thread takes the slot that the loader has run on: its pages are there. */
static uint64_t main_stack;
#define MAIN_STACK_REACH (8ul << 20)

/* The process id, in a page of its own; zero in the child of a fork.  Last of all, so that the
 * kernel has one part more, not two. */
union {
	struct {
		volatile uint32_t pid, touched;
	};
	char page[4096];
} trap_wiped __attribute__((aligned(4096)));

/* Room for the host's ld.so: half of the first stack, for what needs more of it is not done in a
 * host view.  What is left over guards the stack. */
uint64_t trap_room_for_linker(void)
{
	uint64_t end = LPMX_WINDOW + LPMX_EXEMPT_SIZE + TRAP_GUARD;

	sys_call2(__NR_munmap, trap_first_chunk, end - (uint64_t)trap_first_chunk);
	return (uint64_t)trap_first_chunk;
}

static struct trap_slot *slot_at(char *chunk, unsigned n)
{
	return (struct trap_slot *)(chunk + (n + 1) * (size_t)TRAP_SLOT_SIZE - TRAP_SLOT_HEADER);
}

/* The chunk of this number, or 0: there are no more. */
static char *chunk_at(unsigned chunk)
{
	return !chunk ? trap_first_chunk : chunk < CHUNKS_MAX ? more[chunk - 1] : 0;
}

static unsigned slots_in(unsigned chunk)
{
	return chunk ? CHUNK_SLOTS : 1;
}

static char *lowest(const struct trap_slot *slot)
{
	return (char *)slot + TRAP_SLOT_HEADER - TRAP_SLOT_SIZE;
}

struct trap_slot *trap_first_slot(void)
{
	return slot_at(trap_first_chunk, 0);
}

void trap_slots_begin(int fast, uint64_t sp)
{
	fast_thread = fast;
	main_stack = sp;
	sys_call3(__NR_madvise, &trap_wiped, sizeof(trap_wiped), MADV_WIPEONFORK);
	trap_wiped.pid = (uint32_t)sys_call0(__NR_getpid);
}

static uint64_t process(void)
{
	uint32_t pid;

	/* written to before it is read: the child of a fork is given the page once, not twice */
	trap_wiped.touched = 1;
	pid = trap_wiped.pid;
	if (!pid)
		trap_wiped.pid = pid = (uint32_t)sys_call0(__NR_getpid);
	return pid;
}

int trap_in_vfork_child(void)
{
	return process() != (uint64_t)sys_call0(__NR_getpid);
}

uint32_t trap_owner(void)
{
	return (uint32_t)process();
}

uint64_t trap_thread(void)
{
	uint64_t thread = trap_thread_pointer(fast_thread);

	/* threads of a program without thread-local storage */
	if (!thread)
		thread = (uint64_t)sys_call0(__NR_gettid) << 1 | 1;
	return thread & THREAD_MASK;
}

static uint64_t caller(void)
{
	return trap_thread() | process() << THREAD_BITS;
}

/* The stack of ours that `address` lies on, or 0: one of the program's. */
static uint64_t stack_of(uint64_t address)
{
	char *chunk;

	for (unsigned c = 0; (chunk = chunk_at(c)); c++) {
		uint64_t at = address - (uint64_t)chunk;

		if (at < slots_in(c) * (size_t)TRAP_SLOT_SIZE)
			return (uint64_t)chunk + at / TRAP_SLOT_SIZE * TRAP_SLOT_SIZE;
	}
	return 0;
}

/*
 * Two places are only compared on one stack.  A handler that interrupted a handler's call
 * runs on that call's slot, which may well lie above the slot that the handler's call was
 * made from: that is no sign of having returned.
 */
static int above(uint64_t seen, uint64_t now)
{
	return seen <= now && now - seen < STACK_REACH && stack_of(seen) == stack_of(now);
}

/* Of two places on the program's stacks, does the alternate one of now hold both or none? */
static __attribute__((noinline)) int on_same_stack(uint64_t a, uint64_t b)
{
	struct trap_altstack now;

	if (sys_call2(__NR_sigaltstack, 0, &now) || now.flags & SS_DISABLE)
		return !trap_altstack_parts(a, b);
	return (a - now.sp < now.size) == (b - now.sp < now.size);
}

/* Of a call that came without a signal the frame tells no more than the stack pointer. */
static int abandoned(const struct trap_slot *slot, uint64_t seen, uint64_t sp, uint64_t frame)
{
	return seen && above(seen, sp) && above(slot->frame, frame) &&
	       (slot->frame != seen || on_same_stack(seen, sp));
}

static void guard(struct trap_slot *slot)
{
	if (slot->guarded || slot == trap_first_slot())
		return;
	slot->guarded = 1;
	sys_call3(__NR_mprotect, lowest(slot), TRAP_GUARD, PROT_NONE);
}

int trap_slots_for_sites(void)
{
	return fast_thread;
}

static struct trap_slot *ready(struct trap_slot *slot, uint64_t sp, uint64_t frame)
{
	slot->frame = frame;
	slot->exec_tid = 0;
	slot->altstack.flags = 0;
	guard(slot);
	slot->sp = sp;
	trap_altstack_leaving(slot, sp);
	return slot;
}

/* Free the slots of handlers that ran on the stack of `slot`, now abandoned. */
static __attribute__((noinline)) void drop_nested(const struct trap_slot *slot, uint64_t me)
{
	char *chunk;

	for (unsigned c = 0; (chunk = chunk_at(c)); c++)
		for (unsigned n = 0; n < slots_in(c); n++) {
			struct trap_slot *other = slot_at(chunk, n);
			uint64_t sp = other->sp;

			if (other == slot || other->owner != me || sp <= (uint64_t)lowest(slot) ||
			    sp > (uint64_t)slot)
				continue;
			if (!__sync_bool_compare_and_swap(&other->sp, sp, 0))
				continue;
			drop_nested(other, me);
			trap_altstack_abandoned(other);
			other->owner = 0;
		}
}

/* What a vfork child that has exec'ed left behind. */
static __attribute__((noinline)) int left_by_exec(struct trap_slot *slot)
{
	if (slot->exec_tid == (uint32_t)sys_call0(__NR_gettid))
		return 0;
	slot->exec_tid = 0;
	if (slot->arena_size > ARENA_KEPT) {
		sys_call2(__NR_munmap, slot->arena, slot->arena_size);
		slot->arena_size = 0;
	}
	return 1;
}

static __attribute__((noinline)) void more_slots(unsigned c)
{
	long memory;

	if (c == CHUNKS_MAX) {
		sys_call0(__NR_sched_yield);
		return;
	}
	memory = sys_call6(__NR_mmap, 0, CHUNK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (SYS_FAILED(memory)) {
		sys_call0(__NR_sched_yield);
		return;
	}
	sys_call3(__NR_madvise, memory, CHUNK_SIZE, MADV_NOHUGEPAGE);
	if (!__sync_bool_compare_and_swap(&more[c - 1], 0, (char *)memory))
		sys_call2(__NR_munmap, memory, CHUNK_SIZE);
}

/*
 * A handler that made a call on an alternate stack has not come back to it, for here is a call
 * from a stack of the program, and what interrupts the other runs on slots: it was jumped out of.
 */
static __attribute__((noinline)) void drop_jumped_out_of(uint64_t me)
{
	char *chunk;

	for (unsigned c = 0; (chunk = chunk_at(c)); c++)
		for (unsigned n = 0; n < slots_in(c); n++) {
			struct trap_slot *slot = slot_at(chunk, n);
			uint64_t sp = slot->sp;

			if (slot->owner != me || !sp || !slot->left.size ||
			    !__sync_bool_compare_and_swap(&slot->sp, sp, 0))
				continue;
			drop_nested(slot, me);
			trap_altstack_abandoned(slot);
			slot->owner = 0;
		}
}

/* The thread that forked goes on in the child, and so do its calls. */
static int is_own_of_parent(struct trap_slot *slot, uint64_t owner, uint64_t me)
{
	return !((owner ^ me) & THREAD_MASK) && __sync_bool_compare_and_swap(&slot->owner, owner, me);
}

/* Where the program or the kernel has just written to the first thread's stack, there it is. */
static void stack_seen(uint64_t frame)
{
	if (main_stack - frame < MAIN_STACK_REACH && frame < trap_task.stack_low)
		__atomic_store_n(&trap_task.stack_low, frame, __ATOMIC_RELAXED);
}

struct trap_slot *trap_claim(uint64_t sp, uint64_t frame)
{
	uint64_t me = caller();
	unsigned start = main_stack - sp < MAIN_STACK_REACH
				 ? 0
				 : (unsigned)((me >> 6) * 0x9e3779b1u >> 16);

	stack_seen(frame);
	if (trap_altstack_any_left() && !stack_of(sp))
		drop_jumped_out_of(me);
	for (;;) {
		unsigned c;
		char *chunk;

		for (c = 0; (chunk = chunk_at(c)); c++)
			for (unsigned n = 0; n < slots_in(c); n++) {
				struct trap_slot *slot = slot_at(chunk, (start + n) % slots_in(c));
				uint64_t owner = slot->owner, seen;

				if (!owner) {
					if (__sync_bool_compare_and_swap(&slot->owner, 0, me))
						return ready(slot, sp, frame);
					continue;
				}
				seen = slot->sp;
				if (owner == me || is_own_of_parent(slot, owner, me)) {
					if (!abandoned(slot, seen, sp, frame) &&
					    !(slot->exec_tid && seen && left_by_exec(slot)))
						continue;
					if (!__sync_bool_compare_and_swap(&slot->sp, seen, 0))
						continue;
					drop_nested(slot, me);
					trap_altstack_abandoned(slot);
					return ready(slot, sp, frame);
				}
				if ((owner ^ me) >> THREAD_BITS) {
					slot->sp = 0;
					slot->left.size = 0;
					if (__sync_bool_compare_and_swap(&slot->owner, owner, me))
						return ready(slot, sp, frame);
				}
			}
		more_slots(c);
	}
}
