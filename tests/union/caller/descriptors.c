/* Operations through descriptors. */
#include "caller.h"

#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>

#define ROOM (1 << 16)

static char data[ROOM];

static void say_count(long result)
{
	say_error(result);
	if (result > 0)
		say(" %ld", result);
}

static void say_data(long size)
{
	say_count(size);
	if (size > 0) {
		say(" ");
		say_content(data, size);
	}
}

/* dup SLOT OLD */
static void dup_(const struct word *a)
{
	long result = call(SYS_dup, fd_of(a[1].number));

	say_error(result);
	keep(a[0].number, result);
}

/* close SLOT */
static void close_(const struct word *a)
{
	say_error(call(SYS_close, fd_of(a[0].number)));
	drop(a[0].number);
}

/* read SLOT SIZE, pread SLOT SIZE OFFSET */
static void read_(const struct word *a)
{
	say_data(call(SYS_read, fd_of(a[0].number), P(data), a[1].number));
}

static void pread_(const struct word *a)
{
	say_data(call(SYS_pread64, fd_of(a[0].number), P(data), a[1].number, a[2].number));
}

/* write SLOT =BYTES, pwrite SLOT =BYTES OFFSET */
static void write_(const struct word *a)
{
	say_count(call(SYS_write, fd_of(a[0].number), P(a[1].text), a[1].size));
}

static void pwrite_(const struct word *a)
{
	say_count(call(SYS_pwrite64, fd_of(a[0].number), P(a[1].text), a[1].size, a[2].number));
}

/* lseek SLOT OFFSET WHENCE */
static void lseek_(const struct word *a)
{
	say_count(call(SYS_lseek, fd_of(a[0].number), a[1].number, a[2].number));
}

/* fsync SLOT */
static void fsync_(const struct word *a)
{
	say_error(call(SYS_fsync, fd_of(a[0].number)));
}

/* fstat SLOT */
static void fstat_(const struct word *a)
{
	struct stat st;
	long result = call(SYS_fstat, fd_of(a[0].number), P(&st));

	say_error(result);
	if (!result)
		say_stat(&st);
}

/* readfd SLOT: where /proc says that it leads */
static void readfd(const struct word *a)
{
	char path[32];
	long size;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd_of(a[0].number));
	size = call(SYS_readlinkat, AT_FDCWD, P(path), P(data), 4096);
	say_error(size);
	if (size > 0)
		say_target(data, size);
}

/* fchmod SLOT MODE */
static void fchmod_(const struct word *a)
{
	say_error(call(SYS_fchmod, fd_of(a[0].number), a[1].number));
}

/* fchown SLOT UID GID */
static void fchown_(const struct word *a)
{
	say_error(call(SYS_fchown, fd_of(a[0].number), a[1].number, a[2].number));
}

/* ftruncate SLOT SIZE */
static void ftruncate_(const struct word *a)
{
	say_error(call(SYS_ftruncate, fd_of(a[0].number), a[1].number));
}

/* fallocate SLOT MODE OFFSET SIZE */
static void fallocate_(const struct word *a)
{
	say_error(call(SYS_fallocate, fd_of(a[0].number), a[1].number, a[2].number, a[3].number));
}

/* futimens SLOT SECONDS */
static void futimens_(const struct word *a)
{
	struct timespec times[2] = { { a[1].number, 0 }, { a[1].number, 123000000 } };

	say_error(call(SYS_utimensat, fd_of(a[0].number), 0, P(times), 0));
}

/* fchdir SLOT */
static void fchdir_(const struct word *a)
{
	say_error(call(SYS_fchdir, fd_of(a[0].number)));
}

/* flock SLOT OPERATION */
static void flock_(const struct word *a)
{
	say_error(call(SYS_flock, fd_of(a[0].number), a[1].number));
}

/* lock SLOT COMMAND TYPE START SIZE: F_SETLK, F_GETLK, F_OFD_SETLK or F_OFD_GETLK */
static void lock(const struct word *a)
{
	struct flock lock = { .l_type = (short)a[2].number, .l_whence = SEEK_SET,
			      .l_start = a[3].number, .l_len = a[4].number };
	long result = call(SYS_fcntl, fd_of(a[0].number), a[1].number, P(&lock));

	say_error(result);
	if (!result)
		say(" %d %ld %ld", lock.l_type, (long)lock.l_start, (long)lock.l_len);
}

