/*
 * Owner, mode and device numbers as the view shows them.
 *
 * What an ordinary user can make real is real.  The rest is in the index (lower)
 * or in LPMX_XATTR_STAT (upper), and whoever has some carries S_ISVTX in its
 * real mode, so that all others cost no look-up (lpmx_abi.h, "on-disk
 * conventions").
 */
#include "internal.h"

uint64_t identity_device(const struct core_view *view, uint64_t device)
{
	for (uint32_t i = 0; i < view->device_count; i++)
		if (view->devices[i] == device)
			return view->device;
	return device;
}

uint64_t identity_inode(const struct core_view *view, uint64_t device, uint64_t inode)
{
	for (uint32_t i = 0; i < view->device_count; i++)
		if (view->devices[i] == device)
			/* above the numbers that file systems use, and below 2^53, which
			 * is what a program in JavaScript can hold */
			return inode ^ (fnv((const char *)&device, sizeof(device)) & 0xfff) << 40 ^
			       1ull << 52;
	return inode;
}

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
	meta->links = 0;
	meta->inode = 0;
}

/* The record `name` of an object; its length, 0 if there is none, or -errno. */
static long record(const char *host, int fd, const char *name, char *text, size_t size)
{
	long n = fd >= 0 ? sys_call4(__NR_fgetxattr, fd, name, text, size - 1)
			 : sys_call4(__NR_lgetxattr, host, name, text, size - 1);

	/* a descriptor made with O_PATH can only be asked by its path */
	if (n == -EBADF && fd >= 0 && *host)
		n = sys_call4(__NR_lgetxattr, host, name, text, size - 1);
	if (n < 0)
		return xattr_missing(n) ? 0 : n;
	text[n] = 0;
	return n;
}

long meta_of_upper(const struct core_view *view, const char *host, int fd, const struct stat *st,
		   struct meta *meta)
{
	const char *digits;
	char text[96];
	int stated;
	long n;

	/* removed since it was found: a whiteout is in its place */
	if (IS(st->st_mode, S_IFCHR) && !st->st_rdev)
		return -ENOENT;
	plain(view, 0, 0, st, meta);
	if (!(st->st_mode & S_ISVTX) || !(IS(st->st_mode, S_IFREG) || IS(st->st_mode, S_IFDIR)))
		return 0;
	n = record(host, fd, LPMX_XATTR_STAT, text, sizeof(text));
	if (n < 0)
		return n;
	stated = n && parse(text, meta);
	n = record(host, fd, LPMX_XATTR_INODE, text, sizeof(text));
	if (n > 0) {
		if (!stated)
			meta->mode &= ~(uint32_t)S_ISVTX; /* our mark and no more */
		digits = text;
		meta->inode = text_number(&digits, 10);
		/* lower layers may have more directories in it: "unknown", as overlayfs says */
		if (IS(st->st_mode, S_IFDIR))
			meta->links = 1;
		/* a file that still has names in a layer: as many as it has there */
		n = (long)object_links(view, meta->inode);
		if (n && record(host, fd, LPMX_XATTR_NAMES, text, sizeof(text)) > 0)
			meta->links = (uint32_t)n;
	}
	return n < 0 ? n : 0;
}

uint64_t meta_inode(const char *host)
{
	char text[32];
	const char *digits = text;

	return record(host, -1, LPMX_XATTR_INODE, text, sizeof(text)) > 0 ? text_number(&digits, 10) : 0;
}

long meta_of_node(const struct core_task *task, const struct core_node *node, const struct stat *st,
		  struct meta *meta)
{
	const struct core_view *view = task->view;
	const struct core_credentials *c = &task->credentials;

	if (node->place == CORE_UPPER)
		return meta_of_upper(view, node->host, -1, st, meta);
	if (node->place == CORE_LOWER && node->entry) {
		meta->uid = node->entry->uid;
		meta->gid = node->entry->gid;
		meta->mode = node->entry->mode;
		meta->rdev_major = node->entry->rdev_major;
		meta->rdev_minor = node->entry->rdev_minor;
		meta->inode = object_number(view, node->entry);
		meta->links = 0;
	} else if (node->bind) {
		/* no owner can be kept there: what is the user's is the program's, whoever
		 * it has become */
		plain(view, c->fsuid, c->fsgid, st, meta);
	} else {
		plain(view, view->uid, view->gid, st, meta);
	}
	return 0;
}

