/*
 * The variables of a program, by the rules in the start file, and of host calls.
 *
 * A name that is there twice counts once, as it does in Python: the first one.
 */
#include <linux/mman.h>
#include <asm/stat.h>
#include <linux/uio.h>

#include "front.h"
#include "lpmx_core.h"

#define ARENA_SIZE (1 << 20)
#define OUT_MAX (FRONT_VARIABLES_MAX + 2 * FRONT_WORDS_MAX + LPMX_CONTROL_TABLE_SLOTS + 8)
#define HOST_ENVIRONMENT_MAX (1 << 20)

struct front_word front_word(const char *text)
{
	struct front_word word = { text, 0, 0 };

	while (text[word.length] && text[word.length] != '=')
		word.length++;
	word.hash = fnv(text, word.length);
	return word;
}

const struct front_word *front_find(const struct front_word *word, uint32_t count,
				    const struct front_word *name)
{
	for (const struct front_word *end = word + count; word < end; word++)
		if (word->hash == name->hash && word->length == name->length &&
		    text_same(word->text, name->text, name->length))
			return word;
	return 0;
}

static int has(const struct front_words *words, const struct front_word *name)
{
	return front_find(words->word, words->count, name) != 0;
}

int front_read_caller(struct front_caller *caller, char *const *envp)
{
	for (; *envp; envp++) {
		struct front_word word = front_word(*envp);

		if (!(*envp)[word.length] || front_find(caller->word, caller->count, &word))
			continue; /* nobody asks for what is no variable */
		if (!word.length || caller->count == FRONT_VARIABLES_MAX)
			return 0;
		caller->word[caller->count++] = word;
	}
	return 1;
}

const char *front_value(const struct front_caller *caller, const char *name)
{
	struct front_word wanted = front_word(name);
	const struct front_word *found = front_find(caller->word, caller->count, &wanted);

	return found ? found->text + found->length + 1 : 0;
}

/* ---- of the program ----------------------------------------------------------------------- */

/* An environment in the making; `full` once something found no room. */
struct made {
	struct front_word word[OUT_MAX];
	uint32_t count;
	char *at, *end;
	int full;
};

static void put(struct made *made, const char *text)
{
	if (!text || made->count == OUT_MAX)
		made->full = 1;
	else
		made->word[made->count++] = front_word(text);
}

/* Text made of three parts; NULL if there is no room. */
static const char *text_of(struct made *made, const char *a, const char *b, const char *c)
{
	char *text = made->at;
	size_t size = text_length(a) + text_length(b) + text_length(c) + 1;

	if (size > (size_t)(made->end - text))
		return 0;
	made->at = text_put(text_put(text_put(text, a), b), c) + 1;
	return text;
}

static void drop(struct made *made, const struct front_word *name)
{
	const struct front_word *found = front_find(made->word, made->count, name);

	if (found)
		made->word[found - made->word] = made->word[--made->count];
}

static int is_kept(const struct front_start *start, const struct front_word *name)
{
	if (has(&start->held, name) || has(&start->never, name))
		return 0;
	if (start->keep_all || has(&start->keep, name) || has(&start->otherwise, name))
		return 1;
	for (uint32_t i = 0; i < start->prefixes.count; i++) {
		const struct front_word *prefix = &start->prefixes.word[i];

		if (prefix->length <= name->length &&
		    text_same(prefix->text, name->text, prefix->length))
			return 1;
	}
	return 0;
}

/* Whether a list as in PATH has this entry. */
static int list_has(const char *list, const char *entry)
{
	for (;; list++) {
		size_t n = text_begins(list, entry);

		if (n && (!list[n] || list[n] == ':'))
			return 1;
		while (*list && *list != ':')
			list++;
		if (!*list)
			return 0;
	}
}

/* The caller's PATH ends with what is ours. */
static const char *with_path_end(struct made *made, const struct front_start *start, const char *text)
{
	size_t n = text_begins(text, "PATH=");

	if (!n || !start->path_end || list_has(text + n, start->path_end))
		return text;
	return text_of(made, text, text[n] ? ":" : "", start->path_end);
}

/* What was changed while the container ran, and how far that was before; 0 if the page is not as it
 * should be. */
