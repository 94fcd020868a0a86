/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two lengths, then a document, a patch and a pointer. What is accepted prints a text that
 * prints itself; a patch applied twice is a patch applied once; both forms of a value agree.
 */
#include "../ensure.h"
#include <string.h>

#include "mmds/mmds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of just its size, so that a sanitizer sees the byte after it. */
static struct mmds_doc *parse(const uint8_t *data, size_t len)
{
	autofree char *text = malloc(len + (len == 0));
	struct mmds_doc *doc = NULL;
	struct err e = { 0 };
	int r;

	ENSURE(text);
	if (len > 0)
		memcpy(text, data, len);
	r = mmds_doc_parse(text, len, &doc, &e);
	ENSURE(r == 0 || (r == -EBADMSG && e.msg[0] != '\0' && !doc));
	return doc;
}

static void ensure_stable(const struct mmds_doc *doc)
{
	struct mmds_slice text = mmds_doc_text(doc), again;
	auto_mmds_doc struct mmds_doc *copy = parse((const uint8_t *)text.p, text.len);

	ENSURE(copy && strlen(text.p) == text.len);
	again = mmds_doc_text(copy);
	ENSURE(again.len == text.len && memcmp(again.p, text.p, text.len) == 0);
}

static void ensure_found(const struct mmds_doc *doc, struct mmds_slice pointer)
{
	struct mmds_slice json, plain, whole = mmds_doc_text(doc);
	int r = mmds_doc_find(doc, pointer, MMDS_FORM_JSON, &json);
	int t = mmds_doc_find(doc, pointer, MMDS_FORM_TEXT, &plain);

	ENSURE(r == 0 || r == -ENOENT);
	if (r < 0) {
		ENSURE(t == r);
		return;
	}
	ENSURE(json.len > 0 && json.p >= whole.p && json.p + json.len <= whole.p + whole.len);
	if (json.p[0] == '{' || json.p[0] == '"')
		ENSURE(t == 0 && plain.len <= json.len);
	else
		ENSURE(t == -ENOTSUP);
}

static void ensure_merged(const struct mmds_doc *doc, const struct mmds_doc *patch,
			  struct mmds_slice pointer)
{
	auto_mmds_doc struct mmds_doc *once = NULL;
	auto_mmds_doc struct mmds_doc *twice = NULL;
	struct mmds_slice a, b;
	struct err e = { 0 };
	int r = mmds_doc_merge(doc, patch, &once, &e);

	ENSURE(r == 0);
	ensure_stable(once);
	ensure_found(once, pointer);
	r = mmds_doc_merge(once, patch, &twice, &e);
	ENSURE(r == 0);
	a = mmds_doc_text(once);
	b = mmds_doc_text(twice);
	ENSURE(a.len == b.len && memcmp(a.p, b.p, a.len) == 0);
	ENSURE(a.len <= mmds_doc_text(doc).len + mmds_doc_text(patch).len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_mmds_doc struct mmds_doc *doc = NULL;
	auto_mmds_doc struct mmds_doc *patch = NULL;
	struct mmds_slice pointer;
	size_t n, m;

	if (size < 2)
		return 0;
	n = data[0] * 2U < size - 2 ? data[0] * 2U : size - 2;
	m = data[1] * 2U < size - 2 - n ? data[1] * 2U : size - 2 - n;
	data += 2;
	pointer = (struct mmds_slice){ (const char *)data + n + m, size - 2 - n - m };
	doc = parse(data, n);
	if (!doc)
		return 0;
	ensure_stable(doc);
	ensure_found(doc, pointer);
	patch = parse(data + n, m);
	if (patch)
		ensure_merged(doc, patch, pointer);
	return 0;
}
