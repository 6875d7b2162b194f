/*
 * Many at once on one view, through the hosted core: they agree, and nothing is lost.
 *
 *   crowd VIEW PROCESSES THREADS SECONDS SEED
 *
 * The view has /steady with files 0 to 7, each of one letter many times; /log; /locks with
 * files 0 to 3; /many with 100 files; /d/a.  Everybody does at random what some invariant is
 * about, and counts what goes against it.  At the end the counts must be right, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lpmx_core.h"
#include "sanitized.h"

#define LETTERS 60000
#define MANY 100

long sys_hook(long nr, long a, long b, long c, long d, long e, long f)
{
	/* what reaches the disk is not asked here */
	return nr == __NR_fdatasync ? 0 : told(nr, a, b, c, d, e, f);
}

static struct core_view view;
static struct core_task task;
static double seconds;
static unsigned seed;
static int threads;

/* What all processes count together. */
static struct {
	_Atomic long calls, lines, increments, wrong;
} *shared;

struct worker {
	unsigned random, number;
	long value; /* of its variable */
	char name[32];
};

static unsigned chance(struct worker *w, unsigned below)
{
	w->random = w->random * 1103515245u + 12345u;
	return (w->random >> 16) % below;
}

static void wrong(const char *what, long n)
{
	/* the first few are enough to know */
	if (atomic_fetch_add(&shared->wrong, 1) < 10)
		fprintf(stderr, "%s: %ld\n", what, n);
}

static long call(long nr, long a, long b, long c, long d, long e)
{
	long args[6] = { a, b, c, d, e };

	atomic_fetch_add(&shared->calls, 1);
	return core_call(&task, nr, args);
}

static long opened(const char *path, int flags)
{
	return call(__NR_openat, AT_FDCWD, (long)path, flags | O_CLOEXEC, 0644, 0);
}

static long renamed(const char *from, const char *to)
{
	return call(__NR_renameat2, AT_FDCWD, (long)from, AT_FDCWD, (long)to, 0);
}

static long removed(const char *path)
{
	return call(__NR_unlinkat, AT_FDCWD, (long)path, 0, 0, 0);
}

/* A steady file is there at every moment, whole. */
static void read_steady(struct worker *w)
{
	char path[32], *text = malloc(LETTERS + 1);
	long fd, n, got = 0;

	snprintf(path, sizeof(path), "/steady/%u", chance(w, 8));
	fd = opened(path, O_RDONLY);
	if (fd < 0) {
		wrong("a steady file cannot be opened", fd);
		free(text);
		return;
	}
	while ((n = read((int)fd, text + got, (size_t)(LETTERS + 1 - got))) > 0)
		got += n;
	close((int)fd);
	if (got != LETTERS)
		wrong("a steady file has another size", got);
	for (long i = 1; i < got; i++)
		if (text[i] != text[0]) {
			wrong("a steady file is a mixture", i);
			break;
		}
	free(text);
}

static void change_steady(struct worker *w)
{
	char path[32];
	long r;

	snprintf(path, sizeof(path), "/steady/%u", chance(w, 8));
	r = call(__NR_fchmodat, AT_FDCWD, (long)path, 0600 + chance(w, 64), 0, 0);
	if (r)
		wrong("a steady file cannot be changed", r);
}

static void replace_steady(struct worker *w)
{
	char path[32], *text = malloc(LETTERS);
	long fd = opened(w->name, O_WRONLY | O_CREAT | O_TRUNC), r;

	if (fd < 0) {
		wrong("a file of one's own cannot be made", fd);
		free(text);
		return;
	}
	memset(text, 'a' + (int)chance(w, 26), LETTERS);
	if (write((int)fd, text, LETTERS) != LETTERS)
		wrong("a file of one's own cannot be written", errno);
	close((int)fd);
	free(text);
	snprintf(path, sizeof(path), "/steady/%u", chance(w, 8));
	r = renamed(w->name, path);
	if (r)
		wrong("a steady file cannot be replaced", r);
}

