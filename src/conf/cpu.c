/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/cpu.h"

#include <string.h>

#include "conf/decode.h"

/* Room for every spelling that makes sense: 64 bits, prefix, underscores between. */
enum { NUMBER_TEXT_MAX = 72, BITMAP_TEXT_MAX = 136 };
enum { SHOWN_MAX = 48 };

static const char *const registers[] = { "eax", "ebx", "ecx", "edx" };

struct template_text {
	struct json_value kvm_capabilities, cpuid_modifiers, msr_modifiers;
};

static const struct json_field template_fields[] = {
	JSON_ROW("kvm_capabilities", JSON_ARRAY, template_text, kvm_capabilities),
	JSON_ROW("cpuid_modifiers", JSON_ARRAY, template_text, cpuid_modifiers),
	JSON_ROW("msr_modifiers", JSON_ARRAY, template_text, msr_modifiers),
};

static const struct json_table template_table = {
	.name = "struct CustomCpuTemplate",
	JSON_FIELDS(template_fields),
	.strict = true,
};

struct leaf_text {
	char leaf[NUMBER_TEXT_MAX], subleaf[NUMBER_TEXT_MAX];
	uint32_t flags;
	struct json_value modifiers;
};

static const struct json_field leaf_fields[] = {
	JSON_ROW("leaf", JSON_STRING, leaf_text, leaf, .required = true),
	JSON_ROW("subleaf", JSON_STRING, leaf_text, subleaf, .required = true),
	JSON_ROW("flags", JSON_UINT, leaf_text, flags, .required = true, .shown = "u32"),
	JSON_ROW("modifiers", JSON_ARRAY, leaf_text, modifiers, .required = true),
};

static const struct json_table leaf_table = {
	.name = "struct CpuidLeafModifier",
	JSON_FIELDS(leaf_fields),
};

struct register_text {
	char name[NUMBER_TEXT_MAX], bitmap[BITMAP_TEXT_MAX];
};

static const struct json_field register_fields[] = {
	JSON_ROW("register", JSON_STRING, register_text, name, .required = true),
	JSON_ROW("bitmap", JSON_STRING, register_text, bitmap, .required = true),
};

static const struct json_table register_table = {
	.name = "struct CpuidRegisterModifier",
	JSON_FIELDS(register_fields),
};

struct msr_text {
	char addr[NUMBER_TEXT_MAX], bitmap[BITMAP_TEXT_MAX];
};

static const struct json_field msr_fields[] = {
	JSON_ROW("addr", JSON_STRING, msr_text, addr, .required = true),
	JSON_ROW("bitmap", JSON_STRING, msr_text, bitmap, .required = true),
};

static const struct json_table msr_table = {
	.name = "struct RegisterModifier",
	JSON_FIELDS(msr_fields),
};

static const struct json_field capability_field = {
	.key = "kvm_capabilities",
	.type = JSON_STRING,
	.size = NUMBER_TEXT_MAX,
};

/* --- the grammar of numbers and bitmaps ------------------------------------- */

/* How much of a text is repeated in an error; never the half of a UTF-8 character. */
static int shown(const char *s)
{
	size_t n = strnlen(s, SHOWN_MAX);

	while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	return (int)n;
}

