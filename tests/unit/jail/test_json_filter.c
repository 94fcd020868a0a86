/* SPDX-License-Identifier: Apache-2.0 */
/* Firecracker's JSON filters: what they mean when compiled, and what is refused. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "confined.h"

#define COMPILER "build/tools/wisp-seccomp"
#define BAD_FD	 ((unsigned long)-1)

/* What the harness itself needs under a filter. */
#define CALL(name)   "{\"syscall\": \"" name "\"},"
#define HARNESS	     CALL("write") CALL("exit_group") CALL("exit") CALL("rt_sigprocmask") HARNESS_MORE
#define HARNESS_MORE CALL("madvise") CALL("rseq")
#define FILTER(rules)                                                                              \
	"{\"default_action\": \"trap\", \"filter_action\": \"allow\", \"filter\": [" HARNESS rules \
	"]}"
#define API_FILTER  FILTER(CALL("read") "{\"syscall\": \"brk\"}")
#define VCPU_FILTER FILTER("{\"syscall\": \"munmap\", \"comment\": \"why\"}")
#define FILE_OF(rules) \
	"{\"vmm\": " FILTER(rules) ", \"api\": " API_FILTER ", \"vcpu\": " VCPU_FILTER "}"
#define ARG(op, type, val)                                                                       \
	"{\"syscall\": \"ioctl\", \"args\": [{\"index\": 1, \"type\": \"" type "\", \"op\": " op \
	", \"val\": " val ", \"comment\": \"c\"}]}"

static char dir[] = "/tmp/wisp-test-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[4][64];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static void remove_dir(void)
{
	unlink(in_dir("f.json"));
	unlink(in_dir("out"));
	unlink(in_dir("err"));
	rmdir(dir);
}

