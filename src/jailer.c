/* SPDX-License-Identifier: Apache-2.0 */
#include "jailer.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "jail/jail.h"
#include "notify.h"

enum action { ACT_TEXT, ACT_FLAG, ACT_CLEANUP, ACT_VERSION, ACT_HELP };

static const struct option {
	const char *name;
	const char *value; /* its name in the help; NULL: takes none */
	enum action action;
	unsigned what; /* enum jail_text or enum jail_flag */
	bool again;    /* may be given more than once */
	const char *help;
} table[] = {
	{ "--id", "ID", ACT_TEXT, JAIL_ID, false, "name of the microVM: letters, digits, hyphens" },
	{ "--exec-file", "PATH", ACT_TEXT, JAIL_EXEC_FILE, false,
	  "the monitor: this program, or another that is copied and executed" },
	{ "--uid", "UID", ACT_TEXT, JAIL_UID, false, "user that the monitor runs as" },
	{ "--gid", "GID", ACT_TEXT, JAIL_GID, false, "its group" },
	{ "--chroot-base-dir", "PATH", ACT_TEXT, JAIL_BASE, false,
	  "where the jails are made [/srv/jailer]" },
	{ "--netns", "PATH", ACT_TEXT, JAIL_NETNS, false, "network namespace to join" },
	{ "--cgroup", "FILE=VALUE", ACT_TEXT, JAIL_CGROUP, true,
	  "value for a file of the microVM's cgroup; may be repeated" },
	{ "--cgroup-version", "1|2", ACT_TEXT, JAIL_CGROUP_VERSION, false,
	  "version of the cgroups [what the host has]" },
	{ "--parent-cgroup", "PATH", ACT_TEXT, JAIL_PARENT_CGROUP, false,
	  "cgroup above the microVM's [the name of --exec-file]" },
	{ "--resource-limit", "NAME=N", ACT_TEXT, JAIL_LIMIT, true,
	  "fsize=BYTES or no-file=NUMBER [no-file=2048]; may be repeated" },
	{ "--daemonize", NULL, ACT_FLAG, JAIL_DAEMONIZE, false,
	  "no terminal, standard streams on /dev/null" },
	{ "--new-pid-ns", NULL, ACT_FLAG, JAIL_NEW_PID_NS, false,
	  "the monitor is the first process of a PID namespace" },
	{ "--new-user-ns", NULL, ACT_FLAG, JAIL_NEW_USER_NS, false,
	  "a user namespace that knows the microVM's user only" },
	{ "--new-ipc-ns", NULL, ACT_FLAG, JAIL_NEW_IPC_NS, false, "an IPC namespace" },
	{ "--new-uts-ns", NULL, ACT_FLAG, JAIL_NEW_UTS_NS, false, "a UTS namespace" },
	{ "--no-landlock", NULL, ACT_FLAG, JAIL_NO_LANDLOCK, false,
	  "leave Landlock out; for debugging only" },
	{ "--cleanup", NULL, ACT_CLEANUP, 0, false,
	  "remove cgroup and folder of a microVM that has ended, and exit" },
	{ "--version", NULL, ACT_VERSION, 0, false, "print the version and exit" },
	{ "--help", NULL, ACT_HELP, 0, false, "print this and exit" },
};
static_assert(ARRAY_SIZE(table) <= 64, "a bit for each option");

struct words {		   /* what the command line asks for */
	struct jail *jail; /* caller's */
	bool cleanup, version, help;
	int extra; /* index in argv of what the monitor is given */
};

bool jailer_named(const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
	const char *name = slash ? slash + 1 : argv0;

	return name && (strcmp(name, "jailer") == 0 || strcmp(name, "wisp-jailer") == 0);
}

static void print_help(void)
{
	printf("wisp-jailer: makes a jail and runs one microVM in it\n\n");
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		printf("  %s%s%-*s %s\n", table[i].name, table[i].value ? " " : "",
		       (int)(30 - strlen(table[i].name) - (table[i].value ? 1 : 0)),
		       table[i].value ? table[i].value : "", table[i].help);
	printf("  --%-28s options of the monitor follow\n", "");
}

