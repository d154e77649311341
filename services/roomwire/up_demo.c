/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `up --demo`: secrets made up, and lines to try. What they say comes from profiles/NAME.demo.json beside the profile:
 *
 *   {"page": true,                     the demo page is made for this profile; else none is served
 *    "claims": {"sub": "me"},          of the token
 *    "emit": ["join={\"room\":\"a\"}"],  what `tail` asks for first
 *    "publish": {"rooms": ["a"], …}}   body of the call
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/adapt/adapt_jwt.h"
#include "common/base/clock.h"
#include "common/base/rnd.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/profile/profile.h"
#include "services/roomwire/up.h"

#define SECRET_CHARS 43
#define TOKEN_SECONDS 43200u
#define EXAMPLE_MOST 65536

/* A secret nobody else has, unless one is set. */
static int make_up(struct conf *conf, const char *key, const char *present)
{
	struct buf errors = BUF_INIT(4096);
	char secret[SECRET_CHARS];
	int err;

	if (present[0])
		return 0;
	rnd_id(secret, sizeof(secret));
	err = conf_set(conf, "--demo", str_of(key), str_make(secret, sizeof(secret)), &errors);
	buf_fini(&errors);
	return err;
}

static int find_page(struct up *up)
{
	static const char *const places[] = { "../clients/demo", "../../clients/demo",
					      "../share/roomwire/demo" };
	struct stat st;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char page[sizeof(up->demo_dir) + 16];

		snprintf(up->demo_dir, sizeof(up->demo_dir), "%s/%s", up->bin_dir, places[i]);
		snprintf(page, sizeof(page), "%s/index.html", up->demo_dir);
		if (stat(page, &st) == 0)
			return 0;
	}
	log_error("up", "the demo page is not there: clients/demo/index.html beside bin/");
	return E_CONFIG;
}

/* The text is of the example, which is empty where there is no such file. */
static void read_example(const char *profile_path, struct buf *text, struct json_value *example)
{
	char path[4200];
	size_t n = strlen(profile_path);
	FILE *f;

	*example = (struct json_value){ JSON_NONE, STR_NONE };
	if (n > 5 && strcmp(profile_path + n - 5, ".yaml") == 0)
		n -= 5;
	snprintf(path, sizeof(path), "%.*s.demo.json", (int)n, profile_path);
	f = fopen(path, "r");
	if (!f)
		return;
	while (!feof(f) && !ferror(f) && !text->failed) {
		char *room = buf_room(text, 4096);

		if (!room)
			break;
		text->n += fread(room, 1, 4096, f);
	}
	fclose(f);
	if (json_parse(buf_str(text), example) || example->type != JSON_OBJECT) {
		log_warn("up", "the example is no JSON object, and is not used",
			 KV_Z("path", path));
		example->type = JSON_NONE;
	}
}

/* Of the example; JSON_NONE: not there. */
static struct json_value part(struct json_value example, struct str name)
{
	struct json_value v;

	if (example.type != JSON_OBJECT || json_get(example, name, &v))
		v = (struct json_value){ JSON_NONE, STR_NONE };
	return v;
}

int demo_prepare(struct up *up)
{
	struct conf *conf = &up->svc->conf;
	struct buf text = BUF_INIT(EXAMPLE_MOST);
	struct json_value example;
	int err = 0;

	if (make_up(conf, "jwt_secret", conf->jwt_secret) ||
	    make_up(conf, "api_key", conf->api_key))
		return E_CONFIG;
	read_example(up->svc->profile->path, &text, &example);
	if (part(example, STR("page")).type == JSON_TRUE)
		err = find_page(up);
	buf_fini(&text);
	return err;
}

