/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/net.h"

#include "conf/config.h"
#include "expect.h"

#define ID	  "\"iface_id\":\"eth0\""
#define TAP	  "{" ID ",\"host_dev_name\":\"tap0\""
#define MAC(text) TAP ",\"guest_mac\":\"" text "\"}"
#define BAD_MAC	  "The provided MAC address is invalid."

TEST(bad_bodies)
{
	static const struct bad bads[] = {
		{ "{}", -EBADMSG, "missing field `iface_id` at line 1 column 2" },
		{ "{" ID "}", -EBADMSG, "missing field `host_dev_name` at line 1 column 19" },
		{ "{" ID ",\"host_dev_name\":null}", -EBADMSG,
		  "invalid type: null, expected a string*" },
		{ "{" ID ",\"host_dev_name\":\"\"}", -EINVAL,
		  "The host_dev_name of interface `eth0` is empty." },
		{ "{" ID ",\"socket_path\":\"\"}", -EINVAL, "The host_dev_name of interface *" },
		{ TAP ",\"socket_path\":\"/s\"}", -EINVAL,
		  "Interface `eth0` has more than one of host_dev_name, host_dev_fd and "
		  "socket_path." },
		{ TAP ",\"host_dev_fd\":\"a\"}", -EINVAL, "Interface `eth0` has more than one*" },
		{ "{" ID ",\"host_dev_fd\":\"a\",\"socket_path\":\"/s\"}", -EINVAL,
		  "Interface `eth0` has more than one*" },
		{ "{" ID ",\"socket_path\":1}", -EBADMSG, "invalid type: integer `1`*" },
		{ "{" ID ",\"host_dev_name\":\"a/b\"}", -EINVAL,
		  "The host_dev_name of interface `eth0` has a character that no interface's name "
		  "has." },
		{ "{" ID ",\"host_dev_name\":\"tap%d\"}", -EINVAL, "The host_dev_name of *" },
		{ "{" ID ",\"host_dev_name\":\"a:1\"}", -EINVAL, "The host_dev_name of *" },
		{ "{" ID ",\"host_dev_name\":\"a b\"}", -EINVAL, "The host_dev_name of *" },
		{ "{" ID ",\"host_dev_name\":\"..\"}", -EINVAL,
		  "The host_dev_name of interface `eth0` is `..`." },
		{ "{" ID ",\"host_dev_name\":\"0123456789abcdef\"}", -ERANGE,
		  "The host_dev_name has more than 15 characters, which no interface has." },
		{ "{\"iface_id\":\"\",\"host_dev_name\":\"t\"}", -EINVAL,
		  "The ID cannot be empty." },
		{ "{\"iface_id\":\"a-b\",\"host_dev_name\":\"t\"}", -EINVAL,
		  "API Resource IDs can only contain alphanumeric characters and underscores." },
		{ MAC(""), -EBADMSG, BAD_MAC },
		{ MAC("06:00:00:00:00"), -EBADMSG, BAD_MAC },
		{ MAC("06:00:00:00:00:01:"), -ERANGE, BAD_MAC },
		{ MAC("06:00:00:00:00:0"), -EBADMSG, BAD_MAC },
		{ MAC("06:00:00:00:00:0g"), -EBADMSG, BAD_MAC },
		{ MAC("06-00-00-00-00-01"), -EBADMSG, BAD_MAC },
		{ MAC("6:00:00:00:00:001"), -EBADMSG, BAD_MAC },
		{ MAC("06:00:00:00:00:+1"), -EBADMSG, BAD_MAC },
		{ MAC("07:00:00:00:00:01"), -EINVAL,
		  "The guest_mac 07:00:00:00:00:01 of interface `eth0` is a group's address." },
		{ MAC("ff:ff:ff:ff:ff:ff"), -EINVAL, "The guest_mac *" },
		{ TAP ",\"guest_mac\":1}", -EBADMSG, "invalid type: integer `1`*" },
		{ TAP ",\"mtu\":67}", -EINVAL,
		  "The mtu of interface `eth0` is 67: it must be 68 to 65535." },
		{ TAP ",\"mtu\":0}", -EINVAL, "The mtu of interface `eth0` is 0*" },
		{ TAP ",\"mtu\":65536}", -EBADMSG,
		  "invalid value: integer `65536`, expected u16*" },
		{ TAP ",\"mtu\":-1}", -EBADMSG, "invalid value: integer `-1`, expected u16*" },
		{ TAP ",\"mtu\":1500.5}", -EBADMSG, "invalid type: floating point*" },
		{ TAP ",\"rx_rate_limiter\":{\"x\":1}}", -EBADMSG, "unknown field `x`*" },
		{ TAP ",\"tx_rate_limiter\":[]}", -EBADMSG, "invalid type: sequence*" },
		{ TAP ",\"allow_mmds_requests\":true}", -EBADMSG,
		  "unknown field `allow_mmds_requests`, expected one of `iface_id`, "
		  "`host_dev_name`, `guest_mac`, `mtu`, `rx_rate_limiter`, `tx_rate_limiter`*" },
		{ TAP ",\"mtu\":1500,\"mtu\":1500}", -EBADMSG, "duplicate field `mtu`*" },
	};

	EXPECT_ALL_BAD(conf_net_parse, struct conf_net, bads);
}

