/*
 * Call sites that trap often, and what a rewritten one must not change.  With the argument
 * "count" it also tells which of them are jumps at the end.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <ucontext.h>

#include "check.h"

#define OFTEN 40

/* Each is a function of C's: open(path, flags, mode), or -errno. */
#define SITE(name, before)                                                                         \
	__asm__(".text\n.p2align 6\n.skip 128, 0x90\n" #name "_from_syscall: mov $2, %eax\n jmp " #name \
		"_syscall\n.p2align 6\n" #name ": " before #name "_mov: mov $2, %eax\n" #name             \
		"_syscall: syscall\n ret\n");                                                             \
	long name(const char *path, long flags, long mode);                                            \
	long name##_from_syscall(const char *path, long flags, long mode);                             \
	extern unsigned char name##_mov[];

SITE(plain, "")
SITE(of_thread, "")
SITE(waiting, "")
SITE(filtered, "")
SITE(on_small_stack, "")
/* No mov that loads eax stands before this syscall: the bytes are the end of another. */
__asm__(".text\n.p2align 6\n.skip 128, 0x90\n"
	"other_end: mov $2, %eax\n movl $2, -72(%rsp)\n syscall\n mov -72(%rsp), %ecx\n"
	"cmp $2, %ecx\n je 1f\n mov $-1, %rax\n 1: ret\n");
long other_end(const char *path, long flags, long mode);

static long closed(long fd)
{
	return fd < 0 ? fd : close((int)fd);
}

static void often(const char *name, long (*site)(const char *, long, long))
{
	long wrong = 0;

	for (int i = 0; i < OFTEN; i++) {
		wrong += closed(site("present", O_RDONLY, 0)) != 0;
		wrong += site("absent", O_RDONLY, 0) != -ENOENT;
		wrong += site((char *)8, O_RDONLY, 0) != -EFAULT;
	}
	say(name, wrong);
}

/* Registers, flags and the red zone: `open` changes none but rax, rcx and r11. */
__asm__(".text\nkept: push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
	"mov $101, %rbx\n mov $102, %rbp\n mov $103, %r12\n mov $104, %r13\n mov $105, %r14\n"
	"mov $106, %r15\n mov $107, %r8\n mov $108, %r9\n mov $109, %r10\n"
	"movq %rdi, %xmm3\n pushfq\n orq $0xcd5, (%rsp)\n popfq\n" /* CF PF AF ZF SF DF OF */
	"movq $77, -24(%rsp)\n lea -16(%rsp), %rsp\n call *%rdx\n lea 16(%rsp), %rsp\n"
	"pushfq\n pop %rax\n cld\n and $0xcd5, %eax\n sub $0xcd5, %eax\n"
	"movq %xmm3, %rcx\n sub %rdi, %rcx\n or %rcx, %rax\n"
	"lea -101(%rbx), %rcx\n or %rcx, %rax\n lea -102(%rbp), %rcx\n or %rcx, %rax\n"
	"lea -103(%r12), %rcx\n or %rcx, %rax\n lea -104(%r13), %rcx\n or %rcx, %rax\n"
	"lea -105(%r14), %rcx\n or %rcx, %rax\n lea -106(%r15), %rcx\n or %rcx, %rax\n"
	"lea -107(%r8), %rcx\n or %rcx, %rax\n lea -108(%r9), %rcx\n or %rcx, %rax\n"
	"lea -109(%r10), %rcx\n or %rcx, %rax\n"
	"pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n");
long kept(const char *path, long flags, long (*site)(const char *, long, long));

static void *thread(void *unused)
{
	(void)unused;
	often("in a thread, begun alone", plain);
	often("in a thread, begun there", of_thread);
	return NULL;
}

/* ---- a handler on an alternate stack that lies above the stack ---------------------- */

#define ROOM (128 << 10)
#define DISARMED (1 << 31) /* SS_AUTODISARM: while a handler is on it, the kernel does not tell of it */

static volatile int handled, told[2];

static void opening_handler(int signal)
{
	(void)signal;
	if (handled < 20)
		handled += !closed(plain("present", O_RDONLY, 0)) && !touch("present");
	else if (handled++ == 20)
		write(told[1], "x", 1);
}

