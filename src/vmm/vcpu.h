/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual processor: KVM's object, its thread, and its orders.
 *
 * The main thread makes vCPUs and gives orders; it never waits for one. A vCPU
 * thread obeys when KVM_RUN comes back and reports by its state, with the event
 * descriptor signalled after each change.
 *
 * Theory of operation. An order is stored under the lock; the kick that follows sets
 * `immediate_exit' and then signals, so that it cannot be lost whether the thread is
 * inside KVM_RUN, just before it, or handling an exit. A vCPU parks only after
 * KVM_RUN has returned -EINTR with immediate_exit set: by then KVM has taken the
 * result of the last port or MMIO read. The flag is cleared before the orders are
 * read again, so an order given in between makes the next KVM_RUN return at once.
 */
#pragma once

#include "base/metrics.h"
#include "base/thread.h"
#include "devices/bus.h"
#include "devices/end.h"
#include "vmm/kvm.h"
#include "vmm/vm.h"

enum vcpu_order { VCPU_PARK, VCPU_RUN, VCPU_QUIT };

enum vcpu_state {
	VCPU_STARTING,
	VCPU_PARKED,
	VCPU_RUNNING,
	VCPU_STOPPED, /* its thread is about to return */
	VCPU_FAILED,  /* likewise; it could not be isolated */
};

struct kvm_run;

/* Names and order of the contract's group `vcpu'. */
#define VCPU_METRICS(X)    \
	X(exit_io_in)      \
	X(exit_io_out)     \
	X(exit_mmio_read)  \
	X(exit_mmio_write) \
	X(failures)        \
	X(kvmclock_ctrl_fails)

/* Written by the vCPU's thread, kvmclock_ctrl_fails by main; read by any. */
struct vcpu_metrics {
#define X(name) counter_t name;
	VCPU_METRICS(X)
#undef X
	struct latency exit_io_in_agg, exit_io_out_agg; /* of the work in this process */
	struct latency exit_mmio_read_agg, exit_mmio_write_agg;
};
extern const struct metrics_shape vcpu_metrics_shape;

struct vcpu {
	unsigned index;	     /* constant after create, like all that is not marked */
	int fd;		     /* owned */
	struct kvm_run *run; /* owned mapping, shared with KVM */
	size_t run_size;
	struct thread thread;
	const struct bus *ports, *mmio; /* machine's */
	struct end_request *end;	/* machine's */
	int event_fd;			/* machine's */
	struct vcpu_metrics metrics;
	struct metrics_group group;

	pthread_mutex_t lock;
	pthread_cond_t ordered; /* with lock */
	enum vcpu_order order;	/* (L) */
	int state;		/* (A) enum vcpu_state */
	struct err failure;	/* constant once VCPU_FAILED */
};

struct vcpu_cfg {
	const struct bus *ports, *mmio;
	struct end_request *end;
	int event_fd;
	const struct isolation *isolation;
};

/* Fills *vcpu, which must stay where it is. Nothing runs yet. */
must_check int vcpu_create(const struct kvm *kvm, const struct vm *vm, unsigned index,
			   const struct vcpu_cfg *cfg, struct vcpu *vcpu, struct err *e);

/* Starts the thread, which isolates itself and parks. */
must_check int vcpu_start(struct vcpu *vcpu, struct err *e);

/* Gives an order and kicks. The thread obeys later: see vcpu_state(). */
void vcpu_order(struct vcpu *vcpu, enum vcpu_order order);

/* Any thread. */
must_check enum vcpu_state vcpu_state(const struct vcpu *vcpu);

/*
 * Waits for a thread that was ordered to quit, and frees. No-op for a zeroed vCPU.
 * The order must have been given and obeyed, or the thread never have run the guest.
 */
void vcpu_destroy(struct vcpu *vcpu);
