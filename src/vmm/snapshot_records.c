/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot_records.h"

#include <string.h>

#include "base/crc64.h"
#include "base/fault.h"

static const char magic[8] = { 'W', 'I', 'S', 'P', 'S', 'N', 'A', 'P' };

enum {
	HEAD = 40,
	HEAD_CRC = HEAD - 8, /* bytes that its checksum is of; likewise */
	RECORD_HEAD = 40,
	RECORD_CRC = RECORD_HEAD - 8,
	RECORD_LEN = RECORD_CRC - 4,
};

enum { FLAG_OPTIONAL = 1 };

/* --- writing ---------------------------------------------------------------- */

int snap_out_init(struct snap_out *o, struct err *e)
{
	static const uint8_t head[HEAD];

	*o = (struct snap_out){ .out.cap = SNAP_STATE_MAX };
	/* Only what is written takes memory. */
	o->out.buf = FAULT(-ENOMEM) < 0 ? NULL : malloc(o->out.cap);
	if (!o->out.buf)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "no memory for the state");
	state_put_mem(&o->out, head, sizeof(head));
	return 0;
}

void snap_out_fini(struct snap_out *o)
{
	free(o->out.buf);
	*o = (struct snap_out){ 0 };
}

/* Numbers into room that has been left for them. */
static void patch(struct snap_out *o, size_t at, uint64_t v, size_t len)
{
	for (size_t i = 0; i < len; i++)
		o->out.buf[at + i] = (uint8_t)(v >> (8 * i));
}

struct state_out *snap_begin(struct snap_out *o, const char *name, uint32_t instance,
			     enum snap_need need)
{
	char padded[SNAP_NAME] = { 0 };

	assert(o->record == 0 && strlen(name) < SNAP_NAME);
	memcpy(padded, name, strlen(name));
	o->record = o->out.len;
	state_put_mem(&o->out, padded, sizeof(padded));
	state_put_u32(&o->out, need == SNAP_OPTIONAL ? FLAG_OPTIONAL : 0);
	state_put_u32(&o->out, instance);
	state_put_u32(&o->out, 0);
	state_put_u64(&o->out, 0);
	return &o->out;
}

/* Of a record's head without the checksum, and of what follows the head. */
static uint64_t record_crc(const uint8_t *record, size_t len)
{
	return crc64(crc64(0, record, RECORD_CRC), record + RECORD_HEAD, len);
}

void snap_end(struct snap_out *o)
{
	size_t at = o->record;

	assert(at > 0);
	o->record = 0;
	o->nrecords++;
	if (o->out.full)
		return;
	patch(o, at + RECORD_LEN, o->out.len - at - RECORD_HEAD, 4);
	patch(o, at + RECORD_CRC, record_crc(o->out.buf + at, o->out.len - at - RECORD_HEAD), 8);
}

int snap_out_finish(struct snap_out *o, struct err *e)
{
	struct state_out head = { .buf = o->out.buf, .cap = HEAD };

	assert(o->record == 0);
	if (o->out.full || o->nrecords > SNAP_RECORDS_MAX)
		return err_set(e, ERR_INTERNAL, -EFBIG,
			       "the machine's state is larger than a state file may be: %d bytes, "
			       "%d records",
			       SNAP_STATE_MAX, SNAP_RECORDS_MAX);
	state_put_mem(&head, magic, sizeof(magic));
	state_put_u16(&head, SNAP_MAJOR);
	state_put_u16(&head, SNAP_MINOR);
	state_put_u16(&head, SNAP_PATCH);
	state_put_u16(&head, 0);
	state_put_u32(&head, o->nrecords);
	state_put_u32(&head, 0);
	state_put_u64(&head, o->out.len);
	state_put_u64(&head, crc64(0, head.buf, HEAD_CRC));
	return 0;
}

/* --- reading ---------------------------------------------------------------- */

static int damaged(struct err *e, const char *what)
{
	return err_set(e, ERR_INVALID, -EINVAL, "the file is damaged: %s", what);
}

struct head {
	struct snap_version version;
	uint32_t nrecords;
};

static int read_head(const uint8_t *data, size_t len, struct head *ret, struct err *e)
{
	struct state_in in = { .buf = data, .len = len };
	char start[sizeof(magic)];
	uint64_t bytes;
	uint16_t zero;

	state_get_mem(&in, start, sizeof(start));
	if (memcmp(start, magic, sizeof(magic)) != 0)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "the file is no state file of a wisp snapshot");
	ret->version.major = state_get_u16(&in);
	ret->version.minor = state_get_u16(&in);
	ret->version.patch = state_get_u16(&in);
	zero = state_get_u16(&in);
	ret->nrecords = state_get_u32(&in);
	zero |= state_get_u32(&in) != 0;
	bytes = state_get_u64(&in);
	if (len < HEAD || state_get_u64(&in) != crc64(0, data, HEAD_CRC))
		return damaged(e, "the checksum of its head is wrong");
	if (zero != 0 || ret->nrecords > SNAP_RECORDS_MAX)
		return damaged(e, "its head has values that no wisp writes");
	if (bytes != len)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "the file is damaged: it has %zu bytes and was written with %llu",
			       len, (unsigned long long)bytes);
	return 0;
}

static int check_version(const struct snap_version *v, struct err *e)
{
	if (v->major == SNAP_MAJOR && v->minor <= SNAP_MINOR)
		return 0;
	return err_set(e, ERR_INVALID, -EPROTONOSUPPORT,
		       "the snapshot has format version %u.%u.%u; this version of wisp reads "
		       "%d.0 to %d.%d",
		       v->major, v->minor, v->patch, SNAP_MAJOR, SNAP_MAJOR, SNAP_MINOR);
}

