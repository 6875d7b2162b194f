/*
 * Extended attributes.
 *
 * Those that only root may have (the namespaces "trusted" and "security", and with it the
 * capabilities of programs) are kept as the user's own, under a name of ours before theirs:
 * they are shown, stay with the file and go into images, and mean nothing to the kernel.
 */
#include <linux/capability.h>

#include "internal.h"

#define NAME_MAX_ 255

/* Names that are ours to keep and not the program's to see, but in what is bound: there they
 * are the host's, and who makes containers in a container keeps its own in them. */
static int private_name(const char *name)
{
	return text_begins(name, "user.overlay.") || text_equal(name, LPMX_XATTR_STAT) ||
	       text_begins(name, LPMX_XATTR_OWN);
}

static int roots_own(const struct core_task *task, const char *name)
{
	return task->view->illusion &&
	       (text_begins(name, "trusted.") || text_begins(name, "security."));
}

/* May the program see, or set, such an attribute?  As the kernel's xattr_permission. */
static long may(const struct core_task *task, const char *name, int write)
{
	const struct core_credentials *c = &task->credentials;

	if (text_begins(name, "trusted."))
		return capable(c, CAP_SYS_ADMIN) ? 0 : write ? -EPERM : -ENODATA;
	return !write || capable(c, text_equal(name, "security.capability") ? CAP_SETFCAP
									     : CAP_SYS_ADMIN)
		       ? 0
		       : -EPERM;
}

/* What one of these calls asks for, by whichever of them. */
enum what { SET, GET, LIST, REMOVE };

struct request {
	enum what what;
	int by_descriptor; /* `directory` is of the object itself */
	int directory, flags;
	const char *path;  /* as the program has it */
	const char *name;
	long value;        /* or a list; where the program has it */
	size_t size;
	int how;           /* XATTR_CREATE, XATTR_REPLACE */
	int private;       /* `name` is one of ours */
};

/* What is said of a private name. */
static long refusal(const struct request *q)
{
	return q->what == GET ? -ENODATA : -EPERM;
}

/* The kernel looks at what is set as a program's capabilities. */
static long check_value(const struct core_task *task, const struct request *q, const char *name)
{
	uint32_t version;

	if (!text_equal(name, "security.capability"))
		return 0;
	if (q->size != XATTR_CAPS_SZ_2 && q->size != XATTR_CAPS_SZ_3)
		return -EINVAL;
	if (user_probe(task, (void *)q->value) < 0 || user_probe(task, (char *)q->value + 3) < 0)
		return -EFAULT;
	bytes_copy(&version, (void *)q->value, sizeof(version));
	version &= VFS_CAP_REVISION_MASK;
	return version == (q->size == XATTR_CAPS_SZ_2 ? VFS_CAP_REVISION_2 : VFS_CAP_REVISION_3)
		       ? 0
		       : -EINVAL;
}

/* May whoever asks have such an attribute, if it is one of root's? */
static long check_roots_own(const struct core_task *task, const struct request *q)
{
	long r;

	if (q->what == LIST || !roots_own(task, q->name))
		return 0;
	r = may(task, q->name, q->what != GET);
	return r >= 0 && q->what == SET ? check_value(task, q, q->name) : r;
}

/* Of a list that the kernel wrote: without ours, and root's own by their names.  `layer`: of
 * a tree of the store, which may have inherited lists from where that is. */
static long filter_names(const struct core_task *task, char *names, long size, int layer)
{
	char *to = names;

	for (char *name = names; name < names + size;) {
		size_t n = text_length(name) + 1;
		size_t prefix = text_begins(name, LPMX_XATTR_ROOT);
		char *next = name + n;

		if (prefix ? roots_own(task, name + prefix) && !may(task, name + prefix, 0)
			   : !private_name(name) && !(layer && acl_is_list(name))) {
			bytes_copy(to, name + prefix, n - prefix);
			to += n - prefix;
		}
		name = next;
	}
	return to - names;
}

