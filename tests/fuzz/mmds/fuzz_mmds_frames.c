/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A script of frames, time and changes of the document. Most frames are what a guest would
 * send next on one of a few connections; some have a byte changed, some are anything. What
 * comes back is sound in every field, goes to who asked, and comes to an end.
 */
#include "../ensure.h"
#include <string.h>

#include "mmds/nic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PORTS = 40, FRAME_MAX = 4096, OPS_MAX = 120, FIN = 1, SYN = 2, RST = 4, ACK = 16 };

struct input {
	const uint8_t *data;
	size_t len;
};

struct peer {
	uint32_t seq, ack;
	uint16_t window;
};

static const uint8_t mac[] = { 0x06, 0x01, 0x23, 0x45, 0x67, 0x01, 2, 0, 0, 0, 0, 1 };
static const char *const texts[] = {
	"GET / HTTP/1.1\r\n\r\n",
	"GET /big HTTP/1.1\r\n\r\n",
	"GET /big HTTP/1.0\r\nAccept: application/json\r\n\r\n",
	"PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 60\r\n\r\n",
	"GET /nothing HTTP/1.1\r\nHost: x",
	"\r\n\r\n",
	"POST / HTTP/1.1\r\n\r\n",
	"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
};

static struct mmds *mmds;
static struct mmds_nic *nic;
static usec_t now;
static struct peer peers[PORTS];
static uint8_t frame[FRAME_MAX];

static unsigned take(struct input *in)
{
	if (in->len == 0)
		return 0;
	in->len--;
	return *in->data++;
}

