/*
 * One operation many times: `calls OPERATION PATH COUNT` prints nanoseconds for one.
 * `calls count TIMES OPERATION PATH...` does each so many times, after once that does not
 * count, between two calls of getpriority: for a tracer to count between.
 * Static it is caught by the trap, dynamic by the preload library.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Each on pages of its own: what lies across two is looked at twice, and where the stack
 * begins is chance. */
static char buffer[65536] __attribute__((aligned(4096)));
static char path[4096] __attribute__((aligned(4096)));
static struct stat st __attribute__((aligned(4096)));

/* A file that stays open from one time to the next. */
static int kept(const char *name)
{
	static char open_name[4096];
	static int fd = -1;

	if (fd < 0 || strcmp(name, open_name)) {
		close(fd);
		fd = open(name, O_RDWR);
		strcpy(open_name, name);
	}
	return fd;
}

static void once(const char *operation, const char *name)
{
	int fd;

	strcpy(path, name);
	if (!strcmp(operation, "stat")) {
		stat(path, &st);
	} else if (!strcmp(operation, "access")) {
		access(path, R_OK);
	} else if (!strcmp(operation, "readlink")) {
		readlink(path, buffer, sizeof(buffer));
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
	} else if (!strcmp(operation, "fdatasync")) {
		fdatasync(kept(path));
	} else if (!strcmp(operation, "list")) {
		DIR *stream = opendir(path);

		if (stream) {
			while (readdir(stream))
				;
			closedir(stream);
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

static int count(int times, char **what)
{
	for (; what[0] && what[1]; what += 2) {
		once(what[0], what[1]);
		getpriority(PRIO_PROCESS, 0);
		for (int i = 0; i < times; i++)
			once(what[0], what[1]);
		getpriority(PRIO_PROCESS, 0);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct timespec from, to;
	int times;

	if (argc < 4)
		return 1;
	if (!strcmp(argv[1], "count"))
		return count(atoi(argv[2]), argv + 3);
	times = atoi(argv[3]);
	once(argv[1], argv[2]);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < times; i++)
		once(argv[1], argv[2]);
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (times)
		printf("%.0f\n", ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / times);
	return 0;
}
