/* SPDX-License-Identifier: Apache-2.0 */
/* Entropy requests over guest memory, mostly right and rarely broken. */
#include "devices/driver.h"
#include "devices/virtio/rng/rng.h"
#include "script.h"

enum { ROUNDS = 8 };

static struct vdev *dev;

/* One chain of up to four buffers; its length. */
static uint64_t request(struct script *s, bool *broken)
{
	unsigned n = 1 + pick(s, 4);
	uint64_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t at = BUF + 0x1000 * i;
		uint32_t part = 1 + (uint32_t)take(s, 1) * 8;
		uint16_t flags = WRITE;

		if (rarely(s)) {
			*broken = true;
			at = take(s, 8);
			part = (uint32_t)take(s, 4);
			flags = (uint16_t)(take(s, 1) & 7);
		}
		desc(Q_DESC, i, at, part, i + 1 < n ? flags | NEXT : flags, (uint16_t)(i + 1));
		len += part;
	}
	offer(0);
	return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, size };
	bool broken = false;
	uint32_t head, len;
	uint64_t expected;

	if (!dev) {
		struct err e;

		CHECK_EQ(rng_create(&dev, &e), 0);
		plug(dev);
	}
	run_device(0);
	for (unsigned i = 0; i < ROUNDS && s.left > 0; i++) {
		expected = request(&s, &broken);
		if (rarely(&s)) {
			broken = true;
			ram[take(&s, 2) % (Q_USED + 64)] = (uint8_t)take(&s, 1);
		}
		wr(R_NOTIFY, 0);
		CHECK_EQ(loop_turn(&loop, 0), 0);
		if (broken)
			continue;
		CHECK(used(&head, &len));
		CHECK_EQ(len, expected);
	}
	CHECK(vdev_idle(dev));
	wr(R_STATUS, 0);
	CHECK_EQ(rd(R_STATUS), 0);
	return 0;
}
