/*
 * Makes the system calls it is told to, one a line, and says what came of them.
 * The same program runs in a plain directory, on an overlay mount and in a view.
 *
 *   request:  NUMBER ARGUMENT...      123 a number, =HEX bytes and a NUL,
 *                                     +SIZE room for an answer
 *   answer:   RESULT HEX...           each room's first bytes
 *
 * With LIBC defined, calls for which the preload library has a function go
 * through that function.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM 65536

static char line[1 << 20], data[6][ROOM];

static long call(long nr, const long a[6])
{
#ifdef LIBC
	switch (nr) {
	case SYS_stat:
		return stat((char *)a[0], (struct stat *)a[1]);
	case SYS_lstat:
		return lstat((char *)a[0], (struct stat *)a[1]);
	case SYS_fstat:
		return fstat((int)a[0], (struct stat *)a[1]);
	case SYS_newfstatat:
		return fstatat((int)a[0], (char *)a[1], (struct stat *)a[2], (int)a[3]);
	case SYS_statx:
		return statx((int)a[0], (char *)a[1], (int)a[2], (unsigned)a[3], (struct statx *)a[4]);
	case SYS_access:
		return access((char *)a[0], (int)a[1]);
	case SYS_readlink:
		return readlink((char *)a[0], (char *)a[1], (size_t)a[2]);
	case SYS_readlinkat:
		return readlinkat((int)a[0], (char *)a[1], (char *)a[2], (size_t)a[3]);
	case SYS_getuid:
		return getuid();
	case SYS_geteuid:
		return geteuid();
	}
#endif
	return syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static int hex(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "--root")) {
		if (chroot(argv[2]) || chdir("/"))
			return 1;
	}
	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	while (fgets(line, sizeof(line), stdin)) {
		long a[6] = { 0 }, nr, r, room[6] = { 0 };
		char *p = line;
		int rooms = 0, which[6];

		if (*p == '\n') { /* end of a batch */
			fflush(stdout);
			continue;
		}
		nr = strtol(p, &p, 10);
		for (int i = 0; i < 6 && *p == ' '; i++) {
			p++;
			if (*p == '=') {
				char *to = data[i];

				for (p++; *p != ' ' && *p != '\n'; p += 2)
					*to++ = (char)(hex(p[0]) << 4 | hex(p[1]));
				*to = 0;
				a[i] = (long)data[i];
			} else if (*p == '+') {
				room[i] = strtol(p + 1, &p, 10);
				memset(data[i], 0, (size_t)room[i]);
				a[i] = (long)data[i];
				which[rooms++] = i;
			} else {
				a[i] = strtol(p, &p, 10);
			}
		}
		r = call(nr, a);
		printf("%ld", r == -1 ? -(long)errno : r);
		for (int n = 0; n < rooms; n++) {
			int i = which[n];

			putchar(' ');
			for (long k = 0; k < room[i]; k++) {
				unsigned char byte = (unsigned char)data[i][k];

				putchar("0123456789abcdef"[byte >> 4]);
				putchar("0123456789abcdef"[byte & 15]);
			}
		}
		putchar('\n');
	}
	return 0;
}
