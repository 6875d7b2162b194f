/*
 * A program writes its title over its arguments and its environment, which the kernel
 * laid out behind each other: as PostgreSQL, nginx, Redis and sshd do.
 */
#include "check.h"

extern char **environ;

/* The end of the strings that lie behind each other from `end` on. */
static char *follow(char **strings, char *end)
{
	for (; *strings && *strings == end; strings++)
		end += strlen(end) + 1;
	return end;
}

int main(int argc, char **argv)
{
	char *end, shown[256];
	int fd;

	if (argc < 2) {
		/* what the machine gives differs; what a program gives does not */
		char *arguments[] = { argv[0], "again", NULL };
		char *variables[] = { "A=some value", "B=another one, which is longer than that",
				      NULL };

		execve(argv[0], arguments, variables);
		return 1;
	}
	end = follow(argv, argv[0]);
	say("arguments lie behind each other", end == argv[1] + sizeof("again"));
	end = follow(environ, end);
	/* the preload library's variable is among them */
	say("the environment follows", end - argv[1] > 60);
	memset(argv[0], 0, (size_t)(end - argv[0]));
	strcpy(argv[0], "a title that is longer than the name of this program and its argument");
	fd = open("/proc/self/cmdline", O_RDONLY);
	memset(shown, 0, sizeof(shown));
	read(fd, shown, 69);
	printf("%s\n", shown);
	return 0;
}
