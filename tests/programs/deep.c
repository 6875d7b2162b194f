/* A tree far deeper than a path reaches, made and left by relative names; then what the
 * usual tools make of it. */
#include <dirent.h>
#include <limits.h>
#include <sys/statvfs.h>

#include "check.h"

#define LEVELS 32
#define PART "a-part-of-50-bytes-four-of-which-make-up-the-name."
#define NAME PART PART PART PART

/* The system call, which libraries have ways round. */
static long kernel_getcwd(size_t size)
{
	static char path[3 * PATH_MAX];

	return syscall(SYS_getcwd, path, size);
}

static void down(void)
{
	static char before[LEVELS + 1];
	int changes = 0;

	for (int i = 0; i < LEVELS; i++) {
		long r = kernel_getcwd(3 * PATH_MAX);

		before[i] = r < 0 ? 'L' : '.';
		if (i && before[i] != before[i - 1])
			say("getcwd changes at level", i), say("to", r);
		if (mkdir(NAME, 0755) || chdir(NAME)) {
			say("level", i);
			say("stopped", -1);
			return;
		}
	}
	say("getcwd with little room", kernel_getcwd(10));
	say("getcwd with much room", kernel_getcwd(3 * PATH_MAX));
}

static void at_the_bottom(const char *start)
{
	struct stat here, same, listed = { 0 };
	struct dirent *entry;
	struct statvfs room;
	static char text[10 * PATH_MAX];
	char link[100], *path;
	int fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0640), dir;
	DIR *stream;

	say("create", fd < 0 ? fd : 0);
	say("write", write(fd, "deep", 4));
	say("fstat", fstat(fd, &here));
	say("mode", here.st_mode);
	say("stat", stat("file", &same));
	say("one file", here.st_ino == same.st_ino && here.st_dev == same.st_dev);
	say("fchmod", fchmod(fd, 0604));
	say("stat", stat("./file", &same));
	say("mode", same.st_mode);
	say("link", linkat(AT_FDCWD, "file", AT_FDCWD, "other", 0));
	say("rename", rename("other", "../beside"));
	say("up", access("../beside", R_OK));
	say("symlink", symlink("../beside", "link"));
	say("through it", open("link", O_RDONLY) < 0 ? -1 : 0);
	say("readlink", readlink("link", link, sizeof(link)));
	say("truncate", truncate("file", 2));
	say("times", utimensat(AT_FDCWD, "file", NULL, 0));
	say("statvfs", statvfs(".", &room));
	say("fifo", mkfifo("fifo", 0600));
	stream = opendir(".");
	for (int n = 0; (entry = readdir(stream));)
		if (!strcmp(entry->d_name, "file"))
			listed.st_ino = entry->d_ino;
	say("listed", listed.st_ino == same.st_ino);
	dir = dirfd(stream);
	say("by a descriptor", fstatat(dir, "fifo", &same, 0));
	say("fchdir", fchdir(dir));
	say("still here", access("file", F_OK));
	sprintf(link, "/proc/self/fd/%d/file", dir);
	say("through /proc", access(link, F_OK));
	sprintf(link, "/proc/self/fd/%d", dir);
	say("its name", readlink(link, (char[10]){ 0 }, 10));
	say("through /proc/self/cwd", access("/proc/self/cwd/file", F_OK));
	say("unlink", unlink("fifo") + unlink("link") + unlink("../beside") + unlink("file"));
	path = getcwd(text, sizeof(text));
	say("getcwd of the library", path ? (long)strlen(path) : -1);
	say("begins as it must", path && !strncmp(path, start, strlen(start)));
}

static void up(void)
{
	int levels = 0;

	while (!access("../" NAME, F_OK) && !chdir(".."))
		levels++;
	say("up again", levels);
}

int main(void)
{
	char *start = getcwd(NULL, 0);

	say("mkdir", mkdir("deep", 0755) + chdir("deep"));
	down();
	at_the_bottom(start);
	up();
	say("back", chdir(start));
	say("find", system("find deep -type d | wc -l"));
	say("du", system("du -a deep | wc -l"));
	say("chmod", system("chmod -R go-w deep"));
	say("mv", system("mv deep moved && find moved | wc -l && mv moved deep"));
	say("tar", system("tar cf deep.tar deep && tar tf deep.tar | wc -l"));
	say("rm", system("rm -rf deep deep.tar"));
	say("gone", access("deep", F_OK));
	return 0;
}
