/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for frames one by one holds for those that go through a ring. */
#define NIC_RING
#include "test_net_tx.c"
