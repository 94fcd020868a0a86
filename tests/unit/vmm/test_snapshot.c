/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots on a real /dev/kvm, any that makes machines: a monitor's life through them,
 * failed at every place where it may fail, and state files that nobody wrote.
 */
#include "vmm/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/crc64.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "conf/expect.h"
#include "descriptors.h"
#include "devices/virtio/block/req.h"
#include "image.h"
#include "mem/backing.h"
#include "vmm/kvm.h"
#include "vmm/snapshot_file.h"
#include "vmm/state.h"

static struct loop loop;
static struct vmm *vmm;
static struct action action;
static bool answered;

static char dir[] = "/tmp/wisp-snapshot-XXXXXX";
static char state_path[64], memory_path[64], disk_path[64];

/* Guests of one kernel each. */
static const uint8_t rests[] = { 0xf4, 0xeb, 0xfd }; /* hlt; jmp */

static void need_kvm(void)
{
	struct err e = { 0 };
	struct kvm kvm;

	if (kvm_open(&kvm, &e) < 0)
		SKIP(e.msg);
	kvm_close(&kvm);
	log_init("test");
	log_configure(&(struct log_cfg){ .level = LOG_OFF });
	CHECK_EQ(thread_init(&e), 0);
	CHECK(mkdtemp(dir));
	snprintf(state_path, sizeof(state_path), "%s/state", dir);
	snprintf(memory_path, sizeof(memory_path), "%s/mem", dir);
	snprintf(disk_path, sizeof(disk_path), "%s/disk", dir);
}

static void remove_files(void)
{
	(void)unlink(state_path);
	(void)unlink(memory_path);
	(void)unlink(disk_path);
	CHECK_EQ(rmdir(dir), 0); /* nothing else was there */
}

static void on_done(struct action *a)
{
	(void)a;
	answered = true;
}

/* The action's code; its text stays in action.err. */
static int ask(enum action_type type)
{
	answered = false;
	action.type = type;
	action.done = on_done;
	vmm_submit(vmm, &action);
	while (!answered) /* for as long as the test may take */
		CHECK(loop_turn(&loop, 1000) >= 0);
	return action.err.code;
}

static int create(void)
{
	action.snapshot_create =
		(struct conf_snapshot_create){ .snapshot_type = CONF_SNAPSHOT_FULL };
	snprintf(action.snapshot_create.snapshot_path, CONF_PATH_MAX, "%s", state_path);
	snprintf(action.snapshot_create.mem_file_path, CONF_PATH_MAX, "%s", memory_path);
	return ask(ACTION_SNAPSHOT_CREATE);
}

static void name_files(void)
{
	action.snapshot_load = (struct conf_snapshot_load){ 0 };
	snprintf(action.snapshot_load.snapshot_path, CONF_PATH_MAX, "%s", state_path);
	snprintf(action.snapshot_load.mem.backend_path, CONF_PATH_MAX, "%s", memory_path);
}

static int load(void)
{
	name_files();
	return ask(ACTION_SNAPSHOT_LOAD);
}

static void begin(void)
{
	const struct vmm_cfg cfg = { .id = "test", .stdin_fd = -1, .stdout_fd = -1 };
	struct err e;

	CHECK_EQ(loop_init(&loop), 0);
	CHECK_EQ(vmm_create(&cfg, &loop, &vmm, &e), 0);
}

static void end(void)
{
	struct err e;

	if (vmm->machine) {
		machine_quit(vmm->machine);
		while (machine_vcpus(vmm->machine, &e) != MACHINE_VCPUS_STOPPED)
			CHECK(loop_turn(&loop, 10) >= 0);
	}
	vmm_destroy(vmm);
	CHECK(alone());
	loop_fini(&loop);
}

static void put_drive(void)
{
	int fd = open(disk_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, 1 << 20), 0);
	close(fd);
	action.drive = (struct conf_drive){ .drive_id = "disk",
					    .cache_type = CONF_CACHE_WRITEBACK };
	snprintf(action.drive.path_on_host, CONF_PATH_MAX, "%s", disk_path);
	CHECK_EQ(ask(ACTION_PUT_DRIVE), 0);
}

