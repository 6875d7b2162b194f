/* Watches by fanotify, and the handles that they tell of objects by. */
#include "caller.h"

#include <stdio.h>
#include <sys/fanotify.h>

#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID 0x200
#endif
#define TOLD (FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_MODIFY \
	      | FAN_CLOSE_WRITE | FAN_EVENT_ON_CHILD)

struct handle {
	struct file_handle head;
	unsigned char data[MAX_HANDLE_SZ];
};

static long handle_of(long at, const char *path, long flags, struct handle *handle)
{
	int mount;

	memset(handle, 0, sizeof(*handle));
	handle->head.handle_bytes = sizeof(handle->data);
	return call(SYS_name_to_handle_at, fd_of(at), P(path), P(handle), P(&mount), flags);
}

static int same_handle(const struct handle *one, const struct handle *other)
{
	return one->head.handle_type == other->head.handle_type
	       && one->head.handle_bytes == other->head.handle_bytes
	       && !memcmp(one->data, other->data, one->head.handle_bytes);
}

/* handle AT =PATH FLAGS: name_to_handle_at, and open_by_handle_at of what it gives */
static void handle_(const struct word *a)
{
	struct handle handle;
	long result = handle_of(a[0].number, a[1].text, a[2].number, &handle);

	say_error(result);
}

/* handles AT =PATH AT =OTHER FLAGS: whether they are of one object */
static void handles(const struct word *a)
{
	struct handle one, other;
	long result = handle_of(a[0].number, a[1].text, a[4].number, &one);

	if (!result)
		result = handle_of(a[2].number, a[3].text, a[4].number, &other);
	say_error(result);
	if (!result)
		say(same_handle(&one, &other) ? " same" : " other");
}

/* openhandle SLOT =PATH FLAGS: what name_to_handle_at gave, opened: for who has a right to */
static void openhandle(const struct word *a)
{
	struct handle handle;
	long result = handle_of(AT_FDCWD, a[1].text, 0, &handle);

	if (!result) {
		result = call(SYS_open_by_handle_at, AT_FDCWD, P(&handle), a[2].number | O_CLOEXEC);
		keep(a[0].number, result);
	}
	say_error(result);
}

/* What is behind an event, the handle in memory of its own: events lie anywhere. */
static void say_information(const char *data, size_t size, const struct handle *directory)
{
	struct fanotify_event_info_fid information;
	struct handle handle;
	size_t at = sizeof(information);

	memcpy(&information, data, at);
	memset(&handle, 0, sizeof(handle));
	memcpy(&handle.head, data + at, sizeof(handle.head));
	at += sizeof(handle.head);
	if (handle.head.handle_bytes > sizeof(handle.data) || at + handle.head.handle_bytes > size) {
		say("not understood");
		return;
	}
	memcpy(handle.data, data + at, handle.head.handle_bytes);
	if (information.hdr.info_type != FAN_EVENT_INFO_TYPE_FID)
		say_bytes(data + at + handle.head.handle_bytes,
			  (long)strlen(data + at + handle.head.handle_bytes));
	say(same_handle(&handle, directory) ? " in" : " elsewhere");
}

static void say_names(int fd, const struct handle *directory)
{
	struct fanotify_event_metadata event;
	char data[8192];
	ssize_t size = read(fd, data, sizeof(data));

	for (ssize_t at = 0; at < size; at += event.event_len) {
		memcpy(&event, data + at, sizeof(event));
		if (event.event_len == sizeof(event)) {
			say(" nothing");
			continue;
		}
		say(" %s%s:", event.mask & FAN_ONDIR ? "directory " : "",
		    event.mask & (FAN_CREATE | FAN_MOVED_TO) ? "appears" :
		    event.mask & (FAN_DELETE | FAN_MOVED_FROM) ? "goes" :
		    event.mask & FAN_MODIFY ? "modified" : event.mask & FAN_CLOSE_WRITE ? "written" : "other");
		say_information(data + at + sizeof(event), event.event_len - sizeof(event), directory);
	}
}

