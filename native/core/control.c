/*
 * The control page of a container: made, and made again from the upper when it is
 * damaged.  It holds nothing about files that the upper does not say better.
 */
#include <linux/mman.h>

#include "bloom.h"
#include "internal.h"

#define SIZE ((long)sizeof(struct lpmx_control))

/* This boot's name; "" where it cannot be told. */
static void this_boot(char boot[40])
{
	long fd = sys_call4(__NR_openat, AT_FDCWD, "/proc/sys/kernel/random/boot_id",
			    O_RDONLY | O_CLOEXEC, 0);

	bytes_zero(boot, 40);
	if (fd < 0)
		return;
	if (sys_call3(__NR_read, fd, boot, 36) < 0)
		boot[0] = 0;
	sys_call1(__NR_close, fd);
}

/*
 * Have room on the disk for a part of the page.  It is written to by way of memory, where
 * a full disk would end the program.  What cannot say beforehand is let be.
 */
static long allocate(long fd, uint64_t at, uint64_t size)
{
	long r = sys_call4(__NR_fallocate, fd, 0, at, size);

	return r == -EOPNOTSUPP || r == -ENOSYS ? 0 : r;
}

long control_room(const struct core_view *view, uint64_t at, uint64_t size)
{
	long fd = sys_call4(__NR_openat, AT_FDCWD, view->control_path.text, O_RDWR | O_CLOEXEC, 0);
	long r;

	if (fd < 0)
		return fd;
	r = allocate(fd, __builtin_offsetof(struct lpmx_control, heap) + at, size);
	sys_call1(__NR_close, fd);
	return r;
}

/* Write a fresh page under a name of its own; what is not written reads as zero. */
static long make_page(const char *path, int filled)
{
	struct {
		char magic[8];
		uint32_t version, clean;
		uint64_t size, heap_used;
		char boot[40];
	} head = { LPMX_CONTROL_MAGIC, LPMX_CONTROL_VERSION, 1, sizeof(struct lpmx_control), 0, { 0 } };
	uint64_t generation = 1, known = (uint64_t)filled;
	long fd, r;

	_Static_assert(sizeof(head) == __builtin_offsetof(struct lpmx_control, kept), "the head");
	if (filled)
		this_boot(head.boot);

	fd = sys_call4(__NR_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fd;
	sys_call2(__NR_fchmod, fd, 0600); /* the program's umask is not ours */
	r = sys_call2(__NR_ftruncate, fd, SIZE);
	if (r >= 0)
		r = allocate(fd, 0, __builtin_offsetof(struct lpmx_control, heap));
	if (r >= 0)
		r = sys_call4(__NR_pwrite64, fd, &head, sizeof(head), 0);
	if (r >= 0)
		r = sys_call4(__NR_pwrite64, fd, &known, sizeof(known),
			      __builtin_offsetof(struct lpmx_control, closed_known));
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

static long create(const char *path, int filled)
{
	char aside[CORE_PATH_MAX];
	long n = path_join(aside, sizeof(aside) - 24, path, ".new-"), r;

	if (n < 0)
		return n;
	text_put_number(aside + n, (uint64_t)sys_call0(__NR_gettid), 10);
	sys_call3(__NR_unlinkat, AT_FDCWD, aside, 0);
	r = make_page(aside, filled);
	if (r >= 0)
		r = sys_call5(__NR_renameat2, AT_FDCWD, aside, AT_FDCWD, path, 0);
	if (r < 0)
		sys_call3(__NR_unlinkat, AT_FDCWD, aside, 0);
	return r;
}

long core_control_create(const char *path)
{
	return create(path, 1);
}

long control_replace(const char *path)
{
	return create(path, 0);
}

/*
 * Fill the sets from what is in the upper.  Only ever adds: a page in use stays
 * right for those who look at it meanwhile.
 */
long core_control_rebuild(struct core_view *view)
{
	char boot[40];
	struct stat st;
	long r;

	if (!view->control || !view->upper.length)
		return 0;
	if (opaque_is(view->upper.text) != 0)
		upper_touch(view, LPMX_FNV_BASIS, 1);
	r = sys_call4(__NR_newfstatat, AT_FDCWD, view->upper.text, &st, 0);
	if (r < 0)
		return r;
	upper_close_as(view, view->upper.text, &st, LPMX_FNV_BASIS);
	r = upper_touch_tree(view, view->upper.text, "");
	if (r < 0)
		return r;
	record_find(view);
	/* nobody has looked */
	acl_announce(view);
	__atomic_store_n(&view->control->closed_known, 1, __ATOMIC_SEQ_CST);
	/* only now: killed before, it is done again */
	this_boot(boot);
	bytes_copy(view->control->boot, boot, sizeof(boot));
	return 0;
}

/* Can what a page says be believed?  Its bits cannot be checked, but its frame can. */
static int credible(const struct core_view *view)
{
	const struct lpmx_control *page = view->control;
	char boot[40];

	this_boot(boot);
	return page->size == sizeof(*page) && page->closed_known && page->heap_used < LPMX_CONTROL_HEAP_SIZE &&
	       page->environment.used <= LPMX_CONTROL_TABLE_SLOTS &&
	       page->exec_map.used <= LPMX_CONTROL_TABLE_SLOTS && page->environment.generation &&
	       page->exec_map.generation && text_same(page->boot, boot, sizeof(boot));
}

static long remove_work(void *context, const char *name, uint32_t type)
{
	const struct core_view *view = context;
	char host[CORE_HOST_MAX];
	long n = path_join(host, sizeof(host), view->work.text, "/");

	(void)type;
	if (record_is_directory(name) || n < 0 ||
	    path_join(host + n, sizeof(host) - (size_t)n, "", name) < 0)
		return 0;
	if (sys_call3(__NR_unlinkat, AT_FDCWD, host, 0) < 0)
		upper_discard(host);
	return 0;
}

/* Fill the page, alone: others that start meanwhile wait and find it filled. */
static long fill(struct core_view *view)
{
	struct upper_lock lock;
	long r = upper_lock(view, &lock);

	if (r < 0)
		return r;
	if (!credible(view)) {
		r = core_control_rebuild(view);
		if (r >= 0)
			r = 1;
	}
	upper_unlock(&lock);
	return r;
}

long core_control_ensure(const char *view_file, int alone)
{
	long memory, r;
	struct core_view *view;

	memory = sys_call6(__NR_mmap, 0, sizeof(*view), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (SYS_FAILED(memory))
		return memory;
	view = (void *)memory;
	r = view_open(view, view_file, 1);
	if (r >= 0 && view->work.length)
		acl_forget(view->work.text);
	if (r >= 0 && alone && view->work.length)
		host_each(view->work.text, remove_work, view);
	if (r >= 0 && view->control && view->upper.length)
		r = fill(view);
	if (r >= 0)
		core_view_close(view);
	sys_call2(__NR_munmap, memory, sizeof(*view));
	return r;
}
