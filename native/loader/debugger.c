/*
 * gdb stops a program for each SIGSYS, of which the trap makes thousands, unless it is told
 * not to.  It can be told by a file only: which of its initialization files it reads hangs on
 * its build and on its options, and the image's are not ours.
 */
#include <linux/fcntl.h>

#include "../core/text.h"
#include "../trap/trap.h"
#include "loader.h"

#define FILE_NAME "gdbinit"
#define IN_CONTAINER LPMX_PREFIX "/lib/" FILE_NAME

/* "gdb", "gdb-multiarch", "aarch64-linux-gnu-gdb". */
static int is_gdb(const char *program)
{
	const char *name = text_base(program);
	size_t length = text_length(name);

	return text_equal(name, "gdb") || text_begins(name, "gdb-") ||
	       (length > 4 && text_equal(name + length - 4, "-gdb"));
}

/* On the host it lies beside the loader. */
static const char *on_host(void)
{
	static char path[CORE_PATH_MAX];
	const char *loader = trap_task.view->loader.text;
	size_t n = text_length(loader);

	while (n && loader[n - 1] != '/')
		n--;
	if (n + sizeof(FILE_NAME) > sizeof(path))
		return 0;
	bytes_copy(path, loader, n);
	text_put(path + n, FILE_NAME);
	return sys_call3(__NR_faccessat, AT_FDCWD, path, 4) ? 0 : path;
}

int loader_debugger(struct core_task *task, const struct core_exec *target, char *const *argv,
		    const char *words[LOADER_DEBUGGER_WORDS])
{
	const long there[6] = { AT_FDCWD, (long)IN_CONTAINER, 4 };
	const char *file = IN_CONTAINER;

	/* another container's own loader will look */
	if (!is_gdb(target->program) || (target->view_file[0] && target->kind != CORE_VIEW_HOST))
		return 0;
	if (target->kind == CORE_VIEW_HOST)
		file = on_host();
	else if (core_call(task, __NR_faccessat, there))
		return 0;
	if (!file || !trap_readable(argv, sizeof(*argv)))
		return 0;
	words[0] = argv[0];
	words[1] = "-ix";
	words[2] = file;
	words[3] = 0;
	return 1;
}
