/* Starts a program so many times, one after the other: starts fork|vfork COUNT PROGRAM [ARGUMENT...]
 * Prints for one start: microseconds on the clock, of processor time, and page faults. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double processor(int who, long *faults)
{
	struct rusage used;

	getrusage(who, &used);
	*faults += used.ru_minflt;
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static double both(long *faults)
{
	*faults = 0;
	return processor(RUSAGE_SELF, faults) + processor(RUSAGE_CHILDREN, faults);
}

static double clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
	int by_fork = argc >= 4 && !strcmp(argv[1], "fork");
	long count = argc >= 4 ? atol(argv[2]) : 0, before, after;
	double began, used;

	if (count <= 0)
		return 2;
	used = both(&before);
	began = clock_now();
	for (long i = 0; i < count; i++) {
		pid_t child = by_fork ? fork() : vfork();
		int status;

		if (!child) {
			execve(argv[3], argv + 3, environ);
			_exit(127);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			return 1;
	}
	began = clock_now() - began;
	used = both(&after) - used;
	printf("%.1f %.1f %.1f\n", began / (double)count, used / (double)count,
	       (double)(after - before) / (double)count);
	return 0;
}
