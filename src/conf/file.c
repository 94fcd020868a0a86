/* SPDX-License-Identifier: Apache-2.0 */
/* --config-file: the sections of GET /vm/config, all in one text (contract, 1.5). */
#include <string.h>

#include "conf/decode.h"

struct sections {
	struct json_value balloon, drives, boot_source, cpu_config, logger, machine, metrics,
		mmds_config, network_interfaces, vsock, entropy, pmem, memory_hotplug;
};

#define SECTION(key, member, ...)      JSON_ROW(key, JSON_ANY, sections, member, __VA_ARGS__)
#define SECTION_LIST(key, member, ...) JSON_ROW(key, JSON_ARRAY, sections, member, __VA_ARGS__)

static const struct json_field fields[] = {
	SECTION("balloon", balloon, .nullable = true),
	SECTION_LIST("drives", drives, .required = true),
	SECTION("boot-source", boot_source, .required = true),
	SECTION("cpu-config", cpu_config, .nullable = true),
	SECTION("logger", logger, .nullable = true),
	SECTION("machine-config", machine, .nullable = true),
	SECTION("metrics", metrics, .nullable = true),
	SECTION("mmds-config", mmds_config, .nullable = true),
	SECTION_LIST("network-interfaces", network_interfaces, .required = false),
	SECTION("vsock", vsock, .nullable = true),
	SECTION("entropy", entropy, .nullable = true),
	SECTION_LIST("pmem", pmem, .required = false),
	SECTION("memory-hotplug", memory_hotplug, .nullable = true),
};

static const struct json_table table = {
	.name = "struct VmmConfig",
	JSON_FIELDS(fields),
};

/* The contract's prefix: one for what cannot be decoded, one for the object. */
static int wrap(struct err *e, const char *object)
{
	return err_wrap(e, "%s", e->code == -EBADMSG ? "Invalid JSON" : object);
}

/* Nonsense is called nonsense first, in the words of the API. */
static int check_absent(const struct sections *s, struct err *e)
{
	struct conf_balloon balloon;
	struct conf_memory_hotplug memory;
	struct conf_pmem pmem;

	if (json_given(s->balloon) && conf_balloon_decode(s->balloon, &balloon, e) < 0)
		return wrap(e, "Balloon device error");
	json_for_each (v, s->pmem)
		if (conf_pmem_decode(v, &pmem, e) < 0)
			return wrap(e, "Pmem device error");
	if (json_given(s->memory_hotplug) &&
	    conf_memory_hotplug_decode(s->memory_hotplug, &memory, e) < 0)
		return wrap(e, "Memory hotplug config error");
	return 0;
}

/* What this version does not have must not be left out of a machine in silence. */
static int refuse_unsupported(const struct sections *s, struct err *e)
{
	const struct {
		const char *name;
		struct json_value v;
	} unsupported[] = {
		{ "balloon", s->balloon },
		{ "pmem", s->pmem },
		{ "memory-hotplug", s->memory_hotplug },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(unsupported); i++)
		if (json_given(unsupported[i].v) && !json_is_empty_array(unsupported[i].v))
			return err_set(e, ERR_INVALID, -EINVAL,
				       "section `%s` is not supported by this version of wisp; "
				       "remove it from the file",
				       unsupported[i].name);
	return 0;
}

static int read_drives(struct json_value drives, struct conf_config *c, struct err *e)
{
	struct conf_drive d;

	json_for_each (v, drives) {
		int r = conf_drive_decode(v, &d, e);

		if (r == 0)
			r = conf_config_put_drive(c, &d, e);
		if (r < 0)
			return wrap(e, "Block device error");
	}
	return 0;
}

static int read_nets(struct json_value nets, struct conf_config *c, struct err *e)
{
	struct conf_net n;

	json_for_each (v, nets) {
		int r = conf_net_decode(v, &n, e);

		if (r == 0)
			r = conf_config_put_net(c, &n, e);
		if (r < 0)
			return wrap(e, "Network config error");
	}
	return 0;
}

