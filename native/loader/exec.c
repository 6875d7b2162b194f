/*
 * execve and execveat.  Whatever a contained program executes, the kernel
 * executes the loader; everything that could be wrong with the program is found
 * out before, because only then can an errno still be returned.
 */
#include <asm-generic/errno.h>
#include <linux/fcntl.h>

#include "../core/text.h"
#include "../trap/trap.h"
#include "loader.h"

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif
#define AT_SYMLINK_NOFOLLOW_ 0x100
#define AT_EXECVE_CHECK_ 0x10000 /* since Linux 6.14 */
#define O_PATH_ 010000000
/* As the kernel's exec_binprm counts. */
#define SCRIPTS_MAX 5
#define SCRIPT_LINE 256

/* What is known about a program before it is executed. */
struct plan {
	struct core_task *task;
	const char *name;                /* for AT_EXECFN and the command name */
	int descriptor;                  /* the program itself, where it has no path; or -1 */
	int by_descriptor;               /* no path was said */
	int name_is_lost;                /* `name` goes through a descriptor that exec closes */
	int scripts;
	const char *words[2 * SCRIPTS_MAX + 3]; /* filled from the end */
	int first_word;
	const char *interpreter;         /* PT_INTERP, "" if there is none */
	const char *interpreter_host;    /* "": that is for the loader to find */
	int alone;                       /* it ends itself if a library is preloaded */
	int starts_container;            /* a loader: its environment says what to run in which */
	int script_elsewhere;            /* a script that another view reads */
	struct core_exec target;         /* with its texts */
	/* large and seldom used: what comes before lies together */
	char name_of_descriptor[CORE_SAID_MAX + 32];
	char lines[SCRIPTS_MAX][SCRIPT_LINE];
};

/*
 * It is large, and what is used of it is at its beginning: from a page's beginning on, for each page that
 * an exec is the first to touch costs it.  A type with this alignment would have the compiler align the
 * frames of its callers as well, which then begin on pages of their own.
 */
#define PLAN_ALIGNMENT 4096ul
#define PLAN_ROOM (sizeof(struct plan) + PLAN_ALIGNMENT)

static struct plan *plan_in(char *room)
{
	return (struct plan *)(((uintptr_t)room + PLAN_ALIGNMENT - 1) & ~(PLAN_ALIGNMENT - 1));
}

static const struct core_view *view(void)
{
	return trap_task.view;
}

/* The name that the kernel would give to the file: "/dev/fd/3/tool". */
static const char *name_of(int dirfd, const char *path, char name[CORE_SAID_MAX + 32])
{
	char *p;

	if (path[0] == '/' || dirfd == AT_FDCWD)
		return path;
	p = text_put_number(text_put(name, "/dev/fd/"), (uint64_t)(unsigned)dirfd, 10);
	if (path[0])
		text_put(text_put(p, "/"), path);
	return name;
}

/* What is open as `fd` has no path in the view: the descriptor goes to the loader. */
static long find_nameless(struct plan *plan, int fd, const char *host)
{
	struct core_exec *target = &plan->target;
	char link[32];
	long r;

	plan->descriptor = fd;
	text_put_number(text_put(link, "/proc/self/fd/"), (uint64_t)(unsigned)fd, 10);
	target->used = target->kept;
	r = core_exec_keep(target, &target->program, host, "", CORE_PATH_MAX);
	if (r >= 0)
		r = core_exec_keep(target, &target->host, link, "", sizeof(link));
	if (r < 0)
		return r;
	target->view_file = "";
	target->kind = view()->kind;
	return core_exec_nameless(plan->task, fd);
}

/*
 * A program given by descriptor.  If it has a path in the view it is executed by
 * that; if not (memfd_create, unlinked, replaced) the descriptor itself goes to the
 * loader.
 */
