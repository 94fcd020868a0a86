/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine boots from: kernel, initrd, firmware tables and boot parameters. */
#include "base/log.h"
#include "vmm/build.h"
#include "vmm/x86/acpi.h"
#include "vmm/x86/boot.h"
#include "vmm/x86/mptable.h"
#include "vmm/x86/regs.h"

static int load_images(struct machine *m, const struct machine_cfg *cfg,
		       struct kernel_image *kernel, struct initrd_image *initrd, struct err *e)
{
	int r = kernel_load(&m->mem, cfg->kernel_fd, kernel, e);

	if (r < 0)
		return err_wrap(e, "Cannot load kernel `%s'",
				cfg->config->boot_source.kernel_image_path);
	log_debug("Kernel loaded using %s boot protocol%s",
		  kernel->protocol == KERNEL_PVH ? "PVH" : "Linux 64-bit",
		  kernel->bzimage ? " (bzImage)" : "");
	if (cfg->initrd_fd >= 0)
		r = initrd_load(&m->mem, cfg->initrd_fd, kernel->end, initrd, e);
	return r < 0 ? err_wrap(e, "Cannot load initrd `%s'", cfg->config->boot_source.initrd_path)
		     : 0;
}

/*
 * Linux drops the PIC when it finds a hardware-reduced ACPI, and `noapic' drops the
 * I/O APIC: such a guest gets the MP tables alone, or it would have no interrupts.
 */
static int build_firmware(struct machine *m, const struct conf_machine *conf, struct err *e)
{
	const struct acpi_cfg acpi = { .nvcpus = conf->vcpu_count, .nvirtio = m->virtio.n };
	int r = mptable_write(&m->mem, conf->vcpu_count, e);

	if (r < 0 || m->pic_only)
		return r;
	return acpi_write(&m->mem, &acpi, e);
}

int build_boot(struct machine *m, const struct machine_cfg *cfg, struct kernel_image *ret_kernel,
	       struct err *e)
{
	const struct conf_machine *conf = &cfg->config->machine;
	struct initrd_image initrd = { 0 };
	const struct boot_cfg boot = {
		.kernel = ret_kernel,
		.initrd = &initrd,
		.cmdline = m->cmdline.text,
		.mem_size = conf->mem_size_mib << 20,
		.rsdp = m->pic_only ? 0 : LAYOUT_RSDP,
	};
	int r = load_images(m, cfg, ret_kernel, &initrd, e);

	if (r < 0)
		return r;
	r = build_firmware(m, conf, e);
	if (r < 0)
		return r;
	r = boot_write(&m->mem, &boot, e);
	if (r < 0)
		return r;
	return regs_write_tables(&m->mem, ret_kernel->protocol, e);
}
