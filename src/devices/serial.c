/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The UART's host side. The ring has one consumer, the loop: bytes between tail and head
 * are stable without the lock, which guards the two indices. Output is collected for
 * OUTPUT_DELAY before it is written, so that a guest that prints costs few wake-ups and
 * few writes; the eventfd is signalled only when the ring stops being empty.
 */
#include "devices/serial.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>

#include "base/fault.h"
#include "base/fd.h"
#include "devices/uart.h"

enum {
	RX_LOW = 16,	     /* input is taken again when no more than this is left */
	CAREFUL_WRITE = 256, /* to a blocking sink that is ready: less than any has room for */
	OUTPUT_DELAY = USEC_PER_MSEC, /* before output is written */
};

struct serial {
	struct bus_dev dev;
	struct irq irq;
	struct loop *loop; /* machine's */

	/* Loop thread: */
	struct loop_src wake; /* from vCPUs: output after none, or room after none; owned */
	struct loop_src out;  /* added while a full sink is waited for; owned */
	struct loop_src in;   /* added while there is room; owned */
	struct loop_timer write_soon;
	struct serial_sink *sink; /* the creator's; NULL: output goes to `out' */
	bool can_wait;		  /* the sink can be polled; constant */
	bool blocking;		  /* the sink may block; constant */
	bool quiet;		  /* no input: the machine is paused */

	pthread_mutex_t lock;
	struct uart uart;	 /* (L) */
	bool input_waits;	 /* (L) the loop wants to know of room */
	uint32_t head, tail;	 /* (L) wrapping indices of ring */
	struct rate_bucket rate; /* (L) */

	int error; /* (A) -errno of the first failure not yet asked for */
	struct serial_metrics metrics;
	struct metrics_group group, own_group;
	uint8_t ring[SERIAL_RING];
};

/* --- registers: any vCPU thread ------------------------------------------------ */

static void update_line(struct serial *s)
{
	if (uart_line_rose(&s->uart))
		irq_raise(&s->irq);
}

static void tell_room(struct serial *s)
{
	if (s->input_waits && uart_room(&s->uart) >= SERIAL_RX - RX_LOW) {
		s->input_waits = false;
		fd_event_signal(s->wake.fd);
	}
}

static void send_out(struct serial *s, uint8_t v)
{
	counter_inc(&s->metrics.write_count);
	if (s->out.fd < 0 && !s->sink)
		return;
	if (!rate_bucket_take(&s->rate, 1, s->rate.cfg.size > 0 ? clock_monotonic() : 0)) {
		counter_inc(&s->metrics.rate_limiter_dropped_bytes);
		return;
	}
	if (s->head - s->tail == SERIAL_RING) {
		counter_inc(&s->metrics.dropped);
		return;
	}
	s->ring[s->head++ % SERIAL_RING] = v;
	if (s->head - s->tail == 1)
		fd_event_signal(s->wake.fd);
}

static void serial_read(struct bus_dev *dev, uint64_t off, void *data, unsigned len)
{
	struct serial *s = container_of(dev, struct serial, dev);
	unsigned had;

	memset(data, 0, len);
	if (len != 1) {
		counter_inc(&s->metrics.missed_read_count);
		return;
	}
	pthread_mutex_lock(&s->lock);
	had = s->uart.s.nrx;
	*(uint8_t *)data = uart_read(&s->uart, off);
	counter_add(&s->metrics.read_count, had - s->uart.s.nrx);
	tell_room(s);
	update_line(s);
	pthread_mutex_unlock(&s->lock);
}

static void serial_write(struct bus_dev *dev, uint64_t off, const void *data, unsigned len)
{
	struct serial *s = container_of(dev, struct serial, dev);
	uint8_t v = *(const uint8_t *)data;

	if (len != 1) {
		counter_inc(&s->metrics.missed_write_count);
		return;
	}
	pthread_mutex_lock(&s->lock);
	if (uart_write(&s->uart, off, v))
		send_out(s, v);
	tell_room(s);
	update_line(s);
	pthread_mutex_unlock(&s->lock);
}

static const struct bus_class serial_class = {
	.name = "serial",
	.read = serial_read,
	.write = serial_write,
};

