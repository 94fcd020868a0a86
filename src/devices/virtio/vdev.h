/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device without its transport: class, queues, life cycle.
 *
 * Two kinds of thread meet here. A vCPU thread comes through the transport for
 * registers and configuration space; the loop runs queues. Both take the device
 * lock, and nobody holds two. InterruptStatus and ConfigGeneration are atomics,
 * used without it.
 *
 * A device sees legal transitions only:
 *
 *   create -> attach -> [activate -> kick ... -> reset]* -> destroy
 *                        with quiesce/resume around any pause
 *
 * Reset: whoever may still write guest memory holds a popped chain. So a device
 * with nothing in flight is reset at once, under the lock, by the vCPU thread that
 * wrote the register. Otherwise the device is `resetting': nothing more is popped,
 * the loop is asked to quiesce it, and the vCPU thread sleeps (lock released) until
 * the loop has filled the last chain and vdev_flush() has completed the reset. The
 * loop never waits for a vCPU thread.
 */
#pragma once

#include <pthread.h>

#include "base/counter.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/state.h"
#include "devices/irq.h"
#include "devices/virtio/virtq.h"

enum {
	VDEV_QUEUES_MAX = 8,
	VDEV_CONFIG_MAX = 64, /* bytes of configuration space */
	VDEV_BUDGET = 64,     /* chains per queue and loop turn */
};

/* Feature bits of every device (virtio 1.2, 6). */
#define VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX     (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1     (UINT64_C(1) << 32)

enum vdev_status { /* virtio 1.2, 2.1 */
		   VDEV_ACKNOWLEDGE = 1,
		   VDEV_DRIVER = 2,
		   VDEV_DRIVER_OK = 4,
		   VDEV_FEATURES_OK = 8,
		   VDEV_NEEDS_RESET = 64,
		   VDEV_FAILED = 128,
};

enum vdev_isr { VDEV_ISR_QUEUE = 1, VDEV_ISR_CONFIG = 2 }; /* virtio 1.2, 4.2.2 */

struct vdev;

/*
 * Static and constant, one per device type. Every function is called with the
 * device lock held, except destroy, when nobody else is left.
 */
struct vdev_class {
	uint32_t id; /* virtio 1.2, 5 */
	uint16_t nqueues;
	uint16_t queue_max;   /* entries, at most VIRTQ_MAX_SIZE */
	uint16_t config_size; /* bytes */
	/* Offered; constant from create on. */
	uint64_t (*features)(const struct vdev *dev);
	/* Fills config_size bytes. vCPU thread. */
	void (*config)(const struct vdev *dev, void *buf);
	/* In bounds. 0 or -errno. vCPU thread. NULL: configuration is read-only. */
	int (*config_write)(struct vdev *dev, unsigned off, const void *data, unsigned len);
	/* DRIVER_OK was written and the queues run. 0 or -errno. vCPU thread. */
	int (*activate)(struct vdev *dev);
	/* Work at most VDEV_BUDGET chains of the queue, then vdev_flush(). Loop. */
	void (*kick)(struct vdev *dev, unsigned queue);
	/* Nothing is in flight; forget what the driver had set up. */
	void (*reset)(struct vdev *dev);
	/*
	 * Bring what is in flight to its end, soon: chains are filled, or given back
	 * (with VDEV_AGAIN) if they were not begun. May return before that has
	 * happened. May be called again. Loop.
	 */
	void (*quiesce)(struct vdev *dev);
	/* Go on after a pause; kicks follow by themselves. Loop. */
	void (*resume)(struct vdev *dev);
	/* What is not in the queues and registers. Nothing is in flight. Loop. */
	void (*save)(const struct vdev *dev, struct state_out *out);
	/* Of a device fresh from create. The bytes are untrusted. Loop. */
	int (*load)(struct vdev *dev, struct state_in *in, struct err *e);
	/* Frees the object that embeds `dev'. */
	void (*destroy)(struct vdev *dev);
};

struct vdev_queue {
	struct vdev *dev;
	struct loop_src kick;	 /* fd is ours */
	struct virtq_cfg cfg;	 /* (L) */
	bool ready;		 /* (L) */
	struct virtq q;		 /* (L) runs from DRIVER_OK to reset */
	struct loop_watch watch; /* loop: looks for chains that come without a kick */
	struct virtq_peek peek;	 /* what the watch looks at */
};

/* Counters of the device that the life cycle adds to; each may be NULL. */
struct vdev_counters {
	counter_t *activate_fails;
	counter_t *cfg_fails;	/* configuration accesses that were refused */
	counter_t *event_fails; /* times the device came to need a reset */
	counter_t *kicks;
};

/* The contract's group `interrupts', of all devices together. */
struct vdev_interrupts {
	counter_t triggers;	  /* sent to the guest */
	counter_t config_updates; /* of MSI-X routes: virtio-mmio has none */
};
extern struct vdev_interrupts vdev_interrupts;

