/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /mmds/config: which interfaces reach the metadata service, and how it answers. Whether
 * there are such interfaces is for the whole configuration to say.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "base/text.h"
#include "conf/id.h"

enum { CONF_MMDS_INTERFACES_MAX = 17 }; /* as many as a machine may have */

enum conf_mmds_version {
	CONF_MMDS_V1,
	CONF_MMDS_V2,
};

struct conf_mmds {
	enum conf_mmds_version version;
	bool imds_compat;
	uint32_t ipv4_address; /* as a number: 169.254.169.254 is 0xa9fea9fe */
	unsigned ninterfaces;  /* each once, in the order in which they were given */
	char interfaces[CONF_MMDS_INTERFACES_MAX][CONF_ID_MAX + 1];
};

/*
 * The body of a PUT, decoded and checked. On error *ret is undefined, but its version
 * says what was asked for when the body could be decoded. Messages of the check have no
 * prefix.
 */
must_check int conf_mmds_parse(const char *body, size_t len, struct conf_mmds *ret, struct err *e);

/* -EINVAL in the contract's words: an interface of the list does not exist. */
must_check int conf_mmds_refuse_interface(struct err *e);

must_check bool conf_mmds_has(const struct conf_mmds *m, const char *iface_id);

/* Takes an interface off the list. No-op when it is not on it. */
void conf_mmds_drop(struct conf_mmds *m, const char *iface_id);

void conf_mmds_print(struct text *t, const struct conf_mmds *m);
