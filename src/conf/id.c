/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/id.h"

#include <string.h>

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

int conf_id_check(const char *id, struct err *e)
{
	size_t len = strnlen(id, CONF_ID_MAX + 1);

	if (len == 0)
		return err_set(e, ERR_INVALID, -EINVAL, "The ID cannot be empty.");
	for (const char *s = id; *s; s++)
		if (!is_alnum(*s) && *s != '_')
			return err_set(e, ERR_INVALID, -EINVAL,
				       "API Resource IDs can only contain alphanumeric characters "
				       "and underscores.");
	if (len > CONF_ID_MAX)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "API Resource IDs can have at most %d characters.", CONF_ID_MAX);
	return 0;
}

int conf_instance_id_check(const char *id, struct err *e)
{
	size_t len = strlen(id);

	if (len == 0 || len > CONF_ID_MAX)
		return err_set(
			e, ERR_INVALID, -EINVAL,
			"Invalid instance ID: Invalid len (%zu);  the length must be between "
			"1 and %d.",
			len, CONF_ID_MAX);
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(id[i]) && id[i] != '-')
			return err_set(e, ERR_INVALID, -EINVAL,
				       "Invalid instance ID: the character at position %zu is "
				       "neither alphanumeric nor a hyphen.",
				       i);
	return 0;
}
