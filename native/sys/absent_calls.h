/*
 * Calls that only older architectures have.  Where they do not exist their names stand for
 * numbers that no kernel has: code may ask "is it this call?", and the answer is no.  The
 * table of the core leaves them out (SYS_WITHOUT_OLD_CALLS), and so does the filter.
 */
#ifndef LPMX_SYS_ABSENT_CALLS_H
#define LPMX_SYS_ABSENT_CALLS_H

#ifndef __NR_open
#define SYS_WITHOUT_OLD_CALLS

#define __NR_open 0x10000
#define __NR_creat 0x10001
#define __NR_stat 0x10002
#define __NR_lstat 0x10003
#define __NR_access 0x10004
#define __NR_readlink 0x10005
#define __NR_unlink 0x10006
#define __NR_rename 0x10007
#define __NR_lchown 0x10008
#define __NR_utime 0x10009
#define __NR_futimesat 0x1000a
#endif

#endif
