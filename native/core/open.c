/* open and its kin: the only calls that give a descriptor for a path. */
#include <linux/openat2.h>

#include "internal.h"

#ifndef O_TMPFILE
#define O_TMPFILE (020000000 | O_DIRECTORY)
#endif
#define O_PATH_ 010000000

static int writes(int flags)
{
	return !(flags & O_PATH_) && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC));
}

/* What the new file is shown as: its mode after the umask was applied. */
static void settle(struct core_task *task, const char *host, int fd)
{
	struct meta meta = { 0, 0, 0, 0, 0 };
	struct stat st;

	if (sys_call2(__NR_fstat, fd, &st))
		return;
	meta.mode = st.st_mode;
	meta_created(task, host, fd, &meta);
}

/* Create a file where the view has none. */
static long create(struct core_task *task, struct core_node *node, int flags, int mode)
{
	char host[CORE_HOST_MAX], work[CORE_HOST_MAX];
	long fd, r;

	if (node->trailing_slash)
		return -EISDIR;
	r = upper_writable(task, node);
	if (r < 0)
		return r;
	if (node->bind)
		return sys_call4(__NR_openat, AT_FDCWD, node->host, flags, mode);
	r = upper_parents(task, node);
	if (r >= 0)
		r = upper_host(task->view, node->path, host);
	if (r < 0)
		return r;
	upper_touch(task->view, node->hash, 0);
	if (!node->hidden) {
		fd = sys_call4(__NR_openat, AT_FDCWD, host, flags | O_NOFOLLOW, mode);
		if (fd >= 0)
			settle(task, host, (int)fd);
		return fd;
	}
	/* over a whiteout: made aside, then renamed onto it */
	r = upper_work_name(task->view, work);
	if (r < 0)
		return r;
	fd = sys_call4(__NR_openat, AT_FDCWD, work, flags | O_NOFOLLOW, mode);
	if (fd < 0)
		return fd;
	settle(task, work, (int)fd);
	r = upper_place(work, host, 1, 0);
	if (r < 0) {
		sys_call1(__NR_close, fd);
		return r;
	}
	return fd;
}

/* A file that will have no name: made in the upper's directory. */
static long temporary(struct core_task *task, struct core_node *node, int flags, int mode)
{
	long fd, r;

	if (!IS(node->mode, S_IFDIR))
		return -ENOTDIR;
	r = upper_writable(task, node);
	if (r >= 0)
		r = copy_up(task, node);
	if (r < 0)
		return r;
	fd = sys_call4(__NR_openat, AT_FDCWD, node->host, flags, mode);
	if (fd >= 0 && !node->bind)
		settle(task, node->host, (int)fd);
	return fd;
}

