/* SIGSYS blocked, ignored, handled, sent: none of it disturbs a file call. */
#include "check.h"

static volatile sig_atomic_t own, opened;

static void own_handler(int signal)
{
	(void)signal;
	own++;
}

static void opening_handler(int signal)
{
	(void)signal;
	if (!touch("present"))
		opened++;
}

static pid_t child_that(void (*prepare)(void))
{
	pid_t pid = fork();

	if (!pid) {
		prepare();
		_exit(touch("present") ? 1 : 0);
	}
	return pid;
}

static void block_all(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

static void ignore(void)
{
	signal(SIGSYS, SIG_IGN);
	kill(getpid(), SIGSYS);
}

static void die_of_it(void)
{
	signal(SIGSYS, SIG_DFL);
	kill(getpid(), SIGSYS);
}

static void handle_once(void)
{
	struct sigaction action = { .sa_handler = own_handler, .sa_flags = SA_RESETHAND };

	sigaction(SIGSYS, &action, NULL);
	raise(SIGSYS);
	raise(SIGSYS);
}

static void wait_until_asleep(pid_t pid)
{
	char path[64], text[512], *state;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	do {
		int fd = open(path, O_RDONLY);

		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		text[n > 0 ? n : 0] = 0;
		state = strrchr(text, ')');
	} while (!state || state[2] != 'S');
}

/* Does a read that waits go on behind the handler, or end? */
static void interrupt_a_read(int flags)
{
	struct sigaction action = { .sa_handler = own_handler, .sa_flags = flags };
	int ends[2];
	char c;

	sigaction(SIGSYS, &action, NULL);
	if (!pipe(ends) && !fork()) {
		wait_until_asleep(getppid());
		kill(getppid(), SIGSYS);
		/* in the read again, or in its wait */
		wait_until_asleep(getppid());
		_exit(flags & SA_RESTART && write(ends[1], "x", 1) != 1);
	}
	close(ends[1]);
	say(flags & SA_RESTART ? "a read that goes on" : "a read that ends", (int)read(ends[0], &c, 1));
	wait(NULL);
	close(ends[0]);
}

int main(void)
{
	struct sigaction full = { .sa_handler = opening_handler }, now;

	say("all signals blocked", outcome(child_that(block_all)));
	say("SIGSYS ignored", outcome(child_that(ignore)));
	say("SIGSYS by default", outcome(child_that(die_of_it)));
	say("SIGSYS handled once", outcome(child_that(handle_once)));

	signal(SIGSYS, own_handler);
	say("with a handler of its own", touch("present"));
	raise(SIGSYS);
	say("its handler ran", own);
	sigaction(SIGSYS, NULL, &now);
	say("its handler is reported", now.sa_handler == own_handler);

	interrupt_a_read(0);
	interrupt_a_read(SA_RESTART);

	sigfillset(&full.sa_mask);
	sigaction(SIGUSR1, &full, NULL);
	raise(SIGUSR1);
	say("opened in a handler that blocks everything", opened);
	say("a wild action", sigaction(SIGUSR1, (struct sigaction *)16, NULL));
	return 0;
}
