/* SPDX-License-Identifier: Apache-2.0 */
/* Join, leave, disconnect at the router's boundary: which commands a call becomes. A router played by hand answers. */
#include "services/ingest/api.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/base_test.h"
#include "common/base/mem.h"
#include "common/clients/router_clnt_test.h"

#define WITHIN_MS 3000

struct calling {
	struct fixture f; /* its router client is the ingest's */
	struct ingest ingest;
	struct svc *svc;
	int fd;
};

static void on_router_message(void *ctx, struct bus_link *link, const struct bus_message *m)
{
	assert_true(router_query_on_message(((struct calling *)ctx)->ingest.queries, link, m));
}

static void calling_open(struct calling *c)
{
	static const struct router_clnt_handlers handlers = { .message = on_router_message };
	struct sockaddr_in at = { .sin_family = AF_INET };
	struct buf errors = BUF_INIT(10000);
	struct profile *profile;
	struct router_clnt_spec spec = {
		.handlers = &handlers, .ctx = c, .max_in_flight = 100, .max_bytes = 1000000
	};
	struct http_server_spec http = { .subject = "api",
					 .host = "127.0.0.1",
					 .max_body_bytes = 100000,
					 .timeout_ms = 5000,
					 .idle_ms = 5000,
					 .max_connections = 10,
					 .on_request = api_on_request,
					 .ctx = &c->ingest };

	memset(c, 0, sizeof(*c));
	world_open(&c->f.world);
	hand_open(&c->f.router[0], &c->f.world, c->f.world.endpoint);
	c->svc = spec.svc = end_open(&c->f.end, &c->f.world, "ingest", "ingest-0");
	free(c->svc->conf.api_key);
	c->svc->conf.api_key = str_dup(STR("k"));
	spec.endpoints = c->f.world.endpoint;
	assert_int_equal(profile_load("conformance", &errors, &profile), 0);
	buf_fini(&errors);
	c->ingest.svc = c->svc;
	c->ingest.profile = profile;
	assert_int_equal(router_clnt_open(&spec, &c->ingest.router), 0);
	assert_int_equal(router_query_open(c->svc, c->ingest.router, 100, &c->ingest.queries), 0);
	assert_int_equal(http_server_open(c->svc->loop, &http, &c->ingest.api), 0);
	hand_welcome(&c->f.router[0], 1, false, 0);
	RUN_UNTIL(&c->f.world, bus_link_up(router_clnt_next(c->ingest.router, NULL)));
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	at.sin_port = htons((uint16_t)http_server_port(c->ingest.api));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&at, sizeof(at)), 0);
}

static void calling_close(struct calling *c)
{
	struct profile *profile = (struct profile *)(uintptr_t)c->ingest.profile;

	assert_int_equal(c->ingest.calls_under_way, 0);
	close(c->fd);
	router_query_close(&c->ingest.queries);
	router_clnt_close(&c->ingest.router);
	http_server_close(&c->ingest.api, NULL, NULL);
	profile_free(&profile);
	fixture_close(&c->f);
}

static void call(struct calling *c, const char *path, const char *body)
{
	char text[2000];
	int n = snprintf(text, sizeof(text),
			 "POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\n"
			 "Content-Length: %zu\r\n\r\n%s",
			 path, strlen(body), body);

	assert_int_equal(send(c->fd, text, (size_t)n, MSG_NOSIGNAL), n);
}

/* The answer begins and ends so. */
static void expect_answer(struct calling *c, const char *status, const char *end)
{
	char text[4000];
	ssize_t n = -1;

	RUN_UNTIL(&c->f.world, (n = recv(c->fd, text, sizeof(text), MSG_DONTWAIT)) > 0);
	if ((size_t)n < strlen(end) || memcmp(text + 9, status, 3) != 0 ||
	    memcmp(text + n - strlen(end), end, strlen(end)) != 0)
		fail_msg("%.*s", (int)n, text);
}

