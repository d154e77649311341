/* SPDX-License-Identifier: Apache-2.0 */
/* `up --demo`: secrets made up, a page to open, and three lines to try. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/adapt/adapt_jwt.h"
#include "common/base/clock.h"
#include "common/base/rnd.h"
#include "common/log/log.h"
#include "services/roomwire/up.h"

#define SECRET_CHARS 43
#define TOKEN_SECONDS 43200u
#define DEMO_TICKET "00000000-0000-4000-8000-000000000042"

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
	static const char *const places[] = { "../clients/demo", "../../clients/demo", "../share/roomwire/demo" };
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

	if (make_up(conf, "jwt_secret", conf->jwt_secret) || make_up(conf, "api_key", conf->api_key))
		return E_CONFIG;
	return find_page(up);
}

void demo_print(const struct up *up)
{
	const struct conf *conf = &up->svc->conf;
	struct buf claims = BUF_INIT(4096);
	char *token = NULL;
	unsigned long long now = clock_wall_ms() / 1000;

	buf_addf(&claims, "{\"sub\":\"demo-agent\",\"roles\":[\"agent\"],\"iat\":%llu,\"exp\":%llu}", now, now + TOKEN_SECONDS);
	if (adapt_jwt_sign(conf->jwt_secret, buf_str(&claims), &token) == 0) {
		printf("\nTry it:\n");
		printf("  page     http://%s:%d/?token=%s\n", up->host, up->port, token);
		printf("  token    %s\n", token);
		printf("  publish  curl -s http://%s:%d/v1/publish -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' "
		       "-d '{\"rooms\":[\"ticket:" DEMO_TICKET "\"],\"event\":\"message:new\",\"data\":{\"text\":\"hello from curl\"}}'\n",
		       conf->api_host, up->api_port, conf->api_key);
		fflush(stdout);
	}
	buf_fini(&claims);
	free(token);
}
