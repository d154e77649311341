/* SPDX-License-Identifier: Apache-2.0 */
/* Writes docs/config.md; without an argument it says so (common/mk/docs.sh). */
#include <stdio.h>
#include <string.h>

#include "common/conf/conf.h"

#define PAGE "docs/config.md"
#define PAGE_BYTES (1u << 20)

int main(int argc, char **argv)
{
	struct buf page = BUF_INIT(PAGE_BYTES);
	int failed;

	if (argc < 2) {
		puts(PAGE);
		return 0;
	}
	if (strcmp(argv[1], PAGE) != 0) {
		fprintf(stderr, "%s: no such page, there is " PAGE "\n", argv[1]);
		return 2;
	}
	conf_doc(&page);
	failed = page.failed || fwrite(page.p, 1, page.n, stdout) != page.n || fflush(stdout);
	buf_fini(&page);
	return failed;
}
