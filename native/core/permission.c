/*
 * What mode and owner forbid to a program that is not shown as root.  On the disk all
 * of a view is one user's own, so the kernel would forbid that user nothing.
 *
 * Over a live directory without the root illusion the copy is there to be changed by
 * whoever made it: there, only what modes forbid their owner is forbidden.
 */
#include <linux/capability.h>

#include "internal.h"

int permission_in_group(const struct core_task *task, uint32_t gid)
{
	const struct core_credentials *c = &task->credentials;
	uint32_t real[256];
	long n = c->group_count;
	const uint32_t *groups = c->groups;

	if (c->fsgid == gid)
		return 1;
	if (!task->view->illusion) {
		n = sys_call2(__NR_getgroups, sizeof(real) / sizeof(*real), real);
		groups = real;
	}
	for (long i = 0; i < n; i++)
		if (groups[i] == gid)
			return 1;
	return 0;
}

static int free_to_change(const struct core_task *task)
{
	return !task->view->illusion && !task->view->index;
}

int permission_is_checked(const struct core_task *task)
{
	return task->credentials.fsuid && !free_to_change(task);
}

int permission_in(const struct core_task *task, const struct meta *meta, uint32_t uid, uint32_t gid,
		  int want, const char *host, int fd)
{
	uint32_t others = meta->mode & 7, group = meta->mode >> 3 & 7, bits = others;

	if (!uid || (meta->uid != uid && free_to_change(task)))
		return !(want & 1) || IS(meta->mode, S_IFDIR) || (meta->mode & 0111);
	if (meta->uid != uid) {
		long r = acl_allows(task, meta, uid, want, host, fd);

		if (r >= 0)
			return (int)r;
	}
	if (meta->uid == uid)
		bits = meta->mode >> 6 & 7;
	/* groups cost a call, so only where they decide */
	else if (((group ^ others) & (uint32_t)want) &&
		 (meta->gid == gid || permission_in_group(task, meta->gid)))
		bits = group;
	return ((uint32_t)want & ~bits) == 0;
}

int permission_is_owner(const struct core_task *task, const struct meta *meta)
{
	uint32_t uid = task->credentials.fsuid;

	return !uid || meta->uid == uid || free_to_change(task);
}

/* What `node` is shown as, if anything is to be checked: 1; else 0, or -errno. */
static long checked(struct core_task *task, const struct core_node *node, struct meta *meta)
{
	struct stat st;
	long r = 0;

	if (!task->credentials.fsuid || node->bind)
		return 0;
	if (!(node->place == CORE_LOWER && node->entry))
		r = sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, AT_SYMLINK_NOFOLLOW);
	if (r >= 0)
		r = meta_of_node(task, node, &st, meta);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

const char *permission_host(const struct core_node *node)
{
	return node->place == CORE_LOWER && node->entry ? 0 : node->host;
}

NOINLINE long permission(struct core_task *task, const struct core_node *node, int want)
{
	const struct core_credentials *c = &task->credentials;
	struct meta meta;
	long r = checked(task, node, &meta);
	int fd;

	/* a link that only the kernel can follow, perhaps to what is not its own */
	if (node->bind && permission_is_checked(task) && !IS(node->mode, S_IFLNK)) {
		fd = proc_own_fd(node->host);
		return fd >= 0 && permission_nameless(task, fd, want, &r) ? r : 0;
	}
	return r <= 0 ? r
		      : permission_in(task, &meta, c->fsuid, c->fsgid, want, permission_host(node), -1) ? 0
											    : -EACCES;
}

long permission_of_entry(const struct core_task *task, const struct lpmx_index_entry *entry, int want)
{
	const struct core_credentials *c = &task->credentials;
	const struct meta meta = { .mode = entry->mode, .uid = entry->uid, .gid = entry->gid };

	return !c->fsuid || permission_in(task, &meta, c->fsuid, c->fsgid, want, 0, -1) ? 0 : -EACCES;
}

NOINLINE long permission_of_path(struct core_task *task, const char *path, int want)
{
	struct core_node node;
	long r = path_node(task, path, &node);

	if (r >= 0 && node.place == CORE_ABSENT)
		r = -ENOENT;
	return r < 0 ? r : permission(task, &node, want);
}

