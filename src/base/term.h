/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's terminal as the guest's console: raw while a guest runs, and as it was
 * afterwards. Main thread; there is one terminal a process.
 */
#pragma once

#include "base/cc.h"

/*
 * Whether `fd' is our controlling terminal and another job has it. Then reading from it,
 * or changing its settings, would stop this process.
 */
bool term_in_background(int fd);

/* 0 also when `fd' is no terminal. Remembers the settings. -errno. */
must_check int term_make_raw(int fd);

/* No-op unless term_make_raw() changed something. Async-signal-safe, keeps errno. */
void term_restore(void);
