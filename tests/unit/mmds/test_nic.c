/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of a guest from the first ARP to the last FIN, and what a bad one may do. */
#include "mmds/nic.h"

#include "base/fault.h"
#include "mmds/client.h"
#include "mmds/tcp.h"

static struct mmds *mmds;
static struct mmds_nic *nic;
static struct client c;

static const char sample[] = "{\"a\":\"b\",\"n\":1}";

static void setup(const char *doc)
{
	struct err e = { 0 };

	mmds = make_mmds(doc, 4U << 20);
	CHECK_EQ(mmds_nic_create(mmds, MMDS_IPV4_DEFAULT, &nic, &e), 0);
	client_init(&c, nic, 40000);
}

static void done(void)
{
	mmds_nic_destroy(nic);
	mmds_destroy(mmds);
}

static uint64_t created(void)
{
	return counter_get(&mmds_metrics(mmds)->connections_created);
}

static uint64_t destroyed(void)
{
	return counter_get(&mmds_metrics(mmds)->connections_destroyed);
}

static bool ends_with(const char *text, const char *end)
{
	return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

#define ASK_A "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define HAS_A "Content-Length: 1\r\n\r\nb"

static const char ask_a[] = ASK_A; /* for parts of it */

TEST(a_connection_from_beginning_to_end)
{
	setup(sample);
	client_syn(&c, 1460);
	CHECK_EQ(mmds_nic_conns(nic), 1);
	CHECK(client_recv(&c));
	CHECK_EQ(c.seen.flags, C_SYN | C_ACK);
	CHECK_EQ(c.seen.mss, TCP_MSS);
	CHECK_EQ(c.seen.window, TCP_RX_MAX);
	c.ack = c.seen.seq + 1;
	CHECK(!client_see(&c));
	client_send(&c, C_ACK, NULL, 0);
	CHECK(!client_see(&c));
	CHECK(ends_with(client_ask(&c, ASK_A), HAS_A));
	CHECK(c.seen.flags & C_PSH);
	CHECK(ends_with(client_ask(&c, ASK_A), HAS_A)); /* it is kept */
	client_send(&c, C_FIN | C_ACK, NULL, 0);
	CHECK(client_recv(&c));
	CHECK_EQ(c.seen.flags, C_FIN | C_ACK);
	CHECK_EQ(c.seen.ack, c.seq);
	CHECK_EQ(mmds_nic_conns(nic), 1);
	client_send(&c, C_ACK, NULL, 0);
	CHECK_EQ(mmds_nic_conns(nic), 0);
	CHECK_EQ(created(), 1);
	CHECK_EQ(destroyed(), 1);
	CHECK_EQ(mmds_nic_due(nic), 0);
	CHECK(!client_see(&c));
	done();
}

TEST(arp_is_answered)
{
	uint8_t frame[64] = { 0 };

	setup(sample);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, client_mac, 6);
	memcpy(frame + 12, "\x08\x06\0\1\x08\0\6\4\0\1", 10);
	memcpy(frame + 22, client_mac, 6);
	client_put32(frame + 28, c.ip);
	client_put32(frame + 38, MMDS_IPV4_DEFAULT);
	client_take(&c, frame, 42);
	CHECK_EQ(mmds_nic_give(nic, frame, sizeof(frame), 0), 0); /* no room */
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->tx_errors), 1);
	CHECK_EQ(mmds_nic_give(nic, c.frame, MMDS_FRAME_MIN, 0), 42);
	CHECK_EQ(c.frame[21], 2);
	CHECK_EQ(mmds_nic_give(nic, c.frame, MMDS_FRAME_MIN, 0), 0);
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->tx_bytes), 42);
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->tx_frames), 1);
	done();
}

TEST(another_address_is_not_ours)
{
	uint8_t frame[64] = { 0 };
	struct err e = { 0 };

	mmds = make_mmds(sample, 100);
	CHECK_EQ(mmds_nic_create(mmds, MMDS_IPV4_DEFAULT - 1, &nic, &e), 0);
	client_init(&c, nic, 1);
	client_frame(&c, frame, 0, 0, C_SYN, NULL, 0, NULL, 0);
	CHECK(!mmds_nic_wants(nic, frame, 54));
	done();
}

static char big[60000];

