/*
 * The upper: the one writable layer, and how anything gets into it.
 *
 * Protocol, for any number of threads and processes at once:
 * - Before a name changes in the upper, its hash is in the control page
 *   (`touched`, and `special` for what is not a plain file or a merged
 *   directory).  Bits are never taken back while the container lives, so who
 *   finds a bit unset may rely on the index alone.  In the same way `closed` has the
 *   directories that not everybody may search.
 * - What appears is made complete in the work directory and renamed into its
 *   place.  Killed at any instant, the upper has the old object or the new one.
 * - A whiteout is an object like any other for the kernel, but must not be moved,
 *   linked or removed like one.  So who puts one in the place of something, or moves
 *   something that a whiteout may have taken the place of by now, holds the lock and
 *   looks once more (upper_still).
 */
#include "bloom.h"
#include "internal.h"

/* Of a set and its coarse copy, which is asked first. */
static inline int has(const volatile uint64_t *coarse, const volatile uint64_t *set, uint64_t hash)
{
	return bloom_has(coarse, BLOOM_COARSE_MASK, hash) && bloom_has(set, BLOOM_MASK, hash);
}

static inline void add(volatile uint64_t *coarse, volatile uint64_t *set, uint64_t hash)
{
	bloom_set(set, BLOOM_MASK, hash);
	bloom_set(coarse, BLOOM_COARSE_MASK, hash);
}

int upper_touched(const struct core_view *view, uint64_t hash)
{
	const struct lpmx_control *control = view->control;

	return !control || hash == LPMX_FNV_BASIS || has(control->coarse_touched, control->touched, hash);
}

int upper_special(const struct core_view *view, uint64_t hash)
{
	const struct lpmx_control *control = view->control;

	return !control || has(control->coarse_special, control->special, hash);
}

void upper_touch(const struct core_view *view, uint64_t hash, int special)
{
	struct lpmx_control *control = view->control;

	if (!control)
		return;
	if (special)
		add(control->coarse_special, control->special, hash);
	add(control->coarse_touched, control->touched, hash);
}

int upper_closed(const struct core_view *view, uint64_t hash)
{
	const struct lpmx_control *control = view->control;

	return !control || !__atomic_load_n(&control->closed_known, __ATOMIC_RELAXED) ||
	       bloom_has(control->closed, BLOOM_CLOSED_MASK, hash);
}

void upper_close(const struct core_view *view, uint64_t hash, uint32_t mode)
{
	/* where there are lists, one of them may close it to somebody */
	if (view->control && IS(mode, S_IFDIR) && ((mode & 0111) != 0111 ||
			      __atomic_load_n(&view->control->lists, __ATOMIC_RELAXED)))
		bloom_set(view->control->closed, BLOOM_CLOSED_MASK, hash);
}

void upper_close_as(const struct core_view *view, const char *host, const struct stat *st,
		    uint64_t hash)
{
	struct meta meta;

	/* what cannot be told may be: it only means a closer look */
	if (meta_of_upper(view, host, -1, st, &meta) < 0)
		meta.mode = S_IFDIR;
	upper_close(view, hash, meta.mode);
}

