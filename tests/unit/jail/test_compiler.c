/* SPDX-License-Identifier: Apache-2.0 */
/* The filter compiler as a program: what it refuses, and what its conditions mean. */
#include <fcntl.h>
#include <linux/filter.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/fault.h"
#include "confined.h"
#include "jail/filter_file.h"

#define COMPILER "build/tools/wisp-seccomp"
#define BAD_FD	 ((unsigned long)-1)

/* What the harness itself needs under a filter. */
#define HARNESS                              \
	"write # the report\n"               \
	"exit_group # the end\n"             \
	"exit # the end of a thread\n"       \
	"rt_sigprocmask # end of a thread\n" \
	"madvise # end of a thread\n"        \
	"rseq # end of a thread\n"

static char dir[] = "/tmp/wisp-test-XXXXXX";
static const struct isolation *loaded; /* lives until the process ends, as in the monitor */

static const char *in_dir(const char *name)
{
	static char path[8][64];
	static unsigned next;
	char *p = path[next++ % 8];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static void remove_dir(void)
{
	unlink(in_dir("p"));
	unlink(in_dir("out"));
	unlink(in_dir("err"));
	rmdir(dir);
}

static void put_file(const char *name, const void *data, size_t len)
{
	FILE *f = fopen(in_dir(name), "we");

	CHECK(f != NULL);
	CHECK(fwrite(data, 1, len, f) == len);
	CHECK(fclose(f) == 0);
}

static size_t get_file(const char *name, char *buf, size_t cap)
{
	FILE *f = fopen(in_dir(name), "re");
	size_t len;

	CHECK(f != NULL);
	len = fread(buf, 1, cap, f);
	fclose(f);
	return len;
}

static void make_dir(void)
{
	CHECK(mkdtemp(dir) != NULL);
	atexit(remove_dir);
}

/* Runs the compiler on policy `p' of the folder; output in `out', messages in `err'. */
static int compile(const char *mode, unsigned npolicies)
{
	char cmd[512];
	int status;

	snprintf(cmd, sizeof(cmd), COMPILER " %s %s %s %s > %s 2> %s", mode, in_dir("p"),
		 npolicies > 1 ? in_dir("p") : "", npolicies > 1 ? in_dir("p") : "", in_dir("out"),
		 in_dir("err"));
	status = system(cmd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define LONG_NAME "a234567890123456789012345678901234567890"

static const struct {
	const char *policy, *where, *says;
} bad[] = {
	{ "reed # why\n", "p:1: ", "system call `reed' is unknown" },
	{ "send # why\n", "p:1: ", "`send' does not exist on this architecture" },
	{ "# c\n\nread # why\nmseal # newer than the library\n", "p:4: ", "`mseal' is unknown" },
	{ "ioctl arg1 == KVM_RUNN # why\n", "p:1: ", "constant `KVM_RUNN' is unknown" },
	{ "ioctl arg1 & NOPE == 0 # why\n", "p:1: ", "constant `NOPE' is unknown" },
	{ "read # ok\nwrite\n", "p:2: ", "`write' has no reason" },
	{ "read #\n", "p:1: ", "`read' has an empty reason" },
	{ "read #  \t\n", "p:1: ", "`read' has an empty reason" },
	{ "ioctl arg1 == KVM_RUN\n", "p:1: ", "`ioctl' has no reason" },
	{ "ioctl arg1 >= 3 # why\n", "p:1: ", "operator after arg1" },
	{ "ioctl arg1 != 3 # why\n", "p:1: ", "operator after arg1" },
	{ "ioctl arg1 = 3 # why\n", "p:1: ", "operator after arg1" },
	{ "ioctl arg1 # why\n", "p:1: ", "operator after arg1" },
	{ "ioctl arg1 & 3 # why\n", "p:1: ", "operator after arg1" },
	{ "ioctl arg1 == # why\n", "p:1: ", "a name or number is missing" },
	{ "ioctl arg1 == 3, # why\n", "p:1: ", "a name or number is missing" },
	{ "ioctl arg1 == 3 arg2 == 4 # why\n", "p:1: ", "`arg2 == 4 # why' is not expected" },
	{ "ioctl arg6 == 3 # why\n", "p:1: ", "`arg6' is not one of arg0 to arg5" },
	{ "ioctl arg == 3 # why\n", "p:1: ", "`arg' is not one of" },
	{ "ioctl arg11 == 3 # why\n", "p:1: ", "`arg11' is not one of" },
	{ "ioctl arg1:16 == 3 # why\n", "p:1: ", "operator after arg1" },
	{ "ioctl arg1 == 3, arg1 & 4 == 4 # why\n", "p:1: ", "arg1 has two conditions" },
	{ "ioctl arg1 & 3 == 4 # why\n", "p:1: ", "can never hold" },
	{ "ioctl arg1 & 0 == 0 # why\n", "p:1: ", "looks at no bit" },
	{ "ioctl arg1:32 & 0x100000000 == 0 # why\n", "p:1: ", "looks at no bit" },
	{ "ioctl arg1 == 0x10000000000000000 # why\n", "p:1: ", "is not a 64-bit number" },
	{ "ioctl arg1 == 12monkeys # why\n", "p:1: ", "`12monkeys' is not a 64-bit number" },
	{ "ioctl arg1 == 08 # why\n", "p:1: ", "`08' is not a 64-bit number" },
	{ "read # a\nread # b\n", "p:2: ", "`read' repeats line 1" },
	{ "ioctl arg1 == 1 # a\nioctl arg1 == 0x1 # b\n", "p:2: ", "`ioctl' repeats line 1" },
	{ "ioctl # a\nioctl arg1 == 1 # b\n", "p:2: ", "with and without conditions (line 1)" },
	{ "ioctl arg1 == 1 # b\nioctl # a\n", "p:2: ", "with and without conditions (line 1)" },
	{ "read, write # both\n", "p:1: ", "missing before `, write" },
	{ ": # why\n", "p:1: ", "a name or number is missing" },
	{ LONG_NAME " # why\n", "p:1: ", "longer than any name" },
	{ "# nothing\n\n", "p: ", "allows no call at all" },
	{ "", "p: ", "allows no call at all" },
};

TEST(bad_policies_are_refused_by_line)
{
	make_dir();
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		char text[512] = "";

		put_file("p", bad[i].policy, strlen(bad[i].policy));
		CHECK_EQ(compile("--header x", 1), 1);
		get_file("err", text, sizeof(text) - 1);
		if (!strstr(text, bad[i].where) || !strstr(text, bad[i].says))
			fprintf(stderr, "# row %u: %s", i, text);
		CHECK(strstr(text, bad[i].where) && strstr(text, bad[i].says));
		CHECK_EQ(get_file("out", text, sizeof(text)), 0);
	}
}

TEST(nul_byte_is_refused)
{
	static const char policy[] = "read # why\nwrite \0 # why\n";
	char text[512] = "";

	make_dir();
	put_file("p", policy, sizeof(policy) - 1);
	CHECK_EQ(compile("--header x", 1), 1);
	get_file("err", text, sizeof(text) - 1);
	CHECK(strstr(text, "p:2: the line holds a NUL byte"));
}

TEST(missing_policy_is_named)
{
	char text[512] = "";

	make_dir();
	CHECK_EQ(compile("--header x", 1), 1);
	get_file("err", text, sizeof(text) - 1);
	CHECK(strstr(text, in_dir("p")) && strstr(text, "No such file"));
}

TEST(bad_usage_is_told)
{
	char text[512] = "";

	make_dir();
	CHECK_EQ(compile("--hedaer x", 1), 2);
	get_file("err", text, sizeof(text) - 1);
	CHECK(strstr(text, "usage:"));
}

TEST(header_kills_foreign_calls)
{
	static const char policy[] = "read\t# why\n  write# why, without a blank\n# comment";
	char text[4096] = "";

	make_dir();
	put_file("p", policy, sizeof(policy) - 1);
	CHECK_EQ(compile("--header x", 1), 0);
	get_file("out", text, sizeof(text) - 1);
	CHECK(strstr(text, "static const struct sock_filter filter_x[] = {"));
	CHECK(strstr(text, "0x80000000"));	     /* SECCOMP_RET_KILL_PROCESS */
	CHECK(strstr(text, "0x00030000"));	     /* SECCOMP_RET_TRAP */
	CHECK(strstr(text, "0x7fff0000"));	     /* SECCOMP_RET_ALLOW */
	CHECK(!strstr(text, ", 0x00000000 },\n};")); /* SECCOMP_RET_KILL_THREAD */
}

static void make_filter_file(const char *policy)
{
	put_file("p", policy, strlen(policy));
	CHECK_EQ(compile("--file", 3), 0);
}

static const struct {
	const char *policy;
	struct call call;
	bool allowed;
} meaning[] = {
	{ HARNESS "ioctl # any\n", { SYS_ioctl, { BAD_FD, 5 } }, true },
	/* all 64 bits, and 32 of them */
	{ HARNESS "ioctl arg1 == 5 # w\n", { SYS_ioctl, { BAD_FD, 5 } }, true },
	{ HARNESS "ioctl arg1 == 5 # w\n", { SYS_ioctl, { BAD_FD, 4 } }, false },
	{ HARNESS "ioctl arg1 == 5 # w\n", { SYS_ioctl, { BAD_FD, 1ul << 32 | 5 } }, false },
	{ HARNESS "ioctl arg1:32 == 5 # w\n", { SYS_ioctl, { BAD_FD, 1ul << 32 | 5 } }, true },
	{ HARNESS "ioctl arg1:32 == 5 # w\n", { SYS_ioctl, { BAD_FD, 1ul << 32 | 4 } }, false },
	{ HARNESS "ioctl arg0:32 == 0xffffffff # w\n", { SYS_ioctl, { BAD_FD } }, true },
	{ HARNESS "ioctl arg0 == 0xffffffff # w\n", { SYS_ioctl, { BAD_FD } }, false },
	{ HARNESS "ioctl arg0 == 0xffffffffffffffff # w\n", { SYS_ioctl, { BAD_FD } }, true },
	/* masks */
	{ HARNESS "mmap arg2 & PROT_EXEC == 0 # w\n", { SYS_mmap, { 0, 0, PROT_READ } }, true },
	{ HARNESS "mmap arg2 & PROT_EXEC == 0 # w\n", { SYS_mmap, { 0, 0, 7 } }, false },
	{ HARNESS "ioctl arg1 & 6 == 2|4 # w\n", { SYS_ioctl, { BAD_FD, 7 } }, true },
	{ HARNESS "ioctl arg1 & 6 == 2|4 # w\n", { SYS_ioctl, { BAD_FD, 5 } }, false },
	{ HARNESS "ioctl arg1 & 2|4 == 4 # w\n", { SYS_ioctl, { BAD_FD, 12 } }, true },
	{ HARNESS "ioctl arg1 & 2|4 == 4 # w\n", { SYS_ioctl, { BAD_FD, 6 } }, false },
	/* all conditions of a line */
	{ HARNESS "ioctl arg1 == 1, arg2 == 2 # w\n", { SYS_ioctl, { BAD_FD, 1, 2 } }, true },
	{ HARNESS "ioctl arg1 == 1, arg2 == 2 # w\n", { SYS_ioctl, { BAD_FD, 1, 3 } }, false },
	{ HARNESS "ioctl arg1 == 1, arg2 == 2 # w\n", { SYS_ioctl, { BAD_FD, 0, 2 } }, false },
	/* any line of a call */
	{ HARNESS "ioctl arg1 == 1 # a\nioctl arg1 == 2 # b\n",
	  { SYS_ioctl, { BAD_FD, 1 } },
	  true },
	{ HARNESS "ioctl arg1 == 1 # a\nioctl arg1 == 2 # b\n",
	  { SYS_ioctl, { BAD_FD, 2 } },
	  true },
	{ HARNESS "ioctl arg1 == 1 # a\nioctl arg1 == 2 # b\n",
	  { SYS_ioctl, { BAD_FD, 3 } },
	  false },
};

TEST(conditions_mean_what_they_say)
{
	SKIP_IF_SANITIZED();
	make_dir();
	for (unsigned i = 0; i < ARRAY_SIZE(meaning); i++) {
		struct confined c = { .kind = THREAD_VCPU,
				      .run = make_call,
				      .call = &meaning[i].call };
		struct err e = { 0 };

		make_filter_file(meaning[i].policy);
		CHECK_EQ(isolation_from_file(in_dir("out"), &c.iso, &e), 0);
		confined_run(&c);
		if (meaning[i].allowed ? !was_allowed(&c) : !was_denied(&c))
			fprintf(stderr, "# row %u: status %#x, %s\n", i, c.status, c.text);
		CHECK(meaning[i].allowed ? was_allowed(&c) : was_denied(&c));
	}
}

/* Each kind gets its own program of the file. */
TEST(file_of_the_built_in_policies)
{
	static const struct call run = { SYS_ioctl, { BAD_FD, 0xae80 } }; /* KVM_RUN */
	static const struct call accept = { SYS_accept4, { BAD_FD } };
	static const struct call open = { SYS_openat, { BAD_FD } };
	static const struct call *const calls[] = { &open, &accept, &run };
	struct err e = { 0 };
	char cmd[512];

	SKIP_IF_SANITIZED();
	make_dir();
	snprintf(cmd, sizeof(cmd),
		 COMPILER " --file resources/seccomp/vmm.policy resources/seccomp/api.policy "
			  "resources/seccomp/vcpu.policy > %s",
		 in_dir("out"));
	CHECK_EQ(system(cmd), 0);
	CHECK_EQ(isolation_from_file(in_dir("out"), &loaded, &e), 0);
	for (unsigned kind = THREAD_VMM; kind <= THREAD_VCPU; kind++) {
		for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
			struct confined c = { .iso = loaded,
					      .kind = (enum thread_kind)kind,
					      .run = make_call,
					      .call = calls[i] };

			confined_run(&c);
			CHECK(i == kind ? was_allowed(&c) : was_denied(&c));
		}
	}
}

enum { HEAD = sizeof(struct filter_file_head), INSN = sizeof(struct sock_filter) };

struct file_case {
	uint32_t n[FILTER_FILE_KINDS]; /* in the head */
	uint32_t ninsns;	       /* after it */
	int extra;		       /* bytes */
	bool good;
};

static const struct file_case files[] = {
	{ { 1, 1, 1 }, 3, 0, true },
	{ { 1, 1, 1 }, 3, -1, false },
	{ { 1, 1, 1 }, 3, 1, false },
	{ { 0, 1, 1 }, 2, 0, false },
	{ { 1, 1, 0 }, 2, 0, false },
	{ { 4096, 4096, 4096 }, 3 * 4096, 0, true },
	{ { 4096, 4096, 4096 }, 3 * 4096, 1, false },
	{ { 4097, 1, 1 }, 4099, 0, false },
	{ { 0xffffffff, 2, 2 }, 3, 0, false },
	{ { 1, 1, 1 }, 0, 0, false },
	{ { 1, 1, 1 }, 0, -1, false },
};

TEST(filter_files_are_checked)
{
	static char buf[HEAD + (3 * 4096 + 4) * INSN];
	struct filter_file_head head = { .magic = FILTER_FILE_MAGIC };

	make_dir();
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		const struct file_case *k = &files[i];
		struct filters *f = NULL;
		struct err e = { 0 };

		memcpy(head.n, k->n, sizeof(head.n));
		memcpy(buf, &head, HEAD);
		put_file("out", buf, (size_t)((long)HEAD + (long)k->ninsns * INSN + k->extra));
		CHECK_EQ(filters_load(in_dir("out"), &f, &e), k->good ? 0 : -EINVAL);
		CHECK(k->good || strstr(e.msg, "is not one that"));
		CHECK((f != NULL) == k->good);
		filters_destroy(f);
	}
}