/* A document with one long string; the text that stands for it in JSON. */
static const char *make_big(size_t len)
{
	static char doc[sizeof(big) + 16];

	for (size_t i = 0; i < len; i++)
		big[i] = (char)('a' + i * 31 % 26);
	big[len] = '\0';
	snprintf(doc, sizeof(doc), "{\"big\":\"%s\"}", big);
	return doc;
}

#define ASK_BIG "GET /big HTTP/1.1\r\n\r\n"

TEST(segments_are_as_large_as_the_peer_says)
{
	static const struct {
		unsigned given, used;
	} rows[] = { { 1460, 1460 },
		     { 9000, 1460 },
		     { 0, TCP_MSS_DEFAULT },
		     { 100, 100 },
		     { TCP_MSS_MIN, TCP_MSS_MIN },
		     { 1, TCP_MSS_MIN } };

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		setup(make_big(5000));
		client_connect(&c, rows[i].given);
		client_send(&c, C_ACK, ASK_BIG, strlen(ASK_BIG));
		CHECK(client_recv(&c));
		CHECK_EQ(c.seen.len, rows[i].used);
		client_drain(&c);
		CHECK(ends_with(c.got, big));
		done();
	}
}

TEST(frames_are_no_larger_than_the_room)
{
	setup(make_big(1000));
	client_connect(&c, 1460);
	client_send(&c, C_ACK, ASK_BIG, strlen(ASK_BIG));
	client_look(&c, mmds_nic_give(nic, c.frame, MMDS_FRAME_MIN, c.now));
	CHECK_EQ(c.seen.len, MMDS_FRAME_MIN - 54);
	done();
}

TEST(a_long_answer_respects_the_window)
{
	setup(make_big(50000));
	c.window = 3000;
	client_connect(&c, 1460);
	client_send(&c, C_ACK, ASK_BIG, strlen(ASK_BIG));
	for (unsigned turn = 0; c.ngot < 50000; turn++) {
		size_t before = c.ngot;

		CHECK(turn < 100);
		while (client_recv(&c))
			;
		CHECK(c.ngot - before > 0 && c.ngot - before <= 3000);
		client_send(&c, C_ACK, NULL, 0);
	}
	client_drain(&c);
	CHECK(ends_with(c.got, big));
	done();
}

/* Every third frame of the service is lost, each in its turn comes again. */
TEST(a_long_answer_over_a_lossy_line)
{
	unsigned n = 0;

	setup(make_big(50000));
	client_connect(&c, 1460);
	client_send(&c, C_ACK, ASK_BIG, strlen(ASK_BIG));
	for (unsigned turn = 0; !ends_with(c.got, big); turn++) {
		bool heard = false;

		CHECK(turn < 1000);
		while (n++ % 3 == 0 ? client_see(&c) : client_recv(&c))
			heard = true;
		client_send(&c, C_ACK, NULL, 0);
		if (!heard)
			c.now = mmds_nic_due(nic) > c.now ? mmds_nic_due(nic) : c.now + 1000;
	}
	CHECK_EQ(mmds_nic_conns(nic), 1);
	done();
}

TEST(a_segment_without_an_answer_goes_again_and_at_last_gives_up)
{
	usec_t rto = TCP_RTO_MS * USEC_PER_MSEC;
	uint32_t seq;

	setup(sample);
	client_connect(&c, 1460);
	client_send(&c, C_ACK, ASK_A, strlen(ASK_A));
	CHECK(client_see(&c));
	seq = c.seen.seq;
	for (unsigned try = 0; try < TCP_TRIES_MAX; try++) {
		CHECK_EQ(mmds_nic_due(nic), c.now + rto);
		c.now += rto - 1;
		CHECK(!client_see(&c));
		c.now++;
		CHECK(client_see(&c));
		CHECK_EQ(c.seen.seq, seq);
		CHECK(c.seen.len > 0);
		CHECK(!client_see(&c));
		rto = rto * 2 < TCP_RTO_MAX_MS * USEC_PER_MSEC ? rto * 2
							       : TCP_RTO_MAX_MS * USEC_PER_MSEC;
	}
	c.now += rto;
	CHECK(client_see(&c));
	CHECK(c.seen.flags & C_RST);
	CHECK_EQ(mmds_nic_conns(nic), 0);
	CHECK_EQ(mmds_nic_due(nic), 0);
	done();
}

