/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that are due some time after another one (`later` of the profile): typing that ends by itself. They run as if the client had sent them, but a
 * refusal is told to nobody. Bounds: LATERS_MAX of one socket; past it none is set. They end with the connection.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "services/edge/dialect.h"

#define LATERS_MAX 1000

struct later {
	struct later *next; /* of the socket */
	struct sock *sock;
	const struct profile_event *event; /* which has set it */
	struct wheel_timer timer;
	struct blob *text; /* the event that is due, as its client would send it; OWNED */
	struct blob *room; /* key of the room it is about; OWNED; NULL: none */
	size_t key_bytes;
	char key[];
};

static void drop(struct later **at)
{
	struct later *l = *at;

	*at = l->next;
	svc_cancel(l->sock->edge->svc, &l->timer);
	blob_unref(&l->text);
	blob_unref(&l->room);
	mem_free(l);
}

static void on_due(struct wheel_timer *timer)
{
	struct later *l = CONTAINER_OF(timer, struct later, timer), **at;
	struct sock *sock = l->sock;
	struct blob *text = blob_ref(l->text);
	struct op_event event = { .text = blob_str(text), .quiet = true };

	for (at = &sock->laters; *at != l;)
		at = &(*at)->next;
	drop(at);
	if (sock_is_busy(sock))
		sock_keep(sock, &event);
	else
		sock->edge->dialect->work(sock, &event);
	blob_unref(&text);
}

/* The text of the event that is due; NULL: it cannot be made. */
static struct blob *make_text(struct op *op, const struct profile_later *l)
{
	struct edge *edge = op->sock->edge;
	struct blob *text = NULL;

	buf_reset(&edge->scratch);
	buf_reset(&edge->work);
	if (tmpl_render(&l->args, &op->env, &edge->scratch) == 0) {
		edge->dialect->pretend(&edge->work, l->event, buf_str(&edge->scratch));
		if (!edge->work.failed)
			text = blob_copy(buf_str(&edge->work));
	}
	buf_reset(&edge->scratch);
	buf_reset(&edge->work);
	return text;
}

static struct blob *make_room(struct op *op)
{
	struct edge *edge = op->sock->edge;
	struct blob *room = NULL;
	struct str key;

	buf_reset(&edge->scratch);
	if (op->event->has_member && act_render_key(op, &op->event->member, &key) == 0)
		room = blob_copy(key);
	buf_reset(&edge->scratch);
	return room;
}

static void add(struct op *op, struct str key)
{
	const struct profile_later *wanted = op->event->later;
	struct later *l = mem_try(sizeof(*l) + key.n);

	if (!l)
		return;
	l->sock = op->sock;
	l->event = op->event;
	l->key_bytes = key.n;
	if (key.n)
		memcpy(l->key, key.p, key.n);
	l->room = make_room(op);
	l->text = make_text(op, wanted);
	wheel_timer_init(&l->timer, on_due);
	l->next = op->sock->laters;
	op->sock->laters = l;
	if (l->text)
		svc_arm(op->sock->edge->svc, &l->timer, clock_ms() + wanted->delay_ms);
	else
		drop(&op->sock->laters);
}

static bool is_wanted(const struct op *op, const struct profile_later *l)
{
	struct buf scratch = BUF_INIT(1u << 16);
	bool wanted = l->when_field < 0 || field_is_one(op->env.fields[l->when_field], l->when_any,
							l->when_any_count, &scratch);

	buf_fini(&scratch);
	return wanted;
}

void later_set(struct op *op)
{
	const struct profile_later *wanted = op->event->later;
	struct sock *sock = op->sock;
	struct buf key = BUF_INIT(1u << 16);
	uint32_t count = 0;

	if (!sock->session || tmpl_render(&wanted->key, &op->env, &key)) {
		buf_fini(&key);
		return;
	}
	for (struct later **at = &sock->laters; *at;) {
		if ((*at)->event == op->event &&
		    str_eq(str_make((*at)->key, (*at)->key_bytes), buf_str(&key))) {
			drop(at);
			continue;
		}
		count++;
		at = &(*at)->next;
	}
	if (count < LATERS_MAX && is_wanted(op, wanted))
		add(op, buf_str(&key));
	buf_fini(&key);
}

void later_drop_room(struct sock *sock, struct str room_key)
{
	for (struct later **at = &sock->laters; *at;) {
		if ((*at)->room && str_eq(blob_str((*at)->room), room_key))
			drop(at);
		else
			at = &(*at)->next;
	}
}

void later_drop_all(struct sock *sock)
{
	while (sock->laters)
		drop(&sock->laters);
}
