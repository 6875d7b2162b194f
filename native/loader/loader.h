/*
 * The loader: what the kernel really starts whenever a contained program is
 * executed.  It opens the view, makes sure of the filter, maps the program and
 * its own interpreter, and jumps.
 */
#ifndef LPMX_LOADER_H
#define LPMX_LOADER_H

#include <stddef.h>
#include <stdint.h>

#include "../include/lpmx_core.h"

struct trap_slot;

#pragma GCC visibility push(hidden)

/*
 * "DESCRIPTOR:NAME" from an exec to the loader it starts: the open file to map
 * ("" for the one LPMX_PROGRAM names) and the name that the program was executed
 * by, for AT_EXECFN and the command name; "!" before the colon: the command has the
 * file's own name.  Without it the loader was started
 * from outside, or from another view, and finds out everything itself.
 */
#define LOADER_ENV_START "LPMX_START"
/*
 * With it, what exec found, and need not be found again.  Where there is no descriptor: the host
 * path of the file that LPMX_PROGRAM names.  Of a program that has an interpreter in the view:
 * "LENGTH:NAME" as the file says it, and behind that its host path.
 */
#define LOADER_ENV_FILE "LPMX_FILE"
#define LOADER_ENV_INTERPRETER "LPMX_INTERPRETER"
#define LOADER_BY_DESCRIPTOR '!'
/* From the runtime: the directory of the view to start in. */
#define LOADER_ENV_CWD "LPMX_CWD"
/* For tests: behave as where seccomp is refused. */
#define LOADER_ENV_NO_TRAP "LPMX_NO_TRAP"

/* ---- begin.c ---- */

/* Host path of the view file. */
extern const char *loader_view_file;

struct loader_jump {
	uint64_t sp, entry;
};

/* ---- stack.c: what the kernel put on the stack ---- */

struct loader_stack {
	uint64_t *sp;
	long argc, envc, auxc;   /* without the NULL and AT_NULL at their ends */
	char **argv, **envp;
	uint64_t (*auxv)[2];
	/* private variables: their values, or NULL */
	const char *view, *program, *state, *start, *cwd, *trace, *call, *refused, *traced, *rewrite,
		*since, *file, *interpreter;
	int no_trap;
	/* as the kernel laid the strings out */
	uint64_t arg_start, arg_end, env_start, env_end;
};

/* Read the stack and take the private variables out of envp. */
void loader_stack_read(struct loader_stack *stack, uint64_t *sp);
uint64_t loader_auxiliary(const struct loader_stack *stack, uint64_t type);

struct loader_image;
/* Lay argc, argv, envp and the auxiliary vector out for the program; returns its sp. */
uint64_t loader_stack_write(struct loader_stack *stack, const struct loader_image *program,
			    const struct loader_image *interpreter, const char *name);

/* ---- elf.c ---- */

#define LOADER_HEADER_SIZE 1024

struct loader_image {
	uint64_t low, high;              /* all of it */
	uint64_t data_low, data_high;    /* the last writable segment */
	uint64_t code_low, code_high;
	uint64_t base, entry, headers;
	uint32_t header_count, header_size;
	int executable_stack;
	char *interpreter; /* the caller's, CORE_PATH_MAX: "" for none; or NULL: it is not wanted */
};

/*
 * Is this the beginning of a program that can run here?  0, -ENOEXEC, or -EIO
 * where it is damaged; *why, if not NULL, says it in English.
 */
long loader_check(const void *header, long size, const char **why);
/* Is the program a loader, of this or another installation? */
int loader_is_one(const void *header);
/* Read the interpreter's name of the program open at `fd`: its length, 0: none.
 * *alone is set if no library may be preloaded into the program; NULL: that is not asked. */
long loader_interpreter(long fd, const void *header, long size, char *name, int *alone);
/* Where the kernel puts position-independent programs. */
uint64_t loader_pie_base(int randomize);
/* Map the file open at `fd`: if it is position-independent from the page `at` on, where there is
 * room; otherwise, and for 0, where the kernel has some. */
