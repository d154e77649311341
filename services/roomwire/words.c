/* SPDX-License-Identifier: Apache-2.0 */
#include "services/roomwire/words.h"

#include "services/roomwire/roomwire.h"

static const struct word words[] = {
	{ "up", up_run,
	  "--profile NAME | --config FILE [--edges N] [--routers N] [--auths N] [--ingests N] "
	  "[--demo] [--set KEY=VALUE]",
	  "start the processes on this machine and keep them running; Ctrl-C ends them all",
	  "  --profile NAME    the application: profiles/NAME.yaml or the path of a .yaml file\n"
	  "  --config FILE     options as lines of \"key: value\" (YAML)\n"
	  "  --edges N         processes that hold clients, 1 to 16 (1)\n"
	  "  --routers N       processes that put messages in order, 1 to 16 (1)\n"
	  "  --auths N         processes that judge tokens and permissions, 1 to 16 (1)\n"
	  "  --ingests N       processes that take events of backends, 1 to 16 (1)\n"
	  "  --demo            make up the secrets that are not set, and print lines to try\n"
	  "  --set KEY=VALUE   one option, for all of them; wins over everything else; may be "
	  "repeated\n"
	  "  --check           say whether the configuration is good: 0 yes, 2 no\n"
	  "  --print-config    options in effect and where each comes from\n",
	  "  JWT_SECRET=… API_KEY=… roomwire up --profile my-app.yaml --edges 2\n"
	  "  PORT=3456 roomwire up --profile my-app.yaml --demo\n",
	  CONF_CTL },
	{ "top", top_run,
	  "[--once] [--interval SECONDS] [--ops URL ... | --profile NAME | --config FILE]",
	  "live counts of every process",
	  "  --once              print one table and end, as when the output is no terminal\n"
	  "  --interval SECONDS  between two looks, 0.1 to 3600 (2; with --once 1)\n"
	  "  --ops URL           the operations port of a process, wherever it is; may be "
	  "repeated\n"
	  "  --profile NAME      only the `roomwire up` of this profile, on its PORT where that is "
	  "set\n"
	  "  --config FILE       likewise, of this file of options\n"
	  "Without --ops it finds what `roomwire up` of this user runs on this machine.\n"
	  "Exit codes: 0, 1 nothing to show (nothing found, or no process answers), 2 wrong "
	  "options.\n",
	  "  roomwire top\n"
	  "  roomwire top --once --ops http://10.0.0.7:9090 --ops http://10.0.0.8:9090\n",
	  0 },
	{ "check", check_run, "FILE", "say whether a profile or configuration file is good", "",
	  "  roomwire check profiles/my-app.yaml\n", 0 },
	{ "token", token_run, "[--profile NAME] --claim K=V ... [--expires SECONDS]",
	  "print a token signed with JWT_SECRET",
	  "  --claim K=V        V is JSON where it parses, else text; may be repeated. `sub`, the "
	  "user, must be\n"
	  "                     text (\"demo\" when not given): --claim 'sub=\"42\"'\n"
	  "  --expires SECONDS  from now on (43200)\n"
	  "  --profile NAME     taken for the sake of habit: tokens are alike for all profiles\n",
	  "  JWT_SECRET=… roomwire token --claim sub=alice --claim 'roles=[\"agent\"]'\n", 0 },
	{ "publish", publish_run,
	  "--profile NAME | --url URL  --room ROOM ... --event EVENT --data JSON [--namespace N] "
	  "[--id ID]",
	  "publish one event with API_KEY",
	  "  --profile NAME  to the gateway of this profile on this machine (PORT, API_PORT say "
	  "where)\n"
	  "  --url URL       to the publish API there\n"
	  "  --room ROOM     whose members get it; may be repeated\n"
	  "  --event EVENT   its name\n"
	  "  --data JSON     what it says; a text needs its quotes: '\"hello\"'\n"
	  "  --namespace N   Socket.IO namespace (/)\n"
	  "  --id ID         clients get an id once, however often it is sent\n",
	  "  API_KEY=… roomwire publish --profile my-app.yaml --room lobby --event message --data "
	  "'{\"content\":\"hello\"}'\n",
	  0 },
	{ "tail", tail_run,
	  "--profile NAME | --url URL  [--token T] [--namespace N] [--emit EVENT=JSON ...]",
	  "connect as a client and print what arrives",
	  "  --profile NAME     whose dialect is spoken; to its port on this machine (PORT says "
	  "another)\n"
	  "  --url URL          to the gateway there; without --profile it is spoken to in "
	  "Socket.IO\n"
	  "  --token T          who it is (roomwire token)\n"
	  "  --namespace N      Socket.IO namespace (/)\n"
	  "  --emit EVENT=JSON  asked first, as a client would; may be repeated\n",
	  "  roomwire tail --profile my-app.yaml --token \"$TOKEN\" --emit "
	  "'join={\"room\":\"lobby\"}'\n"
	  "  roomwire tail --url http://10.0.0.7:3000 --token \"$TOKEN\"\n",
	  0 },
	{ "schema", schema_run, "", "print the JSON Schema of the profile language", "",
	  "  roomwire schema > profile.schema.json\n", 0 },
};

#define WORD_COUNT (sizeof(words) / sizeof(words[0]))

const struct word *words_find(struct str name)
{
	for (size_t i = 0; i < WORD_COUNT; i++)
		if (str_is(name, words[i].name))
			return &words[i];
	return NULL;
}

bool words_help_asked(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || (i == 1 && strcmp(argv[i], "-h") == 0))
			return true;
	return false;
}

void words_help(struct buf *out)
{
	buf_addz(out, "usage: roomwire WORD [OPTIONS]\n\n");
	for (size_t i = 0; i < WORD_COUNT; i++)
		buf_addf(out, "  %s%s%s\n      %s\n", words[i].name,
			 words[i].synopsis[0] ? " " : "", words[i].synopsis, words[i].does);
	buf_addz(out, "\n  WORD --help, help, --version\n\nEnvironment variables set options: see "
		      "docs/config.md.\n");
}

void words_help_one(const struct word *word, struct buf *out)
{
	buf_addf(out, "roomwire %s: %s\n\nusage: roomwire %s%s%s\n", word->name, word->does,
		 word->name, word->synopsis[0] ? " " : "", word->synopsis);
	if (word->options[0])
		buf_addf(out, "\n%s", word->options);
	buf_addf(out, "\nExample:\n%s", word->example);
	if (!word->conf_users)
		return;
	buf_addz(out, "\nOptions of the configuration: key (environment variable). Later wins: "
		      "default, profile, file,\nenvironment, --set. The processes have more: "
		      "roomwire-edge --help, docs/config.md.\n\n");
	conf_help(word->conf_users, out);
}
