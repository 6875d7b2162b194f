/*
 * Calls of programs in other views: what is said about one in its call file, whether the
 * site allows it, and the log that is told.
 *
 * The rules are in the view file, where they were put when the container was last put in
 * order, and are few: they are looked for when something is called.
 */
#include "internal.h"

#define CLOCK_REALTIME_ 0
#define PRIVATE_MODE 0600

/* The field at *at and the one behind it; 0 where there are no two more. */
static int next(const char **at, const char *end, const char **key, const char **value)
{
	const char *p = *at;

	*key = p;
	while (p < end && *p)
		p++;
	*value = ++p;
	while (p < end && *p)
		p++;
	if (p >= end)
		return 0;
	*at = p + 1;
	return 1;
}

int core_call_field(struct core_call *call, const char **key, const char **value)
{
	return next(&call->at, call->end, key, value);
}

long core_call_read(const char *path, char *text, size_t size, int part, struct core_call *call)
{
	static const char magic[] = LPMX_CALL_MAGIC;
	const char *key, *value;
	size_t length = 0;
	long fd, n = 0;

	fd = sys_call4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	while (length < size && (n = sys_call3(__NR_read, fd, text + length, size - length)) > 0)
		length += (size_t)n;
	if (length == size)
		n = part ? 0 : -E2BIG;
	sys_call1(__NR_close, fd);
	if (n < 0)
		return n;
	if (length < sizeof(magic) || !text_same(text, magic, sizeof(magic)))
		return -EINVAL;
	call->view = call->program = call->called = call->cwd = "";
	call->at = text + sizeof(magic);
	call->end = text + length;
	for (const char *at = call->at; next(&at, call->end, &key, &value);) {
		if (text_equal(key, "view"))
			call->view = value;
		else if (text_equal(key, "program"))
			call->program = value;
		else if (text_equal(key, "called"))
			call->called = value;
		else if (text_equal(key, "cwd"))
			call->cwd = value;
	}
	return call->view[0] == '/' && call->program[0] ? 0 : -EINVAL;
}

/* ---- rules ------------------------------------------------------------------------------- */

/*
 * "*" is any number of characters but "/", "**" any at all, "?" one that is not "/".
 * What a star takes is made longer only for the last one of its kind: what an earlier one
 * took can as well be as short as it was.
 */
static int matches(const char *p, const char *s)
{
	const char *star = 0, *star_end = 0, *deep = 0, *deep_end = 0;

	for (;;) {
		if (*p == '*') {
			if (p[1] == '*') {
				while (*p == '*')
					p++;
				deep = p;
				deep_end = s;
				star = 0;
			} else {
				star = ++p;
				star_end = s;
			}
		} else if (!*p && !*s) {
			return 1;
		} else if (*s && (*p == '?' ? *s != '/' : *p == *s)) {
			p++;
			s++;
		} else if (star && *star_end && *star_end != '/') {
			p = star;
			s = ++star_end;
		} else if (deep && *deep_end) {
			p = deep;
			s = ++deep_end;
			star = 0;
		} else {
			return 0;
		}
	}
}

/* The next value of `key` in the view file behind *at, which is 0 at first; or NULL. */
static const char *view_field(const struct core_view *view, const char *key, const char **at)
{
	const char *end = view->file.text + view->file.length, *name, *value;

	if (!view->file.length)
		return 0;
	if (!*at)
		*at = view->file.text + sizeof(LPMX_VIEW_MAGIC);
	while (*at < end && next(at, end, &name, &value)) {
		if (text_equal(name, key))
			return value;
		/* the only key with three values: two are still to come */
		if (text_equal(name, "bind") && !next(at, end, &name, &value))
			return 0;
	}
	return 0;
}

const char *core_call_rules(const struct core_view *view)
{
	const char *at = 0;

	return view_field(view, "rules", &at);
}

int core_call_allowed(const struct core_view *view, const char *called, const char **rule)
{
	const char *at = 0, *one;

	*rule = 0;
	if (!core_call_rules(view))
		return 1;
	while ((one = view_field(view, "allow", &at))) {
		int refuses = *one == '!';

		if (!matches(one + refuses, called))
			continue;
		if (refuses)
			*rule = one;
		return !refuses;
	}
	return 0;
}

/* ---- the log ----------------------------------------------------------------------------- */

/* Room for four texts, and what is between them. */
struct line {
	size_t length;
	char text[4 * CORE_SAID_MAX];
};
#define TEXT_MAX (CORE_SAID_MAX - 128)

static void add(struct line *line, const char *s)
{
	while (*s && line->length < sizeof(line->text) - 1)
		line->text[line->length++] = *s++;
}

static void add_number(struct line *line, uint64_t value)
{
	char digits[72];

	text_put_number(digits, value, 10);
	add(line, digits);
}

/* How many bytes of `s` are one character of UTF-8 (RFC 3629); 0 if none is. */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* As a string of JSON, as much as there is room for: a line has an end, whatever is told. A byte that
 * is no UTF-8 is the lone surrogate that Python makes of it, and makes the byte of again. */
static void add_text(struct line *line, const char *key, const char *s)
{
	static const char digits[] = "0123456789abcdef";
	char one[] = "x", escaped[] = "\\x", code[] = "\\u00xx";
	size_t end = line->length + TEXT_MAX;

	add(line, ", \"");
	add(line, key);
	add(line, "\": \"");
	while (*s && line->length < end) {
		unsigned char c = (unsigned char)*s;
		size_t length = utf8_length((const unsigned char *)s);

		if (c == '"' || c == '\\') {
			escaped[1] = *s;
			add(line, escaped);
		} else if (c < ' ' || c == 0x7f || !length) {
			code[2] = length ? '0' : 'd';
			code[3] = length ? '0' : 'c';
			code[4] = digits[c >> 4];
			code[5] = digits[c & 15];
			add(line, code);
		} else {
			for (size_t i = 0; i < length; i++) {
				one[0] = s[i];
				add(line, one);
			}
		}
		s += length ? length : 1;
	}
	add(line, "\"");
}

/* Apart, for a line has room for a lot. */
static NOINLINE void write_line(const struct core_task *task, const struct core_exec *exec, const char *file)
{
	int64_t time[2] = { 0, 0 };
	struct line line;
	long fd;

	line.length = 0;
	sys_call2(__NR_clock_gettime, CLOCK_REALTIME_, time);
	add(&line, "{\"time\": ");
	add_number(&line, (uint64_t)time[0]);
	add(&line, ", \"uid\": ");
	add_number(&line, (uint64_t)sys_call0(__NR_getuid));
	add(&line, ", \"pid\": ");
	add_number(&line, (uint64_t)sys_call0(__NR_getpid));
	add_text(&line, "container", task->view->name.text);
	add_text(&line, "caller", task->program);
	add_text(&line, "called", exec->called);
	add(&line, exec->refused ? ", \"allowed\": false" : ", \"allowed\": true");
	if (exec->rule)
		add_text(&line, "rule", exec->rule);
	add(&line, "}\n");
	fd = sys_call4(__NR_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY |
		       O_NONBLOCK, PRIVATE_MODE);
	if (fd < 0)
		return;
	sys_call3(__NR_write, fd, line.text, line.length);
	sys_call1(__NR_close, fd);
}

void core_call_log(const struct core_task *task, const struct core_exec *exec)
{
	const char *at = 0, *file = view_field(task->view, "calllog", &at);

	if (file)
		write_line(task, exec, file);
}
