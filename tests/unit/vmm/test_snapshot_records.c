/* SPDX-License-Identifier: Apache-2.0 */
/* The format: what is written comes back, and whatever is wrong is refused by name. */
#include "vmm/snapshot_records.h"

#include <stdio.h>
#include <string.h>

#include "base/crc64.h"
#include "conf/expect.h"

static const char *const known[] = { "one", "two", "more" };
static struct err err;
static struct snap_in in;

enum { HEAD = 40, RECORD = 40, CRC = 32 };

/* A file of a record `name' for each of the names; their contents are their names. */
static struct snap_out file_of_records(const char *const *names, unsigned n, enum snap_need need)
{
	struct snap_out o;

	CHECK_EQ(snap_out_init(&o, &err), 0);
	for (unsigned i = 0; i < n; i++) {
		state_put_mem(snap_begin(&o, names[i], i, need), names[i], strlen(names[i]));
		snap_end(&o);
	}
	CHECK_EQ(snap_out_finish(&o, &err), 0);
	return o;
}

static int open_file(const struct snap_out *o)
{
	return snap_in_open(o->out.buf, o->out.len, known, ARRAY_SIZE(known), &in, &err);
}

static void refused(const struct snap_out *o, int code, const char *msg)
{
	CHECK_EQ(open_file(o), code);
	expect_msg("open", err.msg, msg);
}

/* As a forger would: the checksum is right again. */
static void seal(struct snap_out *o, size_t at, size_t len)
{
	uint8_t *head = o->out.buf + at;
	uint64_t crc = crc64(crc64(0, head, CRC), head + RECORD, len);

	for (unsigned i = 0; i < 8; i++)
		head[CRC + i] = (uint8_t)(crc >> (8 * i));
}

TEST(what_is_written_comes_back)
{
	static const char *const names[] = { "one", "two", "more" };
	struct snap_out o = file_of_records(names, 3, SNAP_REQUIRED);
	struct state_in s;
	char text[5] = { 0 };

	CHECK_EQ(open_file(&o), 0);
	CHECK_EQ(in.version.major, SNAP_MAJOR);
	CHECK_EQ(in.nrecords, 3);
	CHECK(snap_has(&in, "two", 1) && !snap_has(&in, "two", 0));
	CHECK_EQ(snap_take(&in, "more", 2, &s, &err), 0);
	state_get_mem(&s, text, 4);
	CHECK_EQ(strcmp(text, "more"), 0);
	CHECK_EQ(snap_taken(&s, "more", 2, &err), 0);
	/* Out of order too. */
	CHECK_EQ(snap_take(&in, "one", 0, &s, &err), 0);
	CHECK_EQ(snap_taken(&s, "one", 0, &err), -EINVAL);
	expect_msg("short", err.msg, "record `one' 0 has a wrong length: 3 bytes");
	CHECK_EQ(snap_in_end(&in, &err), -EINVAL);
	expect_msg("left", err.msg, "record `two' 1 is of something that *");
	CHECK_EQ(snap_take(&in, "two", 1, &s, &err), 0);
	CHECK_EQ(snap_in_end(&in, &err), 0);
	CHECK_EQ(snap_take(&in, "two", 2, &s, &err), -ENOENT);
	expect_msg("missing", err.msg, "the snapshot has no record `two' 2");
	snap_in_fini(&in);
	snap_out_fini(&o);
}

TEST(a_file_without_records)
{
	struct snap_out o = file_of_records(NULL, 0, SNAP_REQUIRED);
	struct state_in s;

	CHECK_EQ(open_file(&o), 0);
	CHECK_EQ(snap_take(&in, "one", 0, &s, &err), -ENOENT);
	CHECK_EQ(snap_in_end(&in, &err), 0);
	snap_in_fini(&in);
	snap_out_fini(&o);
}

TEST(what_is_not_known)
{
	static const char *const names[] = { "one", "new-2" };
	struct snap_out o = file_of_records(names, 2, SNAP_REQUIRED);
	struct state_in s;

	refused(&o, -EPROTONOSUPPORT,
		"the snapshot needs record `new-2', which this version of wisp does not know");
	snap_out_fini(&o);
	o = file_of_records(names, 2, SNAP_OPTIONAL);
	CHECK_EQ(open_file(&o), 0);
	CHECK_EQ(in.nrecords, 2);
	CHECK(in.record[0].known && !in.record[1].known);
	CHECK_EQ(snap_take(&in, "one", 0, &s, &err), 0);
	CHECK_EQ(snap_in_end(&in, &err), 0);
	snap_in_fini(&in);
	snap_out_fini(&o);
}

