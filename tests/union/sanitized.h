/*
 * What sanitizers must be told around the hosted core.  Of its system calls ThreadSanitizer:
 * that a lock orders what is done under it, and that memory is new.
 */
#ifndef SANITIZED_H
#define SANITIZED_H

#include <errno.h>
#include <sys/mman.h>

#include "../../native/sys/sys.h"

#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *), __tsan_release(void *);

static inline long mapped(void *memory)
{
	return memory == MAP_FAILED ? -errno : (long)memory;
}

static inline long told(long nr, long a, long b, long c, long d, long e, long f)
{
	static int lock;
	long r;

	switch (nr) {
	case __NR_mmap:
		return mapped(mmap((void *)a, (size_t)b, (int)c, (int)d, (int)e, f));
	case __NR_mremap:
		return mapped(mremap((void *)a, (size_t)b, (size_t)c, (int)d));
	case __NR_munmap:
		return munmap((void *)a, (size_t)b) ? -errno : 0;
	case __NR_flock:
		if (b == 8)
			__tsan_release(&lock);
		r = sys_kernel(nr, a, b, c, d, e, f);
		if (b == 2)
			__tsan_acquire(&lock);
		return r;
	default:
		return sys_kernel(nr, a, b, c, d, e, f);
	}
}
#else
#define told sys_kernel
#endif

#ifdef __SANITIZE_ADDRESS__
/* Leaks are looked for by ptrace, and the filter of the tests kills who does that. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

#endif