long loader_map(long fd, uint64_t at, struct loader_image *image);

/* ---- process.c: what the kernel believes about this process ---- */

void loader_describe(const struct loader_stack *stack, const struct loader_image *image,
		     uint64_t sp, int randomize);
/* `told`: by the kernel, of a file that may have no name any more. */
void loader_set_name(const char *name, int told);

/* ---- script.c ---- */

struct loader_script {
	const char *interpreter;
	const char *argument; /* or NULL */
};

/* Split a "#!" line in place: 1, 0: it is no script, or -ENOEXEC. */
long loader_script_parse(char *line, long size, struct loader_script *script);

/* ---- exec.c ---- */

/* Only returns if it fails, with -errno and nothing changed, or was only to look: 0. */
long loader_exec(struct trap_slot *slot, int dirfd, const char *path, char *const *argv,
		 char *const *envp, int flags);
/* The same of a path of our own, which may be longer than a program's. */
long loader_exec_path(struct trap_slot *slot, const char *path, char *const *argv,
		      char *const *envp);

/* ---- vectors.c: argv and envp for an exec ---- */

struct loader_exec_vectors {
	const char *view_file, *program, *name, *preload;
	const char *host;   /* path of the program; NULL: a descriptor, or another view finds it */
	/* its interpreter as it says it, and that one's host path; "": there is none in the view */
	const char *interpreter, *interpreter_host;
	int descriptor;     /* or -1 */
	int by_descriptor;  /* the file names the command */
	int fresh;          /* the target view starts from outside: no start variable */
	int keep_state;     /* the program keeps its credentials and root */
	const char *environment; /* host path of an environment to use instead, or NULL */
	const char *call_file;   /* host path of a call file that makes the environment, or NULL */
	const char *cwd;         /* of the caller in its view: a call of another view; or NULL */
	const char *refused;     /* the reason why it is not allowed, or NULL */
	char traced;             /* trap_stop_hold's answer */
	const char *const *prefix; /* words in front of argv[1], NULL-ended; or NULL */
	char *room;         /* memory that stays until the exec, aligned for pointers */
	size_t room_size;
};

/* Build both in what->room, or in the slot's arena if they are larger. */
long loader_vectors(struct trap_slot *slot, const struct loader_exec_vectors *what,
		    char *const *argv, char *const *envp, char *const **new_argv, char ***new_envp);
void loader_vectors_drop(struct trap_slot *slot);

/* ---- debugger.c ---- */

#define LOADER_DEBUGGER_WORDS 4

/*
 * Is `target` gdb, and must be told what our signals are?  Then what to put in place of the
 * first word of its arguments, NULL-ended, and 1.
 */
int loader_debugger(struct core_task *task, const struct core_exec *target, char *const *argv,
		    const char *words[LOADER_DEBUGGER_WORDS]);

/* ---- call.c ---- */

/*
 * The environment that the call file says, from the caller's: pointers into `to` (room for
 * `max`), NULL-ended, to strings of the caller's and to what is read into arena[size].  *cwd:
 * the directory to start in, or NULL.  Returns the count or -errno, -E2BIG: no room.
 */
long loader_call_environment(const char *file, char *const *caller, char **to, size_t max,
			     char *arena, size_t size, const char **cwd);
/* Split what is in the file `path` at its NULs; *used: how much of arena[size] that takes. */
long loader_file_environment(const char *path, char **to, size_t max, char *arena, size_t size,
			     size_t *used);

/* ---- first.c ---- */

/* Start the program from outside the container; does not return. */
void loader_first(struct loader_stack *stack) __attribute__((noreturn));

/* ---- message.c ---- */

/* Text of an errno, in English. */
const char *loader_error(long error);
/* One line on standard error from the parts, NULL-ended. */
void loader_say(const char *first, ...) __attribute__((sentinel));
void loader_leave(int status) __attribute__((noreturn));

#pragma GCC visibility pop

#endif
