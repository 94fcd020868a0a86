/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adaptive polling: how long a loop should poll for work before it sleeps, learnt from how
 * long its sleeps were.
 *
 * A sleep that was shorter than the maximum says that a little more polling would have
 * found the work, so the time grows; one that was longer says that polling was in vain, so
 * the time becomes 0. Where growing again finds nothing again (the other side has no
 * processor of its own, say), it is tried more and more seldom.
 *
 * No locks: one thread's.
 */
#pragma once

#include "base/clock.h"

struct adaptive_poll {
	usec_t time;		/* poll for so long; 0: not at all */
	usec_t max;		/* 0: never */
	unsigned in_vain;	/* times in a row that it grew and went without a hit */
	unsigned sleeps_before; /* it may grow again */
};

/* Polling has found something. */
void adaptive_poll_hit(struct adaptive_poll *p);

/* `idle': from when polling began, or the sleep if there was none, to the end of the sleep. */
void adaptive_poll_slept(struct adaptive_poll *p, usec_t idle);
