/*
 * Rules of this library, which lives in every dynamic program of a container: no
 * libc but a few weak symbols, errno untouched unless a call fails, nothing
 * printed, no lock, no allocation, ready to be called before its own start.
 */
#ifndef LPMX_PRELOAD_CALL_H
#define LPMX_PRELOAD_CALL_H

#include <asm-generic/errno.h>
#include <linux/fcntl.h>

#include "../core/text.h"
#include "../sys/sys.h"
#include "lpmx_abi.h"

#define EXPORTED __attribute__((visibility("default")))

/*
 * A function of glibc's by its version only, which other libcs do not look at: they keep theirs.  The versions are in
 * preload.map.
 */
#define VERSIONED(ours, name, version) __asm__(".symver " #ours ", " #name "@" version)
#if defined(__x86_64__)
#define VERSION_FIRST "GLIBC_2.2.5"
#define VERSION_REALPATH "GLIBC_2.3"
#else
#define VERSION_FIRST "GLIBC_2.17"
#define VERSION_REALPATH VERSION_FIRST
#endif

extern const struct lpmx_entry *preload_entry __attribute__((visibility("hidden")));

/* Unversioned and weak: every libc has them, and none is asked for by name. */
extern int *__errno_location(void) __attribute__((weak));
extern char **environ __attribute__((weak));

/* From the kernel's way to tell of an error to libc's. */
static inline long preload_result(long r)
{
	if (SYS_FAILED(r)) {
		if (__errno_location)
			*__errno_location() = (int)-r;
		return -1;
	}
	return r;
}

/*
 * Run a call through the core; before our start, or outside a container, the
 * plain system call, which the trap sees.
 */
static inline long preload_call(long nr, long a, long b, long c, long d, long e)
{
	return preload_result(preload_entry ? preload_entry->call(nr, a, b, c, d, e, 0)
					    : sys_call6(nr, a, b, c, d, e, 0));
}

#define CALL(nr, a, b, c, d, e) \
	preload_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

#endif
