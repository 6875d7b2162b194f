/*
 * Owner, mode and device numbers as the view shows them.
 *
 * What an ordinary user can make real is real.  The rest is in the index (lower)
 * or in LPMX_XATTR_STAT (upper), and whoever has some carries S_ISVTX in its
 * real mode, so that all others cost no look-up (lpmx_abi.h, "on-disk
 * conventions").
 */
#include "internal.h"

static uint32_t major_of(uint64_t rdev)
{
	return (uint32_t)((rdev >> 8) & 0xfff) | (uint32_t)((rdev >> 32) & ~0xfffull);
}

static uint32_t minor_of(uint64_t rdev)
{
	return (uint32_t)(rdev & 0xff) | (uint32_t)((rdev >> 12) & ~0xffull);
}

/* "UID:GID:MODE[:block-MAJOR:MINOR]", or "char-"; lpmx_abi.h */
static int parse(const char *text, struct meta *meta)
{
	struct meta m = *meta;
	const char *p = text;

	m.uid = (uint32_t)text_number(&p, 10);
	if (*p++ != ':')
		return 0;
	m.gid = (uint32_t)text_number(&p, 10);
	if (*p++ != ':')
		return 0;
	m.mode = (m.mode & S_IFMT) | ((uint32_t)text_number(&p, 8) & 07777);
	if (*p == ':') {
		p++;
		if (text_begins(p, "block-") || text_begins(p, "block:"))
			m.mode = S_IFBLK | (m.mode & 07777), p += 6;
		else if (text_begins(p, "char-") || text_begins(p, "char:"))
			m.mode = S_IFCHR | (m.mode & 07777), p += 5;
		if (IS(m.mode, S_IFBLK) || IS(m.mode, S_IFCHR)) {
			m.rdev_major = (uint32_t)text_number(&p, 10);
			p += *p == ':' || *p == '-';
			m.rdev_minor = (uint32_t)text_number(&p, 10);
		}
	}
	*meta = m;
	return 1;
}

static void format(const struct meta *meta, char *text)
{
	char *p = text_put_number(text, meta->uid, 10);

	*p++ = ':';
	p = text_put_number(p, meta->gid, 10);
	*p++ = ':';
	p = text_put_number(p, meta->mode & 07777, 8);
	if (IS(meta->mode, S_IFBLK) || IS(meta->mode, S_IFCHR)) {
		p = text_put(p, IS(meta->mode, S_IFBLK) ? ":block-" : ":char-");
		p = text_put_number(p, meta->rdev_major, 10);
		*p++ = ':';
		text_put_number(p, meta->rdev_minor, 10);
	}
}

/* As it is on disk, before any record is looked up. */
static void plain(const struct core_view *view, uint32_t uid, uint32_t gid, const struct stat *st,
		  struct meta *meta)
{
	meta->uid = view->illusion && st->st_uid == view->host_uid ? uid : st->st_uid;
	meta->gid = view->illusion && st->st_gid == view->host_gid ? gid : st->st_gid;
	meta->mode = st->st_mode;
	meta->rdev_major = major_of(st->st_rdev);
	meta->rdev_minor = minor_of(st->st_rdev);
}

void meta_of_upper(const struct core_view *view, const char *host, int fd, const struct stat *st,
		   struct meta *meta)
{
	char text[96];
	long n;

	plain(view, 0, 0, st, meta);
	if (!(st->st_mode & S_ISVTX) || !(IS(st->st_mode, S_IFREG) || IS(st->st_mode, S_IFDIR)))
		return;
	n = fd >= 0 ? sys_call4(__NR_fgetxattr, fd, LPMX_XATTR_STAT, text, sizeof(text) - 1)
		    : sys_call4(__NR_lgetxattr, host, LPMX_XATTR_STAT, text, sizeof(text) - 1);
	if (n <= 0)
		return;
	text[n] = 0;
	parse(text, meta);
}

void meta_of_node(const struct core_task *task, const struct core_node *node, const struct stat *st,
		  struct meta *meta)
{
	const struct core_view *view = task->view;

	if (node->place == CORE_UPPER) {
		meta_of_upper(view, node->host, -1, st, meta);
	} else if (node->place == CORE_LOWER && node->entry) {
		meta->uid = node->entry->uid;
		meta->gid = node->entry->gid;
		meta->mode = node->entry->mode;
		meta->rdev_major = node->entry->rdev_major;
		meta->rdev_minor = node->entry->rdev_minor;
	} else {
		plain(view, view->uid, view->gid, st, meta);
	}
}

