/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/acpi.h"

#include <assert.h>
#include <string.h>

#include "devices/acpi_power.h"
#include "vmm/x86/acpi_devices.h"
#include "vmm/x86/layout.h"

#define OEM_ID "FIRECK"

struct sdt_header { /* ACPI 6.5, 5.2.6 */
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct gas { /* generic address structure, 5.2.3.2 */
	uint8_t space, bit_width, bit_offset, access_size;
	uint64_t address;
} __attribute__((packed));
enum { GAS_IO = 1, GAS_BYTE = 1 };

struct rsdp { /* 5.2.5.3 */
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

struct fadt { /* 5.2.9; fields that a hardware-reduced machine lacks stay zero */
	struct sdt_header header;
	uint8_t legacy[73];
	uint16_t boot_arch; /* at 109 */
	uint8_t reserved;
	uint32_t flags;
	struct gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor;
	uint64_t x_facs;
	uint64_t x_dsdt;
	struct gas blocks[8];
	struct gas sleep_control;
	struct gas sleep_status;
	char hypervisor[8];
} __attribute__((packed));
static_assert(offsetof(struct fadt, boot_arch) == 109, "ACPI 6.5, table 5.9");
static_assert(offsetof(struct fadt, sleep_control) == 244, "ACPI 6.5, table 5.9");
static_assert(sizeof(struct fadt) == 276, "ACPI 6.5, table 5.9");

enum { /* FADT flags, 5.2.9, and IA-PC boot flags, 5.2.9.3 */
       FADT_PWR_BUTTON = 1 << 4,
       FADT_SLP_BUTTON = 1 << 5,
       FADT_RESET_REG = 1 << 10,
       FADT_HW_REDUCED = 1 << 20,
       BOOT_LEGACY_DEVICES = 1 << 0,
       BOOT_8042 = 1 << 1,
       BOOT_NO_VGA = 1 << 2,
       BOOT_NO_CMOS_RTC = 1 << 5,
};

struct madt_lapic { /* 5.2.12.2 */
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
} __attribute__((packed));

struct madt_ioapic { /* 5.2.12.3 */
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} __attribute__((packed));

struct madt_lapic_nmi { /* 5.2.12.7 */
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));

struct madt {
	struct sdt_header header;
	uint32_t lapic_address, flags;
	struct madt_ioapic ioapic;
	struct madt_lapic_nmi nmi;
	struct madt_lapic lapic[LAYOUT_VCPUS_MAX];
} __attribute__((packed));
enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_LAPIC_NMI = 4, LAPIC_ENABLED = 1, ALL_CPUS = 0xff };

struct xsdt {
	struct sdt_header header;
	uint64_t entry[2];
} __attribute__((packed));

enum { DSDT_MAX = 8192 };

static uint8_t checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	while (len-- > 0)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

static struct sdt_header header(const char *signature, uint8_t revision, const char *table_id)
{
	struct sdt_header h = { .revision = revision, .oem_revision = 1, .creator_revision = 1 };

	memcpy(h.signature, signature, sizeof(h.signature));
	memcpy(h.oem_id, OEM_ID, sizeof(h.oem_id));
	memcpy(h.oem_table_id, table_id, sizeof(h.oem_table_id));
	memcpy(h.creator_id, "WISP", sizeof(h.creator_id));
	return h;
}

/* Appends a finished table behind the others and says where it is; 0 when it does not fit. */
static gpa_t place(const struct gmem *mem, gpa_t *at, void *table, size_t len)
{
	struct sdt_header *h = table;
	gpa_t here = *at;

	h->length = (uint32_t)len;
	h->checksum = 0;
	h->checksum = checksum(table, len);
	if (len > LAYOUT_ACPI_END - here || gmem_write(mem, here, table, len) < 0)
		return 0;
	*at = (here + len + 15) & ~(gpa_t)15;
	return here;
}

