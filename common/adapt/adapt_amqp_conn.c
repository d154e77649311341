/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_amqp_conn.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#define GAP_MS 50u /* acknowledgements behind a gap wait this long for it to close */
#define BEAT_MS 1000u
#define TURN_FRAMES 256 /* then it is asked again whether to hold */
#define TURN_BYTES (2u << 20)

#define KEPT_FLAGS \
	(AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG | \
	 AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_REPLY_TO_FLAG | AMQP_BASIC_TIMESTAMP_FLAG | \
	 AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_APP_ID_FLAG | AMQP_BASIC_HEADERS_FLAG)

static uint64_t now_ms(void) /* clock_ms is the loop's */
{
	return clock_exact_ns() / 1000000;
}

void amqp_delivery_free(struct amqp_delivery *d)
{
	struct amqp_own *own = d->headers;

	if (own) {
		empty_amqp_pool(&own->pool);
		mem_free(own);
	}
	blob_unref(&d->held);
	mem_free(d);
}

void amqp_conn_init(struct amqp_conn *c)
{
	list_init(&c->order);
	list_init(&c->acked);
	list_init(&c->proving);
}

static int declare(struct amqp_conn *c)
{
	const struct adapt_amqp_spec *spec = &c->spec;
	struct amqp_line *l = &c->line;
	char dead[300];

	snprintf(dead, sizeof(dead), "%s.dead", spec->queue);
	if (amqp_line_exchange(l, spec->exchange) ||
	    amqp_line_queue(l, spec->queue, spec->queue_type) ||
	    amqp_line_queue(l, dead, spec->queue_type))
		return E_UNAVAILABLE;
	for (const char *const *key = spec->keys; *key; key++) {
		amqp_queue_bind(l->state, AMQP_LINE_CHANNEL, amqp_cstring_bytes(spec->queue),
				amqp_cstring_bytes(spec->exchange), amqp_cstring_bytes(*key),
				amqp_empty_table);
		if (amqp_line_checked(l, "bind queue"))
			return E_UNAVAILABLE;
	}
	return 0;
}

