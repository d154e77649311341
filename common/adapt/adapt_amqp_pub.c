/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_amqp_pub.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"

#define TURN_MS 250
#define RETRY_FIRST_MS 1000u
#define RETRY_MOST_MS 30000u
#define OWN_HEADERS 2

struct amqp_pub {
	struct adapt_amqp_spec spec;
	struct amqp_line line;
	char dead_queue[300];
	void (*changed)(void *ctx);
	void *ctx;
	int wake;
	pthread_t thread;
	bool started;
	/* of the thread */
	uint64_t published;
	struct list unsent; /* dead letters that wait for their time */
	struct list sent;   /* not confirmed, by number */
	struct amqp_watch watch;
	/* of both, under the lock */
	pthread_mutex_t lock;
	struct list todo, answered;
	struct amqp_pub_state state;
	bool stopping;
};

static uint64_t now_ms(void)
{
	return clock_exact_ns() / 1000000;
}

/* ── answers ── */

static void answer(struct amqp_pub *p, struct amqp_message *m, const char *code)
{
	m->code = code;
	pthread_mutex_lock(&p->lock);
	list_append(&p->answered, &m->node);
	if (m->dead)
		p->state.dead_waiting--;
	pthread_mutex_unlock(&p->lock);
	p->changed(p->ctx);
}

/* It was not taken. A dead letter is tried again. */
static void put_off(struct amqp_pub *p, struct amqp_message *m, const char *code, bool at_once)
{
	list_remove(&m->node);
	if (!m->dead) {
		answer(p, m, code);
		return;
	}
	if (!at_once) {
		m->due_ms = now_ms() + m->wait_ms;
		m->wait_ms = m->wait_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS : m->wait_ms * 2;
		log_warn("rabbitmq", "the broker does not take a dead letter: it is tried again",
			 KV_Z("queue", p->dead_queue), KV_Z("reason", code),
			 KV_U("in_ms", m->due_ms - now_ms()));
	}
	m->returned = false;
	list_append(&p->unsent, &m->node);
}

static void put_off_all(struct amqp_pub *p)
{
	LIST_EACH(&p->sent, node, next)
		put_off(p, CONTAINER_OF(node, struct amqp_message, node), "UNAVAILABLE", true);
}

static void refuse_messages(struct amqp_pub *p)
{
	LIST_EACH(&p->sent, node, next) {
		struct amqp_message *m = CONTAINER_OF(node, struct amqp_message, node);

		if (!m->dead)
			put_off(p, m, "UNAVAILABLE", true);
	}
}

static void set_state(struct amqp_pub *p, bool up, bool blocked, const char *reason)
{
	pthread_mutex_lock(&p->lock);
	p->state.up = up;
	p->state.blocked = blocked;
	snprintf(p->state.reason, sizeof(p->state.reason), "%s", reason);
	pthread_mutex_unlock(&p->lock);
	p->changed(p->ctx);
}

/* ── publishing ── */

static amqp_bytes_t bytes_of(struct str s)
{
	return (amqp_bytes_t){ s.n, (void *)(uintptr_t)s.p };
}

static int publish(struct amqp_pub *p, struct amqp_message *m, amqp_basic_properties_t *properties)
{
	properties->_flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
	properties->delivery_mode = AMQP_DELIVERY_PERSISTENT;
	if (m->id.n) {
		properties->_flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
		properties->message_id = bytes_of(m->id);
	}
	return amqp_basic_publish(p->line.state, AMQP_LINE_CHANNEL, bytes_of(m->exchange),
				  bytes_of(m->key), 1, 0, properties, bytes_of(m->body));
}

static bool is_own(const amqp_table_entry_t *e)
{
	struct str key = str_make(e->key.bytes, e->key.len);

	return str_is(key, "x-reason") || str_is(key, "x-routing-key");
}

