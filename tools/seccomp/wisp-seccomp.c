/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter compiler, run at build time: policies in, C or a filter file out.
 * The monitor links what it writes, and so needs neither libseccomp nor a parser.
 */
#include <seccomp.h>
#include <stdio.h>
#include <string.h>

#include "jail/filter_file.h"
#include "policy.h"
#include "policy_json.h"

static const char usage[] =
	"usage: wisp-seccomp --header NAME POLICY       C array filter_NAME\n"
	"       wisp-seccomp --rules NAME POLICY        C array rules_NAME, for recording\n"
	"       wisp-seccomp --names                    C table of the names of system calls\n"
	"       wisp-seccomp --file VMM API VCPU        filter file for --seccomp-filter\n"
	"       wisp-seccomp --json FILTERS             the same from Firecracker's JSON\n"
	"       wisp-seccomp -i FILTERS [-o FILE] [-t x86_64]  likewise, called as seccompiler-bin is\n"
	"All but the last write to standard output. The grammars are in docs/seccomp.md.\n";

static void file_close_(FILE **f)
{
	if (*f)
		(void)fclose(*f); /* read only */
}
#define auto_file cleanup_with(file_close_)

static int build(const char *path, struct policy_program *ret)
{
	autofree struct policy *p = calloc(1, sizeof(*p));
	auto_file FILE *in = p ? fopen(path, "re") : NULL;
	struct err e = { 0 };
	int r;

	if (!in) {
		r = -errno;
		fprintf(stderr, "wisp-seccomp: %s: %s\n", path, strerror(errno));
		return r;
	}
	r = policy_read(p, in, &e);
	if (r == 0)
		r = policy_compile(p, ret, &e);
	if (r < 0 && p->line > 0)
		fprintf(stderr, "%s:%u: %s\n", path, p->line, e.msg);
	else if (r < 0)
		fprintf(stderr, "%s: %s\n", path, e.msg);
	return r;
}

static int write_header(const char *name, const char *path)
{
	static struct policy_program prog;
	int r = build(path, &prog);

	if (r < 0)
		return r;
	printf("/* Made by wisp-seccomp from %s; %u instructions. */\n", path, prog.n);
	printf("static const struct sock_filter filter_%s[] = {\n", name);
	for (unsigned i = 0; i < prog.n; i++) {
		const struct sock_filter *f = &prog.insns[i];

		printf("\t{ 0x%02x, %u, %u, 0x%08x },\n", f->code, f->jt, f->jf, f->k);
	}
	printf("};\n");
	return 0;
}

/* The rules themselves, for jail/record.c. */
static int write_rules(const char *name, const char *path)
{
	autofree struct policy *p = calloc(1, sizeof(*p));
	auto_file FILE *in = p ? fopen(path, "re") : NULL;
	struct err e = { 0 };
	int r = in ? policy_read(p, in, &e) : err_set(&e, ERR_INVALID, -EIO, "cannot be opened");

	if (r < 0) {
		fprintf(stderr, "%s:%u: %s\n", path, in ? p->line : 0, e.msg);
		return r;
	}
	printf("/* Made by wisp-seccomp from %s. */\nstatic const struct rule rules_%s[] = {\n",
	       path, name);
	for (unsigned i = 0; i < p->n; i++) {
		printf("\t{ %d, { ", p->rules[i].nr);
		for (unsigned k = 0; k < POLICY_ARGS; k++)
			printf("{ 0x%llx, 0x%llx }, ", (unsigned long long)p->rules[i].cmp[k].mask,
			       (unsigned long long)p->rules[i].cmp[k].value);
		printf("} }, /* line %u, %s */\n", p->rules[i].line, p->rules[i].name);
	}
	printf("};\n");
	return 0;
}

static int write_names(void)
{
	enum { NUMBERS = 512 }; /* above that: x32 only */

	printf("/* Made by wisp-seccomp from libseccomp's table. */\n"
	       "static const char *const call_names[] = {\n");
	for (int nr = 0; nr < NUMBERS; nr++) {
		autofree char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

		if (name)
			printf("\t[%d] = \"%s\",\n", nr, name);
	}
	printf("};\n");
	return 0;
}

static struct policy_program progs[FILTER_FILE_KINDS];

static void put_file(FILE *out)
{
	struct filter_file_head head = { .magic = FILTER_FILE_MAGIC };

	for (unsigned i = 0; i < FILTER_FILE_KINDS; i++)
		head.n[i] = progs[i].n;
	fwrite(&head, sizeof(head), 1, out);
	for (unsigned i = 0; i < FILTER_FILE_KINDS; i++)
		fwrite(progs[i].insns, sizeof(progs[i].insns[0]), progs[i].n, out);
}

static int write_file(char *const paths[FILTER_FILE_KINDS])
{
	for (unsigned i = 0; i < FILTER_FILE_KINDS; i++) {
		int r = build(paths[i], &progs[i]);

		if (r < 0)
			return r;
	}
	put_file(stdout);
	return 0;
}

/* --- Firecracker's JSON ------------------------------------------------------------- */

