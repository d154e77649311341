# SPDX-License-Identifier: Apache-2.0
# Fuzz targets (libFuzzer): tests/fuzz/fuzz_NAME.c, seeds in tests/fuzz/seeds/NAME/, words in tests/fuzz/NAME.dict.
# The library is built once more, by clang with coverage and the sanitizers. Among a target's first lines may stand
#   link: services/edge        objects of that service, less main.o, are linked too
#   options: -max_len=65536    more options of libFuzzer

FUZZ_CC ?= clang
FUZZ_SECONDS ?= $(if $(filter fuzz-short,$(MAKECMDGOALS)),20,600)
FUZZ_JOBS ?= 2
FUZZ_OUT := $(BUILD)/fuzz
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_HELPERS := $(filter-out $(FUZZ_SRC),$(sort $(wildcard tests/fuzz/*.c)))
FUZZ_PROGRAMS := $(patsubst tests/fuzz/%.c,$(FUZZ_OUT)/%,$(FUZZ_SRC))
FUZZ_LIB := $(FUZZ_OUT)/libroomwire.a
FUZZ_CFLAGS = $(STANDARD) -O1 -g -w -fno-omit-frame-pointer -fno-sanitize-recover=all $(DEP_CFLAGS) -DROOMWIRE_FUZZ
FUZZ_SANITIZERS := address,undefined

fuzz_objects = $(patsubst %.c,$(FUZZ_OUT)/%.o,$(1))
fuzz_says = $(shell sed -nE '1,12s|^[/* ]*$(2): *([^*]*).*|\1|p' $(1))

$(FUZZ_OUT)/%.o: %.c $(FUZZ_OUT)/flags
	$(call say,FUZZ,$<)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,$(FUZZ_SANITIZERS) $(DEFINES) -MMD -MP -c -o $@ $<
$(eval $(call remember,$(FUZZ_OUT)/flags,$(FUZZ_CC) $(FUZZ_CFLAGS)))
$(eval $(call remember,$(FUZZ_OUT)/lib.list,$(LIB_SRC)))

$(FUZZ_LIB): $(call fuzz_objects,$(LIB_SRC)) $(FUZZ_OUT)/lib.list
	$(Q)rm -f $@ && $(AR) qcs $@ $(filter %.o,$^)

define fuzz_rules
$(FUZZ_OUT)/$(1): $(FUZZ_OUT)/tests/fuzz/$(1).o $(call fuzz_objects,$(FUZZ_HELPERS)) \
		$(foreach s,$(notdir $(call fuzz_says,tests/fuzz/$(1).c,link)),$(filter-out %/main.o,$(call fuzz_objects,$(call service_src,$(s))))) $(FUZZ_LIB)
	$$(call say,LINK,$$@)
	$$(Q)$$(FUZZ_CC) -g -fsanitize=fuzzer,$$(FUZZ_SANITIZERS) -o $$@ $$(filter %.o %.a,$$^) $$(DEP_LIBS)
endef
ifneq ($(filter fuzz fuzz-short fuzz-build,$(MAKECMDGOALS)),)
$(foreach f,$(notdir $(FUZZ_SRC:.c=)),$(eval $(call fuzz_rules,$(f))))
-include $(patsubst %.o,%.d,$(call fuzz_objects,$(FUZZ_SRC) $(FUZZ_HELPERS) $(FOUND)))
endif

.PHONY: fuzz fuzz-short fuzz-build
fuzz-build: $(FUZZ_PROGRAMS)
fuzz-short: ## every fuzz target for FUZZ_SECONDS=20
fuzz: ## every fuzz target for FUZZ_SECONDS=600 (FUZZ=json: that one)
fuzz fuzz-short: $(FUZZ_PROGRAMS)
	@FUZZ_JOBS=$(FUZZ_JOBS) common/mk/fuzz.sh $(FUZZ_OUT) $(RESULTS)/fuzz $(FUZZ_SECONDS) \
		$(if $(FUZZ),$(addprefix fuzz_,$(FUZZ)),$(notdir $(FUZZ_PROGRAMS)))
