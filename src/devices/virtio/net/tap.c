/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/net/tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fault.h"
#include "base/log.h"
#include "devices/virtio/net/device.h"

#define TUN_PATH "/dev/net/tun"

enum {
	TUN_MAJOR = 10, /* Linux, admin-guide/devices.txt */
	TUN_MINOR = 200,
	STALE_MAX = 1024, /* frames; more than a tap's queue holds as it is made */
};

struct tap {
	struct net_backend backend;
	struct uring *ring; /* not owned; NULL: frames go one by one */
};

static struct tap *tap_of(struct net_backend *b)
{
	return container_of(b, struct tap, backend);
}

/* --- opening ------------------------------------------------------------------------ */

static const char *device_remedy(int r)
{
	switch (r) {
	case -ENOENT:
		return "load the module (modprobe tun), and in a jail or container make the node "
		       "(c 10 200)";
	case -EACCES:
	case -EPERM:
		return "its owner, group or mode, or a device cgroup, keeps this user out";
	case -ENODEV:
	case -ENXIO:
		return "the host's kernel has no tun driver loaded (modprobe tun)";
	default:
		return "the tap cannot be opened without it";
	}
}

static const char *tap_remedy(int r)
{
	switch (r) {
	case -EBUSY:
		return "another process holds it; end that, or name another tap (grep -l the name "
		       "in /proc/*/fdinfo/* to find it)";
	case -EPERM:
		return "this user may neither make taps nor use this one: ip tuntap add NAME mode "
		       "tap user USER";
	case -EINVAL:
		return "an interface of this name exists and is not a tap, or one without virtio "
		       "headers";
	default:
		return "see ip tuntap show";
	}
}

/* 0 or -errno. */
static int set_interface(int fd, const char *name, short more)
{
	struct ifreq req = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | more) };
	int r = FAULT(-EBUSY);

	if (r < 0)
		return r;
	strncpy(req.ifr_name, name, sizeof(req.ifr_name) - 1);
	return ioctl(fd, TUNSETIFF, &req) < 0 ? -errno : 0;
}

/* The header is as long as the driver's, and a read never blocks the loop. */
static int prepare(int fd, struct err *e)
{
	int size = NET_HDR, r = FAULT(-EIO), flags = 0;

	if (r == 0 && ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
		r = -errno;
	if (r == 0) {
		flags = fcntl(fd, F_GETFL);
		if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
			r = -errno;
	}
	return r < 0 ? err_set(e, ERR_INTERNAL, r, "cannot prepare the tap: %s", strerror(-r)) : 0;
}

int net_tap_open(const char *name, int *ret_fd, struct err *e)
{
	autoclose int fd = -1;
	int r = FAULT(-EACCES);

	if (r == 0) {
		fd = open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		r = fd < 0 ? -errno : 0;
	}
	if (r < 0)
		return err_set(e, ERR_INVALID, r, "tap `%s': %s: %s; %s", name, TUN_PATH,
			       strerror(-r), device_remedy(r));
	r = set_interface(fd, name, 0);
	if (r == -EINVAL) /* made for several queues: then each user says so */
		r = set_interface(fd, name, IFF_MULTI_QUEUE);
	if (r < 0)
		return err_set(e, ERR_INVALID, r, "tap `%s': %s; %s", name, strerror(-r),
			       tap_remedy(r));
	r = prepare(fd, e);
	if (r < 0)
		return err_wrap(e, "tap `%s'", name);
	*ret_fd = take_fd(&fd);
	return 0;
}

int net_tap_adopt(int fd, struct err *e)
{
	struct ifreq req = { 0 };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(e, ERR_INVALID, -errno, "it is not open: %s", strerror(errno));
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(TUN_MAJOR, TUN_MINOR))
		return err_set(e, ERR_INVALID, -ENOTTY, "it is not a descriptor of %s", TUN_PATH);
	if (ioctl(fd, TUNGETIFF, &req) < 0)
		return err_set(e, ERR_INVALID, -errno,
			       "no interface is attached to it (TUNSETIFF)");
	/* Of IFF_NO_PI nothing can be said: the kernel uses its bit for IFF_NOFILTER here. */
	if ((req.ifr_flags & (IFF_TAP | IFF_VNET_HDR)) != (IFF_TAP | IFF_VNET_HDR))
		return err_set(e, ERR_INVALID, -EINVAL,
			       "interface `%.15s' was not attached with IFF_TAP and IFF_VNET_HDR",
			       req.ifr_name);
	return prepare(fd, e);
}

