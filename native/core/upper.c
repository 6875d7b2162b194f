/*
 * The upper: the one writable layer, and how anything gets into it.
 *
 * Protocol, for any number of threads and processes at once:
 * - Before a name changes in the upper, its hash is in the control page
 *   (`touched`, and `special` for what is not a plain file or a merged
 *   directory).  Bits are never taken back while the container lives, so who
 *   finds a bit unset may rely on the index alone.
 * - What appears is made complete in the work directory and renamed into its
 *   place.  Killed at any instant, the upper has the old object or the new one.
 */
#include "bloom.h"
#include "internal.h"

int upper_touched(const struct core_view *view, uint64_t hash)
{
	return !view->control || hash == LPMX_FNV_BASIS || bloom_has(view->control->touched, hash);
}

int upper_special(const struct core_view *view, uint64_t hash)
{
	return !view->control || bloom_has(view->control->special, hash);
}

void upper_touch(const struct core_view *view, uint64_t hash, int special)
{
	if (!view->control)
		return;
	if (special)
		bloom_set(view->control->special, hash);
	bloom_set(view->control->touched, hash);
}

long upper_writable(const struct core_task *task, const struct core_node *node)
{
	if (node->bind)
		return node->bind->read_only ? -EROFS : 0;
	return task->view->upper.length ? 0 : -EROFS;
}

long upper_parents(struct core_task *task, const struct core_node *node)
{
	struct core_node *parent;
	struct stat st;
	char host[CORE_HOST_MAX];
	uint32_t length = path_parent(node->path, node->path_length);
	long r;

	/* Usually the parent is there. */
	r = path_join(host, sizeof(host), task->view->upper.text, "");
	if (r < 0)
		return r;
	bytes_copy(host + r, node->path, length);
	host[r + length] = 0;
	if (!length || (!sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW) &&
			IS(st.st_mode, S_IFDIR)))
		return 0;
	r = sys_call6(__NR_mmap, 0, sizeof(*parent), 3, 0x22, -1, 0);
	if (SYS_FAILED(r))
		return r;
	parent = (void *)r;
	/* From the root down: each is a directory of the view, or nothing is. */
	for (uint32_t at = 1; at <= length; at++) {
		if (at < length && node->path[at] != '/')
			continue;
		bytes_copy(host, node->path, at);
		host[at] = 0;
		r = path_node(task, host, parent);
		if (r >= 0 && parent->place == CORE_ABSENT)
			r = -ENOENT;
		if (r >= 0 && parent->place == CORE_LOWER)
			r = copy_up(task, parent);
		if (r < 0)
			break;
	}
	sys_call2(__NR_munmap, parent, sizeof(*parent));
	return r < 0 ? r : 0;
}

long upper_work_name(const struct core_view *view, char host[CORE_HOST_MAX])
{
	static volatile uint64_t counter;
	uint64_t time[2] = { 0, 0 };
	char *p;

	if (!view->work.length)
		return -EROFS;
	sys_call2(__NR_clock_gettime, 1, time);
	p = text_put(host, view->work.text);
	*p++ = '/';
	p = text_put_number(p, (uint64_t)sys_call0(__NR_gettid), 16);
	*p++ = '-';
	p = text_put_number(p, time[0] * 1000000000 + time[1], 16);
	*p++ = '-';
	p = text_put_number(p, __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED), 16);
	return p - host;
}

