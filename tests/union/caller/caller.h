/*
 * The caller: a process in a world, which does the operations of a scenario and tells what
 * came of each, without what may differ between any two file systems.
 *
 * The same code runs in a plain directory and on an overlay mount (a static program), in a
 * view by the trap (the same program) and by the preload library (a dynamic one, LIBC), and in
 * Python over the core's binding (a shared object).
 */
#ifndef CALLER_H
#define CALLER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORDS 12
#define SLOTS 32
#define UNDER (SLOTS - 1) /* the slot of `under` */

/* One operation: its name and arguments, as tests/union/operations.py has them. */
struct request {
	const char *name;
	int count;
	struct word {
		long number;
		char *text; /* NUL behind it; or NULL */
		long size;
	} word[WORDS];
};

/* ---- caller.c: requests and answers */

/* A system call by this world's door: >= 0 or -errno. */
long door(long nr, const long a[6]);
#define call(nr, ...) door((nr), (const long[6]){ __VA_ARGS__ })
#define P(pointer) ((long)(pointer))

/* Add to the answer. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_bytes(const void *data, long size);   /* readable, one word */
void say_content(const void *data, long size); /* the same; of much, a hash */
void say_error(long result);                   /* "ok" or the errno's name */

/* The descriptor that the scenario's `number` is. */
int fd_of(long number);
/* Let the scenario's `slot` be `result`, if that is a descriptor; what it was is closed. */
void keep(long slot, long result);
void drop(long slot);
extern int old_calls; /* use those without "at" where they can say the same */

/* A path that /proc or getcwd told, as from this world's own root. */
const char *from_root(const char *path);

uint64_t hash(uint64_t start, const void *data, long size);
#define HASH_START 0xcbf29ce484222325u

/* ---- names.c, descriptors.c, listing.c, sockets.c: operations */

typedef void operation(const struct word *a);
struct named_operation {
	const char *name;
	operation *perform;
};
extern const struct named_operation name_operations[], descriptor_operations[],
	listing_operations[], attribute_operations[], socket_operations[], look_operations[],
	watch_operations[], copy_operations[], long_operations[];

/* ---- told.c: what is told of an object */

/* Type, mode, owner, links, size and time, as they are the same in every world. */
void say_stat(const struct stat *st);
/* Where a link leads; of what has no name any more, that it has none. */
void say_target(const char *target, long size);
int same_object(const struct stat *one, const struct stat *other);
/* Names of the namespace "user" in what listxattr gave, but for overlayfs's own, and of access
 * control lists; sorted. */
int user_names(char *list, long size, char **names, int max);

/* ---- watch.c */

/* Make a file in the directory, write to it, rename and remove it: a watched life. `between`
 * is called when it is there, and when it has its other name. */
void make_and_remove(const char *directory, const char *name, void (*between)(void *), void *of);

/* ---- listing.c */

struct entry {
	char *name;
	unsigned type;
	uint64_t inode;
	int64_t next;
};
struct listing {
	struct entry *entries;
	long count;
};
/* Read on from where the descriptor stands, `room` bytes at a time; 0 or -errno. */
long read_entries(int fd, long room, struct listing *listing);
void sort_entries(struct listing *listing);
void free_entries(struct listing *listing);

struct record { /* of getdents64 */
	uint64_t inode;
	int64_t next;
	unsigned short size;
	unsigned char type;
	char name[];
};

#endif
