/* SPDX-License-Identifier: Apache-2.0 */
/* Removing a folder with all that is in it, whoever has made it. */
#pragma once

#include "jail/beneath.h"

/*
 * Removes `name' below `b' and everything in it; no link is followed and no other mount
 * is entered: what is mounted there is an error that names it. 0 when it is not there.
 */
must_check int cleanup_tree(const struct beneath *b, const char *name, struct err *e);
