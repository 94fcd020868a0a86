/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/serial.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/fault.h"
#include "port.h"

enum { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, MCR = 4, LSR = 5 };

static struct loop loop;
static struct irq irq;
static struct err err;

static struct serial *create(int out_fd, int in_fd, const struct rate_cfg *rate)
{
	struct serial_cfg cfg = { .out_fd = out_fd, .in_fd = in_fd };
	struct serial *s;

	signal(SIGPIPE, SIG_IGN);
	if (rate)
		cfg.rate = *rate;
	irq = irq_for_test();
	CHECK_EQ(loop_init(&loop), 0);
	CHECK_EQ(serial_create(&cfg, &loop, irq, &s, &err), 0);
	return s;
}

struct ends {
	int read, write;
};

static struct ends make_pipe(void)
{
	int fd[2];

	CHECK_EQ(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
	return (struct ends){ .read = fd[0], .write = fd[1] };
}

static void turns(unsigned n)
{
	while (n-- > 0)
		CHECK_EQ(loop_turn(&loop, 5), 0);
}

static void print(struct serial *s, const char *text)
{
	for (; *text; text++)
		out8(serial_bus_dev(s), THR, (uint8_t)*text);
}

static uint64_t dropped(const struct serial *s)
{
	return counter_get(&serial_metrics(s)->dropped);
}

/* Reads all that is there; the byte at each place must be `at % 251'. */
static uint64_t read_pattern(int fd, uint64_t at)
{
	uint8_t buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			CHECK_EQ(buf[i], at % 251);
	return at;
}

static void send_pattern(struct serial *s, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		out8(serial_bus_dev(s), THR, (uint8_t)(i % 251));
}

TEST(a_line_is_written_at_once)
{
	struct ends p = make_pipe();
	struct serial *s = create(p.write, -1, NULL);
	char text[32] = "";

	print(s, "hello, host\n");
	turns(3);
	CHECK_EQ(read(p.read, text, sizeof(text)), 12);
	CHECK(strcmp(text, "hello, host\n") == 0);
	CHECK_EQ(counter_get(&serial_metrics(s)->flush_count), 1);
	CHECK_EQ(counter_get(&serial_metrics(s)->write_count), 12);
	CHECK_EQ(serial_take_error(s), 0);
	serial_destroy(s);
}

/* Each byte wakes the loop when the one before has gone. */
TEST(single_bytes_arrive)
{
	struct ends p = make_pipe();
	struct serial *s = create(p.write, -1, NULL);
	char c = 0;

	for (unsigned i = 0; i < 3; i++) {
		out8(serial_bus_dev(s), THR, (uint8_t)('a' + i));
		turns(3);
		CHECK_EQ(read(p.read, &c, 1), 1);
		CHECK_EQ(c, 'a' + i);
	}
	serial_destroy(s);
}

TEST(a_full_ring_drops_and_counts)
{
	struct ends p = make_pipe();
	struct serial *s = create(p.write, -1, NULL);

	send_pattern(s, SERIAL_RING);
	CHECK_EQ(dropped(s), 0);
	out8(serial_bus_dev(s), THR, 'x');
	out8(serial_bus_dev(s), THR, 'y');
	CHECK_EQ(dropped(s), 2);
	serial_flush(s, 0);
	CHECK_EQ(read_pattern(p.read, 0), SERIAL_RING);
	serial_destroy(s);
}

TEST(a_slow_sink_gets_everything_in_order)
{
	struct ends p = make_pipe();
	struct serial *s;
	uint64_t got = 0;

	CHECK(fcntl(p.write, F_SETPIPE_SZ, 4096) >= 4096);
	s = create(p.write, -1, NULL);
	send_pattern(s, 3 * SERIAL_RING / 4);
	turns(4);
	CHECK_EQ(dropped(s), 0);
	for (unsigned i = 0; got < 3 * SERIAL_RING / 4; i++) {
		CHECK(i < 1000);
		got = read_pattern(p.read, got);
		turns(1);
	}
	CHECK_EQ(got, 3 * SERIAL_RING / 4);
	CHECK_EQ(dropped(s), 0);
	serial_destroy(s);
}

/* While nobody reads, the loop sleeps; when the reader leaves, it does not spin. */
TEST(a_sink_that_is_never_read_costs_nothing)
{
	struct ends p = make_pipe();
	struct serial *s;
	uint64_t writes;

	CHECK(fcntl(p.write, F_SETPIPE_SZ, 4096) >= 4096);
	s = create(p.write, -1, NULL);
	send_pattern(s, 2 * SERIAL_RING);
	turns(5);
	writes = counter_get(&serial_metrics(s)->flush_count);
	turns(5);
	CHECK_EQ(counter_get(&serial_metrics(s)->flush_count), writes);
	CHECK_EQ(serial_take_error(s), 0);
	CHECK_EQ(close(p.read), 0);
	turns(5);
	CHECK_EQ(serial_take_error(s), -EPIPE);
	CHECK_EQ(serial_take_error(s), 0);
	CHECK_EQ(counter_get(&serial_metrics(s)->error_count), 1);
	serial_destroy(s);
}

TEST(a_full_disk_is_an_error_and_not_the_end)
{
	struct serial *s = create(open("/dev/full", O_WRONLY | O_NONBLOCK), -1, NULL);

	for (unsigned i = 1; i <= 3; i++) {
		print(s, "lost");
		turns(3);
		CHECK_EQ(serial_take_error(s), -ENOSPC);
		CHECK_EQ(dropped(s), 4 * i);
	}
	serial_destroy(s);
}

TEST(a_regular_file_is_written_from_its_start)
{
	char path[] = "/tmp/serial-XXXXXX";
	int fd = mkstemp(path);
	struct serial *s;

	CHECK(fd >= 0);
	s = create(fd, -1, NULL);
	send_pattern(s, 50000);
	turns(3);
	serial_destroy(s);
	fd = open(path, O_RDONLY);
	CHECK_EQ(read_pattern(fd, 0), 50000);
	unlink(path);
}

/* A sink that could not be made non-blocking is written to with care. */
TEST(a_blocking_sink_never_blocks_us)
{
	struct ends p = make_pipe();
	struct serial *s;
	uint64_t got = 0;

	CHECK(fcntl(p.write, F_SETPIPE_SZ, 4096) >= 4096);
	CHECK_EQ(fcntl(p.write, F_SETFL, 0), 0);
	s = create(p.write, -1, NULL);
	send_pattern(s, 20000);
	turns(30); /* would hang, and the alarm would tell */
	for (unsigned i = 0; got < 20000; i++) {
		CHECK(i < 1000);
		got = read_pattern(p.read, got);
		turns(1);
	}
	CHECK_EQ(dropped(s), 0);
	serial_destroy(s);
}

TEST(no_output_is_no_error)
{
	struct serial *s = create(-1, -1, NULL);

	send_pattern(s, 3 * SERIAL_RING);
	turns(1);
	serial_flush(s, 1000);
	CHECK_EQ(dropped(s), 0);
	CHECK_EQ(counter_get(&serial_metrics(s)->write_count), 3 * SERIAL_RING);
	serial_destroy(s);
}

TEST(flush_is_bounded)
{
	struct ends p = make_pipe();
	struct serial *s;
	usec_t before, took;

	CHECK(fcntl(p.write, F_SETPIPE_SZ, 4096) >= 4096);
	s = create(p.write, -1, NULL);
	send_pattern(s, 10000);
	before = clock_monotonic();
	serial_flush(s, 50);
	took = clock_monotonic() - before;
	CHECK(took >= 50 * USEC_PER_MSEC);
	CHECK_EQ(read_pattern(p.read, 0), 4096);
	serial_flush(s, 0); /* one attempt even without time */
	CHECK_EQ(read_pattern(p.read, 4096), 8192);
	serial_destroy(s);
}

static void *slow_reader(void *arg)
{
	int fd = *(int *)arg;
	uint64_t got = 0;

	fcntl(fd, F_SETFL, 0);
	while (got < 20000) {
		uint8_t buf[1000];
		ssize_t n = read(fd, buf, sizeof(buf));

		CHECK(n > 0);
		got += (uint64_t)n;
		usleep(1000);
	}
	return NULL;
}

TEST(flush_waits_for_a_slow_sink)
{
	struct ends p = make_pipe();
	struct serial *s;
	pthread_t id;

	CHECK(fcntl(p.write, F_SETPIPE_SZ, 4096) >= 4096);
	s = create(p.write, -1, NULL);
	send_pattern(s, 20000);
	CHECK_EQ(pthread_create(&id, NULL, slow_reader, &p.read), 0);
	serial_flush(s, 60000);
	CHECK_EQ(dropped(s), 0);
	serial_destroy(s); /* what was not flushed would be missed by the reader */
	pthread_join(id, NULL);
}

TEST(the_rate_limit_drops_the_surplus)
{
	struct ends p = make_pipe();
	struct rate_cfg rate = { .size = 100, .refill_time_ms = 3600000, .one_time_burst = 50 };
	struct serial *s = create(p.write, -1, &rate);

	send_pattern(s, 1000);
	serial_flush(s, 0);
	CHECK_EQ(read_pattern(p.read, 0), 150);
	CHECK_EQ(counter_get(&serial_metrics(s)->rate_limiter_dropped_bytes), 850);
	CHECK_EQ(dropped(s), 0);
	serial_destroy(s);
}

TEST(input_reaches_the_guest)
{
	struct ends p = make_pipe();
	struct serial *s = create(-1, p.read, NULL);
	struct bus_dev *dev = serial_bus_dev(s);

	out8(dev, FCR, 0x01);
	out8(dev, IER, 0x01);
	CHECK_EQ(write(p.write, "ok", 2), 2);
	turns(1);
	CHECK_EQ(irq_count(irq), 1);
	CHECK_EQ(in8(dev, IIR), 0xc4);
	CHECK_EQ(in8(dev, RBR), 'o');
	CHECK_EQ(in8(dev, LSR) & 1, 1);
	CHECK_EQ(in8(dev, RBR), 'k');
	CHECK_EQ(in8(dev, LSR) & 1, 0);
	CHECK_EQ(counter_get(&serial_metrics(s)->read_count), 2);
	serial_destroy(s);
}

static int queued(int fd)
{
	static uint8_t buf[65536];
	int n = (int)read(fd, buf, sizeof(buf));

	return n < 0 ? 0 : n;
}

/* A guest that ignores its input: 64 bytes are taken, the rest stays with the host. */
TEST(input_is_bounded)
{
	struct ends p = make_pipe();
	static uint8_t chunk[4096];
	struct serial *s;
	int reader = dup(p.read);
	ssize_t sent = 0, n;

	s = create(-1, p.read, NULL);
	while ((n = write(p.write, chunk, sizeof(chunk))) > 0) {
		sent += n;
		turns(1);
	}
	turns(10);
	CHECK_EQ(close(p.write), 0); /* a hang-up, which must not spin either */
	turns(10);
	CHECK_EQ(queued(reader), sent - SERIAL_RX);
	serial_destroy(s);
}

TEST(input_goes_on_when_the_guest_reads)
{
	struct ends p = make_pipe();
	struct serial *s = create(-1, p.read, NULL);
	struct bus_dev *dev = serial_bus_dev(s);
	uint8_t buf[1000];
	uint64_t got = 0;

	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i % 251);
	CHECK_EQ(write(p.write, buf, sizeof(buf)), sizeof(buf));
	out8(dev, FCR, 0x01);
	for (unsigned i = 0; got < sizeof(buf); i++) {
		CHECK(i < 10000);
		turns(1);
		while (in8(dev, LSR) & 1)
			CHECK_EQ(in8(dev, RBR), got++ % 251);
	}
	serial_destroy(s);
}

