/* Operations on names. */
#include "caller.h"

#include <limits.h>
#include <stdio.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>

/* With what a program ends that was to be executed. */
#define EXECUTED 242

/* The older of two calls that can say the same, if older ones are asked for. */
#define OLDER(at, older, newer) (old_calls && fd_of(at) == AT_FDCWD ? (older) : (newer))

/* open SLOT AT =PATH FLAGS MODE */
static long opened(const struct word *a)
{
	long flags = a[3].number | O_CLOEXEC;

	return OLDER(a[1].number, call(SYS_open, P(a[2].text), flags, a[4].number),
		     call(SYS_openat, fd_of(a[1].number), P(a[2].text), flags, a[4].number));
}

static void open_(const struct word *a)
{
	long result = opened(a);

	say_error(result);
	keep(a[0].number, result);
}

/*
 * Keep it, but not a descriptor of a directory, which stands for its path, or of a device,
 * which is the machine's (docs/reference/differences.md).
 */
static void keep_file(long slot, long result)
{
	struct stat st;

	say_error(result);
	if (result >= 0 && !call(SYS_fstat, result, P(&st))
	    && (S_ISDIR(st.st_mode) || S_ISCHR(st.st_mode))) {
		call(SYS_close, result);
		say(" not kept");
	} else {
		keep(slot, result);
	}
}

/* openfile: as open, for files */
static void openfile(const struct word *a)
{
	keep_file(a[0].number, opened(a));
}

/* creat SLOT =PATH MODE: not of a fifo, where it would wait for ever */
static void creat_(const struct word *a)
{
	struct stat st;

	if (!call(SYS_newfstatat, AT_FDCWD, P(a[1].text), P(&st), 0) && S_ISFIFO(st.st_mode))
		say("would wait");
	else
		keep_file(a[0].number, call(SYS_creat, P(a[1].text), a[2].number));
}

#define RESOLVE_CACHED 0x20

/* openat2 SLOT AT =PATH FLAGS MODE RESOLVE; some file systems have what is absent in memory */
static long opened_so(const struct word *a)
{
	uint64_t how[3] = { (uint64_t)a[3].number | O_CLOEXEC, (uint64_t)a[4].number,
			    (uint64_t)a[5].number };
	long result = call(SYS_openat2, fd_of(a[1].number), P(a[2].text), P(how), sizeof(how));

	return result == -ENOENT && how[2] & RESOLVE_CACHED ? -EAGAIN : result;
}

static void openat2_(const struct word *a)
{
	long result = opened_so(a);

	say_error(result);
	keep(a[0].number, result);
}

/* openfile2: the same, for files */
static void openfile2(const struct word *a)
{
	keep_file(a[0].number, opened_so(a));
}

/* openfd SLOT OLD FLAGS */
static void openfd(const struct word *a)
{
	char path[32];
	long result;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd_of(a[1].number));
	result = call(SYS_openat, AT_FDCWD, P(path), a[2].number | O_CLOEXEC, 0);
	say_error(result);
	keep(a[0].number, result);
}

/* openread =PATH: what is in the file */
static void openread(const struct word *a)
{
	static char data[10000];
	long size, fd = OLDER(AT_FDCWD, call(SYS_open, P(a[0].text), O_RDONLY | O_NONBLOCK, 0),
			      call(SYS_openat, fd_of(AT_FDCWD), P(a[0].text),
				   O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0));

	if (fd < 0) {
		say_error(fd);
		return;
	}
	size = call(SYS_pread64, fd, P(data), sizeof(data), 0);
	call(SYS_close, fd);
	say_error(size);
	if (size >= 0) {
		say(" %ld ", size);
		say_content(data, size);
	}
}

static void tell(long result, const struct stat *st)
{
	say_error(result);
	if (!result)
		say_stat(st);
}

/* stat AT =PATH FLAGS */
static void stat_(const struct word *a)
{
	struct stat st;

	tell(call(SYS_newfstatat, fd_of(a[0].number), P(a[1].text), P(&st), a[2].number), &st);
}

/* oldstat =PATH NOFOLLOW */
static void oldstat(const struct word *a)
{
	struct stat st;

	tell(call(a[1].number ? SYS_lstat : SYS_stat, P(a[0].text), P(&st)), &st);
}

