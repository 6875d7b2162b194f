/*
 * Threads that make, move, read and remove files, while signals with handlers that do so,
 * too, arrive all the time, processes are forked and started, and one thread leaves its
 * handlers by siglongjmp.  ROUNDS in the environment says how often.
 */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <spawn.h>

#include "check.h"

#define THREADS 4

extern char **environ;
static volatile int failures, jumping;
static _Thread_local int number;
static _Thread_local sigjmp_buf back;
static pthread_t main_thread;

static void failed(const char *what)
{
	if (__sync_fetch_and_add(&failures, 1) < 5) {
		char text[200];
		int n = snprintf(text, sizeof(text), "wrong: %s: %s\n", what, strerror(errno));

		if (write(1, text, (size_t)n) < 0)
			_exit(9);
	}
}

/* Make a file, change, move, read and remove it. */
static void life(const char *kind, int n)
{
	char name[64], other[64], text[8];
	struct stat st;
	int fd;

	snprintf(name, sizeof(name), "stress-%s-%d", kind, n);
	snprintf(other, sizeof(other), "stress-%s-%d.moved", kind, n);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "content", 7) != 7)
		failed("a file is made");
	if (fd >= 0)
		close(fd);
	if (chmod(name, 0640) || stat(name, &st) || (st.st_mode & 0777) != 0640 || st.st_size != 7)
		failed("a file is changed");
	if (rename(name, other))
		failed("a file is moved");
	fd = open(other, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, 8) != 7 || memcmp(text, "content", 7))
		failed("a file is read");
	if (fd >= 0)
		close(fd);
	if (unlink(other))
		failed("a file is removed");
}

static void handler(int signal)
{
	int saved = errno;
	struct stat st;
	char kind[16];

	snprintf(kind, sizeof(kind), "h%d", signal);
	if (stat("present", &st) || st.st_size != 6)
		failed("stat in a handler");
	if (signal == SIGUSR2 && number)
		life(kind, number);
	errno = saved;
	if (signal == SIGALRM && jumping && pthread_equal(pthread_self(), main_thread))
		siglongjmp(back, 1);
}

static void child(void)
{
	char *const program[] = { "/bin/true", NULL };
	posix_spawnattr_t attributes;
	sigset_t all;
	pid_t pid = fork();

	if (!pid) {
		/* what the parent's threads were in the middle of must not matter */
		number += 100;
		life("child", number + getpid() * 1000);
		_exit(failures != 0);
	}
	if (pid < 0 || outcome(pid))
		failed("a forked child");
	pid = vfork();
	if (!pid) {
		execv("/bin/true", program);
		_exit(1);
	}
	if (pid < 0 || outcome(pid))
		failed("a child of vfork");
	sigfillset(&all);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	if (posix_spawn(&pid, "/bin/true", NULL, &attributes, program, environ) || outcome(pid))
		failed("a spawned child");
	posix_spawnattr_destroy(&attributes);
}

static int rounds;

static void *work(void *given)
{
	number = (int)(long)given;
	for (int i = 0; i < rounds; i++) {
		for (int k = 0; k < 10; k++) {
			life("t", number);
			pthread_kill(pthread_self(), SIGUSR2);
		}
		if (i % 4 == number % 4)
			child();
	}
	return NULL;
}

static int descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = -1;

	while (directory && readdir(directory))
		count++;
	if (directory)
		closedir(directory);
	return count;
}

/* Calls that a handler leaves at any moment: the next ones must be as good. */
static void jump(void)
{
	volatile int i = 0;
	struct itimerval often = { { 0, 700 }, { 0, 700 } }, never = { { 0, 0 }, { 0, 0 } };
	struct stat st;

	setitimer(ITIMER_REAL, &often, NULL);
	for (; i < 40; i++) {
		if (!sigsetjmp(back, 1)) {
			/* not before there is a place to jump to */
			jumping = 1;
			for (;;) {
				stat("present", &st);
				chmod("jumped", 0600);
				access("absent", R_OK);
				rename("jumped", "jumped");
			}
		}
		if (stat("present", &st) || st.st_size != 6)
			failed("stat after a jump");
	}
	setitimer(ITIMER_REAL, &never, NULL);
	jumping = 0;
}

int main(void)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	pthread_t threads[THREADS];
	const char *given = getenv("ROUNDS");
	int before;

	rounds = given ? atoi(given) : 4;
	main_thread = pthread_self();
	sigaction(SIGUSR2, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	close(open("jumped", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	before = descriptors();
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)))
			failed("a thread");
	for (int i = 0; i < rounds; i++)
		jump();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	unlink("jumped");
	say("descriptors left", descriptors() - before);
	say("failures", failures);
	return 0;
}
