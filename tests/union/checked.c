/*
 * The caller over the hosted core, to be built with a sanitizer: its operations are the
 * caller's (built SHARED), what it would ask of the kernel it asks of the core.
 *
 * With ThreadSanitizer another thread looks about in the view meanwhile, for there is
 * nothing to find in one alone.  It changes nothing but times of access, opens directories
 * only, and does so much and no more for each call of the caller's, who waits for it only
 * where times of access are looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "lpmx_core.h"
#include "sanitized.h"

void serve_view(long (*core)(void *, long, const long *), void *(*opener)(const char *));

static struct core_view view;
static struct core_task task;
static int is_open;

long sys_hook(long nr, long a, long b, long c, long d, long e, long f)
{
	struct stat st;

	/* what reaches the disk is not asked here; what has nothing there is refused */
	if (nr == __NR_fdatasync && !fstat((int)a, &st) && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return told(__NR_fcntl, a, F_GETFL, 0, 0, 0, 0) & O_PATH ? -EBADF : 0;
	return told(nr, a, b, c, d, e, f);
}

#ifdef __SANITIZE_THREAD__

static sem_t steps;
static pthread_mutex_t view_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t observer;
static int is_watched, is_alone;

static long call(long nr, long a, long b, long c, long d)
{
	long args[6] = { a, b, c, d };

	return core_call(&task, nr, args);
}

static void ask(const char *path)
{
	char data[4096];
	struct { long words[32]; } st;

	call(SYS_newfstatat, AT_FDCWD, (long)path, (long)&st, 0);
	call(SYS_newfstatat, AT_FDCWD, (long)path, (long)&st, 0x100);
	call(SYS_readlinkat, AT_FDCWD, (long)path, (long)data, sizeof(data));
	call(SYS_faccessat, AT_FDCWD, (long)path, 4, 0);
	call(SYS_llistxattr, (long)path, (long)data, sizeof(data), 0);
}

/* The name of one of the entries in `block`, or NULL. */
static const char *one_of(const char *block, long size, unsigned number)
{
	const char *found = NULL;

	for (long at = 0; at < size; at += *(const unsigned short *)(block + at + 16)) {
		const char *name = block + at + 19;

		if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "proc"))
			continue;
		found = name;
		if (!number--)
			break;
	}
	return found;
}

/* From the root down to a file, by any way. */
static void look_about(unsigned chance)
{
	char path[4096] = "/", block[4096] __attribute__((aligned(8)));

	for (size_t length = 0;;) {
		const char *name;
		long fd, size;

		ask(path);
		fd = call(SYS_openat, AT_FDCWD, (long)path, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
		if (fd < 0)
			return;
		size = call(SYS_getdents64, fd, (long)block, sizeof(block), 0);
		call(SYS_close, fd, 0, 0, 0);
		chance = chance * 1103515245u + 12345u;
		name = size > 0 ? one_of(block, size, (chance >> 16) % 16) : NULL;
		if (!name || length + strlen(name) + 2 > sizeof(path))
			return;
		length += (size_t)sprintf(path + length, "/%s", name);
	}
}

static void *observe(void *unused)
{
	for (unsigned round = 1;; round++) {
		while (sem_wait(&steps))
			;
		pthread_mutex_lock(&view_lock);
		look_about(round);
		pthread_mutex_unlock(&view_lock);
	}
	return unused;
}

/* A forked child has no observer, and perhaps its lock. */
static void be_alone(void)
{
	is_alone = 1;
}

static void watch(void)
{
	pthread_atfork(NULL, NULL, be_alone);
	sem_init(&steps, 0, 0);
	pthread_create(&observer, NULL, observe, NULL);
	is_watched = 1;
}

static void step(void)
{
	int waiting = 0;

	if (!sem_getvalue(&steps, &waiting) && waiting < 2)
		sem_post(&steps);
}

static void begin_change(void)
{
	if (!is_watched)
		watch();
	if (!is_alone)
		pthread_mutex_lock(&view_lock);
}

static void end_change(void)
{
	if (!is_alone)
		pthread_mutex_unlock(&view_lock);
}

/* What was set is to be seen before a listing or a readlink of the observer's makes it now. */
static void keep_times(long nr)
{
	static int is_kept;

	if (!is_kept && nr == SYS_utimensat)
		begin_change();
	else if (is_kept && nr != SYS_utimensat && nr != SYS_newfstatat)
		end_change();
	else
		return;
	is_kept = !is_kept;
}
#else
#define step()
#define begin_change()
#define end_change()
#define keep_times(nr)
#endif

static long asked(void *of, long nr, const long a[6])
{
	step();
	keep_times(nr);
	return core_call(of, nr, a);
}

static void *opened(const char *place)
{
	keep_times(-1);
	begin_change();
	if (is_open)
		core_view_close(&view);
	is_open = !core_view_open(&view, place);
	if (is_open) {
		core_task_init(&task, &view);
		core_task_root(&task);
		task.check_pointers = 0;
	}
	end_change();
	return is_open ? &task : NULL;
}

int main(void)
{
	serve_view(asked, opened);
	return 0;
}
