# SPDX-License-Identifier: Apache-2.0
#
#   make                 release build: build/release/wisp
#   make MODE=debug      asserts, no optimisation       MODE=asan, tsan, cov
#   make CC=clang-14     another compiler               V=1 shows the commands
#   make deps            installs what is missing with apt-get (needs root)
#   make demo            boots Debian's cloud kernel through the API
#   make check           unit tests and fuzz corpora: no root, no KVM
#   make test            everything; ONLY=<area> for a part of it
#   make soak            the long runs     make bench   figures beside a peer's
#   make mutants         breaks one check after the other; a test must notice
#   make coverage        lines that unit tests and corpora have run, by folder
#   make lint            format, analysers, layers, scripts
#   make install         PREFIX=/usr/local, DESTDIR=; `firecracker' and `jailer' in libexec

MODE	?= release
V	?= 0
O	:= build/$(MODE)
Q	:= $(if $(filter 1,$(V)),,@)
say	 = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' $(1) $(patsubst $(O)/%,%,$@))

.PHONY: all
.DELETE_ON_ERROR:
.SECONDARY:
all: $(O)/wisp

# --- compiler ---------------------------------------------------------------

ifeq ($(origin CC),default)
CC	:= gcc
endif
GCC	:= $(if $(findstring clang,$(CC)),,y)
VERSION	:= 0.1.0

CSTD	:= -std=gnu17 -D_GNU_SOURCE
WARN	:= -Wall -Wextra -Wshadow -Wvla -Wundef -Wformat=2 -Wcast-qual \
	   -Wpointer-arith -Wwrite-strings -Wstrict-prototypes \
	   -Wmissing-prototypes -Wconversion -Wno-sign-conversion \
	   $(if $(GCC),-Wlogical-op -Wduplicated-cond -Wstack-usage=8192) \
	   $(if $(WERROR),-Werror)
HARDEN	:= -fstack-protector-strong -fstack-clash-protection -fcf-protection \
	   -fPIE -fno-strict-aliasing -fno-common \
	   $(if $(GCC),-ftrivial-auto-var-init=zero)
LINK	:= -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed

flags.release	:= -O2 -g -D_FORTIFY_SOURCE=3
flags.ndebug	:= -O2 -g -DNDEBUG
flags.debug	:= -Og -g3 -DWISP_FAULTS
flags.asan	:= -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
		   -fno-omit-frame-pointer -DWISP_FAULTS
# gcc says that ThreadSanitizer does not model fences; the rings need theirs.
flags.tsan	:= -O1 -g -fsanitize=thread -DWISP_FAULTS $(if $(GCC),-Wno-tsan)
flags.cov	:= -O0 -g --coverage -DWISP_FAULTS
flags.fuzz	:= -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
		   -fno-sanitize-recover=all
$(if $(flags.$(MODE)),,$(error MODE=$(MODE) is none of release ndebug debug asan tsan cov fuzz))

ALL_CFLAGS  = $(CSTD) $(WARN) $(HARDEN) $(flags.$(MODE)) -Isrc $(CFLAGS)
ALL_LDFLAGS = $(LINK) $(filter -fsanitize% --coverage,$(flags.$(MODE))) $(LDFLAGS)

# --- layers -----------------------------------------------------------------
#
# A layer is an archive. What it may call stands in below.<layer>, in link
# order; everything that links a layer links that list and nothing else, so a
# call that goes up is a link error, not a review comment.

LAYERS		:= base mem json mmds conf devices jail vmm api
below.base	:= base
below.mem	:= mem base
below.json	:= json base
below.mmds	:= mmds json base
below.conf	:= conf json base
below.devices	:= devices mem base
below.jail	:= jail base
below.vmm	:= vmm devices mem mmds conf json base
below.api	:= api vmm devices mem mmds conf json base
below.main	:= api jail vmm devices mem mmds conf json base