enum { PIPED = 1 << 20 };

static void *writer(void *arg)
{
	struct ends *p = arg;
	uint8_t buf[5000];
	uint64_t at = 0;

	fcntl(p->write, F_SETFL, 0);
	while (at < PIPED) {
		for (unsigned i = 0; i < sizeof(buf); i++)
			buf[i] = (uint8_t)((at + i) % 251);
		CHECK_EQ(write(p->write, buf, sizeof(buf)), sizeof(buf));
		at += sizeof(buf);
	}
	close(p->write);
	return NULL;
}

/* All of it through the 64 bytes; the guest's side runs on this thread too. */
TEST(megabytes_arrive_whole)
{
	struct ends p = make_pipe();
	struct serial *s = create(-1, p.read, NULL);
	struct bus_dev *dev = serial_bus_dev(s);
	uint64_t got = 0;
	pthread_t id;

	out8(dev, FCR, 0x01);
	CHECK_EQ(pthread_create(&id, NULL, writer, &p), 0);
	while (got < PIPED) {
		CHECK_EQ(loop_turn(&loop, 1000), 0);
		while (in8(dev, LSR) & 1)
			CHECK_EQ(in8(dev, RBR), got++ % 251);
	}
	pthread_join(id, NULL);
	serial_destroy(s);
}

