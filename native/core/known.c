/*
 * From a path as a program says it to an entry of the index: the quick way, which most calls
 * go to their end.
 *
 * One pass over the path computes the hashes of all its beginnings.  As soon as one of them is
 * untouched, nothing below it is in the upper, and the index alone answers, without a system
 * call.  Links of the layers are followed here, too: on a merged /usr nearly every path begins
 * with one.  Whatever is not plainly so is not known, and path.c finds out.
 *
 * All this has short buffers and small frames: each page of a stack that a new process touches
 * costs it more than the look-up.  Long paths go the long way.
 */
#include <linux/openat2.h>

#include "internal.h"

/* More on one way are followed by who counts them. */
#define LINKS 8

/*
 * May this user plainly search the directory at the first `length` bytes of `path`?  If it
 * is in the upper, it is known that everybody may: then the layers' need not be one, or one
 * for all.  -1: there is none.
 */
static int passable(const struct core_task *task, const char *path, uint32_t length,
		    uint64_t hash, int touched)
{
	const struct lpmx_index_entry *entry = index_find(task->view->index, hash, path, length);

	if (touched && upper_closed(task->view, hash))
		return 0;
	return entry ? permission_to_pass(task, entry) : touched ? 1 : -1;
}

int is_passable(const struct core_task *task, const char *path, uint32_t length, uint64_t hash,
		int touched)
{
	return passable(task, path, length, hash, touched) > 0;
}

void known_begin(const struct core_view *view, struct known_names *n)
{
	n->at = 0;
	n->hash = LPMX_FNV_BASIS;
	n->touched = view->upper.length != 0;
}

/* A name that is one, and neither "." nor "..". */
static int plain(const char *name, uint32_t length)
{
	return length && length <= 255 &&
	       !(name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')));
}

int known_names(const struct core_task *task, const char *path, uint32_t length, uint32_t checked,
		struct known_names *n)
{
	const struct core_view *view = task->view;
	uint64_t hash = n->hash;
	uint32_t at = n->at;
	int prefixed = 0;

	n->unsure = 0;
	n->bind = 0;
	while (at < length) {
		uint32_t start = at + 1;

		n->above = hash;
		n->touched_above = n->touched;
		n->at = at;
		if (start >= checked) {
			int r = passable(task, path, at, hash, n->touched);

			if (!r)
				return 0;
			n->unsure |= r < 0;
		}
		hash = (hash ^ '/') * LPMX_FNV_PRIME;
		for (at = start; at < length && path[at] != '/'; at++)
			hash = (hash ^ (unsigned char)path[at]) * LPMX_FNV_PRIME;
		if (!plain(path + start, at - start))
			return 0;
		n->bind = bind_exact(view, path, at, hash);
		n->end = at;
		if (n->bind)
			return 0;
		/* what is in it is bound, but for what only the long way knows */
		if (is_prefix_directory(path, at)) {
			if (prefixed || at == length)
				return 0;
			prefixed = 1;
			continue;
		}
		if (prefixed)
			return 0;
		if (n->touched && upper_touched(view, hash)) {
			if (upper_special(view, hash))
				return 0;
		} else {
			n->touched = 0;
		}
	}
	n->hash = hash;
	return 1;
}

/* The first `length` bytes of the path, on the host; -ENAMETOOLONG: go the long way. */
static long put_host(char host[KNOWN_HOST_MAX], const struct core_string *above, const char *path,
		     uint32_t length)
{
	if (above->length + length >= KNOWN_HOST_MAX)
		return -ENAMETOOLONG;
	bytes_copy(host, above->text, above->length);
	bytes_copy(host + above->length, path, length);
	host[above->length + length] = 0;
	return 0;
}

/* Ask the kernel what is there. */
static NOINLINE long ask(const struct core_string *above, const char *path, uint32_t length,
			 struct stat *st)
{
	char host[KNOWN_HOST_MAX];
	long r = put_host(host, above, path, length);

	return r < 0 ? r : sys_call4(__NR_newfstatat, AT_FDCWD, host, st, AT_SYMLINK_NOFOLLOW);
}

/* The same, and -ELOOP if a link is on the way there. */
static NOINLINE long ask_without_links(const struct core_string *above, const char *path,
				       uint32_t length, struct stat *st)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
				.resolve = RESOLVE_NO_SYMLINKS };
	char host[KNOWN_HOST_MAX];
	long r = put_host(host, above, path, length), fd;

	fd = r < 0 ? r : sys_call4(__NR_openat2, AT_FDCWD, host, &how, sizeof(how));
	if (fd < 0)
		return fd;
	r = sys_call2(__NR_fstat, fd, st);
	sys_call1(__NR_close, fd);
	return r;
}