NOINLINE long meta_of_path(struct core_task *task, const char *path, struct meta *meta)
{
	struct core_node node;
	struct stat st;
	long r = path_node(task, path, &node);

	if (r >= 0 && node.place == CORE_ABSENT)
		r = -ENOENT;
	if (r >= 0 && !(node.place == CORE_LOWER && node.entry))
		r = sys_call4(__NR_newfstatat, AT_FDCWD, node.host, &st, AT_SYMLINK_NOFOLLOW);
	return r < 0 ? r : meta_of_node(task, &node, &st, meta);
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

#define XATTR_REPLACE_ 2

static long put_record(const char *host, int fd, const char *name, const char *text, int flags)
{
	size_t n = text_length(text);

	return fd >= 0 ? sys_call5(__NR_fsetxattr, fd, name, text, n, flags)
		       : sys_call5(__NR_lsetxattr, host, name, text, n, flags);
}

/* Does its owner show without a record?  See plain() and meta_of_upper(). */
static int plain_owner(const struct core_view *view, const struct meta *meta)
{
	return view->illusion ? !meta->uid && !meta->gid
			      : meta->uid == view->host_uid && meta->gid == view->host_gid;
}

static int needs_record(const struct core_view *view, const struct meta *meta)
{
	return !plain_owner(view, meta) || real_mode(meta->mode) != (meta->mode & 07777) ||
	       IS(meta->mode, S_IFBLK) || IS(meta->mode, S_IFCHR);
}

long meta_store(const struct core_view *view, const char *host, int fd, const struct meta *meta)
{
	uint32_t real = real_mode(meta->mode);
	char text[96];
	long r = 0;

	if (IS(meta->mode, S_IFLNK) || IS(meta->mode, S_IFIFO) || IS(meta->mode, S_IFSOCK)) {
		/* no user attributes on these: the mode is real, the owner ours */
		if (IS(meta->mode, S_IFLNK))
			return 0;
		return sys_call3(__NR_fchmodat, AT_FDCWD, host, meta->mode & 07777);
	}
	/*
	 * One step makes it so: where the object is marked already, that the record is
	 * written, and else that the mark is set or goes.  So an old record, where none is
	 * needed any more, is overwritten as long as the mark stays.
	 */
	format(meta, text);
	if (needs_record(view, meta)) {
		r = put_record(host, fd, LPMX_XATTR_STAT, text, 0);
		if (r == -EACCES) {
			/* made without a permission for us: attributes ask for it */
			r = set_mode(host, fd, real);
			if (r >= 0)
				r = put_record(host, fd, LPMX_XATTR_STAT, text, 0);
		}
		real |= S_ISVTX;
	} else if (meta->inode) {
		r = put_record(host, fd, LPMX_XATTR_STAT, text, XATTR_REPLACE_);
		if (r == -ENODATA || r == -EACCES)
			r = 0;
	}
	if (r >= 0 && meta->inode) {
		text_put_number(text, meta->inode, 10);
		r = put_record(host, fd, LPMX_XATTR_INODE, text, 0);
		if (r == -EACCES) {
			r = set_mode(host, fd, real);
			if (r >= 0)
				r = put_record(host, fd, LPMX_XATTR_INODE, text, 0);
		}
		real |= S_ISVTX;
	}
	return r < 0 ? r : set_mode(host, fd, real);
}

long meta_mark_parent(const char *host)
{
	char parent[CORE_HOST_MAX];
	uint32_t length = path_parent(host, (uint32_t)text_length(host));

	bytes_copy(parent, host, length);
	parent[length] = 0;
	return sys_call5(__NR_lsetxattr, parent, LPMX_XATTR_IMPURE, "y", 1, 0);
}

/* No user attributes on these: the mode is real, the owner ours. */
static int without_record(const struct meta *meta)
{
	return IS(meta->mode, S_IFLNK) || IS(meta->mode, S_IFIFO) || IS(meta->mode, S_IFSOCK);
}

long meta_creation(const struct core_task *task, const char *place, struct meta *as)
{
	const struct core_credentials *c = &task->credentials;
	const struct core_view *view = task->view;
	char parent[CORE_HOST_MAX];
	uint32_t length = path_parent(place, (uint32_t)text_length(place));
	struct meta above;
	struct stat st;
	long r;

	as->uid = view->illusion ? c->fsuid : view->host_uid;
	as->gid = view->illusion ? c->fsgid : view->host_gid;
	as->inode = 0;
	if (without_record(as))
		return 0;
	bytes_copy(parent, place, length);
	parent[length] = 0;
	r = sys_call4(__NR_newfstatat, AT_FDCWD, parent, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return r;
	/* a set-group-ID directory always has a record: the bit is never on disk */
	if (st.st_mode & S_ISVTX) {
		r = meta_of_upper(view, parent, -1, &st, &above);
		if (r < 0)
			return r;
		if (above.mode & S_ISGID) {
			as->gid = above.gid;
			if (IS(as->mode, S_IFDIR))
				as->mode |= S_ISGID;
		}
	}
	return needs_record(view, as);
}

long meta_created(const struct core_task *task, const char *host, int fd, const struct meta *as)
{
	struct meta meta = *as;
	struct stat st;
	long r;

	if (without_record(&meta))
		return 0;
	r = fd >= 0 ? sys_call2(__NR_fstat, fd, &st)
		    : sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return r;
	meta.mode = (meta.mode & ~(uint32_t)META_REAL_BITS) | (st.st_mode & META_REAL_BITS);
	return needs_record(task->view, &meta) ? meta_store(task->view, host, fd, &meta) : 0;
}

/* ---- chmod ---------------------------------------------------------------------------- */

/* Change what the upper object at `host` (or `fd`) is shown as. */
static long change(struct core_task *task, const char *host, int fd, const struct meta *to,
		   int owner, int mode)
{
	struct meta meta, before;
	struct stat st;
	long r;

	r = fd >= 0 ? sys_call2(__NR_fstat, fd, &st)
		    : sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW);
	if (r >= 0)
		r = meta_of_upper(task->view, host, fd, &st, &meta);
	if (r < 0)
		return r;
	before = meta;
	if (mode) {
		if (!permission_is_owner(task, &meta))
			return -EPERM;
		meta.mode = (meta.mode & S_IFMT) | permission_mode(task, &meta, to->mode & 07777);
	}
	if (owner) {
		r = permission_to_give(task, &meta, to);
		if (r < 0)
			return r;
		if (to->uid != ~0u)
			meta.uid = to->uid;
		if (to->gid != ~0u)
			meta.gid = to->gid;
		/* as the kernel: a new owner ends set-user-ID, and set-group-ID of programs */
		if (!IS(meta.mode, S_IFDIR))
			meta.mode &= ~(uint32_t)(S_ISUID | (meta.mode & S_IXGRP ? S_ISGID : 0));
	}
	r = meta_store(task->view, host, fd, &meta);
	if (r < 0)
		meta_store(task->view, host, fd, &before);
	return r;
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
			return task->credentials.fsuid && to->uid != ~0u &&
					       to->uid != task->credentials.fsuid
				       ? -EPERM
				       : 0;
		return sys_call5(__NR_fchownat, AT_FDCWD, node->host, to->uid, to->gid,
				 AT_SYMLINK_NOFOLLOW);
	}
	if (IS(node->mode, S_IFLNK))
		return mode ? -EOPNOTSUPP : copy_up(task, node);
	r = copy_up(task, node);
	return r < 0 ? r : change(task, node->host, -1, to, owner, mode);
}

