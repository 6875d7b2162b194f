/* Where an intercepted call goes. */
#include <asm-generic/errno.h>
#include <linux/fcntl.h>
#include <linux/ptrace.h>

#include "../loader/loader.h"
#include "trap.h"

struct core_task trap_task;
uint64_t trap_untranslated_low, trap_untranslated_high;

static inline long dispatch(struct trap_slot *slot, long nr, const long a[6], uint64_t ip)
{
	struct core_task *task;

	if (trap_signal_call(nr))
		return trap_signal_run(nr, a);
	slot->task = task = trap_task_for(nr);
	if (!task)
		return -EAGAIN;
	switch (nr) {
	case __NR_execve:
		return loader_exec(slot, AT_FDCWD, (char *)a[0], (char **)a[1], (char **)a[2], 0);
	case __NR_execveat:
		return loader_exec(slot, (int)a[0], (char *)a[1], (char **)a[2], (char **)a[3],
				   (int)a[4]);
	case __NR_sigaltstack:
		return trap_altstack_run(slot, a);
	case __NR_ptrace:
		if (a[0] == PTRACE_TRACEME)
			return trap_trace_me();
		break;
	case __NR_seccomp:
	case __NR_prctl:
		/* the program's own filter is to see every call */
		trap_sites_stop();
		break;
	case LPMX_SYSCALL:
		return trap_operation(task, a);
	default:
		if (task->view->kind == CORE_VIEW_HOST ||
		    (ip - trap_untranslated_low < trap_untranslated_high - trap_untranslated_low))
			return trap_host_call(task, nr, a);
		return core_call(task, nr, a);
	}
	return sys_call6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* The preload library's open is the program's openat; what it leaves to libc comes again.  And
 * what it lists is a getdents64. */
static __attribute__((noinline)) long traced(struct trap_slot *slot, long nr, const long a[6],
					     uint64_t ip)
{
	int is_open = nr == LPMX_SYSCALL && a[0] == LPMX_OP_OPEN;
	int is_list = nr == LPMX_SYSCALL && a[0] == LPMX_OP_LIST;
	struct core_trace line;
	long r;

	core_trace_call(&trap_task, &line, ip ? "trap" : "preload",
			is_open	  ? __NR_openat
			: is_list ? __NR_getdents64
				  : nr,
			is_open || is_list ? a + 1 : a);
	r = dispatch(slot, nr, a, ip);
	if (r != -LPMX_NOT_READY)
		core_trace_result(&trap_task, &line, is_list && r > 0 ? r & ~LPMX_LIST_ALL : r);
	return r;
}

/* By a handler on an alternate stack. */
static __attribute__((noinline)) long from_altstack(struct trap_slot *slot, long nr, const long a[6],
						    uint64_t ip)
{
	long r;

	trap_altstack_left(slot);
	r = trap_task.trace ? traced(slot, nr, a, ip) : dispatch(slot, nr, a, ip);
	trap_altstack_returning(slot);
	return r;
}

/* `ip`: of the call that was trapped; 0: the preload library's. */
long trap_dispatch(struct trap_slot *slot, long nr, const long a[6], uint64_t ip)
{
	if (slot->left.size)
		return from_altstack(slot, nr, a, ip);
	return trap_task.trace ? traced(slot, nr, a, ip) : dispatch(slot, nr, a, ip);
}

/* A call whose registers are in the slot. */
__attribute__((used)) void trap_handle(struct trap_slot *slot)
{
	static const unsigned char places[6] = { TRAP_ARGUMENTS };
	uint64_t *r = slot->registers;
	const long args[6] = { (long)r[places[0]], (long)r[places[1]], (long)r[places[2]],
			       (long)r[places[3]], (long)r[places[4]], (long)r[places[5]] };

	if (slot->altstack.flags)
		sys_call2(__NR_sigaltstack, &slot->altstack, 0);
	r[TRAP_RESULT] = (uint64_t)trap_dispatch(slot, (long)slot->number, args,
						 r[TRAP_INSTRUCTION]);
}

/* A call that came by signal. */
__attribute__((used)) void trap_signalled(struct trap_slot *slot)
{
	trap_handle(slot);
	trap_site_seen(slot->registers[TRAP_INSTRUCTION], slot->number);
}
