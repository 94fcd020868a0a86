/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session tokens of the metadata service: 36 bytes as 48 characters of base64.
 *
 *   nonce (12) | time of expiry, masked (8) | keyed hash of these and the instance (16)
 *
 * The keys are random and live as long as the process, so nobody else makes a token and
 * none outlives a restart or a snapshot. No token is kept: what the hash proves was
 * issued here. The time is masked because the host's uptime is no business of a guest.
 *
 * Main thread. Times are the caller's, of CLOCK_MONOTONIC.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/siphash.h"

enum {
	MMDS_TOKEN_LEN = 48, /* characters */
	MMDS_TTL_MIN_S = 1,  /* contract, 4.1 */
	MMDS_TTL_MAX_S = 21600,
};

struct mmds_tokens {
	uint8_t hash_key[SIPHASH_KEY];
	uint8_t mask_key[SIPHASH_KEY];
	uint32_t salt;
	uint64_t issued;	 /* counts up from a random number, so that no nonce comes twice */
	const char *instance_id; /* the caller's, for as long as this is used */
};

must_check int mmds_tokens_init(struct mmds_tokens *t, const char *instance_id, struct err *e);

/* `ttl_s' is within the limits above. */
void mmds_token_issue(struct mmds_tokens *t, uint32_t ttl_s, usec_t now,
		      char ret_token[MMDS_TOKEN_LEN + 1]);

/* Whether it was issued here and has not expired. */
must_check bool mmds_token_is_valid(const struct mmds_tokens *t, const char *token, size_t len,
				    usec_t now);
