/*
 * fsync and its kin: what a program has synced outlasts a power loss.
 *
 * The kernel syncs the object behind the descriptor.  For a program that is all there
 * is to sync, but in a union the object's name may be newer than the program knows: a
 * file that was there for years was copied up a moment ago, and with it the directories
 * above.  Were their names lost, the old file would show again.  So after the object come
 * the directories that hold the names of what was copied up: its own, then upwards as
 * long as the directory itself is a copy.  What the program made is its own to sync.
 *
 * A directory that was opened in a layer stands for the one in the upper, where names
 * come and go, as in ovl_dir_fsync.
 */
#include "internal.h"

/* Copies whose names are synced: they need no second look.  By number and time of birth,
 * for numbers are given anew. */
static uint64_t done[256];

struct object {
	uint32_t mode;
	uint64_t key;
	uint64_t *place; /* in `done`, which other threads change */
};

static int is_done(const struct object *o)
{
	return __atomic_load_n(o->place, __ATOMIC_RELAXED) == o->key;
}

static long look(long fd, const char *host, struct object *o)
{
	struct statx x;
	long r = sys_call5(__NR_statx, fd, host, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
			   STATX_BASIC_STATS | STATX_BTIME, &x);

	if (r < 0)
		return r;
	o->mode = x.stx_mode;
	o->key = (x.stx_ino ^ (uint64_t)x.stx_dev_minor << 48 ^ (uint64_t)x.stx_dev_major << 56 ^
		  ((uint64_t)x.stx_btime.tv_sec << 30 | x.stx_btime.tv_nsec)) *
		 0x9e3779b97f4a7c15ull;
	o->place = &done[o->key >> 56];
	return 0;
}

/* Sync the directory `host`; one that is gone by now holds nothing. */
static long sync_directory(const char *host)
{
	long fd = sys_call4(__NR_openat, AT_FDCWD, host, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW,
			    0);
	long r;

	if (fd < 0)
		return 0;
	r = sys_call1(__NR_fsync, fd);
	sys_call1(__NR_close, fd);
	return r;
}

long sync_names(const struct core_view *view, char *host)
{
	uint32_t length = (uint32_t)text_length(host);
	struct object o;

	while (length > view->upper.length) {
		long r;

		if (look(AT_FDCWD, host, &o) < 0 || !(o.mode & S_ISVTX) || is_done(&o) ||
		    !meta_inode(host))
			return 0;
		length = path_parent(host, length);
		host[length] = 0;
		r = sync_directory(host);
		if (r < 0)
			return r;
		__atomic_store_n(o.place, o.key, __ATOMIC_RELAXED);
	}
	return 0;
}

/* The names above all: of the upper and of the container, once for all its processes. */
static long sync_container(const struct core_view *view)
{
	const struct core_string *directory = &view->directory;
	char host[CORE_SAID_MAX];
	long r;

	if (!view->control || __atomic_load_n(&view->control->kept, __ATOMIC_RELAXED) ||
	    directory->length >= sizeof(host))
		return 0;
	text_put(host, directory->text);
	r = sync_directory(host);
	host[path_parent(host, directory->length)] = 0;
	if (r >= 0 && *host)
		r = sync_directory(host);
	if (r >= 0)
		__atomic_store_n(&view->control->kept, 1, __ATOMIC_RELAXED);
	return r;
}

long call_sync(struct core_task *task, long nr, const long a[6])
{
	const struct core_view *view = task->view;
	char host[CORE_HOST_MAX], path[CORE_PATH_MAX];
	long r = sys_call1(nr, a[0]);
	struct object o;

	if (r < 0 || !view->upper.length || look(a[0], "", &o) < 0)
		return r;
	/* no copy: nobody knows better than the program what it has made */
	if (nr != __NR_syncfs && !IS(o.mode, S_IFDIR) &&
	    (!IS(o.mode, S_IFREG) || !(o.mode & S_ISVTX) || is_done(&o)))
		return r;
	if (host_of_fd(view, (int)a[0], host, sizeof(host)) < 0)
		return r;
	if (in_upper(view, host)) {
		r = sync_container(view);
		return r < 0 || nr == __NR_syncfs ? r : sync_names(view, host);
	}
	if (!in_layer(view, host) || core_from_host(view, host, path, sizeof(path)) < 0)
		return r;
	if (nr == __NR_syncfs) {
		/* layers may be in another file system */
		long fd = sys_call4(__NR_openat, AT_FDCWD, view->upper.text,
				    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

		if (fd < 0)
			return fd;
		r = sys_call1(nr, fd);
		sys_call1(__NR_close, fd);
		return r;
	}
	if (!IS(o.mode, S_IFDIR) || upper_host(view, path, host) < 0)
		return r;
	r = sync_container(view);
	if (r >= 0)
		r = sync_directory(host);
	return r < 0 ? r : sync_names(view, host);
}
