/* SPDX-License-Identifier: Apache-2.0 */
/* The two files: both in their places or neither, and what was there before is kept. */
#include "vmm/snapshot_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "conf/expect.h"
#include "descriptors.h"
#include "vmm/snapshot_records.h"

static char dir[] = "/tmp/wisp-files-XXXXXX";
static char memory_path[64], state_path[64];
static struct err err;

static void begin(void)
{
	CHECK(mkdtemp(dir));
	snprintf(memory_path, sizeof(memory_path), "%s/mem", dir);
	snprintf(state_path, sizeof(state_path), "%s/state", dir);
}

/* The folder holds `n' files and nothing more. */
static void end(unsigned n)
{
	CHECK_EQ(entries_of(dir), n + 2);
	(void)unlink(memory_path);
	(void)unlink(state_path);
	CHECK_EQ(rmdir(dir), 0);
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void holds(const char *path, const char *text)
{
	char buf[64] = { 0 };
	FILE *f = fopen(path, "r");

	CHECK(f);
	CHECK(fgets(buf, sizeof(buf), f));
	fclose(f);
	expect_msg(path, buf, text);
}

/* Writes both with one text, as a snapshot does; the state of the drops is the end's. */
static int write_both(const char *text)
{
	struct snap_target memory = { .fd = -1, .dir_fd = -1 }, state = memory;
	int r = snap_target_open(&memory, memory_path, &err);

	if (r == 0)
		r = snap_target_open(&state, state_path, &err);
	if (r == 0)
		r = snap_check_apart(&memory, &state, &err);
	if (r == 0)
		r = snap_target_write(&memory, text, strlen(text), &err);
	if (r == 0)
		r = snap_target_write(&state, text, strlen(text), &err);
	if (r == 0)
		r = snap_publish(&memory, &state, &err);
	snap_target_drop(&memory);
	snap_target_drop(&state);
	return r;
}

TEST(both_are_new)
{
	unsigned descriptors;

	begin();
	descriptors = open_descriptors();
	CHECK_EQ(write_both("new"), 0);
	holds(memory_path, "new");
	holds(state_path, "new");
	CHECK_EQ(open_descriptors(), descriptors);
	end(2);
}

TEST(both_replace_others)
{
	begin();
	put(memory_path, "old");
	put(state_path, "old");
	CHECK_EQ(write_both("new"), 0);
	holds(memory_path, "new");
	holds(state_path, "new");
	end(2);
}

/* Whoever maps the old file goes on with the old file. */
TEST(a_file_in_use_is_not_written)
{
	char buf[4] = { 0 };
	int fd;

	begin();
	put(memory_path, "old");
	fd = open(memory_path, O_RDONLY | O_CLOEXEC);
	CHECK_EQ(write_both("new"), 0);
	CHECK_EQ(pread(fd, buf, 3, 0), 3);
	expect_msg("the old file", buf, "old");
	close(fd);
	end(2);
}

static void fault_at(long n, const char *before)
{
	unsigned descriptors = open_descriptors();
	int r;

	err = (struct err){ 0 };
	fault_arm(n);
	r = write_both("new");
	if (!fault_fired()) {
		CHECK_EQ(r, 0);
		return;
	}
	CHECK(r < 0 && err.code == r && err.msg[0]);
	CHECK_EQ(open_descriptors(), descriptors);
	CHECK_EQ(entries_of(dir), before ? 4 : 2);
	if (before) {
		holds(memory_path, before);
		holds(state_path, before);
	}
}

TEST(every_fault_leaves_both_as_they_were)
{
	long n = 0;

	if (!faults_built_in())
		SKIP("this build has no fault points");
	begin();
	for (; n == 0 || fault_fired(); n++)
		fault_at(n, NULL);
	CHECK(n > 10);
	put(memory_path, "old");
	put(state_path, "old");
	for (n = 0; n == 0 || fault_fired(); n++)
		fault_at(n, "old");
	fault_arm(-1);
	holds(memory_path, "new");
	end(2);
}

static long renames = -1; /* until this process dies; -1: it does not */

/* In the C library's place. */
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	if (renames == 0)
		_exit(0);
	if (renames > 0)
		renames--;
	return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

/* Whether a process that dies instead of its n-th rename has had so many. */
static bool dies_at(long n)
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		renames = n;
		_exit(write_both("new") == 0 ? 1 : 2);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 0;
}

/* A state goes with its memory alone: rather none than that of another snapshot. */
TEST(a_death_in_between_leaves_no_mixed_pair)
{
	char remove[64];
	bool died = true;
	long n = 0;

	begin();
	snprintf(remove, sizeof(remove), "rm -f %s/*", dir);
	for (; died; n++) {
		put(memory_path, "old");
		put(state_path, "old");
		died = dies_at(n);
		if (access(state_path, F_OK) == 0) {
			holds(state_path, died && n == 0 ? "old" : "new");
			holds(memory_path, died && n == 0 ? "old" : "new");
		} else {
			CHECK(died && n > 0);
		}
		CHECK_EQ(system(remove), 0);
	}
	CHECK(n > 2);
	end(0);
}