static __attribute__((noinline)) long find_by_descriptor(struct plan *plan, int fd)
{
	char host[CORE_HOST_MAX], path[CORE_PATH_MAX], link[32];
	long n;

	text_put_number(text_put(link, "/proc/self/fd/"), (uint64_t)(unsigned)fd, 10);
	n = sys_call4(__NR_readlinkat, AT_FDCWD, link, host, sizeof(host) - 1);
	/* deeper than the kernel tells: as if it had none */
	if (n == -ENAMETOOLONG)
		n = text_put(host, link + 1) - host;
	if (n < 0)
		return n == -ENOENT ? -EBADF : n;
	host[n] = 0;
	if (host[0] == '/' && !text_begins(host, "/memfd:") &&
	    !(n > 10 && text_equal(host + n - 10, " (deleted)"))) {
		if (view()->kind == CORE_VIEW_HOST)
			return core_exec_resolve(plan->task, AT_FDCWD, host, AT_SYMLINK_NOFOLLOW_,
						 &plan->target);
		if (core_exec_path(plan->task, fd, path))
			return core_exec_resolve(plan->task, AT_FDCWD, path, CORE_EXEC_CANONICAL,
						 &plan->target);
		/* of a layer: its name there is told as the program's */
		if (core_from_host(view(), host, path, CORE_PATH_MAX) >= 0)
			return find_nameless(plan, fd, path);
	}
	return find_nameless(plan, fd, host);
}

static long find(struct plan *plan, int dirfd, const char *path, int flags)
{
	long r;
	int fd;

	plan->name = name_of(dirfd, path, plan->name_of_descriptor);
	plan->name_is_lost = path[0] != '/' && dirfd != AT_FDCWD &&
			     sys_call2(__NR_fcntl, dirfd, F_GETFD) == FD_CLOEXEC;
	if (!path[0])
		return find_by_descriptor(plan, dirfd);
	if (view()->kind == CORE_VIEW_HOST && trap_is_own_program(path))
		path = plan->task->program_host;
	r = core_exec_resolve(plan->task, dirfd, path, flags, &plan->target);
	/* by the link of a descriptor, which may be closed by the exec */
	fd = r < 0 ? -1 : core_exec_link(&plan->target);
	return fd < 0 ? r : find_by_descriptor(plan, fd);
}

/* Put the words of one "#!" line before those that are there. */
static long add_script(struct plan *plan, const struct loader_script *script, const char *name)
{
	if (!plan->scripts)
		plan->words[--plan->first_word] = name;
	if (script->argument)
		plan->words[--plan->first_word] = script->argument;
	plan->words[--plan->first_word] = script->interpreter;
	if (++plan->scripts > SCRIPTS_MAX)
		return -ELOOP;
	return 0;
}

static long find_interpreter(struct plan *plan)
{
	/* the kernel view's own program has the host's, which is not in the view */
	if (!plan->interpreter[0] || plan->target.view_file[0] ||
	    plan->target.kind != CORE_VIEW_CONTAINER)
		return 0;
	return core_exec_interpreter(plan->task, plan->interpreter, &plan->target, &plan->interpreter_host);
}

/* Read the interpreter's name to where the other texts are. */
static long read_interpreter(struct plan *plan, long fd, const void *header, long size)
{
	struct core_exec *target = &plan->target;
	char *name = target->text + target->used;
	long r;

	if (sizeof(target->text) - target->used < CORE_PATH_MAX)
		return -ENAMETOOLONG;
	r = loader_interpreter(fd, header, size, name, view()->preload.length ? &plan->alone : 0);
	plan->interpreter = name;
	target->used += text_length(name) + 1;
	return r;
}

/* Look into the file: 0 for a program, 1 for a script whose interpreter is now the
 * target. */