static int bad_field(const char *field, const char *s, const char *why, struct err *e)
{
	return err_set(e, ERR_INVALID, -EBADMSG, "`%s`: Failed to parse string [%.*s] - %s", field,
		       shown(s), s, why);
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

static int parse_number(const char *field, const char *s, uint32_t *ret, struct err *e)
{
	unsigned base = strncmp(s, "0x", 2) == 0 ? 16 : 2;
	const char *at = s + 2;
	uint32_t v = 0;

	if (base != 16 && strncmp(s, "0b", 2) != 0)
		return err_set(e, ERR_INVALID, -EBADMSG,
			       "`%s`: No supported number system prefix found in value [%.*s]: "
			       "write 0x and hexadecimal digits, or 0b and binary ones",
			       field, shown(s), s);
	if (*at == '\0')
		return bad_field(field, s, "no digits", e);
	for (; *at; at++) {
		unsigned digit = (unsigned)digit_of(*at);

		if (digit >= base)
			return bad_field(field, s, "not a digit of its number system", e);
		if (__builtin_mul_overflow(v, base, &v))
			return bad_field(field, s, "more than 32 bits", e);
		v |= digit;
	}
	*ret = v;
	return 0;
}

/* The last character is bit 0; bits that the text does not reach stay as they are. */
static int parse_bitmap(const char *s, unsigned width, uint64_t *ret_mask, uint64_t *ret_value,
			struct err *e)
{
	const char *digits = strncmp(s, "0b", 2) == 0 ? s + 2 : s;
	uint64_t mask = 0, value = 0;
	unsigned bit = 0;

	for (const char *at = digits + strlen(digits); at > digits;) {
		char c = *--at;

		if (c == '_')
			continue;
		if (c != '0' && c != '1' && c != 'x')
			return bad_field("bitmap", s, "it consists of 0, 1, x and _", e);
		if (bit == width)
			return bad_field("bitmap", s,
					 width == 32 ? "more than 32 bits" : "more than 64 bits",
					 e);
		if (c != 'x')
			mask |= UINT64_C(1) << bit;
		if (c == '1')
			value |= UINT64_C(1) << bit;
		bit++;
	}
	*ret_mask = mask;
	*ret_value = value;
	return 0;
}

/* --- the three lists ---------------------------------------------------------- */

static int parse_capability(struct json_value v, struct conf_cpu_capability *ret, struct err *e)
{
	char s[NUMBER_TEXT_MAX];
	const char *at = s;
	uint32_t id = 0;
	int r = json_decode_value(v, &capability_field, s, e);

	if (r < 0)
		return r;
	ret->remove = *at == '!';
	at += ret->remove;
	if (*at == '\0')
		return bad_field("kvm_capabilities", s, "no number", e);
	for (; *at; at++) {
		if (*at < '0' || *at > '9')
			return bad_field("kvm_capabilities", s,
					 "a decimal number, with ! before it to remove it", e);
		if (__builtin_mul_overflow(id, 10U, &id) ||
		    __builtin_add_overflow(id, (uint32_t)(*at - '0'), &id))
			return bad_field("kvm_capabilities", s, "more than 32 bits", e);
	}
	ret->id = id;
	return 0;
}

static int parse_register(struct json_value v, struct conf_cpu_leaf *leaf, struct err *e)
{
	struct register_text text = { 0 };
	uint64_t mask, value;
	struct conf_cpu_bits *bits;
	unsigned i;
	int r = json_decode(v, &register_table, &text, NULL, e);

	if (r < 0)
		return r;
	for (i = 0; i < ARRAY_SIZE(registers) && strcmp(text.name, registers[i]) != 0; i++)
		;
	if (i == ARRAY_SIZE(registers))
		return err_set(e, ERR_INVALID, -EBADMSG,
			       "`register`: Invalid CPUID register [%.*s]. Must be one of [eax, "
			       "ebx, ecx, edx]",
			       shown(text.name), text.name);
	r = parse_bitmap(text.bitmap, 32, &mask, &value, e);
	if (r < 0)
		return err_wrap(e, "%s", text.name);
	/* One register may be given twice: the second is applied to what the first made. */
	bits = &leaf->reg[i];
	bits->mask |= (uint32_t)mask;
	bits->value = (bits->value & ~(uint32_t)mask) | (uint32_t)value;
	return 0;
}

static int parse_leaf(struct json_value v, struct conf_cpu_leaf *ret, struct err *e)
{
	struct leaf_text text = { 0 };
	unsigned i = 0;
	int r = json_decode(v, &leaf_table, &text, NULL, e);

	if (r < 0)
		return r;
	r = parse_number("leaf", text.leaf, &ret->leaf, e);
	if (r < 0)
		return r;
	r = parse_number("subleaf", text.subleaf, &ret->subleaf, e);
	if (r < 0)
		return r;
	ret->flags = text.flags;
	json_for_each (m, text.modifiers) {
		r = parse_register(m, ret, e);
		if (r < 0)
			return err_wrap(e, "modifiers[%u]", i);
		i++;
	}
	return 0;
}

static int parse_msr(struct json_value v, struct conf_cpu_msr *ret, struct err *e)
{
	struct msr_text text = { 0 };
	int r = json_decode(v, &msr_table, &text, NULL, e);

	if (r < 0)
		return r;
	r = parse_number("addr", text.addr, &ret->addr, e);
	if (r < 0)
		return r;
	return parse_bitmap(text.bitmap, 64, &ret->mask, &ret->value, e);
}

static int in_list(const char *list, unsigned i, struct err *e)
{
	/* A text that is too long is an error of decoding here, too. */
	if (err_wrap(e, "%s[%u]", list, i) < 0)
		e->code = -EBADMSG;
	return e->code;
}

static int too_many(const char *list, unsigned max, struct err *e)
{
	return err_set(e, ERR_INVALID, -EBADMSG, "%s: more than %u elements", list, max);
}

static int parse_lists(const struct template_text *text, struct conf_cpu *ret, struct err *e)
{
	json_for_each (v, text->kvm_capabilities) {
		if (ret->ncapabilities == CONF_CPU_CAPABILITIES_MAX)
			return too_many("kvm_capabilities", CONF_CPU_CAPABILITIES_MAX, e);
		if (parse_capability(v, &ret->capability[ret->ncapabilities], e) < 0)
			return in_list("kvm_capabilities", ret->ncapabilities, e);
		ret->ncapabilities++;
	}
	json_for_each (v, text->cpuid_modifiers) {
		if (ret->nleaves == CONF_CPU_LEAVES_MAX)
			return too_many("cpuid_modifiers", CONF_CPU_LEAVES_MAX, e);
		if (parse_leaf(v, &ret->leaf[ret->nleaves], e) < 0)
			return in_list("cpuid_modifiers", ret->nleaves, e);
		ret->nleaves++;
	}
	json_for_each (v, text->msr_modifiers) {
		if (ret->nmsrs == CONF_CPU_MSRS_MAX)
			return too_many("msr_modifiers", CONF_CPU_MSRS_MAX, e);
		if (parse_msr(v, &ret->msr[ret->nmsrs], e) < 0)
			return in_list("msr_modifiers", ret->nmsrs, e);
		ret->nmsrs++;
	}
	return 0;
}

int conf_cpu_decode(struct json_value v, struct conf_cpu *ret, struct err *e)
{
	struct template_text text = { 0 };
	int r;

	memset(ret, 0, sizeof(*ret));
	r = json_decode(v, &template_table, &text, NULL, e);
	return r < 0 ? r : parse_lists(&text, ret, e);
}

int conf_cpu_parse(const char *body, size_t len, struct conf_cpu *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : conf_cpu_decode(json_root(doc), ret, e);
}
