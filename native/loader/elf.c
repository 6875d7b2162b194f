/* ELF programs: checked, and mapped as the kernel maps them. */
#include <asm-generic/errno.h>
#include <linux/elf-em.h>
#include <linux/elf.h>
#include <linux/mman.h>

#include "../core/text.h"
#include "../sys/sys.h"
#include "loader.h"

#define PAGE 4096ul
#define PAGE_DOWN(x) ((x) & ~(PAGE - 1))
#define PAGE_UP(x) PAGE_DOWN((x) + PAGE - 1)
#define HEADERS_MAX 64

void *memset(void *to, int byte, size_t n);

/* PIE_BASE: where the kernel puts position-independent programs, and how much it varies. */
#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#define ADDRESS_BITS 47
#define PIE_BASE 0x555555554000ul
#define PIE_RANDOM_PAGES (1ul << 28)
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#define ADDRESS_BITS 48
#define PIE_BASE 0xaaaaaaaaa000ul
#define PIE_RANDOM_PAGES (1ul << 18)
#endif

static const char *machine_name(unsigned machine)
{
	switch (machine) {
	case EM_386:
		return "it is a program for 32-bit x86";
	case EM_X86_64:
		return "it is a program for x86-64";
	case EM_ARM:
		return "it is a program for 32-bit arm";
	case EM_AARCH64:
		return "it is a program for aarch64";
	case EM_PPC64:
		return "it is a program for ppc64";
	case EM_S390:
		return "it is a program for s390x";
	case EM_RISCV:
		return "it is a program for riscv";
	default:
		return "it is a program for another machine";
	}
}

static long refuse(const char **why, const char *text)
{
	if (why)
		*why = text;
	return -ENOEXEC;
}

long loader_check(const void *header, long size, const char **why)
{
	const Elf64_Ehdr *e = header;

	if (size < (long)sizeof(Elf32_Ehdr) || !text_same(e->e_ident, ELFMAG, SELFMAG))
		return refuse(why, loader_error(-ENOEXEC));
	if (e->e_ident[EI_CLASS] == ELFCLASS32 && e->e_machine == EM_386)
		return refuse(why, "it is a 32-bit program, and only 64-bit programs can be run");
	if (e->e_machine != OUR_MACHINE)
		return refuse(why, machine_name(e->e_machine));
	if (e->e_ident[EI_CLASS] != ELFCLASS64 || e->e_ident[EI_DATA] != ELFDATA2LSB)
		return refuse(why, "it is a 32-bit program, and only 64-bit programs can be run");
	if (size < (long)sizeof(*e) || (e->e_type != ET_EXEC && e->e_type != ET_DYN) ||
	    e->e_phentsize != sizeof(Elf64_Phdr) || !e->e_phnum || e->e_phnum > HEADERS_MAX)
		return refuse(why, "it is an ELF file, but not a program");
	return 0;
}

int loader_is_one(const void *header)
{
	const Elf64_Ehdr *e = header;

	return e->e_type == ET_EXEC && e->e_entry - LPMX_WINDOW < LPMX_WINDOW_SIZE;
}

/* The program headers where they lie in what was read of the file, which is aligned; NULL: they
 * do not. */
static const Elf64_Phdr *headers_in(const void *header, long size)
{
	const Elf64_Ehdr *e = header;
	long bytes = e->e_phnum * (long)sizeof(Elf64_Phdr);

	return (long)e->e_phoff >= 0 && (long)e->e_phoff <= size - bytes && !(e->e_phoff & 7)
		       ? (const void *)((const char *)header + e->e_phoff)
		       : 0;
}

static long read_headers(long fd, const Elf64_Ehdr *e, Elf64_Phdr *to)
{
	long bytes = e->e_phnum * (long)sizeof(*to);

	return sys_call4(__NR_pread64, fd, to, bytes, e->e_phoff) == bytes ? 0 : -ENOEXEC;
}

/* `header`, of `size` bytes, is how the file begins, and mostly has the name, too. */
static long read_interpreter(long fd, const void *header, long size, const Elf64_Phdr *h, char *name)
{
	if (h->p_filesz < 2 || h->p_filesz > CORE_PATH_MAX)
		return -ENOEXEC;
	if (h->p_offset <= (uint64_t)size && h->p_filesz <= (uint64_t)size - h->p_offset)
		bytes_copy(name, (const char *)header + h->p_offset, h->p_filesz);
	else if (sys_call4(__NR_pread64, fd, name, h->p_filesz, h->p_offset) != (long)h->p_filesz)
		return -ENOEXEC;
	if (name[h->p_filesz - 1])
		return -ENOEXEC;
	return (long)h->p_filesz - 1;
}

