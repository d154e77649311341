# SPDX-License-Identifier: Apache-2.0
# The programs of `make bench`: plain C, no library of ours or of others. Included by common/mk/service.mk.

BENCH_SRC := $(sort $(wildcard tests/bench/*.c))
LOADGEN := $(OUT)/bench/loadgen $(OUT)/bench/rawsend

$(OUT)/bench/loadgen: $(call objects,$(filter-out %/rawsend.c,$(BENCH_SRC)))
$(OUT)/bench/rawsend: $(call objects,tests/bench/rawsend.c tests/bench/ws.c)

$(LOADGEN): tests/bench/bench.mk
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^)
