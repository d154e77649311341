/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole of a program that writes one generated page (common/mk/docs.sh): without an argument it names the page, with
 * that name it prints it. For *_doc.c files only. Exit code: 0, 1 not written, 2 no such page.
 */
#ifndef ROOMWIRE_BASE_DOC_PAGE_H
#define ROOMWIRE_BASE_DOC_PAGE_H

#include <stdio.h>

#include "common/base/buf.h"

#define DOC_PAGE_BYTES (1u << 20)

static inline int doc_page_run(int argc, char **argv, const char *page,
			       void (*write)(struct buf *out))
{
	struct buf out = BUF_INIT(DOC_PAGE_BYTES);
	int failed;

	if (argc < 2) {
		puts(page);
		return 0;
	}
	if (strcmp(argv[1], page) != 0) {
		fprintf(stderr, "%s: no such page, there is %s\n", argv[1], page);
		return 2;
	}
	write(&out);
	failed = out.failed || fwrite(out.p, 1, out.n, stdout) != out.n || fflush(stdout);
	buf_fini(&out);
	return failed;
}

#endif
