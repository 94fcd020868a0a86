/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can this host's KVM run a microVM? Builds a small one the way the machine is built
 * and lets its vCPU do what every kernel does first.
 *
 * For a process that does nothing else: borrows SIGALRM and the interval timer.
 */
#pragma once

#include "base/err.h"

struct probe_result {
	bool nested;	    /* the host is itself a virtual machine */
	const char *cannot; /* what a vCPU cannot do in kernel mode; NULL: it can do all */
	unsigned slowdown;  /* of the vCPU's loop against the same here, when `cannot' is NULL */
};

/* So many times slower, and kernel-mode code is interpreted instead of run. */
enum { PROBE_INTERPRETED = 30 };

/* The error is that of the step of a machine's build that failed. Takes 2 s at most. */
must_check int probe_kvm(struct probe_result *ret_result, struct err *e);

/* The processor has VMX or SVM, or its hypervisor lets us see them. */
must_check bool probe_has_virtualisation(void);
