/*
 * rename, renameat2 and link in the union.
 *
 * Unlike overlayfs without redirect_dir, which answers EXDEV, a directory of the
 * lower layers can be renamed: it is copied up whole, made opaque and moved.
 */
#include "internal.h"

/* Is `a` the directory `b` or above it? */
static int above(const struct core_node *a, const struct core_node *b)
{
	return a->path_length <= b->path_length &&
	       text_same(a->path, b->path, a->path_length) &&
	       (b->path[a->path_length] == '/' || !b->path[a->path_length]);
}

/* Both on the host: the kernel's own business, unless they are two binds. */
static long rename_bound(const struct core_node *from, const struct core_node *to, unsigned flags)
{
	if (from->bind != to->bind || !from->bind)
		return -EXDEV;
	if (from->bind->read_only)
		return -EROFS;
	return sys_call5(__NR_renameat2, AT_FDCWD, from->host, AT_FDCWD, to->host, flags);
}

/* May `from` take the name of `to`?  The kernel's order of refusals. */
static long rename_allowed(struct core_task *task, const struct core_node *from,
			   const struct core_node *to, unsigned flags)
{
	int from_directory = IS(from->mode, S_IFDIR);
	long r;

	if (to->place == CORE_ABSENT)
		return (flags & RENAME_EXCHANGE_) ? -ENOENT
		       : !from_directory && to->trailing_slash ? -ENOTDIR
								: 0;
	if (flags & RENAME_NOREPLACE_)
		return -EEXIST;
	if (flags & RENAME_EXCHANGE_)
		return 0;
	if (from_directory && !IS(to->mode, S_IFDIR))
		return -ENOTDIR;
	if (!from_directory && IS(to->mode, S_IFDIR))
		return -EISDIR;
	if (from_directory) {
		r = dir_empty(task, to);
		return r < 0 ? r : r ? 0 : -ENOTEMPTY;
	}
	return 0;
}

