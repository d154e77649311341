/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/api_batch.h"

#include "common/base/clock.h"
#include "common/base/rnd.h"
#include "common/metrics/metrics.h"
#include "services/ingest/api.h"
#include "services/ingest/api_parse.h"

#define MADE_UP_ID_BYTES 22
#define WRONG_SHOWN 20u

enum item_state { ITEM_UNKNOWN = 0, ITEM_ACCEPTED, ITEM_REFUSED };

struct item {
	struct batch *batch;
	enum item_state state;
	uint32_t id_bytes;
	size_t id_at; /* in batch->ids */
};

/* A call whose messages are on their way. Freed when the last of them is settled. */
struct batch {
	struct ingest *ingest;
	struct http_exchange *x; /* NULL: answered, or the caller has left */
	struct wheel_timer timer;
	uint64_t began_ns;
	struct buf ids;
	uint32_t count, open; /* open: not settled, and one for the sending itself */
	struct item items[];
};

static void add_ids(const struct batch *b, struct buf *out)
{
	buf_addz(out, "{\"ids\":[");
	for (uint32_t i = 0; i < b->count; i++) {
		if (i)
			buf_addc(out, ',');
		buf_add_json(out, str_make(b->ids.p + b->items[i].id_at, b->items[i].id_bytes));
	}
	buf_addz(out, "]}");
}

static void add_results(const struct batch *b, struct buf *out)
{
	static const char *const words[] = { "unknown", "accepted", "refused" };

	buf_addz(out,
		 "{\"code\":\"UNAVAILABLE\",\"message\":\"not all messages were accepted: send "
		 "those that were not again with the ids below\",\"results\":[");
	for (uint32_t i = 0; i < b->count; i++) {
		buf_addz(out, i ? ",{\"id\":" : "{\"id\":");
		buf_add_json(out, str_make(b->ids.p + b->items[i].id_at, b->items[i].id_bytes));
		buf_addf(out, ",\"state\":\"%s\"}", words[b->items[i].state]);
	}
	buf_addz(out, "]}");
}

/* As far as it is known now. */
static void answer(struct batch *b)
{
	struct buf body = BUF_INIT(16u << 20);
	bool all = true;

	if (!b->x)
		return;
	for (uint32_t i = 0; i < b->count; i++)
		all &= b->items[i].state == ITEM_ACCEPTED;
	if (all) {
		add_ids(b, &body);
		http_respond(b->x, 202, STR("application/json"), STR_NONE, buf_str(&body));
	} else {
		add_results(b, &body);
		http_respond(b->x, 503, STR("application/json"), STR("Retry-After: 1\r\n"),
			     buf_str(&body));
	}
	b->x = NULL;
	buf_fini(&body);
}

static void settle(struct batch *b)
{
	if (--b->open > 0)
		return;
	svc_cancel(b->ingest->svc, &b->timer);
	answer(b);
	buf_fini(&b->ids);
	api_end(b->ingest, b->count, b);
}

static void on_published(void *ctx, int err, struct str code, bool duplicate)
{
	struct item *item = ctx;

	(void)code;
	(void)duplicate;
	item->state = err ? ITEM_REFUSED : ITEM_ACCEPTED;
	metrics_observe_ns(METRIC_H_ACCEPT, clock_exact_ns() - item->batch->began_ns);
	settle(item->batch);
}

/* What is not settled by now may still be accepted: ids make a second try harmless. */
static void on_timeout(struct wheel_timer *timer)
{
	answer(CONTAINER_OF(timer, struct batch, timer));
}

static void on_gone(struct http_exchange *x, void *user)
{
	struct batch *b = user;

	(void)x;
	b->x = NULL;
}

static struct batch *begin(struct ingest *ingest, struct http_exchange *x, uint32_t count)
{
	struct batch *b = api_begin(ingest, count, sizeof(*b) + count * sizeof(b->items[0]));

	if (!b)
		return NULL;
	b->ingest = ingest;
	b->x = x;
	b->began_ns = clock_exact_ns();
	b->count = count;
	b->open = 1;
	buf_init(&b->ids, (size_t)API_BATCH_MAX * API_ID_BYTES);
	wheel_timer_init(&b->timer, on_timeout);
	svc_arm(ingest->svc, &b->timer,
		clock_ms() + (uint64_t)ingest->svc->conf.publish_timeout_ms);
	http_on_gone(x, on_gone, b);
	return b;
}