/* ---- to the kernel -------------------------------------------------------------------- */

/* `follow`: what only the kernel can follow. */
static long by_name(const struct request *q, const char *host, int follow, const char *name)
{
	switch (q->what) {
	case SET:
		return sys_call5(follow ? __NR_setxattr : __NR_lsetxattr, host, name, q->value,
				 q->size, q->how);
	case GET:
		return sys_call4(follow ? __NR_getxattr : __NR_lgetxattr, host, name, q->value,
				 q->size);
	case LIST:
		return sys_call3(follow ? __NR_listxattr : __NR_llistxattr, host, q->value, q->size);
	default:
		return sys_call2(follow ? __NR_removexattr : __NR_lremovexattr, host, name);
	}
}

static long by_descriptor(const struct request *q, const char *name)
{
	switch (q->what) {
	case SET:
		return sys_call5(__NR_fsetxattr, q->directory, name, q->value, q->size, q->how);
	case GET:
		return sys_call4(__NR_fgetxattr, q->directory, name, q->value, q->size);
	case LIST:
		return sys_call3(__NR_flistxattr, q->directory, q->value, q->size);
	default:
		return sys_call2(__NR_fremovexattr, q->directory, name);
	}
}

/* Room for the names of nearly every object; of one with more, ours are counted where the
 * program asks how many bytes they take. */
#define LIST_ROOM 4096

/* The names that the program is to see, of the union's object at `host`, or behind the
 * descriptor. */
static NOINLINE long list_names(const struct core_task *task, const struct request *q,
				const char *host, int layer)
{
	char names[LIST_ROOM];
	struct request all = *q;
	long r;

	all.value = (long)names;
	all.size = sizeof(names);
	r = host ? by_name(&all, host, 0, 0) : by_descriptor(&all, 0);
	if (r == -ERANGE) {
		r = host ? by_name(q, host, 0, 0) : by_descriptor(q, 0);
		return r > 0 && q->size ? filter_names(task, (char *)q->value, r, layer) : r;
	}
	if (r > 0)
		r = filter_names(task, names, r, layer);
	if (r <= 0 || !q->size)
		return r;
	if ((size_t)r > q->size)
		return -ERANGE;
	if (core_fillable(task, (void *)q->value, (size_t)r, q->size) < 0)
		return -EFAULT;
	bytes_copy((char *)q->value, names, (size_t)r);
	return r;
}

/* Change the upper object at `host`, or the one behind the descriptor. */
static long change(const struct core_task *task, const struct request *q, const char *host, int fd,
		   const char *name)
{
	long r;

	if (q->what == SET && acl_is_list(name))
		acl_announce(task->view);
	/* one without entries is none */
	if (q->what == SET && q->size > 4 && acl_is_access(name))
		return acl_set(task, host, fd, (void *)q->value, (long)q->size, q->how);
	r = fd >= 0 ? by_descriptor(q, name) : by_name(q, host, 0, name);
	if (r >= 0 && acl_is_access(name))
		return acl_removed(task, host, fd);
	/* what can carry none of root's own has none */
	return r == -EPERM && name != q->name && (q->what == REMOVE || (q->how & 2 /* XATTR_REPLACE */))
		       ? -ENODATA
		       : r;
}

/* ---- by descriptor ---------------------------------------------------------------------- */

/* An access control list: set whether or not there is one, and no error to take away. */
static long change_unseen_list(const struct core_task *task, const struct request *q,
			       const char *name)
{
	struct stat st;
	long r = sys_call2(__NR_fstat, q->directory, &st);

	if (r >= 0 && q->what == SET)
		r = acl_check(task, (void *)q->value, q->size);
	return r > 0 && !acl_is_access(name) && !IS(st.st_mode, S_IFDIR) ? -EACCES : r < 0 ? r : 0;
}

