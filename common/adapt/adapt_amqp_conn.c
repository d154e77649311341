/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_amqp_conn.h"

#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"

#define CHANNEL 1
#define PROBE_CHANNEL 2
#define CONNECT_SECONDS 3
#define RPC_SECONDS 10
#define HEARTBEAT_SECONDS 10
#define FRAME_BYTES 131072
#define HEADERS_MAX 64
#define WINDOW 65536u /* tags; a prefetch is at most 65535 */

/* A dead letter that the broker has not confirmed. */
struct confirm {
	struct list node;
	uint64_t number; /* of the publish */
	uint64_t tag;    /* of the original */
};

/* The headers a message bore: they stay with its dead letter. */
struct headers {
	amqp_pool_t pool;
	amqp_table_t table;
};

struct amqp_conn {
	struct amqp_conn_spec spec;
	char *url; /* parsed in place: `info` points into it */
	struct amqp_connection_info info;
	char dead_queue[300];
	amqp_connection_state_t state; /* NULL: closed */
	uint64_t generation;
	uint64_t published;
	struct list confirms;
	uint64_t acked;    /* all tags up to this one */
	bool done[WINDOW]; /* of tags above it */
	bool cancelled;
	char consumer[64];
	char reason[SVC_REASON_BYTES];
};

struct amqp_command *amqp_command_new(struct amqp_delivery *d, const char *reason)
{
	struct amqp_command *c = mem_need(sizeof(*c));

	c->delivery = d;
	c->dead = reason != NULL;
	if (reason)
		snprintf(c->reason, sizeof(c->reason), "%s", reason);
	return c;
}

void amqp_delivery_free(struct amqp_delivery *d)
{
	struct headers *h = d->headers;

	if (h) {
		empty_amqp_pool(&h->pool);
		mem_free(h);
	}
	blob_unref(&d->held);
	mem_free(d);
}

void amqp_command_free(struct amqp_command **c)
{
	amqp_delivery_free((*c)->delivery);
	mem_free(*c);
	*c = NULL;
}

int amqp_conn_new(const struct amqp_conn_spec *spec, struct amqp_conn **conn)
{
	struct amqp_conn *c = mem_need(sizeof(*c));

	c->spec = *spec;
	c->url = mem_need_dup(spec->url);
	list_init(&c->confirms);
	snprintf(c->dead_queue, sizeof(c->dead_queue), "%s.dead", spec->queue);
	if (amqp_parse_url(c->url, &c->info) != AMQP_STATUS_OK || c->info.ssl) {
		log_error("rabbitmq",
			  "RABBITMQ_URL is not of the form amqp://user:password@host:port/vhost "
			  "(TLS: use a local proxy)");
		mem_free(c->url);
		mem_free(c);
		return E_CONFIG;
	}
	*conn = c;
	return 0;
}

void amqp_conn_free(struct amqp_conn **conn)
{
	amqp_conn_close(*conn);
	mem_free((*conn)->url);
	mem_free(*conn);
	*conn = NULL;
}

const char *amqp_conn_reason(const struct amqp_conn *c)
{
	return c->reason;
}

static int fail(struct amqp_conn *c, const char *what, const char *why)
{
	snprintf(c->reason, sizeof(c->reason), "%s: %s", what, why);
	return E_UNAVAILABLE;
}

/* The outcome of the last remote call, as text in c->reason. */
static int check(struct amqp_conn *c, const char *what, amqp_rpc_reply_t reply)
{
	char text[128] = "closed";
	amqp_bytes_t said = { 0, NULL };

	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
		return 0;
	if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
		return fail(c, what, amqp_error_string2(reply.library_error));
	if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
	    reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD)
		said = ((amqp_connection_close_t *)reply.reply.decoded)->reply_text;
	else if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
		 reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
		said = ((amqp_channel_close_t *)reply.reply.decoded)->reply_text;
	if (said.len)
		snprintf(text, sizeof(text), "%.*s", (int)said.len, (const char *)said.bytes);
	return fail(c, what, text);
}

static int check_rpc(struct amqp_conn *c, const char *what)
{
	return check(c, what, amqp_get_rpc_reply(c->state));
}

