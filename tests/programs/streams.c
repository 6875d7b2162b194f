/* Directory streams: every function that takes one, and libc's own beside them. */
#include <dirent.h>
#include <ftw.h>
#include <glob.h>
#include <pthread.h>
#include <stddef.h>

#include "check.h"

#define FILES 700 /* more than one buffer holds */
#define STREAMS 9

static int entries;

static void make(const char *directory, int first, int count)
{
	char name[80];

	mkdir(directory, 0755);
	for (int i = first; i < first + count; i++) {
		sprintf(name, "%s/a-name-that-is-rather-long-for-a-file-%d", directory, i);
		close(open(name, O_CREAT | O_WRONLY, 0644));
	}
}

static void unmake(const char *directory, int count)
{
	char name[80];

	for (int i = 0; i < count; i++) {
		sprintf(name, "%s/a-name-that-is-rather-long-for-a-file-%d", directory, i);
		unlink(name);
	}
	say("rmdir", rmdir(directory));
}

/* How many are left, and a sum that does not depend on their order. */
static long rest(DIR *stream, unsigned long *sum)
{
	struct dirent *entry;
	long count = 0;

	errno = 0;
	while ((entry = readdir(stream))) {
		unsigned long hash = 5381;

		for (const char *p = entry->d_name; *p; p++)
			hash = hash * 33 + (unsigned char)*p;
		*sum += hash + entry->d_type;
		count++;
	}
	return errno ? -1 : count;
}

static void *whole(void *sum)
{
	for (int i = 0; i < 20; i++) {
		DIR *stream = opendir("full");

		rest(stream, sum);
		closedir(stream);
	}
	return NULL;
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)path, (void)st, (void)type, (void)at;
	entries++;
	return 0;
}

static void refused(void)
{
	int fd = open("present", O_RDONLY), fds[2];
	DIR *stream;

	say("opendir of nothing", opendir("absent") ? 0 : -1);
	say("opendir of no name", opendir("") ? 0 : -1);
	say("opendir of a file", opendir("present") ? 0 : -1);
	say("fdopendir of a file", fdopendir(fd) ? 0 : -1);
	close(fd);
	say("fdopendir of nothing", fdopendir(fd) ? 0 : -1);
	pipe(fds);
	say("fdopendir of a pipe", fdopendir(fds[1]) ? 0 : -1);
	close(fds[0]);
	close(fds[1]);
	fd = open(".", O_PATH);
	stream = fdopendir(fd);
	/* older libcs see it at the first name only */
	say("of a place only", stream && readdir(stream) ? 0 : -1);
	if (stream)
		closedir(stream);
	else
		close(fd);
}

static void places(void)
{
	DIR *stream = opendir("full");
	char first[256], again[256];
	unsigned long sum = 0, other = 0;
	long at;

	for (int i = 0; i < 100; i++)
		readdir(stream);
	at = telldir(stream);
	strcpy(first, readdir(stream)->d_name);
	say("left", rest(stream, &sum));
	say("at the end", rest(stream, &sum));
	seekdir(stream, at);
	say("same place", telldir(stream) == at);
	strcpy(again, readdir(stream)->d_name);
	say("same name", !strcmp(first, again));
	say("left again", rest(stream, &other));
	say("same names", sum == other);
	make("full", FILES, 3);
	rewinddir(stream);
	say("after rewinddir", rest(stream, &sum));
	say("closedir", closedir(stream));
}

static void reentrant(void)
{
	DIR *stream = opendir("full");
	struct dirent entry, *result;
	int count = 0, r;

	while (!(r = readdir_r(stream, &entry, &result)) && result == &entry)
		count++;
	say("readdir_r", count);
	say("its end", r);
	closedir(stream);
}

/* A name as long as any, and no more room than POSIX asks for. */
static void little_room(void)
{
	const size_t room = offsetof(struct dirent, d_name) + 256;
	char name[sizeof("long/") + 255], memory[sizeof(struct dirent) + 8];
	struct dirent *entry = (struct dirent *)memory, *result;
	DIR *stream;
	int whole = 0;

	mkdir("long", 0755);
	memset(strcpy(name, "long/") + 5, 'n', 255);
	name[sizeof(name) - 1] = 0;
	close(open(name, O_CREAT | O_WRONLY, 0644));
	memset(memory, '#', sizeof(memory));
	stream = opendir("long");
	while (!readdir_r(stream, entry, &result) && result)
		whole += !strcmp(result->d_name, name + 5);
	closedir(stream);
	say("a long name", whole);
#ifdef __GLIBC__ /* musl writes behind it */
	say("behind the room", memory[room] == '#');
#endif
	unlink(name);
	rmdir("long");
}

static void moved(void)
{
	DIR *stream = opendir("full");
	unsigned long sum = 0;

	say("to the end", rest(stream, &sum));
	lseek(dirfd(stream), 0, SEEK_SET);
	say("from the descriptor's beginning", rest(stream, &sum));
	closedir(stream);
}

static void descriptors(void)
{
	int fd = open("full", O_RDONLY | O_DIRECTORY);
	DIR *stream = fdopendir(fd), *many[STREAMS];
	unsigned long sum = 0;
	long count = 0;
	pid_t pid;

	say("dirfd", dirfd(stream) == fd);
	say("closed by exec", fcntl(fd, F_GETFD));
	for (int i = 0; i < 10; i++)
		readdir(stream);
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(rest(stream, &sum) % 251);
	say("a child reads the rest", outcome(pid));
	say("closedir", closedir(stream));
	say("its descriptor", fcntl(fd, F_GETFD));
	for (int i = 0; i < STREAMS; i++)
		many[i] = opendir(i & 1 ? "full" : ".");
	for (int i = 0; i < 50; i++)
		for (int k = 1; k < STREAMS; k += 2)
			count += readdir(many[k])->d_reclen > 16;
	say("side by side", count);
	for (int i = 0; i < STREAMS; i++)
		say("closedir", closedir(many[i]));
}

int main(void)
{
	unsigned long sums[3] = { 0 };
	pthread_t threads[2];
	struct dirent **list;
	unsigned long sum = 0;
	glob_t found;
	DIR *stream;

	refused();
	make("full", 0, FILES);
	places();
	reentrant();
	little_room();
	moved();
	descriptors();
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, whole, &sums[i]);
	whole(&sums[2]);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	say("threads", sums[0] == sums[1] && sums[1] == sums[2]);
	say("scandir", scandir("full", &list, NULL, alphasort));
	printf("%s\n", list[2]->d_name);
	glob("full/*-1*", 0, NULL, &found);
	say("glob", found.gl_pathc);
	nftw("full", visit, 10, FTW_PHYS);
	say("nftw", entries);
	unmake("full", FILES + 3);
	make("gone", 0, 0);
	stream = opendir("gone");
	unmake("gone", 0);
	say("of a removed directory", rest(stream, &sum));
	say("closedir", closedir(stream));
	return 0;
}
