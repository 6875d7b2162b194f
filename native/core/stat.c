/* The calls that tell about a file: stat and its kin, access, readlink, statfs. */
#include "internal.h"

/* Put what the view shows into what the kernel said. */
static void show(const struct core_view *view, struct stat *st, const struct meta *meta)
{
	st->st_ino = meta->inode ? meta->inode : identity_inode(view, st->st_dev, st->st_ino);
	st->st_dev = meta->inode ? view->device : identity_device(view, st->st_dev);
	st->st_mode = meta->mode;
	st->st_uid = meta->uid;
	st->st_gid = meta->gid;
	if (meta->links)
		st->st_nlink = meta->links;
	if (IS(meta->mode, S_IFCHR) || IS(meta->mode, S_IFBLK)) {
		st->st_rdev = object_device(meta->rdev_major, meta->rdev_minor);
		st->st_size = 0;
	}
}

/* All of the union is one mount, wherever a layer is. */
static void mounted(const struct core_view *view, struct statx *x)
{
	struct statx upper;

	if (!(x->stx_mask & STATX_MNT_ID_UNIQUE_)) {
		x->stx_mask = (x->stx_mask & ~STATX_MNT_ID_) | view->mount_mask;
		*statx_mount(x) = view->mount;
	} else if (view->upper.length &&
		   !sys_call5(__NR_statx, AT_FDCWD, view->upper.text, 0, STATX_MNT_ID_UNIQUE_, &upper)) {
		*statx_mount(x) = *statx_mount(&upper);
	}
}

/* Is it where something is mounted, for the program?  The union's root, and what is bound. */
static void mount_root(const struct core_view *view, struct statx *x)
{
	x->stx_attributes_mask |= view->attributes_mask & STATX_ATTR_MOUNT_ROOT_;
	x->stx_attributes |= view->attributes_mask & STATX_ATTR_MOUNT_ROOT_;
}

/*
 * A lower object, of which the index tells all that most programs ask; `known`: what the
 * kernel tells of it is in *x.
 */
static void show_entry(const struct core_view *view, const struct lpmx_index_entry *entry, int known,
		       struct statx *x)
{
	if (!known) {
		bytes_zero(x, sizeof(*x));
		x->stx_attributes_mask = view->attributes_mask;
	}
	object_statx(view, entry, x);
	mounted(view, x);
	if (!entry->path_length)
		mount_root(view, x);
}

/* What is not asked of the kernel in every case it must be asked for. */
#define STATX_KNOWN (STATX_BASIC_STATS | STATX_MNT_ID_)

/* What stands for a device is a file, and has what only files have to tell. */
static void as_no_file(struct statx *x)
{
	x->stx_mask &= STATX_KNOWN | STATX_BTIME | STATX_MNT_ID_UNIQUE_;
	x->stx_dio_mem_align = x->stx_dio_offset_align = 0;
}

static void showx(const struct core_view *view, struct statx *st, const struct meta *meta)
{
	uint64_t device = object_device(st->stx_dev_major, st->stx_dev_minor), shown;

	shown = meta->inode ? view->device : identity_device(view, device);
	st->stx_ino = meta->inode ? meta->inode : identity_inode(view, device, st->stx_ino);
	st->stx_dev_major = (uint32_t)(shown >> 8 & 0xfff) | (uint32_t)(shown >> 32 & ~0xfffull);
	st->stx_dev_minor = (uint32_t)(shown & 0xff) | (uint32_t)(shown >> 12 & ~0xffull);
	if (shown != device)
		mounted(view, st);
	if (IS(st->stx_mode, S_IFREG) && !IS(meta->mode, S_IFREG))
		as_no_file(st);
	st->stx_mode = (uint16_t)meta->mode;
	st->stx_uid = meta->uid;
	st->stx_gid = meta->gid;
	if (meta->links)
		st->stx_nlink = meta->links;
	if (IS(meta->mode, S_IFCHR) || IS(meta->mode, S_IFBLK)) {
		st->stx_rdev_major = meta->rdev_major;
		st->stx_rdev_minor = meta->rdev_minor;
		st->stx_size = 0;
	}
}

