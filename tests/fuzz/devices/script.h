/* SPDX-License-Identifier: Apache-2.0 */
/* A fuzzer's input read as a script: numbers taken from its front, then zeros. */
#pragma once

#include "base/cc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct script {
	const uint8_t *p;
	size_t left;
};

static inline uint64_t take(struct script *s, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes && s->left > 0; i++) {
		v |= (uint64_t)*s->p++ << (8 * i);
		s->left--;
	}
	return v;
}

/* A number below n. */
static inline unsigned pick(struct script *s, unsigned n)
{
	return (unsigned)take(s, n > 256 ? 2 : 1) % n;
}

/* Once in sixteen, when the script says so: the place for something broken. */
static inline bool rarely(struct script *s)
{
	return (take(s, 1) & 0xf) == 0xf;
}
