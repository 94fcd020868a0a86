/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012): a keyed hash of
 * short messages that nobody without the key can predict or forge. Any thread.
 */
#pragma once

#include "base/cc.h"

enum { SIPHASH_KEY = 16, SIPHASH_TAG = 16 }; /* bytes */

void siphash(const uint8_t key[SIPHASH_KEY], const void *data, size_t len,
	     uint8_t ret_tag[SIPHASH_TAG]);

/* Whether two secrets are equal, in a time that does not say where they differ. */
must_check bool siphash_equal(const uint8_t a[SIPHASH_TAG], const uint8_t b[SIPHASH_TAG]);
