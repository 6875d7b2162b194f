/*
 * Makes calls on a view through the hosted core, each line in a process of its own, and
 * lets one system call of the core fail, or ends the process just before it.
 *
 *   faulty VIEW                 VIEW is opened anew for each line
 *   request:  ERRNO N CALL [; CALL]...    the N-th system call of the last CALL fails with
 *                                         ERRNO; 0: the process is killed there; N 0: neither
 *   CALL:     NUMBER ARGUMENT...          123 a number, =HEX bytes and a NUL, +SIZE room,
 *                                         $ what the call before gave
 *   answer:   RESULT CALLS DESCRIPTORS MAPPINGS, or "killed"
 *             the last two: how many more there are afterwards
 *
 * Below 0 stand what are no system calls: -1 NAME VALUE sets a live variable, -2 NAME unsets
 * one, -3 PATH TARGET and -4 PATH do so for the exec map, -5 ALONE has a control page.
 * With POOR defined, the file system knows neither whiteout devices nor renameat2's flags
 * for whiteouts, as some network file systems do not.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lpmx_core.h"
#include "sanitized.h"

static char line[1 << 20], room[8][65536];
static struct core_view view;
static struct core_task task;
static const char *view_path;
static long fail_with, fail_at, calls, mappings;
static int armed;

/* Those that cannot fail with good arguments, or that say nothing when they do. */
static int never_fails(long nr)
{
	return nr == __NR_rt_sigprocmask || nr == __NR_gettid || nr == __NR_clock_gettime ||
	       nr == __NR_munmap || nr == __NR_geteuid || nr == __NR_getegid;
}

long sys_hook(long nr, long a, long b, long c, long d, long e, long f)
{
	long r;

#ifdef POOR
	if (nr == __NR_mknodat && (c & 0170000) == 0020000)
		return -EPERM;
	if (nr == __NR_renameat2 && e & 4)
		return -EINVAL;
#endif
	if (armed && !never_fails(nr) && ++calls == fail_at) {
		if (!fail_with)
			kill(getpid(), SIGKILL);
		/* what close says comes when the descriptor is gone */
		if (nr == __NR_close)
			sys_kernel(nr, a, b, c, d, e, f);
		return -fail_with;
	}
	if (nr == __NR_fdatasync)
		return 0; /* what reaches the disk is not asked here */
	r = sys_kernel(nr, a, b, c, d, e, f);
	if (!SYS_FAILED(r) && armed)
		mappings += nr == __NR_mmap ? 1 : nr == __NR_munmap ? -1 : 0;
	return r;
}

static int hex(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static long descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	long count = -1;

	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static long make(long nr, const long a[6])
{
	switch (nr) {
	case -1:
		return core_environment_set(&view, (char *)a[0], (char *)a[1]);
	case -2:
		return core_environment_unset(&view, (char *)a[0]);
	case -3:
		return core_exec_map_set(&view, (char *)a[0], (char *)a[1]);
	case -4:
		return core_exec_map_unset(&view, (char *)a[0]);
	case -5:
		return core_control_ensure(view_path, (int)a[0]);
	default:
		return core_call(&task, nr, a);
	}
}

/* One call of the line at *p, which moves behind it; the last one arms. */
static long one(char **p, long before)
{
	long a[6] = { 0 }, nr = strtol(*p, p, 10), r;

	for (int i = 0; i < 6 && **p == ' ' && (*p)[1] != ';'; i++) {
		(*p)++;
		if (**p == '=') {
			char *to = room[i];

			for ((*p)++; **p != ' ' && **p != '\n'; *p += 2)
				*to++ = (char)(hex((*p)[0]) << 4 | hex((*p)[1]));
			*to = 0;
			a[i] = (long)room[i];
		} else if (**p == '+') {
			strtol(*p + 1, p, 10);
			a[i] = (long)room[i];
		} else if (**p == '$') {
			a[i] = before;
			(*p)++;
		} else {
			a[i] = strtol(*p, p, 10);
		}
	}
	armed = !strchr(*p, ';');
	r = make(nr, a);
	armed = 0;
	return r;
}

static void trial(char *p)
{
	long before = 0, r = 0;
	char *next;

	if (core_view_open(&view, view_path))
		_exit(2);
	core_task_init(&task, &view);
	core_task_root(&task);
	task.check_pointers = 0;
	for (;; p = next + 1) {
		next = strchr(p, ';');
		if (!next)
			before = descriptors();
		r = one(&p, r);
		if (!next)
			break;
	}
	printf("%ld %ld %ld %ld\n", r, calls, descriptors() - before, mappings);
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	view_path = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 1 << 12);
	while (fgets(line, sizeof(line), stdin)) {
		char *p = line;
		int status;
		pid_t child;

		fail_with = strtol(p, &p, 10);
		fail_at = strtol(p, &p, 10);
		child = fork();
		if (!child)
			trial(p + 1);
		waitpid(child, &status, 0);
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			puts("killed");
		else if (status)
			printf("status %d\n", status);
	}
	return 0;
}
