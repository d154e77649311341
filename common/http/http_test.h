/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of the HTTP server: a server with a handler that answers at once, later, or takes the socket. */
#ifndef ROOMWIRE_HTTP_HTTP_TEST_H
#define ROOMWIRE_HTTP_HTTP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/http/http_server.h"
#include "common/log/log.h"

#define H "Host: test\r\n"

struct fixture {
	uv_loop_t loop;
	struct http_server *server;
	struct http_exchange *later; /* the request that waits for test_answer */
	struct str later_body;
	struct buf taken;
	int taken_fd, gone_count, request_count;
	bool closed;
};

static inline void on_gone(struct http_exchange *x, void *user)
{
	struct fixture *f = user;

	assert_ptr_equal(x, f->later);
	f->later = NULL;
	f->gone_count++;
}

static inline void answer_echo(struct http_exchange *x, const struct http_request *r)
{
	struct buf body = BUF_INIT(8u << 20), scratch = BUF_INIT(4096);
	struct str value;

	buf_addf(&body, "%d " STR_FMT " [" STR_FMT "] ", r->method, STR_ARG(r->path),
		 STR_ARG(r->query));
	if (http_header(x, "x-TEST", &value))
		buf_addf(&body, "x=" STR_FMT " ", STR_ARG(value));
	if (http_query(r, "q", &scratch, &value))
		buf_addf(&body, "q=" STR_FMT " ", STR_ARG(value));
	buf_add(&body, r->body);
	http_respond(x, 200, STR("text/plain"), STR("X-Own: 1\r\n"), buf_str(&body));
	buf_fini(&body);
	buf_fini(&scratch);
}

static inline void on_request(struct http_exchange *x, const struct http_request *r, void *ctx)
{
	struct fixture *f = ctx;

	f->request_count++;
	assert_string_equal(r->address.p, "127.0.0.1");
	if (r->upgrade && str_is(r->path, "/take")) {
		f->taken_fd = http_take_socket(x, &f->taken);
	} else if (str_is(r->path, "/later")) {
		f->later = x;
		f->later_body = r->body;
		http_on_gone(x, on_gone, f);
	} else if (str_is(r->path, "/big")) {
		char *big = malloc(8u << 20);

		memset(big, 'b', 8u << 20);
		http_respond(x, 200, STR("text/plain"), STR_NONE, str_make(big, 8u << 20));
		free(big);
	} else if (str_is(r->path, "/none")) {
		http_respond(x, 204, STR_NONE, STR_NONE, STR_NONE);
	} else if (str_is(r->path, "/close")) {
		http_respond_close(x, 200, STR("text/plain"), STR_NONE, STR("bye"));
	} else if (str_is(r->path, "/wrong")) {
		http_respond_error(x, 409, "CONFLICT", "say \"no\"");
	} else {
		answer_echo(x, r);
	}
}

static inline void on_server_closed(void *ctx)
{
	((struct fixture *)ctx)->closed = true;
}

static const struct http_server_spec usual = {
	.subject = "test",
	.host = "127.0.0.1",
	.max_body_bytes = 1000,
	.timeout_ms = 2000,
	.idle_ms = 2000,
	.max_connections = 20,
};

static inline void open_server(struct fixture *f, struct http_server_spec spec)
{
	memset(f, 0, sizeof(*f));
	f->taken_fd = -1;
	log_threshold = LOG_ERROR;
	assert_int_equal(uv_loop_init(&f->loop), 0);
	spec.on_request = on_request;
	spec.ctx = f;
	assert_int_equal(http_server_open(&f->loop, &spec, &f->server), 0);
}

static inline void close_server(struct fixture *f)
{
	if (f->server)
		http_server_close(&f->server, on_server_closed, f);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_true(f->closed);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	buf_fini(&f->taken);
}

#endif
