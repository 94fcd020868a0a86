/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata service on one network interface: takes the frames that a guest sends to
 * the service's address and gives those that answer them. ARP and TCP to port 80, and
 * nothing else; all that a guest can make it hold is in one object of fixed size.
 *
 * Main thread. Times are the caller's, of CLOCK_MONOTONIC.
 */
#pragma once

#include "mmds/mmds.h"

enum {
	MMDS_CONNS_MAX = 30,   /* contract, 4.1 */
	MMDS_RESETS_MAX = 100, /* that wait to be sent; likewise */
	MMDS_EVICT_MS = 10000, /* so long silent, a connection makes room for a new one */
	MMDS_FRAME_MIN = 128,  /* what mmds_nic_give() needs at least, in bytes */
};

struct mmds_nic;

/* `mmds' outlives it; `ip' is the service's address as a number. */
must_check int mmds_nic_create(struct mmds *mmds, uint32_t ip, struct mmds_nic **ret_nic,
			       struct err *e);
void mmds_nic_destroy(struct mmds_nic *nic); /* NULL is fine */

/* Whether a frame of the guest is for the service; 42 bytes of it say so. */
must_check bool mmds_nic_wants(const struct mmds_nic *nic, const uint8_t *head, size_t len);

/* A whole frame that it wants. */
void mmds_nic_take(struct mmds_nic *nic, const uint8_t *frame, size_t len, usec_t now);

/* The next frame for the guest, in at most `cap' bytes: its length, 0 when there is none. */
must_check size_t mmds_nic_give(struct mmds_nic *nic, uint8_t *frame, size_t cap, usec_t now);

/* When to ask mmds_nic_give() again though the guest sends nothing; 0: never. */
must_check usec_t mmds_nic_due(const struct mmds_nic *nic);

/* Connections that are not closed. */
must_check unsigned mmds_nic_conns(const struct mmds_nic *nic);
