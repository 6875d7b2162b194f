/* What a contained program may ask of the core itself: LPMX_SYSCALL. */
#include <asm-generic/errno.h>
#include <linux/fcntl.h>

#include "../core/text.h"
#include "trap.h"

static const char *environment_get(const char *name, const char *own)
{
	return core_environment_get(&trap_task, name, own);
}

static struct lpmx_entry entry;

/* loader.lds puts it where it is looked for. */
__attribute__((section(".door"), used)) static const struct lpmx_door door = { LPMX_DOOR_MAGIC, &entry };

void trap_begin_program(void)
{
	const struct lpmx_control *control = trap_task.view->control;

	entry.version = LPMX_ABI_VERSION;
	entry.size = sizeof(entry);
	entry.call = trap_call;
	entry.environment_get = environment_get;
	entry.environment_generation = control ? &control->environment.generation : 0;
	entry.environment_start = trap_task.environment_start;
}

static long give(const char *text, long to, long size)
{
	long n = (long)text_length(text) + 1;

	if (n > size)
		return -ERANGE;
	if (!trap_readable((void *)to, (size_t)n))
		return -EFAULT;
	bytes_copy((char *)to, text, (size_t)n);
	return n;
}

static long host_path(struct core_task *task, const long a[6])
{
	char path[CORE_PATH_MAX];
	struct core_node node;
	long r = trap_string((char *)a[1], path, sizeof(path), -ENAMETOOLONG);

	if (r < 0 || task->view->kind == CORE_VIEW_HOST)
		return r < 0 ? r : give(path, a[2], a[3]);
	r = core_resolve(task, AT_FDCWD, path, CORE_MAY_BE_ABSENT, &node);
	return r < 0 ? r : give(node.host[0] ? node.host : "/", a[2], a[3]);
}

static long list_environment(struct core_task *task, const long a[6])
{
	const char *name, *value;
	uint32_t position = 0;
	long wanted = a[1], size = a[3], n;
	char *to = (char *)a[2];

	do {
		n = core_environment_list(task->view, &position, &name, &value);
		if (n <= 0)
			return n;
	} while (wanted--);
	n = (long)text_length(name) + 1 + (value ? (long)text_length(value) + 1 : 0);
	if (n > size)
		return -ERANGE;
	if (!trap_readable(to, (size_t)n))
		return -EFAULT;
	to = text_put(to, name);
	if (value) {
		*to++ = '=';
		text_put(to, value);
	}
	return n;
}

long trap_operation(struct core_task *task, const long a[6])
{
	char name[256];
	size_t bytes = 0;
	char *value[2] = { (char *)a[2], 0 };

	switch (a[0]) {
	case LPMX_OP_ENV_SET:
	case LPMX_OP_ENV_UNSET:
		if (trap_string((char *)a[1], name, sizeof(name), -ENAMETOOLONG) < 0)
			return -EFAULT;
	}
	switch (a[0]) {
	case LPMX_OP_ENTRY:
		return (long)&entry;
	case LPMX_OP_ENV_SET:
		if (trap_vector(value, &bytes) != 1)
			return -EFAULT;
		return core_environment_set((struct core_view *)task->view, name, value[0]);
	case LPMX_OP_ENV_UNSET:
		return core_environment_unset((struct core_view *)task->view, name);
	case LPMX_OP_ENV_LIST:
		return list_environment(task, a);
	case LPMX_OP_NAME:
		return give(task->view->name.text, a[1], a[2]);
	case LPMX_OP_HOST_PATH:
		return host_path(task, a);
	case LPMX_OP_OPEN:
		return core_open_ready(task, (int)a[1], (const char *)a[2], (int)a[3], (int)a[4]);
	case LPMX_OP_LIST:
		return core_list(task, (int)a[1], (char *)a[2], (size_t)a[3]);
	case LPMX_OP_REAL_PATH:
		return core_real_path(task, (const char *)a[1], (char *)a[2], (size_t)a[3]);
	case LPMX_OP_DIRECTORY:
		return give(task->view->directory.text, a[1], a[2]);
	default:
		return -EINVAL;
	}
}