static unsigned take16(struct input *in)
{
	unsigned high = take(in);

	return high << 8 | take(in);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static unsigned sum(const uint8_t *p, size_t len, unsigned s)
{
	for (size_t i = 0; i < len; i++)
		s += i % 2 ? p[i] : (unsigned)p[i] << 8;
	while (s > 0xffff)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static void finish_ip(void)
{
	put16(frame + 24, 0);
	put16(frame + 24, ~sum(frame + 14, 20, 0) & 0xffff);
}

/* Headers before `noptions' and `len' bytes that stand at frame + 54 already. */
static size_t make(unsigned port, const struct peer *p, unsigned flags, size_t noptions, size_t len)
{
	memset(frame, 0, 54);
	memcpy(frame, mac, sizeof(mac));
	put16(frame + 12, 0x0800);
	frame[14] = 0x45;
	put16(frame + 16, (unsigned)(40 + noptions + len));
	frame[22] = 64;
	frame[23] = 6;
	put32(frame + 26, 0xa9fe0102);
	put32(frame + 30, MMDS_IPV4_DEFAULT);
	finish_ip();
	put16(frame + 34, 1000 + port);
	put16(frame + 36, 80);
	put32(frame + 38, p->seq);
	put32(frame + 42, p->ack);
	frame[46] = (uint8_t)((20 + noptions) / 4 << 4);
	frame[47] = (uint8_t)flags;
	put16(frame + 48, p->window);
	return 54 + noptions + len;
}

static void send_frame(size_t len)
{
	uint8_t *copy = malloc(len + (len == 0));

	ENSURE(copy);
	memcpy(copy, frame, len);
	if (mmds_nic_wants(nic, copy, len < 64 ? len : 64))
		mmds_nic_take(nic, copy, len, now);
	free(copy);
}

static size_t fill(struct input *in, uint8_t *to, size_t max)
{
	size_t n = take(in) % (max + 1);

	n = n < in->len ? n : in->len;
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)take(in);
	return n;
}

/* --- what comes back ------------------------------------------------------------- */

static void learn(const uint8_t *tcp, size_t len)
{
	unsigned port = get16(tcp + 2) - 1000, flags = tcp[13];
	struct peer *p;

	if (port >= PORTS)
		return;
	p = &peers[port];
	if (flags & SYN)
		p->ack = get32(tcp + 4) + 1;
	else if (get32(tcp + 4) == p->ack)
		p->ack += (uint32_t)len + (flags & FIN ? 1 : 0);
}

static void ensure_segment(const uint8_t *f, size_t len)
{
	const uint8_t *tcp = f + 34;
	size_t header;
	uint8_t pseudo[12];

	ENSURE(len >= 54 && f[14] == 0x45 && get16(f + 16) + 14U == len && f[22] == 1);
	ENSURE(sum(f + 14, 20, 0) == 0xffff && get32(f + 26) == MMDS_IPV4_DEFAULT);
	memcpy(pseudo, f + 26, 8);
	put16(pseudo + 8, 6);
	put16(pseudo + 10, (unsigned)len - 34);
	ENSURE(sum(tcp, len - 34, sum(pseudo, 12, 0)) == 0xffff);
	header = (size_t)(tcp[12] >> 4) * 4;
	ENSURE(header >= 20 && header <= len - 34);
	ENSURE(get16(tcp + 14) <= 2500);
	learn(tcp, len - 34 - header);
}

static void drain(size_t cap)
{
	static uint8_t out[FRAME_MAX];

	for (unsigned n = 0;; n++) {
		size_t len = mmds_nic_give(nic, out, cap, now);

		if (len == 0)
			break;
		ENSURE(n < 10000 && len <= cap);
		ENSURE(memcmp(out + 6, mac, 6) == 0);
		if (get16(out + 12) == 0x0806)
			ENSURE(len == 42);
		else
			ensure_segment(out, len);
	}
	ENSURE(mmds_nic_due(nic) == 0 || mmds_nic_due(nic) > now);
	ENSURE(mmds_nic_conns(nic) <= MMDS_CONNS_MAX);
}

/* --- what is sent ----------------------------------------------------------------- */

static void do_syn(struct input *in)
{
	unsigned port = take(in) % PORTS;
	size_t n = fill(in, frame + 54, 40) & ~(size_t)3;

	peers[port] = (struct peer){ .seq = take16(in) << 16, .window = (uint16_t)take16(in) };
	send_frame(make(port, &peers[port], SYN, n, 0));
	peers[port].seq++;
}

static void do_data(struct input *in)
{
	unsigned port = take(in) % PORTS, which = take(in);
	struct peer *p = &peers[port];
	size_t len;

	if (which < 128) {
		const char *text = texts[which % (sizeof(texts) / sizeof(texts[0]))];

		len = strlen(text);
		memcpy(frame + 54, text, len);
	} else {
		len = fill(in, frame + 54, 255);
	}
	send_frame(make(port, p, which & 64 ? ACK | FIN : ACK, 0, len));
	p->seq += (uint32_t)len + (which & 64 ? 1 : 0);
}

static void do_any_segment(struct input *in)
{
	unsigned port = take(in) % PORTS;
	struct peer p = peers[port];
	unsigned flags = take(in);
	size_t noptions, len;

	p.seq += (uint32_t)((int)take16(in) - 0x8000);
	p.ack += (uint32_t)((int)take16(in) - 0x8000);
	p.window = (uint16_t)take16(in);
	noptions = fill(in, frame + 54, 40) & ~(size_t)3;
	len = fill(in, frame + 54 + noptions, 255);
	send_frame(make(port, &p, flags, noptions, len));
}

static void do_ack(struct input *in)
{
	unsigned port = take(in) % PORTS, how = take(in);
	struct peer *p = &peers[port];

	p->window = (uint16_t)take16(in);
	send_frame(make(port, p, how == 255 ? RST : how > 200 ? ACK | FIN : ACK, 0, 0));
	p->seq += how > 200 && how < 255;
}

static void do_changed(struct input *in)
{
	size_t at, len;
	unsigned port = take(in) % PORTS;

	memcpy(frame + 54, texts[0], strlen(texts[0]));
	len = make(port, &peers[port], ACK, 0, strlen(texts[0]));
	at = take(in) % len;
	frame[at] ^= (uint8_t)take(in);
	if (at >= 14 && at < 34 && take(in) & 1)
		finish_ip();
	send_frame(len - take(in) % 32);
}

static void do_raw(struct input *in)
{
	memset(frame, 0, 64);
	put16(frame + 12, take(in) & 1 ? 0x0806 : 0x0800);
	put32(frame + 30, MMDS_IPV4_DEFAULT);
	send_frame(14 + fill(in, frame + 14, 255));
}

static void do_arp(struct input *in)
{
	memset(frame, 0, 60);
	memcpy(frame + 6, mac + 6, 6);
	memcpy(frame + 12, "\x08\x06\0\1\x08\0\6\4\0\1", 10);
	memcpy(frame + 22, mac + 6, 6);
	put32(frame + 38, MMDS_IPV4_DEFAULT);
	frame[14 + take(in) % 28] ^= (uint8_t)take(in);
	send_frame(42);
}

/* A segment in parts: cut anywhere, in any order, now and then with a part of another. */
static void do_parts(struct input *in)
{
	static uint8_t whole[FRAME_MAX];
	unsigned port = take(in) % PORTS, how = take(in), id = take(in) % 4;
	struct peer *p = &peers[port];
	const char *text = texts[how % (sizeof(texts) / sizeof(texts[0]))];
	size_t tcp = 20 + strlen(text);
	uint8_t pseudo[12];

	memcpy(frame + 54, text, strlen(text));
	make(port, p, ACK, 0, strlen(text));
	memcpy(pseudo, frame + 26, 8);
	put16(pseudo + 8, 6);
	put16(pseudo + 10, (unsigned)tcp);
	put16(frame + 50, ~sum(frame + 34, tcp, sum(pseudo, 12, 0)) & 0xffff);
	memcpy(whole, frame, 34 + tcp);
	for (unsigned n = 0; n < 4; n++) {
		size_t at = take(in) % ((tcp + 7) / 8) * 8, len = take(in) % (tcp - at) + 1;

		if (how & 128) { /* halves */
			at = (how >> 6 & 1) == n ? 0 : 24;
			len = at > 0 ? tcp - 24 : 24;
		}
		memcpy(frame, whole, 34);
		memcpy(frame + 34, whole + 34 + at, len);
		put16(frame + 16, (unsigned)(20 + len));
		put16(frame + 18, id);
		put16(frame + 20, (unsigned)(at / 8) | (at + len < tcp ? 0x2000 : 0));
		finish_ip();
		send_frame(34 + len);
		if (how & 128 && n == 1)
			break;
	}
	if (how & 128)
		p->seq += (uint32_t)strlen(text);
}

static void do_put(struct input *in)
{
	char text[4096];
	size_t n = take(in) * 4;
	struct mmds_doc *doc = NULL;
	struct err e = { 0 };

	memcpy(text, "{\"big\":\"", 8);
	memset(text + 8, 'b', n);
	memcpy(text + 8 + n, "\"}", 2);
	ENSURE(mmds_doc_parse(text, n + 10, &doc, &e) == 0);
	ENSURE(mmds_put(mmds, doc, &e) == 0);
}

static void do_wait(struct input *in)
{
	static const usec_t steps[] = { 1, 1000, 300000, 600001, 5000000, 10000000 };

	now += steps[take(in) % (sizeof(steps) / sizeof(steps[0]))];
}

static void do_drain(struct input *in)
{
	drain(MMDS_FRAME_MIN + take(in) * 8U);
}

static void (*const ops[])(struct input *) = {
	do_syn, do_data, do_any_segment, do_ack,   do_changed, do_raw,
	do_arp, do_put,	 do_wait,	 do_drain, do_drain,   do_parts,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct err e = { 0 };

	now = 1000000;
	memset(peers, 0, sizeof(peers));
	ENSURE(mmds_create("fuzz", 4096, &mmds, &e) == 0);
	ENSURE(mmds_nic_create(mmds, MMDS_IPV4_DEFAULT, &nic, &e) == 0);
	for (unsigned n = 0; in.len > 0 && n < OPS_MAX; n++)
		ops[take(&in) % (sizeof(ops) / sizeof(ops[0]))](&in);
	drain(1514);
	mmds_nic_destroy(nic);
	mmds_destroy(mmds);
	return 0;
}
