/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/log.h"
#include "conf/id.h"

#define MMDS_LIMIT_AS_PAYLOAD UINT64_MAX

enum option_type {
	OPT_FLAG,
	OPT_STRING,
	OPT_U64,
	OPT_LOG_PATH,
	OPT_LEVEL,
	OPT_MODULE,
	OPT_FD,
	OPT_METRICS_PATH
};

static const struct option {
	const char *name;
	enum option_type type;
	uint16_t offset;   /* in struct options */
	const char *value; /* its name in the help; NULL: takes none */
	const char *help;
} table[] = {
#define AT(member) offsetof(struct options, member)
	{ "--api-sock", OPT_STRING, AT(api_sock), "PATH",
	  "Unix socket of the API [" OPTIONS_SOCKET_DEFAULT "]" },
	{ "--id", OPT_STRING, AT(id), "ID",
	  "name of the microVM: letters, digits, hyphens [" OPTIONS_ID_DEFAULT "]" },
	{ "--config-file", OPT_STRING, AT(config_file), "PATH",
	  "configure from a JSON file and start" },
	{ "--metadata", OPT_STRING, AT(metadata), "PATH",
	  "file of JSON that the guest can read from its metadata service" },
	{ "--no-api", OPT_FLAG, AT(no_api), NULL, "serve no API; needs --config-file" },
	{ "--seccomp-filter", OPT_STRING, AT(seccomp_filter), "PATH",
	  "use these filters instead of the built-in ones" },
	{ "--no-seccomp", OPT_FLAG, AT(no_seccomp), NULL, "no filters; for debugging only" },
	{ "--log-path", OPT_LOG_PATH, 0, "PATH", "file or FIFO of the log [standard output]" },
	{ "--level", OPT_LEVEL, 0, "LEVEL", "Off, Error, Warn, Info, Debug or Trace [Info]" },
	{ "--module", OPT_MODULE, 0, "NAME",
	  "log only lines of modules that begin so: api, vmm::life" },
	{ "--show-level", OPT_FLAG, AT(logger.show_level), NULL, "put the level into each line" },
	{ "--show-log-origin", OPT_FLAG, AT(logger.show_log_origin), NULL,
	  "put file and line into each line" },
	{ "--metrics-path", OPT_METRICS_PATH, 0, "PATH", "file or FIFO of the metrics [none]" },
	{ "--ready-fd", OPT_U64, AT(ready_fd), "N",
	  "descriptor that gets a line when the API serves" },
	{ "--parent-death-signal", OPT_STRING, AT(parent_death_signal), "SIGNAL",
	  "HUP, INT, KILL or TERM: what to get when the parent ends" },
	{ "--boot-timer", OPT_FLAG, AT(boot_timer), NULL,
	  "add the device that measures the guest's boot" },
	{ "--core-sched", OPT_FLAG, AT(core_sched), NULL,
	  "share no core with other processes' threads (SMT)" },
	{ "--enable-pci", OPT_FLAG, AT(enable_pci), NULL,
	  "accepted for Firecracker's clients; devices stay on virtio-mmio" },
	{ "--http-api-max-payload-size", OPT_U64, AT(max_payload), "BYTES",
	  "largest body of a request [51200]" },
	{ "--poll-max-us", OPT_U64, AT(poll_max_us), "US",
	  "how long devices poll for work before they sleep; 0: never [64]" },
	{ "--fd", OPT_FD, 0, "NAME=N",
	  "hand descriptor N over to requests that say NAME; may be repeated" },
	{ "--fd-sock", OPT_STRING, AT(fd_sock), "PATH",
	  "Unix socket (SEQPACKET) that descriptors are handed over to" },
	{ "--start-time-us", OPT_U64, AT(start_time_us), "US",
	  "monotonic time when the jailer was started; for the metrics" },
	{ "--start-time-cpu-us", OPT_U64, AT(start_time_cpu_us), "US",
	  "processor time that the process had used then" },
	{ "--parent-cpu-time-us", OPT_U64, AT(parent_cpu_time_us), "US",
	  "processor time that the jailer has used" },
#ifdef WISP_FAULTS
	{ "--attack", OPT_STRING, AT(attack), "KIND:NAME",
	  "test builds: let a confined thread try to get out (jail/attack.h)" },
	{ "--seccomp-record", OPT_STRING, AT(seccomp_record), "PATH",
	  "test builds: count which lines of the policies are used (jail/record.h)" },
#endif
	{ "--mmds-size-limit", OPT_U64, AT(mmds_limit), "BYTES",
	  "largest metadata [as --http-api-max-payload-size]" },
	{ "--check-host", OPT_FLAG, AT(check_host), NULL,
	  "say what this host lacks, and what to do, and exit" },
	{ "--describe-snapshot", OPT_STRING, AT(describe_snapshot), "PATH",
	  "say what a snapshot's state file holds, and exit" },
	{ "--snapshot-version", OPT_FLAG, AT(snapshot_version), NULL,
	  "print the version of the snapshot format and exit" },
	{ "--version", OPT_FLAG, AT(version), NULL, "print the version and exit" },
	{ "--json", OPT_FLAG, AT(json), NULL,
	  "with --version: as one JSON object, and nothing else" },
	{ "--help", OPT_FLAG, AT(help), NULL, "print this and exit" },
#undef AT
};
static_assert(ARRAY_SIZE(table) <= 64, "a bit for each option");

void options_print_help(void)
{
	printf("wisp: runs one microVM, configured and started over HTTP on a Unix socket\n\n");
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		printf("  %s%s%-*s %s\n", table[i].name, table[i].value ? " " : "",
		       (int)(34 - strlen(table[i].name) - (table[i].value ? 1 : 0)),
		       table[i].value ? table[i].value : "", table[i].help);
}

