/* open and its kin: the only calls that give a descriptor for a path. */
#include <linux/openat2.h>

#include "internal.h"


static int writes(int flags)
{
	return !(flags & O_PATH) && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC));
}

/* The call that the program asked for, in which it may have to wait. */
static long wait_open(const char *host, int flags, int mode)
{
	long fd = sys_wait6(__NR_openat, AT_FDCWD, (long)host, flags, mode, 0, 0);

	return fd == -ENAMETOOLONG ? sys_call4(__NR_openat, AT_FDCWD, host, flags, mode) : fd;
}

/* What is none of the union's, if the kernel need not wait for it. */
static NOINLINE long open_cached(const char *host, int flags)
{
	struct open_how how = { .flags = (uint32_t)flags, .resolve = RESOLVE_CACHED_ };

	return sys_call4(__NR_openat2, AT_FDCWD, host, &how, sizeof(how));
}

/* Create a file where the view has none.  -EAGAIN: somebody made one meanwhile. */
static long create(struct core_task *task, struct core_node *node, int flags, int mode)
{
	struct meta meta = { .mode = S_IFREG | ((uint32_t)mode & 07777) };
	char host[CORE_HOST_MAX], work[CORE_HOST_MAX];
	long fd, aside, r;

	r = upper_writable(task, node);
	if (r >= 0)
		r = permission_to_change(task, node, 0);
	if (r < 0)
		return r;
	if (node->bind)
		return wait_open(node->host, flags, mode);
	r = upper_parents(task, node);
	if (r >= 0)
		r = upper_host(task->view, node->path, host);
	if (r < 0)
		return r;
	aside = meta_creation(task, host, &meta);
	if (aside < 0)
		return aside;
	upper_touch(task->view, node->hash, 0);
	if (!node->hidden && !aside) {
		fd = sys_call4(__NR_openat, AT_FDCWD, host, flags | O_EXCL | O_NOFOLLOW,
			       mode & META_REAL_BITS);
		if (fd == -EEXIST && !(flags & O_EXCL))
			return -EAGAIN;
		if (fd < 0)
			return fd;
		/* what its umask took from the owner */
		r = meta_created(task, host, (int)fd, &meta, 0);
		if (r < 0) {
			sys_call3(__NR_unlinkat, AT_FDCWD, host, 0);
			sys_call1(__NR_close, fd);
		}
		return r < 0 ? r : fd;
	}
	/* over a whiteout, or with a record: made aside, then renamed into place */
	r = upper_work_name(task->view, work);
	if (r < 0)
		return r;
	fd = sys_call4(__NR_openat, AT_FDCWD, work, flags | O_EXCL | O_NOFOLLOW,
		       mode & META_REAL_BITS);
	if (fd < 0)
		return fd;
	r = meta_created(task, work, (int)fd, &meta, host);
	if (r < 0)
		sys_call3(__NR_unlinkat, AT_FDCWD, work, 0);
	else
		r = node->hidden ? upper_place_over(task->view, work, host)
				 : upper_place(work, host);
	if (r < 0) {
		sys_call1(__NR_close, fd);
		return r == -EEXIST && !(flags & O_EXCL) ? -EAGAIN : r;
	}
	return fd;
}

/* A file that will have no name: made in the upper's directory. */
static long temporary(struct core_task *task, struct core_node *node, int flags, int mode)
{
	struct meta meta = { .mode = S_IFREG | ((uint32_t)mode & 07777) };
	char inside[CORE_HOST_MAX];
	long fd, r;

	if (!IS(node->mode, S_IFDIR))
		return -ENOTDIR;
	r = upper_writable(task, node);
	if (r >= 0)
		r = permission(task, node, 3);
	if (r >= 0)
		r = copy_up(task, node);
	if (r < 0)
		return r;
	if (node->bind)
		return wait_open(node->host, flags, mode);
	r = path_join(inside, sizeof(inside), node->host, "/");
	if (r >= 0)
		r = meta_creation(task, inside, &meta);
	if (r < 0)
		return r;
	fd = sys_call4(__NR_openat, AT_FDCWD, node->host, flags, mode & META_REAL_BITS);
	if (fd < 0)
		return fd;
	r = meta_created(task, "", (int)fd, &meta, 0);
	if (r < 0)
		sys_call1(__NR_close, fd);
	return r < 0 ? r : fd;
}

