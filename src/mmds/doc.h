/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A metadata document: a JSON object, and ready in it everything that a guest can be
 * answered with. It never changes: a new state of the store is a new document, and an
 * answer that is on its way keeps the old one. So answers are not copied, and nothing
 * is allocated for a request.
 *
 * Made on any thread; then main thread, references included.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"

struct mmds_doc;

struct mmds_slice {
	const char *p; /* not NUL-terminated */
	size_t len;
};

enum mmds_form {
	MMDS_FORM_JSON,
	MMDS_FORM_TEXT, /* the keys of an object, one in each line; a string as it is */
};

/* One reference. -EBADMSG in the words of the JSON layer, or -ENOMEM. */
must_check int mmds_doc_parse(const char *text, size_t len, struct mmds_doc **ret_doc,
			      struct err *e);

/* What a store has before anything is put there: null, as guests of the contract see it. */
must_check int mmds_doc_none(struct mmds_doc **ret_doc, struct err *e);

/* What a merge patch makes of the target, as a new document. */
must_check int mmds_doc_merge(const struct mmds_doc *target, const struct mmds_doc *patch,
			      struct mmds_doc **ret_doc, struct err *e);

struct mmds_doc *mmds_doc_ref(struct mmds_doc *doc);
void mmds_doc_unref(struct mmds_doc *doc); /* NULL is fine */

static inline void mmds_doc_unref_at_(struct mmds_doc **doc)
{
	mmds_doc_unref(*doc);
}
#define auto_mmds_doc cleanup_with(mmds_doc_unref_at_)

/* Compact JSON, keys sorted, numbers as they were written; also NUL-terminated. */
struct mmds_slice mmds_doc_text(const struct mmds_doc *doc);

/* Whether it is what mmds_doc_none() makes. */
must_check bool mmds_doc_is_none(const struct mmds_doc *doc);

/*
 * The value that a JSON pointer leads to (RFC 6901; a slash at its end counts for
 * nothing), inside the document. -ENOENT: there is none; -ENOTSUP: it has no such form.
 */
must_check int mmds_doc_find(const struct mmds_doc *doc, struct mmds_slice pointer,
			     enum mmds_form form, struct mmds_slice *ret);
