/*
 * From a path as a program says it to one object of the view.
 *
 * Two ways.  `resolve_known` handles what most calls bring: an absolute path
 * without links in it.  One pass computes the hashes of all its prefixes; as
 * soon as one prefix is untouched, nothing below it is in the upper, and the
 * index alone answers, without a system call.  Everything else is walked
 * component by component by `walk`, which follows links inside the view.
 */
#include "internal.h"

#define LINKS_MAX 40

long path_join(char *to, size_t size, const char *a, const char *b)
{
	size_t n = text_length(a), m = text_length(b);

	if (n + m >= size)
		return -ENAMETOOLONG;
	bytes_copy(to, a, n);
	bytes_copy(to + n, b, m + 1);
	return (long)(n + m);
}

uint32_t path_parent(const char *path, uint32_t length)
{
	while (length && path[--length] != '/')
		;
	return length;
}

long upper_host(const struct core_view *view, const char *path, char host[CORE_HOST_MAX])
{
	return path_join(host, CORE_HOST_MAX, view->upper.text, path);
}

/* ---- what is at one canonical path --------------------------------------- */

static void node_path(struct core_node *node, const char *path, uint32_t length)
{
	if (node->path != path)
		bytes_copy(node->path, path, length);
	node->path[length] = 0;
	node->path_length = length;
}

static long lstat_host(const char *host, struct stat *st)
{
	return sys_call4(__NR_newfstatat, AT_FDCWD, host, st, AT_SYMLINK_NOFOLLOW);
}

static void layer_host(const struct core_view *view, uint32_t layer, const char *path,
		       uint32_t length, char *host)
{
	const struct core_string *tree = &view->layers[layer];

	bytes_copy(host, tree->text, tree->length);
	bytes_copy(host + tree->length, path, length);
	host[tree->length + length] = 0;
	if (!host[0])
		text_put(host, "/");
}

int lower_find(const struct core_view *view, const char *path, uint32_t length, uint64_t hash,
	       struct core_node *node)
{
	if (view->index) {
		const struct lpmx_index_entry *entry = index_find(view->index, hash, path, length);

		if (!entry || entry->layer >= view->layer_count)
			return 0;
		node->entry = entry;
		node->mode = entry->mode;
		node->layer = entry->layer;
		node->place = CORE_LOWER;
		node->lower_below = 1;
		layer_host(view, entry->layer, path, length, node->host);
		return 1;
	}
	for (uint32_t layer = view->layer_count; layer--;) {
		struct stat st;

		layer_host(view, layer, path, length, node->host);
		if (lstat_host(node->host, &st))
			continue;
		node->entry = 0;
		node->mode = st.st_mode;
		node->layer = layer;
		node->place = CORE_LOWER;
		node->lower_below = 1;
		return 1;
	}
	return 0;
}

/* Is there a lower object, without saying so in the node? */
static int lower_exists(const struct core_view *view, struct core_node *node)
{
	if (view->index) {
		node->entry = index_find(view->index, node->hash, node->path, node->path_length);
		return node->entry != 0;
	} else {
		char host[CORE_HOST_MAX];
		struct stat st;

		for (uint32_t layer = view->layer_count; layer--;) {
			layer_host(view, layer, node->path, node->path_length, host);
			if (!lstat_host(host, &st))
				return 1;
		}
		return 0;
	}
}

static const struct core_bind *bind_exact(const struct core_view *view, const char *path,
					  uint32_t length, uint64_t hash)
{
	if (!(view->bind_filter & (1ull << (hash & 63))))
		return 0;
	for (uint32_t i = view->bind_count; i--;) {
		const struct core_bind *bind = &view->binds[i];

		if (bind->hash == hash && bind->at.length == length &&
		    text_same(bind->at.text, path, length))
			return bind;
	}
	return 0;
}

/* The object at `node->path` below `bind`. */
static void look_bind(const struct core_bind *bind, struct core_node *node)
{
	struct stat st;

	node->bind = bind;
	node->read_only = bind->read_only;
	node->place = CORE_BIND;
	bytes_copy(node->host, bind->host.text, bind->host.length);
	bytes_copy(node->host + bind->host.length, node->path + bind->at.length,
		   node->path_length - bind->at.length);
	node->host[bind->host.length + node->path_length - bind->at.length] = 0;
	if (!node->host[0])
		text_put(node->host, "/");
	if (lstat_host(node->host, &st))
		node->place = CORE_ABSENT;
	else
		node->mode = st.st_mode;
}

