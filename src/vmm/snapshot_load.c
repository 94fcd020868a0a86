/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot_load.h"

#include <string.h>

#include "vmm/snapshot.h"
#include "vmm/snapshot_file.h"

void snapshot_load_fini(struct snapshot_load *load)
{
	snap_in_fini(&load->in);
	free(load->data);
	fd_close_(&load->memory_fd);
	*load = (struct snapshot_load){ .memory_fd = -1 };
}

static int override_networks(const struct conf_snapshot_load *conf, struct conf_config *config,
			     struct err *e)
{
	for (unsigned i = 0; i < conf->nnetworks; i++) {
		const struct conf_network_override *by = &conf->network[i];
		struct conf_net *net = conf_config_find_net(config, by->iface_id);

		if (!net)
			return err_set(e, ERR_INVALID, -ENODEV, "Unknown Network Device. `%s`",
				       by->iface_id);
		memcpy(net->host_dev_name, by->host_dev_name, sizeof(net->host_dev_name));
		net->host_dev_fd[0] = net->socket_path[0] = '\0';
	}
	return 0;
}

/* What the request changes of the configuration that was saved. */
static int apply_overrides(const struct conf_snapshot_load *conf, struct conf_config *config,
			   struct err *e)
{
	config->machine.track_dirty_pages = conf->track_dirty_pages;
	config->machine.huge_pages = conf_snapshot_pages(conf, config->machine.huge_pages);
	/* A view of a file is nobody else's memory. */
	config->machine.shared_memory = false;
	if (config->machine.huge_pages == CONF_HUGE_PAGES_2M)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "Cannot restore hugetlbfs backed snapshot by mapping the memory "
			       "file. Please use uffd.");
	if (conf->has_vsock && !config->has_vsock)
		return err_set(e, ERR_INVALID, -ENODEV, "Unknown Vsock Device.");
	if (conf->has_vsock)
		memcpy(config->vsock.uds_path, conf->vsock.uds_path,
		       sizeof(config->vsock.uds_path));
	return override_networks(conf, config, e);
}

static int read_state(const char *path, struct snapshot_load *load, struct conf_config *config,
		      struct err *e)
{
	size_t len = 0;
	int r = snap_file_read(path, &load->data, &len, e);

	if (r == 0)
		r = snapshot_open(load->data, len, &load->in, e);
	if (r == 0)
		r = snapshot_config(&load->in, config, e);
	return r < 0 ? err_wrap(e, "Failed to get snapshot state from file") : 0;
}

int snapshot_load_prepare(struct vmm *vmm, const struct conf_snapshot_load *conf,
			  struct snapshot_load *load, struct err *e)
{
	autofree struct conf_config *config = calloc(1, sizeof(*config));
	int r;

	*load = (struct snapshot_load){ .memory_fd = -1 };
	if (!config)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "out of memory");
	r = read_state(conf->snapshot_path, load, config, e);
	if (r < 0)
		return r;
	r = apply_overrides(conf, config, e);
	if (r == 0)
		r = snap_memory_open(conf->mem.backend_path, config->machine.mem_size_mib << 20,
				     &load->memory_fd, e);
	if (r == 0)
		r = vmm_configure_loaded(vmm, config, e);
	conf_config_fini(config);
	return r;
}
