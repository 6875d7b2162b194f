/*
 * Signal masks, which shells set ten times for each command.  The core keeps SIGSYS out of them.
 * Actions are left to libc: it keeps more about them than the kernel does.
 */
#include "call.h"

#define KERNEL_SET_SIZE 8
/* What glibc keeps for itself, and takes out of every set: 32 and 33. */
#define LIBC_SIGNALS (3ull << 31)

static long set_mask(int how, const uint64_t *set, void *old)
{
	uint64_t mask;

	if (!set || !preload_entry)
		return sys_call4(__NR_rt_sigprocmask, how, set, old, KERNEL_SET_SIZE);
	mask = *set & ~LIBC_SIGNALS;
	return preload_entry->call(__NR_rt_sigprocmask, how, (long)&mask, (long)old, KERNEL_SET_SIZE, 0, 0);
}

EXPORTED int sigprocmask(int how, const void *set, void *old)
{
	return (int)preload_result(set_mask(how, set, old));
}

EXPORTED int pthread_sigmask(int how, const void *set, void *old)
{
	return (int)-set_mask(how, set, old);
}
