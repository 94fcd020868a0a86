/* SPDX-License-Identifier: Apache-2.0 */
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>

#include "policy.h"

static void context_release_(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}
#define auto_context cleanup_with(context_release_)

static int set_attributes(scmp_filter_ctx ctx)
{
	/* Both defaults of the library kill one thread only, and the process lives on maimed. */
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* binary tree */
	return r;
}

/*
 * A 32-bit condition is a masked one. The library's SCMP_A1_32 only truncates the value it is
 * given and still compares all 64 bits, so that a sign-extended request would not match.
 */
static int add_rule(scmp_filter_ctx ctx, const struct policy_rule *rule, uint32_t action)
{
	struct scmp_arg_cmp cmps[POLICY_ARGS];
	unsigned n = 0;

	for (unsigned i = 0; i < POLICY_ARGS; i++) {
		const struct policy_cmp *c = &rule->cmp[i];

		if (c->op != 0)
			cmps[n++] = (struct scmp_arg_cmp){ i, (enum scmp_compare)c->op, c->value,
							   0 };
		else if (c->mask == UINT64_MAX)
			cmps[n++] = (struct scmp_arg_cmp){ i, SCMP_CMP_EQ, c->value, 0 };
		else if (c->mask != 0)
			cmps[n++] = (struct scmp_arg_cmp){ i, SCMP_CMP_MASKED_EQ, c->mask,
							   c->value };
	}
	return seccomp_rule_add_exact_array(ctx, action, rule->nr, n, cmps);
}

static int export_program(scmp_filter_ctx ctx, struct policy_program *ret)
{
	autoclose int fd = memfd_create("filter", MFD_CLOEXEC);
	ssize_t len;
	int r;

	if (fd < 0)
		return -errno;
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_END) > (off_t)sizeof(ret->insns))
		return -E2BIG;
	len = pread(fd, ret->insns, sizeof(ret->insns), 0);
	if (len <= 0)
		return len < 0 ? -errno : -EIO;
	ret->n = (unsigned)((size_t)len / sizeof(ret->insns[0]));
	return 0;
}

int policy_compile(struct policy *p, struct policy_program *ret, struct err *e)
{
	const bool given = p->default_action != p->match_action;
	const uint32_t action = given ? p->match_action : SCMP_ACT_ALLOW;
	auto_context scmp_filter_ctx ctx = seccomp_init(given ? p->default_action : SCMP_ACT_TRAP);
	int r;

	p->line = 0;
	if (!ctx)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "libseccomp cannot make a filter");
	r = set_attributes(ctx);
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "libseccomp refuses an attribute: %s",
			       strerror(-r));
	for (unsigned i = 0; i < p->n; i++) {
		p->line = p->rules[i].line;
		r = add_rule(ctx, &p->rules[i], action);
		if (r < 0)
			return err_set(e, ERR_INVALID, r,
				       "libseccomp refuses the rule for `%s': %s", p->rules[i].name,
				       strerror(-r));
	}
	p->line = 0;
	r = export_program(ctx, ret);
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "the program cannot be exported: %s",
			       strerror(-r));
	return 0;
}