/* A paused machine of two vCPUs with a drive and an entropy device. */
static void start(void)
{
	struct elf elf = *elf_good();

	need_kvm();
	begin();
	put_drive();
	action.entropy = (struct conf_entropy){ 0 };
	CHECK_EQ(ask(ACTION_PUT_ENTROPY), 0);
	memcpy(elf.text_bytes + (ELF_ENTRY & 0xff), rests, sizeof(rests));
	elf.pvh.desc = ELF_ENTRY;
	vmm->config.machine.vcpu_count = 2;
	vmm->config.machine.mem_size_mib = 32;
	vmm->config.has_boot_source = true;
	snprintf(vmm->config.boot_source.kernel_image_path, CONF_PATH_MAX, "/the/kernel");
	vmm->files.kernel = file_of(&elf, sizeof(elf));
	CHECK_EQ(ask(ACTION_INSTANCE_START), 0);
	CHECK_EQ(ask(ACTION_PAUSE), 0);
}

/* A snapshot of it, whose machine is gone. */
static void make_snapshot(void)
{
	start();
	CHECK_EQ(create(), 0);
	end();
}

static void state_is(const char *name)
{
	struct view *v = view_get(vmm_views(vmm));
	char text[64];

	snprintf(text, sizeof(text), "\"state\":\"%s\"", name);
	CHECK(strstr(v->instance, text));
	view_put(v);
}

TEST(from_life_to_life)
{
	static uint8_t before[32 << 20];

	start();
	memcpy(before, machine_memory(vmm->machine)->hva, sizeof(before));
	CHECK_EQ(create(), 0);
	state_is("Paused");
	/* Once more, to the same places, and it still runs. */
	CHECK_EQ(create(), 0);
	CHECK_EQ(ask(ACTION_RESUME), 0);
	state_is("Running");
	end();

	begin();
	CHECK_EQ(load(), 0);
	state_is("Paused");
	CHECK_EQ(vmm->config.machine.vcpu_count, 2);
	CHECK_EQ(vmm->config.ndrives, 1);
	CHECK(vmm->config.has_entropy && !vmm->config.has_cpu);
	expect_msg("kernel", vmm->config.boot_source.kernel_image_path, "/the/kernel");
	CHECK_EQ(machine_memory(vmm->machine)->kind, BACKING_FILE);
	/* All memory but the two pages that say so. */
	memset(before + LAYOUT_VMGENID, 0, 0x2000);
	memset(machine_memory(vmm->machine)->hva + LAYOUT_VMGENID, 0, 0x2000);
	CHECK(memcmp(before, machine_memory(vmm->machine)->hva, sizeof(before)) == 0);
	CHECK_EQ(ask(ACTION_RESUME), 0);
	CHECK_EQ(ask(ACTION_PAUSE), 0);
	/* A snapshot of what came from one, over the files that it came from. */
	CHECK_EQ(create(), 0);
	end();
	begin();
	CHECK_EQ(load(), 0);
	end();
	remove_files();
}

TEST(the_guest_is_told)
{
	uint8_t was[16];
	uint64_t counter;

	start();
	memcpy(was, machine_memory(vmm->machine)->hva + LAYOUT_VMGENID, sizeof(was));
	CHECK_EQ(create(), 0);
	end();
	for (unsigned i = 0; i < 2; i++) {
		const uint8_t *hva;

		begin();
		CHECK_EQ(load(), 0);
		hva = machine_memory(vmm->machine)->hva;
		CHECK(memcmp(was, hva + LAYOUT_VMGENID, sizeof(was)) != 0);
		memcpy(was, hva + LAYOUT_VMGENID, sizeof(was));
		memcpy(&counter, hva + LAYOUT_VMCLOCK + 16, sizeof(counter));
		CHECK_EQ(counter, 1); /* disruption_marker */
		memcpy(&counter, hva + LAYOUT_VMCLOCK + 104, sizeof(counter));
		CHECK_EQ(counter, 1); /* vm_generation_counter */
		end();
	}
	remove_files();
}

