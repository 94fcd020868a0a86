/* SPDX-License-Identifier: Apache-2.0 */
/* --describe-snapshot: what a state file holds, on standard output. */
#pragma once

/* The exit status; an error is said on standard error. */
int describe_snapshot(const char *path);