void known_host(const struct core_view *view, int found, const struct known *k,
		char host[KNOWN_HOST_MAX])
{
	const struct core_string *above = found == KNOWN_BOUND ? &k->bind->host : &view->upper;
	uint32_t below = found == KNOWN_BOUND ? k->bind->at.length : 0;

	bytes_copy(host, above->text, above->length);
	bytes_copy(host + above->length, k->path + below, k->length - below);
	host[above->length + k->length - below] = 0;
}

/* The directory above a name that is nowhere is touched, and plain: is it there? */
static NOINLINE int is_upper_directory(const struct core_view *view, const char *path,
				       uint32_t length, uint64_t hash)
{
	const struct lpmx_index_entry *entry;
	struct stat st;
	long r;

	if (!length)
		return 1;
	r = ask(&view->upper, path, length, &st);
	if (r != -ENOENT)
		return !r && IS(st.st_mode, S_IFDIR);
	entry = index_find(view->index, hash, path, length);
	return entry && IS(entry->mode, S_IFDIR);
}

/*
 * What is below the bind at its own place: KNOWN_NOT if a link is on the way, which is the long
 * way's, and if it cannot be told.  The kernel looks for links by itself, at one go, where there
 * is more than a name and it knows how (Linux 5.6); otherwise each name is looked at.
 */
static int ask_bound(const struct known *k, int names, struct stat *st)
{
	const struct core_string *host = &k->bind->host;
	uint32_t from = k->bind->at.length, above = path_parent(k->path, k->length), at = from;
	long r = -ELOOP;

	if (names > 1)
		r = ask_without_links(host, k->path + from, k->length - from, st);
	if (r == -ENOENT) {
		r = ask_without_links(host, k->path + from, above - from, st);
		if (r == -ENOENT)
			return KNOWN_NOWHERE;
		if (!r && IS(st->st_mode, S_IFDIR)) {
			st->st_mode = 0;
			return KNOWN_BOUND;
		}
		r = -ELOOP;
	}
	while (r) {
		r = ask(host, k->path + from, at - from, st);
		if (at == k->length)
			break;
		if (r || !IS(st->st_mode, S_IFDIR))
			return KNOWN_NOT;
		r = -ELOOP;
		for (at++; at < k->length && k->path[at] != '/'; at++)
			;
	}
	if (r == -ENOENT)
		st->st_mode = 0;
	return r && r != -ENOENT ? KNOWN_NOT : KNOWN_BOUND;
}

/* What is below the bind at the first `at` bytes of the path. */
static int find_bound(const struct core_task *task, int flags, uint32_t at, uint64_t hash,
		      struct known *k)
{
	int names = 0, found;

	if (!k->bind->host.length)
		return KNOWN_NOT;
	for (; at < k->length; names++) {
		uint32_t start = ++at;

		hash = (hash ^ '/') * LPMX_FNV_PRIME;
		for (; at < k->length && k->path[at] != '/'; at++)
			hash = (hash ^ (unsigned char)k->path[at]) * LPMX_FNV_PRIME;
		if (!plain(k->path + start, at - start) || bind_exact(task->view, k->path, at, hash))
			return KNOWN_NOT;
	}
	k->hash = hash;
	found = ask_bound(k, names, &k->st);
	return found == KNOWN_BOUND && flags & KNOWN_FOLLOW && IS(k->st.st_mode, S_IFLNK) ? KNOWN_NOT
											  : found;
}

