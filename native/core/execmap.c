/*
 * What an exec means: the same path may be a file of this view, a program of the
 * host, or one of another container.  A process has one view for its life; this
 * is where the next one is chosen.
 */
#include <linux/openat2.h>

#include "internal.h"

long core_exec_keep(struct core_exec *exec, const char **field, const char *a, const char *b, size_t max)
{
	size_t room = sizeof(exec->text) - exec->used;
	char *to = exec->text + exec->used;
	long n = path_join(to, room < max ? room : max, a, b);

	if (n < 0)
		return n;
	*field = to;
	exec->used += (size_t)n + 1;
	return 0;
}

static void begin(struct core_exec *exec, enum core_kind kind)
{
	exec->program = exec->host = exec->view_file = exec->called = exec->call_file = "";
	exec->used = exec->kept;
	exec->refused = exec->starts_elsewhere = 0;
	exec->rule = 0;
	exec->kind = kind;
}

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

/* Before /proc is asked. */
#define LINKS_MAX 4

/* Is the path free of "..", "." and empty names? */
static int plain(const char *path)
{
	for (const char *p = path; *p; p++)
		if (p[0] == '/' && (p[1] == '/' || (p[1] == '.' && (!p[2] || p[2] == '/' ||
								    (p[2] == '.' && (!p[3] || p[3] == '/'))))))
			return 0;
	return 1;
}

/* May it be called?  What a call is called, in two parts, is kept for the log. */
static long decide(struct core_task *task, const char *called, const char *rest, struct core_exec *exec)
{
	long r = core_exec_keep(exec, &exec->called, called, rest, CORE_SAID_MAX);

	if (r >= 0)
		exec->refused = !core_call_allowed(task->view, exec->called, &exec->rule);
	return r;
}

/* The same of a program that other names than its own lead to. */
static NOINLINE long decide_named(struct core_task *task, const char *path, struct core_exec *exec)
{
	char name[CORE_HOST_MAX];
	long fd = sys_call4(__NR_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC, 0), r;

	if (fd < 0)
		return fd;
	r = host_of_fd(task->view, (int)fd, name, sizeof(name));
	sys_call1(__NR_close, fd);
	return r < 0 ? r : decide(task, "host:", name, exec);
}

/* The same of a program of the host.  The runtime's own command is not called by its place,
 * which is another one in each container. */
static long decide_host(struct core_task *task, const char *path, struct core_exec *exec)
{
	size_t n = text_begins(path, task->view->directory.text);

	if (n && text_equal(path + n, "/" LPMX_CALL_COMMAND))
		return decide(task, LPMX_CALL_COMMAND, "", exec);
	return plain(path) ? decide(task, "host:", path, exec) : decide_named(task, path, exec);
}