/* statx AT =PATH FLAGS */
static void statx_(const struct word *a)
{
	struct statx sx;
	long result = call(SYS_statx, fd_of(a[0].number), P(a[1].text), a[2].number,
			   STATX_BASIC_STATS, P(&sx));

	say_error(result);
	if (!result) {
		struct stat st = {
			.st_mode = sx.stx_mode, .st_uid = sx.stx_uid, .st_gid = sx.stx_gid,
			.st_nlink = sx.stx_nlink, .st_size = (off_t)sx.stx_size,
			.st_rdev = (dev_t)sx.stx_rdev_major << 8 | sx.stx_rdev_minor,
			.st_mtim = { sx.stx_mtime.tv_sec, sx.stx_mtime.tv_nsec } };

		say_stat(&st);
		if ((sx.stx_mask & STATX_BASIC_STATS) != STATX_BASIC_STATS)
			say(" mask=%x", sx.stx_mask);
	}
}

/*
 * statxall AT =PATH FLAGS MASK: all that is not told by statx.  The mount is told by whether it is
 * the root's; a time of birth, by whether there is one that can be.
 */
static void statxall(const struct word *a)
{
	uint32_t mask = (uint32_t)a[3].number;
	struct statx sx = { 0 }, top;
	long result = call(SYS_statx, fd_of(a[0].number), P(a[1].text), a[2].number, mask, P(&sx));
	struct timespec now;

	say_error(result);
	if (result || call(SYS_statx, AT_FDCWD, P("/"), 0, mask, P(&top)))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	/* of the times asked for or not, some tell more */
	say(" mask=%x attributes=%llx/%llx", sx.stx_mask & (mask | 0x1000), sx.stx_attributes, sx.stx_attributes_mask);
	if (sx.stx_mask & (0x1000 | 0x4000))
		say(sx.stx_mnt_id == top.stx_mnt_id ? " mount" : " other mount");
	if (sx.stx_mask & STATX_BTIME)
		say(sx.stx_btime.tv_sec > 1500000000 && sx.stx_btime.tv_sec <= now.tv_sec ? " born" : " unborn");
	/* memory and offset, as linux/stat.h has them by now */
	if (sx.stx_mask & 0x2000)
		say(" direct=%x,%x", ((uint32_t *)&sx)[0x98 / 4], ((uint32_t *)&sx)[0x9c / 4]);
	say(" device=%d block=%u", sx.stx_dev_major == top.stx_dev_major
	    && sx.stx_dev_minor == top.stx_dev_minor, sx.stx_blksize);
}

/* same SLOT AT =PATH FLAGS: whether the descriptor is of what has this name */
static void same(const struct word *a)
{
	struct stat one, other;
	long result = call(SYS_fstat, fd_of(a[0].number), P(&one));

	if (!result)
		result = call(SYS_newfstatat, fd_of(a[1].number), P(a[2].text), P(&other),
			      a[3].number);
	say_error(result);
	if (!result)
		say(same_object(&one, &other) ? " same" : " other");
}

/* access AT =PATH MODE */
static void access_(const struct word *a)
{
	say_error(OLDER(a[0].number, call(SYS_access, P(a[1].text), a[2].number),
			call(SYS_faccessat, fd_of(a[0].number), P(a[1].text), a[2].number)));
}

/* faccessat2 AT =PATH MODE FLAGS */
static void faccessat2_(const struct word *a)
{
	say_error(call(SYS_faccessat2, fd_of(a[0].number), P(a[1].text), a[2].number,
		       a[3].number));
}

/* readlink AT =PATH ROOM */
static void readlink_(const struct word *a)
{
	char data[8192];
	long room = a[2].number, size;

	size = OLDER(a[0].number, call(SYS_readlink, P(a[1].text), P(data), room),
		     call(SYS_readlinkat, fd_of(a[0].number), P(a[1].text), P(data), room));
	say_error(size);
	if (size > 0)
		say_target(data, size);
}

#ifdef SHARED
/* Is there a directory at the path, as who puts a "/" behind it wants? */
static int is_directory(const char *path)
{
	char with_slash[PATH_MAX + 2];
	struct stat st;
	long r;

	snprintf(with_slash, sizeof(with_slash), "%s/", path);
	r = call(SYS_newfstatat, AT_FDCWD, P(with_slash), P(&st), 0);
	errno = (int)-r;
	return !r;
}

/* Take the last name from a path; of "/" nothing. */
static void pop(char *path)
{
	char *slash = strrchr(path, '/');

	slash[slash == path] = 0;
}

