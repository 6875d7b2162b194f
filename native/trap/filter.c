/*
 * The seccomp filter: which system calls go to the trap.
 *
 * It is inherited by every descendant, cannot be removed and slows each trapped
 * call by its own length, so a process that has it never installs another; the
 * filter itself answers the question.  Calls issued from the loader's text are
 * let through: that is how the trap makes the real ones.  And some of the host's ld.so, which
 * a host view has right behind it: nothing else can be executed there (LPMX_EXEMPT_SIZE).
 *
 * How a program installs a filter of its own is nobody's business but the kernel's, unless
 * call sites may be rewritten (sites_x86_64.c): that is settled with the first program.
 *
 * The number is found by halves, in seven or eight steps: every call that the kernel
 * does not know to be allowed pays for them, those of the core's own among them.  It is
 * tested before anything that changes from call to call.  The kernel then knows which
 * numbers are always allowed and does not run the filter for them at all.
 */
#include <asm-generic/errno.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "trap.h"

/*
 * file_setattr.  A younger call that we do not know might open files; programs fall
 * back when it does not exist.  x32 numbers are above it, too.
 */
#define HIGHEST_KNOWN 469
#define AF_NETLINK 16
#define NETLINK_AUDIT 9
#define SOL_SOCKET_ 1
#define SO_PEERCRED_ 17
#define CLONE3 435
#define IO_URING_SETUP 425
#define EPOLL_PWAIT2 441
#define LANDLOCK_CREATE_RULESET 444
#define ARCH_SHSTK_ENABLE 0x5001
#define PROGRAM_MAX 768
#define RANGES_MAX 256 /* and so no jump among them is longer than 255 instructions */

/* What is done with a number: these, and what comes of the rule that has the number. */
enum { PASS, TRAP, TRAP_BUT_LINKER, FIRST_RULE };

struct program {
	int sites; /* call sites may be rewritten */
	struct sock_filter code[PROGRAM_MAX];
	unsigned short length;
	/* numbers, each range up to the next one, for which the same is done */
	struct range {
		unsigned first;
		unsigned what;
		unsigned short jump; /* the instruction that is to lead to it */
	} ranges[RANGES_MAX];
	unsigned range_count;
};

#define DATA(field) ((unsigned)offsetof(struct seccomp_data, field))
#define ARGUMENT_LOW(n) (DATA(args) + 8u * (n))
#define ARGUMENT_HIGH(n) (ARGUMENT_LOW(n) + 4u)
#define IP_LOW DATA(instruction_pointer)
#define IP_HIGH (IP_LOW + 4u)

static void load(struct program *p, unsigned offset)
{
	p->code[p->length++] = (struct sock_filter){ BPF_LD | BPF_W | BPF_ABS, 0, 0, offset };
}

static void answer(struct program *p, unsigned value)
{
	p->code[p->length++] = (struct sock_filter){ BPF_RET | BPF_K, 0, 0, value };
}

/* Compare what is loaded with `value`, and skip instructions if equal or not. */
static void equal(struct program *p, unsigned value, unsigned char yes, unsigned char no)
{
	p->code[p->length++] = (struct sock_filter){ BPF_JMP | BPF_JEQ | BPF_K, yes, no, value };
}

static void at_least(struct program *p, unsigned value, unsigned char yes, unsigned char no)
{
	p->code[p->length++] = (struct sock_filter){ BPF_JMP | BPF_JGE | BPF_K, yes, no, value };
}

/* Trap, unless the call comes from the first `size` bytes from the window on. */
static void trap_beyond(struct program *p, unsigned long size)
{
	load(p, IP_HIGH);
	equal(p, (unsigned)(LPMX_WINDOW >> 32), 0, 3);
	load(p, IP_LOW);
	at_least(p, (unsigned)size, 1, 0);
	answer(p, SECCOMP_RET_ALLOW);
	answer(p, SECCOMP_RET_TRAP | LPMX_TRAP_TAG);
}

static void trap(struct program *p)
{
	trap_beyond(p, LPMX_WINDOW_SIZE);
}

