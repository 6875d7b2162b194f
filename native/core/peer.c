/*
 * Sockets on the way in: the names that the kernel tells, which are those of socket.c, and
 * who is at the other end.
 *
 * The kernel knows all processes of a container as one user.  Which one a peer is in the
 * view is in what the loader gave it at its start, and for our own process here; what a
 * peer has become since its last exec nobody else can tell.
 */
#include "internal.h"

#define UNIX 1
#define SOL_SOCKET_ 1
#define SO_PEERCRED_ 17
#define SCM_CREDENTIALS_ 2

/* Room for every family's addresses. */
union address {
	struct socket_address unix_;
	char bytes[128 + 1];
};

/* What the program said at a bind that socket.c gave another name: 1 and *said, or 0. */
static int behind_alias(const struct core_view *view, const char *name, char said[CORE_PATH_MAX])
{
	char host[CORE_HOST_MAX];
	size_t at = text_begins(name, "/proc/self/fd/");
	long n;

	while (at && name[at] >= '0' && name[at] <= '9')
		at++;
	if (!at || name[at] != '/')
		return 0;
	n = path_join(host, sizeof(host), view->work.text, SOCKET_NAMES);
	if (n < 0 || path_join(host + n, sizeof(host) - (size_t)n, name + at, "") < 0)
		return 0;
	n = sys_call4(__NR_readlinkat, AT_FDCWD, host, said, SOCKET_NAME_MAX);
	if (n <= 0)
		return 0;
	said[n] = 0;
	return 1;
}

/* Put the view's name in the place of the host's; the size of the result. */
static unsigned show(struct core_task *task, union address *name, unsigned size)
{
	char path[CORE_PATH_MAX];
	const char *shown = path;

	if (size <= 2 || size >= sizeof(*name) || name->unix_.family != UNIX ||
	    name->unix_.path[0] != '/')
		return size;
	name->bytes[size] = 0;
	if (!behind_alias(task->view, name->unix_.path, path)) {
		if (core_from_host(task->view, name->unix_.path, path, sizeof(path)) <= 0)
			return size;
		shown = task_below_root(task, path);
	}
	if (!*shown || text_length(shown) > SOCKET_NAME_MAX)
		return size;
	return 3 + (unsigned)(text_put(name->unix_.path, shown) - name->unix_.path);
}

/* Give the program as much of `from` as it has room for. */
static long give(struct core_task *task, long to, const void *from, unsigned room)
{
	if (room && core_fillable(task, (void *)to, room, room) < 0)
		return -EFAULT;
	bytes_copy((void *)to, from, room);
	return 0;
}

