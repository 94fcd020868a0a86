/* SPDX-License-Identifier: Apache-2.0 */
#include "mmds/mmds.h"

#include <string.h>

#include "base/fault.h"
#include "base/random.h"
#include "mmds/service.h"

static const char *const metrics_names[] = { MMDS_METRICS(METRICS_NAME) };

const struct metrics_shape mmds_metrics_shape = METRICS_SHAPE("mmds", metrics_names,
							      struct mmds_metrics);

static int init(struct mmds *mmds, const char *instance_id, struct err *e)
{
	int r = mmds_tokens_init(&mmds->tokens, instance_id, e);

	if (r < 0)
		return r;
	r = random_fill(mmds->isn_key, sizeof(mmds->isn_key));
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "keys of the metadata service: getrandom: %s",
			       strerror(-r));
	r = mmds_doc_none(&mmds->doc, e);
	if (r < 0)
		return r;
	mmds->group = (struct metrics_group){ .shape = &mmds_metrics_shape,
					      .counters = &mmds->count };
	r = metrics_add(&mmds->group);
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "metadata service: no memory for metrics") : 0;
}

int mmds_create(const char *instance_id, size_t limit, struct mmds **ret_mmds, struct err *e)
{
	struct mmds *mmds = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, sizeof(*mmds));
	int r;

	if (!mmds)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "metadata service: out of memory");
	mmds->limit = limit;
	r = init(mmds, instance_id, e);
	if (r < 0) {
		mmds_destroy(mmds);
		return r;
	}
	*ret_mmds = mmds;
	return 0;
}

void mmds_destroy(struct mmds *mmds)
{
	if (!mmds)
		return;
	metrics_remove(&mmds->group);
	mmds_doc_unref(mmds->doc);
	free(mmds);
}

/* Takes the reference over. */
static int replace(struct mmds *mmds, struct mmds_doc *by, struct err *e)
{
	if (mmds_doc_text(by).len > mmds->limit) {
		mmds_doc_unref(by);
		return err_set(e, ERR_TOO_LARGE, -EFBIG, "The MMDS patch request doesn't fit.");
	}
	mmds_doc_unref(mmds->doc);
	mmds->doc = by;
	mmds->initialised = true;
	return 0;
}

int mmds_put(struct mmds *mmds, struct mmds_doc *doc, struct err *e)
{
	return replace(mmds, doc, e);
}

int mmds_patch(struct mmds *mmds, struct mmds_doc *doc, struct err *e)
{
	auto_mmds_doc struct mmds_doc *patch = doc;
	struct mmds_doc *merged = NULL;
	int r;

	if (!mmds->initialised)
		return err_set(e, ERR_STATE, -ENODATA, "The MMDS data store is not initialized.");
	r = mmds_doc_merge(mmds->doc, patch, &merged, e);
	/* Each was read before: together they may still be more than a document may hold. */
	if (r == -EBADMSG)
		return err_set(e, ERR_TOO_LARGE, -EFBIG, "The MMDS patch request doesn't fit.");
	return r < 0 ? r : replace(mmds, merged, e);
}

const char *mmds_text(const struct mmds *mmds)
{
	return mmds_doc_is_none(mmds->doc) ? "{}" : mmds_doc_text(mmds->doc).p;
}

void mmds_configure(struct mmds *mmds, enum mmds_version version, bool imds_compat)
{
	mmds->version = version;
	mmds->imds_compat = imds_compat;
}

const struct mmds_metrics *mmds_metrics(const struct mmds *mmds)
{
	return &mmds->count;
}
