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

/* Copy `size` bytes at `offset`; both files stay where they are. */
static long copy_range(long from, long to, long offset, long size)
{
	char block[16384];
	long in = offset, out = offset;

	while (size > 0) {
		long n = sys_call6(__NR_copy_file_range, from, (long)&in, to, (long)&out, size, 0);

		if (n == -EINTR)
			continue;
		if (n == 0)
			return 0;
		if (n < 0)
			break;
		size -= n;
	}
	while (size > 0) {
		long done = 0;
		long n = sys_call4(__NR_pread64, from, block,
				   size < (long)sizeof(block) ? size : (long)sizeof(block), in);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n;
		while (done < n) {
			long m = sys_call4(__NR_pwrite64, to, block + done, n - done, in + done);

			if (m == -EINTR)
				continue;
			if (m < 0)
				return m;
			done += m;
		}
		in += n;
		size -= n;
	}
	return 0;
}

/* The whole content, holes kept. */
static long copy_content(long from, long to, long size)
{
	long at = 0, r;

	if (!sys_call3(__NR_ioctl, to, FICLONE_, from))
		return 0;
	while (at < size) {
		long data = sys_call3(__NR_lseek, from, at, SEEK_DATA_);
		long hole;

		if (data == -ENXIO)
			break;
		if (data < 0) {
			data = at;
			hole = size;
		} else {
			hole = sys_call3(__NR_lseek, from, data, SEEK_HOLE_);
			if (hole < 0)
				hole = size;
		}
		r = copy_range(from, to, data, hole - data);
		if (r < 0)
			return r;
		at = hole;
	}
	return sys_call2(__NR_ftruncate, to, size);
}

/* The user's own extended attributes; ours are made, not copied. */
static long copy_xattrs(const char *from, const char *to)
{
	char names[4096], value[8192];
	long n = sys_call3(__NR_llistxattr, from, names, sizeof(names));

	for (char *name = names; n > 0 && name < names + n; name += text_length(name) + 1) {
		long size, r;

		if (!text_begins(name, "user.") || text_begins(name, "user.overlay.") ||
		    text_equal(name, LPMX_XATTR_STAT) || text_equal(name, LPMX_XATTR_INODE))
			continue;
		size = sys_call4(__NR_lgetxattr, from, name, value, sizeof(value));
		if (size < 0)
			continue;
		r = sys_call5(__NR_lsetxattr, to, name, value, size, 0);
		if (r < 0 && r != -EOPNOTSUPP)
			return r;
	}
	return 0;
}

/* A file of ours to fill, whatever umask the program has. */
static long make_file(const char *work)
{
	long fd = sys_call4(__NR_openat, AT_FDCWD, work, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			    0600);

	/* its attributes ask for the permission that the umask may have taken */
	if (fd >= 0)
		sys_call2(__NR_fchmod, fd, 0600);
	return fd;
}