/*
 * The object at `node->path` of the union, whose parent is a directory through
 * which the lower layers show (`lower`) or not.
 */
static void look_union(const struct core_view *view, struct core_node *node, int lower)
{
	node->bind = 0;
	node->entry = 0;
	node->has_lower = 0;
	node->lower_below = 0;
	node->hidden = 0;
	node->read_only = !view->upper.length;
	if (view->upper.length && upper_touched(view, node->hash)) {
		struct stat st;
		char *host = node->host;

		bytes_copy(host, view->upper.text, view->upper.length);
		bytes_copy(host + view->upper.length, node->path, node->path_length + 1);
		if (!lstat_host(host, &st)) {
			int special = upper_special(view, node->hash);

			node->has_lower = lower && lower_exists(view, node);
			if (special && whiteout_is(host, &st)) {
				node->place = CORE_ABSENT;
				node->hidden = 1;
				return;
			}
			node->place = CORE_UPPER;
			node->mode = st.st_mode;
			if (node->has_lower && IS(st.st_mode, S_IFDIR) &&
			    (!node->entry || IS(node->entry->mode, S_IFDIR)))
				node->lower_below = !(special && opaque_is(host));
			return;
		}
	}
	if (lower && lower_find(view, node->path, node->path_length, node->hash, node)) {
		node->has_lower = 1;
		return;
	}
	node->place = CORE_ABSENT;
	bytes_copy(node->host, view->upper.text, view->upper.length);
	bytes_copy(node->host + view->upper.length, node->path, node->path_length + 1);
}

/* /.lpmx itself: a directory nobody listed, the parent of our own binds. */
static void look_prefix(const struct core_view *view, struct core_node *node)
{
	static const struct core_bind own = { { LPMX_PREFIX, sizeof(LPMX_PREFIX) - 1 },
					      { "/", 1 }, 0, 1 };

	node->bind = &own;
	node->read_only = 1;
	node->place = CORE_BIND;
	node->mode = S_IFDIR | 0555;
	bytes_copy(node->host, view->loader.text, view->loader.length + 1);
	node->host[path_parent(node->host, view->loader.length)] = 0;
}

static int is_prefix_directory(const char *path, uint32_t length)
{
	return length == sizeof(LPMX_PREFIX) - 1 && text_same(path, LPMX_PREFIX, length);
}

/* ---- the quick way --------------------------------------------------------- */

/*
 * 1: `node` is the answer; 0: walk.  `path` is absolute, of `length` bytes.
 * Says "walk" wherever the answer is not plainly there.
 */
static int resolve_known(struct core_task *task, const char *path, uint32_t length, int follow,
			 struct core_node *node)
{
	const struct core_view *view = task->view;
	uint64_t hash = LPMX_FNV_BASIS;
	int touched = view->upper.length != 0;
	uint32_t at = 0;

	if (!view->index || length < 2)
		return 0;
	while (at < length) {
		uint32_t start = at + 1;

		hash = fnv_more(hash, "/", 1);
		for (at = start; at < length && path[at] != '/'; at++)
			hash = (hash ^ (unsigned char)path[at]) * LPMX_FNV_PRIME;
		if (at == start || (path[start] == '.' &&
				    (at == start + 1 || (at == start + 2 && path[start + 1] == '.'))))
			return 0;
		if (bind_exact(view, path, at, hash) || is_prefix_directory(path, at))
			return 0;
		if (touched && upper_touched(view, hash)) {
			if (upper_special(view, hash))
				return 0;
		} else {
			touched = 0;
		}
	}
	node->hash = hash;
	node_path(node, path, length);
	look_union(view, node, 1);
	return node->place != CORE_ABSENT && !(follow && IS(node->mode, S_IFLNK));
}

/* ---- the thorough way -------------------------------------------------------- */

struct walk {
	struct core_task *task;
	struct core_node *node;
	int lower;      /* lower layers show in the directory at node->path */
	int links;
	char rest[CORE_PATH_MAX + 8]; /* not yet walked */
};

