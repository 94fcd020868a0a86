/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/seed.h"

#include <string.h>

#include "base/random.h"
#include "vmm/x86/layout.h"

enum { SETUP_RNG_SEED = 9, SEED_SIZE = 32 }; /* Linux's asm/setup_data.h; its pool is 256 bits */

struct seed_node { /* struct setup_data, boot protocol 2.09 */
	uint64_t next;
	uint32_t type, len;
	uint8_t data[SEED_SIZE];
};
static_assert(offsetof(struct seed_node, data) == 16, "boot protocol 2.09");

int seed_write(const struct gmem *mem, struct err *e)
{
	struct seed_node node = { .type = SETUP_RNG_SEED, .len = SEED_SIZE };
	int r = random_fill(node.data, sizeof(node.data));

	if (r == 0)
		r = gmem_write(mem, LAYOUT_RNG_SEED, &node, sizeof(node));
	explicit_bzero(&node, sizeof(node));
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "random seed: %s", strerror(-r)) : 0;
}
