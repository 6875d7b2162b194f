/*
 * Paths of the host beyond what the kernel takes or tells: far.h says where they come
 * from.  One way leads from such a path to its object, piece by piece; the other from a
 * descriptor to its path, up through its parents' names, as getcwd(3) once did.
 */
#include "internal.h"

struct dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

#define FIND (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* ---- from a path to its object ------------------------------------------------- */

/* Where the last name begins, slashes behind it included. */
static size_t last_name(const char *path, size_t length)
{
	while (length && path[length - 1] == '/')
		length--;
	while (length && path[length - 1] != '/')
		length--;
	return length;
}

/* A descriptor of the directory that the first `length` bytes of `path` name. */
static long open_in_pieces(const char *path, size_t length)
{
	char piece[CORE_SAID_MAX];
	long at = AT_FDCWD;

	while (length) {
		size_t n = length;
		long next;

		if (n >= sizeof(piece))
			for (n = sizeof(piece) - 1; n && path[n] != '/'; n--)
				;
		if (!n)
			return -ENAMETOOLONG;
		bytes_copy(piece, path, n);
		piece[n] = 0;
		next = sys_call6(__NR_openat, at, (long)piece, FIND, 0, 0, 0);
		if (at >= 0)
			sys_call6(__NR_close, at, 0, 0, 0, 0, 0);
		if (next < 0)
			return next;
		at = next;
		for (path += n, length -= n; length && *path == '/'; path++, length--)
			;
	}
	return at;
}

/* Which arguments of a call are paths, and which the directories before them; -1: none. */
static const struct far {
	short nr;
	signed char directory, path;
} far_paths[] = {
	{ __NR_openat, 0, 1 },	       { __NR_newfstatat, 0, 1 },   { __NR_statx, 0, 1 },
	{ __NR_faccessat, 0, 1 },      { __NR_readlinkat, 0, 1 },   { __NR_mkdirat, 0, 1 },
	{ __NR_mknodat, 0, 1 },	       { __NR_unlinkat, 0, 1 },	    { __NR_fchmodat, 0, 1 },
	{ __NR_fchownat, 0, 1 },       { __NR_utimensat, 0, 1 },    { __NR_symlinkat, 1, 2 },
	{ __NR_linkat, 0, 1 },	       { __NR_linkat, 2, 3 },	    { __NR_renameat2, 0, 1 },
	{ __NR_renameat2, 2, 3 },      { __NR_name_to_handle_at, 0, 1 },
	{ __NR_fanotify_mark, 3, 4 },  { __NR_inotify_add_watch, -1, 1 },
	{ __NR_getxattr, -1, 0 },      { __NR_lgetxattr, -1, 0 },   { __NR_setxattr, -1, 0 },
	{ __NR_lsetxattr, -1, 0 },     { __NR_listxattr, -1, 0 },   { __NR_llistxattr, -1, 0 },
	{ __NR_removexattr, -1, 0 },   { __NR_lremovexattr, -1, 0 }, { __NR_truncate, -1, 0 },
	{ __NR_statfs, -1, 0 },	       { __NR_chdir, -1, 0 },
	{ 468 /* file_getattr */, 0, 1 }, { 469 /* file_setattr */, 0, 1 },
};

/* The call once more, its far paths replaced. */
static NOINLINE __attribute__((cold)) long again(long nr, long a[5])
{
	long held[2], r = 0;
	/* for calls that take no directory: it is named by its descriptor */
	char near[300];
	int count = 0;

	for (unsigned i = 0; i < sizeof(far_paths) / sizeof(*far_paths) && r >= 0; i++) {
		const struct far *far = &far_paths[i];
		const char *path;
		size_t length, above;

		if (far->nr != nr)
			continue;
		path = (const char *)a[far->path];
		if (!path || *path != '/')
			continue;
		length = text_length(path);
		above = last_name(path, length);
		if (length < CORE_SAID_MAX || length - above > 256)
			continue;
		r = open_in_pieces(path, above);
		if (r < 0)
			break;
		held[count++] = r;
		if (far->directory >= 0) {
			a[far->directory] = r;
			a[far->path] = (long)(path + above);
		} else {
			char *p = text_put_number(text_put(near, "/proc/self/fd/"), (uint64_t)r, 10);

			*p++ = '/';
			text_put(p, path + above);
			a[far->path] = (long)near;
		}
	}
	if (r >= 0)
		r = count ? sys_call6(nr, a[0], a[1], a[2], a[3], a[4], 0) : -ENAMETOOLONG;
	while (count--)
		sys_call6(__NR_close, held[count], 0, 0, 0, 0, 0);
	return r;
}