/* Of a layer's file that has no name any more: nobody can see what is not refused. */
static long change_unseen(const struct core_task *task, const struct request *q, const char *name)
{
	long there;

	if (acl_is_list(name))
		return change_unseen_list(task, q, name);
	there = sys_call4(__NR_fgetxattr, q->directory, name, 0, 0);
	if (q->what == REMOVE || (q->how & 2 /* XATTR_REPLACE */))
		return there < 0 ? there : 0;
	return there >= 0 && (q->how & 1 /* XATTR_CREATE */) ? -EEXIST : 0;
}

static int is_users(const struct request *q)
{
	return q->what != LIST && text_begins(q->name, "user.");
}

/*
 * Of the namespace "user" what the program's user may do, as in the kernel's xattr_permission:
 * only files and directories have such attributes, and of a sticky directory only its owner
 * changes them.  The object is at `host` (or `fd` >= 0).
 */
static long may_user(const struct core_task *task, const struct request *q, const struct meta *meta,
		     const char *host, int fd)
{
	const struct core_credentials *c = &task->credentials;

	if (!IS(meta->mode, S_IFREG) && !IS(meta->mode, S_IFDIR))
		return refusal(q);
	if (q->what != GET && IS(meta->mode, S_IFDIR) && (meta->mode & S_ISVTX) &&
	    !permission_is_owner(task, meta))
		return -EPERM;
	return permission_in(task, meta, c->fsuid, c->fsgid, q->what == GET ? 4 : 2, host, fd)
		       ? 0
		       : -EACCES;
}

static long may_user_node(struct core_task *task, const struct request *q,
			  const struct core_node *node)
{
	struct meta meta = { .mode = node->mode };
	long r = 0;

	/* of binds the kernel decides */
	if (node->bind)
		return IS(node->mode, S_IFCHR) || IS(node->mode, S_IFBLK) ? refusal(q) : 0;
	if (task->credentials.fsuid || (node->mode & S_ISVTX))
		r = meta_shown(task, node, &meta);
	return r < 0 ? r : may_user(task, q, &meta, permission_host(node), -1);
}

static long may_user_fd(struct core_task *task, const struct request *q, const char *host)
{
	struct meta meta;
	struct stat st;
	long r;

	if (!task->credentials.fsuid || sys_call2(__NR_fstat, q->directory, &st))
		return 0;
	r = meta_of_upper(task->view, host, q->directory, &st, &meta);
	return r < 0 ? r : may_user(task, q, &meta, host, q->directory);
}

/* `name` is the one to use in the union. */
static long change_fd(struct core_task *task, const struct request *q, const char *name)
{
	struct core_node node;
	long r = target_of_fd(task, q->directory, 0, &node);

	switch (r) {
	case TARGET_DESCRIPTOR:
		r = is_users(q)         ? may_user_fd(task, q, node.host)
		    : acl_is_list(name) ? permission_fd(task, node.host, q->directory, PERMISSION_OWNER)
					: 0;
		return r < 0 ? r : change(task, q, node.host, q->directory, name);
	case TARGET_NAME:
		r = is_users(q)         ? may_user_node(task, q, &node)
		    : acl_is_list(name) ? permission_of_owner(task, &node)
					: 0;
		if (r >= 0)
			r = target_lift(task, q->directory, &node);
		return r < 0 ? r : change(task, q, node.host, -1, name);
	case TARGET_KERNEL:
		return by_descriptor(q, q->name);
	case TARGET_NONE:
		return change_unseen(task, q, name);
	default:
		return r;
	}
}

/* Is the descriptor of a file in a tree of the store? */
static int is_of_layer(struct core_task *task, int fd)
{
	char host[CORE_HOST_MAX];

	return task->view->index && host_of_fd(task->view, fd, host, sizeof(host)) >= 0 &&
	       in_layer(task->view, host) && !in_upper(task->view, host) &&
	       !in_bind(task->view, host);
}

static NOINLINE int is_of_bind(struct core_task *task, int fd)
{
	char host[CORE_HOST_MAX];

	return host_of_fd(task->view, fd, host, sizeof(host)) >= 0 && in_bind(task->view, host);
}