static int compile(const char *text, const char *words)
{
	char cmd[256];
	FILE *f;
	int status;

	if (access(dir, F_OK) < 0) {
		CHECK(mkdtemp(dir) != NULL);
		atexit(remove_dir);
	}
	f = fopen(in_dir("f.json"), "we");
	CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
	snprintf(cmd, sizeof(cmd), COMPILER " %s 2> %s", words, in_dir("err"));
	status = system(cmd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int compile_json(const char *text)
{
	char words[160];

	snprintf(words, sizeof(words), "--json %s/f.json > %s/out", dir, dir);
	if (access(dir, F_OK) < 0) { /* its name is not known before */
		(void)compile("{}", "--names > /dev/null");
		snprintf(words, sizeof(words), "--json %s/f.json > %s/out", dir, dir);
	}
	return compile(text, words);
}

static const struct {
	const char *file;
	struct call call;
	bool allowed;
} meaning[] = {
	{ FILE_OF("{\"syscall\": \"close\"}"), { SYS_close, { BAD_FD } }, true },
	{ FILE_OF("{\"syscall\": \"close\"}"), { SYS_dup, { BAD_FD } }, false },
	{ FILE_OF(ARG("\"eq\"", "dword", "44672")), { SYS_ioctl, { BAD_FD, KVM_RUN } }, true },
	{ FILE_OF(ARG("\"eq\"", "dword", "44672")),
	  { SYS_ioctl, { BAD_FD, 0xffffffff00000000 | KVM_RUN } },
	  true },
	{ FILE_OF(ARG("\"eq\"", "qword", "44672")),
	  { SYS_ioctl, { BAD_FD, 0xffffffff00000000 | KVM_RUN } },
	  false },
	{ FILE_OF(ARG("\"eq\"", "dword", "44672")), { SYS_ioctl, { BAD_FD, 1 } }, false },
	{ FILE_OF(ARG("\"ne\"", "qword", "5")), { SYS_ioctl, { BAD_FD, 5 } }, false },
	{ FILE_OF(ARG("\"ne\"", "qword", "5")), { SYS_ioctl, { BAD_FD, 6 } }, true },
	{ FILE_OF(ARG("\"lt\"", "qword", "5")), { SYS_ioctl, { BAD_FD, 4 } }, true },
	{ FILE_OF(ARG("\"lt\"", "qword", "5")), { SYS_ioctl, { BAD_FD, 5 } }, false },
	{ FILE_OF(ARG("\"le\"", "qword", "5")), { SYS_ioctl, { BAD_FD, 5 } }, true },
	{ FILE_OF(ARG("\"le\"", "qword", "5")), { SYS_ioctl, { BAD_FD, 6 } }, false },
	{ FILE_OF(ARG("\"gt\"", "qword", "5")), { SYS_ioctl, { BAD_FD, 6 } }, true },
	{ FILE_OF(ARG("\"gt\"", "qword", "5")), { SYS_ioctl, { BAD_FD, 5 } }, false },
	{ FILE_OF(ARG("\"ge\"", "qword", "5")), { SYS_ioctl, { BAD_FD, 5 } }, true },
	{ FILE_OF(ARG("\"ge\"", "qword", "5")), { SYS_ioctl, { BAD_FD, 4 } }, false },
	{ FILE_OF(ARG("{\"masked_eq\": 12}", "dword", "4")),
	  { SYS_ioctl, { BAD_FD, 0x34 } },
	  true },
	{ FILE_OF(ARG("{\"masked_eq\": 12}", "dword", "4")), { SYS_ioctl, { BAD_FD, 8 } }, false },
};

TEST(a_rule_means_what_it_says)
{
	static const struct isolation *loaded;

	SKIP_IF_SANITIZED();
	for (unsigned i = 0; i < sizeof(meaning) / sizeof(meaning[0]); i++) {
		struct err e = { 0 };
		struct confined c = { .kind = THREAD_VMM,
				      .run = make_call,
				      .call = &meaning[i].call };

		CHECK_EQ(compile_json(meaning[i].file), 0);
		CHECK_EQ(isolation_from_file(in_dir("out"), &loaded, &e), 0);
		c.iso = loaded;
		confined_run(&c);
		if (meaning[i].allowed ? !was_allowed(&c) : !was_denied(&c))
			fprintf(stderr, "# row %u: status %#x, %s\n", i, c.status, c.text);
		CHECK(meaning[i].allowed ? was_allowed(&c) : was_denied(&c));
	}
}

static const struct {
	const char *file, *says;
} bad[] = {
	{ "", "EOF" },
	{ "{}", "missing field" },
	{ "[]", "sequence" },
	{ "{\"vmm\": {}, \"api\": {}, \"vcpu\": {}, \"more\": {}}", "more" },
	{ FILE_OF("{\"syscall\": \"reed\"}"), "vmm: system call `reed' is unknown" },
	{ FILE_OF("{\"sys\": \"read\"}"), "sys" },
	{ FILE_OF("{\"args\": []}"), "syscall" },
	{ FILE_OF(ARG("\"xx\"", "dword", "1")), "op `xx' is none of" },
	{ FILE_OF(ARG("{\"masked_eq\": 0}", "dword", "0")), "looks at no bit" },
	{ FILE_OF(ARG("{\"masked\": 1}", "dword", "0")), "op: neither a word" },
	{ FILE_OF(ARG("\"eq\"", "word", "1")), "word" },
	{ FILE_OF(ARG("\"eq\"", "dword", "-1")), "invalid" },
	{ FILE_OF("{\"syscall\": \"ioctl\", \"args\": [{\"index\": 6, \"type\": \"dword\", \"op\": "
		  "\"eq\", \"val\": 1}]}"),
	  "no argument 6" },
	{ FILE_OF("{\"syscall\": \"ioctl\", \"args\": [{\"index\": 1, \"type\": \"dword\", \"op\": "
		  "\"eq\", \"val\": 1}, {\"index\": 1, \"type\": \"dword\", \"op\": \"eq\", "
		  "\"val\": 2}]}"),
	  "two conditions" },
	{ "{\"vmm\": {\"default_action\": \"allow\", \"filter_action\": \"allow\", \"filter\": []}, "
	  "\"api\": {}, \"vcpu\": {}}",
	  "are the same" },
	{ "{\"vmm\": {\"default_action\": \"die\", \"filter_action\": \"allow\", \"filter\": []}, "
	  "\"api\": {}, \"vcpu\": {}}",
	  "action `die' is none of" },
	{ "{\"vmm\": {\"default_action\": {\"errno\": 65536}, \"filter_action\": \"allow\", "
	  "\"filter\": []}, \"api\": {}, \"vcpu\": {}}",
	  "action `errno'" },
};

TEST(bad_files_are_refused)
{
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[512] = "";
		FILE *f;

		CHECK_EQ(compile_json(bad[i].file), 1);
		f = fopen(in_dir("err"), "re");
		CHECK(f != NULL);
		(void)!fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
		if (!strstr(text, bad[i].says))
			fprintf(stderr, "# row %u: %s", i, text);
		CHECK(strstr(text, bad[i].says));
	}
}

/* The command line of Firecracker's compiler; a refused file leaves nothing behind. */
TEST(called_as_seccompiler)
{
	char words[160];
	struct err e = { 0 };
	struct filters *f = NULL;

	CHECK_EQ(compile_json(FILE_OF("{\"syscall\": \"close\"}")), 0);
	unlink(in_dir("out"));
	snprintf(words, sizeof(words), "--input-file %s/f.json -t x86_64 --output-file %s/out", dir,
		 dir);
	CHECK_EQ(compile(FILE_OF("{\"syscall\": \"close\"}"), words), 0);
	CHECK_EQ(filters_load(in_dir("out"), &f, &e), 0);
	filters_destroy(f);
	unlink(in_dir("out"));
	CHECK_EQ(compile("{}", words), 1);
	CHECK(access(in_dir("out"), F_OK) < 0);
	snprintf(words, sizeof(words), "-i %s/f.json -t aarch64 -o %s/out", dir, dir);
	CHECK_EQ(compile("{}", words), 1);
	snprintf(words, sizeof(words), "-i %s/f.json --basic -o %s/out", dir, dir);
	CHECK_EQ(compile(FILE_OF("{\"syscall\": \"close\"}"), words), 1);
	CHECK_EQ(compile("{}", "-t x86_64"), 2);
	CHECK_EQ(compile("{}", "-i"), 2);
	CHECK(access(in_dir("out"), F_OK) < 0);
}

TEST(the_usual_output_of_seccompiler)
{
	char cmd[256];
	struct err e = { 0 };
	struct filters *f = NULL;
	const char *out;

	CHECK_EQ(compile_json(FILE_OF("{\"syscall\": \"close\"}")), 0);
	snprintf(cmd, sizeof(cmd), "at=$PWD; cd %s && $at/" COMPILER " -i f.json", dir);
	CHECK_EQ(system(cmd), 0);
	out = in_dir("seccomp_binary_filter.out");
	CHECK_EQ(filters_load(out, &f, &e), 0);
	filters_destroy(f);
	unlink(out);
}
