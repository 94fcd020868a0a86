/* SPDX-License-Identifier: Apache-2.0 */
/* Options -> wire the layers -> isolate -> loop -> end. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "api/api.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/stage.h"
#include "base/term.h"
#include "check_host.h"
#include "conf/config.h"
#include "describe_snapshot.h"
#include "jail/attack.h"
#include "jail/core_sched.h"
#include "jail/filter.h"
#include "jail/isolation.h"
#include "jail/record.h"
#include "jailer.h"
#include "notify.h"
#include "options.h"
#include "schema.h"
#include "signals.h"
#include "vmm/snapshot_records.h"
#include "vmm/vmm.h"

#define VERSION VMM_FIRECRACKER_VERSION " (wisp " WISP_VERSION ")"
/* `advisories': those of wisp itself that this version mends. */
#define VERSION_JSON                                                                 \
	"{\"firecracker_version\":\"" VMM_FIRECRACKER_VERSION "\","                  \
	"\"wisp_version\":\"" WISP_VERSION "\",\"snapshot_version\":\"" SNAP_VERSION \
	"\",\"advisories\":[]}"
#define VERSION_LINE "Firecracker v" VERSION

enum { /* exit statuses of the contract, 4.8 */
       EXIT_GENERIC = 1,
       EXIT_BAD_CONFIGURATION = 152,
       EXIT_BAD_ARGUMENTS = 153,
};

enum {
	CONFIG_FILE_MAX = 1 << 20, /* bytes */
	FLUSH_LIMIT_MS = 200,	   /* for the last line of metrics and a reader that is slow */
	POLL_MAX_USEC = 64,	   /* about what a disk that is fast takes */
};

/* What lives as long as the process; torn down in finish(). */
struct process {
	struct options opt;
	const struct isolation *isolation;
	struct loop loop;
	bool has_loop;
	struct vmm *vmm;	     /* owned */
	struct api *api;	     /* owned */
	int console_in, console_out; /* owned; -1: none */
	pid_t parent;		     /* when the process began */
	struct handed handed;	     /* by --fd and --fd-sock */
	struct action start;	     /* for --config-file */
	int status;		     /* when it ends before there is a machine */
	enum end_reason reason;
	struct jailer_monitor jailed; /* argv NULL: not by our jailer */
};

static int end_status(enum end_reason reason)
{
	switch (reason) {
	case END_NONE:
	case END_GUEST_RESET:
	case END_GUEST_POWEROFF:
		return EXIT_SUCCESS;
	case END_TRIPLE_FAULT:
	case END_KVM_FAILURE:
	case END_LOAD_FAILED:
		return EXIT_GENERIC;
	case END_CONFIG_ERROR:
		return EXIT_BAD_CONFIGURATION;
	}
	return EXIT_GENERIC;
}

/* The last line of the log says how it ended; returns the exit status. */
static int say_goodbye(int status, enum end_reason reason)
{
	char why[64] = "";

	if (reason != END_NONE)
		snprintf(why, sizeof(why), " exit_reason=%s", end_reason_name(reason));
	if (status == EXIT_SUCCESS)
		log_info("Firecracker exiting successfully. exit_code=0%s", why);
	else
		log_err("Firecracker exiting with error. exit_code=%d%s", status, why);
	return status;
}

/* --- the configuration file -------------------------------------------------- */