long upper_writable(const struct core_task *task, const struct core_node *node)
{
	if (node->bind) {
		if (node->bind->read_only)
			return -EROFS;
		/* a descriptor of a layer's file that the view has another file for by now */
		return proc_magic(node->host) && proc_of_layer(task->view, node->host) ? -EROFS : 0;
	}
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

long upper_work_directory(const char *host)
{
	long r = sys_call3(__NR_mkdirat, AT_FDCWD, host, 0700);

	if (r < 0 && r != -EEXIST)
		return r;
	/* the program's umask is not ours */
	return sys_call3(__NR_fchmodat, AT_FDCWD, host, 0700);
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

#define LOCK_EX_ 2
#define LOCK_UN_ 8
#define SIG_SETMASK_ 2

void signals_hold(uint64_t *before)
{
	uint64_t all = ~0ull;

	sys_call4(__NR_rt_sigprocmask, SIG_SETMASK_, &all, before, 8);
}

void signals_release(const uint64_t *before)
{
	sys_call4(__NR_rt_sigprocmask, SIG_SETMASK_, before, 0, 8);
}

long upper_lock(const struct core_view *view, struct upper_lock *lock)
{
	const struct core_string *file = view->control ? &view->control_path : &view->work;
	long r;

	/* a handler that wanted the lock, too, would wait for ever */
	signals_hold(&lock->signals);
	lock->fd = sys_call4(__NR_openat, AT_FDCWD, file->text, O_RDONLY | O_CLOEXEC, 0);
	r = lock->fd < 0 ? lock->fd : sys_call2(__NR_flock, lock->fd, LOCK_EX_);
	if (r >= 0)
		return 0;
	if (lock->fd >= 0)
		sys_call1(__NR_close, lock->fd);
	signals_release(&lock->signals);
	return r;
}

void upper_unlock(struct upper_lock *lock)
{
	/* a child made meanwhile has the descriptor, too: closing is not enough */
	sys_call2(__NR_flock, lock->fd, LOCK_UN_);
	sys_call1(__NR_close, lock->fd);
	signals_release(&lock->signals);
}

long upper_place(const char *from, const char *to)
{
	struct stat st;
	long r = rename_host(from, to, RENAME_NOREPLACE_);

	if (r == -EINVAL) /* a file system without the flag */
		r = !sys_call4(__NR_newfstatat, AT_FDCWD, to, &st, AT_SYMLINK_NOFOLLOW)
			    ? -EEXIST
			    : rename_host(from, to, 0);
	if (r < 0)
		remove_host(from);
	return r;
}

/* 1, 0, or -errno; -ENOENT: nothing is there. */
static long is_whiteout(const char *host)
{
	struct stat st;
	long r = sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW);

	return r < 0 ? r : whiteout_is(host, &st);
}

long upper_place_over(const struct core_view *view, const char *from, const char *to)
{
	struct upper_lock lock;
	struct stat st;
	long r;

	r = sys_call4(__NR_newfstatat, AT_FDCWD, from, &st, AT_SYMLINK_NOFOLLOW);
	if (r >= 0)
		r = upper_lock(view, &lock);
	if (r < 0) {
		remove_host(from);
		return r;
	}
	r = is_whiteout(to);
	if (!r) {
		r = -EEXIST;
	} else if (r == -ENOENT) {
		/* its directory was about to be removed, and was not */
		r = rename_host(from, to, RENAME_NOREPLACE_);
	} else if (r > 0 && !IS(st.st_mode, S_IFDIR)) {
		r = rename_host(from, to, 0);
	} else if (r > 0) {
		/* rename() will not put a directory over a whiteout: swap them */
		r = rename_host(from, to, RENAME_EXCHANGE_);
		if (!r) {
			remove_host(from);
		} else if (r == -EINVAL) {
			sys_call3(__NR_unlinkat, AT_FDCWD, to, 0);
			r = rename_host(from, to, 0);
		}
	}
	upper_unlock(&lock);
	if (r < 0)
		remove_host(from);
	return r;
}

/* Remove `name` from the directory `context` if it is a whiteout. */
static long drop_whiteout(void *context, const char *name, uint32_t type)
{
	char host[CORE_HOST_MAX];
	long n = path_join(host, sizeof(host), context, "/");

	(void)type;
	if (n >= 0)
		n = path_join(host + n, sizeof(host) - (size_t)n, "", name);
	if (n >= 0)
		n = is_whiteout(host);
	if (n > 0)
		n = sys_call3(__NR_unlinkat, AT_FDCWD, host, 0);
	return n == -ENOENT ? 0 : n;
}

long upper_clear_directory(char *host)
{
	long r = opaque_set(host);

	return r < 0 ? r : host_each(host, drop_whiteout, host);
}

long upper_still(const struct core_view *view, const struct core_node *node)
{
	char host[CORE_HOST_MAX];
	struct stat st;
	long r = upper_host(view, node->path, host);

	if (r >= 0)
		r = sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW);
	if (r == -ENOENT && node->place == CORE_LOWER)
		return 0;
	if (r >= 0)
		r = whiteout_is(host, &st);
	if (r == -ENOENT || r == -ENOTDIR || r > 0)
		return -EAGAIN;
	return r < 0 ? r : IS(st.st_mode, S_IFDIR) == IS(node->mode, S_IFDIR) ? 0 : -EAGAIN;
}

