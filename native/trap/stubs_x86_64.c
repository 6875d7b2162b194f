/*
 * Stubs: where rewritten call sites jump to.
 *
 * A jump of five bytes reaches two gigabytes, and the loader is farther away.  So near the
 * text lie two pages of ours: one of equal stubs, which once written is never writable again,
 * and one that says of each stub which number it is and where its program goes on.  A stub
 * does no more than load the place of that and go to the loader (trap_site_entry): no flag is
 * touched, and no stack.
 *
 * The pages go into the first gap below the text.  Above a program that is not
 * position-independent its heap grows.  They stay for the life of the process: text that
 * jumps there may be anywhere in it.
 */
#include <asm-generic/errno.h>
#include <linux/mman.h>

#include "../core/text.h"
#include "trap.h"

#define PAGE 4096ul
#define STUB 16u
#define COUNT ((unsigned)(PAGE / sizeof(struct trap_site)))
#define REACH 0x7ff00000l
#define POOLS 16u

_Static_assert(sizeof(struct trap_site) == 16 && STUB * COUNT == PAGE, "one page of each");
_Static_assert(offsetof(struct trap_site, next) == TRAP_SITE_NEXT, "slot.h");
_Static_assert(offsetof(struct trap_site, number) == TRAP_SITE_NUMBER, "slot.h");

static struct {
	uint64_t page;
	uint32_t used;
} pools[POOLS];

/* From the end of an instruction to `to`, as its last four bytes say it. */
static void put_distance(unsigned char *bytes, uint64_t to)
{
	int32_t distance = (int32_t)(to - (uint64_t)(bytes + 4));

	bytes_copy(bytes, &distance, sizeof(distance));
}

/* The last site of the page is no site: it has the address of the entry. */
static void write_stubs(unsigned char *code, struct trap_site *sites)
{
	sites[COUNT - 1].next = (uint64_t)trap_site_entry;
	for (unsigned i = 0; i < COUNT; i++, code += STUB) {
		static const unsigned char stub[STUB] = {
			0x48, 0x8d, 0x0d, 0, 0, 0, 0, /* lea site(%rip), %rcx */
			0xff, 0x25, 0, 0, 0, 0,       /* jmp *entry(%rip) */
			0xcc, 0xcc, 0xcc,
		};

		bytes_copy(code, stub, STUB);
		put_distance(code + 3, (uint64_t)&sites[i]);
		put_distance(code + 9, (uint64_t)&sites[COUNT - 1].next);
	}
}

/* Both pages, up to `end`; or -errno. */
static long make(uint64_t end)
{
	uint64_t at = end - 2 * PAGE;
	long r, mapped = sys_call6(__NR_mmap, at, 2 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (SYS_FAILED(mapped))
		return mapped;
	/* kernels before 4.17 do not know the flag */
	r = (uint64_t)mapped == at ? 0 : -EEXIST;
	if (!r) {
		write_stubs((unsigned char *)at, (struct trap_site *)(at + PAGE));
		r = sys_call3(__NR_mprotect, at, PAGE, PROT_READ | PROT_EXEC);
	}
	if (!r)
		return (long)at;
	sys_call2(__NR_munmap, mapped, 2 * PAGE);
	return r;
}

static int reaches(uint64_t from, uint64_t to)
{
	int64_t distance = (int64_t)(to - from);

	return distance > -REACH && distance < REACH;
}

long trap_stub(uint64_t next, uint64_t number, uint64_t gap_end)
{
	struct trap_site *sites;
	unsigned i = 0;
	long r;

	while (i < POOLS && pools[i].page &&
	       (pools[i].used == COUNT - 1 || !reaches(pools[i].page, next)))
		i++;
	if (i == POOLS)
		return 0;
	if (!pools[i].page) {
		if (!gap_end || !reaches(gap_end - 2 * PAGE, next))
			return 0;
		r = make(gap_end);
		if (SYS_FAILED(r))
			return r;
		pools[i].page = (uint64_t)r;
	}
	sites = (struct trap_site *)(pools[i].page + PAGE);
	sites[pools[i].used] = (struct trap_site){ .next = next, .number = (uint32_t)number };
	return (long)(pools[i].page + STUB * pools[i].used++);
}
