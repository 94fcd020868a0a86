/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that are checked in full and not served: balloon, pmem, memory hotplug. */
#include "conf/balloon.h"
#include "conf/memory_hotplug.h"
#include "conf/pmem.h"
#include "expect.h"

TEST(bad_balloons)
{
	static const struct bad bads[] = {
		{ "{}", -EBADMSG, "missing field `amount_mib` at line 1 column 2" },
		{ "{\"amount_mib\":1}", -EBADMSG, "missing field `deflate_on_oom`*" },
		{ "{\"deflate_on_oom\":true}", -EBADMSG, "missing field `amount_mib`*" },
		{ "{\"amount_mib\":-1,\"deflate_on_oom\":true}", -EBADMSG,
		  "invalid value: integer `-1`, expected u32*" },
		{ "{\"amount_mib\":4294967296,\"deflate_on_oom\":true}", -EBADMSG,
		  "invalid value: integer `4294967296`, expected u32*" },
		{ "{\"amount_mib\":16777216,\"deflate_on_oom\":true}", -EINVAL,
		  "Amount of pages requested is too large." },
		{ "{\"amount_mib\":1,\"deflate_on_oom\":null}", -EBADMSG, "invalid type: null*" },
		{ "{\"amount_mib\":1,\"deflate_on_oom\":1}", -EBADMSG, "invalid type: integer*" },
		{ "{\"amount_mib\":1,\"deflate_on_oom\":true,\"stats_polling_interval_s\":65536}",
		  -EBADMSG, "invalid value: integer `65536`, expected u16*" },
		{ "{\"amount_mib\":1,\"deflate_on_oom\":true,\"free_page_hinting\":null}", -EBADMSG,
		  "invalid type: null*" },
		{ "{\"amount_mib\":1,\"deflate_on_oom\":true,\"free_page_reporting\":0}", -EBADMSG,
		  "invalid type: integer*" },
		{ "{\"x\":1}", -EBADMSG,
		  "unknown field `x`, expected one of `amount_mib`, `deflate_on_oom`, "
		  "`stats_polling_interval_s`, `free_page_hinting`, `free_page_reporting`*" },
	};

	EXPECT_ALL_BAD(conf_balloon_parse, struct conf_balloon, bads);
}

static int parse_balloon(const char *body, struct conf_balloon *ret)
{
	struct err e = { 0 };

	return conf_balloon_parse(body, strlen(body), ret, &e);
}

TEST(balloons)
{
	struct conf_balloon b;
	struct err e = { 0 };

	CHECK_EQ(parse_balloon("{\"amount_mib\":16777215,\"deflate_on_oom\":true}", &b), 0);
	CHECK(b.amount_mib == 16777215 && b.deflate_on_oom && !b.free_page_hinting);
	CHECK(b.stats_polling_interval_s == 0 && !b.free_page_reporting);
	CHECK_EQ(parse_balloon("{\"amount_mib\":0,\"deflate_on_oom\":false,"
			       "\"stats_polling_interval_s\":65535,\"free_page_hinting\":true,"
			       "\"free_page_reporting\":true}",
			       &b),
		 0);
	CHECK(b.stats_polling_interval_s == 65535 && b.free_page_hinting && b.free_page_reporting);
	b.amount_mib = 128;
	CHECK_EQ(conf_balloon_check(&b, 128, &e), 0);
	CHECK_EQ(conf_balloon_check(&b, 127, &e), -EINVAL);
}

static int amount(const char *body, size_t len, uint32_t *ret, struct err *e)
{
	return conf_balloon_amount_parse(body, len, ret, e);
}

static int interval(const char *body, size_t len, uint16_t *ret, struct err *e)
{
	return conf_balloon_interval_parse(body, len, ret, e);
}

static int hinting(const char *body, size_t len, bool *ret, struct err *e)
{
	return conf_balloon_hinting_parse(body, len, ret, e);
}

