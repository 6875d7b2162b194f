/*
 * What the files of the core share with each other and with nobody else.
 *
 * Vocabulary: `path` is a canonical path of the view ("" is its root, no
 * trailing slash, no symlink, "." or ".." in it); `host` is what the kernel is
 * given.  Every function returns >= 0 or -errno and leaves the view unchanged
 * when it fails, unless it says otherwise.
 */
#ifndef LPMX_CORE_INTERNAL_H
#define LPMX_CORE_INTERNAL_H

#include <asm/stat.h>
#include <asm-generic/errno.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "../sys/sys.h"
#include "lpmx_core.h"
#include "text.h"

/*
 * A call of the core's own is made again when a signal came between: a plain file system
 * never answers EINTR, and one that can (FUSE, NFS) must not do so in the middle of a
 * copy-up.  Not so close(), whose descriptor is gone by then.  What the program itself may
 * have to wait in is made by sys_wait6.
 */
static inline long sys_wait6(long nr, long a, long b, long c, long d, long e, long f)
{
	return sys_call6(nr, a, b, c, d, e, f);
}

static inline long sys_own6(long nr, long a, long b, long c, long d, long e, long f)
{
	long r;

	do
		r = sys_wait6(nr, a, b, c, d, e, f);
	while (r == -EINTR && nr != __NR_close);
	return r;
}
#undef sys_call6
#define sys_call6 sys_own6

#include "far.h"

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

/* <linux/stat.h> leaves these to a libc where it finds one. */
#ifndef S_IFMT
#define S_IFMT 00170000
#define S_IFSOCK 0140000
#define S_IFLNK 0120000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000
#define S_ISUID 0004000
#define S_ISGID 0002000
#define S_ISVTX 0001000
#define S_IXGRP 00010
#endif

/* Of openat2, since Linux 5.12. */
#define RESOLVE_CACHED_ 0x20u

/* As linux/stat.h has them by now. */
#define STATX_MNT_ID_ 0x1000u
#define STATX_MNT_ID_UNIQUE_ 0x4000u
#define STATX_ATTR_MOUNT_ROOT_ 0x2000u

static inline uint64_t *statx_mount(struct statx *x)
{
	return (uint64_t *)((char *)x + 0x90);
}

/* How often to look again when others change what was looked at. */
#define TRIES 100

#define HIDDEN __attribute__((visibility("hidden")))
/* Keeps large frames out of functions that call themselves. */
#define NOINLINE __attribute__((noinline))

#define IS(mode, type) (((mode) & S_IFMT) == (type))

