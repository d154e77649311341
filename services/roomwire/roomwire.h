/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's hand: one word, one function each. They return the exit code: 0, 1 it failed, 2 wrong options or configuration.
 */
#ifndef ROOMWIRE_ROOMWIRE_ROOMWIRE_H
#define ROOMWIRE_ROOMWIRE_ROOMWIRE_H

#include "common/base/buf.h"
#include "common/conf/conf.h"

#define EXIT_FAILED 1
#define EXIT_CONFIG 2

struct profile;

int up_run(int argc, char **argv);
int top_run(int argc, char **argv);
int check_run(int argc, char **argv);
int token_run(int argc, char **argv);
int publish_run(int argc, char **argv);
int tail_run(int argc, char **argv);
int schema_run(int argc, char **argv);

/* args.c: "--name VALUE" or "--name=VALUE". At argv[*i]: true with its value and *i moved on; false: another word. A missing value ends
 * the process with 2 and a sentence. */
bool args_value(int argc, char **argv, int *i, const char *name, const char **value);
void args_wrong(const char *what, const char *found,
		const char *allowed); /* prints one line on standard error */
/*
 * The options as a process would see them: profile settings, the file, environment, each stronger than the one before. config, profile:
 * NULL where not given; then PROFILE, or the file's key, names the profile, if any. *p: OWNED by caller, NULL where none is named; p may be
 * NULL, then no profile is looked at. conf_fini(c) is due in any case. E_CONFIG: printed.
 */
int args_conf(const char *config, const char *profile, struct conf *c,
	      struct profile **p) MUST_CHECK;
/* Where a client on this machine finds what was told to listen on this host. */
const char *args_host(const char *host);

#endif
