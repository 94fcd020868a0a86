/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/cmdline.h"

#include <stdio.h>
#include <string.h>

static int too_long(struct err *e)
{
	return err_set(
		e, ERR_INVALID, -E2BIG,
		"The kernel command line is invalid: it is longer than %d bytes with what the "
		"machine adds",
		LAYOUT_CMDLINE_MAX - 1);
}

/* The end of the word that begins here: a blank within quotes belongs to it. */
static const char *word_end(const char *at)
{
	for (bool quoted = false; *at && (quoted || *at != ' '); at++)
		quoted ^= *at == '"';
	return at;
}

/* The first word of a text that is `word', or NULL. */
static const char *find_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; *at;) {
		const char *end = word_end(at);

		if ((size_t)(end - at) == len && memcmp(at, word, len) == 0)
			return at;
		at = *end ? end + 1 : end;
	}
	return NULL;
}

/* Where a `--' that stands alone begins, with the blanks before it; else the end. */
static size_t init_args_at(const char *text)
{
	const char *at = find_word(text, "--");

	if (!at)
		return strlen(text);
	while (at > text && at[-1] == ' ')
		at--;
	return (size_t)(at - text);
}

bool cmdline_has(const struct cmdline *c, const char *word)
{
	const char *at = find_word(c->text, word);

	return at && (size_t)(at - c->text) < c->insert_at;
}

int cmdline_init(struct cmdline *c, const char *boot_args, struct err *e)
{
	size_t len;

	if (!boot_args)
		boot_args = CMDLINE_DEFAULT;
	len = strlen(boot_args);
	if (len >= sizeof(c->text))
		return too_long(e);
	memcpy(c->text, boot_args, len + 1);
	c->insert_at = init_args_at(c->text);
	return 0;
}

int cmdline_add(struct cmdline *c, const char *words, struct err *e)
{
	size_t tail = strlen(c->text + c->insert_at);
	size_t blank = c->insert_at > 0;
	size_t len = strlen(words);
	/* A tail that began the line has no blank of its own. */
	size_t gap = tail > 0 && c->text[c->insert_at] != ' ';
	char *at = c->text + c->insert_at;

	if (c->insert_at + blank + len + gap + tail >= sizeof(c->text))
		return too_long(e);
	memmove(at + blank + len + gap, at, tail + 1);
	if (blank)
		*at++ = ' ';
	memcpy(at, words, len);
	if (gap)
		at[len] = ' ';
	c->insert_at += blank + len;
	return 0;
}

int cmdline_add_virtio(struct cmdline *c, gpa_t addr, unsigned gsi, struct err *e)
{
	char word[64];

	snprintf(word, sizeof(word), "virtio_mmio.device=4K@%#llx:%u", (unsigned long long)addr,
		 gsi);
	return cmdline_add(c, word, e);
}

int cmdline_add_root(struct cmdline *c, const char *partuuid, bool read_only, struct err *e)
{
	char words[160];
	const char *mode = read_only ? "ro" : "rw";

	if (partuuid[0])
		snprintf(words, sizeof(words), "root=PARTUUID=%s %s", partuuid, mode);
	else
		snprintf(words, sizeof(words), "root=/dev/vda %s", mode);
	return cmdline_add(c, words, e);
}
