/* SPDX-License-Identifier: Apache-2.0 */
/* Which action is legal when, without a machine; what those do that only configure. */
#include "vmm/action.h"

#include <fcntl.h>

#include "base/log.h"
#include "conf/expect.h"
#include "descriptors.h"
#include "mmds/doc.h"
#include "vmm/mmds_actions.h"
#include "vmm/state.h"

#define AFTER  "The requested operation is not supported after starting the microVM."
#define BEFORE "The requested operation is not supported before starting the microVM."

/* The contract's table, section 1.3. */
static const struct {
	enum action_type type;
	const char *before, *after; /* NULL: legal */
} rules[] = {
	{ ACTION_PUT_BOOT_SOURCE, NULL, AFTER },
	{ ACTION_PUT_MACHINE_CONFIG, NULL, AFTER },
	{ ACTION_PATCH_MACHINE_CONFIG, NULL, AFTER },
	{ ACTION_PUT_CPU_CONFIG, NULL, AFTER },
	{ ACTION_PUT_DRIVE, NULL, "PCI is not enabled" },
	{ ACTION_PATCH_DRIVE, BEFORE, NULL },
	{ ACTION_PUT_NET, NULL, "PCI is not enabled" },
	{ ACTION_PATCH_NET, BEFORE, NULL },
	{ ACTION_PUT_VSOCK, NULL, AFTER },
	{ ACTION_PUT_MMDS_CONFIG, NULL, AFTER },
	{ ACTION_PUT_MMDS, NULL, NULL },
	{ ACTION_PATCH_MMDS, NULL, NULL },
	{ ACTION_PUT_ENTROPY, NULL, AFTER },
	{ ACTION_PUT_SERIAL, NULL, AFTER },
	{ ACTION_PUT_LOGGER, NULL, AFTER },
	{ ACTION_PUT_METRICS, NULL, AFTER },
	{ ACTION_INSTANCE_START, NULL, AFTER },
	{ ACTION_SEND_CTRL_ALT_DEL, BEFORE, NULL },
	{ ACTION_FLUSH_METRICS, BEFORE, NULL },
	{ ACTION_PAUSE, BEFORE, NULL },
	{ ACTION_RESUME, BEFORE, NULL },
	{ ACTION_SNAPSHOT_CREATE, BEFORE, NULL },
	{ ACTION_SNAPSHOT_LOAD, NULL, AFTER },
	{ ACTION_PUT_BALLOON, NULL, AFTER },
	{ ACTION_PUT_PMEM, NULL, "PCI is not enabled" },
	{ ACTION_PUT_MEMORY_HOTPLUG, NULL, AFTER },
	{ ACTION_BALLOON_REQUEST, BEFORE, NULL },
	{ ACTION_BALLOON_PATCH, BEFORE, NULL },
	{ ACTION_PMEM_PATCH, BEFORE, NULL },
	{ ACTION_MEMORY_HOTPLUG_REQUEST, BEFORE, NULL },
	{ ACTION_UNPLUG, BEFORE, NULL },
};

static struct loop loop;
static struct vmm *vmm;
static struct action a;

static void begin(void)
{
	const struct vmm_cfg cfg = {
		.id = "test", .mmds_limit = 40, .stdin_fd = -1, .stdout_fd = -1
	};
	struct err e;

	log_init("test");
	CHECK_EQ(loop_init(&loop), 0);
	CHECK_EQ(vmm_create(&cfg, &loop, &vmm, &e), 0);
	a = (struct action){ 0 };
}

static void end(void)
{
	vmm->state = VMM_NOT_STARTED;
	vmm_destroy(vmm);
	loop_fini(&loop);
}

static int run(enum action_type type)
{
	a.type = type;
	return action_run(vmm, &a);
}

