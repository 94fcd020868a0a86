/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/mptable.h"

#include <assert.h>
#include <string.h>

#include "vmm/x86/layout.h"

/* Sections and figures are those of the MultiProcessor Specification 1.4. */

struct pointer { /* the floating pointer structure, 4.1 */
	char signature[4];
	uint32_t table;
	uint8_t length; /* in units of 16 bytes */
	uint8_t spec;
	uint8_t checksum;
	uint8_t feature[5];
} __attribute__((packed));

struct header { /* of the configuration table, 4.2 */
	char signature[4];
	uint16_t length;
	uint8_t spec;
	uint8_t checksum;
	char oem[8];
	char product[12];
	uint32_t oem_table;
	uint16_t oem_size;
	uint16_t entries;
	uint32_t lapic;
	uint32_t extended;
} __attribute__((packed));

struct processor { /* 4.3.1 */
	uint8_t type, apic_id, apic_version, flags;
	uint32_t signature, features;
	uint8_t reserved[8];
} __attribute__((packed));

struct isa_bus { /* 4.3.2 */
	uint8_t type, id;
	char name[6];
} __attribute__((packed));

struct ioapic { /* 4.3.3 */
	uint8_t type, id, version, flags;
	uint32_t address;
} __attribute__((packed));

struct interrupt { /* 4.3.4 and, for a LINT pin, 4.3.5 */
	uint8_t type, kind;
	uint16_t flags; /* 0: as the bus has it, which for ISA is edge and high */
	uint8_t bus, bus_irq, apic, pin;
} __attribute__((packed));

enum { TYPE_PROCESSOR, TYPE_BUS, TYPE_IOAPIC, TYPE_INTERRUPT, TYPE_LINT };
enum { KIND_INT, KIND_NMI, KIND_SMI, KIND_EXTINT };
enum {
	UNIT = 16,
	SPEC_1_4 = 4,
	APIC_VERSION = 0x14,
	CPU_ENABLED = 1 << 0,
	CPU_BOOT = 1 << 1,
	CPU_SIGNATURE = 0x600,
	CPU_FPU_AND_APIC = 0x201,
	IOAPIC_USABLE = 1,
	ALL_LAPICS = 0xff,
	NLINES = LAYOUT_GSI_LAST + 1,
	NLINTS = 2,
};

struct tables {
	struct pointer pointer;
	struct header header;
	/* Entries in the order of their types (4.3): processors take what they need. */
	uint8_t entries[LAYOUT_VCPUS_MAX * sizeof(struct processor) + sizeof(struct isa_bus) +
			sizeof(struct ioapic) + (NLINES + NLINTS) * sizeof(struct interrupt)];
} __attribute__((packed));
static_assert(sizeof(struct tables) <= LAYOUT_ACPI - LAYOUT_SYSTEM, "the ACPI tables follow");
static_assert(sizeof(struct pointer) == UNIT, "figure 4-1");
static_assert(sizeof(struct header) == 44, "figure 4-3");
static_assert(sizeof(struct processor) == 20, "table 4-3");

static uint8_t checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	while (len-- > 0)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

static void add(struct tables *t, const void *entry, size_t len)
{
	size_t used = t->header.length - sizeof(t->header);

	assert(len <= sizeof(t->entries) - used);
	memcpy(t->entries + used, entry, len);
	t->header.length = (uint16_t)(t->header.length + len);
	t->header.entries++;
}

static void add_processors(struct tables *t, unsigned nvcpus)
{
	for (unsigned i = 0; i < nvcpus; i++) {
		const struct processor cpu = {
			.type = TYPE_PROCESSOR,
			.apic_id = (uint8_t)i,
			.apic_version = APIC_VERSION,
			.flags = CPU_ENABLED | (i == 0 ? CPU_BOOT : 0),
			.signature = CPU_SIGNATURE,
			.features = CPU_FPU_AND_APIC,
		};

		add(t, &cpu, sizeof(cpu));
	}
}

static void add_interrupts(struct tables *t, uint8_t ioapic_id)
{
	const struct interrupt lints[NLINTS] = {
		{ .type = TYPE_LINT, .kind = KIND_EXTINT, .apic = 0, .pin = 0 },
		{ .type = TYPE_LINT, .kind = KIND_NMI, .apic = ALL_LAPICS, .pin = 1 },
	};

	for (unsigned line = 0; line < NLINES; line++) {
		const struct interrupt in = { .type = TYPE_INTERRUPT,
					      .kind = KIND_INT,
					      .bus_irq = (uint8_t)line,
					      .apic = ioapic_id,
					      .pin = (uint8_t)line };

		add(t, &in, sizeof(in));
	}
	for (unsigned i = 0; i < NLINTS; i++)
		add(t, &lints[i], sizeof(lints[i]));
}

int mptable_write(const struct gmem *mem, unsigned nvcpus, struct err *e)
{
	const struct isa_bus isa = { .type = TYPE_BUS, .id = 0, .name = "ISA   " };
	const struct ioapic ioapic = {
		.type = TYPE_IOAPIC,
		.id = (uint8_t)(nvcpus + 1),
		.version = APIC_VERSION,
		.flags = IOAPIC_USABLE,
		.address = (uint32_t)LAYOUT_IOAPIC,
	};
	struct tables t = {
		.pointer = { .table = (uint32_t)(LAYOUT_SYSTEM + sizeof(t.pointer)),
			     .length = sizeof(t.pointer) / UNIT,
			     .spec = SPEC_1_4 },
		.header = { .length = sizeof(t.header),
			    .spec = SPEC_1_4,
			    .lapic = (uint32_t)LAYOUT_LAPIC },
	};

	assert(nvcpus > 0 && nvcpus <= LAYOUT_VCPUS_MAX);
	memcpy(t.pointer.signature, "_MP_", sizeof(t.pointer.signature));
	t.pointer.checksum = checksum(&t.pointer, sizeof(t.pointer));
	memcpy(t.header.signature, "PCMP", sizeof(t.header.signature));
	memcpy(t.header.oem, "FC      ", sizeof(t.header.oem));
	memcpy(t.header.product, "000000000000", sizeof(t.header.product));
	add_processors(&t, nvcpus);
	add(&t, &isa, sizeof(isa));
	add(&t, &ioapic, sizeof(ioapic));
	add_interrupts(&t, ioapic.id);
	t.header.checksum = checksum(&t.header, t.header.length);
	if (gmem_write(mem, LAYOUT_SYSTEM, &t, sizeof(t.pointer) + t.header.length) < 0)
		return err_set(e, ERR_INTERNAL, -EFAULT,
			       "guest memory is too small for the MP tables");
	return 0;
}
