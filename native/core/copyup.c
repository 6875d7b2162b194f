/*
 * Copy-up: before a lower object changes, the upper gets a copy of it, complete
 * and at once.  As ovl_copy_up does, the copy is made in the work directory and
 * renamed into its place; two that copy the same object up at once both make a
 * copy, and the second finds the name taken and drops its own.
 */
#include "internal.h"

#define FICLONE_ 0x40049409ul
#define SEEK_DATA_ 3
#define SEEK_HOLE_ 4

/* Copy the bytes from `at` to `end`, where they are.  Returns where that ended: before
 * `end`, if the file does by now. */
static long copy_range(long from, long to, long at, long end)
{
	char block[16384];
	long in = at, out = at;

	while (in < end) {
		long n = sys_call6(__NR_copy_file_range, from, (long)&in, to, (long)&out, end - in,
				   0);

		/* some file systems cannot, and some say so by "nothing" */
		if (n <= 0)
			break;
	}
	while (in < end) {
		long done = 0;
		long n = sys_call4(__NR_pread64, from, block,
				   end - in < (long)sizeof(block) ? end - in : (long)sizeof(block), in);

		if (n <= 0)
			return n < 0 ? n : in;
		while (done < n) {
			long m = sys_call4(__NR_pwrite64, to, block + done, n - done, in + done);

			if (m < 0)
				return m;
			done += m;
		}
		in += n;
	}
	return in;
}

/* The whole content, holes kept. */
static long copy_content(long from, long to, long size)
{
	long at = 0;

	if (!sys_call3(__NR_ioctl, to, FICLONE_, from))
		return 0;
	while (at < size) {
		long data = sys_call3(__NR_lseek, from, at, SEEK_DATA_), hole, end;

		if (data == -ENXIO)
			break;
		hole = data < 0 ? size : sys_call3(__NR_lseek, from, data, SEEK_HOLE_);
		if (data < 0)
			data = at;
		if (hole < 0 || hole > size)
			hole = size;
		end = copy_range(from, to, data, hole);
		if (end < 0)
			return end;
		if (end < hole)
			size = end;
		at = hole;
	}
	return sys_call2(__NR_ftruncate, to, size);
}

/* A live layer's file may be written to by others meanwhile; then it is copied again, a
 * few times.  *st is of what was copied. */
static long copy_file(const struct core_node *node, long from, long to, struct stat *st)
{
	for (int tries = 0;; tries++) {
		struct stat then;
		long r = sys_call2(__NR_fstat, from, st);

		if (r >= 0 && st->st_size)
			r = copy_content(from, to, (long)st->st_size);
		if (r < 0 || node->entry || tries == 3)
			return r;
		r = sys_call2(__NR_fstat, from, &then);
		if (r < 0)
			return r;
		if (then.st_size == st->st_size && then.st_mtime == st->st_mtime &&
		    then.st_mtime_nsec == st->st_mtime_nsec)
			return 0;
		r = sys_call2(__NR_ftruncate, to, 0);
		if (r < 0)
			return r;
	}
}

/* The kernel's limits for a list of names and for one value. */
#define XATTR_ROOM 65536l

/* Is this attribute one to copy?  Ours are made; what is not the user's cannot be made,
 * but for the permissions of a live layer, which are in one. */
static int carried(const struct core_node *node, const char *name)
{
	if (!node->entry && text_begins(name, "system.posix_acl_"))
		return 1;
	if (text_begins(name, LPMX_XATTR_ROOT))
		return 1;
	return text_begins(name, "user.") && !text_begins(name, "user.overlay.") &&
	       !text_begins(name, LPMX_XATTR_OWN) && !text_equal(name, LPMX_XATTR_STAT);
}

/* The extended attributes, which are few, mostly none, and may be large.  1: a list of
 * access is among them, so that the mode is the list's now. */
