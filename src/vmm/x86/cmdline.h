/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel command line: the user's words first and unchanged, ours after them,
 * but before a `--', for what follows it belongs to the first program.
 */
#pragma once

#include "base/err.h"
#include "mem/gmem.h"
#include "vmm/x86/layout.h"

/* In use when boot_args is not given. */
#define CMDLINE_DEFAULT                                                                    \
	"reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.dumbkbd " \
	"swiotlb=noforce"

struct cmdline {
	char text[LAYOUT_CMDLINE_MAX];
	size_t insert_at; /* where the next word of ours goes */
};

/* `boot_args' NULL: the default. */
must_check int cmdline_init(struct cmdline *c, const char *boot_args, struct err *e);

/* Whether the kernel finds the word: alone, unquoted, and before a `--'. */
must_check bool cmdline_has(const struct cmdline *c, const char *word);

/* One word, or several with blanks between them. */
must_check int cmdline_add(struct cmdline *c, const char *words, struct err *e);

/* The word by which a kernel without ACPI finds a virtio-mmio device. */
must_check int cmdline_add_virtio(struct cmdline *c, gpa_t addr, unsigned gsi, struct err *e);

/* The root device: by `partuuid' when not empty, else /dev/vda. */
must_check int cmdline_add_root(struct cmdline *c, const char *partuuid, bool read_only,
				struct err *e);
