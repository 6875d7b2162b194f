/*
 * The start file of a container (lpmx_abi.h): what Python found out when it last started
 * a program there, and all that this depends upon.  It is believed as long as each of
 * those is as it was.
 */
#include <asm/stat.h>

#include "front.h"

#define FILE_MAX (128 << 10)
#define LINE_MAX 4096

/* A field's values, one after the other. */
struct fields {
	const char *at, *end;
};

static const char *next(struct fields *fields)
{
	const char *text = fields->at;

	if (text >= fields->end)
		return 0;
	fields->at += text_length(text) + 1;
	return text;
}

static int is_number(const char *text, uint64_t number)
{
	char digits[24];

	text_put_number(digits, number, 10);
	return text_equal(text, digits);
}

long front_myself(char path[FRONT_PATH_MAX])
{
	long n = sys_call4(__NR_readlinkat, AT_FDCWD, "/proc/self/exe", path, FRONT_PATH_MAX - 1);

	if (n >= 0)
		path[n] = 0;
	return n;
}

/* ---- what a start file depends on --------------------------------------------------------- */

/* PATH SIZE MTIME: a file that was not touched since. */
static int is_same(struct fields *fields)
{
	const char *path = next(fields), *size = next(fields), *time = next(fields);
	struct stat st;

	return time && !sys_call4(__NR_newfstatat, AT_FDCWD, path, &st, 0) &&
	       is_number(size, (uint64_t)st.st_size) &&
	       is_number(time, (uint64_t)st.st_mtime * 1000000000u + (uint64_t)st.st_mtime_nsec);
}

/* PATH: nothing is there. */
static int is_absent(struct fields *fields)
{
	const char *path = next(fields);
	struct stat st;
	long r = path ? sys_call4(__NR_newfstatat, AT_FDCWD, path, &st, 0) : 0;

	return r == -ENOENT || r == -ENOTDIR;
}

/* PATH TEXT: a file of the kernel that begins with this line, "" where there is none. */
static int has_line(struct fields *fields)
{
	const char *path = next(fields), *text = next(fields);
	char line[LINE_MAX], *begin = line, *end;
	long n;

	if (!text)
		return 0;
	n = front_read(path, line, sizeof(line));
	if (n < 0)
		return n != -EFBIG && !*text;
	for (end = line; *end && *end != '\n'; end++)
		;
	while (*begin == ' ' || *begin == '\t')
		begin++;
	while (end > begin && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	*end = 0;
	return text_equal(begin, text);
}

/* PATH: this program, in the installation of the Python that wrote the file. */
static int is_myself(struct fields *fields)
{
	static char path[FRONT_PATH_MAX];
	const char *stated = fields->at;

	return front_myself(path) >= 0 && is_same(fields) && text_equal(stated, path);
}

/* As control_is_sound() in lpmx_runtime/container/record.py; the loader looks further. */
static int control_is_sound(const char *path)
{
	struct {
		char magic[8];
		uint32_t version, clean;
		uint64_t size, heap_used;
		char boot[40];
	} head;
	static const char nothing[sizeof(head.boot) - 36];
	char boot[64];
	struct stat st;
	long fd = sys_call4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0), n, r;

	_Static_assert(sizeof(head) == __builtin_offsetof(struct lpmx_control, kept), "the head");
	if (fd < 0)
		return 0;
	n = sys_call3(__NR_read, fd, &head, sizeof(head));
	r = sys_call2(__NR_fstat, fd, &st);
	sys_call1(__NR_close, fd);
	return n == sizeof(head) && !r && text_same(head.magic, LPMX_CONTROL_MAGIC, sizeof(head.magic)) &&
	       head.version == LPMX_CONTROL_VERSION && head.size == (uint64_t)st.st_size &&
	       front_read("/proc/sys/kernel/random/boot_id", boot, sizeof(boot)) >= 36 &&
	       text_same(head.boot, boot, 36) && text_same(head.boot + 36, nothing, sizeof(nothing));
}

static int in_order(const char *directory)
{
	char path[FRONT_PATH_MAX];
	struct stat st;

	return front_join(path, directory, "control") && control_is_sound(path) &&
	       front_join(path, directory, "view") &&
	       !sys_call4(__NR_newfstatat, AT_FDCWD, path, &st, 0);
}

/* ---- reading it ------------------------------------------------------------------------------ */

static int add(struct front_words *words, const char *text)
{
	if (!text || words->count == FRONT_WORDS_MAX)
		return 0;
	words->word[words->count++] = front_word(text);
	return 1;
}

static int add_pair(struct front_words *words, const char *text)
{
	return add(words, text) && words->word[words->count - 1].length &&
	       text[words->word[words->count - 1].length] == '=';
}

/* What has to be there: bits of a set. */
enum { HAS_FRONT = 1, HAS_DIRECTORY = 2, HAS_SAME = 4, HAS_SETTINGS = 8, HAS_ALL = 15 };

static int read_field(struct front_start *start, const char *key, struct fields *fields, int *has)
{
	if (text_equal(key, "front")) {
		*has |= HAS_FRONT;
		return is_myself(fields);
	}
	if (text_equal(key, "same")) {
		*has |= HAS_SAME;
		return is_same(fields);
	}
	if (text_equal(key, "settings")) {
		const char *file = next(fields);

		*has |= HAS_SETTINGS;
		return file && text_equal(file, start->settings);
	}
	if (text_equal(key, "absent"))
		return is_absent(fields);
	if (text_equal(key, "line"))
		return has_line(fields);
	if (text_equal(key, "held"))
		return add_pair(&start->held, next(fields));
	if (text_equal(key, "default"))
		return add_pair(&start->otherwise, next(fields));
	if (text_equal(key, "keep"))
		return add(&start->keep, next(fields));
	if (text_equal(key, "prefix"))
		return add(&start->prefixes, next(fields));
	if (text_equal(key, "never"))
		return add(&start->never, next(fields));
	if (text_equal(key, "secret"))
		return add(&start->secret, next(fields));
	if (text_equal(key, "keep-all"))
		return start->keep_all = 1;
	if (text_equal(key, "path-end"))
		return (start->path_end = next(fields)) != 0;
	if (text_equal(key, "cwd"))
		return (start->cwd = next(fields)) != 0;
	if (text_equal(key, "loader"))
		return (start->loader = next(fields)) != 0;
	if (text_equal(key, "directory")) {
		const char *directory = next(fields);

		*has |= HAS_DIRECTORY;
		return directory && text_equal(directory, start->directory);
	}
	return 0;
}

/* The whole file, as far as its first line and its sum tell. */
static int is_whole(const char *text, long size, struct fields *fields)
{
	static const char magic[] = LPMX_START_MAGIC;
	uint64_t sum;

	if (size < (long)(sizeof(magic) + sizeof(sum)) || !text_same(text, magic, sizeof(magic)))
		return 0;
	fields->at = text + sizeof(magic);
	fields->end = text + size - sizeof(sum);
	bytes_copy(&sum, fields->end, sizeof(sum));
	return !fields->end[-1] && sum == fnv(text, (size_t)(fields->end - text));
}

int front_read_start(struct front_start *start)
{
	static char text[FILE_MAX];
	char path[FRONT_PATH_MAX];
	struct fields fields;
	const char *key;
	int has = 0;

	if (!front_join(path, start->directory, "start") ||
	    !is_whole(text, front_read(path, text, sizeof(text)), &fields))
		return 0;
	while ((key = next(&fields)))
		if (!read_field(start, key, &fields, &has))
			return 0;
	return has == HAS_ALL && start->loader && in_order(start->directory);
}