static int parse_u64(const char *name, const char *text, uint64_t *ret, struct err *e)
{
	uint64_t v = 0;

	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*c - '0'), &v))
			return err_set(e, ERR_INVALID, -EINVAL,
				       "Invalid value for argument '%s': `%.64s' is no number of "
				       "64 bits",
				       name, text);
	}
	if (!*text)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "Invalid value for argument '%s': it is empty", name);
	*ret = v;
	return 0;
}

static int copy(const char *name, const char *text, char *to, size_t size, struct err *e)
{
	if (!*text || strlen(text) >= size)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "Invalid value for argument '%s': it must have 1 to %zu bytes", name,
			       size - 1);
	memcpy(to, text, strlen(text) + 1);
	return 0;
}

static int apply(const struct option *o, const char *text, struct options *opt, struct err *e)
{
	void *at = (char *)opt + o->offset;

	switch (o->type) {
	case OPT_FLAG:
		*(bool *)at = true;
		return 0;
	case OPT_STRING:
		*(const char **)at = text;
		return 0;
	case OPT_U64:
		return parse_u64(o->name, text, at, e);
	case OPT_LOG_PATH:
		opt->has_logger = true;
		return copy(o->name, text, opt->logger.log_path, sizeof(opt->logger.log_path), e);
	case OPT_FD:
		if (opt->nfds == ARRAY_SIZE(opt->fd))
			return err_set(e, ERR_INVALID, -E2BIG,
				       "The argument '%s' was provided more than %d times", o->name,
				       OPTIONS_FDS_MAX);
		opt->fd[opt->nfds++] = text;
		return 0;
	case OPT_METRICS_PATH:
		opt->has_metrics = true;
		return copy(o->name, text, opt->metrics.metrics_path,
			    sizeof(opt->metrics.metrics_path), e);
	case OPT_MODULE:
		opt->has_logger = true;
		return copy(o->name, text, opt->logger.module, sizeof(opt->logger.module), e);
	case OPT_LEVEL:
		opt->has_logger = true;
		if (log_level_parse(text, &opt->logger.level) == 0)
			return 0;
		return err_set(
			e, ERR_INVALID, -EINVAL,
			"Invalid value for argument '%s': `%.32s' is none of Off, Error, Warn, "
			"Info, Debug, Trace",
			o->name, text);
	}
	return 0;
}

static const struct option *find(const char *name)
{
	if (strcmp(name, "-h") == 0)
		name = "--help";
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (strcmp(name, table[i].name) == 0)
			return &table[i];
	return NULL;
}

static int check(struct options *opt, struct err *e)
{
	if (opt->no_api && !opt->config_file)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "Argument '--no-api' needs '--config-file'");
	if (opt->json && !opt->version)
		return err_set(e, ERR_INVALID, -EINVAL, "Argument '--json' needs '--version'");
	if (opt->no_seccomp && opt->seccomp_filter)
		return err_set(
			e, ERR_INVALID, -EINVAL,
			"Arguments '--no-seccomp' and '--seccomp-filter' exclude each other");
	if (opt->max_payload == 0 || opt->max_payload > UINT32_MAX)
		return err_set(
			e, ERR_INVALID, -ERANGE,
			"Invalid value for argument '--http-api-max-payload-size': it must be "
			"1 to %u",
			UINT32_MAX);
	if (opt->poll_max_us != OPTIONS_POLL_AS_HOST && opt->poll_max_us > OPTIONS_POLL_LIMIT_US)
		return err_set(e, ERR_INVALID, -ERANGE,
			       "Invalid value for argument '--poll-max-us': it must be 0 to %u",
			       OPTIONS_POLL_LIMIT_US);
	if (opt->mmds_limit == MMDS_LIMIT_AS_PAYLOAD)
		opt->mmds_limit = opt->max_payload;
	if (opt->mmds_limit > UINT32_MAX)
		return err_set(e, ERR_INVALID, -ERANGE,
			       "Invalid value for argument '--mmds-size-limit': it must be 0 to %u",
			       UINT32_MAX);
	opt->logger.has_show_level = opt->logger.show_level;
	opt->logger.has_show_log_origin = opt->logger.show_log_origin;
	opt->has_logger |= opt->logger.show_level || opt->logger.show_log_origin;
	return conf_instance_id_check(opt->id, e);
}

int options_parse(int argc, char **argv, struct options *ret_options, struct err *e)
{
	uint64_t given = 0;
	int r;

	*ret_options = (struct options){
		.api_sock = OPTIONS_SOCKET_DEFAULT,
		.id = OPTIONS_ID_DEFAULT,
		.max_payload = API_MAX_PAYLOAD_DEFAULT,
		.ready_fd = OPTIONS_NO_FD,
		.poll_max_us = OPTIONS_POLL_AS_HOST,
		.mmds_limit = MMDS_LIMIT_AS_PAYLOAD,
		.logger = { .level = LOG_INFO },
	};
	for (int i = 1; i < argc; i++) {
		const struct option *o = find(argv[i]);
		uint64_t bit = o ? UINT64_C(1) << (o - table) : 0;

		if (!o)
			return err_set(
				e, ERR_INVALID, -EINVAL,
				"Found argument '%.64s' which wasn't expected, or isn't valid "
				"in this context",
				argv[i]);
		if (given & bit && o->type != OPT_FD)
			return err_set(e, ERR_INVALID, -EINVAL,
				       "The argument '%s' was provided more than once", o->name);
		given |= bit;
		if (o->value && ++i == argc)
			return err_set(e, ERR_INVALID, -EINVAL,
				       "The argument '%s' requires a value, but none was supplied",
				       o->name);
		r = apply(o, o->value ? argv[i] : "", ret_options, e);
		if (r < 0)
			return r;
	}
	return check(ret_options, e);
}
