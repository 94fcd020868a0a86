/* SPDX-License-Identifier: Apache-2.0 */
/* The machine on a real /dev/kvm, any that makes machines: built, failed at every place
 * where it may fail, started, paused, ended. */
#include "vmm/machine.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/log.h"
#include "conf/expect.h"
#include "descriptors.h"
#include "image.h"
#include "vmm/kvm.h"
#include "vmm/loader.h"
#include "vmm/state.h"

static struct loop loop;
static struct conf_config config;
static int drive_fd[2];

/* Guests of one kernel each, which run in 32 and in 64 bits. */
static const uint8_t rests[] = { 0xf4, 0xeb, 0xfd };			      /* hlt; jmp */
static const uint8_t resets[] = { 0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd }; /* out 0x64, 0xfe */
static const uint8_t faults[] = { 0x0f, 0x0b };				      /* ud2, no IDT */

static int kernel_of(const uint8_t *code, size_t len, enum kernel_protocol protocol)
{
	struct elf elf = *elf_good();

	memcpy(elf.text_bytes + (ELF_ENTRY & 0xff), code, len);
	elf.pvh.desc = ELF_ENTRY;
	if (protocol == KERNEL_LINUX64)
		elf.notes.p_type = PT_NULL;
	return file_of(&elf, sizeof(elf));
}

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
	CHECK_EQ(loop_init(&loop), 0);
}

static struct machine_cfg full_machine(void)
{
	struct err e;

	conf_config_fini(&config);
	conf_config_init(&config);
	config.machine.vcpu_count = 2;
	config.machine.mem_size_mib = 32;
	config.has_entropy = true;
	for (unsigned i = 0; i < ARRAY_SIZE(drive_fd); i++) {
		struct conf_drive d = { .is_root_device = i == 0 };

		snprintf(d.drive_id, sizeof(d.drive_id), "disk%u", i);
		CHECK_EQ(conf_config_put_drive(&config, &d, &e), 0);
		drive_fd[i] = file_of(&d, 512);
	}
	return (struct machine_cfg){
		.config = &config,
		.kernel_fd = kernel_of(rests, sizeof(rests), KERNEL_PVH),
		.initrd_fd = file_of("initrd", 6),
		.drive_fd = drive_fd,
		.console_out = open("/dev/null", O_WRONLY | O_CLOEXEC),
		.console_in = -1,
		.boot_timer = true,
		.loop = &loop,
	};
}

static void quit(struct machine *m)
{
	machine_quit(m);
	machine_destroy(m);
}

TEST(every_fault_of_the_machine)
{
	struct machine_cfg cfg;
	struct machine *m = NULL;
	unsigned descriptors, optional = 0;
	long n = 0;

	if (!faults_work())
		SKIP("this build has no fault points");
	need_kvm();
	cfg = full_machine();
	descriptors = open_descriptors();
	for (;; n++) {
		struct err e = { 0 };
		int r;

		fault_arm(n);
		r = machine_create(&cfg, &m, &e);
		if (!fault_fired()) {
			CHECK_EQ(r, 0);
			break;
		}
		if (r == 0) {
			optional++;
			quit(m);
			m = NULL;
		} else if (r != e.code || !e.msg[0] || e.msg[0] == ':') {
			fprintf(stderr, "# fault %ld gave %d and \"%s\"\n", n, r, e.msg);
			exit(1);
		}
		CHECK(m == NULL);
		CHECK_EQ(open_descriptors(), descriptors);
		CHECK(alone());
	}
	fault_arm(-1);
	CHECK(n > 60);
	CHECK(optional <= 1); /* AMX, of which the machine can do without */
	quit(m);
	CHECK_EQ(open_descriptors(), descriptors);
	CHECK(alone());
}

TEST(a_machine_can_be_built_again)
{
	struct machine_cfg cfg;
	unsigned descriptors;

	need_kvm();
	cfg = full_machine();
	descriptors = open_descriptors();
	for (unsigned i = 0; i < 5; i++) {
		struct machine *m;
		struct err e;

		CHECK_EQ(machine_create(&cfg, &m, &e), 0);
		quit(m);
		CHECK_EQ(open_descriptors(), descriptors);
	}
}

