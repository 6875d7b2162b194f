/*
 * Directory streams.
 *
 * libc's ask the kernel from inside libc, where each question would trap: to open, what was
 * opened, the names, whether there are more.  A stream means something to the functions below
 * only, so all of them are here, and a stream of libc's own (glob, scandir, nftw) never comes
 * here: it does not leave libc.
 *
 * As in libc, who uses one stream in two threads is made to wait, and a handler must not use
 * the stream that it has interrupted.  Memory of streams that were closed is used again.
 */
#include <asm/stat.h>
#include <linux/mman.h>

#include "call.h"

#define BUFFER_SIZE 32768u
/* As much of an entry as readdir_r may write: programs give it no more room than that. */
#define ENTRY_MAX (__builtin_offsetof(struct dirent, d_name) + 256u)
/* Behind the last entry: programs copy a whole `struct dirent`, whatever the length of its name. */
#define SLACK 512u
#define KEPT 4
#define IS_DIRECTORY(mode) (((mode) & 0170000) == 0040000)

/* The kernel's, and on 64-bit architectures each libc's. */
struct dirent {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[256];
};

struct stream {
	int fd;
	volatile int busy;
	int all;               /* nothing comes after what is in the buffer */
	int error;             /* of an entry that readdir_r had no room for */
	unsigned at, size;     /* in the buffer: the next entry, and the end */
	long position;         /* behind the entry that was given last */
	char buffer[BUFFER_SIZE + SLACK] __attribute__((aligned(8)));
};

static struct stream *volatile kept[KEPT];

static struct stream *take(int fd)
{
	struct stream *s = 0;
	long r;

