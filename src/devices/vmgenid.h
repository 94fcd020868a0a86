/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMGenID: 16 bytes of guest memory that are different in every microVM that ever
 * runs, so that a guest can tell that it has been cloned. Guests find it by ACPI
 * (_CID VM_Gen_Counter); Linux feeds it to its random generator.
 */
#pragma once

#include "base/err.h"
#include "mem/gmem.h"

enum { VMGENID_SIZE = 16 };

/* Writes a fresh identifier to `at'. Main thread, while no vCPU runs. */
must_check int vmgenid_write(const struct gmem *mem, gpa_t at, struct err *e);
