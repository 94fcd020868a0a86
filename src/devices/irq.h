/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An interrupt line, seen from a device: an eventfd that somebody (KVM's irqfd, a
 * test) turns into an interrupt. Edge-triggered: one raise, one interrupt.
 * Any thread; raising never blocks.
 */
#pragma once

#include "base/fd.h"

struct irq {
	int fd; /* the machine's; -1: not connected */
};

static inline void irq_raise(const struct irq *irq)
{
	if (irq->fd >= 0)
		fd_event_signal(irq->fd);
}
