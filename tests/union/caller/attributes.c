/* Operations on extended attributes: by name, by name of a link itself, by descriptor. */
#include "caller.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

enum form { FOLLOWING, ITSELF, DESCRIPTOR };

static const long set_calls[] = { SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr },
		  get_calls[] = { SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr },
		  list_calls[] = { SYS_listxattr, SYS_llistxattr, SYS_flistxattr },
		  remove_calls[] = { SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr };

static long target(enum form form, const struct word *word)
{
	return form == DESCRIPTOR ? fd_of(word->number) : P(word->text);
}

/* setxattr WHERE =NAME =VALUE FLAGS */
static void set(enum form form, const struct word *a)
{
	say_error(call(set_calls[form], target(form, &a[0]), P(a[1].text), P(a[2].text),
		       a[2].size, a[3].number));
}

/* getxattr WHERE =NAME [ROOM] */
static void get(enum form form, const struct word *a)
{
	char data[256];
	long room = a[2].number ? a[2].number : (long)sizeof(data), size;

	size = call(get_calls[form], target(form, &a[0]), P(a[1].text), P(data),
		    room < 0 ? 0 : room);
	say_error(size);
	if (size >= 0)
		say(" %ld ", size);
	if (size > 0 && room > 0)
		say_bytes(data, size);
}

/* listxattr WHERE */
static void list(enum form form, const struct word *a)
{
	char data[4096], *names[64];
	long size = call(list_calls[form], target(form, &a[0]), P(data), sizeof(data));
	int count = user_names(data, size < 0 ? 0 : size, names, 64);

	say_error(size);
	for (int i = 0; i < count; i++)
		say(" %s", names[i]);
}

/* removexattr WHERE =NAME */
static void take_away(enum form form, const struct word *a)
{
	say_error(call(remove_calls[form], target(form, &a[0]), P(a[1].text)));
}

/* setflags SLOT FLAGS: the flags of chattr, by its ioctl; and those of them that are there */
static void setflags(const struct word *a)
{
	long flags = a[1].number, found = 0;

	say_error(call(SYS_ioctl, fd_of(a[0].number), FS_IOC_SETFLAGS, P(&flags)));
	say(" ");
	say_error(call(SYS_ioctl, fd_of(a[0].number), FS_IOC_GETFLAGS, P(&found)));
	say(" %lx", found & (FS_NODUMP_FL | FS_NOATIME_FL));
}

#define FORMS(name, function)                                                      \
	static void name(const struct word *a) { function(FOLLOWING, a); }         \
	static void l##name(const struct word *a) { function(ITSELF, a); }         \
	static void f##name(const struct word *a) { function(DESCRIPTOR, a); }

FORMS(setxattr_, set)
FORMS(getxattr_, get)
FORMS(listxattr_, list)
FORMS(removexattr_, take_away)

const struct named_operation attribute_operations[] = {
	{ "setxattr", setxattr_ }, { "lsetxattr", lsetxattr_ }, { "fsetxattr", fsetxattr_ },
	{ "getxattr", getxattr_ }, { "lgetxattr", lgetxattr_ }, { "fgetxattr", fgetxattr_ },
	{ "listxattr", listxattr_ }, { "llistxattr", llistxattr_ },
	{ "flistxattr", flistxattr_ }, { "removexattr", removexattr_ },
	{ "lremovexattr", lremovexattr_ }, { "fremovexattr", fremovexattr_ },
	{ "setflags", setflags }, { NULL, NULL },
};