static int read_text(const char *path, char **ret_text, size_t *ret_len, struct err *e)
{
	/* Blocking: whoever names a pipe wants what comes out of it. */
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	autofree char *text = malloc(CONFIG_FILE_MAX);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return err_set(e, ERR_INVALID, -errno, "%s: %s", strerror(errno), path);
	if (!text)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "%s: out of memory", path);
	while (n > 0 && len < CONFIG_FILE_MAX) {
		n = read(fd, text + len, CONFIG_FILE_MAX - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		return err_set(e, ERR_INVALID, -errno, "%s: %s", strerror(errno), path);
	if (len == CONFIG_FILE_MAX)
		return err_set(e, ERR_INVALID, -EFBIG, "%s: larger than %d bytes", path,
			       CONFIG_FILE_MAX - 1);
	*ret_text = take_ptr(&text);
	*ret_len = len;
	return 0;
}

static int apply_file(struct process *p, const struct conf_file *file, struct err *e)
{
	if (file->has_logger) {
		int r = vmm_configure_logger(&file->logger, e);

		if (r < 0)
			return err_wrap(e, "Logger error");
	}
	if (file->has_metrics) {
		int r = vmm_configure_metrics(p->vmm, &file->metrics, e);

		if (r < 0)
			return err_wrap(e, "Metrics error");
	}
	return vmm_configure(p->vmm, &file->config, e);
}

static int read_cpu_config(struct conf_file *file, struct err *e)
{
	autofree char *text = NULL;
	size_t len = 0;
	int r;

	if (file->cpu_config_path[0] == '\0')
		return 0;
	r = read_text(file->cpu_config_path, &text, &len, e);
	if (r == 0)
		r = conf_cpu_parse(text, len, &file->config.cpu, e);
	return r < 0 ? err_wrap(e, "CPU config error") : 0;
}

static int configure_from_file(struct process *p, struct err *e)
{
	autofree struct conf_file *file = malloc(sizeof(*file));
	autofree char *text = NULL;
	size_t len;
	int r;

	if (!file)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "out of memory");
	r = read_text(p->opt.config_file, &text, &len, e);
	if (r < 0)
		return r;
	r = conf_file_parse(text, len, file, e);
	if (r < 0)
		return r;
	r = read_cpu_config(file, e);
	if (r == 0)
		r = apply_file(p, file, e);
	conf_file_fini(file);
	return r;
}

/* --metadata: what would be put to /mmds. */
static int populate_mmds(struct process *p, struct err *e)
{
	autofree char *text = NULL;
	size_t len = 0;
	int r;

	if (!p->opt.metadata)
		return 0;
	r = read_text(p->opt.metadata, &text, &len, e);
	if (r == 0)
		r = vmm_populate_mmds(p->vmm, text, len, e);
	if (r == -EBADMSG)
		r = err_wrap(e, "metadata provided not valid json");
	if (r < 0)
		return err_wrap(e, "Populating MMDS from file failed");
	log_info("Successfully added metadata to mmds from file");
	return 0;
}

static int bad_configuration(struct process *p, const struct err *e)
{
	log_err("Configuration for VMM from one single json failed: %s", e->msg);
	p->reason = END_CONFIG_ERROR;
	return EXIT_BAD_CONFIGURATION;
}

static void on_started(struct action *action)
{
	struct process *p = container_of(action, struct process, start);

	if (action->err.code == 0) {
		log_info("Successfully started microvm that was configured from one single json");
		if (p->opt.no_api)
			notify_ready();
		return;
	}
	p->status = bad_configuration(p, &action->err);
	loop_stop(&p->loop);
}

static void start_from_file(struct process *p)
{
	p->start = (struct action){ .type = ACTION_INSTANCE_START, .done = on_started };
	vmm_submit(p->vmm, &p->start);
}

/* --- wiring ------------------------------------------------------------------- */

static int choose_isolation(struct process *p, struct err *e)
{
	int r = filter_init(e);

	if (r < 0)
		return r;
	filter_set_report_fd(log_fd());
	p->isolation = p->opt.no_seccomp ? isolation_none() : isolation_seccomp();
	if (p->opt.seccomp_filter)
		r = isolation_from_file(p->opt.seccomp_filter, &p->isolation, e);
	if (r == 0 && p->opt.seccomp_record)
		r = record_prepare(p->opt.seccomp_record, &p->isolation, e);
	if (r == 0 && p->opt.attack)
		r = attack_prepare(p->opt.attack, p->isolation, &p->isolation, e);
	return r;
}

/* Polling is of use where the loop has a processor beside a vCPU's. */
static usec_t poll_max(const struct options *opt)
{
	cpu_set_t set;

	if (opt->poll_max_us != OPTIONS_POLL_AS_HOST)
		return opt->poll_max_us;
	if (sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) < 2)
		return 0;
	return POLL_MAX_USEC;
}

