/*
 * What a call on a descriptor changes.
 *
 * A file of a layer that is open for reading would let its owner, mode, times and
 * attributes be changed through the descriptor.  That must never reach the layer: the
 * change is for the upper's copy, wherever that is by now.
 */
#include "internal.h"

/* A lower object that is open. */
struct behind {
	const struct lpmx_index_entry *entry; /* NULL over a live directory */
	uint64_t number;                      /* that it is known by, or 0 */
	uint32_t mode;                        /* 0: not known */
};

static struct behind object_behind(const struct core_view *view, int fd, const char *path)
{
	struct behind behind = { 0, 0, 0 };
	size_t length = text_length(path);
	struct stat st;

	if (!view->index) {
		if (!sys_call2(__NR_fstat, fd, &st)) {
			behind.number = identity_inode(view, st.st_dev, st.st_ino);
			behind.mode = st.st_mode;
		}
		return behind;
	}
	behind.entry = index_find(view->index, fnv(path, length), path, (uint32_t)length);
	if (behind.entry) {
		behind.number = object_number(view, behind.entry);
		behind.mode = behind.entry->mode;
	}
	return behind;
}

/* Is what was found at `node` the object, or its copy? */
static long is_object(struct core_task *task, const struct behind *behind,
		      const struct core_node *node)
{
	struct meta meta;
	long r;

	if (node->bind)
		return node->place != CORE_ABSENT;
	if (node->place != CORE_UPPER)
		return node->place == CORE_LOWER;
	r = meta_shown(task, node, &meta);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (behind->mode && ((behind->mode ^ meta.mode) & S_IFMT))
		return 0;
	return !behind->number || meta.inode == behind->number ||
	       (record_apart(meta.mode) && !meta.inode);
}

/* A copy that was renamed: 1 and `node`. */
static long find_moved(const struct core_view *view, uint64_t number, struct core_node *node)
{
	struct stat st;
	long r = upper_find(view, number, node->host);

	if (r <= 0)
		return r;
	node->place = CORE_UPPER;
	node->bind = 0;
	node->entry = 0;
	node->read_only = 0;
	node->has_lower = 0;
	text_put(node->path, node->host + view->upper.length);
	node->path_length = (uint32_t)text_length(node->path);
	node->hash = fnv(node->path, node->path_length);
	if (sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	node->mode = st.st_mode;
	return 1;
}

/* Another name of the file that still shows it: 1 and `node`. */
static long find_other_name(struct core_task *task, const struct behind *behind,
			    struct core_node *node)
{
	const struct lpmx_index_header *index = task->view->index;
	const struct lpmx_index_entry *other = 0;
	char path[CORE_PATH_MAX];

	while ((other = index_link(index, behind->entry->link_group, other))) {
		const char *bytes = index_bytes(index, other->path, other->path_length);

		if (!bytes || other->path_length >= sizeof(path))
			continue;
		bytes_copy(path, bytes, other->path_length);
		path[other->path_length] = 0;
		if (path_node(task, path, node) >= 0 && !node->bind && node->place == CORE_LOWER &&
		    node->entry && node->entry->link_group == behind->entry->link_group)
			return 1;
	}
	node->bind = 0;
	return 0;
}

/*
 * The object that a change through `fd` is for, which is open on the lower object
 * at `path`: 1 and `node`, wherever it was renamed to since; 0 if it has no name
 * any more, so that nobody can see the change.
 */
static long find_behind(struct core_task *task, int fd, const char *path, struct core_node *node)
{
	struct behind behind = object_behind(task->view, fd, path);
	long r = path_node(task, path, node);

	r = r < 0 ? 0 : is_object(task, &behind, node);
	if (!r && !node->bind && behind.number)
		r = find_moved(task->view, behind.number, node);
	if (!r && !node->bind && behind.entry && behind.entry->link_group)
		r = find_other_name(task, &behind, node);
	return r;
}

#define F_GETFL_ 3

long target_of_fd(struct core_task *task, int fd, int handle, struct core_node *node)
{
	const struct core_view *view = task->view;
	long flags = sys_call3(__NR_fcntl, fd, F_GETFL_, 0), r;
	char path[CORE_PATH_MAX];
	struct stat st;

	if (flags < 0)
		return flags;
	/* one made with O_PATH is for finding things only */
	if ((flags & O_PATH) && !handle)
		return -EBADF;
	node->bind = 0;
	r = host_of_fd(view, fd, node->host, sizeof(node->host));
	if (r == -ENAMETOOLONG) {
		/* too deep for the kernel to tell where, and of no layer: the upper's */
		text_put_number(text_put(node->host, "/proc/self/fd/"), (unsigned)fd, 10);
		return TARGET_DESCRIPTOR;
	}
	if (r < 0)
		return r;
	if (in_upper(view, node->host) || in_work(view, node->host)) {
		if (!(flags & O_PATH))
			return TARGET_DESCRIPTOR;
		node->place = CORE_UPPER;
		node->entry = 0;
		node->read_only = 0;
		r = sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &st, AT_SYMLINK_NOFOLLOW);
		node->mode = st.st_mode;
		return r < 0 ? r : TARGET_NAME;
	}
	if (core_from_host(view, node->host, path, sizeof(path)) < 0)
		return TARGET_KERNEL;
	r = find_behind(task, fd, path, node);
	if (r < 0)
		return r;
	if (node->bind)
		return node->bind->read_only                       ? -EROFS
		       : (flags & O_PATH) && node->place == CORE_BIND ? TARGET_NAME
								       : TARGET_KERNEL;
	return r ? TARGET_NAME : TARGET_NONE;
}

long target_lift(struct core_task *task, int fd, struct core_node *node)
{
	struct stat open, named;
	long r = upper_writable(task, node);

	if (r >= 0)
		r = copy_up(task, node);
	/* before the change, so that whatever fails nothing has changed */
	if (r >= 0)
		r = sys_call2(__NR_fstat, fd, &open);
	if (r >= 0)
		r = sys_call4(__NR_newfstatat, AT_FDCWD, node->host, &named, AT_SYMLINK_NOFOLLOW);
	if (r < 0 || (open.st_dev == named.st_dev && open.st_ino == named.st_ino))
		return r < 0 ? r : 0;
	return copy_up_descriptor(fd, node->host);
}