/* --- options ------------------------------------------------------------------------------ */

static const struct option *find(const char *name)
{
	if (strcmp(name, "-h") == 0)
		name = "--help";
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (strcmp(name, table[i].name) == 0)
			return &table[i];
	return NULL;
}

static int apply(struct words *w, const struct option *o, const char *text, struct err *e)
{
	switch (o->action) {
	case ACT_TEXT:
		return jail_say(w->jail, (enum jail_text)o->what, text, e);
	case ACT_FLAG:
		jail_set_flag(w->jail, (enum jail_flag)o->what);
		return 0;
	case ACT_CLEANUP:
		w->cleanup = true;
		return 0;
	case ACT_VERSION:
		w->version = true;
		return 0;
	case ACT_HELP:
		w->help = true;
		return 0;
	}
	return 0;
}

static int parse(int argc, char **argv, struct words *w, struct err *e)
{
	uint64_t given = 0;
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const struct option *o = find(argv[i]);
		uint64_t bit = o ? UINT64_C(1) << (o - table) : 0;
		int r;

		if (!o)
			return err_set(
				e, ERR_INVALID, -EINVAL,
				"Found argument '%s' which wasn't expected, or isn't valid in "
				"this context",
				argv[i]);
		if (given & bit && !o->again)
			return err_set(e, ERR_INVALID, -EINVAL,
				       "The argument '%s' was provided more than once", o->name);
		given |= bit;
		if (o->value && ++i == argc)
			return err_set(e, ERR_INVALID, -EINVAL,
				       "The argument '%s' requires a value, but none was supplied",
				       o->name);
		r = apply(w, o, o->value ? argv[i] : "", e);
		if (r < 0)
			return r;
	}
	w->extra = i < argc ? i + 1 : argc;
	return 0;
}

/* --- descriptors and streams ---------------------------------------------------------------- */

/* The N of a `--fd NAME=N' or `--ready-fd N' for the monitor; -1 for other words. */
static int inherited(char **argv, int argc, int i)
{
	const char *number = NULL;
	char *end;
	unsigned long n;

	if (i + 1 < argc && strcmp(argv[i], "--fd") == 0)
		number = strrchr(argv[i + 1], '=');
	if (number)
		number++;
	else if (i + 1 < argc && strcmp(argv[i], "--ready-fd") == 0)
		number = argv[i + 1];
	n = number ? strtoul(number, &end, 10) : 0;
	return number && end != number && !*end && n < INT32_MAX ? (int)n : -1;
}

/* Nothing of the caller's is carried in but what the monitor has been promised by name. */
static int close_inherited(int argc, char **argv, int extra, struct err *e)
{
	unsigned from = STDERR_FILENO + 1;

	for (;;) {
		unsigned next = ~0U; /* the lowest one that is kept */

		for (int i = extra; i < argc; i++) {
			int fd = inherited(argv, argc, i);

			if (fd >= (int)from && (unsigned)fd < next)
				next = (unsigned)fd;
		}
		if (next > from && close_range(from, next == ~0U ? next : next - 1, 0) < 0)
			return err_set(e, ERR_INTERNAL, -errno, "close_range: %s", strerror(errno));
		if (next == ~0U)
			return 0;
		from = next + 1;
	}
}

/*
 * FIFOs and terminals are opened again while there is a /proc: the monitor writes to them
 * without blocking, and must not make them so for everybody else who has them.
 */
static int own_streams(struct err *e)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		autoclose int own = fd == STDIN_FILENO ? fd_input_of(fd) : fd_output_of(fd);
		struct stat st;

		if (own < 0 || fstat(fd, &st) < 0 || (!S_ISFIFO(st.st_mode) && !isatty(fd)))
			continue;
		if (dup2(own, fd) < 0)
			return err_set(e, ERR_INTERNAL, -errno, "descriptor %d: %s", fd,
				       strerror(errno));
	}
	return 0;
}

