/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors that a person will read.
 *
 * A function that can be reached from the API or the command line takes a
 * `struct err *` last and returns 0 or a negative errno.  It fills the record
 * where the cause is known; callers add context with err_wrap() and return.
 * Nothing here allocates, so reporting "out of memory" cannot fail.
 */
#pragma once

#include "base/cc.h"

enum err_kind {
	ERR_INTERNAL,  /* our fault or the host's: HTTP 400, as the contract has it */
	ERR_INVALID,   /* the request is wrong: HTTP 400 */
	ERR_STATE,     /* right request, wrong moment: HTTP 400 */
	ERR_TOO_LARGE, /* the metadata store is full: HTTP 413 */
};

struct err {
	enum err_kind kind;
	int code; /* negative errno, 0 while unset */
	char msg[240];
};

must_check printf_like(4, 5) int err_set(struct err *e, enum err_kind kind, int code,
					 const char *fmt, ...);

/* Puts "context: " before the message and returns the code already there. */
must_check printf_like(2, 3) int err_wrap(struct err *e, const char *fmt, ...);

#if defined(__clang_analyzer__) || defined(WISP_ANALYSE)
/* An analyser sees one file at a time: tell it that a failure is a negative code. */
printf_like(1, 2) static inline void err_words_(const char *fmt, ...)
{
	(void)fmt;
}
static inline int err_code_(int code)
{
	return code < 0 ? code : -1;
}
#define err_set(e, kind, code, ...) ((void)(e), err_words_(__VA_ARGS__), err_code_(code))
#define err_wrap(e, ...)	    ((void)(e), err_words_(__VA_ARGS__), -1)
#endif
