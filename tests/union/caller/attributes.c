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

/* setxattrat AT =PATH FLAGS =NAME =VALUE HOW [SIZE of the arguments] */
static void setxattrat_(const struct word *a)
{
	uint64_t arguments[3] = { (uint64_t)P(a[4].text),
				  (uint64_t)a[4].size | (uint64_t)a[5].number << 32, 0 };

	say_error(call(463, fd_of(a[0].number), P(a[1].text), a[2].number, P(a[3].text),
		       P(arguments), a[6].number ? a[6].number : 16));
}

/* getxattrat AT =PATH FLAGS =NAME [HOW] */
static void getxattrat_(const struct word *a)
{
	char data[256];
	uint64_t arguments[2] = { (uint64_t)P(data), sizeof(data) | (uint64_t)a[4].number << 32 };
	long size = call(464, fd_of(a[0].number), P(a[1].text), a[2].number, P(a[3].text),
			 P(arguments), sizeof(arguments));

	say_error(size);
	if (size > 0) {
		say(" ");
		say_bytes(data, size);
	}
}

/* listxattrat AT =PATH FLAGS */
static void listxattrat_(const struct word *a)
{
	char data[4096], *names[64];
	long size = call(465, fd_of(a[0].number), P(a[1].text), a[2].number, P(data), sizeof(data));
	int count = user_names(data, size < 0 ? 0 : size, names, 64);

	say_error(size);
	for (int i = 0; i < count; i++)
		say(" %s", names[i]);
}

/* removexattrat AT =PATH FLAGS =NAME */
static void removexattrat_(const struct word *a)
{
	say_error(call(466, fd_of(a[0].number), P(a[1].text), a[2].number, P(a[3].text)));
}

#define TOLD_XFLAGS (FS_XFLAG_NODUMP | FS_XFLAG_NOATIME)

/* getfileattr AT =PATH FLAGS [SIZE] */
static void getfileattr(const struct word *a)
{
	uint64_t data[16] = { 0 };
	long result = call(468, fd_of(a[0].number), P(a[1].text), P(data),
			   a[3].number ? a[3].number : 24, a[2].number);

	say_error(result);
	if (!result)
		say(" %lx", (long)(data[0] & TOLD_XFLAGS));
}

/* setfileattr AT =PATH FLAGS XFLAGS */
static void setfileattr(const struct word *a)
{
	uint64_t data[3] = { (uint64_t)a[3].number, 0, 0 };

	say_error(call(469, fd_of(a[0].number), P(a[1].text), P(data), sizeof(data), a[2].number));
}

/*
 * setflags SLOT FLAGS: the flags of chattr, by its ioctl; and those of them that are there.
 * As chattr does, the others stay: without that of extents ext4 would lay the file out anew,
 * which it refuses for one that is in more pieces than one.
 */
static void setflags(const struct word *a)
{
	const int ours = FS_NODUMP_FL | FS_NOATIME_FL;
	int flags = 0, found = 0;

	call(SYS_ioctl, fd_of(a[0].number), FS_IOC_GETFLAGS, P(&flags));
	flags = (flags & ~ours) | (int)a[1].number;
	say_error(call(SYS_ioctl, fd_of(a[0].number), FS_IOC_SETFLAGS, P(&flags)));
	say(" ");
	say_error(call(SYS_ioctl, fd_of(a[0].number), FS_IOC_GETFLAGS, P(&found)));
	say(" %lx", (long)(found & ours));
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
	{ "setflags", setflags }, { "setxattrat", setxattrat_ }, { "getxattrat", getxattrat_ },
	{ "listxattrat", listxattrat_ }, { "removexattrat", removexattrat_ },
	{ "getfileattr", getfileattr }, { "setfileattr", setfileattr }, { NULL, NULL },
};