/*
 * A directory with whiteouts in it cannot be removed at once.  It changes places with
 * a whiteout, so that nobody comes to it any more, and is emptied and removed aside.
 * Who had found it before may still make a name in it; then the kernel refuses to
 * remove it, and it is put back, opaque in place of its whiteouts.  The lock, which the
 * caller holds, keeps everybody from putting something else in its place meanwhile.
 */
long upper_remove_directory(const struct core_view *view, const char *host, int whiteout)
{
	const char *path = host + view->upper.length;
	char work[CORE_HOST_MAX];
	long r;

	/* without whiteouts in it, the kernel says best whether it is empty */
	if (!whiteout) {
		r = sys_call3(__NR_unlinkat, AT_FDCWD, host, AT_REMOVEDIR);
		if (r != -ENOTEMPTY && r != -EEXIST)
			return r;
		upper_touch(view, fnv(path, text_length(path)), 1);
	}
	r = upper_work_name(view, work);
	if (r >= 0)
		r = whiteout_make(work, host);
	if (r < 0)
		return r;
	r = rename_host(host, work, RENAME_EXCHANGE_);
	if (!r) {
		r = upper_clear_directory(work);
		if (!r)
			r = sys_call3(__NR_unlinkat, AT_FDCWD, work, AT_REMOVEDIR);
		if (r < 0)
			rename_host(work, host, RENAME_EXCHANGE_);
	}
	if (r < 0)
		sys_call3(__NR_unlinkat, AT_FDCWD, work, 0);
	else if (!whiteout)
		sys_call3(__NR_unlinkat, AT_FDCWD, host, 0);
	return r;
}

/* ---- whole trees ------------------------------------------------------------------ */

struct tree {
	const struct core_view *view;
	struct pile directories;
	char path[CORE_HOST_MAX]; /* the directory that is read, and for a while a name in it */
	size_t length;            /* of the directory's */
	uint64_t hash;            /* of the directory's path in the view */
	uint64_t wanted;          /* an inode number that is looked for */
};

/* Room for a walk, which is too large for the stack. */
static struct tree *tree_begin(const struct core_view *view, const char *host)
{
	long r = sys_call6(__NR_mmap, 0, sizeof(struct tree), 3, 0x22, -1, 0);
	struct tree *tree = (void *)r;

	if (SYS_FAILED(r))
		return 0;
	tree->view = view;
	if (pile_add(&tree->directories, host) >= 0)
		return tree;
	sys_call2(__NR_munmap, tree, sizeof(*tree));
	return 0;
}

static void tree_end(struct tree *tree)
{
	pile_free(&tree->directories);
	sys_call2(__NR_munmap, tree, sizeof(*tree));
}

static long tree_name(struct tree *tree, const char *name)
{
	size_t n = tree->length;

	if (n + 1 + text_length(name) >= sizeof(tree->path))
		return -ENAMETOOLONG;
	tree->path[n] = '/';
	text_put(tree->path + n + 1, name);
	return 0;
}