static int sign_example(const struct conf *conf, struct json_value claims, char **token)
{
	struct buf all = BUF_INIT(EXAMPLE_MOST);
	unsigned long long now = clock_wall_ms() / 1000;
	int err;

	buf_addf(&all, "{\"iat\":%llu,\"exp\":%llu", now, now + TOKEN_SECONDS);
	if (json_count(claims) > 0) {
		buf_addc(&all, ',');
		buf_add(&all, str_skip(claims.raw, 1));
	} else {
		buf_addz(&all, ",\"sub\":\"demo\"}");
	}
	err = all.failed ? all.failed : adapt_jwt_sign(conf->jwt_secret, buf_str(&all), token);
	buf_fini(&all);
	return err;
}

void demo_quote(struct buf *out, struct str word)
{
	bool plain = word.n > 0;

	for (size_t i = 0; i < word.n; i++)
		plain = plain &&
			(isalnum((unsigned char)word.p[i]) || strchr("._-/:,=+@%", word.p[i]));
	if (plain) {
		buf_add(out, word);
		return;
	}
	buf_addc(out, '\'');
	for (size_t i = 0; i < word.n; i++) {
		if (word.p[i] == '\'')
			buf_addz(out, "'\\''");
		else
			buf_addc(out, word.p[i]);
	}
	buf_addc(out, '\'');
}

/* "  tail     bin/roomwire tail --profile …" */
static void add_tail_line(struct buf *out, const struct up *up, struct json_value emit,
			  const char *token)
{
	struct buf text = BUF_INIT(EXAMPLE_MOST);
	struct json_value one;
	struct json_walk walk;
	struct str key, asked;

	buf_addf(&text, "%s/roomwire", up->bin_dir);
	buf_addz(out, "  tail     ");
	demo_quote(out, buf_str(&text));
	buf_addz(out, " tail --profile ");
	demo_quote(out, str_of(up->svc->conf.profile));
	buf_addf(out, " --url http://%s:%d", args_host(up->host), up->port);
	if (token)
		buf_addf(out, " --token %s", token);
	json_walk(emit, &walk);
	while (json_next(&walk, &key, &one) == 0) {
		buf_reset(&text);
		if (json_text(one, &text, &asked))
			continue;
		buf_addz(out, " --emit ");
		demo_quote(out, asked);
	}
	buf_addc(out, '\n');
	buf_fini(&text);
}

static void add_publish_line(struct buf *out, const struct up *up, struct json_value body)
{
	const struct conf *conf = &up->svc->conf;

	buf_addf(out, "  publish  curl -s http://%s:%d/v1/publish -H 'Authorization: Bearer %s' ",
		 args_host(conf->api_host), up->api_port, conf->api_key);
	buf_addz(out, "-H 'Content-Type: application/json' -d ");
	demo_quote(out, body.type == JSON_OBJECT
				? body.raw
				: STR("{\"rooms\":[\"demo\"],\"event\":\"demo\",\"data\":{\"text\":"
				      "\"hello\"}}"));
	buf_addc(out, '\n');
	if (body.type != JSON_OBJECT)
		buf_addz(out,
			 "           (it is accepted, and reaches who is in the room \"demo\": put "
			 "in a room and an event of your profile)\n");
}

void demo_print(const struct up *up)
{
	struct buf text = BUF_INIT(EXAMPLE_MOST), out = BUF_INIT(4 * EXAMPLE_MOST);
	const char *host = args_host(up->host);
	struct json_value example;
	char *token = NULL;
	int err = 0;

	read_example(up->svc->profile->path, &text, &example);
	buf_addz(&out, "\nTry it:\n");
	if (up->svc->profile->token_required)
		err = sign_example(&up->svc->conf, part(example, STR("claims")), &token);
	if (up->demo_dir[0])
		buf_addf(&out, "  page     http://%s:%d/%s%s\n", host, up->port,
			 token ? "?token=" : "", token ? token : "");
	if (token)
		buf_addf(&out, "  token    %s\n", token);
	add_tail_line(&out, up, part(example, STR("emit")), token);
	add_publish_line(&out, up, part(example, STR("publish")));
	if (!err && !out.failed)
		printf(STR_FMT, STR_ARG(buf_str(&out)));
	fflush(stdout);
	free(token);
	buf_fini(&out);
	buf_fini(&text);
}
