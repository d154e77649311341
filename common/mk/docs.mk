# SPDX-License-Identifier: Apache-2.0
# Generated pages. Each *_doc.c below proto/ and common/ is a program: without argument it prints the paths of its pages,
# with a path that page.

.PHONY: docs
docs: $(DOC_TOOLS) ## write the generated pages anew
	@common/mk/docs.sh write $(DOC_TOOLS)
