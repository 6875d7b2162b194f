/*
 * One operation many times: `calls OPERATION PATH COUNT` prints nanoseconds for one.
 * Static it is caught by the trap, dynamic by the preload library.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char buffer[65536];

static void once(const char *operation, const char *path)
{
	struct stat st;
	int fd;

	if (!strcmp(operation, "stat")) {
		stat(path, &st);
	} else if (!strcmp(operation, "open")) {
		fd = open(path, O_RDONLY);
		if (fd >= 0)
			close(fd);
	} else if (!strcmp(operation, "open+fstat")) {
		fd = open(path, O_RDONLY);
		if (fd >= 0) {
			fstat(fd, &st);
			close(fd);
		}
	} else if (!strcmp(operation, "readdir")) {
		fd = open(path, O_RDONLY | O_DIRECTORY);
		if (fd >= 0) {
			while (getdents64(fd, buffer, sizeof(buffer)) > 0)
				;
			close(fd);
		}
	}
}

int main(int argc, char **argv)
{
	struct timespec from, to;
	int count = argc > 3 ? atoi(argv[3]) : 1;

	once(argv[1], argv[2]);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < count; i++)
		once(argv[1], argv[2]);
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (count)
		printf("%.0f\n", ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / count);
	return 0;
}