static long copy_xattrs(const struct core_view *view, const struct core_node *node, const char *to)
{
	long n = sys_call3(__NR_llistxattr, node->host, 0, 0), memory, r = 0;
	char *names, *value;
	int list = 0;

	if (n <= 0)
		return n == -EOPNOTSUPP ? 0 : n;
	memory = sys_call6(__NR_mmap, 0, 2 * XATTR_ROOM, 3, 0x22, -1, 0);
	if (SYS_FAILED(memory))
		return memory;
	names = (char *)memory;
	value = names + XATTR_ROOM;
	n = sys_call3(__NR_llistxattr, node->host, names, XATTR_ROOM);
	for (char *name = names; r >= 0 && name < names + n; name += text_length(name) + 1) {
		if (!carried(node, name))
			continue;
		r = sys_call4(__NR_lgetxattr, node->host, name, value, XATTR_ROOM);
		/* removed meanwhile, or not ours to read */
		if (r == -ENODATA || r == -EACCES)
			r = 0;
		else if (r >= 0) {
			if (acl_is_list(name))
				acl_announce(view);
			r = sys_call5(__NR_lsetxattr, to, name, value, r, 0);
		}
		list |= r >= 0 && acl_is_access(name);
		if (r == -EOPNOTSUPP)
			r = 0; /* as ovl_copy_xattr: not kept by this file system */
	}
	sys_call2(__NR_munmap, memory, 2 * XATTR_ROOM);
	return n < 0 ? n : r < 0 ? r : list;
}

/* A file of ours to fill, whatever umask the program has. */
static long make_file(const char *work)
{
	long fd = sys_call4(__NR_openat, AT_FDCWD, work, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			    0600);
	long r;

	if (fd < 0)
		return fd;
	/* its attributes ask for the permission that the umask may have taken */
	r = sys_call2(__NR_fchmod, fd, 0600);
	if (r < 0) {
		sys_call1(__NR_close, fd);
		sys_call3(__NR_unlinkat, AT_FDCWD, work, 0);
	}
	return r < 0 ? r : fd;
}

