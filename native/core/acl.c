/*
 * Access control lists (acl(5)).  The kernel keeps those of the upper, follows them when it
 * makes something in a directory that has a default one, and holds list and mode together.
 * Left to us is where the mode that shows is in a record, and not the one on disk; and what
 * is made aside, where no default list is.
 */
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include "internal.h"

/* More than ext4 has room for. */
#define ROOM 8192

int acl_is_list(const char *name)
{
	return text_equal(name, ACL_ACCESS) || text_equal(name, ACL_DEFAULT);
}

int acl_is_access(const char *name)
{
	return text_equal(name, ACL_ACCESS);
}

/* Let one entry, which may be at any address, say what the mode says; `limit`: at most that. */
static void apply_one(char *at, uint32_t mode, int limit)
{
	struct posix_acl_xattr_entry e;
	uint32_t bits;

	bytes_copy(&e, at, sizeof(e));
	bits = (e.e_tag == ACL_USER_OBJ ? mode >> 6 : e.e_tag == ACL_OTHER ? mode : mode >> 3) & 7;
	e.e_perm = (uint16_t)(limit ? e.e_perm & bits : bits);
	bytes_copy(at, &e, sizeof(e));
}

static void apply(char *list, long size, uint32_t mode, int limit)
{
	char *group = 0;

	for (char *at = list + sizeof(struct posix_acl_xattr_header);
	     at + sizeof(struct posix_acl_xattr_entry) <= list + size;
	     at += sizeof(struct posix_acl_xattr_entry)) {
		struct posix_acl_xattr_entry e;

		bytes_copy(&e, at, sizeof(e));
		if (e.e_tag == ACL_USER_OBJ || e.e_tag == ACL_OTHER)
			apply_one(at, mode, limit);
		if (e.e_tag == ACL_MASK || (e.e_tag == ACL_GROUP_OBJ && !group))
			group = at;
	}
	/* the mask, or where there is none the owning group */
	if (group)
		apply_one(group, mode, limit);
}

long acl_check(const struct core_task *task, const void *list, size_t size)
{
	struct posix_acl_xattr_header header;
	size_t entries = size - sizeof(header);

	if (!size)
		return 0;
	if (size < sizeof(header))
		return -EINVAL;
	if (user_probe(task, list) < 0 || user_probe(task, (char *)list + sizeof(header) - 1) < 0)
		return -EFAULT;
	bytes_copy(&header, list, sizeof(header));
	if (header.a_version != POSIX_ACL_XATTR_VERSION)
		return -EOPNOTSUPP;
	return entries % sizeof(struct posix_acl_xattr_entry) ? -EINVAL : entries > 0;
}

void acl_show(char *list, long size, uint32_t mode)
{
	apply(list, size, mode, 0);
}

static long get(const char *host, int fd, const char *name, char *list)
{
	long n = fd >= 0 ? sys_call4(__NR_fgetxattr, fd, name, list, ROOM)
			 : sys_call4(__NR_lgetxattr, host, name, list, ROOM);

	return n == -ERANGE ? -E2BIG : n < 0 && xattr_missing(n) ? 0 : n;
}

static long put(const char *host, int fd, const char *name, const char *list, long size)
{
	return fd >= 0 ? sys_call5(__NR_fsetxattr, fd, name, list, size, 0)
		       : sys_call5(__NR_lsetxattr, host, name, list, size, 0);
}

/*
 * As posix_acl_create(): the default list of the directory is what a new object may have at
 * most, and its mode; of the umask nothing is asked then.
 */
NOINLINE long acl_inherit(const char *place, const char *host, int fd, uint32_t mode)
{
	char above[CORE_HOST_MAX], list[ROOM];
	uint32_t length = path_parent(place, (uint32_t)text_length(place));
	long n, r = 0;

	if (IS(mode, S_IFLNK))
		return 0;
	bytes_copy(above, place, length);
	above[length] = 0;
	n = get(above, -1, ACL_DEFAULT, list);
	if (n <= 0)
		return n;
	if (IS(mode, S_IFDIR))
		r = put(host, fd, ACL_DEFAULT, list, n);
	if (r < 0)
		return r;
	apply(list, n, mode, 1);
	return put(host, fd, ACL_ACCESS, list, n);
}

void acl_announce(const struct core_view *view)
{
	if (view->control && !__atomic_load_n(&view->control->lists, __ATOMIC_RELAXED))
		__atomic_store_n(&view->control->lists, 1, __ATOMIC_SEQ_CST);
}

