/*
 * argv and envp for an exec.
 *
 * They may be large (thousands of variables), and a vfork child that execs never
 * comes back to free what it took from memory it shares with its parent.  So what does
 * not fit the caller's stack is built in an arena that belongs to the slot and is used
 * again by the next exec from there.
 */
#include <asm-generic/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "../core/text.h"
#include "../trap/trap.h"
#include "loader.h"

#define PRIVATE_MAX 14
#define PREFIX_MAX 16
/* Of what others set while we look. */
#define LIVE_MORE 16
#define OTHERS_FIRST 128
/* What core_task_save wants beside the root, names of variables, numbers. */
#define STRINGS_MORE 2048
#define LIVE_FIRST (8ul << 10)
#define LIVE_LARGEST (2 * (size_t)LPMX_CONTROL_HEAP_SIZE)
#define ARENA_KEPT (256ul << 10)

static char *arena(struct trap_slot *slot, size_t size)
{
	long memory;

	if (slot->arena_size >= size)
		return slot->arena;
	if (slot->arena_size)
		sys_call2(__NR_munmap, slot->arena, slot->arena_size);
	slot->arena_size = 0;
	size = (size + 0xffff) & ~0xfffful;
	memory = sys_call6(__NR_mmap, 0, (long)size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (SYS_FAILED(memory))
		return 0;
	slot->arena = (char *)memory;
	slot->arena_size = size;
	return slot->arena;
}

void loader_vectors_drop(struct trap_slot *slot)
{
	if (slot->arena_size <= ARENA_KEPT)
		return;
	sys_call2(__NR_munmap, slot->arena, slot->arena_size);
	slot->arena_size = 0;
}

/* Words of an argv once the prefix is in place of its first. */
static long put_arguments(const char **to, const char *const *prefix, char *const *argv, long argc)
{
	long n = 0;

	for (; prefix[n]; n++)
		to[n] = prefix[n];
	for (long i = 1; i < argc; i++)
		to[n++] = argv[i];
	to[n] = 0;
	return n;
}

static char *pair(char **at, const char *name, const char *value)
{
	char *start = *at;

	*at = text_put(text_put(text_put(start, name), "="), value) + 1;
	return start;
}

static int ends_with(const char *list, const char *item)
{
	size_t n = text_length(list), own = text_length(item);

	return n >= own && text_same(list + n - own, item, own) &&
	       (n == own || list[n - own - 1] == ':' || list[n - own - 1] == ' ');
}

/*
 * "LD_PRELOAD=theirs:ours"; the program's own list may be long.  Theirs stand in for the
 * libc's functions as they do outside, and what they hand on reaches ours as it would libc's.
 */
static char *preload_pair(char **at, const char *ours, const char *theirs)
{
	char *start = *at, *p = text_put(start, "LD_PRELOAD=");

	if (theirs && *theirs && !text_equal(theirs, ours)) {
		p = text_put(p, theirs);
		if (!ends_with(theirs, ours))
			p = text_put(text_put(p, ":"), ours);
	} else {
		p = text_put(p, ours);
	}
	*at = p + 1;
	return start;
}

/* How long the strings may become that put_private and preload_pair write. */
static size_t strings_size(const struct loader_exec_vectors *what, const struct core_task *task,
			   const char *theirs)
{
	const char *const parts[] = {
		what->view_file, what->program, what->name, what->preload, what->host, what->interpreter,
		what->interpreter_host, what->cwd, what->refused, theirs, task->trace,
	};
	/* the root may be another by then, and a call file may say where to start */
	size_t n = STRINGS_MORE + CORE_PATH_MAX + (what->call_file ? CORE_PATH_MAX : 0);

	for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		n += parts[i] ? text_length(parts[i]) + 1 : 0;
	return n;
}

/* `end` is behind what `at` may fill. */
static long put_private(char **to, char **at, const char *end, const struct loader_exec_vectors *what,
			const struct core_task *task, const char *start_in, uint64_t since)
{
	const char *rewrite = trap_sites_told();
	long n = 0, r;
	char *p;

	to[n++] = pair(at, LPMX_ENV_VIEW, what->view_file);
	to[n++] = pair(at, LPMX_ENV_PROGRAM, what->program);
	if (what->keep_state) {
		p = text_put(to[n++] = *at, LPMX_ENV_STATE "=");
		r = core_task_save(task, p, (size_t)(end - p));
		if (r < 0)
			return r;
		*at = p + r + 1;
	}
	if (task->trace)
		to[n++] = pair(at, LPMX_ENV_TRACE, task->trace);
	if (what->traced) {
		const char traced[2] = { what->traced };

		to[n++] = pair(at, LPMX_ENV_TRACED, traced);
	}
	if (rewrite[0])
		to[n++] = pair(at, LPMX_ENV_REWRITE, rewrite);
	if (what->refused)
		to[n++] = pair(at, LPMX_ENV_REFUSED, what->refused);
	if (what->fresh && what->cwd)
		to[n++] = pair(at, LPMX_ENV_CALL, what->cwd);
	if (what->fresh && start_in)
		to[n++] = pair(at, LOADER_ENV_CWD, start_in);
	if (!what->fresh) {
		p = text_put(to[n++] = *at, LOADER_ENV_START "=");
		if (what->descriptor >= 0)
			p = text_put_number(p, (uint64_t)what->descriptor, 10);
		if (what->by_descriptor)
			*p++ = LOADER_BY_DESCRIPTOR;
		*p++ = ':';
		*at = text_put(p, what->name) + 1;
		p = text_put(to[n++] = *at, LPMX_ENV_SINCE "=");
		*at = text_put_number(p, since, 10) + 1;
		if (what->host)
			to[n++] = pair(at, LOADER_ENV_FILE, what->host);
		if (what->interpreter_host[0]) {
			p = text_put(to[n++] = *at, LOADER_ENV_INTERPRETER "=");
			p = text_put_number(p, text_length(what->interpreter), 10);
			p = text_put(text_put(p, ":"), what->interpreter);
			*at = text_put(p, what->interpreter_host) + 1;
		}
	}
	return n;
}

static int is_preload(const char *variable)
{
	return text_begins(variable, "LD_PRELOAD=") != 0;
}

/* Of what->call_file also the directory to start in; `behind` has room for `max` more.  *used is
 * how much of live[live_size] it takes, at most. */
static long variables(const struct loader_exec_vectors *what, char *const *envp, char **to,
		      char **behind, size_t max, char *live, size_t live_size, size_t *used,
		      const char **start_in)
{
	static char *const none[] = { 0 };
	size_t half = live_size / 2;
	long r;

	*used = live_size;
	if (what->environment)
		return loader_file_environment(what->environment, to, max, live, live_size, used);
	if (!what->call_file)
		return core_environment_apply(&trap_task, envp ? envp : none, to, max, live, live_size);
	r = core_environment_apply(&trap_task, envp ? envp : none, behind, max, live, half);
	return r < 0 ? r : loader_call_environment(what->call_file, behind, to, max, live + half, half,
						   start_in);
}

long loader_vectors(struct trap_slot *slot, const struct loader_exec_vectors *what,
		    char *const *argv, char *const *envp, char *const **new_argv, char ***new_envp)
{
	/* of another place the variables are counted while they are read */
	size_t others = what->call_file || what->environment ? OTHERS_FIRST : 0;
	size_t bytes = 0, live_size = others || core_environment_count(trap_task.view) ? LIVE_FIRST : 0;
	size_t strings, max, words, used;
	long argc = 0, envc, n, r;
	const char *theirs = 0, *start_in = 0;
	char **env, *memory, *at;
	uint64_t since = core_environment_generation(trap_task.view);

	envc = trap_vector(envp, &bytes);
	if (envc < 0)
		return envc;
	if (what->prefix) {
		argc = trap_vector(argv, 0);
		if (argc < 0)
			return argc;
	}
	for (long i = 0; i < envc; i++)
		if (is_preload(envp[i]))
			theirs = envp[i] + sizeof("LD_PRELOAD=") - 1;
	strings = strings_size(what, slot->task, theirs);
	for (;; live_size = live_size ? 8 * live_size : LIVE_FIRST, others *= 8) {
		max = (size_t)envc + core_environment_count(trap_task.view) + LIVE_MORE + 1 + others;
		words = PRIVATE_MAX + max + PREFIX_MAX + (size_t)argc + 1 + (what->call_file ? max : 0);
		memory = words * sizeof(char *) + strings + live_size <= what->room_size
				 ? what->room
				 : arena(slot, words * sizeof(char *) + strings + live_size);
		if (!memory)
			return -ENOMEM;
		env = (char **)memory;
		at = memory + words * sizeof(char *);
		r = variables(what, envp, env + PRIVATE_MAX, env + words - max, max, at, live_size, &used,
			      &start_in);
		if (r != -E2BIG || live_size > LIVE_LARGEST)
			break;
	}
	if (r >= 0 && start_in && text_length(start_in) >= CORE_PATH_MAX)
		r = -ENAMETOOLONG;
	if (r < 0)
		return r;
	if (what->prefix) {
		const char **args = (const char **)env + PRIVATE_MAX + max;

		put_arguments(args, what->prefix, argv, argc);
		*new_argv = (char *const *)args;
	} else {
		*new_argv = argv;
	}
	n = 0;
	at += used;
	if (what->preload)
		env[n++] = preload_pair(&at, what->preload, theirs);
	for (char **from = env + PRIVATE_MAX; *from; from++)
		if (!what->preload || !is_preload(*from))
			env[n++] = *from;
	/* ours last: programs that write a title over their arguments go on over the
	 * environment, as far as it lies without a gap */
	r = put_private(env + n, &at, memory + words * sizeof(char *) + used + strings, what, slot->task,
			start_in, since);
	if (r < 0)
		return r;
	env[n + r] = 0;
	*new_envp = env;
	return 0;
}