TEST(a_handshake_without_an_end)
{
	setup(sample);
	client_syn(&c, 1460);
	for (unsigned try = 0; try <= TCP_TRIES_MAX; try++) {
		CHECK(client_see(&c));
		CHECK_EQ(c.seen.flags, C_SYN | C_ACK);
		CHECK(!client_see(&c));
		c.now = mmds_nic_due(nic);
	}
	CHECK(client_see(&c));
	CHECK(c.seen.flags & C_RST);
	CHECK_EQ(mmds_nic_conns(nic), 0);
	done();
}

TEST(a_handshake_again)
{
	setup(sample);
	client_syn(&c, 1460);
	CHECK(client_see(&c));
	client_raw(&c, c.seq - 1, 0, C_SYN, NULL, 0); /* ours was lost */
	CHECK_EQ(mmds_nic_conns(nic), 1);
	CHECK(client_see(&c));
	CHECK_EQ(c.seen.flags, C_SYN | C_ACK);
	c.ack = c.seen.seq + 1;
	client_raw(&c, c.seq, c.ack + 1, C_ACK, NULL, 0); /* not what was sent */
	CHECK(client_see(&c));
	CHECK_EQ(c.seen.flags, C_RST);
	CHECK_EQ(c.seen.seq, c.ack + 1);
	CHECK_EQ(mmds_nic_conns(nic), 0);
	done();
}

TEST(an_ack_before_the_syn_was_answered)
{
	setup(sample);
	client_syn(&c, 1460);
	client_raw(&c, c.seq, 12345, C_ACK, NULL, 0);
	CHECK(client_see(&c));
	CHECK_EQ(c.seen.flags, C_RST);
	CHECK_EQ(mmds_nic_conns(nic), 0);
	CHECK(!client_see(&c));
	done();
}

TEST(a_closed_window_is_asked)
{
	setup(make_big(5000));
	client_connect(&c, 1460);
	c.window = 0;
	client_send(&c, C_ACK, ASK_BIG, strlen(ASK_BIG));
	CHECK(client_see(&c)); /* the acknowledgement alone */
	CHECK_EQ(c.seen.len, 0);
	CHECK(!client_see(&c));
	c.now = mmds_nic_due(nic);
	CHECK(client_see(&c));
	CHECK_EQ(c.seen.len, 1);
	CHECK(!client_see(&c));
	client_send(&c, C_ACK, NULL, 0); /* still closed */
	CHECK(!client_see(&c));
	c.now = mmds_nic_due(nic);
	CHECK(client_see(&c));
	CHECK_EQ(c.seen.len, 1);
	c.window = 65535;
	client_send(&c, C_ACK, NULL, 0);
	client_drain(&c);
	CHECK(ends_with(c.got, big));
	done();
}

TEST(a_window_closed_for_ever)
{
	setup(make_big(5000));
	client_connect(&c, 1460);
	c.window = 0;
	client_send(&c, C_ACK, ASK_BIG, strlen(ASK_BIG));
	for (unsigned i = 0; mmds_nic_conns(nic) > 0; i++) {
		CHECK(i < 100);
		while (client_see(&c))
			if (c.seen.len > 0)
				client_send(&c, C_ACK, NULL, 0);
		c.now = mmds_nic_due(nic);
	}
	CHECK(c.seen.flags & C_RST);
	done();
}

TEST(a_request_byte_by_byte)
{
	setup(sample);
	client_connect(&c, 1460);
	for (unsigned i = 0; i < strlen(ASK_A); i++) {
		CHECK_EQ(c.ngot, 0);
		client_send(&c, C_ACK, ask_a + i, 1);
		client_drain(&c);
		CHECK_EQ(c.seen.ack, c.seq);
	}
	CHECK(ends_with(c.got, HAS_A));
	done();
}

/*
 * What Linux sends over an MTU of 68: it says 256 for the size of segments, whatever the
 * MTU is, takes 48 bytes of data into its own, and cuts each in two.
 */
static void send_in_parts(const char *text, size_t len, unsigned id, bool reversed)
{
	uint8_t frame[128], part[128];
	size_t n = client_frame(&c, frame, c.seq, c.ack, C_PSH | C_ACK, NULL, 0, text, len);
	size_t first = n - 34 > 48 ? 48 : 32;

	for (unsigned i = 0; i < 2; i++) {
		size_t at = (i == 0) == reversed ? first : 0;

		client_take(&c, part,
			    client_part(part, frame, n, id, at, at > 0 ? n - 34 - first : first));
	}
	c.seq += (uint32_t)len;
}

