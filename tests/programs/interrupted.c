/* A blocked open: interrupted, restarted, and left by siglongjmp many times. */
#include <pthread.h>
#include <setjmp.h>

#include "check.h"

static sigjmp_buf back;
static volatile sig_atomic_t ran;

static void opening(int signal)
{
	(void)signal;
	touch("present");
	ran++;
}

static void jumping(int signal)
{
	(void)signal;
	touch("present");
	siglongjmp(back, 1);
}

static void set(void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	sigaction(SIGALRM, &action, NULL);
}

static void *feed(void *path)
{
	usleep(60000);
	return (void *)(long)open(path, O_WRONLY | O_CLOEXEC);
}

static void leave_many_times(const char *name)
{
	volatile int count = 0;

	for (volatile int i = 0; i < 200; i++) {
		if (!sigsetjmp(back, 1)) {
			alarm_in(1500);
			open("fifo", O_RDONLY | O_CLOEXEC);
			puts("the open came back");
		} else {
			count++;
		}
		touch("present");
	}
	say(name, count);
}

int main(void)
{
	static char alternate[65536];
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
	pthread_t thread;
	void *writer;
	int reader;

	mkfifo("fifo", 0600);

	set(opening, 0);
	alarm_every(10000);
	say("interrupted", open("fifo", O_RDONLY));
	alarm_every(0);
	say("handler ran", ran > 0);
	ran = 0;

	set(opening, SA_RESTART);
	pthread_create(&thread, NULL, feed, (void *)"fifo");
	alarm_in(10000);
	reader = open("fifo", O_RDONLY | O_CLOEXEC);
	say("restarted", reader >= 0);
	pthread_join(thread, &writer);
	/* with both ends closed an open waits again */
	close(reader);
	close((int)(long)writer);
	say("handler ran", ran);

	set(jumping, 0);
	leave_many_times("left");
	sigaltstack(&stack, NULL);
	leave_many_times("left beside an alternate stack");
	set(jumping, SA_ONSTACK);
	leave_many_times("left from an alternate stack");

	/* handlers off and on the alternate stack, inside a call that goes on */
	set(opening, 0);
	for (int i = 0; i < 50; i++) {
		alarm_every(1500);
		if (open("fifo", O_RDONLY) != -1 || errno != EINTR)
			puts("not interrupted");
		alarm_every(0);
	}
	set(opening, SA_ONSTACK);
	for (int i = 0; i < 50; i++) {
		alarm_every(1500);
		if (open("fifo", O_RDONLY) != -1 || errno != EINTR)
			puts("not interrupted");
		alarm_every(0);
	}
	say("handlers ran", ran > 100);
	return unlink("fifo");
}
