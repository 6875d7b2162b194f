/*
 * Alternate signal stacks: those that are too small, and those that are left.
 *
 * The kernel accepts 2048 bytes, but its own frame is larger than that on processors with wide
 * registers, and a program that never expected a signal there was right until now.  Such a
 * stack is replaced by one of ours; the same one each time it is set.
 *
 * A call that a handler on an alternate stack makes runs on a slot's stack.  The kernel then
 * takes the alternate one for free, and would put the next signal over that handler.  So there
 * is none for the length of the call: the next handler runs on the slot.  On the way there and
 * back all signals are blocked, until the stack pointer and what the kernel knows agree again;
 * on x86-64 that needs the kernel's own frame to return by, which is whole, as nothing was put
 * over it.  A handler that jumps out of the call leaves its slot.  The thread's next call from a
 * stack of the program tells, for what runs meanwhile runs on slots; then it gets its alternate
 * stack back.
 */
#include <asm-generic/errno.h>
#include <linux/mman.h>
#include <linux/signal.h>

#include "trap.h"

#define OURS 32768ul
#define COUNT 256u
/* What trap_accept and a small handler of the program use. */
#define HEADROOM 2048ul

/* Of the kernel's frame here, if it says so. */
static uint64_t frame_size;

static struct {
	volatile uint64_t theirs;
	volatile uint64_t ours;
} replaced[COUNT];

void trap_altstack_begin(uint64_t needed)
{
	frame_size = needed;
}

static uint64_t smallest(void)
{
	return (frame_size > TRAP_SMALLEST_STACK ? frame_size : TRAP_SMALLEST_STACK) + HEADROOM;
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

/* All that were ever set, from the front; `trap_altstacks` is their number, or more than there
 * is room for. */
static struct {
	volatile uint64_t sp, size;
	volatile uint32_t disarms; /* SS_AUTODISARM: of it the kernel says nothing while a handler is on it */
} known[COUNT];
volatile uint32_t trap_altstacks;

/* How many are left at the moment. */
static volatile uint32_t away;

static void remember(const struct trap_altstack *stack)
{
	for (unsigned n = 0; n < COUNT; n++) {
		if (known[n].sp != stack->sp) {
			if (!__sync_bool_compare_and_swap(&known[n].sp, 0, stack->sp))
				continue;
			__sync_fetch_and_add(&trap_altstacks, 1);
		}
		known[n].size = stack->size;
		known[n].disarms = stack->flags & SS_AUTODISARM;
		return;
	}
	trap_altstacks = COUNT + 1;
}

int trap_altstack_parts(uint64_t a, uint64_t b)
{
	for (unsigned n = 0; n < COUNT && known[n].sp; n++) {
		uint64_t sp = known[n].sp, size = known[n].size;

		if (known[n].disarms && (a - sp < size) != (b - sp < size))
			return 1;
	}
	return 0;
}

/* May the place be on an alternate stack? */
static int is_on_known(uint64_t at)
{
	if (trap_altstacks > COUNT)
		return 1;
	for (unsigned n = 0; n < trap_altstacks; n++)
		if (at - known[n].sp <= known[n].size)
			return 1;
	return 0;
}

/* As the kernel decides it, which here is asked by one who is where the program is. */
static int is_on(const struct trap_altstack *now, uint64_t sp)
{
	return !(now->flags & (SS_DISABLE | SS_AUTODISARM)) && sp > now->sp && sp - now->sp <= now->size;
}

static __attribute__((noinline)) void leaving(struct trap_slot *slot, uint64_t sp)
{
	uint64_t all = ~TRAP_SIGSYS_BIT;
	struct trap_altstack now;

	if (!is_on_known(sp) || sys_call2(__NR_sigaltstack, 0, &now) || !is_on(&now, sp))
		return;
	sys_call4(__NR_rt_sigprocmask, SIG_SETMASK, &all, &slot->mask, 8);
	now.flags = 0;
	slot->left = now;
	__sync_fetch_and_add(&away, 1);
}

int trap_altstack_any_left(void)
{
	return away != 0;
}

void trap_altstack_leaving(struct trap_slot *slot, uint64_t sp)
{
	if (trap_altstacks)
		leaving(slot, sp);
}

void trap_altstack_left(struct trap_slot *slot)
{
	struct trap_altstack none = { .flags = SS_DISABLE };

	sys_call2(__NR_sigaltstack, &none, 0);
	trap_altstack_mask(slot->mask);
}

void trap_altstack_returning(struct trap_slot *slot)
{
	uint64_t all = ~TRAP_SIGSYS_BIT;

	sys_call4(__NR_rt_sigprocmask, SIG_SETMASK, &all, &slot->mask, 8);
	sys_call2(__NR_sigaltstack, &slot->left, 0);
	__sync_fetch_and_sub(&away, 1);
}

void trap_altstack_abandoned(struct trap_slot *slot)
{
	struct trap_altstack left = slot->left;

	if (!left.size)
		return;
	slot->left.size = 0;
	__sync_fetch_and_sub(&away, 1);
	sys_call2(__NR_sigaltstack, &left, 0);
}

void trap_altstack_mask(uint64_t mask)
{
	sys_call4(__NR_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
}

long trap_altstack_run(const struct trap_slot *slot, const long a[6])
{
	const struct trap_altstack *given = (void *)a[0];
	struct trap_altstack stack;

	if (!given)
		return sys_call2(__NR_sigaltstack, 0, a[1]);
	if (!trap_readable(given, sizeof(*given)))
		return -EFAULT;
	if (slot->left.size)
		return -EPERM;
	stack = *given;
	if (!(stack.flags & SS_DISABLE) && stack.size >= TRAP_SMALLEST_STACK &&
	    stack.size < smallest()) {
		uint64_t ours = replacement(stack.sp);

		if (ours) {
			stack.sp = ours;
			stack.size = OURS;
		}
	}
	if (!(stack.flags & SS_DISABLE) && stack.sp)
		remember(&stack);
	return sys_call2(__NR_sigaltstack, &stack, a[1]);
}