static long rename_host(const char *from, const char *to, unsigned flags)
{
	return sys_call5(__NR_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static long remove_host(const char *host)
{
	long r = sys_call3(__NR_unlinkat, AT_FDCWD, host, 0);

	return r == -EISDIR || r == -EPERM ? upper_discard(host) : r;
}

long upper_place(const char *from, const char *to, int replaces, int directory)
{
	long r;

	if (!replaces) {
		r = rename_host(from, to, RENAME_NOREPLACE_);
		if (r == -EINVAL) {
			/* A file system without the flag: link() refuses to replace. */
			struct stat st;

			if (!sys_call4(__NR_newfstatat, AT_FDCWD, to, &st, AT_SYMLINK_NOFOLLOW))
				r = -EEXIST;
			else
				r = rename_host(from, to, 0);
		}
	} else if (directory) {
		/* rename() will not put a directory over a whiteout: swap them. */
		r = rename_host(from, to, RENAME_EXCHANGE_);
		if (r == -EINVAL) {
			sys_call3(__NR_unlinkat, AT_FDCWD, to, 0);
			return rename_host(from, to, 0);
		}
		if (!r)
			return remove_host(from);
	} else {
		r = rename_host(from, to, 0);
	}
	if (r < 0)
		remove_host(from);
	return r;
}

/* ---- whole trees ------------------------------------------------------------------ */

/* One path for a whole walk: names are put on and taken off, so that depth costs
 * no stack to speak of. */
struct tree {
	struct core_task *task;
	char path[CORE_HOST_MAX];
};

static struct tree *tree_begin(struct core_task *task, const char *path)
{
	long r = sys_call6(__NR_mmap, 0, sizeof(struct tree), 3, 0x22, -1, 0);
	struct tree *tree = (void *)r;

	if (SYS_FAILED(r))
		return 0;
	tree->task = task;
	if (path_join(tree->path, sizeof(tree->path), path, "") >= 0)
		return tree;
	sys_call2(__NR_munmap, tree, sizeof(*tree));
	return 0;
}

static long tree_down(struct tree *tree, const char *name)
{
	size_t n = text_length(tree->path);

	if (n + 1 + text_length(name) >= sizeof(tree->path))
		return -ENAMETOOLONG;
	tree->path[n] = '/';
	text_put(tree->path + n + 1, name);
	return (long)n;
}

static long touch_one(void *context, const char *name, uint32_t type)
{
	struct tree *tree = context;
	const struct core_view *view = tree->task->view;
	const char *path = tree->path + view->upper.length;
	struct stat st;
	long n = tree_down(tree, name);

	(void)type;
	if (n < 0)
		return n;
	if (!sys_call4(__NR_newfstatat, AT_FDCWD, tree->path, &st, AT_SYMLINK_NOFOLLOW)) {
		int directory = IS(st.st_mode, S_IFDIR);

		upper_touch(view, fnv(path, text_length(path)),
			    directory ? opaque_is(tree->path)
				      : !IS(st.st_mode, S_IFREG) || whiteout_is(tree->path, &st));
		if (directory)
			host_each(tree->path, touch_one, tree);
	}
	tree->path[n] = 0;
	return 0;
}

long upper_touch_tree(struct core_task *task, const char *path)
{
	struct tree *tree = tree_begin(task, task->view->upper.text);
	long r;

	if (!tree)
		return -ENOMEM;
	r = path_join(tree->path + task->view->upper.length,
		      sizeof(tree->path) - task->view->upper.length, path, "");
	if (r >= 0)
		r = host_each(tree->path, touch_one, tree);
	sys_call2(__NR_munmap, tree, sizeof(*tree));
	return r;
}

static long discard_one(void *context, const char *name, uint32_t type)
{
	struct tree *tree = context;
	long r, n = tree_down(tree, name);

	(void)type;
	if (n < 0)
		return n;
	r = sys_call3(__NR_unlinkat, AT_FDCWD, tree->path, 0);
	if (r == -EISDIR || r == -EPERM) {
		sys_call3(__NR_fchmodat, AT_FDCWD, tree->path, 0700);
		host_each(tree->path, discard_one, tree);
		sys_call3(__NR_unlinkat, AT_FDCWD, tree->path, AT_REMOVEDIR);
	}
	tree->path[n] = 0;
	return 0;
}

long upper_discard(const char *host)
{
	struct tree *tree = tree_begin(0, host);

	if (!tree)
		return -ENOMEM;
	sys_call3(__NR_fchmodat, AT_FDCWD, host, 0700);
	host_each(host, discard_one, tree);
	sys_call2(__NR_munmap, tree, sizeof(*tree));
	return sys_call3(__NR_unlinkat, AT_FDCWD, host, AT_REMOVEDIR);
}
