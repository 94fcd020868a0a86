/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's end of socket connections, for tests: a static program for a Linux guest.
 *
 *   vsock-peer echo PORT           takes connections for ever, sends back what comes
 *   vsock-peer sink PORT           reads one connection to its end, answers with a line
 *                                  `BYTES CRC' and prints it
 *   vsock-peer source PORT BYTES   sends them to one connection, closes, prints `BYTES CRC'
 *   vsock-peer send PORT BYTES     connects to the host, sends, ends its half, prints the
 *                                  host's answer and `BYTES CRC'
 *   vsock-peer recv PORT           connects, reads to the end, prints `BYTES CRC'
 *   vsock-peer many PORT COUNT     connects that often, one after the other; each time
 *                                  eight bytes go there and come back
 *   vsock-peer crowd PORT COUNT    connects that often and keeps them all, or until one is
 *                                  refused; prints how many it has
 *   vsock-peer try PORT            connects, prints `connected' or the error's name
 *   vsock-peer hold PORT           connects, says `holds', reads to the end or an error
 *   vsock-peer keep PORT           the same of one connection that it takes; says `KEPT'
 *   vsock-peer ping PORT COUNT     bytes to and fro; prints nanoseconds for one round
 */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 65536 };

static uint8_t chunk[CHUNK];
static uint32_t crc_table[256];

static void die(const char *what)
{
	printf("vsock-peer: %s: %s\n", what, strerrorname_np(errno));
	exit(1);
}

/* --- checksums --------------------------------------------------------------- */

struct sum {
	uint64_t bytes;
	uint32_t crc; /* CRC-32 as zlib has it */
};

static void make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? UINT32_C(0xedb88320) ^ c >> 1 : c >> 1;
		crc_table[i] = c;
	}
}

static void add(struct sum *s, const uint8_t *p, size_t len)
{
	uint32_t c = ~s->crc;

	for (size_t i = 0; i < len; i++)
		c = crc_table[(c ^ p[i]) & 255] ^ c >> 8;
	s->crc = ~c;
	s->bytes += len;
}

static void fill(uint64_t *seed)
{
	for (size_t i = 0; i < CHUNK; i += 8) {
		*seed ^= *seed << 13;
		*seed ^= *seed >> 7;
		*seed ^= *seed << 17;
		memcpy(chunk + i, seed, 8);
	}
}

static void print_sum(const char *word, const struct sum *s)
{
	printf("%s %llu %u\n", word, (unsigned long long)s->bytes, s->crc);
}

/* --- sockets ------------------------------------------------------------------ */

static int make(unsigned cid, unsigned port, struct sockaddr_vm *addr)
{
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	*addr = (struct sockaddr_vm){ .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
	return fd;
}

static int dial(unsigned port)
{
	struct sockaddr_vm addr;
	int fd = make(VMADDR_CID_HOST, port, &addr);

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die("connect");
	return fd;
}

static int listen_at(unsigned port)
{
	struct sockaddr_vm addr;
	int fd = make(VMADDR_CID_ANY, port, &addr);

	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 64) < 0)
		die("listen");
	printf("listens\n");
	return fd;
}

static int accept_at(unsigned port)
{
	int fd = accept(listen_at(port), NULL, NULL);

	if (fd < 0)
		die("accept");
	return fd;
}

static void send_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		ssize_t n = send(fd, p, len, 0);

		if (n < 0)
			die("send");
		p += n;
		len -= (size_t)n;
	}
}

static struct sum read_all(int fd)
{
	struct sum s = { 0 };
	ssize_t n;

	while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0)
		add(&s, chunk, (size_t)n);
	if (n < 0)
		die("recv");
	return s;
}

static struct sum send_many(int fd, uint64_t bytes)
{
	uint64_t seed = (uint64_t)time(NULL) << 32 | 1;
	struct sum s = { 0 };

