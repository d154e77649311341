# SPDX-License-Identifier: Apache-2.0
# The jitter test; included after common/mk/service.mk and common/mk/test.mk, whose names it uses.

.PHONY: jitter
jitter: $(PROGRAMS) $(call locked,tests) $(call locked,tests/bench) ## 1,000 clients on a bad network, beside Socket.IO on Node; 7 minutes (JITTER_ARGS=...)
	@node --test tests/jitter/book.test.mjs >/dev/null || { node --test tests/jitter/book.test.mjs; exit 1; }
	@ROOMWIRE_BIN='$(BIN)' node tests/jitter/run.mjs --json build/jitter.json $(JITTER_ARGS)