/* Both stacks, the alternate one above; `run` goes on on the lower.  `flags`: the alternate one's. */
static void on_lower_stack(void (*run)(void), int flags)
{
	char *room = mmap(NULL, 2 * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = { .ss_sp = room + ROOM, .ss_size = ROOM, .ss_flags = flags };
	stack_t none = { .ss_flags = SS_DISABLE };
	ucontext_t back, there;

	sigaltstack(&stack, NULL);
	getcontext(&there);
	there.uc_stack.ss_sp = room;
	there.uc_stack.ss_size = ROOM;
	there.uc_link = &back;
	makecontext(&there, run, 0);
	swapcontext(&back, &there);
	sigaltstack(&none, NULL);
	munmap(room, 2 * ROOM);
}

static void wait_in_open(void)
{
	struct sigaction action = { .sa_handler = opening_handler, .sa_flags = SA_ONSTACK | SA_RESTART };
	struct stat st;
	char byte;
	long fd;

	pipe((int *)told);
	sigaction(SIGALRM, &action, NULL);
	if (!fork()) {
		read(told[0], &byte, 1);
		_exit(open("fifo", O_WRONLY) < 0);
	}
	alarm_every(500);
	fd = waiting("fifo", O_RDONLY, 0);
	alarm_every(0);
	say("waited for", fd >= 0 && !fstat((int)fd, &st) && S_ISFIFO(st.st_mode));
	close((int)fd);
	wait(NULL);
}

/* While no signal is waited for, as fast as they come. */
static void be_interrupted(void)
{
	struct sigaction action = { .sa_handler = opening_handler, .sa_flags = SA_ONSTACK };
	long wrong = 0;

	handled = 0;
	sigaction(SIGALRM, &action, NULL);
	alarm_every(200);
	while (handled < 20)
		wrong += closed(plain("present", O_RDONLY, 0)) != 0 || touch("present") ||
			 access("absent", F_OK) != -1 || access("present", F_OK);
	alarm_every(0);
	say("interrupted", wrong);
}

/* ---- a stack with room for the red zone ---------------------------------------------- */

__asm__(".text\nwith_stack: push %rbx\n mov %rsp, %rbx\n mov %rcx, %rsp\n call *%r8\n"
	"mov %rbx, %rsp\n pop %rbx\n ret\n");
long with_stack(const char *path, long flags, long mode, void *stack, long (*site)(const char *, long, long));

static void on_little(void)
{
	char *room = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = { .ss_sp = malloc(ROOM), .ss_size = ROOM }, none = { .ss_flags = SS_DISABLE };
	long wrong = 0;

	mprotect(room, 4096, PROT_NONE);
	sigaltstack(&stack, NULL);
	for (int i = 0; i < OFTEN; i++)
		wrong += closed(with_stack("present", O_RDONLY, 0, room + 4096 + 136, on_small_stack)) != 0;
	sigaltstack(&none, NULL);
	say("on little stack", wrong);
}

/* ---- a filter of the program's own ---------------------------------------------------- */

static void answer(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = 4000 + info->si_syscall;
}

static void filter(void)
{
	struct sigaction action = { .sa_sigaction = answer, .sa_flags = SA_SIGINFO };
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, code };

	sigaction(SIGSYS, &action, NULL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	say("filter", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	say("open, filtered", filtered("present", O_RDONLY, 0));
	say("from the syscall, filtered", filtered_from_syscall("present", O_RDONLY, 0));
}

static int in_child(void (*run)(void))
{
	pid_t child = fork();

	if (!child) {
		run();
		_exit(0);
	}
	return outcome(child);
}

static void of_child(void)
{
	often("in a child", plain);
}

static void vforked(void)
{
	for (int i = 0; i < 5; i++) {
		pid_t child = vfork();

		if (!child)
			_exit(closed(plain("present", O_RDONLY, 0)) != 0 || closed(filtered("present", O_RDONLY, 0)));
		say("in a vfork child", outcome(child));
		child = vfork();
		if (!child) {
			execl("/bin/true", "true", NULL);
			_exit(1);
		}
		say("executed", outcome(child));
	}
}

int main(int argc, char **argv)
{
	pthread_t other;

	(void)argv;
	mkfifo("fifo", 0600);
	often("plain", plain);
	often("once more", plain);
	often("to the syscall", plain_from_syscall);
	often("no mov", other_end);
	often("waiting", waiting);
	often("filtered", filtered);
	say("registers", kept("present", O_RDONLY, plain));
	say("registers, absent", kept("absent", O_RDONLY, plain));
	on_little();
	say("child", in_child(of_child));
	vforked();
	on_lower_stack(wait_in_open, 0);
	on_lower_stack(be_interrupted, 0);
	on_lower_stack(be_interrupted, DISARMED);
	say("child", in_child(filter));
	pthread_create(&other, NULL, thread, NULL);
	pthread_join(other, NULL);
	often("at the end", plain);
	if (argc > 1)
		printf("jumps: %d %d %d %d, %d in a thread\n", *plain_mov == 0xe9, *waiting_mov == 0xe9,
		       *filtered_mov == 0xe9, *on_small_stack_mov == 0xe9, *of_thread_mov == 0xe9);
	return unlink("fifo");
}