/* Where there is no libc that asks this world: as glibc 2.36 does it, a name at a time. */
static char *real_path(const char *path, char *to)
{
	char rest[4 * PATH_MAX], target[PATH_MAX], *name = rest, *end;
	int links = 0;
	long n;

	errno = ENOENT;
	if (!*path)
		return NULL;
	snprintf(rest, sizeof(rest), "%s", path);
	strcpy(to, "/");
	if (*path != '/') {
		n = call(SYS_getcwd, P(to), PATH_MAX);
		errno = (int)-n;
		if (n < 0)
			return NULL;
	}
	for (;; name = end) {
		size_t length = strlen(to);

		while (*name == '/')
			name++;
		end = name + strcspn(name, "/");
		if (end == name)
			return to;
		if (end - name == 1 && *name == '.')
			continue;
		if (end - name == 2 && !strncmp(name, "..", 2)) {
			pop(to);
			continue;
		}
		errno = ENAMETOOLONG;
		if (length + (size_t)(end - name) + 2 > PATH_MAX)
			return NULL;
		sprintf(to + length, "%s%.*s", length > 1 ? "/" : "", (int)(end - name), name);
		n = call(SYS_readlinkat, AT_FDCWD, P(to), P(target), sizeof(target));
		if (n >= 0) {
			errno = ELOOP;
			if (++links > 40 || (size_t)n + strlen(end) >= sizeof(rest))
				return NULL;
			memmove(rest + n, end, strlen(end) + 1);
			memcpy(rest, target, (size_t)n);
			end = rest;
			if (target[0] == '/')
				strcpy(to, "/");
			else
				pop(to);
		} else {
			errno = (int)-n;
			if (errno != EINVAL || (strspn(end, "/") && strspn(end, "/.") == strlen(end) && !is_directory(to)))
				return NULL;
		}
	}
}
#else
#define real_path realpath
#endif

/* realpath =PATH: what it is, and if a name is missing or out of reach, the path up to that; but for
 * what has the number of a process */
static void realpath_(const struct word *a)
{
	char resolved[PATH_MAX] = "";
	int failed = !real_path(a[0].text, resolved), error = errno;

	say_error(failed ? -error : 0);
	if (!strncmp(from_root(resolved), "/proc/", 6))
		say(" of /proc");
	else if (!failed || error == ENOENT || error == EACCES)
		say_target(resolved, (long)strlen(resolved));
}

/* mkdir AT =PATH MODE */
static void mkdir_(const struct word *a)
{
	say_error(OLDER(a[0].number, call(SYS_mkdir, P(a[1].text), a[2].number),
			call(SYS_mkdirat, fd_of(a[0].number), P(a[1].text), a[2].number)));
}

/* mknod AT =PATH MODE DEVICE */
static void mknod_(const struct word *a)
{
	say_error(OLDER(a[0].number, call(SYS_mknod, P(a[1].text), a[2].number, a[3].number),
			call(SYS_mknodat, fd_of(a[0].number), P(a[1].text), a[2].number,
			     a[3].number)));
}

/* symlink =TARGET AT =PATH */
static void symlink_(const struct word *a)
{
	say_error(OLDER(a[1].number, call(SYS_symlink, P(a[0].text), P(a[2].text)),
			call(SYS_symlinkat, P(a[0].text), fd_of(a[1].number), P(a[2].text))));
}

/* link AT =PATH AT =NEW FLAGS */
static void link_(const struct word *a)
{
	if (old_calls && fd_of(a[0].number) == AT_FDCWD && fd_of(a[2].number) == AT_FDCWD
	    && !a[4].number)
		say_error(call(SYS_link, P(a[1].text), P(a[3].text)));
	else
		say_error(call(SYS_linkat, fd_of(a[0].number), P(a[1].text),
			       fd_of(a[2].number), P(a[3].text), a[4].number));
}

/* linkfd SLOT AT =NEW: a name for what a descriptor is of */
static void linkfd(const struct word *a)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd_of(a[0].number));
	say_error(call(SYS_linkat, AT_FDCWD, P(path), fd_of(a[1].number), P(a[2].text),
		       AT_SYMLINK_FOLLOW));
}

/* unlink AT =PATH FLAGS */
static void unlink_(const struct word *a)
{
	long older = a[2].number == AT_REMOVEDIR ? SYS_rmdir : SYS_unlink;

	say_error(OLDER(a[0].number, call(older, P(a[1].text)),
			call(SYS_unlinkat, fd_of(a[0].number), P(a[1].text), a[2].number)));
}