/* The next command, as "verb rooms>targets user"; it is accepted. */
static void expect_command(struct calling *c, const char *want)
{
	struct hand *h = &c->f.router[0];
	const struct seen *seen = script_wait(&h->script, WIRE_PUBLISH);
	const struct wire_publish *m = &seen->any.publish;
	const struct wire_list *lists[] = { &m->rooms, &m->targets };
	struct buf got = BUF_INIT(2000);
	struct wire_list_walk w;
	struct str item;

	buf_addu(&got, m->verb);
	for (int i = 0; i < 2; i++) {
		buf_addc(&got, i ? '>' : ' ');
		wire_list_walk(lists[i], &w);
		while (wire_list_next(&w, &item)) {
			buf_add(&got, item);
			buf_addc(&got, ';');
		}
	}
	buf_addf(&got, " " STR_FMT, STR_ARG(m->user_id));
	assert_str(buf_str(&got), str_of(want));
	assert_str(m->nsp, STR("/custom"));
	assert_false(m->is_volatile);
	assert_true(m->uid_high || m->uid_low);
	hand_answer(h, seen->first, m->ref, "", false);
	buf_fini(&got);
}

/* The next question about sockets; these are found. */
static void expect_question(struct calling *c, const char *room, const char *user,
			    const char *after, const char *const *sids, bool more)
{
	struct script *s = &c->f.router[0].script;
	const struct seen *seen = script_wait(s, WIRE_QUERY_SOCKETS);
	const struct wire_query_sockets *m = &seen->any.query_sockets;
	struct wire_found found = { .ref = m->ref, .more = more };
	struct blob *body = wire_pack(WIRE_FOUND, &found);
	struct buf parts = BUF_INIT(10000);
	char envelope[BUS_ENVELOPE_BYTES];
	struct str frames[4];

	assert_str(m->room, str_of(room));
	assert_str(m->user_id, str_of(user));
	assert_str(m->after_sid, str_of(after));
	for (; sids && *sids; sids++) {
		struct wire_socket_found one = { .sid = str_of(*sids), .nsp = STR("/custom") };
		struct blob *part = wire_pack(WIRE_SOCKET_FOUND, &one);
		const char length[4] = { 0, 0, 0, (char)part->n };

		buf_add(&parts, str_make(length, 4));
		buf_add(&parts, blob_str(part));
		blob_unref(&part);
	}
	frames[0] = str_make(s->peer, s->peer_bytes);
	frames[1] = bus_envelope(envelope, 0, 0);
	frames[2] = blob_str(body);
	frames[3] = buf_str(&parts);
	assert_int_equal(adapt_zmq_send(s->sock, frames, 4), 0);
	blob_unref(&body);
	buf_fini(&parts);
}

static void test_join_goes_to_rooms_sockets_and_looked_up_sockets_of_users(void **state)
{
	static const char *const first[] = { "s1", "s2", NULL }, *const second[] = { "s3", NULL };
	struct calling c;

	(void)state;
	calling_open(&c);
	call(&c, "/v1/rooms/r%2F1/join",
	     "{\"namespace\":\"/custom\",\"sockets\":[\"s9\"],\"users\":[\"u\",\"v\"],\"rooms\":["
	     "\"a\",\"b\"]}");
	expect_question(&c, "", "u", "", first, true);
	expect_question(&c, "", "u", "/custom,s2", second, false);
	expect_question(&c, "", "v", "", NULL, false);
	expect_command(&c, "1 a;b;>r/1; ");
	expect_command(&c, "1 s9;>r/1; ");
	expect_command(&c, "1 s1;s2;s3;>r/1; ");
	expect_answer(&c, "202", "{\"commands\":3}");
	calling_close(&c);
}