/* accept, recvfrom, getsockname and their kin: argument `at` is for a name, the next its size. */
static long with_name(struct core_task *task, long nr, const long a[6], int at)
{
	long args[6] = { a[0], a[1], a[2], a[3], a[4], a[5] }, r;
	union address name;
	unsigned size = sizeof(name) - 1, room;

	if (user_probe(task, (void *)a[at + 1]) < 0)
		return -EFAULT;
	room = *(unsigned *)a[at + 1];
	if ((int)room < 0)
		return -EINVAL;
	args[at] = (long)&name;
	args[at + 1] = (long)&size;
	r = sys_wait6(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
	if (r < 0)
		return r;
	size = show(task, &name, size);
	if (give(task, a[at], &name, room < size ? room : size) < 0) {
		if (nr == __NR_accept || nr == __NR_accept4)
			sys_call1(__NR_close, r);
		return -EFAULT;
	}
	*(unsigned *)a[at + 1] = size;
	return r;
}

/* ---- who ------------------------------------------------------------------------------- */

struct credentials {
	int pid;
	uint32_t uid, gid;
};

/* The kernel's own for `who`, as this view's programs shall see them. */
static void show_credentials(struct core_task *task, struct credentials *who)
{
	const struct core_credentials *c = &task->credentials;
	const struct core_view *view = task->view;
	uint32_t uid = c->euid, gid = c->egid;
	char state[CORE_PATH_MAX];

	if (!view->illusion)
		return;
	if (who->pid != sys_call0(__NR_getpid) &&
	    proc_private(who->pid, LPMX_ENV_STATE "=", state) > 0) {
		const char *p = state + text_begins(state, "1:");

		for (int i = 0; i < 8; i++, p += *p == ',') {
			uint32_t id = (uint32_t)text_number(&p, 10);

			if (i == 1)
				uid = id;
			if (i == 5)
				gid = id;
		}
	}
	if (who->uid == view->host_uid)
		who->uid = uid;
	if (who->gid == view->host_gid)
		who->gid = gid;
}

static long peer_credentials(struct core_task *task, const long a[6])
{
	struct credentials who;
	unsigned size = sizeof(who), room;
	long r;

	if (user_probe(task, (void *)a[4]) < 0)
		return -EFAULT;
	room = *(unsigned *)a[4];
	if ((int)room < 0)
		return -EINVAL;
	r = sys_call5(__NR_getsockopt, a[0], SOL_SOCKET_, SO_PEERCRED_, &who, &size);
	if (r < 0)
		return r;
	show_credentials(task, &who);
	if (room > size)
		room = size;
	if (give(task, a[3], &who, room) < 0)
		return -EFAULT;
	*(unsigned *)a[4] = room;
	return 0;
}

struct control_head {
	size_t length;
	int level, type;
};

/* The credentials in a message's control part from `at` on; *at moves behind them. */
static struct credentials *next_credentials(char *control, size_t size, size_t *at)
{
	while (*at + sizeof(struct control_head) <= size) {
		struct control_head *head = (void *)(control + *at);
		size_t here = *at + sizeof(*head);

		if (head->length < sizeof(*head) || head->length > size - *at)
			break;
		*at += (head->length + 7) & ~7ul;
		if (head->level == SOL_SOCKET_ && head->type == SCM_CREDENTIALS_ &&
		    head->length >= sizeof(*head) + sizeof(struct credentials))
			return (void *)(control + here);
	}
	return 0;
}

long peer_send(struct core_task *task, char *control, size_t size)
{
	const struct core_credentials *c = &task->credentials;
	struct credentials *who;
	size_t at = 0;
	long changed = 0;

	while ((who = next_credentials(control, size, &at))) {
		/* root may say that it is anybody, others only what they are */
		if (c->euid && ((who->uid != c->ruid && who->uid != c->euid && who->uid != c->suid) ||
				(who->gid != c->rgid && who->gid != c->egid && who->gid != c->sgid)))
			return -EPERM;
		who->uid = task->view->host_uid;
		who->gid = task->view->host_gid;
		changed = 1;
	}
	return changed;
}

/* ---- messages --------------------------------------------------------------------------- */

static void show_control(struct core_task *task, const struct socket_message *message)
{
	struct credentials *who;
	size_t at = 0;

	if (message->control && task->view->illusion)
		while ((who = next_credentials(message->control, message->control_size, &at)))
			show_credentials(task, who);
}

static long receive_message(struct core_task *task, long nr, const long a[6])
{
	struct socket_message message, *to = (void *)a[1];
	union address name;
	unsigned room;
	void *user;
	long r;

	if (user_probe(task, to) < 0 || user_probe(task, (char *)to + sizeof(*to) - 1) < 0)
		return -EFAULT;
	bytes_copy(&message, to, sizeof(message));
	user = message.name;
	room = message.name_size;
	if (user && (int)room >= 0) {
		message.name = &name;
		message.name_size = sizeof(name) - 1;
	}
	r = sys_wait6(nr, a[0], (long)&message, a[2], 0, 0, 0);
	if (r < 0)
		return r;
	if (message.name == &name) {
		message.name_size = show(task, &name, message.name_size);
		if (give(task, (long)user, &name,
			 room < message.name_size ? room : message.name_size) < 0)
			return -EFAULT;
	}
	show_control(task, &message);
	to->name_size = message.name_size;
	to->control_size = message.control_size;
	to->flags = message.flags;
	return r;
}

#define MESSAGES_MAX 1024

/* Several at once: the kernel fills them in, and the names are put right afterwards. */
static long receive_messages(struct core_task *task, long nr, const long a[6])
{
	struct socket_messages *messages = (void *)a[1];
	unsigned count = (unsigned)a[2] > MESSAGES_MAX ? MESSAGES_MAX : (unsigned)a[2];
	unsigned rooms[MESSAGES_MAX];
	union address name;
	long r;

	for (unsigned i = 0; i < count; i++) {
		if (user_probe(task, &messages[i].message.name_size) < 0)
			return -EFAULT;
		rooms[i] = messages[i].message.name_size;
	}
	r = sys_wait6(nr, a[0], a[1], count, a[3], a[4], 0);
	for (long i = 0; i < r; i++) {
		struct socket_message *message = &messages[i].message;
		unsigned size = message->name_size;

		show_control(task, message);
		/* one that was cut off stays as it is */
		if (!message->name || size > rooms[i] || size >= sizeof(name))
			continue;
		bytes_copy(&name, message->name, size);
		message->name_size = show(task, &name, size);
		size = message->name_size < rooms[i] ? message->name_size : rooms[i];
		bytes_copy(message->name, &name, size);
	}
	return r;
}

long call_peer(struct core_task *task, long nr, const long a[6])
{
	switch (nr) {
	case __NR_recvmsg:
		return receive_message(task, nr, a);
	case __NR_recvmmsg:
		return receive_messages(task, nr, a);
	case __NR_getsockopt:
		if ((int)a[1] == SOL_SOCKET_ && (int)a[2] == SO_PEERCRED_)
			return peer_credentials(task, a);
		break;
	case __NR_recvfrom:
		if (a[4])
			return with_name(task, nr, a, 4);
		break;
	case __NR_accept:
	case __NR_accept4:
		if (!a[1])
			break;
		/* fall through */
	default:
		return with_name(task, nr, a, 1);
	}
	return sys_wait6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}