static gpa_t write_dsdt(const struct gmem *mem, gpa_t *at, const struct acpi_cfg *cfg)
{
	autofree uint8_t *buf = calloc(1, DSDT_MAX);
	struct sdt_header h = header("DSDT", 2, "FCVMDSDT");
	struct aml a = { .buf = buf, .cap = DSDT_MAX, .len = sizeof(h) };
	aml_mark scope, s5;

	if (!buf)
		return 0;
	memcpy(buf, &h, sizeof(h));
	scope = aml_scope_open(&a, "\\_SB_");
	acpi_devices_describe(&a, cfg->nvirtio);
	aml_close(&a, scope);
	aml_name(&a, "_S5_");
	s5 = aml_package_open(&a, 4);
	aml_integer(&a, ACPI_POWER_S5);
	for (unsigned i = 0; i < 3; i++)
		aml_integer(&a, 0);
	aml_close(&a, s5);
	return a.full ? 0 : place(mem, at, buf, a.len);
}

static gpa_t write_fadt(const struct gmem *mem, gpa_t *at, gpa_t dsdt)
{
	const struct gas port = { .space = GAS_IO, .bit_width = 8, .access_size = GAS_BYTE };
	struct fadt f = {
		.header = header("FACP", 6, "FCVMFADT"),
		.boot_arch = BOOT_LEGACY_DEVICES | BOOT_8042 | BOOT_NO_VGA | BOOT_NO_CMOS_RTC,
		.flags = FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_RESET_REG | FADT_HW_REDUCED,
		.reset_reg = port,
		.reset_value = ACPI_POWER_RESET_VALUE,
		.minor = 5,
		.x_dsdt = dsdt,
		.sleep_control = port,
		.sleep_status = port,
	};

	f.reset_reg.address = LAYOUT_PORT_ACPI + ACPI_POWER_RESET;
	f.sleep_control.address = LAYOUT_PORT_ACPI + ACPI_POWER_SLEEP_CONTROL;
	f.sleep_status.address = LAYOUT_PORT_ACPI + ACPI_POWER_SLEEP_STATUS;
	memcpy(f.hypervisor, "FIRECKVM", sizeof(f.hypervisor));
	return place(mem, at, &f, sizeof(f));
}

static gpa_t write_madt(const struct gmem *mem, gpa_t *at, unsigned nvcpus)
{
	struct madt m = {
		.header = header("APIC", 6, "FCVMMADT"),
		.lapic_address = (uint32_t)LAYOUT_LAPIC,
		.ioapic = { .type = MADT_IOAPIC,
			    .length = sizeof(m.ioapic),
			    .address = (uint32_t)LAYOUT_IOAPIC },
		.nmi = { .type = MADT_LAPIC_NMI,
			 .length = sizeof(m.nmi),
			 .uid = ALL_CPUS,
			 .lint = 1 },
	};

	assert(nvcpus <= ARRAY_SIZE(m.lapic));
	for (unsigned i = 0; i < nvcpus; i++)
		m.lapic[i] = (struct madt_lapic){ .type = MADT_LAPIC,
						  .length = sizeof(m.lapic[i]),
						  .uid = (uint8_t)i,
						  .apic_id = (uint8_t)i,
						  .flags = LAPIC_ENABLED };
	return place(mem, at, &m, offsetof(struct madt, lapic) + nvcpus * sizeof(m.lapic[0]));
}

static int write_rsdp(const struct gmem *mem, gpa_t xsdt)
{
	struct rsdp r = { .revision = 2, .length = sizeof(r), .xsdt = xsdt };

	memcpy(r.signature, "RSD PTR ", sizeof(r.signature));
	memcpy(r.oem_id, OEM_ID, sizeof(r.oem_id));
	r.checksum = checksum(&r, 20);
	r.extended_checksum = checksum(&r, sizeof(r));
	return gmem_write(mem, LAYOUT_RSDP, &r, sizeof(r));
}

int acpi_write(const struct gmem *mem, const struct acpi_cfg *cfg, struct err *e)
{
	struct xsdt x = { .header = header("XSDT", 1, "FCMVXSDT") };
	gpa_t at = LAYOUT_ACPI, xsdt = 0;
	gpa_t dsdt = write_dsdt(mem, &at, cfg);

	if (dsdt) {
		x.entry[0] = write_fadt(mem, &at, dsdt);
		x.entry[1] = write_madt(mem, &at, cfg->nvcpus);
		xsdt = place(mem, &at, &x, sizeof(x));
	}
	if (!dsdt || !x.entry[0] || !x.entry[1] || !xsdt || write_rsdp(mem, xsdt) < 0)
		return err_set(e, ERR_INTERNAL, -ENOSPC, "the ACPI tables do not fit below %#llx",
			       (unsigned long long)LAYOUT_ACPI_END);
	return 0;
}
