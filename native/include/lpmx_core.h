/*
 * The core: what a path, a descriptor or a name means in a view.
 *
 * Called by the trap, the preload library (through the loader's window), the
 * loader itself and, from Python, by lpmx_runtime._native.  Freestanding: no
 * libc, no malloc, no thread-local storage, no vector registers; safe in
 * signal handlers and vfork children.  Functions return >= 0 or -errno.
 */
#ifndef LPMX_CORE_H
#define LPMX_CORE_H

#include <stddef.h>
#include <stdint.h>

#include "lpmx_abi.h"

/* What a program can say at once, and its NUL: the kernel's PATH_MAX. */
#define CORE_SAID_MAX 4096
/* What that may come to, begun in a directory that is deep itself or led through links:
 * a canonical path of the view; and on the host, where the container's place is before it. */
#define CORE_PATH_MAX (4 * CORE_SAID_MAX)
#define CORE_HOST_MAX (CORE_PATH_MAX + CORE_SAID_MAX)
#define CORE_LAYERS_MAX 256
#define CORE_BINDS_MAX 64

enum core_kind { CORE_VIEW_CONTAINER, CORE_VIEW_HOST, CORE_VIEW_KERNEL };

struct core_string {
	const char *text; /* NUL-terminated */
	uint32_t length;
};

struct core_bind {
	struct core_string at;   /* in the view, canonical */
	struct core_string host;
	uint64_t hash;           /* of `at` */
	int read_only;
};

/* A view, as read from a view file; constant after core_view_open. */
struct core_view {
	enum core_kind kind;
	uint32_t layer_count, bind_count;
	struct core_string name, directory, upper, work, control_path, loader, preload,
		program, container_view, host_view, host_environment, file, index_path;
	const struct lpmx_index_header *index; /* or NULL: live layers */
	uint64_t opened;                       /* which of this process's views it is, from 1 */
	struct lpmx_control *control;          /* or NULL */
	uint64_t bind_filter;                  /* one bit for each bind's hash */
	int rewrite;                           /* call sites that trap often (trap/sites_x86_64.c) */
	int illusion;                          /* show the caller as uid:gid below */
	uint32_t uid, gid;
	uint32_t host_uid, host_gid;           /* who we really are */
	uint64_t device;                       /* st_dev of all that is in the union */
	uint32_t device_count;
	uint64_t devices[8];                   /* real ones of layers, if others */
	uint64_t mount;                        /* statx's stx_mnt_id of all that is in the union */
	uint64_t attributes_mask;              /* and its stx_attributes_mask */
	uint32_t mount_mask;                   /* STATX_MNT_ID, where the kernel knows it */
	int file_is_mapped;                    /* `file`: or it is in memory of the caller's */
	/* last, for most of them is never touched */
	struct core_bind binds[CORE_BINDS_MAX];
	struct core_string layers[CORE_LAYERS_MAX];
};

/* Emulated credentials of a process (root illusion). */
struct core_credentials {
	uint32_t ruid, euid, suid, fsuid, rgid, egid, sgid, fsgid;
	uint32_t group_count;
	uint32_t groups[64];
	uint64_t effective, permitted, inheritable; /* capabilities */
};

/* How many roots of a process are kept: a lookup is over before so many more chroots are. */
#define CORE_ROOTS 4

/* A process in a view.  The loader has one; Python one for each open view. */
struct core_task {
	/* what every call reads is together: each page that a new process touches costs it */
	const struct core_view *view;
	struct core_credentials credentials;
	int check_pointers;  /* user pointers may be wild: probe before use */
	/* but not these: the stack of the first thread, as far down as it was seen in use */
	uintptr_t stack_low, stack_high;
	/* the emulated chroot: canonical path in the view, "" for none.  Other threads may be
	 * at a lookup: they go on from a root that stays what it was */
	const char *root;
	uint32_t roots_made;
	/* live-environment bookkeeping, see environment.c */
	uint32_t environment_count;
	uint64_t environment_start;
	/* host path of the file that is told what is intercepted, or NULL: none is */
	const char *trace;
	/* the running program: in the view, canonical; and on the host.  Constant once it runs */
	const char *program, *program_host;
	struct { uint64_t name, value; } environment_own[1024];
	/* where roots are kept, one after the other */
	char roots[CORE_ROOTS][CORE_PATH_MAX];
};

