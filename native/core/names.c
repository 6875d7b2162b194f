/* mkdir, mknod, symlink, unlink and rmdir: names that come and go. */
#include "internal.h"

/*
 * Resolve where a new name is to be: absent, in a writable place, its parents in
 * the upper.  `host` is what to make, and *aside says that it is a work name which
 * place_new must move onto a whiteout.
 */
static long new_name(struct core_task *task, int dirfd, const char *user, struct core_node *node,
		     char host[CORE_HOST_MAX], int directory)
{
	char path[CORE_PATH_MAX];
	long r;

	r = user_path(task, user, path);
	if (r >= 0)
		r = core_resolve(task, dirfd, path, CORE_NOFOLLOW | CORE_MAY_BE_ABSENT, node);
	if (r < 0)
		return r == -ENOTDIR && 0 ? -EEXIST : r;
	if (node->place != CORE_ABSENT)
		return -EEXIST;
	if (node->trailing_slash && !directory)
		return -ENOENT;
	r = upper_writable(task, node);
	if (r < 0)
		return r;
	if (node->bind) {
		text_put(host, node->host);
		return 0;
	}
	r = upper_parents(task, node);
	if (r < 0)
		return r;
	return node->hidden ? upper_work_name(task->view, host)
			    : upper_host(task->view, node->path, host);
}

/* The new object is complete: into its place, if it is not there. */
static long place_new(struct core_task *task, const struct core_node *node, const char *made,
		      int directory)
{
	char host[CORE_HOST_MAX];
	long r;

	if (node->bind || !node->hidden)
		return 0;
	r = upper_host(task->view, node->path, host);
	return r < 0 ? r : upper_place(made, host, 1, directory);
}

/* Record owner and mode of what was just made at `host`. */
static long settle(struct core_task *task, const struct core_node *node, const char *host,
		   const struct meta *device)
{
	struct meta meta = { 0, 0, 0, 0, 0 };
	struct stat st;
	long r;

	if (node->bind)
		return 0;
	r = sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return r;
	if (device)
		meta = *device;
	meta.mode = (device ? device->mode & S_IFMT : st.st_mode & S_IFMT) | (st.st_mode & 07777);
	return IS(st.st_mode, S_IFREG) || IS(st.st_mode, S_IFDIR)
		       ? meta_created(task, host, -1, &meta)
		       : 0;
}

long call_mkdir(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_mkdirat;
	char host[CORE_HOST_MAX];
	struct core_node node;
	long r;

	r = new_name(task, at ? (int)a[0] : AT_FDCWD, (const char *)a[at], &node, host, 1);
	if (r < 0)
		return r;
	upper_touch(task->view, node.hash, node.hidden);
	r = sys_call3(__NR_mkdirat, AT_FDCWD, host, a[at + 1]);
	if (r < 0)
		return r;
	r = settle(task, &node, host, 0);
	if (r >= 0 && node.hidden && !node.bind)
		r = opaque_set(host);
	if (r < 0) {
		sys_call3(__NR_unlinkat, AT_FDCWD, host, AT_REMOVEDIR);
		return r;
	}
	return place_new(task, &node, host, 1);
}