	while (s.bytes < bytes) {
		size_t part = bytes - s.bytes < CHUNK ? (size_t)(bytes - s.bytes) : CHUNK;

		fill(&seed);
		send_all(fd, chunk, part);
		add(&s, chunk, part);
	}
	return s;
}

/* --- commands -------------------------------------------------------------------- */

static void echo(unsigned port)
{
	int server = listen_at(port);

	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept(server, NULL, NULL);
		ssize_t n;

		if (fd < 0)
			die("accept");
		if (fork() == 0) {
			while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0)
				send_all(fd, chunk, (size_t)n);
			_exit(0);
		}
		close(fd);
	}
}

static void sink(unsigned port)
{
	int fd = accept_at(port);
	struct sum s = read_all(fd);

	dprintf(fd, "%llu %u\n", (unsigned long long)s.bytes, s.crc);
	print_sum("SINK", &s);
}

static void source(unsigned port, uint64_t bytes)
{
	int fd = accept_at(port);
	struct sum s = send_many(fd, bytes);

	print_sum("SOURCE", &s);
}

static void send_to_host(unsigned port, uint64_t bytes)
{
	int fd = dial(port);
	struct sum s = send_many(fd, bytes), got;

	shutdown(fd, SHUT_WR);
	got = read_all(fd);
	print_sum("SENT", &s);
	print_sum("ANSWER", &got);
}

static void receive(unsigned port)
{
	struct sum s = read_all(dial(port));

	print_sum("RECEIVED", &s);
}

static void round_trip(int fd)
{
	char there[8] = "to host", back[8];
	size_t at = 0;

	send_all(fd, there, sizeof(there));
	while (at < sizeof(back)) {
		ssize_t n = recv(fd, back + at, sizeof(back) - at, 0);

		if (n <= 0)
			die("recv");
		at += (size_t)n;
	}
	if (memcmp(there, back, sizeof(back)) != 0)
		die("what came back is not what went");
}

static void many(unsigned port, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int fd = dial(port);

		round_trip(fd);
		close(fd);
	}
	printf("MANY %u\n", count);
}

static void crowd(unsigned port, unsigned count)
{
	struct sockaddr_vm addr;
	unsigned n = 0;

	while (n < count && connect(make(VMADDR_CID_HOST, port, &addr), (struct sockaddr *)&addr,
				    sizeof(addr)) == 0)
		n++;
	printf("CROWD %u\n", n);
	for (;;)
		pause();
}

static void ping(unsigned port, unsigned count)
{
	struct timespec a, b;
	int fd = dial(port);

	round_trip(fd);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (unsigned i = 0; i < count; i++)
		round_trip(fd);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("PING %lld\n",
	       ((long long)(b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec) / count);
}

static void hold(int fd, const char *word)
{
	ssize_t n;

	printf("holds\n");
	while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0)
		printf("%s %zd bytes\n", word, n);
	printf("%s %s\n", word, n == 0 ? "end" : strerrorname_np(errno));
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	unsigned port = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 0;
	uint64_t number = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	make_table();
	if (strcmp(verb, "echo") == 0)
		echo(port);
	else if (strcmp(verb, "sink") == 0)
		sink(port);
	else if (strcmp(verb, "source") == 0)
		source(port, number);
	else if (strcmp(verb, "send") == 0)
		send_to_host(port, number);
	else if (strcmp(verb, "recv") == 0)
		receive(port);
	else if (strcmp(verb, "many") == 0)
		many(port, (unsigned)number);
	else if (strcmp(verb, "crowd") == 0)
		crowd(port, (unsigned)number);
	else if (strcmp(verb, "ping") == 0)
		ping(port, (unsigned)number);
	else if (strcmp(verb, "hold") == 0)
		hold(dial(port), "HELD");
	else if (strcmp(verb, "keep") == 0)
		hold(accept_at(port), "KEPT");
	else if (strcmp(verb, "try") == 0)
		close(dial(port)), puts("connected");
	else
		return 2;
	return 0;
}
