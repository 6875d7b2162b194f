/*
 * The live environment and the exec map: tables that anybody in the container may
 * read at any moment and that change while programs run.
 *
 * Readers take no lock.  A slot's `name` and `value` are offsets into the page's
 * heap, each published by one atomic store after the bytes they point to; records
 * are never changed or freed, so a pointer once read stays good.  Writers hold the
 * upper's lock, which the kernel drops when they die; a writer killed half-way leaves at
 * most unused heap.
 *
 * Which value a process sees: the live one, unless the process changed the
 * variable itself after its start (its value is not the one it started with).
 */
#include "internal.h"

#define NO_VALUE 1 /* hash of "not set" */
#define CLOCK_REALTIME_ 0

static uint64_t name_hash(const char *name, size_t length)
{
	return fnv(name, length);
}

/* The text of `length` bytes and a NUL that should be there. */
static const char *heap_text(const struct lpmx_control *page, uint64_t offset, size_t length)
{
	return offset && offset < LPMX_CONTROL_HEAP_SIZE &&
			       length < LPMX_CONTROL_HEAP_SIZE - offset &&
			       !page->heap[offset + length]
		       ? page->heap + offset
		       : 0;
}

/* How long the text is; a page may be damaged, and then it may have no end. */
static size_t heap_length(const struct lpmx_control *page, uint64_t offset)
{
	size_t n = 0;

	while (offset < LPMX_CONTROL_HEAP_SIZE - n && page->heap[offset + n])
		n++;
	return n;
}

static const struct lpmx_live_value *heap_value(const struct lpmx_control *page, uint64_t offset)
{
	const struct lpmx_live_value *value;

	if (!offset || offset > LPMX_CONTROL_HEAP_SIZE - sizeof(*value) || (offset & 7))
		return 0;
	value = (const void *)(page->heap + offset);
	return heap_text(page, offset + sizeof(*value), value->length) ? value : 0;
}

static int is_name(const char *text, const char *name, size_t length)
{
	return text && text_same(text, name, length);
}

/* The slot of a name; NULL if it has none (and, for a writer, *room for it). */
static struct lpmx_live_slot *find(struct lpmx_control *page, struct lpmx_live_table *table,
				   const char *name, size_t length, struct lpmx_live_slot **room)
{
	uint32_t at = (uint32_t)name_hash(name, length) & (LPMX_CONTROL_TABLE_SLOTS - 1);

	if (room)
		*room = 0;
	for (uint32_t tries = 0; tries < LPMX_CONTROL_TABLE_SLOTS; tries++) {
		struct lpmx_live_slot *slot = &table->slots[at];
		uint64_t offset = __atomic_load_n(&slot->name, __ATOMIC_ACQUIRE);

		if (!offset) {
			if (room)
				*room = slot;
			return 0;
		}
		if (is_name(heap_text(page, offset, length), name, length))
			return slot;
		at = (at + 1) & (LPMX_CONTROL_TABLE_SLOTS - 1);
	}
	return 0;
}

/* Has anything ever been in the table? */
static uint32_t in_use(const struct lpmx_live_table *table)
{
	return __atomic_load_n(&table->used, __ATOMIC_ACQUIRE);
}

/* Room for `size` bytes, 8-aligned, and on the disk: or -errno.  Under the lock. */
static long heap_take(struct core_view *view, size_t size)
{
	struct lpmx_control *page = view->control;
	uint64_t at = page->heap_used < 8 ? 8 : (page->heap_used + 7) & ~7ull;
	long r;

	if (size > LPMX_CONTROL_HEAP_SIZE || at > LPMX_CONTROL_HEAP_SIZE - size)
		return -ENOSPC;
	r = control_room(view, at, size);
	if (r < 0)
		return r;
	page->heap_used = at + size;
	return (long)at;
}

