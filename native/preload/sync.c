/*
 * fsync and fdatasync, which data bases make by the thousand.  A call that is trapped may be
 * handed a signal that another thread waits for; this way none is.
 *
 * They are cancellation points that nothing can cancel once they have begun, for the kernel
 * does not let the disk be waited for otherwise; so what matters is pending before.
 */
#include "call.h"

extern void pthread_testcancel(void) __attribute__((weak));

static int sync_file(long nr, int fd)
{
	if (preload_entry && pthread_testcancel)
		pthread_testcancel();
	return (int)CALL(nr, fd, 0, 0, 0, 0);
}

EXPORTED int fsync(int fd)
{
	return sync_file(__NR_fsync, fd);
}

EXPORTED int fdatasync(int fd)
{
	return sync_file(__NR_fdatasync, fd);
}
