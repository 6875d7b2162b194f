/* Large arguments and environments arrive whole, and too large ones are refused. */
#include "check.h"

extern char **environ;

/* Started again: say how much came. */
static int count(int argc, char **argv)
{
	size_t bytes = 0;
	int variables = 0;

	for (int i = 2; i < argc; i++)
		bytes += strlen(argv[i]) + 1;
	for (char **variable = environ; *variable; variable++)
		variables += !strncmp(*variable, "V", 1);
	printf("%d arguments, %zu bytes, %d variables\n", argc - 2, bytes, variables);
	return 0;
}

static void run(char *self, int arguments, size_t length, int variables)
{
	char **argv = calloc((size_t)arguments + 3, sizeof(*argv));
	char **envp = calloc((size_t)variables + 1, sizeof(*envp));
	pid_t pid;

	argv[0] = self;
	argv[1] = "count";
	for (int i = 0; i < arguments; i++) {
		argv[i + 2] = malloc(length + 1);
		memset(argv[i + 2], 'a', length);
		argv[i + 2][length] = 0;
	}
	for (int i = 0; i < variables; i++)
		if (asprintf(&envp[i], "V%d=a value of some length", i) < 0)
			exit(1);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		execve(self, argv, envp);
		_exit(errno);
	}
	say("large exec", outcome(pid));
	pid = vfork();
	if (!pid) {
		execve(self, argv, envp);
		_exit(errno);
	}
	say("large exec after vfork", outcome(pid));
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return count(argc, argv);
	run(argv[0], 0, 0, 5000);
	run(argv[0], 200, 10000, 0);
	run(argv[0], 60000, 20, 100);
	run(argv[0], 1, 131071, 10);
	run(argv[0], 1, 131072, 10);
	run(argv[0], 400, 100000, 10);
	return 0;
}