/*
 * Put the target of the link at the first `at` bytes of the path in the place of its name, and begin
 * again at the root: all directories are to be checked then, if any are.
 */
static int follow(const struct core_view *view, const struct lpmx_index_entry *link, uint32_t at,
		  uint32_t *checked, struct known_names *n, struct known *k)
{
	const char *target = index_bytes(view->index, link->target, link->target_length);
	uint32_t length = link->target_length, above = path_parent(k->path, at), to;
	uint32_t rest = k->length - at;

	if (!target || !length)
		return 0;
	if (target[0] == '/') {
		above = 0;
		target++;
		length--;
	}
	/* it stands in a directory of the layers, whose path has no link in it */
	for (; length > 3 && target[0] == '.' && target[1] == '.' && target[2] == '/'; length -= 3) {
		above = path_parent(k->path, above);
		target += 3;
	}
	to = above + 1 + length;
	if (length >= KNOWN_MAX || to + rest >= KNOWN_MAX)
		return 0;
	if (to <= at)
		bytes_copy(k->path + to, k->path + at, rest);
	else
		for (uint32_t i = rest; i--;)
			k->path[to + i] = k->path[at + i];
	k->based = 0;
	k->directory = 0;
	k->path[above] = '/';
	bytes_copy(k->path + above + 1, target, length);
	k->length = to + rest;
	k->path[k->length] = 0;
	known_begin(view, n);
	if (*checked != UNCHECKED)
		*checked = 0;
	return 1;
}

/*
 * The link of the layers that the first name of the path is, as on a merged /usr, or NULL; *end: where
 * the name ends.  Then nothing is at the path as it stands, and it need not be looked for: that is
 * two page faults in a process that has just started.
 */
static const struct lpmx_index_entry *first_link(const struct core_view *view, const struct known *k,
						 uint32_t *end)
{
	const struct lpmx_index_entry *entry;
	uint64_t hash = (LPMX_FNV_BASIS ^ '/') * LPMX_FNV_PRIME;
	uint32_t at = 1;

	for (; at < k->length && k->path[at] != '/'; at++)
		hash = (hash ^ (unsigned char)k->path[at]) * LPMX_FNV_PRIME;
	if (at >= k->length)
		return 0;
	entry = index_find_near(view->index, hash, k->path, at);
	if (!entry || !IS(entry->mode, S_IFLNK) || entry->layer >= view->layer_count ||
	    bind_exact(view, k->path, at, hash) || (view->upper.length && upper_touched(view, hash)))
		return 0;
	*end = at;
	return entry;
}

/*
 * What is at k->path, of which `n` knows the beginning.  Directories are searched for names
 * that begin at `checked` and later, if this user may.
 */
static int find(const struct core_task *task, int flags, uint32_t checked, struct known_names *n,
		struct known *k)
{
	const struct core_view *view = task->view;