TEST(segments_in_parts)
{
	static const char ask[] = "GET /a HTTP/1.1\r\nHost: 169.254.169.254\r\n"
				  "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";

	setup(sample);
	client_connect(&c, 256);
	for (unsigned turn = 0; turn < 2; turn++) {
		c.ngot = 0;
		for (size_t at = 0; at < sizeof(ask) - 1; at += 48) {
			size_t left = sizeof(ask) - 1 - at;

			send_in_parts(ask + at, left < 48 ? left : 48, (unsigned)at, turn == 1);
		}
		client_drain(&c);
		CHECK(ends_with(c.got, HAS_A));
	}
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->rx_accepted_err), 0);
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->rx_accepted_unusual), 0);
	done();
}

/* Halves of two packets of one number, which TCP's checksum tells; and a half that comes twice. */
TEST(parts_of_different_segments)
{
	uint8_t frame[128], part[128];
	size_t len;

	setup(sample);
	client_connect(&c, 256);
	len = client_frame(&c, frame, c.seq, c.ack, C_ACK, NULL, 0, "GET /n HTTP/1.0\r\n\r\n", 19);
	client_take(&c, part, client_part(part, frame, len, 7, 24, len - 34 - 24));
	len = client_frame(&c, frame, c.seq, c.ack, C_ACK, NULL, 0, "GOT /a HTTP/1.0\r\n\r\n", 19);
	client_take(&c, part, client_part(part, frame, len, 7, 0, 24));
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->rx_accepted_err), 1);
	client_take(&c, part, client_part(part, frame, len, 8, 0, 24));
	client_take(&c, part, client_part(part, frame, len, 8, 0, 24));
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->rx_accepted_err), 2);
	CHECK(!client_see(&c));
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->rx_count), 2);
	CHECK(ends_with(client_ask(&c, ASK_A), HAS_A));
	done();
}

TEST(segments_out_of_order_and_twice)
{
	const uint32_t half = sizeof(ask_a) / 2;
	uint32_t at;

	setup(sample);
	client_connect(&c, 1460);
	at = c.seq;
	/* The second half first: it is not kept, and the service says where it is. */
	client_raw(&c, at + half, c.ack, C_ACK, ask_a + half, strlen(ASK_A) - half);
	CHECK(client_recv(&c));
	CHECK_EQ(c.seen.flags, C_ACK);
	CHECK_EQ(c.seen.ack, at);
	client_raw(&c, at, c.ack, C_ACK, ASK_A, half);
	client_raw(&c, at, c.ack, C_ACK, ASK_A, half);			  /* twice */
	client_raw(&c, at + half - 3, c.ack, C_ACK, ask_a + half - 3, 5); /* half of it new */
	CHECK(client_recv(&c));
	CHECK_EQ(c.seen.ack, (uint32_t)(at + half + 2));
	client_raw(&c, at, c.ack, C_ACK, ASK_A, strlen(ASK_A)); /* all of it at once */
	c.seq = at + (uint32_t)strlen(ASK_A);
	client_drain(&c);
	CHECK(ends_with(c.got, HAS_A));
	CHECK_EQ(mmds_nic_conns(nic), 1);
	done();
}

TEST(bytes_beyond_the_window_are_not_taken)
{
	static char fill[5000];

	setup(sample);
	client_connect(&c, 1460);
	memset(fill, 'x', sizeof(fill));
	memcpy(fill, "GET /", 5);
	client_raw(&c, c.seq, c.ack, C_ACK | C_FIN, fill, sizeof(fill));
	client_drain(&c);
	CHECK(strstr(c.got, "400 Bad Request") != NULL);
	/* Far ahead, and far behind. */
	client_raw(&c, c.seq + 100000, c.ack, C_ACK, fill, 10);
	client_raw(&c, c.seq - 100000, c.ack, C_ACK, fill, 10);
	client_raw(&c, c.seq + 0x80000000U, c.ack, C_ACK, fill, 10);
	CHECK_EQ(mmds_nic_conns(nic), 1);
	done();
}

