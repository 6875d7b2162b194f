/*
 * Into the trap and out of it.
 *
 * trap_signal_entry is the SIGSYS handler.  The kernel has pushed a frame with
 * all registers onto the program's stack or alternate stack.  That frame must
 * not outlive the moment: as soon as the stack pointer leaves an alternate
 * stack the kernel takes it for free and puts the next signal over it.  So the
 * vector state is put back at once (nothing of ours uses vector registers), the
 * general registers move to a slot, and the frame is dead.  The way back is a
 * jump, not rt_sigreturn; rcx and r11, which any system call destroys, carry it.
 *
 * A nested signal may come between any two instructions here; slots.c says why
 * that is safe.
 */
#include "slot.h"

#define REGISTER(n) (8 * (n))

	.text

	.globl trap_signal_entry
	.hidden trap_signal_entry
	.type trap_signal_entry, @function
trap_signal_entry:
	sub $8, %rsp
	cld
	mov %rsi, %r12
	mov %rdx, %r13
	mov %rsi, %rdi
	mov %rdx, %rsi
	call trap_accept
	test %rax, %rax
	jz 3f
	mov %rax, %r14

	mov TRAP_UC_FPSTATE(%r13), %rcx
	test %rcx, %rcx
	jz 2f
	cmpl $TRAP_FP_MAGIC, TRAP_FP_MAGIC_OFFSET(%rcx)
	jne 1f
	mov TRAP_FP_FEATURES_OFFSET(%rcx), %eax
	mov TRAP_FP_FEATURES_OFFSET+4(%rcx), %edx
	xrstor64 (%rcx)
	jmp 2f
1:	fxrstor64 (%rcx)

2:	lea TRAP_UC_REGISTERS(%r13), %rsi
	lea TRAP_SLOT_REGISTERS(%r14), %rdi
	mov $TRAP_REGISTER_COUNT, %ecx
	rep movsq
	mov %r14, %rsp
	mov %r14, %rdi
	call trap_handle

	lea TRAP_SLOT_REGISTERS(%r14), %r15
	mov %r14, %r11
	push REGISTER(TRAP_FLAGS)(%r15)
	popfq
	mov REGISTER(TRAP_R8)(%r15), %r8
	mov REGISTER(TRAP_R9)(%r15), %r9
	mov REGISTER(TRAP_R10)(%r15), %r10
	mov REGISTER(TRAP_R12)(%r15), %r12
	mov REGISTER(TRAP_R13)(%r15), %r13
	mov REGISTER(TRAP_R14)(%r15), %r14
	mov REGISTER(TRAP_RDI)(%r15), %rdi
	mov REGISTER(TRAP_RSI)(%r15), %rsi
	mov REGISTER(TRAP_RBP)(%r15), %rbp
	mov REGISTER(TRAP_RBX)(%r15), %rbx
	mov REGISTER(TRAP_RDX)(%r15), %rdx
	mov REGISTER(TRAP_RAX)(%r15), %rax
	mov REGISTER(TRAP_RIP)(%r15), %rcx
	mov REGISTER(TRAP_RSP)(%r15), %rsp
	mov REGISTER(TRAP_R15)(%r15), %r15
	movq $0, TRAP_SLOT_SP(%r11)
	movq $0, TRAP_SLOT_OWNER(%r11)
	jmp *%rcx

	/* a SIGSYS that is the program's: leave as any handler does */
3:	mov %r12, %rdi
	mov %r13, %rsi
	call trap_foreign
	add $8, %rsp
	ret

	.globl trap_signal_return
	.hidden trap_signal_return
	.type trap_signal_return, @function
trap_signal_return:
	mov $15, %eax
	syscall

/* void trap_resume(context): go on as it says, mask and all; the kernel finds it at the stack
 * pointer, as behind a frame whose first word a handler has returned by. */
	.globl trap_resume
	.hidden trap_resume
	.type trap_resume, @function
trap_resume:
	mov %rdi, %rsp
	mov $15, %eax
	syscall

/*
 * long trap_call(nr, a0 ... a5): the same for who can call instead of trap.
 * An ordinary C function but for the stack it runs on.
 */
	.globl trap_call
	.hidden trap_call
	.type trap_call, @function
trap_call:
	push %rbp
	mov %rsp, %rbp
	push %rbx
	push %r12
	/* the six arguments, in order, at %rsp; the seventh is above the return address */
	push 16(%rbp)
	push %r9
	push %r8
	push %rcx
	push %rdx
	push %rsi
	mov %rdi, %r12
	mov %rsp, %rdi
	mov %rsp, %rsi
	call trap_claim
	mov %rax, %rbx
	mov %rsp, %rdx
	mov %rax, %rsp
	mov %rax, %rdi
	mov %r12, %rsi
	xor %ecx, %ecx
	call trap_dispatch
	movq $0, TRAP_SLOT_SP(%rbx)
	movq $0, TRAP_SLOT_OWNER(%rbx)
	lea -16(%rbp), %rsp
	pop %r12
	pop %rbx
	pop %rbp
	ret

	.section .note.GNU-stack, "", @progbits