/* --- output: loop thread ------------------------------------------------------- */

static void note_error(struct serial *s, int code)
{
	int none = 0;

	counter_inc(&s->metrics.error_count);
	(void)__atomic_compare_exchange_n(&s->error, &none, code, false, __ATOMIC_RELAXED,
					  __ATOMIC_RELAXED);
}

static uint32_t ring_used(struct serial *s, uint32_t *ret_tail)
{
	uint32_t used;

	pthread_mutex_lock(&s->lock);
	*ret_tail = s->tail;
	used = s->head - s->tail;
	pthread_mutex_unlock(&s->lock);
	return used;
}

/* Returns what is left. */
static uint32_t ring_drop(struct serial *s, uint32_t n)
{
	uint32_t left;

	pthread_mutex_lock(&s->lock);
	s->tail += n;
	left = s->head - s->tail;
	pthread_mutex_unlock(&s->lock);
	return left;
}

/* Writes from the ring; bytes written or -errno. */
static ssize_t write_part(struct serial *s, uint32_t tail, uint32_t n)
{
	uint32_t at = tail % SERIAL_RING;
	struct pollfd ready = { .fd = s->out.fd, .events = POLLOUT };
	struct iovec iov[2];
	uint32_t first;
	ssize_t done;
	int r = FAULT(-EIO);

	if (r < 0)
		return r;
	if (s->blocking && s->can_wait) {
		if (poll(&ready, 1, 0) <= 0)
			return -EAGAIN;
		n = n < CAREFUL_WRITE ? n : CAREFUL_WRITE;
	}
	first = n < SERIAL_RING - at ? n : SERIAL_RING - at;
	iov[0] = (struct iovec){ .iov_base = s->ring + at, .iov_len = first };
	iov[1] = (struct iovec){ .iov_base = s->ring, .iov_len = n - first };
	counter_inc(&s->metrics.flush_count);
	if (s->sink) {
		s->sink->take(s->sink, iov, n > first ? 2 : 1);
		return n;
	}
	done = writev(s->out.fd, iov, n > first ? 2 : 1);
	return done < 0 ? -errno : done;
}

/*
 * One write. What a broken sink cannot take is dropped, so that a full disk that is
 * emptied again, or a new reader of a FIFO, gets what comes after. -EAGAIN when the sink
 * is full, otherwise the bytes left in the ring.
 */
static int64_t drain_once(struct serial *s)
{
	uint32_t tail;
	uint32_t n = ring_used(s, &tail);
	ssize_t done;

	if (n == 0)
		return 0;
	done = write_part(s, tail, n);
	if (done == -EINTR)
		return n;
	if (done == -EAGAIN && s->can_wait)
		return -EAGAIN;
	if (done < 0) {
		note_error(s, (int)done);
		counter_add(&s->metrics.dropped, n);
		done = n;
	}
	return ring_drop(s, (uint32_t)done);
}

static void drain(struct serial *s)
{
	int64_t left = drain_once(s);

	if (left == -EAGAIN) {
		int r = loop_add(s->loop, &s->out);

		if (r < 0) { /* the host has no memory for it: try again later */
			note_error(s, r);
			loop_timer_set(s->loop, &s->write_soon, clock_monotonic() + USEC_PER_SEC);
		}
		return;
	}
	if (left > 0)
		loop_timer_set(s->loop, &s->write_soon, clock_monotonic());
}

static void on_write_soon(struct loop_timer *timer)
{
	drain(container_of(timer, struct serial, write_soon));
}

/* Taken out of the loop while not needed: a hang-up cannot be silenced otherwise. */
static void on_out_ready(struct loop_src *src, uint32_t events)
{
	struct serial *s = container_of(src, struct serial, out);

	(void)events;
	loop_remove(s->loop, &s->out);
	drain(s);
}

void serial_flush(struct serial *s, int limit_ms)
{
	const usec_t end = clock_monotonic() + (usec_t)limit_ms * USEC_PER_MSEC;
	int64_t left = -EAGAIN;

	while (left != 0) {
		struct pollfd ready = { .fd = s->out.fd, .events = POLLOUT };
		usec_t now = clock_monotonic();

		left = drain_once(s);
		if (now >= end)
			return;
		if (left == -EAGAIN)
			(void)poll(&ready, 1, (int)((end - now) / USEC_PER_MSEC) + 1);
	}
}