TEST(patches_of_balloons)
{
	static const struct bad bad_amounts[] = {
		{ "{}", -EBADMSG, "missing field `amount_mib`*" },
		{ "{\"amount_mib\":null}", -EBADMSG, "invalid type: null*" },
		{ "{\"amount_mib\":16777216}", -EINVAL, "Amount of pages requested is too large." },
		{ "{\"amount_mib\":1,\"deflate_on_oom\":true}", -EBADMSG, "unknown field*" },
	};
	static const struct bad bad_intervals[] = {
		{ "{}", -EBADMSG, "missing field `stats_polling_interval_s`*" },
		{ "{\"stats_polling_interval_s\":65536}", -EBADMSG, "invalid value*" },
		{ "{\"x\":1}", -EBADMSG, "unknown field*" },
	};
	static const struct bad bad_hinting[] = {
		{ "{\"acknowledge_on_stop\":1}", -EBADMSG, "invalid type*" },
		{ "{\"acknowledge_on_stop\":null}", -EBADMSG, "invalid type*" },
		{ "[]", -EBADMSG, "invalid type: sequence, expected struct StartHintingCmd*" },
	};
	struct err e = { 0 };
	uint32_t mib;
	uint16_t s;
	bool ack = false;

	EXPECT_ALL_BAD(amount, uint32_t, bad_amounts);
	EXPECT_ALL_BAD(interval, uint16_t, bad_intervals);
	EXPECT_ALL_BAD(hinting, bool, bad_hinting);
	CHECK_EQ(amount("{\"amount_mib\":16777215}", 23, &mib, &e), 0);
	CHECK_EQ(mib, 16777215);
	CHECK_EQ(interval("{\"stats_polling_interval_s\":65535}", 34, &s, &e), 0);
	CHECK_EQ(s, 65535);
	CHECK_EQ(hinting("", 0, &ack, &e), 0);
	CHECK(ack);
	CHECK_EQ(hinting("{\"acknowledge_on_stop\":false,\"more\":1}", 38, &ack, &e), 0);
	CHECK(!ack);
}

TEST(bad_pmems)
{
	static const struct bad bads[] = {
		{ "{\"id\":\"p\"}", -EBADMSG, "missing field `path_on_host`*" },
		{ "{\"path_on_host\":\"/p\"}", -EBADMSG, "missing field `id`*" },
		{ "{\"id\":\"p\",\"path_on_host\":\"\"}", -EINVAL,
		  "The path_on_host of pmem `p` is empty." },
		{ "{\"id\":\"a-b\",\"path_on_host\":\"/p\"}", -EINVAL,
		  "API Resource IDs can only contain*" },
		{ "{\"id\":\"\",\"path_on_host\":\"/p\"}", -EINVAL, "The ID cannot be empty." },
		{ "{\"id\":\"p\",\"path_on_host\":\"/p\",\"root_device\":null}", -EBADMSG,
		  "invalid type: null*" },
		{ "{\"id\":\"p\",\"path_on_host\":\"/p\",\"read_only\":1}", -EBADMSG,
		  "invalid type: integer*" },
		{ "{\"id\":\"p\",\"path_on_host\":\"/p\",\"rate_limiter\":{\"x\":1}}", -EBADMSG,
		  "unknown field `x`*" },
		{ "{\"id\":\"p\",\"x\":1}", -EBADMSG,
		  "unknown field `x`, expected one of `id`, `path_on_host`, `root_device`, "
		  "`read_only`, `rate_limiter`*" },
	};
	static const struct bad bad_patches[] = {
		{ "{}", -EBADMSG, "missing field `id`*" },
		{ "{\"id\":\"p\",\"path_on_host\":\"/p\"}", -EBADMSG,
		  "unknown field `path_on_host`*" },
		{ "{\"id\":\"a b\"}", -EINVAL, "API Resource IDs can only contain*" },
	};

	EXPECT_ALL_BAD(conf_pmem_parse, struct conf_pmem, bads);
	EXPECT_ALL_BAD(conf_pmem_patch_parse, struct conf_pmem_patch, bad_patches);
}