/* The number that the lower object behind `fd`, which has the name `path`, is known by. */
static uint64_t number_behind(const struct core_view *view, int fd, const char *path)
{
	const struct lpmx_index_entry *entry;
	size_t length = text_length(path);
	struct stat st;

	if (!view->index)
		return sys_call2(__NR_fstat, fd, &st) ? 0 : identity_inode(view, st.st_dev, st.st_ino);
	entry = index_find(view->index, fnv(path, length), path, (uint32_t)length);
	return entry ? object_number(view, entry) : 0;
}

long meta_behind(struct core_task *task, int fd, const char *path, struct core_node *node)
{
	const struct core_view *view = task->view;
	uint64_t number = number_behind(view, fd, path);
	struct meta meta;
	struct stat st;
	long r = path_node(task, path, node);

	if (r >= 0 && node->bind)
		return node->place != CORE_ABSENT;
	if (r >= 0 && node->place == CORE_LOWER)
		return 1;
	if (r >= 0 && node->place == CORE_UPPER) {
		if (!IS(node->mode, S_IFREG) && !IS(node->mode, S_IFDIR))
			return 1;
		r = sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, AT_SYMLINK_NOFOLLOW);
		if (r >= 0)
			r = meta_of_upper(view, node->host, -1, &st, &meta);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r >= 0 && (!number || meta.inode == number))
			return 1;
	}
	r = number ? upper_find(view, number, node->host) : 0;
	if (r <= 0)
		return r;
	node->place = CORE_UPPER;
	node->bind = 0;
	node->entry = 0;
	node->read_only = 0;
	text_put(node->path, node->host + view->upper.length);
	node->path_length = (uint32_t)text_length(node->path);
	node->hash = fnv(node->path, node->path_length);
	if (sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	node->mode = st.st_mode;
	return 1;
}

