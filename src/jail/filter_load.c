/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/filter_load.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>

#include "base/fault.h"
#include "jail/filter_file.h"

static_assert(THREAD_VMM == 0 && THREAD_API == 1 && THREAD_VCPU == 2, "order in the file");

struct filters {
	struct filter_file_head head;
	struct sock_filter insns[FILTER_FILE_KINDS * BPF_MAXINSNS];
};

/* Regular files only: a read of one is whole unless the file ends. */
static int read_whole(const char *path, void *buf, size_t cap, size_t *ret_len)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = pread(fd, buf, cap, 0);
	if (len < 0)
		return -errno;
	*ret_len = (size_t)len;
	return 0;
}

static int check(const struct filters *f, size_t len)
{
	static const char magic[] = FILTER_FILE_MAGIC;
	size_t want = sizeof(f->head);

	if (len < sizeof(f->head) || memcmp(f->head.magic, magic, sizeof(magic)) != 0)
		return -EINVAL;
	for (unsigned i = 0; i < FILTER_FILE_KINDS; i++) {
		if (f->head.n[i] == 0 || f->head.n[i] > BPF_MAXINSNS)
			return -EINVAL;
		want += f->head.n[i] * sizeof(f->insns[0]);
	}
	return len == want ? 0 : -EINVAL;
}

int filters_load(const char *path, struct filters **ret, struct err *e)
{
	autofree struct filters *f = NULL;
	size_t len = 0;
	int r = FAULT(-ENOMEM);

	/* One byte more than the longest file, so that a longer one is seen. */
	if (r == 0)
		f = calloc(1, sizeof(*f) + 1);
	if (!f)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "seccomp filter file `%s': out of memory",
			       path);
	r = read_whole(path, f, sizeof(*f) + 1, &len);
	if (r < 0)
		return err_set(e, ERR_INVALID, r, "seccomp filter file `%s': %s", path,
			       strerror(-r));
	r = check(f, len);
	if (r < 0)
		return err_set(e, ERR_INVALID, r,
			       "seccomp filter file `%s' is not one that `wisp-seccomp --file' "
			       "wrote, or is cut short",
			       path);
	*ret = take_ptr(&f);
	return 0;
}

void filters_destroy(struct filters *f)
{
	free(f);
}

struct sock_fprog filters_program(const struct filters *f, enum thread_kind kind)
{
	const struct sock_filter *at = f->insns;

	for (unsigned i = 0; i < (unsigned)kind; i++)
		at += f->head.n[i];
	return (struct sock_fprog){
		.len = (unsigned short)f->head.n[kind],
		.filter = (struct sock_filter *)(uintptr_t)at, /* the kernel only reads it */
	};
}