TEST(refused_at_the_wrong_time)
{
	static const enum vmm_state started[] = { VMM_STARTING, VMM_RUNNING, VMM_PAUSING,
						  VMM_PAUSED };

	begin();
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		for (unsigned k = 0; rules[i].after && k < ARRAY_SIZE(started); k++) {
			vmm->state = started[k];
			CHECK_EQ(run(rules[i].type), -EBUSY);
			CHECK_EQ(a.err.kind, ERR_STATE);
			expect_msg("after", a.err.msg, rules[i].after);
			CHECK_EQ(vmm->state, started[k]);
		}
		vmm->state = VMM_NOT_STARTED;
		if (rules[i].before) {
			CHECK_EQ(run(rules[i].type), -EBUSY);
			CHECK_EQ(a.err.kind, ERR_STATE);
			expect_msg("before", a.err.msg, rules[i].before);
		}
		vmm->state = VMM_ENDING;
		CHECK_EQ(run(rules[i].type), -ESHUTDOWN);
		expect_msg("ending", a.err.msg, "The microVM is ending.");
	}
	end();
}

/* The moment comes before the meaning, and an attempt in vain is an attempt. */
TEST(a_request_that_means_nothing_is_refused_in_its_turn)
{
	const struct err wrong = { .kind = ERR_INVALID, .code = -EINVAL, .msg = "it is wrong" };

	begin();
	a.invalid = true;
	a.err = wrong;
	vmm->state = VMM_RUNNING;
	CHECK_EQ(run(ACTION_PUT_MACHINE_CONFIG), -EBUSY);
	CHECK(strstr(a.err.msg, "not supported after starting"));
	CHECK(!vmm->boot_path);
	vmm->state = VMM_NOT_STARTED;
	a.err = wrong;
	CHECK_EQ(run(ACTION_PATCH_DRIVE), -EBUSY);
	a.err = wrong;
	CHECK_EQ(run(ACTION_PUT_MACHINE_CONFIG), -EINVAL);
	CHECK_EQ(a.err.kind, ERR_INVALID);
	expect_msg("meaning", a.err.msg, "Machine config error: it is wrong");
	CHECK(vmm->boot_path);
	a.invalid = false;
	end();
}

TEST(every_action_has_a_rule)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
		CHECK_EQ(rules[i].type, i);
}

TEST(boot_source)
{
	begin();
	snprintf(a.boot_source.kernel_image_path, CONF_PATH_MAX, "/dev/null");
	CHECK_EQ(run(ACTION_PUT_BOOT_SOURCE), ACTION_DONE);
	CHECK(vmm->config.has_boot_source);
	CHECK(vmm->files.kernel >= 0);
	/* The last one wins, and one that fails changes nothing. */
	snprintf(a.boot_source.kernel_image_path, CONF_PATH_MAX, "/nonexistent");
	CHECK_EQ(run(ACTION_PUT_BOOT_SOURCE), -ENOENT);
	expect_msg("path", a.err.msg, "Boot source error: The kernel file cannot be opened: *");
	expect_msg("kept", vmm->config.boot_source.kernel_image_path, "/dev/null");
	snprintf(a.boot_source.kernel_image_path, CONF_PATH_MAX, "/dev/zero");
	CHECK_EQ(run(ACTION_PUT_BOOT_SOURCE), ACTION_DONE);
	expect_msg("new", vmm->config.boot_source.kernel_image_path, "/dev/zero");
	end();
}

TEST(vsock)
{
	static char path[] = "/tmp/wisp-action-XXXXXX";

	begin();
	CHECK(mkdtemp(path) != NULL);
	a.vsock.guest_cid = 3;
	snprintf(a.vsock.uds_path, sizeof(a.vsock.uds_path), "%s/v", path);
	CHECK_EQ(run(ACTION_PUT_VSOCK), ACTION_DONE);
	CHECK(vmm->config.has_vsock);
	CHECK(vmm->files.vsock.fd >= 0);
	a.vsock.guest_cid = 4;
	CHECK_EQ(run(ACTION_PUT_VSOCK), ACTION_DONE); /* the same path again */
	CHECK_EQ(vmm->config.vsock.guest_cid, 4);
	a.vsock.guest_cid = 5;
	snprintf(a.vsock.uds_path, sizeof(a.vsock.uds_path), "%s", path);
	CHECK_EQ(run(ACTION_PUT_VSOCK), -EADDRINUSE);
	expect_msg("path", a.err.msg,
		   "Vsock config error: Cannot create backend for vsock device: /tmp/*");
	CHECK_EQ(vmm->config.vsock.guest_cid, 4);
	end();
	CHECK_EQ(rmdir(path), 0); /* the socket went with the monitor */
}

