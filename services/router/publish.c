/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A published event gets its place, goes into the history of its rooms and to every edge that holds one of them, and is answered when those
 * edges have it.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/router/acks.h"
#include "services/router/egress.h"
#include "services/router/persist.h"
#include "services/router/room.h"

static void answer(struct peer *publisher, uint64_t ref, const char *code, bool duplicate)
{
	struct wire_published m = { .ref = ref, .code = str_of(code), .duplicate = duplicate };

	if (publisher && ref)
		peer_say(publisher, WIRE_PUBLISHED, &m);
}

static void complete(struct router *router, struct pending *p)
{
	struct list *node;

	answer(p->publisher, p->ref, "", false);
	list_remove(&p->node);
	while ((node = list_pop(&p->askers)) != NULL) {
		struct asker *asker = CONTAINER_OF(node, struct asker, node);

		answer(asker->publisher, asker->ref, "", true);
		list_remove(&asker->peer_node);
		slab_put(&router->askers, asker);
	}
	if (p->uid_high || p->uid_low)
		idset_note(&router->ids, p->uid_high, p->uid_low, 0);
	slab_put(&router->pendings, p);
	metrics_set(METRIC_PUBLISH_PENDING, router->pendings.live);
}

void publish_release(struct router *router, struct pending *pending)
{
	if (--pending->wait == 0)
		complete(router, pending);
}

/* ack: 0, or our number of it. */
static struct message *make_message(struct router *router, const struct bus_message *m,
				    uint64_t ack)
{
	const struct wire_publish *p = &m->any.publish;
	struct wire_deliver d = {
		.place = p->is_volatile || ack ? 0 : router_next_place(router),
		.uid_high = p->uid_high,
		.uid_low = p->uid_low,
		.nsp = p->nsp,
		.rooms = p->rooms,
		.event = p->event,
		.except = p->except,
		.is_volatile = p->is_volatile,
		.attachments = p->attachments,
		.all = p->all,
		.verb = p->verb,
		.targets = p->targets,
		.user_id = p->user_id,
		.ack = ack,
	};
	struct message *msg = mem_try(sizeof(*msg) + m->payload_count * sizeof(struct blob *));

	if (!msg)
		return NULL;
	msg->refs = 1;
	msg->place = d.place;
	msg->at_ms = clock_ms();
	message_note_except(msg, &d.except);
	msg->body = wire_pack(WIRE_DELIVER, &d);
	msg->bytes = sizeof(*msg) + (msg->body ? msg->body->n : 0);
	while (msg->body && msg->payload_count < m->payload_count) {
		struct blob *copy = blob_copy(m->payload[msg->payload_count]);

		if (!copy)
			break;
		msg->payload[msg->payload_count++] = copy;
		msg->bytes += copy->n;
	}
	if (msg->payload_count != m->payload_count)
		message_unref(&msg);
	return msg;
}

/* One copy to an edge, however many of the rooms it holds. */
static void send_to(struct peer *edge, struct message *msg, struct pending *pending)
{
	struct router *router = edge->router;
	bool counted = pending != NULL;
	uint64_t number = 0;
	int err;

	if (edge->mark == router->mark)
		return;
	edge->mark = router->mark;
	err = bus_link_send(edge->link, msg->body, msg->payload, msg->payload_count, counted,
			    &number);
	if (!counted)
		return;
	acks_sent_to(pending->acks, err == 0);
	if (err == 0 && bus_link_gone(edge->link)) {
		metrics_inc(METRIC_ROUTED); /* kept for it, and not waited for */
	} else if (err == 0 && peer_await(edge, number, pending) == 0) {
		pending->wait++;
		metrics_inc(METRIC_ROUTED);
	} else if (err && err != E_CLOSED) {
		/* It cannot follow: it comes back, tells its rooms, and gets what it missed from history. */
		log_warn("router", "an edge is too slow: its link is set up anew",
			 KV_Z("peer", bus_link_peer(edge->link)), KV_ERR(err));
		bus_link_reset(edge->link);
	}
}

static void send_to_room(struct router *router, struct str nsp, struct str name,
			 struct message *msg, struct pending *pending)
{
	struct room *room;

	buf_reset(&router->key);
	buf_add(&router->key, nsp);
	buf_addc(&router->key, ',');
	buf_add(&router->key, name);
	if (router->key.failed)
		return;
	room = msg->place ? room_get(router, buf_str(&router->key))
			  : room_find(router, buf_str(&router->key));
	for (uint32_t i = 0; room && i < room->edge_count; i++)
		send_to(room->edges[i].peer, msg, pending);
	if (room && msg->place)
		room_remember(room, msg);
}

