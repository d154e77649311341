/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publish API (contract, section 4): POST /v1/publish sends an event to rooms, POST /v1/events runs a domain event through the profile's
 * mapping. 202 when the router has it, and only then.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/ingest/api_parse.h"

#define MADE_UP_ID_BYTES 22

/* A call whose event is on its way to the router. */
struct call {
	struct ingest *ingest;
	struct http_exchange *x; /* NULL: answered, or the caller has left */
	struct wheel_timer timer;
	uint64_t began_ns;
	size_t id_bytes;
	char id[API_ID_BYTES];
};

static void end(struct call *call)
{
	svc_cancel(call->ingest->svc, &call->timer);
	call->ingest->calls_under_way--;
	mem_free(call);
}

static void accepted(struct call *call)
{
	struct buf body = BUF_INIT(4096);

	buf_addz(&body, "{\"id\":");
	buf_add_json(&body, str_make(call->id, call->id_bytes));
	buf_addc(&body, '}');
	http_respond(call->x, 202, STR("application/json"), STR_NONE, buf_str(&body));
	buf_fini(&body);
}

static void on_published(void *ctx, int err, struct str code, bool duplicate)
{
	struct call *call = ctx;

	(void)duplicate;
	metrics_observe_ns(METRIC_H_ACCEPT, clock_exact_ns() - call->began_ns);
	if (call->x && err == 0)
		accepted(call);
	else if (call->x && err == E_DENIED && !str_is(code, "UNAVAILABLE"))
		http_respond_error(call->x, 400, "INVALID_PAYLOAD", "the router refused the event");
	else if (call->x)
		http_respond_error(call->x, 503, "UNAVAILABLE", "the event cannot be accepted now");
	end(call);
}

/* The caller is told to try again; should the router still get the event, its id makes the second try harmless. */
static void on_timeout(struct wheel_timer *timer)
{
	struct call *call = CONTAINER_OF(timer, struct call, timer);

	if (call->x)
		http_respond_error(
			call->x, 503, "UNAVAILABLE",
			"no router has accepted the event in time: send it again with the same id");
	call->x = NULL;
}

static void on_gone(struct http_exchange *x, void *user)
{
	struct call *call = user;

	(void)x;
	call->x = NULL;
}

static struct call *begin(struct ingest *ingest, struct http_exchange *x, struct str id)
{
	struct call *call = NULL;

	if (!ingest->draining && ingest->calls_under_way < (size_t)ingest->svc->conf.api_in_flight)
		call = mem_try(sizeof(*call));
	if (!call)
		return NULL;
	call->ingest = ingest;
	call->x = x;
	call->began_ns = clock_exact_ns();
	if (id.n) {
		memcpy(call->id, id.p, id.n);
		call->id_bytes = id.n;
	} else {
		rnd_id(call->id, MADE_UP_ID_BYTES);
		call->id_bytes = MADE_UP_ID_BYTES;
	}
	wheel_timer_init(&call->timer, on_timeout);
	ingest->calls_under_way++;
	return call;
}

/* What became of the attempt to send it on. */
static void sent(struct call *call, int err, const struct buf *why)
{
	struct ingest *ingest = call->ingest;

	if (err == 0) {
		metrics_inc(METRIC_INGEST_HTTP);
		return;
	}
	if (why->n > 0) {
		metrics_inc(METRIC_INGEST_DEAD);
		http_respond_error(call->x, 400, "INVALID_PAYLOAD", why->p);
	} else {
		http_respond_error(call->x, 503, "UNAVAILABLE", "the event cannot be accepted now");
	}
	svc_cancel(ingest->svc, &call->timer);
	ingest->calls_under_way--;
	mem_free(call);
}

static void wait_for_router(struct call *call)
{
	http_on_gone(call->x, on_gone, call);
	svc_arm(call->ingest->svc, &call->timer,
		clock_ms() + (uint64_t)call->ingest->svc->conf.publish_timeout_ms);
}

