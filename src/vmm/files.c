/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/files.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/fd.h"

void files_init(struct files *files)
{
	*files = (struct files){ .kernel = -1, .initrd = -1, .console = -1, .vsock.fd = -1 };
}

void files_fini(struct files *files)
{
	fd_close_(&files->kernel);
	fd_close_(&files->initrd);
	fd_close_(&files->console);
	vsock_unlisten(&files->vsock);
	for (unsigned i = 0; i < files->ndrives; i++)
		fd_close_(&files->drive[i].fd);
	for (unsigned i = 0; i < files->nnets; i++)
		fd_close_(&files->net[i].fd);
	files_init(files);
}

static void replace(int *fd, int by)
{
	fd_close_(fd);
	*fd = by;
}

/* Non-blocking, so that a FIFO is not waited for; the loader refuses it later. */
static int open_image(const char *path, int *ret_fd, const char *failed, struct err *e)
{
	int fd = FAULT(-EACCES);

	if (fd == 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		fd = fd < 0 ? -errno : fd;
	}
	if (fd < 0)
		return err_set(e, ERR_INVALID, fd, "%s %s (os error %d): %s", failed, strerror(-fd),
			       -fd, path);
	*ret_fd = fd;
	return 0;
}

int files_open_boot_source(struct files *files, const struct conf_boot_source *b, struct err *e)
{
	autoclose int kernel = -1;
	autoclose int initrd = -1;
	int r = open_image(b->kernel_image_path, &kernel, "The kernel file cannot be opened:", e);

	if (r < 0)
		return r;
	if (b->initrd_path[0])
		r = open_image(b->initrd_path, &initrd,
			       "The initrd file cannot be opened due to invalid path or invalid "
			       "permissions.",
			       e);
	if (r < 0)
		return r;
	replace(&files->kernel, take_fd(&kernel));
	replace(&files->initrd, take_fd(&initrd));
	return 0;
}

void files_keep_drive(struct files *files, const char *id, int fd)
{
	unsigned i = 0;

	while (i < files->ndrives && strcmp(files->drive[i].id, id) != 0)
		i++;
	assert(i < ARRAY_SIZE(files->drive));
	if (i == files->ndrives) {
		snprintf(files->drive[i].id, sizeof(files->drive[i].id), "%s", id);
		files->drive[files->ndrives++].fd = -1;
	}
	replace(&files->drive[i].fd, fd);
}

int files_open_console(struct files *files, const struct conf_serial *s, struct err *e)
{
	int fd = -1;

	if (s->serial_out_path[0]) {
		fd = fd_open_output(s->serial_out_path);
		if (fd < 0)
			return err_set(e, ERR_INVALID, fd,
				       "serial_out_path cannot be opened: %s: %s", strerror(-fd),
				       s->serial_out_path);
	}
	replace(&files->console, fd);
	return 0;
}

int files_open_vsock(struct files *files, const struct conf_vsock *v, struct err *e)
{
	struct vsock_listener made;
	int r;

	if (strcmp(files->vsock.path, v->uds_path) == 0 && vsock_listener_there(&files->vsock))
		return 0;
	r = vsock_listen(v->uds_path, &made, e);
	if (r < 0)
		return err_wrap(e, "Cannot create backend for vsock device");
	vsock_unlisten(&files->vsock);
	files->vsock = made;
	return 0;
}

int files_drive(const struct files *files, const char *id)
{
	for (unsigned i = 0; i < files->ndrives; i++)
		if (strcmp(files->drive[i].id, id) == 0)
			return files->drive[i].fd;
	return -1;
}

static unsigned net_index(const struct files *files, const char *id)
{
	unsigned i = 0;

	while (i < files->nnets && strcmp(files->net[i].id, id) != 0)
		i++;
	return i;
}

void files_keep_net(struct files *files, const char *id, int fd)
{
	unsigned i = net_index(files, id);

	if (i < files->nnets) {
		fd_close_(&files->net[i].fd);
		files->net[i] = files->net[--files->nnets];
	}
	if (fd < 0)
		return;
	assert(files->nnets < ARRAY_SIZE(files->net));
	snprintf(files->net[files->nnets].id, sizeof(files->net[0].id), "%s", id);
	files->net[files->nnets++].fd = fd;
}

int files_net(const struct files *files, const char *id)
{
	unsigned i = net_index(files, id);

	return i < files->nnets ? files->net[i].fd : -1;
}