long far_call(long nr, long a, long b, long c, long d, long e)
{
	long r = sys_call6(nr, a, b, c, d, e, 0);

	if (__builtin_expect(r == -ENAMETOOLONG, 0)) {
		long args[5] = { a, b, c, d, e };

		r = again(nr, args);
	}
	return r;
}

long core_host_open(const char *host, int flags)
{
	return sys_call4(__NR_openat, AT_FDCWD, host, flags, 0);
}

int core_is_open_as(const char *host, int fd, int flags)
{
	struct stat named, open;

	return !sys_call2(__NR_fstat, fd, &open) &&
	       !sys_call4(__NR_newfstatat, AT_FDCWD, host, &named, flags) &&
	       same_object(&named, &open);
}

/* ---- from a descriptor to its path ------------------------------------------------ */

/*
 * The far directory that was last seen, by its path.  It is where most of the next
 * calls are, or just above: then nothing has to be searched for.  The path is only
 * believed when it leads to the directory asked for.  Whoever finds it in use does
 * without; so a fork at a bad moment costs time and nothing else.
 */
static struct {
	volatile int busy;
	uint32_t length;
	char host[CORE_HOST_MAX];
} last;

static int last_take(void)
{
	return !__atomic_exchange_n(&last.busy, 1, __ATOMIC_ACQUIRE);
}

static void last_give(void)
{
	__atomic_store_n(&last.busy, 0, __ATOMIC_RELEASE);
}

static int leads_to(const char *host, size_t length, const struct stat *st)
{
	long fd = open_in_pieces(host, length);
	struct stat found;
	int r;

	if (fd < 0)
		return 0;
	r = !sys_call2(__NR_fstat, fd, &found) && same_object(&found, st);
	sys_call1(__NR_close, fd);
	return r;
}

/* The path of the directory with this `st`, if it is the last one or the one above. */
static long last_is(const struct stat *st, char *host, size_t size)
{
	long n = 0;

	if (!last_take())
		return 0;
	if (last.length && last.length < size) {
		size_t above = last_name(last.host, last.length);

		n = last.length;
		if (!leads_to(last.host, last.length, st))
			n = above > 1 && leads_to(last.host, above - 1, st) ? (long)above - 1 : 0;
		if (n) {
			last.host[n] = 0;
			last.length = (uint32_t)n;
			bytes_copy(host, last.host, (size_t)n + 1);
		}
	}
	last_give();
	return n;
}

void far_learn(const char *host)
{
	size_t length = text_length(host);

	if (length < CORE_SAID_MAX || length >= sizeof(last.host) || !last_take())
		return;
	text_put(last.host, host);
	last.length = (uint32_t)length;
	last_give();
}

static long told(long fd, char *host, size_t size)
{
	char link[40];
	long n;

	text_put_number(text_put(link, "/proc/self/fd/"), (uint64_t)fd, 10);
	n = sys_call4(__NR_readlinkat, AT_FDCWD, link, host, size - 1);
	if (n >= 0)
		host[n] = 0;
	return n;
}

