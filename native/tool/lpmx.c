/*
 * /.lpmx/bin/lpmx: the `lpmx` command as it is inside a container.  Static and
 * without a libc, so that it runs in every image; it asks the core through
 * LPMX_SYSCALL and so always speaks of the container it runs in.
 */
#include <asm-generic/errno.h>
#include <linux/fcntl.h>

#include "../core/text.h"
#include "../sys/say.h"
#include "../sys/sys.h"
#include "lpmx_abi.h"

#define CANNOT_RUN 125
#define NOT_EXECUTABLE 126
#define NOT_FOUND 127
#define MISUSED 2

static const char help[] =
	"usage: lpmx COMMAND\n"
	"\n"
	"Inside a container:\n"
	"  env set NAME=VALUE...   change variables for everything that runs here, at once\n"
	"  env unset NAME...       take variables away\n"
	"  env list [--json]       show what was changed while the container ran\n"
	"  env history [--json]    show all changes, with their times\n"
	"  env load FILE           take over the variables of a .env file\n"
	"  host COMMAND [ARG...]   run a program of the host\n"
	"  info                    which container this is, and where it lies on the host\n"
	"\n"
	"Whatever else there is (ps, link, exec, commit, ...) is done by the lpmx of the host:\n"
	"  lpmx links \"$LPMX_CONTAINER\"\n";

static int fail(int status, const char *what, const char *thing, const char *cause, const char *hint)
{
	say(2, "lpmx: cannot ");
	say(2, what);
	if (thing) {
		say(2, " \"");
		say(2, thing);
		say(2, "\"");
	}
	say(2, ": ");
	say(2, cause);
	say(2, "\nhint: ");
	say(2, hint);
	say(2, "\n");
	return status;
}

static const char *reason(long error)
{
	switch (-error) {
	case ENOENT:
		return "there is no such program";
	case EACCES:
		return "it is not executable";
	case ENOEXEC:
		return "it is not a program for this machine";
	case ENOSPC:
		return "the container has no room for more changes";
	case EINVAL:
		return "that cannot be the name of a variable";
	case ENOSYS:
		return "this is not inside a container";
	case E2BIG:
		return "the argument list is too long";
	default:
		return "the kernel refused";
	}
}

static long ask(long op, const void *a, const void *b, long c)
{
	return sys_call6(LPMX_SYSCALL, op, (long)a, (long)b, c, 0, 0);
}

/* ---- what the lpmx of the host does --------------------------------------------------- */

#define FORWARDED_MAX (1 << 16)

/* Become the host's `lpmx`, with our first words as given and all of `args` behind them. */
static int forward(const char *const *first, char **args, char **envp)
{
	static const char *words[FORWARDED_MAX];
	static char path[8192];
	size_t n = 0;
	char *p = text_put(path, LPMX_HOST_PREFIX);
	long r = ask(LPMX_OP_DIRECTORY, p, (void *)(sizeof(path) - 16 - (size_t)(p - path)), 0);

	if (r < 0)
		return fail(CANNOT_RUN, "run the lpmx of the host", 0, reason(r),
			    "run this inside a container");
	words[n++] = LPMX_CALL_COMMAND;
	while (*first)
		words[n++] = *first++;
	for (; *args; args++) {
		if (n + 1 >= FORWARDED_MAX)
			return fail(CANNOT_RUN, "run the lpmx of the host", 0, reason(-E2BIG),
				    "pass fewer arguments");
		words[n++] = *args;
	}
	words[n] = 0;
	text_put(p + r - 1, "/" LPMX_CALL_COMMAND);
	r = sys_call3(__NR_execve, path, words, envp);
	return fail(CANNOT_RUN, "run the lpmx of the host", 0, reason(r),
		    "start something in this container from the host, which puts it in order");
}

/* "lpmx env ACTION" of this container. */
static int forward_env(const char *action, char **args, char **envp)
{
	static char name[256];
	const char *words[] = { "env", action, name, 0 };
	long r = ask(LPMX_OP_NAME, name, (void *)sizeof(name), 0);

	if (r < 0)
		return fail(1, "use \"env\"", 0, reason(r), "run this inside a container");
	return forward(words, args, envp);
}

