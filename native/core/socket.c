/*
 * Sockets with names in the file system, on the way out: bind, connect, addressed sends.
 *
 * The kernel takes at most 108 bytes of name.  To a socket that is there, a descriptor
 * leads.  The name of a bind is kept, and told to everybody who asks for the socket's name:
 * peer.c must be able to turn it back into what the program said.  So it is
 *
 *   the program's own, if it is relative and the kernel comes to the same place with it;
 *   the host's path, if that fits, and the view's was said without detours;
 *   else a name in the work directory, from where the socket is moved into its place, with
 *   a symlink "names/NAME" whose text is what the program said.  It lasts as long as
 *   processes of the container do, as the socket does.
 */
#include "internal.h"

#define UNIX 1
#define NAME_MAX_ SOCKET_NAME_MAX /* what the kernel takes; the zero behind it may lack */

struct outgoing {
	struct socket_address address;
	long size;
	long held;                /* a descriptor to close after the call, or -1 */
	int creates;              /* 1: made at `place`; 2: made at `made`, to be moved there */
	int hidden;               /* where a whiteout is */
	struct meta meta;         /* what it is to be shown as */
	char place[CORE_HOST_MAX], made[CORE_HOST_MAX];
};

/* Are these the same names, but for "." and more slashes than needed? */
static int same_names(const char *canonical, const char *said)
{
	for (;;) {
		while (*said == '/' || (said[0] == '.' && (said[1] == '/' || !said[1])))
			said++;
		while (*canonical == '/')
			canonical++;
		for (; *canonical && *canonical != '/'; canonical++, said++)
			if (*canonical != *said)
				return 0;
		if (*said && *said != '/')
			return 0;
		if (!*canonical)
			return 1;
	}
}

/*
 * Can the program's own relative name be left to the kernel?  Its directory is the working
 * directory or below it, without a link or ".." on the way.  Where the kernel still has the
 * layer's for working directory, it is put into the upper's, which is the same to all.
 */
static int is_plain_relative(struct core_task *task, const struct core_node *node, const char *said)
{
	char host[CORE_HOST_MAX], path[CORE_PATH_MAX];
	uint32_t length;

	if (said[0] == '/' || host_of_cwd(task->view, host, sizeof(host)) < 0 ||
	    core_from_host(task->view, host, path, sizeof(path)) < 0)
		return 0;
	length = (uint32_t)text_length(path);
	if (length >= node->path_length || !text_same(node->path, path, length) ||
	    node->path[length] != '/' || !same_names(node->path + length, said))
		return 0;
	if (in_upper(task->view, host))
		return 1;
	return upper_host(task->view, path, host) >= 0 && !sys_call1(__NR_chdir, host);
}

/* "/proc/self/fd/N", N being what is at `host`, and `rest`. */
static long by_descriptor(struct outgoing *to, const char *host, const char *rest)
{
	char *p = to->address.path;
	long fd = sys_call4(__NR_openat, AT_FDCWD, host, O_PATH | O_CLOEXEC, 0);

	if (fd < 0)
		return fd;
	p = text_put_number(text_put(p, "/proc/self/fd/"), (uint64_t)fd, 10);
	if (text_length(rest) >= (size_t)(to->address.path + NAME_MAX_ - p)) {
		sys_call1(__NR_close, fd);
		return -ENAMETOOLONG;
	}
	text_put(p, rest);
	to->held = fd;
	return 0;
}

/* The symlink that tells what the program said, for a name in the work directory. */
static long alias_of(const struct core_view *view, const char *made, char host[CORE_HOST_MAX])
{
	long n = path_join(host, CORE_HOST_MAX, view->work.text, SOCKET_NAMES);

	return n < 0 ? n : path_join(host + n, CORE_HOST_MAX - (size_t)n, made + view->work.length, "");
}

/* A name in the work directory, which stands for `said`. */
static long by_alias(const struct core_view *view, const char *said, struct outgoing *to)
{
	char host[CORE_HOST_MAX];
	long r = upper_work_name(view, to->made);

	if (r >= 0)
		r = alias_of(view, to->made, host);
	if (r < 0)
		return r;
	r = sys_call3(__NR_symlinkat, said, AT_FDCWD, host);
	/* made by a process that was killed half way, its umask may still show */
	if (r == -ENOENT || r == -EACCES) {
		uint32_t cut = path_parent(host, (uint32_t)text_length(host));

		host[cut] = 0;
		upper_work_directory(host);
		host[cut] = '/';
		r = sys_call3(__NR_symlinkat, said, AT_FDCWD, host);
	}
	if (r < 0)
		return r;
	to->creates = 2;
	return by_descriptor(to, view->work.text, to->made + view->work.length);
}

