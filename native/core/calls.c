/*
 * From a system call's number to what it means in a view: the one table.  What
 * is not in it does not name a file and is the kernel's alone.
 */
#include "internal.h"

struct call {
	short nr;
	core_handler *handler;
};

/* Calls that would reach past the view and that programs can do without. */
static long call_absent(struct core_task *task, long nr, const long a[6])
{
	(void)task;
	(void)nr;
	(void)a;
	return -ENOSYS;
}

#define NR(name, handler) { __NR_##name, handler }

static const struct call calls[] = {
#ifdef __NR_open
	/* the calls that younger architectures never had */
	NR(open, call_open),
	NR(creat, call_open),
	NR(stat, call_stat),
	NR(lstat, call_stat),
	NR(access, call_access),
	NR(readlink, call_readlink),
	NR(getdents, call_getdents),
	NR(mkdir, call_mkdir),
	NR(mknod, call_mknod),
	NR(unlink, call_unlink),
	NR(rmdir, call_unlink),
	NR(rename, call_rename),
	NR(link, call_link),
	NR(symlink, call_symlink),
	NR(chmod, call_chmod),
	NR(chown, call_chown),
	NR(lchown, call_chown),
	NR(utime, call_times),
	NR(utimes, call_times),
	NR(futimesat, call_times),
	NR(uselib, call_absent),
#endif
	NR(openat, call_open),
	NR(openat2, call_open),
	NR(newfstatat, call_stat),
	NR(fstat, call_stat),
	NR(statx, call_stat),
	NR(faccessat, call_access),
	{ 439, call_access },  /* faccessat2 */
	NR(readlinkat, call_readlink),
	NR(getdents64, call_getdents),
	NR(statfs, call_statfs),
	NR(fstatfs, call_statfs),
	NR(chdir, call_chdir),
	NR(getcwd, call_getcwd),
	NR(chroot, call_chroot),
	NR(mkdirat, call_mkdir),
	NR(mknodat, call_mknod),
	NR(unlinkat, call_unlink),
	NR(renameat, call_rename),
	NR(renameat2, call_rename),
	NR(linkat, call_link),
	NR(symlinkat, call_symlink),
	NR(fchmodat, call_chmod),
	{ 452, call_chmod },   /* fchmodat2 */
	NR(fchmod, call_chmod),
	NR(fchownat, call_chown),
	NR(fchown, call_chown),
	NR(truncate, call_truncate),
	NR(utimensat, call_times),
	NR(setxattr, call_xattr),
	NR(lsetxattr, call_xattr),
	NR(fsetxattr, call_xattr),
	NR(getxattr, call_xattr),
	NR(lgetxattr, call_xattr),
	NR(fgetxattr, call_xattr),
	NR(listxattr, call_xattr),
	NR(llistxattr, call_xattr),
	NR(flistxattr, call_xattr),
	NR(removexattr, call_xattr),
	NR(lremovexattr, call_xattr),
	NR(fremovexattr, call_xattr),
	NR(fsync, call_sync),
	NR(fdatasync, call_sync),
	NR(syncfs, call_sync),
	NR(inotify_add_watch, call_watch),
	NR(fanotify_mark, call_watch),
	NR(name_to_handle_at, call_handle),
	NR(bind, call_socket),
	NR(connect, call_socket),
	NR(sendto, call_socket),
	NR(sendmsg, call_socket),
	NR(sendmmsg, call_socket),
	NR(getsockname, call_peer),
	NR(getpeername, call_peer),
	NR(accept, call_peer),
	NR(accept4, call_peer),
	NR(recvfrom, call_peer),
	NR(recvmsg, call_peer),
	NR(recvmmsg, call_peer),
	NR(getsockopt, call_peer),
	NR(ioctl, call_ioctl),
	NR(getuid, call_identity),
	NR(geteuid, call_identity),
	NR(getgid, call_identity),
	NR(getegid, call_identity),
	NR(getresuid, call_identity),
	NR(getresgid, call_identity),
	NR(getgroups, call_identity),
	NR(setgroups, call_identity),
	NR(setuid, call_identity),
	NR(setgid, call_identity),
	NR(setreuid, call_identity),
	NR(setregid, call_identity),
	NR(setresuid, call_identity),
	NR(setresgid, call_identity),
	NR(setfsuid, call_identity),
	NR(setfsgid, call_identity),
	NR(capget, call_capabilities),
	NR(capset, call_capabilities),
	/* descriptors of whole mounts, and attribute calls younger than this table */
	{ 428, call_absent },  /* open_tree */
	{ 463, call_absent },  /* setxattrat */
	{ 464, call_absent },  /* getxattrat */
	{ 465, call_absent },  /* listxattrat */
	{ 466, call_absent },  /* removexattrat */
	{ 467, call_absent },  /* open_tree_attr */
	{ 468, call_absent },  /* file_getattr */
	{ 469, call_absent },  /* file_setattr */
};

#define COUNT (sizeof(calls) / sizeof(*calls))
#define NUMBERS_MAX 512

/* Filled on first use; the same bytes whoever fills it, so no lock. */
static core_handler *by_number[NUMBERS_MAX];
static int filled;

static core_handler *handler_of(long nr)
{
	if (!__atomic_load_n(&filled, __ATOMIC_ACQUIRE)) {
		for (unsigned i = 0; i < COUNT; i++)
			__atomic_store_n(&by_number[calls[i].nr], calls[i].handler, __ATOMIC_RELAXED);
		__atomic_store_n(&filled, 1, __ATOMIC_RELEASE);
	}
	return nr >= 0 && nr < NUMBERS_MAX ? __atomic_load_n(&by_number[nr], __ATOMIC_RELAXED)
					    : 0;
}

long core_call_number(unsigned position)
{
	return position < COUNT ? calls[position].nr : -1;
}

long core_call(struct core_task *task, long nr, const long a[6])
{
	core_handler *handler = handler_of(nr);

	if (!handler || task->view->kind == CORE_VIEW_HOST)
		return sys_wait6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	return handler(task, nr, a);
}