TEST(the_window_shrinks_and_opens_with_what_is_held)
{
	static char half[1000];

	setup(sample);
	client_connect(&c, 1460);
	memset(half, 'a', sizeof(half));
	memcpy(half, "GET /", 5);
	client_send(&c, C_ACK, half, sizeof(half));
	CHECK(client_recv(&c));
	CHECK_EQ(c.seen.window, TCP_RX_MAX - 1000);
	client_send(&c, C_ACK, " HTTP/1.1\r\n\r\n", 13);
	CHECK(client_recv(&c));
	CHECK_EQ(c.seen.window, TCP_RX_MAX);
	done();
}

TEST(a_request_that_is_too_long)
{
	static char fill[TCP_RX_MAX + 500];

	setup(sample);
	client_connect(&c, 1460);
	memset(fill, 'a', sizeof(fill));
	memcpy(fill, "GET /", 5);
	client_send(&c, C_ACK, fill, TCP_RX_MAX - 1);
	client_drain(&c);
	CHECK_EQ(c.ngot, 0);
	CHECK_EQ(c.seen.window, 1);
	client_send(&c, C_ACK, "a", 1);
	client_drain(&c);
	CHECK(ends_with(c.got, "Content-Length: 16\r\n\r\nInvalid request."));
	CHECK(strstr(c.got, "Connection: close\r\n") != NULL);
	CHECK(c.seen.flags & C_FIN);
	/* What it still has to say is taken and thrown away, so that it can read the answer. */
	client_send(&c, C_ACK, fill, sizeof(fill) - TCP_RX_MAX);
	CHECK(client_recv(&c));
	CHECK_EQ(c.seen.ack, c.seq);
	client_send(&c, C_FIN | C_ACK, NULL, 0);
	CHECK_EQ(mmds_nic_conns(nic), 1);
	CHECK(client_recv(&c));
	CHECK_EQ(c.seen.ack, c.seq);
	CHECK_EQ(mmds_nic_conns(nic), 0);
	done();
}

TEST(a_peer_that_does_not_close)
{
	setup(sample);
	client_connect(&c, 1460);
	client_ask(&c, "GET /a HTTP/1.0\r\n\r\n");
	CHECK(strstr(c.got, "HTTP/1.0 200 OK") != NULL);
	CHECK(c.seen.flags & C_FIN);
	CHECK_EQ(mmds_nic_due(nic), c.now + TCP_LINGER_MS * USEC_PER_MSEC);
	c.now = mmds_nic_due(nic) - 1;
	CHECK(!client_see(&c));
	c.now++;
	CHECK(client_see(&c));
	CHECK(c.seen.flags & C_RST);
	CHECK_EQ(mmds_nic_conns(nic), 0);
	done();
}

TEST(requests_sent_ahead_are_answered_in_order)
{
	setup("{\"a\":\"first\",\"b\":\"second\",\"c\":\"third\"}");
	client_connect(&c, 1460);
	client_ask(&c, "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\nGET");
	CHECK(strstr(c.got, "first") < strstr(c.got, "second"));
	CHECK(strstr(c.got, "second") < strstr(c.got, "third"));
	CHECK(ends_with(c.got, "third"));
	client_ask(&c, " /a HTTP/1.1\r\n\r\n");
	CHECK(ends_with(c.got, "first"));
	done();
}

/* It half-closes behind its request, as nc does. */
TEST(a_fin_behind_the_request)
{
	setup(sample);
	client_connect(&c, 1460);
	c.ngot = 0;
	client_send(&c, C_FIN | C_PSH | C_ACK, ASK_A, strlen(ASK_A));
	client_drain(&c);
	CHECK(ends_with(c.got, HAS_A));
	CHECK(c.seen.flags & C_FIN);
	CHECK_EQ(mmds_nic_conns(nic), 0);
	client_connect(&c, 1460);		  /* again from the same port */
	client_send(&c, C_FIN | C_ACK, "GET", 3); /* and half a request */
	client_drain(&c);
	CHECK(c.seen.flags & C_FIN);
	CHECK_EQ(mmds_nic_conns(nic), 0);
	done();
}

