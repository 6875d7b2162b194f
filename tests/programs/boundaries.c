/* Offsets of a file, from argv[2] on and below argv[3], where trap_is_boundary says that an
 * instruction begins, one a line. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../../native/trap/boundary_x86_64.c"

static const unsigned char *text;
static uint64_t size;

int trap_readable(const void *p, size_t length)
{
	return (uint64_t)p >= (uint64_t)text && (uint64_t)p + length <= (uint64_t)text + size;
}

int main(int argc, char **argv)
{
	int fd = argc == 4 ? open(argv[1], O_RDONLY) : -1;
	struct stat file;

	if (fd < 0 || fstat(fd, &file))
		return 1;
	size = (uint64_t)file.st_size;
	text = mmap(0, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return 1;
	for (uint64_t at = strtoul(argv[2], 0, 10), end = strtoul(argv[3], 0, 10); at < end; at++)
		if (trap_is_boundary((uint64_t)text + at))
			printf("%lu\n", at);
	return 0;
}
