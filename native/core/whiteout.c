/*
 * "This name is deleted" and "nothing below this directory shows", as kernel
 * overlayfs writes them when mounted with "userxattr", so that its tools and
 * ours can read each other's uppers.
 */
#include "internal.h"

static long get_xattr(const char *host, const char *name, char *value, size_t size)
{
	return sys_call4(__NR_lgetxattr, host, name, value, size);
}

long whiteout_is(const char *host, const struct stat *st)
{
	char value;
	long r;

	if (IS(st->st_mode, S_IFCHR))
		return st->st_rdev == 0;
	if (!IS(st->st_mode, S_IFREG) || st->st_size)
		return 0;
	r = get_xattr(host, LPMX_XATTR_WHITEOUT, &value, 0);
	return r >= 0 ? 1 : xattr_missing(r) ? 0 : r;
}

/* In the second form, an overlayfs looks for whiteouts only in marked directories. */
static long mark_parent(const char *host)
{
	char parent[CORE_HOST_MAX], value[2];
	uint32_t length = path_parent(host, (uint32_t)text_length(host));

	bytes_copy(parent, host, length);
	parent[length] = 0;
	if (get_xattr(parent, LPMX_XATTR_OPAQUE, value, sizeof(value)) >= 1)
		return 0;
	return sys_call5(__NR_lsetxattr, parent, LPMX_XATTR_OPAQUE, "x", 1, 0);
}

/* Does this answer of mknod mean that such a device cannot be had here? */
static int no_device(long r)
{
	return r == -EPERM || r == -EINVAL || r == -EOPNOTSUPP;
}

long whiteout_make(const char *host, const char *final)
{
	long r, fd;

	r = sys_call4(__NR_mknodat, AT_FDCWD, host, S_IFCHR, 0);
	if (!no_device(r))
		return r;
	fd = sys_call4(__NR_openat, AT_FDCWD, host, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fd;
	sys_call2(__NR_fchmod, fd, 0600); /* the program's umask is not ours */
	r = sys_call5(__NR_fsetxattr, fd, LPMX_XATTR_WHITEOUT, "", 0, 0);
	sys_call1(__NR_close, fd);
	if (!r)
		r = mark_parent(final);
	if (r < 0)
		sys_call3(__NR_unlinkat, AT_FDCWD, host, 0);
	return r;
}

long whiteout_put(struct core_task *task, const struct core_node *node)
{
	char host[CORE_HOST_MAX], work[CORE_HOST_MAX];
	struct record_id gone;
	long r;

	r = upper_host(task->view, node->path, host);
	if (r < 0)
		return r;
	upper_touch(task->view, node->hash, 1);
	if (node->place == CORE_LOWER) {
		/* a device is whole as it is made */
		r = sys_call4(__NR_mknodat, AT_FDCWD, host, S_IFCHR, 0);
		if (no_device(r)) {
			r = upper_work_name(task->view, work);
			if (r >= 0)
				r = whiteout_make(work, host);
			if (r >= 0)
				r = upper_place(work, host);
		}
		/* copied up by somebody else meanwhile, or removed: replaced just so */
		if (r != -EEXIST)
			return r;
	}
	if (IS(node->mode, S_IFDIR))
		return upper_remove_directory(task->view, host, 1);
	r = upper_work_name(task->view, work);
	if (r >= 0)
		r = whiteout_make(work, host);
	if (r < 0)
		return r;
	record_leaving(task->view, host, &gone);
	r = sys_call5(__NR_renameat2, AT_FDCWD, work, AT_FDCWD, host, 0);
	if (r < 0)
		sys_call3(__NR_unlinkat, AT_FDCWD, work, 0);
	else
		record_gone(task->view, &gone);
	return r;
}

long opaque_is(const char *host)
{
	char value[4];
	long r = get_xattr(host, LPMX_XATTR_OPAQUE, value, sizeof(value));

	if (r < 0)
		return xattr_missing(r) ? 0 : r;
	return r == 1 && value[0] == 'y';
}

long opaque_set(const char *host)
{
	return sys_call5(__NR_lsetxattr, host, LPMX_XATTR_OPAQUE, "y", 1, 0);
}
