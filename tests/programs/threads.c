/* Threads with the smallest stacks, all opening, forking and starting programs at once. */
#include <limits.h>
#include <pthread.h>

#include "check.h"

#define THREADS 16
#define BLOCKED 40

static volatile int failures;

static void failed(void)
{
	__sync_fetch_and_add(&failures, 1);
}

#if defined(__x86_64__)
/* A call must not change a vector register. */
__attribute__((target("avx"))) static int vectors_kept(int seed)
{
	double in[4] = { seed, seed + 1.0, seed + 2.0, seed + 3.0 }, out[4];
	long result;

	__asm__ volatile("vmovupd %2, %%ymm9\n\t"
			 "syscall\n\t"
			 "vmovupd %%ymm9, %1"
			 : "=a"(result), "=m"(out)
			 : "m"(in), "0"((long)SYS_access), "D"("present"), "S"((long)R_OK)
			 : "rcx", "r11", "memory", "xmm9");
	return !result && !memcmp(in, out, sizeof(in));
}
#elif defined(__aarch64__)
static int vectors_kept(int seed)
{
	double in[2] = { seed, seed + 1.0 }, out[2];
	register long x0 __asm__("x0") = AT_FDCWD, x1 __asm__("x1") = (long)"present",
		      x2 __asm__("x2") = R_OK, x8 __asm__("x8") = SYS_faccessat;

	__asm__ volatile("ldr q9, %2\n\tsvc #0\n\tstr q9, %1"
			 : "+r"(x0), "=m"(out)
			 : "m"(in), "r"(x1), "r"(x2), "r"(x8)
			 : "memory", "v9");
	return !x0 && !memcmp(in, out, sizeof(in));
}
#endif

static void *work(void *unused)
{
	struct stat st;

	(void)unused;
	for (int i = 0; i < 400; i++) {
		char buffer[8];
		int fd = open("present", O_RDONLY | O_CLOEXEC);

		if (fd < 0 || read(fd, buffer, 5) != 5 || memcmp(buffer, "hello", 5))
			failed();
		close(fd);
		if (stat(".", &st))
			failed();
#if defined(__x86_64__)
		if (__builtin_cpu_supports("avx") && !vectors_kept(i))
			failed();
#elif defined(__aarch64__)
		if (!vectors_kept(i))
			failed();
#endif
		if (i % 200 == 0) {
			pid_t pid = fork();

			if (!pid) {
				if (touch("present"))
					_exit(1);
				execl("/bin/grep", "grep", "-q", "hello", "present", (char *)NULL);
				_exit(2);
			}
			if (outcome(pid))
				failed();
		}
	}
	return NULL;
}

static void *block(void *unused)
{
	(void)unused;
	if (open("fifo", O_RDONLY | O_CLOEXEC) < 0)
		failed();
	return NULL;
}

int main(void)
{
	pthread_t threads[BLOCKED];
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN > 16384 ? PTHREAD_STACK_MIN : 16384);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], &small, work, NULL))
			failed();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	say("failures with small stacks", failures);

	/* more calls blocked at once than any fixed number of places for them */
	mkfifo("fifo", 0600);
	for (int i = 0; i < BLOCKED; i++)
		pthread_create(&threads[i], &small, block, NULL);
	usleep(100000);
	say("a call beside many that wait", touch("present"));
	open("fifo", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < BLOCKED; i++)
		pthread_join(threads[i], NULL);
	say("failures of those that waited", failures);
	return unlink("fifo");
}
