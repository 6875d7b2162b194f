/* What the trap must know of aarch64, and of its kernel's structures; included by trap.h. */
#ifndef LPMX_TRAP_MACHINE_AARCH64_H
#define LPMX_TRAP_MACHINE_AARCH64_H

#include <linux/audit.h>

#define TRAP_AUDIT_ARCH AUDIT_ARCH_AARCH64
/* The smallest alternate stack that the kernel takes. */
#define TRAP_SMALLEST_STACK 5120ul
/* The frame to return by, right below the slot; the stack is below it (return_aarch64.c). */
#define TRAP_SLOT_OF_MACHINE struct trap_frame *kept;

/* One of the parts that a frame has behind its registers. */
struct trap_record {
	uint32_t magic, size;
};

#define TRAP_RECORD_FPSIMD 0x46508001u
#define TRAP_RECORDS_SIZE 4096u

struct trap_ucontext {
	uint64_t flags;
	struct trap_ucontext *link;
	struct trap_altstack altstack;
	uint64_t mask, more_mask[15], padding;
	uint64_t fault_address;
	uint64_t registers[TRAP_REGISTER_COUNT];
	char records[TRAP_RECORDS_SIZE] __attribute__((aligned(16)));
};

/* What rt_sigreturn finds at the stack pointer. */
struct trap_frame {
	char info[128];
	struct trap_ucontext context;
};

_Static_assert(offsetof(struct trap_ucontext, records) == TRAP_UC_RECORDS, "slot_aarch64.h");

/* Can the thread pointer be read without the kernel?  Always. */
#define TRAP_THREAD_IS_FAST(hwcap2) ((void)(hwcap2), 1)

static inline uint64_t trap_thread_pointer(int fast)
{
	uint64_t thread;

	(void)fast;
	__asm__ volatile("mrs %0, tpidr_el0" : "=r"(thread));
	return thread;
}

/* ---- return_aarch64.c ---- */

/* Move what the frame says to the slot: the frame itself is dead from then on. */
void trap_keep(struct trap_slot *slot, const struct trap_ucontext *context);
/* Make the frame again, no signal can come until it is used; where it is. */
struct trap_frame *trap_frame_again(struct trap_slot *slot);
/* In a zeroed frame: as the kernel starts a program, with nothing in the registers. */
void trap_frame_begin(struct trap_frame *frame, uint64_t sp, uint64_t entry);

#endif
