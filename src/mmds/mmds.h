/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata service: one document that the API writes and the guest reads over HTTP,
 * and the tokens that a guest needs for it (contract, 4.1). How the guest's frames get
 * here is nic.h's affair.
 *
 * Main thread; mmds_metrics() is for any thread. Times are the caller's, of
 * CLOCK_MONOTONIC, so that a test can have its own.
 */
#pragma once

#include "base/clock.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/metrics.h"
#include "mmds/doc.h"

#define MMDS_IPV4_DEFAULT UINT32_C(0xa9fea9fe) /* 169.254.169.254 */

enum mmds_version { MMDS_V1, MMDS_V2 };

/* Names and order of the contract's group `mmds' (4.3): of all interfaces together. */
#define MMDS_METRICS(X)        \
	X(rx_accepted)         \
	X(rx_accepted_err)     \
	X(rx_accepted_unusual) \
	X(rx_bad_eth)          \
	X(rx_invalid_token)    \
	X(rx_no_token)         \
	X(rx_count)            \
	X(tx_bytes)            \
	X(tx_count)            \
	X(tx_errors)           \
	X(tx_frames)           \
	X(connections_created) \
	X(connections_destroyed)

struct mmds_metrics {
#define X(name) counter_t name;
	MMDS_METRICS(X)
#undef X
};

extern const struct metrics_shape mmds_metrics_shape;

struct mmds;

/* `instance_id' is kept by reference; `limit' is for the document, in bytes. */
must_check int mmds_create(const char *instance_id, size_t limit, struct mmds **ret_mmds,
			   struct err *e);
/* After its interfaces. NULL is fine. */
void mmds_destroy(struct mmds *mmds);

/*
 * Replaces the document, or merges a patch into it. The reference to `doc' is taken over,
 * also on error: it does not fit (ERR_TOO_LARGE), or a patch came before any document
 * (ERR_STATE); then nothing has changed.
 */
must_check int mmds_put(struct mmds *mmds, struct mmds_doc *doc, struct err *e);
must_check int mmds_patch(struct mmds *mmds, struct mmds_doc *doc, struct err *e);

/* The document as the API shows it, "{}" when there is none. Until the next change. */
const char *mmds_text(const struct mmds *mmds);

/* How guests are answered; at first V1, by the headers of the request. */
void mmds_configure(struct mmds *mmds, enum mmds_version version, bool imds_compat);

const struct mmds_metrics *mmds_metrics(const struct mmds *mmds);