/* As much of a statx result as finding its metadata needs. */
static void from_statx(const struct statx *x, struct stat *st)
{
	bytes_zero(st, sizeof(*st));
	st->st_mode = x->stx_mode;
	st->st_uid = x->stx_uid;
	st->st_gid = x->stx_gid;
	st->st_dev = object_device(x->stx_dev_major, x->stx_dev_minor);
	st->st_ino = x->stx_ino;
	st->st_nlink = x->stx_nlink;
	st->st_size = (long)x->stx_size;
	st->st_rdev = object_device(x->stx_rdev_major, x->stx_rdev_minor);
}

/*
 * What an open file is.  Most say it themselves: files of the layers carry the mark,
 * so a regular one without it is new or foreign, and 0:0 if it is ours.  Of the
 * others the process has learned many when it opened them.
 */
struct opened {
	const struct lpmx_index_entry *entry; /* of the layers: this is all there is to say */
	int root;         /* the union's root */
	int by_path;      /* `node`: a directory stands for its path, copied up or not */
	struct core_node node;
	struct meta meta; /* else what it is shown as */
};

/* Can what the kernel says of a descriptor be shown as it is, but for the owner? */
static int plain_fd(const struct core_task *task, const struct stat *st)
{
	const struct core_view *view = task->view;

	/* what was copied up from a live layer keeps its number, and carries the mark */
	if (!view->illusion && !view->index)
		return !IS(st->st_mode, S_IFDIR) && !(st->st_mode & S_ISVTX);
	if (IS(st->st_mode, S_IFIFO) || IS(st->st_mode, S_IFSOCK))
		/* a pipe, or one of the file system */
		return !record_any(view) || st->st_dev != view->device;
	if (!IS(st->st_mode, S_IFREG) && !IS(st->st_mode, S_IFDIR) && !IS(st->st_mode, S_IFLNK))
		return 1;
	if ((st->st_mode & S_ISVTX) || !view->illusion || view->uid || view->gid ||
	    task->credentials.fsuid || task->credentials.fsgid)
		return 0;
	if (IS(st->st_mode, S_IFREG))
		return view->index != 0;
	/* lower directories are not writable on disk */
	return IS(st->st_mode, S_IFDIR) && (st->st_mode & 0200) && view->index &&
	       st->st_uid == view->host_uid;
}

/* A layer's file that is known by its number; a directory may have been copied up or removed
 * since it was. */
static const struct lpmx_index_entry *known_fd(const struct core_view *view, const struct stat *st)
{
	const struct lpmx_index_entry *entry = object_known(view, st);

	return entry && IS(st->st_mode, S_IFDIR) && upper_touched(view, entry->hash) ? 0 : entry;
}

/* What the kernel says, but for the owner. */
static void meta_of_plain_fd(const struct core_view *view, const struct stat *st, struct meta *meta)
{
	meta_of_upper(view, "", -1, &(struct stat){ .st_mode = st->st_mode & ~S_ISVTX,
						     .st_uid = st->st_uid,
						     .st_gid = st->st_gid,
						     .st_rdev = st->st_rdev },
		      meta);
	meta->mode = st->st_mode;
}

static NOINLINE long opened_file(struct core_task *task, int fd, const struct stat *st,
				 struct opened *file)
{
	const struct core_view *view = task->view;
	char host[CORE_HOST_MAX], path[CORE_PATH_MAX];
	struct core_node *node = &file->node;
	int gone;
	long n;

