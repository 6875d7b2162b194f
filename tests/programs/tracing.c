/*
 * A child that asks to be traced stops at its exec, where the first instruction of the program,
 * or of its interpreter, is next.
 */
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include "check.h"

static unsigned long auxiliary(pid_t pid, unsigned long type)
{
	unsigned long entry[2] = { 0 };
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	fd = open(path, O_RDONLY);
	while (read(fd, entry, sizeof(entry)) == sizeof(entry) && entry[0] != type && entry[0])
		;
	close(fd);
	return entry[0] == type ? entry[1] : 0;
}

/* Of /proc/PID/status, a mask. */
static unsigned long mask(pid_t pid, const char *name)
{
	char path[64], line[256];
	unsigned long value = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			value = strtoul(line + strlen(name) + 1, NULL, 16);
	fclose(f);
	return value;
}

#if defined(__aarch64__)
#define PC pc
#define SP sp
#define FLAGS pstate
#define ALL(r) (r.regs[0] | r.regs[1] | r.regs[8] | r.regs[15] | r.regs[17] | r.regs[29] | r.regs[30])
#else
#define PC rip
#define SP rsp
#define FLAGS eflags
#define ALL(r) (r.rax | r.rbx | r.rdx | r.rsi | r.rdi | r.rbp)
#endif

static void at_the_stop(pid_t pid)
{
	unsigned long base, entry;
	struct user_regs_struct r;
	int status = 0;

	waitpid(pid, &status, 0);
	/* the traps of a shell */
	while (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSYS) {
		ptrace(PTRACE_CONT, pid, NULL, (void *)SIGSYS);
		waitpid(pid, &status, 0);
	}
	say("stopped", WIFSTOPPED(status) ? WSTOPSIG(status) : -1000 - status);
	base = auxiliary(pid, AT_BASE);
	entry = auxiliary(pid, AT_ENTRY);
	ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &(struct iovec){ &r, sizeof(r) });
	errno = 0;
	ptrace(PTRACE_PEEKTEXT, pid, (void *)entry, NULL);
	say("the program is there", !errno);
	say("where the kernel begins", base ? r.PC - base < 0x100000 : r.PC == entry);
	say("registers", ALL(r));
	say("flags", r.FLAGS);
	errno = 0;
	say("arguments", ptrace(PTRACE_PEEKDATA, pid, (void *)r.SP, NULL));
	say("blocked", mask(pid, "SigBlk:") | mask(pid, "SigPnd:"));
}

static int run(const char *path, const char *argument, const char *another)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	execl("/nonexistent/program", "x", (char *)NULL);
	execl(path, path, argument, another, (char *)NULL);
	return 9;
}

int main(void)
{
	int status = 0;
	pid_t pid = vfork();

	if (!pid)
		_exit(run("/bin/true", "x", NULL));
	at_the_stop(pid);
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status))
		ptrace(PTRACE_CONT, pid, NULL, (void *)(long)WSTOPSIG(status));
	say("ended", WIFEXITED(status) ? WEXITSTATUS(status) : -1);

	/* by a shell, as debuggers do: two stops */
	pid = fork();
	if (!pid)
		_exit(run("/bin/sh", "-c", "exec /bin/true"));
	at_the_stop(pid);
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	at_the_stop(pid);
	kill(pid, SIGKILL);
	say("killed", outcome(pid));

	/* who blocks the signal does not stop */
	pid = fork();
	if (!pid) {
		sigset_t trap;

		sigemptyset(&trap);
		sigaddset(&trap, SIGTRAP);
		sigprocmask(SIG_BLOCK, &trap, NULL);
		_exit(run("/bin/grep", "SigBlk", "/proc/self/status"));
	}
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSYS)
		ptrace(PTRACE_CONT, pid, NULL, (void *)SIGSYS);
	say("not stopped", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	return 0;
}
