/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/layout.h"

struct layout_ram layout_ram(uint64_t size)
{
	static const struct {
		gpa_t base, end;
	} windows[] = {
		{ 0, LAYOUT_MMIO32 },
		{ LAYOUT_MMIO32_END, LAYOUT_MMIO64 },
		{ LAYOUT_MMIO64_END, UINT64_MAX },
	};
	struct layout_ram ram = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(windows) && size > 0; i++) {
		uint64_t room = windows[i].end - windows[i].base;
		uint64_t part = size < room ? size : room;

		ram.region[ram.n].base = windows[i].base;
		ram.region[ram.n++].size = part;
		size -= part;
	}
	return ram;
}
