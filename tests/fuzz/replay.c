/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs inputs once through a fuzz target, for compilers without a fuzzer:
 *
 *   replay DIR_OR_FILE...
 *
 * prints one line of TAP for each argument. A crash, a failed assertion or a
 * sanitizer's report ends it. Directories are read one level deep.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cc.h"

enum { INPUT_MAX = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Inputs run: 1, or -errno. */
static int run_file(int dir, const char *name)
{
	autoclose int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	autofree uint8_t *data = NULL;
	struct stat st;
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > INPUT_MAX)
		return -EINVAL;
	data = malloc((size_t)st.st_size + 1);
	if (!data)
		return -ENOMEM;
	while (n > 0 && len < (size_t)st.st_size) {
		n = read(fd, data + len, (size_t)st.st_size - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		return -errno;
	LLVMFuzzerTestOneInput(data, len);
	return 1;
}

/* Inputs run, or -errno. */
static int run_dir(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *d;
	int inputs = 0, r = 0;

	if (!dir)
		return -errno;
	while (r >= 0 && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		r = run_file(dirfd(dir), d->d_name);
		if (r < 0)
			fprintf(stderr, "# %s/%s\n", path, d->d_name);
		inputs += r > 0;
	}
	closedir(dir);
	return r < 0 ? r : inputs;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;
		int r = stat(argv[i], &st) < 0 ? -errno
			: S_ISDIR(st.st_mode)  ? run_dir(argv[i])
					       : run_file(AT_FDCWD, argv[i]);

		if (r <= 0)
			printf("not ok %d - replay %s (%s)\n", i, argv[i],
			       r < 0 ? strerror(-r) : "no inputs");
		else
			printf("ok %d - replay %s (%d inputs)\n", i, argv[i], r);
		failed += r <= 0;
	}
	printf("1..%d\n", argc - 1);
	return failed > 0 || argc < 2;
}
