/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the API asks of the metadata service. Action functions of the table in action.c.
 * Main thread.
 */
#pragma once

#include "vmm/action.h"

struct vmm;

must_check int mmds_put_config(struct vmm *vmm, const struct action *a, struct err *e);

/* Complete errors: there is more than one beginning. */
must_check int mmds_put_document(struct vmm *vmm, const struct action *a, struct err *e);
must_check int mmds_patch_document(struct vmm *vmm, const struct action *a, struct err *e);

/* The document for GET /mmds; NULL: the machine runs without the service. */
const char *mmds_shown(const struct vmm *vmm);