TEST(errors_name_their_object)
{
	struct machine_cfg cfg;
	struct machine *m;
	struct err e = { 0 };

	need_kvm();
	cfg = full_machine();
	config.has_boot_source = true;
	snprintf(config.boot_source.kernel_image_path, CONF_PATH_MAX, "/the/kernel");
	snprintf(config.boot_source.initrd_path, CONF_PATH_MAX, "/the/initrd");
	cfg.kernel_fd = file_of("#!/bin/sh", 9);
	CHECK_EQ(machine_create(&cfg, &m, &e), -ENOEXEC);
	expect_msg("kernel", e.msg, "Cannot load kernel `/the/kernel': the file ends inside the *");
	cfg = full_machine();
	snprintf(config.boot_source.initrd_path, CONF_PATH_MAX, "/the/initrd");
	cfg.initrd_fd = file_of("", 0);
	CHECK_EQ(machine_create(&cfg, &m, &e), -ENOEXEC);
	expect_msg("initrd", e.msg, "Cannot load initrd `/the/initrd': the file is empty");
	cfg = full_machine();
	config.machine.mem_size_mib = 16; /* the kernel is at 16 MiB */
	CHECK_EQ(machine_create(&cfg, &m, &e), -ENOMEM);
	expect_msg("memory", e.msg, "Cannot load kernel `': ELF: a segment (p_paddr 0x1000000, *");
	cfg = full_machine();
	config.boot_source.has_boot_args = true;
	memset(config.boot_source.boot_args, 'a', CONF_CMDLINE_MAX - 1);
	CHECK_EQ(machine_create(&cfg, &m, &e), -E2BIG);
	expect_msg("command line", e.msg, "The kernel command line is invalid: *");
}

/* --- a monitor's life ------------------------------------------------------------------- */

static struct vmm *vmm;
static struct action action;
static bool answered;

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

static void start(const uint8_t *code, size_t len, enum kernel_protocol protocol, unsigned nvcpus)
{
	const struct vmm_cfg cfg = { .id = "test", .stdin_fd = -1, .stdout_fd = -1 };
	struct err e;

	need_kvm();
	CHECK_EQ(vmm_create(&cfg, &loop, &vmm, &e), 0);
	CHECK_EQ(vmm->state, VMM_NOT_STARTED);
	vmm->config.machine.vcpu_count = (uint8_t)nvcpus;
	vmm->config.machine.mem_size_mib = 32;
	vmm->config.has_boot_source = true;
	vmm->files.kernel = kernel_of(code, len, protocol);
	CHECK_EQ(ask(ACTION_INSTANCE_START), 0);
}

static void turn_until_it_ends(void)
{
	while (!loop.stopped)
		CHECK(loop_turn(&loop, 1000) >= 0);
	vmm_destroy(vmm);
	CHECK(alone());
	loop_fini(&loop);
}

/* For guests that rest: as if they had asked for it. */
static void stop(void)
{
	struct err e;

	machine_quit(vmm->machine);
	while (machine_vcpus(vmm->machine, &e) != MACHINE_VCPUS_STOPPED)
		CHECK(loop_turn(&loop, 10) >= 0);
	vmm_destroy(vmm);
	CHECK(alone());
	loop_fini(&loop);
}

static void state_is(const char *name)
{
	struct view *v = view_get(vmm_views(vmm));
	char text[64];

	snprintf(text, sizeof(text), "\"state\":\"%s\"", name);
	CHECK(strstr(v->instance, text));
	view_put(v);
}

static void guest_resets(enum kernel_protocol protocol)
{
	start(resets, sizeof(resets), protocol, 2);
	while (vmm_end_reason(vmm) == END_NONE)
		CHECK(loop_turn(&loop, 1000) >= 0);
	CHECK_EQ(vmm_end_reason(vmm), END_GUEST_RESET);
	CHECK_EQ(ask(ACTION_RESUME), -ESHUTDOWN);
	turn_until_it_ends();
}