static void send_to_rooms(struct router *router, const struct wire_publish *p, struct message *msg,
			  struct pending *pending)
{
	struct wire_list_walk w;
	struct str name;

	router->mark++;
	wire_list_walk(&p->rooms, &w);
	while (wire_list_next(&w, &name))
		send_to_room(router, p->nsp, name, msg, pending);
}

/* The same event again: it is answered when the first one is. */
static void ask_again(struct peer *publisher, struct pending *pending, uint64_t ref)
{
	struct asker *asker;

	metrics_inc(METRIC_PUBLISHED_DOUBLE);
	if (!pending) {
		answer(publisher, ref, "", true);
		return;
	}
	asker = slab_get(&publisher->router->askers);
	if (!asker) {
		answer(publisher, ref, "UNAVAILABLE", false); /* too many at once */
		return;
	}
	asker->publisher = publisher;
	asker->ref = ref;
	list_append(&pending->askers, &asker->node);
	list_append(&publisher->asked, &asker->peer_node);
}

static struct pending *make_pending(struct peer *publisher, const struct wire_publish *p)
{
	struct pending *pending = slab_get(&publisher->router->pendings);

	if (!pending)
		return NULL;
	pending->publisher = publisher;
	pending->ref = p->ref;
	pending->uid_high = p->uid_high;
	pending->uid_low = p->uid_low;
	pending->wait = 1; /* until it was sent everywhere */
	list_init(&pending->askers);
	list_append(&publisher->published, &pending->node);
	metrics_set(METRIC_PUBLISH_PENDING, publisher->router->pendings.live);
	return pending;
}

static void send_kept(struct router *router, const struct wire_publish *p, struct message *msg,
		      struct pending *pending)
{
	router->place = msg->place;
	send_to_rooms(router, p, msg, pending);
	persist_message(router, msg, pending);
}

/* Who is here now is to acknowledge it: nobody comes back to it. */
static void send_asking(struct peer *publisher, const struct wire_publish *p, struct message *msg,
			struct pending *pending, uint64_t ack)
{
	pending->acks = acks_begin(publisher, p, ack);
	send_to_rooms(publisher->router, p, msg, pending);
	acks_sent(pending->acks);
	pending->acks = NULL;
}

static void publish_counted(struct peer *publisher, const struct bus_message *m)
{
	struct router *router = publisher->router;
	const struct wire_publish *p = &m->any.publish;
	struct pending *pending = make_pending(publisher, p);
	uint64_t ack = p->ack && !publisher->edge ? ++router->last_ack : 0;
	struct message *msg = pending ? make_message(router, m, ack) : NULL;
	uint64_t note = (uint64_t)(uintptr_t)pending;

	if (!msg) {
		answer(publisher, p->ref, "UNAVAILABLE", false);
	} else if ((p->uid_high || p->uid_low) && idset_add(&router->ids, p->uid_high, p->uid_low,
							    clock_ms(), &note) == E_EXISTS) {
		ask_again(publisher, (struct pending *)(uintptr_t)note, p->ref);
		pending->uid_high = pending->uid_low = 0; /* the note is the first one's */
	} else {
		metrics_inc(METRIC_PUBLISHED);
		metrics_set(METRIC_EVENT_IDS, idset_count(&router->ids));
		if (ack)
			send_asking(publisher, p, msg, pending, ack);
		else
			send_kept(router, p, msg, pending);
		egress_copy(router, p, msg);
		publish_release(router, pending);
		message_unref(&msg);
		return;
	}
	if (pending) {
		pending->ref = 0; /* it was answered, or will be with the first one */
		pending->uid_high = pending->uid_low = 0;
		publish_release(router, pending);
	}
	message_unref(&msg);
}

void publish_on_message(struct peer *peer, const struct bus_message *m)
{
	const struct wire_publish *p = &m->any.publish;
	struct message *msg;

	/* One frame fewer than a link takes: behind its DELIVER it is repeated and returned. */
	if (m->payload_count != 1 + p->attachments || m->payload_count >= WIRE_MAX_PAYLOADS ||
	    p->rooms.count == 0) {
		metrics_inc(METRIC_WIRE_BAD);
		answer(peer, p->ref, "MALFORMED", false);
		return;
	}
	if (!p->is_volatile) {
		publish_counted(peer, m);
		return;
	}
	msg = make_message(peer->router, m, 0);
	if (msg) {
		send_to_rooms(peer->router, p, msg, NULL);
		egress_copy(peer->router, p, msg);
	}
	message_unref(&msg);
}
