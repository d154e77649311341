/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roomwire: the operator's hand. `roomwire help` lists what it does.
 */
#include <stdio.h>

#include "services/roomwire/roomwire.h"

static const struct {
	const char *word;
	int (*run)(int argc, char **argv); /* argv[0] is the word */
	const char *doc;
} words[] = {
	{ "up", up_run,
	  "--profile NAME | --config FILE [--edges N] [--routers N] [--auths N] [--ingests N] "
	  "[--demo] [--set KEY=VALUE]\n"
	  "      start the processes on this machine and keep them running; Ctrl-C ends them all" },
	{ "check", check_run, "FILE\n      say whether a profile or configuration file is good" },
	{ "token", token_run,
	  "--profile NAME --claim K=V ... [--expires SECONDS]\n"
	  "      print a token signed with JWT_SECRET (V is JSON where it parses, else text)" },
	{ "publish", publish_run,
	  "--profile NAME | --url URL  --room ROOM ... --event EVENT --data JSON [--namespace N] "
	  "[--id ID]\n"
	  "      publish one event with API_KEY" },
	{ "tail", tail_run,
	  "--profile NAME | --url URL  [--token T] [--namespace N] [--emit EVENT=JSON ...]\n"
	  "      connect as a client and print what arrives; --emit asks for something first" },
	{ "schema", schema_run, "\n      print the JSON Schema of the profile language" },
};

static void help(FILE *out)
{
	fprintf(out, "usage: roomwire WORD [OPTIONS]\n\n");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		fprintf(out, "  %s %s\n", words[i].word, words[i].doc);
	fprintf(out,
		"\n  help, --version\n\nEnvironment variables set options: see docs/config.md.\n");
}

int main(int argc, char **argv)
{
	struct str word = str_of(argc > 1 ? argv[1] : "");

	if (str_is(word, "--version") || str_is(word, "version")) {
		printf("roomwire %s\n", ROOMWIRE_VERSION);
		return 0;
	}
	if (str_is(word, "help") || str_is(word, "--help") || str_is(word, "-h")) {
		help(stdout);
		return 0;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_is(word, words[i].word))
			return words[i].run(argc - 1, argv + 1);
	if (word.n)
		fprintf(stderr, "roomwire: there is no `" STR_FMT "`\n", STR_ARG(word));
	help(stderr);
	return EXIT_CONFIG;
}
