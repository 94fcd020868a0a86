/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that the machine end, with its reason. The first one wins: a guest
 * that resets while another vCPU faults has one reason, not two.
 *
 * end_request() may be called on any thread, under any lock: it stores a word and
 * signals `fd', on which the main loop then acts. A vCPU thread asks
 * end_requested() after each exit that it has handled and enters the guest no more
 * when there is a reason, so that nothing runs in the guest after its own reset
 * or power-off write.
 */
#pragma once

#include "base/cc.h"

enum end_reason {
	END_NONE,
	END_GUEST_RESET,    /* i8042 or ACPI reset register */
	END_GUEST_POWEROFF, /* ACPI S5 */
	END_TRIPLE_FAULT,
	END_KVM_FAILURE, /* an exit that KVM cannot or we do not know how to go on from */
	END_CONFIG_ERROR,
	END_LOAD_FAILED, /* a snapshot could not be loaded */
};

struct end_request {
	int fd;	    /* readable once there is a reason; for the main loop, owned */
	int reason; /* (A) enum end_reason */
};

/* 0 or -errno. */
must_check int end_request_init(struct end_request *end);
void end_request_fini(struct end_request *end);

/* `reason' is not END_NONE. */
void end_request(struct end_request *end, enum end_reason reason);

/* END_NONE while the machine may go on. Any thread. */
enum end_reason end_requested(const struct end_request *end);

/* The word for the log, the event and the report: "guest-reset". */
const char *end_reason_name(enum end_reason reason);
