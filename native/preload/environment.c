/*
 * getenv, the one thing that is no system call: a running program sees a live
 * change only through this.
 *
 * setenv, putenv, unsetenv and clearenv stay libc's.  What a program changes is in
 * its own `environ`, and the core compares that with what the program started
 * with: a value of its own stays its own.
 */
#include "call.h"

/* The value in `environ`.  Names that differ do so in their first two bytes, as a rule. */
static char *own_value(const char *name)
{
	char first = name[0], second;

	if (!&environ || !environ || !first)
		return 0;
	second = name[1] ? name[1] : '=';
	for (char **entry = environ; *entry; entry++) {
		const char *wanted = name + 1, *is = *entry;

		if (is[0] != first || is[1] != second)
			continue;
		for (is++; *wanted && *wanted == *is; wanted++)
			is++;
		if (!*wanted && *is == '=')
			return (char *)is + 1;
	}
	return 0;
}

EXPORTED char *getenv(const char *name)
{
	const struct lpmx_entry *entry = preload_entry;
	char *own = own_value(name);

	/* nothing changed since this program started: the usual case */
	if (!entry || !entry->environment_generation ||
	    __atomic_load_n(entry->environment_generation, __ATOMIC_ACQUIRE) ==
		    entry->environment_start)
		return own;
	return (char *)entry->environment_get(name, own);
}

/* Set-user-ID programs do not run with privilege here: nothing to be secure from. */
EXPORTED char *secure_getenv(const char *name)
{
	return getenv(name);
}

EXPORTED char *__secure_getenv(const char *name) __attribute__((alias("getenv")));