static void test_leave_names_the_room_and_who(void **state)
{
	struct calling c;

	(void)state;
	calling_open(&c);
	call(&c, "/v1/rooms/r/leave",
	     "{\"namespace\":\"/custom\",\"sockets\":[\"s9\",\"s8\"],\"users\":[\"u\",\"v\"]}");
	expect_command(&c, "2 s9;s8;>r; ");
	expect_command(&c, "2 r;>r; u");
	expect_command(&c, "2 r;>r; v");
	expect_answer(&c, "202", "{\"commands\":3}");
	call(&c, "/v1/rooms/r/leave", "{\"namespace\":\"/custom\"}");
	expect_command(&c, "2 r;>r; ");
	expect_answer(&c, "202", "{\"commands\":1}");
	calling_close(&c);
}

static void test_disconnect_is_for_those_that_are_in_the_room(void **state)
{
	static const char *const in[] = { "s8", NULL };
	struct calling c;

	(void)state;
	calling_open(&c);
	call(&c, "/v1/rooms/r/disconnect",
	     "{\"namespace\":\"/custom\",\"sockets\":[\"s9\",\"s8\"],\"users\":[\"u\"]}");
	expect_question(&c, "/custom,r", "", "", in, false);
	expect_command(&c, "3 s8;> ");
	expect_command(&c, "3 r;> u");
	expect_answer(&c, "202", "{\"commands\":2}");
	call(&c, "/v1/rooms/r/disconnect", "{\"namespace\":\"/custom\",\"sockets\":[\"s9\"]}");
	expect_question(&c, "/custom,r", "", "", NULL, false);
	expect_answer(&c, "202", "{\"commands\":0}");
	call(&c, "/v1/rooms/r/disconnect", "{\"namespace\":\"/custom\"}");
	expect_command(&c, "3 r;> ");
	expect_answer(&c, "202", "{\"commands\":1}");
	calling_close(&c);
}

static void test_what_no_router_answers_is_told_and_what_is_refused_too(void **state)
{
	struct calling c;
	const struct seen *seen;

	(void)state;
	calling_open(&c);
	c.svc->conf.query_timeout_ms = 50;
	c.svc->conf.publish_timeout_ms = 50;
	call(&c, "/v1/rooms/r/join", "{\"users\":[\"u\"]}"); /* is never looked up */
	expect_answer(&c, "503", "\"}");
	assert_int_equal(c.ingest.calls_under_way, 0);
	call(&c, "/v1/rooms/r/leave", "{}");
	expect_answer(&c, "503", "send it again\"}");
	assert_int_equal(c.ingest.calls_under_way, 1); /* it may still be accepted */
	seen = script_wait(&c.f.router[0].script, WIRE_PUBLISH);
	hand_answer(&c.f.router[0], seen->first, seen->any.publish.ref, "UNAVAILABLE", false);
	RUN_UNTIL(&c.f.world, c.ingest.calls_under_way == 0);
	c.svc->conf.publish_timeout_ms = WITHIN_MS;
	call(&c, "/v1/rooms/r/leave", "{}");
	seen = script_wait(&c.f.router[0].script, WIRE_PUBLISH);
	hand_answer(&c.f.router[0], seen->first, seen->any.publish.ref, "UNAVAILABLE", false);
	expect_answer(&c, "503", "send it again\"}");
	calling_close(&c);
}

static void test_caller_that_leaves_stops_the_looking_up(void **state)
{
	struct calling c;

	(void)state;
	calling_open(&c);
	call(&c, "/v1/rooms/r/join", "{\"users\":[\"u\"]}");
	script_wait(&c.f.router[0].script, WIRE_QUERY_SOCKETS);
	shutdown(c.fd, SHUT_RDWR);
	RUN_UNTIL(&c.f.world, c.ingest.calls_under_way == 0);
	assert_int_equal(script_count(&c.f.router[0].script, WIRE_PUBLISH), 0);
	calling_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join_goes_to_rooms_sockets_and_looked_up_sockets_of_users),
		cmocka_unit_test(test_leave_names_the_room_and_who),
		cmocka_unit_test(test_disconnect_is_for_those_that_are_in_the_room),
		cmocka_unit_test(test_what_no_router_answers_is_told_and_what_is_refused_too),
		cmocka_unit_test(test_caller_that_leaves_stops_the_looking_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
