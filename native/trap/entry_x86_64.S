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
 * Only to an alternate stack it is rt_sigreturn, by that frame: altstack.c says why it is whole.
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
	call trap_signalled
	cmpq $0, TRAP_SLOT_LEFT_SIZE(%r14)
	jne 5f

4:	lea TRAP_SLOT_REGISTERS(%r14), %r15
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

	/* to an alternate stack: no signal can come before rt_sigreturn lets them in */
5:	mov REGISTER(TRAP_RAX) + TRAP_SLOT_REGISTERS(%r14), %rax
	mov %rax, REGISTER(TRAP_RAX) + TRAP_UC_REGISTERS(%r13)
	mov TRAP_SLOT_MASK(%r14), %rax
	mov %rax, TRAP_UC_MASK(%r13)
	mov %r13, %rsp
	movq $0, TRAP_SLOT_LEFT_SIZE(%r14)
	movq $0, TRAP_SLOT_SP(%r14)
	movq $0, TRAP_SLOT_OWNER(%r14)
	mov $15, %eax
	syscall

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

/*
 * From a rewritten call site, by its stub: rcx points to what is known of the site.  All other
 * registers but rax and r11, the flags and the stack are the program's, and there may be no
 * room on the stack.  So the first slot is taken here, if it is free, and nothing is pushed
 * before it is ours.  The gate keeps others out of the word that holds the flags meanwhile; it
 * is left after a few instructions.  A thread that a signal's handler jumped out of here keeps
 * it shut, and all goes by the signal from then on, as it does whenever something is not so.
 */
#define FIRST_SLOT trap_first_chunk + TRAP_SLOT_SIZE - TRAP_SLOT_HEADER
#define SAVED(n) FIRST_SLOT + TRAP_SLOT_REGISTERS + REGISTER(n)(%rip)
#define OVERFLOW 127 /* added to the 1 of seto, it overflows */

	.globl trap_site_entry
	.hidden trap_site_entry
	.type trap_site_entry, @function
trap_site_entry:
	/* no instruction here changes a flag until they are kept */
	mov %rcx, %r11
	mov $1, %eax
	xchg %eax, gate(%rip)
	mov %eax, %ecx
	jrcxz 1f
	jmp 8f
1:	lahf
	seto %al
	mov %eax, flags(%rip)

	cmpl $0, trap_sites_open(%rip)
	je 7f
	/* who may be on an alternate stack comes by the signal */
	cmpl $0, trap_altstacks(%rip)
	jne 7f
	mov trap_wiped(%rip), %eax
	test %eax, %eax
	jz 7f
	shl $TRAP_SLOT_OWNER_THREAD_BITS, %rax
	rdfsbase %rcx
	test %rcx, %rcx
	jz 7f
	or %rax, %rcx
	xor %eax, %eax
	lock cmpxchg %rcx, FIRST_SLOT + TRAP_SLOT_OWNER(%rip)
	jne 7f

	mov %r8, SAVED(TRAP_R8)
	mov %r9, SAVED(TRAP_R9)
	mov %r10, SAVED(TRAP_R10)
	mov %r12, SAVED(TRAP_R12)
	mov %r13, SAVED(TRAP_R13)
	mov %r14, SAVED(TRAP_R14)
	mov %r15, SAVED(TRAP_R15)
	mov %rdi, SAVED(TRAP_RDI)
	mov %rsi, SAVED(TRAP_RSI)
	mov %rbp, SAVED(TRAP_RBP)
	mov %rbx, SAVED(TRAP_RBX)
	mov %rdx, SAVED(TRAP_RDX)
	mov %rsp, SAVED(TRAP_RSP)
	mov %rsp, %r12
	lea FIRST_SLOT(%rip), %r14
	mov %r14, %rsp
	mov flags(%rip), %eax
	movl $0, gate(%rip)
	add $OVERFLOW, %al
	sahf
	pushfq
	pop REGISTER(TRAP_FLAGS) + TRAP_SLOT_REGISTERS(%r14)
	cld
	mov TRAP_SITE_NEXT(%r11), %rax
	mov %rax, REGISTER(TRAP_RIP) + TRAP_SLOT_REGISTERS(%r14)
	mov TRAP_SITE_NUMBER(%r11), %eax
	mov %rax, TRAP_SLOT_NUMBER(%r14)
	mov %r12, TRAP_SLOT_FRAME(%r14)
	movl $0, TRAP_SLOT_EXEC_TID(%r14)
	movl $0, TRAP_SLOT_ALTSTACK_FLAGS(%r14)
	mov %r12, TRAP_SLOT_SP(%r14)
	mov %r14, %rdi
	call trap_handle
	jmp 4b

	/* by the signal: the gate is ours, or it is not */
7:	mov flags(%rip), %eax
	movl $0, gate(%rip)
	add $OVERFLOW, %al
	sahf
8:	mov TRAP_SITE_NUMBER(%r11), %eax
	mov TRAP_SITE_NEXT(%r11), %rcx
	lea -TRAP_SITE_SYSCALL(%rcx), %rcx
	jmp *%rcx

	.local gate, flags
	.comm gate, 4, 4
	.comm flags, 4, 4

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
	/* first off the slot's stack: given back it is for anyone, and a signal may come */
	lea -16(%rbp), %rsp
	mov TRAP_SLOT_LEFT_SIZE(%rbx), %rcx
	mov TRAP_SLOT_MASK(%rbx), %rdi
	movq $0, TRAP_SLOT_LEFT_SIZE(%rbx)
	movq $0, TRAP_SLOT_SP(%rbx)
	movq $0, TRAP_SLOT_OWNER(%rbx)
	test %rcx, %rcx
	jnz 2f
1:	pop %r12
	pop %rbx
	pop %rbp
	ret
	/* an alternate stack: signals were blocked until it is left and taken again as a whole */
2:	mov %rax, %r12
	call trap_altstack_mask
	mov %r12, %rax
	jmp 1b

	.section .note.GNU-stack, "", @progbits
