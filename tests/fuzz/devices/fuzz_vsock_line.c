/* SPDX-License-Identifier: Apache-2.0 */
/* The first bytes of a stream from the host: a CONNECT line or not, and what follows it. */
#include <string.h>
#include <sys/socket.h>

#include "../ensure.h"
#include "devices/virtio/vsock/host.h"
#include "script.h"

static int s[2] = { -1, -1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
	size_t len = end ? (size_t)(end + 1 - data) : 0;
	uint32_t port = 0, again = 0;
	uint8_t rest[256];
	int r;

	if (size > sizeof(rest))
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s) < 0)
		return 0;
	ENSURE(size == 0 || send(s[1], data, size, 0) == (ssize_t)size);
	r = vsock_greet(s[0], &port);
	if (len == 0 || len > VSOCK_LINE_MAX) {
		ENSURE(r == (size >= VSOCK_LINE_MAX ? -EMSGSIZE : 0));
	} else {
		/* The line is gone, right or wrong, and the rest is all there. */
		ENSURE(r == 1 || r == -EINVAL);
		ENSURE((r == 1) == (vsock_parse_connect((const char *)data, len, &again) == 0));
		ENSURE(port == again);
		r = (int)recv(s[0], rest, sizeof(rest), MSG_DONTWAIT);
		ENSURE(size == len ? r < 0
				   : r == (int)(size - len) &&
					     memcmp(rest, data + len, size - len) == 0);
	}
	close(s[0]);
	close(s[1]);
	return 0;
}