static NOINLINE long get_list_fd(struct core_task *task, const struct request *q, const char *name)
{
	struct core_node node;
	long r = by_descriptor(q, name);

	if (r > 0 && is_of_layer(task, q->directory))
		return -ENODATA;
	if (r <= 0 || !q->size || !acl_is_access(name))
		return r;
	return target_of_fd(task, q->directory, 0, &node) == TARGET_DESCRIPTOR
		       ? acl_get(task, node.host, q->directory, (char *)q->value, r)
		       : r;
}

/* Reading through a descriptor asks as much as by a name, whatever it was opened for. */
static NOINLINE long may_get_fd(struct core_task *task, const struct request *q)
{
	struct core_node node;

	switch (target_of_fd(task, q->directory, 0, &node)) {
	case TARGET_DESCRIPTOR:
		return may_user_fd(task, q, node.host);
	case TARGET_NAME:
		return may_user_node(task, q, &node);
	default:
		return 0;
	}
}

#define F_GETFL_ 3

/* Not by O_PATH, which is for finding things only. */
static int is_open(int fd)
{
	long flags = sys_call3(__NR_fcntl, fd, F_GETFL_, 0);

	return flags >= 0 && !(flags & O_PATH);
}

static long of_descriptor(struct core_task *task, const struct request *q, const char *name)
{
	long r;

	if (q->private && is_of_bind(task, q->directory))
		return by_descriptor(q, q->name);
	r = q->private ? refusal(q) : check_roots_own(task, q);
	if (r < 0)
		return is_open(q->directory) ? r : -EBADF;
	switch (q->what) {
	case GET:
		if (acl_is_list(name))
			return get_list_fd(task, q, name);
		r = is_users(q) && permission_is_checked(task) ? may_get_fd(task, q) : 0;
		if (r < 0)
			return r;
		r = by_descriptor(q, name);
		/* what is none of the union's has its own */
		return r == -ENODATA && name != q->name ? by_descriptor(q, q->name) : r;
	case LIST:
		return is_of_bind(task, q->directory)
			       ? by_descriptor(q, 0)
			       : list_names(task, q, 0, is_of_layer(task, q->directory));
	default:
		return change_fd(task, q, name);
	}
}

/* ---- of what the index knows ---------------------------------------------------------------- */

/*
 * What is bare in the index (LPMX_ENTRY_BARE) has nothing to show, and only the file system may
 * have something to say: a label in the list, or that it keeps no attributes.  It treats the
 * objects of a kind in one tree alike, so the first of each is asked for; where that has nothing,
 * the others have nothing.  Of a layer: a bit for each such answer, and above them the layer's
 * number and which of this process's views it is in, as Python has several.  Two layers in one
 * place forget each other.
 */
static uint64_t nothing[32];

static uint64_t *place_of(const struct lpmx_index_entry *entry)
{
	return &nothing[entry->layer % (sizeof(nothing) / sizeof(*nothing))];
}

static uint64_t key_of(const struct core_view *view, const struct lpmx_index_entry *entry)
{
	return view->opened << 16 | entry->layer;
}

static unsigned question(const struct request *q, const struct lpmx_index_entry *entry)
{
	return 1u << ((IS(entry->mode, S_IFLNK) ? 4 : IS(entry->mode, S_IFDIR) ? 2 : 0) +
		      (q->what == LIST));
}

/* Can the answer be remembered? */
static int is_bare(const struct request *q, const struct lpmx_index_entry *entry)
{
	/* a name that ends with its namespace is refused by the kernel */
	return entry->flags & LPMX_ENTRY_BARE && (q->what == LIST || q->name[sizeof("user.") - 1]);
}

static int is_nothing(const struct core_view *view, const struct request *q,
		      const struct lpmx_index_entry *entry)
{
	uint64_t known = __atomic_load_n(place_of(entry), __ATOMIC_RELAXED);

	return known >> 8 == key_of(view, entry) && known & question(q, entry);
}

