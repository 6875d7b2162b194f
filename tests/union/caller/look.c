/*
 * look: everything there is, an object a line (parted by \x1f, as an answer is one line):
 *
 *   PATH FACTS... [=PATH of the first that is the same object]
 *   !PATH what is odd about how it is told
 */
#include "caller.h"

#include <stdio.h>

static struct seen {
	uint64_t device, inode;
	char *path;
} *seen;
static long seen_count;
static uint64_t device;

static int skipped(const char *path)
{
	return !strcmp(path, "/proc") || !strcmp(path, "/.lpmx");
}

static void begin_line(const char *mark, const char *path)
{
	say("\x1f%s", mark);
	say_bytes(path, (long)strlen(path));
}

static void odd(const char *path, const char *what)
{
	begin_line("!", path[0] ? path : "/");
	say(" %s", what);
}

static void say_first_name(const char *path, const struct stat *st)
{
	for (long i = 0; i < seen_count; i++) {
		if (seen[i].inode == st->st_ino && seen[i].device == st->st_dev) {
			say(" =");
			say_bytes(seen[i].path, (long)strlen(seen[i].path));
			return;
		}
	}
	if (seen_count % 256 == 0)
		seen = realloc(seen, sizeof(*seen) * (size_t)(seen_count + 256));
	seen[seen_count++] = (struct seen){ st->st_dev, st->st_ino, strdup(path) };
}

static void say_attributes(const char *path)
{
	char list[4096], value[1024], *names[64];
	long size = call(SYS_llistxattr, P(path), P(list), sizeof(list));
	int count = user_names(list, size < 0 ? 0 : size, names, 64);

	for (int i = 0; i < count; i++) {
		say(" %s=", names[i]);
		size = call(SYS_lgetxattr, P(path), P(names[i]), P(value), sizeof(value));
		if (size < 0)
			say_error(size);
		else
			say_content(value, size);
	}
}

/* The content is said; a descriptor must be of the same object. Returns 1 if it is odd. */
static int say_file(const char *path, const struct stat *st)
{
	static char data[1 << 16];
	struct stat opened;
	uint64_t all = HASH_START;
	long fd = call(SYS_openat, AT_FDCWD, P(path), O_RDONLY | O_NONBLOCK | O_CLOEXEC), size;
	int differs;

	say(" ");
	if (fd < 0) {
		say_error(fd);
		return 0;
	}
	differs = call(SYS_fstat, fd, P(&opened)) || !same_object(&opened, st)
		  || opened.st_mode != st->st_mode || opened.st_uid != st->st_uid
		  || opened.st_gid != st->st_gid || opened.st_size != st->st_size
		  || opened.st_nlink != st->st_nlink
		  || opened.st_mtim.tv_sec != st->st_mtim.tv_sec
		  || opened.st_mtim.tv_nsec != st->st_mtim.tv_nsec;
	while ((size = call(SYS_read, fd, P(data), sizeof(data))) > 0)
		all = hash(all, data, size);
	call(SYS_close, fd);
	say("#%lx", (long)all);
	if (size < 0)
		say_error(size);
	return differs;
}

static void say_link(const char *path)
{
	char target[4097];
	long size = call(SYS_readlinkat, AT_FDCWD, P(path), P(target), sizeof(target));

	say(" -> ");
	if (size < 0)
		say_error(size);
	else
		say_bytes(target, size);
}

static void look_at(const char *path, const struct stat *above);

static void look_into(const char *path, const struct stat *own, const struct stat *above)
{
	struct listing listing = { 0 };
	struct stat opened;
	long fd = call(SYS_openat, AT_FDCWD, P(path[0] ? path : "/"),
		       O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	int dots = 0;

	if (fd < 0) {
		odd(path, "cannot be opened");
		return;
	}
	if (call(SYS_fstat, fd, P(&opened)) || !same_object(&opened, own))
		odd(path, "fstat and stat tell of two objects");
	if (read_entries((int)fd, 8192, &listing))
		odd(path, "cannot be listed");
	call(SYS_close, fd);
	sort_entries(&listing);
	for (long i = 0; i < listing.count; i++) {
		struct entry *entry = &listing.entries[i];
		char below[4600];
		struct stat st;

		if (i && !strcmp(entry->name, entry[-1].name))
			odd(path, "a name is listed twice");
		if (!strcmp(entry->name, ".")) {
			dots += entry->inode == own->st_ino;
			continue;
		}
		if (!strcmp(entry->name, "..")) { /* above the root there is nothing of ours */
			dots += !path[0] || entry->inode == above->st_ino;
			continue;
		}
		snprintf(below, sizeof(below), "%s/%s", path, entry->name);
		if (skipped(below))
			continue;
		if (call(SYS_newfstatat, AT_FDCWD, P(below), P(&st), AT_SYMLINK_NOFOLLOW)) {
			odd(below, "is listed and cannot be asked about");
			continue;
		}
		if (entry->type != (st.st_mode & S_IFMT) >> 12)
			odd(below, "is listed with another type than it has");
		if (entry->inode != st.st_ino)
			odd(below, "is listed with another inode number than it has");
		look_at(below, own);
	}
	if (dots != 2)
		odd(path, "\".\" and \"..\" are not listed as they are");
	free_entries(&listing);
}

static void look_at(const char *path, const struct stat *above)
{
	struct stat st;
	long result = call(SYS_newfstatat, AT_FDCWD, P(path[0] ? path : "/"), P(&st),
			   AT_SYMLINK_NOFOLLOW);
	int differs = 0;

	begin_line("", path[0] ? path : "/");
	if (result) {
		say(" ");
		say_error(result);
		return;
	}
	if (!above)
		device = st.st_dev;
	say_stat(&st);
	if (S_ISREG(st.st_mode))
		differs = say_file(path, &st);
	if (S_ISLNK(st.st_mode))
		say_link(path);
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISFIFO(st.st_mode))
		say_attributes(path[0] ? path : "/");
	say_first_name(path, &st);
	if (differs)
		odd(path, "fstat and stat tell different things");
	if (st.st_dev != device)
		odd(path, "is on another device");
	if (S_ISDIR(st.st_mode))
		look_into(path, &st, above ? above : &st);
}

static void look(const struct word *a)
{
	(void)a;
	look_at("", NULL);
	while (seen_count)
		free(seen[--seen_count].path);
	free(seen);
	seen = NULL;
}

const struct named_operation look_operations[] = { { "look", look }, { NULL, NULL } };
