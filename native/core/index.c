/* The index: a read-only hash table of every path of the merged lower layers. */
#include <linux/mman.h>

#include "internal.h"

/* The checksum is of all from here on. */
#define SUMMED __builtin_offsetof(struct lpmx_index_header, entry_count)

static const void *at(const struct lpmx_index_header *index, uint64_t offset)
{
	return (const char *)index + offset;
}

/* Does an array of `count` items of `size` bytes at `offset` lie in the file? */
static int inside(const struct lpmx_index_header *h, uint64_t offset, uint64_t count, uint64_t size)
{
	return !(offset & 7) && offset >= h->header_size && offset <= h->file_size &&
	       count <= (h->file_size - offset) / size;
}

static uint32_t crc32(const unsigned char *data, size_t size)
{
	uint32_t table[256], crc = 0xffffffff;

	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320 ^ (c >> 1) : c >> 1;
		table[i] = c;
	}
	while (size--)
		crc = table[(crc ^ *data++) & 255] ^ (crc >> 8);
	return ~crc;
}

/*
 * What must hold before any offset in the header is believed.  Cheap, done by
 * every process; look-ups bound the offsets inside entries themselves.
 */
static const char *header_fault(const struct lpmx_index_header *h, size_t size)
{
	if (size < sizeof(*h) || !text_same(h->magic, LPMX_INDEX_MAGIC, 8))
		return "it is not an index";
	if (h->version != LPMX_INDEX_VERSION)
		return "it has another version";
	if (h->file_size != size || h->header_size < sizeof(*h) || h->header_size > size)
		return "its size is wrong";
	if (!h->entry_count || !h->slot_count || (h->slot_count & (h->slot_count - 1)) ||
	    h->slot_count <= h->entry_count || h->layer_count > CORE_LAYERS_MAX ||
	    (h->near_slot_count & (h->near_slot_count - 1)) || h->near_count > h->entry_count ||
	    h->near_count > LPMX_INDEX_NEAR_MAX ||
	    (h->near_slot_count && h->near_slot_count <= h->near_count))
		return "its counts are wrong";
	if (!inside(h, h->slots_offset, h->slot_count, 4) ||
	    !inside(h, h->entries_offset, h->entry_count, sizeof(struct lpmx_index_entry)) ||
	    !inside(h, h->children_offset, h->child_count, 4) ||
	    !inside(h, h->strings_offset, h->strings_size, 1) || !h->strings_size ||
	    !inside(h, h->near_slots_offset, h->near_slot_count, 4))
		return "a table lies outside the file";
	return 0;
}

long core_index_check(const void *data, size_t size, const char **why)
{
	const struct lpmx_index_header *h = data;
	const struct lpmx_index_entry *entry;
	const uint32_t *child;

	*why = header_fault(h, size);
	if (*why)
		return -EIO;
	if (crc32((const unsigned char *)data + SUMMED, size - SUMMED) != h->checksum) {
		*why = "its checksum is wrong";
		return -EIO;
	}
	*why = "an entry points outside the file";
	if (*((const char *)at(h, h->strings_offset) + h->strings_size - 1))
		return -EIO;
	entry = at(h, h->entries_offset);
	for (uint32_t i = 0; i < h->entry_count; i++, entry++) {
		if (entry->path >= h->strings_size || entry->target >= h->strings_size ||
		    entry->path_length >= h->strings_size - entry->path ||
		    entry->name_offset > entry->path_length ||
		    entry->target_length >= h->strings_size - entry->target ||
		    entry->layer >= (h->layer_count ? h->layer_count : 1) ||
		    entry->parent >= h->entry_count || entry->first_child > h->child_count ||
		    entry->child_count > h->child_count - entry->first_child)
			return -EIO;
	}
	child = at(h, h->children_offset);
	for (uint32_t i = 0; i < h->child_count; i++)
		if (child[i] >= h->entry_count)
			return -EIO;
	*why = 0;
	return 0;
}

