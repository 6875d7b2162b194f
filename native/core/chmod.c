/* chmod, chown and their kin: by a name, by a descriptor, by a handle of O_PATH. */
#include "internal.h"

/* Change what the upper object at `host` (or `fd`) is shown as. */
static long change(struct core_task *task, const char *host, int fd, const struct meta *to,
		   int owner, int mode)
{
	struct meta meta, before;
	struct stat st;
	long r;

	r = fd >= 0 ? sys_call2(__NR_fstat, fd, &st)
		    : sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW);
	if (r >= 0)
		r = meta_of_upper(task->view, host, fd, &st, &meta);
	if (r < 0)
		return r;
	before = meta;
	if (mode) {
		if (!permission_is_owner(task, &meta))
			return -EPERM;
		meta.mode = (meta.mode & S_IFMT) | permission_mode(task, &meta, to->mode & 07777);
	}
	if (owner) {
		r = permission_to_give(task, &meta, to);
		if (r < 0)
			return r;
	}
	r = meta_store(task->view, host, fd, &meta);
	if (r < 0)
		meta_store(task->view, host, fd, &before);
	else if (owner && IS(meta.mode, S_IFREG))
		/* as the kernel: and what capabilities the program gave */
		sys_call2(fd >= 0 ? __NR_fremovexattr : __NR_lremovexattr, fd >= 0 ? fd : (long)host,
			  LPMX_XATTR_ROOT "security.capability");
	return r;
}

/* What is not of the union can be given to nobody; root's chown is taken as done. */
static long given(const struct core_task *task, const struct meta *to)
{
	uint32_t uid = task->credentials.fsuid;

	return uid && to->uid != ~0u && to->uid != uid ? -EPERM : 0;
}

/*
 * The same for a node: copied up first.  On a bind the kernel decides about modes.
 */
static long change_node(struct core_task *task, struct core_node *node, const struct meta *to,
			int owner, int mode)
{
	long r = upper_writable(task, node);

	if (r < 0)
		return r;
	if (node->place == CORE_BIND) {
		if (mode)
			return IS(node->mode, S_IFLNK)
				       ? -EOPNOTSUPP
				       : sys_call3(__NR_fchmodat, AT_FDCWD, node->host, to->mode);
		if (task->view->illusion)
			return given(task, to);
		return sys_call5(__NR_fchownat, AT_FDCWD, node->host, to->uid, to->gid,
				 AT_SYMLINK_NOFOLLOW);
	}
	if (IS(node->mode, S_IFLNK) && mode)
		return -EOPNOTSUPP;
	r = copy_up(task, node);
	return r < 0 ? r : change(task, node->host, -1, to, owner, mode);
}

/*
 * And for a descriptor, whose file may have no name any more; `handle`: it may be one
 * of O_PATH, as with AT_EMPTY_PATH.
 */
static long change_fd(struct core_task *task, int fd, int handle, const struct meta *to, int owner,
		      int mode)
{
	struct core_node node;
	long r = target_of_fd(task, fd, handle, &node);

	switch (r) {
	case TARGET_NAME:
		if (!node.bind)
			r = target_lift(task, fd, &node);
		return r < 0 ? r : change_node(task, &node, to, owner, mode);
	case TARGET_DESCRIPTOR:
		return change(task, node.host, fd, to, owner, mode);
	case TARGET_KERNEL:
		if (mode)
			return sys_call2(__NR_fchmod, fd, to->mode);
		/* as with a name on a bind */
		return task->view->illusion ? given(task, to)
					    : sys_call3(__NR_fchown, fd, to->uid, to->gid);
	default:
		return r;
	}
}

/* For a name.  What a descriptor's link in /proc leads to may have none any more. */
static long change_named(struct core_task *task, struct core_node *node, int flags,
			 const struct meta *to, int owner, int mode)
{
	int fd = node->bind && !(flags & AT_SYMLINK_NOFOLLOW) ? proc_own_fd(node->host) : -1;

	return fd >= 0 ? change_fd(task, fd, 1, to, owner, mode)
		       : change_node(task, node, to, owner, mode);
}

/* For what the directory and the name of a call lead to. */
static long change_at(struct core_task *task, int dirfd, const char *name, int flags,
		      const struct meta *to, int owner, int mode)
{
	char path[CORE_SAID_MAX];
	struct core_node node;
	long r;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	r = user_path(task, name, path);
	if (r < 0)
		return r;
	if (!path[0] && (flags & AT_EMPTY_PATH) && dirfd != AT_FDCWD)
		return change_fd(task, dirfd, 1, to, owner, mode);
	r = core_resolve(task, dirfd, path_or_here(path, flags),
			 flags & AT_SYMLINK_NOFOLLOW ? CORE_NOFOLLOW : 0, &node);
	return r < 0 ? r : change_named(task, &node, flags, to, owner, mode);
}

long call_chmod(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_fchmodat || nr == 452 /* fchmodat2 */;
	struct meta to = { .mode = (uint32_t)a[at ? 2 : 1] };

	if (nr == __NR_fchmod)
		return change_fd(task, (int)a[0], 0, &to, 0, 1);
	return change_at(task, at ? (int)a[0] : AT_FDCWD, (const char *)a[at],
			 nr == 452 ? (int)a[3] : 0, &to, 0, 1);
}

long call_chown(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_fchownat;
	struct meta to = { .uid = (uint32_t)a[at ? 2 : 1], .gid = (uint32_t)a[at ? 3 : 2] };

	if (nr == __NR_fchown)
		return change_fd(task, (int)a[0], 0, &to, 1, 0);
	return change_at(task, at ? (int)a[0] : AT_FDCWD, (const char *)a[at],
			 at ? (int)a[4] : nr == __NR_lchown ? AT_SYMLINK_NOFOLLOW : 0, &to, 1, 0);
}
