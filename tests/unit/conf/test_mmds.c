/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata service's configuration: addresses from both sides, lists, words of errors. */
#include "conf/mmds.h"

#include "conf/expect.h"

#define EMPTY "The list of network interface IDs that allow forwarding MMDS requests is empty."
#define UNKNOWN                                                                              \
	"The list of network interface IDs provided contains at least one ID that does not " \
	"correspond to any existing network interface."
#define NOT_LOCAL "The MMDS IPv4 address is not link local."

static struct conf_mmds parse(const char *body)
{
	struct conf_mmds m;
	struct err e = { 0 };

	CHECK_EQ(conf_mmds_parse(body, strlen(body), &m, &e), 0);
	return m;
}

static void prints(const char *body, const char *want)
{
	struct conf_mmds m = parse(body);
	char buf[512];
	struct text t = TEXT_ON(buf);

	conf_mmds_print(&t, &m);
	expect_msg(body, buf, want);
}

TEST(defaults_and_all_members)
{
	prints("{\"network_interfaces\":[\"eth0\"]}",
	       "{\"version\":\"V1\",\"network_interfaces\":[\"eth0\"],\"ipv4_address\":"
	       "\"169.254.169.254\",\"imds_compat\":false}");
	prints("{\"network_interfaces\":[\"b\",\"a\",\"b\"],\"version\":\"V2\",\"imds_compat\":true,"
	       "\"ipv4_address\":\"169.254.1.0\"}",
	       "{\"version\":\"V2\",\"network_interfaces\":[\"b\",\"a\"],\"ipv4_address\":"
	       "\"169.254.1.0\",\"imds_compat\":true}");
	prints("{\"network_interfaces\":[\"x\"],\"ipv4_address\":null}",
	       "{\"version\":\"V1\",\"network_interfaces\":[\"x\"],\"ipv4_address\":"
	       "\"169.254.169.254\",\"imds_compat\":false}");
}

TEST(what_is_printed_reads_the_same)
{
	static const char body[] =
		"{\"version\":\"V2\",\"network_interfaces\":[\"eth0\",\"eth1\"],\"ipv4_address\":"
		"\"169.254.254.255\",\"imds_compat\":true}";
	struct conf_mmds m = parse(body);

	prints(body, body);
	CHECK(conf_mmds_has(&m, "eth1") && !conf_mmds_has(&m, "eth2"));
}

#define ADDRESS(a) "{\"network_interfaces\":[\"eth0\"],\"ipv4_address\":\"" a "\"}"

TEST(both_sides_of_link_local)
{
	static const struct bad bads[] = {
		{ ADDRESS("169.254.0.255"), -EINVAL, NOT_LOCAL },
		{ ADDRESS("169.254.255.0"), -EINVAL, NOT_LOCAL },
		{ ADDRESS("169.253.9.9"), -EINVAL, NOT_LOCAL },
		{ ADDRESS("170.254.9.9"), -EINVAL, NOT_LOCAL },
		{ ADDRESS("0.0.0.0"), -EINVAL, NOT_LOCAL },
		{ ADDRESS("255.255.255.255"), -EINVAL, NOT_LOCAL },
	};

	CHECK_EQ(parse(ADDRESS("169.254.1.0")).ipv4_address, 0xa9fe0100);
	CHECK_EQ(parse(ADDRESS("169.254.254.255")).ipv4_address, 0xa9fefeff);
	EXPECT_ALL_BAD(conf_mmds_parse, struct conf_mmds, bads);
}