	for (int links = 0; links <= LINKS; links++) {
		const struct lpmx_index_entry *entry;
		uint32_t at = k->length, end;

		entry = k->based || flags & KNOWN_CANONICAL ? 0 : first_link(view, k, &end);
		if (entry && follow(view, entry, end, &checked, n, k))
			continue;
		if (!known_names(task, k->path, k->length, checked, n)) {
			k->bind = n->bind;
			return n->bind && !n->unsure ? find_bound(task, flags, n->end, n->bind->hash, k)
						     : KNOWN_NOT;
		}
		k->hash = n->hash;
		if (n->touched) {
			long r = n->unsure ? -EACCES : ask(&view->upper, k->path, at, &k->st);

			if (!r)
				return IS(k->st.st_mode, S_IFLNK) ? KNOWN_NOT : KNOWN_UPPER;
			if (r != -ENOENT)
				return KNOWN_NOT;
		}
		entry = k->entry = index_find(view->index, n->hash, k->path, at);
		if (entry && !(IS(entry->mode, S_IFLNK) && flags & KNOWN_FOLLOW))
			return n->unsure || entry->layer >= view->layer_count ? KNOWN_NOT : KNOWN;
		/* nothing, or a link on the way: how far is it there? */
		if (!entry && n->touched_above)
			return !n->unsure && is_upper_directory(view, k->path, n->at, n->above)
				       ? KNOWN
				       : KNOWN_NOT;
		if (!entry) {
			uint64_t hash = n->above;

			for (at = n->at; !(entry = index_find(view->index, hash, k->path, at));) {
				at = path_parent(k->path, at);
				hash = fnv(k->path, at);
				if (!at || (view->upper.length && upper_touched(view, hash)))
					return KNOWN_NOT;
			}
		}
		if (IS(entry->mode, S_IFDIR))
			return at < n->at ? KNOWN_NOWHERE : n->unsure ? KNOWN_NOT : KNOWN;
		if (!IS(entry->mode, S_IFLNK) || flags & KNOWN_CANONICAL ||
		    entry->layer >= view->layer_count || !follow(view, entry, at, &checked, n, k))
			return KNOWN_NOT;
	}
	return KNOWN_NOT;
}

int in_bound(const struct core_view *view, const char *path, uint32_t length)
{
	for (uint32_t i = 0; i < view->bind_count; i++) {
		const struct core_string *at = &view->binds[i].at;

		if (at->length <= length && text_same(path, at->text, at->length) &&
		    (at->length == length || path[at->length] == '/'))
			return 1;
	}
	return 0;
}

/* Begin in the directory of the layers that has this `st`, if it is known. */
static int begin_at(const struct core_view *view, const struct stat *st, struct known_names *n,
		    struct known *k)
{
	const struct lpmx_index_entry *entry;
	const char *path;

	entry = IS(st->st_mode, S_IFDIR) ? object_known(view, st) : 0;
	path = entry ? index_bytes(view->index, entry->path, entry->path_length) : 0;
	if (!path || entry->path_length >= sizeof(k->path))
		return 0;
	bytes_copy(k->path, path, entry->path_length);
	k->path[entry->path_length] = 0;
	k->length = k->base = entry->path_length;
	if (moved_perhaps(view, k->path))
		return 0;
	k->based = 1;
	if (in_bound(view, k->path, k->length))
		return 0;
	k->directory = entry;
	n->at = k->length;
	n->hash = entry->hash;
	n->touched = view->upper.length && upper_touched(view, entry->hash);
	return 1;
}

/* Begin in the directory that has this path on the host. */
static int begin_by(const struct core_view *view, const char *host, struct known_names *n, struct known *k)
{
	long r = core_from_host(view, host, k->path, sizeof(k->path));

	if (r < 0)
		return 0;
	k->length = k->base = (uint32_t)r;
	k->based = 1;
	known_begin(view, n);
	return 1;
}

/* Begin in a directory that is in the upper or bound, where the kernel says that it is. */
static int begin_there(const struct core_view *view, int fd, struct known_names *n, struct known *k)
{
	char host[KNOWN_HOST_MAX], link[40];
	long r;

	text_put_number(text_put(link, "/proc/self/fd/"), (unsigned)fd, 10);
	r = sys_call4(__NR_readlinkat, AT_FDCWD, link, host, sizeof(host));
	if (r <= 0 || r == sizeof(host))
		return 0;
	host[r] = 0;
	/* one of the layers is known by its number, once it was found the long way */
	return host[0] == '/' && !is_lower(view, host) && begin_by(view, host, n, k);
}

