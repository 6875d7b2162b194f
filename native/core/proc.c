/*
 * /proc is the host's, but some of its links speak of the view: a program that
 * asks who it is (exe), where it is (cwd, root) or what a descriptor is (fd/N)
 * must get the answer that holds inside.
 */
#include "internal.h"

static const char *skip_number(const char *s)
{
	const char *p = s;

	while (*p >= '0' && *p <= '9')
		p++;
	return p == s ? 0 : p;
}

/*
 * Split "/proc/PID/[task/TID/]what": sets *pid (0: the caller by "self" or
 * "thread-self") and returns `what`, or NULL for anything else.
 */
static const char *split(const char *host, long *pid)
{
	const char *p, *digits;
	size_t n;

	if (!(n = text_begins(host, "/proc/")))
		return 0;
	p = host + n;
	if ((n = text_begins(p, "self/")) || (n = text_begins(p, "thread-self/"))) {
		*pid = 0;
		p += n;
	} else {
		digits = p;
		if (!(p = skip_number(p)) || *p != '/')
			return 0;
		*pid = (long)text_number(&digits, 10);
		p++;
	}
	if ((n = text_begins(p, "task/"))) {
		if (!(p = skip_number(p + n)) || *p != '/')
			return 0;
		p++;
	}
	return p;
}

int proc_magic(const char *host)
{
	long pid;
	const char *what = split(host, &pid);

	return what && (text_equal(what, "exe") || text_equal(what, "cwd") ||
			text_equal(what, "root") || text_begins(what, "fd/") ||
			text_begins(what, "ns/") || text_begins(what, "map_files/"));
}

static int own(long pid)
{
	return !pid || pid == sys_call0(__NR_getpid);
}

int proc_own_fd(const char *host)
{
	long pid;
	const char *what = split(host, &pid), *end;
	int n = what ? (int)text_begins(what, "fd/") : 0;

	if (!n || !own(pid))
		return -1;
	what += n;
	end = skip_number(what);
	return end && !*end ? (int)text_number(&what, 10) : -1;
}

/*
 * Read the value of the last variable `name` ("NAME=") from an environment; its length.
 * The private variables come last in the block, and it may be of any size.
 */
static long last_value(long fd, const char *name, char to[CORE_PATH_MAX])
{
	enum { BEFORE, INSIDE, BEHIND } where = BEFORE;
	size_t matched = 0, n = 0;
	long length = -ENOENT, got;
	char block[4096];

	while ((got = sys_call3(__NR_read, fd, block, sizeof(block))) > 0)
		for (long i = 0; i < got; i++) {
			char c = block[i];

			if (!c) {
				if (where == INSIDE) {
					to[n] = 0;
					length = (long)n;
				}
				where = BEFORE;
				matched = n = 0;
			} else if (where == INSIDE) {
				if (n == CORE_PATH_MAX - 1)
					where = BEHIND;
				else
					to[n++] = c;
			} else if (where == BEFORE) {
				if (name[matched] != c)
					where = BEHIND;
				else if (!name[++matched])
					where = INSIDE;
			}
		}
	return length;
}

long proc_private(long pid, const char *name, char to[CORE_PATH_MAX])
{
	char file[64];
	long fd, length;

	text_put(text_put_number(text_put(file, "/proc/"), (uint64_t)pid, 10), "/environ");
	fd = sys_call4(__NR_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	length = last_value(fd, name, to);
	sys_call1(__NR_close, fd);
	return length;
}

/*
 * Does `path` of the view still show the file that the link leads to, or the copy
 * that was made of it?  A name can have got another file since.
 */
static NOINLINE int still_shown(struct core_task *task, const char *link, const char *path)
{
	struct stat linked, shown;
	struct core_node node;
	struct meta meta;

	if (path_node(task, path, &node) < 0 || node.place == CORE_ABSENT ||
	    sys_call4(__NR_newfstatat, AT_FDCWD, link, &linked, 0) ||
	    sys_call4(__NR_newfstatat, AT_FDCWD, node.host, &shown, AT_SYMLINK_NOFOLLOW))
		return 0;
	/* a directory is what its path says, merged from wherever it was opened */
	if (IS(linked.st_mode, S_IFDIR) && IS(node.mode, S_IFDIR))
		return 1;
	if (same_object(&linked, &shown))
		return 1;
	if (node.place != CORE_UPPER)
		return 0;
	return meta_of_upper(task->view, node.host, -1, &shown, &meta) >= 0 && meta.inode &&
	       meta.inode == (node.entry ? object_number(task->view, node.entry)
					 : identity_inode(task->view, linked.st_dev, linked.st_ino));
}

/* "cwd" or "fd/N" as a descriptor. */
static int fd_of(const char *what)
{
	const char *digits = what + 3;

	return text_equal(what, "cwd") ? AT_FDCWD : (int)text_number(&digits, 10);
}

int proc_link(struct core_task *task, const char *host, char to[CORE_PATH_MAX])
{
	char target[CORE_HOST_MAX];
	long pid, n;
	const char *what = split(host, &pid);

	if (!what)
		return 0;
	if (text_equal(what, "exe")) {
		if (!own(pid))
			return proc_private(pid, LPMX_ENV_PROGRAM "=", to) > 0;
		if (!task->program[0])
			return 0;
		text_put(to, task->program);
		return 1;
	}
	if (text_equal(what, "root")) {
		text_put(to, own(pid) ? task_root(task) : "");
		return 1;
	}
	if (!text_equal(what, "cwd") && !text_begins(what, "fd/"))
		return 0;
	n = host_of_link(task->view, host, target, sizeof(target));
	if (n <= 0 || target[0] != '/')
		return 0;
	/* a file without a name any more: the descriptor is all there is */
	if (n > 10 && text_equal(target + n - 10, " (deleted)"))
		return 0;
	if (core_from_host(task->view, target, to, CORE_PATH_MAX) < 0)
		return 0;
	if (own(pid) && in_layer(task->view, target) && !in_upper(task->view, target) &&
	    !in_bind(task->view, target)) {
		int fd = fd_of(what);
		struct stat st;

		if (fd == AT_FDCWD || (!sys_call2(__NR_fstat, fd, &st) && IS(st.st_mode, S_IFDIR)))
			return moved(task, fd, to, CORE_PATH_MAX) >= 0;
	}
	return text_equal(what, "cwd") || still_shown(task, host, to);
}

/* A path as the text of a link. */
static long text_said(char *path)
{
	size_t n = text_length(path);

	if (!n)
		path[n++] = '/', path[n] = 0;
	return n < CORE_SAID_MAX ? (long)n : -ENAMETOOLONG;
}

long proc_text(struct core_task *task, const char *host, char to[CORE_PATH_MAX])
{
	char target[CORE_HOST_MAX];
	long pid, n;
	const char *what = split(host, &pid);

	if (!what || !proc_magic(host))
		return 0;
	if (proc_link(task, host, to)) {
		const char *below = task_below_root(task, to);

		if (below != to)
			bytes_copy(to, below, text_length(below) + 1);
		return text_said(to);
	}
	n = host_of_link(task->view, host, target, sizeof(target));
	if (n <= 0 || target[0] != '/')
		return 0;
	if (core_from_host(task->view, target, to, CORE_PATH_MAX) < 0)
		return 0;
	return text_said(to);
}
