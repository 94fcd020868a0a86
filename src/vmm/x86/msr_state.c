/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/x86/msr_state.h"

#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fault.h"

enum {
	IA32_TSC = 0x10,
	IA32_TSC_DEADLINE = 0x6e0,
	LIST_MAX = 2048, /* more than any KVM lists */
	CALL_MAX = 256,	 /* in one call: KVM's MAX_IO_MSRS */
	ENTRY_BYTES = 12,
	LONG_PAST = 1, /* a deadline: 0 would disarm the timer */
};

/* KVM keeps them, and does not list them (Intel SDM 3A, 11.11). */
static const struct {
	uint32_t first, n;
} unlisted[] = {
	{ 0x200, 16 },				   /* variable ranges */
	{ 0x250, 1 },  { 0x258, 2 }, { 0x268, 8 }, /* fixed ranges */
	{ 0x2ff, 1 },				   /* default type */
};

/* --- which ---------------------------------------------------------------------- */

static bool lists(const struct kvm_msr_list *l, uint32_t index)
{
	for (uint32_t i = 0; i < l->nmsrs; i++)
		if (l->indices[i] == index)
			return true;
	return false;
}

static void add(struct kvm_msr_list *l, uint32_t index)
{
	if (l->nmsrs < LIST_MAX && !lists(l, index))
		l->indices[l->nmsrs++] = index;
}

/*
 * Hyper-V's, which no guest is offered: KVM lists them all the same, and one is a clock
 * that can be read and not be set. And the TSC, which is not set by its value (time_state.h).
 */
static bool is_left_out(uint32_t index)
{
	return index == IA32_TSC || (index >= 0x40000000 && index < 0x40000200);
}

static void leave_out(struct kvm_msr_list *l)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->nmsrs; i++)
		if (!is_left_out(l->indices[i]))
			l->indices[n++] = l->indices[i];
	l->nmsrs = n;
}

static void move_to_end(struct kvm_msr_list *l, uint32_t index)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->nmsrs; i++)
		if (l->indices[i] != index)
			l->indices[n++] = l->indices[i];
	if (n < l->nmsrs)
		l->indices[n] = index;
}

int msr_state_list(const struct kvm *kvm, struct kvm_msr_list **ret, struct err *e)
{
	autofree struct kvm_msr_list *l = NULL;
	int r = FAULT(-EINVAL);

	if (FAULT(-ENOMEM) == 0)
		l = calloc(1, sizeof(*l) + LIST_MAX * sizeof(l->indices[0]));
	if (!l)
		return err_set(e, ERR_INTERNAL, -ENOMEM, "list of MSRs: out of memory");
	l->nmsrs = LIST_MAX;
	if (r == 0 && ioctl(kvm->fd, KVM_GET_MSR_INDEX_LIST, l) < 0)
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_INTERNAL, r, "KVM_GET_MSR_INDEX_LIST: %s", strerror(-r));
	leave_out(l);
	for (unsigned i = 0; i < ARRAY_SIZE(unlisted); i++)
		for (uint32_t k = 0; k < unlisted[i].n; k++)
			add(l, unlisted[i].first + k);
	move_to_end(l, IA32_TSC_DEADLINE);
	*ret = take_ptr(&l);
	return 0;
}

/* --- transfer ------------------------------------------------------------------- */

union list {
	struct kvm_msrs head;
	char room[sizeof(struct kvm_msrs) + CALL_MAX * sizeof(struct kvm_msr_entry)];
};

/* How many KVM has done, from the first on; -errno. */
static int transfer(int fd, unsigned long request, union list *list, const char *name,
		    struct err *e)
{
	int n = FAULT(-EINVAL);

	if (n == 0) {
		n = ioctl(fd, request, &list->head);
		n = n < 0 ? -errno : n;
	}
	if (n < 0)
		return err_set(e, ERR_INTERNAL, n, "%s: %s", name, strerror(-n));
	return n;
}

int msr_state_save(const struct kvm_msr_list *list, int vcpu_fd, unsigned index,
		   struct snap_out *out, struct err *e)
{
	struct state_out *o = snap_begin(out, "vcpu-msrs", index, SNAP_REQUIRED);
	union list call;
	int n = 0;