TEST(only_a_paused_machine)
{
	start();
	CHECK_EQ(ask(ACTION_RESUME), 0);
	CHECK_EQ(create(), -EBUSY);
	expect_msg("running", action.err.msg,
		   "Create snapshot error: Cannot save the microVM state: Operation not allowed: "
		   "save/restore unavailable while running");
	CHECK_EQ(ask(ACTION_PAUSE), 0);
	CHECK_EQ(load(), -EBUSY);
	expect_msg("load", action.err.msg,
		   "The requested operation is not supported after starting the microVM.");
	action.snapshot_create.snapshot_type = CONF_SNAPSHOT_DIFF;
	CHECK_EQ(ask(ACTION_SNAPSHOT_CREATE), -EOPNOTSUPP);
	expect_msg("diff", action.err.msg, "Create snapshot error: snapshot_type `Diff` is *");
	end();
	remove_files();
}

/* What every failure of a paused machine says. */
#define PAUSED "Create snapshot error: Cannot write the snapshot, the microVM is paused as before: "

TEST(errors_of_create_name_the_file)
{
	start();
	snprintf(memory_path, sizeof(memory_path), "/nonexistent/mem");
	CHECK_EQ(create(), -ENOENT);
	expect_msg("memory", action.err.msg,
		   PAUSED "memory file: the file's folder cannot be opened: No such file or "
			  "directory (os error 2): /nonexistent/mem");
	snprintf(memory_path, sizeof(memory_path), "%s/mem", dir);
	snprintf(state_path, sizeof(state_path), "%s", dir);
	CHECK_EQ(create(), -EISDIR);
	expect_msg("state", action.err.msg,
		   PAUSED "state file: the file cannot be created: Is a directory *");
	snprintf(state_path, sizeof(state_path), "%s", memory_path);
	CHECK_EQ(create(), -EINVAL);
	snprintf(state_path, sizeof(state_path), "%s/./mem", dir);
	CHECK_EQ(create(), -EINVAL);
	expect_msg("one", action.err.msg,
		   PAUSED
		   "`snapshot_path` and `mem_file_path` are the same file: a snapshot is two");
	snprintf(state_path, sizeof(state_path), "%s/state", dir);
	state_is("Paused");
	CHECK_EQ(ask(ACTION_RESUME), 0);
	end();
	remove_files();
}

TEST(a_drive_that_cannot_be_synced)
{
	struct blk *blk;
	int fd, bad = fd_event_create();

	start();
	blk = container_of(machine_drive(vmm->machine, "disk"), struct blk, vdev);
	fd = fcntl(blk->fd, F_DUPFD_CLOEXEC, 0);
	CHECK_EQ(dup2(bad, blk->fd), blk->fd);
	CHECK_EQ(create(), -EINVAL);
	expect_msg("sync", action.err.msg, PAUSED "block `disk': the file cannot be synced: *");
	CHECK_EQ(entries_of(dir), 3); /* the disk alone */
	state_is("Paused");
	CHECK_EQ(dup2(fd, blk->fd), blk->fd);
	CHECK_EQ(create(), 0);
	close(fd);
	close(bad);
	end();
	begin();
	CHECK_EQ(load(), 0);
	blk = container_of(machine_drive(vmm->machine, "disk"), struct blk, vdev);
	CHECK_EQ(blk->flush_error, -EINVAL); /* its guest is told */
	end();
	remove_files();
}