# The libraries that a layer brings, each with one user. The archive is named a
# second time behind libmicrohttpd.a, which takes its TLS stubs from there.
libs.base	:= -l:liburing.a
libs.json	:= -lcjson -lm
MHD		?= static
libs.api	:= $(if $(filter shared,$(MHD)),-lmicrohttpd,-l:libmicrohttpd.a $(O)/libapi.a)

src	 = $(sort $(wildcard $(foreach d,$(1),src/$(d)/*.c)))
src.devices := $(call src,devices devices/virtio devices/virtio/*)
src.vmm	    := $(call src,vmm vmm/x86)
objs	 = $(patsubst %.c,$(O)/%.o,$(1))
archives = $(foreach l,$(below.$(1)),$(O)/lib$(l).a)
libs	 = $(foreach l,$(below.$(1)),$(libs.$(l)))

define layer
$(O)/lib$(1).a: $(call objs,$(or $(src.$(1)),$(call src,$(1))))
endef
$(foreach l,$(LAYERS),$(eval $(call layer,$(l))))

$(O)/%.a:
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/%.o: %.c $(O)/flags
	$(call say,CC)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# Rebuilds everything when the compiler or a flag changes, and only then.
$(O)/flags: FORCE
	$(Q)mkdir -p $(@D); new='$(CC) $(ALL_CFLAGS)'; \
	[ "$$new" = "$$(cat $@ 2>/dev/null)" ] || printf '%s\n' "$$new" > $@
.PHONY: FORCE
FORCE:

$(O)/src/main.o: private ALL_CFLAGS += -DWISP_VERSION='"$(VERSION)"'
$(O)/wisp: $(call objs,$(wildcard src/*.c)) $(call archives,main)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(call libs,main) -lpthread -o $@

# --- seccomp -----------------------------------------------------------------
#
# Policies become BPF arrays at build time, by a tool that runs here and is the
# only user of libseccomp. It is linked aside and renamed, because builds of
# several modes may run at once.

HOSTCC	?= $(CC)
SECCOMP	:= build/tools/wisp-seccomp
FILTERS	:= $(foreach k,vmm api vcpu names rules_vmm rules_api rules_vcpu,$(O)/gen/seccomp_$(k).h)

$(SECCOMP): $(wildcard tools/seccomp/*.[ch] src/json/*.[ch] src/base/*.h) \
		$(foreach b,err fault text,src/base/$(b).c) src/jail/filter_file.h
	$(Q)printf '  %-7s %s\n' HOSTCC $@
	$(Q)mkdir -p $(@D) && $(HOSTCC) $(CSTD) -O1 -g $(filter-out -Wstack-usage=%,$(WARN)) -Isrc \
		$(filter %.c,$^) -lseccomp $(libs.json) -o $@.$$$$ && mv $@.$$$$ $@

$(O)/gen/seccomp_names.h: $(SECCOMP)
	$(call say,GEN)
	$(Q)mkdir -p $(@D) && $(SECCOMP) --names > $@
$(O)/gen/seccomp_rules_%.h: resources/seccomp/%.policy $(SECCOMP)
	$(call say,GEN)
	$(Q)mkdir -p $(@D) && $(SECCOMP) --rules $* $< > $@
$(O)/gen/seccomp_%.h: resources/seccomp/%.policy $(SECCOMP)
	$(call say,GEN)
	$(Q)mkdir -p $(@D) && $(SECCOMP) --header $* $< > $@

$(O)/src/jail/filter.o $(O)/src/jail/record.o: $(FILTERS)
$(O)/src/jail/filter.o $(O)/src/jail/record.o: private ALL_CFLAGS += -I$(O)/gen

# --- api ----------------------------------------------------------------------

.PHONY: lint-mhd
lint-mhd: $(O)/src/api/gnutls_stubs.o
	$(Q)CC='$(CC)' tools/check-mhd-stubs $<

# --- unit tests -------------------------------------------------------------
#
# A test names its layer by its folder: tests/unit/<layer>/test_x.c

TESTS	 := $(sort $(wildcard tests/unit/*/test_*.c))
UNIT	 := $(patsubst %.c,$(O)/%,$(TESTS))
layer_of  = $(word 3,$(subst /, ,$(1)))
define unit
$(O)/$(basename $(1)): $(call objs,$(1) tests/unit/main.c) $(call archives,$(call layer_of,$(1)))
$(O)/$(basename $(1)): private TEST_LIBS := $(call libs,$(call layer_of,$(1)))
endef
$(foreach t,$(TESTS),$(eval $(call unit,$(t))))
$(UNIT):
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(TEST_LIBS) -lpthread -o $@
# A test may put large things on its stack; the rule is for the program.
$(O)/tests/%.o: private ALL_CFLAGS += -Itests/unit $(if $(GCC),-Wno-stack-usage)

# --- contract -----------------------------------------------------------------
#
# Prints routes and tables for the comparison with resources/openapi.yaml.

CONTRACT := $(O)/tests/contract/dump
$(CONTRACT): $(O)/tests/contract/dump.o $(call archives,api)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--wrap=json_decode $^ $(call libs,api) -lpthread -o $@

# --- fuzzing ----------------------------------------------------------------
#
# tests/fuzz/<layer>/fuzz_x.c with its corpus in tests/fuzz/corpus/x. Any
# compiler builds replay programs; MODE=fuzz CC=clang-14 builds the fuzzers.

FUZZ	 := $(sort $(wildcard tests/fuzz/*/fuzz_*.c))
REPLAY	 := $(patsubst %.c,$(O)/%,$(FUZZ))
define fuzz
$(O)/$(basename $(1)): $(call objs,$(1)) $(if $(filter fuzz,$(MODE)),,$(call objs,tests/fuzz/replay.c)) $(call archives,$(call layer_of,$(1)))
$(O)/$(basename $(1)): private TEST_LIBS := $(call libs,$(call layer_of,$(1)))
endef
$(foreach t,$(FUZZ),$(eval $(call fuzz,$(t))))
$(REPLAY):
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) $(if $(filter fuzz,$(MODE)),-fsanitize=fuzzer) $^ $(TEST_LIBS) -lpthread -o $@

# --- guest payloads -----------------------------------------------------------
#
# Freestanding kernels, the same whatever MODE the monitor is built in.

PAYLOADS   := $(patsubst tests/guest/%.c,build/guest/%,$(wildcard tests/guest/*.c))
GUESTFLAGS := -std=gnu17 -O2 -g $(filter-out -Wstack-usage=%,$(WARN)) -ffreestanding \
	      -fno-pic -mno-red-zone -mgeneral-regs-only -fno-stack-protector \
	      -fcf-protection=none -fno-asynchronous-unwind-tables \
	      -fno-delete-null-pointer-checks -Itests/guest
GUESTLD	   := -nostdlib -static -Wl,-T,tests/guest/lib/payload.lds -Wl,--build-id=none \
	      -Wl,-z,noexecstack

build/guest/%: tests/guest/%.c $(wildcard tests/guest/lib/*)
	$(Q)printf '  %-7s %s\n' GUEST $*
	$(Q)mkdir -p $(@D) && $(CC) $(GUESTFLAGS) $(GUESTLD) $(filter %.c %.S,$^) -o $@

# Programs for Linux guests: static, for there is nothing else there.
GUESTPROGS := $(patsubst tests/guest/linux/%.c,build/guest/linux/%,$(wildcard tests/guest/linux/*.c))

build/guest/linux/%: tests/guest/linux/%.c
	$(Q)printf '  %-7s %s\n' GUEST $*
	$(Q)mkdir -p $(@D) && $(CC) $(CSTD) -O2 $(filter-out -Wstack-usage=%,$(WARN)) -static $< -o $@

.PHONY: payloads
payloads: $(PAYLOADS) $(GUESTPROGS)

# --- tests --------------------------------------------------------------------

.PHONY: check test soak bench mutants
check: unit
	$(Q)tools/run-tests check --mode $(MODE) $(if $(ONLY),--only $(ONLY))
test soak: deps
	$(Q)tools/run-tests $@ $(if $(ONLY),--only $(ONLY))
bench: all payloads
	$(Q)tests/perf/bench $(if $(ONLY),--only $(ONLY))
mutants:
	$(Q)tools/mutants $(if $(ONLY),--only $(ONLY))

# --- lint ---------------------------------------------------------------------
#
# Piece by piece: `make lint-format lint-tidy' and so on.

CFILES	 = $(sort $(shell find src tests tools -name '*.c'))
HFILES	 = $(sort $(shell find src tests tools -name '*.h'))
OURS	 = $(filter src/% tools/seccomp/%,$(CFILES))
BASHES	 = $(shell grep -lrE '^\#!(/bin/bash|/bin/busybox sh|/usr/bin/env bash)' tools tests .ci) \
	   tools/testhost/lib.sh tools/testhost/testhost-run
LINTS	:= format layers style shell tidy cppcheck analyzer
LINTINC	 = $(CSTD) -Isrc -Itests/unit -I$(O)/gen -DWISP_VERSION=__FILE__

.PHONY: lint $(LINTS:%=lint-%)
lint: $(LINTS:%=lint-%) lint-mhd
lint-format:
	$(Q)clang-format-14 --dry-run -Werror $(CFILES) $(HFILES)
lint-layers:
	$(Q)tools/check-layers
lint-style:
	$(Q)tools/check-style
lint-shell:
	$(Q)shellcheck -x $(BASHES)
lint-tidy: $(FILTERS)
	$(Q)printf '%s\n' $(OURS) | xargs -P 2 -n 4 sh -c 'clang-tidy-14 --quiet "$$@" -- $(LINTINC)' tidy
lint-cppcheck: $(FILTERS)
	$(Q)cppcheck --quiet --error-exitcode=1 --inline-suppr --enable=warning,performance,portability \
		--std=c11 --suppressions-list=tools/cppcheck.suppress -Isrc -I$(O)/gen $(OURS)
lint-analyzer: $(FILTERS)
	$(Q)CC=gcc tools/check-analyzer $(LINTINC) $(OURS)

.PHONY: unit clean
unit: $(UNIT) $(REPLAY) $(CONTRACT)

clean:
	$(Q)rm -rf build

-include $(shell find $(O) -name '*.d' 2>/dev/null)

# Counts from nothing, so that no line is credited to a test that is gone.
.PHONY: coverage
coverage:
	$(Q)find build/cov -name '*.gcda' -delete 2>/dev/null || true
	$(Q)+$(MAKE) --no-print-directory MODE=cov check
	$(Q)tools/coverage

# --- install ----------------------------------------------------------------
#
# One program under all its names; --exec-file .../firecracker is then the jailer's own file.

PREFIX	?= /usr/local
BINDIR	:= $(DESTDIR)$(PREFIX)/bin
EXECDIR	:= $(DESTDIR)$(PREFIX)/libexec/wisp
.PHONY: install
install: all
	$(Q)install -D -m 0755 $(O)/wisp $(BINDIR)/wisp
	$(Q)install -d $(EXECDIR)
	$(Q)ln -sf wisp $(BINDIR)/wisp-jailer
	$(Q)ln -sf ../../bin/wisp $(EXECDIR)/firecracker
	$(Q)ln -sf ../../bin/wisp $(EXECDIR)/jailer

# --- people -----------------------------------------------------------------

.PHONY: deps demo
deps:
	$(Q)tools/deps

# Brings what it needs, one step after the other, so that it is the first
# command in a fresh clone.
demo:
	$(Q)tools/deps demo
	$(Q)+$(MAKE) --no-print-directory MODE=release build/release/wisp
	$(Q)tools/demo
