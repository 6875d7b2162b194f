/*
 * What an object is, apart from where it lies: its device and inode number, and
 * all else that stat tells of a lower one.
 *
 * The index has everything about a lower object, so its stat needs no kernel
 * call.  Its inode number is made from its place in the index, in a range that
 * file systems do not use.  What is copied up keeps that number (meta.c).
 *
 * A descriptor only tells the kernel's numbers.  `learned` remembers which index
 * entry stands behind a pair of them; layers do not change, so what was true
 * once in this process stays true.  Each place of the table is two words written
 * one after the other without a lock; the second repeats a part of the first's
 * hash, so that a mixture of two writers is taken for empty.  What comes first has its place
 * in `first`, a small part that is one page or two, as most processes are short.
 */
#include "internal.h"

/* Below 2^53, which is what a program in JavaScript can hold. */
#define NUMBER_BASE (1ull << 51)
#define GROUP_BASE (NUMBER_BASE | 1ull << 40)
#define LEARNED 1024u

#define FIRST 32u

static struct place {
	volatile uint64_t key;   /* inode number of the kernel */
	volatile uint64_t value; /* entry number + 1, and above it bits of the hash */
} first[FIRST], learned[LEARNED];

static const struct lpmx_index_entry *entries(const struct lpmx_index_header *index)
{
	return (const void *)((const char *)index + index->entries_offset);
}

uint64_t object_number(const struct core_view *view, const struct lpmx_index_entry *entry)
{
	if (entry->link_group)
		return GROUP_BASE | entry->link_group;
	return NUMBER_BASE | (uint64_t)(entry - entries(view->index));
}

uint64_t object_device(uint32_t major, uint32_t minor)
{
	uint64_t high = major, low = minor;

	return (low & 0xff) | (high & 0xfff) << 8 | (low & ~0xffull) << 12 | (high & ~0xfffull) << 32;
}

/* Names of one file in the index.  Groups are small and rare. */
static uint32_t link_count(const struct core_view *view, const struct lpmx_index_entry *entry)
{
	const struct lpmx_index_entry *e = entries(view->index);
	uint32_t count = 0;

	if (!entry->link_group)
		return 1;
	if (!IS(entry->mode, S_IFCHR) && !IS(entry->mode, S_IFBLK) && entry->rdev_major)
		return entry->rdev_major;
	for (uint32_t i = 0; i < view->index->entry_count; i++)
		count += e[i].link_group == entry->link_group;
	return count;
}

uint32_t object_links(const struct core_view *view, uint64_t number)
{
	const struct lpmx_index_entry *entry = 0;

	if (view->index && (number & ~0xffffffffull) == GROUP_BASE)
		entry = index_link(view->index, (uint32_t)number, 0);
	return entry ? link_count(view, entry) : 0;
}

void object_stat(const struct core_view *view, const struct lpmx_index_entry *entry, struct stat *st)
{
	int device = IS(entry->mode, S_IFCHR) || IS(entry->mode, S_IFBLK);
	int64_t seconds = entry->mtime_ns / 1000000000, rest = entry->mtime_ns % 1000000000;

	if (rest < 0) {
		seconds--;
		rest += 1000000000;
	}
	bytes_zero(st, sizeof(*st));
	st->st_dev = view->device;
	st->st_ino = object_number(view, entry);
	st->st_nlink = IS(entry->mode, S_IFDIR) ? 1 : link_count(view, entry);
	st->st_mode = entry->mode;
	st->st_uid = entry->uid;
	st->st_gid = entry->gid;
	st->st_rdev = device ? object_device(entry->rdev_major, entry->rdev_minor) : 0;
	st->st_size = IS(entry->mode, S_IFLNK) ? entry->target_length : (long)entry->size;
	st->st_blksize = 4096;
	st->st_blocks = IS(entry->mode, S_IFREG) || IS(entry->mode, S_IFDIR)
				? (long)((entry->size + 4095) / 4096 * 8)
				: 0;
	st->st_atime = st->st_mtime = st->st_ctime = (unsigned long)seconds;
	st->st_atime_nsec = st->st_mtime_nsec = st->st_ctime_nsec = (unsigned long)rest;
}

static struct statx_timestamp timestamp(unsigned long seconds, unsigned long nanoseconds)
{
	return (struct statx_timestamp){ .tv_sec = (int64_t)seconds,
					 .tv_nsec = (uint32_t)nanoseconds };
}

static uint32_t major_of(uint64_t device)
{
	return (uint32_t)((device >> 8) & 0xfff) | (uint32_t)((device >> 32) & ~0xfffull);
}

static uint32_t minor_of(uint64_t device)
{
	return (uint32_t)(device & 0xff) | (uint32_t)((device >> 12) & ~0xffull);
}

void object_statx(const struct core_view *view, const struct lpmx_index_entry *entry,
		  struct statx *x)
{
	struct stat st;

