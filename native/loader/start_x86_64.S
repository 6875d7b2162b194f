/*
 * From the kernel to loader_begin, on a stack of our own, and from there to the
 * program: sp and entry come back in rax and rdx.
 */
	.text
	.globl _start
	.hidden _start
	.type _start, @function
_start:
	mov %rsp, %rdi
	mov %rsp, %rbx
	call trap_first_slot
	xchg %rax, %rbx
	mov %rbx, %rsp
	mov %rax, %rdi
	xor %ebp, %ebp
	call loader_begin
	mov %rax, %rsp
	mov %rdx, %rcx
	xor %eax, %eax
	/* no function to be called at exit */
	xor %edx, %edx
	xor %ebx, %ebx
	xor %esi, %esi
	xor %edi, %edi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	xor %r12d, %r12d
	xor %r13d, %r13d
	xor %r14d, %r14d
	xor %r15d, %r15d
	jmp *%rcx

	.section .note.GNU-stack, "", @progbits
