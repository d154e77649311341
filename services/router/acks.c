/* SPDX-License-Identifier: Apache-2.0 */
#include "services/router/acks.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/metrics/metrics.h"

struct acks {
	struct router *router;
	struct peer *publisher;
	struct wheel_timer timer;
	uint64_t number;   /* ours */
	uint64_t ref;      /* the publisher's */
	uint64_t clients;  /* that were asked, as far as edges have said */
	uint64_t answered; /* of them */
	uint32_t edges;    /* that have not said it */
	uint32_t rooms;    /* of the PUBLISH */
	bool broken;       /* an edge did not get it */
};

struct str acks_key_of(const void *acks)
{
	return str_make((const char *)&((const struct acks *)acks)->number, sizeof(uint64_t));
}

static void show(const struct router *router)
{
	metrics_set(METRIC_ACKS_AWAITED, map_count(&router->acks));
}

static void drop(struct acks *acks)
{
	struct router *router = acks->router;

	svc_cancel(router->svc, &acks->timer);
	map_del(&router->acks, acks_key_of(acks));
	mem_free(acks);
	show(router);
}

static void give_up(struct acks *acks)
{
	metrics_inc(METRIC_ACKS_GIVEN_UP);
	drop(acks);
}

static void on_timer(struct wheel_timer *timer)
{
	give_up(CONTAINER_OF(timer, struct acks, timer));
}

struct acks *acks_begin(struct peer *publisher, const struct wire_publish *p, uint64_t number)
{
	struct router *router = publisher->router;
	struct acks *acks = map_count(&router->acks) < ACKS_MAX ? mem_try(sizeof(*acks)) : NULL;

	if (acks) {
		acks->router = router;
		acks->publisher = publisher;
		acks->number = number;
		acks->ref = p->ack;
		acks->rooms = p->rooms.count;
		wheel_timer_init(&acks->timer, on_timer);
	}
	if (!acks || map_put(&router->acks, acks)) {
		mem_free(acks);
		metrics_inc(METRIC_ACKS_GIVEN_UP);
		return NULL;
	}
	svc_arm(router->svc, &acks->timer, clock_ms() + p->ack_ms);
	show(router);
	return acks;
}

void acks_sent_to(struct acks *acks, bool ok)
{
	if (acks && ok)
		acks->edges++;
	else if (acks)
		acks->broken = true;
}

/* All edges have said how many; the last answer may have been here before. */
static void tell(struct acks *acks)
{
	struct wire_asked m = { .ack = acks->ref, .clients = acks->clients, .rooms = acks->rooms };
	struct peer *publisher = acks->publisher;

	if (acks->answered >= acks->clients)
		drop(acks);
	peer_say(publisher, WIRE_ASKED, &m); /* this may be the publisher's end */
}

void acks_sent(struct acks *acks)
{
	if (!acks)
		return;
	if (acks->broken)
		give_up(acks);
	else if (acks->edges == 0)
		tell(acks);
}

static struct acks *find(struct router *router, uint64_t number)
{
	return map_get(&router->acks, str_make((const char *)&number, sizeof(number)));
}

void acks_on_asked(struct peer *peer, const struct wire_asked *m)
{
	struct acks *acks = find(peer->router, m->ack);

	if (!acks || acks->edges == 0)
		return;
	acks->clients += m->clients;
	if (--acks->edges == 0)
		tell(acks);
}

static void pass_on(const struct acks *acks, const struct bus_message *m)
{
	struct wire_ack out = { .ack = acks->ref };
	struct blob *payload[WIRE_MAX_PAYLOADS];
	struct blob *body = wire_pack(WIRE_ACK, &out);
	uint32_t n = 0;

	while (n < m->payload_count && (payload[n] = blob_copy(m->payload[n])) != NULL)
		n++;
	if (!body || n < m->payload_count ||
	    bus_link_send(acks->publisher->link, body, payload, n, true, NULL))
		metrics_inc(METRIC_ACKS_DROPPED);
	while (n > 0)
		blob_unref(&payload[--n]);
	blob_unref(&body);
}

void acks_on_ack(struct peer *peer, const struct bus_message *m)
{
	struct acks *acks = find(peer->router, m->any.ack.ack);

	if (!acks || m->payload_count == 0 || m->payload_count > WIRE_MAX_PAYLOADS)
		return; /* too late */
	pass_on(acks, m);
	acks->answered++;
	if (acks->edges == 0 && acks->answered >= acks->clients)
		drop(acks);
}

void acks_forget_peer(struct peer *peer)
{
	MAP_EACH(&peer->router->acks, struct acks, acks) {
		if (acks->publisher == peer)
			give_up(acks);
	}
}
