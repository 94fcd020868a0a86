/* SPDX-License-Identifier: Apache-2.0 */
/* I/O around the host's page cache, on both engines (test_block_direct_async.c). */
#include <sys/stat.h>

#include "devices/virtio/block/open.h"
#include "disk.h"

enum { AREAS = 4, AREA = 16, ROUNDS = 300, LARGE = 300 };

static uint8_t model[LARGE * SECTOR];
static uint32_t seed = 1;

static unsigned pick(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 16) % n;
}

static void plug_direct(void)
{
	struct blk_cfg cfg = { .id = "d", .direct = true, .discard = true };
	int probe = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct err e;

	if (probe < 0 || blk_go_direct(probe) == 0)
		SKIP("the file system of /tmp has no O_DIRECT in units of 512 bytes");
	CHECK_EQ(close(probe), 0);
	disk = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	for (unsigned i = 0; i < sizeof(model); i++)
		model[i] = pattern(i);
	CHECK_EQ(pwrite(disk, model, sizeof(model), 0), sizeof(model));
	CHECK_EQ(fdatasync(disk), 0);
	cfg.engine = next_engine();
	in_device = cfg.engine;
	cfg.fd = fcntl(disk, F_DUPFD_CLOEXEC, 0);
	CHECK_EQ(blk_create(&cfg, &dev, &e), 0);
	plug(dev);
	run_device(0);
	CHECK(blk_is_direct(dev));
	CHECK(fcntl(disk, F_GETFL) & O_DIRECT);
}

/* --- random requests against a model --------------------------------------------------- */

static struct one {
	uint32_t type;
	unsigned sector, bytes, at; /* where its data is in the guest */
} one[AREAS];

static bool is_write(const struct one *r)
{
	return r->type == OUT;
}

/* Three parts of the data, of any length and at any place, between header and status. */
static void offer_one(unsigned i)
{
	struct one *r = &one[i];
	struct piece p[5] = { { HEADER + 16 * i, 16, 0 } };
	uint64_t sector;
	unsigned left;

	*r = (struct one){ .type = pick(2), .bytes = SECTOR * (1 + pick(4)) };
	r->sector = i * AREA + pick(AREA - 4);
	r->at = DATA + 0x3000 * i + (pick(2) ? pick(SECTOR) : 0);
	sector = r->sector;
	memcpy(ram + p[0].at, &r->type, 4);
	memcpy(ram + p[0].at + 8, &sector, 8);
	for (unsigned k = 0; k < r->bytes; k++)
		ram[r->at + k] = is_write(r) ? (uint8_t)pick(256) : UNTOUCHED;
	left = r->bytes;
	for (unsigned k = 1; k <= 3; k++) {
		unsigned part = k == 3	  ? left
				: pick(2) ? SECTOR * pick(left / SECTOR + 1)
					  : pick(left + 1);

		p[k] = (struct piece){ r->at + r->bytes - left, part, is_write(r) ? 0 : WRITE };
		left -= part;
	}
	p[4] = (struct piece){ STATUS + i, 1, WRITE };
	ram[STATUS + i] = UNTOUCHED;
	for (unsigned k = 0; k < 5; k++) {
		unsigned at = 5 * i + k;

		desc(TABLE, at, p[k].at, p[k].len, (uint16_t)(p[k].flags | (k < 4 ? NEXT : 0)),
		     (uint16_t)(k + 1));
	}
	desc(Q_DESC, i, TABLE + 16 * 5 * i, 16 * 5, INDIRECT, 0);
	offer((uint16_t)i);
}

TEST(any_alignment_of_memory)
{
	uint32_t head, len;

	plug_direct();
	wr(R_STATUS, 0);
	run_device(VIRTIO_F_INDIRECT_DESC);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < AREAS; i++)
			offer_one(i);
		kick();
		for (unsigned i = 0; i < AREAS; i++) {
			uint8_t *m = model + one[i].sector * SECTOR, *g = ram + one[i].at;

			CHECK(used(&head, &len));
			CHECK_EQ(ram[STATUS + i], OK);
			if (is_write(&one[i]))
				memcpy(m, g, one[i].bytes);
			else
				CHECK_EQ(memcmp(m, g, one[i].bytes), 0);
		}
	}
	CHECK_EQ(lseek(disk, 0, SEEK_SET), 0);
	CHECK_EQ(fcntl(disk, F_SETFL, fcntl(disk, F_GETFL) & ~O_DIRECT), 0);
	for (unsigned i = 0; i < AREAS * AREA; i++) {
		uint8_t got[SECTOR];

		CHECK_EQ(pread(disk, got, SECTOR, (off_t)i * SECTOR), SECTOR);
		CHECK_EQ(memcmp(got, model + i * SECTOR, SECTOR), 0);
	}
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 0);
	unplug_disk();
}

