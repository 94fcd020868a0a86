/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_json.h"

#include <seccomp.h>
#include <string.h>

struct filter {
	struct json_value default_action, filter_action, rules;
};

struct rule {
	char call[POLICY_NAME];
	struct json_value args, comment;
};

enum width { DWORD, QWORD };

struct arg {
	uint8_t index;
	enum width width;
	struct json_value op, comment;
	uint64_t val;
};

static const char *const widths[] = { [DWORD] = "dword", [QWORD] = "qword" };

static const struct json_field filter_rows[] = {
	JSON_ROW("default_action", JSON_ANY, filter, default_action, .required = true),
	JSON_ROW("filter_action", JSON_ANY, filter, filter_action, .required = true),
	JSON_ROW("filter", JSON_ARRAY, filter, rules, .required = true),
};
static const struct json_table filter_table = { .name = "struct Filter",
						JSON_FIELDS(filter_rows),
						.strict = true };

static const struct json_field rule_rows[] = {
	JSON_ROW("syscall", JSON_STRING, rule, call, .required = true),
	JSON_ROW("args", JSON_ARRAY, rule, args, .nullable = true),
	JSON_ROW("comment", JSON_ANY, rule, comment, .nullable = true),
};
static const struct json_table rule_table = { .name = "struct SyscallRule",
					      JSON_FIELDS(rule_rows),
					      .strict = true };

static const struct json_field arg_rows[] = {
	JSON_ROW("index", JSON_UINT, arg, index, .required = true, .shown = "u8"),
	JSON_ROW("type", JSON_ENUM, arg, width, .required = true, JSON_NAMES(widths)),
	JSON_ROW("op", JSON_ANY, arg, op, .required = true),
	JSON_ROW("val", JSON_UINT, arg, val, .required = true, .shown = "u64"),
	JSON_ROW("comment", JSON_ANY, arg, comment, .nullable = true),
};
static const struct json_table arg_table = { .name = "struct Condition",
					     JSON_FIELDS(arg_rows),
					     .strict = true };

/* A word, or the one number of an object {"word": N}. */
struct word {
	char text[16];
	bool has_number;
	uint64_t number;
};

static int take_word(struct json_value v, struct word *w, struct err *e)
{
	static const char *const names[] = { "errno", "trace", "masked_eq" };
	const struct json_field text_row = { .type = JSON_STRING, .size = sizeof(w->text) };

	*w = (struct word){ 0 };
	if (json_is_string(v))
		return json_decode_value(v, &text_row, w->text, e);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		const struct json_field row = { .key = names[i],
						.type = JSON_UINT,
						.required = true,
						.size = sizeof(w->number),
						.shown = "u64" };
		const struct json_table table = {
			.name = "struct Operand", .fields = &row, .n = 1, .strict = true
		};
		struct err ignored = { 0 };

		if (json_decode(v, &table, &w->number, NULL, &ignored) == 0) {
			memcpy(w->text, names[i], strlen(names[i]) + 1);
			w->has_number = true;
			return 0;
		}
	}
	return err_set(e, ERR_INVALID, -EINVAL,
		       "neither a word nor one of {\"errno\": N}, {\"trace\": N}, "
		       "{\"masked_eq\": N}");
}

static int take_action(struct json_value v, uint32_t *ret, struct err *e)
{
	static const struct {
		const char *name;
		uint32_t action;
	} plain[] = {
		{ "allow", SCMP_ACT_ALLOW },
		{ "log", SCMP_ACT_LOG },
		{ "trap", SCMP_ACT_TRAP },
		{ "kill_thread", SCMP_ACT_KILL_THREAD },
		{ "kill_process", SCMP_ACT_KILL_PROCESS },
	};
	struct word w = { 0 };
	int r = take_word(v, &w, e);

	if (r < 0)
		return err_wrap(e, "action");
	for (unsigned i = 0; i < ARRAY_SIZE(plain); i++)
		if (!w.has_number && strcmp(w.text, plain[i].name) == 0) {
			*ret = plain[i].action;
			return 0;
		}
	if (w.has_number && w.number <= UINT16_MAX && strcmp(w.text, "masked_eq") != 0) {
		*ret = w.text[0] == 'e' ? SCMP_ACT_ERRNO(w.number) : SCMP_ACT_TRACE(w.number);
		return 0;
	}
	return err_set(e, ERR_INVALID, -EINVAL,
		       "action `%s' is none of allow, log, trap, "
		       "kill_thread, kill_process, errno, trace",
		       w.text);
}

