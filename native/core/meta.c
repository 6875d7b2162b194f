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

/* A record that lies apart: "INODE:" and the same. */
static void parse_apart(const char *text, struct meta *meta)
{
	uint64_t inode = text_number(&text, 10);

	if (*text++ == ':' && parse(text, meta))
		meta->inode = inode;
}

static long store_apart(const struct core_view *view, const char *host, int fd,
			const struct meta *meta)
{
	char text[96], *p = text_put_number(text, meta->inode, 10);

	*p++ = ':';
	format(meta, p);
	return record_put(view, host, fd, text);
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

	/* one made with O_PATH can only be asked by its link: it may have no name any more */
	if (n == -EBADF && fd >= 0) {
		char link[32];

		text_put_number(text_put(link, "/proc/self/fd/"), (unsigned)fd, 10);
		n = sys_call4(__NR_getxattr, link, name, text, size - 1);
	}
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
	if (record_apart(st->st_mode)) {
		n = record_get(view, host, fd, text, sizeof(text));
		if (n > 0)
			parse_apart(text, meta);
		return n < 0 ? n : 0;
	}
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

int meta_marked(const struct core_view *view, uint32_t mode)
{
	return record_apart(mode) ? record_any(view) : (mode & S_ISVTX) != 0;
}

/* No owner can be kept there: what is the user's is the program's, whoever it has become. */
void meta_of_bound(const struct core_task *task, const struct stat *st, struct meta *meta)
{
	plain(task->view, task->credentials.fsuid, task->credentials.fsgid, st, meta);
}

long meta_of_node(const struct core_task *task, const struct core_node *node, const struct stat *st,
		  struct meta *meta)
{
	const struct core_view *view = task->view;

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
		meta_of_bound(task, st, meta);
	} else {
		plain(view, view->uid, view->gid, st, meta);
	}
	return 0;
}

long meta_shown(const struct core_task *task, const struct core_node *node, struct meta *meta)
{
	struct stat st;
	long r = 0;

	if (node->place != CORE_LOWER || !node->entry)
		r = sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, AT_SYMLINK_NOFOLLOW);
	return r < 0 ? r : meta_of_node(task, node, &st, meta);
}

NOINLINE long meta_of_path(struct core_task *task, const char *path, struct meta *meta)
{
	struct core_node node;
	long r = path_node(task, path, &node);

	if (r >= 0 && node.place == CORE_ABSENT)
		r = -ENOENT;
	return r < 0 ? r : meta_shown(task, &node, meta);
}

/*
 * The mode to have on disk for one that is shown.  Never set-user-ID: that would
 * hand the rights of whoever owns the store to anybody who can reach the file.
 */
static uint32_t real_mode(uint32_t shown)
{
	if (IS(shown, S_IFDIR))
		return (shown & 0777) | 0700;
	if (IS(shown, S_IFLNK))
		return 0777;
	if (!IS(shown, S_IFBLK) && !IS(shown, S_IFCHR))
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

/* Say of a directory at `host`, if that is in the upper, that not everybody may search it. */
static void close_directory(const struct core_view *view, const char *host, uint32_t mode)
{
	const char *path = IS(mode, S_IFDIR) ? in_upper(view, host) : 0;

	if (path)
		upper_close(view, fnv(path, text_length(path)), mode);
}

long meta_store(const struct core_view *view, const char *host, int fd, const struct meta *meta)
{
	uint32_t real = real_mode(meta->mode);
	char text[96];
	long r = 0;

	close_directory(view, host, meta->mode);
	if (record_apart(meta->mode)) {
		if (needs_record(view, meta) || meta->inode || record_any(view))
			r = store_apart(view, host, fd, meta);
		if (r < 0 || IS(meta->mode, S_IFLNK))
			return r < 0 ? r : 0;
		return set_mode(host, fd, r ? real : meta->mode & 07777);
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
			as->mode = permission_new_mode(task, &above, as->mode);
		}
	}
	return needs_record(view, as);
}

long meta_created(const struct core_task *task, const char *host, int fd, const struct meta *as,
		  const char *place)
{
	struct meta meta = *as;
	struct stat st;
	long r = place ? acl_inherit(place, host, fd, as->mode) : 0;

	if (r < 0)
		return r;
	r = fd >= 0 ? sys_call2(__NR_fstat, fd, &st)
		    : sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return r;
	meta.mode = (meta.mode & ~(uint32_t)META_REAL_BITS) | (st.st_mode & META_REAL_BITS);
	close_directory(task->view, place ? place : host, meta.mode);
	return needs_record(task->view, &meta) ? meta_store(task->view, host, fd, &meta) : 0;
}