/* Do both tell of one object? */
static inline int same_object(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* As linux/fs.h and linux/falloc.h have them; those headers clash with libc's. */
#define RENAME_NOREPLACE_ 1u
#define RENAME_EXCHANGE_ 2u
#define RENAME_WHITEOUT_ 4u

/* "No" of an attribute that cannot be read is no answer; of one that is not there it is. */
static inline int xattr_missing(long r)
{
	return r == -ENODATA || r == -EOPNOTSUPP || r == -ERANGE || r == -ENOENT || r == -ENOTDIR ||
	       r == -EACCES || r == -EPERM || r == -EBADF;
}

/* ---- view.c ---- */

/* core_view_open; `mend`: replace a control page that is none. */
long view_open(struct core_view *view, const char *path, int mend) HIDDEN;

/* ---- control.c ---- */

/* A page that is yet to be filled from the upper. */
long control_replace(const char *path) HIDDEN;
/* Have room on the disk for `size` bytes of the heap. */
long control_room(const struct core_view *view, uint64_t at, uint64_t size) HIDDEN;

/* ---- user.c: memory of the program ---- */

/* -EFAULT unless the 8-aligned word holding `p` can be read. */
long user_probe(const struct core_task *task, const void *p) HIDDEN;
/* -EFAULT unless the `size` bytes at `p` can be written; they are undefined then. */
long user_writable(const struct core_task *task, void *p, size_t size) HIDDEN;
/* Copy a NUL-terminated text from the program: its length, -EFAULT, -ENAMETOOLONG. */
long user_text(const struct core_task *task, const char *from, char *to, size_t size) HIDDEN;
/* And a path. */
long user_path(const struct core_task *task, const char *from, char to[CORE_SAID_MAX]) HIDDEN;

/* core_resolve of a path in the program's memory. */
long user_resolve(struct core_task *task, int dirfd, long from, int flags,
		  struct core_node *node) HIDDEN;
/* With AT_EMPTY_PATH, no name at all means the directory itself. */
static inline const char *path_or_here(const char *path, int flags)
{
	return !*path && (flags & AT_EMPTY_PATH) ? "." : path;
}

/* ---- index.c ---- */

long index_map(const char *path, const struct lpmx_index_header **index) HIDDEN;
const struct lpmx_index_entry *index_find(const struct lpmx_index_header *index, uint64_t hash,
					  const char *path, uint32_t length) HIDDEN;
/* Among those only that each start looks for. */
const struct lpmx_index_entry *index_find_near(const struct lpmx_index_header *index, uint64_t hash,
					       const char *path, uint32_t length) HIDDEN;
/* The path of an entry, and its last name; "" of a damaged one. */
const char *index_path(const struct lpmx_index_header *index,
		       const struct lpmx_index_entry *entry) HIDDEN;
const char *index_name(const struct lpmx_index_header *index,
		       const struct lpmx_index_entry *entry) HIDDEN;
/* `length` bytes of the strings, and one more: NULL if there are not that many. */
const char *index_bytes(const struct lpmx_index_header *index, uint32_t offset,
			uint32_t length) HIDDEN;
/* The next name of a file with several, after `last` (NULL: the first). */
const struct lpmx_index_entry *index_link(const struct lpmx_index_header *index, uint32_t group,
					  const struct lpmx_index_entry *last) HIDDEN;
/* The directory that an entry is in; NULL: it is damaged. */
const struct lpmx_index_entry *index_parent(const struct lpmx_index_header *index,
					    const struct lpmx_index_entry *entry) HIDDEN;
/* Child `n` of a directory, in cookie order. */
const struct lpmx_index_entry *index_child(const struct lpmx_index_header *index,
					   const struct lpmx_index_entry *directory,
					   uint32_t n) HIDDEN;

/* ---- known.c ---- */

/* Paths that the quick way has room for; and on the host. */
#define KNOWN_MAX 512
#define KNOWN_HOST_MAX 1024

/* A path whose names are plain: no bind, no ".", nothing special in the upper. */
struct known_names {
	uint64_t hash, above;       /* of the whole path, and of its directory */
	uint32_t at;                /* where the directory's path ends */
	int touched, touched_above; /* whether they may be in the upper */
	int unsure;                 /* a directory that was to be checked is not there */
	/* why they are not: this is bound at the first `end` bytes */
	const struct core_bind *bind;
	uint32_t end;
};

/* Of directories to be checked: none. */
#define UNCHECKED ~0u

/* At the root. */
void known_begin(const struct core_view *view, struct known_names *n) HIDDEN;
/* Go on from the beginning that `n` knows: 1, or 0 if some name is not plain, or this user may
 * perhaps not search a directory for one that begins at `checked` or later. */
int known_names(const struct core_task *task, const char *path, uint32_t length, uint32_t checked,
		struct known_names *n) HIDDEN;
/* Is something bound at `path`, or above it? */
int in_bound(const struct core_view *view, const char *path, uint32_t length) HIDDEN;
/* May this user plainly search the directory at the first `length` bytes of `path`? */
int is_passable(const struct core_task *task, const char *path, uint32_t length, uint64_t hash,
		int touched) HIDDEN;

enum {
	KNOWN_NOT,
	KNOWN,         /* this is it, or `entry` NULL: nothing, in a directory that is there */
	KNOWN_UPPER,   /* an object of the upper, with this `st` */
	KNOWN_BOUND,   /* one below `bind` */
	KNOWN_NOWHERE, /* nothing, nor the directory for it */
	KNOWN_EMPTY,   /* of known_said: there is nothing in the path */
};

struct known {
	const struct lpmx_index_entry *entry;
	const struct core_bind *bind;
	/* the directory that a relative path begins in, where the layers have it and the path is
	 * one name; else NULL */
	const struct lpmx_index_entry *directory;
	uint64_t hash;
	uint32_t length;
	/* for who goes the long way: how much of `path` is the directory that a
	 * relative one begins in, if that was found; and whether it was looked for at all */
	uint32_t base;
	int based, tried;
	struct stat st;
	char path[KNOWN_MAX]; /* canonical */
};

#define KNOWN_FOLLOW 1    /* a link in the last place, too */
#define KNOWN_CANONICAL 2 /* the path is from the view's real root, and nothing is checked or followed */

/* What the index can tell of a path: one of the above. */
int known_path(const struct core_task *task, int dirfd, const char *path, int flags,
	       struct known *k) HIDDEN;

/* Is it known that nothing is there? */
static inline int known_absent(int found, const struct known *k)
{
	return found == KNOWN_NOWHERE || (found == KNOWN && !k->entry) ||
	       (found == KNOWN_BOUND && !k->st.st_mode);
}
/* Where what is of the upper or below a bind is on the host. */
void known_host(const struct core_view *view, int found, const struct known *k,
		char host[KNOWN_HOST_MAX]) HIDDEN;

/*
 * The quick way of a call for a path in the program's memory: one of KNOWN_*, or -EFAULT.  The
 * path is in said[KNOWN_MAX], or that is "": it is long, or there is nothing in it.
 */
int known_said(const struct core_task *task, int dirfd, const char *user, int flags, char *said,
	       struct known *k) HIDDEN;

/* ---- path.c ---- */

/* What is bound at a path itself; NULL: nothing. */
const struct core_bind *bind_exact(const struct core_view *view, const char *path, uint32_t length,
				   uint64_t hash) HIDDEN;
/* /.lpmx itself */
static inline int is_prefix_directory(const char *path, uint32_t length)
{
	return length == sizeof(LPMX_PREFIX) - 1 && text_same(path, LPMX_PREFIX, length);
}
/* Is this host path in the tree of the layer that the entry is of?  Of a directory in several
 * layers that is one. */
int is_in_layer_of(const struct core_view *view, const char *host,
		   const struct lpmx_index_entry *entry) HIDDEN;
/* Is this host path a layer's, and shown as such? */
int is_lower(const struct core_view *view, const char *host) HIDDEN;
/* The emulated root of the process. */
const char *task_root(const struct core_task *task) HIDDEN;
void task_set_root(struct core_task *task, const char *path) HIDDEN;
/* `path`, or what of it is below the root. */
const char *task_below_root(const struct core_task *task, const char *path) HIDDEN;
/* Put `a` and `b` one after the other; -ENAMETOOLONG if that does not fit. */
long path_join(char *to, size_t size, const char *a, const char *b) HIDDEN;
/* core_resolve, under the rules of openat2: `how` is RESOLVE_* or 0. */
long path_resolve(struct core_task *task, int dirfd, const char *path, int flags, uint64_t how,
		  struct core_node *node) HIDDEN;
/* core_resolve of what was looked for by known_path: `found` is what that said. */
long path_resolve_known(struct core_task *task, int found, const struct known *k, int dirfd,
			const char *path, int flags, struct core_node *node) HIDDEN;
/* The node of a canonical path, nothing followed.  -ENOENT only for bad parents. */
long path_node(struct core_task *task, const char *path, struct core_node *node) HIDDEN;
/* The view's path of a descriptor (AT_FDCWD: the working directory). */
long path_of_fd(struct core_task *task, int fd, char *path, size_t size) HIDDEN;
/* The object of the merged lower layers at `path`, into *node (place, mode,
 * layer, entry, host); 1 if there is one, 0 if not. */
long lower_find(const struct core_view *view, const char *path, uint32_t length, uint64_t hash,
	       struct core_node *node) HIDDEN;
/*
 * Is `path` in this layer's own tree?  Sets `host` and *st; LAYER_HIDES: no, and something
 * there that is no directory hides what the layers below have.  For live layers.
 */
#define LAYER_HIDES 2
long layer_find(const struct core_view *view, uint32_t layer, const char *path, uint32_t length,
		char *host, struct stat *st) HIDDEN;
/* Write the host path of `path` in a layer. */
void layer_host(const struct core_view *view, uint32_t layer, const char *path, uint32_t length,
		char *host) HIDDEN;
/* The length of the parent's path; 0 for a name in the root. */
uint32_t path_parent(const char *path, uint32_t length) HIDDEN;
/* What comes behind `above` in a path that is it or lies below it; NULL for any other. */
const char *path_below(const char *path, const char *above) HIDDEN;
/* Is this host path the upper, or in it?  Then what comes behind the upper's path. */
const char *in_upper(const struct core_view *view, const char *host) HIDDEN;
/* In the work directory, where what is removed is put aside: it is no less the upper's. */
int in_work(const struct core_view *view, const char *host) HIDDEN;
/* Is it in what a bind shows? */
int in_bind(const struct core_view *view, const char *host) HIDDEN;
/* Is it in the tree of a layer? */
int in_layer(const struct core_view *view, const char *host) HIDDEN;
/* Write the host path of `path` in the upper. */
long upper_host(const struct core_view *view, const char *path, char host[CORE_HOST_MAX]) HIDDEN;

/* ---- far.c ---- */

/* The host path of a descriptor: its length, or -errno; -ENAMETOOLONG of a file that is
 * no layer's, for it lies deeper than the kernel tells. */
long host_of_fd(const struct core_view *view, int fd, char *host, size_t size) HIDDEN;
/* Of the working directory. */
long host_of_cwd(const struct core_view *view, char *host, size_t size) HIDDEN;
/* Of what a link of /proc leads to. */
long host_of_link(const struct core_view *view, const char *link, char *host, size_t size) HIDDEN;
/* The directory `host` was opened: it will be asked about. */
void far_learn(const char *host) HIDDEN;

/* ---- proc.c ---- */

/* Is this a link of /proc whose text is not a path to walk? */
int proc_magic(const char *host) HIDDEN;
/* Is it of this process itself, whose links lead it where they lead, whatever is on the way? */
int proc_is_own(const char *host) HIDDEN;
/* The number of this process's own descriptor whose link `host` is, or -1. */
int proc_own_fd(const char *host) HIDDEN;
/* Does it lead to a layer's object, and not to one that the view shows by another way? */
int proc_of_layer(const struct core_view *view, const char *host) HIDDEN;
/* Or to one of the upper, with a name or without. */
int proc_of_union(const struct core_view *view, const char *host) HIDDEN;
/*
 * Where exe, cwd, root and fd/N lead in the view: 1 and an absolute path ("" is the root) in
 * `to`, or PROC_SYMLINK if a symlink is there; 0 if only the kernel knows.
 */
#define PROC_SYMLINK 2
int proc_link(struct core_task *task, const char *host, char to[CORE_PATH_MAX]) HIDDEN;
/* The text that readlink of a magic link gives, or -errno; 0: the kernel's own. */
long proc_text(struct core_task *task, const char *host, char to[CORE_PATH_MAX]) HIDDEN;
/* What the private variable `name` ("NAME=") of a contained process was at its start: its
 * length, or -errno of one that is in no container, or out of reach. */
long proc_private(long pid, const char *name, char to[CORE_PATH_MAX]) HIDDEN;

/* ---- upper.c ---- */

/* Is this name, or anything that decides about it, perhaps in the upper? */
int upper_touched(const struct core_view *view, uint64_t hash) HIDDEN;
int upper_special(const struct core_view *view, uint64_t hash) HIDDEN;
/* Say so before it becomes true. */
void upper_touch(const struct core_view *view, uint64_t hash, int special) HIDDEN;
/* May there be a user who may not search the upper directory?  Said before it becomes true, by
 * the mode that shows; the second of an object with its real stat. */
int upper_closed(const struct core_view *view, uint64_t hash) HIDDEN;
void upper_close(const struct core_view *view, uint64_t hash, uint32_t mode) HIDDEN;
void upper_close_as(const struct core_view *view, const char *host, const struct stat *st,
		    uint64_t hash) HIDDEN;
/* -EROFS where the view or the bind cannot be written. */
long upper_writable(const struct core_task *task, const struct core_node *node) HIDDEN;
/* Have every directory above `node` in the upper. */
long upper_parents(struct core_task *task, const struct core_node *node) HIDDEN;
/*
 * No handler of the program runs from here to there, as none runs inside a call of the
 * kernel: one that leaves by longjmp() would leave descriptors of ours behind.
 */
void signals_hold(uint64_t *before) HIDDEN;
void signals_release(const uint64_t *before) HIDDEN;
/*
 * Keep everybody else from putting an object over a whiteout, and this thread from
 * being interrupted meanwhile.  For what the kernel has no atomic operation for, and for
 * the tables of the control page.  Never held while waiting for anything else.
 */
struct upper_lock {
	long fd;
	uint64_t signals;
};
long upper_lock(const struct core_view *view, struct upper_lock *lock) HIDDEN;
void upper_unlock(struct upper_lock *lock) HIDDEN;
/* A name in the work directory that no other process, thread or call uses. */
long upper_work_name(const struct core_view *view, char host[CORE_HOST_MAX]) HIDDEN;
/* Have the directory `host`, in the work directory, that only we may enter. */
long upper_work_directory(const char *host) HIDDEN;
/* Put the work object `from` at `to` in the upper, where nothing is (-EEXIST when
 * somebody was faster).  The work name is gone afterwards in every case.  A directory that
 * is to list an object with a record says so before. */
long upper_place(const char *from, const char *to) HIDDEN;
/* The same where a whiteout is, or was; -EEXIST if by now it is something else. */
long upper_place_over(const struct core_view *view, const char *from, const char *to) HIDDEN;
/* Under the lock: is still there what `node` was found to be?  -EAGAIN: look again. */
long upper_still(const struct core_view *view, const struct core_node *node) HIDDEN;
/* Under the lock: put a whiteout where the directory `host` is, which shows nothing.  -ENOTEMPTY, and
 * nothing changed, if by now it does; `whiteout` 0: leave nothing in its place. */
long upper_remove_directory(const struct core_view *view, const char *host, int whiteout) HIDDEN;
/* Under the lock: have no whiteout in the directory `host`, in which nothing shows. */
long upper_clear_directory(char *host) HIDDEN;
/* Mark all names below `path` as touched that are in the tree at `host`: what
 * `path` is, or is about to become. */
long upper_touch_tree(const struct core_view *view, const char *host, const char *path) HIDDEN;
/* Remove a tree from the work directory. */
long upper_discard(const char *host) HIDDEN;

/* ---- pile.c ---- */

struct pile {
	char *text; /* paths, each with its NUL */
	size_t size, used, at;
};

/* Begin with a zeroed one.  A path is at most CORE_HOST_MAX with its NUL. */
long pile_add(struct pile *pile, const char *path) HIDDEN;
/* The paths in the order in which they came: 1 and a copy, 0 when all were given. */
long pile_next(struct pile *pile, char *path) HIDDEN;
/* Take the last one off: 1 and a copy, 0 if there is none. */
long pile_back(struct pile *pile, char *path) HIDDEN;
void pile_free(struct pile *pile) HIDDEN;

/* Where in the upper the object is that was copied up with this number: 1, or 0 if
 * nowhere.  Walks all of it: for what cannot be told otherwise, and is rare. */
long upper_find(const struct core_view *view, uint64_t number, char host[CORE_HOST_MAX]) HIDDEN;

/* ---- whiteout.c ---- */

/* 1, 0, or -errno if that cannot be told. */
long whiteout_is(const char *host, const struct stat *st) HIDDEN;
/* A whiteout at the work name `host`; `final` is where it will be. */
long whiteout_make(const char *host, const char *final) HIDDEN;
/* Under the lock: hide `node`'s name; whatever the upper has there is replaced by a whiteout. */
long whiteout_put(struct core_task *task, const struct core_node *node) HIDDEN;
/* 1, 0, or -errno if that cannot be told. */
long opaque_is(const char *host) HIDDEN;
long opaque_set(const char *host) HIDDEN;

/* ---- copyup.c ---- */

/* Have `node` in the upper (parents too); afterwards it is CORE_UPPER.
 * A directory comes without its children. */
long copy_up(struct core_task *task, struct core_node *node) HIDDEN;
/* Let the upper's own directory be shown as the root that the layers have. */
long copy_up_root(struct core_task *task) HIDDEN;
/*
 * The same for a file that is opened with O_TRUNC: its content is left out.  The descriptor,
 * so that the old content goes only when nothing can fail any more; -EAGAIN if somebody
 * else has copied it up meanwhile, and it is to be opened as any other.
 */
long copy_up_truncated(struct core_task *task, struct core_node *node, int flags) HIDDEN;
/*
 * The file behind `fd` was copied up for a change by this very descriptor: let it be one
 * of the copy, so that the program sees what it changes.  Others keep the old one.
 */
long copy_up_descriptor(int fd, const char *host) HIDDEN;
/* Have a directory in the upper with all that shows in it, and opaque. */
long copy_up_tree(struct core_task *task, struct core_node *node) HIDDEN;

/* ---- meta.c ---- */

struct meta {
	uint32_t uid, gid, mode; /* mode with type */
	uint32_t rdev_major, rdev_minor;
	uint32_t links;          /* st_nlink, or 0: the real one */
	uint64_t inode;          /* st_ino, or 0: the real one */
};

/*
 * The device and inode number that a view shows for a real pair.  All of the union
 * is one device; numbers that come from another one are changed, so that no two
 * files get the same.  A function of the pair and the view alone: stat, fstat and
 * readdir agree, whichever way they came to the file.
 */
uint64_t identity_inode(const struct core_view *view, uint64_t device, uint64_t inode) HIDDEN;
uint64_t identity_device(const struct core_view *view, uint64_t device) HIDDEN;

/* What the upper object at `host` (or `fd` >= 0) is shown as, given its real stat.  With
 * -errno *meta is what shows without the record that could not be read. */
long meta_of_upper(const struct core_view *view, const char *host, int fd, const struct stat *st,
		   struct meta *meta) HIDDEN;
/* The number that a marked upper object keeps, or 0. */
uint64_t meta_inode(const char *host) HIDDEN;
/* Can this object of the upper have an inode number other than the real one? */
int meta_marked(const struct core_view *view, uint32_t mode) HIDDEN;
long meta_of_node(const struct core_task *task, const struct core_node *node,
		  const struct stat *st, struct meta *meta) HIDDEN;
/* Make the upper object be shown as `meta`; an inode number in it is recorded. */
long meta_store(const struct core_view *view, const char *host, int fd, const struct meta *meta) HIDDEN;
/* The bits of a creation's mode that may be on disk. */
#define META_REAL_BITS 0777
/*
 * The owner of what is to be made in the directory that `place` is in, into *as, which has
 * the mode that was asked for and a device's numbers; a set-group-ID directory hands its
 * group down.  1 if that takes a record, so that the object is to be made aside; or 0.
 */
long meta_creation(const struct core_task *task, const char *place, struct meta *as) HIDDEN;
/* Give what was just made so at `host` (or `fd` >= 0) that owner and mode, less the umask.
 * `place`: where it will be, if it was made aside; else NULL. */
long meta_created(const struct core_task *task, const char *host, int fd, const struct meta *as,
		  const char *place) HIDDEN;
/* Say that the directory of the upper object `host` lists an object with a record. */
long meta_mark_parent(const char *host) HIDDEN;
/* The same of what is below a bind. */
void meta_of_bound(const struct core_task *task, const struct stat *st, struct meta *meta) HIDDEN;
/* What the object that was found at `node` is shown as. */
long meta_shown(const struct core_task *task, const struct core_node *node,
		struct meta *meta) HIDDEN;
/* What the object at a canonical path is shown as. */
long meta_of_path(struct core_task *task, const char *path, struct meta *meta) HIDDEN;

/* ---- permission.c ---- */

/* Must directories on the way be looked at?  Not for root, to whom none is closed. */
int permission_is_checked(const struct core_task *task) HIDDEN;
/* May this user do what the bits of `want` say (4 read, 2 write, 1 execute or search)?  The
 * object is at `host` (or `fd` >= 0); NULL: in a tree of the store, where it has no list. */
int permission_in(const struct core_task *task, const struct meta *meta, uint32_t uid, uint32_t gid,
		  int want, const char *host, int fd) HIDDEN;
/* Is the program's user in this group? */
int permission_in_group(const struct core_task *task, uint32_t gid) HIDDEN;
/* May the program do what only the owner may? */
int permission_is_owner(const struct core_task *task, const struct meta *meta) HIDDEN;
/* The same of a node: 0, or -EACCES and -EPERM.  Of binds the kernel decides, but not of what a
 * link of a descriptor there leads to. */
long permission(struct core_task *task, const struct core_node *node, int want) HIDDEN;
/* And of a canonical path: nothing there is -ENOENT. */
long permission_of_path(struct core_task *task, const char *path, int want) HIDDEN;
/* Where the access list of the node would be; NULL: nowhere. */
const char *permission_host(const struct core_node *node) HIDDEN;
/* May it search a directory of the layers? */
int permission_to_pass(const struct core_task *task, const struct lpmx_index_entry *entry) HIDDEN;
/* The same as permission() of what the layers have. */
long permission_of_entry(const struct core_task *task, const struct lpmx_index_entry *entry,
			 int want) HIDDEN;
/* May it search a directory?  Asked on every way, so without a system call where possible. */
long permission_to_search(struct core_task *task, const struct core_node *node) HIDDEN;
long permission_of_owner(struct core_task *task, const struct core_node *node) HIDDEN;
/* And of an open object of the upper; or may it give that another name? */
#define PERMISSION_OWNER 8
#define PERMISSION_LINK 16
long permission_fd(struct core_task *task, const char *host, int fd, int want) HIDDEN;
/* And of an open file of the union that has no name to be found by: 1 if *r is the answer. */
int permission_nameless(struct core_task *task, int fd, int want, long *r) HIDDEN;
/* May the program change `node`'s directory, and take the name away if it is a `victim`? */
long permission_to_change(struct core_task *task, const struct core_node *node, int victim) HIDDEN;
long permission_to_link(struct core_task *task, const struct core_node *node) HIDDEN;
/* May it open `node`, which is there, with O_CREAT? */
long permission_to_create_over(struct core_task *task, const struct core_node *node) HIDDEN;
long permission_to_give(const struct core_task *task, struct meta *meta,
			const struct meta *to) HIDDEN;
uint32_t permission_mode(const struct core_task *task, const struct meta *meta,
			 uint32_t wanted) HIDDEN;
/* The mode that a new object may have in the directory that is shown as `above`. */
uint32_t permission_new_mode(const struct core_task *task, const struct meta *above,
			     uint32_t wanted) HIDDEN;
/* Who is not root and cuts a file of the upper takes its set-user-ID and set-group-ID bits: 1,
 * and what it was shown as, to be given back if that fails; 0 if it has none. */
long permission_drop(struct core_task *task, const struct core_node *node, struct meta *before)
	HIDDEN;

/* ---- capability.c ---- */

/* Those of a program that starts with these ids. */
void capabilities_begin(struct core_credentials *c) HIDDEN;
/* Has it this one of linux/capability.h, now? */
int capable(const struct core_credentials *c, unsigned capability) HIDDEN;
/* How much of its user ids is root: 2 with the effective one, 1 without, 0 nothing. */
int capabilities_root(const struct core_credentials *c) HIDDEN;
/* Its user ids have changed; `before` is what the last function said. */
void capabilities_follow(struct core_credentials *c, int before) HIDDEN;

/* ---- acl.c ---- */

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* Is this attribute an access control list; the one that decides about the object itself? */
int acl_is_list(const char *name) HIDDEN;
int acl_is_access(const char *name) HIDDEN;
/* Has what the program wants to set the form of one?  1 with entries, 0 without, or -errno. */
long acl_check(const struct core_task *task, const void *list, size_t size) HIDDEN;
/* May there be lists in the view? */
int acl_any(const struct core_view *view) HIDDEN;
/* Let a list that the kernel gave tell of the mode that the view shows. */
void acl_show(char *list, long size, uint32_t mode) HIDDEN;
/* The same for the list of the upper object at `host` (or `fd` >= 0): its size or -errno. */
long acl_get(const struct core_task *task, const char *host, int fd, char *list, long size) HIDDEN;
/* Set that list; the mode that shows follows. */
long acl_set(const struct core_task *task, const char *host, int fd, const void *value, long size,
	     int flags) HIDDEN;
/* It has lost that list.  As in ovl_set_or_remove_acl: set-group-ID is for members only. */
long acl_removed(const struct core_task *task, const char *host, int fd) HIDDEN;
/* Give the new object at `host` (or `fd` >= 0), which will be at `place`, what the default
 * list there says. */
long acl_inherit(const char *place, const char *host, int fd, uint32_t mode) HIDDEN;
/* Does its list, if it has one, allow that?  1, 0, or -EAGAIN of one without. */
long acl_allows(const struct core_task *task, const struct meta *meta, uint32_t uid, int want,
		const char *host, int fd) HIDDEN;
/* Say that the upper has lists, before it has one. */
void acl_announce(const struct core_view *view) HIDDEN;
/* A directory of ours: what its place hands down to whatever is made there is not the view's. */
void acl_forget(const char *host) HIDDEN;

/* ---- record.c ---- */

/* Which object, and no other that ever has the same inode number; `birth` 0: none. */
struct record_id {
	uint64_t inode, birth;
};

/* Can an object of this type carry no record itself? */
static inline int record_apart(uint32_t mode)
{
	return IS(mode, S_IFLNK) || IS(mode, S_IFIFO) || IS(mode, S_IFSOCK);
}
/* Does the container have any records that lie apart? */
int record_any(const struct core_view *view) HIDDEN;
/* Say in the control page whether it does. */
void record_find(const struct core_view *view) HIDDEN;
/* Is this name in the work directory theirs, to be kept? */
int record_is_directory(const char *name) HIDDEN;
/* The record of the upper object at `host` (or `fd` >= 0): its length, 0, or -errno. */
long record_get(const struct core_view *view, const char *host, int fd, char *text,
		size_t size) HIDDEN;
/* 1, or 0 where the file system does not allow for any. */
long record_put(const struct core_view *view, const char *host, int fd, const char *text) HIDDEN;
/* Before a name goes from the upper, and after it went: a last name takes the record along. */
void record_leaving(const struct core_view *view, const char *host, struct record_id *id) HIDDEN;
void record_gone(const struct core_view *view, const struct record_id *id) HIDDEN;

/* ---- target.c ---- */

enum target {
	TARGET_NONE,       /* nothing: the object has no name, nobody can see a change */
	TARGET_NAME,       /* `node`; target_lift comes before the change */
	TARGET_DESCRIPTOR, /* the descriptor itself, which is of the upper; its name is node->host */
	TARGET_KERNEL,     /* the descriptor itself, which is none of the union's */
};

/*
 * What a call on `fd` that changes owner, mode, times or attributes is to be made on: an
 * enum target or -errno.  `handle`: descriptors made with O_PATH will do.
 */
long target_of_fd(struct core_task *task, int fd, int handle, struct core_node *node) HIDDEN;
/* Have it in the upper, and let the descriptor be one of the copy. */
long target_lift(struct core_task *task, int fd, struct core_node *node) HIDDEN;

/* ---- socket.c, peer.c ---- */

#define SOCKET_NAME_MAX 108
/* In the work directory: what the programs called the sockets that have other names. */
#define SOCKET_NAMES "/names"

struct socket_address {
	uint16_t family;
	char path[SOCKET_NAME_MAX + 1];
};

/* struct msghdr and struct mmsghdr */
struct socket_message {
	void *name;
	unsigned name_size, padding;
	void *parts;
	size_t part_count;
	void *control;
	size_t control_size;
	unsigned flags, padding2;
};

struct socket_messages {
	struct socket_message message;
	unsigned length, padding;
};

/* Put the kernel's ids in the place of the view's in what a message says of its sender;
 * 1 if there was any. */
long peer_send(struct core_task *task, char *control, size_t size) HIDDEN;

/* ---- object.c ---- */

/* A device number of two parts as stat has it. */
uint64_t object_device(uint32_t major, uint32_t minor) HIDDEN;
/* The inode number of a lower object. */
uint64_t object_number(const struct core_view *view, const struct lpmx_index_entry *entry) HIDDEN;
/* How many names the lower file with this number has, if several; else 0. */
uint32_t object_links(const struct core_view *view, uint64_t number) HIDDEN;
/* All that stat tells of it, without a kernel call. */
void object_stat(const struct core_view *view, const struct lpmx_index_entry *entry,
		 struct stat *st) HIDDEN;
/* And statx: what is not in STATX_BASIC_STATS is left as it is. */
void object_statx(const struct core_view *view, const struct lpmx_index_entry *entry,
		  struct statx *x) HIDDEN;
/* The lower object behind an open descriptor with the kernel's `st`, if this
 * process has learned it; NULL says nothing. */
const struct lpmx_index_entry *object_known(const struct core_view *view,
					    const struct stat *st) HIDDEN;
void object_learn(const struct core_view *view, const struct stat *st,
		  const struct lpmx_index_entry *entry) HIDDEN;
/* The host path of the layer's file that has the kernel's `st` and whose path the kernel
 * does not tell; -ENAMETOOLONG if it is none. */
long object_place(const struct core_view *view, const struct stat *st,
		  char host[CORE_HOST_MAX]) HIDDEN;

/* ---- moved.c ---- */

/*
 * `path` is where a layer has the directory behind `fd` (AT_FDCWD: the working directory):
 * put where the view has it now, and give the length; -ENOENT if nowhere.
 */
long moved(struct core_task *task, int fd, char *path, size_t size) HIDDEN;
/* The same for what is no directory, and has the kernel's `st`. */
long moved_file(struct core_task *task, const struct stat *st, char *path, size_t size) HIDDEN;
/* Is anything special on the way?  If not, it is where the layer has it. */
int moved_perhaps(const struct core_view *view, const char *path) HIDDEN;
/* The upper object `host` is about to get another path. */
void moved_announce(const struct core_view *view, const char *host) HIDDEN;

/* ---- sync.c ---- */

/* Make the name of the upper object `host` outlast a power loss, if it is a copy, and the
 * names of copies above it.  Shortens `host`. */
long sync_names(const struct core_view *view, char *host) HIDDEN;

/* ---- dir.c ---- */

/* 1 if nothing shows in the directory, 0 if something does. */
long dir_empty(struct core_task *task, const struct core_node *node) HIDDEN;
/*
 * Call `each` for every name that shows in `node` (not "." and ".."), in any
 * order, until it returns non-zero; that is returned.
 */
long dir_each(struct core_task *task, const struct core_node *node,
	      long (*each)(void *context, const char *name, uint32_t type), void *context) HIDDEN;
long call_getdents(struct core_task *task, long nr, const long a[6]) HIDDEN;
/* The descriptor `fd` is a directory's that was opened just now. */
void dir_opened(int fd) HIDDEN;
/* Every raw name of a host directory. */
long host_each(const char *host, long (*each)(void *context, const char *name, uint32_t type),
	       void *context) HIDDEN;

/* ---- families of calls; `nr` is what the program issued ---- */

/* A call as people know it; its arguments, a letter for each (calls.c). */
struct call_name {
	const char *name, *arguments;
};
/* NULL for a call that is none of the core's. */
const struct call_name *call_name(long nr) HIDDEN;
/* Tell the trace what a path came to. */
void trace_path(const struct core_task *task, int dirfd, const char *path,
		const struct core_node *node, long result) HIDDEN;

typedef long core_handler(struct core_task *task, long nr, const long a[6]);

core_handler call_open, call_stat, call_access, call_readlink, call_statfs, call_chdir, call_getcwd,
	call_chroot, call_mkdir, call_mknod, call_unlink, call_rename, call_link, call_symlink,
	call_chmod, call_chown, call_truncate, call_times, call_xattr, call_watch, call_handle,
	call_by_handle, call_identity, call_capabilities, call_sync, call_socket, call_peer,
	call_ioctl, call_attributes HIDDEN;

#endif
