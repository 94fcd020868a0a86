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

struct json_value json_root(const struct json_doc *doc)
{
	return (struct json_value){ .doc = doc, .node = doc->root };
}

struct json_value json_first(struct json_value parent)
{
	return (struct json_value){ .doc = parent.doc,
				    .node = parent.node ? parent.node->child : NULL,
				    .at = parent.at + 1 };
}

struct json_value json_next(struct json_value v)
{
	return (struct json_value){ .doc = v.doc,
				    .node = v.node->next,
				    .at = v.at + json_span_of(v)->count };
}

bool json_given(struct json_value v)
{
	return v.node && !cJSON_IsNull(v.node);
}

bool json_is_string(struct json_value v)
{
	return v.node && cJSON_IsString(v.node);
}

bool json_is_empty_array(struct json_value v)
{
	return v.node && cJSON_IsArray(v.node) && !v.node->child;
}
