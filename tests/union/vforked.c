/* A vfork child becomes another user below another root, and so executes this program; what
 * that is, and what the parent and its other thread then are. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *who)
{
	struct stat st;

	printf("%s: %ld:%ld, %s\n", who, syscall(SYS_getuid), syscall(SYS_getgid),
	       stat("/below", &st) ? "at the root" : "below");
	fflush(stdout);
}

static int stop;
static int strange;

/* Is this always the user that the process is, at its root? */
static void *look(void *unused)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct stat st;

		if (syscall(SYS_getuid) || !stat("/below", &st))
			__atomic_store_n(&strange, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static char *const child[] = { "/tool", "child", NULL };
	pthread_t thread;

	if (argc > 1) {
		tell(argv[1]);
		return 0;
	}
	pthread_create(&thread, NULL, look, NULL);
	for (int i = 0; i < 20; i++) {
		pid_t pid = vfork();

		if (!pid) {
			if (!syscall(SYS_chroot, "/r") && !syscall(SYS_chdir, "/") &&
			    !syscall(SYS_setgroups, 0, NULL) && !syscall(SYS_setgid, 20 + i) &&
			    !syscall(SYS_setuid, 10 + i)) {
				if (i % 3 == 2)
					_exit(0); /* or it fails, and ends */
				execve("/tool", child, NULL);
			}
			_exit(1);
		}
		waitpid(pid, NULL, 0);
		if (i % 5 == 0 && !fork()) {
			tell("copy");
			_exit(0);
		}
		while (wait(NULL) > 0)
			;
		tell("parent");
	}
	stop = 1;
	pthread_join(thread, NULL);
	printf("other thread: %s\n", strange ? "strange" : "well");
	return 0;
}
