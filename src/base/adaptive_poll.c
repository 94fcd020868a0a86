/* SPDX-License-Identifier: Apache-2.0 */
#include "base/adaptive_poll.h"

enum { FIRST_USEC = 4, IN_VAIN_MAX = 12 };

void adaptive_poll_hit(struct adaptive_poll *p)
{
	p->in_vain = 0;
}

static void grow(struct adaptive_poll *p)
{
	p->time = p->time > 0 ? 2 * p->time : FIRST_USEC;
	if (p->time > p->max)
		p->time = p->max;
}

static void give_up(struct adaptive_poll *p)
{
	p->time = 0;
	p->sleeps_before = (1U << p->in_vain) - 1;
	if (p->in_vain < IN_VAIN_MAX)
		p->in_vain++;
}

void adaptive_poll_slept(struct adaptive_poll *p, usec_t idle)
{
	if (p->sleeps_before > 0)
		p->sleeps_before--;
	else if (idle <= p->max)
		grow(p);
	else if (p->time > 0)
		give_up(p);
}