static void publish(struct ingest *ingest, struct http_exchange *x, struct str body)
{
	struct buf why = BUF_INIT(512),
		   scratch = BUF_INIT((size_t)ingest->svc->conf.max_payload * 2 + 4096);
	struct api_publish p;
	struct call *call;
	struct blob *args;
	int err;

	if (api_parse_publish(ingest->profile, body, &p, &scratch, &why)) {
		buf_addc(&why, '\0');
		http_respond_error(x, 400, "INVALID_PAYLOAD",
				   why.p ? why.p : "the body cannot be read");
		goto out;
	}
	call = begin(ingest, x, p.id);
	if (!call) {
		http_respond_error(x, 503, "UNAVAILABLE", "too many publish calls are under way");
		goto out;
	}
	router_clnt_uid(str_make(call->id, call->id_bytes), &p.message.uid_high,
			&p.message.uid_low);
	wait_for_router(call);
	args = blob_copy(p.data);
	err = args ? router_clnt_publish(ingest->router, &p.message, &args, 1, 0, on_published,
					 call)
		   : E_NOMEM;
	blob_unref(&args);
	sent(call, err, &why);
out:
	api_publish_fini(&p);
	buf_fini(&why);
	buf_fini(&scratch);
}

static void event(struct ingest *ingest, struct http_exchange *x, struct str body)
{
	struct buf why = BUF_INIT(512),
		   scratch = BUF_INIT(body.n * 2 + 4096); /* api_parse_event copies the body */
	struct api_event e;
	struct call *call;
	int err;

	if (api_parse_event(body, &e, &scratch, &why)) {
		buf_addc(&why, '\0');
		http_respond_error(x, 400, "INVALID_PAYLOAD",
				   why.p ? why.p : "the body cannot be read");
		goto out;
	}
	call = begin(ingest, x, e.id);
	if (!call) {
		http_respond_error(x, 503, "UNAVAILABLE", "too many publish calls are under way");
		goto out;
	}
	wait_for_router(call);
	err = event_publish(ingest, e.type, e.body, str_make(call->id, call->id_bytes), 0,
			    on_published, call, &why);
	if (why.n > 0)
		buf_addc(&why, '\0');
	if (err)
		sent(call, err, &why);
	else
		metrics_inc(METRIC_INGEST_HTTP);
out:
	buf_fini(&why);
	buf_fini(&scratch);
}

/* 0, or the answer has been given. */
static int check_key(struct ingest *ingest, struct http_exchange *x)
{
	struct str key = str_of(ingest->svc->conf.api_key), value, scheme, given = STR_NONE;

	if (key.n == 0) {
		http_respond_error(x, 403, "FORBIDDEN",
				   "publishing is off: set API_KEY to allow it");
		return E_DENIED;
	}
	if (http_header(x, "authorization", &value) && str_cut(value, ' ', &scheme, &given) &&
	    str_eq_nocase(scheme, STR("bearer")) && str_eq_secret(str_trim(given), key))
		return 0;
	http_respond(x, 401, STR("application/json"), STR("WWW-Authenticate: Bearer\r\n"),
		     STR("{\"code\":\"UNAUTHORIZED\",\"message\":\"send the header Authorization: "
			 "Bearer API_KEY\"}"));
	return E_DENIED;
}

void api_on_request(struct http_exchange *x, const struct http_request *request, void *ctx)
{
	struct ingest *ingest = ctx;
	bool is_publish = str_is(request->path, "/v1/publish"),
	     is_event = str_is(request->path, "/v1/events");

	if (!is_publish && !is_event) {
		http_respond_error(x, 404, "NOT_FOUND",
				   "there are POST /v1/publish and POST /v1/events");
		return;
	}
	if (check_key(ingest, x))
		return;
	if (request->method != HTTP_METHOD_POST) {
		http_respond(x, 405, STR("application/json"), STR("Allow: POST\r\n"),
			     STR("{\"code\":\"METHOD_NOT_ALLOWED\",\"message\":\"use POST\"}"));
		return;
	}
	if (is_publish)
		publish(ingest, x, request->body);
	else
		event(ingest, x, request->body);
}