TEST(every_fault_of_create)
{
	unsigned descriptors, optional = 0;
	long n = 0;

	if (!faults_built_in())
		SKIP("this build has no fault points");
	start();
	CHECK_EQ(create(), 0);
	descriptors = open_descriptors();
	for (;; n++) {
		struct stat before, after;

		CHECK_EQ(stat(state_path, &before), 0);
		fault_arm(n);
		(void)create();
		if (!fault_fired())
			break;
		/* A view that could not be published is no reason to fail. */
		CHECK_EQ(open_descriptors(), descriptors);
		CHECK_EQ(entries_of(dir), 5);
		CHECK_EQ(vmm->state, VMM_PAUSED);
		CHECK_EQ(stat(state_path, &after), 0);
		if (action.err.code < 0) {
			CHECK_EQ(before.st_ino, after.st_ino);
			CHECK(strncmp(action.err.msg, PAUSED, strlen(PAUSED)) == 0);
		} else {
			optional++;
		}
	}
	fault_arm(-1);
	CHECK(n > 40);
	CHECK(optional <= 2); /* views that were not published */
	CHECK_EQ(ask(ACTION_RESUME), 0);
	end();
	remove_files();
}

/* --- load -------------------------------------------------------------------- */

TEST(nothing_may_be_configured_before)
{
	need_kvm();
	begin();
	action.machine = conf_machine_default;
	CHECK_EQ(ask(ACTION_PUT_MACHINE_CONFIG), 0);
	CHECK_EQ(load(), -EBUSY);
	expect_msg("configured", action.err.msg,
		   "Load snapshot error: Loading a microVM snapshot not allowed after configuring "
		   "boot-specific resources.");
	CHECK(!loop.stopped); /* that is not fatal */
	end();
	begin();
	action.drive = (struct conf_drive){ .drive_id = "d", .path_on_host = "/nonexistent" };
	CHECK_EQ(ask(ACTION_PUT_DRIVE), -ENOENT);
	CHECK_EQ(load(), -EBUSY); /* in vain, but it was tried */
	end();
	begin();
	action.serial = (struct conf_serial){ 0 };
	CHECK_EQ(ask(ACTION_PUT_SERIAL), 0);
	action.cpu = (struct conf_cpu){ 0 };
	CHECK_EQ(ask(ACTION_PUT_CPU_CONFIG), 0);
	CHECK_EQ(load(), -ENOENT); /* those are not the boot's */
	end();
	remove_files();
}

static void load_is_fatal(int code, const char *msg)
{
	CHECK_EQ(load(), code);
	expect_msg("load", action.err.msg, msg);
	CHECK(loop.stopped);
	CHECK_EQ(vmm_end_reason(vmm), END_LOAD_FAILED);
	CHECK_EQ(ask(ACTION_RESUME), -ESHUTDOWN);
	CHECK(!vmm_stuck(vmm));
	end();
}

TEST(a_load_that_fails_ends_the_process)
{
	need_kvm();
	begin();
	load_is_fatal(-ENOENT, "Load snapshot error: Failed to restore from snapshot: Failed to "
			       "get snapshot state from file: the state file cannot be opened: No "
			       "such file or directory (os error 2): /tmp/*");
	remove_files();
}

TEST(what_a_request_cannot_have)
{
	make_snapshot();
	begin();
	name_files();
	action.snapshot_load.mem.backend_type = CONF_MEM_UFFD;
	CHECK_EQ(ask(ACTION_SNAPSHOT_LOAD), -EOPNOTSUPP);
	expect_msg("uffd", action.err.msg, "Load snapshot error: backend_type `Uffd` is not *");
	CHECK(!loop.stopped);
	name_files();
	action.snapshot_load.huge_pages = CONF_SNAPSHOT_PAGES_2M;
	CHECK_EQ(ask(ACTION_SNAPSHOT_LOAD), -EINVAL);
	CHECK(strstr(action.err.msg, "Cannot restore hugetlbfs backed snapshot by mapping the "
				     "memory file. Please use uffd."));
	CHECK(loop.stopped);
	end();
	begin();
	name_files();
	action.snapshot_load.nnetworks = 1;
	CHECK_EQ(ask(ACTION_SNAPSHOT_LOAD), -ENODEV);
	CHECK(strstr(action.err.msg, "Unknown Network Device."));
	end();
	begin();
	name_files();
	action.snapshot_load.has_vsock = true;
	CHECK_EQ(ask(ACTION_SNAPSHOT_LOAD), -ENODEV);
	CHECK(strstr(action.err.msg, "Unknown Vsock Device."));
	end();
	remove_files();
}