_Static_assert((LPMX_WINDOW & 0xffffffff) == 0, "the window begins a 4 GB block");

/* ---- what is done for some arguments only ------------------------------------------------ */

/* Each of these ends with an answer. */
typedef void writer(struct program *p, unsigned a, unsigned b);

/* Trap if argument `n`, a pointer, is not NULL. */
static void trap_if_given(struct program *p, unsigned n, unsigned unused)
{
	(void)unused;
	load(p, ARGUMENT_LOW(n));
	equal(p, 0, 0, 3);
	load(p, ARGUMENT_HIGH(n));
	equal(p, 0, 0, 1);
	answer(p, SECCOMP_RET_ALLOW);
	trap(p);
}

/* Trap if the first argument is `value`. */
static void trap_if_first_is(struct program *p, unsigned value, unsigned unused)
{
	(void)unused;
	load(p, ARGUMENT_LOW(0));
	equal(p, value, 1, 0);
	answer(p, SECCOMP_RET_ALLOW);
	trap(p);
}

/* Trap if the first argument is `value`, or argument `n` is not NULL. */
static void trap_if_first_is_or_given(struct program *p, unsigned value, unsigned n)
{
	load(p, ARGUMENT_LOW(0));
	equal(p, value, 5, 0);
	load(p, ARGUMENT_LOW(n));
	equal(p, 0, 0, 3);
	load(p, ARGUMENT_HIGH(n));
	equal(p, 0, 0, 1);
	answer(p, SECCOMP_RET_ALLOW);
	trap(p);
}

/* Trap getsockopt of one option. */
static void trap_option(struct program *p, unsigned level, unsigned option)
{
	load(p, ARGUMENT_LOW(1));
	equal(p, level, 0, 2);
	load(p, ARGUMENT_LOW(2));
	equal(p, option, 1, 0);
	answer(p, SECCOMP_RET_ALLOW);
	trap(p);
}

/* Trap ioctl of the requests that the core knows. */
static void trap_requests(struct program *p, unsigned unused, unsigned unused_too)
{
	unsigned short first;
	long request;

	(void)unused;
	(void)unused_too;
	load(p, ARGUMENT_LOW(1));
	first = p->length;
	for (unsigned i = 0; (request = core_ioctl_request(i)) >= 0; i++)
		equal(p, (unsigned)request, 0, 0);
	for (unsigned i = first; i < p->length; i++)
		p->code[i].jt = (unsigned char)(p->length - i);
	answer(p, SECCOMP_RET_ALLOW);
	trap(p);
}

static void trap_all(struct program *p, unsigned unused, unsigned unused_too)
{
	(void)unused;
	(void)unused_too;
	trap(p);
}

static void refuse(struct program *p, unsigned error, unsigned unused)
{
	(void)unused;
	answer(p, SECCOMP_RET_ERRNO | error);
}

/*
 * Nobody without privilege may write audit messages.  Programs that take
 * themselves for root complain about that, or end; all of them know kernels
 * without auditing, which have no such socket.
 */
static void refuse_audit(struct program *p, unsigned unused, unsigned unused_too)
{
	(void)unused;
	(void)unused_too;
	load(p, ARGUMENT_LOW(0));
	equal(p, AF_NETLINK, 0, 3);
	load(p, ARGUMENT_LOW(2));
	equal(p, NETLINK_AUDIT, 0, 1);
	answer(p, SECCOMP_RET_ERRNO | EPROTONOSUPPORT);
	answer(p, SECCOMP_RET_ALLOW);
}

#ifdef __NR_arch_prctl
/* Refuse if the first argument is `value`. */
static void refuse_first(struct program *p, unsigned value, unsigned error)
{
	load(p, ARGUMENT_LOW(0));
	equal(p, value, 0, 1);
	answer(p, SECCOMP_RET_ERRNO | error);
	answer(p, SECCOMP_RET_ALLOW);
}
#endif