static int read_mmds(struct json_value v, struct conf_config *c, struct err *e)
{
	struct conf_mmds m;
	int r;

	if (!json_given(v))
		return 0;
	r = conf_mmds_decode(v, &m, e);
	if (r == 0)
		r = conf_config_put_mmds(c, &m, e);
	return r < 0 ? wrap(e, "MMDS config error") : 0;
}

/* An object, or the name of a file that holds one; either replaces a static template. */
static int read_cpu(struct json_value v, struct conf_file *f, struct err *e)
{
	static const struct json_field path = {
		.key = "cpu-config",
		.type = JSON_STRING,
		.size = sizeof(f->cpu_config_path),
	};

	if (!json_given(v))
		return 0;
	f->config.machine.cpu_template = CONF_CPU_TEMPLATE_NONE;
	f->config.has_cpu = true;
	if (!json_is_string(v))
		return conf_cpu_decode(v, &f->config.cpu, e) < 0 ? wrap(e, "CPU config error") : 0;
	if (json_decode_value(v, &path, f->cpu_config_path, e) < 0)
		return wrap(e, "CPU config error");
	if (f->cpu_config_path[0] == '\0')
		return err_set(e, ERR_INVALID, -EINVAL,
			       "CPU config error: the path of `cpu-config` is empty");
	return 0;
}

static int read_config(const struct sections *s, struct conf_config *c, struct err *e)
{
	bool deprecated = false;

	if (json_given(s->machine) &&
	    conf_machine_decode(s->machine, &c->machine, &deprecated, e) < 0)
		return wrap(e, "VM config error");
	if (conf_boot_source_decode(s->boot_source, &c->boot_source, e) < 0)
		return wrap(e, "Boot source error");
	c->has_boot_source = true;
	c->has_vsock = json_given(s->vsock);
	if (c->has_vsock && conf_vsock_decode(s->vsock, &c->vsock, &deprecated, e) < 0)
		return wrap(e, "Vsock device error");
	c->has_entropy = json_given(s->entropy);
	if (c->has_entropy && conf_entropy_decode(s->entropy, &c->entropy, e) < 0)
		return wrap(e, "Entropy device error");
	if (read_drives(s->drives, c, e) < 0)
		return e->code;
	if (read_nets(s->network_interfaces, c, e) < 0)
		return e->code;
	return read_mmds(s->mmds_config, c, e);
}

static int read_file(struct json_value root, struct conf_file *ret, struct err *e)
{
	struct sections s = { 0 };
	int r;

	if (json_decode(root, &table, &s, NULL, e) < 0)
		return wrap(e, "File operation error");
	r = check_absent(&s, e);
	if (r == 0)
		r = refuse_unsupported(&s, e);
	if (r < 0)
		return r;
	ret->has_logger = json_given(s.logger);
	if (ret->has_logger && conf_logger_decode(s.logger, &ret->logger, e) < 0)
		return wrap(e, "Logger error");
	ret->has_metrics = json_given(s.metrics);
	if (ret->has_metrics && conf_metrics_decode(s.metrics, &ret->metrics, e) < 0)
		return wrap(e, "Metrics error");
	r = read_config(&s, &ret->config, e);
	return r < 0 ? r : read_cpu(s.cpu_config, ret, e);
}

int conf_file_parse(const char *text, size_t len, struct conf_file *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r;

	if (json_parse(text, len, &doc, e) < 0)
		return wrap(e, "File operation error");
	memset(ret, 0, sizeof(*ret));
	conf_config_init(&ret->config);
	r = read_file(json_root(doc), ret, e);
	if (r < 0)
		conf_file_fini(ret);
	return r;
}

void conf_file_fini(struct conf_file *f)
{
	conf_config_fini(&f->config);
}
