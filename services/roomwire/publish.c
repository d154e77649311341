/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "common/json/json.h"
#include "common/profile/profile.h"
#include "services/roomwire/http_client.h"
#include "services/roomwire/roomwire.h"

#define CALL_SECONDS 15
#define BODY_MOST (8u << 20)

struct publish {
	const char *profile, *url, *event, *data, *nsp, *id;
	struct buf rooms; /* JSON texts joined by commas */
};

static int parse(struct publish *p, int argc, char **argv)
{
	const char *room;

	for (int i = 1; i < argc; i++) {
		if (args_value(argc, argv, &i, "--room", &room)) {
			if (p->rooms.n)
				buf_addc(&p->rooms, ',');
			buf_add_json(&p->rooms, str_of(room));
			continue;
		}
		if (!args_value(argc, argv, &i, "--profile", &p->profile) &&
		    !args_value(argc, argv, &i, "--url", &p->url) &&
		    !args_value(argc, argv, &i, "--event", &p->event) &&
		    !args_value(argc, argv, &i, "--data", &p->data) &&
		    !args_value(argc, argv, &i, "--namespace", &p->nsp) &&
		    !args_value(argc, argv, &i, "--id", &p->id)) {
			args_wrong("publish", argv[i],
				   "--profile, --url, --room, --event, --data, --namespace, --id");
			return E_CONFIG;
		}
	}
	if (!p->rooms.n || !p->event || !p->data) {
		args_wrong("publish", NULL, "--room ROOM --event EVENT --data JSON");
		return E_CONFIG;
	}
	return 0;
}

static int make_body(const struct publish *p, struct buf *body)
{
	struct json_value v;

	if (json_parse(str_of(p->data), &v)) {
		args_wrong("--data", p->data, "JSON (a text needs its quotes: '\"hello\"')");
		return E_CONFIG;
	}
	buf_addz(body, "{\"rooms\":[");
	buf_add(body, buf_str(&p->rooms));
	buf_addz(body, "],\"event\":");
	buf_add_json(body, str_of(p->event));
	if (p->nsp) {
		buf_addz(body, ",\"namespace\":");
		buf_add_json(body, str_of(p->nsp));
	}
	if (p->id) {
		buf_addz(body, ",\"id\":");
		buf_add_json(body, str_of(p->id));
	}
	buf_addz(body, ",\"data\":");
	buf_add(body, v.raw);
	buf_addc(body, '}');
	return body->failed;
}

static int call(const struct publish *p, const struct conf *c, struct str body)
{
	struct buf headers = BUF_INIT(8192), answer = BUF_INIT(1u << 20);
	struct http_url url;
	char own[320];
	int status = 0, err;

	snprintf(own, sizeof(own), "http://%s:%lld", args_host(c->api_host),
		 (long long)(c->api_port ? c->api_port : c->port + 1));
	buf_addf(&headers, "Authorization: Bearer %s\r\nContent-Type: application/json\r\n",
		 c->api_key);
	buf_addc(&headers, '\0');
	if (http_url_parse(p->url ? p->url : own, &url)) {
		args_wrong("--url", p->url, "http://HOST:PORT of the publish API");
		err = E_CONFIG;
	} else {
		err = http_call(&url, "POST", "/v1/publish", headers.p, body, CALL_SECONDS, &status,
				&answer);
	}
	if (!err)
		fprintf(status == 202 ? stdout : stderr, "%d " STR_FMT "\n", status,
			STR_ARG(buf_str(&answer)));
	buf_fini(&headers);
	buf_fini(&answer);
	return err == E_CONFIG ? EXIT_CONFIG : err || status != 202 ? EXIT_FAILED : 0;
}

int publish_run(int argc, char **argv)
{
	struct publish p = { .rooms = BUF_INIT(1u << 20) };
	struct buf body = BUF_INIT(BODY_MOST);
	struct profile *profile = NULL;
	struct conf c;
	int code = EXIT_CONFIG;

	if (parse(&p, argc, argv) == 0 && make_body(&p, &body) == 0) {
		if (args_conf(NULL, p.profile, &c, &profile) == 0)
			code = call(&p, &c, buf_str(&body));
		profile_free(&profile);
		conf_fini(&c);
	}
	buf_fini(&body);
	buf_fini(&p.rooms);
	return code;
}
