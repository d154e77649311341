/* SPDX-License-Identifier: Apache-2.0 */
/* The binding side of links: many peers on one ROUTER socket. */
#include "common/base/clock.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/bus/bus_link_impl.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define HELD_ROLES_MAX 4
#define PEERS_MAX 4096
#define FORGET_FACTOR 3u /* a silent peer is forgotten after so many link timeouts */
#define RESYNC_AGAIN_MS 50u
#define PROBES_PER_GONE 8u /* how often an unreachable peer is tried before it is gone */
#define PROBE_MIN_MS 10u
#define PROBE_MAX_MS 1000u

struct bus_server {
	struct svc *svc;
	struct adapt_zmq *sock;
	const struct bus_handlers *handlers;
	void *ctx;
	struct list links;
	struct map by_identity, by_name; /* of links */
	uint64_t version_ms;             /* another version was last logged */
	char held[HELD_ROLES_MAX][17];
};

static struct str identity_key(const void *object)
{
	const struct bus_link *link = object;

	return str_make(link->identity, link->identity_bytes);
}

static struct str name_key(const void *object)
{
	return str_of(((const struct bus_link *)object)->peer);
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
	map_del(&server->by_identity, identity_key(link));
	map_del(&server->by_name, name_key(link));
	mem_free(link);
}

static uint64_t probe_ms(const struct bus_link *link)
{
	uint64_t ms = (uint64_t)link->svc->conf.link_gone_ms / PROBES_PER_GONE;

	return ms < PROBE_MIN_MS ? PROBE_MIN_MS : ms > PROBE_MAX_MS ? PROBE_MAX_MS : ms;
}

/* An idle link is pinged often enough that an end without BYE is seen soon. */
static uint64_t beat_ms(const struct bus_link *link)
{
	uint64_t beat = bus_link_beat_ms(link);
	uint64_t most = (uint64_t)link->svc->conf.link_gone_ms / 2;

	if (link->unreached_ms)
		return probe_ms(link);
	if (link->asked)
		return RESYNC_AGAIN_MS;
	return beat < most ? beat : most;
}

void bus_server_note(struct bus_link *link, int err)
{
	if (err == 0)
		link->unreached_ms = 0;
	if (err != E_UNREACHABLE || link->unreached_ms)
		return;
	link->unreached_ms = clock_ms();
	if (wheel_armed(&link->timer) && link->due_ms > clock_ms() + probe_ms(link))
		bus_link_arm(link, probe_ms(link));
}

/* Last of all in its caller. */
static void look_if_gone(struct bus_link *link)
{
	uint64_t now = clock_ms();
	bool unreached = link->unreached_ms &&
			 now - link->unreached_ms >= (uint64_t)link->svc->conf.link_gone_ms;
	bool silent = now - link->heard_ms > (uint64_t)link->svc->conf.link_timeout_ms;

	if (link->gone || (!unreached && !silent))
		return;
	link->gone = true;
	metrics_inc(METRIC_LINK_GONE);
	log_warn("bus", "a peer is gone: it is not waited for", KV_Z("peer", link->peer));
	if (link->handlers->gone)
		link->handlers->gone(link->ctx, link);
}

/* One that has lost something, or is gone and can be reached again, is asked for its HELLO until it says it. */
static void ping(struct bus_link *link)
{
	struct wire_ping m = { .sent = link->sent };
	struct wire_resync resync = { 0 };

	if (link->state == BUS_LINK_UP && !link->gone && !link->asked)
		bus_link_say(link, WIRE_PING, &m);
	else
		bus_link_say(link, WIRE_RESYNC, &resync);
}

/* A peer that is heard, but has acknowledged nothing for so long: it does not hear us. */
static bool is_deaf(struct bus_link *link, uint64_t most_ms)
{
	if (link->ring.count == 0 || link->ring.first != link->progress) {
		link->progress = link->ring.first;
		link->progress_ms = clock_ms();
	}
	return clock_ms() - link->progress_ms > most_ms;
}

static void on_timer(struct wheel_timer *timer)
{
	struct bus_link *link = CONTAINER_OF(timer, struct bus_link, timer);
	uint64_t most_ms = (uint64_t)link->svc->conf.link_timeout_ms * FORGET_FACTOR;

	if (bus_link_overslept(link)) {
		link->heard_ms = clock_ms();
		link->unreached_ms = 0; /* it may have come back long since: see anew */
		link->progress_ms = clock_ms();
	}
	if (clock_ms() - link->heard_ms > most_ms || is_deaf(link, most_ms)) {
		log_warn("bus", "a silent peer is forgotten", KV_Z("peer", link->peer));
		bus_server_forget(link);
		return;
	}
	ping(link);
	bus_link_arm(link, link->state == BUS_LINK_UP ? beat_ms(link) : RESYNC_AGAIN_MS);
	look_if_gone(link);
}

