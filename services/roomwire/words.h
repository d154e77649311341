/* SPDX-License-Identifier: Apache-2.0 */
/* What `roomwire` can be asked for: one row a word, of which both the dispatch and every help page are made. */
#ifndef ROOMWIRE_ROOMWIRE_WORDS_H
#define ROOMWIRE_ROOMWIRE_WORDS_H

#include "common/base/buf.h"

struct word {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the word; returns the exit code */
	const char *synopsis;              /* behind the word */
	const char *does;                  /* one sentence */
	const char *options;               /* lines, each with its end; "": none */
	const char *example;               /* lines as one would type them */
	unsigned conf_users; /* further options of the configuration to list; 0: none */
};

const struct word *words_find(struct str name); /* NULL: there is none */
/* Whether the arguments behind the word ask for its page: --help, or -h in the first place. */
bool words_help_asked(int argc, char **argv);
void words_help(struct buf *out);                              /* all of them */
void words_help_one(const struct word *word, struct buf *out); /* its page */

#endif