static int note_id(struct item *item, struct str id)
{
	struct buf *ids = &item->batch->ids;
	char made_up[MADE_UP_ID_BYTES];

	if (id.n == 0) {
		rnd_id(made_up, MADE_UP_ID_BYTES);
		id = str_make(made_up, sizeof(made_up));
	}
	item->id_at = ids->n;
	item->id_bytes = (uint32_t)id.n;
	buf_add(ids, id);
	return ids->failed;
}

static int send_item(struct item *item, struct api_publish *p, uint64_t lane)
{
	struct batch *b = item->batch;
	struct blob *args;
	int err;

	router_clnt_uid(str_make(b->ids.p + item->id_at, item->id_bytes), &p->message.uid_high,
			&p->message.uid_low);
	args = blob_copy(p->data);
	err = args ? router_clnt_publish(b->ingest->router, &p->message, &args, 1, lane,
					 on_published, item)
		   : E_NOMEM;
	blob_unref(&args);
	if (err)
		return err;
	b->open++;
	metrics_inc(METRIC_INGEST_HTTP);
	return 0;
}

/* In their order. Behind one that does not go none is sent. */
static void send_all(struct batch *b, struct json_value messages, struct buf *scratch,
		     struct buf *why)
{
	uint64_t lane = api_lane(b->ingest);
	struct json_walk walk;
	struct json_value v;
	int err = 0;

	json_walk(messages, &walk);
	for (uint32_t i = 0; i < b->count && json_next(&walk, NULL, &v) == 0; i++) {
		struct item *item = &b->items[i];
		struct api_publish p;

		item->batch = b;
		buf_reset(scratch);
		if (api_parse_publish(b->ingest->profile, v, &p, scratch, why))
			err = E_NOMEM; /* it was checked: nothing else is left */
		if (note_id(item, p.id))
			err = E_NOMEM;
		if (!err)
			err = send_item(item, &p, lane);
		if (err)
			item->state = ITEM_REFUSED;
		api_publish_fini(&p);
	}
	settle(b);
}

/* ── before anything is sent ── */

static int check(struct ingest *ingest, struct json_value messages, struct buf *scratch,
		 struct buf *refused)
{
	struct json_walk walk;
	struct json_value v;
	uint32_t wrong = 0;

	json_walk(messages, &walk);
	for (uint32_t i = 0; wrong < WRONG_SHOWN && json_next(&walk, NULL, &v) == 0; i++) {
		struct buf why = BUF_INIT(512);
		struct api_publish p = { .rooms = NULL };
		int err = v.type == JSON_OBJECT ? 0 : E_TYPE;

		if (err)
			buf_addz(&why, "a message must be a JSON object");
		buf_reset(scratch);
		if (!err)
			err = api_parse_publish(ingest->profile, v, &p, scratch, &why);
		if (err) {
			buf_addf(refused, "%s{\"index\":%u,\"message\":", wrong++ ? "," : "", i);
			buf_add_json(refused, buf_str(&why));
			buf_addc(refused, '}');
		}
		api_publish_fini(&p);
		buf_fini(&why);
	}
	return wrong ? E_TYPE : 0;
}

static void refuse(struct http_exchange *x, const struct buf *refused)
{
	struct buf body = BUF_INIT(64u << 10);

	metrics_inc(METRIC_INGEST_DEAD);
	buf_addz(&body,
		 "{\"code\":\"INVALID_PAYLOAD\",\"message\":\"nothing was published: some messages "
		 "are wrong\",\"refused\":[");
	buf_add(&body, buf_str(refused));
	buf_addz(&body, "]}");
	http_respond(x, 400, STR("application/json"), STR_NONE, buf_str(&body));
	buf_fini(&body);
}

void batch_publish(struct ingest *ingest, struct http_exchange *x, struct json_value messages)
{
	struct buf why = BUF_INIT(512), refused = BUF_INIT(32u << 10),
		   scratch = BUF_INIT((size_t)ingest->svc->conf.max_payload * 2 + 4096);
	size_t count = json_count(messages);
	struct batch *b;

	if (messages.type != JSON_ARRAY || count == 0 || count > API_BATCH_MAX) {
		buf_addz(&why, "messages must be an array of 1 to 1000 messages");
		api_refuse(x, &why);
	} else if (check(ingest, messages, &scratch, &refused)) {
		refuse(x, &refused);
	} else if (!(b = begin(ingest, x, (uint32_t)count))) {
		api_unavailable(x, "too many calls are under way");
	} else {
		send_all(b, messages, &scratch, &why);
	}
	buf_fini(&why);
	buf_fini(&refused);
	buf_fini(&scratch);
}