TEST(the_end_of_input_is_quiet)
{
	struct ends p = make_pipe();
	struct serial *s = create(-1, p.read, NULL);
	usec_t before;

	CHECK_EQ(write(p.write, "bye", 3), 3);
	close(p.write);
	turns(3);
	before = clock_monotonic();
	CHECK_EQ(loop_turn(&loop, 30), 0);
	CHECK(clock_monotonic() - before >= 25 * USEC_PER_MSEC); /* nothing was ready */
	CHECK_EQ(in8(serial_bus_dev(s), RBR), 'b');
	CHECK_EQ(serial_take_error(s), 0);
	serial_destroy(s);
}

TEST(what_cannot_be_polled_is_no_input)
{
	struct serial *s = create(-1, open("/dev/null", O_RDONLY), NULL);

	turns(2);
	serial_destroy(s);
	s = create(-1, open("/proc/self/exe", O_RDONLY), NULL);
	turns(2);
	serial_quiesce(s);
	serial_resume(s);
	CHECK_EQ(in8(serial_bus_dev(s), LSR), 0x60);
	CHECK_EQ(serial_take_error(s), 0);
	serial_destroy(s);
}

TEST(loopback_cuts_the_host_off)
{
	struct ends p = make_pipe();
	struct serial *s = create(-1, p.read, NULL);
	struct bus_dev *dev = serial_bus_dev(s);

	out8(dev, MCR, 0x10);
	CHECK_EQ(write(p.write, "z", 1), 1);
	turns(3);
	CHECK_EQ(in8(dev, LSR), 0x60);
	out8(dev, MCR, 0x00);
	turns(3);
	CHECK_EQ(in8(dev, LSR), 0x61);
	CHECK_EQ(in8(dev, RBR), 'z');
	serial_destroy(s);
}

