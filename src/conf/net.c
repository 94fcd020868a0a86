/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/net.h"

#include <string.h>

#include "conf/decode.h"

#define ID_TOO_LONG  "The interface ID has more than 64 characters."
#define TAP_TOO_LONG "The host_dev_name has more than 15 characters, which no interface has."
#define BAD_MAC	     "The provided MAC address is invalid."

static const struct json_field fields[] = {
	JSON_ROW("iface_id", JSON_STRING, conf_net, iface_id, .required = true,
		 .too_long = ID_TOO_LONG),
	JSON_ROW("host_dev_name", JSON_STRING, conf_net, host_dev_name, .required = true,
		 .too_long = TAP_TOO_LONG),
	JSON_ROW("guest_mac", JSON_STRING, conf_net, guest_mac, .nullable = true,
		 .too_long = BAD_MAC, JSON_HAS(conf_net, has_guest_mac)),
	JSON_ROW("mtu", JSON_UINT, conf_net, mtu, .shown = "u16", .nullable = true,
		 JSON_HAS(conf_net, has_mtu)),
	JSON_ROW("rx_rate_limiter", JSON_OBJECT, conf_net, rx_rate_limiter, .nullable = true,
		 .table = &conf_rate_limiter_table, JSON_HAS(conf_net, has_rx_rate_limiter)),
	JSON_ROW("tx_rate_limiter", JSON_OBJECT, conf_net, tx_rate_limiter, .nullable = true,
		 .table = &conf_rate_limiter_table, JSON_HAS(conf_net, has_tx_rate_limiter)),
	JSON_ROW("host_dev_fd", JSON_STRING, conf_net, host_dev_fd, .instead_of = 1, .ours = true),
	JSON_ROW("socket_path", JSON_STRING, conf_net, socket_path, .instead_of = 1, .ours = true),
};

static const struct json_table table = {
	.name = "struct NetworkInterfaceConfig",
	JSON_FIELDS(fields),
	.strict = true,
};

static const struct json_field patch_fields[] = {
	JSON_ROW("iface_id", JSON_STRING, conf_net_patch, iface_id, .required = true,
		 .too_long = ID_TOO_LONG),
	JSON_ROW("rx_rate_limiter", JSON_OBJECT, conf_net_patch, rx_rate_limiter, .nullable = true,
		 .table = &conf_rate_limiter_table, JSON_HAS(conf_net_patch, has_rx_rate_limiter)),
	JSON_ROW("tx_rate_limiter", JSON_OBJECT, conf_net_patch, tx_rate_limiter, .nullable = true,
		 .table = &conf_rate_limiter_table, JSON_HAS(conf_net_patch, has_tx_rate_limiter)),
};

