/* SPDX-License-Identifier: Apache-2.0 */
/* The symbolic constants that a policy may use; numbers are those of the build's headers. */
#pragma once

#include "base/cc.h"

/* -ENOENT when no constant has this name. */
must_check int constant_lookup(const char *name, uint64_t *ret_value);