TEST(a_paused_machine_takes_no_input)
{
	struct ends p = make_pipe();
	struct serial *s = create(-1, p.read, NULL);

	serial_quiesce(s);
	CHECK_EQ(write(p.write, "z", 1), 1);
	turns(3);
	CHECK_EQ(in8(serial_bus_dev(s), LSR), 0x60);
	serial_resume(s);
	turns(1);
	CHECK_EQ(in8(serial_bus_dev(s), LSR), 0x61);
	serial_destroy(s);
}

/* With a full FIFO and its interrupt on the way: the new machine must not wait for ever. */
TEST(a_restored_uart_is_not_stuck)
{
	struct ends p = make_pipe();
	struct serial *s = create(-1, p.read, NULL);
	struct serial_state saved, again;
	struct bus_dev *dev;
	static const uint8_t many[100] = { 0 };

	out8(serial_bus_dev(s), FCR, 0x01);
	out8(serial_bus_dev(s), IER, 0x01);
	CHECK_EQ(write(p.write, many, sizeof(many)), sizeof(many));
	turns(3);
	serial_save(s, &saved);
	CHECK_EQ(saved.nrx, SERIAL_RX);
	serial_destroy(s);

	p = make_pipe();
	s = create(-1, p.read, NULL);
	dev = serial_bus_dev(s);
	CHECK_EQ(serial_load(s, &saved), 0);
	CHECK_EQ(irq_count(irq), 1);
	serial_save(s, &again);
	CHECK(memcmp(&saved, &again, sizeof(saved)) == 0);
	CHECK_EQ(write(p.write, "!", 1), 1);
	turns(3);
	for (unsigned i = 0; i < SERIAL_RX; i++)
		CHECK_EQ(in8(dev, RBR), 0);
	turns(3);
	CHECK_EQ(irq_count(irq), 1);
	CHECK_EQ(in8(dev, RBR), '!');
	serial_destroy(s);
}

TEST(a_wrong_state_changes_nothing)
{
	struct ends p = make_pipe();
	struct serial *s = create(-1, p.read, NULL);
	struct serial_state wrong = { .nrx = SERIAL_RX + 1 };

	CHECK_EQ(serial_load(s, &wrong), -EINVAL);
	CHECK_EQ(write(p.write, "z", 1), 1);
	turns(1);
	CHECK_EQ(in8(serial_bus_dev(s), RBR), 'z');
	serial_destroy(s);
}

TEST(only_bytes_are_ports)
{
	struct serial *s = create(-1, -1, NULL);

	port_hammer_widths(serial_bus_dev(s), SERIAL_PORTS);
	CHECK_EQ(counter_get(&serial_metrics(s)->missed_read_count), 7 + 5 + 1);
	CHECK_EQ(counter_get(&serial_metrics(s)->missed_write_count), 7 + 5 + 1);
	CHECK_EQ(counter_get(&serial_metrics(s)->write_count), 0);
	CHECK_EQ(in8(serial_bus_dev(s), LSR), 0x60);
	serial_destroy(s);
	serial_destroy(NULL);
}