/* Where the bytes that will be at `address` are in the file, or -1. */
static long file_offset(const Elf64_Phdr *headers, long count, uint64_t address)
{
	for (long i = 0; i < count; i++) {
		const Elf64_Phdr *h = &headers[i];

		if (h->p_type == PT_LOAD && address - h->p_vaddr < h->p_filesz)
			return (long)(address - h->p_vaddr + h->p_offset);
	}
	return -1;
}

/*
 * Does the program insist on its own library being the first one loaded?  The
 * runtime of gcc's address sanitizer does and ends the program otherwise; linkers
 * put it in front of all other libraries, so the first name tells.
 */
static int insists_on_being_first(long fd, const Elf64_Phdr *headers, long count, long dynamic)
{
	static const char *const names[] = { "libasan.so", "libclang_rt.asan", "libhwasan.so" };
	Elf64_Dyn entries[64];
	uint64_t strings = 0;
	long needed = -1, n;
	char name[32];

	n = sys_call4(__NR_pread64, fd, entries, sizeof(entries), headers[dynamic].p_offset);
	for (long i = 0; i < n / (long)sizeof(*entries) && entries[i].d_tag != DT_NULL; i++) {
		if (entries[i].d_tag == DT_NEEDED && needed < 0)
			needed = (long)entries[i].d_un.d_val;
		if (entries[i].d_tag == DT_STRTAB)
			strings = entries[i].d_un.d_ptr;
	}
	if (needed < 0 || !strings)
		return 0;
	n = file_offset(headers, count, strings);
	if (n >= 0)
		n = sys_call4(__NR_pread64, fd, name, sizeof(name) - 1, n + needed);
	if (n <= 0)
		return 0;
	name[n] = 0;
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (text_begins(name, names[i]))
			return 1;
	return 0;
}

static long interpreter_of(long fd, const void *header, long size, const Elf64_Phdr *headers, char *name,
			   int *alone)
{
	long count = ((const Elf64_Ehdr *)header)->e_phnum, r = 0, dynamic = -1;

	for (long i = 0; i < count; i++) {
		if (headers[i].p_type == PT_INTERP && !name[0])
			r = read_interpreter(fd, header, size, &headers[i], name);
		if (headers[i].p_type == PT_DYNAMIC)
			dynamic = i;
	}
	if (r > 0 && dynamic >= 0 && alone)
		*alone = insists_on_being_first(fd, headers, count, dynamic);
	return r;
}

static __attribute__((noinline)) long interpreter_beyond(long fd, const void *header, long size, char *name, int *alone)
{
	Elf64_Phdr headers[HEADERS_MAX];
	long r = read_headers(fd, header, headers);

	return r < 0 ? r : interpreter_of(fd, header, size, headers, name, alone);
}

long loader_interpreter(long fd, const void *header, long size, char *name, int *alone)
{
	const Elf64_Phdr *headers = headers_in(header, size);

	name[0] = 0;
	return headers ? interpreter_of(fd, header, size, headers, name, alone)
		       : interpreter_beyond(fd, header, size, name, alone);
}

static uint64_t random_number(void)
{
	uint64_t number = 0;

	sys_call3(__NR_getrandom, &number, sizeof(number), 1 /* GRND_NONBLOCK */);
	return number;
}

static long protection(const Elf64_Phdr *h)
{
	return (h->p_flags & PF_R ? PROT_READ : 0) | (h->p_flags & PF_W ? PROT_WRITE : 0) |
	       (h->p_flags & PF_X ? PROT_EXEC : 0);
}

static int is_mapped(const Elf64_Phdr *h)
{
	return h->p_type == PT_LOAD && h->p_memsz;
}

/* The pages of a segment, as linked. */
static uint64_t start_of(const Elf64_Phdr *h)
{
	return PAGE_DOWN(h->p_vaddr);
}

static uint64_t end_of(const Elf64_Phdr *h)
{
	return PAGE_UP(h->p_vaddr + h->p_memsz);
}

static void unmap(uint64_t low, uint64_t high)
{
	if (high > low)
		sys_call2(__NR_munmap, (long)low, (long)(high - low));
}

/* Map at this place and at no other; without MAP_FIXED over nothing that is there. */
static long map_at(uint64_t at, uint64_t size, long prot, long flags, long fd, uint64_t offset)
{
	long r;

	if (!(flags & MAP_FIXED))
		flags |= MAP_FIXED_NOREPLACE;
	r = sys_call6(__NR_mmap, (long)at, (long)size, prot, MAP_PRIVATE | flags, fd, (long)offset);

	if (SYS_FAILED(r) || (uint64_t)r == at)
		return SYS_FAILED(r) ? r : 0;
	/* older kernels take the flag for a wish */
	sys_call2(__NR_munmap, r, size);
	return -EEXIST;
}

