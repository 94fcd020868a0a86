/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that is configured about one machine, and the file that can say it all
 * at once (--config-file). GET /vm/config prints the same sections.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "base/text.h"
#include "conf/boot_source.h"
#include "conf/cpu.h"
#include "conf/drive.h"
#include "conf/entropy.h"
#include "conf/logger.h"
#include "conf/machine.h"
#include "conf/metrics.h"
#include "conf/mmds.h"
#include "conf/net.h"
#include "conf/vsock.h"

/* Devices that have an interrupt on virtio-mmio (contract, 2.1). */
#define CONF_DRIVES_MAX 17
#define CONF_NETS_MAX	17

/* Bytes that conf_config_print() needs at most. */
#define CONF_CONFIG_TEXT_MAX (512U << 10)

struct conf_config { /* 22 KiB and more: not for the stack */
	struct conf_machine machine;
	bool has_cpu; /* then machine.cpu_template is none: the one put last counts */
	struct conf_cpu cpu;
	bool has_boot_source;
	struct conf_boot_source boot_source;
	unsigned ndrives;
	struct conf_drive *drives[CONF_DRIVES_MAX]; /* owned; the root device first */
	unsigned nnets;
	struct conf_net *nets[CONF_NETS_MAX]; /* owned; as they were put first */
	bool has_vsock;
	struct conf_vsock vsock;
	bool has_mmds;
	struct conf_mmds mmds; /* of interfaces that there are */
	bool has_entropy;
	struct conf_entropy entropy;
};

void conf_config_init(struct conf_config *c);
void conf_config_fini(struct conf_config *c); /* may be called again */

/*
 * Adds a copy of a checked drive; one of the same id is replaced where it stands. A
 * root device moves to the front. On error nothing changes: a second root device,
 * more than CONF_DRIVES_MAX, or -ENOMEM.
 */
must_check int conf_config_put_drive(struct conf_config *c, const struct conf_drive *d,
				     struct err *e);

/* NULL: no such drive. */
struct conf_drive *conf_config_find_drive(struct conf_config *c, const char *drive_id);

/*
 * Adds a copy of a checked interface; one of the same id is replaced where it stands. On
 * error nothing changes: an address or a host device that another one has, more than
 * CONF_NETS_MAX, or -ENOMEM. The check alone says all but the last.
 */
must_check int conf_config_check_net(const struct conf_config *c, const struct conf_net *n,
				     struct err *e);
must_check int conf_config_put_net(struct conf_config *c, const struct conf_net *n, struct err *e);

/* NULL: no such interface. */
struct conf_net *conf_config_find_net(struct conf_config *c, const char *iface_id);

/*
 * The metadata service of interfaces that there are; -EINVAL, and nothing changed, when
 * one of them is not there.
 */
must_check int conf_config_put_mmds(struct conf_config *c, const struct conf_mmds *m,
				    struct err *e);

/* Also as one of the metadata service's. No-op without such an interface. */
void conf_config_drop_net(struct conf_config *c, const char *iface_id);

/* The reply of GET /vm/config. */
void conf_config_print(struct text *t, const struct conf_config *c);

struct conf_file { /* not for the stack */
	struct conf_config config;
	/* "cpu-config" by name: who can read files puts it into config.cpu; "": none. */
	char cpu_config_path[CONF_PATH_MAX];
	bool has_logger;
	struct conf_logger logger;
	bool has_metrics;
	struct conf_metrics metrics;
};

/*
 * The text of a --config-file, decoded and checked. Unknown sections are ignored, as
 * the contract has it; known ones that this version cannot serve are refused by name.
 * On success the caller calls conf_file_fini(); on error there is nothing to free and
 * *ret is undefined.
 */
must_check int conf_file_parse(const char *text, size_t len, struct conf_file *ret, struct err *e);
void conf_file_fini(struct conf_file *f);