	file->by_path = file->root = 0;
	file->entry = known_fd(view, st);
	if (file->entry)
		return 0;
	meta_of_plain_fd(view, st, &file->meta);
	if (plain_fd(task, st))
		return 0;
	/* a file too deep for the kernel to tell where, and of no layer: the upper's */
	n = host_of_fd(view, fd, host, sizeof(host));
	if (n == -ENAMETOOLONG)
		text_put_number(text_put(host, "/proc/self/fd/"), (unsigned)fd, 10);
	else if (n < 0)
		return 0;
	file->root = n != -ENAMETOOLONG && in_upper(view, host) && !*in_upper(view, host);
	if (n == -ENAMETOOLONG || in_upper(view, host) || in_work(view, host))
		return meta_of_upper(view, host, fd, st, &file->meta);
	if (core_from_host(view, host, path, sizeof(path)) < 0)
		return 0;
	gone = IS(st->st_mode, S_IFDIR) && in_layer(view, host) && !in_bind(view, host) &&
	       moved(task, fd, path, sizeof(path)) < 0;
	if (path_node(task, path, node) < 0)
		return 0;
	if (node->bind)
		return meta_of_node(task, node, st, &file->meta);
	if (!gone && IS(st->st_mode, S_IFDIR) && node->place == CORE_UPPER &&
	    IS(node->mode, S_IFDIR)) {
		file->by_path = 1;
		return 0;
	}
	/* the object behind the descriptor is the lower one, whatever is in the upper */
	if (view->index && in_layer(view, host)) {
		file->entry = index_find(view->index, node->hash, node->path, node->path_length);
		if (file->entry &&
		    (!IS(st->st_mode, S_IFDIR) || is_in_layer_of(view, host, file->entry)))
			object_learn(view, st, file->entry);
	}
	return 0;
}

static NOINLINE long stat_opened(struct core_task *task, int fd, struct stat *out)
{
	struct opened file;
	long r = opened_file(task, fd, out, &file);

	if (r < 0)
		return r;
	if (file.entry) {
		object_stat(task->view, file.entry, out);
		return 0;
	}
	if (file.by_path) {
		r = sys_call4(__NR_newfstatat, AT_FDCWD, file.node.host, out, AT_SYMLINK_NOFOLLOW);
		if (r >= 0)
			r = meta_of_node(task, &file.node, out, &file.meta);
		if (r < 0)
			return r;
	}
	show(task->view, out, &file.meta);
	return 0;
}

static long stat_fd(struct core_task *task, int fd, struct stat *out)
{
	const struct core_view *view = task->view;
	const struct lpmx_index_entry *entry;
	struct meta meta;
	long r = sys_call2(__NR_fstat, fd, out);

	if (r < 0 || view->kind == CORE_VIEW_HOST)
		return r;
	entry = known_fd(view, out);
	if (entry) {
		object_stat(view, entry, out);
		return 0;
	}
	if (!plain_fd(task, out))
		return stat_opened(task, fd, out);
	meta_of_plain_fd(view, out, &meta);
	show(view, out, &meta);
	return 0;
}

static NOINLINE long statx_fd(struct core_task *task, int fd, int flags, unsigned mask, struct statx *out)
{
	struct opened file;
	struct stat st;
	long r = sys_call5(__NR_statx, fd, "", flags | AT_EMPTY_PATH, mask | STATX_BASIC_STATS, out);

	if (r < 0)
		return r;
	from_statx(out, &st);
	r = opened_file(task, fd, &st, &file);
	if (r < 0)
		return r;
	if (file.entry) {
		show_entry(task->view, file.entry, 1, out);
		return 0;
	}
	if (file.by_path) {
		r = sys_call5(__NR_statx, AT_FDCWD, file.node.host, flags | AT_SYMLINK_NOFOLLOW, mask,
			      out);
		if (r < 0)
			return r;
		from_statx(out, &st);
		r = meta_of_node(task, &file.node, &st, &file.meta);
		if (r < 0)
			return r;
	}
	showx(task->view, out, &file.meta);
	if (file.root || (file.by_path && !file.node.path_length))
		mount_root(task->view, out);
	return 0;
}

/* Of a name, where the index has all that there is to say. */
static long stat_entry(const struct core_task *task, const struct lpmx_index_entry *entry, void *out,
		       int extended)
{
	long r = user_writable(task, out, extended ? sizeof(struct statx) : sizeof(struct stat));

	if (r < 0)
		return r;
	if (extended)
		show_entry(task->view, entry, 0, out);
	else
		object_stat(task->view, entry, out);
	return 0;
}

