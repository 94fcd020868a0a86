/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI Machine Language, as much as a table of devices needs (ACPI 6.5, 20 and 6.4).
 *
 * Appends to a buffer of the caller; what does not fit is dropped and remembered.
 * Packages (scope, device, package, method, resource template) are opened and closed like
 * brackets; their length is written when they close.
 */
#pragma once

#include "base/cc.h"

struct aml {
	uint8_t *buf;
	size_t cap, len;
	bool full;
};

typedef size_t aml_mark; /* where a package's length goes */

must_check aml_mark aml_scope_open(struct aml *a, const char *path); /* "\\_SB_" */
must_check aml_mark aml_device_open(struct aml *a, const char name[4]);
must_check aml_mark aml_package_open(struct aml *a, uint8_t elements);
must_check aml_mark aml_method_open(struct aml *a, const char name[4], uint8_t args);
void aml_close(struct aml *a, aml_mark mark);

void aml_integer(struct aml *a, uint32_t value);
void aml_name_integer(struct aml *a, const char name[4], uint32_t value);
void aml_name_string(struct aml *a, const char name[4], const char *value);
/* "PNP0501" as the compressed number that _HID wants. */
void aml_name_eisa(struct aml *a, const char name[4], const char id[7]);
/* A name for the package that follows. */
void aml_name(struct aml *a, const char name[4]);

/* In a method: If (Arg0 == value) { Notify (device, event) } */
void aml_if_arg0_notify(struct aml *a, uint32_t value, const char device[4], uint32_t event);

/* Name (_CRS, ResourceTemplate { ... }) */
struct aml_crs {
	aml_mark package;
	size_t size_at;
};
must_check struct aml_crs aml_crs_open(struct aml *a);
void aml_crs_close(struct aml *a, struct aml_crs crs);
void aml_crs_memory32(struct aml *a, uint32_t base, uint32_t size);
void aml_crs_io(struct aml *a, uint16_t base, uint8_t size);
void aml_crs_edge_interrupt(struct aml *a, uint32_t gsi);