/* ---- view.c ---- */

/* Map the view file `path` and all it names into *view.  -EINVAL: not a view
 * file or another version; -EIO: its index is damaged. */
long core_view_open(struct core_view *view, const char *path);
/* The same; a view file that fits is read into room[size], and not mapped. */
long core_view_open_in(struct core_view *view, const char *path, char *room, size_t size);
/* Make the points in the upper that the binds appear at, as a runtime does for
 * mounts: an empty directory or file where the view has none.  Done once, when
 * a container is created. */
long core_bind_points(struct core_view *view);
void core_view_close(struct core_view *view);
/* Make `task` a process of the view with the identity that its programs have. */
void core_task_init(struct core_task *task, const struct core_view *view);
/* Where the view has the root illusion, let `task` be root: a runtime's own calls. */
void core_task_root(struct core_task *task);
/* Make `to` what `from` is at this moment. */
void core_task_copy(struct core_task *to, const struct core_task *from);
/* Write/read the value of LPMX_ENV_STATE. Returns the length. */
long core_task_save(const struct core_task *task, char *text, size_t size);
void core_task_load(struct core_task *task, const char *text);

/* ---- calls.c: Linux file system calls on a view ---- */

/*
 * Run system call `nr` with `args` as the view defines it; as the kernel's,
 * the result is >= 0 or -errno.  Calls that the core does not know are passed
 * to the kernel.  In a host view everything is.
 * Calls it does not handle at all and that belong to the trap: execve,
 * execveat, the signal calls, sigaltstack, ptrace, prctl, seccomp.
 */
long core_call(struct core_task *task, long nr, const long args[6]);

/* -EFAULT unless the program's memory at `p` can be filled with a result of `size` bytes, at
 * least 1, in a buffer of `room`.  They are undefined then, and what is behind them is as it was. */
long core_fillable(const struct core_task *task, void *p, size_t size, size_t room);

/*
 * openat for a caller that must not be made to wait: -LPMX_NOT_READY, with
 * nothing done, for a fifo, a device and whatever else an open may block on.
 */
long core_open_ready(struct core_task *task, int dirfd, const char *path, int flags, int mode);

/*
 * What realpath(3) answers, with a NUL, where one look tells: its length without it, or -ENOENT, and then it
 * is the path up to the first name that is not there.  -LPMX_NOT_READY, with nothing done, for all else: it
 * is to be found name by name.
 */
long core_real_path(struct core_task *task, const char *path, char *to, size_t size);

/* ---- user.c ---- */

/* Is this in a part of the first thread's stack that was in use already?  The kernel makes that
 * stack longer and never shorter: what was there once can be read and written. */
int core_on_stack(const struct core_task *task, const void *p, size_t size);

/* ---- dir.c ---- */

/* getdents64 that knows its end: with LPMX_LIST_ALL in the result there is nothing left. */
long core_list(struct core_task *task, int fd, char *to, size_t size);

/* ---- calls.c again ---- */

/* The numbers that the trap must send here, in order: the first is after -1, -1 after the last. */
long core_call_after(long nr);
/* And of ioctl only these requests. */
long core_ioctl_request(unsigned position);

/* ---- trace.c: what was intercepted, told to task->trace ---- */

/* A line in the making. */
struct core_trace {
	size_t length;
	char text[3 * CORE_SAID_MAX];
};

/* Begin the line of a call, before it is made; and write it, when it was. */
void core_trace_call(const struct core_task *task, struct core_trace *line, const char *way,
		     long nr, const long args[6]);
void core_trace_result(const struct core_task *task, struct core_trace *line, long result);
/* The line that says which program runs here now. */
void core_trace_program(const struct core_task *task, const char *way);

/* ---- path.c ---- */

enum core_place {
	CORE_ABSENT,  /* parent exists, name does not; `host` is where it would go in the upper */
	CORE_UPPER,
	CORE_LOWER,
	CORE_BIND     /* also everything in a host view */
};