static int publish_dead(struct amqp_pub *p, struct amqp_message *m, bool with_own)
{
	const struct amqp_own *own = with_own ? m->dead->headers : NULL;
	int own_count = own ? own->properties.headers.num_entries : 0, count = OWN_HEADERS, status;
	amqp_basic_properties_t properties = { 0 };
	amqp_table_entry_t *rows = mem_try((size_t)(own_count + OWN_HEADERS) * sizeof(*rows));

	if (!rows)
		return AMQP_STATUS_NO_MEMORY;
	if (own)
		properties = own->properties;
	rows[0].key = amqp_cstring_bytes("x-reason");
	rows[0].value.kind = AMQP_FIELD_KIND_UTF8;
	rows[0].value.value.bytes = amqp_cstring_bytes(m->reason);
	rows[1].key = amqp_cstring_bytes("x-routing-key");
	rows[1].value.kind = AMQP_FIELD_KIND_UTF8;
	rows[1].value.value.bytes = bytes_of(m->dead->key);
	for (int i = 0; i < own_count; i++)
		if (!is_own(&own->properties.headers.entries[i]))
			rows[count++] = own->properties.headers.entries[i];
	properties._flags |= AMQP_BASIC_HEADERS_FLAG;
	properties.headers = (amqp_table_t){ count, rows };
	status = publish(p, m, &properties);
	mem_free(rows);
	return status;
}

static int send_one(struct amqp_pub *p, struct amqp_message *m)
{
	amqp_basic_properties_t none = { 0 };
	int status;

	m->number = ++p->published;
	list_append(&p->sent, &m->node);
	status = m->dead ? publish_dead(p, m, true) : publish(p, m, &none);
	/* Its own headers and ours together may be more than a frame holds: then without them. */
	if (m->dead && (status == AMQP_STATUS_TABLE_TOO_BIG || status == AMQP_STATUS_BAD_AMQP_DATA))
		status = publish_dead(p, m, false);
	return amqp_line_sent(&p->line, "publish", status);
}

/* At most a few at a time: confirms are read between them. */
static int send_some(struct amqp_pub *p)
{
	struct list mine, *node;
	uint64_t now = now_ms();
	int err = 0;

	list_init(&mine);
	pthread_mutex_lock(&p->lock);
	for (int i = 0; i < 256 && (node = list_pop(&p->todo)) != NULL; i++)
		list_append(&mine, node);
	pthread_mutex_unlock(&p->lock);
	while ((node = list_pop(&mine)) != NULL) {
		struct amqp_message *m = CONTAINER_OF(node, struct amqp_message, node);

		if (m->dead)
			list_append(&p->unsent, node);
		else if (err || p->state.blocked) /* written by this thread alone */
			answer(p, m, "UNAVAILABLE");
		else
			err = send_one(p, m);
	}
	if (p->state.blocked)
		return err;
	LIST_EACH(&p->unsent, at, next) {
		struct amqp_message *m = CONTAINER_OF(at, struct amqp_message, node);

		if (err || m->due_ms > now)
			continue;
		list_remove(at);
		err = send_one(p, m);
	}
	return err;
}

/* ── what the broker says ── */

static void on_confirm(struct amqp_pub *p, uint64_t number, bool multiple, bool taken)
{
	LIST_EACH(&p->sent, node, next) {
		struct amqp_message *m = CONTAINER_OF(node, struct amqp_message, node);

		if (m->number > number)
			break;
		if (m->number != number && !multiple)
			continue;
		if (!taken || m->returned) {
			put_off(p, m, taken ? "UNROUTABLE" : "UNAVAILABLE", false);
			continue;
		}
		list_remove(node);
		answer(p, m, "");
	}
}

static bool is_same(const struct amqp_message *m, struct str key, const amqp_message_t *back)
{
	return !m->returned && str_eq(m->key, key) &&
	       str_eq(m->body, str_make(back->body.bytes, back->body.len)) &&
	       (!m->id.n || str_eq(m->id, str_make(back->properties.message_id.bytes,
						   back->properties.message_id.len)));
}