TEST(what_is_no_address)
{
	static const char *const bads[] = {
		"",	      "169.254.1",	 "169.254.1.1.1", "169.254.1.256", "169.254.01.1",
		"169.254.1.", ".169.254.1.1",	 "169.254.1.1 ",  " 169.254.1.1",  "169.254.1.1000",
		"a.b.c.d",    "169,254,1,1",	 "169.254.+1.1",  "::1",	   "169.254.1.00",
		"169..1.1",   "4294967295.1.1.1"
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bads); i++) {
		char body[128];
		struct conf_mmds m;
		struct err e = { 0 };

		snprintf(body, sizeof(body),
			 "{\"network_interfaces\":[\"e\"],\"ipv4_address\":\"%s\"}", bads[i]);
		CHECK_EQ(conf_mmds_parse(body, strlen(body), &m, &e), -EBADMSG);
		expect_msg(body, e.msg, "invalid IPv4 address syntax at line 1 column *");
	}
}

TEST(bad_bodies)
{
	static const struct bad bads[] = {
		{ "{}", -EBADMSG, "missing field `network_interfaces` at line 1 column 2" },
		{ "[]", -EBADMSG, "invalid type: sequence, expected struct MmdsConfig*" },
		{ "{\"network_interfaces\":[]}", -EINVAL, EMPTY },
		{ "{\"network_interfaces\":null}", -EBADMSG, "invalid type: null, *" },
		{ "{\"network_interfaces\":\"eth0\"}", -EBADMSG,
		  "invalid type: string \"eth0\", expected a sequence*" },
		{ "{\"network_interfaces\":[1]}", -EBADMSG,
		  "invalid type: integer `1`, expected a string*" },
		{ "{\"network_interfaces\":[\"a\"],\"version\":\"V3\"}", -EBADMSG,
		  "unknown variant `V3`, expected `V1` or `V2` at line 1 column 42" },
		{ "{\"network_interfaces\":[\"a\"],\"version\":null}", -EBADMSG, "*" },
		{ "{\"network_interfaces\":[\"a\"],\"imds_compat\":1}", -EBADMSG,
		  "invalid type: integer `1`, expected a boolean*" },
		{ "{\"network_interfaces\":[\"a\"],\"ipv4_address\":1}", -EBADMSG,
		  "invalid type: integer `1`, expected IPv4 address at line 1 column 44" },
		{ "{\"network_interfaces\":[\"a\"],\"x\":1}", -EBADMSG,
		  "unknown field `x`, expected one of `version`, `network_interfaces`, "
		  "`ipv4_address`, `imds_compat` at line 1 column 31" },
	};

	EXPECT_ALL_BAD(conf_mmds_parse, struct conf_mmds, bads);
}

/* How many ids of `len' characters each parse; the error is in *e. */
static int parse_ids(unsigned n, int len, struct err *e)
{
	static char body[4096];
	struct text t = TEXT_ON(body);
	struct conf_mmds m;

	text_str(&t, "{\"network_interfaces\":[");
	for (unsigned i = 0; i < n; i++)
		text_fmt(&t, "%s\"%0*u\"", i > 0 ? "," : "", len, i);
	text_str(&t, "]}");
	return conf_mmds_parse(body, t.len, &m, e);
}

TEST(limits_of_the_list)
{
	struct err e = { 0 };

	CHECK_EQ(parse_ids(CONF_MMDS_INTERFACES_MAX, 2, &e), 0);
	CHECK_EQ(parse_ids(CONF_MMDS_INTERFACES_MAX + 1, 2, &e), -EINVAL);
	expect_msg("18", e.msg, UNKNOWN);
	CHECK_EQ(parse_ids(1, CONF_ID_MAX, &e), 0);
	CHECK_EQ(parse_ids(1, CONF_ID_MAX + 1, &e), -EINVAL);
	expect_msg("65", e.msg, UNKNOWN);
}

TEST(the_version_is_known_when_a_check_fails)
{
	static const char body[] = "{\"network_interfaces\":[],\"version\":\"V2\"}";
	struct conf_mmds m;
	struct err e = { 0 };

	CHECK_EQ(conf_mmds_parse(body, strlen(body), &m, &e), -EINVAL);
	CHECK_EQ(m.version, CONF_MMDS_V2);
}
