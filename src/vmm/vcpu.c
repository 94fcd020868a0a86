/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vcpu.h"

#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/stage.h"

static void set_state(struct vcpu *v, enum vcpu_state state)
{
	__atomic_store_n(&v->state, (int)state, __ATOMIC_RELEASE);
	fd_event_signal(v->event_fd);
}

enum vcpu_state vcpu_state(const struct vcpu *vcpu)
{
	return (enum vcpu_state)__atomic_load_n(&vcpu->state, __ATOMIC_ACQUIRE);
}

/* --- exits ---------------------------------------------------------------- */

static void count_exit(counter_t *n, struct latency *took, usec_t begun)
{
	counter_inc(n);
	latency_record(took, clock_monotonic() - begun);
}

static void handle_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	struct vcpu_metrics *m = &v->metrics;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	bool out = run->io.direction == KVM_EXIT_IO_OUT;
	usec_t begun = clock_monotonic();

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (out)
			bus_write(v->ports, run->io.port, data, run->io.size);
		else if (!bus_read(v->ports, run->io.port, data, run->io.size))
			memset(data, 0, run->io.size);
	}
	if (out)
		count_exit(&m->exit_io_out, &m->exit_io_out_agg, begun);
	else
		count_exit(&m->exit_io_in, &m->exit_io_in_agg, begun);
}

static void handle_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	struct vcpu_metrics *m = &v->metrics;
	usec_t begun = clock_monotonic();

	if (run->mmio.is_write) {
		if (bus_write(v->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len))
			stage_mark_at(STAGE_FIRST_DEVICE, begun);
		count_exit(&m->exit_mmio_write, &m->exit_mmio_write_agg, begun);
		return;
	}
	if (bus_read(v->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len))
		stage_mark_at(STAGE_FIRST_DEVICE, begun);
	else
		memset(run->mmio.data, 0, sizeof(run->mmio.data));
	count_exit(&m->exit_mmio_read, &m->exit_mmio_read_agg, begun);
}

static void unexpected(struct vcpu *v, enum end_reason reason, const char *what, unsigned detail)
{
	counter_inc(&v->metrics.failures);
	log_err("Unexpected exit reason on vcpu run: vCPU %u: %s (%#x)", v->index, what, detail);
	end_request(v->end, reason);
}

static void handle_exit(struct vcpu *v)
{
	const struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		handle_io(v);
		break;
	case KVM_EXIT_MMIO:
		handle_mmio(v);
		break;
	case KVM_EXIT_INTR:
		break;
	case KVM_EXIT_SHUTDOWN:
		unexpected(v, END_TRIPLE_FAULT, "KVM_EXIT_SHUTDOWN: triple fault", 0);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		unexpected(v, END_KVM_FAILURE, "KVM_EXIT_FAIL_ENTRY: the state is invalid",
			   (unsigned)run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		unexpected(v, END_KVM_FAILURE, "KVM_EXIT_INTERNAL_ERROR: suberror",
			   run->internal.suberror);
		break;
	default:
		unexpected(v, END_KVM_FAILURE, "exit reason", run->exit_reason);
		break;
	}
}

/* --- the thread ----------------------------------------------------------- */

/*
 * Since Linux 6.13 the first KVM_RUN of a VM makes a thread in this process. The boot
 * processor never waits for SIPI, so that from it EAGAIN is the thread's, for ever.
 */
static bool is_short_of_tasks(const struct vcpu *v, int error)
{
	return error == EAGAIN && v->index == 0;
}

/* Runs the guest until an order may have come or the machine is to end. */
static void run_guest(struct vcpu *v)
{
	stage_mark(STAGE_FIRST_RUN);
	while (end_requested(v->end) == END_NONE) {
		if (ioctl(v->fd, KVM_RUN, 0) == 0) {
			handle_exit(v);
			continue;
		}
		if (is_short_of_tasks(v, errno)) {
			unexpected(v, END_KVM_FAILURE,
				   "KVM needs a task of its own, and a limit (pids.max, TasksMax, "
				   "RLIMIT_NPROC) leaves none; raise it by one",
				   (unsigned)errno);
			continue;
		}
		if (errno == EINTR || errno == EAGAIN) { /* EAGAIN: waiting for SIPI, woken */
			if (!__atomic_load_n(&v->run->immediate_exit, __ATOMIC_ACQUIRE))
				continue; /* some other signal */
			__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
			return;
		}
		unexpected(v, END_KVM_FAILURE, strerror(errno), (unsigned)errno);
	}
	/* Only QUIT can come now; wait for it parked. */
	pthread_mutex_lock(&v->lock);
	if (v->order == VCPU_RUN)
		v->order = VCPU_PARK;
	pthread_mutex_unlock(&v->lock);
}

