/* SPDX-License-Identifier: Apache-2.0 */
/* The binding side of links: many peers on one ROUTER socket. */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/bus/bus_link_impl.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define HELD_ROLES_MAX 4
#define PEERS_MAX 4096
#define FORGET_FACTOR 3u /* a silent peer is forgotten after so many link timeouts */
#define RESYNC_AGAIN_MS 50u

struct bus_server {
	struct svc *svc;
	struct adapt_zmq *sock;
	const struct bus_handlers *handlers;
	void *ctx;
	struct list links;
	size_t count;
	uint64_t version_ms; /* another version was last logged */
	char held[HELD_ROLES_MAX][17];
};

static struct bus_link *find_identity(struct bus_server *server, struct str identity)
{
	LIST_EACH(&server->links, node, next) {
		struct bus_link *link = CONTAINER_OF(node, struct bus_link, node);

		if (str_eq(str_make(link->identity, link->identity_bytes), identity))
			return link;
	}
	return NULL;
}

static struct bus_link *find_name(struct bus_server *server, struct str name)
{
	LIST_EACH(&server->links, node, next) {
		struct bus_link *link = CONTAINER_OF(node, struct bus_link, node);

		if (str_is(name, link->peer))
			return link;
	}
	return NULL;
}

static bool is_held(const struct bus_server *server, struct str role)
{
	for (int i = 0; i < HELD_ROLES_MAX; i++)
		if (server->held[i][0] && str_is(role, server->held[i]))
			return true;
	return false;
}

void bus_server_hold_role(struct bus_server *server, const char *role, bool hold)
{
	for (int i = 0; i < HELD_ROLES_MAX; i++) {
		if (!hold && strcmp(server->held[i], role) == 0)
			server->held[i][0] = '\0';
		if (hold && !server->held[i][0]) {
			snprintf(server->held[i], sizeof(server->held[i]), "%s", role);
			return;
		}
	}
}

void bus_server_forget(struct bus_link *link)
{
	struct bus_server *server = link->server;

	bus_link_down(link);
	if (link->handlers->down)
		link->handlers->down(link->ctx, link);
	bus_link_teardown(link);
	list_remove(&link->node);
	server->count--;
	mem_free(link);
}

static void on_timer(struct wheel_timer *timer)
{
	struct bus_link *link = CONTAINER_OF(timer, struct bus_link, timer);
	uint64_t most_ms = (uint64_t)link->svc->conf.link_timeout_ms * FORGET_FACTOR;
	struct wire_ping ping = { .sent = link->sent };
	struct wire_resync resync = { 0 };

	if (bus_link_overslept(link))
		link->heard_ms = clock_ms();
	if (clock_ms() - link->heard_ms > most_ms) {
		log_warn("bus", "a silent peer is forgotten", KV_Z("peer", link->peer));
		bus_server_forget(link);
	} else if (link->state != BUS_LINK_UP) {
		bus_link_say(link, WIRE_RESYNC, &resync);
		bus_link_arm(link, RESYNC_AGAIN_MS);
	} else {
		bus_link_say(link, WIRE_PING, &ping);
		bus_link_arm(link, bus_link_beat_ms(link));
	}
}

static struct bus_link *create(struct bus_server *server, struct str identity,
			       const struct wire_hello *m)
{
	struct bus_link *link;

	if (server->count >= PEERS_MAX || identity.n > sizeof(link->identity))
		return NULL;
	link = mem_try(sizeof(*link));
	if (!link)
		return NULL;
	bus_link_setup(link, server->svc, server->handlers, server->ctx);
	link->server = server;
	link->sock = server->sock;
	memcpy(link->identity, identity.p, identity.n);
	link->identity_bytes = identity.n;
	link->peer_epoch = m->epoch;
	wheel_timer_init(&link->timer, on_timer);
	list_append(&server->links, &link->node);
	server->count++;
	if (str_copy(m->name, link->peer, sizeof(link->peer)) ||
	    str_copy(m->role, link->role, sizeof(link->role)))
		log_warn("bus", "a peer's name or role is too long and cut");
	return link;
}

static void welcome(struct bus_link *link, const struct wire_hello *m, bool resumed)
{
	struct wire_welcome answer = {
		.version = WIRE_VERSION,
		.abi = wire_abi(),
		.name = str_of(link->svc->instance),
		.epoch = bus_epoch(),
		.nonce = m->nonce,
		.resumed = resumed,
		.received = link->received,
	};

	bus_link_say(link, WIRE_WELCOME, &answer);
}

/* Of whoever has this identity or this name, only the very process that says HELLO stays. */
static struct bus_link *link_of(struct bus_server *server, struct str identity,
				const struct wire_hello *m)
{
	struct bus_link *link = find_identity(server, identity), *old;

	if (link && (link->peer_epoch != m->epoch || !str_is(m->name, link->peer))) {
		bus_server_forget(link);
		link = NULL;
	}
	old = find_name(server, m->name);
	if (old && old != link)
		bus_server_forget(old);
	return link ? link : create(server, identity, m);
}

