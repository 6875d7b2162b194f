/*
 * The initial stack: argc, argv, envp and the auxiliary vector, as the kernel
 * made it for the loader, turned into what it would have made for the program.
 * The strings stay where they are; what the program's own command line reads
 * as in /proc is therefore right by itself.
 */
#include <linux/auxvec.h>

#include "../core/text.h"
#include "../trap/trap.h"
#include "loader.h"

void *memmove(void *to, const void *from, size_t n);

static int private_variable(struct loader_stack *s, const char *variable)
{
	const struct {
		const char *name;
		const char **value;
	} names[] = {
		{ LPMX_ENV_VIEW "=", &s->view },
		{ LPMX_ENV_PROGRAM "=", &s->program },
		{ LPMX_ENV_STATE "=", &s->state },
		{ LOADER_ENV_START "=", &s->start },
		{ LOADER_ENV_CWD "=", &s->cwd },
		{ LPMX_ENV_TRACE "=", &s->trace },
		{ LPMX_ENV_CALL "=", &s->call },
		{ LPMX_ENV_REFUSED "=", &s->refused },
		{ LPMX_ENV_TRACED "=", &s->traced },
		{ LPMX_ENV_REWRITE "=", &s->rewrite },
		{ LPMX_ENV_SINCE "=", &s->since },
		{ LOADER_ENV_FILE "=", &s->file },
		{ LOADER_ENV_INTERPRETER "=", &s->interpreter },
	};

	if (!text_begins(variable, "LPMX_"))
		return 0;
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		size_t n = text_begins(variable, names[i].name);

		if (!n)
			continue;
		/* the last one is ours, should a program have made another */
		*names[i].value = variable + n;
		return 1;
	}
	if (text_begins(variable, LOADER_ENV_NO_TRAP "="))
		s->no_trap = 1;
	return 0;
}

void loader_stack_read(struct loader_stack *s, uint64_t *sp)
{
	char **from, **to;

	bytes_zero(s, sizeof(*s));
	s->sp = sp;
	s->argc = (long)*sp;
	s->argv = (char **)(sp + 1);
	s->envp = s->argv + s->argc + 1;
	for (from = to = s->envp; *from; from++) {
		if (!s->env_start)
			s->env_start = (uint64_t)*from;
		s->env_end = (uint64_t)*from + text_length(*from) + 1;
		if (!private_variable(s, *from))
			*to++ = *from;
	}
	s->envc = to - s->envp;
	s->auxv = (uint64_t(*)[2])(from + 1);
	*to = 0;
	while (s->auxv[s->auxc][0] != AT_NULL)
		s->auxc++;
	s->arg_start = s->argc ? (uint64_t)s->argv[0] : s->env_start;
	s->arg_end = s->env_start;
}

uint64_t loader_auxiliary(const struct loader_stack *s, uint64_t type)
{
	for (long i = 0; i < s->auxc; i++)
		if (s->auxv[i][0] == type)
			return s->auxv[i][1];
	return 0;
}

static void fix(uint64_t entry[2], const struct loader_image *program,
		const struct loader_image *interpreter, const char *name)
{
	switch (entry[0]) {
	case AT_PHDR:
		entry[1] = program->headers;
		break;
	case AT_PHENT:
		entry[1] = program->header_size;
		break;
	case AT_PHNUM:
		entry[1] = program->header_count;
		break;
	case AT_BASE:
		entry[1] = interpreter ? interpreter->base : 0;
		break;
	case AT_ENTRY:
		entry[1] = program->entry;
		break;
	case AT_EXECFN:
		entry[1] = (uint64_t)name;
		break;
	case AT_UID:
		entry[1] = trap_task.credentials.ruid;
		break;
	case AT_EUID:
		entry[1] = trap_task.credentials.euid;
		break;
	case AT_GID:
		entry[1] = trap_task.credentials.rgid;
		break;
	case AT_EGID:
		entry[1] = trap_task.credentials.egid;
		break;
	}
}

/*
 * In place: our variables are gone from envp, so all of it fits where the
 * kernel put it, moved up against the end.  sp must be a multiple of 16, which
 * may leave one word between the vector's end and the strings.
 */
uint64_t loader_stack_write(struct loader_stack *s, const struct loader_image *program,
			    const struct loader_image *interpreter, const char *name)
{
	uint64_t end = (uint64_t)(s->auxv + s->auxc + 1), sp;
	long words = 1 + (s->argc + 1) + (s->envc + 1) + 2 * (s->auxc + 1);
	uint64_t *to;

	for (long i = 0; i < s->auxc; i++)
		fix(s->auxv[i], program, interpreter, name);
	sp = (end - 8 * (uint64_t)words) & ~15ul;
	/* the auxiliary vector first: it goes down, if anywhere, into the gap */
	to = (uint64_t *)sp + 1 + (s->argc + 1) + (s->envc + 1);
	memmove(to, s->auxv, sizeof(*s->auxv) * (size_t)(s->auxc + 1));
	s->auxv = (uint64_t(*)[2])to;
	to -= s->envc + 1;
	memmove(to, s->envp, sizeof(*s->envp) * (size_t)(s->envc + 1));
	s->envp = (char **)to;
	to -= s->argc + 1;
	memmove(to, s->argv, sizeof(*s->argv) * (size_t)(s->argc + 1));
	s->argv = (char **)to;
	*--to = (uint64_t)s->argc;
	s->sp = to;
	return sp;
}