static int put_live(struct made *made, const char *path, uint64_t *since)
{
	static struct core_view view;
	const char *name, *value;
	uint32_t position = 0, used = 0;
	struct iovec head[] = { { since, sizeof(*since) }, { &used, sizeof(used) } };
	struct stat st;
	long memory = -EIO, fd = sys_call4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	if (sys_call4(__NR_preadv, fd, head, 2, __builtin_offsetof(struct lpmx_control, environment)) !=
	    sizeof(*since) + sizeof(used))
		used = 1;
	else if (used && !sys_call2(__NR_fstat, fd, &st) && st.st_size == sizeof(struct lpmx_control))
		memory = sys_call6(__NR_mmap, 0, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	sys_call1(__NR_close, fd);
	if (!used || SYS_FAILED(memory))
		return !used;
	view.control = (struct lpmx_control *)memory;
	while (core_environment_list(&view, &position, &name, &value) > 0) {
		struct front_word word = front_word(name);

		if (!word.length || name[word.length] || text_begins(name, "LPMX_"))
			return 0;
		drop(made, &word);
		if (value)
			put(made, text_of(made, name, "=", value));
	}
	return !made->full;
}

char **front_variables(const struct front_start *start, const struct front_caller *caller,
		       const char *program, const char *here)
{
	static char *environment[OUT_MAX + 1], arena[ARENA_SIZE], control[FRONT_PATH_MAX];
	static struct made made;
	const char *trap = front_value(caller, "LPMX_NO_TRAP");
	char generation[24];
	uint64_t since;

	made.at = arena;
	made.end = arena + sizeof(arena);
	for (uint32_t i = 0; i < start->held.count; i++)
		put(&made, start->held.word[i].text);
	for (uint32_t i = 0; i < caller->count; i++)
		if (is_kept(start, &caller->word[i]))
			put(&made, with_path_end(&made, start, caller->word[i].text));
	for (uint32_t i = 0; i < start->otherwise.count; i++)
		if (!front_find(caller->word, caller->count, &start->otherwise.word[i]))
			put(&made, start->otherwise.word[i].text);
	if (!front_join(control, start->directory, "control") || !put_live(&made, control, &since))
		return 0;
	text_put_number(generation, since, 10);
	/* the private ones come last, as the loader puts them */
	put(&made, text_of(&made, LPMX_ENV_VIEW "=", start->directory, "/view"));
	put(&made, text_of(&made, LPMX_ENV_PROGRAM "=", program, ""));
	put(&made, text_of(&made, LPMX_ENV_SINCE "=", generation, ""));
	if (here)
		put(&made, text_of(&made, "LPMX_CALL=", here, ""));
	else if (start->cwd)
		put(&made, text_of(&made, "LPMX_CWD=", start->cwd, ""));
	if (trap)
		put(&made, text_of(&made, "LPMX_NO_TRAP=", trap, ""));
	for (uint32_t i = 0; i < made.count; i++)
		environment[i] = (char *)made.word[i].text;
	return made.full ? 0 : environment;
}

/* ---- of host calls ---------------------------------------------------------------------------- */

/* Whether the file has just these strings, each with its NUL. */
static int has_content(const char *path, const struct iovec *part, uint32_t count)
{
	static char text[HOST_ENVIRONMENT_MAX];
	long n = front_read(path, text, sizeof(text));
	const char *at = text;

	for (; count && n >= (long)part->iov_len; part++, count--) {
		if (!text_same(at, part->iov_base, part->iov_len))
			return 0;
		at += part->iov_len;
		n -= (long)part->iov_len;
	}
	return !count && !n;
}

static int write_aside(const char *aside, const struct iovec *part, uint32_t count, size_t size)
{
	long fd = sys_call4(__NR_openat, AT_FDCWD, aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			    0600),
	     n = 0;

	if (fd < 0)
		return 0;
	if (count)
		n = sys_call3(__NR_writev, fd, part, count);
	sys_call1(__NR_close, fd);
	return n == (long)size;
}

int front_tell_host(const struct front_start *start, const struct front_caller *caller)
{
	static struct iovec part[FRONT_VARIABLES_MAX];
	static char path[FRONT_PATH_MAX], aside[FRONT_PATH_MAX + 24];
	uint32_t count = 0;
	size_t size = 0;

	if (front_value(caller, "LPMX_CONTAINER"))
		return 1; /* inside a container there is none of the host's to take */
	for (uint32_t i = 0; i < caller->count; i++) {
		const struct front_word *word = &caller->word[i];

		if (has(&start->secret, word))
			continue;
		part[count].iov_base = (void *)word->text;
		part[count].iov_len = text_length(word->text) + 1;
		size += part[count++].iov_len;
	}
	if (!front_join(path, start->directory, "host.env"))
		return 0;
	if (has_content(path, part, count))
		return 1;
	text_put_number(text_put(text_put(aside, path), "."), (uint64_t)sys_call0(__NR_getpid), 10);
	if (write_aside(aside, part, count, size) &&
	    !sys_call5(__NR_renameat2, AT_FDCWD, aside, AT_FDCWD, path, 0))
		return 1;
	sys_call3(__NR_unlinkat, AT_FDCWD, aside, 0);
	return 0; /* Python tells why */
}
