/* truncate and utimes: size and times. */
#include "internal.h"

#define UTIME_NOW_ ((1l << 30) - 1)
#define UTIME_OMIT_ ((1l << 30) - 2)

static int known(long nanoseconds)
{
	return (nanoseconds >= 0 && nanoseconds < 1000000000) || nanoseconds == UTIME_NOW_ ||
	       nanoseconds == UTIME_OMIT_;
}

long call_truncate(struct core_task *task, long nr, const long a[6])
{
	struct core_node node;
	struct meta meta;
	long r, dropped = 0;

	if (a[1] < 0)
		return -EINVAL;
	r = user_resolve(task, AT_FDCWD, a[0], 0, &node);
	if (r < 0)
		return r;
	if (IS(node.mode, S_IFDIR))
		return -EISDIR;
	if (!IS(node.mode, S_IFREG))
		return -EINVAL;
	/* on disk a device is a file, too, but a marked one */
	if (!node.bind && (node.mode & S_ISVTX)) {
		r = meta_shown(task, &node, &meta);
		if (r < 0)
			return r;
		if (!IS(meta.mode, S_IFREG))
			return -EINVAL;
	}
	r = upper_writable(task, &node);
	if (r >= 0)
		r = permission(task, &node, 2);
	if (r >= 0)
		r = copy_up(task, &node);
	if (r >= 0)
		r = dropped = permission_drop(task, &node, &meta);
	if (r >= 0)
		r = sys_call2(nr, node.host, a[1]);
	if (r < 0 && dropped > 0)
		meta_store(task->view, node.host, -1, &meta);
	return r;
}

/*
 * As in utimensat(2): whoever may write may say "now", only the owner may say when.
 * Of `node`, or of what is open as `fd` at its host path in the upper.
 */
static long may_set_times(struct core_task *task, const struct core_node *node, int fd,
			  const long *times)
{
	long r = fd < 0 ? permission_of_owner(task, node)
			: permission_fd(task, node->host, fd, PERMISSION_OWNER);

	if (r < 0 && (!times || (times[1] == UTIME_NOW_ && times[3] == UTIME_NOW_)))
		r = fd < 0 ? permission(task, node, 2) : permission_fd(task, node->host, fd, 2);
	return r;
}

/* utime, utimes, futimesat and utimensat, all by the last of them. */
static long set_times(struct core_task *task, int dirfd, long user, const long *times, int flags)
{
	int last = AT_SYMLINK_NOFOLLOW, handle = 0;
	char path[CORE_SAID_MAX];
	struct core_node node;
	long r;

	if (user) {
		r = user_path(task, (const char *)user, path);
		if (r < 0)
			return r;
		handle = !path[0] && (flags & AT_EMPTY_PATH);
	} else if (dirfd == AT_FDCWD) {
		return -EFAULT;
	} else if (flags) {
		return -EINVAL;
	}
	if (!user || (handle && dirfd != AT_FDCWD)) { /* a descriptor: futimens */
		r = target_of_fd(task, dirfd, handle, &node);
		if (r == TARGET_NONE || r < 0)
			return r;
		if (r == TARGET_KERNEL)
			return sys_call4(__NR_utimensat, dirfd, 0, times, 0);
		if (r == TARGET_DESCRIPTOR) {
			r = may_set_times(task, &node, dirfd, times);
			return r < 0 ? r : sys_call4(__NR_utimensat, dirfd, 0, times, 0);
		}
		r = may_set_times(task, &node, -1, times);
		if (r >= 0)
			r = target_lift(task, dirfd, &node);
		return r < 0 ? r : sys_call4(__NR_utimensat, AT_FDCWD, node.host, times, last);
	}
	r = core_resolve(task, dirfd, path_or_here(path, flags),
			 flags & AT_SYMLINK_NOFOLLOW ? CORE_NOFOLLOW : 0, &node);
	if (r >= 0 && times && !(known(times[1]) && known(times[3])))
		r = -EINVAL;
	if (r < 0)
		return r;
	if (!(flags & AT_SYMLINK_NOFOLLOW) && node.bind && proc_magic(node.host))
		last = 0;
	r = upper_writable(task, &node);
	if (r >= 0)
		r = may_set_times(task, &node, -1, times);
	if (r >= 0)
		r = copy_up(task, &node);
	return r < 0 ? r : sys_call4(__NR_utimensat, AT_FDCWD, node.host, times, last);
}

long call_times(struct core_task *task, long nr, const long a[6])
{
	long times[4] = { 0, 0, 0, 0 };
	int seconds_only = 0;
	long from = a[1];
	int dirfd = AT_FDCWD;
	long path = a[0];

	switch (nr) {
	case __NR_utimensat:
		if (a[2]) {
			if (user_probe(task, (void *)a[2]) < 0 ||
			    user_probe(task, (char *)a[2] + 31) < 0)
				return -EFAULT;
			bytes_copy(times, (void *)a[2], 32);
			/* nothing to do: not even the path is looked at */
			if (times[1] == UTIME_OMIT_ && times[3] == UTIME_OMIT_)
				return 0;
		}
		if (a[3] & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
			return -EINVAL;
		return set_times(task, (int)a[0], a[1], a[2] ? times : 0, (int)a[3]);
	case __NR_utime:
		seconds_only = 1;
		break;
	case __NR_futimesat:
		dirfd = (int)a[0];
		path = a[1];
		from = a[2];
		break;
	default:
		break;
	}
	if (!from)
		return set_times(task, dirfd, path, 0, 0);
	if (user_probe(task, (void *)from) < 0 ||
	    user_probe(task, (char *)from + (seconds_only ? 15 : 31)) < 0)
		return -EFAULT;
	if (seconds_only) {
		times[0] = ((long *)from)[0];
		times[2] = ((long *)from)[1];
	} else {
		for (int i = 0; i < 4; i++)
			times[i] = ((long *)from)[i];
		if (times[1] < 0 || times[1] > 999999 || times[3] < 0 || times[3] > 999999)
			return -EINVAL;
		times[1] *= 1000;
		times[3] *= 1000;
	}
	return set_times(task, dirfd, path, times, 0);
}