/* The file may be one that only this container has: the host's command gets it opened. */
static int env_load(char **args, char **envp)
{
	static char standard_input[] = "-";
	char *words[] = { standard_input, 0 };
	long fd;

	if (!args[0] || args[1])
		return fail(MISUSED, "load variables", 0, "it needs one file", "lpmx env load FILE");
	fd = text_equal(args[0], "-") ? 0
				      : sys_call4(__NR_openat, AT_FDCWD, args[0], O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fail(1, "read the variables in", args[0],
			    fd == -ENOENT ? "there is no such file" : "it cannot be read",
			    "name a file of NAME=VALUE lines");
	if (fd > 0)
		sys_call3(__NR_dup3, fd, 0, 0);
	return forward_env("load", words, envp);
}

/* ---- env ---------------------------------------------------------------------------- */

static int env_set(char **args)
{
	static char name[4096];

	if (!*args)
		return fail(MISUSED, "set a variable", 0, "none was named", "lpmx env set NAME=VALUE");
	for (; *args; args++) {
		size_t n = 0;
		long r;

		while ((*args)[n] && (*args)[n] != '=')
			n++;
		if (!n || !(*args)[n] || n >= sizeof(name))
			return fail(MISUSED, "set the variable", *args, "it is not NAME=VALUE",
				    "write, for example, lpmx env set OMP_NUM_THREADS=4");
		bytes_copy(name, *args, n);
		name[n] = 0;
		r = ask(LPMX_OP_ENV_SET, name, *args + n + 1, 0);
		if (r < 0)
			return fail(1, "set the variable", name, reason(r), "lpmx env list shows what is set");
	}
	return 0;
}

static int env_unset(char **args)
{
	if (!*args)
		return fail(MISUSED, "unset a variable", 0, "none was named", "lpmx env unset NAME");
	for (; *args; args++) {
		long r = ask(LPMX_OP_ENV_UNSET, *args, 0, 0);

		if (r < 0)
			return fail(1, "unset the variable", *args, reason(r),
				    "lpmx env list shows what is set");
	}
	return 0;
}

/* One JSON string; bytes that are no UTF-8 go through as they are. */
static void say_json(const char *text)
{
	char out[8];

	say(1, "\"");
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\') {
			out[0] = '\\';
			out[1] = (char)c;
			out[2] = 0;
		} else if (c < 32) {
			text_put(out, "\\u00");
			out[4] = "0123456789abcdef"[c >> 4];
			out[5] = "0123456789abcdef"[c & 15];
			out[6] = 0;
		} else {
			out[0] = (char)c;
			out[1] = 0;
		}
		say(1, out);
	}
	say(1, "\"");
}

static int env_list(char **args)
{
	static char pair[1 << 20];
	int json = *args && text_equal(*args, "--json");
	long r;

	if (*args && !json)
		return fail(MISUSED, "use", *args, "there is no such option", "lpmx env list --json");
	if (json)
		say(1, "{");
	for (long at = 0; (r = ask(LPMX_OP_ENV_LIST, (void *)at, pair, sizeof(pair))) > 0; at++) {
		char *value = pair;

		while (*value && *value != '=')
			value++;
		if (json) {
			int set = *value == '=';

			*value = 0;
			say(1, at ? ", " : "");
			say_json(pair);
			say(1, ": ");
			if (set)
				say_json(value + 1);
			else
				say(1, "null");
		} else {
			say(1, pair);
			say(1, *value ? "\n" : " (unset)\n");
		}
	}
	if (json)
		say(1, "}\n");
	return r < 0 ? fail(1, "list the environment", 0, reason(r), "run this inside a container") : 0;
}

static int env(char **args, char **envp)
{
	if (*args && text_equal(*args, "set"))
		return env_set(args + 1);
	if (*args && text_equal(*args, "unset"))
		return env_unset(args + 1);
	if (*args && text_equal(*args, "list"))
		return env_list(args + 1);
	if (*args && text_equal(*args, "history"))
		return forward_env("history", args + 1, envp);
	if (*args && text_equal(*args, "load"))
		return env_load(args + 1, envp);
	return fail(MISUSED, "use \"env\"", 0, "it needs set, unset, list, history or load",
		    "lpmx --help");
}

/* ---- host, info ------------------------------------------------------------------------ */

static int host(char **args, char **envp)
{
	static char path[8192];
	const char *name = args[0];
	int slash = 0;
	long r;

	if (!name)
		return fail(MISUSED, "run a host program", 0, "none was named", "lpmx host COMMAND");
	for (const char *p = name; *p; p++)
		slash |= *p == '/';
	if (text_length(name) + sizeof(LPMX_HOST_PREFIX) + 2 > sizeof(path))
		return fail(NOT_FOUND, "run", name, "the name is too long", "use a shorter path");
	if (slash && name[0] != '/')
		return fail(NOT_FOUND, "run", name, "a relative path has no meaning on the host",
			    "give an absolute path, or a name of the host's PATH");
	text_put(text_put(text_put(path, slash ? LPMX_HOST_PREFIX : LPMX_HOST_SEARCH), slash ? "" : "/"),
		 name);
	r = sys_call3(__NR_execve, path, args, envp);
	return fail(r == -ENOENT ? NOT_FOUND : r == -EACCES || r == -ENOEXEC ? NOT_EXECUTABLE : CANNOT_RUN,
		    "run on the host", name, reason(r),
		    "the program must be in the PATH that the container was started with");
}

static int info(void)
{
	static char text[8192];
	long r = ask(LPMX_OP_NAME, text, (void *)sizeof(text), 0);

	if (r < 0)
		return fail(1, "tell about the container", 0, reason(r), "run this inside a container");
	say(1, "container  ");
	say(1, text);
	if (ask(LPMX_OP_DIRECTORY, text, (void *)sizeof(text), 0) > 0) {
		say(1, "\ndirectory  ");
		say(1, text);
	}
	say(1, "\n");
	return 0;
}

__attribute__((used)) int program_main(long argc, char **argv, char **envp)
{
	static const char *const nothing[] = { 0 };
	const char *command = argc > 1 ? argv[1] : "--help";

	if (text_equal(command, "env"))
		return env(argv + 2, envp);
	if (text_equal(command, "host"))
		return host(argv + 2, envp);
	if (text_equal(command, "info"))
		return info();
	if (text_equal(command, "--help") || text_equal(command, "-h") || text_equal(command, "help")) {
		say(1, help);
		return 0;
	}
	return forward(nothing, argv + 1, envp);
}
