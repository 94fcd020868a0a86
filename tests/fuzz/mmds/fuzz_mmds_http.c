/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte chooses how the service is configured, the rest is what a guest sends.
 * Each answer is HTTP whose length is its body's; V2 gives no value away, because nothing
 * here has a token; and nothing is answered before its end has come.
 */
#include "../ensure.h"
#include <string.h>

#include "mmds/service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char document[] = "{\"latest\":{\"meta-data\":{\"a\":\"b\",\"list\":[1,\"x\",{}],"
			       "\"empty\":\"\",\"n\":1}},\"\":{\"/\":\"slash\",\"~\":null}}";

static struct mmds_reply reply;

static struct mmds *make(void)
{
	struct mmds_doc *doc = NULL;
	struct mmds *mmds = NULL;
	struct err e = { 0 };

	ENSURE(mmds_create("fuzz", 4096, &mmds, &e) == 0);
	ENSURE(mmds_doc_parse(document, strlen(document), &doc, &e) == 0);
	ENSURE(mmds_put(mmds, doc, &e) == 0);
	return mmds;
}

static void ensure_http(void)
{
	static const char length[] = "\r\nContent-Length: ";
	const char *end = memmem(reply.text, reply.len, "\r\n\r\n", 4);
	const char *says = memmem(reply.text, reply.len, length, strlen(length));
	size_t body;

	ENSURE(reply.len <= sizeof(reply.text) && memcmp(reply.text, "HTTP/1.", 7) == 0);
	ENSURE(end && says && says < end);
	body = reply.len - (size_t)(end + 4 - reply.text) + reply.body.len;
	ENSURE(strtoul(says + strlen(length), NULL, 10) == body);
	ENSURE(!reply.doc == (reply.body.p == NULL));
}

/* The bytes that were used of the first `len'. */
static size_t ask(struct mmds *mmds, const uint8_t *data, size_t len, bool v2)
{
	autofree char *text = malloc(len + (len == 0));
	size_t used;

	ENSURE(text);
	if (len > 0)
		memcpy(text, data, len);
	used = mmds_answer(mmds, text, len, 1000, &reply);
	ENSURE(used <= len);
	if (used == 0)
		return 0;
	ensure_http();
	ENSURE(!v2 || !reply.doc);
	mmds_reply_fini(&reply);
	return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mmds *mmds;
	bool v2;

	if (size < 1)
		return 0;
	if (!mmds)
		mmds = make();
	v2 = data[0] & 1;
	mmds_configure(mmds, v2 ? MMDS_V2 : MMDS_V1, data[0] & 2);
	data++;
	size--;
	if (size > MMDS_REQUEST_MAX)
		size = MMDS_REQUEST_MAX;
	while (size > 0) {
		size_t used = ask(mmds, data, size, v2);

		if (used == 0)
			break;
		if (!reply.close)
			ENSURE(ask(mmds, data, used - 1, v2) == 0);
		data += used;
		size -= used;
	}
	return 0;
}