static void walk_to_root(struct walk *w)
{
	w->node->path[0] = 0;
	w->node->path_length = 0;
	w->node->hash = LPMX_FNV_BASIS;
	w->node->bind = 0;
	w->lower = 1;
}

/* Is the directory at the canonical `node->path` open to the lower layers? */
static void walk_state(struct walk *w)
{
	struct core_node *node = w->node;
	const struct core_view *view = w->task->view;
	uint32_t length = node->path_length;
	const struct core_bind *bind = 0;
	uint64_t hash = LPMX_FNV_BASIS;
	char host[CORE_HOST_MAX];

	w->lower = 1;
	for (uint32_t at = 0; at < length;) {
		uint32_t start = at;

		for (at++; at < length && node->path[at] != '/'; at++)
			;
		hash = fnv_more(hash, node->path + start, at - start);
		if (bind_exact(view, node->path, at, hash))
			bind = bind_exact(view, node->path, at, hash);
		if (!bind && w->lower && view->upper.length && upper_special(view, hash)) {
			bytes_copy(host, view->upper.text, view->upper.length);
			bytes_copy(host + view->upper.length, node->path, at);
			host[view->upper.length + at] = 0;
			if (opaque_is(host))
				w->lower = 0;
		}
	}
	node->hash = hash;
	node->bind = bind;
}

static void walk_up(struct walk *w)
{
	struct core_node *node = w->node;

	node->path_length = path_parent(node->path, node->path_length);
	node->path[node->path_length] = 0;
	if (text_length(w->task->root) > node->path_length)
		node->path_length = (uint32_t)(text_put(node->path, w->task->root) - node->path);
	walk_state(w);
}

static void walk_look(struct walk *w)
{
	struct core_node *node = w->node;
	const struct core_bind *bind =
		bind_exact(w->task->view, node->path, node->path_length, node->hash);

	if (!bind)
		bind = node->bind;
	if (bind && !is_prefix_directory(bind->at.text, bind->at.length))
		look_bind(bind, node);
	else if (is_prefix_directory(node->path, node->path_length))
		look_prefix(w->task->view, node);
	else
		look_union(w->task->view, node, w->lower);
}

/* Put the text of a link in front of what is left to walk. */
static long walk_link(struct walk *w, const char *target, long length, const char *rest)
{
	size_t left = text_length(rest);

	if (++w->links > LINKS_MAX)
		return -ELOOP;
	if (length == 0)
		return -ENOENT;
	if (length + left >= sizeof(w->rest))
		return -ENAMETOOLONG;
	/* `rest` lies inside w->rest, further on or not: move it first. */
	if (w->rest + length < rest) {
		bytes_copy(w->rest + length, rest, left + 1);
	} else {
		for (size_t i = left + 1; i--;)
			w->rest[length + i] = rest[i];
	}
	bytes_copy(w->rest, target, (size_t)length);
	return 0;
}

/* Follow the symlink at node->path, whose parent ends at `parent`.  1: only the
 * kernel can. */
static long walk_follow(struct walk *w, uint32_t parent, const char *rest)
{
	struct core_node *node = w->node;
	char target[CORE_PATH_MAX];
	long length, r;

	if (node->place == CORE_BIND && proc_magic(node->host)) {
		if (!proc_link(w->task, node->host, target))
			return 1;
		length = (long)text_length(target);
		if (!length)
			target[length++] = '/';
		r = walk_link(w, target, length, rest);
		if (r < 0)
			return r;
		walk_to_root(w);
		return 0;
	}
	if (node->entry && node->place == CORE_LOWER) {
		length = node->entry->target_length;
		if (length >= CORE_PATH_MAX)
			return -ENAMETOOLONG;
		bytes_copy(target, index_text(w->task->view->index, node->entry->target),
			   (size_t)length);
	} else {
		length = sys_call4(__NR_readlinkat, AT_FDCWD, node->host, target, sizeof(target));
		if (length < 0)
			return length;
	}
	r = walk_link(w, target, length, rest);
	if (r < 0)
		return r;
	if (target[0] == '/') {
		walk_to_root(w);
		node->path_length = (uint32_t)(text_put(node->path, w->task->root) - node->path);
	} else {
		node->path_length = parent;
		node->path[parent] = 0;
	}
	walk_state(w);
	return 0;
}

