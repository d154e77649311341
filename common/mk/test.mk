# SPDX-License-Identifier: Apache-2.0
# Unit tests, scenarios, bench. Each leaves "passed failed skipped" in RESULTS for `make test`.

RESULTS := $(BUILD)/results
UNIT ?=
TESTS ?= tests/*.test.mjs
SCENARIO_JOBS ?= 2
SCENARIO_SECONDS ?= 1800
NPM_CI := npm ci --no-audit --no-fund --loglevel=error

UNIT_CHOSEN = $(if $(UNIT),$(foreach t,$(TESTS_BUILT),$(if $(findstring $(UNIT),$(t)),$(t))),$(TESTS_BUILT))
.PHONY: unit
unit: $(UNIT_CHOSEN) ## unit tests (UNIT=word: those with it in the path; SAN=address,undefined: under sanitizers)
	@common/mk/unit.sh $(OUT) $(RESULTS)/unit-$(VARIANT) $(UNIT_CHOSEN)

# npm ci, once per lock file
%/node_modules/.package-lock.json: %/package-lock.json
	$(call say,NPM,$*)
	$(Q)cd $* && $(NPM_CI) >/dev/null && touch node_modules/.package-lock.json

locked = $(patsubst %/package-lock.json,%/node_modules/.package-lock.json,$(wildcard $(1)/package-lock.json))

# The demo page's copy of the client: an edge serves the files of one folder and no folders below it
DEMO_BUNDLE := $(if $(wildcard clients/demo/package-lock.json),clients/demo/socket.io.min.js)
clients/demo/socket.io.min.js: $(call locked,clients/demo)
	$(Q)install -m 644 clients/demo/node_modules/socket.io-client/dist/socket.io.min.js $@

.PHONY: scenario
scenario: $(PROGRAMS) $(call locked,tests) $(DEMO_BUNDLE) ## scenarios on real parts (TESTS='tests/10_*.test.mjs', BIN=bin/asan-ubsan)
	@ROOMWIRE_BIN='$(BIN)' SCENARIO_JOBS=$(SCENARIO_JOBS) SCENARIO_SECONDS=$(SCENARIO_SECONDS) \
		common/mk/scenario.sh $(RESULTS)/scenario-$(VARIANT) $(wildcard $(TESTS))

.PHONY: bench
bench: $(PROGRAMS) $(LOADGEN) $(call locked,tests) $(call locked,tests/bench) ## measure, beside Socket.IO on Node (BENCH_ARGS=...)
	@ROOMWIRE_BIN='$(BIN)' node tests/bench/run.mjs $(BENCH_ARGS)

.PHONY: loadgen
loadgen: $(LOADGEN) ## the load generator alone: build/release/bench/loadgen
