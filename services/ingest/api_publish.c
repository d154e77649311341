/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing (contract, section 4): POST /v1/publish sends an event to rooms, or several in their order; POST /v1/events runs a domain event through the
 * profile's mapping. 202 when the router has it, and only then.
 */
#include "common/base/clock.h"
#include "common/base/rnd.h"
#include "common/metrics/metrics.h"
#include "services/ingest/api.h"
#include "services/ingest/api_batch.h"
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
	api_end(call->ingest, 1, call);
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
		api_unavailable(call->x, "the event cannot be accepted now");
	end(call);
}

/* The caller is told to try again; should the router still get the event, its id makes the second try harmless. */
static void on_timeout(struct wheel_timer *timer)
{
	struct call *call = CONTAINER_OF(timer, struct call, timer);

	if (call->x)
		api_unavailable(call->x, "no router has accepted the event in time: send it again "
					 "with the same id");
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
	struct call *call = api_begin(ingest, 1, sizeof(*call));

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
	return call;
}

/* What became of the attempt to send it on. */
static void sent(struct call *call, int err, struct buf *why)
{
	if (err == 0) {
		metrics_inc(METRIC_INGEST_HTTP);
		return;
	}
	if (why->n > 0) {
		metrics_inc(METRIC_INGEST_DEAD);
		api_refuse(call->x, why);
	} else {
		api_unavailable(call->x, "the event cannot be accepted now");
	}
	end(call);
}

static void wait_for_router(struct call *call)
{
	http_on_gone(call->x, on_gone, call);
	svc_arm(call->ingest->svc, &call->timer,
		clock_ms() + (uint64_t)call->ingest->svc->conf.publish_timeout_ms);
}

static void publish_one(struct ingest *ingest, struct http_exchange *x, struct api_publish *p)
{
	struct buf why = BUF_INIT(16);
	struct call *call = begin(ingest, x, p->id);
	struct blob *args;
	int err;

	if (!call) {
		api_unavailable(x, "too many calls are under way");
		return;
	}
	router_clnt_uid(str_make(call->id, call->id_bytes), &p->message.uid_high,
			&p->message.uid_low);
	wait_for_router(call);
	args = blob_copy(p->data);
	err = args ? router_clnt_publish(ingest->router, &p->message, &args, 1, 0, on_published,
					 call)
		   : E_NOMEM;
	blob_unref(&args);
	sent(call, err, &why);
}

void api_post_publish(struct ingest *ingest, struct http_exchange *x,
		      const struct http_request *request, struct str name)
{
	struct buf why = BUF_INIT(512),
		   scratch = BUF_INIT((size_t)ingest->svc->conf.max_payload * 2 + 4096);
	struct json_value object, messages;
	struct api_publish p = { .rooms = NULL };

	(void)name;
	if (api_parse_body(request->body, &object, &why))
		api_refuse(x, &why);
	else if (json_get(object, STR("messages"), &messages) == 0)
		batch_publish(ingest, x, messages);
	else if (api_parse_publish(ingest->profile, object, &p, &scratch, &why))
		api_refuse(x, &why);
	else
		publish_one(ingest, x, &p);
	api_publish_fini(&p);
	buf_fini(&why);
	buf_fini(&scratch);
}

void api_post_event(struct ingest *ingest, struct http_exchange *x,
		    const struct http_request *request, struct str name)
{
	struct buf why = BUF_INIT(512),
		   scratch = BUF_INIT(request->body.n * 2 + 4096); /* api_parse_event copies it */
	struct api_event e;
	struct call *call;
	int err;

	(void)name;
	if (api_parse_event(request->body, &e, &scratch, &why)) {
		api_refuse(x, &why);
		goto out;
	}
	call = begin(ingest, x, e.id);
	if (!call) {
		api_unavailable(x, "too many calls are under way");
		goto out;
	}
	wait_for_router(call);
	err = event_publish(ingest, e.type, e.body, str_make(call->id, call->id_bytes), 0,
			    on_published, call, &why);
	if (err)
		sent(call, err, &why);
	else
		metrics_inc(METRIC_INGEST_HTTP);
out:
	buf_fini(&why);
	buf_fini(&scratch);
}