TEST(a_fin_that_comes_again)
{
	setup(sample);
	client_connect(&c, 1460);
	client_send(&c, C_FIN | C_ACK, NULL, 0);
	CHECK(client_recv(&c));
	client_raw(&c, c.seq - 1, c.ack - 1, C_FIN | C_ACK, NULL, 0); /* it did not hear ours */
	CHECK(client_see(&c));
	CHECK_EQ(c.seen.flags, C_ACK);
	CHECK_EQ(c.seen.ack, c.seq);
	c.now = mmds_nic_due(nic);
	CHECK(client_see(&c));
	CHECK_EQ(c.seen.flags, C_FIN | C_ACK);
	client_raw(&c, c.seq, c.ack, C_ACK, "behind it", 9); /* there is nothing behind a FIN */
	CHECK(client_see(&c));
	CHECK_EQ(c.seen.ack, c.seq);
	CHECK_EQ(mmds_nic_conns(nic), 0);
	done();
}

TEST(resets_count_where_they_fit_only)
{
	setup(sample);
	client_connect(&c, 1460);
	client_raw(&c, c.seq + 1, c.ack, C_RST, NULL, 0);
	CHECK(client_see(&c)); /* "is that you?" */
	CHECK_EQ(c.seen.flags, C_ACK);
	client_raw(&c, c.seq + TCP_RX_MAX, c.ack, C_RST, NULL, 0);
	client_raw(&c, c.seq - 1, c.ack, C_RST, NULL, 0);
	CHECK(!client_see(&c));
	CHECK_EQ(mmds_nic_conns(nic), 1);
	client_raw(&c, c.seq, c.ack, C_SYN, NULL, 0);
	CHECK(client_see(&c));
	CHECK_EQ(c.seen.flags, C_ACK);
	CHECK(ends_with(client_ask(&c, ASK_A), HAS_A));
	client_raw(&c, c.seq, c.ack, C_RST, NULL, 0);
	CHECK_EQ(mmds_nic_conns(nic), 0);
	CHECK(!client_see(&c));
	done();
}

TEST(acknowledgements_of_what_was_never_sent)
{
	setup(sample);
	client_connect(&c, 1460);
	client_raw(&c, c.seq, c.ack + 1, C_ACK, ASK_A, strlen(ASK_A));
	CHECK(client_see(&c));
	CHECK_EQ(c.seen.flags, C_ACK);
	CHECK_EQ(c.seen.len, 0);
	CHECK(!client_see(&c));
	client_raw(&c, c.seq, c.ack - 1, C_ACK, NULL, 0);  /* an old one */
	client_raw(&c, c.seq, 0, 0, ASK_A, strlen(ASK_A)); /* none */
	CHECK(!client_see(&c));
	CHECK(ends_with(client_ask(&c, ASK_A), HAS_A));
	done();
}

TEST(segments_of_no_connection_are_reset)
{
	setup(sample);
	client_raw(&c, 100, 200, C_ACK, "x", 1);
	CHECK(client_see(&c));
	CHECK_EQ(c.seen.flags, C_RST);
	CHECK_EQ(c.seen.seq, 200);
	client_raw(&c, 100, 0, C_FIN, "xyz", 3);
	CHECK(client_see(&c));
	CHECK_EQ(c.seen.flags, C_RST | C_ACK);
	CHECK_EQ(c.seen.ack, 104);
	client_raw(&c, 100, 0, C_RST, NULL, 0);
	CHECK(!client_see(&c));
	c.to_port = 81;
	client_syn(&c, 1460);
	CHECK(client_see(&c));
	CHECK_EQ(c.seen.flags, C_RST | C_ACK);
	CHECK_EQ(c.seen.ack, c.seq);
	CHECK_EQ(mmds_nic_conns(nic), 0);
	done();
}

TEST(a_hundred_resets_wait_and_no_more)
{
	setup(sample);
	for (unsigned i = 0; i < MMDS_RESETS_MAX + 20; i++)
		client_raw(&c, i, i, C_ACK, NULL, 0);
	for (unsigned i = 0; i < MMDS_RESETS_MAX; i++) {
		CHECK(client_see(&c));
		CHECK_EQ(c.seen.seq, i);
	}
	CHECK(!client_see(&c));
	client_raw(&c, 7, 7, C_ACK, NULL, 0);
	CHECK(client_see(&c));
	done();
}