int permission_to_pass(const struct core_task *task, const struct lpmx_index_entry *entry)
{
	const struct core_credentials *c = &task->credentials;
	const struct meta meta = { .mode = entry->mode, .uid = entry->uid, .gid = entry->gid };

	return (meta.mode & 0111) == 0111 || permission_in(task, &meta, c->fsuid, c->fsgid, 1, 0, -1);
}

long permission_to_search(struct core_task *task, const struct core_node *node)
{
	const struct core_credentials *c = &task->credentials;
	struct stat st = { .st_mode = node->mode,
			   .st_uid = task->view->host_uid,
			   .st_gid = task->view->host_gid };
	struct meta meta;
	long r;

	if (node->place == CORE_LOWER && !node->entry)
		return permission(task, node, 1);
	/* not marked: what is on disk is shown */
	if (node->place == CORE_UPPER && (node->mode & (S_ISVTX | 0111)) == 0111 &&
	    task->view->control &&
	    !__atomic_load_n(&task->view->control->lists, __ATOMIC_RELAXED))
		return 0;
	r = meta_of_node(task, node, &st, &meta);
	if (r < 0)
		return r;
	return permission_in(task, &meta, c->fsuid, c->fsgid, 1, permission_host(node), -1) ? 0 : -EACCES;
}

NOINLINE long permission_of_owner(struct core_task *task, const struct core_node *node)
{
	struct meta meta;
	long r = checked(task, node, &meta);

	return r <= 0 ? r : permission_is_owner(task, &meta) ? 0 : -EPERM;
}

/* As the kernel's may_linkat where fs.protected_hardlinks is set, which is everywhere. */
static long may_link(const struct core_task *task, const struct meta *meta, const char *host, int fd)
{
	const struct core_credentials *c = &task->credentials;

	if (permission_is_owner(task, meta))
		return 0;
	if (!IS(meta->mode, S_IFREG) || (meta->mode & S_ISUID) ||
	    (meta->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) ||
	    !permission_in(task, meta, c->fsuid, c->fsgid, 6, host, fd))
		return -EPERM;
	return 0;
}

NOINLINE long permission_fd(struct core_task *task, const char *host, int fd, int want)
{
	const struct core_credentials *c = &task->credentials;
	struct meta meta;
	struct stat st;
	long r;

	if (!c->fsuid || sys_call2(__NR_fstat, fd, &st))
		return 0;
	r = meta_of_upper(task->view, host, fd, &st, &meta);
	if (r < 0)
		return r;
	if (want == PERMISSION_LINK)
		return may_link(task, &meta, host, fd);
	if (want == PERMISSION_OWNER)
		return permission_is_owner(task, &meta) ? 0 : -EPERM;
	return permission_in(task, &meta, c->fsuid, c->fsgid, want, host, fd) ? 0 : -EACCES;
}

long permission_to_change(struct core_task *task, const struct core_node *node, int victim)
{
	const struct core_credentials *c = &task->credentials;
	char path[CORE_PATH_MAX];
	uint32_t length = path_parent(node->path, node->path_length);
	struct meta meta, own;
	long r;

	if (!c->fsuid || node->bind)
		return 0;
	bytes_copy(path, node->path, length);
	path[length] = 0;
	r = permission_of_path(task, path, 3);
	if (r >= 0 && victim)
		r = meta_of_path(task, path, &meta);
	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? 0 : r;
	if (victim && (meta.mode & S_ISVTX) && !permission_is_owner(task, &meta) &&
	    meta_of_path(task, node->path, &own) >= 0 && !permission_is_owner(task, &own))
		return -EPERM;
	return 0;
}

long permission_to_link(struct core_task *task, const struct core_node *node)
{
	struct meta meta;
	long r = checked(task, node, &meta);

	return r <= 0 ? r : may_link(task, &meta, permission_host(node), -1);
}

/* A setting of the host's kernel, 0 where it does not tell. */
static int protects(const char *setting)
{
	char text[4];
	long fd = sys_call4(__NR_openat, AT_FDCWD, setting, O_RDONLY | O_CLOEXEC, 0), n;

	if (fd < 0)
		return 0;
	n = sys_call3(__NR_read, fd, text, sizeof(text));
	sys_call1(__NR_close, fd);
	return n > 0 ? text[0] - '0' : 0;
}