TEST(a_guest_resets_by_pvh)
{
	guest_resets(KERNEL_PVH);
}

TEST(a_guest_resets_in_long_mode)
{
	guest_resets(KERNEL_LINUX64);
}

TEST(a_guest_faults)
{
	start(faults, sizeof(faults), KERNEL_PVH, 1);
	while (vmm_end_reason(vmm) == END_NONE)
		CHECK(loop_turn(&loop, 1000) >= 0);
	CHECK(vmm_end_reason(vmm) == END_TRIPLE_FAULT || vmm_end_reason(vmm) == END_KVM_FAILURE);
	turn_until_it_ends();
}

TEST(what_is_legal_after_the_start)
{
	start(rests, sizeof(rests), KERNEL_PVH, 2);
	state_is("Running");
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(ask(ACTION_PAUSE), 0);
		state_is("Paused");
		CHECK_EQ(ask(ACTION_PAUSE), 0);
		CHECK_EQ(ask(ACTION_PUT_ENTROPY), -EBUSY);
		CHECK_EQ(ask(ACTION_RESUME), 0);
		state_is("Running");
		CHECK_EQ(ask(ACTION_RESUME), 0);
	}
	CHECK_EQ(ask(ACTION_SEND_CTRL_ALT_DEL), -ENODEV);
	expect_msg("keys", action.err.msg,
		   "Internal VMM error: the guest has not enabled its keyboard: *");
	CHECK_EQ(ask(ACTION_INSTANCE_START), -EBUSY);
	state_is("Running");
	stop();
}

TEST(a_failed_start_can_be_repeated)
{
	const struct vmm_cfg cfg = { .id = "test", .stdin_fd = -1, .stdout_fd = -1 };
	unsigned descriptors;
	struct err e;

	need_kvm();
	CHECK_EQ(vmm_create(&cfg, &loop, &vmm, &e), 0);
	vmm->config.machine.mem_size_mib = 32;
	vmm->config.has_boot_source = true;
	vmm->files.kernel = file_of("junk", 4);
	descriptors = open_descriptors();
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(ask(ACTION_INSTANCE_START), -ENOEXEC);
		expect_msg("start", action.err.msg, "Start microvm error: Cannot load kernel *");
		CHECK_EQ(vmm->state, VMM_NOT_STARTED);
		state_is("Not started");
		CHECK_EQ(open_descriptors(), descriptors);
	}
	CHECK_EQ(close(vmm->files.kernel), 0);
	vmm->files.kernel = kernel_of(rests, sizeof(rests), KERNEL_LINUX64);
	CHECK_EQ(ask(ACTION_INSTANCE_START), 0);
	stop();
}

/* A vCPU that cannot be isolated: the start fails, and nothing of it is left. */
static int refuse_vcpus(const struct isolation *iso, enum thread_kind kind, struct err *e)
{
	(void)iso;
	if (kind != THREAD_VCPU)
		return 0;
	return err_set(e, ERR_INTERNAL, -EPERM, "no filter today");
}

TEST(a_vcpu_that_cannot_be_isolated)
{
	static const struct isolation iso = { .enter = refuse_vcpus };
	const struct vmm_cfg cfg = {
		.id = "test", .isolation = &iso, .stdin_fd = -1, .stdout_fd = -1
	};
	struct err e;

	need_kvm();
	CHECK_EQ(vmm_create(&cfg, &loop, &vmm, &e), 0);
	vmm->config.machine.vcpu_count = 2;
	vmm->config.machine.mem_size_mib = 32;
	vmm->config.has_boot_source = true;
	vmm->files.kernel = kernel_of(rests, sizeof(rests), KERNEL_PVH);
	CHECK_EQ(ask(ACTION_INSTANCE_START), -EPERM);
	CHECK(strstr(action.err.msg, "no filter today"));
	CHECK_EQ(vmm->state, VMM_NOT_STARTED);
	CHECK(alone());
	vmm_destroy(vmm);
	loop_fini(&loop);
}
