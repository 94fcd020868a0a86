/* SPDX-License-Identifier: Apache-2.0 */
/* payload: area=boot */
/* Shows the command line, for tests of how it is put together. */
#include "lib/payload.h"

void payload(void)
{
	size_t len = 0;

	put("CMDLINE [");
	put(cmdline());
	put("]\n");
	while (cmdline()[len])
		len++;
	CHECK_EQ(read32(boot_params + BP_CMDLINE_SIZE), len);
}