/* Every bit of the file is under some checksum. */
TEST(every_bit_counts)
{
	static const char *const names[] = { "one", "two" };
	struct snap_out o = file_of_records(names, 2, SNAP_REQUIRED);

	for (size_t bit = 0; bit < 8 * o.out.len; bit++) {
		o.out.buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		err = (struct err){ 0 };
		CHECK(open_file(&o) < 0 && err.msg[0]);
		o.out.buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK_EQ(open_file(&o), 0);
	snap_in_fini(&in);
	snap_out_fini(&o);
}

TEST(every_length_but_its_own)
{
	static const char *const names[] = { "one", "two" };
	struct snap_out o = file_of_records(names, 2, SNAP_REQUIRED);
	const size_t whole = o.out.len;

	for (o.out.len = 0; o.out.len < whole; o.out.len++)
		CHECK(open_file(&o) < 0);
	o.out.len = whole;
	state_put_u8(&o.out, 0);
	refused(&o, -EINVAL, "the file is damaged: it has 127 bytes and was written with 126");
	snap_out_fini(&o);
}

/* The head of a file, with its checksum. */
static void put_head(struct snap_out *o, unsigned major, unsigned minor, uint32_t n, uint64_t len)
{
	struct state_out head = { .buf = o->out.buf + 8, .cap = HEAD - 8 };

	state_put_u16(&head, (uint16_t)major);
	state_put_u16(&head, (uint16_t)minor);
	state_put_u32(&head, 0);
	state_put_u32(&head, n);
	state_put_u32(&head, 0);
	state_put_u64(&head, len);
	state_put_u64(&head, crc64(0, o->out.buf, CRC));
}

TEST(versions)
{
	static const char *const names[] = { "one" };
	struct snap_out o = file_of_records(names, 1, SNAP_REQUIRED);
	struct snap_version v;

	put_head(&o, SNAP_MAJOR, SNAP_MINOR, 1, o.out.len);
	CHECK_EQ(open_file(&o), 0);
	snap_in_fini(&in);
	put_head(&o, SNAP_MAJOR, SNAP_MINOR + 1, 1, o.out.len);
	refused(&o, -EPROTONOSUPPORT,
		"the snapshot has format version 1.1.0; this version of wisp reads 1.0 to 1.0");
	put_head(&o, SNAP_MAJOR + 1, 0, 1, o.out.len);
	refused(&o, -EPROTONOSUPPORT, "the snapshot has format version 2.0.0; *");
	CHECK_EQ(snap_in_version(o.out.buf, o.out.len, &v, &err), 0);
	CHECK_EQ(v.major, 2);
	put_head(&o, SNAP_MAJOR - 1, 9, 1, o.out.len);
	refused(&o, -EPROTONOSUPPORT, "the snapshot has format version 0.9.0; *");
	snap_out_fini(&o);
}

TEST(a_forged_head)
{
	static const char *const names[] = { "one" };
	struct snap_out o = file_of_records(names, 1, SNAP_REQUIRED);

	put_head(&o, 1, 0, SNAP_RECORDS_MAX + 1, o.out.len);
	refused(&o, -EINVAL, "the file is damaged: its head has values that no wisp writes");
	put_head(&o, 1, 0, SNAP_RECORDS_MAX, o.out.len);
	refused(&o, -EINVAL, "the file is damaged: it ends inside a record");
	put_head(&o, 1, 0, 0, o.out.len);
	refused(&o, -EINVAL, "the file is damaged: something follows its last record");
	put_head(&o, 1, 0, 1, UINT64_MAX);
	refused(&o, -EINVAL,
		"the file is damaged: it has 83 bytes and was written with 18446744073709551615");
	o.out.buf[0] = 'X';
	refused(&o, -EINVAL, "the file is no state file of a wisp snapshot");
	snap_out_fini(&o);
}

TEST(a_forged_record)
{
	static const char *const names[] = { "one", "two" };
	static const char *const bad[] = { "", "One", "o e", "one\x80" };
	struct snap_out o = file_of_records(names, 2, SNAP_REQUIRED);
	uint8_t *first = o.out.buf + HEAD, *second = first + RECORD + 3;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(first, 0, SNAP_NAME);
		memcpy(first, bad[i], strlen(bad[i]));
		seal(&o, HEAD, 3);
		refused(&o, -EINVAL, "the file is damaged: a record has no name");
	}
	memset(first, 'a', SNAP_NAME); /* without an end */
	seal(&o, HEAD, 3);
	refused(&o, -EINVAL, "the file is damaged: a record has no name");
	memset(first, 0, SNAP_NAME);
	memcpy(first, "one\0x", 5); /* something behind the end */
	seal(&o, HEAD, 3);
	refused(&o, -EINVAL, "the file is damaged: a record has no name");
	memcpy(first, "one\0\0", 5);
	first[28] = 0xff; /* longer than the file */
	seal(&o, HEAD, 3);
	refused(&o, -EINVAL, "the file is damaged: it ends inside a record");
	first[28] = 3;
	seal(&o, HEAD, 3);
	CHECK_EQ(open_file(&o), 0);
	snap_in_fini(&in);
	memcpy(second, "one", 3);
	second[24] = 0; /* its instance */
	seal(&o, HEAD + RECORD + 3, 3);
	refused(&o, -EINVAL, "the file is damaged: record `one' 0 is there twice");
	snap_out_fini(&o);
}

TEST(a_state_that_is_too_large)
{
	static uint8_t much[SNAP_STATE_MAX];
	struct snap_out o;

	for (size_t spare = 0; spare < 2; spare++) {
		CHECK_EQ(snap_out_init(&o, &err), 0);
		state_put_mem(snap_begin(&o, "one", 0, SNAP_REQUIRED), much,
			      sizeof(much) - HEAD - RECORD + 1 - spare);
		snap_end(&o);
		CHECK_EQ(snap_out_finish(&o, &err), spare ? 0 : -EFBIG);
		if (spare) {
			CHECK_EQ(open_file(&o), 0);
			snap_in_fini(&in);
		}
		snap_out_fini(&o);
	}
}

TEST(as_many_records_as_there_may_be)
{
	for (unsigned more = 0; more < 2; more++) {
		struct snap_out o;

		CHECK_EQ(snap_out_init(&o, &err), 0);
		for (unsigned i = 0; i < SNAP_RECORDS_MAX + more; i++) {
			(void)snap_begin(&o, "one", i, SNAP_REQUIRED);
			snap_end(&o);
		}
		CHECK_EQ(snap_out_finish(&o, &err), more ? -EFBIG : 0);
		if (!more) {
			CHECK_EQ(open_file(&o), 0);
			CHECK(snap_has(&in, "one", SNAP_RECORDS_MAX - 1));
			snap_in_fini(&in);
		}
		snap_out_fini(&o);
	}
}