int acl_any(const struct core_view *view)
{
	return !view->index || !view->control ||
	       __atomic_load_n(&view->control->lists, __ATOMIC_RELAXED);
}

/* As the kernel's posix_acl_permission(), for who is not the owner. */
NOINLINE long acl_allows(const struct core_task *task, const struct meta *meta, uint32_t uid,
			 int want, const char *host, int fd)
{
	uint32_t mask = meta->mode >> 3 & 7, needed = (uint32_t)want;
	int member = 0;
	char list[ROOM];
	long n;

	/* without any right of the group, nobody has one by a list */
	if ((!host && fd < 0) || !mask || !acl_any(task->view))
		return -EAGAIN;
	n = get(host, fd, ACL_ACCESS, list);
	if (n <= 0)
		return -EAGAIN;
	for (char *at = list + sizeof(struct posix_acl_xattr_header);
	     at + sizeof(struct posix_acl_xattr_entry) <= list + n;
	     at += sizeof(struct posix_acl_xattr_entry)) {
		struct posix_acl_xattr_entry e;

		bytes_copy(&e, at, sizeof(e));
		if (e.e_tag == ACL_USER && e.e_id == uid)
			return !(needed & ~(e.e_perm & mask));
		if ((e.e_tag == ACL_GROUP_OBJ && permission_in_group(task, meta->gid)) ||
		    (e.e_tag == ACL_GROUP && permission_in_group(task, e.e_id))) {
			member = 1;
			if (!(needed & ~(uint32_t)e.e_perm))
				return !(needed & ~mask);
		}
	}
	return !member && !(needed & ~(meta->mode & 7));
}

void acl_forget(const char *host)
{
	sys_call2(__NR_lremovexattr, host, ACL_DEFAULT);
	sys_call2(__NR_lremovexattr, host, ACL_ACCESS);
}

/* Of an upper object: what the view shows of its mode. */
static long shown(const struct core_task *task, const char *host, int fd, struct meta *meta)
{
	struct stat st;
	long r = fd >= 0 ? sys_call2(__NR_fstat, fd, &st)
			 : sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW);

	return r < 0 ? r : meta_of_upper(task->view, host, fd, &st, meta);
}

long acl_get(const struct core_task *task, const char *host, int fd, char *list, long size)
{
	struct meta meta;
	long r = shown(task, host, fd, &meta);

	if (r >= 0)
		acl_show(list, size, meta.mode);
	return r < 0 ? r : size;
}

/*
 * The kernel has the mode on disk follow the list.  What shows is to follow, too, where it
 * is another; and an owner without rights in the view still has them on disk.
 */
static long follow(const struct core_task *task, const char *host, int fd, const struct meta *before)
{
	struct meta meta = *before;
	struct stat st;
	long r = fd >= 0 ? sys_call2(__NR_fstat, fd, &st)
			 : sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW);

	if (r < 0)
		return r;
	meta.mode = (meta.mode & ~0777u) | (st.st_mode & 0777);
	meta.mode = (meta.mode & S_IFMT) | permission_mode(task, &meta, meta.mode & 07777);
	return meta_store(task->view, host, fd, &meta);
}

NOINLINE long acl_removed(const struct core_task *task, const char *host, int fd)
{
	struct meta meta;
	uint32_t mode;
	long r = shown(task, host, fd, &meta);

	if (r < 0 || !(meta.mode & S_ISGID))
		return r < 0 ? r : 0;
	mode = permission_mode(task, &meta, meta.mode);
	if (mode == meta.mode)
		return 0;
	meta.mode = mode;
	return meta_store(task->view, host, fd, &meta);
}

NOINLINE long acl_set(const struct core_task *task, const char *host, int fd, const void *value,
		      long size, int flags)
{
	char old[ROOM];
	struct meta meta;
	long n = get(host, fd, ACL_ACCESS, old), r;

	if (n < 0)
		return n;
	r = shown(task, host, fd, &meta);
	if (r >= 0)
		r = fd >= 0 ? sys_call5(__NR_fsetxattr, fd, ACL_ACCESS, value, size, flags)
			    : sys_call5(__NR_lsetxattr, host, ACL_ACCESS, value, size, flags);
	if (r < 0)
		return r;
	r = follow(task, host, fd, &meta);
	if (r < 0) {
		/* of no bytes: none */
		put(host, fd, ACL_ACCESS, old, n);
		meta_store(task->view, host, fd, &meta);
	}
	return r < 0 ? r : 0;
}
