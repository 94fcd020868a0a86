/* SPDX-License-Identifier: Apache-2.0 */
#include "json/json.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "json/doc.h"

static void *node_alloc(size_t size)
{
	return FAULT(-ENOMEM) < 0 ? NULL : malloc(size);
}

static void use_our_allocator(void)
{
	cJSON_InitHooks(&(cJSON_Hooks){ .malloc_fn = node_alloc, .free_fn = free });
}

size_t json_cut(const char *s, size_t max)
{
	size_t len = strnlen(s, max + 1);

	if (len <= max)
		return len;
	for (len = max; len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80; len--)
		;
	return len;
}

int json_fail(const char *text, size_t at, struct err *e, const char *fmt, ...)
{
	size_t line = 1, line_start = 0;
	char what[192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	what[json_cut(what, sizeof(what) - 2)] = '\0';
	for (size_t i = 0; i < at; i++) {
		if (text[i] != '\n')
			continue;
		line++;
		line_start = i + 1;
	}
	return err_set(e, ERR_INVALID, -EBADMSG, "%s at line %zu column %zu", what, line,
		       at - line_start);
}

static int out_of_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, -ENOMEM, "no memory for a JSON document");
}

/* A node's place in document order stands where cJSON keeps an integer that nobody reads. */
static void number_nodes(cJSON *root)
{
	struct json_walk walk = { 0 };
	int n = 0;

	for (cJSON *node = root; node; node = json_walk_next(&walk, node))
		node->valueint = n++;
}

int json_parse(const char *text, size_t len, struct json_doc **ret_doc, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct json_fault fault = { 0 };
	auto_json struct json_doc *doc = NULL;
	int n;

	pthread_once(&once, use_our_allocator);
	if (len > JSON_TEXT_MAX)
		return err_set(e, ERR_INVALID, -EBADMSG, "JSON text of more than %u bytes",
			       JSON_TEXT_MAX);
	n = json_scan(text, len, NULL, &fault);
	if (n < 0)
		return json_fail(text, fault.at, e, "%s", fault.what);
	if (FAULT(-ENOMEM) == 0)
		doc = calloc(1, sizeof(*doc) + (size_t)n * sizeof(doc->spans[0]));
	if (!doc)
		return out_of_memory(e);
	doc->text = text;
	n = json_scan(text, len, doc->spans, &fault);
	if (n < 0)
		return json_fail(text, fault.at, e, "%s", fault.what);
	doc->root = cJSON_ParseWithLengthOpts(text, len, NULL, 0);
	if (!doc->root) /* the scanner takes nothing that cJSON refuses */
		return out_of_memory(e);
	doc->count = (uint32_t)n;
	number_nodes(doc->root);
	*ret_doc = take_ptr(&doc);
	return 0;
}

void json_destroy(struct json_doc *doc)
{
	if (!doc)
		return;
	cJSON_Delete(doc->root);
	free(doc);
}

cJSON *json_walk_next(struct json_walk *walk, cJSON *node)
{
	if (node->child) {
		walk->open[walk->depth++] = node;
		return node->child;
	}
	while (walk->depth > 0 && !node->next)
		node = walk->open[--walk->depth];
	return walk->depth > 0 ? node->next : NULL;
}

static struct json_value value_of(const struct json_doc *doc, const cJSON *node)
{
	return (struct json_value){ .doc = doc,
				    .node = node,
				    .at = node ? (uint32_t)node->valueint : 0 };
}

struct json_value json_root(const struct json_doc *doc)
{
	return value_of(doc, doc->root);
}

uint32_t json_count(const struct json_doc *doc)
{
	return doc->count;
}

struct json_value json_first(struct json_value parent)
{
	return value_of(parent.doc, parent.node ? parent.node->child : NULL);
}

struct json_value json_next(struct json_value v)
{
	return value_of(v.doc, v.node->next);
}

enum json_kind json_kind(struct json_value v)
{
	if (cJSON_IsObject(v.node))
		return JSON_KIND_OBJECT;
	if (cJSON_IsArray(v.node))
		return JSON_KIND_ARRAY;
	if (cJSON_IsString(v.node))
		return JSON_KIND_STRING;
	if (cJSON_IsNumber(v.node))
		return JSON_KIND_NUMBER;
	return cJSON_IsBool(v.node) ? JSON_KIND_BOOL : JSON_KIND_NULL;
}

const char *json_text(struct json_value v, size_t *ret_len)
{
	const struct json_span *span = json_span_of(v);

	*ret_len = span->end - span->start;
	return v.doc->text + span->start;
}

const char *json_string(struct json_value v)
{
	return v.node->valuestring;
}

const char *json_key(struct json_value v)
{
	return v.node->string;
}

bool json_given(struct json_value v)
{
	return v.node && !cJSON_IsNull(v.node);
}

bool json_is_string(struct json_value v)
{
	return v.node && cJSON_IsString(v.node);
}

bool json_is_object(struct json_value v)
{
	return v.node && cJSON_IsObject(v.node);
}

bool json_is_empty_array(struct json_value v)
{
	return v.node && cJSON_IsArray(v.node) && !v.node->child;
}

int json_refuse(struct json_value v, const char *what, struct err *e)
{
	return json_fail(v.doc->text, json_span_of(v)->end, e, "%s", what);
}
