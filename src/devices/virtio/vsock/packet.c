/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/vsock/packet.h"

static_assert(sizeof(struct vsock_hdr) == VSOCK_HDR_SIZE, "5.10.6");

int vsock_hdr_read(const struct virtq_chain *c, struct vsock_hdr *ret)
{
	if (c->in_len > 0 || virtq_chain_read(c, 0, ret, sizeof(*ret)) < 0)
		return -EPROTO;
	return ret->len <= VSOCK_DATA_MAX && ret->len <= c->out_len - VSOCK_HDR_SIZE;
}

bool vsock_hdr_fits(const struct virtq_chain *c)
{
	return c->out_len == 0 && c->in_len >= VSOCK_HDR_SIZE;
}

void vsock_hdr_write(const struct virtq_chain *c, const struct vsock_hdr *hdr)
{
	int r = virtq_chain_write(c, 0, hdr, sizeof(*hdr));

	assert(r == 0);
	(void)r;
}
