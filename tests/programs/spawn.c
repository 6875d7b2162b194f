/* Every usual way to start a program, and every usual way to fail at it. */
#include <spawn.h>

#include "check.h"

extern char **environ;
static char *const grep[] = { "grep", "-q", "hello", "present", NULL };

static void exec_in_child(const char *name, const char *path, char *const *argv, char *const *envp)
{
	pid_t pid = fork();

	if (!pid) {
		execve(path, argv, envp);
		_exit(errno);
	}
	say(name, outcome(pid));
}

static int vforked(void)
{
	int bad = 0;

	for (int i = 0; i < 100; i++) {
		pid_t pid = vfork();

		if (!pid) {
			execv("/bin/grep", grep);
			_exit(99);
		}
		bad += outcome(pid) != 0;
		bad += touch("present") != 0;
	}
	return bad;
}

static int spawned(void)
{
	int bad = 0;

	for (int i = 0; i < 100; i++) {
		char *const reader[] = { "grep", "-q", "hello", NULL };
		posix_spawn_file_actions_t actions;
		posix_spawnattr_t attributes;
		sigset_t all;
		pid_t pid;

		sigfillset(&all);
		posix_spawnattr_init(&attributes);
		posix_spawnattr_setsigdefault(&attributes, &all);
		posix_spawnattr_setsigmask(&attributes, &all);
		posix_spawnattr_setflags(&attributes,
					 POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_addopen(&actions, 0, "present", O_RDONLY, 0);
		if (posix_spawn(&pid, "/bin/grep", &actions, &attributes, reader, environ))
			bad++;
		else
			bad += outcome(pid) != 0;
		posix_spawn_file_actions_destroy(&actions);
		posix_spawnattr_destroy(&attributes);
	}
	return bad;
}

int main(void)
{
	char *const nothing[] = { "x", NULL }, *const empty[] = { NULL };
	sigset_t all, old;
	char line[64] = "";
	FILE *pipe;
	pid_t pid;
	int fd;

	say("vfork and exec, failures", vforked());
	say("posix_spawn, failures", spawned());
	say("posix_spawn of what is not there",
	    posix_spawn(&pid, "./absent", NULL, NULL, nothing, environ));
	say("system", system("cat present >/dev/null"));
	pipe = popen("cat present", "r");
	if (fgets(line, sizeof(line), pipe))
		printf("popen: %s", line);
	say("pclose", pclose(pipe));
	exec_in_child("empty environment", "/bin/grep", grep, empty);
	exec_in_child("no environment", "/bin/grep", grep, NULL);
	exec_in_child("no arguments", "/bin/true", NULL, environ);
	exec_in_child("a directory", ".", nothing, environ);
	exec_in_child("a file that is not executable", "present", nothing, environ);
	exec_in_child("neither program nor script", "junk", nothing, environ);
	exec_in_child("a script without interpreter", "orphan", nothing, environ);
	exec_in_child("a name of no length", "", nothing, environ);
	exec_in_child("a file in a file", "present/x", nothing, environ);
	exec_in_child("a wild path", (char *)16, nothing, environ);
	exec_in_child("a wild environment", "/bin/true", nothing, (char **)16);

	fd = open("/bin/grep", O_RDONLY | O_CLOEXEC);
	pid = fork();
	if (!pid) {
		fexecve(fd, grep, environ);
		_exit(99);
	}
	say("fexecve", outcome(pid));

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	exec_in_child("everything blocked", "/bin/grep", grep, environ);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return 0;
}
