/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/acpi_devices.h"

#include <stdio.h>

#include "devices/pvpanic.h"
#include "devices/serial.h"
#include "devices/vmclock.h"
#include "vmm/x86/layout.h"

enum { NOTIFY_CHANGED = 0x80 }; /* first of a device's own notifications, ACPI 6.5, 5.6.6 */

static void virtio(struct aml *a, unsigned i)
{
	struct aml_crs crs;
	aml_mark dev;
	char name[5];

	snprintf(name, sizeof(name), "V%03u", i % 1000);
	dev = aml_device_open(a, name);
	aml_name_string(a, "_HID", "LNRO0005");
	aml_name_integer(a, "_UID", i);
	aml_name_integer(a, "_CCA", 1);
	crs = aml_crs_open(a);
	aml_crs_memory32(a, (uint32_t)(LAYOUT_VIRTIO + i * LAYOUT_VIRTIO_SIZE),
			 (uint32_t)LAYOUT_VIRTIO_SIZE);
	aml_crs_edge_interrupt(a, LAYOUT_GSI_VIRTIO + i);
	aml_crs_close(a, crs);
	aml_close(a, dev);
}

static void com1(struct aml *a)
{
	aml_mark dev = aml_device_open(a, "COM1");
	struct aml_crs crs;

	aml_name_eisa(a, "_HID", "PNP0501");
	aml_name_integer(a, "_UID", 0);
	crs = aml_crs_open(a);
	aml_crs_io(a, LAYOUT_PORT_COM1, SERIAL_PORTS);
	aml_crs_edge_interrupt(a, LAYOUT_GSI_COM1);
	aml_crs_close(a, crs);
	aml_close(a, dev);
}

static void keyboard(struct aml *a)
{
	aml_mark dev = aml_device_open(a, "PS2_");
	struct aml_crs crs;

	aml_name_eisa(a, "_HID", "PNP0303");
	crs = aml_crs_open(a);
	aml_crs_io(a, LAYOUT_PORT_I8042, 1);
	aml_crs_io(a, LAYOUT_PORT_I8042 + 4, 1);
	aml_crs_edge_interrupt(a, LAYOUT_GSI_I8042);
	aml_crs_close(a, crs);
	aml_close(a, dev);
}

static void pvpanic(struct aml *a)
{
	aml_mark dev = aml_device_open(a, "PNIC");
	struct aml_crs crs;

	aml_name_string(a, "_HID", "QEMU0001");
	crs = aml_crs_open(a);
	aml_crs_io(a, LAYOUT_PORT_PVPANIC, PVPANIC_SIZE);
	aml_crs_close(a, crs);
	aml_close(a, dev);
}

/* Its driver asks ADDR for the low and the high half of the identifier's address. */
static void vmgenid(struct aml *a)
{
	aml_mark dev = aml_device_open(a, "VGEN");
	aml_mark halves;

	aml_name_string(a, "_HID", "VMGENCTR");
	aml_name_string(a, "_CID", "VM_Gen_Counter");
	aml_name_string(a, "_DDN", "VM_Gen_Counter");
	aml_name(a, "ADDR");
	halves = aml_package_open(a, 2);
	aml_integer(a, (uint32_t)LAYOUT_VMGENID);
	aml_integer(a, (uint32_t)(LAYOUT_VMGENID >> 32));
	aml_close(a, halves);
	aml_close(a, dev);
}

static void vmclock(struct aml *a)
{
	aml_mark dev = aml_device_open(a, "VCLK");
	struct aml_crs crs;

	aml_name_string(a, "_HID", "AMZNC10C");
	aml_name_string(a, "_CID", "VMCLOCK");
	aml_name_string(a, "_DDN", "VMCLOCK");
	crs = aml_crs_open(a);
	aml_crs_memory32(a, (uint32_t)LAYOUT_VMCLOCK, VMCLOCK_SIZE);
	aml_crs_close(a, crs);
	aml_close(a, dev);
}

static void generic_events(struct aml *a)
{
	aml_mark dev = aml_device_open(a, "GED_");
	struct aml_crs crs;
	aml_mark method;

	aml_name_string(a, "_HID", "ACPI0013");
	aml_name_integer(a, "_UID", 0);
	crs = aml_crs_open(a);
	aml_crs_edge_interrupt(a, LAYOUT_GSI_VMGENID);
	aml_crs_edge_interrupt(a, LAYOUT_GSI_VMCLOCK);
	aml_crs_close(a, crs);
	method = aml_method_open(a, "_EVT", 1);
	aml_if_arg0_notify(a, LAYOUT_GSI_VMGENID, "VGEN", NOTIFY_CHANGED);
	aml_if_arg0_notify(a, LAYOUT_GSI_VMCLOCK, "VCLK", NOTIFY_CHANGED);
	aml_close(a, method);
	aml_close(a, dev);
}

void acpi_devices_describe(struct aml *a, unsigned nvirtio)
{
	com1(a);
	keyboard(a);
	pvpanic(a);
	for (unsigned i = 0; i < nvirtio; i++)
		virtio(a, i);
	vmgenid(a);
	vmclock(a);
	generic_events(a);
}
