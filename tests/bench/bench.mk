# SPDX-License-Identifier: Apache-2.0
# The programs of `make bench`: plain C, no library of ours or of others.

BENCH_PROGRAMS := $(OUT)/bench/loadgen $(OUT)/bench/rawsend
BENCH_SRC := $(sort $(wildcard tests/bench/*.c))

$(OUT)/bench/loadgen: $(patsubst %.c,$(OUT)/%.o,$(filter-out tests/bench/rawsend.c,$(BENCH_SRC)))
$(OUT)/bench/rawsend: $(patsubst %.c,$(OUT)/%.o,tests/bench/rawsend.c tests/bench/ws.c)

$(BENCH_PROGRAMS):
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^)
