/* posix_spawn with each attribute and file action; what the child finds. */
#include <sched.h>
#include <spawn.h>

#include "check.h"

extern char **environ;

static unsigned long mask(const char *name)
{
	char line[256];
	unsigned long value = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			value = strtoul(line + strlen(name) + 1, NULL, 16);
	fclose(f);
	return value;
}

/* Started: say what there is. */
static int report(const char *name)
{
	char here[4096], text[64] = "";
	struct sched_param p;

	sched_getparam(0, &p);
	printf("%s: group %d session %d policy %d %d ids %d blocked %lx ignored %lx cwd %s", name,
	       getpgrp() == getpid(), getsid(0) == getpid(), sched_getscheduler(0), p.sched_priority,
	       geteuid() == getuid(), mask("SigBlk:"), mask("SigIgn:"), getcwd(here, sizeof(here)));
	printf(" 0: %ld", (long)read(0, text, sizeof(text) - 1));
	for (int fd = 7; fd < 10; fd++)
		printf(" %d: %d", fd, fcntl(fd, F_GETFD));
	printf("\n");
	return 0;
}

static posix_spawnattr_t attributes;
static posix_spawn_file_actions_t actions;

static void spawn(const char *name, short flags, int by_path, const char *program)
{
	char *const argv[] = { "spawnattr", "report", (char *)name, NULL };
	pid_t pid;
	int r;

	fflush(stdout);
	posix_spawnattr_setflags(&attributes, flags);
	r = by_path ? posix_spawnp(&pid, program, &actions, &attributes, argv, environ)
		    : posix_spawn(&pid, program, &actions, &attributes, argv, environ);
	if (r)
		printf("%s: errno %d\n", name, r);
	else
		say(name, outcome(pid));
	posix_spawn_file_actions_destroy(&actions);
	posix_spawn_file_actions_init(&actions);
}

int main(int argc, char **argv)
{
	struct sched_param p = { 0 };
	sigset_t some;
	int dir;

	if (argc > 2)
		return report(argv[2]);
	setenv("PATH", "/usr/bin:/bin", 1);
	close(0);
	open("/dev/null", O_RDONLY);
	signal(SIGUSR2, SIG_IGN);
	posix_spawnattr_init(&attributes);
	posix_spawn_file_actions_init(&actions);
	spawn("nothing", 0, 0, argv[0]);
	spawn("a group", POSIX_SPAWN_SETPGROUP, 0, argv[0]);
	spawn("ids", POSIX_SPAWN_RESETIDS, 0, argv[0]);
	posix_spawnattr_setschedparam(&attributes, &p);
	posix_spawnattr_setschedpolicy(&attributes, SCHED_BATCH);
	spawn("scheduler", POSIX_SPAWN_SETSCHEDULER, 0, argv[0]);
	spawn("parameters", POSIX_SPAWN_SETSCHEDPARAM, 0, argv[0]);
#ifdef POSIX_SPAWN_SETSID
	spawn("a session", POSIX_SPAWN_SETSID, 0, argv[0]);
#endif
	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	posix_spawnattr_setsigmask(&attributes, &some);
	spawn("a mask", POSIX_SPAWN_SETSIGMASK, 0, argv[0]);
	sigaddset(&some, SIGUSR2);
	posix_spawnattr_setsigdefault(&attributes, &some);
	spawn("defaults", POSIX_SPAWN_SETSIGDEF, 0, argv[0]);
	spawn("all of it", POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_RESETIDS | POSIX_SPAWN_SETSIGMASK |
	      POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSCHEDULER, 0, argv[0]);

	posix_spawn_file_actions_addopen(&actions, 0, "present", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, 0, 7);
	posix_spawn_file_actions_adddup2(&actions, 7, 8);
	posix_spawn_file_actions_addclose(&actions, 7);
	spawn("files", 0, 0, argv[0]);
	posix_spawn_file_actions_addopen(&actions, 0, "absent", O_RDONLY, 0);
	spawn("a file that is not there", 0, 0, argv[0]);
	posix_spawn_file_actions_addchdir_np(&actions, "/usr");
	posix_spawn_file_actions_addopen(&actions, 9, "bin/env", O_RDONLY, 0);
	spawn("a directory", 0, 0, argv[0]);
	dir = open("/usr/lib", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	posix_spawn_file_actions_addfchdir_np(&actions, dir);
	spawn("a directory by descriptor", 0, 0, argv[0]);
#ifdef __GLIBC__
	dup2(0, 9);
	posix_spawn_file_actions_addclosefrom_np(&actions, 8);
	spawn("all closed", 0, 0, argv[0]);
#endif
	spawn("by PATH", 0, 1, "true");
	spawn("not in PATH", 0, 1, "there-is-no-such-program");
	spawn("neither program nor script", 0, 0, "junk");
	return 0;
}
