/* A view: read from its file, mapped with all it names. */
#include <linux/mman.h>

#include "internal.h"

#define VIEW_SIZE_MAX (256l << 10)

/*
 * Map a whole file; a private mapping, so that a file replaced (never
 * rewritten) by the runtime stays what it was for those who run.
 */
static long map_file(const char *path, long limit, int shared, long *size, void **data)
{
	struct stat st;
	long fd, map;

	fd = sys_call4(__NR_openat, AT_FDCWD, path, (shared ? O_RDWR : O_RDONLY) | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	map = sys_call2(__NR_fstat, fd, &st);
	if (!map && (st.st_size <= 0 || st.st_size > limit))
		map = -EINVAL;
	if (!map)
		map = sys_call6(__NR_mmap, 0, (long)st.st_size,
				shared ? PROT_READ | PROT_WRITE : PROT_READ,
				shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
	sys_call1(__NR_close, fd);
	if (SYS_FAILED(map))
		return map;
	*size = (long)st.st_size;
	*data = (void *)map;
	return 0;
}

/* The whole file, if it fits: its size, or -EFBIG. */
static long read_file(const char *path, char *room, size_t size)
{
	long fd, r;
	size_t n = 0;

	fd = sys_call4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	do {
		r = sys_call3(__NR_read, fd, room + n, size - n);
		n += r > 0 ? (size_t)r : 0;
	} while (r > 0 && n < size);
	sys_call1(__NR_close, fd);
	return r < 0 ? r : n == size ? -EFBIG : n ? (long)n : -EINVAL;
}

/* The next NUL-terminated field, or NULL at the end of a well-formed file. */
static const char *field(const char **at, const char *end, struct core_string *s)
{
	const char *start = *at, *p = start;

	while (p < end && *p)
		p++;
	if (p >= end)
		return 0;
	*at = p + 1;
	s->text = start;
	s->length = (uint32_t)(p - start);
	return start;
}

static struct core_string *named(struct core_view *view, const char *key)
{
	static const struct {
		const char *key;
		unsigned short offset;
	} strings[] = {
#define KEY(name, member) { name, __builtin_offsetof(struct core_view, member) }
		KEY("name", name),
		KEY("directory", directory),
		KEY("index", index_path),
		KEY("upper", upper),
		KEY("work", work),
		KEY("control", control_path),
		KEY("loader", loader),
		KEY("preload", preload),
		KEY("program", program),
		KEY("container", container_view),
		KEY("hostview", host_view),
		KEY("hostenv", host_environment),
#undef KEY
	};

	for (unsigned i = 0; i < sizeof(strings) / sizeof(*strings); i++)
		if (text_equal(strings[i].key, key))
			return (struct core_string *)((char *)view + strings[i].offset);
	return 0;
}

/* "/" means the whole host: as a prefix it is the empty string. */
static void plain_directory(struct core_string *s)
{
	while (s->length && s->text[s->length - 1] == '/')
		s->length--;
	if (!s->length)
		s->text = "";
}

static long read_bind(struct core_view *view, const char **at, const char *end,
		      const struct core_string *flags)
{
	struct core_bind *bind = &view->binds[view->bind_count];

	if (view->bind_count == CORE_BINDS_MAX)
		return -E2BIG;
	if (!field(at, end, &bind->at) || !field(at, end, &bind->host))
		return -EINVAL;
	if (bind->at.text[0] != '/' || bind->host.text[0] != '/' || bind->at.length < 2)
		return -EINVAL;
	if (bind->host.length == 1)
		plain_directory(&bind->host);
	bind->read_only = text_equal(flags->text, "ro");
	bind->hash = fnv(bind->at.text, bind->at.length);
	view->bind_filter |= 1ull << (bind->hash & 63);
	view->bind_count++;
	return 0;
}

static long read_fields(struct core_view *view, const char *at, const char *end)
{
	struct core_string key, value;

	if (!field(&at, end, &key) || !text_equal(key.text, LPMX_VIEW_MAGIC))
		return -EINVAL;
	while (at < end) {
		struct core_string *known;
		const char *digits;
		long r = 0;

		if (!field(&at, end, &key) || !field(&at, end, &value))
			return -EINVAL;
		digits = value.text;
		if (text_equal(key.text, "kind")) {
			view->kind = text_equal(value.text, "host")     ? CORE_VIEW_HOST
				     : text_equal(value.text, "kernel") ? CORE_VIEW_KERNEL
									: CORE_VIEW_CONTAINER;
		} else if (text_equal(key.text, "layer")) {
			if (view->layer_count == CORE_LAYERS_MAX)
				return -E2BIG;
			plain_directory(&value);
			view->layers[view->layer_count++] = value;
		} else if (text_equal(key.text, "bind")) {
			r = read_bind(view, &at, end, &value);
		} else if (text_equal(key.text, "rewrite")) {
			view->rewrite = text_equal(value.text, "yes");
		} else if (text_equal(key.text, "uid")) {
			view->illusion = 1;
			view->uid = (uint32_t)text_number(&digits, 10);
		} else if (text_equal(key.text, "gid")) {
			view->gid = (uint32_t)text_number(&digits, 10);
		} else if ((known = named(view, key.text))) {
			*known = value;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static long map_control(struct core_view *view)
{
	void *data;
	long size, r;

	r = map_file(view->control_path.text, sizeof(struct lpmx_control), 1, &size, &data);
	if (r < 0)
		return r;
	view->control = data;
	if (size != sizeof(struct lpmx_control) ||
	    !text_same(view->control->magic, LPMX_CONTROL_MAGIC, 8) ||
	    view->control->version != LPMX_CONTROL_VERSION) {
		sys_call2(__NR_munmap, data, size);
		view->control = 0;
		return -EIO;
	}
	return 0;
}

/* Where the last two names of a path begin: layers side by side in a store have the
 * same path up to there, and so are in the same file system. */
static uint32_t common_part(const struct core_string *path)
{
	uint32_t n = path->length;

	for (int names = 0; n && names < 2; names++)
		while (n && path->text[--n] != '/')
			;
	return n;
}

/* What statx tells of everything that is in the union: of the directory `host`, if that is
 * the first that there is.  Its device. */
static uint64_t find_mount(struct core_view *view, const char *host)
{
	struct statx x;
	struct stat st;
	uint64_t device;

	if (sys_call5(__NR_statx, AT_FDCWD, host, 0, STATX_INO | STATX_MNT_ID_, &x) >= 0) {
		device = object_device(x.stx_dev_major, x.stx_dev_minor);
	} else {
		/* there is nothing, or something about us that knows no statx */
		bytes_zero(&x, sizeof(x));
		device = sys_call4(__NR_newfstatat, AT_FDCWD, host, &st, 0) ? 0 : st.st_dev;
	}
	if (view->device)
		return device;
	view->device = device;
	view->attributes_mask = x.stx_attributes_mask;
	view->mount_mask = x.stx_mask & STATX_MNT_ID_;
	view->mount = view->mount_mask ? *statx_mount(&x) : 0;
	return device;
}

/* The device that the union shows, and the others that hide behind it. */
static void find_devices(struct core_view *view)
{
	const struct core_string *last = 0;

	if (view->kind == CORE_VIEW_HOST)
		return;
	if (view->upper.length)
		find_mount(view, view->upper.text);
	for (uint32_t i = 0; i < view->layer_count; i++) {
		const struct core_string *layer = &view->layers[i];
		uint32_t n = common_part(layer);
		uint64_t device;
		int known = 0;

		if (last && n && n == common_part(last) && text_same(layer->text, last->text, n))
			continue;
		last = layer;
		device = find_mount(view, layer->length ? layer->text : "/");
		if (!device)
			continue;
		known = device == view->device;
		for (uint32_t k = 0; k < view->device_count; k++)
			known |= view->devices[k] == device;
		if (!known && view->device_count < 8)
			view->devices[view->device_count++] = device;
	}
}

/* `mend`: replace a control page that is none. */
static long open_view(struct core_view *view, const char *path, char *room, size_t room_size, int mend)
{
	static const struct core_string none = { "", 0 };
	static uint64_t views;
	struct core_string *strings = &view->name;
	void *data;
	long size, r;

	bytes_zero(view, __builtin_offsetof(struct core_view, binds));
	while (strings <= &view->index_path)
		*strings++ = none;
	view->opened = __atomic_add_fetch(&views, 1, __ATOMIC_RELAXED);
	r = room_size ? read_file(path, room, room_size) : -EFBIG;
	if (r >= 0) {
		data = room;
		size = r;
	} else if (r == -EFBIG) {
		r = map_file(path, VIEW_SIZE_MAX, 0, &size, &data);
		view->file_is_mapped = 1;
	}
	if (r < 0)
		return r;
	view->file.text = data;
	view->file.length = (uint32_t)size;
	view->host_uid = (uint32_t)sys_call0(__NR_geteuid);
	view->host_gid = (uint32_t)sys_call0(__NR_getegid);
	r = read_fields(view, data, (char *)data + size);
	if (!r && view->index_path.length) {
		r = index_map(view->index_path.text, &view->index);
		if (!r && view->index->layer_count > view->layer_count)
			r = -EIO;
	}
	if (!r && view->control_path.length) {
		r = map_control(view);
		/* what is no control page, or none any more, is made anew by who may */
		if (mend && (r == -EIO || r == -ENOENT || r == -EINVAL)) {
			r = control_replace(view->control_path.text);
			if (r >= 0)
				r = map_control(view);
		}
	}
	plain_directory(&view->upper);
	if (!r)
		find_devices(view);
	if (r < 0)
		core_view_close(view);
	return r;
}

long core_view_open(struct core_view *view, const char *path)
{
	return open_view(view, path, 0, 0, 0);
}

long core_view_open_in(struct core_view *view, const char *path, char *room, size_t size)
{
	return open_view(view, path, room, size, 0);
}

long view_open(struct core_view *view, const char *path, int mend)
{
	return open_view(view, path, 0, 0, mend);
}

void core_view_close(struct core_view *view)
{
	if (view->index)
		sys_call2(__NR_munmap, view->index, view->index->file_size);
	if (view->control)
		sys_call2(__NR_munmap, view->control, sizeof(*view->control));
	if (view->file.length && view->file_is_mapped)
		sys_call2(__NR_munmap, view->file.text, view->file.length);
	bytes_zero(view, sizeof(*view));
}

/* Make one point: the directories above it, then itself, all where absent. */
static long bind_point(struct core_task *task, const struct core_bind *bind, struct core_node *node)
{
	char path[CORE_PATH_MAX];
	struct stat st;
	long r;

	r = sys_call4(__NR_newfstatat, AT_FDCWD, bind->host.length ? bind->host.text : "/", &st, 0);
	if (r < 0)
		return r;
	for (uint32_t n = 1; n <= bind->at.length; n++) {
		long args[6] = { AT_FDCWD, (long)path, 0755 };
		int last = n == bind->at.length;

		if (!last && bind->at.text[n] != '/')
			continue;
		bytes_copy(path, bind->at.text, n);
		path[n] = 0;
		r = core_resolve(task, AT_FDCWD, path, CORE_MAY_BE_ABSENT, node);
		if (r < 0)
			return r;
		if (node->place != CORE_ABSENT)
			continue;
		if (!last || IS(st.st_mode, S_IFDIR)) {
			r = core_call(task, __NR_mkdirat, args);
		} else {
			args[2] = O_WRONLY | O_CREAT | O_CLOEXEC;
			args[3] = 0644;
			r = core_call(task, __NR_openat, args);
			if (r >= 0)
				sys_call1(__NR_close, r);
		}
		if (r < 0 && r != -EEXIST)
			return r;
	}
	return 0;
}

long core_bind_points(struct core_view *view)
{
	uint32_t count = view->bind_count;
	struct core_task *task;
	struct core_node *node;
	long memory, r = 0;

	memory = sys_call6(__NR_mmap, 0, sizeof(*task) + sizeof(*node), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (SYS_FAILED(memory))
		return memory;
	task = (void *)memory;
	node = (void *)(task + 1);
	core_task_init(task, view);
	core_task_root(task);
	task->check_pointers = 0;
	if (view->upper.length)
		r = copy_up_root(task);
	/* Points belong to the upper: look at it as if nothing were bound. */
	view->bind_count = 0;
	for (uint32_t i = 0; i < count && !r; i++)
		if (!text_begins(view->binds[i].at.text, LPMX_PREFIX "/"))
			r = bind_point(task, &view->binds[i], node);
	view->bind_count = count;
	sys_call2(__NR_munmap, memory, sizeof(*task) + sizeof(*node));
	return r;
}

void core_task_init(struct core_task *task, const struct core_view *view)
{
	struct core_credentials *c = &task->credentials;

	/* its large arrays are empty by their counts and first bytes: every program that
	 * starts comes by here, and untouched memory costs nothing */
	bytes_zero(c, sizeof(*c));
	task->view = view;
	task->check_pointers = 1;
	task->stack_low = task->stack_high = 0;
	task->program = task->program_host = "";
	task->root = "";
	task->roots_made = 0;
	task->environment_start = 0;
	task->environment_count = 0;
	task->trace = 0;
	c->ruid = c->euid = c->suid = c->fsuid = view->illusion ? view->uid : view->host_uid;
	c->rgid = c->egid = c->sgid = c->fsgid = view->illusion ? view->gid : view->host_gid;
	c->group_count = 1;
	c->groups[0] = c->egid;
	capabilities_begin(c);
}

void core_task_copy(struct core_task *to, const struct core_task *from)
{
	bytes_copy(to, from, __builtin_offsetof(struct core_task, environment_own));
	bytes_copy(to->environment_own, from->environment_own,
		   from->environment_count * sizeof(from->environment_own[0]));
	to->root = "";
	to->roots_made = 0;
	if (*task_root(from))
		task_set_root(to, task_root(from));
}

void core_task_root(struct core_task *task)
{
	struct core_credentials *c = &task->credentials;

	c->ruid = c->euid = c->suid = c->fsuid = 0;
	c->rgid = c->egid = c->sgid = c->fsgid = 0;
	c->group_count = 1;
	c->groups[0] = 0;
	capabilities_begin(c);
}

/*
 * "1:" then the eight ids, the groups' count and the groups, each followed by
 * a comma, then the emulated root as it is: "1:0,0,0,0,0,0,0,0,1,0,/chroot".
 */
long core_task_save(const struct core_task *task, char *text, size_t size)
{
	const struct core_credentials *c = &task->credentials;
	const uint32_t *ids = &c->ruid;
	const char *root = task_root(task);
	char *p = text;

	if (size < 16 + 11 * (9 + 64ul) + text_length(root) + 1)
		return -ERANGE;
	p = text_put(p, "1:");
	for (unsigned i = 0; i < 8; i++) {
		p = text_put_number(p, ids[i], 10);
		*p++ = ',';
	}
	p = text_put_number(p, c->group_count, 10);
	*p++ = ',';
	for (uint32_t i = 0; i < c->group_count; i++) {
		p = text_put_number(p, c->groups[i], 10);
		*p++ = ',';
	}
	p = text_put(p, root);
	return p - text;
}

void core_task_load(struct core_task *task, const char *text)
{
	struct core_credentials *c = &task->credentials;
	uint32_t *ids = &c->ruid;

	if (!text_begins(text, "1:"))
		return;
	text += 2;
	for (unsigned i = 0; i < 8; i++, text += *text == ',')
		ids[i] = (uint32_t)text_number(&text, 10);
	capabilities_begin(c);
	c->group_count = (uint32_t)text_number(&text, 10);
	text += *text == ',';
	if (c->group_count > 64)
		c->group_count = 64;
	for (uint32_t i = 0; i < c->group_count; i++, text += *text == ',')
		c->groups[i] = (uint32_t)text_number(&text, 10);
	if (*text && text_length(text) < CORE_PATH_MAX)
		task_set_root(task, text);
}
