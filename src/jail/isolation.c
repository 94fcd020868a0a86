/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/isolation.h"

#include "base/fault.h"
#include "jail/filter.h"

struct isolation_file {
	struct isolation iso;
	struct filters *filters; /* owned */
};

static int enter_seccomp(const struct isolation *iso, enum thread_kind kind, struct err *e)
{
	(void)iso;
	return filter_install(kind, e);
}

static int enter_nothing(const struct isolation *iso, enum thread_kind kind, struct err *e)
{
	(void)iso;
	(void)kind;
	(void)e;
	return 0;
}

static int enter_file(const struct isolation *iso, enum thread_kind kind, struct err *e)
{
	const struct isolation_file *f = container_of(iso, const struct isolation_file, iso);

	return filter_install_from(f->filters, kind, e);
}

const struct isolation *isolation_seccomp(void)
{
	static const struct isolation iso = { .enter = enter_seccomp };

	return &iso;
}

const struct isolation *isolation_none(void)
{
	static const struct isolation iso = { .enter = enter_nothing };

	return &iso;
}

int isolation_from_file(const char *path, const struct isolation **ret, struct err *e)
{
	autofree struct isolation_file *f = NULL;
	int r = FAULT(-ENOMEM);

	if (r == 0)
		f = calloc(1, sizeof(*f));
	if (!f)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "seccomp filter file `%s': out of memory",
			       path);
	f->iso.enter = enter_file;
	r = filters_load(path, &f->filters, e);
	if (r < 0)
		return r;
	*ret = &take_ptr(&f)->iso;
	return 0;
}
