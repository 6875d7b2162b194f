/*
 * In a host view the kernel answers everything itself, but for one thing: the
 * program that it knows of is the loader.  Who asks by /proc/self/exe must be
 * told the real one; programs find their data by it.
 */
#include <asm-generic/errno.h>
#include <linux/fcntl.h>

#include "../core/text.h"
#include "trap.h"

int trap_is_own_program(const char *path)
{
	size_t n = text_begins(path, "/proc/");
	const char *p = path + n;

	if (!n)
		return 0;
	if (text_equal(p, "self/exe") || text_equal(p, "thread-self/exe"))
		return 1;
	if (*p < '1' || *p > '9')
		return 0;
	return (long)text_number(&p, 10) == sys_call0(__NR_getpid) && text_equal(p, "/exe");
}

/* Which argument is the path of a call that follows /proc/self/exe; -1: none. */
static int path_argument(long nr, const long a[6])
{
	switch (nr) {
	case __NR_open:
		return a[1] & O_NOFOLLOW ? -1 : 0;
	case __NR_stat:
	case __NR_access:
	case __NR_statfs:
	case __NR_getxattr:
	case __NR_readlink:
		return 0;
	case __NR_openat:
		return a[2] & O_NOFOLLOW ? -1 : 1;
	case __NR_statx:
		return a[2] & AT_SYMLINK_NOFOLLOW ? -1 : 1;
	case __NR_newfstatat:
		return a[3] & AT_SYMLINK_NOFOLLOW ? -1 : 1;
	case __NR_faccessat:
	case 439: /* faccessat2 */
	case __NR_readlinkat:
		return 1;
	default:
		return -1;
	}
}

/* As readlink of /proc/self/exe gives it. */
static long put_program(const struct core_task *task, char *to, int size)
{
	const char *program = task->program_host;
	long n = (long)text_length(program);

	if (size <= 0)
		return -EINVAL;
	if (n > size)
		n = size;
	if (core_fillable(task, to, (size_t)n, (size_t)size) < 0)
		return -EFAULT;
	bytes_copy(to, program, (size_t)n);
	return n;
}

long trap_host_call(struct core_task *task, long nr, const long a[6])
{
	long args[6] = { a[0], a[1], a[2], a[3], a[4], a[5] };
	int n = path_argument(nr, a);

	if (n >= 0) {
		char path[32]; /* longer ones are not of interest */

		if (trap_string((char *)a[n], path, sizeof(path), -ENAMETOOLONG) > 0 &&
		    trap_is_own_program(path)) {
			if (nr == __NR_readlink || nr == __NR_readlinkat)
				return put_program(task, (char *)a[n + 1], (int)a[n + 2]);
			args[n] = (long)task->program_host;
		}
	}
	return sys_call6(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}