/* What every program may do with the devices that have no state: the host's own. */
static const struct {
	uint32_t major, minor;
	const char *host;
} harmless[] = {
	{ 1, 3, "/dev/null" },	 { 1, 5, "/dev/zero" }, { 1, 7, "/dev/full" }, { 1, 8, "/dev/random" },
	{ 1, 9, "/dev/urandom" }, { 5, 0, "/dev/tty" },
};

/*
 * A device that is only said to be one: 1, and *host what to open instead; -ENXIO if
 * there is nothing; 0 for everything else.
 */
static long stand_in(const struct core_task *task, const struct core_node *node, const char **host)
{
	struct meta meta;
	struct stat st;
	long r;

	if (node->place == CORE_LOWER) {
		if (!node->entry || !(IS(node->mode, S_IFCHR) || IS(node->mode, S_IFBLK)))
			return 0;
		r = meta_of_node(task, node, &st, &meta);
	} else {
		if (!IS(node->mode, S_IFREG) || !(node->mode & S_ISVTX))
			return 0;
		r = sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, AT_SYMLINK_NOFOLLOW);
		if (r < 0 || st.st_size)
			return r;
		r = meta_of_upper(task->view, node->host, -1, &st, &meta);
	}
	if (r < 0)
		return r;
	if (IS(meta.mode, S_IFREG))
		return 0;
	if (IS(meta.mode, S_IFCHR))
		for (unsigned i = 0; i < sizeof(harmless) / sizeof(*harmless); i++)
			if (harmless[i].major == meta.rdev_major &&
			    harmless[i].minor == meta.rdev_minor) {
				*host = harmless[i].host;
				return 1;
			}
	return -ENXIO;
}

/* In `how` of open_at, beside openat2's, which are the way's: do not wait for anybody. */
#define HOW_READY (1ull << 32)
#define HOW_WAY(how) ((how) & ~HOW_READY)

static int may_wait(const struct core_node *node)
{
	struct stat st;

	if (IS(node->mode, S_IFREG) || IS(node->mode, S_IFDIR))
		return 0;
	/* null, urandom and their kin, which every shell opens, do not */
	return !node->bind || !IS(node->mode, S_IFCHR) ||
	       sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, AT_SYMLINK_NOFOLLOW) ||
	       !IS(st.st_mode, S_IFCHR) || st.st_rdev >> 8 != 1;
}

/* What must be allowed to who opens it so. */
static int wanted(int flags)
{
	int want = (flags & O_ACCMODE) == O_RDONLY ? 4 : (flags & O_ACCMODE) == O_WRONLY ? 2 : 6;

	return flags & O_TRUNC ? want | 2 : want;
}

