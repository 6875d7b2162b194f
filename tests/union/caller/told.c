/*
 * What is told of an object: what a program may count on, and nothing else; without what
 * docs/reference/differences.md says is another in a view, and directories' links.
 */
#include "caller.h"

#include <stdio.h>

#define CLOCK 1500000000 /* times before this were set on purpose, later ones are the clock's */

void say_stat(const struct stat *st)
{
	static const struct {
		unsigned type;
		const char *name;
	} types[] = { { S_IFREG, "file" }, { S_IFDIR, "directory" }, { S_IFLNK, "link" },
		      { S_IFIFO, "fifo" }, { S_IFSOCK, "socket" }, { S_IFCHR, "character" },
		      { S_IFBLK, "block" } };
	unsigned type = st->st_mode & S_IFMT;

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		if (types[i].type == type)
			say(" %s", types[i].name);
	}
	/* a fifo or socket can carry no record of them once it has no name */
	if (st->st_nlink || (type != S_IFIFO && type != S_IFSOCK))
		say(" %04o %d:%d", st->st_mode & 07777, (int)st->st_uid, (int)st->st_gid);
	/* overlayfs shows 1 for merged directories, other file systems count differently */
	if (type != S_IFDIR)
		say(" links=%ld", (long)st->st_nlink);
	if (type == S_IFREG || type == S_IFLNK)
		say(" size=%ld", (long)st->st_size);
	if (type == S_IFCHR || type == S_IFBLK)
		say(" device=%lx", (long)st->st_rdev);
	/* an open device is the machine's own */
	if (type == S_IFCHR)
		return;
	if (st->st_mtim.tv_sec < CLOCK)
		say(" %ld.%09ld", (long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	else
		say(" now");
}

void say_target(const char *target, long size)
{
	static const char gone[] = " (deleted)";
	long end = size - (long)sizeof(gone) + 1;

	say(" ");
	if (end > 0 && !memcmp(target + end, gone, sizeof(gone) - 1))
		say("deleted");
	else {
		char path[8200];

		snprintf(path, sizeof(path), "%.*s", (int)size, target);
		say_bytes(from_root(path), (long)strlen(from_root(path)));
	}
}

int same_object(const struct stat *one, const struct stat *other)
{
	return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

static int by_text(const void *one, const void *other)
{
	return strcmp(*(char *const *)one, *(char *const *)other);
}

int user_names(char *list, long size, char **names, int max)
{
	int count = 0;

	for (char *name = list; name < list + size && count < max; name += strlen(name) + 1) {
		if ((!strncmp(name, "user.", 5) && strncmp(name, "user.overlay.", 13))
		    || !strncmp(name, "system.posix_acl_", 17))
			names[count++] = name;
	}
	qsort(names, (size_t)count, sizeof(*names), by_text);
	return count;
}