static long copy_regular(const struct core_node *node, struct stat *st, const char *work)
{
	long from = sys_call4(__NR_openat, AT_FDCWD, node->host, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
	long to, r;

	if (from < 0)
		return from;
	to = make_file(work);
	r = to < 0 ? to : copy_file(node, from, to, st);
	/* on disk before it hides the original, as ovl_copy_up_file does: after a power
	 * loss there must not be an empty file in the place of a good one */
	if (r >= 0 && st->st_size)
		r = sys_call1(__NR_fdatasync, to);
	if (to >= 0)
		sys_call1(__NR_close, to);
	sys_call1(__NR_close, from);
	if (r < 0 && to >= 0)
		sys_call3(__NR_unlinkat, AT_FDCWD, work, 0);
	return r;
}

/* A new object like `node` at `work`, without metadata; or -errno and nothing.  `content`:
 * not for a file that is about to be truncated. */
static long make_like(const struct core_node *node, const struct meta *meta, struct stat *st,
		      int content, const char *work)
{
	char target[CORE_PATH_MAX];
	long to, r;

	switch (meta->mode & S_IFMT) {
	case S_IFDIR:
		r = sys_call3(__NR_mkdirat, AT_FDCWD, work, 0700);
		if (r < 0)
			return r;
		r = sys_call3(__NR_fchmodat, AT_FDCWD, work, 0700);
		if (r < 0)
			sys_call3(__NR_unlinkat, AT_FDCWD, work, AT_REMOVEDIR);
		return r;
	case S_IFLNK:
		r = sys_call4(__NR_readlinkat, AT_FDCWD, node->host, target, sizeof(target) - 1);
		if (r < 0)
			return r;
		target[r] = 0;
		return sys_call3(__NR_symlinkat, target, AT_FDCWD, work);
	case S_IFIFO:
	case S_IFSOCK:
		return sys_call4(__NR_mknodat, AT_FDCWD, work, meta->mode, 0);
	case S_IFREG:
		if (content)
			return copy_regular(node, st, work);
		break;
	default:
		break;
	}
	/* an empty file, or what stands for a device */
	to = make_file(work);
	if (to >= 0)
		sys_call1(__NR_close, to);
	return to < 0 ? to : 0;
}

/* Times of the original, to the nanosecond. */
static long copy_times(const struct stat *st, const char *to)
{
	long times[4] = { (long)st->st_atime, (long)st->st_atime_nsec, (long)st->st_mtime,
			  (long)st->st_mtime_nsec };

	return sys_call4(__NR_utimensat, AT_FDCWD, to, times, AT_SYMLINK_NOFOLLOW);
}

/* A new name in a directory changes its times; a copy-up must not show. */
struct parent_times {
	char host[CORE_HOST_MAX];
	struct stat st;
	int known;
};

static void parent_times_save(struct core_task *task, const struct core_node *node,
			      struct parent_times *t)
{
	uint32_t length = path_parent(node->path, node->path_length);

	bytes_copy(t->host, task->view->upper.text, task->view->upper.length);
	bytes_copy(t->host + task->view->upper.length, node->path, length);
	t->host[task->view->upper.length + length] = 0;
	t->known = !sys_call4(__NR_newfstatat, AT_FDCWD, t->host, &t->st, AT_SYMLINK_NOFOLLOW);
}

static void parent_times_restore(const struct parent_times *t)
{
	if (t->known)
		copy_times(&t->st, t->host);
}

/* The copy in the work directory, complete. */
static long make_copy(struct core_task *task, const struct core_node *node, struct stat *st,
		      const struct meta *meta, int content, char work[CORE_HOST_MAX])
{
	struct stat copied = *st;
	long r = upper_work_name(task->view, work);

	if (r >= 0)
		r = make_like(node, meta, &copied, content, work);
	if (r < 0)
		return r;
	/* the index knows the times that showed; else they are of what was copied */
	if (!node->entry)
		*st = copied;
	/* the mode first: attributes ask for permissions that the umask may have taken */
	r = meta_store(task->view, work, -1, meta);
	if (r >= 0 && !IS(meta->mode, S_IFLNK))
		r = copy_xattrs(task->view, node, work);
	if (r > 0)
		r = meta_store(task->view, work, -1, meta);
	if (r >= 0)
		r = copy_times(st, work);
	if (r < 0)
		sys_call3(__NR_unlinkat, AT_FDCWD, work, IS(meta->mode, S_IFDIR) ? AT_REMOVEDIR : 0);
	return r < 0 ? r : 0;
}

/*
 * ---- a file with several names ----
 *
 * The other names of a file that is copied up become names of the copy, so that they stay
 * one file.  Only an index knows them.  They cannot all change at once, and need not: the
 * copy is what the lower file is, until it is changed.  But before that, all must have
 * become names of it.  So the copy is marked while this is under way, and whoever finds the
 * mark on what it is about to change finishes the work: who began it may have been killed.
 */
struct names {
	struct core_task *task;
	const struct lpmx_index_entry *self;
	uint64_t inode;
	struct core_node node;
	char path[CORE_PATH_MAX];
	char copy[CORE_HOST_MAX]; /* a name of the copy */
	char host[CORE_HOST_MAX];
	struct parent_times times;
};

/* Set names->node to the other name `entry` of the file: 1 if that shows. */
static long other_name(struct names *names, const struct lpmx_index_entry *entry)
{
	uint32_t length = entry->path_length;
	const char *path = index_bytes(names->task->view->index, entry->path, length);
	long r;

	if (!path || length >= CORE_PATH_MAX)
		return 0;
	bytes_copy(names->path, path, length);
	names->path[length] = 0;
	r = path_node(names->task, names->path, &names->node);
	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? 0 : r;
	return !names->node.bind && names->node.has_lower;
}

/* Is the upper object a copy of the lower file with this number? */
static long copy_of(const struct core_view *view, const char *host, uint64_t inode)
{
	struct meta meta;
	struct stat st;
	long r = sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW);

	if (r >= 0)
		r = meta_of_upper(view, host, -1, &st, &meta);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return meta.inode == inode;
}

/* Has one of the other names been copied up already?  1, and names->copy. */
static long find_copy(struct names *names)
{
	const struct core_view *view = names->task->view;
	const struct lpmx_index_entry *other = 0;

	while ((other = index_link(view->index, names->self->link_group, other))) {
		long r = other == names->self ? 0 : other_name(names, other);

		if (r > 0)
			r = names->node.place == CORE_UPPER
				    ? copy_of(view, names->node.host, names->inode)
				    : 0;
		if (r > 0)
			text_put(names->copy, names->node.host);
		if (r)
			return r;
	}
	return 0;
}

