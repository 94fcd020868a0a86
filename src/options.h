/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of wisp: Firecracker's options, by one table.
 *
 * An option is a word and its value is the next one; there is no `=' form, nothing is
 * abbreviated and nothing but --fd may be given twice.
 */
#pragma once

#include "base/err.h"
#include "conf/logger.h"
#include "conf/metrics.h"

#define OPTIONS_SOCKET_DEFAULT "/run/firecracker.socket"
#define OPTIONS_NO_FD	       UINT64_MAX
#define OPTIONS_ID_DEFAULT     "anonymous-instance"
#define OPTIONS_POLL_AS_HOST   UINT64_MAX
#define OPTIONS_POLL_LIMIT_US  1000
#define OPTIONS_FDS_MAX	       32

struct options { /* strings point into argv */
	const char *api_sock;
	const char *parent_death_signal; /* NULL: none */
	const char *id;
	const char *config_file;    /* NULL: none */
	const char *metadata;	    /* NULL: none */
	const char *seccomp_filter; /* NULL: the built-in filters */
	const char *attack;	    /* NULL: none; test builds only */
	const char *seccomp_record; /* likewise */
	bool no_api, no_seccomp, boot_timer;
	bool core_sched;
	bool enable_pci;	       /* asked for, and not to be had */
	const char *describe_snapshot; /* NULL: not asked for */
	bool check_host, snapshot_version, version, help;
	bool json;	 /* the version, for programs */
	bool has_logger; /* an option of the log was given */
	struct conf_logger logger;
	bool has_metrics; /* --metrics-path was given */
	struct conf_metrics metrics;
	uint64_t ready_fd;    /* OPTIONS_NO_FD: none */
	uint64_t max_payload; /* bytes of a request */
	uint64_t poll_max_us; /* OPTIONS_POLL_AS_HOST: not given */
	uint64_t mmds_limit;  /* bytes of metadata */
	unsigned nfds;
	const char *fd[OPTIONS_FDS_MAX]; /* values of --fd, as they are */
	const char *fd_sock;		 /* NULL: none */
	/* Of whoever starts us: on the monotonic clock, on the processor clock; 0: not given. */
	uint64_t start_time_us, start_time_cpu_us, parent_cpu_time_us;
};

/* Parsed and checked. The error names the option. */
must_check int options_parse(int argc, char **argv, struct options *ret_options, struct err *e);

/* The text of --help. */
void options_print_help(void);