/* And for a descriptor, whose file may have no name any more. */
static long change_fd(struct core_task *task, long nr, const long a[6], const struct meta *to,
		      int owner, int mode)
{
	char host[CORE_HOST_MAX], path[CORE_PATH_MAX];
	struct core_node *node;
	long r, memory;

	/* a descriptor made with O_PATH is for finding things only */
	r = sys_call3(__NR_fcntl, a[0], 3 /* F_GETFL */, 0);
	if (r >= 0 && (r & O_PATH))
		return -EBADF;
	r = host_of_fd(task->view, (int)a[0], host, sizeof(host));
	if (r < 0 && r != -ENAMETOOLONG)
		return r;
	if (r < 0 || in_upper(task->view, host))
		return change(task, host, (int)a[0], to, owner, mode);
	if (core_from_host(task->view, host, path, sizeof(path)) < 0) {
		/* a pipe, a socket, a memory file */
		r = sys_call6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		return owner && r == -EPERM && task->view->illusion ? 0 : r;
	}
	memory = sys_call6(__NR_mmap, 0, sizeof(*node), 3, 0x22, -1, 0);
	if (SYS_FAILED(memory))
		return memory;
	node = (void *)memory;
	r = meta_behind(task, (int)a[0], path, node);
	if (r > 0 && node->place == CORE_LOWER && !IS(node->mode, S_IFLNK)) {
		/* first of all the descriptor, so that whatever fails nothing has changed */
		r = upper_writable(task, node);
		if (r >= 0)
			r = copy_up(task, node);
		if (r >= 0)
			r = copy_up_descriptor((int)a[0], node->host);
		r = r < 0 ? r : 1;
	}
	if (r > 0)
		r = change_node(task, node, to, owner, mode);
	sys_call2(__NR_munmap, memory, sizeof(*node));
	return r;
}

/* By a descriptor that may be one of O_PATH: AT_EMPTY_PATH. */
static long change_handle(struct core_task *task, int fd, const struct meta *to, int owner, int mode)
{
	char path[CORE_PATH_MAX];
	struct core_node node;
	long r = path_of_fd(task, fd, path, sizeof(path));

	if (r >= 0)
		r = path_node(task, path, &node);
	if (r < 0 || node.place == CORE_ABSENT) {
		const long a[6] = { fd, owner ? (long)to->uid : (long)to->mode, (long)to->gid };

		return change_fd(task, owner ? __NR_fchown : __NR_fchmod, a, to, owner, mode);
	}
	return change_node(task, &node, to, owner, mode);
}

long call_chmod(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_fchmodat || nr == 452 /* fchmodat2 */;
	int flags = nr == 452 ? (int)a[3] : 0;
	struct meta to = { .mode = (uint32_t)a[at ? 2 : 1] };
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
		return change_handle(task, (int)a[0], &to, 0, 1);
	r = core_resolve(task, at ? (int)a[0] : AT_FDCWD, path,
			 flags & AT_SYMLINK_NOFOLLOW ? CORE_NOFOLLOW : 0, &node);
	return r < 0 ? r : change_node(task, &node, &to, 0, 1);
}

long call_chown(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_fchownat;
	int flags = at ? (int)a[4] : nr == __NR_lchown ? AT_SYMLINK_NOFOLLOW : 0;
	struct meta to = { .uid = (uint32_t)a[at ? 2 : 1], .gid = (uint32_t)a[at ? 3 : 2] };
	char path[CORE_PATH_MAX];
	struct core_node node;
	long r;

	if (nr == __NR_fchown)
		return change_fd(task, nr, a, &to, 1, 0);
	r = user_path(task, (const char *)a[at], path);
	if (r < 0)
		return r;
	if (!path[0] && (flags & AT_EMPTY_PATH))
		return change_handle(task, (int)a[0], &to, 1, 0);
	r = core_resolve(task, at ? (int)a[0] : AT_FDCWD, path,
			 flags & AT_SYMLINK_NOFOLLOW ? CORE_NOFOLLOW : 0, &node);
	return r < 0 ? r : change_node(task, &node, &to, 1, 0);
}