static long open_existing(struct core_task *task, struct core_node *node, int flags, int mode)
{
	long r;

	if ((flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if ((flags & O_CREAT) && IS(node->mode, S_IFDIR))
		return -EISDIR;
	if (node->bind) {
		if (writes(flags) && node->bind->read_only && IS(node->mode, S_IFREG))
			return -EROFS;
		if (task->view->illusion && proc_magic(node->host))
			return sys_call4(__NR_openat, AT_FDCWD, node->host, flags & ~O_CREAT, mode);
		return sys_call4(__NR_openat, AT_FDCWD, node->host, flags, mode);
	}
	if (IS(node->mode, S_IFLNK) && !(flags & O_PATH_))
		return -ELOOP;
	if (task->view->illusion && task->credentials.fsuid && !(flags & O_PATH_)) {
		struct meta meta;
		struct stat st;
		int want = ((flags & O_ACCMODE) == O_RDONLY   ? 4
			    : (flags & O_ACCMODE) == O_WRONLY ? 2
							      : 6) |
			   (flags & O_TRUNC ? 2 : 0);

		if (!sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, AT_SYMLINK_NOFOLLOW)) {
			meta_of_node(task, node, &st, &meta);
			if (!meta_allows(task, &meta, task->credentials.fsuid,
					 task->credentials.fsgid, want))
				return -EACCES;
		}
	}
	if (node->place == CORE_LOWER && !(flags & O_PATH_) &&
	    (IS(node->mode, S_IFIFO) || (writes(flags) && IS(node->mode, S_IFREG)))) {
		r = upper_writable(task, node);
		if (r >= 0)
			r = copy_up(task, node);
		if (r < 0)
			return r;
	}
	if (IS(node->mode, S_IFSOCK) && !(flags & O_PATH_))
		return -ENXIO;
	if (!(flags & O_PATH_) && node->entry && node->place == CORE_LOWER &&
	    (IS(node->mode, S_IFCHR) || IS(node->mode, S_IFBLK)))
		return -ENXIO;
	return sys_call4(__NR_openat, AT_FDCWD, node->host, (flags & ~O_CREAT) | O_NOFOLLOW, mode);
}

static long open_at(struct core_task *task, int dirfd, const char *user, int flags, int mode)
{
	char path[CORE_PATH_MAX];
	struct core_node node;
	int nofollow = (flags & O_NOFOLLOW) || ((flags & O_CREAT) && (flags & O_EXCL));
	long r;

	r = user_path(task, user, path);
	if (r < 0)
		return r;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		flags &= ~O_CREAT;
	else if (flags & O_PATH_)
		flags &= O_PATH_ | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	r = core_resolve(task, dirfd, path,
			 (nofollow ? CORE_NOFOLLOW : 0) |
				 (flags & O_CREAT ? CORE_MAY_BE_ABSENT : 0),
			 &node);
	if (r < 0)
		return r;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return temporary(task, &node, flags, mode);
	if (node.place == CORE_ABSENT)
		return create(task, &node, flags, mode);
	return open_existing(task, &node, flags, mode);
}

/*
 * openat2: what RESOLVE_* forbids is checked against the host path that the view
 * gives, so symlinks inside the view are followed only where none is forbidden.
 */
static long open_how(struct core_task *task, const long a[6])
{
	struct open_how how;
	char path[CORE_PATH_MAX];
	struct core_node node;
	long r;

	if ((size_t)a[3] < sizeof(how))
		return -EINVAL;
	if (user_probe(task, (void *)a[2]) < 0 || user_probe(task, (char *)a[2] + sizeof(how) - 1) < 0)
		return -EFAULT;
	bytes_copy(&how, (void *)a[2], sizeof(how));
	for (size_t i = sizeof(how); i < (size_t)a[3]; i++)
		if (((char *)a[2])[i])
			return -E2BIG;
	if (how.resolve & ~0x3full)
		return -EINVAL;
	if (how.resolve & (RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT)) {
		char nofollow[CORE_PATH_MAX], base[CORE_PATH_MAX];

		r = user_path(task, (const char *)a[1], path);
		if (r >= 0)
			r = core_resolve(task, (int)a[0], path,
					 how.flags & O_NOFOLLOW || how.flags & O_CREAT
						 ? CORE_NOFOLLOW | CORE_MAY_BE_ABSENT
						 : 0,
					 &node);
		if (r < 0)
			return r;
		r = path_of_fd(task, (int)a[0], base, sizeof(base));
		if (r < 0)
			return r;
		if (how.resolve & RESOLVE_BENEATH) {
			size_t n = text_length(base);

			if (path[0] == '/' || !text_same(node.path, base, n) ||
			    (node.path[n] != '/' && node.path[n]))
				return -EXDEV;
		}
		if (how.resolve & RESOLVE_IN_ROOT && path[0] == '/')
			return -ENOSYS;
		if (how.resolve & RESOLVE_NO_SYMLINKS) {
			/* canonical already, as typed, means that no link was met */
			r = path_join(nofollow, sizeof(nofollow), path[0] == '/' ? task->root : base,
				      path[0] == '/' ? "" : "/");
			if (r < 0 || path_join(nofollow + r, sizeof(nofollow) - (size_t)r, "", path) < 0)
				return -ENAMETOOLONG;
			if (!text_equal(nofollow, node.path) && !IS(node.mode, S_IFDIR))
				return -ELOOP;
		}
	}
	return open_at(task, (int)a[0], (const char *)a[1], (int)how.flags, (int)how.mode);
}

long call_open(struct core_task *task, long nr, const long a[6])
{
	switch (nr) {
#ifdef __NR_open
	case __NR_open:
		return open_at(task, AT_FDCWD, (const char *)a[0], (int)a[1], (int)a[2]);
	case __NR_creat:
		return open_at(task, AT_FDCWD, (const char *)a[0], O_CREAT | O_WRONLY | O_TRUNC,
			       (int)a[1]);
#endif
	case __NR_openat:
		return open_at(task, (int)a[0], (const char *)a[1], (int)a[2], (int)a[3]);
	default:
		return open_how(task, a);
	}
}