static struct conf_net net;

static void parse(const char *body)
{
	struct err e = { 0 };

	CHECK_EQ(conf_net_parse(body, strlen(body), &net, &e), 0);
}

static void check_printed(const char *want)
{
	char buf[2048];
	struct text t = TEXT_ON(buf);

	conf_net_print(&t, &net);
	CHECK(text_ok(&t));
	if (strcmp(buf, want) != 0) {
		fprintf(stderr, "# printed %s\n", buf);
		FAIL("not as expected");
	}
	parse(buf); /* what is printed can be read */
}

TEST(printed_as_the_contract_has_it)
{
	parse(TAP "}");
	CHECK(!net.has_guest_mac && !net.has_mtu);
	CHECK_EQ(conf_net_kind(&net), CONF_NET_TAP);
	check_printed(TAP ",\"guest_mac\":null,\"mtu\":null,\"rx_rate_limiter\":null,"
			  "\"tx_rate_limiter\":null}");
	parse(TAP ",\"guest_mac\":\"0A:Bc:00:00:fF:01\",\"mtu\":68,\"rx_rate_limiter\":{},"
		  "\"tx_rate_limiter\":{\"bandwidth\":{\"size\":1,\"refill_time\":2}}}");
	CHECK_EQ(net.mac[0], 10);
	CHECK_EQ(net.mac[4], 255);
	CHECK_EQ(net.mtu, 68);
	check_printed(TAP ",\"guest_mac\":\"0a:bc:00:00:ff:01\",\"mtu\":68,"
			  "\"rx_rate_limiter\":null,\"tx_rate_limiter\":{\"bandwidth\":{\"size\":1,"
			  "\"one_time_burst\":null,\"refill_time\":2},\"ops\":null}}");
	parse(TAP ",\"guest_mac\":null,\"mtu\":65535}");
	CHECK(!net.has_guest_mac);
	CHECK_EQ(net.mtu, 65535);
}

TEST(other_host_devices)
{
	parse("{" ID ",\"host_dev_fd\":\"t\"}");
	CHECK_EQ(conf_net_kind(&net), CONF_NET_FD);
	CHECK_EQ(strcmp(conf_net_source(&net), "t"), 0);
	check_printed("{" ID ",\"host_dev_name\":\"\",\"guest_mac\":null,\"mtu\":null,"
		      "\"rx_rate_limiter\":null,\"tx_rate_limiter\":null,\"host_dev_fd\":\"t\"}");
	parse("{" ID ",\"socket_path\":\"/s\"}");
	CHECK_EQ(conf_net_kind(&net), CONF_NET_SOCKET);
	CHECK_EQ(strcmp(conf_net_source(&net), "/s"), 0);
	check_printed("{" ID ",\"host_dev_name\":\"\",\"guest_mac\":null,\"mtu\":null,"
		      "\"rx_rate_limiter\":null,\"tx_rate_limiter\":null,\"socket_path\":\"/s\"}");
}