/* As the kernel's may_create_in_sticky: O_CREAT of what is there, and another's. */
long permission_to_create_over(struct core_task *task, const struct core_node *node)
{
	char path[CORE_PATH_MAX];
	uint32_t length = path_parent(node->path, node->path_length), fsuid = task->credentials.fsuid;
	struct meta own, above;
	long r;
	int set;

	/* without a record it is root's, or of whoever the program is without the illusion */
	if (node->bind || free_to_change(task) ||
	    ((!fsuid || !task->view->illusion) && node->place == CORE_UPPER &&
	     IS(node->mode, S_IFREG) && !(node->mode & S_ISVTX)))
		return 0;
	r = meta_shown(task, node, &own);
	if (r < 0 || own.uid == fsuid)
		return r == -ENOENT ? 0 : r;
	bytes_copy(path, node->path, length);
	path[length] = 0;
	r = meta_of_path(task, path, &above);
	if (r < 0 || !(above.mode & S_ISVTX) || own.uid == above.uid)
		return r == -ENOENT ? 0 : r;
	set = IS(own.mode, S_IFREG)   ? protects("/proc/sys/fs/protected_regular")
	      : IS(own.mode, S_IFIFO) ? protects("/proc/sys/fs/protected_fifos")
				      : 1;
	return set && (above.mode & 2 || (set > 1 && above.mode & 020)) ? -EACCES : 0;
}

/* As the kernel's setattr_should_drop_suidgid: what of the mode does not outlast a change. */
static uint32_t to_drop(const struct core_task *task, const struct meta *meta)
{
	uint32_t bits = meta->mode & (S_ISUID | S_ISGID);

	if ((bits & S_ISGID) && !(meta->mode & S_IXGRP) &&
	    (!task->credentials.fsuid || permission_in_group(task, meta->gid)))
		bits &= ~(uint32_t)S_ISGID;
	return bits;
}

/* Give `meta` the owner and group of `to`, ~0 for none.  As the kernel's chown_common: it ends
 * set-user-ID, and set-group-ID of programs, which is for the owner to do, too. */
long permission_to_give(const struct core_task *task, struct meta *meta, const struct meta *to)
{
	const struct core_credentials *c = &task->credentials;
	uint32_t bits = IS(meta->mode, S_IFDIR) ? 0 : to_drop(task, meta);

	if (c->fsuid) {
		if (to->uid != ~0u && (to->uid != c->fsuid || meta->uid != c->fsuid))
			return -EPERM;
		if (to->gid != ~0u && (!permission_is_owner(task, meta) ||
				       (to->gid != meta->gid && !permission_in_group(task, to->gid))))
			return -EPERM;
		if (bits && !permission_is_owner(task, meta))
			return -EPERM;
	}
	if (to->uid != ~0u)
		meta->uid = to->uid;
	if (to->gid != ~0u)
		meta->gid = to->gid;
	meta->mode &= ~bits;
	return 0;
}

/* The mode that `wanted` comes to: set-group-ID is for members only. */
uint32_t permission_mode(const struct core_task *task, const struct meta *meta, uint32_t wanted)
{
	if (task->credentials.fsuid && !permission_in_group(task, meta->gid))
		wanted &= ~(uint32_t)S_ISGID;
	return wanted;
}

/* As the kernel's mode_strip_sgid. */
uint32_t permission_new_mode(const struct core_task *task, const struct meta *above, uint32_t wanted)
{
	if ((wanted & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && !IS(wanted, S_IFDIR) &&
	    task->credentials.fsuid && !permission_in_group(task, above->gid))
		wanted &= ~(uint32_t)S_ISGID;
	return wanted;
}

NOINLINE long permission_drop(struct core_task *task, const struct core_node *node,
			      struct meta *before)
{
	struct meta meta;
	uint32_t bits;
	long r;

	/* they are in a record or nowhere */
	if (node->place != CORE_UPPER || !task->credentials.fsuid ||
	    capable(&task->credentials, CAP_FSETID))
		return 0;
	r = meta_shown(task, node, before);
	if (r < 0 || !IS(before->mode, S_IFREG))
		return r;
	bits = to_drop(task, before);
	if (!bits)
		return 0;
	meta = *before;
	meta.mode &= ~bits;
	r = meta_store(task->view, node->host, -1, &meta);
	return r < 0 ? r : 1;
}
