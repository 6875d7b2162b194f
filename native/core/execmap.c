/*
 * What an exec means: the same path may be a file of this view, a program of the
 * host, or one of another container.  A process has one view for its life; this
 * is where the next one is chosen.
 */
#include "internal.h"

long core_exec_nameless(struct core_task *task, int fd)
{
	char link[32];
	struct stat st;
	const long asked[6] = { fd, (long)&st };
	long r = call_stat(task, __NR_fstat, asked);

	if (r >= 0 && !IS(st.st_mode, S_IFREG))
		r = IS(st.st_mode, S_IFLNK) ? -ELOOP : -EACCES;
	if (r < 0 || permission_nameless(task, fd, 1, &r))
		return r;
	text_put_number(text_put(link, "/proc/self/fd/"), (unsigned)fd, 10);
	return sys_call3(__NR_faccessat, AT_FDCWD, link, 1);
}

static long check_file(struct core_task *task, const struct core_node *node, uint32_t *mode)
{
	const struct core_credentials *c = &task->credentials;
	int fd = node->bind ? proc_own_fd(node->host) : -1;
	struct meta meta;
	struct stat st;
	long r = 0;

	/* what the index knows need not be asked for */
	st.st_mode = node->mode;
	if (node->place != CORE_LOWER || !node->entry)
		r = sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, 0);
	if (r < 0)
		return r;
	if (node->bind)
		meta.mode = st.st_mode;
	else
		r = meta_of_node(task, node, &st, &meta);
	if (r < 0)
		return r;
	*mode = meta.mode;
	/* on disk a device is a file, too */
	if (!IS(meta.mode, S_IFREG))
		return -EACCES;
	if (fd >= 0)
		return core_exec_nameless(task, fd);
	if (node->bind || task->view->kind == CORE_VIEW_HOST)
		return sys_call4(__NR_faccessat, AT_FDCWD, node->host, 1, 0);
	return permission_in(task, &meta, c->fsuid, c->fsgid, 1, permission_host(node), -1) ? 0
										    : -EACCES;
}

/* Is the path free of "..", "." and empty names? */
static int plain(const char *path)
{
	for (const char *p = path; *p; p++)
		if (p[0] == '/' && (p[1] == '/' || (p[1] == '.' && (!p[2] || p[2] == '/' ||
								    (p[2] == '.' && (!p[3] || p[3] == '/'))))))
			return 0;
	return 1;
}

/* May it be called?  What a call is called is kept for the log. */
static long decide(struct core_task *task, const char *called, struct core_exec *exec)
{
	if (text_length(called) >= sizeof(exec->called))
		return -ENAMETOOLONG;
	text_put(exec->called, called);
	exec->refused = !core_call_allowed(task->view, called, &exec->rule);
	return 0;
}

/* The same of a program of the host.  The runtime's own command is not called by its place,
 * which is another one in each container. */