TEST(patches)
{
	static const struct bad bads[] = {
		{ "{}", -EBADMSG, "missing field `iface_id`*" },
		{ "{\"iface_id\":\"\"}", -EINVAL, "The ID cannot be empty." },
		{ "{" ID ",\"host_dev_name\":\"t\"}", -EBADMSG,
		  "unknown field `host_dev_name`, expected one of `iface_id`, `rx_rate_limiter`, "
		  "`tx_rate_limiter`*" },
	};
	struct conf_net_patch patch;
	struct err e = { 0 };
	const char *body = "{" ID ",\"tx_rate_limiter\":{\"ops\":{\"size\":0,\"refill_time\":0},"
			   "\"bandwidth\":{\"size\":7,\"refill_time\":8}}}";

	EXPECT_ALL_BAD(conf_net_patch_parse, struct conf_net_patch, bads);
	parse(TAP ",\"rx_rate_limiter\":{\"ops\":{\"size\":1,\"refill_time\":1}},"
		  "\"tx_rate_limiter\":{\"ops\":{\"size\":2,\"refill_time\":2}}}");
	CHECK_EQ(conf_net_patch_parse(body, strlen(body), &patch, &e), 0);
	CHECK(!patch.has_rx_rate_limiter);
	conf_net_patch_apply(&patch, &net);
	CHECK(net.has_rx_rate_limiter && net.rx_rate_limiter.has_ops);
	CHECK(net.has_tx_rate_limiter && !net.tx_rate_limiter.has_ops);
	CHECK_EQ(net.tx_rate_limiter.bandwidth.size, 7);
}

/* --- among others ------------------------------------------------------------------- */

static struct conf_config config;

static int put(const char *body, const char *error)
{
	struct err e = { 0 };
	int r;

	parse(body);
	r = conf_config_put_net(&config, &net, &e);
	CHECK_EQ(r < 0, error != NULL);
	if (error && strcmp(e.msg, error) != 0) {
		fprintf(stderr, "# %s\n", e.msg);
		FAIL("another error");
	}
	return r;
}

#define NET(id, tap, mac) \
	"{\"iface_id\":\"" id "\",\"host_dev_name\":\"" tap "\",\"guest_mac\":\"" mac "\"}"

TEST(addresses_and_devices_are_used_once)
{
	conf_config_init(&config);
	put(NET("a", "t0", "06:00:00:00:00:01"), NULL);
	put(NET("b", "t1", "06:00:00:00:00:0A"), NULL);
	put(NET("c", "t2", "06:00:00:00:00:01"),
	    "The MAC address is already in use: 06:00:00:00:00:01");
	put(NET("a", "t0", "06:00:00:00:00:0a"),
	    "The MAC address is already in use: 06:00:00:00:00:0a");
	put(NET("c", "t1", "06:00:00:00:00:02"),
	    "The host device `t1` is already in use by interface `b`.");
	/* Its own it may keep, and the place too. */
	put(NET("a", "t0", "06:00:00:00:00:01"), NULL);
	put("{\"iface_id\":\"c\",\"host_dev_fd\":\"t0\"}", NULL);
	CHECK_EQ(config.nnets, 3);
	CHECK_EQ(strcmp(config.nets[0]->iface_id, "a"), 0);
	CHECK(conf_config_find_net(&config, "c") == config.nets[2]);
	CHECK(!conf_config_find_net(&config, "d"));
	conf_config_drop_net(&config, "d");
	conf_config_drop_net(&config, "a");
	CHECK_EQ(config.nnets, 2);
	CHECK_EQ(strcmp(config.nets[0]->iface_id, "b"), 0);
	conf_config_fini(&config);
}

TEST(as_many_as_there_are_interrupts)
{
	char body[100];

	conf_config_init(&config);
	for (unsigned i = 0; i < CONF_NETS_MAX; i++) {
		snprintf(body, sizeof(body), "{\"iface_id\":\"n%u\",\"host_dev_name\":\"t%u\"}", i,
			 i);
		put(body, NULL);
	}
	put("{\"iface_id\":\"x\",\"host_dev_name\":\"x\"}",
	    "Interface `x` cannot be added: a machine has at most 17.");
	put("{\"iface_id\":\"n3\",\"host_dev_name\":\"x\"}", NULL);
	conf_config_fini(&config);
}