static long look_into(struct plan *plan, long fd)
{
	char header[LOADER_HEADER_SIZE] __attribute__((aligned(8)));
	struct loader_script script;
	long size = sys_call4(__NR_pread64, fd, header, sizeof(header), 0), r;
	char *line;

	if (size < 0)
		return size == -EISDIR ? -EACCES : size;
	if (size < 2 || header[0] != '#' || header[1] != '!') {
		r = loader_check(header, size, 0);
		if (!r && loader_is_one(header)) {
			plan->starts_container = 1;
			return 0;
		}
		if (!r)
			r = read_interpreter(plan, fd, header, size);
		return r < 0 ? r : find_interpreter(plan);
	}
	/* another view reads its own scripts */
	if (plan->target.view_file[0]) {
		plan->script_elsewhere = 1;
		return 0;
	}
	if (plan->scripts == SCRIPTS_MAX)
		return -ELOOP;
	line = plan->lines[plan->scripts];
	bytes_copy(line, header, SCRIPT_LINE);
	r = loader_script_parse(line, size < SCRIPT_LINE ? size : SCRIPT_LINE, &script);
	if (r < 0)
		return r;
	/* the interpreter could not open the script any more */
	if (plan->name_is_lost)
		return -ENOENT;
	r = add_script(plan, &script, plan->name);
	if (!r) {
		plan->descriptor = -1;
		plan->name_is_lost = 0;
		r = core_exec_resolve(plan->task, AT_FDCWD, script.interpreter, 0, &plan->target);
	}
	return r < 0 ? r : 1;
}

