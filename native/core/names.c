/* mkdir, mknod, symlink, unlink and rmdir: names that come and go. */
#include "internal.h"

/*
 * Where a new name is to be, and what is to be made.  Over a whiteout, or where it takes
 * a record, that is a work name, which place_new moves into place when it is complete.
 */
struct making {
	struct core_node node;
	struct meta meta;
	int aside;
	char host[CORE_HOST_MAX]; /* what to make */
};

static int is_device(uint32_t mode)
{
	return IS(mode, S_IFCHR) || IS(mode, S_IFBLK);
}

/* Resolve the name: absent, in a writable place, its parents in the upper. */
static long new_name(struct core_task *task, int dirfd, const char *user, struct making *m)
{
	struct core_node *node = &m->node;
	char path[CORE_SAID_MAX];
	long r;

	m->aside = 0;
	r = user_path(task, user, path);
	if (r >= 0)
		r = core_resolve(task, dirfd, path, CORE_ENTRY | CORE_MAY_BE_ABSENT, node);
	if (r < 0)
		return r;
	if (node->place != CORE_ABSENT || node->last != CORE_LAST_NAME)
		return -EEXIST;
	if (node->trailing_slash && !IS(m->meta.mode, S_IFDIR))
		return -ENOENT;
	r = upper_writable(task, node);
	if (r >= 0)
		r = permission_to_change(task, node, 0);
	if (r >= 0 && !node->bind && is_device(m->meta.mode) &&
	    (!task->view->illusion || task->credentials.fsuid))
		r = -EPERM;
	if (r < 0)
		return r;
	if (node->bind) {
		text_put(m->host, node->host);
		return 0;
	}
	r = upper_parents(task, node);
	if (r >= 0)
		r = upper_host(task->view, node->path, m->host);
	if (r >= 0)
		r = meta_creation(task, m->host, &m->meta);
	m->aside = node->hidden || r > 0;
	if (r >= 0 && is_device(m->meta.mode))
		r = meta_mark_parent(m->host);
	return r >= 0 && m->aside ? upper_work_name(task->view, m->host) : r;
}

/* The new object is made: `r` of that.  Its owner and mode, and into its place. */
static long place_new(struct core_task *task, struct making *m, long r)
{
	int directory = IS(m->meta.mode, S_IFDIR);
	char host[CORE_HOST_MAX];

	if (r < 0 || m->node.bind)
		return r;
	r = upper_host(task->view, m->node.path, host);
	if (r >= 0)
		r = meta_created(task, m->host, -1, &m->meta, m->aside ? host : 0);
	if (r >= 0 && directory && m->node.hidden)
		r = opaque_set(m->host);
	if (r < 0) {
		sys_call3(__NR_unlinkat, AT_FDCWD, m->host, directory ? AT_REMOVEDIR : 0);
		return r;
	}
	if (!m->aside)
		return 0;
	return m->node.hidden ? upper_place_over(task->view, m->host, host)
			      : upper_place(m->host, host);
}

long call_mkdir(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_mkdirat;
	struct making m;
	long r;

	m.meta = (struct meta){ .mode = S_IFDIR | ((uint32_t)a[at + 1] & (0777 | S_ISVTX)) };
	r = new_name(task, at ? (int)a[0] : AT_FDCWD, (const char *)a[at], &m);
	if (r < 0)
		return r;
	if (m.node.bind)
		return sys_call3(__NR_mkdirat, AT_FDCWD, m.host, a[at + 1]);
	upper_touch(task->view, m.node.hash, m.node.hidden);
	return place_new(task, &m,
			 sys_call3(__NR_mkdirat, AT_FDCWD, m.host, a[at + 1] & META_REAL_BITS));
}

static long make_node(const struct making *m, uint32_t mode, uint32_t device)
{
	if (m->node.bind)
		return sys_call4(__NR_mknodat, AT_FDCWD, m->host, mode, device);
	switch (mode & S_IFMT) {
	case S_IFCHR:
	case S_IFBLK:
		/* a stand-in; what it is stands in its record */
		__attribute__((fallthrough));
	case 0:
	case S_IFREG:
		return sys_call4(__NR_mknodat, AT_FDCWD, m->host, S_IFREG | (mode & META_REAL_BITS),
				 0);
	default: /* a fifo or a socket */
		return sys_call4(__NR_mknodat, AT_FDCWD, m->host, mode & (S_IFMT | META_REAL_BITS),
				 0);
	}
}

long call_mknod(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_mknodat;
	uint32_t mode = (uint32_t)a[at + 1], device = (uint32_t)a[at + 2];
	struct making m;
	long r;

	/* the type is looked at before the name */
	if (IS(mode, S_IFDIR))
		return -EPERM;
	if ((mode & S_IFMT) && !IS(mode, S_IFREG) && !IS(mode, S_IFCHR) && !IS(mode, S_IFBLK) &&
	    !IS(mode, S_IFIFO) && !IS(mode, S_IFSOCK))
		return -EINVAL;
	m.meta = (struct meta){ .mode = mode & S_IFMT ? mode : mode | S_IFREG,
				.rdev_major = device >> 8 & 0xfff,
				.rdev_minor = (device & 0xff) | (device >> 12 & ~0xffu) };
	r = new_name(task, at ? (int)a[0] : AT_FDCWD, (const char *)a[at], &m);
	if (r < 0)
		return r;
	upper_touch(task->view, m.node.hash, !IS(mode, S_IFREG) && (mode & S_IFMT));
	return place_new(task, &m, make_node(&m, mode, device));
}

long call_symlink(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_symlinkat;
	char target[CORE_SAID_MAX];
	struct making m;
	long r;

	r = user_path(task, (const char *)a[0], target);
	if (r < 0)
		return r;
	if (!target[0])
		return -ENOENT;
	m.meta = (struct meta){ .mode = S_IFLNK | 0777 };
	r = new_name(task, at ? (int)a[1] : AT_FDCWD, (const char *)a[at + 1], &m);
	if (r < 0)
		return r;
	upper_touch(task->view, m.node.hash, 1);
	return place_new(task, &m, sys_call3(__NR_symlinkat, target, AT_FDCWD, m.host));
}

/* Take the name out of the view: out of the upper, and hidden if a lower has it.  -EAGAIN:
 * by now the name is something else, or was removed by somebody else. */
static long remove_name(struct core_task *task, struct core_node *node)
{
	int directory = IS(node->mode, S_IFDIR);
	int hide = node->place == CORE_LOWER || node->has_lower;
	struct record_id gone;
	struct upper_lock lock;
	long r;

	if (!task->view->upper.length)
		return -EROFS;
	if (!hide && !directory) {
		record_leaving(task->view, node->host, &gone);
		r = sys_call3(__NR_unlinkat, AT_FDCWD, node->host, 0);
		if (r >= 0)
			record_gone(task->view, &gone);
		return r;
	}
	r = hide ? upper_parents(task, node) : 0;
	if (r >= 0)
		r = upper_lock(task->view, &lock);
	if (r < 0)
		return r;
	r = upper_still(task->view, node);
	if (r >= 0)
		r = hide ? whiteout_put(task, node)
			 : upper_remove_directory(task->view, node->host, 0);
	upper_unlock(&lock);
	return r;
}

static long unlink_once(struct core_task *task, long nr, const long a[6])
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

long call_unlink(struct core_task *task, long nr, const long a[6])
{
	long r;

	for (int tries = 0;; tries++) {
		r = unlink_once(task, nr, a);
		if (r != -EAGAIN)
			return r;
		if (tries == TRIES)
			return -ENOENT;
	}
}
