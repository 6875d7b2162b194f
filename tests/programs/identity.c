/* Who am I: name, command line, /proc/self/exe, the auxiliary vector, the heap. */
#include <link.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

#include "check.h"

extern char **environ;

static void show_file(const char *path)
{
	char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	for (ssize_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = ' ';
	text[n > 0 ? n : 0] = 0;
	printf("%s: %s\n", path, text);
}

int main(int argc, char **argv)
{
	char link[4096], comm[17] = "", own[64];
	const ElfW(Phdr) *headers = (void *)getauxval(AT_PHDR);
	struct stat by_link, by_name;
	ssize_t n;

	printf("argc %d, argv[0] %s\n", argc, argc ? argv[0] : "none");
	n = readlink("/proc/self/exe", link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = 0;
	printf("/proc/self/exe %s\n", link);
	snprintf(own, sizeof(own), "/proc/%d/exe", getpid());
	n = readlink(own, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = 0;
	printf("/proc/PID/exe %s\n", link);
	say("open of it", touch("/proc/self/exe"));
	say("stat of it", stat("/proc/self/exe", &by_link));
	say("stat of the path", stat(link, &by_name));
	say("the same file", by_link.st_ino == by_name.st_ino && by_link.st_dev == by_name.st_dev);
	prctl(PR_GET_NAME, comm);
	printf("name %s\n", comm);
	show_file("/proc/self/comm");
	show_file("/proc/self/cmdline");
	printf("AT_EXECFN %s\n", (char *)getauxval(AT_EXECFN));
	say("AT_PHENT", (long)getauxval(AT_PHENT));
	say("headers where they should be", headers && headers[0].p_type < 10);
	say("AT_ENTRY", getauxval(AT_ENTRY) != 0);
	say("AT_SECURE", (long)getauxval(AT_SECURE));
	say("AT_UID is getuid", getauxval(AT_UID) == getuid());
	for (char **variable = environ; *variable; variable++)
		if (!strncmp(*variable, "LPMX_", 5))
			printf("seen: %s\n", *variable);
	say("the heap grows", sbrk(1 << 20) != (void *)-1 && sbrk(1 << 20) != (void *)-1);
	say("malloc", malloc(100) && malloc(1 << 24));
	return 0;
}
