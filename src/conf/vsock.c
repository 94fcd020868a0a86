/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/vsock.h"

#include "conf/decode.h"

/* virtio 1.2, 5.10.4: those below are reserved or the host's, the last one is "any". */
#define CID_FIRST UINT32_C(3)
#define CID_LAST  (UINT32_MAX - 1)

#define GUEST_CID \
	JSON_ROW("guest_cid", JSON_UINT, conf_vsock, guest_cid, .shown = "u32", .required = true)
#define UDS_PATH                                                                  \
	JSON_ROW("uds_path", JSON_STRING, conf_vsock, uds_path, .required = true, \
		 .too_long = "The uds_path has more than 107 characters.")

static const struct json_field fields[] = {
	JSON_ROW("vsock_id", JSON_STRING, conf_vsock, vsock_id, .nullable = true,
		 .too_long = "The vsock_id has more than 64 characters.",
		 JSON_HAS(conf_vsock, has_vsock_id)),
	GUEST_CID,
	UDS_PATH,
};

static const struct json_table table = {
	.name = "struct VsockDeviceConfig",
	JSON_FIELDS(fields),
	.strict = true,
};

static const struct json_field shown_fields[] = { GUEST_CID, UDS_PATH };

static const struct json_table shown_table = {
	.name = "struct VsockDeviceConfig",
	JSON_FIELDS(shown_fields),
};

static int check(const struct conf_vsock *c, struct err *e)
{
	if (c->guest_cid < CID_FIRST || c->guest_cid > CID_LAST)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The guest_cid is %u; a guest has one from %u to %u.", c->guest_cid,
			       CID_FIRST, CID_LAST);
	if (c->uds_path[0] == '\0')
		return err_set(e, ERR_INVALID, -EINVAL, "The uds_path is empty.");
	return 0;
}

int conf_vsock_decode(struct json_value v, struct conf_vsock *ret, bool *ret_deprecated,
		      struct err *e)
{
	int r;

	*ret = (struct conf_vsock){ 0 };
	r = json_decode(v, &table, ret, NULL, e);
	*ret_deprecated = ret->has_vsock_id;
	return r < 0 ? r : check(ret, e);
}

int conf_vsock_parse(const char *body, size_t len, struct conf_vsock *ret, bool *ret_deprecated,
		     struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : conf_vsock_decode(json_root(doc), ret, ret_deprecated, e);
}

void conf_vsock_print(struct text *t, const struct conf_vsock *c)
{
	json_encode(t, &shown_table, c);
}