/* Map a segment and clear what is behind its file; `there`: it is mapped, all of it from the file. */
static long map_segment(long fd, const Elf64_Phdr *h, uint64_t bias, int there)
{
	uint64_t start = start_of(h) + bias, end = end_of(h) + bias, zero = start;
	uint64_t file_end = h->p_vaddr + bias + h->p_filesz;
	long prot = protection(h), r = 0;

	if (h->p_filesz) {
		zero = PAGE_UP(file_end);
		if (!there)
			r = map_at(start, file_end - start, prot, 0, fd, PAGE_DOWN(h->p_offset));
		if (r < 0)
			return r;
		if (h->p_memsz > h->p_filesz && (prot & PROT_WRITE))
			memset((void *)file_end, 0, zero - file_end);
	}
	if (end > zero) {
		r = map_at(zero, end - zero, prot, MAP_ANONYMOUS | (there ? MAP_FIXED : 0), -1, 0);
		if (r < 0)
			unmap(start, zero);
	}
	return r;
}

/*
 * Map all segments but `there`, which is, each at its place: nothing is mapped over another,
 * which would cost the kernel parts to cut out, and nothing is between them.  If it fails, none
 * is left.
 */
static long map_segments(long fd, const Elf64_Phdr *headers, long count, uint64_t bias,
			 const Elf64_Phdr *there)
{
	uint64_t end = 0;
	long r = 0, i;

	for (i = 0; i < count && r >= 0; i++) {
		const Elf64_Phdr *h = &headers[i];

		if (!is_mapped(h))
			continue;
		/* of pages that two have the second has them */
		if (end > start_of(h))
			unmap(start_of(h) + bias, (end < end_of(h) ? end : end_of(h)) + bias);
		r = map_segment(fd, h, bias, h == there);
		if (end_of(h) > end)
			end = end_of(h);
	}
	if (r >= 0)
		return 0;
	if (there)
		unmap(start_of(there) + bias, end_of(there) + bias);
	for (i -= 2; i >= 0; i--)
		if (is_mapped(&headers[i]))
			unmap(start_of(&headers[i]) + bias, end_of(&headers[i]) + bias);
	return r;
}

/*
 * Let the kernel say where the last segment is to be, and map the others below it, which is where
 * it would put the next thing: nothing is reserved first.
 */
static long map_below(long fd, const Elf64_Phdr *headers, long count, uint64_t alignment,
		      uint64_t *bias)
{
	const Elf64_Phdr *last = 0;
	long r;

	for (long i = 0; i < count; i++)
		if (is_mapped(&headers[i]))
			last = &headers[i];
	r = sys_call6(__NR_mmap, 0, (long)(end_of(last) - start_of(last)), protection(last),
		      MAP_PRIVATE | (last->p_filesz ? 0 : MAP_ANONYMOUS), last->p_filesz ? fd : -1,
		      last->p_filesz ? (long)PAGE_DOWN(last->p_offset) : 0);
	if (SYS_FAILED(r))
		return r;
	*bias = (uint64_t)r - start_of(last);
	if (*bias & (alignment - 1)) {
		unmap((uint64_t)r, (uint64_t)r + end_of(last) - start_of(last));
		*bias &= ~(alignment - 1);
		last = 0;
	}
	return map_segments(fd, headers, count, *bias, last);
}

