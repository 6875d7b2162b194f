/*
 * open and its kin.
 *
 * They are cancellation points that may wait, for the other end of a fifo or for a
 * terminal's line, and only libc can be cancelled in the middle of a system call.  So the
 * core is asked to open what cannot wait; for the rest libc's own function is called,
 * and the trap sees that.  A cancellation that is pending already is acted on first,
 * as libc does.
 */
#include "call.h"

#ifndef O_TMPFILE
#define O_TMPFILE (020000000 | O_DIRECTORY)
#endif

/* The names under which glibc exports its own; other libcs have none. */
extern int __open64(const char *path, int flags, ...) __attribute__((weak));
extern void pthread_testcancel(void) __attribute__((weak));

static long libc_open(int dirfd, const char *path, int flags, unsigned mode)
{
	if (dirfd == AT_FDCWD && __open64)
		return __open64(path, flags, mode);
	return preload_result(sys_call6(__NR_openat, dirfd, (long)path, flags, mode, 0, 0));
}

static int open_file(int dirfd, const char *path, int flags, unsigned mode)
{
	long r;

	if (!preload_entry)
		return (int)libc_open(dirfd, path, flags, mode);
	if (pthread_testcancel)
		pthread_testcancel();
	r = preload_entry->call(LPMX_SYSCALL, LPMX_OP_OPEN, dirfd, (long)path, flags, mode, 0);
	if (r == -LPMX_NOT_READY)
		return (int)libc_open(dirfd, path, flags, mode);
	return (int)preload_result(r);
}

static int has_mode(int flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

#define MODE(mode, flags, last)                                 \
	unsigned mode = 0;                                      \
	do {                                                    \
		__builtin_va_list arguments;                    \
		if (has_mode(flags)) {                          \
			__builtin_va_start(arguments, last);    \
			mode = __builtin_va_arg(arguments, int); \
			__builtin_va_end(arguments);            \
		}                                               \
	} while (0)

EXPORTED int open(const char *path, int flags, ...)
{
	MODE(mode, flags, flags);
	return open_file(AT_FDCWD, path, flags, mode);
}

EXPORTED int openat(int fd, const char *path, int flags, ...)
{
	MODE(mode, flags, flags);
	return open_file(fd, path, flags, mode);
}

EXPORTED int creat(const char *path, unsigned mode)
{
	return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* What _FORTIFY_SOURCE makes of calls without a mode. */
EXPORTED int __open_2(const char *path, int flags)
{
	return open_file(AT_FDCWD, path, flags, 0);
}

EXPORTED int __openat_2(int fd, const char *path, int flags)
{
	return open_file(fd, path, flags, 0);
}

#define ALIAS(of) __attribute__((alias(#of), visibility("default")))

/* Large files are the only kind on the 64-bit architectures we have. */
EXPORTED int open64(const char *path, int flags, ...) ALIAS(open);
EXPORTED int openat64(int fd, const char *path, int flags, ...) ALIAS(openat);
EXPORTED int creat64(const char *path, unsigned mode) ALIAS(creat);
EXPORTED int __open64_2(const char *path, int flags) ALIAS(__open_2);
EXPORTED int __openat64_2(int fd, const char *path, int flags) ALIAS(__openat_2);
