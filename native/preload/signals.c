/*
 * Signal masks, which shells set ten times for each command, and actions, which they set eight
 * times.  The core keeps SIGSYS out of them.
 */
#include "call.h"

#define KERNEL_SET_SIZE 8
/* What glibc keeps for itself, and takes out of every set: 32 and 33. */
#define LIBC_SIGNALS (3ull << 31)
#define SIGABRT 6
#define SIGSYS 31
#define SIGNALS 65

/* A set of glibc's: the kernel has 64 of its 1024 signals. */
struct set {
	uint64_t word[16];
};

/* glibc's struct sigaction on 64-bit architectures. */
struct action {
	void *handler;
	struct set mask;
	int flags;
	void (*restorer)(void);
};

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

/* glibc's own, under the name that is its alone. */
extern int __sigaction(int number, const struct action *action, struct action *old) __attribute__((weak));

/* Where a handler returns to: a place in libc, by which who unwinds knows a signal's frame. */
static void (*libc_restorer)(void);

/*
 * By libc, which also keeps what it needs for SIGABRT, and refuses its own signals.  The kernel tells what it
 * added.
 */
static int by_libc(int number, const struct action *action, struct action *old)
{
	struct sys_sigaction set;
	int r = __sigaction(number, action, old);

	if (!r && action && number != SIGSYS && !sys_call4(__NR_rt_sigaction, number, 0, &set, KERNEL_SET_SIZE) &&
	    set.handler == action->handler && set.flags & SYS_SA_RESTORER)
		__atomic_store_n(&libc_restorer, set.restorer, __ATOMIC_RELAXED);
	return r;
}

/*
 * Of glibc's version, and never the one that is found without: musl does not see it, whose sigaction
 * keeps more than the kernel does.
 */
EXPORTED int glibc_sigaction(int number, const struct action *action, struct action *old)
{
	struct sys_sigaction wanted, was;
	long r;

	wanted.restorer = __atomic_load_n(&libc_restorer, __ATOMIC_RELAXED);
	if (!preload_entry || !action || !wanted.restorer || number == SIGABRT || number <= 0 || number >= SIGNALS ||
	    LIBC_SIGNALS >> (number - 1) & 1)
		return by_libc(number, action, old);
	wanted.handler = action->handler;
	wanted.flags = (uint64_t)(int64_t)action->flags | SYS_SA_RESTORER;
	wanted.mask = action->mask.word[0];
	r = preload_entry->call(__NR_rt_sigaction, number, (long)&wanted, old ? (long)&was : 0, KERNEL_SET_SIZE, 0, 0);
	if (!r && old)
		*old = (struct action){ .handler = was.handler,
					.mask = { { was.mask } },
					.flags = (int)was.flags,
					.restorer = was.restorer };
	return (int)preload_result(r);
}
VERSIONED(glibc_sigaction, sigaction, VERSION_FIRST);
