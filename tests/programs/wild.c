/* Pointers to nowhere give EFAULT and the program goes on. */
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/time.h>

#include "check.h"

#define TRY(name, ...) say(#name, syscall(SYS_##name, __VA_ARGS__))

static void with(const char *path)
{
	char good[4096];

	TRY(openat, AT_FDCWD, path, O_RDONLY);
	TRY(newfstatat, AT_FDCWD, path, good, 0);
	TRY(faccessat, AT_FDCWD, path, R_OK);
	TRY(readlinkat, AT_FDCWD, path, good, sizeof(good));
	TRY(unlinkat, AT_FDCWD, path, 0);
	TRY(mkdirat, AT_FDCWD, path, 0700);
	TRY(renameat, AT_FDCWD, path, AT_FDCWD, "x");
	TRY(renameat, AT_FDCWD, "present", AT_FDCWD, path);
	TRY(linkat, AT_FDCWD, path, AT_FDCWD, "x", 0);
	TRY(symlinkat, path, AT_FDCWD, "x");
	TRY(fchmodat, AT_FDCWD, path, 0644);
	TRY(fchownat, AT_FDCWD, path, -1, -1, 0);
	TRY(truncate, path, 0L);
	TRY(chdir, path);
	TRY(statfs, path, good);
	TRY(execve, path, NULL, NULL);
}

static void into(char *buffer)
{
	TRY(newfstatat, AT_FDCWD, "present", buffer, 0);
	TRY(statfs, ".", buffer);
	TRY(getcwd, buffer, 4096L);
	TRY(listxattr, "present", buffer, 100L);
	TRY(readlinkat, AT_FDCWD, "link", buffer, 100L);
	TRY(readlinkat, AT_FDCWD, "/proc/self/exe", buffer, 100L);
}

int main(void)
{
	char *pages = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(pages + 4096, 4096);
	with(NULL);
	with((char *)16);
	with((char *)0x6666666666660000);
	with((char *)-1);
	/* a name that runs off the end of what is mapped */
	memset(pages, 'a', 4096);
	with(pages + 4090);
	into(NULL);
	into((char *)0x6666666666660000);
	/* results that run off the end, or are about to; and memory that is only read */
	memset(pages, 0, 4096);
	for (int room = 16; room > 0; room--)
		into(pages + 4096 - room);
	say("readlink", syscall(SYS_readlinkat, AT_FDCWD, "link", pages, 4096L));
	say("what is behind it", memcmp(pages, "present\0\0\0", 10));
	mprotect(pages, 4096, PROT_READ);
	into(pages + 100);
	say("open", touch("present"));
	return 0;
}
