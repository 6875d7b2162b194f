/*
 * From the kernel to loader_begin, on a stack of our own, and from there to the
 * program: sp and entry come back in x0 and x1.  The entry stays in x16: a jump by that
 * register may go to where only calls may.
 */
	.text
	.globl _start
	.hidden _start
	.type _start, @function
_start:
	mov x19, sp
	bl trap_first_slot
	mov sp, x0
	mov x0, x19
	mov x29, xzr
	mov x30, xzr
	bl loader_begin
	mov sp, x0
	mov x16, x1
	/* x0: no function to be called at exit */
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 22, 23, \
		24, 25, 26, 27, 28, 29, 30
	mov x\n, xzr
	.endr
	br x16

	.section .note.GNU-stack, "", %progbits