/*
 * A link that only the kernel can follow, such as /proc/PID/fd/3 of a pipe:
 * give it the rest of the path too.
 */
static long walk_hand_over(struct walk *w, int flags, const char *rest)
{
	struct core_node *node = w->node;
	struct stat st;
	int nofollow = *rest && (flags & CORE_NOFOLLOW);

	if (node->path_length + text_length(rest) >= CORE_PATH_MAX)
		return -ENAMETOOLONG;
	text_put(node->host + text_length(node->host), rest);
	node->path_length += (uint32_t)(text_put(node->path + node->path_length, rest) -
					(node->path + node->path_length));
	if (!sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st,
		       nofollow ? AT_SYMLINK_NOFOLLOW : 0)) {
		node->mode = st.st_mode;
		return 0;
	}
	node->place = CORE_ABSENT;
	return flags & CORE_MAY_BE_ABSENT ? 0 : -ENOENT;
}

/*
 * Walk `w->rest` from node->path.  The node describes the last component;
 * parents are directories, or -ENOTDIR, or -ENOENT.
 */
static long walk(struct walk *w, int flags)
{
	struct core_node *node = w->node;
	char *at = w->rest;
	int have = 0;

	for (;;) {
		uint32_t parent = node->path_length, name, length;
		char *end;
		int last, follow;

		while (*at == '/')
			at++;
		if (!*at)
			break;
		for (end = at; *end && *end != '/'; end++)
			;
		length = (uint32_t)(end - at);
		for (name = 0; end[name] == '/'; name++)
			;
		last = !end[name];
		node->trailing_slash = last && name > 0;
		if (length > 255)
			return -ENAMETOOLONG;
		if (length == 1 && at[0] == '.') {
			at = end;
			continue;
		}
		if (length == 2 && at[0] == '.' && at[1] == '.') {
			walk_up(w);
			have = 0;
			at = end;
			continue;
		}
		if (parent + 1 + length >= CORE_PATH_MAX)
			return -ENAMETOOLONG;
		node->path[parent] = '/';
		bytes_copy(node->path + parent + 1, at, length);
		node->path[parent + 1 + length] = 0;
		node->path_length = parent + 1 + length;
		node->hash = fnv_more(node->hash, node->path + parent, 1 + length);
		walk_look(w);
		have = 1;
		follow = !last || !(flags & CORE_NOFOLLOW) || node->trailing_slash;
		if (node->place == CORE_ABSENT) {
			if (!last)
				return -ENOENT;
			return flags & CORE_MAY_BE_ABSENT ? 0 : -ENOENT;
		}
		if (IS(node->mode, S_IFLNK) && follow) {
			long r = walk_follow(w, parent, end);

			if (r)
				return r < 0 ? r : walk_hand_over(w, flags, end);
			have = 0;
			at = w->rest;
			continue;
		}
		if (!last || node->trailing_slash) {
			if (!IS(node->mode, S_IFDIR))
				return -ENOTDIR;
		}
		if (!node->bind)
			w->lower = node->lower_below;
		at = end;
	}
	if (!have) {
		/* the walk ended on a directory it knew: "/", ".", ".." */
		if (!node->path_length) {
			node->hash = LPMX_FNV_BASIS;
			look_union(w->task->view, node, 1);
			if (node->place == CORE_ABSENT) {
				node->place = CORE_UPPER;
				node->mode = S_IFDIR | 0755;
			}
		} else {
			/* its parent's state decides about this one */
			uint32_t length = node->path_length;

			node->path_length = path_parent(node->path, length);
			walk_state(w);
			node->hash = fnv_more(node->hash, node->path + node->path_length,
					      length - node->path_length);
			node->path_length = length;
			walk_look(w);
		}
		if (node->place == CORE_ABSENT)
			return -ENOENT;
	}
	return 0;
}

static void node_clear(struct core_node *node)
{
	node->mode = 0;
	node->read_only = 0;
	node->trailing_slash = 0;
	node->lower_below = 0;
	node->has_lower = 0;
	node->hidden = 0;
	node->bind = 0;
	node->layer = 0;
	node->entry = 0;
}