TEST(places_that_are_none)
{
	static const struct {
		const char *path, *msg;
		int code;
	} bad[] = {
		{ "/tmp", "the file cannot be created: Is a directory (os error 21): /tmp",
		  -EISDIR },
		{ "/tmp/", "the file cannot be created: Is a directory (os error 21): /tmp/",
		  -EISDIR },
		{ ".", "the file cannot be created: Is a directory *", -EISDIR },
		{ "..", "the file cannot be created: Is a directory *", -EISDIR },
		{ "/dev/null",
		  "what is there is no regular file: Operation not supported (os error 95): "
		  "/dev/null",
		  -ENOTSUP },
		{ "/nonexistent/x",
		  "the file's folder cannot be opened: No such file or directory (os error 2): *",
		  -ENOENT },
		{ "/dev/null/x", "the file's folder cannot be opened: Not a directory *",
		  -ENOTDIR },
		{ "/proc/x", "the file cannot be created: *", -ENOENT },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		unsigned descriptors = open_descriptors();
		struct snap_target t;

		CHECK_EQ(snap_target_open(&t, bad[i].path, &err), bad[i].code);
		expect_msg(bad[i].path, err.msg, bad[i].msg);
		CHECK_EQ(open_descriptors(), descriptors);
	}
}

TEST(names_of_any_length)
{
	static char path[5000];
	struct snap_target t;

	begin();
	for (size_t len = 254; len <= 256; len++) {
		int n = snprintf(path, sizeof(path), "%s/", dir);

		memset(path + n, 'x', len);
		path[(size_t)n + len] = '\0';
		CHECK_EQ(snap_target_open(&t, path, &err), len <= 255 ? 0 : -ENAMETOOLONG);
		snap_target_drop(&t);
	}
	memset(path, '/', sizeof(path) - 2);
	CHECK_EQ(snap_target_open(&t, path, &err), -ENAMETOOLONG);
	end(0);
}

TEST(a_link_is_replaced_and_not_followed)
{
	begin();
	CHECK_EQ(symlink("/nonexistent/place", memory_path), 0);
	CHECK_EQ(write_both("new"), 0);
	holds(memory_path, "new");
	end(2);
}

/* Two spellings of one place: the second file would take the first one's, which is then lost. */
TEST(one_place_has_many_names)
{
	unsigned descriptors;
	char link[32];

	begin();
	descriptors = open_descriptors();
	put(memory_path, "old");
	snprintf(state_path, sizeof(state_path), "%s/./mem", dir);
	CHECK_EQ(write_both("new"), -EINVAL);
	expect_msg("dot", err.msg,
		   "`snapshot_path` and `mem_file_path` are the same file: a snapshot is two");
	snprintf(link, sizeof(link), "%s.link", dir);
	CHECK_EQ(symlink(dir, link), 0);
	snprintf(state_path, sizeof(state_path), "%s/mem", link);
	CHECK_EQ(write_both("new"), -EINVAL);
	CHECK_EQ(unlink(link), 0);
	holds(memory_path, "old");
	CHECK_EQ(open_descriptors(), descriptors);
	end(1);
}

TEST(a_read_only_folder)
{
	if (geteuid() == 0)
		SKIP("root writes everywhere");
	begin();
	CHECK_EQ(chmod(dir, 0500), 0);
	CHECK_EQ(write_both("new"), -EACCES);
	expect_msg("folder", err.msg, "the file cannot be created: Permission denied *");
	CHECK_EQ(chmod(dir, 0700), 0);
	end(0);
}

/* --- reading ---------------------------------------------------------------- */

TEST(reading)
{
	uint8_t *data = NULL;
	size_t len = 0;
	int fd = -1;

	begin();
	put(state_path, "state");
	CHECK_EQ(snap_file_read(state_path, &data, &len, &err), 0);
	CHECK_EQ(len, 5);
	CHECK(memcmp(data, "state", 5) == 0);
	free(data);
	CHECK_EQ(snap_memory_open(state_path, 5, &fd, &err), 0);
	close(fd);
	CHECK_EQ(snap_memory_open(state_path, 6, &fd, &err), -EINVAL);
	expect_msg("size", err.msg, "the memory file has 5 bytes and the machine's memory 6: *");
	CHECK_EQ(snap_memory_open(state_path, 4, &fd, &err), -EINVAL);
	end(1);
}

TEST(files_that_are_none)
{
	uint8_t *data = NULL;
	size_t len = 0;
	int fd = -1;

	begin();
	CHECK_EQ(snap_file_read("/nonexistent", &data, &len, &err), -ENOENT);
	expect_msg("none", err.msg,
		   "the state file cannot be opened: No such file or directory (os error 2): "
		   "/nonexistent");
	CHECK_EQ(snap_file_read("/tmp", &data, &len, &err), -EINVAL);
	expect_msg("folder", err.msg, "the state file is no regular file: /tmp");
	CHECK_EQ(mkfifo(state_path, 0600), 0);
	CHECK_EQ(snap_file_read(state_path, &data, &len, &err), -EINVAL);
	CHECK_EQ(snap_memory_open(state_path, 0, &fd, &err), -EINVAL);
	CHECK_EQ(unlink(state_path), 0);
	put(state_path, "");
	for (int more = 0; more < 2; more++) {
		CHECK_EQ(truncate(state_path, SNAP_STATE_MAX + more), 0);
		CHECK_EQ(snap_file_read(state_path, &data, &len, &err), more ? -EFBIG : 0);
	}
	free(data);
	end(1);
}