static int dial(struct amqp_conn *c)
{
	struct timeval connect = { CONNECT_SECONDS, 0 }, rpc = { RPC_SECONDS, 0 };
	amqp_socket_t *socket;
	int status;

	c->state = amqp_new_connection();
	socket = c->state ? amqp_tcp_socket_new(c->state) : NULL;
	if (!socket)
		return fail(c, "connect", "out of memory");
	amqp_set_handshake_timeout(c->state, &connect);
	amqp_set_rpc_timeout(c->state, &rpc);
	status = amqp_socket_open_noblock(socket, c->info.host, c->info.port, &connect);
	if (status != AMQP_STATUS_OK)
		return fail(c, "connect", amqp_error_string2(status));
	return check(c, "login",
		     amqp_login(c->state, c->info.vhost, 0, FRAME_BYTES, HEARTBEAT_SECONDS,
				AMQP_SASL_METHOD_PLAIN, c->info.user, c->info.password));
}

/* Declare a durable queue, unless there is one: that may be of any type and is taken as it is. */
static int declare_queue(struct amqp_conn *c, const char *name)
{
	amqp_bytes_t queue = amqp_cstring_bytes(name);

	amqp_channel_open(c->state, PROBE_CHANNEL);
	if (check_rpc(c, "channel"))
		return E_UNAVAILABLE;
	if (amqp_queue_declare(c->state, PROBE_CHANNEL, queue, 1, 1, 0, 0, amqp_empty_table)) {
		amqp_channel_close(c->state, PROBE_CHANNEL, AMQP_REPLY_SUCCESS);
		return 0;
	}
	if (amqp_get_rpc_reply(c->state).reply_type != AMQP_RESPONSE_SERVER_EXCEPTION)
		return check_rpc(c, "declare queue");
	{ /* not there: the broker has closed the probe's channel */
		amqp_channel_close_ok_t ok = { 0 };

		amqp_send_method(c->state, PROBE_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
	}
	amqp_queue_declare(c->state, CHANNEL, queue, 0, 1, 0, 0, amqp_empty_table);
	return check_rpc(c, "declare queue");
}

static int declare(struct amqp_conn *c)
{
	amqp_bytes_t exchange = amqp_cstring_bytes(c->spec.exchange),
		     queue = amqp_cstring_bytes(c->spec.queue);

	amqp_exchange_declare(c->state, CHANNEL, exchange, amqp_cstring_bytes("topic"), 0, 1, 0, 0,
			      amqp_empty_table);
	if (check_rpc(c, "declare exchange") || declare_queue(c, c->spec.queue) ||
	    declare_queue(c, c->dead_queue))
		return E_UNAVAILABLE;
	for (const char *const *key = c->spec.keys; *key; key++) {
		amqp_queue_bind(c->state, CHANNEL, queue, exchange, amqp_cstring_bytes(*key),
				amqp_empty_table);
		if (check_rpc(c, "bind queue"))
			return E_UNAVAILABLE;
	}
	return 0;
}

static int consume(struct amqp_conn *c)
{
	amqp_basic_consume_ok_t *ok;

	amqp_basic_qos(c->state, CHANNEL, 0, c->spec.prefetch, 0);
	if (check_rpc(c, "set prefetch"))
		return E_UNAVAILABLE;
	amqp_confirm_select(c->state, CHANNEL);
	if (check_rpc(c, "confirms"))
		return E_UNAVAILABLE;
	ok = amqp_basic_consume(c->state, CHANNEL, amqp_cstring_bytes(c->spec.queue),
				amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
	if (!ok)
		return check_rpc(c, "consume");
	snprintf(c->consumer, sizeof(c->consumer), "%.*s", (int)ok->consumer_tag.len,
		 (const char *)ok->consumer_tag.bytes);
	return 0;
}

int amqp_conn_open(struct amqp_conn *c)
{
	c->generation++;
	c->published = 0;
	c->acked = 0;
	c->cancelled = false;
	memset(c->done, 0, sizeof(c->done));
	if (dial(c))
		return E_UNAVAILABLE;
	amqp_channel_open(c->state, CHANNEL);
	if (check_rpc(c, "channel") || declare(c) || consume(c))
		return E_UNAVAILABLE;
	return 0;
}

void amqp_conn_close(struct amqp_conn *c)
{
	struct list *node;

	if (c->state)
		amqp_destroy_connection(c->state);
	c->state = NULL;
	while ((node = list_pop(&c->confirms)) != NULL)
		mem_free(CONTAINER_OF(node, struct confirm, node));
}

static void mark_done(struct amqp_conn *c, uint64_t tag)
{
	c->done[tag % WINDOW] = true;
}

/* One acknowledgement for all tags that are done without a gap. */
static int send_acks(struct amqp_conn *c)
{
	uint64_t upto = c->acked;
	int status;

	while (c->done[(upto + 1) % WINDOW])
		c->done[++upto % WINDOW] = false;
	if (upto == c->acked)
		return 0;
	c->acked = upto;
	status = amqp_basic_ack(c->state, CHANNEL, upto, 1);
	return status == AMQP_STATUS_OK ? 0 : fail(c, "acknowledge", amqp_error_string2(status));
}

static bool is_header(const amqp_table_entry_t *entry, const char *name)
{
	return str_is(str_make(entry->key.bytes, entry->key.len), name);
}

static int publish_dead(struct amqp_conn *c, struct amqp_command *command)
{
	struct amqp_delivery *d = command->delivery;
	struct confirm *confirm = mem_try(sizeof(*confirm));
	amqp_table_entry_t headers[HEADERS_MAX];
	const struct headers *own = d->headers;
	int count = 2;
	amqp_basic_properties_t properties = { 0 };
	int status;

	if (!confirm)
		return fail(c, "dead letter", "out of memory");
	headers[0].key = amqp_cstring_bytes("x-reason");
	headers[0].value.kind = AMQP_FIELD_KIND_UTF8;
	headers[0].value.value.bytes = amqp_cstring_bytes(command->reason);
	headers[1].key = amqp_cstring_bytes("x-routing-key");
	headers[1].value.kind = AMQP_FIELD_KIND_UTF8;
	headers[1].value.value.bytes = (amqp_bytes_t){ d->key.n, (void *)(uintptr_t)d->key.p };
	for (int i = 0; own && i < own->table.num_entries && count < HEADERS_MAX; i++)
		if (!is_header(&own->table.entries[i], "x-reason") &&
		    !is_header(&own->table.entries[i], "x-routing-key"))
			headers[count++] = own->table.entries[i];
	properties._flags = AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG;
	properties.headers = (amqp_table_t){ count, headers };
	properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
	if (d->id.n) {
		properties._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
		properties.message_id = (amqp_bytes_t){ d->id.n, (void *)(uintptr_t)d->id.p };
	}
	confirm->number = ++c->published;
	confirm->tag = d->tag;
	list_append(&c->confirms, &confirm->node);
	status = amqp_basic_publish(c->state, CHANNEL, amqp_empty_bytes,
				    amqp_cstring_bytes(c->dead_queue), 1, 0, &properties,
				    (amqp_bytes_t){ d->body.n, (void *)(uintptr_t)d->body.p });
	return status == AMQP_STATUS_OK ? 0 : fail(c, "dead letter", amqp_error_string2(status));
}

int amqp_conn_run(struct amqp_conn *c, struct amqp_command *command)
{
	if (command->delivery->generation != c->generation)
		return 0; /* it came by a connection that is gone, and comes again */
	if (command->dead)
		return publish_dead(c, command);
	mark_done(c, command->delivery->tag);
	return 0;
}

int amqp_conn_pause(struct amqp_conn *c)
{
	if (c->cancelled)
		return 0;
	c->cancelled = true;
	amqp_basic_cancel(c->state, CHANNEL, amqp_cstring_bytes(c->consumer));
	return check_rpc(c, "cancel");
}

static void on_confirm(struct amqp_conn *c, uint64_t number, bool multiple)
{
	LIST_EACH(&c->confirms, node, next) {
		struct confirm *confirm = CONTAINER_OF(node, struct confirm, node);

		if (confirm->number != number && !(multiple && confirm->number < number))
			continue;
		mark_done(c, confirm->tag);
		list_remove(node);
		mem_free(confirm);
	}
}

/* A frame that is no delivery. Whatever means that the channel is not as it should be ends the connection: it is set up anew. */
static int handle_frame(struct amqp_conn *c)
{
	struct timeval now = { 0, 0 };
	amqp_frame_t frame;
	amqp_basic_ack_t *ack;

	if (amqp_simple_wait_frame_noblock(c->state, &frame, &now) != AMQP_STATUS_OK)
		return fail(c, "receive", "the connection is broken");
	if (frame.frame_type != AMQP_FRAME_METHOD)
		return 0;
	switch (frame.payload.method.id) {
	case AMQP_BASIC_ACK_METHOD:
		ack = frame.payload.method.decoded;
		on_confirm(c, ack->delivery_tag, ack->multiple);
		return 0;
	case AMQP_BASIC_NACK_METHOD:
		return fail(c, "dead letter", "the broker refused it");
	case AMQP_BASIC_RETURN_METHOD:
		return fail(c, "dead letter", "its queue is gone");
	case AMQP_BASIC_CANCEL_METHOD:
		return fail(c, "consume", "the queue is gone");
	case AMQP_CHANNEL_CLOSE_METHOD:
	case AMQP_CONNECTION_CLOSE_METHOD:
		return fail(c, "receive", "closed by the broker");
	default:
		return 0;
	}
}

static void take_headers(struct amqp_delivery *d, const amqp_basic_properties_t *p)
{
	struct headers *h;

	if (!(p->_flags & AMQP_BASIC_HEADERS_FLAG) || p->headers.num_entries == 0 ||
	    !(h = mem_try(sizeof(*h))))
		return;
	init_amqp_pool(&h->pool, 512);
	if (amqp_table_clone(&p->headers, &h->table, &h->pool) != AMQP_STATUS_OK)
		h->table.num_entries = 0;
	d->headers = h;
}

static int take(struct amqp_conn *c, const amqp_envelope_t *e)
{
	const amqp_basic_properties_t *p = &e->message.properties;
	size_t id_bytes = p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG ? p->message_id.len : 0;
	struct amqp_delivery *d = mem_try(sizeof(*d));
	struct blob *held = blob_new(e->routing_key.len + id_bytes + e->message.body.len);
	char *at;

	if (!d || !held) {
		mem_free(d);
		blob_unref(&held);
		return fail(c, "receive", "out of memory");
	}
	at = held->data;
	memcpy(at, e->routing_key.bytes, e->routing_key.len);
	d->key = str_make(at, e->routing_key.len);
	at += e->routing_key.len;
	if (id_bytes)
		memcpy(at, p->message_id.bytes, id_bytes);
	d->id = str_make(at, id_bytes);
	at += id_bytes;
	if (e->message.body.len)
		memcpy(at, e->message.body.bytes, e->message.body.len);
	d->body = str_make(at, e->message.body.len);
	d->held = held;
	take_headers(d, p);
	d->tag = e->delivery_tag;
	d->generation = c->generation;
	d->redelivered = e->redelivered;
	list_init(&d->node);
	c->spec.on_delivery(c->spec.ctx, d);
	return 0;
}

/* Everything that is there to be read. */
static int drain_frames(struct amqp_conn *c)
{
	int err = 0;

	while (!err) {
		struct timeval now = { 0, 0 };
		amqp_envelope_t envelope;
		amqp_rpc_reply_t reply = amqp_consume_message(c->state, &envelope, &now, 0);

		if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
			err = take(c, &envelope);
			amqp_destroy_envelope(&envelope);
		} else if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
			   reply.library_error == AMQP_STATUS_TIMEOUT) {
			break;
		} else if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
			   reply.library_error == AMQP_STATUS_UNEXPECTED_STATE) {
			err = handle_frame(c);
		} else {
			err = check(c, "receive", reply);
		}
		amqp_maybe_release_buffers(c->state);
	}
	return err;
}

int amqp_conn_turn(struct amqp_conn *c, int wake_fd, int wait_ms)
{
	struct pollfd fds[2] = { { amqp_get_sockfd(c->state), POLLIN, 0 }, { wake_fd, POLLIN, 0 } };
	uint64_t count;
	int err = send_acks(c);

	if (err)
		return err;
	if (!amqp_frames_enqueued(c->state) && !amqp_data_in_buffer(c->state))
		poll(fds, 2, wait_ms);
	if ((fds[1].revents & POLLIN) && read(wake_fd, &count, sizeof(count)) < 0)
		count = 0;      /* somebody else's wake-up; nothing to do */
	return drain_frames(c); /* also keeps the heartbeat going */
}

void amqp_conn_sleep(int wake_fd, uint32_t ms)
{
	struct pollfd fd = { wake_fd, POLLIN, 0 };
	uint64_t count;

	if (poll(&fd, 1, (int)ms) > 0 && read(wake_fd, &count, sizeof(count)) < 0)
		count = 0;
}
