/* Extended attributes. */
#include "internal.h"

/* Names that are ours to keep and not the program's to see. */
static int private_name(const char *name)
{
	return text_begins(name, "user.overlay.") || text_equal(name, LPMX_XATTR_STAT) ||
	       text_begins(name, LPMX_XATTR_OWN);
}

/* Take our names out of a list the kernel wrote. */
static long filter_names(char *names, long size)
{
	char *to = names;

	for (char *name = names; name < names + size;) {
		size_t n = text_length(name) + 1;
		char *next = name + n;

		if (!private_name(name)) {
			if (to != name)
				bytes_copy(to, name, n);
			to += n;
		}
		name = next;
	}
	return to - names;
}

static long list_names(long r, const long a[6])
{
	/* size 0 asks for the room needed: ours may be counted, as the call allows */
	return r > 0 && a[2] ? filter_names((char *)a[1], r) : r;
}

/* Of a layer's file that has no name any more: nobody can see what is not refused. */
static long change_unseen(long nr, const long a[6])
{
	long there = sys_call4(__NR_fgetxattr, a[0], a[1], 0, 0);

	if (nr == __NR_fremovexattr || (a[4] & 2 /* XATTR_REPLACE */))
		return there < 0 ? there : 0;
	return there >= 0 && (a[4] & 1 /* XATTR_CREATE */) ? -EEXIST : 0;
}

/* By descriptor. */
static long change_fd(struct core_task *task, long nr, const long a[6])
{
	struct core_node node;
	long r = target_of_fd(task, (int)a[0], 0, &node);

	switch (r) {
	case TARGET_DESCRIPTOR:
		r = permission_fd(task, node.host, (int)a[0], 2);
		break;
	case TARGET_NAME:
		r = permission(task, &node, 2);
		if (r >= 0)
			r = target_lift(task, (int)a[0], &node);
		if (r < 0)
			return r;
		return nr == __NR_fsetxattr
			       ? sys_call5(__NR_lsetxattr, node.host, a[1], a[2], a[3], a[4])
			       : sys_call2(__NR_lremovexattr, node.host, a[1]);
	case TARGET_KERNEL:
		break;
	case TARGET_NONE:
		return change_unseen(nr, a);
	default:
		return r;
	}
	return r < 0 ? r : sys_call5(nr, a[0], a[1], a[2], a[3], a[4]);
}

/*
 * Only files and directories have attributes of the namespace "user" (xattr(7)).  The
 * kernel sees to that but for a device, which is a file on disk.  1, 0 or -errno.
 */
static long has_user_names(struct core_task *task, const struct core_node *node)
{
	struct meta meta;
	struct stat st;
	long r;

	if (node->bind || !IS(node->mode, S_IFREG) || !(node->mode & S_ISVTX))
		return !IS(node->mode, S_IFCHR) && !IS(node->mode, S_IFBLK);
	r = sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, AT_SYMLINK_NOFOLLOW);
	if (r >= 0)
		r = meta_of_node(task, node, &st, &meta);
	return r < 0 ? r : IS(meta.mode, S_IFREG);
}

long call_xattr(struct core_task *task, long nr, const long a[6])
{
	int nofollow = nr == __NR_lsetxattr || nr == __NR_lgetxattr || nr == __NR_llistxattr ||
		       nr == __NR_lremovexattr;
	int list = nr == __NR_listxattr || nr == __NR_llistxattr;
	int write = nr == __NR_setxattr || nr == __NR_lsetxattr || nr == __NR_removexattr ||
		    nr == __NR_lremovexattr || nr == __NR_fsetxattr || nr == __NR_fremovexattr;
	char name[256 + 8];
	struct core_node node;
	int follow;
	long r;

	if (nr == __NR_flistxattr)
		return list_names(sys_call3(nr, a[0], a[1], a[2]), a);
	if (!list) {
		char text[CORE_SAID_MAX];

		r = user_path(task, (const char *)a[1], text);
		if (r == -ENAMETOOLONG || r > 255)
			return -ERANGE;
		if (r < 0)
			return r;
		text_put(name, text);
		if (private_name(name))
			return write ? -EPERM : -ENODATA;
	}
	if (nr == __NR_fgetxattr)
		return sys_call4(nr, a[0], a[1], a[2], a[3]);
	if (nr == __NR_fsetxattr || nr == __NR_fremovexattr)
		return change_fd(task, nr, a);
	r = user_resolve(task, AT_FDCWD, a[0], nofollow ? CORE_NOFOLLOW : 0, &node);
	if (r < 0)
		return r;
	if (write)
		r = upper_writable(task, &node);
	if (r >= 0 && text_begins(list ? "" : name, "user.")) {
		r = has_user_names(task, &node);
		if (!r)
			return write ? -EPERM : -ENODATA;
		if (r > 0)
			r = permission(task, &node, write ? 2 : 4);
	}
	if (r >= 0 && write)
		r = copy_up(task, &node);
	if (r < 0)
		return r;
	/* what only the kernel can follow, it follows */
	follow = node.bind && !nofollow && proc_magic(node.host);
	switch (nr) {
	case __NR_setxattr:
	case __NR_lsetxattr:
		return sys_call5(follow ? __NR_setxattr : __NR_lsetxattr, node.host, a[1], a[2],
				 a[3], a[4]);
	case __NR_getxattr:
	case __NR_lgetxattr:
		/* a tree of the store has no others (lpmx_runtime/store/unpack.py) */
		if (node.place == CORE_LOWER && node.entry && !text_begins(name, "user."))
			return -ENODATA;
		return sys_call4(follow ? __NR_getxattr : __NR_lgetxattr, node.host, a[1], a[2],
				 a[3]);
	case __NR_listxattr:
	case __NR_llistxattr:
		r = sys_call3(follow ? __NR_listxattr : __NR_llistxattr, node.host, a[1], a[2]);
		return list_names(r, a);
	default:
		return sys_call2(follow ? __NR_removexattr : __NR_lremovexattr, node.host, a[1]);
	}
}
