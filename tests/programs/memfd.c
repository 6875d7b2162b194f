/* Programs without a name: from memory, and deleted or replaced after they were opened. */
#include <sys/mman.h>
#include <sys/sendfile.h>

#include "check.h"

extern char **environ;

static int copy_of(const char *path)
{
	int from = open(path, O_RDONLY | O_CLOEXEC), to = memfd_create("program", MFD_CLOEXEC);

	while (sendfile(to, from, NULL, 1 << 20) > 0)
		;
	close(from);
	return to;
}

static void run(const char *name, int fd, char *const *argv)
{
	pid_t pid = fork();

	if (!pid) {
		syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
		_exit(errno);
	}
	say(name, outcome(pid));
}

/* A file of the layer, whose name becomes another's, and nobody's; it gets it back. */
static void replaced(void)
{
	char *const script[] = { "script", NULL };
	int fd = open("script", O_RDONLY), new;

	fflush(stdout);
	rename("script", "aside");
	run("renamed", fd, script);
	new = open("script", O_WRONLY | O_CREAT, 0755);
	dprintf(new, "#!/bin/echo another\n");
	close(new);
	run("replaced", fd, script);
	unlink("script");
	run("its name is gone", fd, script);
	rename("aside", "script");
	run("it has its name again", fd, script);
}

int main(void)
{
	char *const grep[] = { "grep", "-q", "hello", "present", NULL };
	char *const copied[] = { "./copied", "-q", "hello", "present", NULL };
	char *const script[] = { "script", NULL };
	int fd;

	run("from memory", copy_of("/bin/grep"), grep);
	say("the copy", system("cp /bin/grep copied"));
	fd = open("copied", O_RDONLY | O_CLOEXEC);
	run("by descriptor", fd, copied);
	unlink("copied");
	run("deleted", fd, grep);
	fd = open("chain1", O_RDONLY | O_CLOEXEC);
	run("a script that the interpreter cannot open", fd, script);
	run("no descriptor", 999, grep);
	run("a symbolic link", open("link", O_PATH | O_NOFOLLOW), grep);
	replaced();
	return 0;
}
