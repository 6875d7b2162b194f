/* The program's memory, which may be anything: NULL, unmapped, without an end. */
#include "internal.h"

#define PAGE 4096ul

int core_on_stack(const struct core_task *task, const void *p, size_t size)
{
	uintptr_t at = (uintptr_t)p, low = __atomic_load_n(&task->stack_low, __ATOMIC_RELAXED);

	return at >= low && at < task->stack_high && size <= task->stack_high - at;
}

/*
 * rt_sigprocmask copies its set in before it looks at `how`: with a `how` that
 * does not exist it reads 8 bytes and changes nothing.  EFAULT means they are
 * not there; EINVAL means they are.  Cheaper than process_vm_readv on oneself.  A
 * NULL set is not read at all, so what begins at NULL is told apart before.
 */
long user_probe(const struct core_task *task, const void *p)
{
	if (!task->check_pointers)
		return p ? 0 : -EFAULT;
	if (core_on_stack(task, p, 1))
		return 0;
	if ((uintptr_t)p < PAGE ||
	    sys_call4(__NR_rt_sigprocmask, -1, (uintptr_t)p & ~7ul, 0, 8) == -EFAULT)
		return -EFAULT;
	return 0;
}

long user_text(const struct core_task *task, const char *from, char *to, size_t size)
{
	size_t n = 0;

	for (;;) {
		size_t left = PAGE - ((uintptr_t)(from + n) & (PAGE - 1));

		if (user_probe(task, from + n) < 0)
			return -EFAULT;
		for (; left; left--, n++) {
			if (n == size)
				return -ENAMETOOLONG;
			if (!(to[n] = from[n]))
				return (long)n;
		}
	}
}

long user_path(const struct core_task *task, const char *from, char to[CORE_SAID_MAX])
{
	return user_text(task, from, to, CORE_SAID_MAX);
}

long user_resolve(struct core_task *task, int dirfd, long from, int flags, struct core_node *node)
{
	char path[CORE_SAID_MAX];
	long r = user_path(task, (const char *)from, path);

	return r < 0 ? r : core_resolve(task, dirfd, path, flags, node);
}

/*
 * With no set to install, rt_sigprocmask only writes the present mask: 8 bytes
 * here and there in a buffer that is about to be filled anyway.
 */
long user_writable(const struct core_task *task, void *p, size_t size)
{
	uintptr_t at = (uintptr_t)p, last = at + size - 8;

	if (!task->check_pointers)
		return p ? 0 : -EFAULT;
	if (core_on_stack(task, p, size))
		return 0;
	if (at < PAGE || last < at)
		return -EFAULT;
	for (;;) {
		uintptr_t next = (at & ~(PAGE - 1)) + PAGE;

		if (sys_call4(__NR_rt_sigprocmask, 0, 0, at, 8) < 0)
			return -EFAULT;
		if (at == last || next >= last + 8)
			return 0;
		at = next < last ? next : last;
	}
}

/*
 * Less than those 8 bytes are tried as the first of 8, of which the others are put back: they
 * belong to the same call if it has room for them, which `room` says.  Where that is not so,
 * or the page ends before, only reading is tried.
 */
long core_fillable(const struct core_task *task, void *p, size_t size, size_t room)
{
	char kept[8];
	long r;

	if (size >= sizeof(kept))
		return user_writable(task, p, size);
	if (user_probe(task, p) < 0 || user_probe(task, (char *)p + size - 1) < 0)
		return -EFAULT;
	if (!task->check_pointers || room < sizeof(kept) ||
	    ((uintptr_t)p & (PAGE - 1)) > PAGE - sizeof(kept))
		return 0;
	bytes_copy(kept, p, sizeof(kept));
	r = user_writable(task, p, sizeof(kept));
	if (r >= 0)
		bytes_copy(p, kept, sizeof(kept));
	return r;
}
