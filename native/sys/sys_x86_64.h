/* One system call on x86-64: rax, then rdi rsi rdx r10 r8 r9; rcx and r11 are lost. */
#ifndef LPMX_SYS_X86_64_H
#define LPMX_SYS_X86_64_H

static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#endif