uint32_t serial_unsent(struct serial *s)
{
	uint32_t tail;

	return ring_used(s, &tail);
}

/* --- input: loop thread -------------------------------------------------------- */

static void input_end(struct serial *s)
{
	loop_remove(s->loop, &s->in);
	fd_close_(&s->in.fd);
	s->in.fd = -1;
}

/* Takes input again if there is room, else asks to be told. */
static void input_arm(struct serial *s)
{
	bool room;
	int r;

	if (s->in.fd < 0 || s->in.added || s->quiet)
		return;
	pthread_mutex_lock(&s->lock);
	room = uart_room(&s->uart) > 0;
	s->input_waits = !room;
	pthread_mutex_unlock(&s->lock);
	if (!room)
		return;
	r = loop_add(s->loop, &s->in);
	if (r < 0) {
		note_error(s, r);
		input_end(s);
	}
}

/* Reads under the lock, so that the room found is the room filled. */
static void on_input(struct loop_src *src, uint32_t events)
{
	struct serial *s = container_of(src, struct serial, in);
	ssize_t n = 1;
	bool room;
	int r = 0;

	(void)events;
	pthread_mutex_lock(&s->lock);
	if (uart_room(&s->uart) > 0) {
		n = read(src->fd, uart_rx_end(&s->uart), uart_room(&s->uart));
		r = n < 0 ? -errno : 0;
		if (n > 0)
			uart_received(&s->uart, (unsigned)n);
		update_line(s);
	}
	room = uart_room(&s->uart) > 0;
	s->input_waits = !room;
	pthread_mutex_unlock(&s->lock);

	if (n == 0 || (r < 0 && r != -EAGAIN && r != -EINTR)) {
		if (r < 0)
			note_error(s, r);
		input_end(s);
	} else if (!room) {
		loop_remove(s->loop, src);
	}
}

static void on_wake(struct loop_src *src, uint32_t events)
{
	struct serial *s = container_of(src, struct serial, wake);
	uint32_t tail;

	(void)events;
	(void)fd_event_take(src->fd);
	input_arm(s);
	if (ring_used(s, &tail) > 0 && !s->out.added && !s->write_soon.set)
		loop_timer_set(s->loop, &s->write_soon, clock_monotonic() + OUTPUT_DELAY);
}

void serial_set_input(struct serial *s, int fd)
{
	if (s->in.fd >= 0)
		input_end(s);
	s->in.fd = fd;
	input_arm(s);
}

void serial_quiesce(struct serial *s)
{
	s->quiet = true;
	loop_remove(s->loop, &s->in);
}

void serial_resume(struct serial *s)
{
	s->quiet = false;
	input_arm(s);
}

/* --- life ---------------------------------------------------------------------- */

/* Learns what the sink can do. */
static int probe_output(struct serial *s, struct err *e)
{
	int flags, r;

	if (s->out.fd < 0)
		return 0;
	flags = fcntl(s->out.fd, F_GETFL);
	if (flags < 0)
		return err_set(e, ERR_INVALID, -errno, "serial output: %s", strerror(errno));
	s->blocking = !(flags & O_NONBLOCK);
	r = loop_add(s->loop, &s->out);
	if (r < 0 && r != -EPERM)
		return err_set(e, ERR_INTERNAL, r, "serial output cannot be polled: %s",
			       strerror(-r));
	s->can_wait = r == 0;
	loop_remove(s->loop, &s->out);
	return 0;
}

static int probe_input(struct serial *s, struct err *e)
{
	int r;

	if (s->in.fd < 0)
		return 0;
	r = loop_add(s->loop, &s->in);
	if (r < 0 && r != -EPERM)
		return err_set(e, ERR_INTERNAL, r, "serial input cannot be polled: %s",
			       strerror(-r));
	if (r == -EPERM)
		input_end(s);
	return 0;
}

