/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/config.h"

#include <string.h>

#include "base/fault.h"
#include "conf/decode.h"

void conf_config_init(struct conf_config *c)
{
	memset(c, 0, sizeof(*c));
	c->machine = conf_machine_default;
}

void conf_config_fini(struct conf_config *c)
{
	while (c->ndrives > 0) {
		free(c->drives[--c->ndrives]);
		c->drives[c->ndrives] = NULL;
	}
	while (c->nnets > 0) {
		free(c->nets[--c->nnets]);
		c->nets[c->nnets] = NULL;
	}
}

static unsigned drive_index(const struct conf_config *c, const char *drive_id)
{
	unsigned i;

	for (i = 0; i < c->ndrives && strcmp(c->drives[i]->drive_id, drive_id) != 0; i++)
		;
	return i;
}

struct conf_drive *conf_config_find_drive(struct conf_config *c, const char *drive_id)
{
	unsigned i = drive_index(c, drive_id);

	return i < c->ndrives ? c->drives[i] : NULL;
}

int conf_config_put_drive(struct conf_config *c, const struct conf_drive *d, struct err *e)
{
	unsigned at = drive_index(c, d->drive_id);
	bool has_root = c->ndrives > 0 && c->drives[0]->is_root_device;
	struct conf_drive *copy = NULL;

	if (d->is_root_device && has_root && at != 0)
		return err_set(e, ERR_INVALID, -EINVAL, "A root block device already exists!");
	if (at == CONF_DRIVES_MAX)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "Drive `%s` cannot be added: a machine has at most %d drives.",
			       d->drive_id, CONF_DRIVES_MAX);
	if (FAULT(-ENOMEM) == 0)
		copy = malloc(sizeof(*copy));
	if (!copy)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "no memory for drive `%s'", d->drive_id);
	*copy = *d;
	free(c->drives[at]);
	c->drives[at] = copy;
	if (at == c->ndrives) {
		c->ndrives++;
		if (d->is_root_device) {
			memmove(&c->drives[1], &c->drives[0], at * sizeof(c->drives[0]));
			c->drives[0] = copy;
		}
	} else if (d->is_root_device) {
		/* they change places, as clients that count /dev/vdX expect */
		c->drives[at] = c->drives[0];
		c->drives[0] = copy;
	}
	return 0;
}

static unsigned net_index(const struct conf_config *c, const char *iface_id)
{
	unsigned i;

	for (i = 0; i < c->nnets && strcmp(c->nets[i]->iface_id, iface_id) != 0; i++)
		;
	return i;
}

struct conf_net *conf_config_find_net(struct conf_config *c, const char *iface_id)
{
	unsigned i = net_index(c, iface_id);

	return i < c->nnets ? c->nets[i] : NULL;
}

int conf_config_check_net(const struct conf_config *c, const struct conf_net *n, struct err *e)
{
	unsigned at = net_index(c, n->iface_id);

	for (unsigned i = 0; i < c->nnets; i++) {
		const struct conf_net *other = c->nets[i];

		if (i == at)
			continue;
		if (n->has_guest_mac && other->has_guest_mac &&
		    memcmp(n->mac, other->mac, sizeof(n->mac)) == 0)
			return err_set(e, ERR_INVALID, -EINVAL,
				       "The MAC address is already in use: %s", n->guest_mac);
		if (conf_net_kind(n) == conf_net_kind(other) &&
		    strcmp(conf_net_source(n), conf_net_source(other)) == 0)
			return err_set(e, ERR_INVALID, -EINVAL,
				       "The host device `%s` is already in use by interface `%s`.",
				       conf_net_source(n), other->iface_id);
	}
	if (at == CONF_NETS_MAX)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "Interface `%s` cannot be added: a machine has at most %d.",
			       n->iface_id, CONF_NETS_MAX);
	return 0;
}

int conf_config_put_net(struct conf_config *c, const struct conf_net *n, struct err *e)
{
	unsigned at = net_index(c, n->iface_id);
	int r = conf_config_check_net(c, n, e);
	struct conf_net *copy = NULL;

	if (r < 0)
		return r;
	if (FAULT(-ENOMEM) == 0)
		copy = malloc(sizeof(*copy));
	if (!copy)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "no memory for interface `%s'",
			       n->iface_id);
	*copy = *n;
	free(c->nets[at]);
	c->nets[at] = copy;
	c->nnets += at == c->nnets;
	return 0;
}

int conf_config_put_mmds(struct conf_config *c, const struct conf_mmds *m, struct err *e)
{
	for (unsigned i = 0; i < m->ninterfaces; i++)
		if (!conf_config_find_net(c, m->interfaces[i]))
			return conf_mmds_refuse_interface(e);
	c->mmds = *m;
	c->has_mmds = true;
	return 0;
}

void conf_config_drop_net(struct conf_config *c, const char *iface_id)
{
	unsigned at = net_index(c, iface_id);

	if (at == c->nnets)
		return;
	conf_mmds_drop(&c->mmds, iface_id);
	c->has_mmds = c->has_mmds && c->mmds.ninterfaces > 0;
	free(c->nets[at]);
	c->nnets--;
	memmove(&c->nets[at], &c->nets[at + 1], (c->nnets - at) * sizeof(c->nets[0]));
	c->nets[c->nnets] = NULL;
}

void conf_config_print(struct text *t, const struct conf_config *c)
{
	text_str(t, "{\"balloon\":null,\"drives\":[");
	for (unsigned i = 0; i < c->ndrives; i++) {
		text_str(t, i > 0 ? "," : "");
		conf_drive_print(t, c->drives[i]);
	}
	text_str(t, "],\"boot-source\":");
	if (c->has_boot_source)
		conf_boot_source_print(t, &c->boot_source);
	else
		text_str(t, "null");
	text_str(t, ",\"cpu-config\":null,\"logger\":null,\"machine-config\":");
	conf_machine_print(t, &c->machine);
	text_str(t, ",\"metrics\":null,\"mmds-config\":");
	if (c->has_mmds)
		conf_mmds_print(t, &c->mmds);
	else
		text_str(t, "null");
	text_str(t, ",\"network-interfaces\":[");
	for (unsigned i = 0; i < c->nnets; i++) {
		text_str(t, i > 0 ? "," : "");
		conf_net_print(t, c->nets[i]);
	}
	text_str(t, "],\"vsock\":");
	if (c->has_vsock)
		conf_vsock_print(t, &c->vsock);
	else
		text_str(t, "null");
	text_str(t, ",\"entropy\":");
	if (c->has_entropy)
		conf_entropy_print(t, &c->entropy);
	else
		text_str(t, "null");
	text_str(t, ",\"pmem\":[],\"memory-hotplug\":null}");
}
