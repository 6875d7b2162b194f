/* The core's entry for libraries: an ordinary function that makes system calls. */
#include "../../native/include/lpmx_abi.h"
#include "check.h"

static const struct lpmx_entry *entry;

/* Does the call keep what a C function must keep?  The values lie below the red zone. */
static int keeps_registers(void)
{
	unsigned long seen[4] = { 0 };
	long number = SYS_access, path = (long)"present", mode = R_OK, result;
	register void *target __asm__("r15") = (void *)entry->call;
	register unsigned long *at __asm__("r14") = seen;

	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "push %%rbp\n\t"
			 "mov %%rsp, %%rbp\n\t"
			 "and $-16, %%rsp\n\t"
			 "push $0\n\t"
			 "push $0\n\t"
			 "mov $21, %%ebx\n\t"
			 "mov $22, %%r12d\n\t"
			 "mov $23, %%r13d\n\t"
			 "call *%%r15\n\t"
			 "mov %%rbp, %%rsp\n\t"
			 "pop %%rbp\n\t"
			 "lea 128(%%rsp), %%rsp\n\t"
			 "mov %%rbx, (%%r14)\n\t"
			 "mov %%r12, 8(%%r14)\n\t"
			 "mov %%r13, 16(%%r14)"
			 : "=a"(result), "+D"(number), "+S"(path), "+d"(mode), "+r"(target)
			 : "r"(at)
			 : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "memory", "cc");
	return !result && seen[0] == 21 && seen[1] == 22 && seen[2] == 23;
}

static volatile sig_atomic_t ran;

static void on_alarm(int signal)
{
	(void)signal;
	touch("present");
	ran++;
}

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
	return entry->call(nr, a, b, c, d, e, f);
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	char text[4096], *const argv[] = { "grep", "-q", "hello", "present", NULL };
	struct stat st;
	pid_t pid;
	long r;

	entry = (void *)syscall(LPMX_SYSCALL, LPMX_OP_ENTRY);
	if ((long)entry == -1) {
		puts("not in a view");
		return 1;
	}
	printf("version %u, size %u\n", entry->version, entry->size);
	r = call(SYS_openat, AT_FDCWD, (long)"present", O_RDONLY, 0, 0, 0);
	printf("open %d, read %ld\n", r >= 0, (long)read((int)r, text, 5));
	printf("absent %ld\n", call(SYS_openat, AT_FDCWD, (long)"absent", O_RDONLY, 0, 0, 0));
	printf("wild %ld\n", call(SYS_openat, AT_FDCWD, 16, O_RDONLY, 0, 0, 0));
	r = call(SYS_newfstatat, AT_FDCWD, (long)"present", (long)&st, 0, 0, 0);
	printf("stat %ld, size %ld\n", r, (long)st.st_size);
	printf("registers kept %d\n", keeps_registers());

	mkfifo("fifo", 0600);
	sigaction(SIGALRM, &action, NULL);
	alarm_in(10000);
	printf("interrupted %ld\n", call(SYS_openat, AT_FDCWD, (long)"fifo", O_RDONLY, 0, 0, 0));
	printf("handlers %d\n", ran);
	unlink("fifo");

	for (int i = 0; i < 20; i++) {
		pid = vfork();
		if (!pid)
			_exit((int)call(SYS_execve, (long)"/bin/grep", (long)argv, (long)environ, 0, 0, 0));
		r = outcome(pid);
		if (r)
			printf("vfork and exec %ld\n", r);
	}
	printf("name %ld", syscall(LPMX_SYSCALL, LPMX_OP_NAME, text, sizeof(text)));
	printf(" %s\n", text);
	syscall(LPMX_SYSCALL, LPMX_OP_HOST_PATH, "/usr/bin", text, sizeof(text));
	printf("host path of /usr/bin %s\n", text);
	printf("too small %ld\n", syscall(LPMX_SYSCALL, LPMX_OP_NAME, text, 2L) == -1 ? (long)errno : 0L);
	printf("unknown operation %d\n", syscall(LPMX_SYSCALL, 9999) == -1 && errno == EINVAL);
	return 0;
}
