/* SPDX-License-Identifier: Apache-2.0 */
/* `up --demo`: secrets made up, a page to open, and three lines to try. */
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

int demo_prepare(struct up *up)
{
	struct conf *conf = &up->svc->conf;

	if (make_up(conf, "jwt_secret", conf->jwt_secret) ||
	    make_up(conf, "api_key", conf->api_key))
		return E_CONFIG;
	return find_page(up);
}

/* profiles/NAME.demo.json beside the profile: {"claims": of the token to try, "publish": body of the call to try}. */
static int read_example(const char *profile_path, struct buf *text, struct json_value *example)
{
	char path[4200];
	size_t n = strlen(profile_path);
	FILE *f;

	if (n > 5 && strcmp(profile_path + n - 5, ".yaml") == 0)
		n -= 5;
	snprintf(path, sizeof(path), "%.*s.demo.json", (int)n, profile_path);
	f = fopen(path, "r");
	if (!f)
		return E_NOTFOUND;
	while (!feof(f) && !ferror(f) && !text->failed) {
		char *room = buf_room(text, 4096);

		if (!room)
			break;
		text->n += fread(room, 1, 4096, f);
	}
	fclose(f);
	return json_parse(buf_str(text), example);
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

void demo_print(const struct up *up)
{
	const struct conf *conf = &up->svc->conf;
	struct json_value example = { JSON_NONE, STR_NONE }, claims = example, body = example;
	struct buf text = BUF_INIT(EXAMPLE_MOST);
	char *token = NULL;

	if (read_example(up->svc->profile->path, &text, &example) ||
	    json_get(example, STR("claims"), &claims))
		claims.type = JSON_NONE;
	if (example.type != JSON_OBJECT || json_get(example, STR("publish"), &body))
		body = (struct json_value){
			JSON_OBJECT,
			STR("{\"rooms\":[\"ROOM\"],\"event\":\"EVENT\",\"data\":{}}")
		};
	if (sign_example(conf, claims, &token) == 0) {
		printf("\nTry it:\n");
		printf("  page     http://%s:%d/?token=%s\n", up->host, up->port, token);
		printf("  token    %s\n", token);
		printf("  publish  curl -s http://%s:%d/v1/publish -H 'Authorization: Bearer %s' "
		       "-H 'Content-Type: application/json' -d '" STR_FMT "'\n",
		       conf->api_host, up->api_port, conf->api_key, STR_ARG(body.raw));
		fflush(stdout);
	}
	free(token);
	buf_fini(&text);
}