/* Find out what will run; -errno as execve would give. */
static long prepare(struct plan *plan, int dirfd, const char *path, int flags)
{
	long r = find(plan, dirfd, path, flags), fd;

	while (r >= 0) {
		/* a program of another container is for its loader to look into */
		if (!plan->target.host[0])
			return 0;
		fd = core_host_open(plan->target.host, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return fd;
		r = look_into(plan, fd);
		sys_call1(__NR_close, fd);
		if (r <= 0)
			return r;
	}
	return r;
}

/*
 * `lpmx run` inside a view, as a host call does it: the loader cannot be mapped
 * by a loader, but the kernel executes it as it is, filter and all.
 */
static long start_container(struct trap_slot *slot, const struct plan *plan, char *const *argv,
			    char *const *envp)
{
	long r;

	trap_before_exec();
	slot->exec_tid = (uint32_t)sys_call0(__NR_gettid);
	r = sys_call3(__NR_execve, plan->target.host, argv, envp);
	slot->exec_tid = 0;
	return r;
}

/* The name of the preload library for the target, or NULL for none. */
static const char *preload_for(const struct plan *plan)
{
	if (!view()->preload.length || !plan->interpreter[0] || plan->alone ||
	    plan->target.view_file[0])
		return 0;
	/* a root of the program's own does not have the library */
	if (plan->task->root[0])
		return 0;
	return view()->kind == CORE_VIEW_CONTAINER ? LPMX_PREFIX "/lib/preload.so"
						   : view()->preload.text;
}

/* Why a call is not allowed, for people. */
static const char *refusal(struct core_exec *target)
{
	const char *rules = core_call_rules(view());
	char *to = target->text + target->used, *p;

	if (text_length(rules) + (target->rule ? text_length(target->rule) : 0) + 64 >
	    sizeof(target->text) - target->used)
		return "the site's rules refuse it";
	p = target->rule ? text_put(text_put(text_put(to, "the rule \""), target->rule), "\"")
			 : text_put(to, "no rule");
	text_put(text_put(text_put(text_put(p, " of \"allowed_calls\" in \""), rules), "\" "),
		 target->rule ? "refuses it" : "allows it");
	target->used += text_length(to) + 1;
	return to;
}

/*
 * Can the next loader be told what to map?  A program of another container is for its own
 * to look into, as are scripts, and what is not to run at all is for it to say.
 */
static int needs_start(const struct plan *plan)
{
	return plan->target.view_file[0] &&
	       (plan->target.kind != CORE_VIEW_HOST || plan->script_elsewhere || plan->target.refused ||
		plan->target.starts_elsewhere);
}

/*
 * The working directory as another view is told it (LPMX_ENV_CALL): 1 if it is of the
 * container's layers or its upper, whose parts are seen together only here.
 */
static __attribute__((noinline)) int caller_directory(struct plan *plan, const char **directory)
{
	struct core_task *task = plan->task;
	const struct core_view *v = task->view;
	static const char nowhere[] = { LPMX_CALL_PRIVATE, 0 };
	char to[CORE_PATH_MAX], host[CORE_PATH_MAX];
	const long here[6] = { (long)(to + 1), CORE_PATH_MAX - 1 };
	long n = sys_call2(__NR_getcwd, host, sizeof(host));
	int own;

	to[0] = LPMX_CALL_PRIVATE;
	if (n <= 0 || core_call(task, __NR_getcwd, here) <= 0) {
		*directory = nowhere;
		return 1;
	}
	n = (long)text_begins(host, v->directory.text);
	own = n && (!host[n] || host[n] == '/');
	for (uint32_t i = 0; v->index && !own && i < v->layer_count; i++) {
		n = (long)text_begins(host, v->layers[i].text);
		own = n && (!host[n] || host[n] == '/');
	}
	if (core_exec_keep(&plan->target, directory, own ? to : to + 1, "", CORE_PATH_MAX) < 0) {
		*directory = nowhere;
		own = 1;
	}
	return own;
}

/* A descriptor that the next loader can map: one that cannot be read is not it. */
static long open_again(int fd)
{
	long flags = sys_call2(__NR_fcntl, fd, F_GETFL);
	char link[32];

	if (flags < 0 || (!(flags & O_PATH_) && (flags & O_ACCMODE) != O_WRONLY))
		return sys_call3(__NR_fcntl, fd, F_DUPFD, 0);
	text_put_number(text_put(link, "/proc/self/fd/"), (uint64_t)(unsigned)fd, 10);
	return core_host_open(link, O_RDONLY);
}

static long launch(struct trap_slot *slot, struct plan *plan, char *const *argv, char *const *envp)
{
	static char *const no_arguments[] = { (char *)"", 0 };
	const char *directory = 0;
	int own_directory = plan->target.call_file[0] && caller_directory(plan, &directory);
	/* programs find themselves, and what they are to do, by their name: a link's is not theirs */
	const char *const as_target[] = { plan->target.program, 0 };
	const char *debugger[LOADER_DEBUGGER_WORDS];
	struct loader_exec_vectors what = {
		.program = plan->target.program,
		.name = plan->target.view_file[0] && plan->target.host[0] ? plan->target.host : plan->name,
		.preload = preload_for(plan),
		.interpreter = plan->interpreter,
		.interpreter_host = plan->interpreter_host,
		.descriptor = -1,
		.by_descriptor = plan->by_descriptor,
		.fresh = needs_start(plan) || own_directory,
		.cwd = directory,
		.keep_state = plan->target.kind != CORE_VIEW_HOST && !plan->target.called[0],
		.prefix = plan->scripts                ? plan->words + plan->first_word
			  : plan->target.call_file[0] ? as_target
						      : 0,
	};
	char *const *new_argv;
	char **new_envp;
	long r;

	what.view_file = plan->target.view_file[0] ? plan->target.view_file : loader_view_file;
	if (plan->target.call_file[0])
		what.call_file = plan->target.call_file;
	else if (plan->target.view_file[0] && plan->target.kind == CORE_VIEW_HOST &&
		 view()->host_environment.length)
		what.environment = view()->host_environment.text;
	if (!what.fresh && plan->descriptor < 0)
		what.host = plan->target.host;
	if (plan->target.called[0]) {
		if (plan->target.refused)
			what.refused = refusal(&plan->target);
		core_call_log(plan->task, &plan->target);
	}
	if (!argv || (trap_readable(argv, sizeof(*argv)) && !argv[0]))
		argv = no_arguments;
	if (plan->descriptor >= 0) {
		what.descriptor = (int)open_again(plan->descriptor);
		if (what.descriptor < 0)
			return what.descriptor;
	}
	if (!what.prefix && loader_debugger(plan->task, &plan->target, argv, debugger))
		what.prefix = debugger;
	what.traced = trap_stop_hold();
	/* behind the other texts, mostly on the same page */
	plan->target.used = (plan->target.used + 7) & ~7ul;
	what.room = plan->target.text + plan->target.used;
	what.room_size = sizeof(plan->target.text) - plan->target.used;
	r = loader_vectors(slot, &what, argv, envp, &new_argv, &new_envp);
	if (!r) {
		trap_before_exec();
		slot->exec_tid = (uint32_t)sys_call0(__NR_gettid);
		r = sys_call3(__NR_execve, view()->loader.text, new_argv, new_envp);
		slot->exec_tid = 0;
	}
	trap_stop_release(what.traced);
	loader_vectors_drop(slot);
	if (what.descriptor >= 0)
		sys_call1(__NR_close, what.descriptor);
	return r;
}

/* Would the file be executed?  What is in it is not looked at.  A kernel that does not know
 * the question is asked it, too. */
static long check(struct plan *plan, int dirfd, const char *path, int flags)
{
	long r = sys_call5(__NR_execveat, AT_FDCWD, view()->loader.text, 0, 0, AT_EXECVE_CHECK_);

	if (r >= 0)
		r = find(plan, dirfd, path, flags);
	return r < 0 ? r : plan->target.refused ? -EACCES : 0;
}

/* `plan` has its target's text begun: with `name`, or with nothing. */
static long execute(struct trap_slot *slot, struct plan *plan, int dirfd, const char *name,
		    char *const *argv, char *const *envp, int flags)
{
	long r;

	plan->task = slot->task;
	plan->descriptor = -1;
	plan->by_descriptor = !name[0];
	plan->scripts = 0;
	plan->alone = 0;
	plan->starts_container = 0;
	plan->script_elsewhere = 0;
	plan->target.refused = plan->target.starts_elsewhere = 0;
	plan->target.view_file = plan->target.called = plan->target.call_file = "";
	plan->target.used = plan->target.kept;
	plan->interpreter = plan->interpreter_host = "";
	plan->first_word = sizeof(plan->words) / sizeof(*plan->words) - 1;
	plan->words[plan->first_word] = 0;
	if (flags & AT_EXECVE_CHECK_)
		return check(plan, dirfd, name, flags);
	r = prepare(plan, dirfd, name, flags);
	if (r < 0)
		return r;
	return plan->starts_container ? start_container(slot, plan, argv, envp)
				      : launch(slot, plan, argv, envp);
}

long loader_exec(struct trap_slot *slot, int dirfd, const char *path, char *const *argv,
		 char *const *envp, int flags)
{
	char room[PLAN_ROOM];
	struct plan *plan = plan_in(room);
	char *name = plan->target.text;
	long r;

	if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW_ | AT_EXECVE_CHECK_))
		return -EINVAL;
	r = trap_string(path, name, CORE_SAID_MAX, -ENAMETOOLONG);
	if (r < 0)
		return r;
	plan->target.kept = (size_t)r + 1;
	if (!r && !(flags & AT_EMPTY_PATH))
		return -ENOENT;
	if (!r && dirfd == AT_FDCWD)
		return -EACCES;
	return execute(slot, plan, dirfd, name, argv, envp, flags);
}

long loader_exec_path(struct trap_slot *slot, const char *path, char *const *argv, char *const *envp)
{
	char room[PLAN_ROOM];
	struct plan *plan = plan_in(room);

	plan->target.kept = 0;
	return execute(slot, plan, AT_FDCWD, path, argv, envp, 0);
}
