/*
 * What outlasts a call: watches on objects, and handles that stand for them.
 *
 * The kernel keeps both for an object, and what a program changes is the upper's.  So what
 * is to be watched, or known again in what a watch tells, is copied up before.
 */
#include "internal.h"

/* As linux/inotify.h, linux/fanotify.h and linux/fcntl.h have them. */
#define IN_ONLYDIR_ 0x01000000u
#define IN_DONT_FOLLOW_ 0x02000000u
#define FAN_MARK_ADD_ 0x01u
#define FAN_MARK_DONT_FOLLOW_ 0x04u
#define FAN_MARK_ONLYDIR_ 0x08u
#define FAN_MARK_MOUNT_ 0x10u
#define FAN_MARK_FLUSH_ 0x80u
#define FAN_MARK_FILESYSTEM_ 0x100u
#define AT_HANDLE_FID_ 0x200
#define AT_HANDLE_MNT_ID_UNIQUE_ 1

/* No memory is there: a call made with it fails for what is wrong before the path is read. */
#define NO_PATH (-1l)

static long have_in_upper(struct core_task *task, struct core_node *node)
{
	return node->place == CORE_LOWER && task->view->upper.length && !IS(node->mode, S_IFLNK)
		       ? copy_up(task, node)
		       : 0;
}

static long prepare(struct core_task *task, struct core_node *node, int only_directory)
{
	long r = permission(task, node, 4);

	if (r >= 0 && only_directory && !IS(node->mode, S_IFDIR))
		r = -ENOTDIR;
	return r < 0 ? r : have_in_upper(task, node);
}

static long inotify(struct core_task *task, long nr, const long a[6])
{
	uint32_t mask = (uint32_t)a[2];
	struct core_node node;
	long r = sys_call3(nr, a[0], NO_PATH, mask);

	if (r != -EFAULT)
		return r;
	r = user_resolve(task, AT_FDCWD, a[1], mask & IN_DONT_FOLLOW_ ? CORE_NOFOLLOW : 0, &node);
	if (r >= 0)
		r = prepare(task, &node, (mask & IN_ONLYDIR_) != 0);
	return r < 0 ? r : sys_call3(nr, a[0], node.host, node.bind ? mask : mask | IN_DONT_FOLLOW_);
}

/* A mark on what is open as a descriptor. */
static long fanotify_fd(struct core_task *task, long nr, const long a[6])
{
	unsigned flags = (unsigned)a[1];
	struct core_node node;
	long r = target_of_fd(task, (int)a[3], 0, &node);

	if (r == TARGET_NAME && !node.bind && flags & FAN_MARK_ADD_)
		r = prepare(task, &node, (flags & FAN_MARK_ONLYDIR_) != 0) ?: TARGET_NAME;
	if (r < 0)
		return r;
	return r == TARGET_NAME && !node.bind
		       ? sys_call5(nr, a[0], flags | FAN_MARK_DONT_FOLLOW_, a[2], AT_FDCWD, node.host)
		       : sys_call5(nr, a[0], flags, a[2], a[3], 0);
}

static long fanotify(struct core_task *task, long nr, const long a[6])
{
	unsigned flags = (unsigned)a[1];
	struct core_node node;
	long r;

	if (flags & FAN_MARK_FLUSH_)
		return sys_call5(nr, a[0], flags, a[2], a[3], NO_PATH);
	r = sys_call5(nr, a[0], flags, a[2], AT_FDCWD, NO_PATH);
	if (r != -EFAULT)
		return r;
	/* they would tell of the host */
	if (flags & (FAN_MARK_MOUNT_ | FAN_MARK_FILESYSTEM_))
		return -EPERM;
	if (!a[4])
		return fanotify_fd(task, nr, a);
	r = user_resolve(task, (int)a[3], a[4], flags & FAN_MARK_DONT_FOLLOW_ ? CORE_NOFOLLOW : 0,
			 &node);
	if (r >= 0 && flags & FAN_MARK_ADD_)
		r = prepare(task, &node, (flags & FAN_MARK_ONLYDIR_) != 0);
	if (r < 0)
		return r;
	return sys_call5(nr, a[0], node.bind ? flags : flags | FAN_MARK_DONT_FOLLOW_, a[2], AT_FDCWD,
			 node.host);
}

long call_watch(struct core_task *task, long nr, const long a[6])
{
	return nr == __NR_inotify_add_watch ? inotify(task, nr, a) : fanotify(task, nr, a);
}

/* name_to_handle_at */
long call_handle(struct core_task *task, long nr, const long a[6])
{
	int flags = (int)a[4], fid = flags & AT_HANDLE_FID_;
	char path[CORE_SAID_MAX];
	struct core_node node;
	long r = sys_call5(nr, AT_FDCWD, NO_PATH, a[2], a[3], flags);

	if (r != -EFAULT)
		return r;
	r = user_path(task, (const char *)a[1], path);
	if (r < 0)
		return r;
	if (!path[0] && flags & AT_EMPTY_PATH && (int)a[0] != AT_FDCWD) {
		r = fid ? target_of_fd(task, (int)a[0], 1, &node) : TARGET_KERNEL;
		if (r != TARGET_NAME || node.bind)
			return r < 0 ? r : sys_call5(nr, a[0], a[1], a[2], a[3], flags);
	} else {
		r = core_resolve(task, (int)a[0], path_or_here(path, flags),
				 flags & AT_SYMLINK_FOLLOW ? 0 : CORE_NOFOLLOW, &node);
	}
	if (r >= 0 && fid)
		r = have_in_upper(task, &node);
	if (r >= 0)
		r = sys_call5(nr, AT_FDCWD, node.host, a[2], a[3],
			      node.bind ? flags : flags & ~AT_SYMLINK_FOLLOW);
	/* as statx tells of it, if it is asked for in 32 bits */
	if (r >= 0 && !node.bind && task->view->mount_mask && !(flags & AT_HANDLE_MNT_ID_UNIQUE_)) {
		int mount = (int)task->view->mount;

		bytes_copy((char *)a[3], &mount, sizeof(mount));
	}
	return r;
}

/* open_by_handle_at: a handle leads to what the host has, and past the view. */
long call_by_handle(struct core_task *task, long nr, const long a[6])
{
	(void)task;
	(void)nr;
	(void)a;
	return -EPERM;
}
