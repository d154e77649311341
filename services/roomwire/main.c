/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roomwire: the operator's hand. `roomwire help` lists what it does.
 */
#include <stdio.h>

#include "services/roomwire/roomwire.h"
#include "services/roomwire/words.h"

#define PAGE_MOST (1u << 16)

static int show(struct buf *page, FILE *out, int code)
{
	if (fwrite(page->p, 1, page->n, out) != page->n || fflush(out) != 0)
		code = EXIT_FAILED;
	buf_fini(page);
	return code;
}

int main(int argc, char **argv)
{
	struct str name = str_of(argc > 1 ? argv[1] : "");
	const struct word *word = words_find(name);
	struct buf page = BUF_INIT(PAGE_MOST);

	if (str_is(name, "--version") || str_is(name, "version")) {
		printf("roomwire %s\n", ROOMWIRE_VERSION);
		return 0;
	}
	if (word && !words_help_asked(argc - 1, argv + 1))
		return word->run(argc - 1, argv + 1);
	if (word)
		words_help_one(word, &page);
	else
		words_help(&page);
	if (word || str_is(name, "help") || str_is(name, "--help") || str_is(name, "-h"))
		return show(&page, stdout, 0);
	if (name.n)
		fprintf(stderr, "roomwire: there is no `" STR_FMT "`\n", STR_ARG(name));
	return show(&page, stderr, EXIT_CONFIG);
}
