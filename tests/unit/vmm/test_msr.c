/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/msr.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "conf/expect.h"
#include "vmm/x86/cpuid.h"

static struct conf_cpu cpu;
static struct err e;

static void add(uint32_t addr, uint64_t mask, uint64_t value)
{
	cpu.msr[cpu.nmsrs++] = (struct conf_cpu_msr){ addr, mask, value };
}

/* The contract's list, 2.5. */
TEST(boot_values)
{
	static const uint32_t zero[] = { 0x10,	     0x174,	 0x175,	     0x176,	0xc0000081,
					 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102 };
	const struct kvm_msr_entry *boot;
	unsigned n = msr_boot(&boot), found = 0;

	CHECK_EQ(n, ARRAY_SIZE(zero) + 2);
	for (unsigned i = 0; i < n; i++) {
		for (unsigned z = 0; z < ARRAY_SIZE(zero); z++)
			found += boot[i].index == zero[z] && boot[i].data == 0;
		found += boot[i].index == 0x1a0 && boot[i].data == 1;
		found += boot[i].index == 0x2ff && boot[i].data == 0x806;
	}
	CHECK_EQ(found, n);
}

/* Values as read on an Ice Lake; the template is one that hides its mitigations. */
TEST(modifiers)
{
	struct kvm_msr_entry recorded[] = {
		{ .index = 0x10a, .data = 0x0000000000000d6b },
		{ .index = 0x1a0, .data = 0x0000000000000001 },
		{ .index = 0x48, .data = 0 },
		{ .index = 0x10a, .data = 0x0000000000000d6b },
	};

	add(0x10a, UINT64_MAX, 0);
	add(0x1a0, UINT64_C(1) << 63 | 1 << 18, UINT64_C(1) << 63 | 1 << 18);
	add(0x48, 0, 0);
	add(0x10a, 0xf, 0x4);
	msr_modify(&cpu, recorded);
	CHECK_EQ(recorded[0].data, 0);
	CHECK(recorded[1].data == (UINT64_C(1) << 63 | 1 << 18 | 1));
	CHECK_EQ(recorded[2].data, 0);
	CHECK_EQ(recorded[3].data, 0xd64);
}

/* --- with this machine's KVM ------------------------------------------------------------ */

static int vcpu_fd(void)
{
	static union {
		struct kvm_cpuid2 cpuid;
		char room[sizeof(struct kvm_cpuid2) +
			  CPUID_ENTRIES_MAX * sizeof(struct kvm_cpuid_entry2)];
	} c = { .cpuid.nent = CPUID_ENTRIES_MAX };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, vcpu;

	if (kvm < 0)
		SKIP("no /dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	CHECK(vm >= 0);
	CHECK_EQ(ioctl(vm, KVM_CREATE_IRQCHIP, 0), 0);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	CHECK(vcpu >= 0);
	CHECK_EQ(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &c.cpuid), 0);
	CHECK_EQ(ioctl(vcpu, KVM_SET_CPUID2, &c.cpuid), 0);
	return vcpu;
}

static uint64_t get(int fd, uint32_t index)
{
	union {
		struct kvm_msrs head;
		char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} m = { .head.nmsrs = 1 };

	m.head.entries[0].index = index;
	CHECK_EQ(ioctl(fd, KVM_GET_MSRS, &m.head), 1);
	return m.head.entries[0].data;
}

TEST(set_up_without_a_template)
{
	int fd = vcpu_fd();

	CHECK_EQ(msr_set_up(fd, NULL, &e), 0);
	CHECK_EQ(get(fd, 0x1a0) & 1, 1);
	CHECK_EQ(get(fd, 0x2ff), 0x806);
	CHECK_EQ(get(fd, 0xc0000082), 0);
	CHECK_EQ(msr_set_up(fd, &cpu, &e), 0); /* one that changes nothing */
}

/* Bits that the template does not name are the boot value's. */
TEST(set_up_with_a_template)
{
	int fd = vcpu_fd();

	add(0x2ff, 0xff, 0x1);
	add(0xc0000082, UINT64_MAX, 0xffffffff81000000);
	CHECK_EQ(msr_set_up(fd, &cpu, &e), 0);
	CHECK_EQ(get(fd, 0x2ff), 0x801);
	CHECK(get(fd, 0xc0000082) == 0xffffffff81000000);
	CHECK_EQ(get(fd, 0xc0000083), 0);
}

TEST(as_many_as_a_template_holds)
{
	int fd = vcpu_fd();

	while (cpu.nmsrs < CONF_CPU_MSRS_MAX)
		add(0xc0000083, UINT64_C(0xff), cpu.nmsrs);
	CHECK_EQ(msr_set_up(fd, &cpu, &e), 0);
	CHECK_EQ(get(fd, 0xc0000083), CONF_CPU_MSRS_MAX - 1); /* the last one stays */
}

TEST(register_that_kvm_does_not_have)
{
	int fd = vcpu_fd();

	add(0xc0000082, 0, 0);
	add(0x40000fff, 1, 1);
	CHECK_EQ(msr_set_up(fd, &cpu, &e), -EINVAL);
	expect_msg("get", e.msg, "CPU template: KVM_GET_MSRS: this host refuses MSR 0x40000fff");
}

TEST(value_that_kvm_refuses)
{
	int fd = vcpu_fd();

	add(0x2ff, UINT64_MAX, UINT64_MAX); /* reserved bits of the MTRR default type */
	CHECK_EQ(msr_set_up(fd, &cpu, &e), -EINVAL);
	expect_msg("set", e.msg, "CPU template: KVM_SET_MSRS: this host refuses MSR 0x2ff");
}

TEST(ioctl_fails)
{
	CHECK_EQ(msr_set_up(-1, NULL, &e), -EBADF);
	expect_msg("boot", e.msg, "KVM_SET_MSRS: Bad file descriptor");
}

TEST(every_failure_is_told)
{
	int fd, n = 0;

	if (!faults_work())
		SKIP("fault points are for debug builds");
	fd = vcpu_fd();
	add(0xc0000082, 0, 0);
	for (;; n++) {
		int r;

		e = (struct err){ 0 };
		fault_arm(n);
		r = msr_set_up(fd, &cpu, &e);
		fault_arm(-1);
		if (r == 0)
			break;
		CHECK_EQ(e.code, r);
		CHECK(strstr(e.msg, "_MSRS: ") != NULL);
	}
	CHECK_EQ(n, 3); /* set, get, set */
}
