/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block requests in any framing, mostly right and rarely broken. As long as
 * nothing was broken, every request comes back once with a status; whatever
 * happens, the file never grows.
 */
#include <sys/stat.h>

#include "devices/driver.h"
#include "devices/virtio/block/block.h"
#include "script.h"

enum { SECTORS = 32, REQUESTS = 6, UNTOUCHED = 0x77 };

static struct vdev *dev;
static int disk;
static unsigned next_desc, next_byte, last_byte;
static bool broken;

static void machine(void)
{
	struct blk_cfg cfg = { .id = "fuzz", .cache = BLK_WRITEBACK };
	struct err e;

	disk = memfd_create("disk", MFD_CLOEXEC);
	CHECK_EQ(ftruncate(disk, SECTORS * 512 + 77), 0);
	cfg.fd = fcntl(disk, F_DUPFD_CLOEXEC, 0);
	CHECK_EQ(blk_create(&cfg, &dev, &e), 0);
	plug(dev);
}

/* `len' bytes in up to four descriptors, the last linked to what follows. */
static void segments(struct script *s, const uint8_t *bytes, unsigned len, uint16_t flags)
{
	for (unsigned n = 1 + pick(s, 4); n > 0; n--) {
		unsigned part = n == 1 ? len : pick(s, len + 1);

		memcpy(ram + next_byte, bytes, part);
		desc(Q_DESC, next_desc, next_byte, part, flags | NEXT, (uint16_t)(next_desc + 1));
		next_desc++;
		if (part > 0)
			last_byte = next_byte + part - 1;
		next_byte += part + pick(s, 64);
		bytes += part;
		len -= part;
	}
}

static void request(struct script *s)
{
	static const uint32_t types[] = { 0, 1, 4, 8, 0, 1, 11, 13 };
	uint32_t type = types[pick(s, ARRAY_SIZE(types))];
	uint64_t sector = pick(s, SECTORS + 2);
	unsigned bytes = 512 * pick(s, 6), first = next_desc;
	uint8_t image[16 + 4096] = { 0 };

	if (rarely(s))
		sector = take(s, 8);
	if (rarely(s))
		bytes = (unsigned)take(s, 2) % 4096;
	if (rarely(s))
		type = (uint32_t)take(s, 4);
	if (type == 4)
		bytes = 0;
	if (type == 8)
		bytes = 20;
	memcpy(image, &type, 4);
	memcpy(image + 8, &sector, 8);
	segments(s, image, type == 1 ? 16 + bytes : 16, 0);
	memset(image, UNTOUCHED, sizeof(image));
	segments(s, image, type == 1 ? 1 : bytes + 1, WRITE);
	put16(Q_DESC + 16 * (next_desc - 1) + 12, WRITE);
	offer((uint16_t)first);
}

static void round_trip(struct script *s)
{
	unsigned offered = 0, status[REQUESTS];
	uint32_t head, len;

	for (unsigned n = 1 + pick(s, 3); n > 0 && next_desc + 8 <= Q_SIZE; n--) {
		request(s);
		status[offered++] = last_byte;
	}
	if (rarely(s)) {
		broken = true;
		for (unsigned i = 1 + pick(s, 4); i > 0; i--)
			ram[take(s, 2) % (Q_USED + 64)] = (uint8_t)take(s, 1);
	}
	wr(R_NOTIFY, 0);
	CHECK_EQ(loop_turn(&loop, 0), 0);
	if (broken)
		return;
	for (unsigned i = 0; i < offered; i++) {
		CHECK(used(&head, &len));
		CHECK(ram[status[i]] <= 2);
	}
	CHECK(!used(&head, &len));
	CHECK_EQ(rd(R_STATUS), RUN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, size };
	struct stat st;

	if (!dev)
		machine();
	broken = false;
	run_device(take(&s, 1) & 1 ? VIRTIO_F_EVENT_IDX : VIRTIO_F_INDIRECT_DESC);
	for (unsigned i = 0; i < REQUESTS && s.left > 0; i++) {
		next_desc = 0;
		next_byte = BUF;
		round_trip(&s);
	}
	CHECK_EQ(loop_turn(&loop, 0), 0);
	CHECK(vdev_idle(dev));
	CHECK_EQ(fstat(disk, &st), 0);
	CHECK_EQ(st.st_size, SECTORS * 512 + 77);
	wr(R_STATUS, 0);
	CHECK_EQ(rd(R_STATUS), 0);
	return 0;
}
