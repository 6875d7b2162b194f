/* What of a slot and of the kernel's frame is so on x86-64, for C and for assembly. */
#ifndef LPMX_TRAP_SLOT_X86_64_H
#define LPMX_TRAP_SLOT_X86_64_H

/* Order of the registers: the kernel's struct sigcontext. */
#define TRAP_R8 0
#define TRAP_R9 1
#define TRAP_R10 2
#define TRAP_R11 3
#define TRAP_R12 4
#define TRAP_R13 5
#define TRAP_R14 6
#define TRAP_R15 7
#define TRAP_RDI 8
#define TRAP_RSI 9
#define TRAP_RBP 10
#define TRAP_RBX 11
#define TRAP_RDX 12
#define TRAP_RAX 13
#define TRAP_RCX 14
#define TRAP_RSP 15
#define TRAP_RIP 16
#define TRAP_FLAGS 17
#define TRAP_SEGMENTS 18
#define TRAP_REGISTER_COUNT 23

/* The same for code of every architecture. */
#define TRAP_STACK TRAP_RSP
#define TRAP_INSTRUCTION TRAP_RIP
#define TRAP_RESULT TRAP_RAX
#define TRAP_ARGUMENTS TRAP_RDI, TRAP_RSI, TRAP_RDX, TRAP_R10, TRAP_R8, TRAP_R9

/* What they are when a program begins: interrupts on; user code, none, none, user data. */
#define TRAP_FIRST_FLAGS 0x202
#define TRAP_FIRST_SEGMENTS 0x002b000000000033
/* In the kernel's struct ucontext, flags: the segments are meant as they are. */
#define TRAP_UC_SEGMENTS 6

/* Offsets in the kernel's struct ucontext. */
#define TRAP_UC_REGISTERS 40
#define TRAP_UC_FPSTATE 224
#define TRAP_UC_MASK 296
/* In the vector state: where the kernel says that it is in XSAVE format. */
#define TRAP_FP_MAGIC_OFFSET 464
#define TRAP_FP_MAGIC 0x46505853
/* And which features it has put there.  Of others nothing may be asked for: where they would
 * be (8 KiB of AMX tiles, behind all else) there may be no memory, and the CPU looks. */
#define TRAP_FP_FEATURES_OFFSET 472

#endif
