/*
 * SIGSYS belongs to the trap: were it blocked or ignored when a call is trapped,
 * the kernel would kill the program.  So it never is.  The calls that could do
 * that run without SIGSYS in their masks, and an action that the program sets for
 * SIGSYS is kept here and carried out for those that are not ours: sent by kill,
 * or raised by a filter of the program's own.
 */
#include <asm-generic/errno.h>
#include <linux/signal.h>

#include "trap.h"

#define EPOLL_PWAIT2 441
#define FROM_SECCOMP 1

/* What the program believes SIGSYS does. */
static struct sys_sigaction program_action;

/* Ours, with SA_RESTART or without: whether a SIGSYS that is sent ends a call that waits. */
static void install(uint64_t restart)
{
	struct sys_sigaction action = {
		.handler = (void *)trap_signal_entry,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SYS_SA_RESTORER | restart,
		.restorer = trap_signal_return,
	};

	sys_call4(__NR_rt_sigaction, TRAP_SIGSYS, &action, 0, 8);
}

void trap_signals_begin(void)
{
	uint64_t only = TRAP_SIGSYS_BIT;

	install(0);
	sys_call4(__NR_rt_sigprocmask, SIG_UNBLOCK, &only, 0, 8);
}

static long set_action(const long a[6])
{
	const struct sys_sigaction *wanted = (void *)a[1];
	struct sys_sigaction *old = (void *)a[2], action;

	if (wanted && !trap_readable(wanted, sizeof(*wanted)))
		return -EFAULT;
	if (a[0] != TRAP_SIGSYS) {
		action = *wanted;
		action.mask &= ~TRAP_SIGSYS_BIT;
		return sys_call4(__NR_rt_sigaction, a[0], &action, old, a[3]);
	}
	if (a[3] != 8)
		return -EINVAL;
	action = program_action;
	if (old && core_fillable(&trap_task, old, sizeof(*old), sizeof(*old)) < 0)
		return -EFAULT;
	/* a vfork child writes our memory, but its actions are its own */
	if (wanted && !trap_in_vfork_child()) {
		program_action = *wanted;
		install(program_action.handler == SIG_IGN ? SA_RESTART : program_action.flags & SA_RESTART);
	}
	if (old)
		*old = action;
	return 0;
}

/* Copy a mask without SIGSYS; -EFAULT if it cannot be read. */
static long copy_mask(long from, uint64_t *mask)
{
	if (!trap_readable((void *)from, sizeof(*mask)))
		return -EFAULT;
	*mask = *(uint64_t *)from & ~TRAP_SIGSYS_BIT;
	return 0;
}

/* Run `nr` with a harmless copy of the mask that argument `n` points to. */
static long run_with_mask(long nr, const long a[6], unsigned n)
{
	long args[6] = { a[0], a[1], a[2], a[3], a[4], a[5] };
	uint64_t mask;

	if (copy_mask(a[n], &mask) < 0)
		return -EFAULT;
	args[n] = (long)&mask;
	return sys_call6(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}

static long select_with_mask(const long a[6])
{
	struct {
		long mask;
		long size;
	} given;
	uint64_t mask;

	if (!trap_readable((void *)a[5], sizeof(given)))
		return -EFAULT;
	given.mask = ((long *)a[5])[0];
	given.size = ((long *)a[5])[1];
	if (given.mask) {
		if (copy_mask(given.mask, &mask) < 0)
			return -EFAULT;
		given.mask = (long)&mask;
	}
	return sys_call6(__NR_pselect6, a[0], a[1], a[2], a[3], a[4], (long)&given);
}

int trap_signal_call(long nr)
{
	return nr == __NR_rt_sigprocmask || nr == __NR_rt_sigaction || nr == __NR_rt_sigsuspend ||
	       nr == __NR_ppoll || nr == __NR_pselect6 || nr == __NR_epoll_pwait ||
	       nr == EPOLL_PWAIT2;
}

long trap_signal_run(long nr, const long a[6])
{
	switch (nr) {
	case __NR_rt_sigaction:
		if (a[0] != TRAP_SIGSYS && !a[1])
			break;
		return set_action(a);
	case __NR_rt_sigprocmask:
		return a[1] ? run_with_mask(nr, a, 1) : sys_call4(nr, a[0], 0, a[2], a[3]);
	case __NR_rt_sigsuspend:
		return run_with_mask(nr, a, 0);
	case __NR_ppoll:
		if (!a[3])
			break;
		return run_with_mask(nr, a, 3);
	case __NR_epoll_pwait:
	case EPOLL_PWAIT2:
		if (!a[4])
			break;
		return run_with_mask(nr, a, 4);
	case __NR_pselect6:
		if (!a[5])
			break;
		return select_with_mask(a);
	}
	return sys_call6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Our call if it is one: a slot to run it in, or NULL. */
__attribute__((used)) struct trap_slot *trap_accept(const struct trap_siginfo *info,
						     const struct trap_ucontext *context)
{
	struct trap_slot *slot;

	if (info->code != FROM_SECCOMP || info->error != LPMX_TRAP_TAG)
		return 0;
	slot = trap_claim(context->registers[TRAP_STACK], (uint64_t)context);
	slot->number = (uint64_t)(int64_t)info->number;
	/* the kernel disarmed it for this handler; sigreturn would have armed it */
	slot->altstack = context->altstack;
	if (!(slot->altstack.flags & (1u << 31)))
		slot->altstack.flags = 0;
	trap_keep(slot, context);
	return slot;
}

/* A SIGSYS that is not ours: do what the program asked for. */
__attribute__((used)) void trap_foreign(struct trap_siginfo *info, struct trap_ucontext *context)
{
	struct sys_sigaction action = program_action, fatal = { .flags = SYS_SA_RESTORER,
							  .restorer = trap_signal_return };
	void (*handler)(int, struct trap_siginfo *, struct trap_ucontext *);

	if (action.handler == SIG_IGN && info->code != FROM_SECCOMP)
		return;
	if (action.handler == SIG_DFL || action.handler == SIG_IGN) {
		sys_call4(__NR_rt_sigaction, TRAP_SIGSYS, &fatal, 0, 8);
		sys_call3(__NR_tgkill, sys_call0(__NR_getpid), sys_call0(__NR_gettid), TRAP_SIGSYS);
		return;
	}
	if (action.flags & SA_RESETHAND)
		program_action.handler = SIG_DFL;
	action.mask &= ~TRAP_SIGSYS_BIT;
	/* the return from this signal puts the mask back */
	sys_call4(__NR_rt_sigprocmask, SIG_BLOCK, &action.mask, 0, 8);
	__builtin_memcpy(&handler, &action.handler, sizeof(handler));
	handler(TRAP_SIGSYS, info, context);
}