TEST(what_a_request_may_change)
{
	make_snapshot();
	begin();
	name_files();
	action.snapshot_load.track_dirty_pages = true;
	action.snapshot_load.resume_vm = true;
	action.snapshot_load.clock_realtime = true;
	action.snapshot_load.huge_pages = CONF_SNAPSHOT_PAGES_TRANSPARENT;
	CHECK_EQ(ask(ACTION_SNAPSHOT_LOAD), 0);
	state_is("Running");
	CHECK(vmm->config.machine.track_dirty_pages);
	CHECK_EQ(vmm->config.machine.huge_pages, CONF_HUGE_PAGES_TRANSPARENT);
	end();
	remove_files();
}

TEST(the_snapshot_says_which_template)
{
	make_snapshot();
	begin();
	action.cpu = (struct conf_cpu){ .ncapabilities = 1, .capability = { { .id = 99999 } } };
	CHECK_EQ(ask(ACTION_PUT_CPU_CONFIG), 0); /* legal, and of no use */
	CHECK_EQ(load(), 0);
	CHECK(!vmm->config.has_cpu);
	end();
	remove_files();
}

TEST(files_of_the_machine_that_have_changed)
{
	make_snapshot();
	begin();
	CHECK_EQ(truncate(disk_path, 512), 0);
	load_is_fatal(-EINVAL,
		      "Load snapshot error: Failed to restore from snapshot: block `disk': "
		      "the file is smaller than when it was saved: 1 sectors, not 2048");
	begin();
	CHECK_EQ(unlink(disk_path), 0);
	load_is_fatal(-ENOENT, "Load snapshot error: Failed to restore from snapshot: Drive config "
			       "error: *");
	begin();
	CHECK_EQ(truncate(memory_path, (32 << 20) - 4096), 0);
	load_is_fatal(-EINVAL, "Load snapshot error: Failed to restore from snapshot: the memory "
			       "file has 33550336 bytes and the machine's memory 33554432: *");
	remove_files();
}

TEST(a_memory_file_that_cannot_be_written)
{
	make_snapshot();
	CHECK_EQ(chmod(memory_path, 0400), 0);
	CHECK_EQ(chmod(state_path, 0400), 0);
	begin();
	CHECK_EQ(load(), 0);
	CHECK_EQ(ask(ACTION_RESUME), 0);
	end();
	remove_files();
}

TEST(every_fault_of_load)
{
	unsigned descriptors, optional = 0;
	long n = 0;

	if (!faults_built_in())
		SKIP("this build has no fault points");
	make_snapshot();
	descriptors = open_descriptors();
	for (;; n++) {
		begin();
		fault_arm(n);
		(void)load();
		if (!fault_fired())
			break;
		fault_arm(-1);
		if (action.err.code == 0) {
			optional++;
		} else {
			CHECK(action.err.msg[0] && loop.stopped);
			CHECK(strncmp(action.err.msg, "Load snapshot error: ", 21) == 0);
		}
		end();
		CHECK_EQ(open_descriptors(), descriptors);
	}
	fault_arm(-1);
	CHECK_EQ(action.err.code, 0);
	CHECK(n > 60);
	CHECK(optional <= 8); /* AMX, views that were not published, MSRs that are as they were */
	end();
	remove_files();
}

/* --- state files that nobody wrote ---------------------------------------------- */

static uint8_t *data;
static size_t len;

enum { HEAD = 40, RECORD = 40, INSTANCE = 24, CRC = 32 };

/* The contents of a record in `data'; its instance is 0. */
static uint8_t *record(const char *name, size_t *ret_len)
{
	for (size_t at = HEAD; at < len;) {
		uint8_t *head = data + at;
		size_t n = head[28] | (size_t)head[29] << 8 | (size_t)head[30] << 16;

		if (strcmp((const char *)head, name) == 0 && head[INSTANCE] == 0) {
			*ret_len = n;
			return head + RECORD;
		}
		at += RECORD + n;
	}
	FAIL(name);
}

