/* Alternate signal stacks: the smallest that is accepted, and a stack that disarms itself. */
#include "check.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static volatile sig_atomic_t opened;

/* The stack that one is on cannot be changed, but be asked for. */
static void changing_handler(int signal)
{
	stack_t now, other = { .ss_sp = malloc(65536), .ss_size = 65536 };

	(void)signal;
	say("changed on it", sigaltstack(&other, &now));
	say("asked for on it", sigaltstack(NULL, &now) || now.ss_flags != SS_ONSTACK);
}

static void handler(int signal)
{
	(void)signal;
	if (!touch("present"))
		opened++;
}

static void try(const char *name, size_t size, int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	stack_t stack = { .ss_sp = malloc(size + 65536), .ss_size = size, .ss_flags = flags };

	sigaction(SIGUSR1, &action, NULL);
	/* room below, so that a frame too large for it shows and does not crash */
	stack.ss_sp = (char *)stack.ss_sp + 32768;
	if (sigaltstack(&stack, NULL)) {
		say(name, -1);
		return;
	}
	for (int i = 0; i < 3; i++)
		raise(SIGUSR1);
	say("a call on it", touch("present"));
	action.sa_handler = changing_handler;
	sigaction(SIGUSR2, &action, NULL);
	if (!flags)
		raise(SIGUSR2);
	say(name, opened);
	opened = 0;
	stack.ss_flags = SS_DISABLE;
	sigaltstack(&stack, NULL);
}

int main(void)
{
	stack_t now;

	try("large", 65536, 0);
	try("disarming itself", 65536, (int)SS_AUTODISARM);
	try("impossible", 100, 0);
	sigaltstack(NULL, &now);
	say("disabled", now.ss_flags == SS_DISABLE);
	return 0;
}
