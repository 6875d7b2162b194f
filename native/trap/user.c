/* The program's memory, which may be anything. */
#include <asm-generic/errno.h>

#include "trap.h"

#define PAGE 4096ul

/* See core/user.c; a mask call with an impossible `how` reads 8 bytes and no more;
 * but a NULL set it does not read. */
static int word_readable(uintptr_t p)
{
	return core_on_stack(&trap_task, (const void *)p, 1) ||
	       (p >= PAGE && sys_call4(__NR_rt_sigprocmask, -1, p & ~7ul, 0, 8) != -EFAULT);
}

int trap_readable(const void *p, size_t size)
{
	uintptr_t at = (uintptr_t)p, last = at + size - 1;

	if (last < at)
		return 0;
	for (; at <= last; at = (at | (PAGE - 1)) + 1)
		if (!word_readable(at))
			return 0;
	return 1;
}

long trap_string(const char *from, char *to, size_t size, long too_long)
{
	for (size_t n = 0; n < size; n++) {
		if ((!n || !((uintptr_t)(from + n) & (PAGE - 1))) &&
		    !word_readable((uintptr_t)(from + n)))
			return -EFAULT;
		if (!(to[n] = from[n]))
			return (long)n;
	}
	return too_long;
}

#define PAGE_OF(p) ((uintptr_t)(p) & ~(PAGE - 1))

long trap_vector(char *const *vector, size_t *bytes)
{
	/* the pages probed last; no page has the address 1 */
	uintptr_t vector_page = 1, string_page = 1;
	long count;

	if (!vector)
		return 0;
	for (count = 0;; count++) {
		char *const *at = vector + count;
		const char *s;

		/* it need not be aligned */
		if (PAGE_OF(at) != vector_page || PAGE_OF((char *)at + 7) != vector_page) {
			if (!trap_readable(at, sizeof(*at)))
				return -EFAULT;
			vector_page = PAGE_OF((char *)at + 7);
		}
		s = *at;
		if (!s)
			return count;
		for (; bytes; s++) {
			if (PAGE_OF(s) != string_page) {
				if (!word_readable((uintptr_t)s))
					return -EFAULT;
				string_page = PAGE_OF(s);
			}
			++*bytes;
			if (!*s)
				break;
		}
	}
}
