/* SPDX-License-Identifier: Apache-2.0 */
/* What a result means to an operation: when it goes on, and that it ends. */
#include <errno.h>

#include "devices/virtio/block/engine.h"
#include "test.h"

enum { LEN = 1024, PATIENCE = 64 };

static uint8_t bytes[LEN];
static struct iovec iov;

static struct blk_op op_of(enum blk_op_kind kind)
{
	iov = (struct iovec){ bytes, LEN };
	return (struct blk_op){ .kind = kind, .len = LEN, .iov = &iov, .niov = 1 };
}

/* `Try again' for ever is no answer to a guest; a byte that moves starts the count anew. */
TEST(tries_again_so_often_and_no_more)
{
	static const int errors[] = { EAGAIN, EINTR };

	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		struct blk_op op = op_of(BLK_OP_READ);

		for (unsigned n = 0; n < PATIENCE; n++)
			CHECK(!blk_op_take(&op, -errors[i]));
		CHECK(!blk_op_take(&op, 1));
		for (unsigned n = 0; n < PATIENCE; n++)
			CHECK(!blk_op_take(&op, -errors[i]));
		CHECK(blk_op_take(&op, -errors[i]));
		CHECK_EQ(op.error, -errors[i]);
		CHECK_EQ(op.done, 1);
	}
}

TEST(a_sync_has_one_answer)
{
	static const int errors[] = { EAGAIN, EINTR, EIO, ENOSPC };

	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		struct blk_op op = op_of(BLK_OP_FLUSH);

		CHECK(blk_op_take(&op, -errors[i]));
		CHECK_EQ(op.error, -errors[i]);
	}
}

TEST(parts_add_up_to_the_whole)
{
	struct blk_op op = op_of(BLK_OP_WRITE);

	for (unsigned at = 1; at < LEN; at++) {
		CHECK(!blk_op_take(&op, 1));
		CHECK_EQ(op.done, at);
		CHECK(op.iov->iov_base == bytes + at);
		CHECK_EQ(op.iov->iov_len, LEN - at);
	}
	CHECK(blk_op_take(&op, 1));
	CHECK_EQ(op.error, 0);
}

TEST(nothing_moved_is_the_end_of_the_file)
{
	struct blk_op op = op_of(BLK_OP_READ);

	CHECK(!blk_op_take(&op, LEN - 1));
	CHECK(blk_op_take(&op, 0));
	CHECK_EQ(op.error, -EIO);
	CHECK_EQ(op.done, LEN - 1);
}