	for (uint32_t at = 0; at < list->nmsrs && n >= 0;) {
		uint32_t part = list->nmsrs - at < CALL_MAX ? list->nmsrs - at : CALL_MAX;

		memset(&call, 0, sizeof(call));
		call.head.nmsrs = part;
		for (uint32_t i = 0; i < part; i++)
			call.head.entries[i].index = list->indices[at + i];
		n = transfer(vcpu_fd, KVM_GET_MSRS, &call, "KVM_GET_MSRS", e);
		for (int i = 0; i < n; i++) {
			state_put_u32(o, call.head.entries[i].index);
			state_put_u64(o, call.head.entries[i].data);
		}
		/* The one it stopped at does not exist in this VM. */
		if (n >= 0)
			at += (uint32_t)n < part ? (uint32_t)n + 1 : part;
	}
	snap_end(out);
	return n < 0 ? n : 0;
}

/* The entry that KVM refused; fine when it says what is there already. */
static int is_refused(int fd, const struct kvm_msr_entry *entry, struct err *e)
{
	union list one = { .head.nmsrs = 1 };
	int n;

	one.head.entries[0].index = entry->index;
	n = transfer(fd, KVM_GET_MSRS, &one, "KVM_GET_MSRS", e);
	if (n < 0)
		return n;
	if (n == 1 && one.head.entries[0].data == entry->data)
		return 0;
	return err_set(e, ERR_INVALID, -EINVAL,
		       "KVM_SET_MSRS: this host refuses MSR %#x the value %#llx", entry->index,
		       (unsigned long long)entry->data);
}

static int set_all(int fd, union list *call, struct err *e)
{
	uint32_t total = call->head.nmsrs;

	while (total > 0) {
		int n;

		call->head.nmsrs = total;
		n = transfer(fd, KVM_SET_MSRS, call, "KVM_SET_MSRS", e);
		if (n < 0)
			return n;
		if ((uint32_t)n >= total)
			return 0;
		if (is_refused(fd, &call->head.entries[n], e) < 0)
			return e->code;
		total -= (uint32_t)n + 1;
		memmove(call->head.entries, call->head.entries + n + 1,
			total * sizeof(call->head.entries[0]));
	}
	return 0;
}

/* All but the deadline go in as they stand, and that when all else is there. */
static int set_records(int fd, struct state_in *s, struct err *e)
{
	struct kvm_msr_entry deadline = { 0 };
	union list call;
	int r = 0;

	while (s->at < s->len && r == 0) {
		memset(&call, 0, sizeof(call));
		while (s->at < s->len && call.head.nmsrs < CALL_MAX) {
			struct kvm_msr_entry *to = &call.head.entries[call.head.nmsrs];

			to->index = state_get_u32(s);
			to->data = state_get_u64(s);
			if (is_left_out(to->index))
				return err_set(e, ERR_INVALID, -EINVAL,
					       "record `vcpu-msrs' holds MSR %#x, which is not "
					       "set by its value",
					       to->index);
			if (to->index == IA32_TSC_DEADLINE)
				deadline = *to;
			else
				call.head.nmsrs++;
		}
		r = set_all(fd, &call, e);
	}
	if (r < 0 || deadline.index == 0)
		return r;
	memset(&call, 0, sizeof(call));
	call.head.nmsrs = 1;
	call.head.entries[0] = deadline;
	if (deadline.data == 0)
		call.head.entries[0].data = LONG_PAST;
	return set_all(fd, &call, e);
}

int msr_state_load(int vcpu_fd, unsigned index, struct snap_in *in, struct err *e)
{
	struct state_in s;
	int r = snap_take(in, "vcpu-msrs", index, &s, e);

	if (r < 0)
		return r;
	if (s.len % ENTRY_BYTES != 0 || s.len / ENTRY_BYTES > LIST_MAX)
		return err_set(e, ERR_INVALID, -EINVAL,
			       "record `vcpu-msrs' %u has a wrong length: %zu bytes", index, s.len);
	return set_records(vcpu_fd, &s, e);
}
