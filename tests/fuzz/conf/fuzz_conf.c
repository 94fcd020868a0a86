/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte chooses an object, the rest is its body. What is accepted prints a
 * text that is accepted again and prints itself; what is refused says why.
 */
#include "../ensure.h"
#include <string.h>

#include "conf/action.h"
#include "conf/balloon.h"
#include "conf/config.h"
#include "conf/cpu.h"
#include "conf/memory_hotplug.h"
#include "conf/pmem.h"
#include "conf/serial.h"
#include "conf/vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct conf_boot_source boot_source;
static struct conf_config config;
static struct conf_cpu cpu;
static struct conf_drive drive;
static struct conf_drive_patch drive_patch;
static struct conf_entropy entropy;
static struct conf_file file;
static struct conf_logger logger;
static struct conf_metrics metrics[2];
static struct conf_machine machine;
static struct conf_serial serial;

/* Reads a body and prints it where there is something to print. */
typedef int (*object_fn)(const char *body, size_t len, struct text *t, struct err *e);

static int do_machine(const char *body, size_t len, struct text *t, struct err *e)
{
	bool deprecated;
	int r = conf_machine_put(body, len, &machine, &deprecated, e);

	if (r == 0)
		conf_machine_print(t, &machine);
	return r;
}

static int do_machine_patch(const char *body, size_t len, struct text *t, struct err *e)
{
	struct conf_machine_patch patch;
	bool deprecated;
	int r = conf_machine_patch_parse(body, len, &patch, &deprecated, e);

	machine = conf_machine_default;
	if (r == 0)
		r = conf_machine_patch_apply(&patch, &machine, e);
	if (r == 0)
		conf_machine_print(t, &machine);
	return r;
}

static int do_boot_source(const char *body, size_t len, struct text *t, struct err *e)
{
	int r = conf_boot_source_parse(body, len, &boot_source, e);

	if (r == 0)
		conf_boot_source_print(t, &boot_source);
	return r;
}

static int do_drive(const char *body, size_t len, struct text *t, struct err *e)
{
	int r = conf_drive_parse(body, len, &drive, e);

	if (r == 0)
		conf_drive_print(t, &drive);
	return r;
}

static int do_drive_patch(const char *body, size_t len, struct text *t, struct err *e)
{
	int r = conf_drive_patch_parse(body, len, &drive_patch, e);

	(void)t;
	memset(&drive, 0, sizeof(drive));
	return r < 0 ? r : conf_drive_patch_apply(&drive_patch, &drive, e);
}

static int do_entropy(const char *body, size_t len, struct text *t, struct err *e)
{
	int r = conf_entropy_parse(body, len, &entropy, e);

	if (r == 0)
		conf_entropy_print(t, &entropy);
	return r;
}

static int do_serial(const char *body, size_t len, struct text *t, struct err *e)
{
	(void)t;
	return conf_serial_parse(body, len, &serial, e);
}

/* What each line of metrics will carry can be read again, and says the same. */
static void do_metrics(const char *body, size_t len)
{
	static char again[METRICS_PROPERTIES_MAX + 64];
	struct text t = TEXT_ON(again);
	struct err e = { 0 };

	if (conf_metrics_parse(body, len, &metrics[0], &e) < 0 || !metrics[0].properties[0])
		return;
	text_fmt(&t, "{\"metrics_path\":\"m\",\"properties\":%s}", metrics[0].properties);
	ENSURE(text_ok(&t));
	ENSURE(conf_metrics_parse(again, t.len, &metrics[1], &e) == 0);
	ENSURE(strcmp(metrics[0].properties, metrics[1].properties) == 0);
}

static int do_logger(const char *body, size_t len, struct text *t, struct err *e)
{
	(void)t;
	do_metrics(body, len);
	return conf_logger_parse(body, len, &logger, e);
}

