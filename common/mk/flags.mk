# SPDX-License-Identifier: Apache-2.0
# Compiler, variant and flags.
#   SAN=address | undefined | address,undefined | thread   a sanitizer build, beside the release one
#   FAULTS=1   a build that loses, doubles and delays messages on purpose (common/bus/bus_fault.h), beside the others
#   V=1 shows commands; QUIET=1 shows nothing but what goes wrong

ifeq ($(origin CC),default)
CC := gcc
endif
AR := ar
comma := ,

# BIN is the folder binaries are built to and tested from; bin/asan, bin/faults and their kind choose the variant by themselves
ifdef BIN
ifneq ($(filter bin/faults bin/%-faults,$(patsubst %/,%,$(BIN))),)
FAULTS := 1
endif
ifeq ($(SAN),)
BIN_KIND := $(patsubst %-faults,%,$(patsubst %/,%,$(BIN)))
SAN := $(strip $(if $(filter bin/asan,$(BIN_KIND)),address) $(if $(filter bin/ubsan,$(BIN_KIND)),undefined) \
	$(if $(filter bin/asan-ubsan,$(BIN_KIND)),address$(comma)undefined))
endif
endif

VARIANT_ := release
VARIANT_address := asan
VARIANT_undefined := ubsan
VARIANT_address,undefined := asan-ubsan
VARIANT_undefined,address := asan-ubsan
VARIANT_thread := tsan
VARIANT := $(VARIANT_$(SAN))
ifeq ($(VARIANT),)
$(error SAN=$(SAN): allowed are address, undefined, address$(comma)undefined and thread)
endif

ifdef FAULTS
VARIANT := $(if $(SAN),$(VARIANT)-)faults
endif

BUILD ?= build
OUT := $(BUILD)/$(VARIANT)
BIN ?= $(if $(SAN)$(FAULTS),bin/$(VARIANT),bin)

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wformat=2 -Wundef
STANDARD := -std=gnu11 -D_GNU_SOURCE -I.$(if $(FAULTS), -DROOMWIRE_FAULTS)
HARDENING := -fstack-protector-strong -fno-common -fPIE
ifneq ($(filter x86_64 i%86,$(shell uname -m)),)
HARDENING += -fcf-protection
endif
ifneq ($(filter aarch64,$(shell uname -m)),)
HARDENING += -mbranch-protection=standard
endif

ifeq ($(SAN),)
OPTIMISE := -O2 -g -D_FORTIFY_SOURCE=2
else
OPTIMISE := -O1 -g -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all
# gcc guesses wrong about these in code full of sanitizer calls; the release build is their judge
WARNINGS += -Wno-format-truncation -Wno-format-overflow -Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-stringop-truncation
endif

ALL_CFLAGS = $(STANDARD) $(OPTIMISE) $(WARNINGS) $(HARDENING) $(CFLAGS)
# -rdynamic: a stack written by the watchdog names functions
ALL_LDFLAGS = -pie -rdynamic -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)

VERSION := $(strip $(shell cat VERSION 2>/dev/null || git describe --tags --always --dirty 2>/dev/null || echo 0.1.0))

# What is shown: commands (V=1), one line per file, or nothing
ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @$(if $(QUIET),:,printf '  %-5s %s\n' $(1) $(2))
endif