/* copy FROM TO SIZE: copy_file_range; sendfile TO FROM SIZE */
static void copy(const struct word *a)
{
	say_count(call(SYS_copy_file_range, fd_of(a[0].number), 0, fd_of(a[1].number), 0,
		       a[2].number, 0));
}

static void sendfile_(const struct word *a)
{
	say_count(call(SYS_sendfile, fd_of(a[0].number), fd_of(a[1].number), 0, a[2].number));
}

/* copyat FROM OFFSET TO OFFSET SIZE */
static void copyat(const struct word *a)
{
	long from = a[1].number, to = a[3].number;

	say_count(call(SYS_copy_file_range, fd_of(a[0].number), P(&from), fd_of(a[2].number),
		       P(&to), a[4].number, 0));
}

/*
 * map SLOT SHARED =BYTES: write the bytes at the start of a mapping, as far as the file goes,
 * and tell what mapping and file have there then.
 */
static void map(const struct word *a)
{
	int fd = fd_of(a[0].number), shared = a[1].number != 0;
	struct stat st;
	long size, at, result = call(SYS_fstat, fd, P(&st));

	if (result || !S_ISREG(st.st_mode) || !st.st_size) {
		say_error(result);
		say(" nothing to map");
		return;
	}
	size = st.st_size < a[2].size ? st.st_size : a[2].size;
	at = call(SYS_mmap, 0, 4096, PROT_READ | (size ? PROT_WRITE : 0),
		  shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
	if (at < 0 && at > -4096) {
		say_error(at);
		return;
	}
	memcpy((char *)at, a[2].text, (size_t)size);
	say_error(shared ? call(SYS_msync, at, 4096, MS_ASYNC) : 0);
	say(" ");
	say_content((char *)at, st.st_size < 4096 ? st.st_size : 4096);
	say(" ");
	call(SYS_munmap, at, 4096);
	say_data(call(SYS_pread64, fd, P(data), 4096, 0));
}

static int all_zero(int fd, long from, long to)
{
	while (from < to) {
		long size = to - from < ROOM ? to - from : ROOM;

		size = call(SYS_pread64, fd, P(data), size, from);
		if (size <= 0)
			return 0;
		for (long i = 0; i < size; i++) {
			if (data[i])
				return 0;
		}
		from += size;
	}
	return 1;
}

/*
 * holes SLOT: where data is and where holes are is the file system's choice, but a hole must
 * read as zeros, the two must alternate, and the last hole begins at the end.
 */
static void holes(const struct word *a)
{
	int fd = fd_of(a[0].number);
	struct stat st;
	long at = 0, result = call(SYS_fstat, fd, P(&st));
	long before = call(SYS_lseek, fd, 0, SEEK_CUR);

	if (result || !S_ISREG(st.st_mode)) {
		say_error(result);
		say(" no file");
		return;
	}
	while (at < st.st_size) {
		long found = call(SYS_lseek, fd, at, SEEK_DATA), end;

		if (found == -ENXIO)
			found = st.st_size;
		if (found < at) {
			say_error(found);
			return;
		}
		if (!all_zero(fd, at, found)) {
			say("data in a hole at %ld", at);
			return;
		}
		if (found == st.st_size)
			break;
		end = call(SYS_lseek, fd, found, SEEK_HOLE);
		if (end <= found || end > st.st_size) {
			say("no hole after %ld: %ld", found, end);
			return;
		}
		at = end;
	}
	say_error(call(SYS_lseek, fd, st.st_size, SEEK_DATA));
	call(SYS_lseek, fd, before, SEEK_SET);
}

const struct named_operation descriptor_operations[] = {
	{ "dup", dup_ }, { "close", close_ }, { "read", read_ }, { "pread", pread_ },
	{ "write", write_ }, { "pwrite", pwrite_ }, { "lseek", lseek_ }, { "fsync", fsync_ },
	{ "fstat", fstat_ }, { "readfd", readfd }, { "fchmod", fchmod_ }, { "fchown", fchown_ },
	{ "ftruncate", ftruncate_ }, { "fallocate", fallocate_ }, { "futimens", futimens_ },
	{ "fchdir", fchdir_ }, { "flock", flock_ }, { "lock", lock }, { "copy", copy },
	{ "copyat", copyat }, { "sendfile", sendfile_ }, { "map", map }, { "holes", holes },
	{ NULL, NULL },
};