enum { JSON_MAX = 1 << 20 }; /* bytes */

static int build_json(const char *text, size_t len, struct err *e)
{
	static const char *const kinds[FILTER_FILE_KINDS] = { "vmm", "api", "vcpu" };
	autofree struct policy *p = malloc(sizeof(*p));
	auto_json struct json_doc *doc = NULL;
	int r = p ? json_parse(text, len, &doc, e)
		  : err_set(e, ERR_INTERNAL, -ENOMEM, "out of memory");

	if (r == 0)
		r = policy_check_kinds(json_root(doc), kinds, ARRAY_SIZE(kinds), e);
	for (unsigned i = 0; i < FILTER_FILE_KINDS && r == 0; i++) {
		memset(p, 0, sizeof(*p));
		r = policy_read_json(p, json_root(doc), kinds[i], e);
		if (r == 0)
			r = policy_compile(p, &progs[i], e);
	}
	return r;
}

static int write_json(const char *from, FILE *out)
{
	autofree char *text = malloc(JSON_MAX);
	auto_file FILE *in = text ? fopen(from, "re") : NULL;
	struct err e = { 0 };
	size_t len;
	int r;

	if (!in) {
		fprintf(stderr, "wisp-seccomp: %s: %s\n", from, strerror(errno));
		return -EIO;
	}
	len = fread(text, 1, JSON_MAX, in);
	if (len == JSON_MAX || ferror(in)) {
		fprintf(stderr, "wisp-seccomp: %s: cannot be read, or larger than %d bytes\n", from,
			JSON_MAX - 1);
		return -EFBIG;
	}
	r = build_json(text, len, &e);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", from, e.msg);
	else
		put_file(out);
	return r;
}

struct seccompiler {
	const char *from, *to, *arch;
};

/* The command line of seccompiler-bin; -ENOTSUP: it is none. */
static int parse_seccompiler(int argc, char **argv, struct seccompiler *ret)
{
	*ret = (struct seccompiler){ .to = "seccomp_binary_filter.out", .arch = "x86_64" };
	for (int i = 1; i < argc; i += 2) {
		const char *o = argv[i];

		if (strcmp(o, "--basic") == 0 || strcmp(o, "--split-output") == 0) {
			fprintf(stderr,
				"wisp-seccomp: %s: not offered: a filter file has the filters of all "
				"threads, with their conditions\n",
				o);
			return -EINVAL;
		}
		if (i + 1 == argc)
			return -ENOTSUP;
		if (strcmp(o, "-i") == 0 || strcmp(o, "--input-file") == 0)
			ret->from = argv[i + 1];
		else if (strcmp(o, "-o") == 0 || strcmp(o, "--output-file") == 0)
			ret->to = argv[i + 1];
		else if (strcmp(o, "-t") == 0 || strcmp(o, "--target-arch") == 0)
			ret->arch = argv[i + 1];
		else
			return -ENOTSUP;
	}
	if (strcmp(ret->arch, "x86_64") != 0) {
		fprintf(stderr, "wisp-seccomp: -t %s: wisp is for x86_64 alone\n", ret->arch);
		return -EINVAL;
	}
	return ret->from ? 0 : -ENOTSUP;
}

static int write_as_seccompiler(int argc, char **argv)
{
	struct seccompiler c;
	autofree char *part = NULL;
	FILE *out;
	int r = parse_seccompiler(argc, argv, &c);

	if (r < 0)
		return r;
	if (asprintf(&part, "%s.part", c.to) < 0)
		return -ENOMEM;
	out = fopen(part, "we");
	if (!out) {
		fprintf(stderr, "wisp-seccomp: %s: %s\n", part, strerror(errno));
		return -EIO;
	}
	r = write_json(c.from, out);
	if ((ferror(out) || fclose(out) != 0) && r == 0)
		r = -EIO;
	if (r == 0 && rename(part, c.to) < 0) /* a filter is there whole, or not at all */
		r = -errno;
	if (r < 0)
		(void)unlink(part);
	return r;
}

int main(int argc, char **argv)
{
	int r;

	if (argc == 4 && strcmp(argv[1], "--header") == 0) {
		r = write_header(argv[2], argv[3]);
	} else if (argc == 4 && strcmp(argv[1], "--rules") == 0) {
		r = write_rules(argv[2], argv[3]);
	} else if (argc == 2 && strcmp(argv[1], "--names") == 0) {
		r = write_names();
	} else if (argc == 2 + FILTER_FILE_KINDS && strcmp(argv[1], "--file") == 0) {
		r = write_file(argv + 2);
	} else if (argc == 3 && strcmp(argv[1], "--json") == 0) {
		r = write_json(argv[2], stdout);
	} else if (argc >= 3 && (r = write_as_seccompiler(argc, argv)) != -ENOTSUP) {
		/* it has said what it had to say */
	} else {
		fputs(usage, stderr);
		return 2;
	}
	if (r == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
		fprintf(stderr, "wisp-seccomp: standard output: %s\n", strerror(errno));
		return 1;
	}
	return r < 0 ? 1 : 0;
}
