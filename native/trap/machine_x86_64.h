/* What the trap must know of x86-64, and of its kernel's structures; included by trap.h. */
#ifndef LPMX_TRAP_MACHINE_X86_64_H
#define LPMX_TRAP_MACHINE_X86_64_H

#include <linux/audit.h>

#define TRAP_AUDIT_ARCH AUDIT_ARCH_X86_64
/* The smallest alternate stack that the kernel takes. */
#define TRAP_SMALLEST_STACK 2048ul
#define TRAP_SLOT_OF_MACHINE
/* Call sites that trap often can be rewritten (sites_x86_64.c). */
#define TRAP_HAS_SITES

struct trap_ucontext {
	uint64_t flags;
	struct trap_ucontext *link;
	struct trap_altstack altstack;
	uint64_t registers[TRAP_REGISTER_COUNT];
	void *vector_state;
	uint64_t reserved[8];
	uint64_t mask;
};

/* What rt_sigreturn finds at the stack pointer. */
struct trap_frame {
	struct trap_ucontext context;
};

#define TRAP_ARCH_GET_FS 0x1003
#define TRAP_HWCAP2_FSGSBASE 2u
/* Can the thread pointer be read without the kernel?  By AT_HWCAP2. */
#define TRAP_THREAD_IS_FAST(hwcap2) (!!((hwcap2) & TRAP_HWCAP2_FSGSBASE))

static inline uint64_t trap_thread_pointer(int fast)
{
	uint64_t fs = 0;

	if (fast)
		__asm__ volatile("rdfsbase %0" : "=r"(fs));
	else
		sys_call2(__NR_arch_prctl, TRAP_ARCH_GET_FS, &fs);
	return fs;
}

/* The entry moves the registers to the slot itself, and the vector state stays where it is. */
static inline void trap_keep(struct trap_slot *slot, const struct trap_ucontext *context)
{
	(void)slot;
	(void)context;
}

/* In a zeroed frame: as the kernel starts a program, with nothing in the registers. */
static inline void trap_frame_begin(struct trap_frame *frame, uint64_t sp, uint64_t entry)
{
	frame->context.flags = TRAP_UC_SEGMENTS;
	frame->context.registers[TRAP_RSP] = sp;
	frame->context.registers[TRAP_RIP] = entry;
	frame->context.registers[TRAP_FLAGS] = TRAP_FIRST_FLAGS;
	frame->context.registers[TRAP_SEGMENTS] = TRAP_FIRST_SEGMENTS;
}

#endif
