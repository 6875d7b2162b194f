/*
 * The seccomp filter: which system calls go to the trap.
 *
 * It is inherited by every descendant, cannot be removed and slows each trapped
 * call by its own length, so a process that has it never installs another; the
 * filter itself answers the question.  Calls issued from the loader's text are
 * let through: that is how the trap makes the real ones.
 *
 * How a program installs a filter of its own is nobody's business but the kernel's, unless
 * call sites may be rewritten (sites_x86_64.c): that is settled with the first program.
 *
 * The number is tested before anything that changes from call to call.  The
 * kernel then knows which numbers are always allowed and does not run the filter
 * for them at all.
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
#define CHUNK 128  /* jumps reach 255 instructions */
#define PROGRAM_MAX 640

struct program {
	struct sock_filter code[PROGRAM_MAX];
	unsigned short length;
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

/* Trap, unless the call comes from the window. */
static void trap(struct program *p)
{
	load(p, IP_HIGH);
	equal(p, (unsigned)(LPMX_WINDOW >> 32), 0, 3);
	load(p, IP_LOW);
	at_least(p, (unsigned)LPMX_WINDOW_SIZE, 1, 0);
	answer(p, SECCOMP_RET_ALLOW);
	answer(p, SECCOMP_RET_TRAP | LPMX_TRAP_TAG);
}
#define TRAP_LENGTH 6

_Static_assert((LPMX_WINDOW & 0xffffffff) == 0, "the window begins a 4 GB block");

/* Calls of the core that trap for some arguments only, as write_program says. */
static int is_conditional(long nr)
{
	return nr == __NR_sendto || nr == __NR_accept || nr == __NR_accept4 ||
	       nr == __NR_recvfrom || nr == __NR_getsockopt || nr == __NR_ioctl;
}

int trap_filter_is_whole(long nr)
{
	return core_call_after(nr - 1) == nr && !is_conditional(nr);
}

/* Numbers that trap whatever their arguments. */
static void trap_always(struct program *p)
{
	static const short others[] = {
		__NR_execve, __NR_execveat, __NR_rt_sigsuspend, LPMX_SYSCALL,
	};
	unsigned n = 0;
	long nr = -1;

	do {
		unsigned short start = p->length;

		for (; n < sizeof(others) / sizeof(*others); n++)
			equal(p, (unsigned)others[n], 0, 0);
		while (p->length - start < CHUNK && (nr = core_call_after(nr)) >= 0)
			if (!is_conditional(nr))
				equal(p, (unsigned)nr, 0, 0);
		for (unsigned i = start; i < p->length; i++)
			p->code[i].jt = (unsigned char)(p->length - i);
		/* the one behind them skips the trap */
		p->code[p->length++] =
			(struct sock_filter){ BPF_JMP | BPF_JA, 0, 0, TRAP_LENGTH };
		trap(p);
	} while (nr >= 0);
}

/* Trap `nr` if argument `n`, a pointer, is not NULL. */
static void trap_if_given(struct program *p, unsigned nr, unsigned n)
{
	equal(p, nr, 0, 5 + TRAP_LENGTH);
	load(p, ARGUMENT_LOW(n));
	equal(p, 0, 0, 3);
	load(p, ARGUMENT_HIGH(n));
	equal(p, 0, 0, 1);
	answer(p, SECCOMP_RET_ALLOW);
	trap(p);
}

/* Trap `nr` if its first argument is `value`; what follows sees other values. */
static void trap_if_first_is(struct program *p, unsigned nr, unsigned value)
{
	equal(p, nr, 0, 3 + TRAP_LENGTH);
	load(p, ARGUMENT_LOW(0));
	equal(p, value, 0, TRAP_LENGTH);
	trap(p);
	load(p, DATA(nr));
}

/* Trap getsockopt of one option. */
static void trap_option(struct program *p, unsigned level, unsigned option)
{
	equal(p, __NR_getsockopt, 0, 5 + TRAP_LENGTH);
	load(p, ARGUMENT_LOW(1));
	equal(p, level, 0, 2);
	load(p, ARGUMENT_LOW(2));
	equal(p, option, 1, 0);
	answer(p, SECCOMP_RET_ALLOW);
	trap(p);
}

/* Trap ioctl of the requests that the core knows. */
static void trap_requests(struct program *p)
{
	unsigned short start = p->length, first;
	long request;

	equal(p, __NR_ioctl, 0, 0);
	load(p, ARGUMENT_LOW(1));
	first = p->length;
	for (unsigned i = 0; (request = core_ioctl_request(i)) >= 0; i++)
		equal(p, (unsigned)request, 0, 0);
	for (unsigned i = first; i < p->length; i++)
		p->code[i].jt = (unsigned char)(p->length - i);
	answer(p, SECCOMP_RET_ALLOW);
	trap(p);
	p->code[start].jf = (unsigned char)(p->length - start - 1);
}

static void refuse(struct program *p, unsigned nr, unsigned error)
{
	equal(p, nr, 0, 1);
	answer(p, SECCOMP_RET_ERRNO | error);
}

/*
 * Nobody without privilege may write audit messages.  Programs that take
 * themselves for root complain about that, or end; all of them know kernels
 * without auditing, which have no such socket.
 */
static void refuse_audit(struct program *p)
{
	equal(p, __NR_socket, 0, 6);
	load(p, ARGUMENT_LOW(0));
	equal(p, AF_NETLINK, 0, 3);
	load(p, ARGUMENT_LOW(2));
	equal(p, NETLINK_AUDIT, 0, 1);
	answer(p, SECCOMP_RET_ERRNO | EPROTONOSUPPORT);
	answer(p, SECCOMP_RET_ALLOW);
}

/* Where the trap does not return the way it was entered. */
static void refuse_shadow_stacks(struct program *p)
{
#ifdef __NR_arch_prctl
	equal(p, __NR_arch_prctl, 0, 4);
	load(p, ARGUMENT_LOW(0));
	equal(p, ARCH_SHSTK_ENABLE, 0, 1);
	answer(p, SECCOMP_RET_ERRNO | EOPNOTSUPP);
	answer(p, SECCOMP_RET_ALLOW);
#else
	(void)p;
#endif
}

/* What installs a filter; and who asks is told that it is seen. */
static void trap_filters(struct program *p)
{
	equal(p, __NR_seccomp, 0, TRAP_LENGTH);
	trap(p);
	trap_if_first_is(p, __NR_prctl, PR_SET_SECCOMP);
	refuse(p, LPMX_PROBE_SYSCALL, LPMX_PROBE_SITES_ERRNO);
}

static void write_program(struct program *p, int sites)
{
	/* calls of another architecture: `int $0x80` in a 64-bit program */
	load(p, DATA(arch));
	equal(p, TRAP_AUDIT_ARCH, 1, 0);
	answer(p, SECCOMP_RET_ERRNO | ENOSYS);
	load(p, DATA(nr));

	trap_always(p);
	if (sites)
		trap_filters(p);

	trap_if_first_is(p, __NR_rt_sigaction, TRAP_SIGSYS);
	trap_if_given(p, __NR_rt_sigaction, 1);
	trap_if_given(p, __NR_rt_sigprocmask, 1);
	trap_if_given(p, __NR_ppoll, 3);
	trap_if_given(p, __NR_pselect6, 5);
	trap_if_given(p, __NR_epoll_pwait, 4);
	trap_if_given(p, EPOLL_PWAIT2, 4);
	trap_if_given(p, __NR_sigaltstack, 0);
	/* sockets: where an address is given or wanted */
	trap_if_given(p, __NR_sendto, 4);
	trap_if_given(p, __NR_accept, 1);
	trap_if_given(p, __NR_accept4, 1);
	trap_if_given(p, __NR_recvfrom, 4);
	trap_option(p, SOL_SOCKET_, SO_PEERCRED_);
	trap_requests(p);
	trap_if_first_is(p, __NR_ptrace, 0 /* PTRACE_TRACEME */);

	/* it may reset our handler in the child; libraries fall back to clone */
	refuse(p, CLONE3, ENOSYS);
	/* it opens files where no filter sees them */
	refuse(p, IO_URING_SETUP, ENOSYS);
	/* its rules are about directories of the host, of which one of the view is several: as
	 * where it is not enabled */
	refuse(p, LANDLOCK_CREATE_RULESET, EOPNOTSUPP);
	refuse(p, LPMX_PROBE_SYSCALL, LPMX_PROBE_ERRNO);
	refuse_audit(p);
	refuse_shadow_stacks(p);
	at_least(p, HIGHEST_KNOWN + 1, 0, 1);
	answer(p, SECCOMP_RET_ERRNO | ENOSYS);
	answer(p, SECCOMP_RET_ALLOW);
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

long trap_filter_install(int sites)
{
	struct program program;
	struct sock_fprog description = { 0, program.code };
	long r;

	if (trap_filter_present())
		return 0;
	program.length = 0;
	write_program(&program, sites);
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
