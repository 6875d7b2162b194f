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

int proc_is_own(const char *host)
{
	long pid;

	return split(host, &pid) && own(pid);
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
 * Does `path` of the view still show the object that the link leads to and that is `linked`,
 * or the copy that was made of it?  A name can have got another file since.
 */
static NOINLINE int still_shown(struct core_task *task, const struct stat *linked,
				const char *path)
{
	struct core_node node;
	struct stat shown;
	struct meta meta;

	if (path_node(task, path, &node) < 0 || node.place == CORE_ABSENT ||
	    sys_call4(__NR_newfstatat, AT_FDCWD, node.host, &shown, AT_SYMLINK_NOFOLLOW))
		return 0;
	/* a directory is what its path says, merged from wherever it was opened */
	if (IS(linked->st_mode, S_IFDIR) && IS(node.mode, S_IFDIR))
		return 1;
	if (same_object(linked, &shown))
		return 1;
	if (node.place != CORE_UPPER)
		return 0;
	if (meta_of_upper(task->view, node.host, -1, &shown, &meta) < 0)
		return 0;
	if (!meta.inode) /* it can carry none, perhaps */
		return record_apart(meta.mode) && !((linked->st_mode ^ shown.st_mode) & S_IFMT);
	return meta.inode == (node.entry ? object_number(task->view, node.entry)
					 : identity_inode(task->view, linked->st_dev, linked->st_ino));
}

static int layered(const struct core_view *view, const char *target)
{
	return in_layer(view, target) && !in_upper(view, target) && !in_bind(view, target);
}

int proc_of_layer(const struct core_view *view, const char *host)
{
	char target[CORE_HOST_MAX];

	return host_of_link(view, host, target, sizeof(target)) > 0 && layered(view, target);
}

int proc_of_union(const struct core_view *view, const char *host)
{
	char target[CORE_HOST_MAX];

	return host_of_link(view, host, target, sizeof(target)) > 0 &&
	       (in_upper(view, target) || in_work(view, target) || layered(view, target));
}

/* "cwd" or "fd/N" as a descriptor. */
static int fd_of(const char *what)
{
	const char *digits = what + 3;

	return text_equal(what, "cwd") ? AT_FDCWD : (int)text_number(&digits, 10);
}

/* Is the process of this container?  Several view files may be of one. */
static int of_container(const struct core_view *view, long pid, char text[CORE_PATH_MAX])
{
	const char *at = text;
	long fd, n;

	if (proc_private(pid, LPMX_ENV_VIEW "=", text) <= 0)
		return 0;
	fd = sys_call4(__NR_openat, AT_FDCWD, text, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	n = sys_call4(__NR_pread64, fd, text, CORE_PATH_MAX - 1, 0);
	sys_call1(__NR_close, fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	/* the magic, then keys and values, this one near the front (lpmx_abi.h) */
	for (int value = 1, found = 0; at < text + n; at += text_length(at) + 1, value ^= 1) {
		if (found)
			return text_equal(at, view->directory.text);
		found = !value && text_equal(at, "directory");
	}
	return 0;
}

/* The emulated root in what core_task_save wrote. */
static const char *saved_root(const char *text)
{
	uint64_t left = 8;
	size_t n = text_begins(text, "1:");

	if (!n)
		return "";
	text += n;
	for (int groups = 0; groups < 2; groups++) {
		for (; left && *text; left--) {
			text_number(&text, 10);
			text += *text == ',';
		}
		if (!groups) {
			left = text_number(&text, 10);
			text += *text == ',';
		}
	}
	return text;
}

/* "exe" of another process. */
static int program_of(const struct core_task *task, long pid, char to[CORE_PATH_MAX])
{
	return of_container(task->view, pid, to) && proc_private(pid, LPMX_ENV_PROGRAM "=", to) > 0;
}

/* "root" of another process, as it was when its program started. */
static void root_of(const struct core_task *task, long pid, char to[CORE_PATH_MAX])
{
	const char *root = "";

	if (of_container(task->view, pid, to) && proc_private(pid, LPMX_ENV_STATE "=", to) > 0)
		root = saved_root(to);
	bytes_copy(to, root, text_length(root) + 1);
}

/* The directory of a layer that `link` leads to, as moved(): 1, 0 or -errno.  Not of what is
 * none. */
static long moved_link(struct core_task *task, const char *link, const char *what, int mine,
		       char to[CORE_PATH_MAX])
{
	long fd = mine ? fd_of(what)
		       : sys_call4(__NR_openat, AT_FDCWD, link, O_PATH | O_CLOEXEC, 0);
	struct stat st;
	long r = 0;

	if (fd == AT_FDCWD || (fd >= 0 && !sys_call2(__NR_fstat, fd, &st) && IS(st.st_mode, S_IFDIR)))
		r = moved(task, (int)fd, to, CORE_PATH_MAX) >= 0 ? 1 : -ENOENT;
	if (!mine && fd >= 0)
		sys_call1(__NR_close, fd);
	return r;
}

int proc_link(struct core_task *task, const char *host, char to[CORE_PATH_MAX])
{
	char target[CORE_HOST_MAX];
	struct stat linked;
	long pid, n;
	int lower;
	const char *what = split(host, &pid);

	if (!what)
		return 0;
	if (text_equal(what, "exe")) {
		if (!own(pid))
			return program_of(task, pid, to);
		if (!task->program[0])
			return 0;
		text_put(to, task->program);
		return 1;
	}
	if (text_equal(what, "root")) {
		if (own(pid))
			text_put(to, task_root(task));
		else
			root_of(task, pid, to);
		return 1;
	}
	if (!text_equal(what, "cwd") && !text_begins(what, "fd/"))
		return 0;
	n = host_of_link(task->view, host, target, sizeof(target));
	if (n <= 0 || target[0] != '/')
		return 0;
	if (core_from_host(task->view, target, to, CORE_PATH_MAX) < 0)
		return 0;
	lower = layered(task->view, target);
	if (lower) {
		n = moved_link(task, host, what, own(pid), to);
		if (n)
			return n > 0;
	}
	if (sys_call4(__NR_newfstatat, AT_FDCWD, host, &linked, 0))
		return 0;
	/* of a file without a name any more the descriptor is all there is */
	if (!still_shown(task, &linked, to) &&
	    !(lower && moved_file(task, &linked, to, CORE_PATH_MAX) >= 0))
		return 0;
	return IS(linked.st_mode, S_IFLNK) ? PROC_SYMLINK : 1;
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
	const char *what = split(host, &pid), *rest;
	int gone = 0;

	if (!what || !proc_magic(host))
		return 0;
	if (!proc_link(task, host, to)) {
		n = host_of_link(task->view, host, target, sizeof(target));
		if (n <= 0 || target[0] != '/' ||
		    core_from_host(task->view, target, to, CORE_PATH_MAX) < 0)
			return 0;
		gone = layered(task->view, target);
	}
	/* what lies outside the program's root is told from the real one */
	rest = task_below_root(task, to);
	if (rest != to)
		bytes_copy(to, rest, text_length(rest) + 1);
	n = text_said(to);
	/* a layer has it all the same, so the kernel does not say so */
	if (n > 0 && gone && (what[0] == 'f' || what[0] == 'c')) {
		if (n + sizeof(" (deleted)") > CORE_SAID_MAX)
			return -ENAMETOOLONG;
		n = text_put(to + n, " (deleted)") - to;
	}
	return n;
}