/* Several times the bounce buffer, with its memory one byte aside and not. */
TEST(a_long_request)
{
	enum { FAR = 0x40000 };

	plug_direct();
	for (unsigned aside = 0; aside < 2; aside++) {
		const struct piece in[] = { { HEADER, 16, 0 },
					    { FAR + aside, LARGE * SECTOR, WRITE },
					    { STATUS, 1, WRITE } };
		const struct piece out[] = { { HEADER, 16, 0 },
					     { FAR + aside, (LARGE - 1) * SECTOR, 0 },
					     { STATUS, 1, WRITE } };

		header(IN, 0);
		CHECK_EQ(run(in, 3), LARGE * SECTOR + 1);
		CHECK_EQ(memcmp(ram + FAR + aside, model, sizeof(model)), 0);
		for (unsigned i = 0; i < sizeof(model) - SECTOR; i++)
			model[SECTOR + i] = ram[FAR + aside + i] = (uint8_t)(i * 13 + aside);
		header(OUT, 1);
		CHECK_EQ(run(out, 3), 1);
		CHECK_EQ(ram[STATUS], OK);
		header(IN, 0);
		CHECK_EQ(run(in, 3), LARGE * SECTOR + 1);
		CHECK_EQ(memcmp(ram + FAR + aside, model, sizeof(model)), 0);
	}
	unplug_disk();
}

TEST(a_file_that_became_shorter)
{
	const struct piece in[] = { { HEADER, 16, 0 },
				    { DATA + 1, 4 * SECTOR, WRITE },
				    { STATUS, 1, WRITE } };

	plug_direct();
	CHECK_EQ(ftruncate(disk, 2 * SECTOR), 0);
	header(IN, 0);
	CHECK_EQ(run(in, 3), 2 * SECTOR);
	CHECK_EQ(ram[STATUS], IOERR);
	CHECK_EQ(memcmp(ram + DATA + 1, model, 2 * SECTOR), 0);
	CHECK_EQ(ftruncate(disk, SECTOR + 100), 0);
	header(IN, 0);
	(void)run(in, 3);
	CHECK_EQ(ram[STATUS], IOERR);
	CHECK_EQ(counter_get(&blk_metrics(dev)->execute_fails), 2);
	unplug_disk();
}

/* There is no page cache to try first: the loop would wait for the disk. */
TEST(a_read_leaves_the_loop_alone)
{
	const struct piece in[] = { { HEADER, 16, 0 },
				    { DATA, SECTOR, WRITE },
				    { STATUS, 1, WRITE } };

	if (!ASYNC)
		SKIP("Sync waits");
	plug_direct();
	header(IN, 0);
	chain_of(in, 3, 0);
	wr(R_NOTIFY, 0);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK_EQ(ram[STATUS], UNTOUCHED);
	CHECK_EQ(uring_inflight(ring), 1);
	settle();
	CHECK_EQ(ram[STATUS], OK);
	unplug_disk();
}

TEST(zeroes_and_discard_too)
{
	plug_direct();
	memset(ram + DATA, 0, 16);
	ram[DATA + 8] = 3;
	for (uint32_t type = DISCARD; type <= ZEROES; type += ZEROES - DISCARD) {
		ram[DATA] = (uint8_t)type;
		CHECK_EQ(request(type, 0, 16, 0, 1), OK);
	}
	memset(model + DISCARD * SECTOR, 0, 5 * SECTOR);
	CHECK_EQ(request(IN, 0, 20 * SECTOR, WRITE, 20 * SECTOR + 1), OK);
	CHECK_EQ(memcmp(ram + DATA, model, 20 * SECTOR), 0);
	unplug_disk();
}

/* A file in memory has no way around the page cache. */
TEST(a_file_that_cannot_is_buffered)
{
	plug_disk((struct blk_cfg){ .direct = true });
	CHECK(!blk_is_direct(dev));
	CHECK_EQ(fcntl(disk, F_GETFL) & O_DIRECT, 0);
	CHECK_EQ(request(IN, 3, SECTOR, WRITE, SECTOR + 1), OK);
	CHECK(data_is(DATA, 3 * SECTOR, SECTOR));
	unplug_disk();
	plug_disk((struct blk_cfg){ .direct = false });
	CHECK(!blk_is_direct(dev));
	CHECK_EQ(blk_go_direct(9999), 0);
	unplug_disk();
}

TEST(another_file_is_asked_anew)
{
	int other = make_disk(SECTORS * SECTOR);
	struct err e;

	plug_direct();
	CHECK_EQ(blk_replace(dev, other, &e), 0);
	CHECK(!blk_is_direct(dev));
	CHECK_EQ(request(IN, 3, SECTOR, WRITE, SECTOR + 1), OK);
	CHECK_EQ(blk_replace(dev, fcntl(disk, F_DUPFD_CLOEXEC, 0), &e), 0);
	CHECK(blk_is_direct(dev));
	CHECK_EQ(request(IN, 3, SECTOR, WRITE, SECTOR + 1), OK);
	unplug_disk();
}
