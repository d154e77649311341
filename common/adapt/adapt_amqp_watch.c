/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_amqp_watch.h"

#include "common/base/clock.h"
#include "common/log/log.h"

#define FIRST_MS 1000u /* the consumer declares the queue meanwhile */
#define CHECK_MS 5000u
#define KIND_MOST_MS 30000u

/* In the order in which they are asked and answered. */
enum step { NONE, THERE, KIND, DEAD, BIND, DONE };

static uint64_t now_ms(void) /* clock_ms is the loop's */
{
	return clock_exact_ns() / 1000000;
}

void amqp_watch_init(struct amqp_watch *w, const struct adapt_amqp_spec *spec,
		     struct amqp_line *line, const char *dead_queue)
{
	*w = (struct amqp_watch){ .spec = spec, .line = line, .dead_queue = dead_queue };
	amqp_watch_begin(w);
}

void amqp_watch_begin(struct amqp_watch *w)
{
	w->is_open = false;
	w->step = DONE;
	w->due_ms = now_ms() + FIRST_MS;
}

/* ── asking ── */

static bool is_asked(const struct amqp_watch *w, int step)
{
	switch (step) {
	case THERE:
		return !w->makes_exchange;
	case KIND:
		return w->makes_exchange || w->asks_kind;
	case BIND:
		return w->spec->keys[0] != NULL;
	default:
		return true;
	}
}

static int behind(const struct amqp_watch *w, int step)
{
	do
		step++;
	while (!is_asked(w, step));
	return step;
}

static int send_method(struct amqp_watch *w, amqp_method_number_t id, void *method)
{
	return amqp_line_sent(w->line, "check",
			      amqp_send_method(w->line->state, AMQP_LINE_CHECKS, id, method));
}

static int send_exchange(struct amqp_watch *w, bool passive)
{
	amqp_exchange_declare_t m = { .exchange = amqp_cstring_bytes(w->spec->exchange),
				      .type = amqp_cstring_bytes("topic"),
				      .passive = passive,
				      .durable = 1 };

	return send_method(w, AMQP_EXCHANGE_DECLARE_METHOD, &m);
}

static int send_dead(struct amqp_watch *w)
{
	amqp_table_entry_t row;
	amqp_queue_declare_t m = { .queue = amqp_cstring_bytes(w->dead_queue),
				   .passive = !w->makes_dead,
				   .durable = 1,
				   .arguments = amqp_line_queue_type(w->spec->queue_type, &row) };

	return send_method(w, AMQP_QUEUE_DECLARE_METHOD, &m);
}

static int send_bindings(struct amqp_watch *w)
{
	int err = 0;

	w->unbound = 0;
	for (const char *const *key = w->spec->keys; !err && *key; key++, w->unbound++) {
		amqp_queue_bind_t m = { .queue = amqp_cstring_bytes(w->spec->queue),
					.exchange = amqp_cstring_bytes(w->spec->exchange),
					.routing_key = amqp_cstring_bytes(*key) };

		err = send_method(w, AMQP_QUEUE_BIND_METHOD, &m);
	}
	return err;
}

static int send_step(struct amqp_watch *w, int step)
{
	switch (step) {
	case THERE:
		return send_exchange(w, true);
	case KIND:
		return send_exchange(w, false);
	case DEAD:
		return send_dead(w);
	default:
		return send_bindings(w);
	}
}

static int ask(struct amqp_watch *w)
{
	amqp_channel_open_t open = { 0 };
	int err = w->is_open ? 0 : send_method(w, AMQP_CHANNEL_OPEN_METHOD, &open);

	w->is_open = true;
	w->step = behind(w, NONE);
	for (int step = w->step; !err && step != DONE; step = behind(w, step))
		err = send_step(w, step);
	return err;
}

int amqp_watch_turn(struct amqp_watch *w)
{
	uint64_t now = now_ms();

	if (w->step != DONE || now < w->due_ms)
		return 0;
	w->makes_exchange = w->makes_dead = false;
	w->asks_kind = w->kind != AMQP_KIND_FOREIGN && now >= w->kind_due_ms;
	return ask(w);
}

/* ── answers ── */

