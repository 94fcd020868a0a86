/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file that --seccomp-filter takes and wisp-seccomp --file writes: this head,
 * then the programs of `struct sock_filter' in the order of enum thread_kind, and
 * nothing after them. Numbers are the host's; a filter is bound to its machine anyway.
 */
#pragma once

#include "base/cc.h"

#define FILTER_FILE_MAGIC                              \
	{                                              \
		'w', 'i', 's', 'p', 'b', 'p', 'f', '1' \
	}

/*
 * The constant SELF_PID of the policies: a comparison with it becomes one with the id of
 * the process when the program is installed. No other constant may have this value.
 */
#define FILTER_SELF_PID 0x53454c46U

enum { FILTER_FILE_KINDS = 3 }; /* vmm, api, vcpu */

struct filter_file_head {
	char magic[8];
	uint32_t n[FILTER_FILE_KINDS]; /* instructions, 1 to BPF_MAXINSNS */
};