/* And what more the kernel has to say. */
static long statx_more(const struct core_task *task, const struct core_node *node, int flags,
		       unsigned mask, struct statx *out)
{
	long r = sys_call5(__NR_statx, AT_FDCWD, node->host,
			   (flags & ~AT_EMPTY_PATH) | AT_SYMLINK_NOFOLLOW, mask, out);

	if (r < 0)
		return r;
	if (!IS(node->mode, S_IFREG) && !IS(node->mode, S_IFDIR))
		as_no_file(out);
	show_entry(task->view, node->entry, 1, out);
	return 0;
}

/* What the upper or a bind has, by what known_path asked of it. */
static NOINLINE long stat_asked(const struct core_task *task, int found, const struct known *k,
				struct stat *out)
{
	const struct core_view *view = task->view;
	char host[KNOWN_HOST_MAX];
	struct meta meta;
	long r = user_writable(task, out, sizeof(*out));

	if (r >= 0 && found == KNOWN_UPPER) {
		known_host(view, found, k, host);
		r = meta_of_upper(view, host, -1, &k->st, &meta);
	} else if (r >= 0) {
		meta_of_bound(task, &k->st, &meta);
	}
	if (r < 0)
		return r;
	*out = k->st;
	show(view, out, &meta);
	return 0;
}

/* Of `path`, for which known_path found `found`. */
static NOINLINE long stat_found(struct core_task *task, int found, const struct known *k, int dirfd,
				const char *path, int flags, unsigned mask, long out, int extended)
{
	struct core_node node;
	struct meta meta;
	struct stat st;
	int last, fd;
	long r;

	r = path_resolve_known(task, found, k, dirfd, path,
			       flags & AT_SYMLINK_NOFOLLOW ? CORE_NOFOLLOW : 0, &node);
	if (r < 0)
		return r;
	if (node.place == CORE_LOWER && node.entry)
		return extended && mask & ~STATX_KNOWN
			       ? statx_more(task, &node, flags, mask, (struct statx *)out)
			       : stat_entry(task, node.entry, (void *)out, extended);
	/* a file without a name is what its descriptor is */
	fd = node.bind && !(flags & AT_SYMLINK_NOFOLLOW) ? proc_own_fd(node.host) : -1;
	if (fd >= 0)
		return extended ? statx_fd(task, fd, flags, mask, (struct statx *)out)
				: stat_fd(task, fd, (struct stat *)out);
	/* what only the kernel can follow, it follows */
	last = node.bind && proc_magic(node.host) && !(flags & AT_SYMLINK_NOFOLLOW)
		       ? 0
		       : AT_SYMLINK_NOFOLLOW;
	if (extended) {
		r = sys_call5(__NR_statx, AT_FDCWD, node.host,
			      (flags & ~AT_EMPTY_PATH) | last, mask, out);
		if (r < 0)
			return r;
		from_statx((struct statx *)out, &st);
		r = meta_of_node(task, &node, &st, &meta);
		if (r < 0)
			return r;
		showx(task->view, (struct statx *)out, &meta);
		if (node.bind ? node.path_length == node.bind->at.length : !node.path_length)
			mount_root(task->view, (struct statx *)out);
		return 0;
	}
	r = sys_call4(__NR_newfstatat, AT_FDCWD, node.host, out, last);
	if (r >= 0)
		r = meta_of_node(task, &node, (struct stat *)out, &meta);
	if (r < 0)
		return r;
	show(task->view, (struct stat *)out, &meta);
	return 0;
}

#define STATX_FLAGS                                                                                \
	(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)

/* Of a long path, or without one. */
static NOINLINE long stat_said(struct core_task *task, int dirfd, const char *user, int flags,
			       unsigned mask, long out, int extended)
{
	char path[CORE_SAID_MAX];
	long r;

	if (!user && (flags & AT_EMPTY_PATH))
		r = path[0] = 0;
	else
		r = user_path(task, user, path);
	if (r < 0)
		return r;
	if (!path[0] && (flags & AT_EMPTY_PATH)) {
		if (dirfd != AT_FDCWD)
			return extended ? statx_fd(task, dirfd, flags, mask, (struct statx *)out)
					: stat_fd(task, dirfd, (struct stat *)out);
		text_put(path, ".");
	}
	if (extended && (flags & ~STATX_FLAGS))
		return -EINVAL;
	return stat_found(task, KNOWN_NOT, 0, dirfd, path, flags, mask, out, extended);
}