/* rename AT =PATH AT =NEW FLAGS */
static void rename_(const struct word *a)
{
	if (old_calls && fd_of(a[0].number) == AT_FDCWD && fd_of(a[2].number) == AT_FDCWD
	    && !a[4].number)
		say_error(call(SYS_rename, P(a[1].text), P(a[3].text)));
	else if (old_calls && !a[4].number)
		say_error(call(SYS_renameat, fd_of(a[0].number), P(a[1].text),
			       fd_of(a[2].number), P(a[3].text)));
	else
		say_error(call(SYS_renameat2, fd_of(a[0].number), P(a[1].text),
			       fd_of(a[2].number), P(a[3].text), a[4].number));
}

/* chmod AT =PATH MODE */
static void chmod_(const struct word *a)
{
	say_error(OLDER(a[0].number, call(SYS_chmod, P(a[1].text), a[2].number),
			call(SYS_fchmodat, fd_of(a[0].number), P(a[1].text), a[2].number)));
}

/* fchmodat2 AT =PATH MODE FLAGS */
static void fchmodat2_(const struct word *a)
{
	say_error(call(452, fd_of(a[0].number), P(a[1].text), a[2].number, a[3].number));
}

/* chown AT =PATH UID GID FLAGS */
static void chown_(const struct word *a)
{
	long nofollow = a[4].number == AT_SYMLINK_NOFOLLOW;

	if (old_calls && fd_of(a[0].number) == AT_FDCWD && (nofollow || !a[4].number))
		say_error(call(nofollow ? SYS_lchown : SYS_chown, P(a[1].text), a[2].number,
			       a[3].number));
	else
		say_error(call(SYS_fchownat, fd_of(a[0].number), P(a[1].text), a[2].number,
			       a[3].number, a[4].number));
}

/* truncate =PATH SIZE */
static void truncate_(const struct word *a)
{
	say_error(call(SYS_truncate, P(a[0].text), a[1].number));
}

/* utimens AT =PATH SECONDS FLAGS */
static void utimens(const struct word *a)
{
	struct timespec times[2] = { { a[2].number, 0 }, { a[2].number, 123000000 } };

	say_error(call(SYS_utimensat, fd_of(a[0].number), P(a[1].text), P(times), a[3].number));
}

/* utimensns AT =PATH SECONDS NANOSECONDS FLAGS: any nanoseconds, UTIME_NOW and UTIME_OMIT */
static void utimensns(const struct word *a)
{
	struct timespec times[2] = { { a[2].number, 0 }, { a[2].number, a[3].number } };

	say_error(call(SYS_utimensat, fd_of(a[0].number), P(a[1].text), P(times), a[4].number));
}

/* utimensat AT =PATH SECONDS NANOSECONDS SECONDS NANOSECONDS FLAGS: of access, of change; then
 * how both stand to now and to what is known */
static void utimensat_(const struct word *a)
{
	struct timespec times[2] = { { a[2].number, a[3].number }, { a[4].number, a[5].number } };
	struct stat st;

	long result = call(SYS_utimensat, fd_of(a[0].number), P(a[1].text), P(times), a[6].number);

	say_error(result);
	if (result || call(SYS_newfstatat, fd_of(a[0].number), P(a[1].text), P(&st), a[6].number))
		return;
	if (st.st_atim.tv_sec < 1500000000)
		say(" %ld.%09ld", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec);
	else
		say(" now");
	say_stat(&st);
}

/* ids REAL EFFECTIVE: of the user */
static void ids(const struct word *a)
{
	say_error(call(SYS_setresuid, a[0].number, a[1].number, -1));
}

/* fsids UID GID: another for files alone; who it was */
static void fsids(const struct word *a)
{
	say("%ld %ld", call(SYS_setfsuid, a[0].number), call(SYS_setfsgid, a[1].number));
}

/* utime =PATH SECONDS, utimes =PATH SECONDS, futimesat AT =PATH SECONDS; 0 is the present */
static void utime_(const struct word *a)
{
	long times[2] = { a[1].number, a[1].number };

	say_error(call(SYS_utime, P(a[0].text), a[1].number ? P(times) : 0));
}

static void utimes_(const struct word *a)
{
	long times[4] = { a[1].number, 0, a[1].number, 5 };

	say_error(call(SYS_utimes, P(a[0].text), a[1].number ? P(times) : 0));
}

static void futimesat_(const struct word *a)
{
	long times[4] = { a[2].number, 0, a[2].number, 5 };

	say_error(call(SYS_futimesat, fd_of(a[0].number), P(a[1].text),
		       a[2].number ? P(times) : 0));
}

/* chdir =PATH */
static void chdir_(const struct word *a)
{
	say_error(call(SYS_chdir, P(a[0].text)));
}

