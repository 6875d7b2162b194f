/* System calls by instruction: what they leave in registers is as the kernel leaves it. */
#include <stdint.h>

#include "check.h"

static const char path[] = "present";
static char link_text[64];

#if defined(__x86_64__)
#define RESULT rax

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

static struct registers registers(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return (struct registers){ a, b, c, d, 8, 9, 11, 12, 13, 14, 15, (uint64_t)nr, { 0xfeedface } };
}

/* The direction flag, and the carry. */
static void flags_kept(void)
{
	uint64_t flags;

	__asm__ volatile("std\n\tstc\n\tsyscall\n\tpushfq\n\tcld\n\tpopq %0"
			 : "=r"(flags) : "a"(SYS_access), "D"(path), "S"(0) : "rcx", "r11", "memory", "cc");
	say("flags", (long)(flags & 0x401));
	__asm__ volatile("cld");
}
#elif defined(__aarch64__)
#define RESULT x[0]

struct registers {
	uint64_t x[31];
	uint64_t vector[4];
};

/* The frame pointer (x29) is the compiler's; all others are filled from `r`. */
static void make(struct registers *r)
{
	register struct registers *at __asm__("x28") = r;

	__asm__ volatile("ldr d9, [%[at], #248]\n\tldr d31, [%[at], #248]\n\t"
			 ".irp n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 22, 24, 26\n\t"
			 "ldr x\\n, [%[at], #8 * \\n]\n\t.endr\n\t"
			 ".irp n, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 30\n\t"
			 "ldr x\\n, [%[at], #8 * \\n]\n\t.endr\n\t"
			 "svc #0\n\t"
			 ".irp n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 22, 24, 26\n\t"
			 "str x\\n, [%[at], #8 * \\n]\n\t.endr\n\t"
			 ".irp n, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 30\n\t"
			 "str x\\n, [%[at], #8 * \\n]\n\t.endr\n\t"
			 "str d9, [%[at], #256]\n\tstr d31, [%[at], #264]"
			 :
			 : [at] "r"(at)
			 : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",
			   "x13", "x14", "x15", "x16", "x17", "x19", "x20", "x21", "x22", "x23", "x24",
			   "x25", "x26", "x27", "x30", "v9", "v31", "memory", "cc");
}

static struct registers registers(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	struct registers r = { { a, b, c, d }, { 0xfeedface } };

	for (int i = 4; i < 31; i++)
		r.x[i] = 0x1000 + i;
	r.x[8] = (uint64_t)nr;
	return r;
}

/* The condition flags. */
static void flags_kept(void)
{
	uint64_t flags;

	__asm__ volatile("mov x8, %1\n\tmov x0, %2\n\tmov x1, %3\n\tmov x2, xzr\n\t"
			 "mov x3, #0xa0000000\n\tmsr nzcv, x3\n\tsvc #0\n\tmrs %0, nzcv"
			 : "=&r"(flags) : "i"(SYS_faccessat), "r"((long)AT_FDCWD), "r"(path)
			 : "x0", "x1", "x2", "x3", "x8", "memory", "cc");
	say("flags", (long)flags);
}
#endif

static void call(const char *name, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	long result;
	struct registers before = registers(nr, a, b, c, d), after = before;

	make(&after);
	result = (long)after.RESULT;
	say(name, result < 0 ? result - 1000 : nr == SYS_openat ? close((int)result) : result);
	after.RESULT = before.RESULT;
	before.vector[1] = before.vector[2] = before.vector[0];
	say("registers kept", !memcmp(&before, &after, sizeof(before)));
}

int main(void)
{
	struct stat s;
	uint64_t here = (uint64_t)AT_FDCWD, file = (uint64_t)path;

	for (int i = 0; i < 2; i++) {
		call("openat", SYS_openat, here, file, O_RDONLY, 0);
		call("openat of nothing", SYS_openat, here, (uint64_t)"absent", O_RDONLY, 0);
		call("newfstatat", SYS_newfstatat, here, file, (uint64_t)&s, 0);
		call("readlink", SYS_readlinkat, here, (uint64_t)"link", (uint64_t)link_text, sizeof(link_text));
		call("a wild path", SYS_faccessat, here, 16, 0, 0);
		call("sigprocmask", SYS_rt_sigprocmask, SIG_BLOCK, (uint64_t)&(sigset_t){ 0 }, 0, 8);
	}
	say("by the library", syscall(SYS_faccessat, AT_FDCWD, path, R_OK));
	say("by the library, of nothing", syscall(SYS_faccessat, AT_FDCWD, "absent", R_OK));
	flags_kept();
	return 0;
}
