/* From the kernel's stack to program_main(argc, argv, envp), and out with what it returns. */
	.text
	.globl _start
_start:
	xor %ebp, %ebp
	mov (%rsp), %rdi
	lea 8(%rsp), %rsi
	lea 16(%rsp,%rdi,8), %rdx
	and $-16, %rsp
	call program_main
	mov %eax, %edi
	mov $231, %eax
	syscall

	.section .note.GNU-stack, "", @progbits