static void learn_nothing(const struct core_view *view, const struct request *q,
			  const struct lpmx_index_entry *entry)
{
	uint64_t known = __atomic_load_n(place_of(entry), __ATOMIC_RELAXED), key = key_of(view, entry);

	/* of two threads one may be forgotten, and is asked again */
	known = (known >> 8 == key ? known : key << 8) | question(q, entry);
	__atomic_store_n(place_of(entry), known, __ATOMIC_RELAXED);
}

/* What there is to say of an object of the index that is only read; 1: its file system is to tell. */
static long read_entry(struct core_task *task, const struct request *q,
		       const struct lpmx_index_entry *entry, const char *name)
{
	const struct meta meta = { .mode = entry->mode, .uid = entry->uid, .gid = entry->gid };
	long r;

	if (q->private)
		return refusal(q);
	r = check_roots_own(task, q);
	if (r >= 0 && is_users(q))
		r = may_user(task, q, &meta, 0, -1);
	if (r < 0)
		return r;
	if (q->what == GET && acl_is_list(q->name))
		return IS(entry->mode, S_IFLNK) ? -EOPNOTSUPP : -ENODATA;
	/* a tree of the store has no others (lpmx_runtime/store/unpack.py) */
	if (q->what == GET && (text_begins(name, "trusted.") || text_begins(name, "security.")))
		return -ENODATA;
	if (q->what == GET && !text_begins(name, "user."))
		return -EOPNOTSUPP;
	if (!is_bare(q, entry) || !is_nothing(task->view, q, entry))
		return 1;
	return q->what == LIST ? 0 : -ENODATA;
}

/* ---- by name ------------------------------------------------------------------------------ */

/* As the kernel's set_posix_acl, before anything is copied up: 1 if there is more to do. */
static long check_list(struct core_task *task, const struct request *q,
		       const struct core_node *node)
{
	long r = q->what == SET ? acl_check(task, (void *)q->value, q->size) : 0;

	if (r >= 0 && IS(node->mode, S_IFLNK))
		r = -EOPNOTSUPP;
	/* nobody has a default list but a directory */
	if (r < 0 || (!acl_is_access(q->name) && !IS(node->mode, S_IFDIR)))
		return r < 0 ? r : r ? -EACCES : 0;
	r = permission_of_owner(task, node);
	return r < 0 ? r : 1;
}

/* From where the index says that it is. */
static long read_lower(struct core_task *task, const struct request *q,
		       const struct core_node *node, const char *name)
{
	long r = q->what == LIST ? list_names(task, q, node->host, 1) : by_name(q, node->host, 0, name);

	if (r == (q->what == LIST ? 0 : -ENODATA) && is_bare(q, node->entry))
		learn_nothing(task->view, q, node->entry);
	return r;
}

/* Of anything else that is there; `name` is the one to use. */
static long read_node(struct core_task *task, const struct request *q,
		      const struct core_node *node, int follow, const char *name)
{
	long r;

	if (q->what == GET && IS(node->mode, S_IFLNK) && !node->bind && acl_is_list(q->name))
		return -EOPNOTSUPP;
	if (q->what == LIST && !node->bind)
		return list_names(task, q, node->host, 0);
	r = by_name(q, node->host, follow, name);
	/* one without a record shows what is on disk */
	if (r > 0 && q->size && node->place == CORE_UPPER && acl_is_access(name) &&
	    meta_marked(task->view, node->mode))
		return acl_get(task, node->host, -1, (char *)q->value, r);
	return r;
}

