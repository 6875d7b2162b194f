/* The calls that wait with a signal mask: interrupted by the one signal let through. */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "check.h"

static volatile sig_atomic_t opened;

static void on_alarm(int signal)
{
	(void)signal;
	if (!touch("present"))
		opened++;
}

static int wait_with(int which, const sigset_t *mask)
{
	struct timespec five = { 5, 0 };
	struct epoll_event event;
	int result, fd;

	switch (which) {
	case 0:
		return sigsuspend(mask);
	case 1:
		return ppoll(NULL, 0, &five, mask);
	case 2:
		return pselect(0, NULL, NULL, NULL, &five, mask);
	default:
		fd = epoll_create1(EPOLL_CLOEXEC);
		result = epoll_pwait(fd, &event, 1, 5000, mask);
		close(fd);
		return result;
	}
}

int main(void)
{
	static const char *const names[] = { "sigsuspend", "ppoll", "pselect", "epoll_pwait" };
	struct sigaction action = { .sa_handler = on_alarm };
	struct timespec soon = { 0, 1000000 };
	sigset_t all_but, alarm_only;

	sigaction(SIGALRM, &action, NULL);
	sigfillset(&all_but);
	sigdelset(&all_but, SIGALRM);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	for (int i = 0; i < 4; i++) {
		sigprocmask(SIG_BLOCK, &alarm_only, NULL);
		alarm_in(20000);
		say(names[i], wait_with(i, &all_but));
		say("handlers that opened", opened);
		sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
	}
	say("ppoll in time", ppoll(NULL, 0, &soon, &all_but));
	say("pselect without a mask", pselect(0, NULL, NULL, NULL, &soon, NULL));
	return 0;
}