	for (unsigned i = 0; i < KEPT && !s; i++)
		if (kept[i])
			s = __atomic_exchange_n(&kept[i], 0, __ATOMIC_ACQUIRE);
	if (!s) {
		r = sys_call6(__NR_mmap, 0, sizeof(*s), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (SYS_FAILED(r)) {
			preload_result(r);
			return 0;
		}
		s = (struct stream *)r;
	}
	s->fd = fd;
	s->busy = s->all = s->error = 0;
	s->at = s->size = 0;
	s->position = 0;
	return s;
}

static void give_back(struct stream *s)
{
	for (unsigned i = 0; i < KEPT; i++) {
		struct stream *none = 0;

		if (!kept[i] && __atomic_compare_exchange_n(&kept[i], &none, s, 0, __ATOMIC_RELEASE,
							    __ATOMIC_RELAXED))
			return;
	}
	sys_call2(__NR_munmap, s, sizeof(*s));
}

static void lock(struct stream *s)
{
	while (__atomic_exchange_n(&s->busy, 1, __ATOMIC_ACQUIRE))
		sys_call0(__NR_sched_yield);
}

static void unlock(struct stream *s)
{
	__atomic_store_n(&s->busy, 0, __ATOMIC_RELEASE);
}

EXPORTED struct stream *opendir(const char *path)
{
	const int flags = O_RDONLY | O_NONBLOCK | O_DIRECTORY | O_CLOEXEC;
	long fd = preload_entry ? preload_entry->call(LPMX_SYSCALL, LPMX_OP_OPEN, AT_FDCWD,
						      (long)path, flags, 0, 0)
				: -LPMX_NOT_READY;
	struct stream *s;

	if (fd == -LPMX_NOT_READY)
		fd = sys_call4(__NR_openat, AT_FDCWD, path, flags, 0);
	if (preload_result(fd) < 0)
		return 0;
	s = take((int)fd);
	if (!s)
		sys_call1(__NR_close, fd);
	return s;
}

EXPORTED struct stream *fdopendir(int fd)
{
	struct stat st;
	long flags;

	if (CALL(__NR_fstat, fd, &st, 0, 0, 0) < 0)
		return 0;
	if (!IS_DIRECTORY(st.st_mode)) {
		preload_result(-ENOTDIR);
		return 0;
	}
	flags = preload_result(sys_call2(__NR_fcntl, fd, F_GETFL));
	/* by O_PATH nothing can be listed */
	if (flags >= 0 && flags & O_PATH)
		flags = preload_result(-EBADF);
	if (flags >= 0 && (flags & O_ACCMODE) == O_WRONLY)
		flags = preload_result(-EINVAL);
	if (flags < 0 || preload_result(sys_call3(__NR_fcntl, fd, F_SETFD, FD_CLOEXEC)) < 0)
		return 0;
	return take(fd);
}

EXPORTED int closedir(struct stream *s)
{
	int fd;

	if (!s)
		return (int)preload_result(-EINVAL);
	fd = s->fd;
	give_back(s);
	return (int)preload_result(sys_call1(__NR_close, fd));
}

/* The next entry, 0 at the end, or -errno. */
static long next(struct stream *s, struct dirent **entry)
{
	do {
		if (s->at >= s->size) {
			long n = s->all ? 0
				 : preload_entry
					 ? preload_entry->call(LPMX_SYSCALL, LPMX_OP_LIST, s->fd,
							       (long)s->buffer, BUFFER_SIZE, 0, 0)
					 : sys_call3(__NR_getdents64, s->fd, s->buffer, BUFFER_SIZE);

			/* who asks behind the end may have set the descriptor's position */
			s->all = 0;
			/* one that was removed has no names */
			if (SYS_FAILED(n) && n != -ENOENT)
				return n;
			if (n <= 0)
				return 0;
			s->all = (n & LPMX_LIST_ALL) != 0;
			s->size = (unsigned)(n & ~LPMX_LIST_ALL);
			s->at = 0;
		}
		*entry = (struct dirent *)(s->buffer + s->at);
		s->at += (*entry)->d_reclen;
		s->position = (*entry)->d_off;
		/* a name that is gone */
	} while (!(*entry)->d_ino);
	return 1;
}

EXPORTED struct dirent *readdir(struct stream *s)
{
	struct dirent *entry;
	long r;

	lock(s);
	r = next(s, &entry);
	unlock(s);
	if (r < 0)
		preload_result(r);
	return r > 0 ? entry : 0;
}

/* Without what is behind the name, for which there may be no room. */
static size_t used(const struct dirent *entry)
{
	return entry->d_reclen <= ENTRY_MAX
		       ? entry->d_reclen
		       : __builtin_offsetof(struct dirent, d_name) + text_length(entry->d_name) + 1;
}

/* An entry that has no room is left out, and told of at the end. */
EXPORTED int readdir_r(struct stream *s, struct dirent *to, struct dirent **result)
{
	struct dirent *entry;
	long r;

	lock(s);
	while ((r = next(s, &entry)) > 0 && used(entry) > ENTRY_MAX)
		s->error = ENAMETOOLONG;
	if (r > 0) {
		bytes_copy(to, entry, used(entry));
		to->d_reclen = (uint16_t)used(entry);
	} else if (!r) {
		r = -s->error;
	}
	unlock(s);
	*result = r > 0 ? to : 0;
	return r < 0 ? (int)-r : 0;
}

static void go_to(struct stream *s, long position)
{
	lock(s);
	sys_call3(__NR_lseek, s->fd, position, 0 /* SEEK_SET */);
	s->at = s->size = 0;
	s->all = s->error = 0;
	s->position = position;
	unlock(s);
}

EXPORTED void seekdir(struct stream *s, long position)
{
	go_to(s, position);
}

EXPORTED void rewinddir(struct stream *s)
{
	go_to(s, 0);
}

EXPORTED long telldir(struct stream *s)
{
	long position;

	lock(s);
	position = s->position;
	unlock(s);
	return position;
}

EXPORTED int dirfd(struct stream *s)
{
	return s->fd;
}

#define ALIAS(of) __attribute__((alias(#of), visibility("default")))

EXPORTED struct dirent *readdir64(struct stream *s) ALIAS(readdir);
EXPORTED int readdir64_r(struct stream *s, struct dirent *to, struct dirent **result) ALIAS(readdir_r);
