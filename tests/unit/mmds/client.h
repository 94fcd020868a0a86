/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest made of frames: it writes every byte of them itself and checks every byte of
 * what comes back, so that a wrong checksum or length of the service is a failed test.
 */
#pragma once

#include "mmds/expect.h"
#include "mmds/nic.h"

enum { C_FIN = 1, C_SYN = 2, C_RST = 4, C_PSH = 8, C_ACK = 16 };

struct seen { /* the last segment from the service */
	unsigned flags;
	uint32_t seq, ack;
	unsigned window, mss;
	size_t len;
	const uint8_t *data; /* in client.frame */
};

struct client {
	struct mmds_nic *nic;
	usec_t now;
	uint32_t ip;
	uint16_t port, to_port;
	uint32_t seq; /* next to send */
	uint32_t ack; /* next expected */
	unsigned window;
	struct seen seen;
	uint8_t frame[2048];
	char got[80000]; /* data that came in order */
	size_t ngot;
};

static const uint8_t client_mac[6] = { 0x02, 0xfc, 0, 0, 0, 1 };
static const uint8_t service_mac[6] = { 0x06, 0x01, 0x23, 0x45, 0x67, 0x01 };

static inline void client_put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void client_put32(uint8_t *p, uint32_t v)
{
	client_put16(p, v >> 16);
	client_put16(p + 2, v & 0xffff);
}

static inline unsigned client_get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t client_get32(const uint8_t *p)
{
	return client_get16(p) << 16 | client_get16(p + 2);
}