/* The same with the room of all taken first, and given back for them. */
static long map_anywhere(long fd, const Elf64_Phdr *headers, long count,
			 const struct loader_image *image, uint64_t alignment, uint64_t *bias)
{
	uint64_t size = image->high - image->low + alignment - PAGE;
	long r = sys_call6(__NR_mmap, 0, (long)size, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (SYS_FAILED(r))
		return r;
	unmap((uint64_t)r, (uint64_t)r + size);
	*bias = (((uint64_t)r + alignment - 1) & ~(alignment - 1)) - image->low;
	return map_segments(fd, headers, count, *bias, 0);
}

/* Map all of it, as linked, or from `at` on if that is not 0, or elsewhere; *bias is the difference. */
static long map_image(long fd, const Elf64_Phdr *headers, long count,
		      const struct loader_image *image, int fixed, uint64_t at, uint64_t alignment,
		      uint64_t *bias)
{
	long r;

	*bias = 0;
	if (fixed)
		return map_segments(fd, headers, count, 0, 0);
	if (at) {
		*bias = ((at + alignment - 1) & ~(alignment - 1)) - image->low;
		if (map_segments(fd, headers, count, *bias, 0) >= 0)
			return 0;
	}
	r = map_below(fd, headers, count, alignment, bias);
	return r < 0 ? map_anywhere(fd, headers, count, image, alignment, bias) : r;
}

/* From the headers: extent, alignment, interpreter.  -ENOEXEC if they make no sense. */
static long measure(long fd, const void *header, long size, const Elf64_Phdr *headers, long count,
		    struct loader_image *image, uint64_t *alignment)
{
	uint64_t last = 0;

	image->low = ~0ul;
	*alignment = PAGE;
	for (long i = 0; i < count; i++) {
		const Elf64_Phdr *h = &headers[i];

		if (h->p_type == PT_INTERP && image->interpreter && !image->interpreter[0]) {
			long r = read_interpreter(fd, header, size, h, image->interpreter);

			if (r < 0)
				return r;
		}
		if (h->p_type == PT_GNU_STACK)
			image->executable_stack = !!(h->p_flags & PF_X);
		if (!is_mapped(h))
			continue;
		if (h->p_filesz > h->p_memsz || h->p_vaddr < last || h->p_vaddr >= 1ul << ADDRESS_BITS ||
		    h->p_memsz >= 1ul << ADDRESS_BITS ||
		    ((h->p_vaddr ^ h->p_offset) & (PAGE - 1) && h->p_filesz))
			return -ENOEXEC;
		last = h->p_vaddr;
		if (image->low == ~0ul)
			image->low = PAGE_DOWN(h->p_vaddr);
		if (PAGE_UP(h->p_vaddr + h->p_memsz) > image->high)
			image->high = PAGE_UP(h->p_vaddr + h->p_memsz);
		if (h->p_align > *alignment && !(h->p_align & (h->p_align - 1)))
			*alignment = h->p_align;
	}
	return image->low == ~0ul ? -ENOEXEC : 0;
}

static long map_by(long fd, const void *header, long size, const Elf64_Phdr *headers, uint64_t at,
		   struct loader_image *image)
{
	const Elf64_Ehdr *e = header;
	long count = e->e_phnum, r;
	uint64_t alignment, bias;

	r = measure(fd, header, size, headers, count, image, &alignment);
	if (!r)
		r = map_image(fd, headers, count, image, e->e_type == ET_EXEC, at, alignment, &bias);
	if (r < 0)
		return r;
	for (long i = 0; i < count; i++) {
		const Elf64_Phdr *h = &headers[i];

		if (!is_mapped(h))
			continue;
		if (e->e_phoff >= h->p_offset && e->e_phoff < h->p_offset + h->p_filesz)
			image->headers = e->e_phoff - h->p_offset + h->p_vaddr + bias;
		if (h->p_flags & PF_X && !image->code_high) {
			image->code_low = h->p_vaddr + bias;
			image->code_high = image->code_low + h->p_filesz;
		}
		image->data_low = h->p_vaddr + bias;
		image->data_high = image->data_low + h->p_filesz;
	}
	image->low += bias;
	image->high += bias;
	image->base = bias;
	image->entry = e->e_entry + bias;
	image->header_count = e->e_phnum;
	image->header_size = e->e_phentsize;
	return 0;
}

static __attribute__((noinline)) long map_beyond(long fd, const void *header, long size, uint64_t at,
						 struct loader_image *image)
{
	Elf64_Phdr headers[HEADERS_MAX];
	long r = read_headers(fd, header, headers);

	return r < 0 ? r : map_by(fd, header, size, headers, at, image);
}

uint64_t loader_pie_base(int randomize)
{
	return PIE_BASE + (randomize ? (random_number() % PIE_RANDOM_PAGES) * PAGE : 0);
}

long loader_map(long fd, uint64_t at, struct loader_image *image)
{
	char header[LOADER_HEADER_SIZE] __attribute__((aligned(8)));
	const Elf64_Phdr *headers;
	long size, r;

	bytes_zero(image, __builtin_offsetof(struct loader_image, interpreter));
	if (image->interpreter)
		image->interpreter[0] = 0;
	size = sys_call4(__NR_pread64, fd, header, sizeof(header), 0);
	if (size < 0)
		return size;
	r = loader_check(header, size, 0);
	if (r < 0)
		return r;
	headers = headers_in(header, size);
	return headers ? map_by(fd, header, size, headers, at, image)
		       : map_beyond(fd, header, size, at, image);
}
