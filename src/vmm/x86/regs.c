/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/regs.h"

#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fault.h"
#include "vmm/x86/layout.h"

enum { GDT_CODE = 1, GDT_DATA = 2, GDT_TSS = 3, GDT_ENTRIES = 4 };
static const uint64_t gdt[GDT_ENTRIES] = {
	[GDT_CODE] = 0x00af9b000000ffff, /* 64-bit code */
	[GDT_DATA] = 0x00cf93000000ffff,
	[GDT_TSS] = 0x008f8b000000ffff,
};

enum { PTE_PRESENT = 1 << 0, PTE_WRITABLE = 1 << 1, PTE_LARGE = 1 << 7 };
enum { PD_ENTRIES = 512, LARGE_PAGE_SHIFT = 21 };

#define CR0_PE	 (UINT64_C(1) << 0)
#define CR0_PG	 (UINT64_C(1) << 31)
#define CR4_PAE	 (UINT64_C(1) << 5)
#define EFER_LME (UINT64_C(1) << 8)
#define EFER_LMA (UINT64_C(1) << 10)

#define MSR_IA32_TSC		0x10
#define MSR_IA32_SYSENTER_CS	0x174
#define MSR_IA32_SYSENTER_ESP	0x175
#define MSR_IA32_SYSENTER_EIP	0x176
#define MSR_IA32_MISC_ENABLE	0x1a0
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_SYSCALL_MASK	0xc0000084
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MISC_ENABLE_FAST_STRING 1
#define MTRR_ENABLE_WRITE_BACK	((1 << 11) | 6)

#define APIC_LVT0	 0x350
#define APIC_LVT1	 0x360
#define APIC_MODE_MASK	 0x700
#define APIC_MODE_NMI	 0x400
#define APIC_MODE_EXTINT 0x700

int regs_write_tables(const struct gmem *mem, struct err *e)
{
	const uint64_t idt = 0;
	const uint64_t pml4 = LAYOUT_PDPT | PTE_PRESENT | PTE_WRITABLE;
	const uint64_t pdpt = LAYOUT_PD | PTE_PRESENT | PTE_WRITABLE;
	uint64_t pd[PD_ENTRIES];

	for (uint64_t i = 0; i < PD_ENTRIES; i++)
		pd[i] = i << LARGE_PAGE_SHIFT | PTE_PRESENT | PTE_WRITABLE | PTE_LARGE;
	if (gmem_write(mem, LAYOUT_GDT, gdt, sizeof(gdt)) < 0 ||
	    gmem_write(mem, LAYOUT_IDT, &idt, sizeof(idt)) < 0 ||
	    gmem_write(mem, LAYOUT_PML4, &pml4, sizeof(pml4)) < 0 ||
	    gmem_write(mem, LAYOUT_PDPT, &pdpt, sizeof(pdpt)) < 0 ||
	    gmem_write(mem, LAYOUT_PD, pd, sizeof(pd)) < 0)
		return err_set(e, ERR_INTERNAL, -EFAULT,
			       "guest memory is too small for the page tables");
	return 0;
}

static int vcpu_ioctl(int fd, unsigned long request, void *arg, const char *name, struct err *e)
{
	int r = FAULT(-EINVAL);

	if (r == 0 && ioctl(fd, request, arg) < 0)
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "%s: %s", name, strerror(-r));
	return 0;
}

static struct kvm_segment segment(unsigned index)
{
	uint64_t d = gdt[index];

	return (struct kvm_segment){
		.base = 0,
		.limit = 0xffffffff,
		.selector = (uint16_t)(index * sizeof(gdt[0])),
		.type = d >> 40 & 0xf,
		.s = d >> 44 & 1,
		.dpl = d >> 45 & 3,
		.present = d >> 47 & 1,
		.l = d >> 53 & 1,
		.db = d >> 54 & 1,
		.g = d >> 55 & 1,
	};
}

static int set_sregs(int fd, struct err *e)
{
	struct kvm_sregs s = { 0 };
	int r = vcpu_ioctl(fd, KVM_GET_SREGS, &s, "KVM_GET_SREGS", e);

	if (r < 0)
		return r;
	s.cs = segment(GDT_CODE);
	s.ds = s.es = s.fs = s.gs = s.ss = segment(GDT_DATA);
	s.tr = segment(GDT_TSS);
	s.gdt.base = LAYOUT_GDT;
	s.gdt.limit = sizeof(gdt) - 1;
	s.idt.base = LAYOUT_IDT;
	s.idt.limit = sizeof(uint64_t) - 1;
	s.cr0 |= CR0_PE | CR0_PG;
	s.cr3 = LAYOUT_PML4;
	s.cr4 |= CR4_PAE;
	s.efer |= EFER_LME | EFER_LMA;
	return vcpu_ioctl(fd, KVM_SET_SREGS, &s, "KVM_SET_SREGS", e);
}