/* --- frames --------------------------------------------------------------------------- */

/* What the tap may leave to the driver: what the driver has said it can do. */
static unsigned offloads_of(uint64_t acked)
{
	unsigned f = 0;

	if (!(acked & NET_F_GUEST_CSUM)) /* the others need it: virtio 1.2, 5.1.3.1 */
		return 0;
	f |= TUN_F_CSUM;
	f |= acked & NET_F_GUEST_TSO4 ? TUN_F_TSO4 : 0;
	f |= acked & NET_F_GUEST_TSO6 ? TUN_F_TSO6 : 0;
	f |= acked & NET_F_GUEST_UFO ? TUN_F_UFO : 0;
	return f;
}

/*
 * Frames that came before this driver was there may be of a shape that it has not agreed
 * to. A short read frees a frame as a long one does.
 */
static void drop_stale(int fd)
{
	uint8_t head[NET_HDR + NET_ETH];

	for (unsigned i = 0; i < STALE_MAX; i++)
		if (read(fd, head, sizeof(head)) < 0)
			return;
}

static int tap_begin(struct net_backend *b, uint64_t acked, bool anew)
{
	int r = FAULT(-EIO);

	if (r == 0 && ioctl(b->src.fd, TUNSETOFFLOAD, offloads_of(acked)) < 0)
		r = -errno;
	if (r < 0)
		return r;
	if (anew)
		drop_stale(b->src.fd);
	return net_backend_attach(b);
}

static int tap_send(struct net_backend *b, const struct iovec *iov, unsigned n, size_t len)
{
	int r = FAULT(-EAGAIN);
	ssize_t done;

	(void)len;
	if (r < 0)
		return r;
	/* Most frames are in one piece, and then the kernel has less to do. */
	done = n == 1 ? write(b->src.fd, iov->iov_base, iov->iov_len)
		      : writev(b->src.fd, iov, (int)n);
	return done < 0 ? -errno : 0;
}

static void on_sent(struct uring_op *op, int res)
{
	container_of(op, struct net_out, op)->r = res < 0 ? res : 0;
}

static void tap_send_all(struct net_backend *b, struct net_out *out, unsigned n)
{
	struct tap *tap = tap_of(b);

	for (unsigned i = 0; i < n; i++) {
		out[i].op.done = on_sent;
		uring_chain(tap->ring, &out[i].op, b->src.fd, out[i].iov, out[i].n);
	}
	uring_finish(tap->ring);
}

static ssize_t tap_recv(struct net_backend *b, const struct iovec *iov, unsigned n)
{
	ssize_t len = FAULT(-EIO);

	if (len < 0)
		return len;
	len = readv(b->src.fd, iov, (int)n);
	return len < 0 ? -errno : len;
}

/* The interface was deleted. Its descriptor will never be of use again. */
static void tap_broken(struct net_backend *b)
{
	log_err("%s: its tap was deleted: the guest has no network until the microVM is started anew",
		vdev_name(&b->net->vdev));
	net_backend_detach(b);
}

static void tap_destroy(struct net_backend *b)
{
	net_backend_detach(b);
	fd_close_(&b->src.fd);
	free(tap_of(b));
}

static const struct net_backend_class tap_class = {
	.name = "tap",
	.header = true,
	.level = true,
	.offloads = NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 |
		    NET_F_GUEST_UFO | NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | NET_F_HOST_UFO,
	.begin = tap_begin,
	.send = tap_send,
	.send_all = tap_send_all,
	.recv = tap_recv,
	.broken = tap_broken,
	.destroy = tap_destroy,
};

int net_tap_create(int fd, struct net_backend **ret, struct err *e)
{
	struct tap *tap = FAULT(-ENOMEM) < 0 ? NULL : calloc(1, sizeof(*tap));

	if (!tap)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "tap: no memory");
	net_backend_init(&tap->backend, &tap_class, fd);
	*ret = &tap->backend;
	return 0;
}

bool net_tap_never_waits(int fd)
{
	/* Shorter than its header, no frame: a tap that takes the flag refuses that (EINVAL). */
	uint8_t byte = 0;
	struct iovec iov = { &byte, sizeof(byte) };

	return pwritev2(fd, &iov, 1, -1, RWF_NOWAIT) >= 0 || errno != EOPNOTSUPP;
}

void net_tap_set_ring(struct net_backend *b, struct uring *ring)
{
	tap_of(b)->ring = ring;
	b->batches = true;
}