/* `path`, for which known_path found `found`. */
static NOINLINE long of_name(struct core_task *task, const struct request *q, int found,
			     const struct known *k, const char *path, const char *name)
{
	int write = q->what == SET || q->what == REMOVE;
	struct core_node node;
	int follow;
	long r = path_resolve_known(task, found, k, q->directory, path,
				    q->flags & AT_SYMLINK_NOFOLLOW ? CORE_NOFOLLOW : 0, &node);

	if (r >= 0 && !write && node.place == CORE_LOWER && node.entry) {
		r = read_entry(task, q, node.entry, name);
		return r > 0 ? read_lower(task, q, &node, name) : r;
	}
	/* a file without a name is what its descriptor is */
	if (r >= 0 && node.bind && !(q->flags & AT_SYMLINK_NOFOLLOW)) {
		struct request by_fd = *q;

		by_fd.directory = proc_own_fd(node.host);
		if (by_fd.directory >= 0 && is_open(by_fd.directory))
			return of_descriptor(task, &by_fd, name);
	}
	if (r >= 0 && q->private && !node.bind)
		return refusal(q);
	if (r >= 0 && write)
		r = upper_writable(task, &node);
	if (r >= 0)
		r = check_roots_own(task, q);
	if (r >= 0 && is_users(q)) {
		r = may_user_node(task, q, &node);
	} else if (r >= 0 && write && !node.bind && acl_is_list(name)) {
		r = check_list(task, q, &node);
		if (!r)
			return 0;
	}
	if (r >= 0 && write)
		r = copy_up(task, &node);
	if (r < 0)
		return r;
	if (node.bind)
		name = q->name;
	follow = node.bind && !(q->flags & AT_SYMLINK_NOFOLLOW) && proc_magic(node.host);
	if (!write)
		return read_node(task, q, &node, follow, name);
	return node.bind ? by_name(q, node.host, follow, name)
			 : change(task, q, node.host, -1, name);
}

/* ---- the calls ------------------------------------------------------------------------------ */

/* Those that have a directory and flags, since Linux 6.13. */
#define SETXATTRAT 463
#define GETXATTRAT 464
#define LISTXATTRAT 465
#define REMOVEXATTRAT 466

/* struct xattr_args: the value, its size, how. */
static long read_arguments(const struct core_task *task, long user, size_t size, struct request *q)
{
	struct {
		uint64_t value;
		uint32_t size, how;
	} from;

	if (size < sizeof(from))
		return -EINVAL;
	if (size > 4096)
		return -E2BIG;
	for (size_t at = 0; at < size; at++) {
		if ((!at || !((user + (long)at) & 7)) && user_probe(task, (char *)user + at) < 0)
			return -EFAULT;
		if (at >= sizeof(from) && ((char *)user)[at])
			return -E2BIG;
	}
	bytes_copy(&from, (void *)user, sizeof(from));
	q->value = (long)from.value;
	q->size = from.size;
	q->how = (int)from.how;
	return q->what == GET && q->how ? -EINVAL : 0;
}

static long understand_at(const struct core_task *task, long nr, const long a[6], struct request *q)
{
	q->what = nr == SETXATTRAT ? SET : nr == GETXATTRAT ? GET : nr == LISTXATTRAT ? LIST : REMOVE;
	q->directory = (int)a[0];
	q->path = (const char *)a[1];
	q->flags = (int)a[2];
	q->name = (const char *)a[3];
	if (q->what == LIST) {
		q->value = a[3];
		q->size = (size_t)a[4];
	} else if (q->what != REMOVE) {
		long r = read_arguments(task, a[4], (size_t)a[5], q);

		if (r < 0)
			return r;
	}
	return q->flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) ? -EINVAL : 0;
}

static long understand(const struct core_task *task, long nr, const long a[6], struct request *q)
{
	bytes_zero(q, sizeof(*q));
	if (nr >= SETXATTRAT && nr <= REMOVEXATTRAT)
		return understand_at(task, nr, a, q);
	switch (nr) {
	case __NR_lsetxattr:
	case __NR_lgetxattr:
	case __NR_llistxattr:
	case __NR_lremovexattr:
		q->flags = AT_SYMLINK_NOFOLLOW;
		break;
	case __NR_fsetxattr:
	case __NR_fgetxattr:
	case __NR_flistxattr:
	case __NR_fremovexattr:
		q->by_descriptor = 1;
		break;
	default:
		break;
	}
	q->directory = q->by_descriptor ? (int)a[0] : AT_FDCWD;
	q->path = (const char *)a[0];
	q->name = (const char *)a[1];
	q->value = a[2];
	q->size = (size_t)a[3];
	q->how = (int)a[4];
	switch (nr) {
	case __NR_setxattr:
	case __NR_lsetxattr:
	case __NR_fsetxattr:
		q->what = SET;
		break;
	case __NR_getxattr:
	case __NR_lgetxattr:
	case __NR_fgetxattr:
		q->what = GET;
		break;
	case __NR_listxattr:
	case __NR_llistxattr:
	case __NR_flistxattr:
		q->what = LIST;
		q->value = a[1];
		q->size = (size_t)a[2];
		break;
	default:
		q->what = REMOVE;
		break;
	}
	return 0;
}

