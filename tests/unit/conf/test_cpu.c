/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/cpu.h"

#include "expect.h"

#define LEAF(rest) \
	"{\"cpuid_modifiers\":[{\"leaf\":\"0x1\",\"subleaf\":\"0x0\",\"flags\":0," rest "}]}"
#define REGISTER(bitmap) LEAF("\"modifiers\":[{\"register\":\"eax\",\"bitmap\":\"" bitmap "\"}]")
#define NUMBER(n)                                                                    \
	"{\"cpuid_modifiers\":[{\"leaf\":\"" n "\",\"subleaf\":\"0x0\",\"flags\":0," \
	"\"modifiers\":[]}]}"
#define MSR(addr, bitmap) "{\"msr_modifiers\":[{\"addr\":\"" addr "\",\"bitmap\":\"" bitmap "\"}]}"
#define CAPABILITY(c)	  "{\"kvm_capabilities\":[\"" c "\"]}"

#define IN_LEAF	    "cpuid_modifiers[0]: "
#define IN_REGISTER IN_LEAF "modifiers[0]: "
#define NO_PREFIX   ": write 0x and hexadecimal digits, or 0b and binary ones"
#define X16	    "xxxxxxxxxxxxxxxx"
#define X32	    X16 X16
#define X64	    X32 X32

static struct conf_cpu cpu;

static int parse(const char *body)
{
	struct err e = { 0 };
	int r = conf_cpu_parse(body, strlen(body), &cpu, &e);

	if (r < 0)
		fprintf(stderr, "# %s: %s\n", body, e.msg);
	return r;
}

TEST(numbers)
{
	static const struct {
		const char *body;
		uint32_t value;
	} good[] = {
		{ NUMBER("0x0"), 0 },
		{ NUMBER("0xffffffff"), UINT32_MAX },
		{ NUMBER("0x000000000000FfFfFfFf"), UINT32_MAX },
		{ NUMBER("0x80000008"), 0x80000008 },
		{ NUMBER("0b0"), 0 },
		{ NUMBER("0b1000101"), 69 },
		{ NUMBER("0b11111111111111111111111111111111"), UINT32_MAX },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_EQ(parse(good[i].body), 0);
		CHECK_EQ(cpu.nleaves, 1);
		CHECK_EQ(cpu.leaf[0].leaf, good[i].value);
	}
}

