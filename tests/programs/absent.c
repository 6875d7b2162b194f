/* Calls that would reach past a view are refused, as by a kernel that does not have them. */
#include <sys/socket.h>

#include "check.h"

int main(void)
{
	long arguments[32] = { 1 };

	say("io_uring", syscall(425, 1, arguments) < 0 ? errno : 0);
	say("clone3", syscall(435, arguments, 64) < 0 ? errno : 0);
	say("landlock", syscall(444, arguments, 8, 0) < 0 ? errno : 0);
	say("landlock's version", syscall(444, 0, 0, 1) < 0 ? errno : 0);
	say("shadow stacks", syscall(SYS_arch_prctl, 0x5001, 1) < 0 ? errno : 0);
	say("audit", socket(16, 3, 9) < 0 ? errno : 0);
	say("a call that is none", syscall(510) < 0 ? errno : 0);
	return 0;
}