/* --- the monitor's command line -------------------------------------------------------------- */

enum { OWN_WORDS = 9, NUMBER_MAX = 24 };

struct line {
	char numbers[3][NUMBER_MAX];
	char id[80];
	char *argv[]; /* OWN_WORDS, then the extra ones, then NULL */
};

static struct line *monitor_line(const char *name, const char *id, uint64_t start_us, int nextra,
				 char **extra)
{
	struct line *l = calloc(1,
				sizeof(*l) + (size_t)(OWN_WORDS + nextra + 1) * sizeof(l->argv[0]));
	const uint64_t us[] = { start_us, 0, clock_process_cpu() };
	static char words[][24] = { "--id", "--start-time-us", "--start-time-cpu-us",
				    "--parent-cpu-time-us" };
	char *path = strdup(name);

	if (!l || !path) {
		free(l);
		free(path);
		return NULL;
	}
	l->argv[0] = path;
	snprintf(l->id, sizeof(l->id), "%s", id);
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		l->argv[1 + 2 * i] = words[i];
		if (i > 0)
			snprintf(l->numbers[i - 1], NUMBER_MAX, "%llu",
				 (unsigned long long)us[i - 1]);
		l->argv[2 + 2 * i] = i == 0 ? l->id : l->numbers[i - 1];
	}
	for (int i = 0; i < nextra; i++)
		l->argv[OWN_WORDS + i] = extra[i];
	return l;
}

/* --- all of it -------------------------------------------------------------------------------- */

static int failed(const struct err *e)
{
	fprintf(stderr, "Jailer error: %s\n", e->msg);
	return EXIT_FAILURE;
}

static int prepare(int argc, char **argv, const struct words *w, struct err *e)
{
	int r = close_inherited(argc, argv, w->extra, e);

	if (r < 0)
		return r;
	notify_open_socket();
	/* The words themselves, too: they may hold secrets, and this memory stays. */
	for (char **word = environ; word && *word; word++)
		explicit_bzero(*word, strlen(*word));
	(void)clearenv();
	tzset(); /* the log's time zone, while its file can be found */
	return own_streams(e);
}

static int run(int argc, char **argv, const struct words *w, uint64_t start_us,
	       struct jailer_monitor *ret_monitor)
{
	enum jail_next next = JAIL_MONITOR;
	struct err e = { 0 };
	struct line *line;

	if (jail_check(w->jail, &e) < 0 || prepare(argc, argv, w, &e) < 0 ||
	    jail_enter(w->jail, &next, &e) < 0)
		return failed(&e);
	line = monitor_line(jail_name(w->jail), jail_id(w->jail), start_us, argc - w->extra,
			    argv + w->extra);
	if (!line) {
		fprintf(stderr, "Jailer error: out of memory\n");
		return EXIT_FAILURE;
	}
	if (next == JAIL_EXEC) {
		int r = jail_exec(w->jail, line->argv, &e);

		return r < 0 ? failed(&e) : EXIT_FAILURE;
	}
	*ret_monitor = (struct jailer_monitor){
		.argc = OWN_WORDS + argc - w->extra,
		.argv = line->argv,
		.missing = jail_missing(w->jail),
	};
	return -1;
}

int jailer_main(int argc, char **argv, const char *version, struct jailer_monitor *ret_monitor)
{
	/* Never destroyed: it holds the lock that says that this microVM lives. */
	struct words w = { .jail = jail_create() };
	uint64_t start_us = clock_monotonic();
	struct err e = { 0 };

	if (!w.jail) {
		fprintf(stderr, "Jailer error: out of memory\n");
		return EXIT_FAILURE;
	}
	if (parse(argc, argv, &w, &e) < 0)
		return failed(&e);
	if (w.help || w.version) {
		if (w.help)
			print_help();
		else
			printf("Jailer v%s\n", version);
		return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	if (w.cleanup)
		return jail_cleanup(w.jail, &e) < 0 ? failed(&e) : EXIT_SUCCESS;
	return run(argc, argv, &w, start_us, ret_monitor);
}
