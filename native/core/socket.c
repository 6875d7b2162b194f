/*
 * Sockets with names in the file system: bind, connect and the addressed sends.
 *
 * The kernel takes at most 108 bytes of name, and the host's name of a view's
 * path may be longer than the program's.  Then the directory is opened and the
 * name goes through /proc/self/fd/N/name, which is short.
 */
#include "internal.h"

#define UNIX 1
#define NAME_MAX_ 108

struct unix_address {
	uint16_t family;
	char path[NAME_MAX_ + 1];
};

/*
 * Sets *held to a descriptor to close after the call, or -1.  For a name that is to be
 * made where a whiteout is, `hidden` gets the whiteout's host path, else "".
 */
static long translate(struct core_task *task, const void *user, long size, int creates,
		      struct unix_address *to, long *to_size, int *held, char *hidden)
{
	const struct unix_address *from = user;
	char path[CORE_PATH_MAX];
	struct core_node node;
	uint32_t cut;
	long r, n;

	*held = -1;
	if (hidden)
		*hidden = 0;
	if (size < 3 || size > 110 || user_probe(task, from) < 0 ||
	    user_probe(task, (const char *)user + size - 1) < 0)
		return 0;
	if (from->family != UNIX || !from->path[0])
		return 0; /* another family, or an abstract name */
	for (n = 0; n < size - 2 && from->path[n]; n++)
		path[n] = from->path[n];
	path[n] = 0;
	r = core_resolve(task, AT_FDCWD, path, creates ? CORE_ENTRY | CORE_MAY_BE_ABSENT : 0, &node);
	if (r < 0)
		return r;
	if (creates) {
		if (node.place != CORE_ABSENT || node.last != CORE_LAST_NAME)
			return -EADDRINUSE;
		if (node.trailing_slash)
			return -ENOENT;
		r = upper_writable(task, &node);
		if (r >= 0)
			r = permission_to_change(task, &node, 0);
		if (r >= 0 && !node.bind)
			r = upper_parents(task, &node);
		if (r < 0)
			return r;
		if (!node.bind) {
			if (node.hidden)
				text_put(hidden, node.host);
			upper_touch(task->view, node.hash, 1);
		}
	}
	to->family = UNIX;
	n = (long)text_length(node.host);
	if (n < NAME_MAX_) {
		text_put(to->path, node.host);
		*to_size = 2 + n + 1;
		return 1;
	}
	cut = path_parent(node.host, (uint32_t)n);
	node.host[cut] = 0;
	r = sys_call4(__NR_openat, AT_FDCWD, node.host, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (r < 0)
		return r;
	*held = (int)r;
	{
		char *p = text_put_number(text_put(to->path, "/proc/self/fd/"), (uint64_t)r, 10);

		*p++ = '/';
		if (text_length(node.host + cut + 1) >= (size_t)(to->path + NAME_MAX_ - p)) {
			sys_call1(__NR_close, r);
			return -ENAMETOOLONG;
		}
		p = text_put(p, node.host + cut + 1);
		*to_size = 2 + (p - to->path) + 1;
	}
	return 1;
}

static long send_message(struct core_task *task, long nr, const long a[6])
{
	struct {
		void *name;
		unsigned int name_size, padding;
		long rest[5];
	} message;
	struct unix_address address;
	long size, r;
	int held;

	if (user_probe(task, (void *)a[1]) < 0 || user_probe(task, (char *)a[1] + 55) < 0)
		return -EFAULT;
	bytes_copy(&message, (void *)a[1], sizeof(message));
	if (!message.name)
		return sys_wait6(nr, a[0], a[1], a[2], 0, 0, 0);
	r = translate(task, message.name, message.name_size, 0, &address, &size, &held, 0);
	if (r < 0)
		return r;
	if (r) {
		message.name = &address;
		message.name_size = (unsigned)size;
		r = sys_wait6(nr, a[0], (long)&message, a[2], 0, 0, 0);
	} else {
		r = sys_wait6(nr, a[0], a[1], a[2], 0, 0, 0);
	}
	if (held >= 0)
		sys_call1(__NR_close, held);
	return r;
}

/*
 * bind where a whiteout is.  The kernel makes the name itself, so nothing may be there:
 * the whiteout goes for that moment, and comes back if the kernel refuses.
 */
static long bind_over(struct core_task *task, const long args[6], const char *hidden)
{
	struct upper_lock lock;
	struct stat st;
	long r;

	r = upper_lock(task->view, &lock);
	if (r < 0)
		return r;
	r = sys_call4(__NR_newfstatat, AT_FDCWD, hidden, &st, AT_SYMLINK_NOFOLLOW);
	if (r >= 0)
		r = whiteout_is(hidden, &st) ?: -EADDRINUSE;
	if (r >= 0)
		r = sys_call3(__NR_unlinkat, AT_FDCWD, hidden, 0);
	if (r >= 0) {
		r = sys_call3(__NR_bind, args[0], args[1], args[2]);
		if (r < 0)
			whiteout_make(hidden, hidden);
	}
	upper_unlock(&lock);
	return r;
}

/* getsockname and getpeername: the kernel knows the host's name. */
static long socket_name(struct core_task *task, long nr, const long a[6])
{
	char path[CORE_PATH_MAX];
	struct {
		struct unix_address address;
		char more[64];
	} name;
	unsigned size = sizeof(name) - 1, room;
	long r;

	if (user_probe(task, (void *)a[2]) < 0)
		return -EFAULT;
	room = *(unsigned *)a[2];
	if ((int)room < 0)
		return -EINVAL;
	r = sys_call3(nr, a[0], &name, &size);
	if (r < 0)
		return r;
	if (size > 2 && size <= sizeof(name.address) && name.address.family == UNIX &&
	    name.address.path[0] == '/') {
		((char *)&name)[size] = 0;
		if (core_from_host(task->view, name.address.path, path, sizeof(path)) > 0 &&
		    text_length(path) < NAME_MAX_)
			size = 3 + (unsigned)(text_put(name.address.path, path) - name.address.path);
	}
	if (room > size)
		room = size;
	if (room && user_writable(task, (void *)a[1], room < 8 ? 8 : room) < 0)
		return -EFAULT;
	bytes_copy((void *)a[1], &name, room);
	*(unsigned *)a[2] = size;
	return 0;
}

long call_socket(struct core_task *task, long nr, const long a[6])
{
	int at = nr == __NR_sendto ? 4 : 1;
	struct unix_address address;
	char hidden[CORE_HOST_MAX];
	long args[6] = { a[0], a[1], a[2], a[3], a[4], a[5] }, r;
	int held;

	if (nr == __NR_sendmsg)
		return send_message(task, nr, a);
	if (nr == __NR_getsockname || nr == __NR_getpeername)
		return socket_name(task, nr, a);
	if (!a[at])
		return sys_wait6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	r = translate(task, (void *)a[at], (int)a[at + 1], nr == __NR_bind, &address, &args[at + 1],
		      &held, hidden);
	if (r < 0)
		return r;
	if (r)
		args[at] = (long)&address;
	if (hidden[0])
		r = bind_over(task, args, hidden);
	else
		r = sys_wait6(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
	if (held >= 0)
		sys_call1(__NR_close, held);
	return r;
}
