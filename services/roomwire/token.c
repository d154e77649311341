/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "common/adapt/adapt_jwt.h"
#include "common/base/clock.h"
#include "common/json/json.h"
#include "services/roomwire/roomwire.h"

#define EXPIRES_SECONDS 43200 /* half a day: long enough to try things */

static void add_claim(struct buf *claims, struct str key, struct str value)
{
	struct json_value parsed;

	buf_addc(claims, claims->n > 1 ? ',' : ' ');
	buf_add_json(claims, key);
	buf_addc(claims, ':');
	if (json_parse(value, &parsed) == 0)
		buf_add(claims, value);
	else
		buf_add_json(claims, value);
}

/* What the gateway would refuse without being able to say why to a client. */
static void warn_of(struct str key, struct str value)
{
	struct json_value v = { JSON_NONE, value };
	bool is_json = json_parse(value, &v) == 0;
	uint64_t n;

	if (str_is(key, "sub") && is_json && v.type != JSON_STRING)
		fprintf(stderr,
			"warning: sub is " STR_FMT
			", which is JSON and no text: the gateway refuses this "
			"token. To make it text: --claim 'sub=\"%s\"'\n",
			STR_ARG(value), v.type >= JSON_ARRAY ? "…" : value.p);
	else if (str_is(key, "sub") && (value.n == 0 || str_is(v.raw, "\"\"")))
		fprintf(stderr, "warning: sub is empty: the gateway refuses this token\n");
	else if (str_is(key, "exp") && json_u64(v, &n))
		fprintf(stderr,
			"warning: exp is " STR_FMT ", allowed: whole seconds since 1970 (--expires "
			"counts from now): the gateway refuses this token\n",
			STR_ARG(value));
}

static int sign(struct buf *claims)
{
	char *token = NULL;
	struct conf c;
	int err = args_conf(NULL, NULL, &c, NULL);

	if (!err && !c.jwt_secret[0]) {
		args_wrong("JWT_SECRET", NULL,
			   "the secret that the gateway was started with, in this environment "
			   "variable");
		err = E_CONFIG;
	} else if (!err) {
		err = adapt_jwt_sign(c.jwt_secret, buf_str(claims), &token);
		if (!err)
			printf("%s\n", token);
	}
	conf_fini(&c);
	free(token);
	return err == E_CONFIG ? EXIT_CONFIG : err ? EXIT_FAILED : 0;
}

int token_run(int argc, char **argv)
{
	struct buf claims = BUF_INIT(1u << 16);
	bool has_sub = false, has_exp = false;
	uint64_t seconds = EXPIRES_SECONDS;
	const char *value;
	int code;

	buf_addc(&claims, '{');
	for (int i = 1; i < argc; i++) {
		struct str key, text;

		if (args_value(argc, argv, &i, "--profile", &value))
			continue; /* tokens of the local mode are alike for all profiles */
		if (args_value(argc, argv, &i, "--claim", &value) &&
		    str_cut(str_of(value), '=', &key, &text) && key.n) {
			has_sub = has_sub || str_is(key, "sub");
			has_exp = has_exp || str_is(key, "exp");
			warn_of(key, text);
			add_claim(&claims, key, text);
		} else if (!args_value(argc, argv, &i, "--expires", &value) ||
			   str_to_u64(str_of(value), &seconds)) {
			args_wrong("token", argv[i],
				   "--profile NAME, --claim K=V, --expires SECONDS");
			buf_fini(&claims);
			return EXIT_CONFIG;
		}
	}
	if (!has_sub)
		add_claim(&claims, STR("sub"), STR("\"demo\""));
	buf_addf(&claims, ",\"iat\":%llu", (unsigned long long)clock_wall_ms() / 1000);
	if (!has_exp)
		buf_addf(&claims, ",\"exp\":%llu",
			 (unsigned long long)clock_wall_ms() / 1000 + seconds);
	buf_addc(&claims, '}');
	code = claims.failed ? EXIT_FAILED : sign(&claims);
	buf_fini(&claims);
	return code;
}