static inline unsigned client_sum(const uint8_t *p, size_t len, unsigned sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (unsigned)p[i] << 8;
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* A frame of TCP with `noptions' (a multiple of 4) bytes of options. Its length. */
static inline size_t client_frame(const struct client *c, uint8_t *f, uint32_t seq, uint32_t ack,
				  unsigned flags, const void *options, size_t noptions,
				  const void *data, size_t len)
{
	size_t tcp = 20 + noptions + len;

	memset(f, 0, 14 + 20 + 20);
	memcpy(f, service_mac, 6);
	memcpy(f + 6, client_mac, 6);
	client_put16(f + 12, 0x0800);
	f[14] = 0x45;
	client_put16(f + 16, (unsigned)(20 + tcp));
	f[22] = 64;
	f[23] = 6;
	client_put32(f + 26, c->ip);
	client_put32(f + 30, MMDS_IPV4_DEFAULT);
	client_put16(f + 24, ~client_sum(f + 14, 20, 0) & 0xffff);
	client_put16(f + 34, c->port);
	client_put16(f + 36, c->to_port);
	client_put32(f + 38, seq);
	client_put32(f + 42, ack);
	f[46] = (uint8_t)((20 + noptions) / 4 << 4);
	f[47] = (uint8_t)flags;
	client_put16(f + 48, c->window);
	client_put16(f + 50, 0xbeef); /* a checksum that was left to be finished */
	if (noptions > 0)
		memcpy(f + 54, options, noptions);
	if (len > 0)
		memcpy(f + 54 + noptions, data, len);
	return 14 + 20 + tcp;
}

/*
 * Of a frame of `len' bytes the `n' bytes behind the IPv4 header from `at', as a part of
 * packet `id', whose checksums are finished. The length of its frame.
 */
static inline size_t client_part(uint8_t *to, uint8_t *f, size_t len, unsigned id, size_t at,
				 size_t n)
{
	size_t tcp = len - 34;

	client_put16(f + 50, 0);
	client_put16(f + 50,
		     ~client_sum(f + 34, tcp, client_sum(f + 26, 8, 6 + (unsigned)tcp)) & 0xffff);
	memcpy(to, f, 34);
	memcpy(to + 34, f + 34 + at, n);
	client_put16(to + 16, (unsigned)(20 + n));
	client_put16(to + 18, id);
	client_put16(to + 20, (unsigned)(at / 8) | (at + n < tcp ? 0x2000 : 0));
	client_put16(to + 24, 0);
	client_put16(to + 24, ~client_sum(to + 14, 20, 0) & 0xffff);
	return 34 + n;
}

static inline void client_take(struct client *c, const uint8_t *frame, size_t len)
{
	CHECK(mmds_nic_wants(c->nic, frame, len < 64 ? len : 64));
	mmds_nic_take(c->nic, frame, len, c->now);
}

static inline void client_raw(struct client *c, uint32_t seq, uint32_t ack, unsigned flags,
			      const void *data, size_t len)
{
	static uint8_t f[70000];

	client_take(c, f, client_frame(c, f, seq, ack, flags, NULL, 0, data, len));
}

/* The next segment in order. */
static inline void client_send(struct client *c, unsigned flags, const void *data, size_t len)
{
	client_raw(c, c->seq, c->ack, flags, data, len);
	c->seq += (uint32_t)len + (flags & C_SYN ? 1 : 0) + (flags & C_FIN ? 1 : 0);
}

static inline void client_look(struct client *c, size_t len)
{
	const uint8_t *f = c->frame, *tcp = f + 34;
	uint8_t pseudo[12];
	size_t total, header;

	CHECK(len >= 54);
	CHECK(memcmp(f, client_mac, 6) == 0 && memcmp(f + 6, service_mac, 6) == 0);
	CHECK_EQ(client_get16(f + 12), 0x0800);
	total = client_get16(f + 16);
	CHECK_EQ(total + 14, len);
	CHECK_EQ(f[14], 0x45);
	CHECK_EQ(f[22], 1); /* TTL */
	CHECK_EQ(f[23], 6);
	CHECK_EQ(client_sum(f + 14, 20, 0), 0xffff);
	CHECK_EQ(client_get32(f + 26), MMDS_IPV4_DEFAULT);
	CHECK_EQ(client_get32(f + 30), c->ip);
	memcpy(pseudo, f + 26, 8);
	client_put16(pseudo + 8, 6);
	client_put16(pseudo + 10, (unsigned)total - 20);
	CHECK_EQ(client_sum(tcp, total - 20, client_sum(pseudo, 12, 0)), 0xffff);
	CHECK_EQ(client_get16(tcp), c->to_port);
	CHECK_EQ(client_get16(tcp + 2), c->port);
	header = (size_t)(tcp[12] >> 4) * 4;
	CHECK(header >= 20 && header <= total - 20);
	c->seen = (struct seen){
		.flags = tcp[13],
		.seq = client_get32(tcp + 4),
		.ack = client_get32(tcp + 8),
		.window = client_get16(tcp + 14),
		.mss = header == 24 && tcp[20] == 2 && tcp[21] == 4 ? client_get16(tcp + 22) : 0,
		.len = total - 20 - header,
		.data = tcp + header,
	};
}

/* The next segment of the service, whatever it is; false: there is none. */
static inline bool client_see(struct client *c)
{
	size_t len = mmds_nic_give(c->nic, c->frame, 1514, c->now);

	CHECK(len <= 1514);
	if (len == 0)
		return false;
	client_look(c, len);
	return true;
}

/* The same, and what it brings in order is kept. */
static inline bool client_recv(struct client *c)
{
	if (!client_see(c))
		return false;
	if (c->seen.seq != c->ack)
		return true;
	CHECK(c->ngot + c->seen.len < sizeof(c->got));
	memcpy(c->got + c->ngot, c->seen.data, c->seen.len);
	c->ngot += c->seen.len;
	c->got[c->ngot] = '\0';
	c->ack += (uint32_t)c->seen.len + (c->seen.flags & (C_SYN | C_FIN) ? 1 : 0);
	return true;
}

static inline void client_init(struct client *c, struct mmds_nic *nic, uint16_t port)
{
	memset(c, 0, sizeof(*c));
	c->nic = nic;
	c->now = 1000000;
	c->ip = 0xa9fe0102; /* 169.254.1.2 */
	c->port = port;
	c->to_port = 80;
	c->seq = 0xfffffff0; /* it wraps soon */
	c->window = 65535;
}

static inline void client_syn(struct client *c, unsigned mss)
{
	uint8_t f[64], options[4] = { 2, 4, (uint8_t)(mss >> 8), (uint8_t)mss };

	client_take(c, f, client_frame(c, f, c->seq++, 0, C_SYN, options, mss ? 4 : 0, NULL, 0));
}

static inline void client_connect(struct client *c, unsigned mss)
{
	client_syn(c, mss);
	CHECK(client_see(c));
	CHECK_EQ(c->seen.flags, C_SYN | C_ACK);
	CHECK_EQ(c->seen.ack, c->seq);
	c->ack = c->seen.seq + 1;
	client_send(c, C_ACK, NULL, 0);
}

/* Takes and acknowledges until the service has nothing more. */
static inline void client_drain(struct client *c)
{
	while (client_recv(c))
		if (c->seen.len > 0 || c->seen.flags & C_FIN)
			client_send(c, C_ACK, NULL, 0);
}

/* Sends a text and returns all that was answered. */
static inline const char *client_ask(struct client *c, const char *text)
{
	c->ngot = 0;
	client_send(c, C_PSH | C_ACK, text, strlen(text));
	client_drain(c);
	return c->got;
}
