# SPDX-License-Identifier: Apache-2.0
# What is built of what. Sources are found, not listed:
#   common/**.c proto/*.c          libroomwire.a
#   services/NAME/*.c              BIN/roomwire-NAME; services/roomwire: BIN/roomwire
#   **/*_test.c                    unit tests; those of a service link with its objects except main.o
#   proto/*_doc.c common/**_doc.c  programs that print generated pages
# ONLY="common/base proto services/edge" leaves the rest of the tree out, for work on one corner of it.

find_c = $(sort $(wildcard $(foreach d,$(1),$(d)/*.c $(d)/*/*.c)))
WHOLE := $(call find_c,common proto services)
only = $(if $(ONLY),$(filter $(addsuffix /%,$(ONLY)),$(1)),$(1))
FOUND := $(call only,$(WHOLE))

TEST_SRC := $(filter %_test.c,$(FOUND))
DOC_SRC := $(filter %_doc.c,$(filter-out services/%,$(FOUND)))
LIB_SRC := $(filter-out services/% $(TEST_SRC) $(DOC_SRC),$(FOUND))
SERVICES := $(sort $(foreach m,$(filter services/%/main.c,$(FOUND)),$(notdir $(patsubst %/main.c,%,$(m)))))

program = $(BIN)/$(if $(filter roomwire,$(1)),roomwire,roomwire-$(1))
service_src = $(filter-out %_test.c,$(filter services/$(1)/%,$(FOUND)))
objects = $(patsubst %.c,$(OUT)/%.o,$(1))

LIB := $(OUT)/libroomwire.a
PROGRAMS := $(foreach s,$(SERVICES),$(call program,$(s)))
TESTS_BUILT := $(patsubst %.c,$(OUT)/%,$(TEST_SRC))
DOC_TOOLS := $(patsubst %.c,$(OUT)/%,$(DOC_SRC))
include tests/bench/bench.mk # LOADGEN, BENCH_SRC

ifdef NEEDS_LIBRARIES
MODULES := $(shell $(DEPS) modules)
TEST_MODULES := $(shell $(DEPS) modules test)
HAVE := $(shell pkg-config --exists $(MODULES) 2>/dev/null && echo yes)
ifneq ($(HAVE),yes)
$(shell CC='$(CC)' $(DEPS) explain >&2 && pkg-config --print-errors --exists $(MODULES))
$(error libraries are missing)
endif
DEP_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(MODULES)))
DEP_LIBS := $(shell pkg-config --libs $(MODULES)) $(shell $(DEPS) libraries) -lpthread -lm
endif

# A change of flags or of the list of files rebuilds what depends on it
define remember
$(1): FORCE
	@mkdir -p $$(@D); printf '%s\n' '$(subst ','\'',$(2))' | cmp -s - $$@ || printf '%s\n' '$(subst ','\'',$(2))' >$$@
endef
$(eval $(call remember,$(OUT)/flags,$(CC) $(ALL_CFLAGS) $(DEP_CFLAGS)))
$(eval $(call remember,$(OUT)/version,$(VERSION)))
$(eval $(call remember,$(OUT)/lib.list,$(LIB_SRC)))
$(eval $(call remember,$(OUT)/link,$(ALL_LDFLAGS) $(DEP_LIBS)))

# Only the files that print the version are compiled anew when it changes
VERSION_SRC := $(if $(FOUND),$(shell grep -ls ROOMWIRE_VERSION $(FOUND)))
$(call objects,$(VERSION_SRC)): $(OUT)/version
$(call objects,$(VERSION_SRC)): DEFINES = -DROOMWIRE_VERSION='"$(VERSION)"'

# What a source takes in as it is (.incbin)
$(foreach o,$(OUT) $(BUILD)/fuzz,$(o)/services/ingest/openapi.o): services/ingest/openapi.json

COMPILE = $(CC) $(ALL_CFLAGS) $(DEP_CFLAGS) $(DEFINES)

$(OUT)/%.o: %.c $(OUT)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

$(LIB): $(call objects,$(LIB_SRC)) $(OUT)/lib.list
	$(call say,LIB,$@)
	$(Q)rm -f $@ && $(AR) qcs $@ $(filter %.o,$^)

define service_rules
$(call program,$(1)): $(call objects,$(call service_src,$(1))) $(LIB) $(OUT)/link
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$(filter %.o %.a,$$^) $$(DEP_LIBS)
$(call program,$(1)): $(OUT)/services/$(1)/sources.list
$(call remember,$(OUT)/services/$(1)/sources.list,$(call service_src,$(1)))
endef
$(foreach s,$(SERVICES),$(eval $(call service_rules,$(s))))

service_of = $(word 2,$(subst /, ,$(1)))
define test_rules
$(OUT)/$(1): $(OUT)/$(1).o $(if $(filter services/%,$(1)),$(filter-out %/main.o,$(call objects,$(call service_src,$(call service_of,$(1)))))) $(LIB) $(OUT)/link
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$(filter %.o %.a,$$^) $$(DEP_LIBS) $$(shell pkg-config --libs $$(TEST_MODULES))
endef
$(foreach t,$(TEST_SRC:.c=) $(DOC_SRC:.c=),$(eval $(call test_rules,$(t))))

-include $(patsubst %.o,%.d,$(call objects,$(FOUND) $(BENCH_SRC)))

# One entry per file, for editors, clang-tidy and cppcheck
COMMANDS_SRC := $(WHOLE) $(BENCH_SRC) $(sort $(wildcard tests/fuzz/*.c))
compile_commands.json: common/mk/commands.awk FORCE
	@new=$@.$$$$; printf '%s\n' $(COMMANDS_SRC) | \
		DIR='$(CURDIR)' COMMAND='$(CC) $(STANDARD) -O2 $(WARNINGS) $(DEP_CFLAGS)' awk -f $< >$$new && \
		if cmp -s $$new $@; then rm -f $$new; else mv $$new $@; fi

.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: FORCE
FORCE:
