/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From JSON text to plain structs and back, by tables.
 *
 *   text -> json_parse() -> document -> json_decode(table) -> struct
 *
 * The text is first read by a strict scanner of our own (RFC 8259 and no more),
 * which keeps place and length of every value in document order; cJSON then builds
 * the tree and unescapes the strings. A number is read from its text, so u64 is
 * exact. What comes out is a plain struct without pointers into the document.
 *
 * A table is the whole contract of one object: a key that is not in it (when it is
 * strict), a key given twice, a missing one, a wrong type and a number that its type
 * cannot hold are refused in the words of serde_json, with line and column, because
 * clients match on them. All of these carry -EBADMSG. A string that is too long is
 * -ERANGE. Whether a value makes sense is the business of the caller.
 *
 * No locks and no state: any thread, each with its own document.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "base/text.h"

struct cJSON;
struct json_doc;

/* Limits of one document; more is refused with -EBADMSG. */
#define JSON_DEPTH_MAX	127	   /* objects and arrays inside each other, as serde_json */
#define JSON_VALUES_MAX (1U << 17) /* values, containers included */
#define JSON_NUMBER_MAX 63	   /* characters of a number: cJSON takes no more */
#define JSON_TEXT_MAX	(4U << 20) /* bytes */

/*
 * One JSON value and nothing but white space around it. `text' is not copied: it
 * must outlive the document. -EBADMSG, or -ENOMEM.
 */
must_check int json_parse(const char *text, size_t len, struct json_doc **ret_doc, struct err *e);
void json_destroy(struct json_doc *doc);

static inline void json_destroy_at_(struct json_doc **doc)
{
	json_destroy(*doc);
}
#define auto_json cleanup_with(json_destroy_at_)

/* A value inside a document that the caller keeps; copied freely. */
struct json_value {
	const struct json_doc *doc;
	const struct cJSON *node; /* NULL: no such value */
	uint32_t at;		  /* place in document order */
};

struct json_value json_root(const struct json_doc *doc);

/* Values in the document, before it was sorted; `at' is less. */
uint32_t json_count(const struct json_doc *doc);

/* Elements of an array or members of an object; no value after the last, nor in no value. */
struct json_value json_first(struct json_value parent);
struct json_value json_next(struct json_value v);
#define json_for_each(v, parent) \
	for (struct json_value v = json_first(parent); v.node; v = json_next(v))

enum json_kind {
	JSON_KIND_NULL,
	JSON_KIND_BOOL,
	JSON_KIND_NUMBER,
	JSON_KIND_STRING,
	JSON_KIND_ARRAY,
	JSON_KIND_OBJECT,
};

/* Of a value that there is. */
enum json_kind json_kind(struct json_value v);

/* The value as it stands in the text; not NUL-terminated. */
const char *json_text(struct json_value v, size_t *ret_len);

/* A string without quotes and escapes, and the key of an object's member: the document's. */
const char *json_string(struct json_value v);
const char *json_key(struct json_value v);

/* Whether there is a value and it is not null. */
bool json_given(struct json_value v);

bool json_is_string(struct json_value v);
bool json_is_object(struct json_value v);

/* An array without elements. */
bool json_is_empty_array(struct json_value v);

enum json_type {
	JSON_BOOL,   /* bool */
	JSON_UINT,   /* uint8_t, uint16_t, uint32_t or uint64_t */
	JSON_STRING, /* char[size]; NUL-terminated */
	JSON_ENUM,   /* an enum: the index into `names' */
	JSON_OBJECT, /* a struct, by `table' */
	JSON_ARRAY,  /* struct json_value, for the caller to walk; not printed */
	JSON_ANY,    /* struct json_value of any kind; not printed */
};

struct json_table;

struct json_field {
	const char *key;
	enum json_type type;
	bool required;
	bool nullable; /* null is as good as absent, and printed when unset */
	uint32_t offset, size;
	uint32_t has;	      /* offset of a bool set when given; 0 (never a first member): none */
	const char *shown;    /* JSON_UINT: its type in messages, "u8" */
	const char *too_long; /* JSON_STRING: said when it does not fit; NULL: a general text */
	const char *const *names; /* JSON_ENUM */
	unsigned nnames;
	bool any_case; /* JSON_ENUM: upper and lower case are the same */
	unsigned hide; /* JSON_ENUM: 1 + the value that replies leave out; 0: none */
	const struct json_table *table; /* JSON_OBJECT */
	/*
	 * A JSON_BOOL or JSON_STRING beyond the contract: printed when it is true or not
	 * empty, and never listed when an unknown key is refused. Such rows come last.
	 */
	bool ours;
	unsigned instead_of; /* the row, not the first, that is not required beside it; 0: none */
};

struct json_table {
	const char *name; /* in messages, "struct MachineConfig" */
	const struct json_field *fields;
	unsigned n;   /* at most 64 */
	bool strict;  /* a key that is not in the table is refused, else ignored */
	bool partial; /* of a PATCH: no row is required, all are nullable */
};

#define JSON_ROW(k, t, s, m, ...)                                         \
	{                                                                 \
		.key = (k), .type = (t), .offset = offsetof(struct s, m), \
		.size = sizeof(((struct s *)0)->m), __VA_ARGS__           \
	}
#define JSON_NAMES(array)  .names = (array), .nnames = ARRAY_SIZE(array)
#define JSON_HAS(s, m)	   .has = offsetof(struct s, m)
#define JSON_FIELDS(array) .fields = (array), .n = ARRAY_SIZE(array)

/*
 * Writes the members that `v' gives into `out' and leaves the others alone, so that
 * the caller's values before the call are the defaults. null where a row allows it
 * counts as not given. Bit i of *ret_given (NULL: not wanted): row i was given. On
 * error `out' is undefined.
 */
must_check int json_decode(struct json_value v, const struct json_table *table, void *out,
			   uint64_t *ret_given, struct err *e);

/* One value, as the row says, to *out: of an array's element the caller makes a row. */
must_check int json_decode_value(struct json_value v, const struct json_field *field, void *out,
				 struct err *e);

/* Copies the members whose bits are set in `given', and their `has'. */
void json_merge(const struct json_table *table, uint64_t given, const void *from, void *to);

/* -EBADMSG when the value is of another kind: "invalid type: ..., expected `expected'". */
must_check int json_expect(struct json_value v, enum json_kind kind, const char *expected,
			   struct err *e);

/* -EBADMSG with "`what' at line L column C": of a value that no table could judge. */
must_check int json_refuse(struct json_value v, const char *what, struct err *e);

/* --- documents of any shape --------------------------------------------------- */

/*
 * Puts the members of each object in the order of their keys, byte by byte; of several
 * with one key the last stays. The functions below want documents that are sorted.
 */
void json_sort(struct json_doc *doc);

/*
 * The value as compact JSON with the numbers as they were written. Never longer than
 * the text it came from.
 */
void json_print(struct text *t, struct json_value v);

/*
 * The target after the patch (RFC 7396), printed. `target' may be no value. At most as
 * long as both texts together.
 */
void json_print_merged(struct text *t, struct json_value target, struct json_value patch);

/*
 * What a JSON pointer (RFC 6901) leads to; no value where it leads to nothing. "" is
 * the value itself.
 */
struct json_value json_lookup(struct json_value v, const char *pointer, size_t len);

/*
 * The object as compact JSON, rows in the order of the table. Unset is a row whose
 * `has' is false or, without `has', an empty string of a nullable row; it is printed
 * as null.
 */
void json_encode(struct text *t, const struct json_table *table, const void *in);