static long touch_one(void *context, const char *name, uint32_t type)
{
	struct tree *tree = context;
	struct stat st;
	long r = tree_name(tree, name);
	uint64_t hash;

	(void)type;
	if (r < 0)
		return r;
	hash = fnv_more(tree->hash, tree->path + tree->length, 1 + text_length(name));
	r = sys_call4(__NR_newfstatat, AT_FDCWD, tree->path, &st, AT_SYMLINK_NOFOLLOW);
	if (!r) {
		int directory = IS(st.st_mode, S_IFDIR);
		long special = directory                  ? opaque_is(tree->path)
			       : !IS(st.st_mode, S_IFREG) ? 1
							  : whiteout_is(tree->path, &st);

		/* what cannot be told may be: the bit only means a closer look */
		upper_touch(tree->view, hash, special != 0);
		if (directory)
			upper_close_as(tree->view, tree->path, &st, hash);
		if (meta_marked(tree->view, st.st_mode))
			moved_announce(tree->view, tree->path);
		if (directory)
			r = pile_add(&tree->directories, tree->path);
	}
	tree->path[tree->length] = 0;
	return r == -ENOENT ? 0 : r;
}

long upper_touch_tree(const struct core_view *view, const char *host, const char *path)
{
	struct tree *tree = tree_begin(view, host);
	uint64_t start = fnv(path, text_length(path));
	size_t root = text_length(host);
	long r = 0;

	if (!tree)
		return -ENOMEM;
	while (r >= 0 && pile_next(&tree->directories, tree->path)) {
		tree->length = text_length(tree->path);
		tree->hash = fnv_more(start, tree->path + root, tree->length - root);
		r = host_each(tree->path, touch_one, tree);
	}
	tree_end(tree);
	return r;
}

static long discard_one(void *context, const char *name, uint32_t type)
{
	struct tree *tree = context;
	long r = tree_name(tree, name);

	(void)type;
	if (r < 0)
		return r;
	r = sys_call3(__NR_unlinkat, AT_FDCWD, tree->path, 0);
	if (r == -EISDIR || r == -EPERM) {
		sys_call3(__NR_fchmodat, AT_FDCWD, tree->path, 0700);
		r = pile_add(&tree->directories, tree->path);
	} else {
		r = 0;
	}
	tree->path[tree->length] = 0;
	return r;
}

long upper_discard(const char *host)
{
	struct tree *tree = tree_begin(0, host);
	long r = 0;

	if (!tree)
		return -ENOMEM;
	sys_call3(__NR_fchmodat, AT_FDCWD, host, 0700);
	while (r >= 0 && pile_next(&tree->directories, tree->path)) {
		tree->length = text_length(tree->path);
		r = host_each(tree->path, discard_one, tree);
	}
	while (pile_back(&tree->directories, tree->path))
		r = sys_call3(__NR_unlinkat, AT_FDCWD, tree->path, AT_REMOVEDIR);
	tree_end(tree);
	return r;
}

static long find_one(void *context, const char *name, uint32_t type)
{
	struct tree *tree = context;
	struct meta meta;
	struct stat st;
	long r = tree_name(tree, name);

	(void)type;
	if (r >= 0)
		r = sys_call4(__NR_newfstatat, AT_FDCWD, tree->path, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (meta_marked(tree->view, st.st_mode)) {
		r = meta_of_upper(tree->view, tree->path, -1, &st, &meta);
		if (r < 0 || meta.inode == tree->wanted)
			return r < 0 ? r : 1;
	}
	return IS(st.st_mode, S_IFDIR) ? pile_add(&tree->directories, tree->path) : 0;
}

long upper_find(const struct core_view *view, uint64_t number, char host[CORE_HOST_MAX])
{
	struct tree *tree = tree_begin(view, view->upper.text);
	long r = 0;

	if (!tree)
		return -ENOMEM;
	tree->wanted = number;
	while (!r && pile_next(&tree->directories, tree->path)) {
		tree->length = text_length(tree->path);
		r = host_each(tree->path, find_one, tree);
	}
	if (r > 0)
		text_put(host, tree->path);
	tree_end(tree);
	return r;
}