static int set_msrs(int fd, struct err *e)
{
	static const struct {
		uint32_t index;
		uint64_t data;
	} boot[] = {
		{ MSR_IA32_SYSENTER_CS, 0 },
		{ MSR_IA32_SYSENTER_ESP, 0 },
		{ MSR_IA32_SYSENTER_EIP, 0 },
		{ MSR_STAR, 0 },
		{ MSR_CSTAR, 0 },
		{ MSR_KERNEL_GS_BASE, 0 },
		{ MSR_SYSCALL_MASK, 0 },
		{ MSR_LSTAR, 0 },
		{ MSR_IA32_TSC, 0 },
		{ MSR_IA32_MISC_ENABLE, MISC_ENABLE_FAST_STRING },
		{ MSR_MTRR_DEF_TYPE, MTRR_ENABLE_WRITE_BACK },
	};
	union {
		struct kvm_msrs head;
		char room[sizeof(struct kvm_msrs) +
			  ARRAY_SIZE(boot) * sizeof(struct kvm_msr_entry)];
	} m = { .head = { .nmsrs = ARRAY_SIZE(boot) } };
	int n = FAULT(-EINVAL);

	for (unsigned i = 0; i < ARRAY_SIZE(boot); i++)
		m.head.entries[i] = (struct kvm_msr_entry){ .index = boot[i].index,
							    .data = boot[i].data };
	if (n == 0) {
		n = ioctl(fd, KVM_SET_MSRS, &m.head);
		n = n < 0 ? -errno : n;
	}
	if (n < 0)
		return err_set(e, ERR_INTERNAL, n, "KVM_SET_MSRS: %s", strerror(-n));
	if ((unsigned)n < ARRAY_SIZE(boot)) /* the first that KVM refused */
		return err_set(e, ERR_INTERNAL, -EINVAL, "KVM_SET_MSRS: MSR %#x is refused",
			       boot[n].index);
	return 0;
}

static int set_lapic(int fd, struct err *e)
{
	struct kvm_lapic_state lapic;
	static const struct {
		unsigned reg;
		uint32_t mode;
	} lines[] = { { APIC_LVT0, APIC_MODE_EXTINT }, { APIC_LVT1, APIC_MODE_NMI } };
	int r = vcpu_ioctl(fd, KVM_GET_LAPIC, &lapic, "KVM_GET_LAPIC", e);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		uint32_t lvt;

		memcpy(&lvt, lapic.regs + lines[i].reg, sizeof(lvt));
		lvt = (lvt & ~(uint32_t)APIC_MODE_MASK) | lines[i].mode;
		memcpy(lapic.regs + lines[i].reg, &lvt, sizeof(lvt));
	}
	return vcpu_ioctl(fd, KVM_SET_LAPIC, &lapic, "KVM_SET_LAPIC", e);
}

int regs_set_up(int vcpu_fd, const struct regs_cfg *cfg, struct err *e)
{
	struct kvm_fpu fpu = { .fcw = 0x37f, .mxcsr = 0x1f80 };
	struct kvm_regs regs = {
		.rflags = 2, /* the bit that is always one */
		.rip = cfg->entry,
		.rsp = LAYOUT_BOOT_STACK,
		.rbp = LAYOUT_BOOT_STACK,
		.rsi = LAYOUT_ZERO_PAGE, /* Linux boot protocol, 64-bit */
	};
	/* KVM only reads the table. */
	void *cpuid = (void *)(uintptr_t)cfg->cpuid;
	int r;

	/* CPUID first: what MSRs and registers may hold depends on it. */
	r = vcpu_ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2", e);
	if (r < 0)
		return r;
	r = set_msrs(vcpu_fd, e);
	if (r < 0)
		return r;
	r = vcpu_ioctl(vcpu_fd, KVM_SET_REGS, &regs, "KVM_SET_REGS", e);
	if (r < 0)
		return r;
	r = vcpu_ioctl(vcpu_fd, KVM_SET_FPU, &fpu, "KVM_SET_FPU", e);
	if (r < 0)
		return r;
	r = set_sregs(vcpu_fd, e);
	if (r < 0)
		return r;
	return set_lapic(vcpu_fd, e);
}
