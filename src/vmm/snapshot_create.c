/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot_create.h"

#include "base/events.h"
#include "base/fault.h"
#include "base/log.h"
#include "mem/image.h"
#include "vmm/snapshot_file.h"
#include "vmm/snapshot_records.h"

/* Of memory in one turn: some milliseconds. */
enum { STEP = 16 << 20 };

struct snapshot_job {
	struct conf_snapshot_create conf;
	struct snap_out state;
	struct snap_target state_file, memory_file;
	struct image image;
};

static void destroy(struct snapshot_job *job)
{
	image_fini(&job->image);
	snap_target_drop(&job->memory_file);
	snap_target_drop(&job->state_file);
	snap_out_fini(&job->state);
	free(job);
}

void snapshot_create_drop(struct vmm *vmm)
{
	if (vmm->snapshot)
		destroy(take_ptr(&vmm->snapshot));
}

/* The memory file is the larger one: when that has its place, the rest is likely to fit. */
static int open_files(struct snapshot_job *job, struct err *e)
{
	int r = snap_target_open(&job->memory_file, job->conf.mem_file_path, e);

	if (r < 0)
		return err_wrap(e, "memory file");
	r = snap_target_open(&job->state_file, job->conf.snapshot_path, e);
	if (r < 0)
		return err_wrap(e, "state file");
	return snap_check_apart(&job->memory_file, &job->state_file, e);
}

static int begin(struct snapshot_job *job, struct vmm *vmm, struct err *e)
{
	int r = open_files(job, e);

	if (r < 0)
		return r;
	r = snap_out_init(&job->state, e);
	if (r == 0)
		r = machine_save(vmm->machine, &vmm->config, &job->state, e);
	if (r == 0)
		r = snap_out_finish(&job->state, e);
	if (r == 0)
		r = image_begin(&job->image, machine_memory(vmm->machine), job->memory_file.fd, e);
	return r;
}

static int make_job(const struct conf_snapshot_create *conf, struct snapshot_job **ret,
		    struct err *e)
{
	struct snapshot_job *job = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, sizeof(*job));

	if (!job)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "out of memory");
	job->conf = *conf;
	job->image.pagemap = -1;
	job->memory_file.fd = job->memory_file.dir_fd = -1;
	job->state_file.fd = job->state_file.dir_fd = -1;
	*ret = job;
	return 0;
}

static int check(const struct vmm *vmm, const struct conf_snapshot_create *conf, struct err *e)
{
	if (vmm->state != VMM_PAUSED)
		return err_set(e, ERR_STATE, -EBUSY,
			       "Cannot save the microVM state: Operation not allowed: save/restore "
			       "unavailable while running");
	if (conf->snapshot_type == CONF_SNAPSHOT_DIFF)
		return err_set(e, ERR_INVALID, -EOPNOTSUPP,
			       "snapshot_type `Diff` is not part of this version of wisp; use "
			       "`Full`");
	return 0;
}

static int failed(struct err *e)
{
	return err_wrap(e, "Cannot write the snapshot, the microVM is paused as before");
}

int snapshot_create_begin(struct vmm *vmm, const struct conf_snapshot_create *conf, struct err *e)
{
	int r = check(vmm, conf, e);

	if (r < 0)
		return r;
	r = make_job(conf, &vmm->snapshot, e);
	if (r == 0)
		r = begin(vmm->snapshot, vmm, e);
	if (r == 0)
		return ACTION_PENDING;
	snapshot_create_drop(vmm);
	return failed(e);
}

/* The drives too: after a power cut the guest would have memory of blocks that are not there. */
static int go_on(struct snapshot_job *job, struct machine *machine, struct err *e)
{
	int r = image_step(&job->image, STEP, e);

	if (r > 0)
		return ACTION_PENDING;
	if (r == 0)
		r = machine_sync_drives(machine, e);
	if (r == 0)
		r = snap_target_write(&job->state_file, job->state.out.buf, job->state.out.len, e);
	if (r == 0)
		r = snap_publish(&job->memory_file, &job->state_file, e);
	if (r < 0)
		return failed(e);
	log_info("Snapshot: %zu bytes of state, %zu of %zu MiB of memory", job->state.out.len,
		 job->image.written >> 20, job->image.from->size >> 20);
	event_emit("snapshot-created", "path", job->conf.snapshot_path, NULL);
	return ACTION_DONE;
}

int snapshot_create_go_on(struct vmm *vmm, struct err *e)
{
	int r = go_on(vmm->snapshot, vmm->machine, e);

	if (r != ACTION_PENDING)
		snapshot_create_drop(vmm);
	return r;
}