/* Two names of one file: rename does nothing (POSIX). */
static int same_file(const struct core_node *a, const struct core_node *b)
{
	struct stat x, y;

	return a->place == CORE_UPPER && b->place == CORE_UPPER && !IS(a->mode, S_IFDIR) &&
	       !sys_call4(__NR_newfstatat, AT_FDCWD, a->host, &x, AT_SYMLINK_NOFOLLOW) &&
	       !sys_call4(__NR_newfstatat, AT_FDCWD, b->host, &y, AT_SYMLINK_NOFOLLOW) &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Have the object in the upper, ready to go elsewhere: a directory alone and opaque. */
static long lift(struct core_task *task, struct core_node *node, int onto_lower)
{
	long r = IS(node->mode, S_IFDIR) && (node->lower_below || node->place == CORE_LOWER)
			 ? copy_up_tree(task, node)
			 : copy_up(task, node);

	if (r >= 0 && IS(node->mode, S_IFDIR) && onto_lower) {
		upper_touch(task->view, node->hash, 1);
		r = opaque_set(node->host);
	}
	return r;
}

/* Say that `to` is what `from` was, with all below it. */
static long retouch(struct core_task *task, const struct core_node *from, const struct core_node *to)
{
	upper_touch(task->view, to->hash, !IS(from->mode, S_IFREG));
	return 0;
}

static long exchange(struct core_task *task, struct core_node *from, struct core_node *to)
{
	long r;

	r = lift(task, to, from->has_lower);
	if (r < 0)
		return r;
	retouch(task, from, to);
	retouch(task, to, from);
	r = sys_call5(__NR_renameat2, AT_FDCWD, from->host, AT_FDCWD, to->host, RENAME_EXCHANGE_);
	if (r >= 0 && IS(from->mode, S_IFDIR))
		upper_touch_tree(task, to->path);
	if (r >= 0 && IS(to->mode, S_IFDIR))
		upper_touch_tree(task, from->path);
	return r;
}

/* The move itself; `host` is where it goes in the upper. */
static long move(struct core_task *task, struct core_node *from, struct core_node *to,
		 const char *host)
{
	int directory = IS(from->mode, S_IFDIR);
	long r;

	if (directory && to->place == CORE_UPPER) {
		/* an empty directory there, perhaps with whiteouts in it */
		char work[CORE_HOST_MAX];

		r = upper_work_name(task->view, work);
		if (r >= 0)
			r = sys_call5(__NR_renameat2, AT_FDCWD, host, AT_FDCWD, work, 0);
		if (r < 0)
			return r;
		r = sys_call5(__NR_renameat2, AT_FDCWD, from->host, AT_FDCWD, host,
			      from->has_lower ? RENAME_WHITEOUT_ : 0);
		if (r < 0)
			sys_call5(__NR_renameat2, AT_FDCWD, work, AT_FDCWD, host, RENAME_NOREPLACE_);
		else
			upper_discard(work);
	} else if (directory && to->hidden) {
		/* a whiteout there: swap, and the old name has its whiteout already */
		r = sys_call5(__NR_renameat2, AT_FDCWD, from->host, AT_FDCWD, host,
			      RENAME_EXCHANGE_);
		if (r >= 0 && !from->has_lower)
			sys_call3(__NR_unlinkat, AT_FDCWD, from->host, 0);
		return r;
	} else {
		r = sys_call5(__NR_renameat2, AT_FDCWD, from->host, AT_FDCWD, host,
			      from->has_lower ? RENAME_WHITEOUT_ : 0);
	}
	if ((r == -EINVAL || r == -EPERM) && from->has_lower) {
		r = sys_call5(__NR_renameat2, AT_FDCWD, from->host, AT_FDCWD, host, 0);
		if (r >= 0)
			r = whiteout_make(from->host);
	}
	return r;
}

static long rename_union(struct core_task *task, struct core_node *from, struct core_node *to,
			 unsigned flags)
{
	char host[CORE_HOST_MAX];
	long r;

	if (!task->view->upper.length)
		return -EROFS;
	if (!from->path_length || !to->path_length)
		return -EBUSY;
	if (from->path_length == to->path_length && above(from, to))
		return flags & RENAME_NOREPLACE_ ? -EEXIST : 0;
	if (IS(from->mode, S_IFDIR) && above(from, to))
		return -EINVAL;
	if (to->place != CORE_ABSENT && IS(to->mode, S_IFDIR) && above(to, from))
		return flags & RENAME_EXCHANGE_ ? -EINVAL : -ENOTEMPTY;
	r = rename_allowed(task, from, to, flags);
	if (r < 0)
		return r;
	if (same_file(from, to))
		return 0;
	r = upper_parents(task, to);
	if (r >= 0)
		r = upper_host(task->view, to->path, host);
	if (r >= 0)
		r = lift(task, from, to->has_lower || to->place == CORE_LOWER);
	if (r < 0)
		return r;
	if (flags & RENAME_EXCHANGE_)
		return exchange(task, from, to);
	retouch(task, from, to);
	upper_touch(task->view, from->hash, 1);
	r = move(task, from, to, host);
	if (r >= 0 && IS(from->mode, S_IFDIR))
		r = upper_touch_tree(task, to->path);
	return r;
}

long call_rename(struct core_task *task, long nr, const long a[6])
{
	int at = nr != __NR_rename;
	unsigned flags = nr == __NR_renameat2 ? (unsigned)a[4] : 0;
	char path[CORE_PATH_MAX];
	struct core_node from, to;
	long r;

	if ((flags & ~7u) || (flags & RENAME_WHITEOUT_) ||
	    ((flags & RENAME_EXCHANGE_) && (flags & RENAME_NOREPLACE_)))
		return -EINVAL;
	r = user_path(task, (const char *)a[at], path);
	if (r >= 0)
		r = core_resolve(task, at ? (int)a[0] : AT_FDCWD, path, CORE_NOFOLLOW, &from);
	if (r < 0)
		return r;
	if (from.trailing_slash && !IS(from.mode, S_IFDIR))
		return -ENOTDIR;
	r = user_path(task, (const char *)a[at ? 3 : 1], path);
	if (r >= 0)
		r = core_resolve(task, at ? (int)a[2] : AT_FDCWD, path,
				 CORE_NOFOLLOW | CORE_MAY_BE_ABSENT, &to);
	if (r < 0)
		return r;
	if (from.bind || to.bind)
		return rename_bound(&from, &to, flags);
	return rename_union(task, &from, &to, flags);
}

/* ---- link ---------------------------------------------------------------------------------- */

static long link_union(struct core_task *task, struct core_node *from, struct core_node *to)
{
	char host[CORE_HOST_MAX], work[CORE_HOST_MAX];
	long r;

	if (!task->view->upper.length)
		return -EROFS;
	r = copy_up(task, from);
	if (r >= 0)
		r = upper_parents(task, to);
	if (r >= 0)
		r = upper_host(task->view, to->path, host);
	if (r < 0)
		return r;
	upper_touch(task->view, to->hash, !IS(from->mode, S_IFREG));
	if (!to->hidden)
		return sys_call5(__NR_linkat, AT_FDCWD, from->host, AT_FDCWD, host, 0);
	r = upper_work_name(task->view, work);
	if (r >= 0)
		r = sys_call5(__NR_linkat, AT_FDCWD, from->host, AT_FDCWD, work, 0);
	return r < 0 ? r : upper_place(work, host, 1, 0);
}

/* A file without a name (O_TMPFILE, or unlinked) gets one: by its descriptor. */
static long link_nameless(struct core_task *task, const char *magic, struct core_node *to)
{
	char host[CORE_HOST_MAX], work[CORE_HOST_MAX];
	long r;

	if (to->bind)
		return sys_call5(__NR_linkat, AT_FDCWD, magic, AT_FDCWD, to->host,
				 AT_SYMLINK_FOLLOW);
	if (!task->view->upper.length)
		return -EROFS;
	r = upper_parents(task, to);
	if (r >= 0)
		r = upper_host(task->view, to->path, host);
	if (r >= 0)
		r = upper_work_name(task->view, work);
	if (r < 0)
		return r;
	upper_touch(task->view, to->hash, 0);
	r = sys_call5(__NR_linkat, AT_FDCWD, magic, AT_FDCWD, work, AT_SYMLINK_FOLLOW);
	return r < 0 ? r : upper_place(work, host, to->hidden, 0);
}

long call_link(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_linkat;
	int flags = at ? (int)a[4] : 0;
	char path[CORE_PATH_MAX], magic[40];
	struct core_node from, to;
	long r;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	r = user_path(task, (const char *)a[at ? 3 : 1], path);
	if (r >= 0)
		r = core_resolve(task, at ? (int)a[2] : AT_FDCWD, path,
				 CORE_NOFOLLOW | CORE_MAY_BE_ABSENT, &to);
	if (r < 0)
		return r;
	r = user_path(task, (const char *)a[at], path);
	if (r < 0)
		return r;
	if (!path[0] && (flags & AT_EMPTY_PATH)) {
		text_put_number(text_put(magic, "/proc/self/fd/"), (unsigned)a[0], 10);
		return to.place != CORE_ABSENT ? -EEXIST : link_nameless(task, magic, &to);
	}
	r = core_resolve(task, at ? (int)a[0] : AT_FDCWD, path,
			 flags & AT_SYMLINK_FOLLOW ? 0 : CORE_NOFOLLOW, &from);
	if (r < 0)
		return r;
	if (to.place != CORE_ABSENT)
		return -EEXIST;
	if (IS(from.mode, S_IFDIR))
		return -EPERM;
	if (to.trailing_slash)
		return -ENOENT;
	if (from.place == CORE_BIND && proc_magic(from.host))
		return link_nameless(task, from.host, &to);
	if (from.bind || to.bind) {
		if (from.bind != to.bind)
			return -EXDEV;
		if (from.bind->read_only)
			return -EROFS;
		return sys_call5(__NR_linkat, AT_FDCWD, from.host, AT_FDCWD, to.host, 0);
	}
	return link_union(task, &from, &to);
}