	object_stat(view, entry, &st);
	x->stx_mask |= STATX_BASIC_STATS;
	x->stx_blksize = (uint32_t)st.st_blksize;
	x->stx_nlink = (uint32_t)st.st_nlink;
	x->stx_uid = st.st_uid;
	x->stx_gid = st.st_gid;
	x->stx_mode = (uint16_t)st.st_mode;
	x->stx_ino = st.st_ino;
	x->stx_size = (uint64_t)st.st_size;
	x->stx_blocks = (uint64_t)st.st_blocks;
	x->stx_atime = timestamp(st.st_atime, st.st_atime_nsec);
	x->stx_mtime = timestamp(st.st_mtime, st.st_mtime_nsec);
	x->stx_ctime = timestamp(st.st_ctime, st.st_ctime_nsec);
	x->stx_rdev_major = major_of(st.st_rdev);
	x->stx_rdev_minor = minor_of(st.st_rdev);
	x->stx_dev_major = major_of(st.st_dev);
	x->stx_dev_minor = minor_of(st.st_dev);
}

/* ---- descriptors ----------------------------------------------------------------------- */

static uint64_t mix(uint64_t device, uint64_t inode)
{
	uint64_t hash = (inode ^ device << 40 ^ device >> 24) * 0x9e3779b97f4a7c15ull;

	return hash ^ hash >> 29;
}

static uint64_t seal(uint64_t hash, const struct core_view *view)
{
	/* Python has several views, at once and one after the other, each with its own index */
	return (hash ^ view->opened * 0xbf58476d1ce4e5b9ull) & ~0xffffffffull;
}

static uint64_t value_at(const struct place *place, uint64_t inode)
{
	uint64_t key = __atomic_load_n(&place->key, __ATOMIC_ACQUIRE);
	uint64_t value = __atomic_load_n(&place->value, __ATOMIC_ACQUIRE);

	return key == inode ? value : 0;
}

const struct lpmx_index_entry *object_known(const struct core_view *view, const struct stat *st)
{
	uint64_t hash = mix(st->st_dev, st->st_ino), sealed = seal(hash, view), value;
	const struct lpmx_index_entry *entry;

	if (!view->index)
		return 0;
	value = value_at(&first[hash & (FIRST - 1)], st->st_ino);
	if ((value & ~0xffffffffull) != sealed) {
		/* as long as a place of the first is free nothing is in the others of it */
		if (!__atomic_load_n(&first[hash & (FIRST - 1)].value, __ATOMIC_ACQUIRE))
			return 0;
		value = value_at(&learned[hash & (LEARNED - 1)], st->st_ino);
	}
	if (!value || (value & ~0xffffffffull) != sealed || (uint32_t)value > view->index->entry_count)
		return 0;
	entry = entries(view->index) + (uint32_t)value - 1;
	/* whatever may have gone wrong outside: another kind of object it is not */
	if (IS(entry->mode, S_IFDIR) != IS(st->st_mode, S_IFDIR) ||
	    (IS(entry->mode, S_IFREG) && (long)entry->size != st->st_size))
		return 0;
	return entry;
}

void object_learn(const struct core_view *view, const struct stat *st,
		  const struct lpmx_index_entry *entry)
{
	uint64_t hash = mix(st->st_dev, st->st_ino);
	struct place *place = &first[hash & (FIRST - 1)];

	if (__atomic_load_n(&place->value, __ATOMIC_ACQUIRE) &&
	    __atomic_load_n(&place->key, __ATOMIC_ACQUIRE) != st->st_ino)
		place = &learned[hash & (LEARNED - 1)];
	__atomic_store_n(&place->value, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&place->key, st->st_ino, __ATOMIC_RELEASE);
	__atomic_store_n(&place->value,
			 seal(hash, view) | ((uint64_t)(entry - entries(view->index)) + 1),
			 __ATOMIC_RELEASE);
}

long object_place(const struct core_view *view, const struct stat *st, char host[CORE_HOST_MAX])
{
	const struct lpmx_index_entry *e = view->index ? entries(view->index) : 0;
	uint32_t count = view->index ? view->index->entry_count : 0;
	struct stat found;

	for (uint32_t i = 0; i < count; i++, e++) {
		const char *path = index_bytes(view->index, e->path, e->path_length);

		if (!path || e->layer >= view->layer_count || IS(e->mode, S_IFDIR) ||
		    view->layers[e->layer].length + e->path_length < CORE_SAID_MAX ||
		    e->path_length >= CORE_PATH_MAX)
			continue;
		layer_host(view, e->layer, path, e->path_length, host);
		if (!sys_call4(__NR_newfstatat, AT_FDCWD, host, &found, AT_SYMLINK_NOFOLLOW) &&
		    same_object(&found, st))
			return (long)text_length(host);
	}
	return -ENAMETOOLONG;
}
