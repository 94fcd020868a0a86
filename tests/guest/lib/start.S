/* SPDX-License-Identifier: Apache-2.0 */
/* Entry by the 64-bit Linux boot protocol: long mode, RSI = boot_params. */
	.section .text.start, "ax"
	.globl _start
_start:
	cli
	cld
	lea stack_top(%rip), %rsp
	mov %rsi, %rdi
	call payload_entry
1:	hlt
	jmp 1b

	.bss
	.balign 4096
	.skip 16384
stack_top:
	.section .note.GNU-stack, "", @progbits