static const struct rule {
	unsigned nr;
	writer *write;
	unsigned a, b;
	enum { WHATEVER, WITH_SITES, WITHOUT_SITES } when;
} rules[] = {
	{ __NR_rt_sigaction, trap_if_first_is_or_given, TRAP_SIGSYS, 1, WHATEVER },
	{ __NR_rt_sigprocmask, trap_if_given, 1, 0, WHATEVER },
	{ __NR_ppoll, trap_if_given, 3, 0, WHATEVER },
	{ __NR_pselect6, trap_if_given, 5, 0, WHATEVER },
	{ __NR_epoll_pwait, trap_if_given, 4, 0, WHATEVER },
	{ EPOLL_PWAIT2, trap_if_given, 4, 0, WHATEVER },
	{ __NR_sigaltstack, trap_if_given, 0, 0, WHATEVER },
	/* sockets: where an address is given or wanted */
	{ __NR_sendto, trap_if_given, 4, 0, WHATEVER },
	{ __NR_accept, trap_if_given, 1, 0, WHATEVER },
	{ __NR_accept4, trap_if_given, 1, 0, WHATEVER },
	{ __NR_recvfrom, trap_if_given, 4, 0, WHATEVER },
	{ __NR_getsockopt, trap_option, SOL_SOCKET_, SO_PEERCRED_, WHATEVER },
	{ __NR_ioctl, trap_requests, 0, 0, WHATEVER },
	{ __NR_ptrace, trap_if_first_is, 0 /* PTRACE_TRACEME */, 0, WHATEVER },
	/* what installs a filter; and who asks is told that it is seen */
	{ __NR_seccomp, trap_all, 0, 0, WITH_SITES },
	{ __NR_prctl, trap_if_first_is, PR_SET_SECCOMP, 0, WITH_SITES },
	{ LPMX_PROBE_SYSCALL, refuse, LPMX_PROBE_SITES_ERRNO, 0, WITH_SITES },
	{ LPMX_PROBE_SYSCALL, refuse, LPMX_PROBE_ERRNO, 0, WITHOUT_SITES },
	/* it may reset our handler in the child; libraries fall back to clone */
	{ CLONE3, refuse, ENOSYS, 0, WHATEVER },
	/* it opens files where no filter sees them */
	{ IO_URING_SETUP, refuse, ENOSYS, 0, WHATEVER },
	/* its rules are about directories of the host, of which one of the view is several: as
	 * where it is not enabled */
	{ LANDLOCK_CREATE_RULESET, refuse, EOPNOTSUPP, 0, WHATEVER },
	{ __NR_socket, refuse_audit, 0, 0, WHATEVER },
#ifdef __NR_arch_prctl
	/* where the trap does not return the way it was entered */
	{ __NR_arch_prctl, refuse_first, ARCH_SHSTK_ENABLE, EOPNOTSUPP, WHATEVER },
#endif
};
#define RULES (sizeof(rules) / sizeof(*rules))
#define UNKNOWN (FIRST_RULE + RULES)

/* ---- by number --------------------------------------------------------------------------- */

static unsigned rule_of(unsigned nr, int sites)
{
	for (unsigned i = 0; i < RULES; i++)
		if (rules[i].nr == nr && rules[i].when != (sites ? WITHOUT_SITES : WITH_SITES))
			return FIRST_RULE + i;
	return PASS;
}

int trap_filter_is_whole(long nr)
{
	return core_call_after(nr - 1) == nr && rule_of((unsigned)nr, 1) == PASS;
}

static unsigned what_of(unsigned nr, int sites)
{
	static const unsigned others[] = {
		__NR_execve, __NR_execveat, __NR_rt_sigsuspend, LPMX_SYSCALL,
	};
	/* how glibc's ld.so looks for libraries; for none of it does it matter what program runs */
	static const unsigned linker[] = {
		__NR_open, __NR_openat, __NR_access, __NR_stat, __NR_fstat, __NR_newfstatat,
	};
	unsigned rule = rule_of(nr, sites);

	if (rule != PASS)
		return rule;
	for (unsigned i = 0; i < sizeof(linker) / sizeof(*linker); i++)
		if (linker[i] == nr)
			return TRAP_BUT_LINKER;
	for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (others[i] == nr)
			return TRAP;
	if (core_call_after((long)nr - 1) == (long)nr)
		return TRAP;
	return nr > HIGHEST_KNOWN ? UNKNOWN : PASS;
}