static const struct json_table patch_table = {
	.name = "struct NetworkInterfaceUpdateConfig",
	JSON_FIELDS(patch_fields),
	.strict = true,
};

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Six pairs of digits with colons between, made lower case in place. */
static int read_mac(char *text, uint8_t mac[CONF_MAC])
{
	for (char *c = text; *c; c++)
		if (*c >= 'A' && *c <= 'F')
			*c = (char)(*c - 'A' + 'a');
	for (unsigned i = 0; i < CONF_MAC; i++) {
		char *pair = text + 3 * (size_t)i;
		int high = digit_of(pair[0]), low = high < 0 ? -1 : digit_of(pair[1]);

		if (low < 0 || pair[2] != (i + 1 < CONF_MAC ? ':' : '\0'))
			return -EINVAL;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static int check_mac(struct conf_net *n, struct err *e)
{
	if (!n->has_guest_mac)
		return 0;
	if (read_mac(n->guest_mac, n->mac) < 0)
		return err_set(e, ERR_INVALID, -EBADMSG, BAD_MAC);
	/* No driver would take it for its own (IEEE 802, 8.2). */
	if (n->mac[0] & 1)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The guest_mac %s of interface `%s` is a group's address.",
			       n->guest_mac, n->iface_id);
	return 0;
}

/* What the kernel would take for a pattern, or refuse. */
static int check_tap(const struct conf_net *n, struct err *e)
{
	for (const char *c = n->host_dev_name; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '/' || *c == ':' || *c == '%')
			return err_set(e, ERR_INVALID, -EINVAL,
				       "The host_dev_name of interface `%s` has a character that "
				       "no interface's name has.",
				       n->iface_id);
	if (strcmp(n->host_dev_name, ".") == 0 || strcmp(n->host_dev_name, "..") == 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The host_dev_name of interface `%s` is `%s`.", n->iface_id,
			       n->host_dev_name);
	return 0;
}

static int check_source(const struct conf_net *n, struct err *e)
{
	unsigned given = (n->host_dev_name[0] != '\0') + (n->host_dev_fd[0] != '\0') +
			 (n->socket_path[0] != '\0');

	if (given == 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The host_dev_name of interface `%s` is empty.", n->iface_id);
	if (given > 1)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "Interface `%s` has more than one of host_dev_name, host_dev_fd and "
			       "socket_path.",
			       n->iface_id);
	return check_tap(n, e);
}

static int check(struct conf_net *n, struct err *e)
{
	int r = conf_id_check(n->iface_id, e);

	if (r == 0)
		r = check_mac(n, e);
	if (r < 0)
		return r;
	if (n->has_mtu && n->mtu < CONF_MTU_MIN)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "The mtu of interface `%s` is %u: it must be %d to 65535.",
			       n->iface_id, n->mtu, CONF_MTU_MIN);
	return check_source(n, e);
}

int conf_net_decode(struct json_value v, struct conf_net *ret, struct err *e)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = json_decode(v, &table, ret, NULL, e);
	if (r < 0)
		return r;
	conf_rate_limiter_normalise(&ret->rx_rate_limiter);
	conf_rate_limiter_normalise(&ret->tx_rate_limiter);
	ret->has_rx_rate_limiter = conf_rate_limiter_enabled(&ret->rx_rate_limiter);
	ret->has_tx_rate_limiter = conf_rate_limiter_enabled(&ret->tx_rate_limiter);
	return check(ret, e);
}

int conf_net_parse(const char *body, size_t len, struct conf_net *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	return r < 0 ? r : conf_net_decode(json_root(doc), ret, e);
}

int conf_net_patch_parse(const char *body, size_t len, struct conf_net_patch *ret, struct err *e)
{
	auto_json struct json_doc *doc = NULL;
	int r = json_parse(body, len, &doc, e);

	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	r = json_decode(json_root(doc), &patch_table, ret, NULL, e);
	return r < 0 ? r : conf_id_check(ret->iface_id, e);
}

void conf_net_patch_apply(const struct conf_net_patch *patch, struct conf_net *inout)
{
	if (patch->has_rx_rate_limiter)
		conf_rate_limiter_update(&inout->rx_rate_limiter, &patch->rx_rate_limiter);
	if (patch->has_tx_rate_limiter)
		conf_rate_limiter_update(&inout->tx_rate_limiter, &patch->tx_rate_limiter);
	inout->has_rx_rate_limiter = conf_rate_limiter_enabled(&inout->rx_rate_limiter);
	inout->has_tx_rate_limiter = conf_rate_limiter_enabled(&inout->tx_rate_limiter);
}

enum conf_net_kind conf_net_kind(const struct conf_net *n)
{
	if (n->socket_path[0] != '\0')
		return CONF_NET_SOCKET;
	return n->host_dev_fd[0] != '\0' ? CONF_NET_FD : CONF_NET_TAP;
}

const char *conf_net_source(const struct conf_net *n)
{
	switch (conf_net_kind(n)) {
	case CONF_NET_SOCKET:
		return n->socket_path;
	case CONF_NET_FD:
		return n->host_dev_fd;
	case CONF_NET_TAP:
		break;
	}
	return n->host_dev_name;
}

void conf_net_print(struct text *t, const struct conf_net *n)
{
	json_encode(t, &table, n);
}
