/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that a configuration names, opened when they are named: a wrong path is
 * refused by the request that holds it, and what was checked is what is used.
 *
 * Main thread.
 */
#pragma once

#include "conf/config.h"
#include "conf/serial.h"
#include "devices/virtio/vsock/host.h"

struct files {
	int kernel; /* all owned; -1: none */
	int initrd;
	int console;
	struct vsock_listener vsock;
	unsigned ndrives;
	struct {
		char id[CONF_ID_MAX + 1];
		int fd;
	} drive[CONF_DRIVES_MAX];
	unsigned nnets;
	struct {
		char id[CONF_ID_MAX + 1];
		int fd;
	} net[CONF_NETS_MAX];
};

void files_init(struct files *files);
void files_fini(struct files *files);

/* Opens, then replaces what was open before; on error nothing changes. */
must_check int files_open_boot_source(struct files *files, const struct conf_boot_source *b,
				      struct err *e);
must_check int files_open_console(struct files *files, const struct conf_serial *s, struct err *e);

/* The same; a socket that is the path's already, and is ours, stays. */
must_check int files_open_vsock(struct files *files, const struct conf_vsock *v, struct err *e);

/*
 * The descriptor of a drive, the files' from now on; it replaces what the drive had.
 * There is room for as many drives as a configuration has.
 */
void files_keep_drive(struct files *files, const char *id, int fd);

/* The descriptor of a drive, -1 when it has none. */
must_check int files_drive(const struct files *files, const char *id);

/* The same for network interfaces; -1 closes what there is and frees its place. */
void files_keep_net(struct files *files, const char *id, int fd);
must_check int files_net(const struct files *files, const char *id);
