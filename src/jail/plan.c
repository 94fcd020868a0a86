/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/plan.h"

#include <string.h>

/* One below: -1 means "leave it as it is" to setresuid(2). */
#define ID_LAST (UINT32_MAX - 1)

void plan_init(struct plan *p)
{
	*p = (struct plan){
		.base = PLAN_BASE_DEFAULT,
		.fsize = PLAN_UNLIMITED,
		.nofile = PLAN_NOFILE_DEFAULT,
	};
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* It becomes a folder: nothing in it may mean anything to a path. */
int plan_set_id(struct plan *p, const char *text, struct err *e)
{
	size_t len = strnlen(text, PLAN_ID_MAX + 1);

	if (len == 0 || len > PLAN_ID_MAX)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "--id: Invalid instance ID: it must have 1 to %d characters",
			       PLAN_ID_MAX);
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(text[i]) && text[i] != '-')
			return err_set(
				e, ERR_INVALID, -EINVAL,
				"--id: Invalid instance ID: the character at position %zu is "
				"neither alphanumeric nor a hyphen",
				i);
	p->id = text;
	return 0;
}

int plan_set_exec_file(struct plan *p, const char *text, struct err *e)
{
	const char *slash = strrchr(text, '/');
	const char *name = slash ? slash + 1 : text;
	size_t len = strlen(name);

	if (len == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(e, ERR_INVALID, -EINVAL, "--exec-file: `%.100s' names no file",
			       text);
	if (len >= PLAN_NAME_MAX)
		return err_set(e, ERR_INVALID, -ENAMETOOLONG,
			       "--exec-file: the name `%.20s...' has more than %d characters", name,
			       PLAN_NAME_MAX - 1);
	memcpy(p->name, name, len + 1);
	p->exec_file = text;
	return 0;
}

static int number(const char *option, const char *text, size_t len, uint64_t max, uint64_t *ret,
		  struct err *e)
{
	uint64_t v = 0;
	bool good = len > 0;

	for (size_t i = 0; good && i < len; i++)
		good = text[i] >= '0' && text[i] <= '9' && !__builtin_mul_overflow(v, 10, &v) &&
		       !__builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v);
	if (!good)
		return err_set(e, ERR_INVALID, -EINVAL, "%s: `%.*s' is not a whole number", option,
			       (int)(len < 64 ? len : 64), text);
	if (v > max)
		return err_set(e, ERR_INVALID, -ERANGE, "%s: %llu is more than %llu", option,
			       (unsigned long long)v, (unsigned long long)max);
	*ret = v;
	return 0;
}

int plan_set_uid(struct plan *p, const char *text, struct err *e)
{
	uint64_t v = 0;
	int r = number("--uid", text, strlen(text), ID_LAST, &v, e);

	if (r < 0)
		return r;
	p->uid = (uid_t)v;
	p->has_uid = true;
	return 0;
}

int plan_set_gid(struct plan *p, const char *text, struct err *e)
{
	uint64_t v = 0;
	int r = number("--gid", text, strlen(text), ID_LAST, &v, e);

	if (r < 0)
		return r;
	p->gid = (gid_t)v;
	p->has_gid = true;
	return 0;
}

static int set_path(const char *option, const char *text, const char **to, struct err *e)
{
	if (!*text)
		return err_set(e, ERR_INVALID, -EINVAL, "%s: the path is empty", option);
	*to = text;
	return 0;
}

int plan_set_base(struct plan *p, const char *text, struct err *e)
{
	return set_path("--chroot-base-dir", text, &p->base, e);
}

int plan_set_netns(struct plan *p, const char *text, struct err *e)
{
	return set_path("--netns", text, &p->netns, e);
}

int plan_set_parent_cgroup(struct plan *p, const char *text, struct err *e)
{
	const char *at = text;

	if (*text == '/' || *text == '\0')
		return err_set(
			e, ERR_INVALID, -EINVAL,
			"--parent-cgroup: `%.100s' must be relative to the root of the cgroups "
			"and not empty",
			text);
	while (at) {
		size_t len = strcspn(at, "/");

		if (len == 2 && strncmp(at, "..", 2) == 0)
			return err_set(e, ERR_INVALID, -EINVAL,
				       "--parent-cgroup: `%.100s' goes up by `..'", text);
		at = at[len] ? at + len + 1 : NULL;
	}
	p->parent_cgroup = text;
	return 0;
}

int plan_set_cgroup_version(struct plan *p, const char *text, struct err *e)
{
	if (strcmp(text, "1") != 0 && strcmp(text, "2") != 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "--cgroup-version: `%.32s' is neither 1 nor 2", text);
	p->cgroup_version = (unsigned)(*text - '0');
	return 0;
}

int plan_add_cgroup(struct plan *p, const char *text, struct err *e)
{
	const char *sign = strchr(text, '=');
	size_t len = sign ? (size_t)(sign - text) : 0;

	if (len == 0 || sign[1] == '\0')
		return err_set(e, ERR_INVALID, -EINVAL, "--cgroup: `%.100s' is not FILE=VALUE",
			       text);
	if (memchr(text, '/', len) || !memchr(text, '.', len) || text[0] == '.')
		return err_set(e, ERR_INVALID, -EINVAL,
			       "--cgroup: `%.*s' is not the name of a cgroup's file "
			       "(`controller.name')",
			       (int)(len < 100 ? len : 100), text);
	if (p->ncgroups == PLAN_CGROUPS_MAX)
		return err_set(e, ERR_INVALID, -E2BIG, "--cgroup: given more than %d times",
			       PLAN_CGROUPS_MAX);
	p->cgroups[p->ncgroups++] =
		(struct plan_cgroup){ .file = text, .file_len = len, .value = sign + 1 };
	return 0;
}

int plan_set_limit(struct plan *p, const char *text, struct err *e)
{
	static const char fsize[] = "fsize=", nofile[] = "no-file=";
	size_t skip;
	uint64_t v = 0;
	bool is_size = strncmp(text, fsize, sizeof(fsize) - 1) == 0;
	int r;

	if (!is_size && strncmp(text, nofile, sizeof(nofile) - 1) != 0)
		return err_set(
			e, ERR_INVALID, -EINVAL,
			"--resource-limit: `%.64s' is neither fsize=BYTES nor no-file=NUMBER",
			text);
	skip = (is_size ? sizeof(fsize) : sizeof(nofile)) - 1;
	r = number("--resource-limit", text + skip, strlen(text + skip), PLAN_UNLIMITED - 1, &v, e);
	if (r < 0)
		return r;
	*(is_size ? &p->fsize : &p->nofile) = v;
	return 0;
}

int plan_check(const struct plan *p, struct err *e)
{
	const char *lacks = !p->id	    ? "--id"
			    : !p->exec_file ? "--exec-file"
			    : !p->has_uid   ? "--uid"
			    : !p->has_gid   ? "--gid"
					    : NULL;

	if (lacks)
		return err_set(e, ERR_INVALID, -EINVAL, "Argument '%s' required, but not found.",
			       lacks);
	return 0;
}