static enum vcpu_order next_order(struct vcpu *v)
{
	enum vcpu_order order;

	pthread_mutex_lock(&v->lock);
	if (v->order == VCPU_PARK)
		set_state(v, VCPU_PARKED);
	while (v->order == VCPU_PARK) /* for as long as the user keeps the machine paused */
		pthread_cond_wait(&v->ordered, &v->lock);
	order = v->order;
	if (order == VCPU_RUN)
		set_state(v, VCPU_RUNNING);
	pthread_mutex_unlock(&v->lock);
	return order;
}

static void vcpu_main(struct thread *thread)
{
	struct vcpu *v = container_of(thread, struct vcpu, thread);

	while (next_order(v) == VCPU_RUN)
		run_guest(v);
	set_state(v, VCPU_STOPPED);
}

static void vcpu_failed(struct thread *thread, const struct err *e)
{
	struct vcpu *v = container_of(thread, struct vcpu, thread);

	v->failure = *e;
	set_state(v, VCPU_FAILED);
}

void vcpu_order(struct vcpu *vcpu, enum vcpu_order order)
{
	pthread_mutex_lock(&vcpu->lock);
	vcpu->order = order;
	pthread_cond_signal(&vcpu->ordered);
	pthread_mutex_unlock(&vcpu->lock);
	if (order == VCPU_RUN || !vcpu->thread.started)
		return;
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(vcpu->thread.id, THREAD_KICK);
}

/* --- create and destroy --------------------------------------------------- */

static int map_run(struct vcpu *v, size_t size, struct err *e)
{
	int r = FAULT(-ENOMEM);
	void *p;

	if (r == 0) {
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
		if (p != MAP_FAILED) {
			v->run = p;
			v->run_size = size;
			return 0;
		}
		r = -errno;
	}
	return err_set(e, ERR_INTERNAL, r, "vCPU %u: its shared page cannot be mapped: %s",
		       v->index, strerror(-r));
}

static const char *const names[] = { VCPU_METRICS(METRICS_NAME) "exit_io_in_agg", "exit_io_out_agg",
				     "exit_mmio_read_agg", "exit_mmio_write_agg" };

const struct metrics_shape vcpu_metrics_shape = METRICS_SHAPE("vcpu", names, struct vcpu_metrics);

static int add_metrics(struct vcpu *v, struct err *e)
{
	int r;

	v->group = (struct metrics_group){ .shape = &vcpu_metrics_shape, .counters = &v->metrics };
	r = metrics_add(&v->group);
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "vCPU %u: no memory for metrics", v->index) : 0;
}

int vcpu_create(const struct kvm *kvm, const struct vm *vm, unsigned index,
		const struct vcpu_cfg *cfg, struct vcpu *vcpu, struct err *e)
{
	int r = FAULT(-ENOMEM);

	*vcpu = (struct vcpu){
		.index = index,
		.fd = -1,
		.ports = cfg->ports,
		.mmio = cfg->mmio,
		.end = cfg->end,
		.event_fd = cfg->event_fd,
		.thread = { .kind = THREAD_VCPU,
			    .iso = cfg->isolation,
			    .run = vcpu_main,
			    .failed = vcpu_failed },
	};
	snprintf(vcpu->thread.name, sizeof(vcpu->thread.name), "fc_vcpu %u", index);
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_cond_init(&vcpu->ordered, NULL);
	if (r == 0) {
		vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, index);
		r = vcpu->fd < 0 ? -errno : 0;
	}
	if (r < 0)
		r = err_set(e, ERR_INTERNAL, r, "KVM_CREATE_VCPU %u: %s", index, strerror(-r));
	else
		r = map_run(vcpu, kvm->run_size, e);
	if (r == 0)
		r = add_metrics(vcpu, e);
	if (r < 0)
		vcpu_destroy(vcpu);
	return r;
}

int vcpu_start(struct vcpu *vcpu, struct err *e)
{
	return thread_start(&vcpu->thread, e);
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (!vcpu->thread.run)
		return;
	thread_join(&vcpu->thread);
	metrics_remove(&vcpu->group);
	if (vcpu->run)
		(void)munmap(vcpu->run, vcpu->run_size);
	fd_close_(&vcpu->fd);
	pthread_cond_destroy(&vcpu->ordered);
	pthread_mutex_destroy(&vcpu->lock);
	*vcpu = (struct vcpu){ .fd = -1 };
}
