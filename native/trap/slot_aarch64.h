/* What of a slot and of the kernel's frame is so on aarch64, for C and for assembly. */
#ifndef LPMX_TRAP_SLOT_AARCH64_H
#define LPMX_TRAP_SLOT_AARCH64_H

/* Order of the registers: the kernel's struct sigcontext, x0 to x30 first. */
#define TRAP_X0 0
#define TRAP_SP 31
#define TRAP_PC 32
#define TRAP_PSTATE 33
#define TRAP_REGISTER_COUNT 34

/* The same for code of every architecture. */
#define TRAP_STACK TRAP_SP
#define TRAP_INSTRUCTION TRAP_PC
#define TRAP_RESULT TRAP_X0
#define TRAP_ARGUMENTS 0, 1, 2, 3, 4, 5

/* In a slot. */
#define TRAP_SLOT_KEPT (TRAP_SLOT_EXEC_TID + 64)

/* Offsets in the kernel's struct ucontext. */
#define TRAP_UC_REGISTERS 184
#define TRAP_UC_RECORDS 464

#endif
