/* Who am I: asked often, and in the root illusion answered without the kernel. */
#include "call.h"

EXPORTED unsigned getuid(void)
{
	return (unsigned)CALL(__NR_getuid, 0, 0, 0, 0, 0);
}

EXPORTED unsigned geteuid(void)
{
	return (unsigned)CALL(__NR_geteuid, 0, 0, 0, 0, 0);
}

EXPORTED unsigned getgid(void)
{
	return (unsigned)CALL(__NR_getgid, 0, 0, 0, 0, 0);
}

EXPORTED unsigned getegid(void)
{
	return (unsigned)CALL(__NR_getegid, 0, 0, 0, 0, 0);
}
