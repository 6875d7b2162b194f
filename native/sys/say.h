/* Text for people, by programs that have no more than this to say. */
#ifndef LPMX_SYS_SAY_H
#define LPMX_SYS_SAY_H

#include <asm-generic/errno.h>
#include <stddef.h>

#include "sys.h"

/* All of it, as far as it can be written. */
static inline void say(int fd, const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	while (n) {
		long r = sys_call3(__NR_write, fd, text, n);

		if (r == -EINTR)
			continue;
		if (r <= 0)
			return;
		text += r;
		n -= (size_t)r;
	}
}

#endif
