# SPDX-License-Identifier: Apache-2.0
# One plain GNU make over the whole tree. `make help` says what there is; the parts are in common/mk/.

MAKEFLAGS += --no-builtin-rules --no-print-directory
SHELL := /bin/bash
.SUFFIXES:

# Goals that need no library: they only start others, or remove, or print
OUTER := deps help run test demo clean fmt
NEEDS_LIBRARIES := $(filter-out $(OUTER),$(or $(MAKECMDGOALS),all))
ifeq ($(NEEDS_LIBRARIES),)
undefine NEEDS_LIBRARIES
endif

.PHONY: all
all: # first, so that it is what `make` means

include common/mk/flags.mk
include common/mk/deps.mk
include common/mk/service.mk
include common/mk/test.mk
include tests/jitter/jitter.mk
include common/mk/fuzz.mk
include common/mk/lint.mk
include common/mk/docs.mk
include common/mk/run.mk
include common/mk/install.mk

all: $(PROGRAMS) ## build every process into bin/ (the default)

.PHONY: test
test: ## everything: packages, build, lint, unit tests, fuzzing, scenarios; ends with N passed, N failed
	@MAKE='$(MAKE)' BUILD='$(BUILD)' common/mk/test.sh

.PHONY: deps
deps: ## install the Debian packages that are missing
	@$(DEPS) install build run test

.PHONY: clean
clean: ## remove what was built
	rm -rf build bin compile_commands.json

.PHONY: help
help: ## this page
	@echo 'make TARGET [V=1] [SAN=address|undefined|address,undefined] [-j2]'
	@cat $(MAKEFILE_LIST) | sed -nE 's/^([a-z._-]+):.*## (.*)/\1\t\2/p' | awk -F'\t' '{ printf "  %-22s %s\n", $$1, $$2 }'
