/* The "#!" line, by the kernel's rules (execve(2), "Interpreter scripts"). */
#include <asm-generic/errno.h>

#include "loader.h"

/* What the kernel looks at; a longer interpreter name is an error, a longer
 * argument is cut. */
#define KERNEL_READS 256

static int blank(char c)
{
	return c == ' ' || c == '\t';
}

long loader_script_parse(char *line, long size, struct loader_script *script)
{
	char *p = line + 2, *end, *stop;
	int cut = 1;

	if (size < 2 || line[0] != '#' || line[1] != '!')
		return 0;
	stop = line + (size < KERNEL_READS ? size : KERNEL_READS - 1);
	cut = size >= KERNEL_READS;
	for (end = p; end < stop && *end != '\n' && *end; end++)
		;
	if (end < stop)
		cut = 0;
	stop = end;
	*stop = 0;
	while (end > p && blank(end[-1]))
		*--end = 0;
	while (blank(*p))
		p++;
	if (!*p)
		return -ENOEXEC;
	script->interpreter = p;
	while (*p && !blank(*p))
		p++;
	if (p == stop && cut)
		return -ENOEXEC;
	while (blank(*p))
		*p++ = 0;
	script->argument = *p ? p : 0;
	return 1;
}
