/* What a command is called (/proc/self/comm, AT_EXECFN), however it was executed. */
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/utsname.h>

#include "check.h"

extern char **environ;

static char *const arguments[] = { "zero", "/proc/self/comm", NULL };

/* Have it print its name. */
static void by(const char *how, int fd, const char *path, int flags)
{
	pid_t pid;

	printf("%s: ", how);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (fd == AT_FDCWD && !flags)
			execve(path, arguments, environ);
		else
			syscall(SYS_execveat, fd, path, arguments, environ, flags);
		printf("errno %d\n", errno);
		fflush(stdout);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}

static int copy_of(const char *path, const char *to)
{
	int from = open(path, O_RDONLY | O_CLOEXEC);
	int copy = to ? open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755) : memfd_create("in memory", 0);

	while (sendfile(copy, from, NULL, 1 << 20) > 0)
		;
	close(from);
	if (!to)
		return copy;
	close(copy);
	return open(to, O_RDONLY);
}

/* By the file itself since Linux 6.14, by the descriptor's number before. */
static int named_by_file(void)
{
	struct utsname name;
	int major = 0, minor = 0;

	uname(&name);
	sscanf(name.release, "%d.%d", &major, &minor);
	return major > 6 || (major == 6 && minor >= 14);
}

int main(void)
{
	int here = open(".", O_RDONLY | O_DIRECTORY), fd, script;
	char path[64];
	FILE *text;

	symlink("/bin/cat", "called-so");
	text = fopen("printed", "w");
	fputs("#!/bin/cat\n", text);
	fclose(text);
	chmod("printed", 0755);
	symlink("printed", "printed-too");
	by("by its path", AT_FDCWD, "/bin/cat", 0);
	by("by a link", AT_FDCWD, "called-so", 0);
	by("from a directory", here, "called-so", 0);
	by("a script", AT_FDCWD, "./printed", 0);
	by("a script by a link", AT_FDCWD, "./printed-too", 0);
	by("a script from a directory", here, "printed", 0);
	fd = open("/bin/cat", O_RDONLY);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	by("by a descriptor's link", AT_FDCWD, path, 0);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	by("by a descriptor's other link", AT_FDCWD, path, 0);
	script = open("printed", O_RDONLY);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", script);
	by("a script by a descriptor's link", AT_FDCWD, path, 0);
	if (named_by_file()) {
		by("by a descriptor", fd, "", AT_EMPTY_PATH);
		by("by a handle", open("called-so", O_PATH), "", AT_EMPTY_PATH);
		by("from memory", copy_of("/bin/cat", NULL), "", AT_EMPTY_PATH);
		fd = copy_of("/bin/cat", "a copy with a long name");
		by("a copy", fd, "", AT_EMPTY_PATH);
		unlink("a copy with a long name");
		by("a copy without a name", fd, "", AT_EMPTY_PATH);
		by("a script by a descriptor", script, "", AT_EMPTY_PATH);
	}
	unlink("called-so");
	unlink("printed");
	unlink("printed-too");
	return 0;
}