/* Once, until it is another reason or all is well. */
static void tell(struct amqp_watch *w, const char *what, struct str why)
{
	char reason[sizeof(w->reason)];

	snprintf(reason, sizeof(reason), "%s: " STR_FMT, what, STR_ARG(why));
	if (strcmp(reason, w->reason) == 0)
		return;
	memcpy(w->reason, reason, sizeof(reason));
	log_warn("rabbitmq",
		 "not as it was declared: what is in the queue is taken all the same, and it is "
		 "tried again",
		 KV_Z("exchange", w->spec->exchange), KV_Z("reason", w->reason));
}

static void end(struct amqp_watch *w)
{
	w->step = DONE;
	w->due_ms = now_ms() + CHECK_MS;
}

static void on_well(struct amqp_watch *w)
{
	end(w);
	if (w->differs || !w->reason[0])
		return;
	w->reason[0] = '\0';
	log_info("rabbitmq", "all is as it was declared again",
		 KV_Z("exchange", w->spec->exchange));
}

static void on_done(struct amqp_watch *w)
{
	if (w->step == KIND) {
		if (w->makes_exchange)
			log_warn("rabbitmq", "the exchange was gone: it is declared again",
				 KV_Z("exchange", w->spec->exchange));
		w->kind = AMQP_KIND_OURS;
		w->differs = false;
		w->kind_due_ms = w->kind_wait_ms = 0;
	}
	if (w->step == DEAD && w->makes_dead)
		log_warn("rabbitmq", "the queue of dead letters was gone: it is declared again",
			 KV_Z("queue", w->dead_queue));
	if (w->step == BIND && --w->unbound > 0)
		return;
	w->step = behind(w, w->step);
	if (w->step == DONE)
		on_well(w);
}

/* Bound to it all the same: an event of another kind of exchange is an event. */
static int on_other_kind(struct amqp_watch *w, uint16_t code, struct str why)
{
	if (w->kind == AMQP_KIND_OURS && code == AMQP_PRECONDITION_FAILED) {
		w->differs = true;
		w->kind_wait_ms = w->kind_wait_ms ? w->kind_wait_ms * 2 : CHECK_MS;
		if (w->kind_wait_ms > KIND_MOST_MS)
			w->kind_wait_ms = KIND_MOST_MS;
		w->kind_due_ms = now_ms() + w->kind_wait_ms;
		tell(w, "exchange", why);
	} else {
		w->kind = AMQP_KIND_FOREIGN;
		w->differs = false;
		log_info("rabbitmq", "the exchange is used as it is",
			 KV_Z("exchange", w->spec->exchange), KV_STR("reason", why));
	}
	w->asks_kind = false;
	return ask(w);
}

static int on_refused(struct amqp_watch *w, const amqp_channel_close_t *m)
{
	struct str why = str_make(m->reply_text.bytes, m->reply_text.len);
	amqp_channel_close_ok_t ok = { 0 };
	bool gone = m->reply_code == AMQP_NOT_FOUND;
	int err = send_method(w, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);

	w->is_open = false;
	if (err)
		return err;
	if (w->step == THERE && gone) {
		w->makes_exchange = true;
		return ask(w);
	}
	if (w->step == KIND && !w->makes_exchange)
		return on_other_kind(w, m->reply_code, why);
	if (w->step == DEAD && gone && !w->makes_dead) {
		w->makes_dead = true;
		w->makes_exchange = w->asks_kind = false; /* that is done */
		return ask(w);
	}
	if (w->step != BIND || !gone) /* a queue that is gone is the consumer's to tell */
		tell(w,
		     w->step == DEAD   ? "dead letters"
		     : w->step == BIND ? "bind"
				       : "exchange",
		     why);
	end(w);
	return 0;
}

int amqp_watch_on(struct amqp_watch *w, const amqp_method_t *method)
{
	switch (method->id) {
	case AMQP_EXCHANGE_DECLARE_OK_METHOD:
	case AMQP_QUEUE_DECLARE_OK_METHOD:
	case AMQP_QUEUE_BIND_OK_METHOD:
		if (w->step != DONE)
			on_done(w);
		return 0;
	case AMQP_CHANNEL_CLOSE_METHOD:
		return on_refused(w, method->decoded);
	default:
		return 0;
	}
}
