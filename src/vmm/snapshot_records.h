/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format of a snapshot's state file: a head, then records to the end of the file.
 *
 *   head    "WISPSNAP", version (3 x u16), 0 (u16), records (u32), 0 (u32), bytes of
 *           the file (u64), checksum of what stands before it (u64)
 *   record  name (20 bytes, zeros behind it), flags (u32), instance (u32), bytes of
 *           contents (u32), checksum of head and contents (u64), contents
 *
 * All numbers are little-endian, the checksums are CRC-64/XZ. A name with an instance
 * stands in a file once. A reader skips a record that it does not know when it is
 * optional, and refuses the file, with the record's name, when it is not. So a minor
 * version adds optional records, a major one may do anything.
 *
 * No files and no KVM here: bytes in, bytes out. The bytes that are read are untrusted.
 */
#pragma once

#include "base/err.h"
#include "base/state.h"

enum {
	SNAP_MAJOR = 1,
	SNAP_MINOR = 0,
	SNAP_PATCH = 0,
	SNAP_NAME = 20,		   /* bytes of a name, at least one zero among them */
	SNAP_RECORDS_MAX = 4096,   /* in a file */
	SNAP_STATE_MAX = 10000000, /* bytes of a file */
};

#define SNAP_VERSION "1.0.0"

/* --- writing ---------------------------------------------------------------- */

struct snap_out {
	struct state_out out; /* owned buffer: the file so far */
	size_t record;	      /* where the open record begins; 0: none is open */
	uint32_t nrecords;
};

/* -ENOMEM, else to be freed with snap_out_fini(). */
must_check int snap_out_init(struct snap_out *o, struct err *e);
void snap_out_fini(struct snap_out *o);

enum snap_need { SNAP_REQUIRED, SNAP_OPTIONAL };

/* Contents go into what it returns, until snap_end(). One at a time. */
struct state_out *snap_begin(struct snap_out *o, const char *name, uint32_t instance,
			     enum snap_need need);
void snap_end(struct snap_out *o);

/* Writes the head; o->out is the file then. -EFBIG: something did not fit. */
must_check int snap_out_finish(struct snap_out *o, struct err *e);

/* --- reading ---------------------------------------------------------------- */

struct snap_version {
	uint16_t major, minor, patch;
};

struct snap_record {
	char name[SNAP_NAME]; /* printable, NUL-terminated */
	uint32_t instance;
	bool optional, known;
	bool taken;
	const uint8_t *data; /* in the caller's bytes */
	uint32_t len;
};

struct snap_in {
	struct snap_version version;
	uint32_t nrecords;
	struct snap_record *record; /* owned */
	uint32_t next;		    /* where the next one to be asked for may be */
};

/* The version alone: of a file whose records this program may not know. */
must_check int snap_in_version(const void *data, size_t len, struct snap_version *ret,
			       struct err *e);

/*
 * Checks the whole of it; `known' are the names that the caller will ask for. The bytes
 * are the caller's and stay. On success the caller calls snap_in_fini().
 */
must_check int snap_in_open(const void *data, size_t len, const char *const *known, unsigned nknown,
			    struct snap_in *ret, struct err *e);
void snap_in_fini(struct snap_in *in);

/* The contents of a record; -ENOENT, with its name, when it is not there. */
must_check int snap_take(struct snap_in *in, const char *name, uint32_t instance,
			 struct state_in *ret, struct err *e);
must_check bool snap_has(const struct snap_in *in, const char *name, uint32_t instance);

/* Whether nothing is left that is required; the error names what is. */
must_check int snap_in_end(const struct snap_in *in, struct err *e);

/* The end of a record's contents: 0, or the error that it is too short or too long. */
must_check int snap_taken(const struct state_in *s, const char *name, uint32_t instance,
			  struct err *e);
