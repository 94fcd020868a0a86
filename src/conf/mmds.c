/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/mmds.h"

#include <string.h>

#include "conf/decode.h"

#define IPV4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))
#define IPV4_DEFAULT	 IPV4(169, 254, 169, 254)

static const char *const versions[] = {
	[CONF_MMDS_V1] = "V1",
	[CONF_MMDS_V2] = "V2",
};

struct body {
	enum conf_mmds_version version;
	struct json_value network_interfaces, ipv4_address;
	bool imds_compat;
};

static const struct json_field fields[] = {
	JSON_ROW("version", JSON_ENUM, body, version, JSON_NAMES(versions)),
	JSON_ROW("network_interfaces", JSON_ARRAY, body, network_interfaces, .required = true),
	JSON_ROW("ipv4_address", JSON_ANY, body, ipv4_address, .nullable = true),
	JSON_ROW("imds_compat", JSON_BOOL, body, imds_compat),
};

static const struct json_table table = {
	.name = "struct MmdsConfig",
	JSON_FIELDS(fields),
	.strict = true,
};

/* Four numbers of at most 255 without leading zeros; false for anything else. */
static bool parse_ipv4(const char *s, uint32_t *ret)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 4; i++) {
		unsigned octet = 0, n = 0;

		for (; *s >= '0' && *s <= '9' && n < 3; s++, n++)
			octet = octet * 10 + (unsigned)(*s - '0');
		if (n == 0 || octet > 255 || (n > 1 && s[-(int)n] == '0'))
			return false;
		if (*s++ != (i < 3 ? '.' : '\0'))
			return false;
		v = v << 8 | octet;
	}
	*ret = v;
	return true;
}

static int read_address(struct json_value v, uint32_t *ret, struct err *e)
{
	int r;

	if (!json_given(v))
		return 0;
	r = json_expect(v, JSON_KIND_STRING, "IPv4 address", e);
	if (r < 0)
		return r;
	if (!parse_ipv4(json_string(v), ret))
		return json_refuse(v, "invalid IPv4 address syntax", e);
	return 0;
}

static unsigned index_of(const struct conf_mmds *m, const char *iface_id)
{
	unsigned i;

	for (i = 0; i < m->ninterfaces && strcmp(m->interfaces[i], iface_id) != 0; i++)
		;
	return i;
}

bool conf_mmds_has(const struct conf_mmds *m, const char *iface_id)
{
	return index_of(m, iface_id) < m->ninterfaces;
}

void conf_mmds_drop(struct conf_mmds *m, const char *iface_id)
{
	unsigned at = index_of(m, iface_id);

	if (at == m->ninterfaces)
		return;
	m->ninterfaces--;
	memmove(m->interfaces[at], m->interfaces[at + 1],
		(m->ninterfaces - at) * sizeof(m->interfaces[0]));
}

int conf_mmds_refuse_interface(struct err *e)
{
	return err_set(e, ERR_INVALID, -EINVAL,
		       "The list of network interface IDs provided contains at least one ID that "
		       "does not correspond to any existing network interface.");
}

/* More of them, or longer ones, than there can be do not exist. */
static int add_interface(struct conf_mmds *m, const char *id, struct err *e)
{
	if (conf_mmds_has(m, id))
		return 0;
	if (m->ninterfaces == CONF_MMDS_INTERFACES_MAX || strlen(id) > CONF_ID_MAX)
		return conf_mmds_refuse_interface(e);
	memcpy(m->interfaces[m->ninterfaces++], id, strlen(id) + 1);
	return 0;
}

static int check_types(struct json_value list, struct err *e)
{
	int r = 0;

	json_for_each (v, list)
		if (r == 0)
			r = json_expect(v, JSON_KIND_STRING, "a string", e);
	return r;
}

static int check_address(const struct conf_mmds *m, struct err *e)
{
	/* RFC 3927, 2.1 keeps the first and the last 256 addresses for later. */
	if (m->ipv4_address < IPV4(169, 254, 1, 0) || m->ipv4_address > IPV4(169, 254, 254, 255))
		return err_set(e, ERR_INVALID, -EINVAL, "The MMDS IPv4 address is not link local.");
	return 0;
}

static int read_interfaces(struct json_value list, struct conf_mmds *ret, struct err *e)
{
	int r = 0;

	json_for_each (v, list)
		if (r == 0)
			r = add_interface(ret, json_string(v), e);
	if (r == 0 && ret->ninterfaces == 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The list of network interface IDs that allow forwarding MMDS "
			       "requests is empty.");
	return r;
}

int conf_mmds_decode(struct json_value v, struct conf_mmds *ret, struct err *e)
{
	struct body body = { .version = CONF_MMDS_V1 };
	int r = json_decode(v, &table, &body, NULL, e);

	*ret = (struct conf_mmds){ .version = body.version,
				   .imds_compat = body.imds_compat,
				   .ipv4_address = IPV4_DEFAULT };
	if (r == 0)
		r = check_types(body.network_interfaces, e);
	if (r == 0)
		r = read_address(body.ipv4_address, &ret->ipv4_address, e);
	if (r == 0)
		r = check_address(ret, e);
	return r < 0 ? r : read_interfaces(body.network_interfaces, ret, e);
}

int conf_mmds_parse(const char *body, size_t len, struct conf_mmds *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : conf_mmds_decode(json_root(doc), ret, e);
}

void conf_mmds_print(struct text *t, const struct conf_mmds *m)
{
	text_fmt(t, "{\"version\":\"%s\",\"network_interfaces\":[", versions[m->version]);
	for (unsigned i = 0; i < m->ninterfaces; i++) {
		text_str(t, i > 0 ? "," : "");
		text_json_str(t, m->interfaces[i]);
	}
	text_fmt(t, "],\"ipv4_address\":\"%u.%u.%u.%u\",\"imds_compat\":%s}", m->ipv4_address >> 24,
		 m->ipv4_address >> 16 & 255, m->ipv4_address >> 8 & 255, m->ipv4_address & 255,
		 m->imds_compat ? "true" : "false");
}
