/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /network-interfaces/{id}: a network device. Whether the body's id is the path's is for
 * the API to compare; whether the tap can be opened is for the machine.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "base/text.h"
#include "conf/id.h"
#include "conf/rate_limiter.h"

enum { CONF_MAC = 6, CONF_MTU_MIN = 68 };

/* Where frames go to; one of the three members below that are not "". */
enum conf_net_kind {
	CONF_NET_TAP,
	CONF_NET_FD,
	CONF_NET_SOCKET,
};

struct conf_net {
	char iface_id[CONF_ID_MAX + 1];
	char host_dev_name[16]; /* of a tap; as long as IFNAMSIZ */
	bool has_guest_mac;
	char guest_mac[18]; /* as it is printed: lower case */
	uint8_t mac[CONF_MAC];
	bool has_mtu;
	uint16_t mtu;
	bool has_rx_rate_limiter, has_tx_rate_limiter;
	struct conf_rate_limiter rx_rate_limiter, tx_rate_limiter; /* normalised */
	char host_dev_fd[CONF_ID_MAX + 1]; /* a tap's descriptor, by the name of --fd; ours */
	char socket_path[108];		   /* passt's socket; ours. As long as sun_path */
};

struct conf_net_patch {
	char iface_id[CONF_ID_MAX + 1];
	bool has_rx_rate_limiter, has_tx_rate_limiter;
	struct conf_rate_limiter rx_rate_limiter, tx_rate_limiter; /* as given */
};

/*
 * The body of a PUT, decoded and checked; -EBADMSG: it could not be decoded. On error
 * *ret is undefined. Messages of the check have no prefix.
 */
must_check int conf_net_parse(const char *body, size_t len, struct conf_net *ret, struct err *e);

/* The body of a PATCH, decoded and its id checked. On error *ret is undefined. */
must_check int conf_net_patch_parse(const char *body, size_t len, struct conf_net_patch *ret,
				    struct err *e);

/* The interface after a PATCH. The ids are not compared. */
void conf_net_patch_apply(const struct conf_net_patch *patch, struct conf_net *inout);

enum conf_net_kind conf_net_kind(const struct conf_net *n);

/* The member that says where frames go to, whichever it is. */
const char *conf_net_source(const struct conf_net *n);

void conf_net_print(struct text *t, const struct conf_net *n);
