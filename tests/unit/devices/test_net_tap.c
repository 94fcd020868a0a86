/* SPDX-License-Identifier: Apache-2.0 */
/* Taps as the host's kernel has them, in a network namespace of our own. Needs root. */
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "nic.h"

static int ctl = -1; /* a socket, for ioctls on interfaces */

static void need_taps(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		SKIP("no network namespace of our own");
	fd = open("/dev/net/tun", O_RDWR);
	if (fd < 0)
		SKIP("no /dev/net/tun");
	close(fd);
	ctl = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(0x88b5));
	CHECK(ctl >= 0);
}

/* An attached descriptor as another program would make it. */
static int attach(const char *name, short flags)
{
	struct ifreq req = { .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR);

	strcpy(req.ifr_name, name);
	CHECK(fd >= 0);
	CHECK_EQ(ioctl(fd, TUNSETIFF, &req), 0);
	return fd;
}

static int index_of(const char *name)
{
	struct ifreq req = { 0 };

	strcpy(req.ifr_name, name);
	CHECK_EQ(ioctl(ctl, SIOCGIFINDEX, &req), 0);
	return req.ifr_ifindex;
}

static void up(const char *name)
{
	struct ifreq req = { .ifr_flags = IFF_UP };

	strcpy(req.ifr_name, name);
	CHECK_EQ(ioctl(ctl, SIOCSIFFLAGS, &req), 0);
}

static bool offers(const char *name, unsigned what)
{
	struct ethtool_value value = { .cmd = what };
	struct ifreq req = { .ifr_data = (void *)&value };

	strcpy(req.ifr_name, name);
	CHECK_EQ(ioctl(ctl, SIOCETHTOOL, &req), 0);
	return value.data;
}

static int open_fails(const char *name, const char *words)
{
	struct err e = { 0 };
	int fd = -1, r = net_tap_open(name, &fd, &e);

	CHECK(r < 0);
	CHECK_EQ(fd, -1);
	CHECK(strstr(e.msg, name));
	if (!strstr(e.msg, words)) {
		fprintf(stderr, "# %s\n", e.msg);
		FAIL("without the words");
	}
	return r;
}

