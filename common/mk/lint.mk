# SPDX-License-Identifier: Apache-2.0

C_FILES := $(filter-out tests/node_modules/%,$(sort $(wildcard $(foreach d,common proto services tests,$(d)/*.[ch] $(d)/*/*.[ch]))))

.PHONY: lint
lint: compile_commands.json $(DOC_TOOLS) ## format, clang-tidy, cppcheck, layers, budgets, freshness of generated pages
	@BUILD='$(BUILD)' DOC_TOOLS='$(DOC_TOOLS)' common/mk/lint.sh $(RESULTS)/lint $(C_FILES)

.PHONY: fmt
fmt: ## let clang-format write every .c and .h
	clang-format -i $(C_FILES)
