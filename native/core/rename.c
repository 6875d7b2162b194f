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

/* May what `from` is take the name of `to`? */
static long rename_fits(const struct core_node *from, const struct core_node *to, unsigned flags)
{
	int from_directory = IS(from->mode, S_IFDIR);

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
	return 0;
}

/* And is nothing in the way? */
static long rename_empty(struct core_task *task, const struct core_node *to, unsigned flags)
{
	long r;

	if (to->place == CORE_ABSENT || !IS(to->mode, S_IFDIR) || (flags & RENAME_EXCHANGE_))
		return 0;
	r = dir_empty(task, to);
	return r < 0 ? r : r ? 0 : -ENOTEMPTY;
}

/* Two names of one file: rename does nothing (POSIX). */
static int same_file(const struct core_node *a, const struct core_node *b)
{
	struct stat x, y;

	return a->place == b->place && a->place != CORE_ABSENT && !IS(a->mode, S_IFDIR) &&
	       !sys_call4(__NR_newfstatat, AT_FDCWD, a->host, &x, AT_SYMLINK_NOFOLLOW) &&
	       !sys_call4(__NR_newfstatat, AT_FDCWD, b->host, &y, AT_SYMLINK_NOFOLLOW) &&
	       same_object(&x, &y);
}

/* Have the object in the upper, ready to go elsewhere: a directory alone and opaque. */
static long lift(struct core_task *task, struct core_node *node, int onto_lower)
{
	long r = IS(node->mode, S_IFDIR) && (node->lower_below || node->place == CORE_LOWER)
			 ? copy_up_tree(task, node)
			 : copy_up(task, node);

	if (r >= 0 && node->place != CORE_UPPER)
		return -ENOENT;
	if (r >= 0 && IS(node->mode, S_IFDIR) && onto_lower) {
		upper_touch(task->view, node->hash, 1);
		r = opaque_set(node->host);
	}
	return r;
}