/* Resolve the absolute `path` (of the view's real root, not an emulated one). */
static long resolve_absolute(struct core_task *task, const char *base, const char *path, int flags,
			     struct core_node *node)
{
	struct walk w;
	long length;

	node_clear(node);
	w.task = task;
	w.node = node;
	w.links = 0;
	length = path_join(w.rest, CORE_PATH_MAX, base, *path && path[0] != '/' ? "/" : "");
	if (length < 0)
		return length;
	length = path_join(w.rest + length, CORE_PATH_MAX - (size_t)length, "", path);
	if (length < 0)
		return length;
	length = (long)text_length(w.rest);
	if (resolve_known(task, w.rest, (uint32_t)length, !(flags & CORE_NOFOLLOW), node))
		return 0;
	node_clear(node);
	walk_to_root(&w);
	return walk(&w, flags);
}

NOINLINE long path_node(struct core_task *task, const char *path, struct core_node *node)
{
	return resolve_absolute(task, path, "", CORE_NOFOLLOW | CORE_MAY_BE_ABSENT, node);
}

/* ---- descriptors ---------------------------------------------------------------- */

long host_of_fd(int fd, char *host, size_t size)
{
	char link[40];
	long n;

	if (fd < 0)
		return -EBADF;
	text_put_number(text_put(link, "/proc/self/fd/"), (unsigned)fd, 10);
	n = sys_call4(__NR_readlinkat, AT_FDCWD, link, host, size - 1);
	if (n < 0)
		return n == -ENOENT ? -EBADF : n;
	host[n] = 0;
	return n;
}

long path_of_fd(struct core_task *task, int fd, char *path, size_t size)
{
	char host[CORE_HOST_MAX];
	long n;

	if (fd == AT_FDCWD) {
		n = sys_call2(__NR_getcwd, host, sizeof(host));
		if (n < 0)
			return n;
	} else {
		n = host_of_fd(fd, host, sizeof(host));
		if (n < 0)
			return n;
		if (host[0] != '/')
			return -ENOTDIR;
	}
	return core_from_host(task->view, host, path, size);
}

/* The part of `host` below `prefix`: a pointer to its "/" or its end, or NULL. */
static const char *below(const char *host, const struct core_string *prefix)
{
	if (!prefix->length)
		return host[1] ? host : host + 1;
	if (!text_same(host, prefix->text, prefix->length))
		return 0;
	host += prefix->length;
	return *host == '/' || !*host ? host : 0;
}

long core_from_host(const struct core_view *view, const char *host, char *path, size_t size)
{
	static const struct core_string root = { "", 0 };
	const struct core_string *at = 0;
	const char *rest = 0, *found;
	size_t length = text_length(host), longest = 0;

	if (view->kind == CORE_VIEW_HOST)
		return path_join(path, size, host[1] ? host : "", "");
	if (view->upper.length && length >= view->upper.length && (found = below(host, &view->upper))) {
		at = &root;
		rest = found;
		longest = view->upper.length + 1;
	}
	for (uint32_t i = 0; i < view->layer_count; i++) {
		const struct core_string *tree = &view->layers[i];

		if (tree->length + 1 > longest && length >= tree->length && (found = below(host, tree))) {
			at = &root;
			rest = found;
			longest = tree->length + 1;
		}
	}
	for (uint32_t i = 0; i < view->bind_count; i++) {
		const struct core_bind *bind = &view->binds[i];

		if (bind->host.length + 1 >= longest && length >= bind->host.length &&
		    (found = below(host, &bind->host))) {
			at = &bind->at;
			rest = found;
			longest = bind->host.length + 1;
		}
	}
	if (!at)
		return -ENOENT;
	return path_join(path, size, at->text, rest);
}

/* ---- the entry for everybody else ------------------------------------------------- */

long core_resolve(struct core_task *task, int dirfd, const char *path, int flags,
		  struct core_node *node)
{
	char base[CORE_PATH_MAX];
	long r;

	if (!*path)
		return -ENOENT;
	if (path[0] == '/')
		return resolve_absolute(task, task->root, path, flags, node);
	r = path_of_fd(task, dirfd, base, sizeof(base));
	if (r < 0)
		return r;
	return resolve_absolute(task, base, path, flags, node);
}
