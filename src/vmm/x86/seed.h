/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Randomness that a kernel has before it has any device: a SETUP_RNG_SEED node of the
 * Linux boot protocol's list of setup_data (Linux 6.0 and later take it and wipe it).
 * Only boot_params leads to it, so a kernel that boots by PVH has none.
 */
#pragma once

#include "base/err.h"
#include "mem/gmem.h"

/*
 * Writes the node to LAYOUT_RNG_SEED, which is for boot_params' setup_data. Main
 * thread, while no vCPU runs.
 */
must_check int seed_write(const struct gmem *mem, struct err *e);
