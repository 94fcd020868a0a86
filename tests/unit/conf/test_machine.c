/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/machine.h"

#include "expect.h"

#define VCPUS                                                                                \
	"The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even " \
	"number if SMT is enabled."
#define MEMORY "The memory size (MiB) is either 0, or not a multiple of the configured page size."
#define FIELDS                                                                  \
	"expected one of `vcpu_count`, `mem_size_mib`, `smt`, `cpu_template`, " \
	"`track_dirty_pages`, `huge_pages`"

static int put(const char *body, size_t len, struct conf_machine *ret, struct err *e)
{
	bool deprecated;

	return conf_machine_put(body, len, ret, &deprecated, e);
}

TEST(bad_bodies)
{
	static const struct bad bads[] = {
		{ "{\"mem_size_mib\": 128}", -EBADMSG,
		  "missing field `vcpu_count` at line 1 column 21" },
		{ "{\"vcpu_count\": 4}", -EBADMSG,
		  "missing field `mem_size_mib` at line 1 column 17" },
		{ "{\"vcpu_count\":0,\"mem_size_mib\":128}", -EINVAL, VCPUS },
		{ "{\"vcpu_count\":33,\"mem_size_mib\":128}", -EINVAL, VCPUS },
		{ "{\"vcpu_count\":3,\"mem_size_mib\":128,\"smt\":true}", -EINVAL, VCPUS },
		{ "{\"vcpu_count\":31,\"mem_size_mib\":128,\"smt\":true}", -EINVAL, VCPUS },
		{ "{\"vcpu_count\":256,\"mem_size_mib\":128}", -EBADMSG,
		  "invalid value: integer `256`, expected u8 at line 1 column 17" },
		{ "{\"vcpu_count\":-1,\"mem_size_mib\":128}", -EBADMSG,
		  "invalid value: integer `-1`, expected u8 at line 1 column 16" },
		{ "{\"vcpu_count\":\"2\",\"mem_size_mib\":128}", -EBADMSG,
		  "invalid type: string \"2\", expected u8 at line 1 column 17" },
		{ "{\"vcpu_count\":1.0,\"mem_size_mib\":128}", -EBADMSG,
		  "invalid type: floating point `1.0`, expected u8 at line 1 column 17" },
		{ "{\"vcpu_count\":null,\"mem_size_mib\":128}", -EBADMSG,
		  "invalid type: null, expected u8 at line 1 column 18" },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":0}", -EINVAL, MEMORY },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":129,\"huge_pages\":\"2M\"}", -EINVAL,
		  MEMORY },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":1,\"huge_pages\":\"Transparent\"}", -EINVAL,
		  MEMORY },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":17592186044416}", -EINVAL,
		  "The memory size (MiB) is too large: 17592186044416 MiB have no 64-bit size in "
		  "bytes." },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":18446744073709551615}", -EINVAL,
		  "The memory size (MiB) is too large: *" },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":18446744073709551616}", -EBADMSG,
		  "invalid type: floating point `18446744073709551616`, expected usize*" },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":-128}", -EBADMSG,
		  "invalid value: integer `-128`, expected usize at line 1 column 35" },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":true}", -EBADMSG,
		  "invalid type: boolean `true`, expected usize*" },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":8,\"smt\":1}", -EBADMSG,
		  "invalid type: integer `1`, expected a boolean*" },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":8,\"smt\":null}", -EBADMSG,
		  "invalid type: null, expected a boolean*" },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":8,\"track_dirty_pages\":\"no\"}", -EBADMSG,
		  "invalid type: string \"no\", expected a boolean*" },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":8,\"cpu_template\":\"V1N1\"}", -EBADMSG,
		  "unknown variant `V1N1`, expected one of `C3`, `T2`, `T2S`, `T2CL`, `T2A`, `None` "
		  "at line 1 column 54" },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":8,\"huge_pages\":\"7M\"}", -EBADMSG,
		  "unknown variant `7M`, expected one of `None`, `Transparent`, `2M`*" },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":8,\"shared_memory\":null}", -EBADMSG,
		  "invalid type: null, *" },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":8,\"huge_pages\":null}", -EBADMSG,
		  "expected value at line 1 column 47" },
		{ "{\"vcpu_count\":1,\"vcpu_count\":1,\"mem_size_mib\":8}", -EBADMSG,
		  "duplicate field `vcpu_count` at line 1 column 28" },
		{ "{\"foo\":1}", -EBADMSG, "unknown field `foo`, " FIELDS " at line 1 column 6" },
		{ "{\"gdb_socket_path\":\"/x\"}", -EBADMSG, "unknown field `gdb_socket_path`, *" },
		{ "[]", -EBADMSG,
		  "invalid type: sequence, expected struct MachineConfig at line 1 column 0" },
		{ "{", -EBADMSG, "EOF while parsing an object at line 1 column 1" },
	};

	EXPECT_ALL_BAD(put, struct conf_machine, bads);
}

