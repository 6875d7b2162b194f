/* Where the library finds the core, and how it stays out of sight. */
#include "call.h"

const struct lpmx_entry *preload_entry;

/* Is the first element of an LD_PRELOAD list us?  Its length with the separator. */
static size_t own_element(const char *list)
{
	static const char name[] = "/preload.so";
	size_t n = 0;

	while (list[n] && list[n] != ':' && list[n] != ' ')
		n++;
	if (n < sizeof(name) - 1 || !text_same(list + n - (sizeof(name) - 1), name, sizeof(name) - 1))
		return 0;
	return list[n] ? n + 1 : n;
}

/* The loader put us in front of LD_PRELOAD: the program sees what was there before. */
static void leave_environment(void)
{
	char **entry, *list;
	size_t prefix, n;

	if (!&environ || !environ)
		return;
	for (entry = environ; *entry; entry++) {
		if (!(prefix = text_begins(*entry, "LD_PRELOAD=")))
			continue;
		list = *entry + prefix;
		n = own_element(list);
		if (!n)
			return;
		if (list[n]) {
			bytes_copy(list, list + n, text_length(list + n) + 1);
			return;
		}
		do
			entry[0] = entry[1];
		while (*entry++);
		return;
	}
}

__attribute__((constructor)) static void start(void)
{
	long r = sys_call6(LPMX_SYSCALL, LPMX_OP_ENTRY, 0, 0, 0, 0, 0);
	const struct lpmx_entry *entry = (const void *)r;

	if (SYS_FAILED(r) || !r)
		return;
	if (entry->version != LPMX_ABI_VERSION || entry->size < sizeof(*entry))
		return; /* another build: the trap alone is right too */
	preload_entry = entry;
	leave_environment();
}