/*
 * The mode to have on disk for one that is shown.  Never set-user-ID: that would
 * hand the rights of whoever owns the store to anybody who can reach the file.
 */
static uint32_t real_mode(uint32_t shown)
{
	if (IS(shown, S_IFDIR))
		return (shown & 0777) | 0700;
	if (IS(shown, S_IFREG))
		return (shown & 0777) | 0600;
	return 0600; /* a device's stand-in */
}

static long set_mode(const char *host, int fd, uint32_t mode)
{
	return fd >= 0 ? sys_call2(__NR_fchmod, fd, mode)
		       : sys_call3(__NR_fchmodat, AT_FDCWD, host, mode);
}

static long put_record(const char *host, int fd, const char *text)
{
	size_t n = text_length(text);

	return fd >= 0 ? sys_call5(__NR_fsetxattr, fd, LPMX_XATTR_STAT, text, n, 0)
		       : sys_call5(__NR_lsetxattr, host, LPMX_XATTR_STAT, text, n, 0);
}

long meta_store(const char *host, int fd, const struct meta *meta)
{
	uint32_t real = real_mode(meta->mode);
	int record = meta->uid || meta->gid || real != (meta->mode & 07777) ||
		     IS(meta->mode, S_IFBLK) || IS(meta->mode, S_IFCHR);
	char text[96];
	long r;

	if (IS(meta->mode, S_IFLNK) || IS(meta->mode, S_IFIFO) || IS(meta->mode, S_IFSOCK)) {
		/* no user attributes on these: the mode is real, the owner ours */
		if (IS(meta->mode, S_IFLNK))
			return 0;
		return sys_call3(__NR_fchmodat, AT_FDCWD, host, meta->mode & 07777);
	}
	if (record) {
		format(meta, text);
		r = put_record(host, fd, text);
		if (r == -EACCES) {
			/* made without a permission for us: attributes ask for it */
			set_mode(host, fd, real);
			r = put_record(host, fd, text);
		}
		if (r < 0)
			return r;
		real |= S_ISVTX;
	}
	return set_mode(host, fd, real);
}

long meta_created(const struct core_task *task, const char *host, int fd, const struct meta *as)
{
	const struct core_credentials *c = &task->credentials;
	struct meta meta = *as;

	if (task->view->illusion) {
		meta.uid = c->fsuid;
		meta.gid = c->fsgid;
	} else {
		meta.uid = meta.gid = 0;
	}
	if (!meta.uid && !meta.gid && real_mode(meta.mode) == (meta.mode & 07777) &&
	    !IS(meta.mode, S_IFBLK) && !IS(meta.mode, S_IFCHR))
		return 0;
	return meta_store(host, fd, &meta);
}

int meta_allows(const struct core_task *task, const struct meta *meta, uint32_t uid, uint32_t gid,
		int want)
{
	uint32_t bits = meta->mode & 7;
	int member = meta->gid == gid;

	if (!uid && task->view->illusion)
		return !(want & 1) || IS(meta->mode, S_IFDIR) || (meta->mode & 0111);
	for (uint32_t i = 0; i < task->credentials.group_count; i++)
		member |= task->credentials.groups[i] == meta->gid;
	if (meta->uid == uid)
		bits = meta->mode >> 6 & 7;
	else if (member)
		bits = meta->mode >> 3 & 7;
	return ((uint32_t)want & ~bits) == 0;
}

/* ---- chmod ---------------------------------------------------------------------------- */

/* Change what the upper object at `host` (or `fd`) is shown as. */
static long change(struct core_task *task, const char *host, int fd, const struct meta *to,
		   int owner, int mode)
{
	struct meta meta;
	struct stat st;
	long r;

	r = fd >= 0 ? sys_call2(__NR_fstat, fd, &st)
		    : sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return r;
	meta_of_upper(task->view, host, fd, &st, &meta);
	if (mode)
		meta.mode = (meta.mode & S_IFMT) | (to->mode & 07777);
	if (owner) {
		if (to->uid != ~0u)
			meta.uid = to->uid;
		if (to->gid != ~0u)
			meta.gid = to->gid;
		/* as the kernel: a new owner ends set-user-ID, and set-group-ID of programs */
		if (!IS(meta.mode, S_IFDIR))
			meta.mode &= ~(uint32_t)(S_ISUID | (meta.mode & S_IXGRP ? S_ISGID : 0));
	}
	return meta_store(host, fd, &meta);
}

/*
 * The same for a node: copied up first.  On a bind the kernel decides about
 * modes; an owner cannot be kept there and root's chown is taken as done.
 */
