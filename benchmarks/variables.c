/*
 * `variables NAME COUNT`: nanoseconds for one getenv of it. With a third argument it says so when it
 * has begun, and waits for a line before it counts: for somebody to change a variable meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
	struct timespec from, to;
	char *volatile found;
	long times;

	if (argc < 3)
		return 1;
	times = atol(argv[2]);
	found = getenv(argv[1]);
	if (argc > 3) {
		puts("begun");
		fflush(stdout);
		getchar();
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (long i = 0; i < times; i++)
		found = getenv(argv[1]);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	printf("%.2f\n", ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / times);
	(void)found;
	return 0;
}