static int consume(struct amqp_conn *c)
{
	struct amqp_line *l = &c->line;
	amqp_basic_consume_ok_t *ok;

	amqp_basic_qos(l->state, AMQP_LINE_CHANNEL, 0, c->spec.prefetch, 0);
	if (amqp_line_checked(l, "set prefetch"))
		return E_UNAVAILABLE;
	ok = amqp_basic_consume(l->state, AMQP_LINE_CHANNEL, amqp_cstring_bytes(c->spec.queue),
				amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
	if (!ok)
		return amqp_line_checked(l, "consume");
	snprintf(c->consumer, sizeof(c->consumer), "%.*s", (int)ok->consumer_tag.len,
		 (const char *)ok->consumer_tag.bytes);
	return 0;
}

int amqp_conn_open(struct amqp_conn *c)
{
	c->generation++;
	c->gap_since_ms = 0;
	c->barrier = c->cancelled = false;
	if (amqp_line_open(&c->line) || declare(c) || consume(c))
		return E_UNAVAILABLE;
	return 0;
}

static void settle_all(struct amqp_conn *c, struct list *from, bool proved)
{
	struct list *node;

	while ((node = list_pop(from)) != NULL) {
		struct amqp_delivery *d = CONTAINER_OF(node, struct amqp_delivery, order);

		d->proved = proved;
		c->on_settled(c->ctx, d);
	}
}

void amqp_conn_close(struct amqp_conn *c)
{
	amqp_line_close(&c->line);
	settle_all(c, &c->proving, false);
	settle_all(c, &c->acked, false);
	LIST_EACH(&c->order, node, next) {
		struct amqp_delivery *d = CONTAINER_OF(node, struct amqp_delivery, order);

		list_remove(node); /* the receiver's, unless it is done */
		if (!d->done)
			continue;
		d->proved = false;
		c->on_settled(c->ctx, d);
	}
}

void amqp_conn_done(struct amqp_conn *c, struct amqp_delivery *d)
{
	d->done = true;
	if (d->generation == c->generation && c->line.state)
		return;
	d->proved = false; /* it came by a connection that is gone, and comes again */
	c->on_settled(c->ctx, d);
}

static void move_acked(struct amqp_conn *c, struct amqp_delivery *d)
{
	list_remove(&d->order);
	list_append(&c->acked, &d->order);
}

/* One acknowledgement for all that are done without a gap. */
static int ack_front(struct amqp_conn *c, bool *any)
{
	struct amqp_delivery *last = NULL;

	LIST_EACH(&c->order, node, next) {
		struct amqp_delivery *d = CONTAINER_OF(node, struct amqp_delivery, order);

		if (!d->done)
			break;
		last = d;
		move_acked(c, d);
	}
	if (!last)
		return 0;
	*any = true;
	c->gap_since_ms = 0;
	return amqp_line_sent(&c->line, "acknowledge",
			      amqp_basic_ack(c->line.state, AMQP_LINE_CHANNEL, last->tag, 1));
}

static int ack_behind_gap(struct amqp_conn *c, bool *any)
{
	int err = 0;

	LIST_EACH(&c->order, node, next) {
		struct amqp_delivery *d = CONTAINER_OF(node, struct amqp_delivery, order);

		if (err || !d->done)
			continue;
		*any = true;
		err = amqp_line_sent(&c->line, "acknowledge",
				     amqp_basic_ack(c->line.state, AMQP_LINE_CHANNEL, d->tag, 0));
		move_acked(c, d);
	}
	return err;
}

static int ask_proof(struct amqp_conn *c)
{
	amqp_basic_qos_t qos = { .prefetch_count = c->spec.prefetch };
	struct list *node;

	if (c->barrier || list_empty(&c->acked))
		return 0;
	while ((node = list_pop(&c->acked)) != NULL)
		list_append(&c->proving, node);
	c->barrier = true;
	return amqp_line_sent(
		&c->line, "acknowledge",
		amqp_send_method(c->line.state, AMQP_LINE_CHANNEL, AMQP_BASIC_QOS_METHOD, &qos));
}

/* Those one by one that are behind a gap: only every GAP_MS, as most gaps close by themselves. */
static int send_acks(struct amqp_conn *c)
{
	bool any = false;
	int err = ack_front(c, &any);

	if (!err && !list_empty(&c->order)) {
		if (!c->gap_since_ms)
			c->gap_since_ms = now_ms();
		if (now_ms() - c->gap_since_ms >= GAP_MS) {
			c->gap_since_ms = 0;
			err = ack_behind_gap(c, &any);
		}
	}
	return err ? err : ask_proof(c);
}

int amqp_conn_pause(struct amqp_conn *c)
{
	if (c->cancelled)
		return 0;
	c->cancelled = true;
	amqp_basic_cancel(c->line.state, AMQP_LINE_CHANNEL, amqp_cstring_bytes(c->consumer));
	return amqp_line_checked(&c->line, "cancel");
}

static amqp_bytes_t copy(struct amqp_own *own, amqp_bytes_t b)
{
	amqp_bytes_t mine = { 0, NULL };

	if (b.len)
		amqp_pool_alloc_bytes(&own->pool, b.len, &mine);
	if (mine.bytes)
		memcpy(mine.bytes, b.bytes, b.len);
	return mine;
}

/* What its dead letter would bear. A message without properties costs nothing. */
static void take_own(struct amqp_delivery *d, const amqp_basic_properties_t *p)
{
	struct amqp_own *own;

	if (!(p->_flags & KEPT_FLAGS) || !(own = mem_try(sizeof(*own))))
		return;
	init_amqp_pool(&own->pool, 512);
	own->properties._flags = p->_flags & KEPT_FLAGS;
	own->properties.content_type = copy(own, p->content_type);
	own->properties.content_encoding = copy(own, p->content_encoding);
	own->properties.correlation_id = copy(own, p->correlation_id);
	own->properties.reply_to = copy(own, p->reply_to);
	own->properties.timestamp = p->timestamp;
	own->properties.type = copy(own, p->type);
	own->properties.app_id = copy(own, p->app_id);
	if ((p->_flags & AMQP_BASIC_HEADERS_FLAG) &&
	    amqp_table_clone(&p->headers, &own->properties.headers, &own->pool) != AMQP_STATUS_OK)
		own->properties.headers.num_entries = 0;
	d->headers = own;
}

static void put(char **at, struct str *to, amqp_bytes_t from)
{
	if (from.len)
		memcpy(*at, from.bytes, from.len);
	*to = str_make(*at, from.len);
	*at += from.len;
}

static int take(struct amqp_conn *c, const amqp_basic_deliver_t *m, amqp_bytes_t key,
		const amqp_message_t *message)
{
	const amqp_basic_properties_t *p = &message->properties;
	amqp_bytes_t id = p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG ? p->message_id : amqp_empty_bytes;
	struct amqp_delivery *d = mem_try(sizeof(*d));
	struct blob *held = blob_new(key.len + id.len + message->body.len);
	char *at;

	if (!d || !held) {
		mem_free(d);
		blob_unref(&held);
		return amqp_line_fail(&c->line, "receive", "out of memory");
	}
	at = held->data;
	put(&at, &d->key, key);
	put(&at, &d->id, id);
	put(&at, &d->body, message->body);
	d->held = held;
	take_own(d, p);
	if (p->_flags & AMQP_BASIC_TIMESTAMP_FLAG)
		d->stamp = p->timestamp;
	d->tag = m->delivery_tag;
	d->generation = c->generation;
	d->redelivered = m->redelivered;
	list_init(&d->node);
	list_append(&c->order, &d->order);
	c->turn_bytes += d->body.n;
	c->on_delivery(c->ctx, d);
	return 0;
}

static int on_deliver(struct amqp_conn *c, const amqp_basic_deliver_t *m)
{
	char key[256]; /* a short string of AMQP */
	amqp_bytes_t key_bytes = { m->routing_key.len, key };
	amqp_basic_deliver_t mine = *m;
	amqp_message_t message;
	int err;

	if (key_bytes.len > sizeof(key))
		return amqp_line_fail(&c->line, "receive", "a routing key is too long");
	memcpy(key, m->routing_key.bytes, key_bytes.len);
	err = amqp_line_check(&c->line, "receive",
			      amqp_read_message(c->line.state, AMQP_LINE_CHANNEL, &message, 0));
	if (err)
		return err;
	err = take(c, &mine, key_bytes, &message);
	amqp_destroy_message(&message);
	return err;
}

/* Whatever means that the channel is not as it should be ends the connection: it is set up anew. */
static int handle(struct amqp_conn *c, const amqp_method_t *method)
{
	switch (method->id) {
	case AMQP_BASIC_DELIVER_METHOD:
		return on_deliver(c, method->decoded);
	case AMQP_BASIC_QOS_OK_METHOD:
		c->barrier = false;
		settle_all(c, &c->proving, true);
		return 0;
	case AMQP_BASIC_CANCEL_METHOD:
		return amqp_line_fail(&c->line, "consume", "the queue is gone");
	default:
		return 0;
	}
}

int amqp_conn_turn(struct amqp_conn *c, int wake_fd, int wait_ms, bool hold)
{
	amqp_method_t method;
	int err = send_acks(c);

	if (err)
		return err;
	if (c->gap_since_ms && wait_ms > (int)GAP_MS)
		wait_ms = (int)GAP_MS;
	if (hold) {
		amqp_line_sleep(wake_fd, (uint32_t)wait_ms);
		if (now_ms() - c->beaten_ms < BEAT_MS)
			return 0;
		c->beaten_ms = now_ms();
		return amqp_line_heartbeat(&c->line);
	}
	amqp_line_wait(&c->line, wake_fd, wait_ms);
	c->turn_bytes = 0;
	for (int i = 0; !err && i < TURN_FRAMES && c->turn_bytes < TURN_BYTES; i++) {
		err = amqp_line_next(&c->line, &method);
		if (!err)
			err = handle(c, &method);
	}
	return err == E_AGAIN ? 0 : err;
}
