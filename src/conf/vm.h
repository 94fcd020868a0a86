/* SPDX-License-Identifier: Apache-2.0 */
/* /vm: pause and resume. */
#pragma once

#include "base/cc.h"
#include "base/err.h"

enum conf_vm_state {
	CONF_VM_PAUSED,
	CONF_VM_RESUMED,
};

struct conf_vm {
	enum conf_vm_state state;
};

/* The body of a PATCH, decoded. On error *ret is undefined. */
must_check int conf_vm_parse(const char *body, size_t len, struct conf_vm *ret, struct err *e);