/* It comes back before it is confirmed. Equal ones to one key have one fate. */
static int on_return(struct amqp_pub *p, const amqp_basic_return_t *back)
{
	char text[256];
	size_t n = back->routing_key.len < sizeof(text) ? back->routing_key.len : sizeof(text);
	struct str key = str_make(text, n);
	amqp_message_t message;
	bool is_dead = false;
	int err;

	memcpy(text, back->routing_key.bytes, n);
	err = amqp_line_check(&p->line, "receive",
			      amqp_read_message(p->line.state, AMQP_LINE_CHANNEL, &message, 0));
	if (err)
		return err;
	LIST_EACH(&p->sent, node, next) {
		struct amqp_message *m = CONTAINER_OF(node, struct amqp_message, node);

		if (!is_same(m, key, &message))
			continue;
		m->returned = true;
		is_dead = m->dead != NULL;
		break;
	}
	amqp_destroy_message(&message);
	return is_dead ? amqp_line_queue(&p->line, p->dead_queue, p->spec.queue_type) : 0;
}

static int handle(struct amqp_pub *p, const amqp_method_t *method)
{
	switch (method->id) {
	case AMQP_BASIC_ACK_METHOD: {
		const amqp_basic_ack_t *m = method->decoded;

		on_confirm(p, m->delivery_tag, m->multiple, true);
		return 0;
	}
	case AMQP_BASIC_NACK_METHOD: {
		const amqp_basic_nack_t *m = method->decoded;

		on_confirm(p, m->delivery_tag, m->multiple, false);
		return 0;
	}
	case AMQP_BASIC_RETURN_METHOD:
		return on_return(p, method->decoded);
	case AMQP_CONNECTION_BLOCKED_METHOD:
		log_warn("rabbitmq", "the broker takes no messages: it is short of memory or disk");
		set_state(p, true, true, "the broker is short of memory or disk");
		refuse_messages(p);
		return 0;
	case AMQP_CONNECTION_UNBLOCKED_METHOD:
		log_info("rabbitmq", "the broker takes messages again");
		set_state(p, true, false, "");
		return 0;
	default:
		return amqp_watch_on(&p->watch, method);
	}
}

static void tell_amiss(struct amqp_pub *p)
{
	if (strcmp(p->state.amiss, p->watch.reason) == 0) /* written by this thread alone */
		return;
	pthread_mutex_lock(&p->lock);
	memcpy(p->state.amiss, p->watch.reason, sizeof(p->state.amiss));
	pthread_mutex_unlock(&p->lock);
	p->changed(p->ctx);
}

static int turn(struct amqp_pub *p)
{
	amqp_method_t method;
	int err = send_some(p);

	if (!err && !p->state.blocked) /* else the broker does not read it */
		err = amqp_watch_turn(&p->watch);
	if (!err)
		amqp_line_wait(&p->line, p->wake, TURN_MS);
	while (!err) {
		err = amqp_line_next(&p->line, &method);
		if (!err)
			err = handle(p, &method);
	}
	tell_amiss(p);
	return err == E_AGAIN ? 0 : err;
}

static bool is_stopping(struct amqp_pub *p)
{
	bool stopping;

	pthread_mutex_lock(&p->lock);
	stopping = p->stopping;
	pthread_mutex_unlock(&p->lock);
	return stopping;
}

static int open_line(struct amqp_pub *p)
{
	p->published = 0;
	amqp_watch_begin(&p->watch);
	if (amqp_line_open(&p->line) || amqp_line_exchange(&p->line, p->spec.exchange) ||
	    amqp_line_queue(&p->line, p->dead_queue, p->spec.queue_type))
		return E_UNAVAILABLE;
	amqp_confirm_select(p->line.state, AMQP_LINE_CHANNEL);
	return amqp_line_checked(&p->line, "confirms");
}

/* While there is no connection: messages are refused, dead letters wait. */
static void refuse_new(struct amqp_pub *p)
{
	struct list mine, *node;

	list_init(&mine);
	pthread_mutex_lock(&p->lock);
	while ((node = list_pop(&p->todo)) != NULL)
		list_append(&mine, node);
	pthread_mutex_unlock(&p->lock);
	while ((node = list_pop(&mine)) != NULL) {
		struct amqp_message *m = CONTAINER_OF(node, struct amqp_message, node);

		put_off(p, m, "UNAVAILABLE", true);
	}
}

static void pause_for(struct amqp_pub *p, uint32_t ms)
{
	uint64_t until = now_ms() + ms, now;

	while ((now = now_ms()) < until && !is_stopping(p)) {
		refuse_new(p);
		amqp_line_sleep(p->wake, (uint32_t)(until - now));
	}
}

