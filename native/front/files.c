/* Small files, whole. */
#include "front.h"

int front_join(char to[FRONT_PATH_MAX], const char *directory, const char *name)
{
	if (text_length(directory) + text_length(name) + 2 > FRONT_PATH_MAX)
		return 0;
	text_put(text_put(text_put(to, directory), "/"), name);
	return 1;
}

long front_read(const char *path, char *to, size_t size)
{
	long fd = sys_call4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
	size_t total = 0;
	long n;

	if (fd < 0)
		return fd;
	do {
		n = sys_call3(__NR_read, fd, to + total, size - 1 - total);
		if (n > 0)
			total += (size_t)n;
	} while (n == -EINTR || (n > 0 && total + 1 < size));
	sys_call1(__NR_close, fd);
	if (n < 0)
		return n;
	to[total] = 0;
	return total + 1 < size ? (long)total : -EFBIG;
}