/* Give the copy the name of names->node, which still shows the lower file. */
static long add_name(struct names *names)
{
	const struct core_view *view = names->task->view;
	long r = upper_parents(names->task, &names->node);

	if (r >= 0)
		r = upper_host(view, names->node.path, names->host);
	if (r < 0)
		return r;
	parent_times_save(names->task, &names->node, &names->times);
	upper_touch(view, names->node.hash, !IS(names->node.mode, S_IFREG));
	r = meta_mark_parent(names->host);
	if (r >= 0)
		r = sys_call5(__NR_linkat, AT_FDCWD, names->copy, AT_FDCWD, names->host, 0);
	parent_times_restore(&names->times);
	return r == -EEXIST ? 0 : r;
}

/* The same for all names that still show the lower file. */
static long add_names(struct names *names)
{
	const struct lpmx_index_entry *other = 0;
	long r = 0;

	while (r >= 0 && (other = index_link(names->task->view->index, names->self->link_group,
					     other))) {
		if (other == names->self)
			continue;
		r = other_name(names, other);
		if (r > 0 && names->node.place == CORE_LOWER)
			r = add_name(names);
	}
	return r;
}

/* Under the lock: `host` becomes a name of the copy, and all others do. */
static long copy_all_names(struct names *names, const struct core_node *node, struct stat *st,
			   const struct meta *meta, const char *host)
{
	int made = 0;
	long r = node->place == CORE_UPPER ? 1 : find_copy(names);

	if (r > 0 && node->place == CORE_UPPER) {
		text_put(names->copy, host);
	} else if (!r) {
		r = make_copy(names->task, node, st, meta, 1, names->copy);
		made = r >= 0;
	}
	if (r >= 0) {
		r = sys_call5(__NR_lsetxattr, names->copy, LPMX_XATTR_NAMES, "y", 1, 0);
		/* a link or a fifo can have no mark, and has nothing that could be lost */
		if (r == -EPERM || r == -EOPNOTSUPP)
			r = 0;
	}
	if (r >= 0)
		r = add_names(names);
	if (r >= 0 && made)
		return upper_place(names->copy, host);
	if (made)
		sys_call3(__NR_unlinkat, AT_FDCWD, names->copy, 0);
	if (r >= 0 && node->place != CORE_UPPER)
		r = sys_call5(__NR_linkat, AT_FDCWD, names->copy, AT_FDCWD, host, 0);
	return r;
}

static NOINLINE long copy_up_linked(struct core_task *task, const struct core_node *node,
				    struct stat *st, const struct meta *meta, const char *host)
{
	struct upper_lock lock;
	struct names *names;
	long r, memory;

	memory = sys_call6(__NR_mmap, 0, sizeof(*names), 3, 0x22, -1, 0);
	if (SYS_FAILED(memory))
		return memory;
	names = (void *)memory;
	names->task = task;
	names->self = node->entry;
	names->inode = meta->inode;
	/* whoever copies another of them at the same time waits */
	r = upper_lock(task->view, &lock);
	if (r >= 0) {
		r = copy_all_names(names, node, st, meta, host);
		/* should it stay, the next one only looks again */
		if (r >= 0)
			sys_call2(__NR_lremovexattr, host, LPMX_XATTR_NAMES);
		upper_unlock(&lock);
	}
	sys_call2(__NR_munmap, memory, sizeof(*names));
	return r;
}

/* A copy some of whose names may still show the lower file. */
static long finish_names(struct core_task *task, const struct core_node *node)
{
	struct meta meta;
	struct stat st;
	char value;
	long r;

	if (!node->entry || !node->entry->link_group || !IS(node->mode, S_IFREG) ||
	    !(node->mode & S_ISVTX))
		return 0;
	r = sys_call4(__NR_lgetxattr, node->host, LPMX_XATTR_NAMES, &value, 0);
	if (r < 0)
		return r == -ENODATA || r == -EOPNOTSUPP ? 0 : r;
	r = sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, AT_SYMLINK_NOFOLLOW);
	if (r >= 0)
		r = meta_of_upper(task->view, node->host, -1, &st, &meta);
	return r < 0 ? r : copy_up_linked(task, node, &st, &meta, node->host);
}