/* getcwd */
static void getcwd_(const struct word *a)
{
	static const char outside[] = "(unreachable)";
	char data[4096 + 100];
	const char *path = data;
	long size = call(SYS_getcwd, P(data), sizeof(data));

	(void)a;
	say_error(size);
	if (size <= 0)
		return;
	say(" ");
	if (!strncmp(path, outside, sizeof(outside) - 1)) {
		say(outside);
		path += sizeof(outside) - 1;
	}
	say_bytes(from_root(path), (long)strlen(from_root(path)));
}

/* chroot =PATH */
static void chroot_(const struct word *a)
{
	say_error(call(SYS_chroot, P(a[0].text)));
}

/* root =PATH: chroot, and a working directory in it, as every program that knows why does */
static void root(const struct word *a)
{
	long result = call(SYS_chroot, P(a[0].text));

	say_error(result);
	if (!result)
		call(SYS_chdir, P("/"));
}

/* Whether the file system is the root's, in all but what changes by the minute. */
static void say_fs(long result, const struct statfs *fs)
{
	struct statfs top;

	say_error(result);
	if (!result && !call(SYS_statfs, P("/"), P(&top)))
		say(fs->f_type == top.f_type && fs->f_bsize == top.f_bsize && fs->f_blocks == top.f_blocks
		    && fs->f_namelen == top.f_namelen && fs->f_frsize == top.f_frsize
		    && fs->f_flags == top.f_flags && !memcmp(&fs->f_fsid, &top.f_fsid, sizeof(top.f_fsid))
		    ? " the root's" : " another");
}

/* statfs =PATH, fstatfs SLOT */
static void statfs_(const struct word *a)
{
	struct statfs fs;

	say_fs(call(SYS_statfs, P(a[0].text), P(&fs)), &fs);
}

static void fstatfs_(const struct word *a)
{
	struct statfs fs;

	say_fs(call(SYS_fstatfs, fd_of(a[0].number), P(&fs)), &fs);
}

/* become UID GID [GROUP...]: another user, in no other groups than these */
static void become(const struct word *a)
{
	unsigned groups[WORDS];
	long count = 0, result;

	while (count + 2 < WORDS && a[count + 2].number) {
		groups[count] = (unsigned)a[count + 2].number;
		count++;
	}
	result = call(SYS_setgroups, count, P(groups));

	if (!result)
		result = call(SYS_setresgid, a[1].number, a[1].number, a[1].number);
	if (!result)
		result = call(SYS_setresuid, a[0].number, a[0].number, a[0].number);
	say_error(result);
}

/* execute AT =PATH FLAGS: what becomes of a process that does */
static void execute(const struct word *a)
{
	char *none[] = { NULL };
	pid_t pid = fork();
	int status = 0;

	if (!pid)
		_exit((int)-call(SYS_execveat, fd_of(a[0].number), P(a[1].text), P(none), P(none), a[2].number));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXECUTED)
		say("executed");
	else if (WIFEXITED(status))
		say_error(-WEXITSTATUS(status));
	else
		say("ended by signal %d", WTERMSIG(status));
}

/* umask MASK */
static void umask_(const struct word *a)
{
	say("%lo", call(SYS_umask, a[0].number));
}

const struct named_operation name_operations[] = {
	{ "open", open_ }, { "openfile", openfile }, { "creat", creat_ }, { "openat2", openat2_ }, { "openfile2", openfile2 },
	{ "openfd", openfd }, { "openread", openread }, { "stat", stat_ }, { "oldstat", oldstat },
	{ "statx", statx_ }, { "same", same }, { "access", access_ },
	{ "faccessat2", faccessat2_ }, { "readlink", readlink_ }, { "realpath", realpath_ }, { "mkdir", mkdir_ },
	{ "mknod", mknod_ }, { "symlink", symlink_ }, { "link", link_ }, { "linkfd", linkfd },
	{ "unlink", unlink_ }, { "rename", rename_ }, { "chmod", chmod_ },
	{ "fchmodat2", fchmodat2_ }, { "chown", chown_ },
	{ "truncate", truncate_ }, { "utimens", utimens }, { "utimensns", utimensns },
	{ "utime", utime_ }, { "utimes", utimes_ }, { "futimesat", futimesat_ },
	{ "chdir", chdir_ }, { "getcwd", getcwd_ }, { "chroot", chroot_ }, { "root", root },
	{ "statxall", statxall }, { "utimensat", utimensat_ }, { "become", become }, { "ids", ids },
	{ "fsids", fsids }, { "statfs", statfs_ }, { "fstatfs", fstatfs_ }, { "umask", umask_ },
	{ "execute", execute }, { NULL, NULL },
};
