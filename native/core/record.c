/*
 * Records of objects that can carry none: symlinks, fifos and sockets.
 *
 * The kernel keeps user attributes of files and directories only.  What is shown of the
 * others and cannot be real (owner, some modes, the inode number of what was copied up)
 * lies in the work directory, as the text of a symlink "objects/INODE-BIRTH": made and
 * replaced at once, read by one call.  The name says which object it is of, the real
 * inode and its time of birth, so rename and hard links take it along without a step of
 * ours, and what is left of a removed object (its remover was killed) can never be taken
 * for the record of one that got the same inode later.
 *
 * The control page says whether a container has any; most have none, and do not look.
 * A file system that knows no birth times has none either: owners are not kept there.
 */
#include "internal.h"

#define DIRECTORY "/objects/"

int record_any(const struct core_view *view)
{
	return view->work.length &&
	       (!view->control || __atomic_load_n(&view->control->objects, __ATOMIC_ACQUIRE));
}

void record_find(const struct core_view *view)
{
	char host[CORE_HOST_MAX];

	if (view->control && view->work.length &&
	    path_join(host, sizeof(host), view->work.text, DIRECTORY) >= 0 &&
	    !sys_call3(__NR_faccessat, AT_FDCWD, host, 0))
		__atomic_store_n(&view->control->objects, 1, __ATOMIC_RELEASE);
}

int record_is_directory(const char *name)
{
	return text_equal(name, "objects");
}

/* Which object this is: 1, 0 if the file system cannot tell, or -errno. */
static long identify(const char *host, int fd, struct record_id *id)
{
	struct statx x;
	long r = fd >= 0 ? sys_call5(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &x)
			 : sys_call5(__NR_statx, AT_FDCWD, host, AT_SYMLINK_NOFOLLOW,
				     STATX_INO | STATX_BTIME, &x);

	id->inode = id->birth = 0;
	if (r < 0 || !(x.stx_mask & STATX_BTIME))
		return r;
	id->inode = x.stx_ino;
	id->birth = (uint64_t)x.stx_btime.tv_sec * 1000000000 + x.stx_btime.tv_nsec;
	return 1;
}

static long name_of(const struct core_view *view, const struct record_id *id,
		    char host[CORE_HOST_MAX])
{
	long n = path_join(host, CORE_HOST_MAX - 48, view->work.text, DIRECTORY);
	char *p = host + n;

	if (n < 0)
		return n;
	p = text_put_number(p, id->inode, 10);
	*p++ = '-';
	text_put_number(p, id->birth, 10);
	return 0;
}

long record_get(const struct core_view *view, const char *host, int fd, char *text, size_t size)
{
	char name[CORE_HOST_MAX];
	struct record_id id;
	long n;

	if (!record_any(view))
		return 0;
	n = identify(host, fd, &id);
	if (n > 0)
		n = name_of(view, &id, name);
	if (n < 0 || !id.birth)
		return n;
	n = sys_call4(__NR_readlinkat, AT_FDCWD, name, text, size - 1);
	if (n < 0)
		return n == -ENOENT ? 0 : n;
	text[n] = 0;
	return n;
}

/* The directory, and a word to everybody that it is there. */
static long announce(const struct core_view *view)
{
	char host[CORE_HOST_MAX];
	long r = path_join(host, sizeof(host), view->work.text, DIRECTORY);

	if (r >= 0)
		r = upper_work_directory(host);
	if (r < 0)
		return r;
	if (view->control)
		__atomic_store_n(&view->control->objects, 1, __ATOMIC_RELEASE);
	return 0;
}

long record_put(const struct core_view *view, const char *host, int fd, const char *text)
{
	char name[CORE_HOST_MAX], work[CORE_HOST_MAX];
	struct record_id id;
	long r;

	if (!view->work.length)
		return 0;
	r = identify(host, fd, &id);
	if (r <= 0)
		return r;
	if (!view->control || !record_any(view))
		r = announce(view);
	if (r >= 0)
		r = name_of(view, &id, name);
	if (r >= 0)
		r = upper_work_name(view, work);
	if (r >= 0)
		r = sys_call3(__NR_symlinkat, text, AT_FDCWD, work);
	if (r < 0)
		return r;
	r = sys_call5(__NR_renameat2, AT_FDCWD, work, AT_FDCWD, name, 0);
	if (r < 0)
		sys_call3(__NR_unlinkat, AT_FDCWD, work, 0);
	return r < 0 ? r : 1;
}

void record_leaving(const struct core_view *view, const char *host, struct record_id *id)
{
	struct stat st;

	id->birth = 0;
	if (!record_any(view) ||
	    sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW) ||
	    !record_apart(st.st_mode) || st.st_nlink > 1 || identify(host, -1, id) <= 0)
		id->birth = 0;
}

void record_gone(const struct core_view *view, const struct record_id *id)
{
	char name[CORE_HOST_MAX];

	if (id->birth && name_of(view, id, name) >= 0)
		sys_call3(__NR_unlinkat, AT_FDCWD, name, 0);
}
