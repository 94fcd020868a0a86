/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for `Sync' holds for `Async'. */
#define DISK_ASYNC
#include "test_block_direct.c"