struct core_node {
	enum core_place place;
	uint32_t mode;        /* st_mode type bits at least; full for CORE_LOWER with index */
	int read_only;        /* bind "ro" or no upper */
	int trailing_slash;
	enum { CORE_LAST_NAME, CORE_LAST_ROOT, CORE_LAST_DOT, CORE_LAST_DOT_DOT } last;
	int lower_below;      /* for directories: lower layers show through */
	int has_lower;        /* a lower object of this name exists and would show if
	                         the upper one were not there */
	int hidden;           /* CORE_ABSENT: the upper has a whiteout of this name */
	const struct core_bind *bind; /* set for everything at or below a bind, absent or not */
	uint32_t layer;
	const struct lpmx_index_entry *entry; /* lower object behind, or NULL */
	uint64_t hash;              /* of path */
	uint32_t path_length;
	/* last, for most of them is never touched */
	char path[CORE_PATH_MAX];   /* canonical in the view; "" is the root */
	char host[CORE_HOST_MAX];   /* what to hand to the kernel */
};

#define CORE_NOFOLLOW 1     /* do not follow a symlink in the last place */
#define CORE_MAY_BE_ABSENT 2 /* -ENOENT for the last component is not an error */
/* The name itself is meant, to be made, removed or moved: a symlink in the last
 * place is not followed even with a slash behind it, and the caller looks at
 * node->trailing_slash and node->last. */
#define CORE_ENTRY 4

/* Resolve `path` relative to `dirfd` (AT_FDCWD: the working directory). */
long core_resolve(struct core_task *task, int dirfd, const char *path, int flags,
		  struct core_node *node);

/* The view's path of a host path, or -ENOENT if it is outside the view. */
long core_from_host(const struct core_view *view, const char *host, char *path, size_t size);

/* Open a host path for reading: one that core_resolve or core_exec_resolve gave, which
 * may be longer than the kernel takes. */
long core_host_open(const char *host, int flags);
/* Is `host` what is open as `fd`, and not another object that has its name by now?  `flags`
 * as fstatat takes them. */
int core_is_open_as(const char *host, int fd, int flags);

/* ---- exec support ---- */

/*
 * What to run for an exec of `path`: fills `program` (canonical path in the
 * view that the program will have), `host` (file to map) and `view_file` (view
 * file of the view it runs in).  Applies the exec map,
 * LPMX_HOST_PREFIX and the kernel view's rule; checks execute permission.
 */
struct core_exec {
	enum core_kind kind;    /* of the target view */
	uint32_t mode;
	int refused;            /* the site does not allow it */
	int starts_elsewhere;   /* its call file says where to start */
	const char *rule;       /* which one refuses it; NULL: none allows it */
	const char *program, *host;
	const char *view_file;  /* "" : stay in this view */
	/* of a call to another view: what rules and the log call it; "" : it is none */
	const char *called;
	const char *call_file;  /* host path; "" : there is none */
	/* all of them, one behind the other: each page that is touched costs more than what it
	 * holds.  Room for the largest, and for what the caller has before and behind them */
	size_t kept; /* the caller's, before them */
	size_t used;
	char text[4 * CORE_PATH_MAX + CORE_HOST_MAX + 5 * CORE_SAID_MAX];
};
/* Keep `a` and `b`, one after the other, in the text; -ENAMETOOLONG if that has `max` bytes
 * or more with its NUL, or does not fit. */
long core_exec_keep(struct core_exec *exec, const char **field, const char *a, const char *b,
		    size_t max);
/* Open a program of the host, and say what the kernel calls it: the descriptor, or -errno. */
long core_host_program(const struct core_view *view, int dirfd, const char *path, int flags,
		       char name[CORE_HOST_MAX]);
/* In `flags`, beside AT_SYMLINK_NOFOLLOW: the path is canonical, from the view's real root. */
#define CORE_EXEC_CANONICAL 0x40000000
long core_exec_resolve(struct core_task *task, int dirfd, const char *path, int flags,
		       struct core_exec *exec);
/* The host path of the interpreter `name` of a program of the view, kept in *exec. */
long core_exec_interpreter(struct core_task *task, const char *name, struct core_exec *exec,
			   const char **host);
