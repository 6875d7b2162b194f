/*
 * A command of the host that `lpmx expose` made (lpmx_runtime/container/exposed.py): a
 * script with this program as its interpreter.  What it stands for is in its comments;
 * the lines after them say the same to a shell.
 *
 *   #!/where/lpmx/is
 *   # lpmx expose CONTAINER PROGRAM
 *   # store DIRECTORY                  else the usual one, not the caller's LPMX_STORE
 */
#include <linux/mman.h>

#include "front.h"

#define FILE_MAX (16 << 10)
#define STORE "LPMX_STORE="

/* What is behind `prefix` on this line, NUL-terminated; *line moves to the next.  NULL and
 * nothing done if the line is another one. */
static char *rest_of(char **line, const char *prefix)
{
	size_t n = text_begins(*line, prefix);
	char *rest = *line + n, *end = rest;

	if (!n)
		return 0;
	while (*end && *end != '\n')
		end++;
	*line = *end ? end + 1 : end;
	*end = 0;
	return rest;
}

/* Split "CONTAINER PROGRAM" at its first blank: the program, NULL if there is none. */
static char *split(char *text)
{
	while (*text && *text != ' ')
		text++;
	if (!*text || !text[1])
		return 0;
	*text = 0;
	return text + 1;
}

/* Room for that many pointers. */
static char **vector(size_t count)
{
	long memory = sys_call6(__NR_mmap, 0, (long)(count * sizeof(char *)), PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return SYS_FAILED(memory) ? 0 : (char **)memory;
}

int front_exposed(long argc, char ***argv, char ***envp)
{
	static char text[FILE_MAX], store[FRONT_PATH_MAX + sizeof(STORE)];
	char *line = text, *container, *program, *place, **words, **to;
	size_t count = 0;

	if (front_read((*argv)[1], text, sizeof(text)) < 0 || !rest_of(&line, "#!") ||
	    !(container = rest_of(&line, "# lpmx expose ")) || !(program = split(container)))
		return 0;
	place = rest_of(&line, "# store ");
	if (place && text_length(place) >= FRONT_PATH_MAX)
		return 0;
	while ((*envp)[count])
		count++;
	words = vector((size_t)argc + 5 + count + 2);
	if (!words)
		return 0;
	to = words;
	*to++ = (*argv)[0];
	*to++ = "exec";
	*to++ = "--here";
	*to++ = container;
	*to++ = "--";
	*to++ = program;
	for (long i = 2; i < argc; i++)
		*to++ = (*argv)[i];
	*to++ = 0;
	*argv = words;
	words = to;
	for (char **from = *envp; *from; from++)
		if (!text_begins(*from, STORE))
			*to++ = *from;
	if (place) {
		text_put(text_put(store, STORE), place);
		*to++ = store;
	}
	*to = 0;
	*envp = words;
	return 1;
}
