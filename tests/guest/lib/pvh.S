/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry by PVH, for a payload that has PVH_NOTE: keeps what the processor holds in
 * pvh_state (lib/pvh.h), then goes on in long mode as if it had been entered there.
 */
	.set CR0_PG, 0x80000000
	.set CR4_PAE, 0x20
	.set MSR_EFER, 0xc0000080
	.set EFER_LME, 0x100
	.set PRESENT_RW, 0x3
	.set PRESENT_RW_LARGE, 0x83

	.code32
	.section .text, "ax"
	.globl pvh_start
pvh_start:
	mov %eax, pvh_state + 0
	mov %ebx, pvh_state + 4
	mov %cr0, %eax
	mov %eax, pvh_state + 8
	mov %cr4, %eax
	mov %eax, pvh_state + 12
	mov $MSR_EFER, %ecx
	rdmsr
	mov %eax, pvh_state + 16
	mov $pvh_stack, %esp
	pushfl
	pop pvh_state + 20
	mov %cs, %eax
	mov %eax, pvh_state + 24
	mov %ds, %eax
	mov %eax, pvh_state + 28
	str %eax
	mov %eax, pvh_state + 32
	sgdtl pvh_state + 36
	sidtl pvh_state + 44
	cli
	cld

	/* The first GiB of memory where it is. */
	movl $pvh_pdpt + PRESENT_RW, pvh_pml4
	movl $pvh_pd + PRESENT_RW, pvh_pdpt
	xor %ecx, %ecx
1:	mov %ecx, %eax
	shl $21, %eax
	or $PRESENT_RW_LARGE, %eax
	mov %eax, pvh_pd(, %ecx, 8)
	inc %ecx
	cmp $512, %ecx
	jne 1b

	mov %cr4, %eax
	or $CR4_PAE, %eax
	mov %eax, %cr4
	mov $pvh_pml4, %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	rdmsr
	or $EFER_LME, %eax
	wrmsr
	mov %cr0, %eax
	or $CR0_PG, %eax
	mov %eax, %cr0
	lgdt pvh_gdt_pointer
	ljmp $8, $pvh_long

	.code64
pvh_long:
	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %esi, %esi /* no boot_params */
	jmp _start

	.section .rodata, "a"
	.balign 8
pvh_gdt:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
pvh_gdt_pointer:
	.word . - pvh_gdt - 1
	.long pvh_gdt

	.bss
	.balign 4096
pvh_pml4:
	.skip 4096
pvh_pdpt:
	.skip 4096
pvh_pd:
	.skip 4096
	.skip 64
pvh_stack:
	.globl pvh_state
pvh_state:
	.skip 64
	.section .note.GNU-stack, "", @progbits