TEST(good_bodies)
{
	static const char *const good[] = {
		"{\"vcpu_count\":1,\"mem_size_mib\":1}",
		"{\"vcpu_count\":32,\"mem_size_mib\":17592186044415}",
		"{\"vcpu_count\":31,\"mem_size_mib\":127,\"smt\":false}",
		"{\"vcpu_count\":1,\"mem_size_mib\":2,\"smt\":true,\"huge_pages\":\"2M\"}",
		"{\"vcpu_count\":32,\"mem_size_mib\":2,\"smt\":true,\"huge_pages\":\"Transparent\"}",
		"{\"vcpu_count\":2,\"mem_size_mib\":3,\"shared_memory\":true}",
		"{\"vcpu_count\":2,\"mem_size_mib\":3,\"huge_pages\":\"None\",\"cpu_template\":null}",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		struct conf_machine m = { 0 };
		struct err e = { 0 };

		CHECK_EQ(put(good[i], strlen(good[i]), &m, &e), 0);
	}
}

static void print_is(const struct conf_machine *m, const char *expected)
{
	char buf[256], again[256];
	struct text t = TEXT_ON(buf), t2 = TEXT_ON(again);
	struct conf_machine back = { 0 };
	struct err e = { 0 };

	conf_machine_print(&t, m);
	expect_msg("print", buf, expected);
	CHECK_EQ(put(buf, t.len, &back, &e), 0);
	conf_machine_print(&t2, &back);
	expect_msg("print again", again, expected);
}

TEST(defaults_stand_in_one_place)
{
	static const char body[] = "{\"vcpu_count\":1,\"mem_size_mib\":128}";
	struct conf_machine m = { .smt = true, .track_dirty_pages = true };
	struct err e = { 0 };

	print_is(&conf_machine_default, "{\"vcpu_count\":1,\"mem_size_mib\":128,\"smt\":false,"
					"\"track_dirty_pages\":false,\"huge_pages\":\"None\"}");
	CHECK_EQ(put(body, strlen(body), &m, &e), 0);
	print_is(&m, "{\"vcpu_count\":1,\"mem_size_mib\":128,\"smt\":false,"
		     "\"track_dirty_pages\":false,\"huge_pages\":\"None\"}");
}

TEST(every_template_and_page_size_survives)
{
	for (unsigned i = 0; i <= CONF_CPU_TEMPLATE_NONE; i++)
		for (unsigned k = 0; k <= CONF_HUGE_PAGES_2M; k++) {
			struct conf_machine m = conf_machine_default, back = { 0 };
			char buf[256];
			struct text t = TEXT_ON(buf);
			struct err e = { 0 };

			m.cpu_template = i;
			m.huge_pages = k;
			conf_machine_print(&t, &m);
			CHECK_EQ(put(buf, t.len, &back, &e), 0);
			CHECK_EQ(back.cpu_template, i);
			CHECK_EQ(back.huge_pages, k);
			CHECK_EQ(strstr(buf, "cpu_template") != NULL, i != CONF_CPU_TEMPLATE_NONE);
		}
	CHECK(strcmp(conf_cpu_template_name(CONF_CPU_TEMPLATE_T2CL), "T2CL") == 0);
	CHECK(strcmp(conf_huge_pages_name(CONF_HUGE_PAGES_2M), "2M") == 0);
}

TEST(deprecated_member_is_noticed)
{
	static const struct {
		const char *body;
		bool deprecated;
		int r;
	} c[] = {
		{ "{\"vcpu_count\":1,\"mem_size_mib\":8}", false, 0 },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":8,\"cpu_template\":null}", false, 0 },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":8,\"cpu_template\":\"None\"}", true, 0 },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":8,\"cpu_template\":\"T2\"}", true, 0 },
		{ "{\"vcpu_count\":0,\"mem_size_mib\":8,\"cpu_template\":\"T2\"}", true, -EINVAL },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		struct conf_machine m = { 0 };
		struct err e = { 0 };
		bool deprecated = !c[i].deprecated;

		CHECK_EQ(conf_machine_put(c[i].body, strlen(c[i].body), &m, &deprecated, &e),
			 c[i].r);
		CHECK_EQ(deprecated, c[i].deprecated);
	}
}

