/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of text: the first is the user's command line, the others are words of ours.
 * The user's text stays whole around what is put in, and the limit holds.
 */
#include "../ensure.h"
#include <string.h>

#include "vmm/x86/cmdline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next line as a string; false at the end. */
static bool next_line(const uint8_t **data, size_t *size, char *line, size_t cap)
{
	size_t n = 0;

	if (*size == 0)
		return false;
	while (n < *size && (*data)[n] != '\n' && (*data)[n] != '\0')
		n++;
	if (n >= cap)
		return false;
	memcpy(line, *data, n);
	line[n] = '\0';
	n += n < *size;
	*data += n;
	*size -= n;
	return true;
}

/* What the user wrote stands at both ends, cut at one place. */
static void check(const struct cmdline *c, const char *user, size_t cut)
{
	size_t len = strlen(c->text), tail = strlen(user) - cut;

	ENSURE(len < sizeof(c->text) && c->insert_at <= len);
	ENSURE(len >= cut + tail);
	ENSURE(memcmp(c->text, user, cut) == 0);
	ENSURE(memcmp(c->text + len - tail, user + cut, tail) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char user[LAYOUT_CMDLINE_MAX + 2], word[LAYOUT_CMDLINE_MAX + 2];
	static struct cmdline c, before;
	struct err e = { 0 };
	bool quotes, added;
	size_t cut;

	if (!next_line(&data, &size, user, sizeof(user)))
		return 0;
	if (cmdline_init(&c, user, &e) < 0) {
		ENSURE(strlen(user) >= LAYOUT_CMDLINE_MAX && e.code == -E2BIG);
		return 0;
	}
	cut = c.insert_at;
	quotes = strchr(user, '"') != NULL;
	check(&c, user, cut);
	while (next_line(&data, &size, word, sizeof(word))) {
		before = c;
		added = cmdline_add(&c, word, &e) == 0;
		if (!added)
			ENSURE(memcmp(&before, &c, sizeof(c)) == 0);
		check(&c, user, cut);
		quotes |= strchr(word, '"') != NULL;
		/* One word of ours is found again, unless it is within quotes. */
		if (added && word[0] && !strchr(word, ' ') && !quotes)
			ENSURE(cmdline_has(&c, word));
	}
	return 0;
}