static int wire(struct process *p, struct err *e)
{
	struct vmm_cfg vmm = { .id = p->opt.id,
			       .mmds_limit = p->opt.mmds_limit,
			       .boot_timer = p->opt.boot_timer };
	int r = schema_init(e);

	if (r == 0)
		r = thread_init(e);
	if (r < 0)
		return r;
	r = signals_init(e);
	if (r < 0)
		return r;
	r = choose_isolation(p, e);
	if (r < 0)
		return r;
	r = loop_init(&p->loop);
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "epoll: %s", strerror(-r));
	p->has_loop = true;
	loop_set_poll_max(&p->loop, poll_max(&p->opt));
	/* A shell's background job would be stopped by the first look at its terminal. */
	if (!term_in_background(STDIN_FILENO))
		p->console_in = fd_input_of(STDIN_FILENO);
	p->console_out = fd_output_of(STDOUT_FILENO);
	vmm.isolation = p->isolation;
	vmm.stdin_fd = p->console_in;
	vmm.stdout_fd = p->console_out;
	vmm.handed = &p->handed;
	r = vmm_create(&vmm, &p->loop, &p->vmm, e);
	if (r < 0 || !p->opt.fd_sock)
		return r;
	return handed_listen(&p->handed, p->opt.fd_sock, &p->loop, e);
}

static int start_api(struct process *p, struct err *e)
{
	const struct api_cfg api = {
		.sock_path = p->opt.api_sock,
		.max_payload = p->opt.max_payload,
		.isolation = p->isolation,
		.vmm = p->vmm,
	};

	return p->opt.no_api ? 0 : api_start(&api, &p->api, e);
}

static int failed(const struct err *e)
{
	log_err("%s", e->msg);
	return EXIT_GENERIC;
}

static int share_no_core(struct err *e)
{
	int r = core_sched_enable(e);

	if (r == 0)
		log_info("--core-sched: no core of this host runs two threads; nothing to do");
	return r;
}

/* Whoever starts us says when, on these clocks: the contract's jailer does. */
static int set_up_metrics(struct process *p, struct err *e)
{
	const struct options *o = &p->opt;
	usec_t now = clock_monotonic(), cpu = clock_process_cpu();

	schema_set_startup(o->start_time_us && o->start_time_us < now ? now - o->start_time_us : 0,
			   o->start_time_us && o->start_time_cpu_us <= cpu
				   ? cpu - o->start_time_cpu_us + o->parent_cpu_time_us
				   : 0);
	if (!o->has_metrics)
		return 0;
	return vmm_configure_metrics(p->vmm, &o->metrics, e) < 0 ? err_wrap(e, "Metrics error") : 0;
}

/* What was asked for and is not as one might think. */
static void say_oddities(const struct process *p)
{
	if (p->jailed.argv && p->jailed.missing[0])
		log_warn("The jail is weaker than it could be: %s", p->jailed.missing);
	if (p->console_in < 0)
		log_info("The guest's console has no input: standard input is another job's "
			 "terminal, or cannot be read");
	if (p->opt.enable_pci)
		log_warn(
			"--enable-pci has no effect: devices are on virtio-mmio, and nothing can be "
			"plugged in or out while the guest runs");
}

/* A jailer's forks change the parent by right. */
static int watch_parent(const struct process *p, struct err *e)
{
	const char *name = p->opt.parent_death_signal;

	return name ? notify_parent_death(name, p->jailed.argv ? 0 : p->parent, e) : 0;
}