/* Whoever holds the lock file counts on: no increment is lost. */
static void increment(struct worker *w)
{
	char lock[32], count[32], text[32] = "0";
	unsigned which = chance(w, 4);
	long fd;

	snprintf(lock, sizeof(lock), "/locks/%u", which);
	snprintf(count, sizeof(count), "/counts/%u", which);
	fd = opened(lock, O_WRONLY | O_CREAT | O_EXCL);
	if (fd == -EEXIST)
		return;
	if (fd < 0) {
		wrong("a lock cannot be taken", fd);
		return;
	}
	close((int)fd);
	fd = opened(count, O_RDONLY);
	if (fd >= 0) {
		ssize_t n = read((int)fd, text, sizeof(text) - 1);

		text[n > 0 ? n : 0] = 0;
		close((int)fd);
	} else if (fd != -ENOENT) {
		wrong("a count cannot be read", fd);
	}
	snprintf(text, sizeof(text), "%ld", atol(text) + 1);
	fd = opened(w->name, O_WRONLY | O_CREAT | O_TRUNC);
	if (fd < 0 || write((int)fd, text, strlen(text)) < 0)
		wrong("a count cannot be written", fd);
	if (fd >= 0)
		close((int)fd);
	if (!renamed(w->name, count))
		atomic_fetch_add(&shared->increments, 1);
	else
		wrong("a count cannot be put in place", 0);
	if (removed(lock))
		wrong("a lock cannot be given back", 0);
}

static void append(struct worker *w)
{
	long fd = opened("/log", O_WRONLY | O_APPEND);

	(void)w;
	if (fd < 0) {
		wrong("the log cannot be opened", fd);
		return;
	}
	if (write((int)fd, "x\n", 2) == 2)
		atomic_fetch_add(&shared->lines, 1);
	close((int)fd);
}

/* Names that are there all the time are listed once. */
static void list(struct worker *w)
{
	long fd = opened("/many", O_RDONLY | O_DIRECTORY), n;
	int seen = 0;
	char block[4096];

	(void)w;
	if (fd < 0) {
		wrong("the directory cannot be opened", fd);
		return;
	}
	while ((n = call(__NR_getdents64, fd, (long)block, sizeof(block), 0, 0)) > 0)
		for (long at = 0; at < n; at += *(unsigned short *)(block + at + 16))
			seen += block[at + 19] == 's';
	if (n < 0)
		wrong("the directory cannot be listed", n);
	if (seen != MANY)
		wrong("names of the directory", seen);
	close((int)fd);
}

static void come_and_go(struct worker *w)
{
	char path[48];
	long fd;

	snprintf(path, sizeof(path), "/many/t%u", chance(w, 50));
	fd = opened(path, O_WRONLY | O_CREAT);
	if (fd >= 0)
		close((int)fd);
	else if (fd != -ENOENT)
		wrong("a name cannot be made", fd);
	fd = removed(path);
	if (fd && fd != -ENOENT)
		wrong("a name cannot be removed", fd);
	snprintf(path, sizeof(path), "/many/s%u", chance(w, MANY));
	fd = call(__NR_fchmodat, AT_FDCWD, (long)path, 0600 + chance(w, 64), 0, 0);
	if (fd)
		wrong("a name that stays cannot be changed", fd);
}

/* The directory is under one of two names, with its file. */
static void move(struct worker *w)
{
	static const char *const names[] = { "/d", "/moved" };
	unsigned from = chance(w, 2);
	long r = renamed(names[from], names[!from]);

	if (r && r != -ENOENT && r != -ENOTEMPTY && r != -EEXIST)
		wrong("the directory cannot be moved", r);
}

