/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /snapshot/create and /snapshot/load: where a paused machine is written to, and where
 * another process takes it from. Whether the files are there is for the vmm to find.
 *
 * Decoding errors carry -EBADMSG; errors of meaning -EINVAL and no prefix ("Create
 * snapshot error: "): who answers puts it there.
 */
#pragma once

#include "base/cc.h"
#include "base/err.h"
#include "conf/boot_source.h"
#include "conf/id.h"
#include "conf/machine.h"

enum conf_snapshot_type {
	CONF_SNAPSHOT_DIFF,
	CONF_SNAPSHOT_FULL,
};

struct conf_snapshot_create {
	char snapshot_path[CONF_PATH_MAX];
	char mem_file_path[CONF_PATH_MAX];
	enum conf_snapshot_type snapshot_type;
};

enum conf_mem_backend_type {
	CONF_MEM_FILE,
	CONF_MEM_UFFD,
};

struct conf_mem_backend {
	char backend_path[CONF_PATH_MAX];
	enum conf_mem_backend_type backend_type;
};

#define CONF_NETWORK_OVERRIDES_MAX 17

struct conf_network_override {
	char iface_id[CONF_ID_MAX + 1];
	char host_dev_name[16]; /* as long as an interface's name */
};

struct conf_vsock_override {
	char uds_path[108]; /* as long as sun_path */
};

enum conf_snapshot_pages {
	CONF_SNAPSHOT_PAGES_SAVED, /* as the machine had when it was saved */
	CONF_SNAPSHOT_PAGES_NONE,
	CONF_SNAPSHOT_PAGES_TRANSPARENT,
	CONF_SNAPSHOT_PAGES_2M,
};

struct conf_snapshot_load { /* 16 KiB: not for the stack */
	char snapshot_path[CONF_PATH_MAX];
	struct conf_mem_backend mem; /* from either of the two fields */
	bool track_dirty_pages;	     /* likewise */
	bool resume_vm;
	bool clock_realtime;
	enum conf_snapshot_pages huge_pages;
	unsigned nnetworks;
	struct conf_network_override network[CONF_NETWORK_OVERRIDES_MAX];
	bool has_vsock;
	struct conf_vsock_override vsock;
};

/* The bodies of the PUTs, decoded and checked. On error *ret is undefined. */
must_check int conf_snapshot_create_parse(const char *body, size_t len,
					  struct conf_snapshot_create *ret, struct err *e);

/* *ret_deprecated: a field was used that Firecracker has announced to drop. */
must_check int conf_snapshot_load_parse(const char *body, size_t len,
					struct conf_snapshot_load *ret, bool *ret_deprecated,
					struct err *e);

/* The pages of a loaded machine, from those that it was saved with. */
enum conf_huge_pages conf_snapshot_pages(const struct conf_snapshot_load *l,
					 enum conf_huge_pages saved);
