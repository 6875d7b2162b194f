/*
 * Bytes given to what the core reads: no crash, and nothing outside the view.
 *
 * TARGET, at compile time: INDEX, CONTROL, VIEW (the bytes are that file) or PATHS (they
 * are a path).  With ALONE defined it reads the files that it is called with.  LPMX_FUZZ_VIEW names the view file of a container;
 * run.py makes one, and the seeds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lpmx_core.h"
#include "../union/sanitized.h"

#define INDEX 1
#define CONTROL 2
#define VIEW 3
#define PATHS 4

#ifndef O_PATH
#define O_PATH 010000000
#endif

long sys_hook(long nr, long a, long b, long c, long d, long e, long f)
{
	return sys_kernel(nr, a, b, c, d, e, f);
}

static struct core_view view;
static struct core_task task;
static struct core_node node;

static void begin(void)
{
	core_task_init(&task, &view);
	core_task_root(&task);
	task.check_pointers = 0;
}

static long call(long nr, const void *a, long b, long c, long d)
{
	long args[6] = { AT_FDCWD, (long)a, b, c, d };

	return core_call(&task, nr, args);
}

/* Where a path leads must be the upper's, a layer's or a bind's. */
static void inside(void)
{
	const struct core_string *place = &view.upper;

	if (node.bind)
		return;
	if (!strncmp(node.host, place->text, place->length))
		return;
	for (uint32_t i = 0; i < view.layer_count; i++)
		if (!strncmp(node.host, view.layers[i].text, view.layers[i].length))
			return;
	fprintf(stderr, "\"%s\" leads to \"%s\"\n", node.path, node.host);
	abort();
}

static void ask(const char *path)
{
	static char stat[256], text[4096], names[4096];
	long fd;

	if (core_resolve(&task, AT_FDCWD, path, CORE_MAY_BE_ABSENT, &node) >= 0)
		inside();
	if (core_resolve(&task, AT_FDCWD, path, CORE_NOFOLLOW, &node) >= 0)
		inside();
	call(__NR_newfstatat, path, (long)stat, 0, 0);
	call(__NR_statx, path, 0x100, 0xfff, (long)stat);
	call(__NR_readlinkat, path, (long)text, sizeof(text), 0);
	call(__NR_faccessat, path, 4, 0, 0);
	fd = call(__NR_openat, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_DIRECTORY, 0, 0);
	if (fd < 0)
		return;
	for (int i = 0; i < 20; i++) {
		long args[6] = { fd, (long)names, sizeof(names) };

		if (core_call(&task, __NR_getdents64, args) <= 0)
			break;
	}
	close((int)fd);
}

static const char *const paths[] = {
	"/", "/etc", "/etc/hosts", "/etc/conf.d", "/etc/conf.d/../hosts", "/bin/tool", "/data/h1",
	"/links/chain", "/links/loop1", "/links/up/etc", "/absent/x", "/tmp/../..", "/usr/lib/",
};

