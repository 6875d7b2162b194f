/*
 * The metadata calls that programs make by the thousand.  Opening is in open.c.
 */
#include "call.h"

/* libc's struct stat is the kernel's on the 64-bit architectures we have. */
struct stat;
struct statx;

/* What the core's quick way has room for. */
#define REAL_PATH_MAX 512

EXPORTED int access(const char *path, int mode)
{
	return (int)CALL(__NR_faccessat, AT_FDCWD, path, mode, 0, 0);
}

EXPORTED long readlink(const char *path, char *to, unsigned long size)
{
	return CALL(__NR_readlinkat, AT_FDCWD, path, to, size > 0x7fffffff ? 0x7fffffff : size, 0);
}

EXPORTED long readlinkat(int fd, const char *path, char *to, unsigned long size)
{
	return CALL(__NR_readlinkat, fd, path, to, size > 0x7fffffff ? 0x7fffffff : size, 0);
}

EXPORTED int stat(const char *path, struct stat *st)
{
	return (int)CALL(__NR_newfstatat, AT_FDCWD, path, st, 0, 0);
}

EXPORTED int lstat(const char *path, struct stat *st)
{
	return (int)CALL(__NR_newfstatat, AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW, 0);
}

EXPORTED int fstatat(int fd, const char *path, struct stat *st, int flags)
{
	return (int)CALL(__NR_newfstatat, fd, path, st, flags, 0);
}

EXPORTED int fstat(int fd, struct stat *st)
{
	return (int)CALL(__NR_fstat, fd, st, 0, 0, 0);
}

EXPORTED int statx(int fd, const char *path, int flags, unsigned mask, struct statx *st)
{
	return (int)CALL(__NR_statx, fd, path, flags, mask, st);
}

EXPORTED long getxattr(const char *path, const char *name, void *value, unsigned long size)
{
	return CALL(__NR_getxattr, path, name, value, size, 0);
}

EXPORTED long lgetxattr(const char *path, const char *name, void *value, unsigned long size)
{
	return CALL(__NR_lgetxattr, path, name, value, size, 0);
}

EXPORTED long listxattr(const char *path, char *list, unsigned long size)
{
	return CALL(__NR_listxattr, path, list, size, 0, 0);
}

EXPORTED long llistxattr(const char *path, char *list, unsigned long size)
{
	return CALL(__NR_llistxattr, path, list, size, 0, 0);
}

/* glibc's own realpath under another name, and its strdup: called, and looked up then. */
extern char *__realpath_chk(const char *path, char *resolved, unsigned long size) __attribute__((weak));
extern char *__strdup(const char *text) __attribute__((weak));

/* libc asks of each name on the way whether it is a link; compilers ask that for each header. */
EXPORTED char *glibc_realpath(const char *path, char *resolved)
{
	char own[REAL_PATH_MAX];
	long r = -LPMX_NOT_READY;

	if (preload_entry && path)
		r = preload_entry->call(LPMX_SYSCALL, LPMX_OP_REAL_PATH, (long)path, (long)(resolved ? resolved : own),
					sizeof(own), 0, 0);
	if (r == -ENOENT) {
		preload_result(r);
		return 0;
	}
	if (r < 0)
		return __realpath_chk(path, resolved, ~0ul);
	return resolved ? resolved : __strdup(own);
}
VERSIONED(glibc_realpath, realpath, VERSION_REALPATH);

#define ALIAS(of) __attribute__((alias(#of), visibility("default")))

EXPORTED int stat64(const char *path, struct stat *st) ALIAS(stat);
EXPORTED int lstat64(const char *path, struct stat *st) ALIAS(lstat);
EXPORTED int fstat64(int fd, struct stat *st) ALIAS(fstat);
EXPORTED int fstatat64(int fd, const char *path, struct stat *st, int flags) ALIAS(fstatat);

/* Before glibc 2.33 these were the functions behind the names; `version` says which
 * struct, and there is one. */
EXPORTED int __xstat(int version, const char *path, struct stat *st)
{
	(void)version;
	return stat(path, st);
}

EXPORTED int __lxstat(int version, const char *path, struct stat *st)
{
	(void)version;
	return lstat(path, st);
}

EXPORTED int __fxstat(int version, int fd, struct stat *st)
{
	(void)version;
	return fstat(fd, st);
}

EXPORTED int __fxstatat(int version, int fd, const char *path, struct stat *st, int flags)
{
	(void)version;
	return fstatat(fd, path, st, flags);
}

EXPORTED int __xstat64(int version, const char *path, struct stat *st) ALIAS(__xstat);
EXPORTED int __lxstat64(int version, const char *path, struct stat *st) ALIAS(__lxstat);
EXPORTED int __fxstat64(int version, int fd, struct stat *st) ALIAS(__fxstat);
EXPORTED int __fxstatat64(int version, int fd, const char *path, struct stat *st, int flags)
	ALIAS(__fxstatat);
