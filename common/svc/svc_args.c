/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>

#include "common/adapt/adapt_http.h"
#include "common/adapt/adapt_yaml.h"
#include "common/svc/svc_process.h"

#ifndef ROOMWIRE_VERSION
#define ROOMWIRE_VERSION "0.1.0"
#endif

enum { ARG_CONFIG = 256, ARG_SET, ARG_PROFILE, ARG_CHECK, ARG_PRINT_CONFIG, ARG_HELP, ARG_VERSION };

static const struct option long_options[] = {
	{ "config", required_argument, NULL, ARG_CONFIG },
	{ "set", required_argument, NULL, ARG_SET },
	{ "profile", required_argument, NULL, ARG_PROFILE },
	{ "check", no_argument, NULL, ARG_CHECK },
	{ "print-config", no_argument, NULL, ARG_PRINT_CONFIG },
	{ "help", no_argument, NULL, ARG_HELP },
	{ "version", no_argument, NULL, ARG_VERSION },
	{ NULL, 0, NULL, 0 },
};

static int wrong(struct buf *errors, const char *option, const char *found, const char *allowed)
{
	buf_addf(errors, "command line: %s: found %s, allowed: %s\n", option, found, allowed);
	return E_CONFIG;
}

static int take(struct svc_args *args, int code, char **argv, struct buf *errors)
{
	switch (code) {
	case ARG_CONFIG:
		args->config = optarg;
		return 0;
	case ARG_PROFILE:
		args->profile = optarg;
		return 0;
	case ARG_SET:
		if (args->set_count == SVC_MAX_SETS)
			return wrong(errors, "--set", "more than 64 of it", "at most that");
		args->sets[args->set_count++] = optarg;
		return 0;
	case ARG_CHECK:
		args->check = true;
		return 0;
	case ARG_PRINT_CONFIG:
		args->print_config = true;
		return 0;
	case ARG_HELP:
		args->help = true;
		return 0;
	case ARG_VERSION:
		args->version = true;
		return 0;
	case ':':
		return wrong(errors, argv[optind - 1], "nothing behind it", "a value (see --help)");
	default:
		return wrong(errors, argv[optind - 1], "an unknown option", "what --help lists");
	}
}

int svc_args_parse(struct svc_args *args, int argc, char **argv, struct buf *errors)
{
	int code, err = 0;

	memset(args, 0, sizeof(*args));
	optind = 0; /* start anew, also in a process that parsed before */
	while ((code = getopt_long(argc, argv, "+:", long_options, NULL)) != -1)
		if (take(args, code, argv, errors))
			err = E_CONFIG;
	for (; optind < argc; optind++)
		err = wrong(errors, argv[optind], "a word without an option", "what --help lists");
	return err;
}

void svc_args_help(const struct svc_process *p, struct buf *out)
{
	buf_addf(out,
		 "%s: %s\n\n"
		 "usage: %s [--config FILE] [--profile NAME] [--set KEY=VALUE]... [--check | "
		 "--print-config]\n\n"
		 "  --config FILE     options as lines of \"key: value\" (YAML)\n"
		 "  --profile NAME    the application: profiles/NAME.yaml or the path of a .yaml "
		 "file\n"
		 "  --set KEY=VALUE   one option; wins over everything else; may be repeated\n"
		 "  --check           say whether the configuration is good: 0 yes, 2 no\n"
		 "  --print-config    options in effect and where each comes from\n"
		 "  --help, --version\n\n"
		 "Signals: SIGTERM, SIGINT drain and end (again: end at once), SIGUSR1 writes "
		 "states to the log.\n"
		 "Exit codes: 0 ended as asked, 1 failed while running, 2 wrong options or "
		 "configuration.\n\n"
		 "Options: key (environment variable). Later wins: default, profile, file, "
		 "environment, --set.\n\n",
		 p->title, p->svc.spec->job, p->title);
	conf_help(p->svc.spec->user, out);
}

void svc_args_version(const struct svc_process *p, struct buf *out)
{
	buf_addf(out, "%s %s\nlibuv %s, http_parser %s, %s\n", p->title, ROOMWIRE_VERSION,
		 uv_version_string(), http_parse_version(), yaml_version());
}