static uint64_t now(void)
{
	int64_t time[2]; /* seconds, nanoseconds */

	return sys_call2(__NR_clock_gettime, CLOCK_REALTIME_, time) < 0
		       ? 0
		       : (uint64_t)time[0] * 1000000000u + (uint64_t)time[1];
}

static long publish(struct core_view *view, struct lpmx_live_table *table, const char *name,
		    const char *value)
{
	struct lpmx_control *page = view->control;
	size_t name_length = text_length(name), length = value ? text_length(value) : 0;
	struct lpmx_live_slot *room, *slot = find(page, table, name, name_length, &room);
	struct lpmx_live_value *record;
	long at, name_at = 0;

	if (!slot && !room)
		return -ENOSPC;
	if (!slot) {
		name_at = heap_take(view, name_length + 1);
		if (name_at < 0)
			return name_at;
		text_put(page->heap + name_at, name);
	}
	at = heap_take(view, sizeof(*record) + length + 1);
	if (at < 0)
		return at;
	record = (void *)(page->heap + at);
	record->generation = table->generation + 1;
	record->length = (uint32_t)length;
	record->flags = value ? 0 : LPMX_LIVE_UNSET;
	record->previous = slot ? slot->value : 0;
	record->time = now();
	record->pid = (uint32_t)sys_call0(__NR_getpid);
	record->reserved = 0;
	bytes_copy(record + 1, value ? value : "", length + 1);
	if (!slot) {
		/* value before name: who finds the name finds a value */
		slot = room;
		__atomic_store_n(&slot->value, (uint64_t)at, __ATOMIC_RELEASE);
		__atomic_store_n(&slot->name, (uint64_t)name_at, __ATOMIC_RELEASE);
		__atomic_fetch_add(&table->used, 1, __ATOMIC_RELEASE);
	} else {
		__atomic_store_n(&slot->value, (uint64_t)at, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&table->generation, table->generation + 1, __ATOMIC_RELEASE);
	return 0;
}

/* `table` is part of view->control, which may not be there. */
static long change(struct core_view *view, struct lpmx_live_table *table, const char *name,
		   const char *value)
{
	struct upper_lock lock;
	long r;

	if (!view->control)
		return -EOPNOTSUPP;
	r = upper_lock(view, &lock);
	if (r < 0)
		return r;
	r = publish(view, table, name, value);
	upper_unlock(&lock);
	return r;
}

static const struct lpmx_live_value *current(const struct core_view *view,
					     struct lpmx_live_table *table, const char *name,
					     size_t length)
{
	struct lpmx_live_slot *slot = find(view->control, table, name, length, 0);

	return slot ? heap_value(view->control, __atomic_load_n(&slot->value, __ATOMIC_ACQUIRE)) : 0;
}

static const char *value_text(const struct lpmx_live_value *value)
{
	return (const char *)(value + 1);
}

/* ---- the environment ------------------------------------------------------------------- */

static long name_allowed(const char *name)
{
	if (!name[0] || text_begins(name, "LPMX_"))
		return -EINVAL;
	for (; *name; name++)
		if (*name == '=')
			return -EINVAL;
	return 0;
}

long core_environment_set(struct core_view *view, const char *name, const char *value)
{
	long r = name_allowed(name);

	return r < 0 ? r : change(view, &view->control->environment, name, value);
}

long core_environment_unset(struct core_view *view, const char *name)
{
	return core_environment_set(view, name, 0);
}

static long list(const struct core_view *view, struct lpmx_live_table *table, uint32_t *position,
		 const char **name, const char **value)
{
	while (*position < LPMX_CONTROL_TABLE_SLOTS) {
		struct lpmx_live_slot *slot = &table->slots[(*position)++];
		uint64_t at = __atomic_load_n(&slot->name, __ATOMIC_ACQUIRE);
		const struct lpmx_live_value *record;

		*name = heap_text(view->control, at, heap_length(view->control, at));
		if (!*name)
			continue;
		record = heap_value(view->control, __atomic_load_n(&slot->value, __ATOMIC_ACQUIRE));
		if (!record)
			continue;
		*value = record->flags & LPMX_LIVE_UNSET ? 0 : value_text(record);
		return 1;
	}
	return 0;
}

long core_environment_list(const struct core_view *view, uint32_t *position, const char **name,
			   const char **value)
{
	return view->control ? list(view, &view->control->environment, position, name, value) : 0;
}

long core_environment_history(const struct core_view *view, struct core_change *c)
{
	const struct lpmx_control *page = view->control;

	for (; page && c->slot < LPMX_CONTROL_TABLE_SLOTS; c->slot++, c->record = 0) {
		const struct lpmx_live_slot *slot = &page->environment.slots[c->slot];
		const struct lpmx_live_value *found = heap_value(page, c->record);
		uint64_t name = __atomic_load_n(&slot->name, __ATOMIC_ACQUIRE);
		uint64_t at = found ? found->previous : __atomic_load_n(&slot->value, __ATOMIC_ACQUIRE);

		/* records only ever point down: a damaged page has an end, too */
		if (!name || !at || (c->record && at >= c->record))
			continue;
		found = heap_value(page, at);
		c->name = heap_text(page, name, heap_length(page, name));
		if (!found || !c->name)
			continue;
		c->record = at;
		c->value = found->flags & LPMX_LIVE_UNSET ? 0 : value_text(found);
		c->generation = found->generation;
		c->time = found->time;
		c->pid = found->pid;
		return 1;
	}
	return 0;
}

long core_exec_map_list(const struct core_view *view, uint32_t *position, const char **path,
			const char **target)
{
	return view->control ? list(view, &view->control->exec_map, position, path, target) : 0;
}

/* The end of the name in "NAME=VALUE". */
static size_t name_end(const char *entry)
{
	size_t n = 0;

	while (entry[n] && entry[n] != '=')
		n++;
	return n;
}

static uint64_t value_hash(const char *value)
{
	uint64_t hash = value ? fnv(value, text_length(value)) : NO_VALUE;

	return value && hash == NO_VALUE ? 2 : hash;
}

size_t core_environment_count(const struct core_view *view)
{
	uint32_t n = view->control ? in_use(&view->control->environment) : 0;

	return n < LPMX_CONTROL_TABLE_SLOTS ? n : LPMX_CONTROL_TABLE_SLOTS;
}

uint64_t core_environment_generation(const struct core_view *view)
{
	return view->control ? __atomic_load_n(&view->control->environment.generation, __ATOMIC_ACQUIRE)
			     : 0;
}

void core_environment_begin(struct core_task *task, char *const *envp)
{
	task->environment_count = 0;
	task->environment_start = core_environment_generation(task->view);
	for (; envp && *envp && task->environment_count < 1024; envp++) {
		size_t n = name_end(*envp);

		if (!(*envp)[n])
			continue;
		task->environment_own[task->environment_count].name = name_hash(*envp, n);
		task->environment_own[task->environment_count++].value = value_hash(*envp + n + 1);
	}
}

static uint64_t started_with(const struct core_task *task, const char *name, size_t length)
{
	uint64_t hash = name_hash(name, length);

	for (uint32_t i = 0; i < task->environment_count; i++)
		if (task->environment_own[i].name == hash)
			return task->environment_own[i].value;
	return NO_VALUE;
}

/*
 * The live value that applies to a process whose own value is `own`: 1 and
 * *value (NULL: unset), or 0 if its own holds.
 */
static int applies(const struct core_task *task, const char *name, size_t length, const char *own,
		   const char **value)
{
	const struct core_view *view = task->view;
	const struct lpmx_live_value *record;

	if (!view->control || !in_use(&view->control->environment))
		return 0;
	record = current(view, &view->control->environment, name, length);
	if (!record)
		return 0;
	/* what it started with already had it; from then on it is the program's */
	if (record->generation <= task->environment_start)
		return 0;
	if (value_hash(own) != started_with(task, name, length))
		return 0;
	*value = record->flags & LPMX_LIVE_UNSET ? 0 : value_text(record);
	return 1;
}

const char *core_environment_get(struct core_task *task, const char *name, const char *own)
{
	const char *value;

	return applies(task, name, text_length(name), own, &value) ? value : own;
}

static int private_name(const char *entry)
{
	return text_begins(entry, LPMX_ENV_VIEW "=") || text_begins(entry, LPMX_ENV_PROGRAM "=") ||
	       text_begins(entry, LPMX_ENV_STATE "=") || text_begins(entry, LPMX_ENV_CALL "=") ||
	       text_begins(entry, LPMX_ENV_REFUSED "=") || text_begins(entry, LPMX_ENV_TRACED "=") ||
	       text_begins(entry, LPMX_ENV_SINCE "=") || text_begins(entry, "LPMX_CWD=") ||
	       text_begins(entry, "LPMX_START=") || text_begins(entry, "LPMX_FILE=") ||
	       text_begins(entry, "LPMX_INTERPRETER=");
}

static int has_name(char *const *envp, const char *name, size_t length)
{
	for (; envp && *envp; envp++)
		if (text_same(*envp, name, length < text_length(*envp) ? length : text_length(*envp)) &&
		    name_end(*envp) == length)
			return 1;
	return 0;
}

/* "NAME=VALUE" in the arena; NULL if there is no room. */
static char *pair(char **arena, char *end, const char *name, size_t length, const char *value)
{
	size_t size = length + 1 + text_length(value) + 1;
	char *entry = *arena;

	if (size > (size_t)(end - entry))
		return 0;
	bytes_copy(entry, name, length);
	entry[length] = '=';
	text_put(entry + length + 1, value);
	*arena += size;
	return entry;
}

long core_environment_apply(struct core_task *task, char *const *envp, char **out, size_t max,
			    char *arena, size_t arena_size)
{
	const struct core_view *view = task->view;
	char *end = arena + arena_size;
	const char *name, *value;
	uint32_t position = 0;
	size_t count = 0;

	for (char *const *entry = envp; entry && *entry; entry++) {
		size_t n = name_end(*entry);

		if (private_name(*entry))
			continue;
		if (count + 1 >= max)
			return -E2BIG;
		if ((*entry)[n] && applies(task, *entry, n, *entry + n + 1, &value)) {
			if (!value)
				continue;
			if (!(out[count] = pair(&arena, end, *entry, n, value)))
				return -E2BIG;
			count++;
			continue;
		}
		out[count++] = *entry;
	}
	/* those it never had */
	while (view->control && in_use(&view->control->environment) &&
	       core_environment_list(view, &position, &name, &value)) {
		size_t n = text_length(name);

		if (!value || has_name(envp, name, n) || !applies(task, name, n, 0, &value) || !value)
			continue;
		if (count + 1 >= max || !(out[count] = pair(&arena, end, name, n, value)))
			return -E2BIG;
		count++;
	}
	out[count] = 0;
	return (long)count;
}

/* ---- the exec map ------------------------------------------------------------------------- */

long core_exec_map_set(struct core_view *view, const char *path, const char *target)
{
	if (path[0] != '/')
		return -EINVAL;
	return change(view, &view->control->exec_map, path, target);
}

long core_exec_map_unset(struct core_view *view, const char *path)
{
	return core_exec_map_set(view, path, 0);
}

const char *core_exec_map_get(const struct core_view *view, const char *path)
{
	const struct lpmx_live_value *record;

	if (!view->control || !in_use(&view->control->exec_map))
		return 0;
	record = current(view, &view->control->exec_map, path, text_length(path));
	return record && !(record->flags & LPMX_LIVE_UNSET) ? value_text(record) : 0;
}
