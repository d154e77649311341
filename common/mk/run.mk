# SPDX-License-Identifier: Apache-2.0
# make run: from a bare clone to a page in the browser.

RUN_PROFILE ?= opsdesk
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
step = @printf '%s\n' $(1)

# The last line becomes roomwire itself, so that Ctrl-C and SIGTERM are its own to handle
.PHONY: run
run: ## install what is missing, build, and start everything with a demo page; Ctrl-C ends it
	$(call step,'looking for missing Debian packages')
	@$(DEPS) install build run
	$(call step,'building bin/ (a minute the first time)')
	@$(MAKE) --no-print-directory -j$(JOBS) QUIET=1 all
	@if [ -e clients/demo/package-lock.json ]; then \
		[ -e clients/demo/socket.io.min.js ] || echo 'fetching the demo page'\''s socket.io-client from npm'; \
		$(MAKE) --no-print-directory QUIET=1 demo; fi
	$(call step,'starting')
	@LOG_LEVEL=$${LOG_LEVEL:-warn} exec bin/roomwire up --profile $(RUN_PROFILE) --demo

.PHONY: demo
demo: $(DEMO_BUNDLE) ## the demo page's client bundle, beside the page (npm ci in clients/demo)
	@:
