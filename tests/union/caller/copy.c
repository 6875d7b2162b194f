/* From one descriptor to another without a buffer, and what else is rare of a descriptor. */
#include "caller.h"

#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>

static void say_count(long result)
{
	say_error(result);
	if (result > 0)
		say(" %ld", result);
}

/* splice FROM TO SIZE: by way of a pipe */
static void splice_(const struct word *a)
{
	int ends[2];
	long result;

	if (pipe2(ends, O_CLOEXEC))
		abort();
	result = call(SYS_splice, fd_of(a[0].number), 0, ends[1], 0, a[2].number, 0);
	say_count(result);
	say(" ");
	say_count(result > 0 ? call(SYS_splice, ends[0], 0, fd_of(a[1].number), 0, result, 0) : 0);
	close(ends[0]);
	close(ends[1]);
}

/* clone FROM TO, clonerange FROM TO SIZE: ioctls; few file systems can */
static void clone_(const struct word *a)
{
	long result = call(SYS_ioctl, fd_of(a[1].number), FICLONE, fd_of(a[0].number));

	say(result == -EOPNOTSUPP || result == -EXDEV || !result ? "as it can" : "refused");
}

static void clonerange(const struct word *a)
{
	struct file_clone_range range = { fd_of(a[0].number), 0, (uint64_t)a[2].number, 0 };
	long result = call(SYS_ioctl, fd_of(a[1].number), FICLONERANGE, P(&range));

	say(result == -EOPNOTSUPP || result == -EXDEV || !result ? "as it can" : "refused");
}

/* fstatfs SLOT, syncfs SLOT, fdatasync SLOT, advise SLOT, ahead SLOT, syncrange SLOT */
static void fstatfs_(const struct word *a)
{
	long data[64];

	say_error(call(SYS_fstatfs, fd_of(a[0].number), P(data)));
}

static void syncfs_(const struct word *a)
{
	say_error(call(SYS_syncfs, fd_of(a[0].number)));
}

static void fdatasync_(const struct word *a)
{
	say_error(call(SYS_fdatasync, fd_of(a[0].number)));
}

static void advise(const struct word *a)
{
	say_error(call(SYS_fadvise64, fd_of(a[0].number), 0, 0, POSIX_FADV_WILLNEED));
}

static void ahead(const struct word *a)
{
	say_error(call(SYS_readahead, fd_of(a[0].number), 0, 100));
}

static void syncrange(const struct word *a)
{
	say_error(call(SYS_sync_file_range, fd_of(a[0].number), 0, 100, 0));
}

/* A file of the layers may be open with O_NOFOLLOW (docs/reference/differences.md). */
#define NOT_COMPARED (O_NOFOLLOW | O_CLOEXEC | 0100000 /* O_LARGEFILE */)

/* flags SLOT: F_GETFL */
static void flags(const struct word *a)
{
	long result = call(SYS_fcntl, fd_of(a[0].number), F_GETFL);

	say_error(result < 0 ? result : 0);
	if (result >= 0)
		say(" %lo", result & ~NOT_COMPARED);
}

/* setfl SLOT FLAGS: F_SETFL */
static void setfl(const struct word *a)
{
	say_error(call(SYS_fcntl, fd_of(a[0].number), F_SETFL, a[1].number));
}

/* fdinfo SLOT: position and flags, as /proc tells them */
static void fdinfo(const struct word *a)
{
	char path[64], data[1024];
	long fd, size, position, mode;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd_of(a[0].number));
	fd = call(SYS_openat, AT_FDCWD, P(path), O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0) {
		say_error(fd);
		return;
	}
	size = call(SYS_read, fd, P(data), sizeof(data) - 1);
	call(SYS_close, fd);
	data[size < 0 ? 0 : size] = 0;
	if (sscanf(data, "pos: %ld flags: %lo", &position, &mode) == 2)
		say("%ld %lo", position, mode & ~NOT_COMPARED);
	else
		say("not understood");
}

const struct named_operation copy_operations[] = {
	{ "splice", splice_ }, { "clone", clone_ }, { "clonerange", clonerange },
	{ "fstatfs", fstatfs_ }, { "syncfs", syncfs_ }, { "fdatasync", fdatasync_ },
	{ "advise", advise }, { "ahead", ahead }, { "syncrange", syncrange }, { "flags", flags },
	{ "setfl", setfl }, { "fdinfo", fdinfo }, { NULL, NULL },
};
