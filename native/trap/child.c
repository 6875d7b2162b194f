/*
 * What a vfork child makes of itself.
 *
 * It shares our memory with its parent, which waits until it execs or ends, and with the
 * parent's other threads, which go on.  The kernel gives a child ids and a root of its own; we
 * keep ours in that memory.  So a child that is about to change them (Go starts programs as
 * another user that way) gets a task of its own, and is known by its process id from then on.
 *
 * Nobody tells us when it is gone.  Its thread pointer is that of the thread that waits for it:
 * as soon as a call comes with that pointer from another process, the child's place is free.
 */
#include <asm-generic/errno.h>
#include <linux/mman.h>

#include "../core/text.h"
#include "trap.h"

#define PLACES 16
#define MAKING (~0u)

static struct place {
	volatile uint32_t pid;   /* of the child; 0: free */
	uint32_t parent;         /* the process whose memory this is */
	uint64_t thread;
	struct core_task *task;  /* stays with the place */
} places[PLACES];

/* How many are taken; while it is 0, which is nearly always, nothing is asked. */
static volatile uint32_t taken;

static void leave(struct place *place, uint32_t pid)
{
	if (__sync_bool_compare_and_swap(&place->pid, pid, 0))
		__sync_fetch_and_sub(&taken, 1);
}

static __attribute__((noinline)) struct core_task *find(void)
{
	uint32_t me = (uint32_t)sys_call0(__NR_getpid), owner = trap_owner();
	uint64_t thread = trap_thread();

	for (unsigned i = 0; i < PLACES; i++) {
		struct place *place = &places[i];
		uint32_t pid = __atomic_load_n(&place->pid, __ATOMIC_ACQUIRE);

		if (!pid || pid == MAKING)
			continue;
		if (place->parent != owner) {
			leave(place, pid); /* this memory is a copy, made by fork */
		} else if (place->thread == thread) {
			if (pid == me && me != owner)
				return place->task;
			leave(place, pid);
		}
	}
	return 0;
}

static int take(struct place *place)
{
	uint32_t pid = place->pid;

	if (!pid) {
		if (!__sync_bool_compare_and_swap(&place->pid, 0, MAKING))
			return 0;
		__sync_fetch_and_add(&taken, 1);
		return 1;
	}
	/* of one that ended, and whose parent makes no calls */
	return pid != MAKING && sys_call2(__NR_kill, pid, 0) == -ESRCH &&
	       __sync_bool_compare_and_swap(&place->pid, pid, MAKING);
}

static struct core_task *copy_of_task(struct core_task *to)
{
	if (!to) {
		long memory = sys_call6(__NR_mmap, 0, sizeof(*to), PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (SYS_FAILED(memory))
			return 0;
		to = (struct core_task *)memory;
	}
	core_task_copy(to, &trap_task);
	return to;
}

static __attribute__((noinline)) struct core_task *make(void)
{
	for (unsigned i = 0; i < PLACES; i++) {
		struct place *place = &places[i];
		struct core_task *task;

		if (!take(place))
			continue;
		task = copy_of_task(place->task);
		if (!task) {
			leave(place, MAKING);
			return 0;
		}
		place->task = task;
		place->parent = trap_owner();
		place->thread = trap_thread();
		__atomic_store_n(&place->pid, (uint32_t)sys_call0(__NR_getpid), __ATOMIC_RELEASE);
		return task;
	}
	return 0;
}

static int changes_task(long nr)
{
	switch (nr) {
	case __NR_chroot:
	case __NR_setuid:
	case __NR_setgid:
	case __NR_setreuid:
	case __NR_setregid:
	case __NR_setresuid:
	case __NR_setresgid:
	case __NR_setfsuid:
	case __NR_setfsgid:
	case __NR_setgroups:
	case __NR_capset:
		return 1;
	default:
		return 0;
	}
}

struct core_task *trap_task_for(long nr)
{
	struct core_task *task = taken ? find() : 0;

	if (task)
		return task;
	return changes_task(nr) && trap_in_vfork_child() ? make() : &trap_task;
}
