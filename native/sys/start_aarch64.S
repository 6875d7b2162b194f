/* From the kernel's stack to program_main(argc, argv, envp), and out with what it returns. */
#include <asm/unistd.h>

	.text
	.globl _start
_start:
	mov x29, xzr
	mov x30, xzr
	ldr x0, [sp]
	add x1, sp, #8
	add x2, x1, x0, lsl #3
	add x2, x2, #8
	bl program_main
	mov x8, #__NR_exit_group
	svc #0

	.section .note.GNU-stack, "", %progbits