/* A new object like `node` at `work`, without metadata; or -errno and nothing. */
static long make_like(const struct core_node *node, const struct meta *meta, long size,
		      const char *work)
{
	char target[CORE_PATH_MAX];
	long from, to, r;

	switch (meta->mode & S_IFMT) {
	case S_IFDIR:
		r = sys_call3(__NR_mkdirat, AT_FDCWD, work, 0700);
		return r < 0 ? r : sys_call3(__NR_fchmodat, AT_FDCWD, work, 0700);
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
		break;
	default:
		to = make_file(work);
		if (to >= 0)
			sys_call1(__NR_close, to);
		return to < 0 ? to : 0;
	}
	from = sys_call4(__NR_openat, AT_FDCWD, node->host, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
	if (from < 0)
		return from;
	to = make_file(work);
	r = to < 0 || !size ? to : copy_content(from, to, size);
	/* on disk before it hides the original, as ovl_copy_up_file does: after a power
	 * loss there must not be an empty file in the place of a good one */
	if (r >= 0 && size)
		r = sys_call1(__NR_fdatasync, to);
	if (to >= 0)
		sys_call1(__NR_close, to);
	sys_call1(__NR_close, from);
	if (r < 0 && to >= 0)
		sys_call3(__NR_unlinkat, AT_FDCWD, work, 0);
	return r;
}

/* Times of the original, to the nanosecond. */
static void copy_times(const struct stat *st, const char *to)
{
	long times[4] = { (long)st->st_atime, (long)st->st_atime_nsec, (long)st->st_mtime,
			  (long)st->st_mtime_nsec };

	sys_call4(__NR_utimensat, AT_FDCWD, to, times, AT_SYMLINK_NOFOLLOW);
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

/*
 * The other names of a file that is copied up become names of the copy, so that
 * they stay one file.  Only an index knows them.
 */
struct names {
	struct core_task *task;
	struct core_node node;
	char path[CORE_PATH_MAX];
};

/* Set names->node to the other name `entry` of the file, if that shows. */
static int other_name(struct names *names, const struct lpmx_index_entry *entry)
{
	uint32_t length = entry->path_length;

	if (length >= CORE_PATH_MAX)
		return 0;
	bytes_copy(names->path, index_text(names->task->view->index, entry->path), length);
	names->path[length] = 0;
	return path_node(names->task, names->path, &names->node) >= 0 && !names->node.bind &&
	       names->node.has_lower;
}

/* Is the upper object a copy of the lower file with this number? */
static int copy_of(const struct core_view *view, const char *host, uint64_t inode)
{
	struct meta meta;
	struct stat st;

	if (sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	meta_of_upper(view, host, -1, &st, &meta);
	return meta.inode == inode;
}

/* Has one of the other names been copied up already?  Then link it to `host`. */
static long join_names(struct names *names, const struct lpmx_index_entry *self, uint64_t inode,
		       const char *host)
{
	const struct core_view *view = names->task->view;
	const struct lpmx_index_entry *other = 0;

	while ((other = index_link(view->index, self->link_group, other)))
		if (other != self && other_name(names, other) && names->node.place == CORE_UPPER &&
		    copy_of(view, names->node.host, inode))
			return sys_call5(__NR_linkat, AT_FDCWD, names->node.host, AT_FDCWD, host, 0);
	return -ENOENT;
}

/* Give the copy at `work` all names that still show the lower file. */
static void spread_names(struct names *names, const struct lpmx_index_entry *self, const char *work)
{
	const struct core_view *view = names->task->view;
	const struct lpmx_index_entry *other = 0;
	struct parent_times times;
	char host[CORE_HOST_MAX];

	while ((other = index_link(view->index, self->link_group, other))) {
		if (other == self || !other_name(names, other) || names->node.place != CORE_LOWER ||
		    upper_parents(names->task, &names->node) < 0 ||
		    upper_host(view, names->node.path, host) < 0)
			continue;
		parent_times_save(names->task, &names->node, &times);
		upper_touch(view, names->node.hash, !IS(names->node.mode, S_IFREG));
		if (!sys_call5(__NR_linkat, AT_FDCWD, work, AT_FDCWD, host, 0))
			meta_mark_parent(host);
		parent_times_restore(&times);
	}
}

/* The copy in the work directory, complete. */
static long make_copy(struct core_task *task, const struct core_node *node, const struct stat *st,
		      const struct meta *meta, int content, char work[CORE_HOST_MAX])
{
	long r = upper_work_name(task->view, work);

	if (r >= 0)
		r = make_like(node, meta, content ? (long)st->st_size : 0, work);
	if (r < 0)
		return r;
	if (!IS(meta->mode, S_IFLNK))
		r = copy_xattrs(node->host, work);
	if (r >= 0)
		r = meta_store(task->view, work, -1, meta);
	if (r < 0) {
		if (IS(meta->mode, S_IFDIR))
			upper_discard(work);
		else
			sys_call3(__NR_unlinkat, AT_FDCWD, work, 0);
		return r;
	}
	copy_times(st, work);
	return 0;
}

/* A file with several names.  Whoever copies another of them at the same time waits. */
static NOINLINE long copy_up_linked(struct core_task *task, const struct core_node *node,
				    const struct stat *st, const struct meta *meta, const char *host)
{
	char work[CORE_HOST_MAX];
	struct upper_lock lock;
	struct names *names;
	long r, memory;

	memory = sys_call6(__NR_mmap, 0, sizeof(*names), 3, 0x22, -1, 0);
	if (SYS_FAILED(memory))
		return memory;
	names = (void *)memory;
	names->task = task;
	upper_lock(task->view, &lock);
	r = join_names(names, node->entry, meta->inode, host);
	if (r == -ENOENT) {
		r = make_copy(task, node, st, meta, 1, work);
		if (r >= 0) {
			spread_names(names, node->entry, work);
			r = upper_place(work, host);
		}
	}
	upper_unlock(&lock);
	sys_call2(__NR_munmap, memory, sizeof(*names));
	return r;
}

static long copy_up_one(struct core_task *task, struct core_node *node, int content)
{
	char work[CORE_HOST_MAX], host[CORE_HOST_MAX];
	struct meta meta;
	struct stat st;
	long r;

	r = sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return r;
	meta_of_node(task, node, &st, &meta);
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
	if (node->entry && node->entry->link_group && !IS(meta.mode, S_IFLNK)) {
		r = copy_up_linked(task, node, &st, &meta, host);
	} else {
		r = make_copy(task, node, &st, &meta, content, work);
		if (r >= 0)
			r = upper_place(work, host);
	}
	if (r == -EEXIST) {
		/* somebody was faster: with a copy, or by removing it */
		if (sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW) ||
		    whiteout_is(host, &st))
			return -ENOENT;
		r = 0;
	}
	if (r < 0)
		return r;
	meta_mark_parent(host);
	text_put(node->host, host);
	node->place = CORE_UPPER;
	return 0;
}

static NOINLINE long copy_up_now(struct core_task *task, struct core_node *node, int content)
{
	struct parent_times times;
	long r;

	if (node->place == CORE_UPPER || node->bind)
		return 0;
	if (node->place == CORE_ABSENT)
		return -ENOENT;
	if (!task->view->upper.length)
		return -EROFS;
	r = upper_parents(task, node);
	if (r < 0)
		return r;
	parent_times_save(task, node, &times);
	r = copy_up_one(task, node, content);
	if (r >= 0)
		parent_times_restore(&times);
	return r;
}

long copy_up(struct core_task *task, struct core_node *node)
{
	return copy_up_now(task, node, 1);
}

long copy_up_empty(struct core_task *task, struct core_node *node)
{
	return copy_up_now(task, node, 0);
}

void copy_up_root(struct core_task *task)
{
	const struct core_view *view = task->view;
	struct core_node node = { .hash = LPMX_FNV_BASIS };
	struct meta meta;
	struct stat st;

	if (!lower_find(view, "", 0, LPMX_FNV_BASIS, &node) || !IS(node.mode, S_IFDIR) ||
	    sys_call4(__NR_newfstatat, AT_FDCWD, node.host, &st, AT_SYMLINK_NOFOLLOW))
		return;
	meta_of_node(task, &node, &st, &meta);
	if (!meta.inode)
		meta.inode = identity_inode(view, st.st_dev, st.st_ino);
	if (node.entry)
		object_stat(view, node.entry, &st);
	meta_store(view, view->upper.text, -1, &meta);
	copy_times(&st, view->upper.text);
}

#define F_GETFD_ 1
#define F_GETFL_ 3

void copy_up_descriptor(int fd, const char *host)
{
	long flags = sys_call3(__NR_fcntl, fd, F_GETFL_, 0), kept = sys_call3(__NR_fcntl, fd, F_GETFD_, 0);
	long at = sys_call3(__NR_lseek, fd, 0, 1 /* SEEK_CUR */), new;

	if (flags < 0 || kept < 0 || (flags & O_PATH))
		return;
	new = sys_call4(__NR_openat, AT_FDCWD, host,
			(flags & ~(O_CREAT | O_EXCL | O_TRUNC)) | O_CLOEXEC | O_NOFOLLOW, 0);
	if (new < 0)
		return;
	if (at > 0)
		sys_call3(__NR_lseek, new, at, 0 /* SEEK_SET */);
	sys_call3(__NR_dup3, new, fd, kept & 1 ? O_CLOEXEC : 0);
	sys_call1(__NR_close, new);
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
