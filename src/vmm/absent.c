/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/absent.h"

#include "vmm/state.h"

static int refuse(const char *what, struct err *e)
{
	return err_set(e, ERR_INVALID, -EOPNOTSUPP, "%s is not part of this version of wisp.",
		       what);
}

int absent_balloon(struct vmm *vmm, const struct action *a, struct err *e)
{
	int r = conf_balloon_check(&a->balloon, vmm->config.machine.mem_size_mib, e);

	return r < 0 ? r : refuse("The balloon device", e);
}

int absent_pmem(struct vmm *vmm, const struct action *a, struct err *e)
{
	const struct conf_config *c = &vmm->config;

	if (a->pmem.root_device && c->ndrives > 0 && c->drives[0]->is_root_device)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "Attempt to add pmem as a root device while the root device "
			       "defined as a block device");
	return refuse("The persistent memory device", e);
}

int absent_memory_hotplug(struct vmm *vmm, const struct action *a, struct err *e)
{
	(void)vmm;
	(void)a;
	return refuse("Memory hotplug", e);
}

int absent_balloon_request(struct vmm *vmm, const struct action *a, struct err *e)
{
	(void)vmm;
	(void)a;
	return err_set(e, ERR_INVALID, -ENODEV, "No balloon device found.");
}

int absent_pmem_request(struct vmm *vmm, const struct action *a, struct err *e)
{
	(void)vmm;
	(void)a;
	return err_set(e, ERR_INVALID, -ENODEV, "No pmem device found.");
}

int absent_memory_hotplug_request(struct vmm *vmm, const struct action *a, struct err *e)
{
	(void)vmm;
	(void)a;
	return err_set(e, ERR_INVALID, -ENODEV, "No memory hotplug device found.");
}

int absent_unplug(struct vmm *vmm, const struct action *a, struct err *e)
{
	(void)vmm;
	(void)a;
	return err_set(e, ERR_INVALID, -EOPNOTSUPP, "PCI is not enabled");
}
