/* SPDX-License-Identifier: Apache-2.0 */
/* Filter programs from a file; for filter.c alone. */
#pragma once

#include <linux/filter.h>

#include "jail/filter.h"

/* Points into `f'. */
struct sock_fprog filters_program(const struct filters *f, enum thread_kind kind);