TEST(pmems)
{
	static const char full[] = "{\"id\":\"p\",\"path_on_host\":\"/p\",\"root_device\":true,"
				   "\"read_only\":true,\"rate_limiter\":"
				   "{\"ops\":{\"size\":1,\"refill_time\":1}}}";
	static const char small[] = "{\"id\":\"p\",\"path_on_host\":\"/p\"}";
	static struct conf_pmem p;
	struct err e = { 0 };

	CHECK_EQ(conf_pmem_parse(full, strlen(full), &p, &e), 0);
	CHECK(p.root_device && p.read_only && p.has_rate_limiter && p.rate_limiter.has_ops);
	CHECK_EQ(conf_pmem_parse(small, strlen(small), &p, &e), 0);
	CHECK(!p.root_device && !p.read_only && !p.has_rate_limiter);
}

TEST(bad_memory_hotplugs)
{
	static const struct bad bads[] = {
		{ "{}", -EBADMSG, "missing field `total_size_mib`*" },
		{ "{\"total_size_mib\":null}", -EBADMSG, "invalid type: null*" },
		{ "{\"total_size_mib\":4294967296}", -EBADMSG, "invalid value*" },
		{ "{\"total_size_mib\":128,\"block_size_mib\":1}", -EINVAL,
		  "Block size must not be lower than 2 MiB" },
		{ "{\"total_size_mib\":128,\"block_size_mib\":0}", -EINVAL,
		  "Block size must not be lower than 2 MiB" },
		{ "{\"total_size_mib\":128,\"block_size_mib\":6}", -EINVAL,
		  "Block size must be a power of 2" },
		{ "{\"total_size_mib\":128,\"slot_size_mib\":127}", -EINVAL,
		  "Slot size must not be lower than 128 MiB" },
		{ "{\"total_size_mib\":256,\"slot_size_mib\":130,\"block_size_mib\":4}", -EINVAL,
		  "Slot size must be a multiple of block size (4 MiB)" },
		{ "{\"total_size_mib\":127}", -EINVAL,
		  "Total size must not be lower than slot size (128 MiB)" },
		{ "{\"total_size_mib\":129}", -EINVAL,
		  "Total size must be a multiple of slot size (128 MiB)" },
		{ "{\"x\":1}", -EBADMSG,
		  "unknown field `x`, expected one of `total_size_mib`, `block_size_mib`, "
		  "`slot_size_mib`*" },
	};

	EXPECT_ALL_BAD(conf_memory_hotplug_parse, struct conf_memory_hotplug, bads);
}

TEST(memory_hotplugs)
{
	static const char full[] = "{\"total_size_mib\":4294967040,\"block_size_mib\":256,"
				   "\"slot_size_mib\":256}";
	struct conf_memory_hotplug m;
	struct err e = { 0 };
	uint32_t size;

	CHECK_EQ(conf_memory_hotplug_parse("{\"total_size_mib\":128}", 22, &m, &e), 0);
	CHECK(m.total_size_mib == 128 && m.block_size_mib == 2 && m.slot_size_mib == 128);
	CHECK_EQ(conf_memory_hotplug_parse(full, strlen(full), &m, &e), 0);
	CHECK(m.block_size_mib == 256 && m.slot_size_mib == 256);
	CHECK_EQ(conf_memory_hotplug_size_parse("{\"requested_size_mib\":7}", 24, &size, &e), 0);
	CHECK_EQ(size, 7);
	CHECK_EQ(conf_memory_hotplug_size_parse("{}", 2, &size, &e), -EBADMSG);
	CHECK_EQ(conf_memory_hotplug_size_parse("{\"x\":7}", 7, &size, &e), -EBADMSG);
}