static int patch(const char *body, struct conf_machine *m, bool *deprecated, struct err *e)
{
	struct conf_machine_patch p = { 0 };
	int r = conf_machine_patch_parse(body, strlen(body), &p, deprecated, e);

	return r < 0 ? r : conf_machine_patch_apply(&p, m, e);
}

TEST(patch_changes_what_it_gives)
{
	struct conf_machine m = { .vcpu_count = 4,
				  .mem_size_mib = 64,
				  .smt = true,
				  .cpu_template = CONF_CPU_TEMPLATE_T2 };
	bool deprecated = true;
	struct err e = { 0 };

	CHECK_EQ(patch("{\"mem_size_mib\":256,\"smt\":null}", &m, &deprecated, &e), 0);
	CHECK(!deprecated && m.smt);
	CHECK_EQ(m.mem_size_mib, 256);
	CHECK_EQ(m.vcpu_count, 4);
	CHECK_EQ(m.cpu_template, CONF_CPU_TEMPLATE_T2);
	CHECK_EQ(patch("{\"cpu_template\":\"None\",\"track_dirty_pages\":true}", &m, &deprecated,
		       &e),
		 0);
	CHECK(deprecated && m.track_dirty_pages);
	CHECK_EQ(m.cpu_template, CONF_CPU_TEMPLATE_NONE);
}

TEST(patch_is_all_or_nothing)
{
	static const struct bad bads[] = {
		{ "{}", -ENODATA, "Empty PATCH request." },
		{ "{\"smt\":null,\"vcpu_count\":null}", -ENODATA, "Empty PATCH request." },
		{ "{\"vcpu_count\":3,\"mem_size_mib\":8}", -EINVAL, VCPUS },
		{ "{\"vcpu_count\":33}", -EINVAL, VCPUS },
		{ "{\"mem_size_mib\":0}", -EINVAL, MEMORY },
		{ "{\"mem_size_mib\":7,\"huge_pages\":\"2M\"}", -EINVAL, MEMORY },
		{ "{\"vcpu_count\":300}", -EBADMSG, "invalid value: integer `300`, expected u8*" },
		{ "{\"x\":1}", -EBADMSG, "unknown field `x`, " FIELDS "*" },
		{ "7", -EBADMSG,
		  "invalid type: integer `7`, expected struct MachineConfigUpdate*" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bads); i++) {
		struct conf_machine m = { .vcpu_count = 4, .mem_size_mib = 64, .smt = true };
		struct conf_machine before = m;
		struct err e = { 0 };
		bool deprecated;

		expect_err(&bads[i], patch(bads[i].body, &m, &deprecated, &e), &e);
		CHECK(m.vcpu_count == before.vcpu_count && m.mem_size_mib == before.mem_size_mib &&
		      m.huge_pages == before.huge_pages);
	}
}

TEST(template_given_even_as_none)
{
	struct conf_machine m;
	struct conf_machine_patch patch;
	struct err e = { 0 };
	bool deprecated;

#define PUT(more) "{\"vcpu_count\":1,\"mem_size_mib\":1" more "}"
	CHECK_EQ(put(PUT(",\"cpu_template\":\"None\""), strlen(PUT(",\"cpu_template\":\"None\"")),
		     &m, &e),
		 0);
	CHECK(m.has_cpu_template);
	CHECK_EQ(put(PUT(""), strlen(PUT("")), &m, &e), 0);
	CHECK(!m.has_cpu_template);
	CHECK_EQ(conf_machine_patch_parse("{\"cpu_template\":\"T2\"}", 21, &patch, &deprecated, &e),
		 0);
	CHECK_EQ(conf_machine_patch_apply(&patch, &m, &e), 0);
	CHECK(m.has_cpu_template && m.cpu_template == CONF_CPU_TEMPLATE_T2);
	CHECK_EQ(conf_machine_patch_parse("{\"smt\":true}", 12, &patch, &deprecated, &e), 0);
	CHECK_EQ(conf_machine_patch_apply(&patch, &m, &e), 0);
	CHECK(!m.has_cpu_template && m.cpu_template == CONF_CPU_TEMPLATE_T2);
}
