/* A vfork child that asks to be traced stops at its exec, as debuggers expect. */
#include <sys/ptrace.h>

#include "check.h"

int main(void)
{
	int status = 0;
	pid_t pid = vfork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execl("/bin/true", "true", (char *)NULL);
		_exit(9);
	}
	waitpid(pid, &status, 0);
	say("stopped", WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	kill(pid, SIGKILL);
	say("killed", outcome(pid));
	return 0;
}