static int do_action(const char *body, size_t len, struct text *t, struct err *e)
{
	struct conf_action action;
	struct conf_vm vm;

	(void)t;
	return conf_action_parse(body, len, &action, e) < 0 ? conf_vm_parse(body, len, &vm, e) : 0;
}

static int do_file(const char *body, size_t len, struct text *t, struct err *e)
{
	int r = conf_file_parse(body, len, &file, e);

	if (r < 0)
		return r;
	conf_config_print(t, &file.config);
	conf_file_fini(&file);
	return 0;
}

/* A body for a drive of a configuration that has one already. */
static int do_drives(const char *body, size_t len, struct text *t, struct err *e)
{
	static const struct conf_drive root = { .drive_id = "a", .is_root_device = true };
	int r = conf_drive_parse(body, len, &drive, e);

	(void)t;
	conf_config_init(&config);
	if (r == 0)
		r = conf_config_put_drive(&config, &root, e);
	if (r == 0)
		r = conf_config_put_drive(&config, &drive, e);
	conf_config_fini(&config);
	return r;
}

/* A value has no bit outside its mask, whatever was given twice. */
static int do_cpu(const char *body, size_t len, struct text *t, struct err *e)
{
	int r = conf_cpu_parse(body, len, &cpu, e);

	(void)t;
	for (unsigned i = 0; r == 0 && i < cpu.nleaves; i++)
		for (unsigned reg = 0; reg < ARRAY_SIZE(cpu.leaf[i].reg); reg++)
			ENSURE((cpu.leaf[i].reg[reg].value & ~cpu.leaf[i].reg[reg].mask) == 0);
	for (unsigned i = 0; r == 0 && i < cpu.nmsrs; i++)
		ENSURE((cpu.msr[i].value & ~cpu.msr[i].mask) == 0);
	return r;
}

/* What is checked and never served: every parser gets the body. */
static int do_absent(const char *body, size_t len, struct text *t, struct err *e)
{
	static struct conf_pmem pmem;
	static struct conf_pmem_patch patch;
	struct conf_memory_hotplug memory;
	struct conf_balloon balloon;
	uint32_t mib;
	uint16_t s;
	bool acknowledge;

	(void)t;
	if (conf_balloon_parse(body, len, &balloon, e) == 0)
		ENSURE(balloon.amount_mib < 1 << 24);
	if (conf_memory_hotplug_parse(body, len, &memory, e) == 0)
		ENSURE(memory.total_size_mib % memory.slot_size_mib == 0);
	(void)!conf_pmem_patch_parse(body, len, &patch, e);
	(void)!conf_balloon_amount_parse(body, len, &mib, e);
	(void)!conf_balloon_interval_parse(body, len, &s, e);
	(void)!conf_balloon_hinting_parse(body, len, &acknowledge, e);
	(void)!conf_memory_hotplug_size_parse(body, len, &mib, e);
	return conf_pmem_parse(body, len, &pmem, e);
}

static const object_fn objects[] = {
	do_machine, do_machine_patch, do_boot_source, do_drive,	 do_drive_patch,
	do_entropy, do_serial,	      do_logger,      do_action, do_file,
	do_drives,  do_cpu,	      do_absent,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char first[CONF_CONFIG_TEXT_MAX], second[CONF_CONFIG_TEXT_MAX];
	struct text t1 = TEXT_ON(first), t2 = TEXT_ON(second);
	struct err e = { 0 };
	object_fn object;
	int r;

	if (size < 1)
		return 0;
	object = objects[data[0] % ARRAY_SIZE(objects)];
	r = object((const char *)data + 1, size - 1, &t1, &e);
	if (r < 0) {
		ENSURE(e.code == r && e.msg[0] != '\0' && e.kind == ERR_INVALID);
		return 0;
	}
	if (t1.len == 0)
		return 0;
	ENSURE(text_ok(&t1));
	r = object(first, t1.len, &t2, &e);
	ENSURE(r == 0 && text_ok(&t2) && strcmp(first, second) == 0);
	return 0;
}
