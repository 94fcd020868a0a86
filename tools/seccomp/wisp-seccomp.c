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

static const char usage[] =
	"usage: wisp-seccomp --header NAME POLICY       C array filter_NAME\n"
	"       wisp-seccomp --names                    C table of the names of system calls\n"
	"       wisp-seccomp --file VMM API VCPU        filter file for --seccomp-filter\n"
	"All write to standard output. The grammar of a policy is in docs/seccomp.md.\n";

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

static int write_file(char *const paths[FILTER_FILE_KINDS])
{
	static struct policy_program progs[FILTER_FILE_KINDS];
	struct filter_file_head head = { .magic = FILTER_FILE_MAGIC };

	for (unsigned i = 0; i < FILTER_FILE_KINDS; i++) {
		int r = build(paths[i], &progs[i]);

		if (r < 0)
			return r;
		head.n[i] = progs[i].n;
	}
	fwrite(&head, sizeof(head), 1, stdout);
	for (unsigned i = 0; i < FILTER_FILE_KINDS; i++)
		fwrite(progs[i].insns, sizeof(progs[i].insns[0]), progs[i].n, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	int r;

	if (argc == 4 && strcmp(argv[1], "--header") == 0) {
		r = write_header(argv[2], argv[3]);
	} else if (argc == 2 && strcmp(argv[1], "--names") == 0) {
		r = write_names();
	} else if (argc == 2 + FILTER_FILE_KINDS && strcmp(argv[1], "--file") == 0) {
		r = write_file(argv + 2);
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
