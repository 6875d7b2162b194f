/*
 * A pile of paths: the directories of a tree that are still to be read.  Trees are
 * walked with one of these instead of by recursion, because a path may have two
 * thousand levels and the core's stack is small.
 */
#include <linux/mman.h>

#include "internal.h"

long pile_add(struct pile *pile, const char *path)
{
	size_t length = text_length(path) + 1;

	if (pile->used + length > pile->size) {
		size_t size = pile->size ? 2 * pile->size : 65536;
		long r = pile->size ? sys_call5(__NR_mremap, pile->text, pile->size, size,
						MREMAP_MAYMOVE, 0)
				    : sys_call6(__NR_mmap, 0, size, PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (SYS_FAILED(r))
			return r;
		pile->text = (char *)r;
		pile->size = size;
	}
	bytes_copy(pile->text + pile->used, path, length);
	pile->used += length;
	return 0;
}

long pile_next(struct pile *pile, char *path)
{
	if (pile->at >= pile->used)
		return 0;
	text_put(path, pile->text + pile->at);
	pile->at += text_length(path) + 1;
	return 1;
}

long pile_back(struct pile *pile, char *path)
{
	size_t at = pile->used;

	if (!at)
		return 0;
	for (at--; at && pile->text[at - 1]; at--)
		;
	text_put(path, pile->text + at);
	pile->used = at;
	return 1;
}

void pile_free(struct pile *pile)
{
	if (pile->size)
		sys_call2(__NR_munmap, pile->text, pile->size);
	pile->size = pile->used = 0;
}