static void add_range(struct program *p, unsigned nr)
{
	unsigned what = what_of(nr, p->sites);

	if (p->range_count > RANGES_MAX)
		return;
	if (p->range_count && p->ranges[p->range_count - 1].what == what)
		return;
	if (p->range_count < RANGES_MAX)
		p->ranges[p->range_count] = (struct range){ nr, what, 0 };
	p->range_count++;
}

_Static_assert(LPMX_SYSCALL > HIGHEST_KNOWN && LPMX_PROBE_SYSCALL == LPMX_SYSCALL + 1, "in order");

static void find_ranges(struct program *p)
{
	p->range_count = 0;
	for (unsigned nr = 0; nr <= HIGHEST_KNOWN + 1; nr++)
		add_range(p, nr);
	for (unsigned nr = LPMX_SYSCALL; nr <= LPMX_PROBE_SYSCALL + 1; nr++)
		add_range(p, nr);
}

/* Which of these ranges has the number?  Each half is one comparison nearer. */
static void search(struct program *p, struct range *ranges, unsigned count)
{
	unsigned half = count / 2, at = p->length;

	if (!half) {
		ranges->jump = p->length;
		p->code[p->length++] = (struct sock_filter){ BPF_JMP | BPF_JA, 0, 0, 0 };
		return;
	}
	at_least(p, ranges[half].first, 0, 0);
	search(p, ranges, half);
	p->code[at].jt = (unsigned char)(p->length - at - 1);
	search(p, ranges + half, count - half);
}

/* Lead all that are for `what` here. */
static void arrive(struct program *p, unsigned what)
{
	for (unsigned i = 0; i < p->range_count; i++)
		if (p->ranges[i].what == what)
			p->code[p->ranges[i].jump].k = p->length - p->ranges[i].jump - 1u;
}

/* 0, or -E2BIG if the numbers are too many ranges. */
static long write_program(struct program *p)
{
	p->length = 0;
	find_ranges(p);
	if (p->range_count > RANGES_MAX)
		return -E2BIG;
	/* calls of another architecture: `int $0x80` in a 64-bit program */
	load(p, DATA(arch));
	equal(p, TRAP_AUDIT_ARCH, 1, 0);
	answer(p, SECCOMP_RET_ERRNO | ENOSYS);
	load(p, DATA(nr));
	search(p, p->ranges, p->range_count);
	arrive(p, PASS);
	answer(p, SECCOMP_RET_ALLOW);
	arrive(p, TRAP);
	trap(p);
	arrive(p, TRAP_BUT_LINKER);
	trap_beyond(p, LPMX_EXEMPT_SIZE);
	for (unsigned i = 0; i < RULES; i++) {
		arrive(p, FIRST_RULE + i);
		rules[i].write(p, rules[i].a, rules[i].b);
	}
	arrive(p, UNKNOWN);
	answer(p, SECCOMP_RET_ERRNO | ENOSYS);
	return 0;
}

static long probe(void)
{
	return sys_call0(LPMX_PROBE_SYSCALL);
}

int trap_filter_sees_filters(void)
{
	return probe() == -LPMX_PROBE_SITES_ERRNO;
}

int trap_filter_present(void)
{
	return probe() == -LPMX_PROBE_ERRNO || trap_filter_sees_filters();
}

/* Apart, for its frame is large, and most programs that start have the filter. */
static __attribute__((noinline, cold)) long install(int sites)
{
	struct program program;
	struct sock_fprog description = { 0, program.code };
	long r;

	program.sites = sites;
	r = write_program(&program);
	if (r < 0)
		return r;
	description.len = program.length;
	r = sys_call5(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (r)
		return r;
	/* without the flag, kernels before 5.16 slow the whole process down */
	r = sys_call3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		      &description);
	if (r)
		r = sys_call3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &description);
	if (r)
		r = sys_call5(__NR_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &description, 0, 0);
	return r;
}

long trap_filter_install(int sites)
{
	return trap_filter_present() ? 0 : install(sites);
}
