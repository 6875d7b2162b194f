/*
 * The first program of a container, or one that comes from another view: it was
 * given as a person types it.  Nobody is there to take an errno, so failures are
 * told on standard error, with Docker's exit codes: 127 not found, 126 found but
 * not executable, 125 anything else.
 */
#include <asm-generic/errno.h>
#include <linux/fcntl.h>

#include "../core/text.h"
#include "../trap/trap.h"
#include "loader.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define CANNOT_RUN 125
#define NOT_EXECUTABLE 126
#define NOT_FOUND 127

static __attribute__((noreturn)) void fail(const char *program, int status, const char *cause,
					   const char *hint)
{
	const struct core_view *view = trap_task.view;

	if (view->kind == CORE_VIEW_HOST)
		loader_say("lpmx: cannot run \"", program, "\" on the host: ", cause, (char *)0);
	else
		loader_say("lpmx: cannot run \"", program, "\" in container \"", view->name.text,
			   "\": ", cause, (char *)0);
	loader_say("hint: ", hint, (char *)0);
	loader_leave(status);
}

static const char *variable(char *const *envp, const char *name)
{
	for (; *envp; envp++) {
		size_t n = text_begins(*envp, name);

		if (n && (*envp)[n] == '=')
			return *envp + n + 1;
	}
	return 0;
}

/* Search PATH as execvp does: 0 and the path, or the errno to report. */
static long search(const char *program, char *const *envp, char path[CORE_PATH_MAX])
{
	static struct core_exec found;
	const char *directories = variable(envp, "PATH");
	size_t length = text_length(program);
	long error = -ENOENT;

	if (!directories)
		directories = DEFAULT_PATH;
	for (const char *p = directories, *end;; p = end + 1) {
		size_t n;
		long r;

		for (end = p; *end && *end != ':'; end++)
			;
		n = (size_t)(end - p);
		if (n + length + 2 <= CORE_PATH_MAX) {
			bytes_copy(path, p, n);
			text_put(text_put(path + n, n ? "/" : "./"), program);
			r = core_exec_resolve(&trap_task, AT_FDCWD, path, 0, &found);
			if (!r)
				return 0;
			if (r == -EACCES)
				error = r;
		}
		if (!*end)
			return error;
	}
}

/* Why a file that is there cannot be executed. */
static const char *why_not(const char *path)
{
	static struct core_exec found;
	char header[LOADER_HEADER_SIZE];
	const char *why = loader_error(-ENOEXEC);
	long fd, size;

	if (core_exec_resolve(&trap_task, AT_FDCWD, path, 0, &found) < 0)
		return why;
	fd = core_host_open(found.host, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? fd : sys_call3(__NR_read, fd, header, sizeof(header));
	if (size >= 0)
		loader_check(header, size, &why);
	return why;
}

static void enter_directory(const char *program, const char *cwd)
{
	const long args[6] = { (long)cwd };
	long r = core_call(&trap_task, __NR_chdir, args);
	char cause[2 * CORE_PATH_MAX];

	if (!r)
		return;
	if (text_length(cwd) >= CORE_PATH_MAX)
		cwd = "?";
	text_put(text_put(text_put(text_put(cause, "cannot enter the directory \""), cwd), "\": "),
		 loader_error(r));
	fail(program, CANNOT_RUN, cause,
	     trap_task.view->kind == CORE_VIEW_HOST ? "name a directory that exists on the host"
						     : "name a directory that exists in the container");
}

/* A directory that the view does not show is none to be in: begin at its root.  A program
 * that is called from the directory `caller` of another view would look for the wrong files
 * there, and is not run. */
static void leave_foreign_directory(const char *program, const char *caller)
{
	char path[CORE_PATH_MAX], cause[2 * CORE_PATH_MAX];
	const long where[6] = { (long)path, sizeof(path) }, root[6] = { (long)"/" };
	int private = caller && *caller == LPMX_CALL_PRIVATE;

	caller += private;
	/* the kernel's way to say so: "(unreachable)/..." */
	if (!private && (core_call(&trap_task, __NR_getcwd, where) <= 0 || path[0] == '/'))
		return;
	if (caller && !text_equal(caller, "/")) {
		text_put(text_put(text_put(cause, "the caller's working directory \""),
				  text_length(caller) < CORE_PATH_MAX ? caller : "?"),
			 private ? "\" is its container's own" : "\" is not in it");
		fail(program, CANNOT_RUN, cause,
		     "go to a directory that both have, such as your home, or link it with --cwd");
	}
	core_call(&trap_task, __NR_chdir, root);
}

static __attribute__((noreturn)) void explain(const char *program, const char *path, long error)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
		if (path[0] && why_not(path) != loader_error(-ENOEXEC))
			break;
		fail(program, NOT_FOUND, "there is no such program, or its interpreter is missing",
		     "look at the name and at the container's PATH");
	case -EACCES:
		fail(program, NOT_EXECUTABLE, "it is not an executable file, or may not be read",
		     "look at its type and mode");
	case -ENOEXEC: {
		const char *why = why_not(path);

		fail(program, NOT_EXECUTABLE, why,
		     why == loader_error(-ENOEXEC) ? "begin it with a line such as #!/bin/sh"
						   : "use a 64-bit build for this machine");
	}
	case -E2BIG:
		fail(program, CANNOT_RUN, loader_error(error),
		     "pass fewer arguments or a smaller environment");
	}
	fail(program, NOT_EXECUTABLE, loader_error(error), "run \"lpmx check\"");
}

void loader_first(struct loader_stack *s)
{
	static char path[CORE_PATH_MAX];
	const char *slash = s->program;
	long r;

	if (s->refused)
		fail(s->program, NOT_EXECUTABLE, s->refused,
		     "ask those who administer this machine");
	if (s->cwd)
		enter_directory(s->program, s->cwd);
	else if (trap_task.view->kind != CORE_VIEW_HOST || s->call)
		leave_foreign_directory(s->program, s->call);
	while (*slash && *slash != '/')
		slash++;
	if (*slash) {
		r = text_length(s->program) < sizeof(path) ? 0 : -ENAMETOOLONG;
		if (!r)
			text_put(path, s->program);
	} else {
		r = *s->program ? search(s->program, s->envp, path) : -ENOENT;
		if (r < 0)
			path[0] = 0;
	}
	trap_first_slot()->task = &trap_task;
	if (!r)
		r = *path ? loader_exec_path(trap_first_slot(), path, s->argv, s->envp) : -ENOENT;
	explain(s->program, path, r);
}