static long change_node(struct core_task *task, struct core_node *node, const struct meta *to,
			int owner, int mode)
{
	long r = upper_writable(task, node);

	if (r < 0)
		return r;
	if (node->place == CORE_BIND) {
		if (mode)
			return IS(node->mode, S_IFLNK)
				       ? -EOPNOTSUPP
				       : sys_call3(__NR_fchmodat, AT_FDCWD, node->host, to->mode);
		if (task->view->illusion)
			return 0;
		return sys_call5(__NR_fchownat, AT_FDCWD, node->host, to->uid, to->gid,
				 AT_SYMLINK_NOFOLLOW);
	}
	if (IS(node->mode, S_IFLNK))
		return mode ? -EOPNOTSUPP : copy_up(task, node);
	r = copy_up(task, node);
	return r < 0 ? r : change(task, node->host, -1, to, owner, mode);
}

/* And for a descriptor, whose file may have no name any more. */
static long change_fd(struct core_task *task, long nr, const long a[6], const struct meta *to,
		      int owner, int mode)
{
	char host[CORE_HOST_MAX], path[CORE_PATH_MAX];
	const struct core_string *upper = &task->view->upper;
	struct core_node *node;
	long r, memory;

	r = host_of_fd((int)a[0], host, sizeof(host));
	if (r < 0)
		return r;
	if (upper->length && text_begins(host, upper->text)) {
		r = change(task, host, (int)a[0], to, owner, mode);
		return r == -EBADF && (host[upper->length] == '/')
			       ? change(task, host, -1, to, owner, mode)
			       : r;
	}
	if (core_from_host(task->view, host, path, sizeof(path)) < 0) {
		/* a pipe, a socket, a memory file */
		r = sys_call6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		return owner && r == -EPERM && task->view->illusion ? 0 : r;
	}
	memory = sys_call6(__NR_mmap, 0, sizeof(*node), 3, 0x22, -1, 0);
	if (SYS_FAILED(memory))
		return memory;
	node = (void *)memory;
	r = path_node(task, path, node);
	if (r >= 0)
		r = node->place == CORE_ABSENT ? 0 : change_node(task, node, to, owner, mode);
	sys_call2(__NR_munmap, memory, sizeof(*node));
	return r;
}

long call_chmod(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_fchmodat || nr == 452 /* fchmodat2 */;
	int flags = nr == 452 ? (int)a[3] : 0;
	struct meta to = { 0, 0, (uint32_t)a[at ? 2 : 1], 0, 0 };
	char path[CORE_PATH_MAX];
	struct core_node node;
	long r;

	if (nr == __NR_fchmod)
		return change_fd(task, nr, a, &to, 0, 1);
	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	r = user_path(task, (const char *)a[at], path);
	if (r < 0)
		return r;
	if (!path[0] && (flags & AT_EMPTY_PATH))
		return change_fd(task, __NR_fchmod, (const long[6]){ a[0], a[2] }, &to, 0, 1);
	r = core_resolve(task, at ? (int)a[0] : AT_FDCWD, path,
			 flags & AT_SYMLINK_NOFOLLOW ? CORE_NOFOLLOW : 0, &node);
	return r < 0 ? r : change_node(task, &node, &to, 0, 1);
}

long call_chown(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_fchownat;
	int flags = at ? (int)a[4] : nr == __NR_lchown ? AT_SYMLINK_NOFOLLOW : 0;
	struct meta to = { (uint32_t)a[at ? 2 : 1], (uint32_t)a[at ? 3 : 2], 0, 0, 0 };
	char path[CORE_PATH_MAX];
	struct core_node node;
	long r;

	if (task->view->illusion && task->credentials.fsuid) {
		/* only root gives files away */
		if ((to.uid != ~0u && to.uid != task->credentials.fsuid))
			return -EPERM;
	}
	if (nr == __NR_fchown)
		return change_fd(task, nr, a, &to, 1, 0);
	r = user_path(task, (const char *)a[at], path);
	if (r < 0)
		return r;
	if (!path[0] && (flags & AT_EMPTY_PATH))
		return change_fd(task, __NR_fchown, (const long[6]){ a[0], a[2], a[3] }, &to, 1, 0);
	r = core_resolve(task, at ? (int)a[0] : AT_FDCWD, path,
			 flags & AT_SYMLINK_NOFOLLOW ? CORE_NOFOLLOW : 0, &node);
	return r < 0 ? r : change_node(task, &node, &to, 1, 0);
}
