/* SPDX-License-Identifier: Apache-2.0 */
#include "mmds/doc.h"

#include <string.h>

#include "base/fault.h"
#include "base/text.h"
#include "json/json.h"

struct list {
	uint32_t start, len; /* in `listed' */
};

struct mmds_doc {
	unsigned refs;
	char *text; /* owned */
	size_t len;
	struct json_doc *json; /* owned; of `text' */
	char *listed;	       /* owned: the keys of all objects */
	struct list *lists;    /* owned: of each value, by its place in the document */
};

static int out_of_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, -ENOMEM, "out of memory for a metadata document");
}

static void *alloc(size_t size)
{
	return FAULT(-ENOMEM) < 0 ? NULL : calloc(1, size);
}

struct mmds_doc *mmds_doc_ref(struct mmds_doc *doc)
{
	doc->refs++;
	return doc;
}

void mmds_doc_unref(struct mmds_doc *doc)
{
	if (!doc || --doc->refs > 0)
		return;
	json_destroy(doc->json);
	free(doc->lists);
	free(doc->listed);
	free(doc->text);
	free(doc);
}

static void list_keys(struct mmds_doc *doc, struct text *t, struct json_value object)
{
	struct list *list = &doc->lists[object.at];
	const char *separator = "";

	list->start = (uint32_t)t->len;
	json_for_each (member, object) {
		text_str(t, separator);
		text_str(t, json_key(member));
		if (json_kind(member) == JSON_KIND_OBJECT)
			text_str(t, "/");
		separator = "\n";
	}
	list->len = (uint32_t)t->len - list->start;
}

/* As deep as a document, which json_parse() bounds. */
static void list_below(struct mmds_doc *doc, struct text *t, struct json_value v)
{
	if (json_kind(v) == JSON_KIND_OBJECT)
		list_keys(doc, t, v);
	json_for_each (in, v)
		list_below(doc, t, in);
}

/* Of text that json_print() has made; it is taken over. */
static int create(char **text, size_t len, struct mmds_doc **ret_doc, struct err *e)
{
	auto_mmds_doc struct mmds_doc *doc = alloc(sizeof(*doc));
	struct text listed;
	int r;

	if (!doc)
		return out_of_memory(e);
	doc->refs = 1;
	doc->text = take_ptr(text);
	doc->len = len;
	r = json_parse(doc->text, len, &doc->json, e);
	if (r < 0)
		return r;
	/* A key takes less room in a list than with the quotes and the colon of its text. */
	doc->listed = alloc(len + 1);
	doc->lists = alloc(json_count(doc->json) * sizeof(*doc->lists));
	if (!doc->listed || !doc->lists)
		return out_of_memory(e);
	text_init(&listed, doc->listed, len + 1);
	list_below(doc, &listed, json_root(doc->json));
	*ret_doc = take_ptr(&doc);
	return 0;
}

int mmds_doc_none(struct mmds_doc **ret_doc, struct err *e)
{
	static const char none[] = "null";
	autofree char *text = alloc(sizeof(none));

	if (!text)
		return out_of_memory(e);
	memcpy(text, none, sizeof(none));
	return create(&text, sizeof(none) - 1, ret_doc, e);
}

int mmds_doc_parse(const char *text, size_t len, struct mmds_doc **ret_doc, struct err *e)
{
	auto_json struct json_doc *json = NULL;
	autofree char *printed = NULL;
	struct text t;
	int r = json_parse(text, len, &json, e);

	if (r == 0)
		r = json_expect(json_root(json), JSON_KIND_OBJECT, "a map", e);
	if (r < 0)
		return r;
	printed = alloc(len + 1);
	if (!printed)
		return out_of_memory(e);
	text_init(&t, printed, len + 1);
	json_sort(json);
	json_print(&t, json_root(json));
	return create(&printed, t.len, ret_doc, e);
}

int mmds_doc_merge(const struct mmds_doc *target, const struct mmds_doc *patch,
		   struct mmds_doc **ret_doc, struct err *e)
{
	size_t cap = target->len + patch->len + 1;
	autofree char *printed = alloc(cap);
	struct text t;

	if (!printed)
		return out_of_memory(e);
	text_init(&t, printed, cap);
	json_print_merged(&t, json_root(target->json), json_root(patch->json));
	return create(&printed, t.len, ret_doc, e);
}

struct mmds_slice mmds_doc_text(const struct mmds_doc *doc)
{
	return (struct mmds_slice){ doc->text, doc->len };
}

bool mmds_doc_is_none(const struct mmds_doc *doc)
{
	return json_kind(json_root(doc->json)) == JSON_KIND_NULL;
}

static int find_text(const struct mmds_doc *doc, struct json_value v, struct mmds_slice *ret)
{
	const struct list *list = &doc->lists[v.at];

	switch (json_kind(v)) {
	case JSON_KIND_OBJECT:
		*ret = (struct mmds_slice){ doc->listed + list->start, list->len };
		return 0;
	case JSON_KIND_STRING:
		*ret = (struct mmds_slice){ json_string(v), strlen(json_string(v)) };
		return 0;
	case JSON_KIND_NULL:
	case JSON_KIND_BOOL:
	case JSON_KIND_NUMBER:
	case JSON_KIND_ARRAY:
		break;
	}
	return -ENOTSUP;
}

int mmds_doc_find(const struct mmds_doc *doc, struct mmds_slice pointer, enum mmds_form form,
		  struct mmds_slice *ret)
{
	struct json_value v;

	if (pointer.len > 0 && pointer.p[pointer.len - 1] == '/')
		pointer.len--;
	v = json_lookup(json_root(doc->json), pointer.p, pointer.len);
	if (!v.node)
		return -ENOENT;
	if (form == MMDS_FORM_TEXT)
		return find_text(doc, v, ret);
	ret->p = json_text(v, &ret->len);
	return 0;
}