static bool resume(struct bus_link *link, const struct wire_hello *m)
{
	if (!link->synced || m->peer_epoch != bus_epoch() || m->series != link->series ||
	    !bus_link_rewind(link, m->received))
		return false;
	return link->synced; /* the service may have reset it when it saw what is acknowledged */
}

/* Said again before the answer was there. Perhaps it never was, and what was sent behind it neither: PING shows that. */
static void welcome_again(struct bus_link *link, const struct wire_hello *m)
{
	struct wire_ping ping = { .sent = link->sent };

	welcome(link, m, link->answered_resumed);
	bus_link_say(link, WIRE_PING, &ping);
}

static void on_hello(struct bus_server *server, struct str identity, const struct wire_hello *m)
{
	struct bus_link *link;

	if (!bus_version_fits("a connecting process", m->version, m->abi, &server->version_ms))
		return;
	if (is_held(server, m->role)) {
		if (server->handlers->held)
			server->handlers->held(server->ctx, &m->known);
		return;
	}
	link = link_of(server, identity, m);
	if (!link)
		return;
	link->heard_ms = clock_ms();
	if (link->state == BUS_LINK_UP && link->nonce == m->nonce) {
		welcome_again(link, m);
		return;
	}
	if (link->state == BUS_LINK_UP)
		metrics_dec(METRIC_LINKS_UP);
	link->state = BUS_LINK_DOWN; /* nothing goes out before the WELCOME */
	link->answered_resumed = resume(link, m);
	if (!link->answered_resumed) {
		bus_link_restart_numbers(link);
		link->series = m->nonce;
		metrics_inc(METRIC_LINK_RESYNC);
	}
	link->nonce = m->nonce;
	link->synced = true;
	welcome(link, m, link->answered_resumed);
	link->state = BUS_LINK_UP;
	metrics_inc(METRIC_LINKS_UP);
	log_info("bus", "link is up", KV_Z("peer", link->peer),
		 KV_B("resumed", link->answered_resumed));
	bus_link_arm(link, bus_link_beat_ms(link));
	link->handlers->up(link->ctx, link, link->answered_resumed);
}

static void ask_for_hello(struct bus_server *server, struct str identity)
{
	struct wire_resync resync = { 0 };
	struct blob *body = wire_pack(WIRE_RESYNC, &resync);
	char envelope[BUS_ENVELOPE_BYTES];
	struct str frames[3] = { identity, bus_envelope(envelope, 0, 0),
				 body ? blob_str(body) : STR_NONE };

	if (!body || adapt_zmq_send(server->sock, frames, 3))
		log_debug("bus", "an unknown peer is gone again");
	blob_unref(&body);
}

static void on_frames(void *ctx, const struct str *frames, size_t frame_count)
{
	struct bus_server *server = ctx;
	struct bus_link *link;
	union wire_any any;
	enum wire_id id;

	if (adapt_zmq_is_probe(frames, frame_count)) {
		ask_for_hello(server, frames[0]); /* what its last connection lost is repeated */
		return;
	}
	if (frame_count < 3) {
		metrics_inc(METRIC_WIRE_BAD);
		return;
	}
	if (frame_count == 3 && wire_unpack(frames[2], &id, &any) == 0 && id == WIRE_HELLO) {
		on_hello(server, frames[0], &any.hello);
		return;
	}
	link = find_identity(server, frames[0]);
	if (!link) {
		ask_for_hello(server, frames[0]);
		return;
	}
	link->heard_ms = clock_ms();
	if (link->state == BUS_LINK_UP)
		bus_link_receive(link, frames + 1, frame_count - 1);
}

int bus_server_open(struct svc *svc, const char *endpoint, const struct bus_handlers *handlers,
		    void *ctx, struct bus_server **server)
{
	struct bus_server *s = mem_need(sizeof(*s));
	int err;

	s->svc = svc;
	s->handlers = handlers;
	s->ctx = ctx;
	list_init(&s->links);
	err = adapt_zmq_open(svc, ADAPT_ZMQ_ROUTER, NULL, endpoint, on_frames, s, &s->sock);
	if (err) {
		mem_free(s);
		return err;
	}
	*server = s;
	return 0;
}

void bus_server_close(struct bus_server **server)
{
	struct bus_server *s = *server;
	struct list *node;

	*server = NULL;
	if (!s)
		return;
	while ((node = list_first(&s->links)) != NULL)
		bus_server_forget(CONTAINER_OF(node, struct bus_link, node));
	adapt_zmq_close(&s->sock);
	mem_free(s);
}

struct bus_link *bus_server_next(struct bus_server *server, struct bus_link *after)
{
	struct list *node = after ? after->node.next : server->links.next;

	return node == &server->links ? NULL : CONTAINER_OF(node, struct bus_link, node);
}

void bus_link_reset(struct bus_link *link)
{
	struct wire_resync resync = { 0 };

	if (!link->server || !link->synced)
		return;
	link->synced = false;
	bus_link_down(link);
	bus_link_restart_numbers(link);
	bus_link_say(link, WIRE_RESYNC, &resync);
	bus_link_arm(link, RESYNC_AGAIN_MS);
}
