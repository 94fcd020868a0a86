/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the program itself says about its API, for the test that compares it with
 * resources/openapi.yaml: JSON on standard output.
 *
 * The first line is the list of routes. Then for each line of standard input, "PUT /path
 * body" or "FILE - body" for a configuration file, a line with the result and the tables
 * that the body was decoded by. json_decode() is wrapped by the linker, so no table can
 * be forgotten here, and none has to be named.
 */
#include <stdio.h>
#include <string.h>

#include "api/route.h"
#include "conf/config.h"
#include "json/json.h"

enum { TABLES_MAX = 64, LINE_MAX_BYTES = 64 << 10, TEXT_MAX_BYTES = 512 << 10 };

static const struct json_table *tables[TABLES_MAX]; /* of the request in hand */
static unsigned ntables;
static char line[LINE_MAX_BYTES], out_text[TEXT_MAX_BYTES];

int __real_json_decode(struct json_value v, const struct json_table *table, void *out,
		       uint64_t *ret_given, struct err *e);
int __wrap_json_decode(struct json_value v, const struct json_table *table, void *out,
		       uint64_t *ret_given, struct err *e);

/* A table and those that are inside it, each once. */
static void note(const struct json_table *table)
{
	for (unsigned i = 0; i < ntables; i++)
		if (tables[i] == table)
			return;
	if (ntables == TABLES_MAX) {
		fprintf(stderr, "dump: more than %d tables in one request\n", TABLES_MAX);
		exit(1);
	}
	tables[ntables++] = table;
	for (unsigned i = 0; i < table->n; i++)
		if (table->fields[i].table) /* as deep as tables contain tables */
			note(table->fields[i].table);
}

int __wrap_json_decode(struct json_value v, const struct json_table *table, void *out,
		       uint64_t *ret_given, struct err *e)
{
	note(table);
	return __real_json_decode(v, table, out, ret_given, e);
}

static const char *type_name(enum json_type type)
{
	static const char *const names[] = {
		[JSON_BOOL] = "boolean", [JSON_UINT] = "integer",  [JSON_STRING] = "string",
		[JSON_ENUM] = "enum",	 [JSON_OBJECT] = "object", [JSON_ARRAY] = "array",
		[JSON_ANY] = "any",
	};

	return names[type];
}

static void put_key_str(struct text *t, const char *key, const char *value)
{
	text_fmt(t, ",\"%s\":", key);
	text_json_str(t, value);
}

/* Whether it has to be given whatever else is given. */
static bool is_required(const struct json_table *table, const struct json_field *f)
{
	unsigned row = (unsigned)(f - table->fields);

	for (unsigned i = 0; i < table->n; i++)
		if (row > 0 && table->fields[i].instead_of == row)
			return false;
	return f->required && !table->partial;
}

static void put_field(struct text *t, const struct json_table *table, const struct json_field *f)
{
	bool required = is_required(table, f);

	text_str(t, "{\"key\":");
	text_json_str(t, f->key);
	put_key_str(t, "type", type_name(f->type));
	text_fmt(t, ",\"size\":%u,\"required\":%s,\"nullable\":%s,\"ours\":%s", f->size,
		 required ? "true" : "false", f->nullable || table->partial ? "true" : "false",
		 f->ours ? "true" : "false");
	if (f->table)
		put_key_str(t, "table", f->table->name);
	if (f->nnames > 0)
		text_str(t, ",\"names\":[");
	for (unsigned i = 0; i < f->nnames; i++) {
		text_str(t, i > 0 ? "," : "");
		text_json_str(t, f->names[i]);
	}
	text_str(t, f->nnames > 0 ? "]}" : "}");
}

static void put_table(struct text *t, const struct json_table *table)
{
	text_str(t, "{\"name\":");
	text_json_str(t, table->name);
	text_fmt(t, ",\"strict\":%s,\"fields\":[", table->strict ? "true" : "false");
	for (unsigned i = 0; i < table->n; i++) {
		text_str(t, i > 0 ? "," : "");
		put_field(t, table, &table->fields[i]);
	}
	text_str(t, "]}");
}

static void print_routes(void)
{
	struct text t = TEXT_ON(out_text);
	enum route_method method;
	const char *path;

	text_str(&t, "[");
	for (unsigned i = 0; route_list(i, &method, &path); i++) {
		text_fmt(&t, "%s[\"%s\",", i > 0 ? "," : "", route_method_name(method));
		text_json_str(&t, path);
		text_str(&t, "]");
	}
	text_str(&t, "]");
	puts(out_text);
}

static int ask_file(const char *body, struct err *e)
{
	static struct conf_file file;
	int r = conf_file_parse(body, strlen(body), &file, e);

	if (r == 0)
		conf_file_fini(&file);
	return r;
}

static int ask_route(const char *method, const char *path, const char *body, struct err *e)
{
	static struct view_board views;
	static struct action action;
	struct route_out out = { .action = &action };
	struct route_req req = {
		.target = path, .body = body, .len = strlen(body), .views = &views
	};
	int r;

	if (!views.newest) {
		view_board_init(&views);
		r = view_publish(&views, &(struct view_texts){ "{}", "{}", "{}", NULL });
		if (r < 0)
			return r;
	}
	memset(&action, 0, sizeof(action));
	r = route_method_parse(method, &req.method);
	if (r == 0)
		r = route(&req, &out, e);
	view_put(out.view);
	return r;
}

/* Cuts the line's next word off. */
static char *next_word(char **at)
{
	char *word = *at;
	size_t len = strcspn(word, " \n");

	*at += len + (word[len] != '\0');
	word[len] = '\0';
	return word;
}

static void answer(void)
{
	struct text t = TEXT_ON(out_text);
	struct err e = { 0 };
	char *at = line;
	const char *method = next_word(&at);
	const char *path = next_word(&at);
	int r;

	at[strcspn(at, "\n")] = '\0';
	ntables = 0;
	r = strcmp(method, "FILE") == 0 ? ask_file(at, &e) : ask_route(method, path, at, &e);
	text_fmt(&t, "{\"code\":%d,\"message\":", r);
	text_json_str(&t, e.msg);
	text_str(&t, ",\"tables\":[");
	for (unsigned i = 0; i < ntables; i++) {
		text_str(&t, i > 0 ? "," : "");
		put_table(&t, tables[i]);
	}
	text_str(&t, "]}");
	puts(out_text);
}

int main(void)
{
	print_routes();
	while (fgets(line, sizeof(line), stdin))
		answer();
	return 0;
}