TEST(errors_of_opening)
{
	need_taps();
	close(attach("tap0", IFF_TAP | IFF_NO_PI)); /* gone with its descriptor */
	CHECK_EQ(open_fails("lo", "not a tap"), -EINVAL);
	attach("tun0", IFF_TUN | IFF_NO_PI);
	CHECK_EQ(open_fails("tun0", "not a tap"), -EINVAL);
	attach("tap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	CHECK_EQ(open_fails("tap0", "another process holds it"), -EBUSY);
}

TEST(a_tap_that_is_made_and_one_that_is_there)
{
	struct err e = { 0 };
	int fd, kept, header = 0;

	need_taps();
	CHECK_EQ(net_tap_open("tap0", &fd, &e), 0);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK_EQ(ioctl(fd, TUNGETVNETHDRSZ, &header), 0);
	CHECK_EQ(header, NET_HDR);
	close(fd);
	kept = attach("tap1", IFF_TAP | IFF_NO_PI);
	CHECK_EQ(ioctl(kept, TUNSETPERSIST, 1), 0);
	close(kept);
	CHECK_EQ(net_tap_open("tap1", &fd, &e), 0);
}

TEST(a_tap_for_several_queues)
{
	struct err e = { 0 };
	int fd, kept;

	need_taps();
	kept = attach("tap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
	CHECK_EQ(ioctl(kept, TUNSETPERSIST, 1), 0);
	close(kept);
	CHECK_EQ(net_tap_open("tap0", &fd, &e), 0);
}

TEST(opening_under_faults)
{
	if (!HAVE_FAULTS)
		SKIP("built without WISP_FAULTS");
	need_taps();
	for (unsigned n = 0;; n++) {
		struct err e = { 0 };
		int fd = -1, r;

		fault_arm(n);
		r = net_tap_open("tap0", &fd, &e);
		CHECK_EQ(fault_fired(), r < 0);
		fault_arm(-1);
		if (r == 0) {
			CHECK_EQ(n, 3);
			return;
		}
		CHECK(strstr(e.msg, "tap `tap0'"));
	}
}

TEST(what_is_handed_over)
{
	struct err e = { 0 };
	int pair[2], fd, header = 0;

	need_taps();
	CHECK_EQ(net_tap_adopt(999, &e), -EBADF);
	CHECK_EQ(pipe(pair), 0);
	CHECK_EQ(net_tap_adopt(pair[0], &e), -ENOTTY);
	CHECK_EQ(net_tap_adopt(open("/dev/null", O_RDWR), &e), -ENOTTY);
	fd = open("/dev/net/tun", O_RDWR);
	CHECK_EQ(net_tap_adopt(fd, &e), -EBADFD);
	CHECK_EQ(net_tap_adopt(attach("tap0", IFF_TAP | IFF_NO_PI), &e), -EINVAL);
	CHECK(strstr(e.msg, "tap0") && strstr(e.msg, "IFF_VNET_HDR"));
	CHECK_EQ(net_tap_adopt(attach("tun0", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR), &e), -EINVAL);
	fd = attach("tap2", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	CHECK_EQ(net_tap_adopt(fd, &e), 0);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK_EQ(ioctl(fd, TUNGETVNETHDRSZ, &header), 0);
	CHECK_EQ(header, NET_HDR);
}

static struct net_backend *make_tap(const char *name)
{
	struct net_backend *b = NULL;
	struct err e;
	int fd = -1;

	CHECK_EQ(net_tap_open(name, &fd, &e), 0);
	CHECK_EQ(net_tap_create(fd, &b, &e), 0);
	return b;
}

static void plug_tap(const char *name)
{
	plug_nic_on(make_tap(name), NULL);
}

TEST(offloads_follow_the_driver)
{
	static const struct {
		uint64_t acked;
		bool csum, tso;
	} rows[] = { { NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_UFO,
		       true, true },
		     { 0, false, false },
		     { NET_F_GUEST_CSUM, true, false },
		     { NET_F_GUEST_TSO4, false, false }, /* not without checksums */
		     { NET_F_GUEST_CSUM | NET_F_GUEST_TSO4, true, true } };

	need_taps();
	plug_tap("tap0");
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		run_nic(rows[i].acked);
		CHECK_EQ(offers("tap0", ETHTOOL_GTXCSUM), rows[i].csum);
		CHECK_EQ(offers("tap0", ETHTOOL_GTSO), rows[i].tso);
	}
	unplug_nic();
}

TEST(frames_through_a_tap)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(0x88b5) };
	uint32_t head = 0, len = 0;

	need_taps();
	plug_tap("tap0");
	up("tap0");
	to.sll_ifindex = index_of("tap0");
	run_nic(NET_F_MRG_RXBUF | NET_F_GUEST_CSUM | NET_F_GUEST_TSO4);
	for (uint16_t i = 0; i < Q_SIZE; i++)
		give_buffer(i, 100);
	kick_queue(NET_RX);
	make_frame(packet, 1000 + HDR, 1);
	packet[HDR + 12] = 0x88;
	packet[HDR + 13] = 0xb5;
	CHECK_EQ(sendto(ctl, packet + HDR, 1000, 0, (struct sockaddr *)&to, sizeof(to)), 1000);
	settle();
	while (ring_used(&rxq, &head, &len) && buffer(head)[HDR + 12] != 0x88)
		; /* the host says hello by IPv6 */
	CHECK_EQ(buffer(head)[10], 11);
	CHECK_EQ(len, 100);
	offer_frame(0, 500, 2);
	ram[TX_BUF + HDR] = 0xff; /* to all */
	memset(ram + TX_BUF + HDR, 0xff, 6);
	ram[TX_BUF + HDR + 6] = 2;
	ram[TX_BUF + HDR + 12] = 0x88;
	ram[TX_BUF + HDR + 13] = 0xb5;
	kick_queue(NET_TX);
	CHECK_EQ(M(tx_count), 1);
	CHECK_EQ(recv(ctl, packet, sizeof(packet), 0), 500 - HDR);
	CHECK_EQ(memcmp(packet + 14, ram + TX_BUF + HDR + 14, 500 - HDR - 14), 0);
	unplug_nic();
}

