/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of the socket device (virtio 1.2, 5.10.6): a header of 44 bytes, and for an
 * OP_RW its data behind it, in one chain of any number of segments.
 */
#pragma once

#include "devices/virtio/virtq.h"

enum {
	VSOCK_HDR_SIZE = 44,
	VSOCK_DATA_MAX = 64 * 1024, /* bytes of data in one packet */
	VSOCK_TYPE_STREAM = 1,
};

#define VSOCK_CID_HOST UINT64_C(2)

enum vsock_op { /* 5.10.6 */
		VSOCK_OP_REQUEST = 1,
		VSOCK_OP_RESPONSE = 2,
		VSOCK_OP_RST = 3,
		VSOCK_OP_SHUTDOWN = 4,
		VSOCK_OP_RW = 5,
		VSOCK_OP_CREDIT_UPDATE = 6,
		VSOCK_OP_CREDIT_REQUEST = 7,
};

/* Flags of OP_SHUTDOWN: what its sender will not do any more (5.10.6.5). */
enum vsock_shut { VSOCK_SHUT_RCV = 1, VSOCK_SHUT_SEND = 2, VSOCK_SHUT_BOTH = 3 };

struct vsock_hdr { /* as in guest memory, little-endian like all hosts there are */
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len; /* bytes of data */
	uint16_t type, op;
	uint32_t flags;
	uint32_t buf_alloc, fwd_cnt; /* credit: the sender's buffer, and what has left it */
} __attribute__((packed));

/*
 * A chain from the guest: 1 and its header; 0 when the header's length is not that of
 * a packet in this chain (*ret is set); -EPROTO when there is no header at all, or
 * memory that a packet to the host has no use for.
 */
must_check int vsock_hdr_read(const struct virtq_chain *c, struct vsock_hdr *ret);

/* Whether a packet fits into a chain for the guest: its header does. */
must_check bool vsock_hdr_fits(const struct virtq_chain *c);

/* Into a chain that it fits into. */
void vsock_hdr_write(const struct virtq_chain *c, const struct vsock_hdr *hdr);