TEST(other_files_are_refused)
{
	struct filters *f = NULL;
	struct err e = { 0 };

	make_dir();
	CHECK_EQ(filters_load(in_dir("none"), &f, &e), -ENOENT);
	CHECK(strstr(e.msg, in_dir("none")));
	CHECK(filters_load(dir, &f, &e) < 0);
	CHECK(filters_load("/dev/zero", &f, &e) < 0);
	put_file("out", "{\"vmm\": {}}", 11);
	CHECK_EQ(filters_load(in_dir("out"), &f, &e), -EINVAL);
	CHECK(f == NULL);
}

/* A program that the kernel's verifier refuses is an error, not a thread without a filter. */
TEST(invalid_program_is_refused_by_the_kernel)
{
	static char buf[HEAD + 3 * INSN];
	struct filter_file_head head = { .magic = FILTER_FILE_MAGIC, .n = { 1, 1, 1 } };
	struct err e = { 0 };

	make_dir();
	memcpy(buf, &head, HEAD);
	memset(buf + HEAD, 0xff, sizeof(buf) - HEAD);
	put_file("out", buf, sizeof(buf));
	CHECK_EQ(isolation_from_file(in_dir("out"), &loaded, &e), 0);
	CHECK_EQ(loaded->enter(loaded, THREAD_API, &e), -EINVAL);
	CHECK(strstr(e.msg, "not valid"));
}

TEST(injected_faults_are_errors)
{
#ifdef WISP_FAULTS
	struct err e;

	make_dir();
	make_filter_file(HARNESS);
	for (long n = 0;; n++) {
		int r;

		e = (struct err){ 0 };
		fault_arm(n);
		r = isolation_from_file(in_dir("out"), &loaded, &e);
		if (!fault_fired()) {
			CHECK(r == 0 && loaded && n > 0);
			break;
		}
		CHECK(r < 0 && e.msg[0] && !loaded);
	}
#else
	SKIP("built without faults");
#endif
}
