/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A seccomp policy as text (docs/seccomp.md has the grammar), read into rules and
 * compiled to a filter program.
 *
 * The result allows what a rule allows, raises SIGSYS for every other call (or does
 * what a JSON file says: policy_json.h), and kills the process for calls of a foreign architecture
 * or of x32.
 *
 * Both functions leave the line they worked on in policy->line, 0 when the fault
 * belongs to no line; the caller puts file and line before the message.
 */
#pragma once

#include <linux/filter.h>
#include <stdio.h>

#include "base/cc.h"
#include "base/err.h"

enum {
	POLICY_RULES_MAX = 512,
	POLICY_IDLE_MAX = 10, /* lines that say `not exercised: why' */
	POLICY_ARGS = 6,      /* arguments of a system call */
	POLICY_NAME = 40,     /* bytes in the longest name of a call or constant, with the NUL */
};

struct policy_cmp {    /* (argument & mask) == value */
	uint64_t mask; /* 0: argument is not looked at */
	uint64_t value;
	uint64_t op; /* not 0: one of enum scmp_compare, of the whole register with `value' */
};

struct policy_rule { /* all of cmp[] must hold */
	char name[POLICY_NAME];
	int nr;
	unsigned line;
	struct policy_cmp cmp[POLICY_ARGS];
};

struct policy {
	struct policy_rule rules[POLICY_RULES_MAX];
	unsigned n;
	unsigned nidle; /* lines that say that no test uses them */
	unsigned line;
	/* libseccomp's; both 0: what a rule matches is allowed, the rest raises SIGSYS */
	uint32_t default_action, match_action;
};

struct policy_program {
	struct sock_filter insns[BPF_MAXINSNS];
	unsigned n;
};

/* `p' is zeroed by the caller. -EINVAL for a line that is not of the grammar. */
must_check int policy_read(struct policy *p, FILE *in, struct err *e);

must_check int policy_compile(struct policy *p, struct policy_program *ret, struct err *e);