static struct bus_link *create(struct bus_server *server, struct str identity,
			       const struct wire_hello *m)
{
	struct bus_link *link;

	if (map_count(&server->by_identity) >= PEERS_MAX || identity.n > sizeof(link->identity))
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
	if (str_copy(m->name, link->peer, sizeof(link->peer)) ||
	    str_copy(m->role, link->role, sizeof(link->role)))
		log_warn("bus", "a peer's name or role is too long and cut");
	if (map_put(&server->by_identity, link) || map_put(&server->by_name, link)) {
		log_error("bus", "out of memory: a peer is not taken", KV_Z("peer", link->peer));
		map_del(&server->by_identity, identity);
		bus_link_teardown(link);
		mem_free(link);
		return NULL;
	}
	list_append(&server->links, &link->node);
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
	struct bus_link *link = map_get(&server->by_identity, identity), *old;

	if (link && (link->peer_epoch != m->epoch || !str_is(m->name, link->peer))) {
		bus_server_forget(link);
		link = NULL;
	}
	old = map_get(&server->by_name, m->name);
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

static void tell_up(struct bus_link *link, bool resumed)
{
	link->gone = false;
	link->handlers->up(link->ctx, link, resumed);
}

static void on_hello(struct bus_server *server, struct str identity, const struct wire_hello *m)
{
	struct bus_link *link;
	bool held;

	if (!bus_version_fits("a connecting process", m->version, m->abi, &server->version_ms))
		return;
	held = is_held(server, m->role);
	if (server->handlers->held && (held || m->known.count > 0))
		server->handlers->held(server->ctx, &m->known);
	if (held)
		return;
	link = link_of(server, identity, m);
	if (!link)
		return;
	link->heard_ms = clock_ms();
	if (m->serial < link->hello_serial)
		return; /* overtaken by a newer one: what it says is no longer so */
	link->hello_serial = m->serial;
	if (link->state == BUS_LINK_UP && link->nonce == m->nonce) {
		welcome_again(link, m);
		if (link->gone)
			tell_up(link, true);
		return;
	}
	if (link->state == BUS_LINK_UP)
		metrics_dec(METRIC_LINKS_UP);
	link->asked = false;
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
	bus_link_arm(link, beat_ms(link));
	tell_up(link, link->answered_resumed);
}

static void on_bye(struct bus_server *server, struct str identity, const struct wire_bye *m)
{
	struct bus_link *link = map_get(&server->by_identity, identity);

	if (!link || link->nonce != m->nonce)
		return;
	log_info("bus", "a peer has ended", KV_Z("peer", link->peer));
	if (link->state == BUS_LINK_UP)
		metrics_dec(METRIC_LINKS_UP);
	link->state = BUS_LINK_DOWN; /* as it should be: nothing to warn of */
	bus_server_forget(link);
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

/* HELLO or BYE: they are not counted. */
static bool came_or_went(struct bus_server *server, const struct str frames[3])
{
	uint64_t number, ack;
	union wire_any any;
	enum wire_id id;

	if (bus_envelope_read(frames[1], &number, &ack) || number != 0 ||
	    wire_unpack(frames[2], &id, &any))
		return false;
	if (id == WIRE_HELLO)
		on_hello(server, frames[0], &any.hello);
	else if (id == WIRE_BYE)
		on_bye(server, frames[0], &any.bye);
	return id == WIRE_HELLO || id == WIRE_BYE;
}

static void on_frames(void *ctx, const struct str *frames, size_t frame_count)
{
	struct bus_server *server = ctx;
	struct bus_link *link;

	if (adapt_zmq_is_probe(frames, frame_count)) {
		ask_for_hello(server, frames[0]); /* what its last connection lost is repeated */
		return;
	}
	if (frame_count < 3) {
		metrics_inc(METRIC_WIRE_BAD);
		return;
	}
	if (frame_count == 3 && came_or_went(server, frames))
		return;
	link = map_get(&server->by_identity, frames[0]);
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
	map_init(&s->by_identity, identity_key);
	map_init(&s->by_name, name_key);
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
	map_fini(&s->by_identity);
	map_fini(&s->by_name);
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
