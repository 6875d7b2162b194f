/*
 * Listings of merged directories.
 *
 * The position in a directory stream is the descriptor's own file offset, so it
 * is shared by dup() and fork() and set by lseek() as everywhere.  It holds the
 * cookie of the last name given: names come in the order of a hash of theirs
 * (LPMX_COOKIE), which does not change when others come and go.  So a name that
 * is there all the time is given exactly once, whatever happens meanwhile, and
 * nothing about a stream need be kept in memory.  Two names with one cookie are told
 * apart: a position behind the first of them says so (COOKIE_FIRST).  What was read of a long directory is
 * kept all the same, so that it is not read again for each part: see `kept`.
 */
#include <linux/mman.h>

#include "internal.h"

struct dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

struct dirent_old {
	unsigned long d_ino;
	unsigned long d_off;
	unsigned short d_reclen;
	char d_name[];
};

#define DT_DIR_ 4
#define DT_CHR_ 2
#define DT_REG_ 8
#define DT_WHITEOUT 14 /* in our lists only */

#define COOKIE_DOT 1
#define COOKIE_DOT_DOT 2
/* Behind all names: a stream that has given them all has no need to look again. */
#define COOKIE_END (1l << 43)
/* Added to a cookie: of its names, which are more than one, the first was given. */
#define COOKIE_FIRST COOKIE_END

static uint64_t cookie_of(const char *name)
{
	return LPMX_COOKIE(fnv(name, text_length(name)));
}