TEST(machine_config)
{
	begin();
	a.machine = conf_machine_default;
	a.machine.vcpu_count = 3;
	CHECK_EQ(run(ACTION_PUT_MACHINE_CONFIG), ACTION_DONE);
	CHECK_EQ(vmm->config.machine.vcpu_count, 3);
	end();
}

TEST(drives)
{
	begin();
	snprintf(a.drive.drive_id, sizeof(a.drive.drive_id), "d");
	snprintf(a.drive.path_on_host, sizeof(a.drive.path_on_host), "/nonexistent");
	CHECK_EQ(run(ACTION_PUT_DRIVE), -ENOENT);
	expect_msg("drive", a.err.msg,
		   "Drive config error: Unable to create the virtio block device: Virtio backend "
		   "error: Error manipulating the backing file: No such file or directory (os "
		   "error 2) /nonexistent");
	/* A path of any length leaves the reason whole. */
	memset(a.drive.path_on_host, 'x', sizeof(a.drive.path_on_host) - 1);
	CHECK_EQ(run(ACTION_PUT_DRIVE), -ENAMETOOLONG);
	CHECK(strstr(a.err.msg, "File name too long (os error 36) xxx"));
	CHECK_EQ(vmm->config.ndrives, 0);
	CHECK_EQ(files_drive(&vmm->files, "d"), -1);
	end();
}

/* A document for the action at hand. */
static void bring(const char *text)
{
	struct err e;

	CHECK_EQ(mmds_doc_parse(text, strlen(text), &a.mmds, &e), 0);
}

static void expect_shown(const char *want)
{
	expect_msg("shown", mmds_shown(vmm), want);
}

TEST(metadata)
{
	begin();
	expect_shown("{}");
	bring("{\"a\":1}");
	CHECK_EQ(run(ACTION_PATCH_MMDS), -ENODATA);
	expect_msg("patch", a.err.msg, "MMDS error: The MMDS data store is not initialized.");
	CHECK(a.mmds == NULL);
	bring("{\"a\": {\"b\": \"c\"}}");
	CHECK_EQ(run(ACTION_PUT_MMDS), ACTION_DONE);
	expect_shown("{\"a\":{\"b\":\"c\"}}");
	bring("{\"a\":{\"d\":1},\"e\":2}");
	CHECK_EQ(run(ACTION_PATCH_MMDS), ACTION_DONE);
	expect_shown("{\"a\":{\"b\":\"c\",\"d\":1},\"e\":2}");
	bring("{\"e\":\"12345678901234567890\"}");
	CHECK_EQ(run(ACTION_PATCH_MMDS), -EFBIG);
	CHECK_EQ(a.err.kind, ERR_TOO_LARGE);
	expect_msg("limit", a.err.msg,
		   "MMDS limit exceeded error: The MMDS patch request doesn't fit.");
	bring("{\"a\":\"123456789012345678901234567890123\"}");
	CHECK_EQ(run(ACTION_PUT_MMDS), -EFBIG);
	expect_shown("{\"a\":{\"b\":\"c\",\"d\":1},\"e\":2}");
	end();
}

TEST(metadata_of_a_machine_that_runs)
{
	begin();
	vmm->state = VMM_RUNNING;
	CHECK(mmds_shown(vmm) == NULL);
	bring("{}");
	CHECK_EQ(run(ACTION_PUT_MMDS), -ENODATA);
	expect_msg("put", a.err.msg, "MMDS error: The MMDS data store is not initialized.");
	bring("{}");
	CHECK_EQ(run(ACTION_PATCH_MMDS), -ENODATA);
	vmm->config.has_mmds = true;
	expect_shown("{}");
	bring("{\"x\":[]}");
	CHECK_EQ(run(ACTION_PUT_MMDS), ACTION_DONE);
	expect_shown("{\"x\":[]}");
	end();
}

