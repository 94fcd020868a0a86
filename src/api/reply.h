/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies: the one place that knows status codes and the shapes of bodies.
 *
 *   200 with JSON · 204 without a body · 400 or 413 {"fault_message":"..."} ·
 *   400 {"error":"..."} when the request was no acceptable HTTP
 *
 * A reply owns its text (or the view that its text is in) and is filled once; it
 * writes the log lines that the contract (1.2) wants about it. API thread.
 */
#pragma once

#include "base/err.h"
#include "vmm/view.h"

struct MHD_Connection;

enum { REPLY_TEXT_MAX = 2560 }; /* a message of 240 bytes, each escaped, and its preamble */

struct reply {
	unsigned status; /* 0: not yet filled */
	bool deprecated;
	struct view *view; /* owned; holds the body, or NULL */
	const char *body;  /* NULL: none */
	const char *type;  /* of the body; NULL: JSON */
	char text[REPLY_TEXT_MAX];
};

void reply_fini(struct reply *reply);

/* 204. */
void reply_done(struct reply *reply);

/* 200; takes the view over. A constant body comes without a view. */
void reply_body(struct reply *reply, struct view *view, const char *body);

/* 200, and what follows is not ours to send: see stream.h. */
void reply_stream(struct reply *reply);

/* {"fault_message":...}; the kind decides the status. */
void reply_fault(struct reply *reply, const struct err *e);

/* The same for a body that could not be decoded: the contract's preamble goes before it. */
void reply_undecoded(struct reply *reply, const struct err *e);

/* 400 {"error":...}. */
printf_like(2, 3) void reply_transport(struct reply *reply, const char *fmt, ...);

/* Queues it on the connection: 0, or -ENOMEM, and then the connection is to be closed. */
must_check int reply_send(struct MHD_Connection *conn, const struct reply *reply);