static void *run_thread(void *ctx)
{
	struct amqp_pub *p = ctx;
	uint32_t backoff_ms = 0, ms;

	while (!is_stopping(p)) {
		int err = open_line(p);

		if (!err)
			set_state(p, true, false, "");
		while (!err && !is_stopping(p))
			err = turn(p);
		if (is_stopping(p))
			break;
		ms = amqp_line_backoff(&p->line, &backoff_ms);
		log_warn("rabbitmq", "no connection to publish by, trying again",
			 KV_Z("reason", p->line.reason), KV_U("in_ms", ms));
		set_state(p, false, false, p->line.reason);
		amqp_line_close(&p->line);
		put_off_all(p);
		pause_for(p, ms);
	}
	amqp_line_close(&p->line);
	return NULL;
}

/* ── on the loop ── */

int amqp_pub_open(const struct adapt_amqp_spec *spec, void (*changed)(void *ctx), void *ctx,
		  struct amqp_pub **pub)
{
	struct amqp_pub *p = mem_need(sizeof(*p));
	int err = amqp_line_init(&p->line, spec->url);

	if (err) {
		mem_free(p);
		return err;
	}
	p->spec = *spec;
	p->changed = changed;
	p->ctx = ctx;
	snprintf(p->dead_queue, sizeof(p->dead_queue), "%s.dead", spec->queue);
	snprintf(p->state.reason, sizeof(p->state.reason), "not connected yet");
	amqp_watch_init(&p->watch, &p->spec, &p->line, p->dead_queue);
	list_init(&p->unsent);
	list_init(&p->sent);
	list_init(&p->todo);
	list_init(&p->answered);
	pthread_mutex_init(&p->lock, NULL);
	p->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	*pub = p;
	p->started = p->wake >= 0 && !pthread_create(&p->thread, NULL, run_thread, p);
	return p->started ? 0 : E_FAIL;
}

static void wake_thread(struct amqp_pub *p)
{
	uint64_t one = 1;

	if (write(p->wake, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake */
}

static void answer_all(struct amqp_pub *p, struct list *from)
{
	LIST_EACH(from, node, next) {
		struct amqp_message *m = CONTAINER_OF(node, struct amqp_message, node);

		list_remove(node);
		m->code = "UNAVAILABLE";
		list_append(&p->answered, node);
	}
}

void amqp_pub_stop(struct amqp_pub *p)
{
	if (p->started) {
		pthread_mutex_lock(&p->lock);
		p->stopping = true;
		pthread_mutex_unlock(&p->lock);
		wake_thread(p);
		amqp_line_interrupt(&p->line);
		pthread_join(p->thread, NULL);
	}
	p->started = false;
	answer_all(p, &p->sent);
	answer_all(p, &p->unsent);
	answer_all(p, &p->todo);
}

void amqp_pub_free(struct amqp_pub **pub)
{
	struct amqp_pub *p = *pub;

	amqp_line_fini(&p->line);
	pthread_mutex_destroy(&p->lock);
	if (p->wake >= 0)
		close(p->wake);
	mem_free(p);
	*pub = NULL;
}

void amqp_pub_send(struct amqp_pub *p, struct amqp_message *m)
{
	m->wait_ms = RETRY_FIRST_MS;
	if (m->dead)
		m->key = str_of(p->dead_queue);
	pthread_mutex_lock(&p->lock);
	list_append(&p->todo, &m->node);
	if (m->dead)
		p->state.dead_waiting++;
	pthread_mutex_unlock(&p->lock);
	wake_thread(p);
}

struct amqp_message *amqp_pub_answered(struct amqp_pub *p)
{
	struct list *node;

	pthread_mutex_lock(&p->lock);
	node = list_pop(&p->answered);
	pthread_mutex_unlock(&p->lock);
	return node ? CONTAINER_OF(node, struct amqp_message, node) : NULL;
}

void amqp_pub_look(struct amqp_pub *p, struct amqp_pub_state *state)
{
	pthread_mutex_lock(&p->lock);
	*state = p->state;
	pthread_mutex_unlock(&p->lock);
}