static void live(struct worker *w)
{
	char name[32], value[32];
	long r;

	snprintf(name, sizeof(name), "V%u", w->number);
	snprintf(value, sizeof(value), "%ld", ++w->value);
	r = core_environment_set(&view, name, value);
	if (r == -ENOSPC) {
		w->value--;
		return;
	}
	if (r)
		wrong("a variable cannot be set", r);
	snprintf(name, sizeof(name), "/bin/p%u", w->number % 8);
	r = chance(w, 2) ? core_exec_map_set(&view, name, "host:/bin/true")
			 : core_exec_map_unset(&view, name);
	if (r && r != -ENOSPC)
		wrong("the exec map cannot be changed", r);
	core_exec_map_get(&view, name);
}

static void *work(void *given)
{
	static void (*const doings[])(struct worker *) = {
		read_steady, read_steady, read_steady, change_steady, replace_steady, increment,
		append, list, come_and_go, move, live, increment,
	};
	struct worker *w = given;
	struct timespec start, now;
	uint32_t position = 0;
	const char *name, *value;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		for (int i = 0; i < 10; i++)
			doings[chance(w, sizeof(doings) / sizeof(*doings))](w);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((double)(now.tv_sec - start.tv_sec) + (now.tv_nsec - start.tv_nsec) * 1e-9 < seconds);
	while (core_environment_list(&view, &position, &name, &value))
		if (name[0] == 'V' && (unsigned)atoi(name + 1) == w->number &&
		    (!value || atol(value) != w->value))
			wrong("a variable has another value", w->value);
	return NULL;
}

static int process(int number)
{
	pthread_t *ids = calloc((size_t)threads, sizeof(*ids));
	struct worker *workers = calloc((size_t)threads, sizeof(*workers));

	for (int i = 0; i < threads; i++) {
		workers[i].number = (unsigned)(number * threads + i);
		workers[i].random = seed * 7919u + workers[i].number * 104729u + 1;
		snprintf(workers[i].name, sizeof(workers[i].name), "/tmp/own%u", workers[i].number);
		if (pthread_create(&ids[i], NULL, work, &workers[i]))
			return 1;
	}
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	free(ids);
	free(workers);
	return 0;
}

/* The number in a file of the view, or how often `c` is in it. */
static long number_in(const char *path, char c)
{
	char block[4096];
	long fd = opened(path, O_RDONLY), n, count = 0;

	while (fd >= 0 && (n = read((int)fd, block, sizeof(block) - 1)) > 0) {
		block[n] = 0;
		if (!c)
			count = atol(block);
		for (long i = 0; c && i < n; i++)
			count += block[i] == c;
	}
	if (fd >= 0)
		close((int)fd);
	return count;
}

int main(int argc, char **argv)
{
	int processes = argc > 5 ? atoi(argv[2]) : 0, status;
	long increments = 0;

	if (!processes)
		return 2;
	threads = atoi(argv[3]);
	seconds = atof(argv[4]);
	seed = (unsigned)atoi(argv[5]);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (core_view_open(&view, argv[1]))
		return 2;
	core_task_init(&task, &view);
	core_task_root(&task);
	task.check_pointers = 0;
	/* lock files begin as names that a layer has */
	for (int i = 0; i < 4; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/locks/%d", i);
		removed(path);
	}
	if (processes == 1) {
		process(0);
	} else {
		for (int i = 0; i < processes; i++)
			if (!fork())
				_exit(process(i));
		while (wait(&status) > 0)
			if (status)
				wrong("a process ended with", status);
	}
	for (int i = 0; i < 4; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/counts/%d", i);
		increments += number_in(path, 0);
	}
	if (increments != shared->increments)
		wrong("increments are lost", shared->increments - increments);
	if (number_in("/log", '\n') != shared->lines)
		wrong("lines are lost", shared->lines - number_in("/log", '\n'));
	if (number_in("/d/a", 'a') + number_in("/moved/a", 'a') != 1)
		wrong("the moved file is there so often", number_in("/d/a", 'a') + number_in("/moved/a", 'a'));
	printf("%ld calls, %ld increments, %ld lines, %ld wrong\n", shared->calls, shared->increments,
	       shared->lines, shared->wrong);
	return shared->wrong != 0;
}