TEST(metadata_configuration)
{
	static const struct conf_net net = { .iface_id = "eth0", .host_dev_name = "t" };
	static const struct conf_mmds conf = { .version = CONF_MMDS_V2,
					       .ninterfaces = 1,
					       .interfaces = { "eth0" } };
	struct err e;

	begin();
	a.mmds_config = conf;
	CHECK_EQ(run(ACTION_PUT_MMDS_CONFIG), -EINVAL);
	expect_msg("unknown", a.err.msg,
		   "MMMDS config error: The list of network interface IDs provided contains at "
		   "least one ID that does not correspond to any existing network interface.");
	CHECK(!vmm->config.has_mmds);
	CHECK_EQ(conf_config_put_net(&vmm->config, &net, &e), 0);
	a.mmds_config = conf;
	CHECK_EQ(run(ACTION_PUT_MMDS_CONFIG), ACTION_DONE);
	CHECK(vmm->config.has_mmds);
	CHECK_EQ(vmm->config.mmds.version, CONF_MMDS_V2);
	conf_config_drop_net(&vmm->config, "eth0");
	CHECK(!vmm->config.has_mmds);
	end();
}

TEST(what_this_version_lacks_is_refused_beside_what_is_configured)
{
	begin();
	vmm->config.machine.mem_size_mib = 64;
	a.balloon = (struct conf_balloon){ .amount_mib = 65 };
	CHECK_EQ(run(ACTION_PUT_BALLOON), -EINVAL);
	expect_msg("balloon", a.err.msg,
		   "Balloon config error: Amount of pages requested is too large.");
	a.balloon.amount_mib = 64;
	CHECK_EQ(run(ACTION_PUT_BALLOON), -EOPNOTSUPP);
	expect_msg("balloon", a.err.msg,
		   "Balloon config error: The balloon device is not part of this version of wisp.");
	a.pmem = (struct conf_pmem){ .id = "p", .path_on_host = "/p", .root_device = true };
	CHECK_EQ(run(ACTION_PUT_PMEM), -EOPNOTSUPP);
	expect_msg("pmem", a.err.msg,
		   "Pmem config error: The persistent memory device is not part of this version "
		   "of wisp.");
	CHECK_EQ(run(ACTION_PUT_MEMORY_HOTPLUG), -EOPNOTSUPP);
	expect_msg("memory", a.err.msg,
		   "Memory hotplug config error: Memory hotplug is not part of this version of "
		   "wisp.");
	vmm->state = VMM_RUNNING;
	CHECK_EQ(run(ACTION_UNPLUG), -EOPNOTSUPP);
	expect_msg("unplug", a.err.msg, "PCI is not enabled");
	CHECK_EQ(run(ACTION_BALLOON_PATCH), -ENODEV);
	expect_msg("patch", a.err.msg, "Balloon update error: No balloon device found.");
	CHECK_EQ(run(ACTION_BALLOON_REQUEST), -ENODEV);
	expect_msg("request", a.err.msg, "Balloon config error: No balloon device found.");
	CHECK_EQ(run(ACTION_PMEM_PATCH), -ENODEV);
	CHECK_EQ(run(ACTION_MEMORY_HOTPLUG_REQUEST), -ENODEV);
	end();
}

TEST(pmem_and_a_drive_cannot_both_be_the_root)
{
	const struct conf_drive root = { .drive_id = "d",
					 .path_on_host = "/d",
					 .is_root_device = true };

	begin();
	CHECK_EQ(conf_config_put_drive(&vmm->config, &root, &a.err), 0);
	a.pmem = (struct conf_pmem){ .id = "p", .path_on_host = "/p", .root_device = true };
	CHECK_EQ(run(ACTION_PUT_PMEM), -EINVAL);
	expect_msg("pmem", a.err.msg,
		   "Pmem config error: Attempt to add pmem as a root device while the root device "
		   "defined as a block device");
	end();
}

