/*
 * Words for people.  Only used before the program runs: once it does, its
 * descriptors are its own.
 */
#include <asm-generic/errno.h>
#include <stdarg.h>

#include "../core/text.h"
#include "../sys/sys.h"
#include "loader.h"

const char *loader_error(long error)
{
	switch (error < 0 ? -error : error) {
	case EPERM:
		return "operation not permitted";
	case ENOENT:
		return "no such file or directory";
	case EIO:
		return "input/output error";
	case E2BIG:
		return "the argument list is too long";
	case ENOEXEC:
		return "it is neither a program nor a script that names its interpreter";
	case ENOMEM:
		return "out of memory";
	case EACCES:
		return "permission denied";
	case EFAULT:
		return "bad address";
	case EEXIST:
		return "its address range is in use";
	case ENOTDIR:
		return "not a directory";
	case EISDIR:
		return "it is a directory";
	case EINVAL:
		return "invalid argument";
	case ENFILE:
	case EMFILE:
		return "too many open files";
	case ETXTBSY:
		return "it is open for writing";
	case ELOOP:
		return "too many levels of symbolic links or interpreters";
	case ENAMETOOLONG:
		return "the name is too long";
	case ENOSYS:
		return "this kernel does not have it";
	case ELIBBAD:
		return "its interpreter is damaged or for another machine";
	default:
		return "the kernel refused";
	}
}

void loader_say(const char *first, ...)
{
	char line[2 * CORE_PATH_MAX];
	size_t n = 0;
	va_list parts;

	va_start(parts, first);
	for (const char *s = first; s; s = va_arg(parts, const char *))
		while (*s && n < sizeof(line) - 1)
			line[n++] = *s++;
	va_end(parts);
	line[n++] = '\n';
	sys_call3(__NR_write, 2, line, n);
}

void loader_leave(int status)
{
	for (;;)
		sys_call1(__NR_exit_group, status);
}