/* Copy the name that the directory `st` has in the directory `up`: its length. */
static long name_in(long up, const struct stat *st, char name[256])
{
	/* a file system may list other numbers than it tells of: then each is asked */
	for (int ask = 0; ask < 2; ask++) {
		uint64_t block[512];
		long n;

		sys_call3(__NR_lseek, up, 0, 0 /* SEEK_SET */);
		while ((n = sys_call3(__NR_getdents64, up, block, sizeof(block))) > 0)
			for (long at = 0; at < n;) {
				const struct dirent64 *d = (void *)((char *)block + at);
				struct stat found;

				at += d->d_reclen;
				if ((!ask && d->d_ino != st->st_ino) ||
				    (d->d_name[0] == '.' && (!d->d_name[1] || d->d_name[1] == '.')) ||
				    sys_call6(__NR_newfstatat, up, (long)d->d_name, (long)&found,
						AT_SYMLINK_NOFOLLOW, 0, 0) ||
				    !same_object(&found, st))
					continue;
				return text_put(name, d->d_name) - name;
			}
		if (n < 0)
			return n;
	}
	return -ENOENT;
}

/* Put `name` before what stands at `at`, a slash between; NULL: no room in `host`. */
static char *put_before(const char *host, char *at, const char *name, size_t length)
{
	if ((size_t)(at - host) < length + 1)
		return 0;
	at -= length;
	bytes_copy(at, name, length);
	*--at = '/';
	return at;
}

static long join(char *host, size_t head, const char *tail)
{
	size_t n = text_length(tail);

	if (host + head > tail)
		return -ENAMETOOLONG;
	bytes_copy(host + head, tail, n + 1);
	return (long)(head + n);
}

/* The path of a directory: names of its parents, up to one whose path the kernel tells. */
static long climb(int fd, char *host, size_t size)
{
	char *tail = host + size - 1, name[256];
	struct stat st;
	long here, up, n;

	*tail = 0;
	here = sys_call6(__NR_openat, fd, (long)".", FIND, 0, 0, 0);
	for (;;) {
		if (here < 0)
			return here;
		n = sys_call2(__NR_fstat, here, &st);
		if (!n)
			n = last_is(&st, host, (size_t)(tail - host));
		if (n > 0)
			break;
		up = n < 0 ? n
			   : sys_call6(__NR_openat, here, (long)"..",
					 O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
		sys_call1(__NR_close, here);
		here = up;
		if (here < 0)
			return here;
		n = name_in(here, &st, name);
		if (n >= 0 && !(tail = put_before(host, tail, name, (size_t)n)))
			n = -ENAMETOOLONG;
		if (n < 0)
			break;
		n = told(here, host, (size_t)(tail - host));
		if (n != -ENAMETOOLONG)
			break;
	}
	sys_call1(__NR_close, here);
	return n < 0 ? n : join(host, (size_t)n, tail);
}

long host_of_fd(const struct core_view *view, int fd, char *host, size_t size)
{
	struct stat st;
	long n;

	if (fd < 0)
		return -EBADF;
	n = told(fd, host, size);
	if (n != -ENAMETOOLONG)
		return n == -ENOENT ? -EBADF : n;
	n = sys_call2(__NR_fstat, fd, &st);
	if (n < 0)
		return n;
	/* from a file no way leads up; of a layer's the index knows where it must be */
	if (!IS(st.st_mode, S_IFDIR)) {
		n = object_place(view, &st, host);
		if (n < 0)
			host[0] = 0;
		return n;
	}
	n = last_is(&st, host, size);
	if (!n) {
		n = climb(fd, host, size);
		if (n > 0)
			far_learn(host);
	}
	return n;
}

long host_of_cwd(const struct core_view *view, char *host, size_t size)
{
	long fd, n = sys_call2(__NR_getcwd, host, size);

	if (n != -ENAMETOOLONG)
		return n < 0 ? n : n - 1;
	fd = sys_call4(__NR_openat, AT_FDCWD, ".", FIND, 0);
	if (fd < 0)
		return fd;
	n = host_of_fd(view, (int)fd, host, size);
	sys_call1(__NR_close, fd);
	return n;
}

long host_of_link(const struct core_view *view, const char *link, char *host, size_t size)
{
	long fd, n = sys_call4(__NR_readlinkat, AT_FDCWD, link, host, size - 1);

	if (n >= 0)
		host[n] = 0;
	if (n != -ENAMETOOLONG)
		return n;
	fd = sys_call4(__NR_openat, AT_FDCWD, link, O_PATH | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	n = host_of_fd(view, (int)fd, host, size);
	sys_call1(__NR_close, fd);
	return n;
}
