/* mkdir, mknod, symlink, unlink and rmdir: names that come and go. */
#include "internal.h"

/*
 * Resolve where a new name is to be: absent, in a writable place, its parents in
 * the upper.  `host` is what to make: over a whiteout that is a work name, which
 * place_new moves onto it.
 */
static long new_name(struct core_task *task, int dirfd, const char *user, struct core_node *node,
		     char host[CORE_HOST_MAX], int directory)
{
	char path[CORE_SAID_MAX];
	long r;

	r = user_path(task, user, path);
	if (r >= 0)
		r = core_resolve(task, dirfd, path, CORE_ENTRY | CORE_MAY_BE_ABSENT, node);
	if (r < 0)
		return r;
	if (node->place != CORE_ABSENT || node->last != CORE_LAST_NAME)
		return -EEXIST;
	if (node->trailing_slash && !directory)
		return -ENOENT;
	r = upper_writable(task, node);
	if (r >= 0)
		r = permission_to_change(task, node, 0);
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
static long place_new(struct core_task *task, const struct core_node *node, const char *made)
{
	char host[CORE_HOST_MAX];
	long r;

	if (node->bind || !node->hidden)
		return 0;
	r = upper_host(task->view, node->path, host);
	return r < 0 ? r : upper_place_over(task->view, made, host);
}

/* Record owner and mode of what was just made at `host`. */
static long settle(struct core_task *task, const struct core_node *node, const char *host,
		   const struct meta *as)
{
	char place[CORE_HOST_MAX];
	long r;

	if (node->bind)
		return 0;
	r = upper_host(task->view, node->path, place);
	if (r < 0)
		return r;
	if (IS(as->mode, S_IFCHR) || IS(as->mode, S_IFBLK))
		meta_mark_parent(place);
	place[path_parent(place, (uint32_t)text_length(place))] = 0;
	return meta_created(task, place, host, -1, as);
}

long call_mkdir(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_mkdirat;
	char host[CORE_HOST_MAX];
	struct core_node node;
	struct meta meta = { .mode = S_IFDIR };
	long r;

	r = new_name(task, at ? (int)a[0] : AT_FDCWD, (const char *)a[at], &node, host, 1);
	if (r < 0)
		return r;
	if (node.bind)
		return sys_call3(__NR_mkdirat, AT_FDCWD, host, a[at + 1]);
	upper_touch(task->view, node.hash, node.hidden);
	meta.mode |= (uint32_t)a[at + 1] & S_ISVTX;
	r = sys_call3(__NR_mkdirat, AT_FDCWD, host, a[at + 1] & META_REAL_BITS);
	if (r < 0)
		return r;
	r = settle(task, &node, host, &meta);
	if (r >= 0 && node.hidden)
		r = opaque_set(host);
	if (r < 0) {
		sys_call3(__NR_unlinkat, AT_FDCWD, host, AT_REMOVEDIR);
		return r;
	}
	return place_new(task, &node, host);
}

static long make_node(struct core_task *task, const struct core_node *node, const char *host,
		      uint32_t mode, uint32_t device)
{
	struct meta meta = { .mode = mode & ~(uint32_t)META_REAL_BITS,
			     .rdev_major = device >> 8 & 0xfff,
			     .rdev_minor = (device & 0xff) | (device >> 12 & ~0xffu) };
	long r;

	if (node->bind)
		return sys_call4(__NR_mknodat, AT_FDCWD, host, mode, device);
	switch (mode & S_IFMT) {
	case S_IFCHR:
	case S_IFBLK:
		if (!task->view->illusion || task->credentials.euid)
			return -EPERM;
		/* a stand-in; what it is stands in its record */
		r = sys_call4(__NR_mknodat, AT_FDCWD, host, S_IFREG | (mode & META_REAL_BITS), 0);
		break;
	case 0:
	case S_IFREG:
		meta.mode |= S_IFREG;
		r = sys_call4(__NR_mknodat, AT_FDCWD, host, S_IFREG | (mode & META_REAL_BITS), 0);
		break;
	case S_IFIFO:
	case S_IFSOCK:
		return sys_call4(__NR_mknodat, AT_FDCWD, host, mode & ~(uint32_t)(S_ISUID | S_ISGID),
				 0);
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
	if (r >= 0) {
		r = settle(task, node, host, &meta);
		if (r < 0)
			sys_call3(__NR_unlinkat, AT_FDCWD, host, 0);
	}
	return r;
}

long call_mknod(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_mknodat;
	uint32_t mode = (uint32_t)a[at + 1];
	char host[CORE_HOST_MAX];
	struct core_node node;
	long r;

	/* the type is looked at before the name */
	if (IS(mode, S_IFDIR))
		return -EPERM;
	if ((mode & S_IFMT) && !IS(mode, S_IFREG) && !IS(mode, S_IFCHR) && !IS(mode, S_IFBLK) &&
	    !IS(mode, S_IFIFO) && !IS(mode, S_IFSOCK))
		return -EINVAL;
	r = new_name(task, at ? (int)a[0] : AT_FDCWD, (const char *)a[at], &node, host, 0);
	if (r < 0)
		return r;
	upper_touch(task->view, node.hash, !IS(mode, S_IFREG) && (mode & S_IFMT));
	r = make_node(task, &node, host, mode, (uint32_t)a[at + 2]);
	return r < 0 ? r : place_new(task, &node, host);
}

long call_symlink(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_symlinkat;
	char host[CORE_HOST_MAX], target[CORE_SAID_MAX];
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
	return r < 0 ? r : place_new(task, &node, host);
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
	return directory ? upper_remove_directory(task->view, node->host, 0)
			 : sys_call3(__NR_unlinkat, AT_FDCWD, node->host, 0);
}

long call_unlink(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_unlinkat;
	int directory = at ? (int)a[2] & AT_REMOVEDIR : nr != __NR_unlink;
	char path[CORE_SAID_MAX];
	struct core_node node;
	long r;

	if (at && (a[2] & ~AT_REMOVEDIR))
		return -EINVAL;
	r = user_path(task, (const char *)a[at], path);
	if (r < 0)
		return r;
	r = core_resolve(task, at ? (int)a[0] : AT_FDCWD, path, CORE_ENTRY, &node);
	if (r < 0)
		return r;
	if (node.last != CORE_LAST_NAME)
		return !directory                        ? -EISDIR
		       : node.last == CORE_LAST_DOT      ? -EINVAL
		       : node.last == CORE_LAST_DOT_DOT ? -ENOTEMPTY
							 : -EBUSY;
	if (!node.path_length)
		return directory ? -EBUSY : -EISDIR;
	if (!directory && node.trailing_slash)
		return IS(node.mode, S_IFDIR) ? -EISDIR : -ENOTDIR;
	r = upper_writable(task, &node);
	if (r >= 0)
		r = permission_to_change(task, &node, 1);
	if (r < 0)
		return r;
	if (directory && !IS(node.mode, S_IFDIR))
		return -ENOTDIR;
	if (!directory && IS(node.mode, S_IFDIR))
		return -EISDIR;
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
