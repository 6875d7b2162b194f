/*
 * What the test programs share.  Each prints one line a behaviour; the test
 * compares the lines of a bare run with those of a contained one, so a program
 * says what it saw and leaves the judgement to the comparison.
 */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* "name: result" or "name: ENOENT". */
static inline void say(const char *name, long result)
{
	if (result < 0)
		printf("%s: error %d\n", name, errno);
	else
		printf("%s: %ld\n", name, result);
	fflush(stdout);
}

/* Open and close a file; 0 or -1. */
static inline int touch(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	return close(fd);
}

/* A signal to this process in so many microseconds, once. */
static inline void alarm_in(long microseconds)
{
	struct itimerval timer = { { 0, 0 }, { 0, microseconds } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Again and again, 0 to stop: one that comes before the call it is meant for is
 * followed by another. */
static inline void alarm_every(long microseconds)
{
	struct itimerval timer = { { 0, microseconds }, { 0, microseconds } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* The exit code of a child, or 1000 + the signal that ended it. */
static inline int outcome(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

#endif
