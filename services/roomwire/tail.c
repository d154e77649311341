/* SPDX-License-Identifier: Apache-2.0 */
/* A client that prints what arrives: Engine.IO by long-polling, which needs nothing but HTTP; or the plain dialect (tail_plain.c). */
#include "services/roomwire/tail.h"

#include <stdio.h>

#include "common/sio/eio.h"
#include "common/sio/sio.h"
#include "common/profile/profile.h"
#include "services/roomwire/roomwire.h"

#define POLL_SECONDS 120
static int parse(struct tail *t, int argc, char **argv)
{
	const char *emit;

	for (int i = 1; i < argc; i++) {
		if (args_value(argc, argv, &i, "--emit", &emit) && t->emit_count < TAIL_EMITS_MAX) {
			t->emits[t->emit_count++] = emit;
			continue;
		}
		if (!args_value(argc, argv, &i, "--profile", &t->profile) &&
		    !args_value(argc, argv, &i, "--url", &t->url_text) &&
		    !args_value(argc, argv, &i, "--token", &t->token) &&
		    !args_value(argc, argv, &i, "--namespace", &t->nsp)) {
			args_wrong("tail", argv[i],
				   "--profile, --url, --token, --namespace, --emit EVENT=JSON");
			return E_CONFIG;
		}
	}
	return 0;
}

/* Where it is, and which dialect it speaks. */
static int find_gateway(struct tail *t)
{
	struct profile *profile = NULL;
	struct conf c;
	char own[320];
	int err = args_conf(NULL, t->profile, &c, &profile);

	t->dialect_known = profile != NULL;
	t->plain = profile && profile->dialect == PROFILE_PLAIN;
	snprintf(own, sizeof(own), "http://%s:%lld", args_host(c.host), (long long)c.port);
	profile_free(&profile);
	conf_fini(&c);
	if (!err && http_url_parse(t->url_text ? t->url_text : own, &t->url)) {
		args_wrong("--url", t->url_text, "http://HOST:PORT of the gateway");
		err = E_CONFIG;
	}
	return err;
}

void tail_hint(const struct tail *t)
{
	if (!t->dialect_known)
		fprintf(stderr, "hint: Socket.IO is not served there. If it is a gateway of plain "
				"WebSockets, add --profile NAME, so that tail "
				"speaks its dialect\n");
	else
		fprintf(stderr,
			"hint: what is served there is not %s, the dialect of this profile: is "
			"--profile the one it was started with?\n",
			t->plain ? "plain WebSockets" : "Socket.IO");
}

static int request(const struct tail *t, const char *method, struct str body, struct buf *answer)
{
	int status = 0, err;

	buf_reset(answer);
	err = http_call(&t->url, method, t->target, "Content-Type: text/plain;charset=UTF-8\r\n",
			body, POLL_SECONDS, &status, answer);
	if (!err && status != 200) {
		fprintf(stderr, "%d " STR_FMT "\n", status, STR_ARG(buf_str(answer)));
		if (status == 404)
			tail_hint(t);
		err = E_FAIL;
	}
	return err;
}

static int handshake(struct tail *t, struct buf *answer)
{
	struct json_value open, sid;
	int err;

	snprintf(t->target, sizeof(t->target), "/socket.io/?EIO=4&transport=polling");
	err = request(t, "GET", STR_NONE, answer);
	if (err)
		return err;
	if (answer->n < 2 || json_parse(str_skip(buf_str(answer), 1), &open) ||
	    json_get(open, STR("sid"), &sid) || sid.raw.n < 3) {
		fprintf(stderr, "that is no Socket.IO server\n");
		return E_FAIL;
	}
	snprintf(t->target, sizeof(t->target), "/socket.io/?EIO=4&transport=polling&sid=%.*s",
		 (int)(sid.raw.n - 2), sid.raw.p + 1);
	return 0;
}

/* CONNECT, and what --emit asked for. */
static int say_hello(struct tail *t, struct buf *answer)
{
	struct buf out = BUF_INIT(1u << 20);
	struct str nsp = str_of(t->nsp ? t->nsp : "/"), name, args;
	int err;

	buf_addc(&out, '4');
	sio_encode_head(&out, SIO_CONNECT, 0, nsp, -1);
	if (t->token) {
		buf_addz(&out, "{\"token\":");
		buf_add_json(&out, str_of(t->token));
		buf_addc(&out, '}');
	}
	err = request(t, "POST", buf_str(&out), answer);
	for (int i = 0; i < t->emit_count && !err; i++) {
		str_cut(str_of(t->emits[i]), '=', &name, &args);
		buf_reset(&out);
		buf_addc(&out, '4');
		sio_encode_head(&out, SIO_EVENT, 0, nsp, i + 1);
		sio_encode_args(&out, name, args);
		err = request(t, "POST", buf_str(&out), answer);
	}
	buf_fini(&out);
	return err;
}

/* One line per packet. False: the server has ended the session. */
static bool print(struct str packets, bool *pinged)
{
	struct eio_packet packet;

	while (packets.n > 0 && eio_payload_next(&packets, &packet) == 0) {
		if (packet.type == EIO_PING)
			*pinged = true;
		else if (packet.type == EIO_CLOSE)
			return false;
		else if (packet.type == EIO_MESSAGE)
			printf(STR_FMT "\n", STR_ARG(packet.body));
	}
	fflush(stdout);
	return true;
}

static int follow(struct tail *t, struct buf *answer)
{
	struct buf ignored = BUF_INIT(1u << 16);
	bool open = true;
	int err = 0;

	while (open && !err) {
		bool pinged = false;

		err = request(t, "GET", STR_NONE, answer);
		if (!err)
			open = print(buf_str(answer), &pinged);
		if (!err && open && pinged)
			err = request(t, "POST", STR("3"), &ignored);
	}
	if (!open)
		fprintf(stderr, "the server has closed the connection\n");
	buf_fini(&ignored);
	return err;
}

int tail_run(int argc, char **argv)
{
	struct buf answer = BUF_INIT(64u << 20);
	struct tail t = { 0 };
	int err;

	if (parse(&t, argc, argv) || find_gateway(&t))
		return EXIT_CONFIG;
	err = t.plain ? tail_plain(&t) : handshake(&t, &answer);
	if (!err && !t.plain)
		err = say_hello(&t, &answer);
	if (!err && !t.plain)
		err = follow(&t, &answer);
	buf_fini(&answer);
	return err ? EXIT_FAILED : 0;
}
