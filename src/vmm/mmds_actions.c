/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/mmds_actions.h"

#include "mmds/mmds.h"
#include "vmm/state.h"

/* Once a machine runs, only one that reaches the service has any (contract, 1.3). */
static bool has_store(const struct vmm *vmm)
{
	return vmm->state == VMM_NOT_STARTED || vmm->config.has_mmds;
}

const char *mmds_shown(const struct vmm *vmm)
{
	return has_store(vmm) ? mmds_text(vmm->mmds) : NULL;
}

int mmds_put_config(struct vmm *vmm, const struct action *a, struct err *e)
{
	static const enum mmds_version versions[] = {
		[CONF_MMDS_V1] = MMDS_V1,
		[CONF_MMDS_V2] = MMDS_V2,
	};
	const struct conf_mmds *conf = &a->mmds_config;
	int r = conf_config_put_mmds(&vmm->config, conf, e);

	if (r == 0)
		mmds_configure(vmm->mmds, versions[conf->version], conf->imds_compat);
	return r;
}

static int change(struct vmm *vmm, const struct action *a,
		  int (*by)(struct mmds *mmds, struct mmds_doc *doc, struct err *e), struct err *e)
{
	int r;

	if (has_store(vmm))
		r = by(vmm->mmds, mmds_doc_ref(a->mmds), e);
	else
		r = err_set(e, ERR_STATE, -ENODATA, "The MMDS data store is not initialized.");
	if (r == 0)
		return 0;
	return err_wrap(e, e->kind == ERR_TOO_LARGE ? "MMDS limit exceeded error" : "MMDS error");
}

int mmds_put_document(struct vmm *vmm, const struct action *a, struct err *e)
{
	return change(vmm, a, mmds_put, e);
}

int mmds_patch_document(struct vmm *vmm, const struct action *a, struct err *e)
{
	return change(vmm, a, mmds_patch, e);
}