TEST(a_start_without_a_kernel)
{
	begin();
	CHECK_EQ(run(ACTION_INSTANCE_START), -ENOENT);
	expect_msg("start", a.err.msg,
		   "Start microvm error: Cannot start microvm without kernel configuration.");
	CHECK_EQ(vmm->state, VMM_NOT_STARTED);
	end();
}

TEST(pause_and_resume_change_nothing_twice)
{
	begin();
	vmm->state = VMM_PAUSED;
	CHECK_EQ(run(ACTION_PAUSE), ACTION_DONE);
	CHECK_EQ(vmm->state, VMM_PAUSED);
	vmm->state = VMM_RUNNING;
	CHECK_EQ(run(ACTION_RESUME), ACTION_DONE);
	CHECK_EQ(vmm->state, VMM_RUNNING);
	end();
}

/* --- submitted ones: in order, each answered once ----------------------------------- */

enum { SUBMITTED = 50 };
static struct action many[SUBMITTED];
static unsigned answered;

static void on_done(struct action *action)
{
	CHECK(action == &many[answered]);
	answered++;
}

TEST(submitted_actions_are_answered_in_order)
{
	begin();
	for (unsigned i = 0; i < SUBMITTED; i++) {
		many[i].type = i % 2 ? ACTION_PAUSE : ACTION_PUT_MACHINE_CONFIG;
		many[i].machine = conf_machine_default;
		many[i].machine.vcpu_count = 1 + i % 32;
		many[i].done = on_done;
		vmm_submit(vmm, &many[i]);
	}
	CHECK_EQ(answered, 0);
	for (unsigned i = 0; i < 10 && answered < SUBMITTED; i++)
		CHECK(loop_turn(&loop, 100) >= 0);
	CHECK_EQ(answered, SUBMITTED);
	for (unsigned i = 0; i < SUBMITTED; i++)
		CHECK_EQ(many[i].err.code, i % 2 ? -EBUSY : 0);
	CHECK_EQ(vmm->config.machine.vcpu_count, 1 + (SUBMITTED - 2) % 32);
	end();
}

TEST(a_view_follows_each_action)
{
	struct view *v;

	begin();
	v = view_get(vmm_views(vmm));
	CHECK(strstr(v->instance, "\"state\":\"Not started\""));
	CHECK(strstr(v->machine_config, "\"vcpu_count\":1"));
	view_put(v);
	many[0] = (struct action){ .type = ACTION_PUT_MACHINE_CONFIG, .done = on_done };
	many[0].machine = conf_machine_default;
	many[0].machine.vcpu_count = 7;
	vmm_submit(vmm, &many[0]);
	CHECK(loop_turn(&loop, 1000) >= 0);
	CHECK_EQ(answered, 1);
	v = view_get(vmm_views(vmm));
	CHECK(strstr(v->machine_config, "\"vcpu_count\":7"));
	CHECK(strstr(v->vm_config, "\"vcpu_count\":7"));
	view_put(v);
	end();
}

TEST(every_fault_of_creation)
{
	const struct vmm_cfg cfg = { .id = "test", .stdin_fd = -1, .stdout_fd = -1 };
	unsigned before;
	long n = 0;

	if (!faults_work())
		SKIP("this build has no fault points");
	log_init("test");
	CHECK_EQ(loop_init(&loop), 0);
	before = open_descriptors();
	for (;; n++) {
		struct err e = { 0 };
		int r;

		fault_arm(n);
		r = vmm_create(&cfg, &loop, &vmm, &e);
		if (!fault_fired()) {
			CHECK_EQ(r, 0);
			break;
		}
		CHECK(r < 0 && e.code == r && e.msg[0]);
		CHECK_EQ(open_descriptors(), before);
	}
	fault_arm(-1);
	CHECK(n >= 3);
	end();
	loop_fini(&loop);
}
