/* SPDX-License-Identifier: Apache-2.0 */
/* PATCH /drives on a machine that any /dev/kvm makes; requests in flight are pretended. */
#include "vmm/drive_patch.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "conf/expect.h"
#include "descriptors.h"
#include "devices/virtio/block/block.h"
#include "devices/virtio/block/req.h"
#include "image.h"
#include "vmm/kvm.h"
#include "vmm/limits.h"
#include "vmm/state.h"

#define CANNOT "Drive config error: Unable to patch the block device: Device manager error: "
#define VERIFY " Please verify the request arguments."

static struct loop loop;
static struct vmm *vmm;
static struct action action;
static bool answered;
static char dir[32];

static const char *path_of(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void make_file(const char *name, off_t bytes)
{
	int fd = open(path_of(name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, bytes), 0);
	close(fd);
}

static void on_done(struct action *a)
{
	(void)a;
	answered = true;
}

static void submit(enum action_type type)
{
	answered = false;
	action.type = type;
	action.done = on_done;
	vmm_submit(vmm, &action);
}

/* The action's code; its text stays in action.err. */
static int ask(enum action_type type)
{
	submit(type);
	while (!answered) /* for as long as the test may take */
		CHECK(loop_turn(&loop, 1000) >= 0);
	return action.err.code;
}

static void patch_of(const char *name)
{
	action.drive_patch = (struct conf_drive_patch){ .has_path_on_host = name != NULL };
	snprintf(action.drive_patch.drive_id, sizeof(action.drive_patch.drive_id), "d");
	if (name)
		snprintf(action.drive_patch.path_on_host, CONF_PATH_MAX, "%s", path_of(name));
}

static int patch(const char *name)
{
	patch_of(name);
	return ask(ACTION_PATCH_DRIVE);
}

static void put_drive(bool read_only)
{
	action.drive = (struct conf_drive){ .is_read_only = read_only };
	snprintf(action.drive.drive_id, sizeof(action.drive.drive_id), "d");
	snprintf(action.drive.path_on_host, CONF_PATH_MAX, "%s", path_of("empty"));
	CHECK_EQ(ask(ACTION_PUT_DRIVE), 0);
}

static void start(bool read_only)
{
	static const uint8_t rests[] = { 0xf4, 0xeb, 0xfd }; /* hlt; jmp */
	const struct vmm_cfg cfg = { .id = "test", .stdin_fd = -1, .stdout_fd = -1 };
	struct elf elf = *elf_good();
	struct err e = { 0 };
	struct kvm kvm;

	if (kvm_open(&kvm, &e) < 0)
		SKIP(e.msg);
	kvm_close(&kvm);
	log_init("test");
	log_configure(&(struct log_cfg){ .level = LOG_OFF });
	CHECK_EQ(thread_init(&e), 0);
	CHECK_EQ(loop_init(&loop), 0);
	snprintf(dir, sizeof(dir), "/tmp/patch-XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	make_file("empty", 0);
	make_file("small", 3 * 512);
	make_file("large", 7 * 512);
	CHECK_EQ(vmm_create(&cfg, &loop, &vmm, &e), 0);
	vmm->config.machine.mem_size_mib = 32;
	vmm->config.has_boot_source = true;
	memcpy(elf.text_bytes + (ELF_ENTRY & 0xff), rests, sizeof(rests));
	elf.pvh.desc = ELF_ENTRY;
	vmm->files.kernel = file_of(&elf, sizeof(elf));
	put_drive(read_only);
	CHECK_EQ(ask(ACTION_INSTANCE_START), 0);
}

static void stop(void)
{
	struct err e;

	machine_quit(vmm->machine);
	while (machine_vcpus(vmm->machine, &e) != MACHINE_VCPUS_STOPPED)
		CHECK(loop_turn(&loop, 10) >= 0);
	vmm_destroy(vmm);
	loop_fini(&loop);
	for (unsigned i = 0; i < 4; i++)
		unlink(path_of((const char *[]){ "empty", "small", "large", "extra" }[i]));
	CHECK_EQ(rmdir(dir), 0);
}

static struct vdev *drive(void)
{
	struct vdev *dev = machine_drive(vmm->machine, "d");

	CHECK(dev != NULL);
	return dev;
}

static uint64_t sectors(void)
{
	uint8_t config[VDEV_CONFIG_MAX];
	uint64_t n;

	drive()->class->config(drive(), config);
	memcpy(&n, config, sizeof(n));
	return n;
}

static void path_is(const char *name)
{
	struct view *v = view_get(vmm_views(vmm));
	char text[96];

	snprintf(text, sizeof(text), "\"path_on_host\":\"%s\"", path_of(name));
	CHECK(strstr(v->vm_config, text));
	view_put(v);
}

/* How often a file of the test is open here. */
static unsigned openings(const char *name)
{
	struct stat want, have;
	unsigned n = 0;

	CHECK_EQ(stat(path_of(name), &want), 0);
	for (int fd = 0; fd < 256; fd++)
		n += fstat(fd, &have) == 0 && have.st_ino == want.st_ino &&
		     have.st_dev == want.st_dev;
	return n;
}

TEST(a_placeholder_becomes_a_disk)
{
	uint32_t generation;

	start(false);
	CHECK_EQ(sectors(), 0);
	generation = drive()->generation;
	CHECK_EQ(patch("small"), 0);
	CHECK_EQ(sectors(), 3);
	CHECK(drive()->generation != generation);
	path_is("small");
	CHECK(!drive()->paused);
	/* The old file is nobody's any more, and the new one is open once. */
	CHECK_EQ(openings("empty"), 0);
	CHECK_EQ(openings("small"), 1);
	CHECK_EQ(patch("empty"), 0);
	CHECK_EQ(sectors(), 0);
	stop();
}

TEST(the_same_file_at_another_size)
{
	start(false);
	CHECK_EQ(patch("large"), 0);
	CHECK_EQ(truncate(path_of("large"), 2 * 512), 0);
	CHECK_EQ(sectors(), 7);
	CHECK_EQ(patch("large"), 0);
	CHECK_EQ(sectors(), 2);
	path_is("large");
	stop();
}

TEST(a_hundred_patches_leave_no_descriptor)
{
	unsigned before;

	start(false);
	CHECK_EQ(patch("small"), 0);
	before = open_descriptors();
	for (unsigned i = 0; i < 100; i++) {
		CHECK_EQ(patch(i % 2 ? "small" : "large"), 0);
		CHECK_EQ(patch("missing"), -ENOENT);
		CHECK_EQ(open_descriptors(), before);
	}
	stop();
}

TEST(what_fails_changes_nothing)
{
	static const struct rate_cfg none = { 0 };

	start(true);
	CHECK_EQ(patch("small"), 0);
	CHECK_EQ(patch("missing"), -ENOENT);
	expect_msg("missing", action.err.msg,
		   CANNOT "Virtio backend error: Error manipulating the backing file: No such "
			  "file or directory (os error 2) *");
	CHECK(strstr(action.err.msg, "/missing." VERIFY));
	CHECK_EQ(patch("."), -EINVAL);
	CHECK(strstr(action.err.msg, "is a directory: a drive needs a regular file"));
	CHECK_EQ(patch(NULL), -EINVAL);
	expect_msg("nothing", action.err.msg,
		   CANNOT "Running method expected different backend." VERIFY);
	patch_of("large");
	action.drive_patch.drive_id[0] = 'e';
	CHECK_EQ(ask(ACTION_PATCH_DRIVE), -ENODEV);
	expect_msg("unknown", action.err.msg, CANNOT "Device not found: drive `e'." VERIFY);
	/* Nor do the limits that came with a wrong path. */
	patch_of("missing");
	action.drive_patch.has_rate_limiter = true;
	action.drive_patch.rate_limiter.has_ops = true;
	action.drive_patch.rate_limiter.ops = (struct conf_token_bucket){ .size = 1,
									  .refill_time_ms = 1000 };
	CHECK_EQ(ask(ACTION_PATCH_DRIVE), -ENOENT);
	CHECK(!vmm->config.drives[0]->has_rate_limiter);
	CHECK_EQ(sectors(), 3);
	path_is("small");
	CHECK(!drive()->paused);
	blk_set_limits(drive(), &none, &none);
	stop();
}

TEST(a_read_only_drive_stays_one)
{
	start(true);
	CHECK_EQ(chmod(path_of("small"), 0400), 0);
	CHECK_EQ(patch("small"), 0);
	for (int fd = 3; fd < 256; fd++) {
		struct stat want, have;

		CHECK_EQ(stat(path_of("small"), &want), 0);
		if (fstat(fd, &have) == 0 && have.st_ino == want.st_ino)
			CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	}
	CHECK_EQ(openings("small"), 1);
	stop();
}

/* What the device itself has been told. */
static void limits_are(uint64_t bandwidth, uint64_t ops)
{
	const struct blk *b = container_of(drive(), struct blk, vdev);

	CHECK_EQ(b->limit.buckets.bandwidth.cfg.size, bandwidth);
	CHECK_EQ(b->limit.buckets.ops.cfg.size, ops);
}

TEST(limits_replace_stay_and_go)
{
	const struct conf_rate_limiter *now;
	struct conf_rate_limiter *given = &action.drive_patch.rate_limiter;

	start(false);
	now = &vmm->config.drives[0]->rate_limiter;
	patch_of(NULL);
	action.drive_patch.has_rate_limiter = true;
	given->has_ops = true;
	given->ops = (struct conf_token_bucket){ .size = 5, .refill_time_ms = 100 };
	CHECK_EQ(ask(ACTION_PATCH_DRIVE), 0);
	CHECK_EQ(now->ops.size, 5);
	CHECK(!now->has_bandwidth);
	limits_are(0, 5);
	/* With a path: both. The bucket that is not named stays. */
	patch_of("small");
	action.drive_patch.has_rate_limiter = true;
	given->has_bandwidth = true;
	given->bandwidth = (struct conf_token_bucket){ .size = 4096, .refill_time_ms = 9 };
	CHECK_EQ(ask(ACTION_PATCH_DRIVE), 0);
	CHECK_EQ(now->ops.size, 5);
	CHECK_EQ(now->bandwidth.size, 4096);
	CHECK_EQ(sectors(), 3);
	limits_are(4096, 5);
	patch_of(NULL);
	action.drive_patch.has_rate_limiter = true;
	given->has_bandwidth = true;
	given->bandwidth = (struct conf_token_bucket){ .size = 0, .refill_time_ms = 9 };
	CHECK_EQ(ask(ACTION_PATCH_DRIVE), 0);
	CHECK(!now->has_bandwidth);
	limits_are(0, 5);
	given->has_bandwidth = false;
	given->has_ops = true;
	given->ops = (struct conf_token_bucket){ .size = 5, .refill_time_ms = 0 };
	CHECK_EQ(ask(ACTION_PATCH_DRIVE), 0);
	CHECK(!vmm->config.drives[0]->has_rate_limiter);
	stop();
}

/* --- requests in flight -------------------------------------------------------------- */

static void pretend_inflight(unsigned n)
{
	vdev_lock(drive());
	drive()->queue[0].q.inflight = (uint16_t)n;
	vdev_unlock(drive());
}

/* Some turns, in which nothing may come of the action. */
static void turn_some(void)
{
	for (unsigned i = 0; i < 20; i++)
		CHECK(loop_turn(&loop, 2) >= 0);
}

/* For as long as the test may take. */
static void turn_until_answered(void)
{
	while (!answered)
		CHECK(loop_turn(&loop, 5) >= 0);
}

TEST(requests_in_flight_are_waited_for)
{
	start(false);
	pretend_inflight(1);
	patch_of("small");
	submit(ACTION_PATCH_DRIVE);
	turn_some();
	CHECK(!answered);
	CHECK(drive()->paused);
	CHECK_EQ(sectors(), 0);
	path_is("empty");
	pretend_inflight(0);
	turn_until_answered();
	CHECK_EQ(action.err.code, 0);
	CHECK(!drive()->paused);
	CHECK_EQ(sectors(), 3);
	path_is("small");
	stop();
}

TEST(other_actions_wait_behind_it)
{
	static struct action second;

	start(false);
	pretend_inflight(1);
	patch_of("small");
	submit(ACTION_PATCH_DRIVE);
	second = (struct action){ .type = ACTION_PAUSE, .done = on_done };
	vmm_submit(vmm, &second);
	turn_some();
	CHECK(!answered && vmm->state == VMM_RUNNING);
	pretend_inflight(0);
	while (vmm->state != VMM_PAUSED)
		CHECK(loop_turn(&loop, 5) >= 0);
	CHECK_EQ(sectors(), 3);
	stop();
}

TEST(a_file_that_does_not_answer)
{
	unsigned before;

	start(false);
	CHECK_EQ(patch("small"), 0);
	before = open_descriptors();
	pretend_inflight(1);
	patch_of("large");
	submit(ACTION_PATCH_DRIVE);
	turn_some();
	vmm->patch.since -= 10 * USEC_PER_SEC;
	turn_until_answered();
	CHECK_EQ(action.err.code, -ETIMEDOUT);
	expect_msg("late", action.err.msg,
		   CANNOT "requests of drive `d' have been in flight for 10 s: its host "
			  "file does not answer." VERIFY);
	CHECK_EQ(open_descriptors(), before);
	CHECK(!drive()->paused);
	CHECK_EQ(sectors(), 3);
	path_is("small");
	pretend_inflight(0);
	CHECK_EQ(patch("large"), 0);
	stop();
}

TEST(a_paused_machine_stays_paused)
{
	start(false);
	CHECK_EQ(ask(ACTION_PAUSE), 0);
	CHECK_EQ(patch("small"), 0);
	CHECK_EQ(sectors(), 3);
	CHECK(drive()->paused);
	CHECK_EQ(patch("missing"), -ENOENT);
	CHECK(drive()->paused);
	CHECK_EQ(ask(ACTION_RESUME), 0);
	CHECK(!drive()->paused);
	stop();
}

TEST(the_machine_ends_meanwhile)
{
	static struct action second;

	start(false);
	pretend_inflight(1);
	patch_of("small");
	submit(ACTION_PATCH_DRIVE);
	second = (struct action){ .type = ACTION_PAUSE, .done = on_done };
	vmm_submit(vmm, &second);
	turn_some();
	CHECK_EQ(openings("small"), 1);
	fd_event_signal(machine_end_event(vmm->machine));
	turn_until_answered();
	CHECK_EQ(action.err.code, -ESHUTDOWN);
	CHECK_EQ(second.err.code, -ESHUTDOWN); /* who waited behind it hears of the end too */
	CHECK_EQ(openings("small"), 0);
	pretend_inflight(0);
	while (!loop.stopped)
		CHECK(loop_turn(&loop, 5) >= 0);
	stop();
}
