/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-64/XZ: notices damage, not forgery. Any thread. */
#pragma once

#include "base/cc.h"

/* Of a text in pieces: `crc' is 0 for the first, then what the last call returned. */
must_check uint64_t crc64(uint64_t crc, const void *data, size_t len);
