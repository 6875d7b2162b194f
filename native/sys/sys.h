/*
 * The kernel, called directly.  Nothing above this directory calls a libc
 * function or contains a system call instruction; another architecture is
 * another sys_<architecture>.h.
 */
#ifndef LPMX_SYS_H
#define LPMX_SYS_H

#include <asm/unistd.h>
#include <stdint.h>

#include "absent_calls.h"

#if defined(__x86_64__)
#include "sys_x86_64.h"
#elif defined(__aarch64__)
#include "sys_aarch64.h"
#else
#error "no system call layer for this architecture"
#endif

/* What rt_sigaction takes; libc's structures have other layouts. */
struct sys_sigaction {
	void *handler;
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};
#define SYS_SA_RESTORER 0x04000000ul

#ifdef LPMX_SYS_HOOK
/*
 * The hosted build only ("make hosted"): each call goes to a function of the test
 * program, which may let it fail, end the process before it, or make it.
 */
long sys_hook(long nr, long a, long b, long c, long d, long e, long f);

static inline long sys_kernel(long nr, long a, long b, long c, long d, long e, long f)
{
	return sys_call6(nr, a, b, c, d, e, f);
}
#define sys_call6 sys_hook
#endif

#define sys_call0(n) sys_call6(n, 0, 0, 0, 0, 0, 0)
#define sys_call1(n, a) sys_call6(n, (long)(a), 0, 0, 0, 0, 0)
#define sys_call2(n, a, b) sys_call6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define sys_call3(n, a, b, c) sys_call6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define sys_call4(n, a, b, c, d) sys_call6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define sys_call5(n, a, b, c, d, e) \
	sys_call6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

#define SYS_FAILED(r) ((unsigned long)(r) > -4096ul)

#endif
