/*
 * The layout of a slot, for C and for assembly.
 *
 * A slot is the stack that one intercepted call runs on, with the program's
 * registers on top of it:
 *
 *   lowest address   guard page | stack, growing down ... | struct trap_slot
 *
 * The first has no guard page: below it nothing can be written to.
 */
#ifndef LPMX_TRAP_SLOT_H
#define LPMX_TRAP_SLOT_H

#define TRAP_SLOT_SIZE 0x100000
#define TRAP_SLOT_HEADER 512
#define TRAP_GUARD 4096

#define TRAP_SLOT_OWNER 0
#define TRAP_SLOT_SP 8
#define TRAP_SLOT_FRAME 16
#define TRAP_SLOT_NUMBER 24
#define TRAP_SLOT_REGISTERS 32
#define TRAP_SLOT_ALTSTACK_FLAGS (TRAP_SLOT_REGISTERS + 8 * TRAP_REGISTER_COUNT + 8)
#define TRAP_SLOT_EXEC_TID (TRAP_SLOT_ALTSTACK_FLAGS + 16)
#define TRAP_SLOT_MASK (TRAP_SLOT_EXEC_TID + 32)
#define TRAP_SLOT_LEFT_SIZE (TRAP_SLOT_MASK + 24)

/* A rewritten call site, as its stub hands it to trap_site_entry. */
#define TRAP_SITE_NEXT 0
#define TRAP_SITE_NUMBER 8
#define TRAP_SITE_SYSCALL 2 /* bytes before `next` */

#define TRAP_SLOT_OWNER_THREAD_BITS 48

#if defined(__x86_64__)
#include "slot_x86_64.h"
#elif defined(__aarch64__)
#include "slot_aarch64.h"
#endif

#endif