/* A frame that reaches who listens on `ctl'. */
static void offer_to_all(uint16_t i, uint32_t len)
{
	uint8_t *at = ram + TX_BUF + 0x1000U * i + HDR;

	offer_frame(i, len, (uint8_t)i);
	memset(at, 0xff, 6);
	at[6] = 2;
	at[12] = 0x88;
	at[13] = 0xb5;
}

TEST(frames_through_a_tap_by_a_ring)
{
	struct net_backend *b;

	need_taps();
	b = make_tap("tap0");
	if (!net_tap_never_waits(b->src.fd))
		SKIP("this kernel cannot write to a tap without waiting");
	use_ring(b);
	plug_nic_on(b, NULL);
	run_nic(0);
	for (uint16_t i = 0; i < Q_SIZE; i++)
		offer_to_all(i, 500);
	kick_queue(NET_TX);
	CHECK_EQ(M(tx_fails), Q_SIZE); /* EIO, each of them: the interface is down */
	CHECK_EQ(ring_take(&txq), Q_SIZE);
	up("tap0");
	for (unsigned round = 0; round < 10; round++) {
		for (uint16_t i = 0; i < Q_SIZE; i++)
			offer_to_all(i, 100 + 50U * i + round);
		kick_queue(NET_TX);
		CHECK_EQ(ring_take(&txq), Q_SIZE);
		for (unsigned i = 0; i < Q_SIZE; i++) {
			CHECK_EQ(recv(ctl, packet, sizeof(packet), 0), 100 + 50 * i + round - HDR);
			CHECK_EQ(memcmp(packet, ram + TX_BUF + 0x1000 * i + HDR, 100 - HDR), 0);
		}
	}
	CHECK_EQ(M(tx_count), 10 * Q_SIZE);
	CHECK_EQ(M(tx_fails), Q_SIZE);
	unplug_nic();
}

/* Of files in a ring's table it would not hold: the kernel closes them some time later. */
TEST(a_tap_is_free_when_its_process_has_ended)
{
	struct err e;
	int fd, status;
	pid_t pid;

	need_taps();
	fd = attach("tap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	CHECK_EQ(ioctl(fd, TUNSETPERSIST, 1), 0);
	CHECK_EQ(close(fd), 0);
	up("tap0");
	for (unsigned round = 0; round < 5; round++) {
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			struct net_backend *b = make_tap("tap0");

			use_ring(b);
			plug_nic_on(b, NULL);
			run_nic(0);
			for (uint16_t i = 0; i < Q_SIZE; i++)
				offer_to_all(i, 500);
			kick_queue(NET_TX);
			raise(SIGKILL);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIP)
			SKIP("this host has no io_uring for it");
		CHECK(WIFSIGNALED(status));
		CHECK_EQ(net_tap_open("tap0", &fd, &e), 0);
		CHECK_EQ(close(fd), 0);
	}
}

TEST(a_tap_that_is_down_or_gone)
{
	int kept;

	need_taps();
	kept = attach("tap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	CHECK_EQ(ioctl(kept, TUNSETPERSIST, 1), 0);
	close(kept);
	plug_tap("tap0");
	run_nic(0);
	give_buffer(0, 2048);
	kick_queue(NET_RX);
	offer_frame(0, 100, 1);
	kick_queue(NET_TX);
	CHECK_EQ(M(tx_fails), 1); /* EIO: the interface is down */
	up("tap0");
	offer_frame(0, 100, 1);
	kick_queue(NET_TX);
	CHECK_EQ(M(tx_fails), 1);
	CHECK_EQ(system("ip link del tap0 2>/dev/null"), 0);
	settle();
	CHECK_EQ(loop_turn(&loop, 0), 0); /* the loop is not woken again and again */
	offer_frame(0, 100, 1);
	kick_queue(NET_TX);
	CHECK_EQ(M(tx_fails), 2);
	CHECK_EQ(rd(R_STATUS), RUN);
	wr(R_STATUS, 0); /* a driver that comes again is told */
	to_features_ok(0);
	set_queue(NET_RX, &rxq);
	wr(R_STATUS, RUN);
	settle();
	CHECK_EQ(rd(R_STATUS), RUN | VDEV_NEEDS_RESET);
	unplug_nic();
}
