/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/mountinfo.h"

#include <fcntl.h>
#include <string.h>

#include "base/fault.h"

enum { CHUNK = 64 << 10, TEXT_MAX = 16 << 20, POINT_FIELD = 4 };

int mountinfo_read(char **ret_text, struct err *e)
{
	static const char path[] = "/proc/self/mountinfo";
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	autofree char *text = NULL;
	size_t len = 0, cap = 0;
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0) {
		if (cap - len < 2) {
			char *more = cap < TEXT_MAX && FAULT(-ENOMEM) == 0
					     ? realloc(text, cap + CHUNK)
					     : NULL;

			if (!more)
				return err_set(e, ERR_INTERNAL, -ENOMEM, "%s: out of memory", path);
			text = more;
			cap += CHUNK;
		}
		n = read(fd, text + len, cap - len - 1);
		len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		return err_set(e, ERR_INTERNAL, -errno, "%s: %s", path, strerror(errno));
	text[len] = '\0';
	*ret_text = take_ptr(&text);
	return 0;
}

/* One field up to `len' bytes; "" when it does not fit. */
static void copy_field(const char *from, size_t len, char *to, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = from[i];

		if (c == '\\' && len - i > 3) {
			c = (char)((from[i + 1] - '0') << 6 | (from[i + 2] - '0') << 3 |
				   (from[i + 3] - '0'));
			i += 3;
		}
		if (n + 1 == cap) {
			n = 0;
			break;
		}
		to[n++] = c;
	}
	to[n] = '\0';
}

/* Field `want' of the `len' bytes at `line', counted from 0. */
static bool field(const char *line, size_t len, unsigned want, char *to, size_t cap)
{
	const char *end = line + len;

	while (line < end) {
		const char *stop = memchr(line, ' ', (size_t)(end - line));
		size_t n = (size_t)((stop ? stop : end) - line);

		if (want-- == 0) {
			copy_field(line, n, to, cap);
			return true;
		}
		line += n + 1;
	}
	return false;
}

int mountinfo_next(const char **at, struct mountinfo_line *ret_line)
{
	while (**at) {
		const char *line = *at;
		size_t len = strcspn(line, "\n");
		/* Optional fields end with a single hyphen. */
		const char *rest = memmem(line, len, " - ", 3);
		size_t left = rest ? (size_t)(line + len - (rest + 3)) : 0;

		*at = line + len + (line[len] == '\n');
		if (rest &&
		    field(line, len, POINT_FIELD, ret_line->point, sizeof(ret_line->point)) &&
		    field(rest + 3, left, 0, ret_line->type, sizeof(ret_line->type)) &&
		    field(rest + 3, left, 2, ret_line->options, sizeof(ret_line->options)))
			return 1;
	}
	return 0;
}

bool mountinfo_has_option(const struct mountinfo_line *line, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = line->options; (at = strstr(at, word)); at += len)
		if ((at == line->options || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
			return true;
	return false;
}
