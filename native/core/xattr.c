/*
 * Extended attributes.
 *
 * Those that only root may have (the namespaces "trusted" and "security", and with it the
 * capabilities of programs) are kept as the user's own, under a name of ours before theirs:
 * they are shown, stay with the file and go into images, and mean nothing to the kernel.
 */
#include <linux/capability.h>

#include "internal.h"

#define NAME_MAX_ 255

/* Names that are ours to keep and not the program's to see. */
static int private_name(const char *name)
{
	return text_begins(name, "user.overlay.") || text_equal(name, LPMX_XATTR_STAT) ||
	       text_begins(name, LPMX_XATTR_OWN);
}

static int roots_own(const struct core_task *task, const char *name)
{
	return task->view->illusion &&
	       (text_begins(name, "trusted.") || text_begins(name, "security."));
}

/* May the program see, or set, such an attribute?  As the kernel's xattr_permission. */
static long may(const struct core_task *task, const char *name, int write)
{
	const struct core_credentials *c = &task->credentials;

	if (text_begins(name, "trusted."))
		return capable(c, CAP_SYS_ADMIN) ? 0 : write ? -EPERM : -ENODATA;
	return !write || capable(c, text_equal(name, "security.capability") ? CAP_SETFCAP
									     : CAP_SYS_ADMIN)
		       ? 0
		       : -EPERM;
}

/* The kernel looks at what is set as a program's capabilities. */
static long check_value(const struct core_task *task, const char *name, const long a[6])
{
	uint32_t version;

	if (!text_equal(name, "security.capability"))
		return 0;
	if (a[3] != XATTR_CAPS_SZ_2 && a[3] != XATTR_CAPS_SZ_3)
		return -EINVAL;
	if (user_probe(task, (void *)a[2]) < 0 || user_probe(task, (char *)a[2] + 3) < 0)
		return -EFAULT;
	bytes_copy(&version, (void *)a[2], sizeof(version));
	version &= VFS_CAP_REVISION_MASK;
	return version == (a[3] == XATTR_CAPS_SZ_2 ? VFS_CAP_REVISION_2 : VFS_CAP_REVISION_3)
		       ? 0
		       : -EINVAL;
}

/* Of a list that the kernel wrote: without ours, and root's own by their names. */
static long filter_names(const struct core_task *task, char *names, long size)
{
	char *to = names;

	for (char *name = names; name < names + size;) {
		size_t n = text_length(name) + 1;
		size_t prefix = text_begins(name, LPMX_XATTR_ROOT);
		char *next = name + n;

		if (prefix ? roots_own(task, name + prefix) && !may(task, name + prefix, 0)
			   : !private_name(name)) {
			bytes_copy(to, name + prefix, n - prefix);
			to += n - prefix;
		}
		name = next;
	}
	return to - names;
}

static long list_names(const struct core_task *task, long r, const long a[6])
{
	/* size 0 asks for the room needed: ours may be counted, as the call allows */
	return r > 0 && a[2] ? filter_names(task, (char *)a[1], r) : r;
}

/* Of a layer's file that has no name any more: nobody can see what is not refused. */
static long change_unseen(long nr, const long a[6], const char *name)
{
	long there = sys_call4(__NR_fgetxattr, a[0], name, 0, 0);

	if (nr == __NR_fremovexattr || (a[4] & 2 /* XATTR_REPLACE */))
		return there < 0 ? there : 0;
	return there >= 0 && (a[4] & 1 /* XATTR_CREATE */) ? -EEXIST : 0;
}

/* By descriptor; `name` is the one to use in the union. */
static long change_fd(struct core_task *task, long nr, const long a[6], const char *name)
{
	struct core_node node;
	long r = target_of_fd(task, (int)a[0], 0, &node);
	int users = text_begins(name, "user.") && !text_begins(name, LPMX_XATTR_OWN);

	switch (r) {
	case TARGET_DESCRIPTOR:
		r = users ? permission_fd(task, node.host, (int)a[0], 2) : 0;
		return r < 0 ? r : sys_call5(nr, a[0], name, a[2], a[3], a[4]);
	case TARGET_NAME:
		r = users ? permission(task, &node, 2) : 0;
		if (r >= 0)
			r = target_lift(task, (int)a[0], &node);
		if (r < 0)
			return r;
		return nr == __NR_fsetxattr
			       ? sys_call5(__NR_lsetxattr, node.host, name, a[2], a[3], a[4])
			       : sys_call2(__NR_lremovexattr, node.host, name);
	case TARGET_KERNEL:
		return sys_call5(nr, a[0], a[1], a[2], a[3], a[4]);
	case TARGET_NONE:
		return change_unseen(nr, a, name);
	default:
		return r;
	}
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
	int sets = nr == __NR_setxattr || nr == __NR_lsetxattr || nr == __NR_fsetxattr;
	int write = sets || nr == __NR_removexattr || nr == __NR_lremovexattr ||
		    nr == __NR_fremovexattr;
	char own[sizeof(LPMX_XATTR_ROOT) + NAME_MAX_];
	const char *name = own + sizeof(LPMX_XATTR_ROOT) - 1, *used = name;
	struct core_node node;
	int follow;
	long r;

	if (nr == __NR_flistxattr)
		return list_names(task, sys_call3(nr, a[0], a[1], a[2]), a);
	if (!list) {
		char text[CORE_SAID_MAX];

		r = user_path(task, (const char *)a[1], text);
		if (r == -ENAMETOOLONG || r > NAME_MAX_)
			return -ERANGE;
		if (r < 0)
			return r;
		text_put(text_put(own, LPMX_XATTR_ROOT), text);
		if (private_name(name))
			return write ? -EPERM : -ENODATA;
		if (roots_own(task, name)) {
			used = own;
			r = may(task, name, write);
			if (r >= 0 && sets)
				r = check_value(task, name, a);
			if (r < 0)
				return r;
		}
	}
	if (nr == __NR_fgetxattr) {
		r = sys_call4(nr, a[0], used, a[2], a[3]);
		/* what is none of the union's has its own */
		return r == -ENODATA && used == own ? sys_call4(nr, a[0], name, a[2], a[3]) : r;
	}
	if (nr == __NR_fsetxattr || nr == __NR_fremovexattr)
		return change_fd(task, nr, a, used);
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
	if (node.bind)
		used = name;
	/* what only the kernel can follow, it follows */
	follow = node.bind && !nofollow && proc_magic(node.host);
	switch (nr) {
	case __NR_setxattr:
	case __NR_lsetxattr:
		return sys_call5(follow ? __NR_setxattr : __NR_lsetxattr, node.host, used, a[2],
				 a[3], a[4]);
	case __NR_getxattr:
	case __NR_lgetxattr:
		/* a tree of the store has no others (lpmx_runtime/store/unpack.py) */
		if (node.place == CORE_LOWER && node.entry && !text_begins(used, "user."))
			return -ENODATA;
		return sys_call4(follow ? __NR_getxattr : __NR_lgetxattr, node.host, used, a[2],
				 a[3]);
	case __NR_listxattr:
	case __NR_llistxattr:
		r = sys_call3(follow ? __NR_listxattr : __NR_llistxattr, node.host, a[1], a[2]);
		return list_names(task, r, a);
	default:
		return sys_call2(follow ? __NR_removexattr : __NR_lremovexattr, node.host, used);
	}
}