static NOINLINE int begin_in(const struct core_view *view, int fd, struct known_names *n,
			     struct known *k)
{
	struct stat st;

	if (sys_call2(__NR_fstat, fd, &st))
		return 0;
	return begin_at(view, &st, n, k) ||
	       (!k->based && IS(st.st_mode, S_IFDIR) && begin_there(view, fd, n, k));
}

/* Was the working directory one of the layers when it was last asked for?  Then its number is
 * asked for before its path. */
static int here_is_lower;

/* Begin in the working directory. */
static NOINLINE int begin_here(const struct core_view *view, struct known_names *n, struct known *k)
{
	const struct lpmx_index_entry *entry;
	char host[KNOWN_HOST_MAX];
	struct stat st;
	int lower;
	long r;

	if (__atomic_load_n(&here_is_lower, __ATOMIC_RELAXED)) {
		if (!sys_call4(__NR_newfstatat, AT_FDCWD, "", &st, AT_EMPTY_PATH) &&
		    begin_at(view, &st, n, k))
			return 1;
		__atomic_store_n(&here_is_lower, 0, __ATOMIC_RELAXED);
		if (k->based)
			return 0;
	}
	r = sys_call2(__NR_getcwd, host, sizeof(host));
	if (r < 0 || !begin_by(view, host, n, k))
		return 0;
	lower = is_lower(view, host);
	if (lower && moved_perhaps(view, k->path)) {
		k->based = 0;
		return 0;
	}
	entry = lower ? index_find(view->index, fnv(k->path, k->length), k->path, k->length) : 0;
	if (entry && IS(entry->mode, S_IFDIR) && is_in_layer_of(view, host, entry) &&
	    !sys_call4(__NR_newfstatat, AT_FDCWD, "", &st, AT_EMPTY_PATH) &&
	    IS(st.st_mode, S_IFDIR)) {
		object_learn(view, &st, entry);
		__atomic_store_n(&here_is_lower, 1, __ATOMIC_RELAXED);
	}
	return 1;
}

int known_path(const struct core_task *task, int dirfd, const char *path, int flags,
	       struct known *k)
{
	const struct core_view *view = task->view;
	uint32_t length = (uint32_t)text_length(path), checked = UNCHECKED;
	struct known_names n;

	k->based = k->tried = 0;
	k->directory = 0;
	if (!view->index || !length || length >= sizeof(k->path) ||
	    (!(flags & KNOWN_CANONICAL) && task_root(task)[0]))
		return KNOWN_NOT;
	if (path[0] == '/') {
		k->length = 0;
		known_begin(view, &n);
	} else if (dirfd == AT_FDCWD ? !begin_here(view, &n, k) : !begin_in(view, dirfd, &n, k)) {
		return KNOWN_NOT;
	} else {
		if (k->length + 1 + length >= sizeof(k->path))
			return KNOWN_NOT;
		k->path[k->length] = '/';
		checked = ++k->length;
		for (const char *p = path; k->directory && *p; p++)
			if (*p == '/')
				k->directory = 0;
	}
	bytes_copy(k->path + k->length, path, length + 1);
	if (!(flags & KNOWN_CANONICAL) && permission_is_checked(task))
		checked = checked == UNCHECKED ? 0 : checked;
	else
		checked = UNCHECKED;
	k->length += length;
	k->tried = 1;
	return find(task, flags, checked, &n, k);
}

int known_said(const struct core_task *task, int dirfd, const char *user, int flags, char *said,
	       struct known *k)
{
	long r = user_text(task, user, said, KNOWN_MAX);

	if (r < 0)
		said[0] = 0;
	if (r == -EFAULT)
		return -EFAULT;
	k->based = k->tried = 0;
	if (!r)
		return KNOWN_EMPTY;
	return task->trace ? KNOWN_NOT : known_path(task, dirfd, said, flags, k);
}
