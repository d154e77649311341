/* SPDX-License-Identifier: Apache-2.0 */
#include "services/router/egress.h"

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/router/room.h"

struct copy {
	uint64_t number; /* on the watcher's link */
	uint64_t bytes;
};

struct egress {
	struct peer *watcher; /* NULL: none */
	uint64_t bytes;       /* of those not acknowledged */
	uint32_t head, count;
	struct copy copies[EGRESS_COUNT]; /* ring, in order of number */
};

struct egress *egress_new(void)
{
	return mem_need(sizeof(struct egress));
}

void egress_free(struct egress **egress)
{
	mem_free(*egress);
	*egress = NULL;
}

static void show(const struct egress *e)
{
	metrics_set(METRIC_EGRESS_UNACKED, e->count);
	metrics_set(METRIC_EGRESS_UNACKED_BYTES, e->bytes);
}

static void set_watcher(struct egress *e, struct peer *peer)
{
	e->watcher = peer;
	e->bytes = e->count = 0;
	show(e);
}

void egress_on_watch(struct peer *peer, const struct wire_watch *m)
{
	struct egress *e = peer->router->egress;

	if (peer->edge || m->on == (e->watcher == peer))
		return;
	set_watcher(e, m->on ? peer : NULL);
	log_info("egress",
		 m->on ? "an ingest wants copies of events" : "copies are wanted no longer",
		 KV_Z("peer", bus_link_peer(peer->link)));
}

void egress_forget_peer(struct peer *peer)
{
	struct egress *e = peer->router->egress;

	if (e && e->watcher == peer)
		set_watcher(e, NULL);
}

void egress_on_acked(struct peer *peer, uint64_t number)
{
	struct egress *e = peer->router->egress;

	if (!e || e->watcher != peer)
		return;
	while (e->count > 0 && e->copies[e->head].number <= number) {
		e->bytes -= e->copies[e->head].bytes;
		e->head = (e->head + 1) & (EGRESS_COUNT - 1);
		e->count--;
	}
	show(e);
}

/* Of an event to rooms of several routers: does another one copy it? */
static bool is_anothers(const struct wire_publish *p)
{
	struct wire_list_walk all, mine;
	struct str first, own;

	wire_list_walk(&p->all, &all);
	wire_list_walk(&p->rooms, &mine);
	return wire_list_next(&all, &first) && !(wire_list_next(&mine, &own) && str_eq(first, own));
}

static int send_copy(struct egress *e, struct message *msg, bool counted)
{
	struct blob *payload[WIRE_MAX_PAYLOADS];
	struct wire_watched m = { 0 };
	struct blob *body = wire_pack(WIRE_WATCHED, &m);
	uint64_t number = 0;
	uint32_t n = 0;
	int err;

	if (!body)
		return E_NOMEM;
	payload[n++] = msg->body;
	for (uint32_t i = 0; i < msg->payload_count && n < WIRE_MAX_PAYLOADS; i++)
		payload[n++] = msg->payload[i];
	err = bus_link_send(e->watcher->link, body, payload, n, counted, &number);
	blob_unref(&body);
	if (err || !counted)
		return err;
	e->copies[(e->head + e->count) & (EGRESS_COUNT - 1)] = (struct copy){ number, msg->bytes };
	e->count++;
	e->bytes += msg->bytes;
	show(e);
	return 0;
}

/* Answers to what it publishes go by the same link: half of that is theirs. */
static bool has_room(const struct router *router)
{
	const struct egress *e = router->egress;
	const struct conf *conf = &router->svc->conf;

	return e->count < EGRESS_COUNT && e->count < (uint64_t)conf->link_unacked_count / 2 &&
	       e->bytes < EGRESS_BYTES && e->bytes < (uint64_t)conf->link_unacked_bytes / 2;
}

void egress_copy(struct router *router, const struct wire_publish *p, struct message *msg)
{
	struct egress *e = router->egress;

	if (!e || !e->watcher || p->origin == ORIGIN_REDIS || is_anothers(p))
		return;
	if (bus_link_gone(e->watcher->link) || !has_room(router) ||
	    send_copy(e, msg, !p->is_volatile))
		metrics_inc(METRIC_EGRESS_DROPPED);
	else
		metrics_inc(METRIC_EGRESS_COPIES);
}