/* ---- one object ----------------------------------------------------------------------- */

/* `flags` of an open that truncates: the descriptor; -1: 0 */
static long copy_up_one(struct core_task *task, struct core_node *node, int flags)
{
	char work[CORE_HOST_MAX], host[CORE_HOST_MAX];
	struct meta meta;
	struct stat st;
	long fd = 0, r;

	r = sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, AT_SYMLINK_NOFOLLOW);
	if (r >= 0)
		r = meta_of_node(task, node, &st, &meta);
	if (r < 0)
		return r;
	if (!meta.inode)
		meta.inode = identity_inode(task->view, st.st_dev, st.st_ino);
	if (node->entry) {
		/* the times that showed, which are the index's */
		struct stat shown;

		object_stat(task->view, node->entry, &shown);
		st.st_atime = st.st_mtime = shown.st_mtime;
		st.st_atime_nsec = st.st_mtime_nsec = shown.st_mtime_nsec;
	}
	r = upper_host(task->view, node->path, host);
	if (r < 0)
		return r;
	upper_touch(task->view, node->hash, !IS(meta.mode, S_IFREG) && !IS(meta.mode, S_IFDIR));
	upper_close(task->view, node->hash, meta.mode);
	r = meta_mark_parent(host);
	if (r < 0)
		return r;
	if (node->entry && node->entry->link_group) {
		r = copy_up_linked(task, node, &st, &meta, host);
		fd = -EAGAIN;
	} else {
		r = make_copy(task, node, &st, &meta, flags < 0, work);
		if (r >= 0 && flags >= 0) {
			fd = sys_call4(__NR_openat, AT_FDCWD, work,
				       (flags & ~(O_CREAT | O_EXCL)) | O_NOFOLLOW, 0);
			r = fd;
			if (fd < 0)
				sys_call3(__NR_unlinkat, AT_FDCWD, work, 0);
		}
		if (r >= 0)
			r = upper_place(work, host);
		if (r < 0 && fd > 0)
			sys_call1(__NR_close, fd);
	}
	if (r == -EEXIST) {
		/* somebody was faster: with a copy, or by removing it */
		r = sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW);
		if (r >= 0)
			r = whiteout_is(host, &st) ? -ENOENT : 0;
		fd = -EAGAIN;
	}
	if (r < 0)
		return r;
	text_put(node->host, host);
	node->place = CORE_UPPER;
	return flags < 0 ? 0 : fd;
}

/* A copy that takes longer than a moment can be interrupted, were it to end the program. */
#define MOMENT (64l << 20)

static NOINLINE long copy_up_now(struct core_task *task, struct core_node *node, int flags)
{
	struct parent_times times;
	struct stat st;
	uint64_t signals;
	int brief;
	long r;

	if (node->bind)
		return 0;
	if (node->place == CORE_UPPER)
		return finish_names(task, node);
	if (node->place == CORE_ABSENT)
		return -ENOENT;
	if (!task->view->upper.length)
		return -EROFS;
	r = upper_parents(task, node);
	if (r < 0)
		return r;
	brief = !IS(node->mode, S_IFREG) || flags >= 0 ||
		(node->entry ? (long)node->entry->size < MOMENT
			     : !sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st,
					  AT_SYMLINK_NOFOLLOW) &&
				       st.st_size < MOMENT);
	if (brief)
		signals_hold(&signals);
	parent_times_save(task, node, &times);
	r = copy_up_one(task, node, flags);
	if (node->place == CORE_UPPER)
		parent_times_restore(&times);
	if (brief)
		signals_release(&signals);
	return r;
}

long copy_up(struct core_task *task, struct core_node *node)
{
	return copy_up_now(task, node, -1);
}

long copy_up_truncated(struct core_task *task, struct core_node *node, int flags)
{
	return copy_up_now(task, node, flags & ~O_CREAT);
}

