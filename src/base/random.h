/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness of the host's kernel for identifiers and seeds. Any thread. */
#pragma once

#include "base/cc.h"

enum { RANDOM_MAX = 256 }; /* bytes; that many are never cut short by a signal */

/* Fills all of `len' <= RANDOM_MAX bytes, or -errno. */
must_check int random_fill(void *buf, size_t len);
