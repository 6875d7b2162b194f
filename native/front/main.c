/*
 * `lpmx exec [--here] CONTAINER [--] COMMAND [ARG...]` becomes the program, where the
 * container's start file can be believed; so does a command that `lpmx expose` made.  Anything else is executed by the command line in Python,
 * with the same words: it knows all options, mends what is out of order, explains what
 * went wrong, and writes the start file that serves the next call.
 */
#include <linux/auxvec.h>

#include "../sys/say.h"
#include "front.h"

#define CANNOT_RUN 125
#define PYTHON "lpmx-python"
#define NAME_MAX_LENGTH 64
#define SIGPIPE_NUMBER 13
#define SIGXFSZ_NUMBER 25

static struct front_caller caller;
static struct front_start start;

/* As lpmx_runtime/container/record.py has it; so no other directory can be meant. */
static int is_name(const char *text)
{
	size_t n = 0;

	for (; text[n]; n++) {
		char c = text[n];
		int word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!word && (!n || (c != '_' && c != '.' && c != '-')))
			return 0;
	}
	return n > 0 && n <= NAME_MAX_LENGTH;
}

/* What Python leaves to the programs that it becomes, whatever it was started with. */
static void restore_signals(void)
{
	static const uint64_t action[4]; /* the kernel's struct sigaction: SIG_DFL */

	sys_call4(__NR_rt_sigaction, SIGPIPE_NUMBER, action, 0, 8);
	sys_call4(__NR_rt_sigaction, SIGXFSZ_NUMBER, action, 0, 8);
}

/* Become the program in the container, or return. */
static void execute(char **words, char *const *envp)
{
	static char store[FRONT_PATH_MAX], containers[FRONT_PATH_MAX], here[FRONT_PATH_MAX];
	const char *name, *trace, *rewrite;
	char **environment;

	if (text_equal(*words, "--here")) {
		words++;
		/* one that is gone, or out of reach, has no name that begins so */
		if (sys_call2(__NR_getcwd, here, sizeof(here)) < 0 || here[0] != '/')
			return;
	}
	if (!(name = *words++))
		return;
	if (*words && text_equal(*words, "--"))
		words++;
	if (!*words || !is_name(name) || !front_read_caller(&caller, envp))
		return;
	trace = front_value(&caller, LPMX_ENV_TRACE);
	if (trace && *trace)
		return; /* its file is made and its path is completed there */
	rewrite = front_value(&caller, LPMX_ENV_REWRITE);
	if (rewrite && *rewrite)
		return;
	if (!front_settings(&caller, start.settings) ||
	    !front_store(&caller, start.settings, store) || !front_join(containers, store, "containers") ||
	    !front_join(start.directory, containers, name) || !front_read_start(&start))
		return;
	environment = front_variables(&start, &caller, *words, here[0] ? here : 0);
	if (!environment || !front_tell_host(&start, &caller))
		return;
	restore_signals();
	sys_call3(__NR_execve, start.loader, words, environment);
}

/* Have the command line in Python do it. */
static int ask_python(char **argv, char *const *envp)
{
	static char path[FRONT_PATH_MAX + sizeof(PYTHON)];
	char *own = argv[0];
	long n = front_myself(path);

	if (n < 0 && own && text_length(own) < FRONT_PATH_MAX)
		text_put(path, own); /* no /proc here: as good as we know it */
	text_put((char *)text_base(path), PYTHON);
	argv[0] = path;
	sys_call3(__NR_execve, path, argv, envp);
	say(2, "lpmx: cannot start \"");
	say(2, path);
	say(2, "\": it is not there, or the Python that it names is not\nhint: install lpmx-jupyter again\n");
	return CANNOT_RUN;
}

/* Whether we are a script's interpreter: what was executed is our first word. */
static int is_interpreter(const char *word, char **envp)
{
	const unsigned long *vector;

	while (*envp)
		envp++;
	for (vector = (const unsigned long *)(envp + 1); *vector; vector += 2)
		if (*vector == AT_EXECFN)
			return text_equal(word, (const char *)vector[1]);
	return 0;
}

__attribute__((used)) int program_main(long argc, char **argv, char **envp)
{
	static char *none[2];

	if (argc > 1 && is_interpreter(argv[1], envp) && front_exposed(argc, &argv, &envp))
		argc += 4;
	if (argc > 3 && text_equal(argv[1], "exec"))
		execute(argv + 2, envp);
	return ask_python(argc ? argv : none, envp);
}