long index_map(const char *path, const struct lpmx_index_header **index)
{
	struct stat st;
	long fd, map;

	fd = sys_call4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	map = sys_call2(__NR_fstat, fd, &st);
	if (!map)
		map = sys_call6(__NR_mmap, 0, (long)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	sys_call1(__NR_close, fd);
	if (SYS_FAILED(map))
		return map == -EINVAL ? -EIO : map;
	if (header_fault((void *)map, (size_t)st.st_size)) {
		sys_call2(__NR_munmap, map, st.st_size);
		return -EIO;
	}
	*index = (void *)map;
	return 0;
}

const char *index_bytes(const struct lpmx_index_header *index, uint32_t offset, uint32_t length)
{
	const char *strings = at(index, index->strings_offset);

	return offset + (uint64_t)length < index->strings_size ? strings + offset : 0;
}

const char *index_path(const struct lpmx_index_header *index, const struct lpmx_index_entry *entry)
{
	const char *path = index_bytes(index, entry->path, entry->path_length);

	return path && !path[entry->path_length] ? path : "";
}

const char *index_name(const struct lpmx_index_header *index, const struct lpmx_index_entry *entry)
{
	const char *path = index_path(index, entry);

	return *path && entry->name_offset <= entry->path_length ? path + entry->name_offset : "";
}

/* Is this what is looked for? */
static int is_it(const struct lpmx_index_header *index, const struct lpmx_index_entry *entry,
		 uint64_t hash, const char *path, uint32_t length)
{
	const char *is;

	if (entry->hash != hash || entry->path_length != length)
		return 0;
	is = index_bytes(index, entry->path, length);
	return is && bytes_same(is, path, length);
}

const struct lpmx_index_entry *index_find_near(const struct lpmx_index_header *index, uint64_t hash,
					       const char *path, uint32_t length)
{
	const struct lpmx_index_entry *entries = at(index, index->entries_offset);
	const uint32_t *slots = at(index, index->near_slots_offset);
	uint32_t mask = index->near_slot_count - 1, tag = (uint32_t)(hash >> 48);

	for (uint32_t i = (uint32_t)hash & mask, tries = 0; tries < index->near_slot_count;
	     i = (i + 1) & mask, tries++) {
		uint32_t number = slots[i] & LPMX_INDEX_NEAR_MAX;

		if (!number || number > index->near_count)
			return 0;
		if (slots[i] >> 16 == tag && is_it(index, entries + number - 1, hash, path, length))
			return entries + number - 1;
	}
	return 0;
}

/* What every start looks for in vain. */
static int is_known_absent(const struct lpmx_index_header *index, uint64_t hash, const char *path, uint32_t length)
{
	return hash == LPMX_LD_PRELOAD_HASH && index->flags & LPMX_INDEX_NO_LD_PRELOAD &&
	       length == sizeof(LPMX_LD_PRELOAD) - 1 && text_same(path, LPMX_LD_PRELOAD, length);
}

const struct lpmx_index_entry *index_find(const struct lpmx_index_header *index, uint64_t hash,
					  const char *path, uint32_t length)
{
	const struct lpmx_index_entry *entry = index_find_near(index, hash, path, length);
	const struct lpmx_index_entry *entries = at(index, index->entries_offset);
	const uint32_t *slots = at(index, index->slots_offset);
	uint32_t mask = index->slot_count - 1;

	if (entry || is_known_absent(index, hash, path, length))
		return entry;
	for (uint32_t i = (uint32_t)hash & mask, tries = 0; tries <= mask; i = (i + 1) & mask, tries++) {
		if (!slots[i] || slots[i] > index->entry_count)
			return 0;
		entry = entries + slots[i] - 1;
		if (is_it(index, entry, hash, path, length))
			return entry;
	}
	return 0;
}

const struct lpmx_index_entry *index_child(const struct lpmx_index_header *index,
					   const struct lpmx_index_entry *directory, uint32_t n)
{
	const uint32_t *children = at(index, index->children_offset);
	const struct lpmx_index_entry *entries = at(index, index->entries_offset);

	if (n >= directory->child_count || directory->first_child + (uint64_t)n >= index->child_count ||
	    children[directory->first_child + n] >= index->entry_count)
		return 0;
	return entries + children[directory->first_child + n];
}

const struct lpmx_index_entry *index_parent(const struct lpmx_index_header *index,
					    const struct lpmx_index_entry *entry)
{
	const struct lpmx_index_entry *entries = at(index, index->entries_offset);

	return entry->parent < index->entry_count ? entries + entry->parent : 0;
}

const struct lpmx_index_entry *index_link(const struct lpmx_index_header *index, uint32_t group,
					  const struct lpmx_index_entry *last)
{
	const struct lpmx_index_entry *entries = at(index, index->entries_offset);
	const struct lpmx_index_entry *end = entries + index->entry_count;

	for (last = last ? last + 1 : entries; last < end; last++)
		if (last->link_group == group)
			return last;
	return 0;
}