static int run(struct process *p)
{
	struct err e = { 0 };
	int r;

	notify_open_socket();
	r = wire(p, &e);
	if (r < 0)
		return failed(&e);
	if (p->opt.has_logger && vmm_configure_logger(&p->opt.logger, &e) < 0)
		return failed(&e);
	filter_set_report_fd(log_fd());
	log_info("Running %s", VERSION_LINE);
	say_oddities(p);
	if (watch_parent(p, &e) < 0 || set_up_metrics(p, &e) < 0)
		return failed(&e);
	if (p->opt.core_sched && share_no_core(&e) < 0)
		return failed(&e);
	if (populate_mmds(p, &e) < 0)
		return p->opt.config_file ? bad_configuration(p, &e) : failed(&e);
	if (p->opt.config_file && configure_from_file(p, &e) < 0)
		return bad_configuration(p, &e);
	/* First in the queue: a client that is quick must not start another machine. */
	if (p->opt.config_file)
		start_from_file(p);
	if (start_api(p, &e) < 0)
		return failed(&e);
	if (!p->opt.no_api)
		notify_ready();
	r = loop_run(&p->loop);
	if (r < 0) {
		log_err("epoll_wait: %s", strerror(-r));
		return EXIT_GENERIC;
	}
	if (p->status != EXIT_SUCCESS)
		return p->status;
	p->reason = vmm_end_reason(p->vmm);
	return end_status(p->reason);
}

static void finish(struct process *p)
{
	if (p->vmm)
		vmm_refuse_actions(p->vmm);
	metrics_flush_end(FLUSH_LIMIT_MS);
	api_stop(p->api);
	vmm_destroy(p->vmm);
	handed_close(&p->handed);
	if (p->has_loop)
		loop_fini(&p->loop);
	fd_close_(&p->console_in);
	fd_close_(&p->console_out);
}

/* The command line, and the descriptors it names, before there are any of ours. */
static int parse_arguments(struct process *p, int argc, char **argv, struct err *e)
{
	int r = options_parse(argc, argv, &p->opt, e);

	handed_init(&p->handed);
	for (unsigned i = 0; r == 0 && i < p->opt.nfds; i++)
		if (handed_inherit(&p->handed, p->opt.fd[i], e) < 0)
			r = err_wrap(e, "Invalid value for argument '--fd'");
	if (r < 0 || p->opt.ready_fd == OPTIONS_NO_FD)
		return r;
	if (p->opt.ready_fd <= INT32_MAX && handed_name_of(&p->handed, (int)p->opt.ready_fd))
		return err_set(e, ERR_INVALID, -EEXIST,
			       "Invalid value for argument '--ready-fd': descriptor %llu is one of "
			       "'--fd' already",
			       (unsigned long long)p->opt.ready_fd);
	return notify_set_fd(p->opt.ready_fd, e);
}

int main(int argc, char **argv)
{
	static struct process p = { .console_in = -1, .console_out = -1 };
	struct err e = { 0 };
	bool stuck;
	int status;

	stage_mark(STAGE_PROCESS_START);
	p.parent = getppid();
	if (fd_fill_standard() < 0) {
		fprintf(stderr, "A standard descriptor is closed, and /dev/null is no help: %s\n",
			strerror(errno));
		return EXIT_GENERIC;
	}
	if (jailer_named(argv[0])) {
		status = jailer_main(argc, argv, VERSION, &p.jailed);
		if (status >= 0)
			return status;
		argc = p.jailed.argc;
		argv = p.jailed.argv;
	}
	if (parse_arguments(&p, argc, argv, &e) < 0) {
		log_init(OPTIONS_ID_DEFAULT);
		fprintf(stderr, "Arguments parsing error: %s\n\nFor more information try --help.\n",
			e.msg);
		return say_goodbye(EXIT_BAD_ARGUMENTS, END_NONE);
	}
	if (p.opt.check_host)
		return check_host();
	log_init(p.opt.id);
	if (p.opt.describe_snapshot)
		return say_goodbye(describe_snapshot(p.opt.describe_snapshot), END_NONE);
	if (p.opt.json) { /* no line of the log behind it: a program reads this */
		puts(VERSION_JSON);
		return EXIT_SUCCESS;
	}
	if (p.opt.help || p.opt.version || p.opt.snapshot_version) {
		if (p.opt.help)
			options_print_help();
		else
			printf("%s\n\n", p.opt.version ? VERSION_LINE : "v" SNAP_VERSION);
		fflush(stdout);
		return say_goodbye(EXIT_SUCCESS, END_NONE);
	}
	status = run(&p);
	stuck = p.vmm && vmm_stuck(p.vmm);
	finish(&p);
	status = say_goodbye(status, p.reason);
	/* What did not stop must not see the C library being taken down. */
	if (stuck)
		_exit(status);
	return status;
}