TEST(bitmaps)
{
	static const struct {
		const char *body;
		uint32_t mask, value;
	} good[] = {
		{ REGISTER(""), 0, 0 },
		{ REGISTER("0b"), 0, 0 },
		{ REGISTER("0x1"), 0x5, 0x1 }, /* no prefix: bit 1 stays */
		{ REGISTER("0"), 1, 0 },
		{ REGISTER("1"), 1, 1 },
		{ REGISTER("0b101x"), 0xe, 0xa },
		{ REGISTER("0b1_0_1_x_"), 0xe, 0xa },
		{ REGISTER("___"), 0, 0 },
		{ REGISTER("1" X16 "xxxxxxxxxxxxxxx"), 1u << 31, 1u << 31 },
		{ REGISTER("0b" X32), 0, 0 },
		{ REGISTER("0b1111_1111_1111_1111_0000_0000_0000_0000"), UINT32_MAX, 0xffff0000 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_EQ(parse(good[i].body), 0);
		CHECK_EQ(cpu.leaf[0].reg[CONF_CPU_EAX].mask, good[i].mask);
		CHECK_EQ(cpu.leaf[0].reg[CONF_CPU_EAX].value, good[i].value);
	}
	CHECK_EQ(parse(MSR("0x10a", "1" X32 X16 "xxxxxxxxxxxxxx0")), 0);
	CHECK_EQ(cpu.nmsrs, 1);
	CHECK_EQ(cpu.msr[0].addr, 0x10a);
	CHECK(cpu.msr[0].mask == (UINT64_C(1) << 63 | 1));
	CHECK(cpu.msr[0].value == UINT64_C(1) << 63);
	CHECK_EQ(parse(MSR("0x10a", "0b" X64)), 0);
}

TEST(capabilities)
{
	CHECK_EQ(parse("{\"kvm_capabilities\":[\"121\",\"!56\",\"0\",\"4294967295\"]}"), 0);
	CHECK_EQ(cpu.ncapabilities, 4);
	CHECK(cpu.capability[0].id == 121 && !cpu.capability[0].remove);
	CHECK(cpu.capability[1].id == 56 && cpu.capability[1].remove);
	CHECK(cpu.capability[2].id == 0 && !cpu.capability[2].remove);
	CHECK(cpu.capability[3].id == UINT32_MAX);
}

TEST(whole_template)
{
	CHECK_EQ(parse("{}"), 0);
	CHECK_EQ(cpu.nleaves + cpu.nmsrs + cpu.ncapabilities, 0);
	CHECK_EQ(parse("{\"kvm_capabilities\":[],\"cpuid_modifiers\":[],\"msr_modifiers\":[]}"), 0);
	CHECK_EQ(cpu.nleaves + cpu.nmsrs + cpu.ncapabilities, 0);
	/* Keys that nobody knows are fine inside, not at the top. */
	CHECK_EQ(parse("{\"cpuid_modifiers\":[{\"leaf\":\"0x7\",\"subleaf\":\"0b1\",\"flags\":1,"
		       "\"note\":1,\"modifiers\":["
		       "{\"register\":\"edx\",\"bitmap\":\"1\",\"note\":{}},"
		       "{\"register\":\"ebx\",\"bitmap\":\"0b11xx\"},"
		       "{\"register\":\"ebx\",\"bitmap\":\"0b0x1\"}]},"
		       "{\"leaf\":\"0x1\",\"subleaf\":\"0x0\",\"flags\":4294967295,"
		       "\"modifiers\":[]}],"
		       "\"msr_modifiers\":[{\"addr\":\"0x1\",\"bitmap\":\"1\",\"note\":[]},"
		       "{\"addr\":\"0xc0000081\",\"bitmap\":\"0\"}]}"),
		 0);
	CHECK_EQ(cpu.nleaves, 2);
	CHECK_EQ(cpu.nmsrs, 2);
	CHECK(cpu.leaf[0].leaf == 7 && cpu.leaf[0].subleaf == 1 && cpu.leaf[0].flags == 1);
	CHECK_EQ(cpu.leaf[0].reg[CONF_CPU_EDX].mask, 1);
	/* One register twice: the second stands where both speak. */
	CHECK_EQ(cpu.leaf[0].reg[CONF_CPU_EBX].mask, 0xd);
	CHECK_EQ(cpu.leaf[0].reg[CONF_CPU_EBX].value, 0x9);
	CHECK_EQ(cpu.leaf[0].reg[CONF_CPU_EAX].mask, 0);
	CHECK_EQ(cpu.leaf[1].flags, UINT32_MAX);
	CHECK(cpu.msr[1].addr == 0xc0000081 && cpu.msr[1].mask == 1 && cpu.msr[1].value == 0);
}

TEST(bad_bodies)
{
	static const struct bad bads[] = {
		{ "", -EBADMSG, "*" },
		{ "[]", -EBADMSG, "invalid type: sequence, expected struct CustomCpuTemplate*" },
		{ "{\"reg_modifiers\":[]}", -EBADMSG,
		  "unknown field `reg_modifiers`, expected one of `kvm_capabilities`, "
		  "`cpuid_modifiers`, `msr_modifiers`*" },
		{ "{\"vcpu_features\":[]}", -EBADMSG, "unknown field `vcpu_features`, *" },
		{ "{\"kvm_capabilities\":null}", -EBADMSG, "invalid type: null, expected*" },
		{ "{\"msr_modifiers\":{}}", -EBADMSG, "invalid type: map, expected a sequence*" },
		{ "{\"kvm_capabilities\":[121]}", -EBADMSG,
		  "kvm_capabilities[0]: invalid type: integer `121`, expected a string*" },
		{ "{\"kvm_capabilities\":[\"1\",\"x\"]}", -EBADMSG,
		  "kvm_capabilities[1]: `kvm_capabilities`: Failed to parse string [x]*" },
		{ CAPABILITY(""), -EBADMSG, "*Failed to parse string [] - no number" },
		{ CAPABILITY("!"), -EBADMSG, "*Failed to parse string [!] - no number" },
		{ CAPABILITY("!!1"), -EBADMSG, "*a decimal number, with ! before it*" },
		{ CAPABILITY("0x79"), -EBADMSG, "*a decimal number, with ! before it*" },
		{ CAPABILITY("-1"), -EBADMSG, "*a decimal number, with ! before it*" },
		{ CAPABILITY("4294967296"), -EBADMSG, "*more than 32 bits" },
		{ NUMBER("69"), -EBADMSG,
		  IN_LEAF
		  "`leaf`: No supported number system prefix found in value [69]" NO_PREFIX },
		{ NUMBER("0X1"), -EBADMSG, IN_LEAF "`leaf`: No supported number system*" },
		{ NUMBER(""), -EBADMSG, IN_LEAF "`leaf`: No supported number system*" },
		{ NUMBER("0x"), -EBADMSG,
		  IN_LEAF "`leaf`: Failed to parse string [0x] - no digits" },
		{ NUMBER("0b"), -EBADMSG,
		  IN_LEAF "`leaf`: Failed to parse string [0b] - no digits" },
		{ NUMBER("0b2"), -EBADMSG, "*not a digit of its number system" },
		{ NUMBER("0xg"), -EBADMSG, "*not a digit of its number system" },
		{ NUMBER("0x_1"), -EBADMSG, "*not a digit of its number system" },
		{ NUMBER("0x100000000"), -EBADMSG, "*more than 32 bits" },
		{ NUMBER("0b111111111111111111111111111111111"), -EBADMSG, "*more than 32 bits" },
		{ NUMBER("0x" X64 X16), -EBADMSG,
		  IN_LEAF "The value of `leaf` has 82 bytes, 71 at most." },
		{ LEAF("\"modifiers\":{}"), -EBADMSG, IN_LEAF "invalid type: map*" },
		{ "{\"cpuid_modifiers\":[{\"leaf\":\"0x1\",\"subleaf\":\"0\",\"flags\":0,"
		  "\"modifiers\":[]}]}",
		  -EBADMSG, IN_LEAF "`subleaf`: No supported number system*" },
		{ "{\"cpuid_modifiers\":[{\"leaf\":\"0x1\",\"subleaf\":\"0x0\",\"modifiers\":[]}]}",
		  -EBADMSG, IN_LEAF "missing field `flags`*" },
		{ "{\"cpuid_modifiers\":[{\"leaf\":\"0x1\",\"subleaf\":\"0x0\",\"flags\":-1,"
		  "\"modifiers\":[]}]}",
		  -EBADMSG, IN_LEAF "invalid value: integer `-1`, expected u32*" },
		{ LEAF("\"modifiers\":[{\"register\":\"ekx\",\"bitmap\":\"0\"}]"), -EBADMSG,
		  IN_REGISTER "`register`: Invalid CPUID register [ekx]. Must be one of [eax, ebx, "
			      "ecx, edx]" },
		{ LEAF("\"modifiers\":[{\"register\":\"EAX\",\"bitmap\":\"0\"}]"), -EBADMSG,
		  IN_REGISTER "`register`: Invalid CPUID register [EAX]*" },
		{ LEAF("\"modifiers\":[{\"register\":\"eax\"}]"), -EBADMSG,
		  IN_REGISTER "missing field `bitmap`*" },
		{ REGISTER("0b2"), -EBADMSG,
		  IN_REGISTER
		  "eax: `bitmap`: Failed to parse string [0b2] - it consists of 0, 1, x "
		  "and _" },
		{ REGISTER("0bX"), -EBADMSG, IN_REGISTER "eax: `bitmap`: Failed*" },
		{ REGISTER("0b" X32 "0"), -EBADMSG,
		  IN_REGISTER "eax: `bitmap`: Failed to parse string [0b" X32 "0] - more than 32 "
			      "bits" },
		{ REGISTER("x" X32), -EBADMSG, "*more than 32 bits" },
		{ MSR("0x10", "x" X64), -EBADMSG, "*more than 64 bits" },
		{ MSR("16", "x"), -EBADMSG, "msr_modifiers[0]: `addr`: No supported number*" },
		{ MSR("0x100000000", "x"), -EBADMSG, "msr_modifiers[0]: `addr`: Failed*" },
		{ "{\"msr_modifiers\":[{\"addr\":\"0x1\"}]}", -EBADMSG,
		  "msr_modifiers[0]: missing field `bitmap`*" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bads); i++) {
		const struct bad *b = &bads[i];
		struct err e = { 0 };
		int r = conf_cpu_parse(b->body, strlen(b->body), &cpu, &e);

		CHECK_EQ(r, b->code);
		CHECK_EQ(e.code, b->code);
		if (b->msg[0] != '*')
			expect_msg(b->body, e.msg, b->msg);
		else if (b->msg[1]) { /* "*text*" or "*text": somewhere in it */
			char part[160];

			snprintf(part, sizeof(part), "%.*s", (int)strcspn(b->msg + 1, "*"),
				 b->msg + 1);
			if (!strstr(e.msg, part))
				expect_msg(b->body, e.msg, b->msg);
		}
	}
}

/* A text in an error is cut, between characters. */
TEST(long_texts_in_errors)
{
	char body[400], want[200];
	struct err e = { 0 };
	char s[50] = { 0 };

	memset(s, 'y', 47);
	snprintf(body, sizeof(body), REGISTER("%s\xc3\xa9zz"), s);
	CHECK_EQ(conf_cpu_parse(body, strlen(body), &cpu, &e), -EBADMSG);
	snprintf(want, sizeof(want), "Failed to parse string [%s] - ", s);
	CHECK(strstr(e.msg, want) != NULL);
}

/* A list of n elements. */
static const char *list(const char *key, const char *element, unsigned n)
{
	static char body[1 << 16];
	size_t len = (size_t)snprintf(body, sizeof(body), "{\"%s\":[", key);

	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(body + len, sizeof(body) - len, "%s%s", i ? "," : "",
					element);
	snprintf(body + len, sizeof(body) - len, "]}");
	return body;
}

static void check_limit(const char *key, const char *element, unsigned max, const unsigned *n)
{
	struct err e = { 0 };
	const char *body = list(key, element, max);
	char want[80];

	CHECK_EQ(parse(body), 0);
	CHECK_EQ(*n, max);
	body = list(key, element, max + 1);
	CHECK_EQ(conf_cpu_parse(body, strlen(body), &cpu, &e), -EBADMSG);
	snprintf(want, sizeof(want), "%s: more than %u elements", key, max);
	expect_msg(key, e.msg, want);
}

TEST(limits)
{
	check_limit("kvm_capabilities", "\"1\"", CONF_CPU_CAPABILITIES_MAX, &cpu.ncapabilities);
	check_limit("cpuid_modifiers",
		    "{\"leaf\":\"0x1\",\"subleaf\":\"0x0\",\"flags\":0,\"modifiers\":[]}",
		    CONF_CPU_LEAVES_MAX, &cpu.nleaves);
	check_limit("msr_modifiers", "{\"addr\":\"0x1\",\"bitmap\":\"\"}", CONF_CPU_MSRS_MAX,
		    &cpu.nmsrs);
}
