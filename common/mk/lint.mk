# SPDX-License-Identifier: Apache-2.0

C_FILES := $(filter-out tests/node_modules/%,$(sort $(wildcard $(foreach d,common proto services tests,$(d)/*.[ch] $(d)/*/*.[ch]))))

.PHONY: lint
lint: compile_commands.json $(if $(ONLY),,$(DOC_TOOLS)) ## format, clang-tidy, cppcheck, layers, budgets, fresh docs (ONLY=services/edge CHECKS='format tidy')
	@BUILD='$(BUILD)' ONLY='$(ONLY)' CHECKS='$(CHECKS)' DOC_TOOLS='$(if $(ONLY),,$(DOC_TOOLS))' common/mk/lint.sh $(RESULTS)/lint $(call only,$(C_FILES))

.PHONY: fmt
fmt: ## let clang-format write every .c and .h (ONLY=services/edge)
	clang-format -i $(call only,$(C_FILES))