static void ask_all(void)
{
	for (unsigned i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		ask(paths[i]);
}

/* The bytes as a file that can be opened by a path. */
static void as_file(const uint8_t *data, size_t size, char path[64])
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("bytes", MFD_CLOEXEC);
	if (ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	snprintf(path, 64, "/proc/self/fd/%d", fd);
}

#if TARGET == INDEX || TARGET == CONTROL
/* The container's view with another index or control page. */
static int with(const char *key, const char *value)
{
	static char whole[65536], changed[65536 + 128];
	static size_t length;
	static int file = -1;
	char path[64];
	size_t n = 0;

	if (!length) {
		FILE *in = fopen(getenv("LPMX_FUZZ_VIEW"), "rb");

		length = fread(whole, 1, sizeof(whole), in);
		fclose(in);
		file = memfd_create("view", MFD_CLOEXEC);
	}
	for (char *at = whole; at < whole + length;) {
		size_t k = strlen(at) + 1;
		int this = !strcmp(at, key);

		memcpy(changed + n, at, k);
		n += k;
		at += k;
		if (this) {
			at += strlen(at) + 1;
			n += (size_t)sprintf(changed + n, "%s", value) + 1;
		}
	}
	if (ftruncate(file, 0) || pwrite(file, changed, n, 0) != (ssize_t)n)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	return core_view_open(&view, path) == 0;
}
#endif

#if TARGET == INDEX
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why;
	void *copy;
	char path[64];

	if (!size)
		return 0;
	/* as it is mapped: 8-aligned */
	copy = malloc(size);
	memcpy(copy, data, size);
	core_index_check(copy, size, &why);
	free(copy);
	as_file(data, size, path);
	if (!with("index", path))
		return 0;
	begin();
	ask_all();
	core_view_close(&view);
	return 0;
}
#elif TARGET == CONTROL
/* Of so large a file the bytes say what is changed: records of an offset and 8 bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char path[64], arena[65536], *out[200];
	static char *environment[] = { "PATH=/bin", "A=1", "B=2", "HOME=/root", NULL };
	const char *name, *value;
	uint32_t position = 0;

	if (fd < 0) {
		FILE *in = fopen(getenv("LPMX_FUZZ_CONTROL"), "rb");
		static char block[65536];
		size_t n, at = 0;

		fd = memfd_create("control", MFD_CLOEXEC);
		while ((n = fread(block, 1, sizeof(block), in)) > 0) {
			pwrite(fd, block, n, (off_t)at);
			at += n;
		}
		fclose(in);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	if (!with("control", path))
		abort();
	{
		static uint64_t saved[64];
		char *page = (char *)view.control;
		/* the tables, and as if it were behind them the heap */
		size_t first = __builtin_offsetof(struct lpmx_control, environment);
		size_t tables = 2 * sizeof(struct lpmx_live_table), count = 0;
		size_t sets = __builtin_offsetof(struct lpmx_control, heap) - first - tables;
		size_t range = tables + LPMX_CONTROL_HEAP_SIZE - 8;

		for (; size >= 12 && count < 64; data += 12, size -= 12, count++) {
			uint32_t at;

			memcpy(&at, data, 4);
			/* most of them near the tables and the ends */
			at = at & 1 ? (at >> 1) % 40000 : at & 2 ? (uint32_t)range - (at >> 2) % 64
								 : (uint32_t)((at >> 2) % range);
			at += at < tables ? 0 : (uint32_t)sets;
			memcpy(&saved[count], page + first + at, 8);
			memcpy(page + first + at, data + 4, 8);
		}
		begin();
		core_environment_begin(&task, environment);
		task.environment_start = 0;
		while (core_environment_list(&view, &position, &name, &value))
			(void)(strlen(name) + (value ? strlen(value) : 0));
		position = 0;
		while (core_exec_map_list(&view, &position, &name, &value))
			(void)(strlen(name) + (value ? strlen(value) : 0));
		core_environment_get(&task, "A", "1");
		core_exec_map_get(&view, "/usr/bin/x");
		core_environment_apply(&task, environment, out, 200, arena, sizeof(arena));
		core_environment_set(&view, "NEW", "value");
		core_exec_map_unset(&view, "/usr/bin/x");
		/* whole again for the next */
		memset(page + first, 0, 2 * sizeof(struct lpmx_live_table));
		pwrite(fd, "", 0, 0);
		view.control->environment.generation = view.control->exec_map.generation = 1;
		view.control->heap_used = 0;
		memset(view.control->heap, 0, 4096);
		memset(page + sizeof(struct lpmx_control) - 80, 0, 80);
		core_environment_set(&view, "A", "live");
		core_exec_map_set(&view, "/usr/bin/x", "host:/bin/true");
	}
	core_view_close(&view);
	return 0;
}
#elif TARGET == VIEW
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];

	as_file(data, size, path);
	if (core_view_open(&view, path))
		return 0;
	/* only to be asked: what is named in it may be anything */
	if (!view.upper.length && view.kind == CORE_VIEW_CONTAINER) {
		begin();
		for (unsigned i = 0; i < sizeof(paths) / sizeof(*paths); i++)
			core_resolve(&task, AT_FDCWD, paths[i], CORE_MAY_BE_ABSENT, &node);
	}
	core_view_close(&view);
	return 0;
}
#elif TARGET == PATHS
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int opened;
	char *path = malloc(size + 1);

	if (!opened) {
		if (core_view_open(&view, getenv("LPMX_FUZZ_VIEW")))
			abort();
		begin();
		opened = 1;
	}
	memcpy(path, data, size);
	path[size] = 0;
	if (size < 4096)
		ask(path);
	free(path);
	return 0;
}
#endif

#ifdef ALONE
int main(int argc, char **argv)
{
	static uint8_t data[16 << 20];

	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");

		if (!file)
			return 2;
		LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof(data), file));
		fclose(file);
	}
	return 0;
}
#endif
