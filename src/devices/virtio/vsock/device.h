/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's inside, for vsock.c (its life), queues.c (what guest and device say)
 * and streams.c (what the host's sockets do), and for nobody else.
 *
 * The loop's thread, with the device's lock held, unless a function says otherwise.
 * activate and reset come on a vCPU thread, where neither loop nor connections may be
 * touched: they leave a note (`active', `stale') and wake the loop, and everything
 * that the loop calls reads the notes first (vsock_enter()).
 */
#pragma once

#include "devices/virtio/vsock/host.h"
#include "devices/virtio/vsock/mux.h"
#include "devices/virtio/vsock/vsock.h"

enum vsock_queue { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_QUEUES }; /* virtio 1.2, 5.10.2 */

/*
 * After a load the guest must be told that its connections are gone, by an event, and
 * everything that is said to it before it has seen the event would be about
 * connections that the event then ends. So nothing is.
 */
enum vsock_gate {
	VSOCK_GATE_OPEN,
	VSOCK_GATE_DUE,	 /* the event waits for a buffer */
	VSOCK_GATE_SENT, /* the guest has it; the buffer it gives next says that it has read it */
};

struct vsock {
	struct vdev vdev;
	struct vsock_metrics metrics;
	struct metrics_group group;
	uint32_t guest_cid;
	char path[VSOCK_PATH_MAX];
	struct loop *loop;

	struct loop_src wake;	  /* the loop has notes to read; fd is ours */
	struct loop_src listener; /* fd is ours */
	struct loop_timer retry;  /* of the listener, when the host had no descriptor left */
	struct loop_timer late;	  /* the first deadline of the connections */
	struct loop_timer doubt;  /* the guest has not answered the event */
	struct loop_task speak;	  /* what there is for the guest, once a turn */

	bool active;   /* (L) DRIVER_OK, and no protocol error since */
	bool stale;    /* (L) the connections are those of a driver that has gone */
	bool loaded;   /* (L) since the last activation */
	bool held;     /* (L) the TX queue waits until OP_RSTs have gone */
	usec_t paused; /* (L) since when; 0: it runs */

	enum vsock_gate gate; /* (L) */
	uint16_t gate_idx;    /* (L) entries of the event queue when the event was sent */

	struct vsock_mux mux; /* (L) */
	struct vsock_io io;
	struct iovec iov[VIRTQ_IOV_MAX], slice[VIRTQ_IOV_MAX];
};

static inline struct vsock *vsock_of(const struct vdev *dev)
{
	return container_of(dev, struct vsock, vdev);
}

/* Reads the notes: closes what is stale, listens or no longer does. */
void vsock_enter(struct vsock *v);

/* What any work leaves behind: the timer of deadlines, counters. */
void vsock_close_books(struct vsock *v);

/* The same, and at the end of this turn the guest is spoken to if somebody wants to. */
void vsock_leave(struct vsock *v);

/*
 * The driver broke the protocol on a queue: all connections end. NULL: the device has
 * said why already.
 */
void vsock_fail(struct vsock *v, enum vsock_queue queue, const char *why);

/* --- streams.c: callbacks of the loop, which take the lock ---------------------- */

void vsock_on_listener(struct loop_src *src, uint32_t events);
void vsock_on_stream(struct loop_src *src, uint32_t events);
void vsock_on_retry(struct loop_timer *timer);
void vsock_on_late(struct loop_timer *timer);

/* A stream to the socket of a port: the guest's OP_REQUEST; -errno. */
must_check int vsock_connect(struct vsock *v, const struct vsock_hdr *request);

/* --- queues.c ------------------------------------------------------------------- */

void vsock_run_tx(struct vsock *v);
void vsock_run_event(struct vsock *v);
void vsock_on_speak(struct loop_task *task); /* takes the lock */
void vsock_on_doubt(struct loop_timer *timer);