long copy_up_root(struct core_task *task)
{
	const struct core_view *view = task->view;
	struct core_node node = { .hash = LPMX_FNV_BASIS };
	struct meta meta;
	struct stat st;
	long r;

	r = lower_find(view, "", 0, LPMX_FNV_BASIS, &node);
	if (r <= 0 || !IS(node.mode, S_IFDIR))
		return r;
	r = sys_call4(__NR_newfstatat, AT_FDCWD, node.host, &st, AT_SYMLINK_NOFOLLOW);
	if (r >= 0)
		r = meta_of_node(task, &node, &st, &meta);
	if (r < 0)
		return r;
	if (!meta.inode)
		meta.inode = identity_inode(view, st.st_dev, st.st_ino);
	if (node.entry)
		object_stat(view, node.entry, &st);
	acl_forget(view->upper.text);
	r = meta_store(view, view->upper.text, -1, &meta);
	return r < 0 ? r : copy_times(&st, view->upper.text);
}

#define F_GETFD_ 1
#define F_GETFL_ 3

long copy_up_descriptor(int fd, const char *host)
{
	long flags = sys_call3(__NR_fcntl, fd, F_GETFL_, 0), kept = sys_call3(__NR_fcntl, fd, F_GETFD_, 0);
	long at = sys_call3(__NR_lseek, fd, 0, 1 /* SEEK_CUR */), new, r = 0;

	if (flags < 0 || kept < 0)
		return flags < 0 ? flags : kept;
	new = sys_call4(__NR_openat, AT_FDCWD, host,
			(flags & ~(O_CREAT | O_EXCL | O_TRUNC)) | O_CLOEXEC | O_NOFOLLOW, 0);
	if (new < 0)
		return new;
	if (at > 0)
		r = sys_call3(__NR_lseek, new, at, 0 /* SEEK_SET */);
	if (r >= 0)
		r = sys_call3(__NR_dup3, new, fd, kept & 1 ? O_CLOEXEC : 0);
	sys_call1(__NR_close, new);
	return r;
}

/* ---- a directory with everything in it --------------------------------------------------- */

struct copy_tree {
	struct core_task *task;
	struct pile directories;
	struct core_node directory, child;
	char path[CORE_HOST_MAX];
	size_t length; /* of the directory's path */
};

static long copy_tree_one(void *context, const char *name, uint32_t type)
{
	struct copy_tree *tree = context;
	long r;

	(void)type;
	if (tree->length + 1 + text_length(name) >= CORE_PATH_MAX)
		return -ENAMETOOLONG;
	tree->path[tree->length] = '/';
	text_put(tree->path + tree->length + 1, name);
	r = path_node(tree->task, tree->path, &tree->child);
	if (r >= 0 && tree->child.place != CORE_ABSENT)
		r = copy_up(tree->task, &tree->child);
	if (r >= 0 && IS(tree->child.mode, S_IFDIR) && !tree->child.bind)
		r = pile_add(&tree->directories, tree->path);
	tree->path[tree->length] = 0;
	return r < 0 ? r : 0;
}

static long copy_tree_down(struct copy_tree *tree)
{
	long r = 0;

	while (r >= 0 && pile_next(&tree->directories, tree->path)) {
		tree->length = text_length(tree->path);
		r = path_node(tree->task, tree->path, &tree->directory);
		if (r >= 0)
			r = copy_up(tree->task, &tree->directory);
		if (r >= 0)
			r = dir_each(tree->task, &tree->directory, copy_tree_one, tree);
	}
	/* from the leaves: a directory is whole before the lower ones are hidden */
	while (r >= 0 && pile_back(&tree->directories, tree->path)) {
		r = path_node(tree->task, tree->path, &tree->directory);
		if (r < 0 || tree->directory.place != CORE_UPPER || !tree->directory.lower_below)
			continue;
		upper_touch(tree->task->view, tree->directory.hash, 1);
		r = opaque_set(tree->directory.host);
	}
	return r;
}

long copy_up_tree(struct core_task *task, struct core_node *node)
{
	long memory = sys_call6(__NR_mmap, 0, sizeof(struct copy_tree), 3, 0x22, -1, 0);
	struct copy_tree *tree = (void *)memory;
	long r;

	if (SYS_FAILED(memory))
		return memory;
	tree->task = task;
	r = pile_add(&tree->directories, node->path);
	if (r >= 0)
		r = copy_tree_down(tree);
	pile_free(&tree->directories);
	sys_call2(__NR_munmap, memory, sizeof(*tree));
	if (r >= 0)
		r = path_node(task, node->path, node);
	return r;
}
