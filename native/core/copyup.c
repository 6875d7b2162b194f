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
		    text_equal(name, LPMX_XATTR_STAT))
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

/* A new object like `node` at `work`, without metadata; or -errno and nothing. */
static long make_like(struct core_task *task, const struct core_node *node, const struct meta *meta,
		      const struct stat *st, const char *work)
{
	char target[CORE_PATH_MAX];
	long from, to, r;

	(void)task;
	switch (meta->mode & S_IFMT) {
	case S_IFDIR:
		return sys_call3(__NR_mkdirat, AT_FDCWD, work, 0700);
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
		to = sys_call4(__NR_openat, AT_FDCWD, work, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			       0600);
		if (to >= 0)
			sys_call1(__NR_close, to);
		return to < 0 ? to : 0;
	}
	from = sys_call4(__NR_openat, AT_FDCWD, node->host, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
	if (from < 0)
		return from;
	to = sys_call4(__NR_openat, AT_FDCWD, work, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	r = to < 0 ? to : copy_content(from, to, (long)st->st_size);
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

static long copy_up_one(struct core_task *task, struct core_node *node)
{
	char work[CORE_HOST_MAX], host[CORE_HOST_MAX];
	struct meta meta;
	struct stat st;
	long r;

	r = sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return r;
	meta_of_node(task, node, &st, &meta);
	r = upper_host(task->view, node->path, host);
	if (r >= 0)
		r = upper_work_name(task->view, work);
	if (r >= 0)
		r = make_like(task, node, &meta, &st, work);
	if (r < 0)
		return r;
	if (!IS(meta.mode, S_IFLNK))
		r = copy_xattrs(node->host, work);
	if (r >= 0)
		r = meta_store(work, -1, &meta);
	if (r < 0) {
		upper_discard(work);
		sys_call3(__NR_unlinkat, AT_FDCWD, work, 0);
		return r;
	}
	copy_times(&st, work);
	upper_touch(task->view, node->hash, !IS(meta.mode, S_IFREG) && !IS(meta.mode, S_IFDIR));
	r = upper_place(work, host, 0, IS(meta.mode, S_IFDIR));
	if (r < 0 && r != -EEXIST)
		return r;
	text_put(node->host, host);
	node->place = CORE_UPPER;
	return 0;
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

NOINLINE long copy_up(struct core_task *task, struct core_node *node)
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
	r = copy_up_one(task, node);
	if (r >= 0 && times.known)
		copy_times(&times.st, times.host);
	return r;
}

/* ---- a directory with everything in it --------------------------------------------------- */

struct copy_tree {
	struct core_task *task;
	struct core_node node;
	char path[CORE_PATH_MAX];
};

static long copy_tree_one(void *context, const char *name, uint32_t type);

static long copy_tree_below(struct copy_tree *tree)
{
	struct core_node *node;
	long memory, r;

	r = path_node(tree->task, tree->path, &tree->node);
	if (r < 0)
		return r;
	if (tree->node.place == CORE_ABSENT)
		return 0;
	r = copy_up(tree->task, &tree->node);
	if (r < 0 || !IS(tree->node.mode, S_IFDIR))
		return r;
	/* the listing needs a node of its own while its children are visited */
	memory = sys_call6(__NR_mmap, 0, sizeof(*node), 3, 0x22, -1, 0);
	if (SYS_FAILED(memory))
		return memory;
	node = (void *)memory;
	r = path_node(tree->task, tree->path, node);
	if (r >= 0)
		r = dir_each(tree->task, node, copy_tree_one, tree);
	if (r >= 0 && node->lower_below) {
		upper_touch(tree->task->view, node->hash, 1);
		r = opaque_set(node->host);
	}
	sys_call2(__NR_munmap, memory, sizeof(*node));
	return r;
}

static long copy_tree_one(void *context, const char *name, uint32_t type)
{
	struct copy_tree *tree = context;
	size_t n = text_length(tree->path);
	long r;

	(void)type;
	if (n + 1 + text_length(name) >= sizeof(tree->path))
		return -ENAMETOOLONG;
	tree->path[n] = '/';
	text_put(tree->path + n + 1, name);
	r = copy_tree_below(tree);
	tree->path[n] = 0;
	return r < 0 ? r : 0;
}

long copy_up_tree(struct core_task *task, struct core_node *node)
{
	long memory = sys_call6(__NR_mmap, 0, sizeof(struct copy_tree), 3, 0x22, -1, 0);
	struct copy_tree *tree = (void *)memory;
	long r;

	if (SYS_FAILED(memory))
		return memory;
	tree->task = task;
	text_put(tree->path, node->path);
	r = copy_tree_below(tree);
	sys_call2(__NR_munmap, memory, sizeof(*tree));
	if (r >= 0)
		r = path_node(task, node->path, node);
	return r;
}
