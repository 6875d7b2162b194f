/* Actions of signals: each is set and told as it was said, and handlers return and unwind. */
#include <execinfo.h>
#include <stdint.h>

#include "check.h"

#define SIGNALS 66 /* one more than there are */

/* What the kernel has. */
struct kernel_action {
	void *handler;
	uint64_t flags;
	void *restorer;
	uint64_t mask;
};

static volatile sig_atomic_t handled, depth;

static void handler(int signal)
{
	(void)signal;
	handled++;
}

static void with_details(int signal, siginfo_t *info, void *context)
{
	handled += info->si_signo == signal && context;
}

static void unwinding(int signal)
{
	void *frames[32];

	(void)signal;
	depth = backtrace(frames, 32);
}

static int flags_of(int number)
{
	static const int flags[] = { 0, SA_RESTART, SA_NODEFER, SA_RESETHAND, SA_ONSTACK | SA_RESTART, SA_NOCLDSTOP };

	return flags[number % 6];
}

/* What is known of `number` by libc and by the kernel, which must agree. */
static void tell(int number, const struct sigaction *set)
{
	struct kernel_action kernel = { 0 };
	struct sigaction told = { 0 };
	int mask = 0;

	say("  told", sigaction(number, NULL, &told));
	syscall(SYS_rt_sigaction, number, NULL, &kernel, 8);
	for (int i = 1; i < SIGNALS - 1; i++)
		mask = mask * 31 + (i != SIGSYS && sigismember(&told.sa_mask, i) == 1);
	printf("  handler %d flags %x %d mask %x\n", told.sa_handler == set->sa_handler, told.sa_flags & ~0x04000000,
	       kernel.flags == (uint64_t)(unsigned)told.sa_flags, mask);
	printf("  the kernel's %d %d %d\n", kernel.handler == (void *)told.sa_handler,
	       kernel.restorer == (void *)told.sa_restorer,
	       kernel.mask == *(uint64_t *)&told.sa_mask);
}

static void set_each(void)
{
	for (int number = -1; number < SIGNALS + 1; number++) {
		struct sigaction action = { .sa_handler = handler, .sa_flags = flags_of(number + 1) }, old = { 0 };

		sigemptyset(&action.sa_mask);
		sigaddset(&action.sa_mask, number % 7 + 10);
		sigaddset(&action.sa_mask, 40);
		printf("signal %d\n", number);
		say("  set", sigaction(number, &action, &old));
		printf("  was default %d\n", old.sa_handler == SIG_DFL);
		if (number == SIGSYS || number < 1 || number >= SIGNALS - 1)
			continue;
		tell(number, &action);
		/* both in one place, and back */
		action.sa_handler = SIG_IGN;
		say("  ignored", sigaction(number, &action, &action));
		printf("  was ours %d\n", action.sa_handler == handler);
		if (number != SIGALRM && number != SIGABRT)
			say("  default", sigaction(number, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL));
	}
}

static void handle(void)
{
	struct sigaction action = { .sa_handler = handler }, old;
	struct sigaction details = { .sa_sigaction = with_details, .sa_flags = SA_SIGINFO };

	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	raise(SIGUSR1);
	say("handled", handled);
	sigaction(SIGUSR1, &details, &old);
	say("was", old.sa_handler == handler);
	raise(SIGUSR1);
	say("with details", handled);
	action.sa_flags = SA_RESETHAND;
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	sigaction(SIGUSR1, NULL, &old);
	say("reset", old.sa_handler == SIG_DFL);
	/* a full set has SIGSYS, and files are opened meanwhile */
	action.sa_flags = 0;
	sigfillset(&action.sa_mask);
	sigaction(SIGUSR2, &action, NULL);
	raise(SIGUSR2);
	say("with all blocked", touch("present"));
	action.sa_handler = unwinding;
	backtrace((void *[1]){ 0 }, 1);
	sigaction(SIGUSR2, &action, NULL);
	raise(SIGUSR2);
	say("unwound through the handler's return", depth >= 4);
}

int main(void)
{
	pid_t child;

	set_each();
	handle();
	child = fork();
	if (!child) {
		handled = 0;
		handle();
		_exit(handled);
	}
	say("child", outcome(child));
	child = vfork();
	if (!child) {
		sigaction(SIGUSR2, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
		_exit(3);
	}
	say("vfork child", outcome(child));
	say("abort is handled", !sigaction(SIGABRT, &(struct sigaction){ .sa_handler = handler }, NULL) && !raise(SIGABRT));
	return 0;
}
