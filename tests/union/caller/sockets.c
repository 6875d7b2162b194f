/* Sockets with names, and watches. */
#include "caller.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>

static long new_socket(long type)
{
	return socket(AF_UNIX, (int)type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* The address of a name; -ENAMETOOLONG where it has no room. */
static long address_of(const char *path, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	return (long)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
}

static void made(long slot, long fd, long result)
{
	say_error(result);
	if (result < 0)
		close((int)fd);
	else
		keep(slot, fd);
}

/* bind SLOT =PATH TYPE */
static void bind_(const struct word *a)
{
	struct sockaddr_un address;
	long fd = new_socket(a[2].number), size = address_of(a[1].text, &address), result = size;

	if (size > 0)
		result = call(SYS_bind, fd, P(&address), size);
	if (!result && a[2].number == SOCK_STREAM)
		result = listen((int)fd, 3);
	made(a[0].number, fd, result);
}

/* connect SLOT =PATH TYPE */
static void connect_(const struct word *a)
{
	struct sockaddr_un address;
	long fd = new_socket(a[2].number), size = address_of(a[1].text, &address), result = size;

	if (size > 0)
		result = call(SYS_connect, fd, P(&address), size);
	made(a[0].number, fd, result);
}

/* send =PATH =BYTES: a datagram */
static void send_(const struct word *a)
{
	struct sockaddr_un address;
	long fd = new_socket(SOCK_DGRAM), size = address_of(a[0].text, &address), result = size;

	if (size > 0)
		result = call(SYS_sendto, fd, P(a[1].text), a[1].size, 0, P(&address), size);
	close((int)fd);
	say_error(result);
}

/* sockname SLOT, peername SLOT */
static void named(long nr, const struct word *a)
{
	struct sockaddr_un address = { 0 };
	unsigned size = sizeof(address);
	long result = call(nr, fd_of(a[0].number), P(&address), P(&size));

	say_error(result);
	if (!result && size > offsetof(struct sockaddr_un, sun_path)) {
		say(" ");
		say_bytes(address.sun_path,
			  (long)strnlen(address.sun_path, sizeof(address.sun_path)));
	}
}

static void sockname(const struct word *a)
{
	named(SYS_getsockname, a);
}

static void peername(const struct word *a)
{
	named(SYS_getpeername, a);
}

/* A name that appears by a rename has been made no less (docs/reference/differences.md). */
#define APPEARS (IN_CREATE | IN_MOVED_TO)
#define GOES (IN_DELETE | IN_MOVED_FROM)

static void say_events(int fd)
{
	char data[8192] __attribute__((aligned(8)));
	ssize_t size = read(fd, data, sizeof(data));

	for (char *at = data; at < data + size;) {
		struct inotify_event *event = (struct inotify_event *)at;
		const char *what = event->mask & APPEARS ? "appears" :
				   event->mask & GOES ? "goes" :
				   event->mask & IN_MODIFY ? "modified" :
				   event->mask & IN_ATTRIB ? "attributes" :
				   event->mask & IN_CLOSE_WRITE ? "written" : "other";

		say(" %s%s:", event->mask & IN_ISDIR ? "directory " : "", what);
		say_bytes(event->name, event->len ? (long)strlen(event->name) : 0);
		at += sizeof(*event) + event->len;
	}
}

/* watched =DIRECTORY =NAME: what a watch on the directory tells of a name's life in it */
static void watched(const struct word *a)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char path[4400], moved[4410];
	long result = call(SYS_inotify_add_watch, fd, P(a[0].text),
			   APPEARS | GOES | IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE), file;

	say_error(result < 0 ? result : 0);
	snprintf(path, sizeof(path), "%s/%s", a[0].text, a[1].text);
	snprintf(moved, sizeof(moved), "%s.moved", path);
	file = call(SYS_openat, AT_FDCWD, P(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	say(" ");
	say_error(file < 0 ? file : 0);
	if (file >= 0) {
		call(SYS_write, file, P("x"), 1);
		call(SYS_close, file);
		call(SYS_fchmodat, AT_FDCWD, P(path), 0640);
		call(SYS_renameat2, AT_FDCWD, P(path), AT_FDCWD, P(moved), 0);
		call(SYS_unlinkat, AT_FDCWD, P(moved), 0);
	}
	say_events(fd);
	close(fd);
}

const struct named_operation socket_operations[] = {
	{ "bind", bind_ }, { "connect", connect_ }, { "send", send_ },
	{ "sockname", sockname }, { "peername", peername }, { "watched", watched },
	{ NULL, NULL },
};
