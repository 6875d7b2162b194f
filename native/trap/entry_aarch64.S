/*
 * Into the trap and out of it.
 *
 * trap_signal_entry is the SIGSYS handler.  The kernel has pushed a frame with all registers
 * onto the program's stack or alternate stack.  That frame must not outlive the moment: as
 * soon as the stack pointer leaves an alternate stack the kernel takes it for free and puts
 * the next signal over it.  So what it says moves to a slot, and is written there again for
 * the return: return_aarch64.c has the argument.  The vector registers are as the program
 * left them throughout, for nothing of ours uses one.
 *
 * A nested signal may come between any two instructions here; slots.c says why
 * that is safe.
 */
#include <asm/unistd.h>

#include "slot.h"

	.text

	.globl trap_signal_entry
	.hidden trap_signal_entry
	.type trap_signal_entry, @function
trap_signal_entry:
	stp x29, x30, [sp, #-32]!
	mov x29, sp
	stp x19, x20, [sp, #16]
	mov x19, x1
	mov x20, x2
	mov x0, x1
	mov x1, x2
	bl trap_accept
	cbz x0, 1f
	mov x19, x0
	ldr x1, [x0, #TRAP_SLOT_KEPT]
	mov sp, x1
	mov x29, xzr
	bl trap_signalled

	mov x0, x19
	bl trap_frame_again
	mov sp, x0
	/* no stack from here on: the slot's is for anyone */
	str xzr, [x19, #TRAP_SLOT_SP]
	add x1, x19, #TRAP_SLOT_OWNER
	stlr xzr, [x1]
	mov x8, #__NR_rt_sigreturn
	svc #0

	/* a SIGSYS that is the program's: leave as any handler does */
1:	mov x0, x19
	mov x1, x20
	ldp x19, x20, [sp, #16]
	ldp x29, x30, [sp], #32
	b trap_foreign

	.globl trap_signal_return
	.hidden trap_signal_return
	.type trap_signal_return, @function
trap_signal_return:
	mov x8, #__NR_rt_sigreturn
	svc #0

/* void trap_resume(frame): go on as it says, mask and all. */
	.globl trap_resume
	.hidden trap_resume
	.type trap_resume, @function
trap_resume:
	mov sp, x0
	mov x8, #__NR_rt_sigreturn
	svc #0

/*
 * long trap_call(nr, a0 ... a5): the same for who can call instead of trap.
 * An ordinary C function but for the stack it runs on.
 */
	.globl trap_call
	.hidden trap_call
	.type trap_call, @function
trap_call:
	stp x29, x30, [sp, #-80]!
	mov x29, sp
	stp x19, x20, [sp, #16]
	/* the six arguments, in order */
	stp x1, x2, [sp, #32]
	stp x3, x4, [sp, #48]
	stp x5, x6, [sp, #64]
	mov x20, x0
	mov x0, sp
	mov x1, sp
	bl trap_claim
	mov x19, x0
	mov sp, x0
	mov x1, x20
	add x2, x29, #32
	mov x3, xzr
	bl trap_dispatch
	mov sp, x29
	ldr x2, [x19, #TRAP_SLOT_LEFT_SIZE]
	ldr x3, [x19, #TRAP_SLOT_MASK]
	str xzr, [x19, #TRAP_SLOT_LEFT_SIZE]
	str xzr, [x19, #TRAP_SLOT_SP]
	add x1, x19, #TRAP_SLOT_OWNER
	stlr xzr, [x1]
	cbz x2, 1f
	/* an alternate stack: signals were blocked until it is left and taken again as a whole */
	mov x20, x0
	mov x0, x3
	bl trap_altstack_mask
	mov x0, x20
1:	ldp x19, x20, [sp, #16]
	ldp x29, x30, [sp], #80
	ret

	.section .note.GNU-stack, "", %progbits
