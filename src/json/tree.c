/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents of any shape: sorted members, pointers, merge patches.
 *
 * The functions that call themselves go as deep as a document, which json_parse()
 * bounds (JSON_DEPTH_MAX).
 */
#include <string.h>

#include "json/doc.h"

enum { BINS = 20 }; /* lists of 1, 2, 4... nodes: more than JSON_VALUES_MAX in all */

/* --- sorting ------------------------------------------------------------------ */

/* Two sorted lists become one; what is equal comes from `a' first. */
static cJSON *merge_lists(cJSON *a, cJSON *b)
{
	cJSON *first = NULL, **last = &first;

	while (a && b) {
		cJSON **from = strcmp(a->string, b->string) <= 0 ? &a : &b;

		*last = *from;
		last = &(*last)->next;
		*from = (*from)->next;
	}
	*last = a ? a : b;
	return first;
}

static cJSON *sort_list(cJSON *list)
{
	cJSON *bin[BINS] = { NULL }, *sorted = NULL;

	while (list) {
		cJSON *run = list;
		unsigned i;

		list = list->next;
		run->next = NULL;
		for (i = 0; bin[i]; i++) {
			run = merge_lists(bin[i], run);
			bin[i] = NULL;
		}
		bin[i] = run;
	}
	for (unsigned i = 0; i < BINS; i++)
		if (bin[i])
			sorted = merge_lists(bin[i], sorted);
	return sorted;
}

/* Of several with one key the last stays. Also puts back the links to the left. */
static cJSON *drop_repeated(cJSON *list)
{
	cJSON **at = &list, *left = NULL;

	while (*at) {
		cJSON *node = *at;

		if (node->next && strcmp(node->string, node->next->string) == 0) {
			*at = node->next;
			node->next = NULL;
			cJSON_Delete(node);
			continue;
		}
		node->prev = left;
		left = node;
		at = &node->next;
	}
	if (list)
		list->prev = left; /* cJSON keeps the last there */
	return list;
}

void json_sort(struct json_doc *doc)
{
	struct json_walk walk = { 0 };

	for (cJSON *node = doc->root; node; node = json_walk_next(&walk, node))
		if (cJSON_IsObject(node))
			node->child = drop_repeated(sort_list(node->child));
}

/* --- printing ------------------------------------------------------------------ */

static void print_key(struct text *t, const char **separator, struct json_value member)
{
	text_str(t, *separator);
	text_json_str(t, member.node->string);
	text_str(t, ":");
	*separator = ",";
}

static void print_container(struct text *t, struct json_value v, const char *open,
			    const char *close)
{
	const char *separator = open;

	json_for_each (in, v) {
		if (in.node->string) {
			print_key(t, &separator, in);
		} else {
			text_str(t, separator);
			separator = ",";
		}
		json_print(t, in);
	}
	if (separator == open)
		text_str(t, open);
	text_str(t, close);
}

void json_print(struct text *t, struct json_value v)
{
	const char *text;
	size_t len;

	switch (json_kind(v)) {
	case JSON_KIND_NULL:
	case JSON_KIND_BOOL:
	case JSON_KIND_NUMBER:
		text = json_text(v, &len);
		text_mem(t, text, len);
		return;
	case JSON_KIND_STRING:
		text_json_str(t, json_string(v));
		return;
	case JSON_KIND_ARRAY:
		print_container(t, v, "[", "]");
		return;
	case JSON_KIND_OBJECT:
		print_container(t, v, "{", "}");
		return;
	}
}

void json_print_merged(struct text *t, struct json_value target, struct json_value patch)
{
	const struct json_value none = { 0 };
	const char *separator = "{";
	struct json_value a, b;

	if (json_kind(patch) != JSON_KIND_OBJECT) {
		json_print(t, patch);
		return;
	}
	if (!target.node || json_kind(target) != JSON_KIND_OBJECT)
		target = none;
	a = json_first(target);
	b = json_first(patch);
	while (a.node || b.node) {
		int order = !a.node ? 1 : !b.node ? -1 : strcmp(json_key(a), json_key(b));

		if (order < 0) {
			print_key(t, &separator, a);
			json_print(t, a);
			a = json_next(a);
			continue;
		}
		if (json_given(b)) { /* null takes the member away */
			print_key(t, &separator, b);
			json_print_merged(t, order == 0 ? a : none, b);
		}
		a = order == 0 ? json_next(a) : a;
		b = json_next(b);
	}
	text_str(t, separator[0] == '{' ? "{}" : "}");
}

/* --- pointers ------------------------------------------------------------------- */

/* Whether a part of a pointer, in which ~1 is a slash and ~0 a tilde, names this key. */
static bool part_is(const char *part, size_t len, const char *key)
{
	size_t i = 0;

	for (; i < len && *key; i++, key++) {
		char c = part[i];

		if (c == '~' && i + 1 < len && (part[i + 1] == '0' || part[i + 1] == '1'))
			c = part[++i] == '0' ? '~' : '/';
		if (c != *key)
			return false;
	}
	return i == len && !*key;
}

/* Digits without leading zeros; false for what is no index. */
static bool read_index(const char *part, size_t len, unsigned *ret)
{
	unsigned v = 0;

	if (len == 0 || (part[0] == '0' && len > 1))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (part[i] < '0' || part[i] > '9' || v > JSON_VALUES_MAX)
			return false;
		v = v * 10 + (unsigned)(part[i] - '0');
	}
	*ret = v;
	return true;
}

static struct json_value step(struct json_value v, const char *part, size_t len)
{
	unsigned at = 0;

	if (json_kind(v) == JSON_KIND_OBJECT) {
		json_for_each (member, v)
			if (part_is(part, len, json_key(member)))
				return member;
	} else if (json_kind(v) == JSON_KIND_ARRAY && read_index(part, len, &at)) {
		json_for_each (element, v)
			if (at-- == 0)
				return element;
	}
	return (struct json_value){ 0 };
}

struct json_value json_lookup(struct json_value v, const char *pointer, size_t len)
{
	const char *at = pointer, *end = pointer + len;

	while (v.node && at < end) {
		const char *slash;

		if (*at++ != '/')
			return (struct json_value){ 0 };
		slash = memchr(at, '/', (size_t)(end - at));
		slash = slash ? slash : end;
		v = step(v, at, (size_t)(slash - at));
		at = slash;
	}
	return v;
}