static long grow(void **memory, uint64_t old, uint64_t new)
{
	long r;

	if (!old) {
		r = sys_call6(__NR_mmap, 0, (long)new, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	} else {
		r = sys_call5(__NR_mremap, *memory, old, new, MREMAP_MAYMOVE, 0);
	}
	if (SYS_FAILED(r))
		return r;
	*memory = (void *)r;
	return 0;
}

/* ---- raw directories ---------------------------------------------------------------- */

/*
 * All records of a directory; the descriptor is not kept, as walks go deep.  A program
 * that may have no further descriptor lends its own, `lent` (or -1).
 */
static long read_all(const char *host, int lent, char **block, uint64_t *size, uint64_t *used)
{
	long fd, n, position = 0;

	fd = sys_call4(__NR_openat, AT_FDCWD, *host ? host : "/",
		       O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
	if (fd == -EMFILE && lent >= 0 && core_is_open_as(host, lent, AT_SYMLINK_NOFOLLOW)) {
		position = sys_call3(__NR_lseek, lent, 0, 1 /* SEEK_CUR */);
		n = sys_call3(__NR_lseek, lent, 0, 0 /* SEEK_SET */);
		if (position < 0 || n < 0)
			return position < 0 ? position : n;
		fd = lent;
	}
	if (fd < 0)
		return fd;
	for (;;) {
		if (*size - *used < 16384) {
			n = grow((void **)block, *size, *size ? 2 * *size : 32768);
			if (n < 0)
				break;
			*size = *size ? 2 * *size : 32768;
		}
		n = sys_call3(__NR_getdents64, fd, *block + *used, *size - *used);
		if (n <= 0)
			break;
		*used += (uint64_t)n;
	}
	if (fd == lent)
		sys_call3(__NR_lseek, lent, position, 0 /* SEEK_SET */);
	else
		sys_call1(__NR_close, fd);
	return n;
}

/* The same, which no handler sees in the middle. */
static long read_raw(const char *host, int lent, char **block, uint64_t *size, uint64_t *used)
{
	uint64_t signals;
	long r;

	signals_hold(&signals);
	r = read_all(host, lent, block, size, used);
	signals_release(&signals);
	return r;
}

static long raw_each(const char *host, int lent,
		     long (*each)(void *context, const char *name, const struct dirent64 *d),
		     void *context)
{
	char *block = 0;
	uint64_t size = 0, used = 0;
	long r = read_raw(host, lent, &block, &size, &used);

	for (uint64_t at = 0; at < used && !r;) {
		struct dirent64 *d = (void *)(block + at);
		const char *name = d->d_name;

		at += d->d_reclen;
		if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
			continue;
		r = each(context, name, d);
	}
	if (size)
		sys_call2(__NR_munmap, block, size);
	return r;
}

struct each {
	long (*each)(void *context, const char *name, uint32_t type);
	void *context;
};

static long each_one(void *context, const char *name, const struct dirent64 *d)
{
	struct each *e = context;

	return e->each(e->context, name, d->d_type);
}

long host_each(const char *host, long (*each)(void *context, const char *name, uint32_t type),
	       void *context)
{
	struct each e = { each, context };

	return raw_each(host, -1, each_one, &e);
}

/* ---- a list of names, in cookie order --------------------------------------------------- */

struct item {
	uint64_t cookie;
	uint64_t inode; /* the real one */
	uint32_t name;  /* offset into the text */
	uint16_t type;  /* DT_* */
	uint16_t layer;
};

/* Names of one source; memory of its own, doubled when full. */
struct list {
	char *text;
	struct item *items;
	uint64_t text_size, text_used;
	uint64_t room, count;
	const char *host; /* of the directory being read */
	uint16_t layer;
	/* the upper's may have whiteouts, and where a name is special even as regular files */
	const struct core_view *upper;
	uint64_t hash;    /* of the directory's path with its "/" */
};

/* The type of a name that could be a whiteout, or that readdir did not tell; -ENOENT: the
 * name is gone by now. */
static long type_of(const struct list *list, const char *name)
{
	char host[CORE_HOST_MAX];
	struct stat st;
	long n = path_join(host, sizeof(host), list->host, "/");

	if (n >= 0)
		n = path_join(host + n, sizeof(host) - (size_t)n, "", name);
	if (n >= 0)
		n = sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW);
	if (n >= 0)
		n = list->upper ? whiteout_is(host, &st) : 0;
	return n < 0 ? n : n ? DT_WHITEOUT : (st.st_mode & S_IFMT) >> 12;
}

static long list_add(void *context, const char *name, const struct dirent64 *d)
{
	struct list *list = context;
	uint32_t type = d->d_type;
	size_t length = text_length(name) + 1;
	struct item *item;
	long r = 0;

	if (!type || (list->upper && (type == DT_CHR_ ||
				      (type == DT_REG_ &&
				       upper_special(list->upper,
						     fnv_more(list->hash, name, length - 1)))))) {
		r = type_of(list, name);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
		type = (uint32_t)r;
	}
	if (list->count == list->room) {
		uint64_t room = list->room ? 2 * list->room : 1024;

		r = grow((void **)&list->items, list->room * sizeof(*item), room * sizeof(*item));
		if (r < 0)
			return r;
		list->room = room;
	}
	if (list->text_used + length > list->text_size) {
		uint64_t size = list->text_size ? 2 * list->text_size : 65536;

		r = grow((void **)&list->text, list->text_size, size);
		if (r < 0)
			return r;
		list->text_size = size;
	}
	item = &list->items[list->count++];
	item->cookie = cookie_of(name);
	item->inode = d->d_ino;
	item->name = (uint32_t)list->text_used;
	item->type = (uint16_t)type;
	item->layer = list->layer;
	bytes_copy(list->text + list->text_used, name, length);
	list->text_used += length;
	return 0;
}

static int text_order(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

static int item_before(const struct list *list, const struct item *a, const struct item *b)
{
	int order;

	if (a->cookie != b->cookie)
		return a->cookie < b->cookie;
	order = text_order(list->text + a->name, list->text + b->name);
	/* of live layers the uppermost comes first */
	return order ? order < 0 : a->layer > b->layer;
}

/* Heap sort: no recursion, no memory, no bad case. */
static void list_sort(struct list *list)
{
	struct item *a = list->items, swap;
	uint64_t n = list->count;

	for (uint64_t top = n / 2, end = n; end > 1;) {
		uint64_t i, child;

		if (top) {
			top--;
		} else {
			end--;
			swap = a[end];
			a[end] = a[0];
			a[0] = swap;
		}
		for (i = top; (child = 2 * i + 1) < end; i = child) {
			if (child + 1 < end && item_before(list, &a[child], &a[child + 1]))
				child++;
			if (!item_before(list, &a[i], &a[child]))
				break;
			swap = a[i];
			a[i] = a[child];
			a[child] = swap;
		}
	}
}

static long list_read(struct list *list, const char *host, int lent)
{
	long r;

	list->host = host;
	r = raw_each(host, lent, list_add, list);
	if (!r)
		list_sort(list);
	return r;
}

static void list_free(struct list *list)
{
	if (list->items)
		sys_call2(__NR_munmap, list->items, list->room * sizeof(*list->items));
	if (list->text)
		sys_call2(__NR_munmap, list->text, list->text_size);
}

/* Position of the first item at or after `cookie`. */
static uint64_t list_seek(const struct list *list, uint64_t cookie)
{
	uint64_t low = 0, high = list->count;

	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (list->items[middle].cookie < cookie)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- merging ------------------------------------------------------------------------------- */

/* The names of one directory: the upper's over the lower's. */
struct merge {
	const struct core_view *view;
	const struct core_node *node;
	struct list upper, lower; /* lower: live layers only */
	const struct lpmx_index_header *index;
	const struct lpmx_index_entry *directory; /* indexed layers */
	uint64_t upper_at, lower_at;
	int impure;               /* upper names may have other numbers than the real ones */
};

struct shown {
	const char *name;
	uint64_t cookie;
	uint32_t type;
	/* where its number is found */
	const struct lpmx_index_entry *entry;
	const struct item *item;
	int upper;
};

static void merge_end(struct merge *m)
{
	list_free(&m->upper);
	list_free(&m->lower);
}

/* ---- between two parts of a long listing ------------------------------------------------- */

/*
 * What was read of a directory that does not fit into one answer: the next one goes on with
 * it, as overlayfs does (ovl_dir_cache), and a listing from the start reads anew.  It belongs
 * to the stream that has this descriptor, until the core opens another directory under the
 * number.  Whoever finds an entry in use does without; whoever never comes back from a
 * handler leaves one unused.
 */
#define KEPT 4
#define KEPT_FROM 256 /* names: fewer are soon read again */

static struct kept {
	volatile int busy;
	int fd; /* and one: 0 is nothing kept; changed by who has it, looked at by all */
	uint64_t view, hash, device, inode;
	struct list upper, lower;
} kept[KEPT];
static volatile unsigned kept_next;

static int kept_lock(struct kept *k)
{
	return !__atomic_exchange_n(&k->busy, 1, __ATOMIC_ACQUIRE);
}

static void kept_unlock(struct kept *k)
{
	__atomic_store_n(&k->busy, 0, __ATOMIC_RELEASE);
}

static int kept_fd(const struct kept *k)
{
	return __atomic_load_n(&k->fd, __ATOMIC_RELAXED);
}

static void kept_set(struct kept *k, int fd)
{
	__atomic_store_n(&k->fd, fd, __ATOMIC_RELAXED);
}

void dir_opened(int fd)
{
	for (struct kept *k = kept; k < kept + KEPT; k++) {
		if (kept_fd(k) != fd + 1 || !kept_lock(k))
			continue;
		if (kept_fd(k) == fd + 1) {
			kept_set(k, 0);
			list_free(&k->upper);
			list_free(&k->lower);
		}
		kept_unlock(k);
	}
}

/* Go on with what was read: 1, or 0 if that must be done anew. */
static NOINLINE int kept_take(struct merge *m, int fd)
{
	for (struct kept *k = kept; k < kept + KEPT; k++) {
		struct stat st;
		int found;

		if (kept_fd(k) != fd + 1 || !kept_lock(k))
			continue;
		found = kept_fd(k) == fd + 1 && k->view == m->view->opened &&
			k->hash == m->node->hash && !sys_call2(__NR_fstat, fd, &st) &&
			k->device == st.st_dev && k->inode == st.st_ino;
		if (found) {
			kept_set(k, 0);
			m->upper = k->upper;
			m->lower = k->lower;
		}
		kept_unlock(k);
		if (found)
			return 1;
	}
	return 0;
}

/* The end of a part, of which there is another: `m` is no more. */
static NOINLINE void kept_put(struct merge *m, int fd)
{
	struct kept *k = kept;
	struct stat st;

	if (m->upper.count + m->lower.count < KEPT_FROM || sys_call2(__NR_fstat, fd, &st)) {
		merge_end(m);
		return;
	}
	while (k < kept + KEPT && kept_fd(k))
		k++;
	if (k == kept + KEPT)
		k = &kept[__atomic_fetch_add(&kept_next, 1, __ATOMIC_RELAXED) % KEPT];
	if (!kept_lock(k)) {
		merge_end(m);
		return;
	}
	if (kept_fd(k)) {
		list_free(&k->upper);
		list_free(&k->lower);
	}
	k->view = m->view->opened;
	k->hash = m->node->hash;
	k->device = st.st_dev;
	k->inode = st.st_ino;
	k->upper = m->upper;
	k->lower = m->lower;
	kept_set(k, fd + 1);
	kept_unlock(k);
}

static const char *child_name(const struct merge *m, const struct lpmx_index_entry *entry)
{
	return index_name(m->index, entry);
}

/* The live layers' names, down to the first layer that hides those below it. */
static NOINLINE long read_live(struct merge *m)
{
	const struct core_node *node = m->node;
	char host[CORE_HOST_MAX];
	struct stat st;

	for (uint32_t layer = m->view->layer_count; layer--;) {
		long there = layer_find(m->view, layer, node->path, node->path_length, host, &st);
		long r;

		if (there < 0)
			return there;
		if (there == LAYER_HIDES || (there && !IS(st.st_mode, S_IFDIR)))
			break;
		if (!there)
			continue;
		m->lower.layer = (uint16_t)layer;
		r = list_read(&m->lower, host, -1);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Prepare to give the names from `cookie` on; of what the program has open as `fd`, or -1. */
static NOINLINE long merge_begin(struct merge *m, const struct core_task *task,
				 const struct core_node *node, int fd, uint64_t cookie)
{
	const struct core_view *view = task->view;
	int again = 0;
	long r = 0;

	bytes_zero(m, sizeof(*m));
	m->view = view;
	m->node = node;
	if (fd >= 0 && cookie > COOKIE_DOT_DOT + 1)
		again = kept_take(m, fd);
	else if (fd >= 0)
		dir_opened(fd);
	m->upper.upper = view;
	m->upper.hash = fnv_more(node->hash, "/", 1);
	if (node->place == CORE_UPPER && !again)
		r = list_read(&m->upper, node->host, fd);
	if (r < 0)
		goto out;
	m->upper_at = list_seek(&m->upper, cookie);
	if (!node->lower_below)
		return 0;
	if (view->index) {
		uint64_t low = 0, high;

		m->index = view->index;
		m->directory = node->entry;
		if (!m->directory)
			return 0;
		for (high = m->directory->child_count; low < high;) {
			uint64_t middle = (low + high) / 2;
			const struct lpmx_index_entry *child =
				index_child(m->index, m->directory, (uint32_t)middle);

			if (child && cookie_of(child_name(m, child)) < cookie)
				low = middle + 1;
			else
				high = middle;
		}
		m->lower_at = low;
		return 0;
	}
	r = again ? 0 : read_live(m);
	if (r < 0)
		goto out;
	m->lower_at = list_seek(&m->lower, cookie);
	return 0;
out:
	merge_end(m);
	return r;
}

/* The next lower name; 0 at the end. */
static int lower_next(struct merge *m, struct shown *s)
{
	s->upper = 0;
	s->item = 0;
	s->entry = 0;
	if (m->directory) {
		const struct lpmx_index_entry *child =
			index_child(m->index, m->directory, (uint32_t)m->lower_at);

		if (!child)
			return 0;
		s->name = child_name(m, child);
		s->cookie = cookie_of(s->name);
		s->type = (child->mode & S_IFMT) >> 12;
		s->entry = child;
		return 1;
	}
	while (m->lower_at < m->lower.count) {
		const struct item *item = &m->lower.items[m->lower_at];

		s->name = m->lower.text + item->name;
		s->cookie = item->cookie;
		s->type = item->type;
		s->item = item;
		/* several live layers: one name once */
		if (m->lower_at && m->lower.items[m->lower_at - 1].cookie == item->cookie &&
		    text_equal(m->lower.text + m->lower.items[m->lower_at - 1].name, s->name)) {
			m->lower_at++;
			continue;
		}
		return 1;
	}
	return 0;
}

/* The next name that shows; 0 at the end. */
static int merge_next(struct merge *m, struct shown *s)
{
	for (;;) {
		const struct item *item =
			m->upper_at < m->upper.count ? &m->upper.items[m->upper_at] : 0;
		const char *name = item ? m->upper.text + item->name : 0;
		struct shown lower;
		int have = lower_next(m, &lower);

		if (!item && !have)
			return 0;
		if (have && (!item || lower.cookie < item->cookie ||
			     (lower.cookie == item->cookie && text_order(lower.name, name) < 0))) {
			*s = lower;
			m->lower_at++;
			return 1;
		}
		if (have && lower.cookie == item->cookie && text_equal(lower.name, name))
			m->lower_at++;
		m->upper_at++;
		if (item->type == DT_WHITEOUT)
			continue;
		s->name = name;
		s->cookie = item->cookie;
		s->type = item->type;
		s->item = item;
		s->entry = 0;
		s->upper = 1;
		return 1;
	}
}

long dir_each(struct core_task *task, const struct core_node *node,
	      long (*each)(void *context, const char *name, uint32_t type), void *context)
{
	struct merge m;
	struct shown s;
	long r;

	if (node->bind)
		return host_each(node->host, each, context);
	r = merge_begin(&m, task, node, -1, 0);
	if (r < 0)
		return r;
	while (!r && merge_next(&m, &s))
		r = each(context, s.name, s.type);
	merge_end(&m);
	return r;
}

static long found_one(void *context, const char *name, uint32_t type)
{
	(void)context;
	(void)name;
	(void)type;
	return 1;
}

long dir_empty(struct core_task *task, const struct core_node *node)
{
	long r = dir_each(task, node, found_one, 0);

	return r < 0 ? r : !r;
}

/* ---- getdents ---------------------------------------------------------------------------------- */

struct out {
	const struct core_task *task;
	char *at, *end;
	char *writable; /* up to here the program's memory is known to be */
	int old;        /* the first getdents: another record, type in its last byte */
	int fault;
	int whole;      /* all was given */
};

static size_t entry_size(const struct out *o, const char *name)
{
	size_t head = o->old ? __builtin_offsetof(struct dirent_old, d_name) + 1
			     : __builtin_offsetof(struct dirent64, d_name);

	return (head + text_length(name) + 1 + 7) & ~7ul;
}

static int room_for(struct out *o, const char *name)
{
	size_t size = entry_size(o, name);
	char *end;

	if (size > (size_t)(o->end - o->at))
		return 0;
	if (o->at + size <= o->writable)
		return 1;
	end = (char *)(((uintptr_t)(o->at + size) + 4095) & ~4095ul);
	if (end > o->end)
		end = o->end;
	if (user_writable(o->task, o->at, (size_t)(end - o->at)) < 0) {
		o->fault = 1;
		return 0;
	}
	o->writable = end;
	return 1;
}

static int put_entry(struct out *o, uint64_t ino, uint64_t next, uint32_t type, const char *name)
{
	size_t size = entry_size(o, name);

	if (!room_for(o, name))
		return 0;
	if (o->old) {
		struct dirent_old *d = (void *)o->at;

		d->d_ino = ino;
		d->d_off = next;
		d->d_reclen = (uint16_t)size;
		text_put(d->d_name, name);
		o->at[size - 1] = (char)type;
	} else {
		struct dirent64 *d = (void *)o->at;

		d->d_ino = ino;
		d->d_off = (int64_t)next;
		d->d_reclen = (uint16_t)size;
		d->d_type = (uint8_t)type;
		text_put(d->d_name, name);
	}
	o->at += size;
	return 1;
}

/* Of two names with one cookie this is the first: who goes on behind it gets the second. */
static void entry_is_first(char *entry, uint64_t cookie)
{
	const uint64_t next = cookie + COOKIE_FIRST;

	_Static_assert(__builtin_offsetof(struct dirent64, d_off) ==
		       __builtin_offsetof(struct dirent_old, d_off), "both have it there");
	bytes_copy(entry + __builtin_offsetof(struct dirent64, d_off), &next, sizeof(next));
}

/* The number that stat shows for the object at `host`, `upper` or not; *type is put right. */
static uint64_t number_of_host(const struct core_view *view, const char *host, int upper,
			       uint32_t *type)
{
	struct meta meta;
	struct stat st;

	if (sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW))
		return 1; /* gone by now; 0 would mean that */
	if (upper && meta_marked(view, st.st_mode)) {
		meta_of_upper(view, host, -1, &st, &meta);
		/* perhaps a device's stand-in */
		*type = (meta.mode & S_IFMT) >> 12;
		if (meta.inode)
			return meta.inode;
	}
	return identity_inode(view, st.st_dev, st.st_ino);
}

/* Of the first part of the path of `node`, which is it or the directory that it is in. */
static NOINLINE uint64_t number_of_part(struct core_task *task, const char *path, uint32_t length)
{
	char parent[CORE_PATH_MAX];
	struct core_node node;
	uint32_t type;

	bytes_copy(parent, path, length);
	parent[length] = 0;
	if (path_node(task, parent, &node) < 0 || node.place == CORE_ABSENT)
		return 1;
	if (node.place == CORE_LOWER && node.entry)
		return object_number(task->view, node.entry);
	return number_of_host(task->view, node.host, node.place == CORE_UPPER, &type);
}

/* Of what "." is, and "..". */
static uint64_t number_of_here(struct core_task *task, const struct core_node *node)
{
	return node->place == CORE_LOWER && node->entry
		       ? object_number(task->view, node->entry)
		       : number_of_part(task, node->path, node->path_length);
}

static uint64_t number_of_above(struct core_task *task, const struct core_node *node)
{
	const struct core_view *view = task->view;
	const struct lpmx_index_entry *above =
		node->place == CORE_LOWER && node->entry ? index_parent(view->index, node->entry) : 0;

	return above && !upper_touched(view, above->hash)
		       ? object_number(view, above)
		       : number_of_part(task, node->path, path_parent(node->path, node->path_length));
}

static NOINLINE uint64_t number_of(struct merge *m, struct shown *s)
{
	char host[CORE_HOST_MAX];
	long n;

	if (s->entry)
		return object_number(m->view, s->entry);
	/* where there is one device, most raw numbers are right */
	if (!m->view->device_count &&
	    (!s->upper || !m->impure ||
	     (s->type != DT_REG_ && s->type != DT_DIR_ && !record_any(m->view))))
		return s->item->inode;
	if (s->upper) {
		n = path_join(host, sizeof(host), m->node->host, "/");
	} else {
		layer_host(m->view, s->item->layer, m->node->path, m->node->path_length, host);
		n = (long)text_length(host);
		if (n > 1)
			host[n++] = '/';
	}
	if (n < 0 || path_join(host + n, sizeof(host) - (size_t)n, "", s->name) < 0)
		return 1;
	return number_of_host(m->view, host, s->upper, &s->type);
}

static long give(struct core_task *task, const struct core_node *node, int fd, struct out *o)
{
	long position = sys_call3(__NR_lseek, fd, 0, 1 /* SEEK_CUR */);
	uint64_t last = (uint64_t)position, first = 0;
	struct merge m;
	struct shown s;
	char *start = o->at, *given = 0;
	int whole = 0;
	long r;

	if (position < 0 || position == COOKIE_END)
		return position < 0 ? position : 0;
	if (position > COOKIE_END) {
		first = last - COOKIE_FIRST;
		last = first - 1;
	}
	if (last < COOKIE_DOT) {
		if (!put_entry(o, number_of_here(task, node), COOKIE_DOT, DT_DIR_, "."))
			return o->fault ? -EFAULT : -EINVAL;
		last = COOKIE_DOT;
	}
	if (last < COOKIE_DOT_DOT &&
	    put_entry(o, number_of_above(task, node), COOKIE_DOT_DOT, DT_DIR_, ".."))
		last = COOKIE_DOT_DOT;
	if (last >= COOKIE_DOT_DOT) {
		char value[2];

		r = merge_begin(&m, task, node, fd, last + 1);
		if (r < 0)
			return r;
		whole = 1;
		m.impure = node->place == CORE_UPPER &&
			   sys_call4(__NR_lgetxattr, node->host, LPMX_XATTR_IMPURE, value, 2) > 0;
		while (merge_next(&m, &s)) {
			uint64_t number = 0;

			/* a damaged index may be out of order: never go round in circles */
			if (s.cookie < last)
				continue;
			if (s.cookie == first) {
				first = 0;
				continue;
			}
			if (given && s.cookie == last)
				entry_is_first(given, last);
			given = o->at;
			if (room_for(o, s.name))
				number = number_of(&m, &s);
			if (put_entry(o, number, s.cookie, s.type, s.name)) {
				last = s.cookie;
				continue;
			}
			if (o->at == start) {
				merge_end(&m);
				return o->fault ? -EFAULT : -EINVAL;
			}
			if (s.cookie == last)
				last += COOKIE_FIRST;
			whole = 0;
			break;
		}
		if (whole)
			merge_end(&m);
		else
			kept_put(&m, fd);
	}
	if (whole && sys_call3(__NR_lseek, fd, COOKIE_END, 0 /* SEEK_SET */) >= 0) {
		o->whole = 1;
		return o->at - start;
	}
	if (last != (uint64_t)position) {
		r = sys_call3(__NR_lseek, fd, last, 0 /* SEEK_SET */);
		if (r < 0)
			return r;
	}
	return o->at - start;
}

/* By the path of the entry that it is known to be, or that the kernel tells. */
static NOINLINE long ours_found(struct core_task *task, int fd,
				const struct lpmx_index_entry *entry, struct core_node *node)
{
	const struct core_view *view = task->view;
	char host[CORE_HOST_MAX], path[CORE_PATH_MAX];
	int layered;

	if (entry) {
		if (path_join(path, sizeof(path), index_path(view->index, entry), "") < 0)
			return -EIO;
		layered = 1;
	} else {
		if (host_of_fd(view, fd, host, sizeof(host)) < 0 ||
		    core_from_host(view, host, path, sizeof(path)) < 0)
			return 0;
		layered = !in_upper(view, host) && in_layer(view, host) && !in_bind(view, host);
	}
	if (layered && moved(task, fd, path, sizeof(path)) < 0)
		return -ENOENT;
	if (path_node(task, path, node) < 0 || node->place == CORE_ABSENT ||
	    !IS(node->mode, S_IFDIR))
		return !node->bind && layered ? -ENOENT : 0;
	return !node->bind;
}

/* Is it, for certain, as the layers have it?  Then `node` has all but its place on the host. */
static int is_layers(const struct core_view *view, const struct lpmx_index_entry *entry,
		     struct core_node *node)
{
	const char *path = index_path(view->index, entry);

	if (!*path || entry->path_length >= sizeof(node->path) || upper_touched(view, entry->hash) ||
	    moved_perhaps(view, path) || in_bound(view, path, entry->path_length))
		return 0;
	node->place = CORE_LOWER;
	node->bind = 0;
	node->entry = entry;
	node->lower_below = 1;
	node->hash = entry->hash;
	node->path_length = entry->path_length;
	bytes_copy(node->path, path, entry->path_length + 1u);
	return 1;
}

/*
 * Must the listing of this descriptor be ours?  1, and `node` is what it lists; 0: the
 * kernel's is right; -ENOENT: the directory was removed, and only a layer still has it.
 */
static long ours(struct core_task *task, int fd, struct core_node *node)
{
	const struct core_view *view = task->view;
	const struct lpmx_index_entry *entry = 0;
	struct stat st;

	if (view->kind == CORE_VIEW_HOST)
		return 0;
	if (sys_call2(__NR_fstat, fd, &st) || !IS(st.st_mode, S_IFDIR))
		return 0;
	if (view->index)
		entry = object_known(view, &st);
	return entry && is_layers(view, entry, node) ? 1 : ours_found(task, fd, entry, node);
}

static long list(struct core_task *task, int fd, long nr, struct out *o)
{
	struct core_node node;
	long r = ours(task, fd, &node);

	if (r <= 0)
		return r < 0 ? r : sys_call3(nr, fd, o->at, o->end - o->at);
	return give(task, &node, fd, o);
}

long call_getdents(struct core_task *task, long nr, const long a[6])
{
	struct out o = { task, (char *)a[1], (char *)a[1] + (unsigned int)a[2], (char *)a[1],
			 nr != __NR_getdents64, 0, 0 };

	return list(task, (int)a[0], nr, &o);
}

long core_list(struct core_task *task, int fd, char *to, size_t size)
{
	struct out o = { task, to, to + size, to, 0, 0, 0 };
	long r = list(task, fd, __NR_getdents64, &o);

	return r > 0 && o.whole ? r | LPMX_LIST_ALL : r;
}
