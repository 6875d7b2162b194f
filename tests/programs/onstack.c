/* Handlers on an alternate stack whose calls other handlers interrupt there: on that stack, on
 * the way back to it, out of it, and in a child. */
#include <setjmp.h>

#include "check.h"

static stack_t stack;
static sigjmp_buf outside;
static volatile sig_atomic_t hits, jumps, forks, raw;
static volatile int child;

/* Room on the stack that somebody else may take; how many bytes of it are not as they were. */
#define FILL(room, byte) (memset(room, byte, sizeof(room)), keep(room))

static void keep(void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

static int changed(const char *room, size_t size, char byte)
{
	int n = 0;

	for (size_t i = 0; i < size; i++)
		n += room[i] != byte;
	return n;
}

static long wait_for_writer(void)
{
	return raw ? syscall(SYS_openat, AT_FDCWD, "fifo", O_RDONLY) : open("fifo", O_RDONLY);
}

static void second(int signal)
{
	char room[3000];

	(void)signal;
	FILL(room, 'B');
	hits++;
	alarm_every(0);
	if (touch("present") || changed(room, sizeof(room), 'B'))
		hits += 1000;
	if (jumps)
		siglongjmp(outside, 1);
	if (forks) {
		child = fork();
		/* the child goes on here, too, and out of the call that was interrupted */
		if (child)
			say("the child of a handler", outcome(child));
		else if (mkdir("made", 0700) || rmdir("made") || !unlink("absent") || touch("present"))
			_exit(100);
	}
}

static void first(int signal)
{
	char room[4096];
	sigset_t mask;
	stack_t now;
	long r;

	(void)signal;
	FILL(room, 'A');
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	alarm_every(20000);
	r = wait_for_writer();
	if (forks && !child)
		_exit(r != -1 || errno != EINTR || changed(room, sizeof(room), 'A') ||
		      touch("present") || touch("present"));
	say("interrupted", r);
	say("changed meanwhile", changed(room, sizeof(room), 'A'));
	say("a call on it", touch("present"));
	sigprocmask(SIG_BLOCK, NULL, &mask);
	say("its mask", sigismember(&mask, SIGUSR2) << 1 | sigismember(&mask, SIGALRM));
	say("asked for", sigaltstack(NULL, &now) || now.ss_flags != SS_ONSTACK || now.ss_sp != stack.ss_sp);
	say("replaced", sigaltstack(&stack, NULL));
}

static void state(const char *name)
{
	sigset_t mask;
	stack_t now;

	say(name, touch("present"));
	sigaltstack(NULL, &now);
	say("as it was set", now.ss_flags || now.ss_sp != stack.ss_sp || now.ss_size != stack.ss_size);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	say("mask", sigismember(&mask, SIGUSR2) << 1 | sigismember(&mask, SIGALRM));
	say("hits", hits);
	hits = 0;
}

static void set(int signal, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };

	sigaction(signal, &action, NULL);
}

int main(void)
{
	unlink("fifo");
	mkfifo("fifo", 0600);
	stack.ss_size = 65536;
	stack.ss_sp = malloc(stack.ss_size);
	sigaltstack(&stack, NULL);
	set(SIGUSR1, first);
	set(SIGALRM, second);

	for (raw = 0; raw < 2; raw++) {
		raise(SIGUSR1);
		state("afterwards");
		raise(SIGUSR1);
		state("once more");

		jumps = 1;
		if (!sigsetjmp(outside, 1))
			raise(SIGUSR1);
		jumps = 0;
		state("out of it");
		raise(SIGUSR1);
		state("and again");

		forks = 1;
		raise(SIGUSR1);
		forks = 0;
		state("after a child");
	}
	unlink("fifo");
	return 0;
}
