/* SPDX-License-Identifier: Apache-2.0 */
#include "api/metrics.h"

#include <string.h>

#define GET_NAME(name, path)   #name,
#define BOTH_NAMES(name, path) #name "_count", #name "_fails",

static const char *const get_names[] = { API_GET_METRICS(GET_NAME) };
static const char *const put_names[] = { API_PUT_METRICS(BOTH_NAMES) };
static const char *const patch_names[] = { API_PATCH_METRICS(BOTH_NAMES) };
static const char *const deprecated_names[] = { "deprecated_http_api_calls" };

const struct metrics_shape api_get_shape = METRICS_SHAPE("get_api_requests", get_names,
							 struct api_get_metrics);
const struct metrics_shape api_put_shape = METRICS_SHAPE("put_api_requests", put_names,
							 struct api_put_metrics);
const struct metrics_shape api_patch_shape = METRICS_SHAPE("patch_api_requests", patch_names,
							   struct api_patch_metrics);
const struct metrics_shape api_deprecated_shape = METRICS_SHAPE("deprecated_api", deprecated_names,
								struct api_deprecated_metrics);

#define OFF(member) offsetof(struct api_metrics, member)

/* The first part of a path and its counters; fails 0: there is none. */
static const struct row {
	enum route_method method;
	const char *first;
	uint16_t count, fails;
} rows[] = {
#define X(name, path) { ROUTE_GET, path, OFF(get.name), 0 },
	API_GET_METRICS(X)
#undef X
#define X(name, path) { ROUTE_PUT, path, OFF(put.name##_count), OFF(put.name##_fails) },
		API_PUT_METRICS(X)
#undef X
#define X(name, path) { ROUTE_PATCH, path, OFF(patch.name##_count), OFF(patch.name##_fails) },
			API_PATCH_METRICS(X)
#undef X
};

static counter_t *counter_at(struct api_metrics *m, uint16_t offset)
{
	return (counter_t *)((char *)m + offset);
}

counter_t *api_metrics_count(struct api_metrics *m, enum route_method method, const char *target)
{
	struct route_token first;

	route_split(target, &first, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];

		if (row->method != method || !route_token_is(first, row->first))
			continue;
		counter_inc(counter_at(m, row->count));
		return row->fails ? counter_at(m, row->fails) : NULL;
	}
	return NULL;
}

int api_metrics_init(struct api_metrics *m, struct err *e)
{
	const struct metrics_group groups[] = {
		{ .shape = &api_get_shape, .counters = &m->get },
		{ .shape = &api_put_shape, .counters = &m->put },
		{ .shape = &api_patch_shape, .counters = &m->patch },
		{ .shape = &api_deprecated_shape, .counters = &m->deprecated },
	};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(groups); i++) {
		m->group[i] = groups[i];
		r = metrics_add(&m->group[i]);
	}
	if (r == 0)
		return 0;
	api_metrics_fini(m);
	return err_set(e, ERR_INTERNAL, r, "The API's metrics cannot be made: out of memory");
}

void api_metrics_fini(struct api_metrics *m)
{
	for (unsigned i = 0; i < ARRAY_SIZE(m->group); i++)
		metrics_remove(&m->group[i]);
}
