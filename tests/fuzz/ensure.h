/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz target claims; unlike assert() it holds in every build. */
#pragma once

#include <stdlib.h>

#define ENSURE(claim)            \
	do {                     \
		if (!(claim))    \
			abort(); \
	} while (0)
