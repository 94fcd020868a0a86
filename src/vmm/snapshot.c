/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot.h"

#include <string.h>

#include "base/fault.h"
#include "vmm/x86/layout.h"
#include "vmm/x86/time_state.h"
#include "vmm/x86/vcpu_state.h"
#include "vmm/x86/vm_state.h"

static const char *const known[] = {
	SNAP_CONFIG, SNAP_MACHINE, SNAP_KVM_CAPS,    SNAP_HOST,		 SNAP_VIRTIO,
	SNAP_SERIAL, SNAP_I8042,   VM_STATE_RECORDS, VCPU_STATE_RECORDS, TIME_STATE_RECORDS,
};

int snapshot_open(const void *data, size_t len, struct snap_in *ret, struct err *e)
{
	return snap_in_open(data, len, known, ARRAY_SIZE(known), ret, e);
}

/* --- configuration ---------------------------------------------------------- */

static int read_caps(struct snap_in *in, struct conf_config *c, struct err *e)
{
	struct state_in s;
	int r;

	if (!snap_has(in, SNAP_KVM_CAPS, 0))
		return 0;
	r = snap_take(in, SNAP_KVM_CAPS, 0, &s, e);
	if (r < 0)
		return r;
	c->has_cpu = true;
	while (s.at < s.len && c->cpu.ncapabilities < CONF_CPU_CAPABILITIES_MAX) {
		struct conf_cpu_capability *to = &c->cpu.capability[c->cpu.ncapabilities++];

		to->id = state_get_u32(&s);
		to->remove = state_get_u8(&s);
	}
	return snap_taken(&s, SNAP_KVM_CAPS, 0, e);
}

/* Memory is where this version would put it, or the file's order means something else. */
static int check_machine(struct snap_in *in, const struct conf_machine *conf, struct err *e)
{
	struct layout_ram ram = layout_ram(conf->mem_size_mib << 20);
	struct state_in s;
	bool same;
	int r = snap_take(in, SNAP_MACHINE, 0, &s, e);

	if (r < 0)
		return r;
	same = state_get_u32(&s) == conf->vcpu_count && state_get_u32(&s) == ram.n;
	for (unsigned i = 0; same && i < ram.n; i++)
		same = state_get_u64(&s) == ram.region[i].base &&
		       state_get_u64(&s) == ram.region[i].size;
	if (same && state_in_end(&s) == 0)
		return 0;
	return err_set(e, ERR_INVALID, -EINVAL,
		       "record `" SNAP_MACHINE "' 0 does not fit the configuration: %u vCPUs and "
		       "%llu MiB in %u regions",
		       conf->vcpu_count, (unsigned long long)conf->mem_size_mib, ram.n);
}

static int read_config(struct snap_in *in, struct conf_file *file, struct err *e)
{
	struct state_in s;
	int r = snap_take(in, SNAP_CONFIG, 0, &s, e);

	if (r < 0)
		return r;
	r = conf_file_parse((const char *)s.buf, s.len, file, e);
	return r < 0 ? err_wrap(e, "record `" SNAP_CONFIG "' 0") : 0;
}

int snapshot_config(struct snap_in *in, struct conf_config *ret, struct err *e)
{
	autofree struct conf_file *file = FAULT(-ENOMEM) < 0 ? NULL : malloc(sizeof(*file));
	int r;

	if (!file)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "no memory for the configuration");
	r = read_config(in, file, e);
	if (r < 0)
		return r;
	/* No template any more: its result is in the records of the vCPUs. */
	file->config.has_cpu = false;
	memset(&file->config.cpu, 0, sizeof(file->config.cpu));
	r = read_caps(in, &file->config, e);
	if (r == 0)
		r = check_machine(in, &file->config.machine, e);
	if (r < 0) {
		conf_file_fini(file);
		return r;
	}
	*ret = file->config;
	return 0;
}

/* --- for people ------------------------------------------------------------- */

static void describe_records(const struct snap_in *in, struct text *t)
{
	for (uint32_t i = 0; i < in->nrecords; i++) {
		const struct snap_record *r = &in->record[i];

		text_fmt(t, "%-*s %3u %8u bytes%s%s\n", SNAP_NAME, r->name, r->instance, r->len,
			 r->optional ? ", optional" : "", r->known ? "" : ", unknown");
	}
}

int snapshot_describe(const void *data, size_t len, struct text *t, struct err *e)
{
	struct snap_version v = { 0 };
	struct snap_in in;
	int r = snap_in_version(data, len, &v, e);

	if (r < 0)
		return r;
	text_fmt(t, "v%u.%u.%u\n", v.major, v.minor, v.patch);
	r = snapshot_open(data, len, &in, e);
	if (r < 0)
		return r;
	describe_records(&in, t);
	snap_in_fini(&in);
	return 0;
}