static long make_node(struct core_task *task, const struct core_node *node, const char *host,
		      uint32_t mode, uint32_t device)
{
	struct meta meta = { 0, 0, mode, device >> 8 & 0xfff, (device & 0xff) | (device >> 12 & ~0xffu) };
	long r;

	switch (mode & S_IFMT) {
	case S_IFCHR:
	case S_IFBLK:
		if (node->bind || !task->view->illusion)
			return sys_call4(__NR_mknodat, AT_FDCWD, host, mode, device);
		/* a stand-in; what it is stands in its record */
		r = sys_call4(__NR_mknodat, AT_FDCWD, host, S_IFREG | (mode & 07777), 0);
		return r < 0 ? r : settle(task, node, host, &meta);
	case 0:
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		r = sys_call4(__NR_mknodat, AT_FDCWD, host, mode, 0);
		return r < 0 ? r : settle(task, node, host, 0);
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

long call_mknod(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_mknodat;
	char host[CORE_HOST_MAX];
	struct core_node node;
	long r;

	r = new_name(task, at ? (int)a[0] : AT_FDCWD, (const char *)a[at], &node, host, 0);
	if (r < 0)
		return r;
	upper_touch(task->view, node.hash, !IS(a[at + 1], S_IFREG) && (a[at + 1] & S_IFMT));
	r = make_node(task, &node, host, (uint32_t)a[at + 1], (uint32_t)a[at + 2]);
	return r < 0 ? r : place_new(task, &node, host, 0);
}

long call_symlink(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_symlinkat;
	char host[CORE_HOST_MAX], target[CORE_PATH_MAX];
	struct core_node node;
	long r;

	r = user_path(task, (const char *)a[0], target);
	if (r < 0)
		return r;
	if (!target[0])
		return -ENOENT;
	r = new_name(task, at ? (int)a[1] : AT_FDCWD, (const char *)a[at + 1], &node, host, 0);
	if (r < 0)
		return r;
	upper_touch(task->view, node.hash, 1);
	r = sys_call3(__NR_symlinkat, target, AT_FDCWD, host);
	return r < 0 ? r : place_new(task, &node, host, 0);
}

/* Take the name out of the view: out of the upper, and hidden if a lower has it. */
static long remove_name(struct core_task *task, struct core_node *node)
{
	int directory = IS(node->mode, S_IFDIR);
	long r;

	if (!task->view->upper.length)
		return -EROFS;
	if (node->place == CORE_LOWER || node->has_lower) {
		r = upper_parents(task, node);
		return r < 0 ? r : whiteout_put(task, node);
	}
	r = sys_call3(__NR_unlinkat, AT_FDCWD, node->host, directory ? AT_REMOVEDIR : 0);
	/* what is left in an empty-looking directory is whiteouts */
	return directory && r == -ENOTEMPTY ? upper_discard(node->host) : r;
}

long call_unlink(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_unlinkat;
	int directory = at ? (int)a[2] & AT_REMOVEDIR : nr != __NR_unlink;
	char path[CORE_PATH_MAX];
	struct core_node node;
	size_t n;
	long r;

	if (at && (a[2] & ~AT_REMOVEDIR))
		return -EINVAL;
	r = user_path(task, (const char *)a[at], path);
	if (r < 0)
		return r;
	if (directory) {
		/* the last component as typed: "." is refused, ".." is never empty */
		for (n = (size_t)r; n > 1 && path[n - 1] == '/'; n--)
			;
		if (n && path[n - 1] == '.' && (n == 1 || path[n - 2] == '/'))
			return -EINVAL;
		if (n > 1 && path[n - 1] == '.' && path[n - 2] == '.' && (n == 2 || path[n - 3] == '/'))
			return -ENOTEMPTY;
	}
	r = core_resolve(task, at ? (int)a[0] : AT_FDCWD, path, CORE_NOFOLLOW, &node);
	if (r < 0)
		return r;
	if (directory != 0 && !IS(node.mode, S_IFDIR))
		return -ENOTDIR;
	if (!directory && IS(node.mode, S_IFDIR))
		return -EISDIR;
	if (!node.path_length)
		return -EBUSY;
	r = upper_writable(task, &node);
	if (r < 0)
		return r;
	if (node.bind) {
		if (text_equal(node.path, node.bind->at.text))
			return -EBUSY;
		return sys_call3(__NR_unlinkat, AT_FDCWD, node.host,
				 directory ? AT_REMOVEDIR : 0);
	}
	if (directory) {
		r = dir_empty(task, &node);
		if (r <= 0)
			return r < 0 ? r : -ENOTEMPTY;
	}
	return remove_name(task, &node);
}