TEST(creation_fails_whole)
{
	struct ends out = make_pipe(), in = make_pipe();
	struct serial_cfg cfg = { .out_fd = out.write, .in_fd = in.read };
	struct serial *s = NULL;

	CHECK_EQ(loop_init(&loop), 0);
	cfg.in_fd = 999;
	CHECK_EQ(serial_create(&cfg, &loop, (struct irq){ -1 }, &s, &err), -EBADF);
	CHECK(strstr(err.msg, "serial input"));
	cfg.in_fd = in.read;
	cfg.out_fd = 999;
	CHECK_EQ(serial_create(&cfg, &loop, (struct irq){ -1 }, &s, &err), -EBADF);
	CHECK(strstr(err.msg, "serial output"));
	CHECK(s == NULL);
#ifdef WISP_FAULTS
	cfg.out_fd = out.write;
	for (long n = 0;; n++) {
		fault_arm(n);
		err = (struct err){ 0 };
		if (serial_create(&cfg, &loop, (struct irq){ -1 }, &s, &err) == 0)
			break;
		CHECK(fault_fired());
		CHECK(err.code < 0 && err.msg[0]);
		CHECK(fcntl(out.write, F_GETFD) >= 0); /* still the caller's */
		CHECK(fcntl(in.read, F_GETFD) >= 0);
	}
	CHECK(!fault_fired());
	fault_arm(-1);
	serial_destroy(s);
	CHECK_EQ(fcntl(out.write, F_GETFD), -1);
	CHECK_EQ(fcntl(in.read, F_GETFD), -1);
#endif
}

#ifdef WISP_FAULTS /* the places to fail exist in these builds only */
TEST(a_host_that_fails_us_is_survived)
{
	struct ends p = make_pipe(), in = make_pipe();
	struct serial *s;

	CHECK(fcntl(p.write, F_SETPIPE_SZ, 4096) >= 4096);
	s = create(p.write, in.read, NULL);
	print(s, "lost");
	fault_arm(0); /* the write */
	turns(3);
	CHECK_EQ(serial_take_error(s), -EIO);
	CHECK_EQ(dropped(s), 4);

	send_pattern(s, 8192);
	fault_arm(2); /* after two writes, waiting for the sink; tried again after a second */
	turns(3);
	CHECK_EQ(serial_take_error(s), -ENOSPC);
	CHECK_EQ(read_pattern(p.read, 0), 4096);
	for (usec_t end = clock_monotonic() + 2 * USEC_PER_SEC; clock_monotonic() < end;)
		turns(1);
	CHECK_EQ(read_pattern(p.read, 4096), 8192);
	CHECK_EQ(dropped(s), 4);

	serial_quiesce(s);
	fault_arm(0); /* taking input again */
	serial_resume(s);
	CHECK_EQ(serial_take_error(s), -ENOSPC);
	serial_destroy(s);
}
#endif

/* A terminal whose other side is gone. */
TEST(a_broken_input_ends_and_is_told)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct serial *s;
	int slave;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		SKIP("no pseudo terminals");
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	CHECK(slave >= 0);
	s = create(-1, master, NULL);
	CHECK_EQ(close(slave), 0);
	turns(3);
	CHECK_EQ(serial_take_error(s), -EIO);
	CHECK_EQ(counter_get(&serial_metrics(s)->error_count), 1);
	serial_destroy(s);
}

/* What TSan is to see: registers from two vCPUs while the loop drains and fills. */
enum { HAMMER = 30000 };

static void *vcpu(void *arg)
{
	struct bus_dev *dev = arg;

	for (unsigned i = 0; i < HAMMER; i++) {
		out8(dev, IER, (uint8_t)(i & 3));
		out8(dev, THR, (uint8_t)i);
		if (in8(dev, LSR) & 1)
			(void)in8(dev, RBR);
		(void)in8(dev, IIR);
	}
	return NULL;
}

TEST(two_vcpus_and_the_loop)
{
	struct ends out = make_pipe(), in = make_pipe();
	struct serial *s = create(out.write, in.read, NULL);
	const struct serial_metrics *m = serial_metrics(s);
	uint64_t got = 0;
	pthread_t id[2];

	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&id[i], NULL, vcpu, serial_bus_dev(s)), 0);
	while (counter_get(&m->write_count) < 2 * HAMMER) {
		(void)!write(in.write, "0123456789", 10);
		CHECK_EQ(loop_turn(&loop, 1), 0);
		got += (uint64_t)queued(out.read);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(id[i], NULL);
	serial_flush(s, 0);
	got += (uint64_t)queued(out.read);
	CHECK_EQ(got + dropped(s), 2 * HAMMER);
	serial_destroy(s);
}
