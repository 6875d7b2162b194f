/*
 * Programs that a debugger starts.
 *
 * Its child asks to be traced and execs; the kernel sends the child a SIGTRAP, and the debugger
 * takes the stop that this makes for the first instruction of the program: it looks for the
 * program and the interpreter in memory, and puts its breakpoints there.  But only the loader
 * is there by then.  So SIGTRAP is blocked over the exec, the kernel's stays pending while the
 * loader maps the program, and it is let in with the jump to the program.
 *
 * The tracing of a thread ends with the thread, and passes on by exec and not by fork: who
 * called ptrace is kept by number, and told the next loader (LPMX_ENV_TRACED).  A tracer that
 * wants the event of an exec instead (PTRACE_O_TRACEEXEC) gets that, at the kernel's time.
 */
#include <linux/ptrace.h>
#include <linux/signal.h>

#include "../core/text.h"
#include "trap.h"

#define TRAP_SIGTRAP_BIT (1ul << (SIGTRAP - 1))

/* The thread that asked to be traced; and the one whose request waits for its exec. */
static volatile uint32_t traced, wants;
static int due;

/*
 * Between vfork and exec a debugger sleeps: a trap's SIGSYS would stop the child for a tracer
 * that waits for the child.  So the request is kept until the exec.
 */
long trap_trace_me(void)
{
	uint32_t me = (uint32_t)sys_call0(__NR_gettid);
	long r;

	if (trap_in_vfork_child()) {
		wants = me;
		return 0;
	}
	r = sys_call4(__NR_ptrace, PTRACE_TRACEME, 0, 0, 0);
	if (!r)
		traced = me;
	return r;
}

char trap_stop_hold(void)
{
	uint64_t only = TRAP_SIGTRAP_BIT, before = 0;
	uint32_t me;

	if (!traced && !wants)
		return 0;
	me = (uint32_t)sys_call0(__NR_gettid);
	if (traced != me && wants != me)
		return 0;
	sys_call4(__NR_rt_sigprocmask, SIG_BLOCK, &only, &before, 8);
	return before & only ? TRAP_STOP_BLOCKED : TRAP_STOP_HELD;
}

void trap_before_exec(void)
{
	if (wants && wants == (uint32_t)sys_call0(__NR_gettid)) {
		wants = 0;
		sys_call4(__NR_ptrace, PTRACE_TRACEME, 0, 0, 0);
	}
}

void trap_stop_release(char held)
{
	uint64_t only = TRAP_SIGTRAP_BIT;

	if (held == TRAP_STOP_HELD)
		sys_call4(__NR_rt_sigprocmask, SIG_UNBLOCK, &only, 0, 8);
}

void trap_stop_begin(char held)
{
	traced = (uint32_t)sys_call0(__NR_gettid);
	due = held == TRAP_STOP_HELD;
}

int trap_stop_is_due(void)
{
	return due;
}

/* As the kernel starts a program: nothing in the registers. */
void trap_stop_enter(uint64_t sp, uint64_t entry)
{
	static struct trap_frame frame;

	bytes_zero(&frame, sizeof(frame));
	trap_frame_begin(&frame, sp, entry);
	sys_call4(__NR_rt_sigprocmask, SIG_BLOCK, 0, &frame.context.mask, 8);
	frame.context.mask &= ~TRAP_SIGTRAP_BIT;
	frame.context.altstack.flags = SS_DISABLE;
	trap_resume(&frame);
}
