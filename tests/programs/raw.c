/* System calls by instruction: what they leave in registers is as the kernel leaves it. */
#include <stdint.h>

#include "check.h"

static const char path[] = "present";
static char link_text[64];

struct registers {
	uint64_t rdi, rsi, rdx, r10, r8, r9, rbx, r12, r13, r14, r15, rax;
	uint64_t vector[4];
};

/* Make a call with all registers filled, and say what is in them afterwards. */
static void make(struct registers *r)
{
	register uint64_t r10 __asm__("r10") = r->r10, r8 __asm__("r8") = r->r8,
			  r9 __asm__("r9") = r->r9, r12 __asm__("r12") = r->r12,
			  r13 __asm__("r13") = r->r13, r14 __asm__("r14") = r->r14,
			  r15 __asm__("r15") = r->r15;

	__asm__ volatile("movq %[in], %%xmm9\n\tmovq %[in], %%xmm15\n\tsyscall\n\t"
			 "movq %%xmm9, %[one]\n\tmovq %%xmm15, %[two]"
			 : "+a"(r->rax), "+D"(r->rdi), "+S"(r->rsi), "+d"(r->rdx), "+r"(r10),
			   "+r"(r8), "+r"(r9), "+b"(r->rbx), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15),
			   [one] "=m"(r->vector[1]), [two] "=m"(r->vector[2])
			 : [in] "m"(r->vector[0])
			 : "rcx", "r11", "memory", "xmm9", "xmm15", "cc");
	r->r10 = r10, r->r8 = r8, r->r9 = r9, r->r12 = r12, r->r13 = r13, r->r14 = r14, r->r15 = r15;
}

static void call(const char *name, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	struct registers before = { a, b, c, d, 8, 9, 11, 12, 13, 14, 15, (uint64_t)nr, { 0xfeedface } };
	struct registers after = before;

	make(&after);
	say(name, (long)after.rax < 0 ? (long)after.rax - 1000 : nr == SYS_openat ? close((int)after.rax) : (long)after.rax);
	after.rax = before.rax;
	before.vector[1] = before.vector[2] = before.vector[0];
	say("registers kept", !memcmp(&before, &after, sizeof(before)));
}

int main(void)
{
	struct stat s;
	uint64_t here = (uint64_t)AT_FDCWD, file = (uint64_t)path, flags;

	for (int i = 0; i < 2; i++) {
		call("openat", SYS_openat, here, file, O_RDONLY, 0);
		call("openat of nothing", SYS_openat, here, (uint64_t)"absent", O_RDONLY, 0);
		call("newfstatat", SYS_newfstatat, here, file, (uint64_t)&s, 0);
		call("readlink", SYS_readlink, (uint64_t)"link", (uint64_t)link_text, sizeof(link_text), 0);
		call("a wild path", SYS_access, 16, 0, 0, 0);
		call("sigprocmask", SYS_rt_sigprocmask, SIG_BLOCK, (uint64_t)&(sigset_t){ 0 }, 0, 8);
	}
	say("by the library", syscall(SYS_access, path, R_OK));
	say("by the library, of nothing", syscall(SYS_access, "absent", R_OK));
	/* the direction flag, and the carry */
	__asm__ volatile("std\n\tstc\n\tsyscall\n\tpushfq\n\tcld\n\tpopq %0"
			 : "=r"(flags) : "a"(SYS_access), "D"(path), "S"(0) : "rcx", "r11", "memory", "cc");
	say("flags", (long)(flags & 0x401));
	__asm__ volatile("cld");
	return 0;
}
