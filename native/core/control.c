/*
 * The control page of a container: made, and made again from the upper when it is
 * damaged.  It holds nothing about files that the upper does not say better.
 */
#include <linux/mman.h>

#include "bloom.h"
#include "internal.h"

#define SIZE ((long)sizeof(struct lpmx_control))

/* Write a fresh page under a name of its own; what is not written reads as zero. */
static long make_page(const char *path)
{
	struct {
		char magic[8];
		uint32_t version, clean;
		uint64_t size;
	} head = { LPMX_CONTROL_MAGIC, LPMX_CONTROL_VERSION, 1, sizeof(struct lpmx_control) };
	uint64_t generation = 1;
	long fd, r;

	fd = sys_call4(__NR_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fd;
	r = sys_call2(__NR_ftruncate, fd, SIZE);
	if (r >= 0)
		r = sys_call4(__NR_pwrite64, fd, &head, sizeof(head), 0);
	if (r >= 0)
		r = sys_call4(__NR_pwrite64, fd, &generation, sizeof(generation),
			      __builtin_offsetof(struct lpmx_control, environment));
	if (r >= 0)
		r = sys_call4(__NR_pwrite64, fd, &generation, sizeof(generation),
			      __builtin_offsetof(struct lpmx_control, exec_map));
	sys_call1(__NR_close, fd);
	if (r < 0)
		sys_call3(__NR_unlinkat, AT_FDCWD, path, 0);
	return r < 0 ? r : 0;
}

long core_control_create(const char *path)
{
	char aside[CORE_PATH_MAX];
	long n = path_join(aside, sizeof(aside) - 24, path, ".new-"), r;

	if (n < 0)
		return n;
	text_put_number(aside + n, (uint64_t)sys_call0(__NR_gettid), 10);
	sys_call3(__NR_unlinkat, AT_FDCWD, aside, 0);
	r = make_page(aside);
	if (r >= 0)
		r = sys_call5(__NR_renameat2, AT_FDCWD, aside, AT_FDCWD, path, 0);
	if (r < 0)
		sys_call3(__NR_unlinkat, AT_FDCWD, aside, 0);
	return r;
}

/*
 * Fill the sets from what is in the upper.  Only ever adds: a page in use stays
 * right for those who look at it meanwhile.
 */
long core_control_rebuild(struct core_view *view)
{
	struct core_task *task;
	long memory, r;

	if (!view->control || !view->upper.length)
		return 0;
	memory = sys_call6(__NR_mmap, 0, sizeof(*task), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (SYS_FAILED(memory))
		return memory;
	task = (void *)memory;
	core_task_init(task, view);
	if (opaque_is(view->upper.text))
		upper_touch(view, LPMX_FNV_BASIS, 1);
	r = upper_touch_tree(task, "");
	sys_call2(__NR_munmap, memory, sizeof(*task));
	return r;
}