static long decide_host(struct core_task *task, const char *path, struct core_exec *exec)
{
	char called[CORE_HOST_MAX];
	size_t n = text_begins(path, task->view->directory.text);
	char *p = text_put(called, "host:");
	long fd, r;

	if (n && text_equal(path + n, "/" LPMX_CALL_COMMAND))
		return decide(task, LPMX_CALL_COMMAND, exec);
	if (plain(path)) {
		text_put(p, path);
		return decide(task, called, exec);
	}
	fd = sys_call4(__NR_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	r = host_of_fd(task->view, (int)fd, p, sizeof(called) - (size_t)(p - called));
	sys_call1(__NR_close, fd);
	return r < 0 ? r : decide(task, called, exec);
}

/* A program of the host: `path` is the host's. */
static long host_program(struct core_task *task, const char *path, struct core_exec *exec)
{
	struct stat st;
	long r;

	if (!task->view->host_view.length)
		return -EACCES;
	r = path_join(exec->program, sizeof(exec->program), path, "");
	if (r >= 0)
		r = path_join(exec->host, sizeof(exec->host), path, "");
	if (r >= 0)
		r = path_join(exec->view_file, sizeof(exec->view_file), task->view->host_view.text, "");
	if (r >= 0)
		r = sys_call4(__NR_newfstatat, AT_FDCWD, path, &st, 0);
	if (r < 0)
		return r;
	exec->mode = st.st_mode;
	exec->kind = CORE_VIEW_HOST;
	if (!IS(st.st_mode, S_IFREG))
		return -EACCES;
	r = sys_call4(__NR_faccessat, AT_FDCWD, path, 1, 0);
	return r < 0 ? r : decide_host(task, path, exec);
}

/* The way through the host's PATH, which may be as long as any variable. */
struct search {
	struct core_task *task;
	const char *name;
	struct core_exec *exec;
	char path[CORE_PATH_MAX];
	size_t length; /* of the directory that is being read */
	long result;
};

/* Is it in the directory that was read? */
static int search_here(struct search *s)
{
	size_t n = s->length;
	long r;

	s->length = 0;
	if (!n || s->path[0] != '/' || n + text_length(s->name) + 2 > sizeof(s->path))
		return 0;
	s->path[n] = '/';
	text_put(s->path + n + 1, s->name);
	r = host_program(s->task, s->path, s->exec);
	if (!r || r == -EACCES)
		s->result = r;
	return !r;
}

/* Go through what is read of the host's environment; `matched` is how much of "PATH=" was
 * seen, past it where that cannot be.  Returns whether it came to an end. */
static int search_in(struct search *s, const char *block, long n, size_t *matched)
{
	static const char name[] = "PATH=";

	for (long i = 0; i < n; i++) {
		char c = block[i];

		if (*matched == sizeof(name) - 1) {
			if (c && c != ':') {
				if (s->length < sizeof(s->path))
					s->path[s->length++] = c;
			} else if (search_here(s) || !c) {
				return 1;
			}
		} else if (!c) {
			*matched = 0;
		} else {
			*matched = *matched < sizeof(name) && c == name[*matched] ? *matched + 1 : sizeof(name);
		}
	}
	return 0;
}

/* The first program of this name in the host's PATH. */
static long host_search(struct core_task *task, const char *name, struct core_exec *exec)
{
	struct search s;
	char block[4096];
	size_t matched = 0;
	long fd, n;

	s.task = task;
	s.name = name;
	s.exec = exec;
	s.length = 0;
	s.result = -ENOENT;
	fd = sys_call4(__NR_openat, AT_FDCWD, task->view->host_environment.text, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	while ((n = sys_call3(__NR_read, fd, block, sizeof(block))) > 0)
		if (search_in(&s, block, n, &matched))
			break;
	sys_call1(__NR_close, fd);
	return n < 0 ? n : s.result;
}

/* A program that a call file says how to call. */
static long called_program(struct core_task *task, const char *file, struct core_exec *exec)
{
	char text[2 * CORE_PATH_MAX];
	struct core_call call;
	long r;

	if (text_length(file) >= sizeof(exec->call_file))
		return -ENAMETOOLONG;
	r = core_call_read(file, text, sizeof(text), 1, &call);
	if (r < 0)
		return r == -EINVAL ? -ENOEXEC : r;
	if (text_equal(call.view, task->view->host_view.text)) {
		r = host_program(task, call.program, exec);
	} else {
		if (text_length(call.view) >= sizeof(exec->view_file) ||
		    text_length(call.program) >= sizeof(exec->program))
			return -ENAMETOOLONG;
		text_put(exec->view_file, call.view);
		text_put(exec->program, call.program);
		/* the other view resolves it */
		exec->host[0] = 0;
		exec->kind = CORE_VIEW_CONTAINER;
		exec->mode = S_IFREG | 0755;
		r = decide(task, call.called, exec);
	}
	if (r >= 0) {
		text_put(exec->call_file, file);
		exec->starts_elsewhere = call.cwd[0] != 0;
	}
	return r;
}

/* Where the exec map sends `path`: 1 if it did, 0 if there is nothing to do. */
static long mapped_program(struct core_task *task, const char *path, struct core_exec *exec)
{
	const char *target = core_exec_map_get(task->view, path), *program;
	size_t n;
	long r;

	if (!target)
		return 0;
	if ((n = text_begins(target, "call:"))) {
		r = called_program(task, target + n, exec);
		return r < 0 ? r : 1;
	}
	if ((n = text_begins(target, "host:"))) {
		r = host_program(task, target + n, exec);
		return r < 0 ? r : 1;
	}
	/* "VIEWFILE:/program": the last ":/" divides, view files are ours to name */
	program = 0;
	for (const char *p = target; *p; p++)
		if (p[0] == ':' && p[1] == '/')
			program = p + 1;
	if (!program || (size_t)(program - 1 - target) >= sizeof(exec->view_file))
		return -ENOEXEC;
	bytes_copy(exec->view_file, target, (size_t)(program - 1 - target));
	exec->view_file[program - 1 - target] = 0;
	if (text_length(program) >= sizeof(exec->program))
		return -ENAMETOOLONG;
	text_put(exec->program, program);
	/* the other view resolves it: its loader is told the program as typed */
	exec->host[0] = 0;
	exec->kind = CORE_VIEW_CONTAINER;
	exec->mode = S_IFREG | 0755;
	r = decide(task, target, exec);
	return r < 0 ? r : 1;
}

static long host_view_resolve(struct core_task *task, int dirfd, const char *path, int flags,
			      struct core_exec *exec)
{
	struct stat st;
	long n, fd;

	fd = sys_call4(__NR_openat, dirfd, path,
		       O_PATH | O_CLOEXEC | (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0), 0);
	if (fd < 0)
		return fd;
	n = host_of_fd(task->view, (int)fd, exec->host, sizeof(exec->host));
	if (n >= 0)
		n = sys_call2(__NR_fstat, fd, &st);
	sys_call1(__NR_close, fd);
	if (n < 0)
		return n;
	if (!IS(st.st_mode, S_IFREG))
		return IS(st.st_mode, S_IFLNK) ? -ELOOP : -EACCES;
	exec->mode = st.st_mode;
	exec->kind = CORE_VIEW_HOST;
	(void)task;
	if (path_join(exec->program, sizeof(exec->program), exec->host, "") < 0)
		return -ENAMETOOLONG;
	return sys_call4(__NR_faccessat, AT_FDCWD, exec->host, 1, 0);
}

int core_exec_link(const struct core_exec *exec)
{
	return exec->view_file[0] ? -1 : proc_own_fd(exec->host);
}

long core_exec_path(struct core_task *task, int fd, char path[CORE_PATH_MAX])
{
	char link[32];

	text_put_number(text_put(link, "/proc/self/fd/"), (unsigned)fd, 10);
	return proc_link(task, link, path);
}

long core_exec_resolve(struct core_task *task, int dirfd, const char *path, int flags,
		       struct core_exec *exec)
{
	const struct core_view *view = task->view;
	struct core_node node;
	size_t n;
	long r;

	exec->view_file[0] = exec->called[0] = exec->call_file[0] = 0;
	exec->refused = exec->starts_elsewhere = 0;
	exec->rule = 0;
	exec->kind = view->kind;
	if (view->kind == CORE_VIEW_HOST)
		return host_view_resolve(task, dirfd, path, flags, exec);
	if ((n = text_begins(path, LPMX_HOST_PREFIX "/")))
		return host_program(task, path + n - 1, exec);
	if ((n = text_begins(path, LPMX_HOST_SEARCH "/")))
		return host_search(task, path + n, exec);
	/* a mapped name need not exist in the view */
	if (path[0] == '/') {
		r = mapped_program(task, path, exec);
		if (r)
			return r < 0 ? r : 0;
	}
	if (flags & CORE_EXEC_CANONICAL) {
		r = path_node(task, path, &node);
		if (r >= 0 && node.place == CORE_ABSENT)
			r = -ENOENT;
	} else {
		r = core_resolve(task, dirfd, path, flags & AT_SYMLINK_NOFOLLOW ? CORE_NOFOLLOW : 0,
				 &node);
	}
	if (r < 0)
		return r;
	if (IS(node.mode, S_IFLNK) && (!node.bind || flags & AT_SYMLINK_NOFOLLOW))
		return -ELOOP;
	r = mapped_program(task, node.path, exec);
	if (r)
		return r < 0 ? r : 0;
	r = check_file(task, &node, &exec->mode);
	if (r < 0)
		return r;
	text_put(exec->program, node.path);
	text_put(exec->host, node.host);
	/* only its own program stays in the kernel view */
	if (view->kind == CORE_VIEW_KERNEL && !text_equal(node.path, view->program.text)) {
		exec->kind = CORE_VIEW_CONTAINER;
		if (path_join(exec->view_file, sizeof(exec->view_file), view->container_view.text, "") < 0)
			return -ENAMETOOLONG;
	}
	return 0;
}
