/* Directories of very many names: read whole, in pieces, to and fro, while names come and go. */
#include "caller.h"

#include <stdio.h>

static char data[1 << 16];

/* Which names were seen: a set of hashes, doubled when half full. */
static struct {
	uint64_t *of;
	long room, count, twice;
} seen;

static void put(uint64_t *table, long room, uint64_t value)
{
	long at = (long)(value % (uint64_t)room);

	while (table[at])
		at = (at + 1) % room;
	table[at] = value;
}

static int is_seen(uint64_t value)
{
	if (!seen.room)
		return 0;
	for (long at = (long)(value % (uint64_t)seen.room); seen.of[at]; at = (at + 1) % seen.room)
		if (seen.of[at] == value)
			return 1;
	return 0;
}

static void see(const char *name)
{
	uint64_t value = hash(HASH_START, name, (long)strlen(name)) | 1;

	if (is_seen(value)) {
		seen.twice++;
		return;
	}
	if (seen.count * 2 >= seen.room) {
		long room = seen.room ? seen.room * 2 : 1 << 12;
		uint64_t *table = calloc((size_t)room, sizeof(*table));

		for (long i = 0; i < seen.room; i++)
			if (seen.of[i])
				put(table, room, seen.of[i]);
		free(seen.of);
		seen.of = table;
		seen.room = room;
	}
	put(seen.of, seen.room, value);
	seen.count++;
}

static void forget(void)
{
	free(seen.of);
	memset(&seen, 0, sizeof(seen));
}

/* What was seen, whatever its order. */
static void say_seen(void)
{
	uint64_t all = 0;

	for (long i = 0; i < seen.room; i++)
		all += seen.of[i];
	say(" %ld twice=%ld #%lx", seen.count, seen.twice, (long)all);
	forget();
}

static long open_directory(const char *path)
{
	return call(SYS_openat, AT_FDCWD, P(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Read on, `room` bytes at once: "stay" and what follows is counted, or all names. */
static long read_part(long fd, long room, const char *only)
{
	long size = call(SYS_getdents64, fd, P(data), room);

	for (long at = 0; at < size;) {
		struct record *record = (struct record *)(data + at);

		if (!only || !strncmp(record->name, only, strlen(only)))
			see(record->name);
		at += record->size;
	}
	return size;
}

/* longmake =DIRECTORY =PREFIX FROM TO, longremove: as many names */
static void longmake(const struct word *a)
{
	char path[4400];
	long failed = 0;

	for (long n = a[2].number; n < a[3].number; n++) {
		long fd;

		snprintf(path, sizeof(path), "%s/%s%ld", a[0].text, a[1].text, n);
		fd = call(SYS_openat, AT_FDCWD, P(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		failed += fd < 0;
		if (fd >= 0)
			call(SYS_close, fd);
	}
	say("failed=%ld", failed);
}

static void longremove(const struct word *a)
{
	char path[4400];
	long failed = 0;

	for (long n = a[2].number; n < a[3].number; n++) {
		snprintf(path, sizeof(path), "%s/%s%ld", a[0].text, a[1].text, n);
		failed += call(SYS_unlinkat, AT_FDCWD, P(path), 0) != 0;
	}
	say("failed=%ld", failed);
}

/* longlist =DIRECTORY ROOM: all of it */
static void longlist(const struct word *a)
{
	long fd = open_directory(a[0].text), size;

	if (fd < 0) {
		say_error(fd);
		return;
	}
	while ((size = read_part(fd, a[1].number, NULL)) > 0)
		;
	say_error(size);
	say_seen();
	call(SYS_close, fd);
}

/*
 * longchange =DIRECTORY ROOM =STAY =GO: while it is listed, a name that begins with GO is
 * removed and one is made after each part; those that begin with STAY are all given, once.
 * Then again from the start, when all is as it is.
 */
static void longchange(const struct word *a)
{
	long fd = open_directory(a[0].text), size, parts = 0;
	char path[4400];

	if (fd < 0) {
		say_error(fd);
		return;
	}
	while ((size = read_part(fd, a[1].number, a[2].text)) > 0) {
		snprintf(path, sizeof(path), "%s/%s%ld", a[0].text, a[3].text, parts);
		call(SYS_unlinkat, AT_FDCWD, P(path), 0);
		snprintf(path, sizeof(path), "%s/made%ld", a[0].text, parts % 50);
		if (parts % 100 < 50)
			call(SYS_mknodat, AT_FDCWD, P(path), S_IFREG | 0600, 0);
		else
			call(SYS_unlinkat, AT_FDCWD, P(path), 0);
		parts++;
	}
	say_error(size);
	say_seen();
	/* as many parts as there are differ, and so does what was made and removed */
	for (; parts < 4000; parts++) {
		snprintf(path, sizeof(path), "%s/%s%ld", a[0].text, a[3].text, parts);
		call(SYS_unlinkat, AT_FDCWD, P(path), 0);
	}
	for (long n = 0; n < 50; n++) {
		snprintf(path, sizeof(path), "%s/made%ld", a[0].text, n);
		call(SYS_unlinkat, AT_FDCWD, P(path), 0);
	}
	say_error(call(SYS_lseek, fd, 0, SEEK_SET));
	while ((size = read_part(fd, a[1].number, NULL)) > 0)
		;
	say_error(size);
	say_seen();
	call(SYS_close, fd);
}

#define MARKS 64

/*
 * longseek =DIRECTORY ROOM: positions told here and there are gone back to, in reverse, and
 * the same name follows; from the last of them the rest is read.
 */
static void longseek(const struct word *a)
{
	static struct {
		long position;
		char next[256];
	} marks[MARKS];
	long fd = open_directory(a[0].text), size, part = 0, count = 0, lost = 0, before = 0;

	if (fd < 0) {
		say_error(fd);
		return;
	}
	for (;; part++) {
		before = call(SYS_lseek, fd, 0, SEEK_CUR);
		size = read_part(fd, a[1].number, NULL);
		if (size <= 0)
			break;
		if (part % 13 == 5 && count < MARKS) {
			marks[count].position = before;
			strcpy(marks[count++].next, ((struct record *)data)->name);
		}
	}
	say_seen();
	for (long i = count; i-- > 0;) {
		if (call(SYS_lseek, fd, marks[i].position, SEEK_SET) < 0
		    || call(SYS_getdents64, fd, P(data), a[1].number) <= 0
		    || strcmp(((struct record *)data)->name, marks[i].next))
			lost++;
	}
	while ((size = read_part(fd, a[1].number, NULL)) > 0)
		;
	forget();
	say(" lost=%ld ", lost);
	say_error(size);
	say_error(call(SYS_lseek, fd, 0, SEEK_SET));
	while ((size = read_part(fd, a[1].number, NULL)) > 0)
		;
	say_seen();
	call(SYS_close, fd);
}

const struct named_operation long_operations[] = {
	{ "longmake", longmake }, { "longremove", longremove }, { "longlist", longlist },
	{ "longchange", longchange }, { "longseek", longseek }, { NULL, NULL },
};
