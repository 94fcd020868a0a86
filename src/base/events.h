/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to the machine, as lines of JSON for those who watch:
 *
 *   {"utc_timestamp_ms":1764345600123,"event":"device-needs-reset","device":"entropy"}
 *
 * The newest EVENTS_KEPT are kept. Each reader has its own place in them and never holds
 * anybody up: what was overwritten before it was read becomes one line, {"lost":n}. Any
 * thread emits and reads, under any lock: a few lines are copied, and nothing is waited
 * for.
 */
#pragma once

#include "base/cc.h"

enum {
	EVENTS_KEPT = 256,
	EVENT_LINE_MAX = 512, /* bytes, with the newline */
};

/*
 * Pairs of a name and a text, closed by NULL, follow in the order given. Texts that do
 * not fit are left out. Whatever a guest can cause needs a limit of the caller's.
 */
__attribute__((sentinel)) void event_emit(const char *event, ...);

struct event_reader {
	uint64_t next; /* number of the event that it has not read */
};

/* Begins with what is emitted from now on. */
void events_begin(struct event_reader *reader);

/* As many whole lines as fit, at least one if there is any; cap >= EVENT_LINE_MAX. */
must_check size_t events_read(struct event_reader *reader, char *buf, size_t cap);

/*
 * `fd', an eventfd of the caller's, is signalled when something is emitted; -1: not any
 * more, and after that it may be closed.
 */
void events_wake(int fd);
