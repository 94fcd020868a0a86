/* SPDX-License-Identifier: Apache-2.0 */
/*
 * void enter_user_mode(void): returns at CPL 3, on the same stack; by sysexit, because an
 * interpreting KVM knows no iretq. Ports are allowed by a task state whose bitmap is zeros:
 * IOPL is not kept there.
 */
	.set MSR_SYSENTER_CS, 0x174
	.set SELECTOR, 0x08 /* code is 32 above it, the stack 40 */
	.set TSS_SELECTOR, 0x18
	.set TSS_SIZE, 0x68
	.set PORTS_BYTES, 0x2000

	.section .text, "ax"
	.globl enter_user_mode
enter_user_mode:
	/* The descriptor's base is in four pieces; this is below 16 MiB. */
	lea user_tss(%rip), %rax
	mov %ax, user_gdt + TSS_SELECTOR + 2
	shr $16, %rax
	mov %al, user_gdt + TSS_SELECTOR + 4
	movw $TSS_SIZE, user_tss + 102
	lgdt user_gdt_pointer
	mov $TSS_SELECTOR, %eax
	ltr %ax

	mov $MSR_SYSENTER_CS, %ecx
	mov $SELECTOR, %eax
	xor %edx, %edx
	wrmsr
	pop %rdx
	mov %rsp, %rcx
	sysexitq

	.data
	.balign 8
user_gdt:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
	.word TSS_SIZE + PORTS_BYTES, 0, 0x8900, 0
	.quad 0
user_gdt_pointer:
	.word . - user_gdt - 1
	.quad user_gdt

	.bss
	.balign 4096
user_tss:
	.skip TSS_SIZE + PORTS_BYTES + 1
	.section .note.GNU-stack, "", @progbits
