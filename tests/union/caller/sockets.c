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

/* A name as the kernel gave it into `room` bytes, and how long that is. */
static void say_name(const struct sockaddr_un *address, unsigned size, unsigned room)
{
	unsigned told = size < room ? size : room;

	say(" %u:", size);
	if (told > offsetof(struct sockaddr_un, sun_path))
		say_bytes(address->sun_path, told - offsetof(struct sockaddr_un, sun_path));
}

/* sockname SLOT [ROOM], peername SLOT [ROOM] */
static void named(long nr, const struct word *a)
{
	struct sockaddr_un address = { 0 };
	unsigned room = a[1].number ? (unsigned)a[1].number : sizeof(address), size = room;
	long result = call(nr, fd_of(a[0].number), P(&address), P(&size));

	say_error(result);
	if (!result)
		say_name(&address, size, room);
}

static void sockname(const struct word *a)
{
	named(SYS_getsockname, a);
}

static void peername(const struct word *a)
{
	named(SYS_getpeername, a);
}

/* accept SLOT LISTENING [4]: by accept, or accept4 */
static void accept_(const struct word *a)
{
	struct sockaddr_un address = { 0 };
	unsigned size = sizeof(address);
	long fd = call(a[2].number ? SYS_accept4 : SYS_accept, fd_of(a[1].number), P(&address),
		       P(&size), 0);

	say_error(fd < 0 ? fd : 0);
	keep(a[0].number, fd);
	if (fd >= 0)
		say_name(&address, size, sizeof(address));
}

/* sendto SLOT =PATH =BYTES */
static void sendto_(const struct word *a)
{
	struct sockaddr_un address;
	long size = address_of(a[1].text, &address);

	if (size > 0)
		size = call(SYS_sendto, fd_of(a[0].number), P(a[2].text), a[2].size, 0,
			    P(&address), size);
	say_error(size);
}

/* recvfrom SLOT */
static void recvfrom_(const struct word *a)
{
	struct sockaddr_un address = { 0 };
	unsigned size = sizeof(address);
	char data[64];
	long got = call(SYS_recvfrom, fd_of(a[0].number), P(data), sizeof(data), 0, P(&address),
			P(&size));

	say_error(got < 0 ? got : 0);
	if (got < 0)
		return;
	say(" ");
	say_bytes(data, got);
	say_name(&address, size, sizeof(address));
}

/* A message with all its parts. */
struct message {
	struct mmsghdr head;
	struct iovec part;
	struct sockaddr_un address;
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char data[64];
};

static void begin_message(struct message *m, long size)
{
	memset(m, 0, sizeof(*m));
	m->part = (struct iovec){ m->data, (size_t)size };
	m->head.msg_hdr.msg_name = &m->address;
	m->head.msg_hdr.msg_namelen = sizeof(m->address);
	m->head.msg_hdr.msg_iov = &m->part;
	m->head.msg_hdr.msg_iovlen = 1;
	m->head.msg_hdr.msg_control = &m->control;
	m->head.msg_hdr.msg_controllen = sizeof(m->control);
}

/* sendmsg SLOT =PATH =BYTES MANY [1 UID GID]: or sendmmsg; saying who one is, or not */
static void sendmsg_(const struct word *a)
{
	struct message m;
	long size;

	begin_message(&m, a[2].size);
	memcpy(m.data, a[2].text, (size_t)a[2].size);
	size = address_of(a[1].text, &m.address);
	m.head.msg_hdr.msg_namelen = (unsigned)size;
	if (!a[1].size)
		m.head.msg_hdr.msg_name = NULL;
	if (a[4].number) {
		struct ucred who = { getpid(), (uid_t)a[5].number, (gid_t)a[6].number };

		m.control.head.cmsg_level = SOL_SOCKET;
		m.control.head.cmsg_type = SCM_CREDENTIALS;
		m.control.head.cmsg_len = CMSG_LEN(sizeof(who));
		memcpy(CMSG_DATA(&m.control.head), &who, sizeof(who));
	} else {
		m.head.msg_hdr.msg_control = NULL;
		m.head.msg_hdr.msg_controllen = 0;
	}
	if (a[3].number) {
		size = call(SYS_sendmmsg, fd_of(a[0].number), P(&m.head), 1, 0);
		say_error(size);
		say(" %u", m.head.msg_len);
	} else {
		say_error(call(SYS_sendmsg, fd_of(a[0].number), P(&m.head.msg_hdr), 0));
	}
}

/* recvmsg SLOT MANY: or recvmmsg; what came, from what name, and who said to be there */
static void recvmsg_(const struct word *a)
{
	struct message m;
	struct msghdr *head = &m.head.msg_hdr;
	struct cmsghdr *control;
	long got;

	begin_message(&m, sizeof(m.data));
	if (a[1].number) {
		got = call(SYS_recvmmsg, fd_of(a[0].number), P(&m.head), 1, 0, 0);
		if (got > 0)
			got = m.head.msg_len;
	} else {
		got = call(SYS_recvmsg, fd_of(a[0].number), P(head), 0);
	}
	say_error(got < 0 ? got : 0);
	if (got < 0)
		return;
	say(" ");
	say_bytes(m.data, got);
	say_name(&m.address, head->msg_namelen, sizeof(m.address));
	say(" flags=%x", head->msg_flags);
	control = CMSG_FIRSTHDR(head);
	if (control && control->cmsg_type == SCM_CREDENTIALS) {
		struct ucred who;

		memcpy(&who, CMSG_DATA(control), sizeof(who));
		say(" %d:%d", (int)who.uid, (int)who.gid);
	}
}

/* peercred SLOT: who is at the other end */
static void peercred(const struct word *a)
{
	struct ucred who = { 0, 0, 0 };
	unsigned size = sizeof(who);
	long result = call(SYS_getsockopt, fd_of(a[0].number), SOL_SOCKET, SO_PEERCRED, P(&who),
			   P(&size));

	say_error(result);
	say(" %d:%d", (int)who.uid, (int)who.gid);
}

/* passcred SLOT: have messages tell */
static void passcred(const struct word *a)
{
	int on = 1;

	say_error(call(SYS_setsockopt, fd_of(a[0].number), SOL_SOCKET, SO_PASSCRED, P(&on),
		       sizeof(on)));
}

/*
 * A name that appears by a rename has been made no less, and what makes it settles its
 * attributes, so IN_ATTRIB may come more often (docs/reference/differences.md).
 */
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
	long result = call(SYS_inotify_add_watch, fd, P(a[0].text),
			   APPEARS | GOES | IN_MODIFY | IN_CLOSE_WRITE);

	say_error(result < 0 ? result : 0);
	say(" ");
	make_and_remove(a[0].text, a[1].text, NULL, NULL);
	say_events(fd);
	close(fd);
}

const struct named_operation socket_operations[] = {
	{ "bind", bind_ }, { "connect", connect_ }, { "send", send_ },
	{ "accept", accept_ }, { "sendto", sendto_ }, { "recvfrom", recvfrom_ },
	{ "sendmsg", sendmsg_ }, { "recvmsg", recvmsg_ }, { "peercred", peercred },
	{ "passcred", passcred }, { "sockname", sockname }, { "peername", peername }, { "watched", watched },
	{ NULL, NULL },
};
