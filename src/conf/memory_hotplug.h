/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /hotplug/memory: memory that can be given to a running guest. Checked in full, though
 * this version has no such device.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"

enum {
	CONF_HOTPLUG_BLOCK_MIN_MIB = 2,
	CONF_HOTPLUG_SLOT_MIN_MIB = 128,
};

struct conf_memory_hotplug {
	uint32_t total_size_mib;
	uint32_t block_size_mib; /* what is plugged at a time */
	uint32_t slot_size_mib;	 /* what KVM is told of at a time */
};

/* The body of a PUT, decoded and checked. On error *ret is undefined. */
must_check int conf_memory_hotplug_parse(const char *body, size_t len,
					 struct conf_memory_hotplug *ret, struct err *e);

/* The body of a PATCH, decoded. */
must_check int conf_memory_hotplug_size_parse(const char *body, size_t len,
					      uint32_t *ret_requested_size_mib, struct err *e);
