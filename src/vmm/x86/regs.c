/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/regs.h"

#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fault.h"
#include "vmm/x86/layout.h"
#include "vmm/x86/msr.h"

enum { GDT_CODE = 1, GDT_DATA = 2, GDT_TSS = 3, GDT_ENTRIES = 4 };
static const uint64_t gdt[][GDT_ENTRIES] = {
	[KERNEL_LINUX64] = {
		[GDT_CODE] = 0x00af9b000000ffff, /* 64-bit code */
		[GDT_DATA] = 0x00cf93000000ffff,
		[GDT_TSS] = 0x008f8b000000ffff,
	},
	[KERNEL_PVH] = {
		[GDT_CODE] = 0x00cf9b000000ffff, /* 32-bit code */
		[GDT_DATA] = 0x00cf93000000ffff,
		[GDT_TSS] = 0x00008b0000000067,
	},
};

enum { PTE_PRESENT = 1 << 0, PTE_WRITABLE = 1 << 1, PTE_LARGE = 1 << 7 };
enum { PD_ENTRIES = 512, LARGE_PAGE_SHIFT = 21 };

#define CR0_PE	 (UINT64_C(1) << 0)
#define CR0_ET	 (UINT64_C(1) << 4)
#define CR0_PG	 (UINT64_C(1) << 31)
#define CR4_PAE	 (UINT64_C(1) << 5)
#define EFER_LME (UINT64_C(1) << 8)
#define EFER_LMA (UINT64_C(1) << 10)

#define APIC_LVT0	 0x350
#define APIC_LVT1	 0x360
#define APIC_MODE_MASK	 0x700
#define APIC_MODE_NMI	 0x400
#define APIC_MODE_EXTINT 0x700

/* The first GiB of memory where it is, from large pages. */
static int write_page_tables(const struct gmem *mem)
{
	const uint64_t pml4 = LAYOUT_PDPT | PTE_PRESENT | PTE_WRITABLE;
	const uint64_t pdpt = LAYOUT_PD | PTE_PRESENT | PTE_WRITABLE;
	uint64_t pd[PD_ENTRIES];

	for (uint64_t i = 0; i < PD_ENTRIES; i++)
		pd[i] = i << LARGE_PAGE_SHIFT | PTE_PRESENT | PTE_WRITABLE | PTE_LARGE;
	if (gmem_write(mem, LAYOUT_PML4, &pml4, sizeof(pml4)) < 0 ||
	    gmem_write(mem, LAYOUT_PDPT, &pdpt, sizeof(pdpt)) < 0)
		return -EFAULT;
	return gmem_write(mem, LAYOUT_PD, pd, sizeof(pd));
}

int regs_write_tables(const struct gmem *mem, enum kernel_protocol protocol, struct err *e)
{
	const uint64_t idt = 0;
	int r = gmem_write(mem, LAYOUT_GDT, gdt[protocol], sizeof(gdt[protocol]));

	if (r == 0)
		r = gmem_write(mem, LAYOUT_IDT, &idt, sizeof(idt));
	if (r == 0 && protocol == KERNEL_LINUX64)
		r = write_page_tables(mem);
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r,
			       "guest memory is too small for the boot structures");
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

/* As the processor would load it; all bases are 0. */
static struct kvm_segment segment(enum kernel_protocol protocol, unsigned index)
{
	uint64_t d = gdt[protocol][index];
	uint32_t limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));
	bool pages = d >> 55 & 1;

	return (struct kvm_segment){
		.base = 0,
		.limit = pages ? limit << 12 | 0xfff : limit,
		.selector = (uint16_t)(index * sizeof(d)),
		.type = d >> 40 & 0xf,
		.s = d >> 44 & 1,
		.dpl = d >> 45 & 3,
		.present = d >> 47 & 1,
		.l = d >> 53 & 1,
		.db = d >> 54 & 1,
		.g = pages,
	};
}

static void entry_sregs(enum kernel_protocol protocol, struct kvm_sregs *s)
{
	s->cs = segment(protocol, GDT_CODE);
	s->ds = s->es = s->fs = s->gs = s->ss = segment(protocol, GDT_DATA);
	s->tr = segment(protocol, GDT_TSS);
	s->gdt.base = LAYOUT_GDT;
	s->gdt.limit = sizeof(gdt[protocol]) - 1;
	s->idt.base = LAYOUT_IDT;
	s->idt.limit = sizeof(uint64_t) - 1;
	switch (protocol) {
	case KERNEL_LINUX64:
		s->cr0 |= CR0_PE | CR0_PG;
		s->cr3 = LAYOUT_PML4;
		s->cr4 |= CR4_PAE;
		s->efer |= EFER_LME | EFER_LMA;
		break;
	case KERNEL_PVH:
		s->cr0 = CR0_PE | CR0_ET;
		s->cr4 = 0;
		break;
	}
}

void regs_entry(const struct kernel_image *kernel, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
	*regs = (struct kvm_regs){
		.rflags = 2, /* the bit that is always one */
		.rip = kernel->entry,
	};
	switch (kernel->protocol) {
	case KERNEL_LINUX64:
		regs->rsp = regs->rbp = LAYOUT_BOOT_STACK;
		regs->rsi = LAYOUT_ZERO_PAGE;
		break;
	case KERNEL_PVH:
		regs->rbx = LAYOUT_PVH_INFO;
		break;
	}
	entry_sregs(kernel->protocol, sregs);
}

static int set_entry(int fd, const struct kernel_image *kernel, struct err *e)
{
	struct kvm_sregs sregs = { 0 };
	struct kvm_regs regs;
	int r = vcpu_ioctl(fd, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS", e);

	if (r < 0)
		return r;
	regs_entry(kernel, &regs, &sregs);
	r = vcpu_ioctl(fd, KVM_SET_REGS, &regs, "KVM_SET_REGS", e);
	if (r < 0)
		return r;
	return vcpu_ioctl(fd, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS", e);
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
	/* KVM only reads the table. */
	void *cpuid = (void *)(uintptr_t)cfg->cpuid;
	int r;

	/* CPUID first: what MSRs and registers may hold depends on it. */
	r = vcpu_ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2", e);
	if (r < 0)
		return r;
	r = msr_set_up(vcpu_fd, cfg->template, e);
	if (r < 0)
		return r;
	r = vcpu_ioctl(vcpu_fd, KVM_SET_FPU, &fpu, "KVM_SET_FPU", e);
	if (r < 0)
		return r;
	r = set_entry(vcpu_fd, cfg->kernel, e);
	if (r < 0)
		return r;
	return set_lapic(vcpu_fd, e);
}