#define VALUE_MAX 65536

/* What is to be set is looked at before what it is to be set of is looked for. */
static long check_memory(const struct core_task *task, const struct request *q)
{
	if (q->size > VALUE_MAX)
		return -E2BIG;
	for (size_t at = 0; at < q->size; at += 4096)
		if (user_probe(task, (char *)q->value + at) < 0)
			return -EFAULT;
	return q->size ? user_probe(task, (char *)q->value + q->size - 1) : 0;
}

/* The name that the program gave, into `own` behind our prefix; *used: which of the two it
 * has in the union. */
static long read_name(const struct core_task *task, struct request *q, char *own, const char **used)
{
	char *name = text_put(own, LPMX_XATTR_ROOT);
	long r;

	if (q->what == SET && (q->how & ~3))
		return -EINVAL;
	r = user_text(task, q->name, name, NAME_MAX_ + 1);
	if (!r || r == -ENAMETOOLONG)
		return -ERANGE;
	if (r < 0)
		return r;
	q->name = name;
	*used = roots_own(task, q->name) ? own : q->name;
	q->private = private_name(q->name);
	return q->what == SET ? check_memory(task, q) : 0;
}

/* Of a descriptor, a long path or none, or what is changed. */
static NOINLINE long of_said(struct core_task *task, const struct request *q, const char *name)
{
	char path[CORE_SAID_MAX];
	long r;

	path[0] = 0;
	if (!q->by_descriptor && (q->path || !(q->flags & AT_EMPTY_PATH))) {
		r = user_path(task, q->path, path);
		if (r < 0)
			return r;
	}
	/* as the kernel: for two of them the working directory is no descriptor, and nothing else */
	if (q->by_descriptor || (!path[0] && (q->flags & AT_EMPTY_PATH) &&
				 (q->directory >= 0 || q->what == LIST || q->what == REMOVE)))
		return of_descriptor(task, q, name);
	return of_name(task, q, KNOWN_NOT, 0, path_or_here(path, q->flags), name);
}

/* What is to be read of a path. */
static long read_said(struct core_task *task, const struct request *q, const char *name)
{
	char said[KNOWN_MAX];
	struct known k;
	int found = known_said(task, q->directory, q->path,
			       q->flags & AT_SYMLINK_NOFOLLOW ? 0 : KNOWN_FOLLOW, said, &k);
	long r;

	if (found < 0)
		return found;
	if (!said[0])
		return of_said(task, q, name);
	if (known_absent(found, &k))
		return -ENOENT;
	if (found == KNOWN) {
		r = read_entry(task, q, k.entry, name);
		if (r <= 0)
			return r;
	}
	return of_name(task, q, found, &k, said, name);
}

long call_xattr(struct core_task *task, long nr, const long a[6])
{
	char own[sizeof(LPMX_XATTR_ROOT) + NAME_MAX_];
	const char *used = 0;
	struct request q;
	long r = understand(task, nr, a, &q);

	if (r >= 0 && q.what != LIST)
		r = read_name(task, &q, own, &used);
	if (r < 0)
		return r;
	return q.by_descriptor || !q.path || q.what == SET || q.what == REMOVE
		       ? of_said(task, &q, used)
		       : read_said(task, &q, used);
}