/* A name that is to be made: absent, in a place that can be written. */
static long prepare(struct core_task *task, struct core_node *node, const char *said,
		    struct outgoing *to)
{
	int aside;
	long r;

	if (node->place != CORE_ABSENT || node->last != CORE_LAST_NAME)
		return -EADDRINUSE;
	if (node->trailing_slash)
		return -ENOENT;
	r = upper_writable(task, node);
	if (r >= 0)
		r = permission_to_change(task, node, 0);
	if (r >= 0 && !node->bind)
		r = upper_parents(task, node);
	if (r < 0 || node->bind)
		return r;
	to->creates = 1;
	to->hidden = node->hidden;
	text_put(to->place, node->host);
	upper_touch(task->view, node->hash, 1);
	to->meta = (struct meta){ .mode = S_IFSOCK | 0777 };
	r = meta_creation(task, node->host, &to->meta);
	if (r < 0)
		return r;
	aside = node->hidden || r;
	if (!aside && is_plain_relative(task, node, said)) {
		text_put(to->address.path, said);
		return 1;
	}
	if (!aside && text_equal(node->path, said) && text_length(node->host) < NAME_MAX_)
		return 0;
	r = by_alias(task->view, said, to);
	return r < 0 ? r : 1;
}

/* 1: *to is what the kernel is to get; 0: what the program gave. */
static long translate(struct core_task *task, const void *user, long size, int creates,
		      struct outgoing *to)
{
	const struct socket_address *from = user;
	char said[CORE_SAID_MAX];
	struct core_node node;
	uint32_t cut;
	long r, n;

	to->held = -1;
	to->creates = to->hidden = 0;
	if (size < 3 || size > 110 || user_probe(task, from) < 0 ||
	    user_probe(task, (const char *)user + size - 1) < 0)
		return 0;
	if (from->family != UNIX || !from->path[0])
		return 0; /* another family, or an abstract name */
	for (n = 0; n < size - 2 && from->path[n]; n++)
		said[n] = from->path[n];
	said[n] = 0;
	r = core_resolve(task, AT_FDCWD, said, creates ? CORE_ENTRY | CORE_MAY_BE_ABSENT : 0, &node);
	if (r >= 0)
		r = creates ? prepare(task, &node, said, to) : permission(task, &node, 2);
	/* nobody listens in a layer, and its directories may look closed to the kernel */
	if (r >= 0 && ((node.place == CORE_LOWER && (node.entry || !IS(node.mode, S_IFSOCK))) ||
		       (node.place == CORE_UPPER && IS(node.mode, S_IFLNK))))
		r = -ECONNREFUSED;
	if (r < 0)
		return r;
	n = (long)text_length(node.host);
	if (!r && n < NAME_MAX_) {
		text_put(to->address.path, node.host);
	} else if (!r && !creates) {
		r = by_descriptor(to, node.host, "");
	} else if (!r) {
		/* below a bind */
		cut = path_parent(node.host, (uint32_t)n);
		bytes_copy(to->made, node.host, cut);
		to->made[cut] = 0;
		r = by_descriptor(to, to->made, node.host + cut);
	}
	to->address.family = UNIX;
	to->size = 2 + (long)text_length(to->address.path) + 1;
	if (to->size > 2 + NAME_MAX_)
		to->size = 2 + NAME_MAX_;
	return r < 0 ? r : 1;
}

static void done(const struct outgoing *to)
{
	if (to->held >= 0)
		sys_call1(__NR_close, to->held);
}

/* What a message to be sent says of its sender must be true for the kernel. */
#define CONTROL_MAX 4096
#define SOCK_DGRAM_ 2

/*
 * A name was refused.  The kernel looks at the descriptor first: -errno of that, if it has
 * one; and at no name at all if it is for sending and the socket is one that is connected: 0.
 */
static long refused(long fd, long why, int sends)
{
	int type, size = sizeof(type);
	long r = sys_call5(__NR_getsockopt, fd, 1 /* SOL_SOCKET */, 3 /* SO_TYPE */, &type, &size);

	if (r < 0)
		return r;
	return sends && type != SOCK_DGRAM_ ? 0 : why;
}

