/* SPDX-License-Identifier: Apache-2.0 */
#include "mmds/token.h"

#include <string.h>

#include "base/random.h"

enum { SALT = 4, COUNT = 8, NONCE = SALT + COUNT, EXPIRY = 8, TOKEN = 36, MESSAGE_MAX = 128 };
static_assert(NONCE + EXPIRY + SIPHASH_TAG == TOKEN, "layout");
static_assert(TOKEN / 3 * 4 == MMDS_TOKEN_LEN, "base64 without padding");

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int mmds_tokens_init(struct mmds_tokens *t, const char *instance_id, struct err *e)
{
	int r;

	*t = (struct mmds_tokens){ .instance_id = instance_id };
	r = random_fill(t->hash_key, sizeof(t->hash_key));
	if (r == 0)
		r = random_fill(t->mask_key, sizeof(t->mask_key));
	if (r == 0)
		r = random_fill(&t->salt, sizeof(t->salt));
	if (r == 0)
		r = random_fill(&t->issued, sizeof(t->issued));
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "keys of the metadata service: getrandom: %s",
			       strerror(-r));
	return 0;
}

/* The same bits go on and off. */
static void mask_expiry(const struct mmds_tokens *t, uint8_t *token)
{
	uint8_t mask[SIPHASH_TAG];

	siphash(t->mask_key, token, NONCE, mask);
	for (unsigned i = 0; i < EXPIRY; i++)
		token[NONCE + i] ^= mask[i];
}

static void hash(const struct mmds_tokens *t, const uint8_t *token, uint8_t ret_tag[SIPHASH_TAG])
{
	uint8_t message[MESSAGE_MAX];
	size_t id = strnlen(t->instance_id, sizeof(message) - NONCE - EXPIRY);

	memcpy(message, token, NONCE + EXPIRY);
	memcpy(message + NONCE + EXPIRY, t->instance_id, id);
	siphash(t->hash_key, message, NONCE + EXPIRY + id, ret_tag);
}

static void encode(const uint8_t *token, char *ret)
{
	for (unsigned i = 0; i < TOKEN; i += 3, ret += 4) {
		uint32_t v = (uint32_t)token[i] << 16 | (uint32_t)token[i + 1] << 8 | token[i + 2];

		for (unsigned j = 0; j < 4; j++)
			ret[j] = digits[v >> (18 - 6 * j) & 63];
	}
	*ret = '\0';
}

static bool decode(const char *text, uint8_t *ret_token)
{
	for (unsigned i = 0; i < TOKEN; i += 3, text += 4) {
		uint32_t v = 0;

		for (unsigned j = 0; j < 4; j++) {
			const char *digit = text[j] ? strchr(digits, text[j]) : NULL;

			if (!digit)
				return false;
			v = v << 6 | (uint32_t)(digit - digits);
		}
		ret_token[i] = (uint8_t)(v >> 16);
		ret_token[i + 1] = (uint8_t)(v >> 8);
		ret_token[i + 2] = (uint8_t)v;
	}
	return true;
}

void mmds_token_issue(struct mmds_tokens *t, uint32_t ttl_s, usec_t now,
		      char ret_token[MMDS_TOKEN_LEN + 1])
{
	usec_t expiry = now + ttl_s * USEC_PER_SEC;
	uint8_t token[TOKEN];

	assert(ttl_s >= MMDS_TTL_MIN_S && ttl_s <= MMDS_TTL_MAX_S);
	t->issued++;
	memcpy(token, &t->salt, SALT);
	memcpy(token + SALT, &t->issued, COUNT);
	memcpy(token + NONCE, &expiry, EXPIRY);
	mask_expiry(t, token);
	hash(t, token, token + NONCE + EXPIRY);
	encode(token, ret_token);
}

bool mmds_token_is_valid(const struct mmds_tokens *t, const char *token, size_t len, usec_t now)
{
	uint8_t bytes[TOKEN], tag[SIPHASH_TAG];
	usec_t expiry;

	if (len != MMDS_TOKEN_LEN || !decode(token, bytes))
		return false;
	hash(t, bytes, tag);
	if (!siphash_equal(tag, bytes + NONCE + EXPIRY))
		return false;
	mask_expiry(t, bytes);
	memcpy(&expiry, bytes + NONCE, EXPIRY);
	return now < expiry;
}
