/*
 * Host paths that are longer than the kernel takes.
 *
 * What a program may call by 4095 bytes has a longer name on the host, where the
 * container's own directory comes first; and a program that only says relative names
 * gets deeper than any path reaches.  The core thinks in whole paths all the same.  So
 * every call of its own that names a file comes by here: one that fails with
 * ENAMETOOLONG is made once more, from a descriptor of the directory, which far.c opens
 * in pieces.  All others cost a comparison.
 *
 * sys_call6 stays the kernel itself, for what a program asked for in its own words.
 */
#ifndef LPMX_FAR_H
#define LPMX_FAR_H

#include "../sys/sys.h"

long far_call(long nr, long a, long b, long c, long d, long e) __attribute__((visibility("hidden")));

/* Calls that name no file, of those that the core makes: these are made where they stand. */
static inline int far_never(long nr)
{
	switch (nr) {
	case __NR_close:
	case __NR_fcntl:
	case __NR_flock:
	case __NR_fstat:
	case __NR_getdents64:
	case __NR_gettid:
	case __NR_lseek:
	case __NR_munmap:
	case __NR_pread64:
	case __NR_pwrite64:
	case __NR_read:
	case __NR_rt_sigprocmask:
	case __NR_clock_gettime:
		return 1;
	default:
		return 0;
	}
}

#define far_or_here(nr, a, b, c, d, e)                                                             \
	(__builtin_constant_p(nr) && far_never(nr)                                                 \
		 ? sys_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)         \
		 : far_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e)))

#undef sys_call1
#undef sys_call2
#undef sys_call3
#undef sys_call4
#undef sys_call5
#define sys_call1(n, a) far_or_here(n, a, 0, 0, 0, 0)
#define sys_call2(n, a, b) far_or_here(n, a, b, 0, 0, 0)
#define sys_call3(n, a, b, c) far_or_here(n, a, b, c, 0, 0)
#define sys_call4(n, a, b, c, d) far_or_here(n, a, b, c, d, 0)
#define sys_call5(n, a, b, c, d, e) far_or_here(n, a, b, c, d, e)

#endif
