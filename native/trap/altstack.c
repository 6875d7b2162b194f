/*
 * Alternate signal stacks that are too small.  The kernel accepts 2048 bytes,
 * but its own frame is larger than that on processors with wide registers, and
 * a program that never expected a signal there was right until now.  Such a
 * stack is replaced by one of ours; the same one each time it is set.
 */
#include <asm-generic/errno.h>
#include <linux/mman.h>
#include <linux/signal.h>

#include "trap.h"

#define OURS 32768ul
#define COUNT 256u
/* What trap_accept and a small handler of the program use. */
#define HEADROOM 2048ul

static uint64_t smallest = TRAP_SMALLEST_STACK + HEADROOM;

static struct {
	volatile uint64_t theirs;
	volatile uint64_t ours;
} replaced[COUNT];

void trap_altstack_begin(uint64_t needed)
{
	if (needed + HEADROOM > smallest)
		smallest = needed + HEADROOM;
}

/* Our stack for the program's at `sp`; 0 if there is none to be had. */
static uint64_t replacement(uint64_t sp)
{
	unsigned first = (unsigned)(sp >> 4) % COUNT;

	for (unsigned i = 0; i < COUNT; i++) {
		unsigned n = (first + i) % COUNT;
		long memory;

		if (replaced[n].theirs != sp && !__sync_bool_compare_and_swap(&replaced[n].theirs, 0, sp))
			continue;
		if (replaced[n].ours)
			return replaced[n].ours;
		memory = sys_call6(__NR_mmap, 0, OURS, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (SYS_FAILED(memory))
			return 0;
		if (!__sync_bool_compare_and_swap(&replaced[n].ours, 0, (uint64_t)memory))
			sys_call2(__NR_munmap, memory, OURS);
		return replaced[n].ours;
	}
	return 0;
}

/* Of one with SS_AUTODISARM the kernel says nothing while a handler is on it; from the front. */
static struct {
	volatile uint64_t sp, size;
} disarmed[COUNT];

static void remember(const struct trap_altstack *stack)
{
	for (unsigned n = 0; n < COUNT; n++)
		if (disarmed[n].sp == stack->sp ||
		    __sync_bool_compare_and_swap(&disarmed[n].sp, 0, stack->sp)) {
			disarmed[n].size = stack->size;
			return;
		}
}

int trap_altstack_parts(uint64_t a, uint64_t b)
{
	for (unsigned n = 0; n < COUNT && disarmed[n].sp; n++) {
		uint64_t sp = disarmed[n].sp, size = disarmed[n].size;

		if ((a - sp < size) != (b - sp < size))
			return 1;
	}
	return 0;
}

/* Is the program on its alternate stack?  The kernel asks the same of the trap's own, which never is. */
static int is_on_it(uint64_t sp)
{
	struct trap_altstack now;

	return !sys_call2(__NR_sigaltstack, 0, &now) && !(now.flags & (SS_DISABLE | SS_AUTODISARM)) &&
	       sp > now.sp && sp - now.sp <= now.size;
}

long trap_altstack_run(const long a[6], uint64_t sp)
{
	const struct trap_altstack *given = (void *)a[0];
	struct trap_altstack stack;

	if (!given)
		return sys_call2(__NR_sigaltstack, 0, a[1]);
	if (!trap_readable(given, sizeof(*given)))
		return -EFAULT;
	if (is_on_it(sp))
		return -EPERM;
	stack = *given;
	if (!(stack.flags & SS_DISABLE) && stack.size >= TRAP_SMALLEST_STACK &&
	    stack.size < smallest) {
		uint64_t ours = replacement(stack.sp);

		if (ours) {
			stack.sp = ours;
			stack.size = OURS;
		}
	}
	if ((stack.flags & (SS_DISABLE | SS_AUTODISARM)) == SS_AUTODISARM)
		remember(&stack);
	return sys_call2(__NR_sigaltstack, &stack, a[1]);
}