static long stat_at(struct core_task *task, int dirfd, const char *user, int flags, unsigned mask,
		    long out, int extended)
{
	char said[KNOWN_MAX];
	struct known k;
	int found;

	if (!user && (flags & AT_EMPTY_PATH))
		return stat_said(task, dirfd, user, flags, mask, out, extended);
	found = known_said(task, dirfd, user, flags & AT_SYMLINK_NOFOLLOW ? 0 : KNOWN_FOLLOW, said, &k);
	if (found < 0)
		return found;
	if (found == KNOWN_EMPTY && flags & AT_EMPTY_PATH && dirfd != AT_FDCWD)
		return extended ? statx_fd(task, dirfd, flags, mask, (struct statx *)out)
				: stat_fd(task, dirfd, (struct stat *)out);
	if (!said[0])
		return stat_said(task, dirfd, user, flags, mask, out, extended);
	if (extended && (flags & ~STATX_FLAGS))
		return -EINVAL;
	if (known_absent(found, &k))
		return -ENOENT;
	if (found == KNOWN && !(extended && mask & ~STATX_KNOWN))
		return stat_entry(task, k.entry, (void *)out, extended);
	if (!extended && (found == KNOWN_UPPER || found == KNOWN_BOUND))
		return stat_asked(task, found, &k, (struct stat *)out);
	return stat_found(task, found, &k, dirfd, said, flags, mask, out, extended);
}