static int take_op(const struct arg *a, struct policy_cmp *cmp, struct err *e)
{
	static const struct {
		const char *name;
		enum scmp_compare op;
	} ops[] = {
		{ "ne", SCMP_CMP_NE }, { "lt", SCMP_CMP_LT }, { "le", SCMP_CMP_LE },
		{ "gt", SCMP_CMP_GT }, { "ge", SCMP_CMP_GE },
	};
	const uint64_t all = a->width == DWORD ? UINT32_MAX : UINT64_MAX;
	struct word w = { 0 };
	int r = take_word(a->op, &w, e);

	if (r < 0)
		return err_wrap(e, "op");
	*cmp = (struct policy_cmp){ .mask = all, .value = a->val & all };
	if (!w.has_number && strcmp(w.text, "eq") == 0)
		return 0;
	if (w.has_number && strcmp(w.text, "masked_eq") == 0) {
		cmp->mask = w.number & all;
		cmp->value = a->val & cmp->mask;
		return cmp->mask ? 0
				 : err_set(e, ERR_INVALID, -EINVAL, "masked_eq looks at no bit");
	}
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++)
		if (!w.has_number && strcmp(w.text, ops[i].name) == 0) {
			cmp->op = ops[i].op;
			cmp->mask = UINT64_MAX;
			return 0;
		}
	return err_set(e, ERR_INVALID, -EINVAL,
		       "op `%s' is none of eq, ne, lt, le, gt, ge, masked_eq", w.text);
}

static int take_args(struct json_value args, struct policy_rule *rule, struct err *e)
{
	json_for_each (v, args) {
		struct arg a = { 0 };
		int r = json_decode(v, &arg_table, &a, NULL, e);

		if (r < 0)
			return r;
		if (a.index >= POLICY_ARGS)
			return err_set(e, ERR_INVALID, -EINVAL, "a call has no argument %u",
				       a.index);
		if (rule->cmp[a.index].mask != 0)
			return err_set(
				e, ERR_INVALID, -EINVAL,
				"argument %u has two conditions: libseccomp takes one for each "
				"rule",
				a.index);
		r = take_op(&a, &rule->cmp[a.index], e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_rule(struct policy *p, struct json_value v, struct err *e)
{
	struct policy_rule *rule = &p->rules[p->n];
	struct rule found = { 0 };
	int r = json_decode(v, &rule_table, &found, NULL, e);

	if (r < 0)
		return r;
	if (p->n == POLICY_RULES_MAX)
		return err_set(e, ERR_INVALID, -E2BIG, "more than %d rules", POLICY_RULES_MAX);
	*rule = (struct policy_rule){ 0 };
	memcpy(rule->name, found.call, sizeof(rule->name));
	rule->nr = seccomp_syscall_resolve_name(rule->name);
	if (rule->nr < 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "system call `%s' is unknown, or not of this architecture",
			       rule->name);
	r = take_args(found.args, rule, e);
	if (r < 0)
		return err_wrap(e, "`%s'", rule->name);
	p->n++;
	return 0;
}

/* The member of an object with that name. */
static int member(struct json_value file, const char *kind, struct json_value *ret, struct err *e)
{
	struct json_value found = { 0 };
	const struct json_field row = {
		.key = kind, .type = JSON_ANY, .required = true, .size = sizeof(found)
	};
	const struct json_table table = { .name = "filters", .fields = &row, .n = 1 };
	int r = json_decode(file, &table, &found, NULL, e);

	if (r == 0)
		*ret = found;
	return r;
}

int policy_read_json(struct policy *p, struct json_value file, const char *kind, struct err *e)
{
	struct json_value v = { 0 };
	struct filter f = { 0 };
	int r = member(file, kind, &v, e);

	if (r < 0)
		return r;
	r = json_decode(v, &filter_table, &f, NULL, e);
	if (r == 0)
		r = take_action(f.default_action, &p->default_action, e);
	if (r == 0)
		r = take_action(f.filter_action, &p->match_action, e);
	if (r == 0 && p->default_action == p->match_action)
		r = err_set(
			e, ERR_INVALID, -EINVAL,
			"default_action and filter_action are the same: the filter does nothing");
	json_for_each (rule, f.rules) {
		if (r == 0)
			r = take_rule(p, rule, e);
	}
	return r < 0 ? err_wrap(e, "%s", kind) : 0;
}

int policy_check_kinds(struct json_value file, const char *const *kinds, unsigned n, struct err *e)
{
	struct json_value found[4];
	struct json_field rows[ARRAY_SIZE(found)];
	const struct json_table table = {
		.name = "filters", .fields = rows, .n = n, .strict = true
	};

	for (unsigned i = 0; i < n && i < ARRAY_SIZE(found); i++)
		rows[i] = (struct json_field){ .key = kinds[i],
					       .type = JSON_ANY,
					       .required = true,
					       .offset = (uint32_t)(i * sizeof(found[0])),
					       .size = sizeof(found[0]) };
	return json_decode(file, &table, found, NULL, e);
}
