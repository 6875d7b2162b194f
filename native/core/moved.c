/*
 * A directory of a layer that a program has open, or works in, and that is somewhere else
 * by now; and a file, whose place is asked for by its link in /proc.
 *
 * The kernel knows such a directory in its layer, where it never moves.  In the view it
 * can be renamed, with what is above it or by itself; then it was copied up first, and the
 * copy keeps its number (meta.c).  So what has the number is the directory, wherever it
 * is; a directory of the same path without it is another one, made since.
 *
 * Nothing is asked as long as nothing on the path is special.  Whether a number was ever
 * renamed is in the sets of the control page; only then is the upper searched, and the
 * place is remembered and looked at again before it is believed.
 */
#include "internal.h"

static struct {
	volatile int busy;
	uint64_t number;
	char path[CORE_PATH_MAX];
} last;

/* No path has this hash: each begins with a slash. */
static uint64_t hash_of(uint64_t number)
{
	return fnv((const char *)&number, sizeof(number));
}

/* The number that the upper object at `host` keeps, whatever it is; or 0. */
static uint64_t number_at(const struct core_view *view, const char *host)
{
	struct meta meta;
	struct stat st;

	if (sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW) ||
	    !meta_marked(view, st.st_mode) || meta_of_upper(view, host, -1, &st, &meta) < 0)
		return 0;
	return meta.inode;
}

void moved_announce(const struct core_view *view, const char *host)
{
	uint64_t number = number_at(view, host);

	if (number)
		upper_touch(view, hash_of(number), 0);
}

int moved_perhaps(const struct core_view *view, const char *path)
{
	uint64_t hash = LPMX_FNV_BASIS;

	for (const char *p = path, *end; *p; p = end) {
		for (end = p + 1; *end && *end != '/'; end++)
			;
		hash = fnv_more(hash, p, (size_t)(end - p));
		/* what is below is not in the upper either */
		if (!upper_touched(view, hash))
			return 0;
		if (upper_special(view, hash))
			return 1;
	}
	return 0;
}

/* Is the object with this number, a directory or none, at `path`? */
static NOINLINE int is_at(struct core_task *task, uint64_t number, const char *path, int directory)
{
	struct core_node node;

	if (path_node(task, path, &node) < 0 || node.bind || node.place == CORE_ABSENT ||
	    IS(node.mode, S_IFDIR) != directory)
		return 0;
	if (node.place == CORE_LOWER)
		return !node.entry || object_number(task->view, node.entry) == number;
	return node.place == CORE_UPPER && number_at(task->view, node.host) == number;
}

static int is_where_it_was(struct core_task *task, uint64_t number, char *path, size_t size,
			   int directory)
{
	int r = 0;

	if (__atomic_exchange_n(&last.busy, 1, __ATOMIC_ACQUIRE))
		return 0;
	if (last.number == number && is_at(task, number, last.path, directory))
		r = path_join(path, size, last.path, "") >= 0;
	__atomic_store_n(&last.busy, 0, __ATOMIC_RELEASE);
	return r;
}

static void remember(uint64_t number, const char *path)
{
	if (text_length(path) >= sizeof(last.path) ||
	    __atomic_exchange_n(&last.busy, 1, __ATOMIC_ACQUIRE))
		return;
	last.number = number;
	text_put(last.path, path);
	__atomic_store_n(&last.busy, 0, __ATOMIC_RELEASE);
}

/* The number of the directory behind `fd` that its layer has at `path`; 0: not known. */
static uint64_t number_of(const struct core_view *view, int fd, const char *path)
{
	const struct lpmx_index_entry *entry;
	uint32_t length = (uint32_t)text_length(path);
	struct stat st;

	if (view->index) {
		entry = index_find(view->index, fnv(path, length), path, length);
		return entry ? object_number(view, entry) : 0;
	}
	if (fd == AT_FDCWD ? sys_call4(__NR_newfstatat, AT_FDCWD, ".", &st, 0)
			   : sys_call2(__NR_fstat, fd, &st))
		return 0;
	return identity_inode(view, st.st_dev, st.st_ino);
}

/* Where the object with this number was moved to. */
static long search(struct core_task *task, uint64_t number, char *path, size_t size, int directory)
{
	const struct core_view *view = task->view;
	char host[CORE_HOST_MAX];
	long r;

	if (!upper_touched(view, hash_of(number)))
		return -ENOENT;
	if (is_where_it_was(task, number, path, size, directory))
		return 0;
	r = upper_find(view, number, host);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	r = path_join(path, size, host + view->upper.length, "");
	if (r >= 0)
		remember(number, path);
	return r;
}

static NOINLINE long find(struct core_task *task, int fd, char *path, size_t size)
{
	uint64_t number = number_of(task->view, fd, path);

	return !number || is_at(task, number, path, 1) ? 0 : search(task, number, path, size, 1);
}

NOINLINE long moved_file(struct core_task *task, const struct stat *st, char *path, size_t size)
{
	const struct core_view *view = task->view;
	const struct lpmx_index_entry *entry = 0;
	uint32_t length = (uint32_t)text_length(path);

	if (view->index)
		entry = index_find(view->index, fnv(path, length), path, length);
	if (IS(st->st_mode, S_IFDIR) || !view->upper.length || (view->index && !entry))
		return -ENOENT;
	return search(task,
		      entry ? object_number(view, entry)
			    : identity_inode(view, st->st_dev, st->st_ino),
		      path, size, 0);
}

long moved(struct core_task *task, int fd, char *path, size_t size)
{
	long r = 0;

	if (moved_perhaps(task->view, path))
		r = find(task, fd, path, size);
	return r < 0 ? r : (long)text_length(path);
}