static long open_existing(struct core_task *task, struct core_node *node, int flags, int mode,
			  uint64_t how)
{
	struct meta before;
	struct stat st;
	long fd, r, dropped = 0;

	if ((how & HOW_READY) && !(flags & O_PATH) && may_wait(node))
		return -LPMX_NOT_READY;
	if ((flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if ((flags & O_CREAT) && IS(node->mode, S_IFDIR))
		return -EISDIR;
	r = flags & O_CREAT ? permission_to_create_over(task, node) : 0;
	if (r < 0)
		return r;
	if (node->bind) {
		if (writes(flags) && IS(node->mode, S_IFREG)) {
			r = upper_writable(task, node);
			if (r < 0)
				return r;
		}
		if (how & RESOLVE_CACHED_)
			return open_cached(node->host, flags);
		if (task->view->illusion && proc_magic(node->host)) {
			r = flags & O_PATH ? 0 : permission(task, node, wanted(flags));
			return r < 0 ? r : wait_open(node->host, flags & ~O_CREAT, mode);
		}
		return wait_open(node->host, flags, mode);
	}
	if (IS(node->mode, S_IFLNK) && !(flags & O_PATH))
		return flags & O_DIRECTORY ? -ENOTDIR : -ELOOP;
	/* what is not of the kind asked for must not be copied for nothing */
	if ((flags & O_DIRECTORY) && !IS(node->mode, S_IFDIR))
		return -ENOTDIR;
	if (!(flags & O_PATH)) {
		if (IS(node->mode, S_IFDIR) && writes(flags))
			return -EISDIR;
		r = permission(task, node, wanted(flags));
		if (r >= 0 && (flags & O_NOATIME))
			r = permission_of_owner(task, node);
		if (r < 0)
			return r;
	}
	if (!(flags & O_PATH) && (writes(flags) ? IS(node->mode, S_IFREG) || IS(node->mode, S_IFIFO)
						: IS(node->mode, S_IFIFO))) {
		r = upper_writable(task, node);
		if (r >= 0 && node->place == CORE_LOWER && (flags & O_TRUNC) &&
		    IS(node->mode, S_IFREG)) {
			r = copy_up_truncated(task, node, flags);
			if (r >= 0)
				permission_drop(task, node, &before);
			if (r != -EAGAIN)
				return r;
			r = 0;
		}
		if (r >= 0)
			r = copy_up(task, node);
		if (r >= 0 && (flags & O_TRUNC))
			r = dropped = permission_drop(task, node, &before);
		if (r < 0)
			return r;
	}
	if (IS(node->mode, S_IFSOCK) && !(flags & O_PATH))
		return -ENXIO;
	if (!(flags & O_PATH)) {
		const char *host = 0;

		r = stand_in(task, node, &host);
		if (r)
			return r < 0 ? r
				     : wait_open(host, flags & ~(O_CREAT | O_TRUNC | O_NOATIME), 0);
	}
	flags = (flags & ~O_CREAT) | O_NOFOLLOW;
	fd = IS(node->mode, S_IFIFO) ? wait_open(node->host, flags, mode)
				     : sys_call4(__NR_openat, AT_FDCWD, node->host, flags, mode);
	if (fd < 0 && dropped > 0)
		meta_store(task->view, node->host, -1, &before);
	if (fd >= 0 && IS(node->mode, S_IFDIR)) {
		far_learn(node->host);
		dir_opened((int)fd);
	}
	/* what is written is to last at once, and so must the name that it is under */
	if (fd >= 0 && (flags & O_DSYNC) && writes(flags) && node->place == CORE_UPPER) {
		r = sync_names(task->view, node->host);
		if (r < 0) {
			sys_call1(__NR_close, fd);
			return r;
		}
	}
	/* most programs ask next what they have opened */
	if (fd >= 0 && node->place == CORE_LOWER && node->entry && !sys_call2(__NR_fstat, fd, &st))
		object_learn(task->view, &st, node->entry);
	return fd;
}

/* Flags that change nothing of what is done with a file that is read. */
#define READING                                                                                    \
	(O_NOCTTY | O_APPEND | O_NONBLOCK | O_SYNC | 020000 /* FASYNC */ | 0100000 /* O_LARGEFILE */ | \
	 O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* A bound object that an open need not wait for: not by what may_wait would ask again. */
static int is_ready(const struct stat *st)
{
	return IS(st->st_mode, S_IFREG) || IS(st->st_mode, S_IFDIR) ||
	       (IS(st->st_mode, S_IFCHR) && st->st_rdev >> 8 == 1);
}

/*
 * The same by one name in the program's own directory, which is shorter for the kernel: -EAGAIN
 * unless the file of the layers is what was opened.  Another thread may have put another
 * directory there meanwhile; then the file tells that it is not the one.
 */
static NOINLINE long open_inside(const struct core_task *task, const struct known *k, int dirfd,
				 int flags, int mode)
{
	const struct core_view *view = task->view;
	const struct lpmx_index_entry *entry = k->entry;
	struct stat st;
	long fd = sys_call4(__NR_openat, dirfd, k->path + k->base + 1, flags | O_NOFOLLOW, mode);

	if (fd < 0)
		return -EAGAIN;
	if (!sys_call2(__NR_fstat, fd, &st) && IS(st.st_mode, S_IFREG) && st.st_mode & S_ISVTX &&
	    (uint64_t)st.st_size == entry->size &&
	    (int64_t)(st.st_mtime * 1000000000 + st.st_mtime_nsec) == entry->mtime_ns) {
		object_learn(view, &st, entry);
		return fd;
	}
	sys_call1(__NR_close, fd);
	return -EAGAIN;
}

/* Open what is only read, where that is all there is to do.  Not `answered`: go the long way. */
static NOINLINE long open_known(struct core_task *task, int found, const struct known *k, int dirfd,
				int flags, int mode, uint64_t how, int *answered)
{
	const struct core_view *view = task->view;
	uint32_t type = found == KNOWN ? k->entry->mode : k->st.st_mode;
	char host[KNOWN_HOST_MAX];
	struct stat st;
	long fd;

	if (found == KNOWN_BOUND) {
		if (IS(type, S_IFLNK) || ((how & HOW_READY) && !is_ready(&k->st)))
			return -EAGAIN;
		known_host(view, found, k, host);
		*answered = 1;
		return wait_open(host, flags, mode);
	}
	if (!(IS(type, S_IFREG) && !(flags & O_DIRECTORY)) && !IS(type, S_IFDIR))
		return -EAGAIN;
	if (found == KNOWN_UPPER) {
		/* it may have a record */
		if (task->credentials.fsuid || (IS(type, S_IFREG) && type & S_ISVTX))
			return -EAGAIN;
		known_host(view, found, k, host);
	} else {
		if (view->layers[k->entry->layer].length + k->length + 1 >= sizeof(host) ||
		    permission_of_entry(task, k->entry, 4) < 0)
			return -EAGAIN;
		if (k->directory && k->directory->layer == k->entry->layer && IS(type, S_IFREG)) {
			fd = open_inside(task, k, dirfd, flags, mode);
			*answered = fd >= 0;
			if (fd >= 0)
				return fd;
		}
		layer_host(view, k->entry->layer, k->path, k->length, host);
	}
	fd = sys_call4(__NR_openat, AT_FDCWD, host, flags | O_NOFOLLOW, mode);
	*answered = fd >= 0;
	if (fd < 0)
		return fd;
	if (IS(type, S_IFDIR))
		dir_opened((int)fd);
	/* most programs ask next what they have opened */
	if (found == KNOWN && !sys_call2(__NR_fstat, fd, &st))
		object_learn(view, &st, k->entry);
	return fd;
}

/* `said`: the path, for which known_path found `found`; or "", if it is long or empty. */
static NOINLINE long open_found(struct core_task *task, int found, const struct known *k,
				const char *said, int dirfd, const char *user, int flags, int mode,
				uint64_t how)
{
	int nofollow = (flags & O_NOFOLLOW) || ((flags & O_CREAT) && (flags & O_EXCL));
	const char *path = said;
	char far[CORE_SAID_MAX];
	struct core_node node;
	long length, r;

	if (!said[0]) {
		r = user_path(task, user, far);
		if (r < 0)
			return r;
		path = far;
	}
	length = (long)text_length(path);
	if ((flags & O_CREAT) && length && path[length - 1] == '/') {
		/* no file has such a name, whatever is there */
		r = path_resolve(task, dirfd, path, CORE_ENTRY | CORE_MAY_BE_ABSENT, HOW_WAY(how),
				 &node);
		return r < 0                                             ? r
		       : (flags & O_EXCL) && node.last == CORE_LAST_ROOT ? -EEXIST
									  : -EISDIR;
	}
	for (int tries = 0;; tries++) {
		int resolve = (nofollow ? CORE_NOFOLLOW : 0) |
			      (flags & O_CREAT ? CORE_MAY_BE_ABSENT : 0);

		r = !tries && said[0] && !HOW_WAY(how)
			    ? path_resolve_known(task, found, k, dirfd, path, resolve, &node)
			    : path_resolve(task, dirfd, path, resolve, HOW_WAY(how), &node);
		if (r < 0)
			return r;
		if ((flags & O_TMPFILE) == O_TMPFILE)
			return temporary(task, &node, flags, mode);
		if (node.place == CORE_ABSENT) {
			r = create(task, &node, flags, mode);
			if (r != -EAGAIN || tries == TRIES)
				return r;
		} else {
			r = open_existing(task, &node, flags, mode, how);
			/* replaced by a link, or removed, since it was looked at; or a
			 * whiteout stands where a directory was on the way? */
			if (node.bind || tries == TRIES ||
			    !((r == -ELOOP && !nofollow && !IS(node.mode, S_IFLNK)) || (r == -ENOENT && flags & O_CREAT) ||
			      (r == -ENXIO && node.place == CORE_UPPER && tries < 2) ||
			      (r == -ENOTDIR && !(flags & O_DIRECTORY))))
				return r;
		}
	}
}

static long open_at(struct core_task *task, int dirfd, const char *user, int flags, int mode,
		    uint64_t how)
{
	char said[KNOWN_MAX];
	struct known k;
	int nofollow, found, answered = 0;
	long r;

	if (flags & O_PATH) {
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	} else if ((flags & O_TMPFILE) == O_TMPFILE) {
		if ((flags & O_CREAT) || (flags & O_ACCMODE) == O_RDONLY)
			return -EINVAL;
	} else if ((flags & O_CREAT) && (flags & O_DIRECTORY)) {
		return -EINVAL;
	}
	nofollow = (flags & O_NOFOLLOW) || ((flags & O_CREAT) && (flags & O_EXCL));
	said[0] = 0;
	found = KNOWN_NOT;
	if (!HOW_WAY(how)) {
		found = known_said(task, dirfd, user, nofollow ? 0 : KNOWN_FOLLOW, said, &k);
		if (found < 0)
			return found;
		if (!(flags & O_CREAT) && known_absent(found, &k))
			return -ENOENT;
		/* nothing but plain reading: no O_CREAT, O_TRUNC, O_TMPFILE, O_PATH */
		if (!(flags & ~READING) &&
		    (found == KNOWN || found == KNOWN_UPPER || found == KNOWN_BOUND)) {
			r = open_known(task, found, &k, dirfd, flags, mode, how, &answered);
			if (answered)
				return r;
		}
	}
	return open_found(task, found, &k, said, dirfd, user, flags, mode, how);
}

#define TMPFILE_ (O_TMPFILE & ~O_DIRECTORY)
#define HOW_FLAGS                                                                                  \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC |      \
	 O_DSYNC | 020000 /* FASYNC */ | O_DIRECT | 0100000 /* O_LARGEFILE */ | O_DIRECTORY |      \
	 O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE)
#define HOW_RESOLVE                                                                                \
	(RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH |         \
	 RESOLVE_IN_ROOT | RESOLVE_CACHED_)

/* openat2: as open_at, but nothing that it does not know is let pass. */
static long open_how(struct core_task *task, const long a[6])
{
	struct open_how how;

	if ((size_t)a[3] < sizeof(how))
		return -EINVAL;
	if ((size_t)a[3] > 4096)
		return -E2BIG;
	if (user_probe(task, (void *)a[2]) < 0 || user_probe(task, (char *)a[2] + sizeof(how) - 1) < 0)
		return -EFAULT;
	bytes_copy(&how, (void *)a[2], sizeof(how));
	for (size_t i = sizeof(how); i < (size_t)a[3]; i++) {
		if (!(i & 7) && user_probe(task, (char *)a[2] + i) < 0)
			return -EFAULT;
		if (((char *)a[2])[i])
			return -E2BIG;
	}
	if ((how.flags & ~(uint64_t)HOW_FLAGS) || (how.resolve & ~(uint64_t)HOW_RESOLVE) ||
	    (how.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) ==
		    (RESOLVE_BENEATH | RESOLVE_IN_ROOT))
		return -EINVAL;
	if (how.flags & O_CREAT || (how.flags & O_TMPFILE) == O_TMPFILE) {
		if (how.mode & ~07777ull)
			return -EINVAL;
	} else if (how.mode) {
		return -EINVAL;
	}
	if ((how.flags & O_PATH) &&
	    (how.flags & ~(uint64_t)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)))
		return -EINVAL;
	/* what would change something is not tried; the rest is answered from memory */
	if (how.resolve & RESOLVE_CACHED_ && how.flags & (O_TRUNC | O_CREAT | TMPFILE_))
		return -EAGAIN;
	return open_at(task, (int)a[0], (const char *)a[1], (int)how.flags, (int)how.mode, how.resolve);
}

long call_open(struct core_task *task, long nr, const long a[6])
{
	switch (nr) {
	case __NR_open:
		return open_at(task, AT_FDCWD, (const char *)a[0], (int)a[1], (int)a[2], 0);
	case __NR_creat:
		return open_at(task, AT_FDCWD, (const char *)a[0], O_CREAT | O_WRONLY | O_TRUNC,
			       (int)a[1], 0);
	case __NR_openat:
		return open_at(task, (int)a[0], (const char *)a[1], (int)a[2], (int)a[3],
			       0);
	default:
		return open_how(task, a);
	}
}

long core_open_ready(struct core_task *task, int dirfd, const char *path, int flags, int mode)
{
	return task->view->kind == CORE_VIEW_HOST
		       ? -LPMX_NOT_READY
		       : open_at(task, dirfd, path, flags, mode, HOW_READY);
}