static bool is_name(const char *name)
{
	size_t len = strnlen(name, SNAP_NAME);

	if (len == 0 || len == SNAP_NAME)
		return false;
	for (size_t i = 0; i < SNAP_NAME; i++) {
		char c = name[i];

		if (i < len ? !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')
			    : c != '\0')
			return false;
	}
	return true;
}

static int read_record(struct state_in *in, struct snap_record *ret, struct err *e)
{
	const uint8_t *start = in->buf + in->at;
	uint32_t flags;
	uint64_t crc;

	state_get_mem(in, ret->name, sizeof(ret->name));
	flags = state_get_u32(in);
	ret->instance = state_get_u32(in);
	ret->len = state_get_u32(in);
	crc = state_get_u64(in);
	if (in->missing || ret->len > in->len - in->at)
		return damaged(e, "it ends inside a record");
	if (!is_name(ret->name))
		return damaged(e, "a record has no name");
	if (crc != record_crc(start, ret->len))
		return err_set(e, ERR_INVALID, -EINVAL,
			       "the file is damaged: the checksum of record `%s' %u is wrong",
			       ret->name, ret->instance);
	ret->data = in->buf + in->at;
	ret->optional = flags & FLAG_OPTIONAL;
	in->at += ret->len;
	return 0;
}

static bool is_record(const struct snap_record *r, const char *name, uint32_t instance)
{
	return r->instance == instance && strcmp(r->name, name) == 0;
}

/* From where the last one was found: a file is read in the order it was written in. */
static uint32_t find(const struct snap_in *in, const char *name, uint32_t instance)
{
	for (uint32_t i = 0; i < in->nrecords; i++) {
		uint32_t at = (in->next + i) % in->nrecords;

		if (is_record(&in->record[at], name, instance))
			return at;
	}
	return in->nrecords;
}

static int judge(struct snap_in *in, struct snap_record *r, const char *const *known,
		 unsigned nknown, struct err *e)
{
	uint32_t at = (uint32_t)(r - in->record);

	for (unsigned i = 0; i < nknown && !r->known; i++)
		r->known = strcmp(r->name, known[i]) == 0;
	if (!r->known && !r->optional)
		return err_set(e, ERR_INVALID, -EPROTONOSUPPORT,
			       "the snapshot needs record `%s', which this version of wisp does "
			       "not know",
			       r->name);
	for (uint32_t i = 0; i < at; i++)
		if (is_record(&in->record[i], r->name, r->instance))
			return err_set(e, ERR_INVALID, -EINVAL,
				       "the file is damaged: record `%s' %u is there twice",
				       r->name, r->instance);
	return 0;
}

static int read_records(struct state_in *s, struct snap_in *in, const char *const *known,
			unsigned nknown, struct err *e)
{
	for (uint32_t i = 0; i < in->nrecords; i++) {
		int r = read_record(s, &in->record[i], e);

		if (r == 0)
			r = judge(in, &in->record[i], known, nknown, e);
		if (r < 0)
			return r;
	}
	return state_in_end(s) < 0 ? damaged(e, "something follows its last record") : 0;
}

int snap_in_version(const void *data, size_t len, struct snap_version *ret, struct err *e)
{
	struct head head;
	int r = read_head(data, len, &head, e);

	if (r == 0)
		*ret = head.version;
	return r;
}

int snap_in_open(const void *data, size_t len, const char *const *known, unsigned nknown,
		 struct snap_in *ret, struct err *e)
{
	struct state_in s = { .buf = data, .len = len, .at = HEAD };
	struct snap_in in = { 0 };
	struct head head;
	int r = read_head(data, len, &head, e);

	if (r == 0)
		r = check_version(&head.version, e);
	if (r < 0)
		return r;
	in.version = head.version;
	in.nrecords = head.nrecords;
	if (FAULT(-ENOMEM) == 0)
		in.record = calloc(in.nrecords + 1, sizeof(*in.record));
	if (!in.record)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "no memory for the state");
	r = read_records(&s, &in, known, nknown, e);
	if (r < 0) {
		snap_in_fini(&in);
		return r;
	}
	*ret = in;
	return 0;
}

void snap_in_fini(struct snap_in *in)
{
	free(in->record);
	*in = (struct snap_in){ 0 };
}

bool snap_has(const struct snap_in *in, const char *name, uint32_t instance)
{
	return find(in, name, instance) < in->nrecords;
}

int snap_take(struct snap_in *in, const char *name, uint32_t instance, struct state_in *ret,
	      struct err *e)
{
	uint32_t at = find(in, name, instance);
	struct snap_record *r = &in->record[at];

	if (at == in->nrecords)
		return err_set(e, ERR_INVALID, -ENOENT, "the snapshot has no record `%s' %u", name,
			       instance);
	r->taken = true;
	in->next = at + 1 < in->nrecords ? at + 1 : 0;
	*ret = (struct state_in){ .buf = r->data, .len = r->len };
	return 0;
}

int snap_in_end(const struct snap_in *in, struct err *e)
{
	for (uint32_t i = 0; i < in->nrecords; i++) {
		const struct snap_record *r = &in->record[i];

		if (!r->taken && !r->optional)
			return err_set(e, ERR_INVALID, -EINVAL,
				       "record `%s' %u is of something that the snapshot's own "
				       "configuration does not have",
				       r->name, r->instance);
	}
	return 0;
}

int snap_taken(const struct state_in *s, const char *name, uint32_t instance, struct err *e)
{
	if (state_in_end(s) == 0)
		return 0;
	return err_set(e, ERR_INVALID, -EINVAL, "record `%s' %u has a wrong length: %zu bytes",
		       name, instance, s->len);
}