/* The checksum of a record that begins at `at', and then the file. */
static void put_back(uint8_t *at, size_t n)
{
	uint64_t crc = crc64(crc64(0, at, CRC), at + RECORD, n);
	int fd = open(state_path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	for (unsigned i = 0; i < 8; i++)
		at[CRC + i] = (uint8_t)(crc >> (8 * i));
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, data, len), (ssize_t)len);
	close(fd);
}

/* One byte of a record is another, and all checksums are right. */
static void forged(const char *name, size_t at, uint8_t value, const char *msg)
{
	size_t n;
	uint8_t *contents = record(name, &n), was = contents[at];

	CHECK(at < n);
	contents[at] = value;
	put_back(contents - RECORD, n);
	begin();
	CHECK(load() < 0);
	CHECK(strncmp(action.err.msg,
		      "Load snapshot error: Failed to restore from snapshot: ", 54) == 0);
	expect_msg(name, action.err.msg + 54, msg);
	end();
	contents[at] = was;
	put_back(contents - RECORD, n);
}

TEST(records_of_no_machine)
{
	struct err e;

	make_snapshot();
	CHECK_EQ(snap_file_read(state_path, &data, &len, &e), 0);
	forged("machine", 0, 3,
	       "Failed to get snapshot state from file: record `machine' 0 does *");
	forged("machine", 9, 1,
	       "Failed to get snapshot state from file: record `machine' 0 does *");
	forged("config", 0, '[', "Failed to get snapshot state from file: record `config' 0: *");
	forged("virtio", 0, 4, "block `disk': record `virtio' 0 is of a device of type 4");
	/* Its transport's selectors, then the status: a bit that no order of bits has. */
	forged("virtio", 4 + 12, 4, "block `disk': saved state is damaged");
	forged("serial", 10, 65, "record `serial' 0 is of no state that a UART can have");
	forged("i8042", 6, 17, "record `i8042' 0 is of no state that a controller can have");
	forged("vcpu-mp-state", 0, 99, "vCPU 0: KVM_SET_MP_STATE: Invalid argument");
	/* Reserved bits of CR4. */
	forged("vcpu-sregs", 8 * 24 + 2 * 16 + 3 * 8 + 7, 0xff, "vCPU 0: KVM_SET_SREGS2: *");
	begin();
	CHECK_EQ(load(), 0);
	end();
	free(data);
	remove_files();
}

TEST(records_that_are_missing)
{
	static const char *const names[] = { "machine",	   "virtio",	 "serial",     "i8042",
					     "irqchip",	   "pit",	 "clock",      "vcpu-regs",
					     "vcpu-tsc",   "vcpu-cpuid", "vcpu-xsave", "vcpu-msrs",
					     "vcpu-events" };
	struct err e;

	make_snapshot();
	CHECK_EQ(snap_file_read(state_path, &data, &len, &e), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		char msg[64];
		size_t n;
		uint8_t *at = record(names[i], &n) - RECORD;

		snprintf(msg, sizeof(msg), "the snapshot has no record `%s' 0", names[i]);
		at[INSTANCE] = 200;
		put_back(at, n);
		begin();
		CHECK_EQ(load(), -ENOENT);
		CHECK(strstr(action.err.msg, msg));
		end();
		at[INSTANCE] = 0;
		put_back(at, n);
	}
	free(data);
	remove_files();
}

TEST(describe)
{
	static char buf[8192];
	struct err e;
	struct text t;

	make_snapshot();
	CHECK_EQ(snap_file_read(state_path, &data, &len, &e), 0);
	text_init(&t, buf, sizeof(buf));
	CHECK_EQ(snapshot_describe(data, len, &t, &e), 0);
	CHECK(strncmp(buf, "v" SNAP_VERSION "\n", 7) == 0);
	CHECK(strstr(buf, "\nhost") && strstr(buf, "16 bytes, optional\n"));
	CHECK(strstr(buf, "\nvcpu-events            1       64 bytes\n"));
	free(data);
	remove_files();
}
