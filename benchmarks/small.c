/* So many getpid, or writes and reads of a few bytes: small getpid|io COUNT */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long count = argc == 3 ? atol(argv[2]) : 0;
	char bytes[512] = "";
	int ends[2];

	if (!count || pipe(ends))
		return 2;
	if (!strcmp(argv[1], "getpid")) {
		while (count--)
			syscall(SYS_getpid);
		return 0;
	}
	while (count--)
		if (write(ends[1], bytes, sizeof(bytes)) != sizeof(bytes) ||
		    read(ends[0], bytes, sizeof(bytes)) != sizeof(bytes))
			return 1;
	return 0;
}
