/* SPDX-License-Identifier: Apache-2.0 */
/* Names that users give to resources and instances. */
#pragma once

#include "base/cc.h"
#include "base/err.h"

#define CONF_ID_MAX 64 /* characters, without NUL */

/* An id in a path of the API: 1..64 of [A-Za-z0-9_]. */
must_check int conf_id_check(const char *id, struct err *e);

/* --id of an instance: 1..64 of [A-Za-z0-9-]. */
must_check int conf_instance_id_check(const char *id, struct err *e);
