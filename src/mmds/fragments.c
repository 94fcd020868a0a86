/* SPDX-License-Identifier: Apache-2.0 */
#include "mmds/fragments.h"

#include <errno.h>
#include <string.h>

static void release(struct fragments_packet *p)
{
	memset(p, 0, offsetof(struct fragments_packet, data));
}

/* The packet that a part is of; a new one in place of the oldest, when there is none. */
static struct fragments_packet *find(struct fragments *f, uint32_t ip, uint16_t id, usec_t now)
{
	struct fragments_packet *oldest = &f->packets[0]; /* a free one is older than any */

	for (unsigned i = 0; i < FRAGMENTS_PACKETS_MAX; i++) {
		struct fragments_packet *p = &f->packets[i];

		if (p->have > 0 && now >= p->since + FRAGMENTS_MS * USEC_PER_MSEC)
			release(p);
		if (p->have > 0 && p->ip == ip && p->id == id)
			return p;
		if (p->since < oldest->since)
			oldest = p;
	}
	release(oldest);
	oldest->since = now;
	oldest->ip = ip;
	oldest->id = id;
	return oldest;
}

/* False when some of it is here already, or the packet ends before. */
static bool put(struct fragments_packet *p, const struct frame_fragment *part)
{
	size_t end = part->at + part->len;

	for (size_t at = part->at; at < end; at += FRAGMENTS_UNIT) {
		bool *came = &p->came[at / FRAGMENTS_UNIT];

		if (*came)
			return false;
		*came = true;
	}
	memcpy(p->data + part->at, part->data, part->len);
	p->have += part->len;
	if (p->end < end)
		p->end = end;
	if (!part->more)
		p->len = end;
	return p->len == 0 || p->end == p->len;
}

int fragments_add(struct fragments *f, uint32_t ip, const struct frame_fragment *part, usec_t now,
		  const uint8_t **ret_data)
{
	struct fragments_packet *p;
	size_t len;

	if (part->len == 0 || (part->more && part->len % FRAGMENTS_UNIT != 0) ||
	    part->at % FRAGMENTS_UNIT != 0 || part->at > FRAGMENTS_LEN_MAX ||
	    part->len > FRAGMENTS_LEN_MAX - part->at)
		return -EPROTO;
	p = find(f, ip, part->id, now);
	if (!put(p, part)) {
		release(p);
		return -EPROTO;
	}
	if (p->have != p->len)
		return 0;
	len = p->len;
	release(p);
	*ret_data = p->data;
	return (int)len;
}
