/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <ctype.h>
#include <seccomp.h>
#include <string.h>

#include "constants.h"

static void skip_blanks(const char **at)
{
	while (**at == ' ' || **at == '\t')
		(*at)++;
}

static bool eat(const char **at, const char *token)
{
	size_t len = strlen(token);

	skip_blanks(at);
	if (strncmp(*at, token, len) != 0)
		return false;
	*at += len;
	return true;
}

static int take_word(const char **at, char word[static POLICY_NAME], struct err *e)
{
	size_t len = 0;

	skip_blanks(at);
	while (isalnum((unsigned char)(*at)[len]) || (*at)[len] == '_')
		len++;
	if (len == 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "a name or number is missing before `%.20s'", *at);
	if (len >= POLICY_NAME)
		return err_set(e, ERR_INVALID, -EINVAL, "`%.*s...' is longer than any name",
			       POLICY_NAME, *at);
	memcpy(word, *at, len);
	word[len] = '\0';
	*at += len;
	return 0;
}

static int take_term(const char **at, uint64_t *ret_value, struct err *e)
{
	char word[POLICY_NAME] = "";
	char *end;
	int r = take_word(at, word, e);

	if (r < 0)
		return r;
	if (!isdigit((unsigned char)word[0])) {
		r = constant_lookup(word, ret_value);
		if (r < 0)
			return err_set(e, ERR_INVALID, -EINVAL,
				       "constant `%s' is unknown: correct it, or add it to "
				       "tools/seccomp/constants.c",
				       word);
		return 0;
	}
	errno = 0;
	*ret_value = strtoull(word, &end, 0);
	if (errno != 0 || *end != '\0')
		return err_set(e, ERR_INVALID, -EINVAL, "`%s' is not a 64-bit number", word);
	return 0;
}

static int take_value(const char **at, uint64_t *ret_value, struct err *e)
{
	uint64_t sum = 0;

	do {
		uint64_t term = 0;
		int r = take_term(at, &term, e);

		if (r < 0)
			return r;
		sum |= term;
	} while (eat(at, "|"));
	*ret_value = sum;
	return 0;
}

/* argN [:32] [& VALUE] == VALUE */
static int take_condition(const char **at, struct policy_rule *rule, struct err *e)
{
	struct policy_cmp cmp = { .mask = UINT64_MAX };
	uint64_t width = UINT64_MAX;
	char word[POLICY_NAME] = "";
	unsigned arg;
	int r = take_word(at, word, e);

	if (r < 0)
		return r;
	if (strlen(word) != 4 || strncmp(word, "arg", 3) != 0 || word[3] < '0' || word[3] > '5')
		return err_set(e, ERR_INVALID, -EINVAL, "`%s' is not one of arg0 to arg5", word);
	arg = (unsigned)(word[3] - '0');
	if (eat(at, ":32"))
		width = UINT32_MAX;
	if (eat(at, "&") && take_value(at, &cmp.mask, e) < 0)
		return e->code;
	if (!eat(at, "=="))
		return err_set(e, ERR_INVALID, -EINVAL,
			       "the operator after arg%u must be `== VALUE' or `& MASK == VALUE', "
			       "not `%.20s'",
			       arg, *at);
	if (take_value(at, &cmp.value, e) < 0)
		return e->code;
	cmp.mask &= width;
	cmp.value &= width;
	if (cmp.mask == 0 || (cmp.value & ~cmp.mask) != 0)
		return err_set(e, ERR_INVALID, -EINVAL, "the condition on arg%u %s", arg,
			       cmp.mask == 0 ? "looks at no bit" : "can never hold");
	if (rule->cmp[arg].mask != 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "arg%u has two conditions: libseccomp takes one for each rule", arg);
	rule->cmp[arg] = cmp;
	return 0;
}

/* A rule that says no more than an earlier one is a rule nobody will dare to remove. */
static int check_redundant(const struct policy *p, const struct policy_rule *rule, struct err *e)
{
	static const struct policy_cmp none[POLICY_ARGS];

	for (unsigned i = 0; i < p->n; i++) {
		const struct policy_rule *old = &p->rules[i];

		if (old->nr != rule->nr)
			continue;
		if (memcmp(old->cmp, rule->cmp, sizeof(none)) == 0)
			return err_set(e, ERR_INVALID, -EINVAL, "`%s' repeats line %u", rule->name,
				       old->line);
		if (memcmp(old->cmp, none, sizeof(none)) == 0 ||
		    memcmp(rule->cmp, none, sizeof(none)) == 0)
			return err_set(e, ERR_INVALID, -EINVAL,
				       "`%s' is allowed with and without conditions (line %u)",
				       rule->name, old->line);
	}
	return 0;
}

static int check_reason(struct policy *p, const char *at, const char *name, struct err *e)
{
	if (!eat(&at, "#"))
		return *at == '\0' ? err_set(e, ERR_INVALID, -EINVAL,
					     "`%s' has no reason: end the line with `# why'", name)
				   : err_set(e, ERR_INVALID, -EINVAL,
					     "`%s': `%.20s' is not expected here", name, at);
	skip_blanks(&at);
	if (*at == '\0')
		return err_set(e, ERR_INVALID, -EINVAL, "`%s' has an empty reason", name);
	if (strstr(at, "not exercised: ") && ++p->nidle > POLICY_IDLE_MAX)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "`%s': more than %d lines are not exercised: remove or test some",
			       name, POLICY_IDLE_MAX);
	return 0;
}

static int read_rule(struct policy *p, const char *at, struct err *e)
{
	struct policy_rule rule = { .line = p->line };
	int r = take_word(&at, rule.name, e);

	if (r < 0)
		return r;
	rule.nr = seccomp_syscall_resolve_name(rule.name);
	if (rule.nr < 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       rule.nr == __NR_SCMP_ERROR
				       ? "system call `%s' is unknown to libseccomp %u.%u.%u"
				       : "system call `%s' does not exist on this architecture "
					 "(libseccomp %u.%u.%u)",
			       rule.name, seccomp_version()->major, seccomp_version()->minor,
			       seccomp_version()->micro);
	skip_blanks(&at);
	if (*at != '#' && *at != '\0') {
		do {
			r = take_condition(&at, &rule, e);
			if (r < 0)
				return err_wrap(e, "`%s'", rule.name);
		} while (eat(&at, ","));
	}
	skip_blanks(&at);
	r = check_reason(p, at, rule.name, e);
	if (r == 0)
		r = check_redundant(p, &rule, e);
	if (r < 0)
		return r;
	if (p->n == POLICY_RULES_MAX)
		return err_set(e, ERR_INVALID, -EINVAL, "more than %d rules", POLICY_RULES_MAX);
	p->rules[p->n++] = rule;
	return 0;
}

int policy_read(struct policy *p, FILE *in, struct err *e)
{
	autofree char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	while ((len = getline(&line, &cap, in)) >= 0) {
		const char *at = line;
		int r = 0;

		p->line++;
		if (strlen(line) != (size_t)len)
			return err_set(e, ERR_INVALID, -EINVAL, "the line holds a NUL byte");
		line[strcspn(line, "\n")] = '\0';
		skip_blanks(&at);
		if (*at != '#' && *at != '\0')
			r = read_rule(p, at, e);
		if (r < 0)
			return r;
	}
	p->line = 0;
	if (ferror(in))
		return err_set(e, ERR_INTERNAL, -EIO, "read error");
	if (p->n == 0)
		return err_set(e, ERR_INVALID, -EINVAL, "the policy allows no call at all");
	return 0;
}
