/*
 * The flags of chattr, as in ovl_fileattr_set: what is changed of a layer's file changes in
 * the copy in the upper.  By ioctls, which do so through a descriptor that is open for
 * reading only (the filter sends no others here), and by file_getattr and file_setattr.
 */
#include "internal.h"

#define SET_FLAGS_ 0x40086602u        /* FS_IOC_SETFLAGS, chattr */
#define SET_FLAGS_32_ 0x40046602u
#define SET_ATTRIBUTES_ 0x401c5820u   /* FS_IOC_FSSETXATTR */
#define SET_VERSION_ 0x40087602u      /* FS_IOC_SETVERSION */
#define ENABLE_VERITY_ 0x40806685u
#define SET_ENCRYPTION_ 0x800c6613u

static const uint32_t requests[] = { SET_FLAGS_,   SET_FLAGS_32_,  SET_ATTRIBUTES_,
				     SET_VERSION_, ENABLE_VERITY_, SET_ENCRYPTION_ };

long core_ioctl_request(unsigned position)
{
	return position < sizeof(requests) / sizeof(*requests) ? (long)requests[position] : -1;
}

/* Those that overlayfs knows. */
static int is_known(uint32_t request)
{
	return request == SET_FLAGS_ || request == SET_FLAGS_32_ || request == SET_ATTRIBUTES_;
}

/* Only files and directories have any: of others the kernel says what it says of all. */
static int may_have_flags(int fd)
{
	struct stat st;

	return sys_call2(__NR_fstat, fd, &st) || IS(st.st_mode, S_IFREG) || IS(st.st_mode, S_IFDIR);
}

long call_ioctl(struct core_task *task, long nr, const long a[6])
{
	struct core_node node;
	uint32_t request = (uint32_t)a[1];
	int ours = 0;
	long r = 0;

	for (unsigned i = 0; core_ioctl_request(i) >= 0; i++)
		ours |= core_ioctl_request(i) == (long)request;
	if (ours && may_have_flags((int)a[0])) {
		r = target_of_fd(task, (int)a[0], 0, &node);
		if (r == TARGET_NONE)
			return is_known(request) ? 0 : -ENOTTY;
		if (r == TARGET_DESCRIPTOR)
			r = permission_fd(task, node.host, (int)a[0], PERMISSION_OWNER);
		else if (r == TARGET_NAME && !is_known(request))
			r = -ENOTTY;
		else if (r == TARGET_NAME)
			r = permission_of_owner(task, &node) ?: target_lift(task, (int)a[0], &node);
	}
	return r < 0 ? r : sys_wait6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#define FILE_SETATTR 469

static long set_attributes(struct core_task *task, const long a[6], struct core_node *node)
{
	long r = upper_writable(task, node);

	if (r >= 0)
		r = permission_of_owner(task, node);
	if (r >= 0)
		r = copy_up(task, node);
	return r < 0 ? r : sys_call5(FILE_SETATTR, AT_FDCWD, node->host, a[2], a[3],
				     AT_SYMLINK_NOFOLLOW);
}

static long set_attributes_fd(struct core_task *task, const long a[6])
{
	struct core_node node;
	long r = target_of_fd(task, (int)a[0], 0, &node);

	switch (r) {
	case TARGET_NONE:
		return 0;
	case TARGET_NAME:
		if (!may_have_flags((int)a[0]))
			break;
		r = permission_of_owner(task, &node);
		if (r >= 0)
			r = target_lift(task, (int)a[0], &node);
		return r < 0 ? r : set_attributes(task, a, &node);
	case TARGET_DESCRIPTOR:
		if (may_have_flags((int)a[0]))
			r = permission_fd(task, node.host, (int)a[0], PERMISSION_OWNER);
		break;
	default:
		break;
	}
	return r < 0 ? r : sys_call5(FILE_SETATTR, a[0], "", a[2], a[3], AT_EMPTY_PATH);
}

/* The same of a name. */
static long has_attributes(const struct core_task *task, const struct core_node *node)
{
	struct meta meta = { .mode = node->mode };
	long r = 0;

	if (!node->bind && IS(node->mode, S_IFREG) && (node->mode & S_ISVTX))
		r = meta_shown(task, node, &meta);
	return r < 0 ? r : node->bind || IS(meta.mode, S_IFREG) || IS(meta.mode, S_IFDIR);
}

long call_attributes(struct core_task *task, long nr, const long a[6])
{
	int flags = (int)a[4], last = AT_SYMLINK_NOFOLLOW;
	char path[CORE_SAID_MAX];
	struct core_node node;
	long r;

	/* what the kernel does not know, or would refuse, copies nothing up */
	r = sys_call5(nr, -1, 0, 0, 0, 0);
	if (r == -ENOSYS || (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return r;
	if (a[3] < 24 || a[3] > 4096)
		return a[3] > 4096 ? -E2BIG : -EINVAL;
	path[0] = 0;
	if (a[1] || !(flags & AT_EMPTY_PATH)) {
		r = user_path(task, (const char *)a[1], path);
		if (r < 0)
			return r;
	}
	if (!path[0] && (flags & AT_EMPTY_PATH) && (int)a[0] >= 0)
		return nr == FILE_SETATTR ? set_attributes_fd(task, a)
					  : sys_call5(nr, a[0], "", a[2], a[3], AT_EMPTY_PATH);
	r = core_resolve(task, (int)a[0], path_or_here(path, flags),
			 flags & AT_SYMLINK_NOFOLLOW ? CORE_NOFOLLOW : 0, &node);
	if (r >= 0)
		r = has_attributes(task, &node);
	if (r <= 0)
		return r < 0 ? r : -EOPNOTSUPP;
	if (node.bind && !(flags & AT_SYMLINK_NOFOLLOW) && proc_magic(node.host))
		last = 0;
	if (nr == FILE_SETATTR && !node.bind)
		return set_attributes(task, a, &node);
	r = nr == FILE_SETATTR ? upper_writable(task, &node) : 0;
	return r < 0 ? r : sys_call5(nr, AT_FDCWD, node.host, a[2], a[3], last);
}
