/*
 * The environment of a program that is called from another view: what its call file
 * says, and of the caller's variables those that cross.
 */
#include <asm-generic/errno.h>
#include <linux/fcntl.h>

#include "../core/text.h"
#include "../sys/sys.h"
#include "loader.h"

/* Variables in the making. */
struct making {
	char **to;
	size_t count, max;
};

static size_t name_length(const char *entry)
{
	size_t n = 0;

	while (entry[n] && entry[n] != '=')
		n++;
	return n;
}

/* Have this "NAME=VALUE" in place of another of that name. */
static long put(struct making *m, char *entry)
{
	size_t n = name_length(entry);

	if (!n || !entry[n])
		return 0;
	for (size_t i = 0; i < m->count; i++) {
		if (m->to[i][0] == entry[0] && name_length(m->to[i]) == n &&
		    text_same(m->to[i], entry, n)) {
			m->to[i] = entry;
			return 0;
		}
	}
	if (m->count + 1 >= m->max)
		return -E2BIG;
	m->to[m->count++] = entry;
	return 0;
}

/* What is ours, or for the caller's own libraries, means nothing in another view. */
static int stays(const char *entry)
{
	return text_begins(entry, "LPMX_") || text_begins(entry, "LD_PRELOAD=");
}

static int passes(const char *pattern, const char *entry)
{
	size_t n = 0, length = name_length(entry);

	while (pattern[n] && pattern[n] != '*')
		n++;
	return (pattern[n] ? n <= length : n == length) && text_same(pattern, entry, n);
}

static long pass(struct making *m, const char *pattern, char *const *caller)
{
	long r = 0;

	for (; r >= 0 && *caller; caller++)
		if (**caller == *pattern || *pattern == '*')
			if (passes(pattern, *caller) && !stays(*caller))
				r = put(m, *caller);
	return r;
}

long loader_file_environment(const char *path, char **to, size_t max, char *arena, size_t size,
			     size_t *used)
{
	long fd = sys_call4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0), n;
	size_t count = 0, total = 0;

	if (fd < 0)
		return fd;
	while ((n = sys_call3(__NR_read, fd, arena + total, size - 1 - total)) > 0)
		total += (size_t)n;
	sys_call1(__NR_close, fd);
	if (n < 0)
		return n;
	if (total == size - 1)
		return -E2BIG;
	arena[total] = 0;
	*used = total + 1;
	for (char *s = arena; s < arena + total; s += text_length(s) + 1) {
		if (!*s)
			continue;
		if (count + 1 >= max)
			return -E2BIG;
		to[count++] = s;
	}
	to[count] = 0;
	return (long)count;
}

static long put_file(struct making *m, const char *path, char *arena, size_t size)
{
	char **read = m->to + m->count;
	size_t used;
	long n, r = 0;

	if (size < 2)
		return -E2BIG;
	n = loader_file_environment(path, read, m->max - m->count, arena, size, &used);
	if (n < 0)
		return n;
	if (!m->count) {
		m->count = (size_t)n; /* there is none that it could be in place of */
		return 0;
	}
	/* what is put comes no further than what was read */
	for (long i = 0; r >= 0 && i < n; i++)
		r = put(m, read[i]);
	return r;
}

long loader_call_environment(const char *file, char *const *caller, char **to, size_t max,
			     char *arena, size_t size, const char **cwd)
{
	struct making m = { to, 0, max };
	const char *key, *value;
	struct core_call call;
	long r;

	r = core_call_read(file, arena, size, 0, &call);
	if (r < 0)
		return r;
	size -= (size_t)(call.end - arena);
	arena += call.end - arena;
	*cwd = call.cwd[0] ? call.cwd : 0;
	while (r >= 0 && core_call_field(&call, &key, &value)) {
		if (text_equal(key, "base")) {
			r = put_file(&m, value, arena, size);
			size = 0; /* once */
		} else if (text_equal(key, "env")) {
			r = put(&m, (char *)value);
		} else if (text_equal(key, "pass")) {
			r = pass(&m, value, caller);
		}
	}
	if (r < 0)
		return r;
	to[m.count] = 0;
	return (long)m.count;
}