static long send_message(struct core_task *task, long nr, const long a[6])
{
	struct socket_message message;
	struct outgoing to;
	char control[CONTROL_MAX] __attribute__((aligned(8)));
	long r;

	if (user_probe(task, (void *)a[1]) < 0 || user_probe(task, (char *)a[1] + 55) < 0)
		return -EFAULT;
	bytes_copy(&message, (void *)a[1], sizeof(message));
	if (message.control && message.control_size >= 16 && message.control_size <= CONTROL_MAX &&
	    task->view->illusion) {
		for (size_t i = 0; i < message.control_size; i += 8)
			if (user_probe(task, (char *)message.control + i) < 0)
				return -EFAULT;
		bytes_copy(control, message.control, message.control_size);
		r = peer_send(task, control, message.control_size);
		if (r < 0)
			return r;
		if (r)
			message.control = control;
	}
	r = message.name ? translate(task, message.name, message.name_size, 0, &to) : 0;
	if (r < 0) {
		r = refused(a[0], r, 1);
		if (r < 0)
			return r;
	}
	if (r) {
		message.name = &to.address;
		message.name_size = (unsigned)to.size;
	}
	r = sys_wait6(nr, a[0], (long)&message, a[2], 0, 0, 0);
	if (message.name == &to.address)
		done(&to);
	return r;
}

#define MESSAGES_MAX 1024

/* As the kernel does it: one after the other, and an error only if it is the first's. */
static long send_messages(struct core_task *task, const long a[6])
{
	struct socket_messages *messages = (void *)a[1];
	unsigned count = (unsigned)a[2] > MESSAGES_MAX ? MESSAGES_MAX : (unsigned)a[2], sent = 0;
	long r = 0;

	for (; sent < count; sent++) {
		const long one[6] = { a[0], (long)&messages[sent].message, a[3] };

		r = send_message(task, __NR_sendmsg, one);
		if (r < 0)
			break;
		if (user_probe(task, &messages[sent].length) < 0)
			return sent ? (long)sent : -EFAULT;
		messages[sent].length = (unsigned)r;
	}
	return sent ? (long)sent : r;
}

/* The socket is bound: its owner and mode, and into its place, if it is not there. */
static long bound(struct core_task *task, struct outgoing *to)
{
	struct stat st;
	long r;

	if (to->creates == 1 && !acl_any(task->view))
		return 0;
	if (to->creates == 1) /* a default list may have left us no right to it */
		return meta_created(task, to->place, -1, &to->meta, 0);
	/* of a bind the umask is always asked, even where a default list is */
	r = sys_call4(__NR_newfstatat, AT_FDCWD, to->made, &st, AT_SYMLINK_NOFOLLOW);
	if (r >= 0)
		to->meta.mode = (to->meta.mode & ~0777u) | (st.st_mode & 0777);
	if (r >= 0)
		r = meta_created(task, to->made, -1, &to->meta, to->place);
	if (r < 0) {
		sys_call3(__NR_unlinkat, AT_FDCWD, to->made, 0);
		return r;
	}
	r = to->hidden ? upper_place_over(task->view, to->made, to->place)
		       : upper_place(to->made, to->place);
	return r == -EEXIST ? -EADDRINUSE : r;
}

static long bind_or_connect(struct core_task *task, long nr, const long a[6], int at)
{
	long args[6] = { a[0], a[1], a[2], a[3], a[4], a[5] }, r;
	char alias[CORE_HOST_MAX];
	struct outgoing to;

	r = translate(task, (void *)a[at], (int)a[at + 1], nr == __NR_bind, &to);
	if (r < 0)
		r = refused(a[0], r, nr == __NR_sendto);
	if (r > 0) {
		args[at] = (long)&to.address;
		args[at + 1] = to.size;
	}
	if (r >= 0)
		r = sys_wait6(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
	if (r >= 0 && to.creates)
		r = bound(task, &to);
	else if (to.creates == 2 && alias_of(task->view, to.made, alias) >= 0)
		sys_call3(__NR_unlinkat, AT_FDCWD, alias, 0);
	done(&to);
	return r;
}

long call_socket(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_sendto ? 4 : 1;

	if (nr == __NR_sendmsg)
		return send_message(task, nr, a);
	if (nr == __NR_sendmmsg)
		return send_messages(task, a);
	if (!a[at])
		return sys_wait6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	return bind_or_connect(task, nr, a, at);
}