/* A program of the host: `path` is the host's. */
static long host_program(struct core_task *task, const char *path, struct core_exec *exec)
{
	struct stat st;
	long r;

	if (!task->view->host_view.length)
		return -EACCES;
	r = core_exec_keep(exec, &exec->program, path, "", CORE_PATH_MAX);
	exec->host = exec->program;
	if (r >= 0)
		r = core_exec_keep(exec, &exec->view_file, task->view->host_view.text, "", CORE_PATH_MAX);
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
	/* the one before was none */
	begin(s->exec, s->task->view->kind);
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

/* A program of another container, whose view is in the file `view`, `n` bytes.  It is for that to
 * resolve it: its loader is told the program as typed. */
static long other_program(struct core_task *task, const char *view, size_t n, const char *program,
			  const char *called, struct core_exec *exec)
{
	char *to = exec->text + exec->used;
	long r;

	if (n >= CORE_PATH_MAX || n >= sizeof(exec->text) - exec->used)
		return -ENAMETOOLONG;
	bytes_copy(to, view, n);
	to[n] = 0;
	exec->view_file = to;
	exec->used += n + 1;
	r = core_exec_keep(exec, &exec->program, program, "", CORE_PATH_MAX);
	exec->host = "";
	exec->kind = CORE_VIEW_CONTAINER;
	exec->mode = S_IFREG | 0755;
	return r < 0 ? r : decide(task, called, "", exec);
}

/* A program that a call file says how to call. */
static long called_program(struct core_task *task, const char *file, struct core_exec *exec)
{
	char text[2 * CORE_PATH_MAX];
	struct core_call call;
	long r;

	r = core_exec_keep(exec, &exec->call_file, file, "", CORE_SAID_MAX);
	if (r < 0)
		return r;
	r = core_call_read(file, text, sizeof(text), 1, &call);
	if (r < 0)
		return r == -EINVAL ? -ENOEXEC : r;
	if (text_equal(call.view, task->view->host_view.text)) {
		r = host_program(task, call.program, exec);
	} else {
		r = other_program(task, call.view, text_length(call.view), call.program, call.called, exec);
	}
	if (r >= 0)
		exec->starts_elsewhere = call.cwd[0] != 0;
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
	/* nothing that was found before counts */
	begin(exec, task->view->kind);
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
	if (!program || (size_t)(program - 1 - target) >= CORE_PATH_MAX)
		return -ENOEXEC;
	r = other_program(task, target, (size_t)(program - 1 - target), program, target, exec);
	return r < 0 ? r : 1;
}

/* Put in place of the first link on the way to `name`, which has one, what it says; -errno if it
 * is not that simple. */
static long follow_first(char name[CORE_HOST_MAX])
{
	char target[CORE_SAID_MAX], rest[CORE_SAID_MAX];
	size_t above = 0, n;
	long length;

	for (n = 1; name[n]; above = n++) {
		char end;

		while (name[n] && name[n] != '/')
			n++;
		end = name[n];
		name[n] = 0;
		length = sys_call4(__NR_readlinkat, AT_FDCWD, name, target, sizeof(target) - 1);
		name[n] = end;
		if (length == -EINVAL && end)
			continue;
		if (length < 0)
			return length;
		target[length] = 0;
		if (text_length(name + n) >= sizeof(rest))
			return -ENAMETOOLONG;
		text_put(rest, name + n);
		if (target[0] == '/')
			above = 0;
		else
			name[above++] = '/';
		name[above] = 0;
		if (path_join(name + above, CORE_HOST_MAX - above, target, rest) < 0)
			return -ENAMETOOLONG;
		return plain(name) ? 0 : -ELOOP;
	}
	return -ELOOP;
}

/* The name of a program, by links that say where they lead; -errno if it is to be asked for. */
static long open_by_name(const char *path, int flags, char name[CORE_HOST_MAX])
{
	struct open_how how = { .flags = (uint64_t)flags | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
	long fd, r;

	if (path[0] != '/' || !plain(path) || path_join(name, CORE_HOST_MAX, path, "") < 0)
		return -ELOOP;
	for (int links = 0;; links++) {
		fd = sys_call4(__NR_openat2, AT_FDCWD, name, &how, sizeof(how));
		if (fd != -ELOOP || links == LINKS_MAX || flags & O_NOFOLLOW)
			return fd;
		r = follow_first(name);
		if (r < 0)
			return r;
	}
}

/* What the kernel calls what is open, by /proc, costs most of an exec in a process that has not
 * asked before; where no link is on the way it is what was said. */
long core_host_program(const struct core_view *view, int dirfd, const char *path, int flags,
		       char name[CORE_HOST_MAX])
{
	long fd = open_by_name(path, flags, name), r;

	if (fd >= 0)
		return fd;
	fd = sys_call4(__NR_openat, dirfd, path, flags | O_CLOEXEC, 0);
	r = fd < 0 ? fd : host_of_fd(view, (int)fd, name, CORE_HOST_MAX);
	if (fd >= 0 && r < 0)
		sys_call1(__NR_close, fd);
	return r < 0 ? r : fd;
}

static long host_view_resolve(struct core_task *task, int dirfd, const char *path, int flags,
			      struct core_exec *exec)
{
	struct stat st;
	char *host;
	long n, fd;

	exec->program = exec->host = host = exec->text + exec->used;
	fd = core_host_program(task->view, dirfd, path,
			       O_PATH | (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0), host);
	if (fd < 0)
		return fd;
	n = sys_call2(__NR_fstat, fd, &st);
	sys_call1(__NR_close, fd);
	if (n < 0)
		return n;
	n = (long)text_length(host) + 1;
	if (n > CORE_PATH_MAX)
		return -ENAMETOOLONG;
	exec->used += (size_t)n;
	if (!IS(st.st_mode, S_IFREG))
		return IS(st.st_mode, S_IFLNK) ? -ELOOP : -EACCES;
	exec->mode = st.st_mode;
	exec->kind = CORE_VIEW_HOST;
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

/* What was found, and may be executed. */
static long keep_found(const struct core_view *view, const char *path, const char *layer, const char *host,
		       struct core_exec *exec)
{
	long r = core_exec_keep(exec, &exec->program, path, "", CORE_PATH_MAX);

	if (r >= 0)
		r = core_exec_keep(exec, &exec->host, layer, host, CORE_HOST_MAX);
	/* only its own program stays in the kernel view */
	if (r >= 0 && view->kind == CORE_VIEW_KERNEL && !text_equal(path, view->program.text)) {
		exec->kind = CORE_VIEW_CONTAINER;
		exec->view_file = view->container_view.text;
	}
	return r;
}

/* What the index alone can tell of a path; a path that is traced goes the way that tells it. */
static int known_file(const struct core_task *task, int dirfd, const char *path, int flags, struct known *k)
{
	int way = (flags & AT_SYMLINK_NOFOLLOW ? 0 : KNOWN_FOLLOW) |
		  (flags & CORE_EXEC_CANONICAL ? KNOWN_CANONICAL : 0);
	int found = task->trace ? KNOWN_NOT : known_path(task, dirfd, path, way, k);

	if (found == KNOWN_NOWHERE || (found == KNOWN && !k->entry))
		return -ENOENT;
	return found == KNOWN && IS(k->entry->mode, S_IFREG);
}

/* 1 if it is, or -errno; 0: it is to be looked for. */
static NOINLINE long known_program(struct core_task *task, int dirfd, const char *path, int flags,
				   struct core_exec *exec)
{
	const struct core_credentials *c = &task->credentials;
	const struct core_view *view = task->view;
	struct known k;
	struct meta meta;
	long r = known_file(task, dirfd, path, flags, &k);

	if (r <= 0)
		return r;
	r = mapped_program(task, k.path, exec);
	if (r)
		return r;
	meta.mode = exec->mode = k.entry->mode;
	meta.uid = k.entry->uid;
	meta.gid = k.entry->gid;
	if (!permission_in(task, &meta, c->fsuid, c->fsgid, 1, 0, -1))
		return -EACCES;
	r = keep_found(view, k.path, view->layers[k.entry->layer].text, k.path, exec);
	return r < 0 ? r : 1;
}

static NOINLINE long resolved_program(struct core_task *task, int dirfd, const char *path, int flags,
				      struct core_exec *exec)
{
	struct core_node node;
	long r;

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
	return r < 0 ? r : keep_found(task->view, node.path, "", node.host, exec);
}

static NOINLINE long resolved_interpreter(struct core_task *task, const char *name, struct core_exec *exec,
					  const char **host)
{
	struct core_node node;
	long r = core_resolve(task, AT_FDCWD, name, 0, &node);

	return r < 0 ? r : core_exec_keep(exec, host, node.host, "", CORE_HOST_MAX);
}

long core_exec_interpreter(struct core_task *task, const char *name, struct core_exec *exec, const char **host)
{
	struct known k;
	long r = known_file(task, AT_FDCWD, name, 0, &k);

	if (!r)
		return resolved_interpreter(task, name, exec, host);
	return r < 0 ? r
		     : core_exec_keep(exec, host, task->view->layers[k.entry->layer].text, k.path,
				      CORE_HOST_MAX);
}

long core_exec_resolve(struct core_task *task, int dirfd, const char *path, int flags,
		       struct core_exec *exec)
{
	const struct core_view *view = task->view;
	size_t n;
	long r;

	begin(exec, view->kind);
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
	r = known_program(task, dirfd, path, flags, exec);
	if (r)
		return r < 0 ? r : 0;
	return resolved_program(task, dirfd, path, flags, exec);
}