TEST(thirty_connections_and_no_more)
{
	static struct client all[MMDS_CONNS_MAX + 1];
	struct client *last = &all[MMDS_CONNS_MAX];

	setup(sample);
	for (unsigned i = 0; i < MMDS_CONNS_MAX; i++) {
		client_init(&all[i], nic, (uint16_t)(1000 + i));
		all[i].now += i;
		client_connect(&all[i], 1460);
	}
	CHECK_EQ(mmds_nic_conns(nic), MMDS_CONNS_MAX);
	client_init(last, nic, 2000);
	last->now += MMDS_EVICT_MS * USEC_PER_MSEC - 1;
	client_syn(last, 1460);
	CHECK(client_see(last));
	CHECK_EQ(last->seen.flags, C_RST | C_ACK);
	CHECK_EQ(mmds_nic_conns(nic), MMDS_CONNS_MAX);
	/* The first has been silent for long enough: it makes room and is told. */
	last->now++;
	client_syn(last, 1460);
	CHECK(client_see(&all[0]));
	CHECK_EQ(all[0].seen.flags, C_RST | C_ACK);
	CHECK_EQ(all[0].seen.seq, all[0].ack);
	CHECK(client_see(last));
	CHECK_EQ(last->seen.flags, C_SYN | C_ACK);
	CHECK_EQ(mmds_nic_conns(nic), MMDS_CONNS_MAX);
	CHECK_EQ(created(), MMDS_CONNS_MAX + 1);
	CHECK_EQ(destroyed(), 1);
	for (unsigned i = 1; i < MMDS_CONNS_MAX; i++)
		CHECK(ends_with(client_ask(&all[i], ASK_A), HAS_A));
	done();
}

TEST(an_answer_outlives_its_document)
{
	struct err e = { 0 };

	setup(make_big(40000));
	c.window = 2000;
	client_connect(&c, 1460);
	client_send(&c, C_ACK, ASK_BIG, strlen(ASK_BIG));
	CHECK(client_recv(&c));
	CHECK_EQ(mmds_put(mmds, parse_doc("{\"big\":\"new\"}"), &e), 0);
	CHECK_EQ(mmds_patch(mmds, parse_doc("{\"x\":1}"), &e), 0);
	c.window = 60000;
	client_send(&c, C_ACK, NULL, 0);
	client_drain(&c);
	CHECK(ends_with(c.got, big));
	CHECK(ends_with(client_ask(&c, ASK_BIG), "new"));
	done();
}

/* A connection that holds an answer goes with its interface. */
TEST(ends_in_the_middle)
{
	setup(make_big(40000));
	client_connect(&c, 1460);
	client_send(&c, C_ACK, ASK_BIG, strlen(ASK_BIG));
	CHECK(client_recv(&c));
	done();
	mmds_nic_destroy(NULL);
}

TEST(frames_are_counted)
{
	uint8_t frame[64];

	setup(sample);
	client_raw(&c, 1, 1, C_RST, NULL, 0);
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->rx_count), 1);
	memset(frame, 0, sizeof(frame));
	client_frame(&c, frame, 0, 0, C_SYN, NULL, 0, NULL, 0);
	frame[46] = 0xf0; /* a header longer than the frame */
	client_take(&c, frame, 54);
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->rx_accepted_err), 1);
	client_frame(&c, frame, 0, 0, C_SYN, NULL, 0, NULL, 0);
	frame[6] = 0xff;
	client_take(&c, frame, 54);
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->rx_bad_eth), 1);
	client_frame(&c, frame, 0, 0, C_SYN, NULL, 0, NULL, 0);
	frame[23] = 1; /* ICMP */
	client_put16(frame + 24, 0);
	client_put16(frame + 24, ~client_sum(frame + 14, 20, 0) & 0xffff);
	client_take(&c, frame, 54);
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->rx_accepted_unusual), 1);
	CHECK_EQ(counter_get(&mmds_metrics(mmds)->rx_accepted), 4);
	CHECK_EQ(mmds_nic_conns(nic), 0);
	CHECK(!client_see(&c));
	done();
}

TEST(memory_may_be_short)
{
	struct err e = { 0 };

	if (!faults_built_in())
		SKIP("built without WISP_FAULTS");
	mmds = make_mmds(sample, 100);
	nic = NULL;
	fault_arm(0);
	CHECK_EQ(mmds_nic_create(mmds, MMDS_IPV4_DEFAULT, &nic, &e), -ENOMEM);
	CHECK(nic == NULL && e.msg[0] != '\0');
	mmds_destroy(mmds);
}
