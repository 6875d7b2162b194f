/*
 * From a system call's number to what it means in a view: the one table.  What
 * is not in it does not name a file and is the kernel's alone.  For the trace, each
 * has its name and what its arguments are: d the descriptor of a directory, m a mode
 * where the flags before it ask for one, n a number, o octal, p a pointer, s a path or
 * name, x hexadecimal.
 */
#include "internal.h"

struct call {
	struct call_name name;
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

#define NUMBERS_MAX 512
#define NR(name, handler, arguments) [__NR_##name] = { { #name, arguments }, handler }

static const struct call calls[NUMBERS_MAX] = {
#ifndef SYS_WITHOUT_OLD_CALLS
	/* the calls that younger architectures never had */
	NR(open, call_open, "sxm"),
	NR(creat, call_open, "so"),
	NR(stat, call_stat, "sp"),
	NR(lstat, call_stat, "sp"),
	NR(access, call_access, "sx"),
	NR(readlink, call_readlink, "spn"),
	NR(getdents, call_getdents, "npn"),
	NR(mkdir, call_mkdir, "so"),
	NR(mknod, call_mknod, "sox"),
	NR(unlink, call_unlink, "s"),
	NR(rmdir, call_unlink, "s"),
	NR(rename, call_rename, "ss"),
	NR(link, call_link, "ss"),
	NR(symlink, call_symlink, "ss"),
	NR(chmod, call_chmod, "so"),
	NR(chown, call_chown, "snn"),
	NR(lchown, call_chown, "snn"),
	NR(utime, call_times, "sp"),
	NR(utimes, call_times, "sp"),
	NR(futimesat, call_times, "dsp"),
	NR(uselib, call_absent, "s"),
#endif
	NR(openat, call_open, "dsxm"),
	NR(openat2, call_open, "dspn"),
	NR(newfstatat, call_stat, "dspx"),
	NR(fstat, call_stat, "np"),
	NR(statx, call_stat, "dsxxp"),
	NR(faccessat, call_access, "dsx"),
	[439] = { { "faccessat2", "dsxx" }, call_access },
	NR(readlinkat, call_readlink, "dspn"),
	NR(getdents64, call_getdents, "npn"),
	NR(statfs, call_statfs, "sp"),
	NR(fstatfs, call_statfs, "np"),
	NR(chdir, call_chdir, "s"),
	NR(getcwd, call_getcwd, "pn"),
	NR(chroot, call_chroot, "s"),
	NR(mkdirat, call_mkdir, "dso"),
	NR(mknodat, call_mknod, "dsox"),
	NR(unlinkat, call_unlink, "dsx"),
	NR(renameat, call_rename, "dsds"),
	NR(renameat2, call_rename, "dsdsx"),
	NR(linkat, call_link, "dsdsx"),
	NR(symlinkat, call_symlink, "sds"),
	NR(fchmodat, call_chmod, "dso"),
	[452] = { { "fchmodat2", "dsox" }, call_chmod },
	NR(fchmod, call_chmod, "no"),
	NR(fchownat, call_chown, "dsnnx"),
	NR(fchown, call_chown, "nnn"),
	NR(truncate, call_truncate, "sn"),
	NR(utimensat, call_times, "dspx"),
	NR(setxattr, call_xattr, "sspnx"),
	NR(lsetxattr, call_xattr, "sspnx"),
	NR(fsetxattr, call_xattr, "nspnx"),
	NR(getxattr, call_xattr, "sspn"),
	NR(lgetxattr, call_xattr, "sspn"),
	NR(fgetxattr, call_xattr, "nspn"),
	NR(listxattr, call_xattr, "spn"),
	NR(llistxattr, call_xattr, "spn"),
	NR(flistxattr, call_xattr, "npn"),
	NR(removexattr, call_xattr, "ss"),
	NR(lremovexattr, call_xattr, "ss"),
	NR(fremovexattr, call_xattr, "ns"),
	NR(fsync, call_sync, "n"),
	NR(fdatasync, call_sync, "n"),
	NR(syncfs, call_sync, "n"),
	NR(inotify_add_watch, call_watch, "nsx"),
	NR(fanotify_mark, call_watch, "nxxds"),
	NR(name_to_handle_at, call_handle, "dsppx"),
	NR(open_by_handle_at, call_by_handle, "npx"),
	NR(bind, call_socket, "npn"),
	NR(connect, call_socket, "npn"),
	NR(sendto, call_socket, "npnxpn"),
	NR(sendmsg, call_socket, "npx"),
	NR(sendmmsg, call_socket, "npnx"),
	NR(getsockname, call_peer, "npp"),
	NR(getpeername, call_peer, "npp"),
	NR(accept, call_peer, "npp"),
	NR(accept4, call_peer, "nppx"),
	NR(recvfrom, call_peer, "npnxpp"),
	NR(recvmsg, call_peer, "npx"),
	NR(recvmmsg, call_peer, "npnxp"),
	NR(getsockopt, call_peer, "nnnpp"),
	NR(ioctl, call_ioctl, "nxp"),
	NR(getuid, call_identity, ""),
	NR(geteuid, call_identity, ""),
	NR(getgid, call_identity, ""),
	NR(getegid, call_identity, ""),
	NR(getresuid, call_identity, "ppp"),
	NR(getresgid, call_identity, "ppp"),
	NR(getgroups, call_identity, "np"),
	NR(setgroups, call_identity, "np"),
	NR(setuid, call_identity, "n"),
	NR(setgid, call_identity, "n"),
	NR(setreuid, call_identity, "nn"),
	NR(setregid, call_identity, "nn"),
	NR(setresuid, call_identity, "nnn"),
	NR(setresgid, call_identity, "nnn"),
	NR(setfsuid, call_identity, "n"),
	NR(setfsgid, call_identity, "n"),
	NR(capget, call_capabilities, "pp"),
	NR(capset, call_capabilities, "pp"),
	[463] = { { "setxattrat", "dsxspn" }, call_xattr },
	[464] = { { "getxattrat", "dsxspn" }, call_xattr },
	[465] = { { "listxattrat", "dsxpn" }, call_xattr },
	[466] = { { "removexattrat", "dsxs" }, call_xattr },
	[468] = { { "file_getattr", "dspnx" }, call_attributes },
	[469] = { { "file_setattr", "dspnx" }, call_attributes },
	/* descriptors of whole mounts */
	[428] = { { "open_tree", "dsx" }, call_absent },
	[467] = { { "open_tree_attr", "dsxpn" }, call_absent },
};

static const struct call *call_of(long nr)
{
	return nr >= 0 && nr < NUMBERS_MAX && calls[nr].handler ? &calls[nr] : 0;
}

const struct call_name *call_name(long nr)
{
	const struct call *call = call_of(nr);

	return call ? &call->name : 0;
}

long core_call_after(long nr)
{
	while (++nr < NUMBERS_MAX)
		if (calls[nr].handler)
			return nr;
	return -1;
}

long core_call(struct core_task *task, long nr, const long a[6])
{
	const struct call *call = call_of(nr);

	if (!call || task->view->kind == CORE_VIEW_HOST)
		return sys_wait6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	return call->handler(task, nr, a);
}
