/* What is wrong about a call's arguments is said in the kernel's order, and what is right is taken. */
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "check.h"

#define TRY(name, ...) say(#name, syscall(SYS_##name, __VA_ARGS__))
#define EXECVE_CHECK 0x10000

static char large[70000], path[5000];

/* Of a file that is there, and of one that is not. */
static void attributes(const char *file)
{
	for (int how = 2; how <= 16; how *= 2)
		TRY(setxattr, file, "user.a", "1", 1L, how);
	TRY(setxattr, file, "", "1", 1L, 0);
	TRY(getxattr, file, "", large, 1L);
	TRY(removexattr, file, "");
	TRY(setxattr, file, "user.a", large, 65537L, 0);
	TRY(setxattr, file, "user.a", (void *)8, 10L, 0);
	TRY(setxattr, file, "user.a", NULL, 0L, 0);
	TRY(listxattr, file, NULL, 0L);
	TRY(listxattr, file, large, 7L);
	TRY(listxattr, file, large, 6L);
	TRY(listxattr, file, (void *)8, 7L);
	TRY(removexattr, file, "user.a");
	TRY(fsetxattr, -1, "security.capability", "1", 1L, 0);
	TRY(fsetxattr, -1, "user.overlay.opaque", "1", 1L, 0);
}

static void flags(void)
{
	struct stat st;

	for (int bit = 1; bit <= 1 << 20; bit *= 2)
		TRY(newfstatat, AT_FDCWD, "present", &st, bit);
	for (int bit = 1; bit <= 8; bit *= 2)
		TRY(renameat2, AT_FDCWD, "absent", AT_FDCWD, "other", bit);
	TRY(renameat2, AT_FDCWD, "present", AT_FDCWD, "junk", 5);
	TRY(renameat2, AT_FDCWD, "present", AT_FDCWD, "junk", 6);
	TRY(open, "/", O_CREAT | O_EXCL, 0600);
	TRY(open, "/.", O_CREAT | O_EXCL, 0600);
	TRY(open, "present/", O_CREAT | O_EXCL, 0600);
}

static void programs(void)
{
	/* as many names as the longest path has room for, and one more */
	for (int size = 4095; size <= 4097; size++) {
		memset(path, '/', sizeof(path));
		strcpy(path + size - 4, "tmp/");
		path[size] = 0;
		TRY(execve, path, NULL, NULL);
	}
	TRY(execveat, AT_FDCWD, "script", NULL, NULL, EXECVE_CHECK);
	TRY(execveat, AT_FDCWD, "junk", NULL, NULL, EXECVE_CHECK);
	TRY(execveat, AT_FDCWD, "present", NULL, NULL, EXECVE_CHECK);
	TRY(execveat, AT_FDCWD, "link", NULL, NULL, EXECVE_CHECK | AT_SYMLINK_NOFOLLOW);
	TRY(execveat, AT_FDCWD, "absent", NULL, NULL, EXECVE_CHECK);
	TRY(execveat, AT_FDCWD, ".", NULL, NULL, EXECVE_CHECK);
	TRY(execveat, AT_FDCWD, "absent", NULL, NULL, EXECVE_CHECK | 0x20000);
}

/* A socket's name may fill all the room there is, without a zero behind it. */
static void sockets(void)
{
	struct {
		struct sockaddr_un address;
		char more[8];
	} name = { .address.sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), short_size = 2;
	char kept[8] = "abcdefg";
	socklen_t size = sizeof(name);

	memset(name.address.sun_path, 's', sizeof(name.address.sun_path));
	say("bind", bind(fd, (void *)&name, sizeof(name.address) + 1));
	say("bind", bind(fd, (void *)&name, sizeof(name.address)));
	say("name", getsockname(fd, (void *)&name, &size));
	say("size", size);
	say("name of two bytes", getsockname(fd, (void *)kept, (socklen_t *)&short_size));
	say("what is behind it", memcmp(kept + 2, "cdefg", 6));
	name.more[0] = 0;
	say("unlink", unlink(name.address.sun_path));
}

int main(void)
{
	attributes("present");
	attributes("absent");
	flags();
	programs();
	sockets();
	return 0;
}
