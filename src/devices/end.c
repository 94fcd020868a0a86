/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/end.h"

#include <assert.h>

#include "base/fd.h"

int end_request_init(struct end_request *end)
{
	int fd = fd_event_create();

	if (fd < 0)
		return fd;
	*end = (struct end_request){ .fd = fd, .reason = END_NONE };
	return 0;
}

void end_request_fini(struct end_request *end)
{
	fd_close_(&end->fd);
	end->fd = -1;
}

void end_request(struct end_request *end, enum end_reason reason)
{
	int none = END_NONE;

	assert(reason != END_NONE);
	if (__atomic_compare_exchange_n(&end->reason, &none, (int)reason, false,
					__ATOMIC_RELEASE, /* with the load in end_requested() */
					__ATOMIC_RELAXED))
		fd_event_signal(end->fd);
}

enum end_reason end_requested(const struct end_request *end)
{
	return (enum end_reason)__atomic_load_n(&end->reason, __ATOMIC_ACQUIRE);
}

const char *end_reason_name(enum end_reason reason)
{
	switch (reason) {
	case END_NONE:
		return "none";
	case END_GUEST_RESET:
		return "guest-reset";
	case END_GUEST_POWEROFF:
		return "guest-poweroff";
	case END_TRIPLE_FAULT:
		return "triple-fault";
	case END_KVM_FAILURE:
		return "kvm-failure";
	case END_CONFIG_ERROR:
		return "config-error";
	case END_LOAD_FAILED:
		return "load-failed";
	}
	return "unknown";
}
