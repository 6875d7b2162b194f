/*
 * The front: `lpmx` as the host has it.  It starts a program in a container that is in
 * order, and leaves all else to the command line in Python, which is beside it.
 *
 * A function that returns int answers 1, or 0: this is not so simple, ask Python.  Until
 * the program is executed nothing has been changed that Python would not change as well.
 */
#ifndef LPMX_FRONT_H
#define LPMX_FRONT_H

#include <asm-generic/errno.h>
#include <linux/fcntl.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/text.h"
#include "../sys/sys.h"

#define FRONT_PATH_MAX 4096
#define FRONT_VARIABLES_MAX 1000
#define FRONT_WORDS_MAX 256

/* "NAME=VALUE", or a name alone. */
struct front_word {
	const char *text;
	uint32_t length; /* of the name */
	uint64_t hash;   /* of the name */
};

struct front_words {
	struct front_word word[FRONT_WORDS_MAX];
	uint32_t count;
};

/* The environment that the front was started with, each name once. */
struct front_caller {
	struct front_word word[FRONT_VARIABLES_MAX];
	uint32_t count;
};

/* What a start file says (lpmx_abi.h). */
struct front_start {
	char directory[FRONT_PATH_MAX]; /* of the container */
	char settings[FRONT_PATH_MAX];  /* the caller's file */
	const char *loader, *cwd, *path_end;
	int keep_all;
	struct front_words held, otherwise, keep, prefixes, never, secret;
};

/* ---- settings.c ---- */

/* The file with the caller's settings, as lpmx_runtime/settings.py names it. */
int front_settings(const struct front_caller *caller, char file[FRONT_PATH_MAX]);
/* The directory of images and containers, as it finds that; `file` is that file. */
int front_store(const struct front_caller *caller, const char *file, char store[FRONT_PATH_MAX]);

/* ---- start.c ---- */

/* Where this program is, without links: its length or -errno. */
long front_myself(char path[FRONT_PATH_MAX]);
/* Read the start file of the container in start->directory, for the caller with the file
 * start->settings; 1 if all it counts on is still so. */
int front_read_start(struct front_start *start);

/* ---- variables.c ---- */

struct front_word front_word(const char *text);
/* The word of this name, or NULL. */
const struct front_word *front_find(const struct front_word *word, uint32_t count,
				    const struct front_word *name);
/* Its value; NULL if it is not set. */
const char *front_value(const struct front_caller *caller, const char *name);
int front_read_caller(struct front_caller *caller, char *const *envp);
/* The environment of `program`, which starts in `here` and nowhere else if that is given;
 * NULL to ask Python. */
char **front_variables(const struct front_start *start, const struct front_caller *caller,
		       const char *program, const char *here);
/* Let host calls have the caller's environment. */
int front_tell_host(const struct front_start *start, const struct front_caller *caller);

/* ---- exposed.c ---- */

/* Put what the command in the file argv[1] stands for into *argv and *envp; 0 if it is no
 * such file. */
int front_exposed(long argc, char ***argv, char ***envp);

/* ---- files.c ---- */

/* "DIRECTORY/NAME"; 0 if that is too long. */
int front_join(char to[FRONT_PATH_MAX], const char *directory, const char *name);
/* Read all of a small file, with a NUL behind it: its length, -EFBIG or -errno. */
long front_read(const char *path, char *to, size_t size);

#endif