static int connect_host(struct serial *s, const struct serial_cfg *cfg, struct err *e)
{
	int r = fd_event_create();

	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "serial: no eventfd: %s", strerror(-r));
	s->wake = (struct loop_src){ .fd = r, .events = EPOLLIN, .fn = on_wake };
	r = loop_add(s->loop, &s->wake);
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "serial: no event source: %s", strerror(-r));
	s->out = (struct loop_src){ .fd = cfg->out_fd, .events = EPOLLOUT, .fn = on_out_ready };
	r = probe_output(s, e);
	if (r < 0)
		return r;
	s->in = (struct loop_src){ .fd = cfg->in_fd, .events = EPOLLIN, .fn = on_input };
	return probe_input(s, e);
}

/* The descriptors stay the caller's. */
static void disown(struct serial *s)
{
	loop_remove(s->loop, &s->in);
	s->out.fd = -1;
	s->in.fd = -1;
}

static const char *const names[] = {
	"error_count", "flush_count", "missed_read_count",	    "missed_write_count",
	"read_count",  "write_count", "rate_limiter_dropped_bytes",
};
static const char *const own_names[] = { "dropped_bytes" };

const struct metrics_shape serial_metrics_shape = {
	.name = "uart",
	.fields = names,
	.n = ARRAY_SIZE(names),
	.slots = offsetof(struct serial_metrics, dropped) / sizeof(counter_t),
};
const struct metrics_shape serial_own_shape = METRICS_SHAPE("serial", own_names, counter_t,
							    .ours = true);

static int add_metrics(struct serial *s, struct err *e)
{
	int r;

	s->group = (struct metrics_group){ .shape = &serial_metrics_shape,
					   .counters = &s->metrics };
	s->own_group = (struct metrics_group){ .shape = &serial_own_shape,
					       .counters = &s->metrics.dropped };
	r = metrics_add(&s->group);
	if (r == 0)
		r = metrics_add(&s->own_group);
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "serial: no memory for metrics") : 0;
}

int serial_create(const struct serial_cfg *cfg, struct loop *loop, struct irq irq,
		  struct serial **ret, struct err *e)
{
	int r = FAULT(-ENOMEM);
	struct serial *s = r == 0 ? calloc(1, sizeof(*s)) : NULL;

	if (!s)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "serial: out of memory");
	s->dev.class = &serial_class;
	s->irq = irq;
	s->loop = loop;
	s->sink = cfg->sink;
	s->wake.fd = s->out.fd = s->in.fd = -1;
	s->write_soon.fn = on_write_soon;
	uart_init(&s->uart);
	pthread_mutex_init(&s->lock, NULL);
	rate_bucket_init(&s->rate, &cfg->rate, clock_monotonic());
	r = add_metrics(s, e);
	if (r == 0)
		r = connect_host(s, cfg, e);
	if (r < 0) {
		disown(s);
		serial_destroy(s);
		return r;
	}
	*ret = s;
	return 0;
}

void serial_destroy(struct serial *s)
{
	if (!s)
		return;
	metrics_remove(&s->own_group);
	metrics_remove(&s->group);
	loop_timer_cancel(s->loop, &s->write_soon);
	loop_remove(s->loop, &s->in);
	loop_remove(s->loop, &s->out);
	loop_remove(s->loop, &s->wake);
	fd_close_(&s->in.fd);
	fd_close_(&s->out.fd);
	fd_close_(&s->wake.fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

struct bus_dev *serial_bus_dev(struct serial *s)
{
	return &s->dev;
}

const struct serial_metrics *serial_metrics(const struct serial *s)
{
	return &s->metrics;
}

int serial_take_error(struct serial *s)
{
	return __atomic_exchange_n(&s->error, 0, __ATOMIC_RELAXED);
}

void serial_save(struct serial *s, struct serial_state *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->uart.s;
	pthread_mutex_unlock(&s->lock);
}

int serial_load(struct serial *s, const struct serial_state *state)
{
	int r;

	loop_remove(s->loop, &s->in);
	pthread_mutex_lock(&s->lock);
	r = uart_load(&s->uart, state);
	if (r == 0)
		update_line(s);
	pthread_mutex_unlock(&s->lock);
	input_arm(s);
	return r;
}
