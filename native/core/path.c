/*
 * From a path as a program says it to one object of the view.
 *
 * Two ways.  The quick one (known.c) handles what most calls bring: a path without special
 * names, of which the index alone tells all, or all but what the upper has in the last
 * place.  Everything else is walked component by component by `walk`, which follows links
 * inside the view.
 */
#include <linux/openat2.h>

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

const char *path_below(const char *path, const char *above)
{
	size_t n = text_length(above);

	return text_same(path, above, n) && (path[n] == '/' || !path[n]) ? path + n : 0;
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

void layer_host(const struct core_view *view, uint32_t layer, const char *path, uint32_t length,
		char *host)
{
	const struct core_string *tree = &view->layers[layer];

	bytes_copy(host, tree->text, tree->length);
	bytes_copy(host + tree->length, path, length);
	host[tree->length + length] = 0;
	if (!host[0])
		text_put(host, "/");
}

/* Does this answer of lstat mean that nothing is there?  Any other error is no answer. */
static int absent(long r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -EACCES || r == -ELOOP || r == -ENAMETOOLONG;
}

/*
 * Live layers: is `path` in this one?  LAYER_HIDES: no, and something there that is no
 * directory hides what the layers below have.  One layer is asked directly: what is above the name
 * was found in it before.  In one of several it may be a link, which must not be followed.
 */
long layer_find(const struct core_view *view, uint32_t layer, const char *path, uint32_t length,
		char *host, struct stat *st)
{
	uint32_t tree = view->layers[layer].length;
	uint32_t at = view->layer_count > 1 ? 0 : length;
	long r;

	layer_host(view, layer, path, length, host);
	while (at < length) {
		char end;

		for (at++; at < length && path[at] != '/'; at++)
			;
		if (at >= length)
			break;
		end = host[tree + at];
		host[tree + at] = 0;
		r = lstat_host(host, st);
		host[tree + at] = end;
		if (r < 0)
			return absent(r) ? 0 : r;
		if (!IS(st->st_mode, S_IFDIR))
			return LAYER_HIDES;
	}
	r = lstat_host(host, st);
	return r >= 0 ? 1 : absent(r) ? 0 : r;
}

/* `entry` is what is at the path. */
static void lower_is(const struct core_view *view, const struct lpmx_index_entry *entry,
		     const char *path, uint32_t length, struct core_node *node)
{
	node->entry = entry;
	node->mode = entry->mode;
	node->layer = entry->layer;
	node->place = CORE_LOWER;
	node->lower_below = 1;
	layer_host(view, entry->layer, path, length, node->host);
}

long lower_find(const struct core_view *view, const char *path, uint32_t length, uint64_t hash,
	       struct core_node *node)
{
	if (view->index) {
		const struct lpmx_index_entry *entry = index_find(view->index, hash, path, length);

		if (!entry || entry->layer >= view->layer_count)
			return 0;
		lower_is(view, entry, path, length, node);
		return 1;
	}
	for (uint32_t layer = view->layer_count; layer--;) {
		struct stat st;
		long there = layer_find(view, layer, path, length, node->host, &st);

		if (there < 0 || there == LAYER_HIDES)
			return there < 0 ? there : 0;
		if (!there)
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

static NOINLINE long live_exists(const struct core_view *view, const struct core_node *node)
{
	char host[CORE_HOST_MAX];
	struct stat st;

	for (uint32_t layer = view->layer_count; layer--;) {
		long there = layer_find(view, layer, node->path, node->path_length, host, &st);

		if (there)
			return there == LAYER_HIDES ? 0 : there;
	}
	return 0;
}

/* Is there a lower object, without saying so in the node? */
static long lower_exists(const struct core_view *view, struct core_node *node)
{
	if (!view->index)
		return live_exists(view, node);
	node->entry = index_find(view->index, node->hash, node->path, node->path_length);
	return node->entry != 0;
}

const struct core_bind *bind_exact(const struct core_view *view, const char *path, uint32_t length,
				   uint64_t hash)
{
	if (!(view->bind_filter & (1ull << (hash & 63))))
		return 0;
	for (uint32_t i = view->bind_count; i--;) {
		const struct core_bind *bind = &view->binds[i];

		if (bind->hash == hash && bind->at.length == length &&
		    bytes_same(bind->at.text, path, length))
			return bind;
	}
	return 0;
}

/* The object at `node->path` below `bind`. */
static long look_bind(const struct core_bind *bind, struct core_node *node)
{
	struct stat st;
	long r;

	node->bind = bind;
	node->read_only = bind->read_only;
	node->place = CORE_BIND;
	bytes_copy(node->host, bind->host.text, bind->host.length);
	bytes_copy(node->host + bind->host.length, node->path + bind->at.length,
		   node->path_length - bind->at.length);
	node->host[bind->host.length + node->path_length - bind->at.length] = 0;
	if (!node->host[0])
		text_put(node->host, "/");
	r = lstat_host(node->host, &st);
	if (r < 0)
		node->place = CORE_ABSENT;
	else
		node->mode = st.st_mode;
	/* who may not search a directory of the machine is told so, as there */
	return r < 0 && (r == -EACCES || !absent(r)) ? r : 0;
}

/* Nothing is at `node->path`; it would go to the upper. */
static void is_absent(const struct core_view *view, struct core_node *node)
{
	node->place = CORE_ABSENT;
	bytes_copy(node->host, view->upper.text, view->upper.length);
	bytes_copy(node->host + view->upper.length, node->path, node->path_length + 1);
}

/*
 * The object at `node->path` of the union, whose parent is a directory through
 * which the lower layers show (`lower`) or not.  What cannot be asked is an error: that
 * the upper does not answer must not bring the lower object back.
 */
static long look_union(const struct core_view *view, struct core_node *node, int lower)
{
	long r;

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
		r = lstat_host(host, &st);
		if (r < 0 && !absent(r))
			return r;
		if (r >= 0) {
			int special = upper_special(view, node->hash);

			r = lower ? lower_exists(view, node) : 0;
			if (r < 0)
				return r;
			node->has_lower = (int)r;
			r = special ? whiteout_is(host, &st) : 0;
			if (r < 0)
				return r;
			if (r) {
				node->place = CORE_ABSENT;
				node->hidden = 1;
				return 0;
			}
			node->place = CORE_UPPER;
			node->mode = st.st_mode;
			if (node->has_lower && IS(st.st_mode, S_IFDIR) &&
			    (!node->entry || IS(node->entry->mode, S_IFDIR))) {
				r = special ? opaque_is(host) : 0;
				node->lower_below = !r;
			}
			return r < 0 ? r : 0;
		}
	}
	r = lower ? lower_find(view, node->path, node->path_length, node->hash, node) : 0;
	if (r) {
		node->has_lower = 1;
		return r < 0 ? r : 0;
	}
	is_absent(view, node);
	return 0;
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

static void node_clear(struct core_node *node)
{
	node->mode = 0;
	node->read_only = 0;
	node->trailing_slash = 0;
	node->last = CORE_LAST_ROOT;
	node->lower_below = 0;
	node->has_lower = 0;
	node->hidden = 0;
	node->bind = 0;
	node->layer = 0;
	node->entry = 0;
}

/* ---- the quick way --------------------------------------------------------- */

static NOINLINE int is_touched_directory(const struct core_view *view, const char *path,
					 uint32_t length, uint64_t hash)
{
	struct core_node node;

	node.hash = hash;
	node_path(&node, path, length);
	return look_union(view, &node, 1) >= 0 && node.place != CORE_ABSENT &&
	       IS(node.mode, S_IFDIR);
}

/* Is the first part of `path`, none of whose names is special, a directory? */
static int is_known_directory(const struct core_view *view, const char *path, uint32_t length,
			      uint64_t hash)
{
	const struct lpmx_index_entry *entry;

	if (!length)
		return 1;
	if (view->upper.length && upper_touched(view, hash))
		return is_touched_directory(view, path, length, hash);
	entry = index_find(view->index, hash, path, length);
	return entry && IS(entry->mode, S_IFDIR);
}

/*
 * 1: `node` is the answer, perhaps that there is nothing; 0: walk.  `path` is absolute,
 * of `length` bytes.  Says "walk" wherever the answer is not plainly there.  `checked`:
 * directories are searched for names that begin there and later, if this user may.
 */
static NOINLINE int resolve_known(struct core_task *task, const char *path, uint32_t length,
				  int follow, uint32_t checked, struct core_node *node)
{
	const struct core_view *view = task->view;
	struct known_names n;

	if (!view->index || length < 2 || length >= CORE_PATH_MAX)
		return 0;
	known_begin(view, &n);
	if (!known_names(task, path, length, checked, &n) || n.unsure)
		return 0;
	node->hash = n.hash;
	node->last = CORE_LAST_NAME;
	node_path(node, path, length);
	if (look_union(view, node, 1) < 0)
		return 0;
	if (node->place == CORE_ABSENT)
		return is_known_directory(view, path, n.at, n.above);
	return !(follow && IS(node->mode, S_IFLNK));
}

/* Let `node` be what known_path found: 1, or 0 if it did not. */
static int known_node(const struct core_task *task, int found, const struct known *k,
		      struct core_node *node)
{
	const struct core_view *view = task->view;

	if (found != KNOWN && found != KNOWN_UPPER && found != KNOWN_BOUND)
		return 0;
	node_clear(node);
	node->hash = k->hash;
	node->last = CORE_LAST_NAME;
	node_path(node, k->path, k->length);
	if (found == KNOWN_BOUND) {
		node->bind = k->bind;
		node->read_only = k->bind->read_only;
		node->place = k->st.st_mode ? CORE_BIND : CORE_ABSENT;
		node->mode = k->st.st_mode;
		known_host(view, found, k, node->host);
		return 1;
	}
	node->read_only = !view->upper.length;
	if (found == KNOWN) {
		node->has_lower = k->entry != 0;
		if (k->entry)
			lower_is(view, k->entry, k->path, k->length, node);
		else
			is_absent(view, node);
		return 1;
	}
	/* nothing is special: a directory shows what is below it */
	node->place = CORE_UPPER;
	node->mode = k->st.st_mode;
	node->has_lower = (int)lower_exists(view, node);
	node->lower_below = node->has_lower && IS(node->mode, S_IFDIR) &&
			    IS(node->entry->mode, S_IFDIR);
	known_host(view, found, k, node->host);
	return 1;
}

/* ---- the thorough way -------------------------------------------------------- */

struct walk {
	struct core_task *task;
	struct core_node *node;
	const char *root; /* what "/" and ".." end at */
	uint64_t how;     /* RESOLVE_* */
	int rooted;       /* the kernel would have had to find its root by now */
	int lower;        /* lower layers show in the directory at node->path */
	int links;
	int emulated;     /* permissions are ours to check, from w->checked on */
	const char *checked; /* in w->rest: what is said, and not found out */
	/* not yet walked: a deep directory's path, and what was said from there */
	char rest[CORE_PATH_MAX + CORE_SAID_MAX];
};

static void walk_to_root(struct walk *w)
{
	w->node->path[0] = 0;
	w->node->path_length = 0;
	w->node->hash = LPMX_FNV_BASIS;
	w->node->bind = 0;
	w->lower = 1;
}

/* Does the upper's directory hide the lower ones?  -ENOENT if it is none. */
static NOINLINE long is_opaque(const struct core_view *view, const char *path, uint32_t length)
{
	char host[CORE_HOST_MAX];
	struct stat st;
	long r;

	bytes_copy(host, view->upper.text, view->upper.length);
	bytes_copy(host + view->upper.length, path, length);
	host[view->upper.length + length] = 0;
	r = opaque_is(host);
	return r || lstat_host(host, &st) || IS(st.st_mode, S_IFDIR) ? r : -ENOENT;
}

/*
 * Begin at the canonical `node->path`, which is or was a directory: is it open to the
 * lower layers?  -ENOENT if it is gone, by a whiteout or by what took its place.
 */
static long walk_state(struct walk *w)
{
	struct core_node *node = w->node;
	const struct core_view *view = w->task->view;
	uint32_t length = node->path_length;
	const struct core_bind *bind = 0;
	uint64_t hash = LPMX_FNV_BASIS;
	long r;

	w->lower = 1;
	for (uint32_t at = 0; at < length;) {
		uint32_t start = at;

		for (at++; at < length && node->path[at] != '/'; at++)
			;
		hash = fnv_more(hash, node->path + start, at - start);
		if (bind_exact(view, node->path, at, hash))
			bind = bind_exact(view, node->path, at, hash);
		if (!bind && view->upper.length && upper_special(view, hash)) {
			r = is_opaque(view, node->path, at);
			if (r < 0)
				return r;
			if (r)
				w->lower = 0;
		}
	}
	node->hash = hash;
	node->bind = bind;
	return 0;
}

/* Another file system where there must be none; as the kernel, which does not look whether
 * there is when it may not wait (follow_dotdot_rcu, __follow_mount_rcu). */
static long walk_leaves(const struct walk *w)
{
	return w->how & RESOLVE_CACHED_ ? -EAGAIN : -EXDEV;
}

/* A walk that began outside the program's root ends at the real one only. */
static long walk_up(struct walk *w)
{
	struct core_node *node = w->node;
	const struct core_bind *above = node->bind;
	long r;

	w->rooted = 1;
	if (!node->path_length || text_equal(node->path, w->root)) {
		if (w->how & RESOLVE_BENEATH)
			return walk_leaves(w);
	} else {
		node->path_length = path_parent(node->path, node->path_length);
		node->path[node->path_length] = 0;
	}
	r = walk_state(w);
	return r >= 0 && w->how & RESOLVE_NO_XDEV && node->bind != above ? walk_leaves(w) : r;
}

static long walk_look(struct walk *w)
{
	struct core_node *node = w->node;
	const struct core_bind *bind =
		bind_exact(w->task->view, node->path, node->path_length, node->hash);

	if (!bind)
		bind = node->bind;
	if (bind && !is_prefix_directory(bind->at.text, bind->at.length))
		return look_bind(bind, node);
	if (!is_prefix_directory(node->path, node->path_length))
		return look_union(w->task->view, node, w->lower);
	look_prefix(w->task->view, node);
	return 0;
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
	w->checked = w->rest;
	return 0;
}

/* What walk_follow says of what it found, instead of walking on. */
enum { WALK_ON, WALK_HAND_OVER, WALK_DONE };

/* The first name in `rest` but for ".", or NULL. */
static const char *first_name(const char *rest)
{
	for (;;) {
		while (*rest == '/')
			rest++;
		if (*rest != '.' || (rest[1] && rest[1] != '/'))
			return *rest ? rest : 0;
		rest++;
	}
}

/*
 * Below an object that has no place in the view.  A removed directory is empty, whatever a
 * layer has there, and above it is what was.
 */
static NOINLINE long walk_removed(struct walk *w, const char **rest, char target[CORE_PATH_MAX])
{
	const char *name = first_name(*rest);
	char above[CORE_HOST_MAX];
	long fd, r;

	if (!name)
		return WALK_HAND_OVER;
	if (name[0] != '.' || name[1] != '.' || (name[2] && name[2] != '/'))
		return proc_of_union(w->task->view, w->node->host) ? -ENOENT : WALK_HAND_OVER;
	r = path_join(above, sizeof(above), w->node->host, "/..");
	if (r < 0)
		return r;
	fd = sys_call4(__NR_openat, AT_FDCWD, above, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	r = path_of_fd(w->task, (int)fd, target, CORE_PATH_MAX);
	sys_call1(__NR_close, fd);
	*rest = name + 2;
	return r < 0 ? r : WALK_ON;
}

/* Follow a link of /proc, which leads to an object rather than to a path. */
static NOINLINE long walk_magic(struct walk *w, const char *rest)
{
	struct core_node *node = w->node;
	char target[CORE_PATH_MAX];
	size_t length;
	int linked;
	long r;

	if (w->how & RESOLVE_CACHED_)
		return -EAGAIN;
	if (w->how & RESOLVE_NO_MAGICLINKS)
		return -ELOOP;
	if (w->how & (RESOLVE_BENEATH | RESOLVE_IN_ROOT))
		return -EXDEV;
	r = proc_link(w->task, node->host, target);
	if (w->how & RESOLVE_NO_XDEV && (!r || !path_below(target, node->bind->at.text)))
		return -EXDEV;
	if (r == PROC_SYMLINK) {
		/* itself, and not where that leads */
		if (*rest)
			return -ENOTDIR;
		if (proc_magic(target)) /* it may be one of these itself */
			return WALK_HAND_OVER;
		r = path_node(w->task, target, node);
		return r < 0 ? r : node->place == CORE_ABSENT ? -ENOENT : WALK_DONE;
	}
	if (!r) {
		r = walk_removed(w, &rest, target);
		if (r != WALK_ON)
			return r;
	}
	length = text_length(target);
	if (!length)
		target[length++] = '/';
	linked = proc_is_own(node->host);
	r = walk_link(w, target, (long)length, rest);
	if (r < 0)
		return r;
	/* the kernel jumps there, and looks for nothing on the way */
	if (linked)
		w->checked = w->rest + length;
	walk_to_root(w);
	return WALK_ON;
}

/* Go on at the target of the symlink at node->path, whose parent ends at `parent`. */
static long walk_on(struct walk *w, const char *target, long length, uint32_t parent,
		    const char *rest)
{
	struct core_node *node = w->node;
	long r = walk_link(w, target, length, rest);

	if (r < 0)
		return r;
	if (target[0] == '/') {
		/* as nd_jump_root: another file system, too, if it has no root to compare with */
		if (w->how & RESOLVE_BENEATH ||
		    (w->how & RESOLVE_NO_XDEV && (!w->rooted || node->bind)))
			return -EXDEV;
		w->rooted = 1;
		walk_to_root(w);
		node->path_length = (uint32_t)(text_put(node->path, w->root) - node->path);
	} else {
		node->path_length = parent;
		node->path[parent] = 0;
	}
	return walk_state(w);
}

static NOINLINE long walk_upper_link(struct walk *w, uint32_t parent, const char *rest)
{
	char target[CORE_PATH_MAX];
	long length = sys_call4(__NR_readlinkat, AT_FDCWD, w->node->host, target, sizeof(target));

	return length < 0 ? length : walk_on(w, target, length, parent, rest);
}

/* Follow the symlink at node->path: WALK_* or -errno. */
static long walk_follow(struct walk *w, uint32_t parent, const char *rest)
{
	struct core_node *node = w->node;
	const char *text;

	if (w->how & RESOLVE_NO_SYMLINKS)
		return -ELOOP;
	if (node->place == CORE_BIND && proc_magic(node->host))
		return walk_magic(w, rest);
	if (!node->entry || node->place != CORE_LOWER)
		return walk_upper_link(w, parent, rest);
	text = index_bytes(w->task->view->index, node->entry->target, node->entry->target_length);
	if (!text)
		return -EIO;
	if (node->entry->target_length >= CORE_PATH_MAX)
		return -ENAMETOOLONG;
	return walk_on(w, text, node->entry->target_length, parent, rest);
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
	long r;

	if (node->path_length + text_length(rest) >= CORE_PATH_MAX)
		return -ENAMETOOLONG;
	text_put(node->host + text_length(node->host), rest);
	node->path_length += (uint32_t)(text_put(node->path + node->path_length, rest) -
					(node->path + node->path_length));
	r = sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st,
		      nofollow ? AT_SYMLINK_NOFOLLOW : 0);
	if (r != -ENOENT) {
		node->mode = st.st_mode;
		return r;
	}
	node->place = CORE_ABSENT;
	return flags & CORE_MAY_BE_ABSENT ? 0 : -ENOENT;
}

/* May the emulated user look for names in the directory at node->path?  `have`: the node
 * was looked up. */
static NOINLINE long walk_may_search(struct walk *w, int have)
{
	const struct core_node *node = w->node;
	const struct core_view *view = w->task->view;
	long r;

	if (node->bind)
		return 0; /* the kernel's to say */
	if (view->index && is_passable(w->task, node->path, node->path_length, node->hash,
				       view->upper.length && upper_touched(view, node->hash)))
		return 0;
	if (have)
		return permission_to_search(w->task, node);
	r = permission_of_path(w->task, node->path, 1);
	return r != -EACCES && absent(r) ? 0 : r;
}

/*
 * After a link most paths are plain again, as "/bin/sh" is after "/bin" became
 * "/usr/bin".  1: node is the answer for all that is left; 0: walk on.
 */
static NOINLINE long walk_known(struct walk *w, int flags, const char *rest)
{
	struct core_node *node = w->node;
	char path[CORE_PATH_MAX];
	uint32_t above = node->path_length, checked = above + 1;
	size_t length = text_length(rest);

	if (w->how || node->bind)
		return 0;
	while (*rest == '/')
		rest++, length--;
	if (!length || above + 1 + length >= CORE_PATH_MAX)
		return 0;
	bytes_copy(path, node->path, above);
	path[above] = '/';
	bytes_copy(path + above + 1, rest, length + 1);
	if (w->checked > rest)
		checked += (uint32_t)(w->checked - rest);
	if (resolve_known(w->task, path, above + 1 + (uint32_t)length,
			  !(flags & (CORE_NOFOLLOW | CORE_ENTRY)),
			  w->emulated ? checked : UNCHECKED, node))
		return 1;
	/* not so: back to where the walk was */
	node_clear(node);
	bytes_copy(node->path, path, above);
	node->path[above] = 0;
	node->path_length = above;
	return walk_state(w);
}

/*
 * Walk `at`, in w->rest, from node->path.  The node describes the last component;
 * parents are directories, or -ENOTDIR, or -ENOENT.
 */
static long walk(struct walk *w, char *at, int flags)
{
	struct core_node *node = w->node;
	int have = 0;

	for (;;) {
		const struct core_bind *above = node->bind;
		uint32_t parent = node->path_length, name, length;
		char *end;
		int last, follow;
		long r;

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
		node->last = CORE_LAST_NAME;
		if (length > 255)
			return -ENAMETOOLONG;
		if (w->emulated && at >= w->checked) {
			r = walk_may_search(w, have);
			if (r < 0)
				return r;
		}
		if (length == 1 && at[0] == '.') {
			node->last = CORE_LAST_DOT;
			at = end;
			continue;
		}
		if (length == 2 && at[0] == '.' && at[1] == '.') {
			r = walk_up(w);
			if (r < 0)
				return r;
			node->last = CORE_LAST_DOT_DOT;
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
		r = walk_look(w);
		if (r < 0)
			return r;
		have = 1;
		if (w->how & RESOLVE_NO_XDEV && node->bind != above && at >= w->checked)
			return walk_leaves(w);
		follow = !last ||
			 (!(flags & CORE_ENTRY) &&
			  (!(flags & CORE_NOFOLLOW) || node->trailing_slash));
		if (node->place == CORE_ABSENT) {
			if (!last)
				return -ENOENT;
			return flags & CORE_MAY_BE_ABSENT ? 0 : -ENOENT;
		}
		if (IS(node->mode, S_IFLNK) && follow) {
			r = walk_follow(w, parent, end);
			if (r)
				return r == WALK_HAND_OVER ? walk_hand_over(w, flags, end)
				       : r < 0		   ? r
							   : 0;
			have = 0;
			at = w->rest;
			r = walk_known(w, flags, at);
			if (r < 0)
				return r;
			if (r)
				return node->place == CORE_ABSENT && !(flags & CORE_MAY_BE_ABSENT)
					       ? -ENOENT
					       : 0;
			continue;
		}
		if (!last || (node->trailing_slash && !(flags & CORE_ENTRY))) {
			if (!IS(node->mode, S_IFDIR))
				return -ENOTDIR;
		}
		if (!node->bind)
			w->lower = node->lower_below;
		at = end;
	}
	if (!have) {
		long r;

		/* the walk ended on a directory it knew: "/", ".", ".." */
		if (!node->path_length) {
			node->hash = LPMX_FNV_BASIS;
			r = look_union(w->task->view, node, 1);
			if (r < 0)
				return r;
			if (node->place == CORE_ABSENT) {
				node->place = CORE_UPPER;
				node->mode = S_IFDIR | 0755;
			}
		} else {
			/* its parent's state decides about this one */
			uint32_t length = node->path_length;

			node->path_length = path_parent(node->path, length);
			r = walk_state(w);
			if (r < 0)
				return r;
			node->hash = fnv_more(node->hash, node->path + node->path_length,
					      length - node->path_length);
			node->path_length = length;
			r = walk_look(w);
			if (r < 0)
				return r;
		}
		if (node->place == CORE_ABSENT)
			return -ENOENT;
	}
	return 0;
}

/*
 * Resolve `path` from `base`, an absolute path of the view's real root that is a
 * directory, or "".
 */
static NOINLINE long resolve_from(struct core_task *task, const char *root, const char *base,
				  const char *path, int flags, uint64_t how, int tried,
				  struct core_node *node)
{
	struct walk w;
	long length, start, r;

	node_clear(node);
	w.task = task;
	w.node = node;
	w.root = root;
	w.emulated = permission_is_checked(task);
	w.how = how;
	w.rooted = path[0] == '/' || root == base;
	w.links = 0;
	start = path_join(w.rest, sizeof(w.rest), base, *path && path[0] != '/' ? "/" : "");
	if (start < 0)
		return start;
	length = path_join(w.rest + start, sizeof(w.rest) - (size_t)start, "", path);
	if (length < 0)
		return length;
	w.checked = w.rest + start;
	length += start;
	if (!how && !tried &&
	    resolve_known(task, w.rest, (uint32_t)length, !(flags & (CORE_NOFOLLOW | CORE_ENTRY)),
			  w.emulated ? (uint32_t)start : UNCHECKED, node))
		return node->place == CORE_ABSENT && !(flags & CORE_MAY_BE_ABSENT) ? -ENOENT : 0;
	node_clear(node);
	walk_to_root(&w);
	if (!*path || !*base)
		return walk(&w, w.rest, flags);
	/* the base needs no walk: it has no links in it */
	node_path(node, base, (uint32_t)text_length(base));
	r = walk_state(&w);
	return r < 0 ? r : walk(&w, w.rest + start, flags);
}

static NOINLINE long walk_node(struct core_task *task, const char *path, int tried,
			       struct core_node *node)
{
	uint32_t length = (uint32_t)text_length(path), above = path_parent(path, length);
	struct walk w;
	long r;

	if (length >= CORE_PATH_MAX)
		return -ENAMETOOLONG;
	node_clear(node);
	if (!tried && resolve_known(task, path, length, 0, UNCHECKED, node))
		return 0;
	node_clear(node);
	w.task = task;
	w.node = node;
	w.root = "";
	w.how = 0;
	w.rooted = w.emulated = w.links = 0;
	if (!length) {
		walk_to_root(&w);
		w.rest[0] = 0;
		return walk(&w, w.rest, 0);
	}
	/* `path` may be node->path itself */
	node_path(node, path, above);
	r = walk_state(&w);
	node->path[above] = '/';
	bytes_copy(node->path + above + 1, path + above + 1, length - above);
	if (r < 0)
		return r;
	node->path_length = length;
	node->hash = fnv_more(node->hash, node->path + above, length - above);
	node->last = CORE_LAST_NAME;
	walk_look(&w);
	return 0;
}

/*
 * Nothing in the path is a link, so nothing above its last name need be looked at but
 * what may have become something else.
 */
NOINLINE long path_node(struct core_task *task, const char *path, struct core_node *node)
{
	struct known k;
	int found = known_path(task, AT_FDCWD, path, KNOWN_CANONICAL, &k);

	return known_node(task, found, &k, node) ? 0 : walk_node(task, path, k.tried, node);
}

/* ---- descriptors ---------------------------------------------------------------- */

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

int is_in_layer_of(const struct core_view *view, const char *host,
		   const struct lpmx_index_entry *entry)
{
	return entry->layer < view->layer_count && below(host, &view->layers[entry->layer]);
}

int is_lower(const struct core_view *view, const char *host)
{
	return !in_upper(view, host) && in_layer(view, host) && !in_bind(view, host);
}

static long place_of_fd(struct core_task *task, int fd, char *path, size_t size, int only_directory)
{
	const struct core_view *view = task->view;
	const struct lpmx_index_entry *entry;
	char host[CORE_HOST_MAX];
	struct stat st;
	long n;

	if (fd == AT_FDCWD) {
		n = host_of_cwd(view, host, sizeof(host));
		if (n >= 0)
			n = core_from_host(view, host, path, size);
		return n >= 0 && is_lower(view, host) ? moved(task, fd, path, size) : n;
	}
	n = sys_call2(__NR_fstat, fd, &st);
	if (n < 0)
		return n;
	if (only_directory && !IS(st.st_mode, S_IFDIR))
		return -ENOTDIR;
	if (view->index) {
		/* /proc is slow to ask; a directory of the layers may be known */
		entry = IS(st.st_mode, S_IFDIR) ? object_known(view, &st) : 0;
		if (entry) {
			n = path_join(path, size, index_path(view->index, entry), "");
			return n >= 0 ? moved(task, fd, path, size) : n;
		}
	}
	n = host_of_fd(view, fd, host, sizeof(host));
	if (n < 0)
		return n;
	if (host[0] != '/')
		return -ENOTDIR;
	n = core_from_host(view, host, path, size);
	if (n < 0 || !IS(st.st_mode, S_IFDIR) || !is_lower(view, host))
		return n;
	if (view->index) {
		entry = index_find(view->index, fnv(path, (size_t)n), path, (uint32_t)n);
		if (entry && IS(entry->mode, S_IFDIR) && is_in_layer_of(view, host, entry))
			object_learn(view, &st, entry);
	}
	return moved(task, fd, path, size);
}

long path_of_fd(struct core_task *task, int fd, char *path, size_t size)
{
	return place_of_fd(task, fd, path, size, 0);
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

const char *in_upper(const struct core_view *view, const char *host)
{
	return view->upper.length ? below(host, &view->upper) : 0;
}

int in_work(const struct core_view *view, const char *host)
{
	return view->work.length && below(host, &view->work) != 0;
}

/* As core_from_host: of what is within another, as the store may be within a bind, the
 * innermost counts. */
int in_bind(const struct core_view *view, const char *host)
{
	size_t longest = in_upper(view, host) ? view->upper.length + 1 : 0;

	for (uint32_t i = 0; i < view->layer_count; i++)
		if (view->layers[i].length >= longest && below(host, &view->layers[i]))
			longest = view->layers[i].length + 1;
	for (uint32_t i = 0; i < view->bind_count; i++)
		if (view->binds[i].host.length + 1 >= longest && below(host, &view->binds[i].host))
			return 1;
	return 0;
}

int in_layer(const struct core_view *view, const char *host)
{
	for (uint32_t i = 0; i < view->layer_count; i++)
		if (below(host, &view->layers[i]))
			return 1;
	return 0;
}

/* ---- directories without a name -------------------------------------------------------- */

/*
 * What a removed directory still has: itself, and the one that it was in.  It is the
 * kernel's; nothing can be made in it, and what a layer has at its place is not changed.
 */
static NOINLINE long resolve_removed(struct core_task *task, int dirfd, const char *path,
				     struct core_node *node)
{
	static const struct core_bind nowhere = { { "", 0 }, { "", 0 }, 0, 1 };
	char base[CORE_PATH_MAX];
	int dots = path[0] == '.' ? path[1] == '.' ? 2 : 1 : 0;
	struct stat st;
	long fd, r;

	for (size_t i = (size_t)dots; path[i]; i++)
		if (path[i] != '/')
			dots = 0;
	if (!dots)
		return -ENOENT;
	if (dots == 1) {
		r = dirfd == AT_FDCWD ? sys_call4(__NR_newfstatat, dirfd, ".", &st, 0)
				      : sys_call2(__NR_fstat, dirfd, &st);
		if (r < 0 || !IS(st.st_mode, S_IFDIR))
			return -ENOENT;
		node_clear(node);
		node_path(node, "", 0);
		node->hash = LPMX_FNV_BASIS;
		node->bind = &nowhere;
		node->read_only = 1;
		node->place = CORE_BIND;
		node->mode = st.st_mode;
		node->last = CORE_LAST_DOT;
		if (dirfd == AT_FDCWD)
			text_put(node->host, "/proc/self/cwd/.");
		else
			text_put(text_put_number(text_put(node->host, "/proc/self/fd/"),
						 (unsigned)dirfd, 10),
				 "/.");
		return 0;
	}
	fd = sys_call4(__NR_openat, dirfd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	r = place_of_fd(task, (int)fd, base, sizeof(base), 1);
	sys_call1(__NR_close, fd);
	if (r >= 0)
		r = path_node(task, base, node);
	if (r >= 0 && (node->place == CORE_ABSENT || !IS(node->mode, S_IFDIR)))
		r = -ENOENT;
	if (r >= 0)
		node->last = CORE_LAST_DOT_DOT;
	return r;
}

/* ---- the root --------------------------------------------------------------------- */

const char *task_root(const struct core_task *task)
{
	return __atomic_load_n(&task->root, __ATOMIC_ACQUIRE);
}

void task_set_root(struct core_task *task, const char *path)
{
	uint32_t next = __atomic_add_fetch(&task->roots_made, 1, __ATOMIC_RELAXED) % CORE_ROOTS;

	text_put(task->roots[next], path);
	__atomic_store_n(&task->root, task->roots[next], __ATOMIC_RELEASE);
}

const char *task_below_root(const struct core_task *task, const char *path)
{
	const char *below_root = path_below(path, task_root(task));

	return below_root ? below_root : path;
}

/* ---- the entry for everybody else ------------------------------------------------- */

/* From a directory that a descriptor is of, or the working directory. */
static NOINLINE long resolve_at(struct core_task *task, int dirfd, const char *path, int flags,
				uint64_t how, const struct known *k, struct core_node *node)
{
	const char *root = task_root(task);
	char base[CORE_PATH_MAX];
	long r = 0;

	if (k && k->based) {
		bytes_copy(base, k->path, k->base);
		base[k->base] = 0;
	} else {
		r = place_of_fd(task, dirfd, base, sizeof(base), 1);
	}
	if (r >= 0) {
		if (how & (RESOLVE_IN_ROOT | RESOLVE_BENEATH))
			root = base;
		r = resolve_from(task, root, base, path, flags, how, k && k->tried, node);
	}
	return r == -ENOENT && !how ? resolve_removed(task, dirfd, path, node) : r;
}

/* `k`: what known_path left, or NULL. */
static long resolve_any(struct core_task *task, int dirfd, const char *path, int flags,
			uint64_t how, const struct known *k, struct core_node *node)
{
	const char *root = task_root(task);

	if (!*path)
		return -ENOENT;
	if (how & RESOLVE_BENEATH && path[0] == '/')
		return -EXDEV;
	if (path[0] == '/' && !(how & RESOLVE_IN_ROOT))
		return resolve_from(task, root, root, path, flags, how, k && k->tried, node);
	return resolve_at(task, dirfd, path, flags, how, k, node);
}

long path_resolve_known(struct core_task *task, int found, const struct known *k, int dirfd,
			const char *path, int flags, struct core_node *node)
{
	long r = 0;

	if (found == KNOWN_NOWHERE)
		r = -ENOENT;
	else if (!known_node(task, found, k, node))
		r = resolve_any(task, dirfd, path, flags, 0, k, node);
	else if (node->place == CORE_ABSENT && !(flags & CORE_MAY_BE_ABSENT))
		r = -ENOENT;
	if (task->trace)
		trace_path(task, dirfd, path, node, r);
	return r;
}

static NOINLINE long resolve(struct core_task *task, int dirfd, const char *path, int flags,
			     struct core_node *node)
{
	struct known k;
	int found = known_path(task, dirfd, path,
			       flags & (CORE_NOFOLLOW | CORE_ENTRY) ? 0 : KNOWN_FOLLOW, &k);

	return path_resolve_known(task, found, &k, dirfd, path, flags, node);
}

long path_resolve(struct core_task *task, int dirfd, const char *path, int flags, uint64_t how,
		  struct core_node *node)
{
	long r;

	if (!how)
		return resolve(task, dirfd, path, flags, node);
	r = resolve_any(task, dirfd, path, flags, how, 0, node);
	if (task->trace)
		trace_path(task, dirfd, path, node, r);
	return r;
}

long core_resolve(struct core_task *task, int dirfd, const char *path, int flags,
		  struct core_node *node)
{
	return resolve(task, dirfd, path, flags, node);
}