struct vdev { /* embedded in the device */
	const struct vdev_class *class;
	char name[96]; /* for logs: block `rootfs' */
	struct vdev_counters count;
	counter_t ignored;	   /* register accesses that meant nothing */
	struct log_limit failures; /* (L) for events, of this device alone */

	struct loop *loop;	/* NULL until attached */
	const struct gmem *mem; /* machine's; constant after attach */
	struct irq irq;		/* constant after attach */

	pthread_mutex_t lock;
	pthread_cond_t reset_done; /* with lock */
	struct loop_src drain;	   /* wakes the loop for a reset; fd is ours */

	uint32_t isr;	     /* (A) */
	uint32_t generation; /* (A) */

	uint8_t status;	  /* (L) */
	bool resetting;	  /* (L) */
	bool paused;	  /* (L) */
	uint32_t pending; /* (L) queues kicked while paused */
	uint64_t resets;  /* (L) completed */
	uint64_t acked;	  /* (L) features, always a subset of those offered */
	struct vdev_queue queue[VDEV_QUEUES_MAX];
};

/* --- for the machine: main thread ------------------------------------------ */

/*
 * Gives the device its loop, memory and interrupt. Once, before the first vCPU
 * runs; `mem' outlives the device, `irq' stays the machine's.
 */
must_check int vdev_attach(struct vdev *dev, struct loop *loop, const struct gmem *mem,
			   struct irq irq, struct err *e);

must_check uint32_t vdev_id(const struct vdev *dev);
must_check const char *vdev_name(const struct vdev *dev);
must_check unsigned vdev_queues(const struct vdev *dev);

/* Write 1 to run the queue; the device's descriptor. Constant from create on. */
must_check int vdev_kick_fd(const struct vdev *dev, unsigned queue);

/*
 * Stops the queues: after it nothing is popped, and kicks are remembered for
 * vdev_resume(). When vdev_idle() says so too, nobody writes guest memory. Both
 * may be repeated. Loop thread; vCPUs need not be parked.
 */
void vdev_pause(struct vdev *dev);
void vdev_resume(struct vdev *dev);
must_check bool vdev_idle(struct vdev *dev);

/*
 * The device's whole state except the transport's selectors; paused and idle.
 * Load: into a device fresh from create and attach, paused; every queue is looked
 * at after vdev_resume(), and a pending interrupt is raised again.
 */
must_check int vdev_save(struct vdev *dev, struct state_out *out);
must_check int vdev_load(struct vdev *dev, struct state_in *in, struct err *e);

/* After the last vCPU thread. NULL is fine. */
void vdev_destroy(struct vdev *dev);

/* --- for the transport: vCPU threads, lock held ------------------------------ */

void vdev_lock(struct vdev *dev);
void vdev_unlock(struct vdev *dev);

/* DRIVER_OK has been set in `status': starts the queues or fails the device. */
void vdev_activate(struct vdev *dev);

/* Complete on return, see above; drops the lock while it waits. */
void vdev_reset(struct vdev *dev);

/* --- for devices ------------------------------------------------------------- */

/*
 * Makes the descriptors and the lock of a zeroed object. `name' is copied. -errno
 * with everything undone, else undone by vdev_destroy().
 */
must_check int vdev_init(struct vdev *dev, const struct vdev_class *class,
			 const struct vdev_counters *count, const char *name, struct err *e);

/* Whether the driver and the machine let the queues run now. Lock held. */
must_check bool vdev_runs(const struct vdev *dev);

/*
 * Next chain: 1, or 0 when there is none, the device may not run or has just
 * failed because the driver broke the protocol. Lock held.
 */
must_check int vdev_pop(struct vdev *dev, unsigned queue, struct virtq_chain *chain);

enum vdev_next {
	VDEV_ON_KICK, /* the queue is empty: the driver is asked for a kick */
	VDEV_ARM, /* the same, without polling first: chains that do not suffice go back after it */
	VDEV_AGAIN, /* the budget is used up: the queue is kicked in the next turn */
	VDEV_LATER, /* no room now: the device will end with VDEV_AGAIN when there is */
};

/*
 * At the end of a run and after every completion: publishes what was filled,
 * interrupts if wanted, completes a reset that waited for it. Lock held.
 */
void vdev_flush(struct vdev *dev, unsigned queue, enum vdev_next next);

/*
 * The driver broke the protocol, or the device cannot go on: DEVICE_NEEDS_RESET,
 * a configuration interrupt, a counter and one line in the log. Lock held.
 */
printf_like(2, 3) void vdev_fail(struct vdev *dev, const char *fmt, ...);

/* Configuration space reads differently from now on: tells the driver. Lock held. */
void vdev_config_changed(struct vdev *dev);