/* The path that shows what is open as `fd`, or its copy: 1, or 0 if none does. */
long core_exec_path(struct core_task *task, int fd, char path[CORE_PATH_MAX]);
/* The program's descriptor that what was found is the link of, and has no path; or -1. */
int core_exec_link(const struct core_exec *exec);
/* May the program execute what is open as `fd`, which has no path? */
long core_exec_nameless(struct core_task *task, int fd);

/* ---- call.c: calls of other views ---- */

/* A call file that was read: fields of its text, "" for what it does not say. */
struct core_call {
	const char *view, *program, *called, *cwd;
	const char *at, *end; /* all fields, for core_call_field */
};

/* Read the call file `path` into text[size]: 0, -EINVAL: it is none, or -errno.  With
 * `part`, what is beyond `size` is left out. */
long core_call_read(const char *path, char *text, size_t size, int part, struct core_call *call);
/* The next key and its value: 1, or 0 at the end. */
int core_call_field(struct core_call *call, const char **key, const char **value);
/* May `called` be called from the view?  1, or 0 with *rule the one that refuses it, NULL:
 * there is none that allows it. */
int core_call_allowed(const struct core_view *view, const char *called, const char **rule);
/* The file that the rules are in; NULL: the view has none. */
const char *core_call_rules(const struct core_view *view);
/* Tell the view's log, if it has one, of a call that is about to be made or was refused. */
void core_call_log(const struct core_task *task, const struct core_exec *exec);

/* ---- environment.c: live tables ---- */

long core_environment_set(struct core_view *view, const char *name, const char *value);
long core_environment_unset(struct core_view *view, const char *name);
/* Position *position of the table, counting up; 1 and the pair, 0 at the end.
 * *value is NULL for an unset one. */
long core_environment_list(const struct core_view *view, uint32_t *position,
			   const char **name, const char **value);

/* A change of a live variable, past or current. */
struct core_change {
	uint64_t slot, record;    /* where we are in the list: 0 at first */
	uint64_t generation;      /* by which they are in order; the list is in none */
	uint64_t time;            /* in nanoseconds since 1970, 0: not known */
	uint32_t pid;             /* who made it */
	const char *name, *value; /* NULL: it was unset */
};

/* The next change: 1, or 0 at the end. */
long core_environment_history(const struct core_view *view, struct core_change *change);
/* How many variables are live, at this moment. */
size_t core_environment_count(const struct core_view *view);
/* A number that grows with each change; 0 where there is no live environment. */
uint64_t core_environment_generation(const struct core_view *view);
/* Remember what the program starts with; called once by the loader. */
void core_environment_begin(struct core_task *task, char *const *envp);
/* The value that getenv should give: a live one, `own`, or NULL. */
const char *core_environment_get(struct core_task *task, const char *name, const char *own);
/*
 * The environment for an exec: `envp` with live values applied, private names
 * dropped.  Writes pointers into `out` (room for `max`), NULL-ended; live
 * strings point to memory in `arena`.  Returns the count or -E2BIG.
 */
long core_environment_apply(struct core_task *task, char *const *envp, char **out, size_t max,
			    char *arena, size_t arena_size);
long core_exec_map_set(struct core_view *view, const char *path, const char *target);
long core_exec_map_unset(struct core_view *view, const char *path);
long core_exec_map_list(const struct core_view *view, uint32_t *position, const char **path,
			const char **target);
const char *core_exec_map_get(const struct core_view *view, const char *path);

/* ---- control.c ---- */

/* Create the control page of a view whose upper is empty; or add to its sets what
 * is in the upper.  Called by the runtime, never by contained code. */
long core_control_create(const char *path);
long core_control_rebuild(struct core_view *view);
/*
 * Before the first process of a container starts: have a control page that can be
 * believed.  Missing, damaged or last filled before the machine was booted (the
 * upper may have come through a power loss better than the page), it is made and
 * filled again; `alone` says that no process of the container lives, so what
 * killed ones left in the work directory goes.  1 if the page was filled, else 0.
 */
long core_control_ensure(const char *view_file, int alone);

/* ---- index.c ---- */

/* 0, or -EIO with *why set to a static English phrase. */
long core_index_check(const void *data, size_t size, const char **why);

#endif