static int begin_watch(void)
{
	return fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_REPORT_DIR_FID | FAN_REPORT_NAME
			     | FAN_CLOEXEC | FAN_NONBLOCK, 0);
}

void make_and_remove(const char *directory, const char *name, void (*between)(void *), void *of)
{
	char path[4400], moved[4410];
	long file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	snprintf(moved, sizeof(moved), "%s.moved", path);
	file = call(SYS_openat, AT_FDCWD, P(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	say_error(file < 0 ? file : 0);
	if (file < 0)
		return;
	call(SYS_write, file, P("x"), 1);
	call(SYS_close, file);
	if (between)
		between(of);
	call(SYS_renameat2, AT_FDCWD, P(path), AT_FDCWD, P(moved), 0);
	if (between)
		between(of);
	call(SYS_unlinkat, AT_FDCWD, P(moved), 0);
}

/* `of`: the watch, and the handle of the directory. */
static void say_names_of(void *of)
{
	void **both = of;

	say_names(*(int *)both[0], both[1]);
}

/*
 * marked =DIRECTORY =NAME [SLOT]: what a mark on the directory tells of a name's life in it;
 * it is named by the path, or by the slot and no path
 */
static void marked(const struct word *a)
{
	int fd = begin_watch();
	struct handle directory;
	long result = a[2].number
		? call(SYS_fanotify_mark, fd, FAN_MARK_ADD, TOLD, fd_of(a[2].number), 0)
		: call(SYS_fanotify_mark, fd, FAN_MARK_ADD, TOLD, AT_FDCWD, P(a[0].text));

	say_error(result);
	say(" ");
	say_error(handle_of(AT_FDCWD, a[0].text, AT_HANDLE_FID | AT_SYMLINK_FOLLOW, &directory));
	say(" ");
	make_and_remove(a[0].text, a[1].text, say_names_of, (void *[]){ &fd, &directory });
	say_names(fd, &directory);
	close(fd);
}

/* markedfile =FILE: what a mark on it tells when it is written to, and that it is this file */
static void markedfile(const struct word *a)
{
	int fd = begin_watch();
	struct handle handle;
	long file, result = call(SYS_fanotify_mark, fd, FAN_MARK_ADD, FAN_MODIFY | FAN_CLOSE_WRITE,
				 AT_FDCWD, P(a[0].text));

	say_error(result);
	say(" ");
	say_error(handle_of(AT_FDCWD, a[0].text, AT_HANDLE_FID | AT_SYMLINK_FOLLOW, &handle));
	file = call(SYS_openat, AT_FDCWD, P(a[0].text), O_WRONLY | O_APPEND | O_CLOEXEC, 0);
	say(" ");
	say_error(file < 0 ? file : 0);
	if (file >= 0) {
		call(SYS_write, file, P("x"), 1);
		call(SYS_close, file);
	}
	say_names(fd, &handle);
	say(" ");
	say_error(call(SYS_fanotify_mark, fd, FAN_MARK_REMOVE, FAN_MODIFY | FAN_CLOSE_WRITE,
		       AT_FDCWD, P(a[0].text)));
	close(fd);
}

/* mark FLAGS MASK AT =PATH: fanotify_mark alone; no path where there are no bytes */
static void mark(const struct word *a)
{
	int fd = begin_watch();

	say_error(call(SYS_fanotify_mark, fd, a[0].number, a[1].number, fd_of(a[2].number),
		       a[3].size ? P(a[3].text) : 0));
	close(fd);
}

const struct named_operation watch_operations[] = {
	{ "handle", handle_ }, { "handles", handles }, { "openhandle", openhandle },
	{ "marked", marked }, { "markedfile", markedfile }, { "mark", mark }, { NULL, NULL },
};