long call_stat(struct core_task *task, long nr, const long a[6])
{
	switch (nr) {
	case __NR_stat:
		return stat_at(task, AT_FDCWD, (const char *)a[0], 0, 0, a[1], 0);
	case __NR_lstat:
		return stat_at(task, AT_FDCWD, (const char *)a[0], AT_SYMLINK_NOFOLLOW, 0, a[1], 0);
	case __NR_fstat:
		return stat_fd(task, (int)a[0], (struct stat *)a[1]);
	case __NR_newfstatat:
		if (a[3] & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT |
			     AT_STATX_SYNC_TYPE))
			return -EINVAL;
		return stat_at(task, (int)a[0], (const char *)a[1], (int)a[3], 0, a[2], 0);
	default:
		if (((unsigned)a[3] & 1u << 31) ||
		    (a[2] & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
			return -EINVAL;
		return stat_at(task, (int)a[0], (const char *)a[1], (int)a[2], (unsigned)a[3], a[4], 1);
	}
}

/* ---- access ------------------------------------------------------------------------------ */

NOINLINE int permission_nameless(struct core_task *task, int fd, int want, long *r)
{
	const struct core_view *view = task->view;
	const struct core_credentials *c = &task->credentials;
	char host[CORE_HOST_MAX];
	struct meta meta;
	struct stat st;
	int upper;

	if (!view->illusion || !want || host_of_fd(view, fd, host, sizeof(host)) < 0)
		return 0;
	upper = in_upper(view, host) || in_work(view, host);
	if ((!upper && (!in_layer(view, host) || in_bind(view, host))) || stat_fd(task, fd, &st) < 0)
		return 0;
	meta = (struct meta){ .mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid };
	*r = permission_in(task, &meta, c->fsuid, c->fsgid, want, 0, upper ? fd : -1) ? 0 : -EACCES;
	return 1;
}

/* `said`: the path, for which known_path found `found`; or "", if it is long or empty. */
static NOINLINE long access_found(struct core_task *task, int found, const struct known *k,
				  const char *said, long nr, const long a[6], int want, int flags)
{
	int at = nr != __NR_access, fd;
	const struct core_credentials *c = &task->credentials;
	char path[CORE_PATH_MAX];
	struct core_node node;
	struct meta meta;
	long r;

	r = said[0] ? 0 : user_path(task, (const char *)a[at], path);
	if (r < 0)
		return r;
	if (!said[0] && !path[0] && (flags & AT_EMPTY_PATH)) {
		/* of a descriptor, by its path if it still has one */
		r = path_of_fd(task, (int)a[0], path, sizeof(path));
		if (r >= 0)
			r = path_node(task, path, &node);
		else
			node.place = CORE_ABSENT;
		if (node.place == CORE_ABSENT)
			return permission_nameless(task, (int)a[0], want, &r)
				       ? r
				       : sys_call6(nr, a[0], a[1], a[2], a[3], 0, 0);
	} else {
		r = path_resolve_known(task, found, k, at ? (int)a[0] : AT_FDCWD,
				       said[0] ? said : path,
				       flags & AT_SYMLINK_NOFOLLOW ? CORE_NOFOLLOW : 0, &node);
	}
	if (r < 0)
		return r;
	if ((want & 2) && (node.bind ? node.bind->read_only : !task->view->upper.length) &&
	    (IS(node.mode, S_IFREG) || IS(node.mode, S_IFDIR)))
		return -EROFS;
	if (!node.bind && IS(node.mode, S_IFLNK))
		return 0;
	fd = node.bind && !(flags & AT_SYMLINK_NOFOLLOW) ? proc_own_fd(node.host) : -1;
	if (fd >= 0 && permission_nameless(task, fd, want, &r))
		return r;
	if (node.bind || (!task->view->illusion && node.place == CORE_LOWER && !node.entry))
		return sys_call4(__NR_faccessat, AT_FDCWD, node.host, want, 0);
	if (!want)
		return 0;
	r = meta_shown(task, &node, &meta);
	if (r < 0)
		return r;
	return permission_in(task, &meta, c->fsuid, c->fsgid, want, permission_host(&node), -1) ? 0
											   : -EACCES;
}

/* By what known_path asked of the upper or a bind. */
static NOINLINE long access_asked(struct core_task *task, int found, const struct known *k, int want)
{
	const struct core_credentials *c = &task->credentials;
	char host[KNOWN_HOST_MAX];
	struct meta meta;
	long r;

	known_host(task->view, found, k, host);
	if (found == KNOWN_BOUND)
		return (want & 2) && k->bind->read_only &&
				       (IS(k->st.st_mode, S_IFREG) || IS(k->st.st_mode, S_IFDIR))
			       ? -EROFS
			       : sys_call4(__NR_faccessat, AT_FDCWD, host, want, 0);
	if (!want)
		return 0;
	r = meta_of_upper(task->view, host, -1, &k->st, &meta);
	if (r < 0)
		return r;
	return permission_in(task, &meta, c->fsuid, c->fsgid, want, host, -1) ? 0 : -EACCES;
}

/* As whom the task is for files. */
static long access_as(struct core_task *task, long nr, const long a[6], int want, int flags)
{
	const struct core_credentials *c = &task->credentials;
	int at = nr != __NR_access;
	char said[KNOWN_MAX];
	struct known k;
	int found = known_said(task, at ? (int)a[0] : AT_FDCWD, (const char *)a[at],
			       flags & AT_SYMLINK_NOFOLLOW ? 0 : KNOWN_FOLLOW, said, &k);

	if (found < 0)
		return found;
	if (known_absent(found, &k))
		return -ENOENT;
	if (found == KNOWN && !IS(k.entry->mode, S_IFLNK) && task->view->upper.length) {
		const struct meta meta = { .mode = k.entry->mode,
					   .uid = k.entry->uid,
					   .gid = k.entry->gid };

		return !want || permission_in(task, &meta, c->fsuid, c->fsgid, want, 0, -1) ? 0
											    : -EACCES;
	}
	if (found == KNOWN_UPPER || (found == KNOWN_BOUND && !IS(k.st.st_mode, S_IFLNK)))
		return access_asked(task, found, &k, want);
	return access_found(task, found, &k, said, nr, a, want, flags);
}

/*
 * The question is what the real user may, and directories on the way are searched as whom it
 * is about (access_override_creds).  Threads share the task, so that is another one.
 */
static NOINLINE long access_as_real(const struct core_task *task, long nr, const long a[6], int want,
				    int flags)
{
	struct core_task *real;
	uint64_t signals;
	long memory, r;

	signals_hold(&signals);
	memory = sys_call6(__NR_mmap, 0, sizeof(*real), 3, 0x22, -1, 0);
	if (memory < 0) {
		signals_release(&signals);
		return -ENOMEM;
	}
	real = (struct core_task *)memory;
	core_task_copy(real, task);
	real->credentials.fsuid = real->credentials.ruid;
	real->credentials.fsgid = real->credentials.rgid;
	r = access_as(real, nr, a, want, flags);
	sys_call2(__NR_munmap, memory, sizeof(*real));
	signals_release(&signals);
	return r;
}

long call_access(struct core_task *task, long nr, const long a[6])
{
	const struct core_credentials *c = &task->credentials;
	int want = (int)a[nr == __NR_access ? 1 : 2];
	int flags = nr == 439 /* faccessat2 */ ? (int)a[3] : 0;

	if ((want & ~7) || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return -EINVAL;
	if (!(flags & AT_EACCESS) && (c->ruid != c->fsuid || c->rgid != c->fsgid))
		return access_as_real(task, nr, a, want, flags);
	return access_as(task, nr, a, want, flags);
}

/* ---- readlink ------------------------------------------------------------------------------ */

static long give(struct core_task *task, const char *text, long length, long to, long size)
{
	if (size <= 0)
		return -EINVAL;
	if (length > size)
		length = size;
	if (core_fillable(task, (void *)to, (size_t)length, (size_t)size) < 0)
		return -EFAULT;
	bytes_copy((char *)to, text, (size_t)length);
	return length;
}

static long give_target(struct core_task *task, const struct lpmx_index_entry *entry, long to,
			long size)
{
	const char *target = index_bytes(task->view->index, entry->target, entry->target_length);

	return target ? give(task, target, entry->target_length, to, size) : -EIO;
}

/* As access_found. */
static NOINLINE long readlink_found(struct core_task *task, int found, const struct known *k,
				    const char *said, long nr, const long a[6])
{
	int at = nr == __NR_readlinkat;
	char path[CORE_PATH_MAX];
	struct core_node node;
	long r;

	r = said[0] ? 0 : user_path(task, (const char *)a[at], path);
	if (r < 0)
		return r;
	if (!said[0] && !path[0] && at)
		return sys_call4(nr, a[0], a[1], a[2], a[3]);
	r = path_resolve_known(task, found, k, at ? (int)a[0] : AT_FDCWD, said[0] ? said : path,
			       CORE_NOFOLLOW, &node);
	if (r < 0)
		return r;
	if (!IS(node.mode, S_IFLNK))
		return -EINVAL;
	if (node.bind) {
		r = proc_text(task, node.host, path);
		if (r)
			return r < 0 ? r : give(task, path, r, a[at + 1], (int)a[at + 2]);
	} else if (node.place == CORE_LOWER && node.entry) {
		return give_target(task, node.entry, a[at + 1], (int)a[at + 2]);
	}
	return sys_call4(__NR_readlinkat, AT_FDCWD, node.host, a[at + 1], a[at + 2]);
}

long call_readlink(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_readlinkat;
	char said[KNOWN_MAX];
	struct known k;
	int found = known_said(task, at ? (int)a[0] : AT_FDCWD, (const char *)a[at], 0, said, &k);

	if (found < 0)
		return found;
	if (known_absent(found, &k))
		return -ENOENT;
	if (found != KNOWN)
		return readlink_found(task, found, &k, said, nr, a);
	return IS(k.entry->mode, S_IFLNK)
		       ? give_target(task, k.entry, a[at + 1], (int)a[at + 2])
		       : -EINVAL;
}

/* How long the path is up to the first name that is not there; 0: that is not known. */
static uint32_t first_missing(const struct core_view *view, const struct known *k)
{
	uint32_t end = k->length, above = path_parent(k->path, end);

	if (in_bound(view, k->path, k->length))
		return 0;
	while (above && !index_find(view->index, fnv(k->path, above), k->path, above)) {
		end = above;
		above = path_parent(k->path, end);
	}
	return end;
}

long core_real_path(struct core_task *task, const char *path, char *to, size_t size)
{
	char said[KNOWN_MAX];
	struct known k;
	int found = known_said(task, AT_FDCWD, path, KNOWN_FOLLOW, said, &k);
	uint32_t length = 0;

	if (found == KNOWN || found == KNOWN_UPPER || found == KNOWN_BOUND)
		length = k.length;
	else if (found == KNOWN_NOWHERE)
		length = first_missing(task->view, &k);
	if (!length || length >= size || core_fillable(task, to, length + 1, length + 1) < 0)
		return -LPMX_NOT_READY;
	bytes_copy(to, k.path, length);
	to[length] = 0;
	return known_absent(found, &k) ? -ENOENT : (long)length;
}

/* ---- calls that hand one resolved path to the kernel ---------------------------------------- */

long call_statfs(struct core_task *task, long nr, const long a[6])
{
	const struct core_view *view = task->view;
	char host[CORE_HOST_MAX];
	struct core_node node;
	long r;

	if (nr == __NR_fstatfs) {
		if (view->upper.length && host_of_fd(view, (int)a[0], host, sizeof(host)) >= 0 &&
		    in_layer(view, host) && !in_bind(view, host))
			return sys_call2(__NR_statfs, view->upper.text, a[1]);
		return sys_call2(nr, a[0], a[1]);
	}
	r = user_resolve(task, AT_FDCWD, a[0], 0, &node);
	if (r < 0)
		return r;
	/* room and kind are those of the place that is written to */
	if (!node.bind && view->upper.length)
		return sys_call2(nr, view->upper.text, a[1]);
	/* a link that a descriptor is of is on the file system of its layer */
	r = sys_call2(nr, node.place == CORE_LOWER && IS(node.mode, S_IFLNK)
				  ? view->layers[node.layer].text
				  : node.host, a[1]);
	if (r >= 0 && node.read_only)
		((long *)a[1])[10] |= 1; /* f_flags: ST_RDONLY */
	return r;
}

/* ---- where the program is ---------------------------------------------------------------------- */

long call_chdir(struct core_task *task, long nr, const long a[6])
{
	struct core_node node;
	long r = user_resolve(task, AT_FDCWD, a[0], 0, &node);

	if (r < 0)
		return r;
	/* a link that is left is one that only the kernel can follow, or itself what is meant */
	if (!IS(node.mode, S_IFDIR) && !(node.bind && IS(node.mode, S_IFLNK)))
		return -ENOTDIR;
	r = permission(task, &node, 1);
	if (r >= 0)
		r = sys_call1(nr, node.host);
	if (r >= 0 && !node.bind)
		far_learn(node.host);
	return r;
}

long call_getcwd(struct core_task *task, long nr, const long a[6])
{
	char host[CORE_HOST_MAX], path[CORE_PATH_MAX];
	const char *text;
	size_t n;
	long r = host_of_cwd(task->view, host, sizeof(host));

	(void)nr;
	if (r < 0)
		return r;
	if (core_from_host(task->view, host, path, sizeof(path)) < 0)
		text = 0, path[0] = 0;
	else if (!in_upper(task->view, host) && in_layer(task->view, host) &&
		 !in_bind(task->view, host) && moved(task, AT_FDCWD, path, sizeof(path)) < 0)
		return -ENOENT;
	else
		text = path_below(path, task_root(task));
	/* as getcwd(2) tells of what lies outside the root */
	if (!text) {
		text_put(text_put(host, "(unreachable)"), *path ? path : "/");
		text = host;
	}
	if (!*text)
		text = "/";
	n = text_length(text) + 1;
	if (n > CORE_SAID_MAX)
		return -ENAMETOOLONG;
	if (n > (size_t)a[1])
		return -ERANGE;
	if (core_fillable(task, (void *)a[0], n, (size_t)a[1]) < 0)
		return -EFAULT;
	bytes_copy((char *)a[0], text, n);
	return (long)n;
}

long call_chroot(struct core_task *task, long nr, const long a[6])
{
	struct core_node node;
	long r = user_resolve(task, AT_FDCWD, a[0], 0, &node);

	(void)nr;
	if (r < 0)
		return r;
	if (!IS(node.mode, S_IFDIR))
		return -ENOTDIR;
	r = permission(task, &node, 1);
	if (r < 0)
		return r;
	if (!task->view->illusion || task->credentials.euid)
		return -EPERM;
	task_set_root(task, node.path);
	return 0;
}
