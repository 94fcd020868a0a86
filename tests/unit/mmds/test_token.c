/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: both sides of their life, and nothing but what was issued here is valid. */
#include "mmds/token.h"

#include "base/fault.h"
#include "test.h"

static struct mmds_tokens make(const char *id)
{
	struct mmds_tokens t;
	struct err e = { 0 };

	CHECK_EQ(mmds_tokens_init(&t, id, &e), 0);
	return t;
}

static bool valid(const struct mmds_tokens *t, const char *token, usec_t now)
{
	return mmds_token_is_valid(t, token, strlen(token), now);
}

TEST(lives_exactly_as_long_as_asked)
{
	struct mmds_tokens t = make("a");
	char one[MMDS_TOKEN_LEN + 1], longest[MMDS_TOKEN_LEN + 1];
	const usec_t now = 5000;

	mmds_token_issue(&t, MMDS_TTL_MIN_S, now, one);
	mmds_token_issue(&t, MMDS_TTL_MAX_S, now, longest);
	CHECK_EQ(strlen(one), MMDS_TOKEN_LEN);
	CHECK(valid(&t, one, now));
	CHECK(valid(&t, one, now + USEC_PER_SEC - 1));
	CHECK(!valid(&t, one, now + USEC_PER_SEC));
	CHECK(valid(&t, longest, now + 21600 * USEC_PER_SEC - 1));
	CHECK(!valid(&t, longest, now + 21600 * USEC_PER_SEC));
}

TEST(any_other_character_makes_it_invalid)
{
	static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				  "0123456789+/=-_ \n\xff";
	struct mmds_tokens t = make("a");
	char token[MMDS_TOKEN_LEN + 1];

	mmds_token_issue(&t, 60, 0, token);
	for (unsigned i = 0; i < MMDS_TOKEN_LEN; i++) {
		char was = token[i];

		for (unsigned c = 0; c < sizeof(all); c++) { /* and NUL */
			token[i] = all[c];
			CHECK_EQ(mmds_token_is_valid(&t, token, MMDS_TOKEN_LEN, 1), all[c] == was);
		}
		token[i] = was;
	}
}

TEST(no_other_length)
{
	struct mmds_tokens t = make("a");
	char token[3 * MMDS_TOKEN_LEN] = "";

	mmds_token_issue(&t, 60, 0, token);
	for (size_t len = 0; len < sizeof(token); len++)
		CHECK_EQ(mmds_token_is_valid(&t, token, len, 1), len == MMDS_TOKEN_LEN);
}

TEST(of_another_process_or_instance)
{
	struct mmds_tokens t = make("a"), other = make("a"), renamed = t;
	char token[MMDS_TOKEN_LEN + 1];

	renamed.instance_id = "b";
	mmds_token_issue(&t, 60, 0, token);
	CHECK(valid(&t, token, 1));
	CHECK(!valid(&other, token, 1));
	CHECK(!valid(&renamed, token, 1));
}

TEST(no_two_are_alike)
{
	struct mmds_tokens t = make("a");
	static char tokens[200][MMDS_TOKEN_LEN + 1];

	for (unsigned i = 0; i < ARRAY_SIZE(tokens); i++) {
		mmds_token_issue(&t, 60, 0, tokens[i]);
		for (unsigned j = 0; j < i; j++)
			CHECK(strcmp(tokens[i], tokens[j]) != 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(tokens); i++)
		CHECK(valid(&t, tokens[i], 1));
}

TEST(a_host_without_randomness)
{
	if (!faults_built_in())
		SKIP("built without WISP_FAULTS");
	for (long n = 0;; n++) {
		struct mmds_tokens t;
		struct err e = { 0 };
		int r;

		fault_arm(n);
		r = mmds_tokens_init(&t, "a", &e);
		if (!fault_fired()) {
			CHECK_EQ(n, 4);
			CHECK_EQ(r, 0);
			break;
		}
		CHECK_EQ(r, -EIO);
		CHECK(strstr(e.msg, "getrandom") != NULL);
	}
}