/* Say that `to` is what `from` is, with all below it, before it becomes true. */
static long announce(struct core_task *task, const struct core_node *from,
		     const struct core_node *to)
{
	int directory = IS(from->mode, S_IFDIR);
	struct stat st;
	long r;

	/* as upper_touch_tree does with what is below: dpkg gives each directory its name by
	 * a rename, and it is no slower way than another */
	upper_touch(task->view, to->hash,
		    directory ? opaque_is(from->host) != 0 : !IS(from->mode, S_IFREG));
	if (from->has_lower || meta_marked(task->view, from->mode))
		moved_announce(task->view, from->host);
	if (!directory)
		return 0;
	r = sys_call4(__NR_newfstatat, AT_FDCWD, from->host, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return r;
	upper_close_as(task->view, from->host, &st, to->hash);
	return upper_touch_tree(task->view, from->host, to->path);
}

static long rename_host(const char *from, const char *to, unsigned flags)
{
	return sys_call5(__NR_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

/* The directory that `host` is in is to list the upper object `from`: does that have a
 * record, say so. */
static long mark(const struct core_view *view, const char *host, const char *from)
{
	struct stat st;
	long r = sys_call4(__NR_newfstatat, AT_FDCWD, from, &st, AT_SYMLINK_NOFOLLOW);

	return r < 0 ? r : meta_marked(view, st.st_mode) ? meta_mark_parent(host) : 0;
}

static long exchange(struct core_task *task, const struct core_node *from,
		     const struct core_node *to)
{
	long r = announce(task, from, to);

	if (r >= 0)
		r = announce(task, to, from);
	if (r >= 0)
		r = mark(task->view, from->host, to->host);
	if (r >= 0)
		r = mark(task->view, to->host, from->host);
	return r < 0 ? r : rename_host(from->host, to->host, RENAME_EXCHANGE_);
}

/* The kernel knows whiteouts, but this file system does not, or not for us. */
static int no_whiteouts(long r)
{
	return r == -EINVAL || r == -EPERM;
}

/* Move the upper object of `from` to `host`, and hide what a lower layer has under the old
 * name, in one step. */
static long move_and_hide(const struct core_node *from, const char *host, unsigned flags)
{
	return rename_host(from->host, host, from->has_lower ? flags | RENAME_WHITEOUT_ : flags);
}

/*
 * The same in two.  What is replaced stays under the old name until that is hidden, so that
 * all can be taken back.  Killed between them, the old name still shows something.
 */
static long move_then_hide(struct core_task *task, const struct core_node *from,
			   const struct core_node *to, const char *host, unsigned flags)
{
	unsigned back = to->place == CORE_UPPER ? RENAME_EXCHANGE_ : RENAME_NOREPLACE_;
	char work[CORE_HOST_MAX];
	long r;

	r = rename_host(from->host, host, back == RENAME_EXCHANGE_ ? back : flags);
	if (r < 0)
		return r;
	if (back == RENAME_EXCHANGE_ && IS(to->mode, S_IFDIR)) {
		r = upper_remove_directory(task->view, from->host, 1);
	} else {
		r = upper_work_name(task->view, work);
		if (r >= 0)
			r = whiteout_make(work, from->host);
		if (r >= 0) {
			r = rename_host(work, from->host, back == RENAME_EXCHANGE_ ? 0 : back);
			if (r < 0)
				sys_call3(__NR_unlinkat, AT_FDCWD, work, 0);
		}
		/* a new object has the old name already: all the better */
		if (r == -EEXIST)
			return 0;
	}
	if (r < 0)
		rename_host(host, from->host, back);
	return r < 0 ? r : 0;
}

/* A whiteout is where the object goes: they change places.  -EEXIST, -ENOENT: by now
 * something else is there, or nothing. */
static long move_over_whiteout(const struct core_node *from, const char *host)
{
	struct stat st;
	long r = sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW);

	if (r >= 0)
		r = whiteout_is(host, &st) ?: -EEXIST;
	if (r >= 0)
		r = rename_host(from->host, host, RENAME_EXCHANGE_);
	if (r >= 0 && !from->has_lower)
		sys_call3(__NR_unlinkat, AT_FDCWD, from->host, 0);
	return r;
}

static long move(struct core_task *task, const struct core_node *from, const struct core_node *to,
		 const char *host, unsigned flags)
{
	long r = move_and_hide(from, host, flags);

	return from->has_lower && no_whiteouts(r) ? move_then_hide(task, from, to, host, flags) : r;
}

/* Move a directory: `host` is where it goes in the upper. */
static long move_directory(struct core_task *task, const struct core_node *from,
			   const struct core_node *to, char *host, unsigned flags)
{
	long r = to->hidden ? move_over_whiteout(from, host) : -ENOENT;

	if (r == -ENOENT)
		r = move(task, from, to, host, flags);
	/* an empty directory is there, with whiteouts in it; or with a name that is new, and
	 * then the kernel goes on refusing */
	if ((r == -ENOTEMPTY || r == -EEXIST) && to->place != CORE_ABSENT) {
		r = upper_clear_directory(host);
		if (r >= 0)
			r = move(task, from, to, host, flags);
	}
	return r;
}

static long move_file(struct core_task *task, const struct core_node *from,
		      const struct core_node *to, const char *host, unsigned flags)
{
	long r;

	if (!to->hidden)
		return move(task, from, to, host, flags);
	/* a file replaces a whiteout as any other, but when it must find nothing there */
	r = flags ? -EINVAL : move_and_hide(from, host, 0);
	if (!no_whiteouts(r) || !(flags || from->has_lower))
		return r;
	r = move_over_whiteout(from, host);
	return r == -ENOENT || (r == -EEXIST && !flags) ? move(task, from, to, host, flags) : r;
}

/* All is in the upper that is to be moved: `host` is where it goes. */
static long rename_upper(struct core_task *task, const struct core_node *from,
			 const struct core_node *to, char *host, unsigned flags)
{
	int directory = IS(from->mode, S_IFDIR);
	struct record_id gone;
	long r;

	if (flags & RENAME_EXCHANGE_)
		return exchange(task, from, to);
	r = announce(task, from, to);
	if (r < 0)
		return r;
	/* a whiteout is left, or is there for a moment */
	if (from->has_lower || to->hidden)
		upper_touch(task->view, from->hash, 1);
	if (directory && to->place == CORE_UPPER)
		upper_touch(task->view, to->hash, 1);
	r = mark(task->view, host, from->host);
	if (r < 0)
		return r;
	if (directory)
		return move_directory(task, from, to, host, flags);
	record_leaving(task->view, host, &gone);
	r = move_file(task, from, to, host, flags);
	if (r >= 0)
		record_gone(task->view, &gone);
	return r;
}

/* The same under the lock, where a whiteout may have come into the place of something.
 * -EAGAIN: something has. */
static long rename_locked(struct core_task *task, const struct core_node *from,
			  const struct core_node *to, char *host, unsigned flags)
{
	struct upper_lock lock;
	long r = upper_lock(task->view, &lock);

	if (r < 0)
		return r;
	r = upper_still(task->view, from);
	if (r >= 0 && (to->place == CORE_UPPER && (flags & RENAME_EXCHANGE_)))
		r = upper_still(task->view, to);
	if (r >= 0)
		r = rename_upper(task, from, to, host, flags);
	upper_unlock(&lock);
	return r;
}

/* Are both names in one directory? */
static int siblings(const struct core_node *one, const struct core_node *other)
{
	uint32_t length = path_parent(one->path, one->path_length);

	return length == path_parent(other->path, other->path_length) &&
	       text_same(one->path, other->path, length);
}

/* What failed because the object has gone meanwhile is to be looked at again. */
static long or_again(const struct core_view *view, const struct core_node *node, long r)
{
	return r < 0 && node->place != CORE_ABSENT && upper_still(view, node) == -EAGAIN ? -EAGAIN : r;
}

static long rename_union(struct core_task *task, struct core_node *from, struct core_node *to,
			 unsigned flags)
{
	int directory = IS(from->mode, S_IFDIR);
	char host[CORE_HOST_MAX];
	long r;

	if (!task->view->upper.length)
		return -EROFS;
	if (!from->path_length || !to->path_length)
		return -EBUSY;
	if (from->path_length == to->path_length && above(from, to))
		return flags & RENAME_NOREPLACE_ ? -EEXIST : 0;
	if (directory && above(from, to))
		return -EINVAL;
	if (to->place != CORE_ABSENT && IS(to->mode, S_IFDIR) && above(to, from))
		return flags & RENAME_EXCHANGE_ ? -EINVAL : -ENOTEMPTY;
	r = permission_to_change(task, from, 1);
	if (r >= 0)
		r = permission_to_change(task, to, to->place != CORE_ABSENT);
	/* the kernel's order of refusals from here on */
	if (r >= 0)
		r = or_again(task->view, to, rename_fits(from, to, flags));
	/* a directory that gets another parent is changed itself: its ".." */
	if (r >= 0 && !siblings(from, to)) {
		if (directory)
			r = permission(task, from, 2);
		if (r >= 0 && (flags & RENAME_EXCHANGE_) && IS(to->mode, S_IFDIR))
			r = permission(task, to, 2);
	}
	if (r >= 0)
		r = or_again(task->view, to, rename_empty(task, to, flags));
	if (r < 0)
		return r;
	if (same_file(from, to))
		return 0;
	/* overlayfs makes its own alone */
	if (flags & RENAME_WHITEOUT_)
		return -EINVAL;
	r = upper_parents(task, to);
	if (r >= 0)
		r = upper_host(task->view, to->path, host);
	if (r >= 0)
		r = or_again(task->view, from,
			     lift(task, from, to->has_lower || to->place == CORE_LOWER));
	if (r >= 0 && (flags & RENAME_EXCHANGE_))
		r = or_again(task->view, to, lift(task, to, from->has_lower));
	/* an empty lower directory that is replaced: as a directory of the upper */
	else if (r >= 0 && directory && to->place == CORE_LOWER)
		r = copy_up(task, to);
	if (r < 0)
		return r;
	r = directory || from->has_lower || to->hidden || (flags & RENAME_EXCHANGE_)
		    ? rename_locked(task, from, to, host, flags)
		    : rename_upper(task, from, to, host, flags);
	/* of what was looked at, something has changed its kind */
	return r == -ENOTDIR || r == -EISDIR ? -EAGAIN : r;
}

/* The bind that the node's directory is in: a name at which one appears is in none. */
static const struct core_bind *mount_of(const struct core_node *node)
{
	return node->bind && node->path_length > node->bind->at.length ? node->bind : 0;
}

static long rename_once(struct core_task *task, long nr, const long a[6])
{
	int at = nr != __NR_rename;
	unsigned flags = nr == __NR_renameat2 ? (unsigned)a[4] : 0;
	char path[CORE_PATH_MAX];
	struct core_node from, to;
	long r;

	if ((flags & ~7u) ||
	    (flags & RENAME_EXCHANGE_ && flags & (RENAME_NOREPLACE_ | RENAME_WHITEOUT_)))
		return -EINVAL;
	r = user_path(task, (const char *)a[at], path);
	if (r >= 0)
		r = core_resolve(task, at ? (int)a[0] : AT_FDCWD, path,
				 CORE_ENTRY | CORE_MAY_BE_ABSENT, &from);
	if (r < 0)
		return r;
	r = user_path(task, (const char *)a[at ? 3 : 1], path);
	if (r < 0)
		return r;
	r = core_resolve(task, at ? (int)a[2] : AT_FDCWD, path, CORE_ENTRY | CORE_MAY_BE_ABSENT, &to);
	if (r == -ENAMETOOLONG && from.place == CORE_ABSENT)
		return -ENOENT;
	if (r < 0)
		return r;
	/* in the order of the kernel's do_renameat2 */
	if (mount_of(&from) != mount_of(&to))
		return -EXDEV;
	if (from.last != CORE_LAST_NAME)
		return -EBUSY;
	if (to.last != CORE_LAST_NAME)
		return flags & RENAME_NOREPLACE_ ? -EEXIST : -EBUSY;
	if (from.place == CORE_ABSENT)
		return -ENOENT;
	if (to.place == CORE_ABSENT ? flags & RENAME_EXCHANGE_ : flags & RENAME_NOREPLACE_)
		return flags & RENAME_EXCHANGE_ ? -ENOENT : -EEXIST;
	if (flags & RENAME_EXCHANGE_ && to.trailing_slash && !IS(to.mode, S_IFDIR))
		return -ENOTDIR;
	if (!IS(from.mode, S_IFDIR) &&
	    (from.trailing_slash || (to.trailing_slash && !(flags & RENAME_EXCHANGE_))))
		return -ENOTDIR;
	if ((from.bind && !mount_of(&from)) || (to.bind && !mount_of(&to)))
		return -EBUSY;
	if (from.bind || to.bind)
		return rename_bound(&from, &to, flags);
	return rename_union(task, &from, &to, flags);
}

long call_rename(struct core_task *task, long nr, const long a[6])
{
	long r;

	for (int tries = 0;; tries++) {
		r = rename_once(task, nr, a);
		if (r != -EAGAIN)
			return r;
		if (tries == TRIES)
			return -ENOENT;
	}
}

/* ---- link ---------------------------------------------------------------------------------- */

static long link_union(struct core_task *task, struct core_node *from, struct core_node *to)
{
	char host[CORE_HOST_MAX], work[CORE_HOST_MAX];
	struct stat st;
	long r;

	if (!task->view->upper.length)
		return -EROFS;
	r = permission_to_link(task, from);
	if (r >= 0)
		r = permission_to_change(task, to, 0);
	if (r >= 0 && IS(from->mode, S_IFDIR))
		r = -EPERM;
	if (r >= 0)
		r = copy_up(task, from);
	if (r >= 0)
		r = upper_parents(task, to);
	if (r >= 0)
		r = upper_host(task->view, to->path, host);
	if (r < 0)
		return r;
	upper_touch(task->view, to->hash, !IS(from->mode, S_IFREG));
	r = mark(task->view, host, from->host);
	if (r < 0)
		return r;
	if (!to->hidden && !from->has_lower)
		return sys_call5(__NR_linkat, AT_FDCWD, from->host, AT_FDCWD, host, 0);
	r = upper_work_name(task->view, work);
	if (r >= 0)
		r = sys_call5(__NR_linkat, AT_FDCWD, from->host, AT_FDCWD, work, 0);
	if (r < 0)
		return r;
	/* was it a whiteout, for somebody has removed the name? */
	r = sys_call4(__NR_newfstatat, AT_FDCWD, work, &st, AT_SYMLINK_NOFOLLOW);
	if (r >= 0)
		r = whiteout_is(work, &st) ? -ENOENT : 0;
	if (r < 0) {
		sys_call3(__NR_unlinkat, AT_FDCWD, work, 0);
		return r;
	}
	return to->hidden ? upper_place_over(task->view, work, host) : upper_place(work, host);
}

/* A file without a name (O_TMPFILE, or unlinked) gets one: by its descriptor. */
static long link_nameless(struct core_task *task, const char *magic, struct core_node *to)
{
	char host[CORE_HOST_MAX], work[CORE_HOST_MAX];
	struct core_node from;
	int fd = proc_own_fd(magic);
	long r;

	if (to->bind)
		return sys_call5(__NR_linkat, AT_FDCWD, magic, AT_FDCWD, to->host,
				 AT_SYMLINK_FOLLOW);
	if (!task->view->upper.length)
		return -EROFS;
	/* never a second name for a layer's file: it is its copy that gets one, by what other
	 * name the view shows it; where it shows none, such a file cannot get any */
	r = host_of_link(task->view, magic, host, sizeof(host));
	if (r < 0 && r != -ENAMETOOLONG)
		return r == -ENOENT ? -EBADF : r;
	if (r >= 0 && in_layer(task->view, host) && !in_upper(task->view, host))
		return fd >= 0 && target_of_fd(task, fd, 1, &from) == TARGET_NAME
			       ? link_union(task, &from, to)
			       : -ENOENT;
	if (fd >= 0 && (r < 0 || in_upper(task->view, host) || in_work(task->view, host)))
		r = permission_fd(task, r < 0 ? magic : host, fd, PERMISSION_LINK);
	else
		r = 0;
	if (r >= 0)
		r = permission_to_change(task, to, 0);
	if (r >= 0)
		r = upper_parents(task, to);
	if (r >= 0)
		r = upper_host(task->view, to->path, host);
	if (r >= 0)
		r = upper_work_name(task->view, work);
	if (r < 0)
		return r;
	upper_touch(task->view, to->hash, 0);
	r = sys_call5(__NR_linkat, AT_FDCWD, magic, AT_FDCWD, work, AT_SYMLINK_FOLLOW);
	if (r < 0)
		return r;
	r = mark(task->view, host, work);
	if (r < 0) {
		sys_call3(__NR_unlinkat, AT_FDCWD, work, 0);
		return r;
	}
	return to->hidden ? upper_place_over(task->view, work, host) : upper_place(work, host);
}

/*
 * With AT_EMPTY_PATH and without CAP_DAC_READ_SEARCH a descriptor must have been opened with
 * the credentials that the program has now.  The kernel knows (identity.c sees to that), and says
 * so before it looks at the new name, which is below no directory here.
 */
static int opened_as_it_is(int fd)
{
	return sys_call5(__NR_linkat, fd, "", -1, "x", AT_EMPTY_PATH) != -ENOENT;
}

/* What gets another name: 1 and *from, or 0 and `magic`, the link of a nameless file. */
static long link_source(struct core_task *task, int dirfd, const char *user, int flags,
			struct core_node *from, char magic[CORE_HOST_MAX])
{
	char path[CORE_PATH_MAX];
	long r = user_path(task, user, path);

	if (r < 0)
		return r;
	if ((flags & AT_EMPTY_PATH) && path[0] != '/' && dirfd >= 0 && task->credentials.fsuid &&
	    !opened_as_it_is(dirfd))
		return -ENOENT;
	if (!path[0] && (flags & AT_EMPTY_PATH)) {
		if (dirfd == AT_FDCWD)
			return -EPERM;
		if (dirfd < 0)
			return -EBADF;
		/* as the link of /proc says, which may well be a name of the view */
		text_put_number(text_put(magic, "/proc/self/fd/"), (unsigned)dirfd, 10);
		if (!proc_link(task, magic, path))
			return 0;
		r = path_node(task, path, from);
		return r < 0 ? r : 1;
	}
	r = core_resolve(task, dirfd, path, flags & AT_SYMLINK_FOLLOW ? 0 : CORE_NOFOLLOW, from);
	if (r < 0)
		return r;
	if (from->place != CORE_BIND || !(flags & AT_SYMLINK_FOLLOW) || !proc_magic(from->host))
		return 1;
	text_put(magic, from->host);
	return 0;
}

long call_link(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_linkat;
	int flags = at ? (int)a[4] : 0;
	char path[CORE_PATH_MAX], magic[CORE_HOST_MAX];
	struct core_node from, to;
	long named, r;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	named = link_source(task, at ? (int)a[0] : AT_FDCWD, (const char *)a[at], flags, &from, magic);
	if (named < 0)
		return named;
	r = user_path(task, (const char *)a[at ? 3 : 1], path);
	if (r >= 0)
		r = core_resolve(task, at ? (int)a[2] : AT_FDCWD, path,
				 CORE_ENTRY | CORE_MAY_BE_ABSENT, &to);
	if (r < 0)
		return r;
	if (to.place != CORE_ABSENT || to.last != CORE_LAST_NAME)
		return -EEXIST;
	if (to.trailing_slash)
		return -ENOENT;
	if (!named)
		return link_nameless(task, magic, &to);
	if (from.bind || to.bind) {
		if (from.bind != to.bind || !from.bind)
			return -EXDEV;
		if (from.bind->read_only)
			return -EROFS;
		return sys_call5(__NR_linkat, AT_FDCWD, from.host, AT_FDCWD, to.host, 0);
	}
	return link_union(task, &from, &to);
}
