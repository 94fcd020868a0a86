/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vmgenid.h"

#include <string.h>

#include "base/random.h"

int vmgenid_write(const struct gmem *mem, gpa_t at, struct err *e)
{
	uint8_t id[VMGENID_SIZE];
	int r = random_fill(id, sizeof(id));

	if (r == 0)
		r = gmem_write(mem, at, id, sizeof(id));
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "VMGenID: %s", strerror(-r)) : 0;
}
