/* A program with seccomp filters of its own: they apply to it as ever. */
#include <stddef.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "check.h"

static volatile sig_atomic_t hits;

/* Answers the trapped call with EXDEV. */
static void broker(int signal, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	(void)signal;
	(void)info;
	hits++;
#if defined(__aarch64__)
	c->uc_mcontext.regs[0] = (unsigned long)-EXDEV;
#else
	c->uc_mcontext.gregs[13 /* rax */] = -EXDEV;
#endif
}

int main(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_truncate, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP | 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpriority, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXFULL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };
	struct sigaction action = { .sa_sigaction = broker, .sa_flags = SA_SIGINFO };

	sigaction(SIGSYS, &action, NULL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	say("filter", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	say("open", touch("present"));
	say("trapped by its own filter", syscall(SYS_truncate, "present", 5L));
	say("its handler ran", hits);
	say("refused by its own filter", syscall(SYS_getpriority, 0, 0));
	say("open", touch("present"));
	return 0;
}
