/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bus/bus_link.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "common/bus/bus_link_impl.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define GREET_AGAIN_MS 50u
#define VERSION_LOG_MS 60000u
#define GAP_LOG_MS 1000u
#define BEATS_PER_TIMEOUT 3u /* pings a peer may miss before it is held to be gone, at least */
#define KNOWN_MAX 1000u
#define ACK_LATE_COUNT 256u
#define BYE_LINGER_MS 200

/* ── numbers ── */

static void show(struct bus_link *link)
{
	metrics_add(METRIC_LINK_UNACKED, link->ring.count - link->counted_unacked);
	metrics_add(METRIC_LINK_UNACKED_BYTES, link->ring.bytes - link->counted_bytes);
	link->counted_unacked = link->ring.count;
	link->counted_bytes = link->ring.bytes;
}

void bus_link_restart_numbers(struct bus_link *link)
{
	bus_ring_reset(&link->ring);
	link->sent = link->received = link->told = 0;
	show(link);
}

static void on_ack(struct bus_link *link, uint64_t number)
{
	if (number < link->ring.first || number > link->sent)
		return;
	bus_ring_drop(&link->ring, number);
	show(link);
	if (link->handlers->acked)
		link->handlers->acked(link->ctx, link, number);
}

bool bus_link_rewind(struct bus_link *link, uint64_t received)
{
	if (received + 1 < link->ring.first || received > bus_ring_newest(&link->ring))
		return false;
	if (link->sent < received)
		link->sent = received;
	on_ack(link, received);
	link->sent = received;
	return true;
}

/* ── out ── */

/* Hand to ZeroMQ what it takes. */
static void pump(struct bus_link *link)
{
	const struct bus_ring_item *item;

	while (link->state == BUS_LINK_UP &&
	       (item = bus_ring_get(&link->ring, link->sent + 1)) != NULL) {
		if (bus_link_transmit(link, link->sent + 1, blob_str(item->body),
				      bus_ring_payload(item), item->payload_count))
			break; /* no room: the next turn or the timer goes on */
		link->sent++;
	}
}

static void say_pong(struct bus_link *link)
{
	struct wire_pong pong = { .sent = link->sent };

	bus_link_say(link, WIRE_PONG, &pong);
}

/* So many may wait for the next message or ping: well below what the peer keeps for us. */
static uint64_t late_count(const struct bus_link *link)
{
	uint64_t quarter = (uint64_t)link->svc->conf.link_unacked_count / 4;

	return quarter < ACK_LATE_COUNT ? quarter : ACK_LATE_COUNT;
}

/* End of a turn: what was received is acknowledged, unless something else has carried that. */
static bool on_turn(void *ctx)
{
	struct bus_link *link = ctx;

	if (link->state != BUS_LINK_UP)
		return false;
	pump(link);
	if (link->told != link->received &&
	    (link->ack_soon || link->received - link->told >= late_count(link)))
		say_pong(link);
	link->ack_soon &= link->told != link->received; /* not said: again in the next turn */
	return false;
}

/* What is not counted does not overtake what waits, and is the first to go. */
static int send_now(struct bus_link *link, struct blob *body, struct blob *const *payload,
		    uint32_t payload_count)
{
	if (link->state != BUS_LINK_UP)
		return E_CLOSED;
	if (link->sent != bus_ring_newest(&link->ring))
		return E_AGAIN;
	return bus_link_transmit(link, 0, blob_str(body), payload, payload_count);
}

int bus_link_send(struct bus_link *link, struct blob *body, struct blob *const *payload,
		  uint32_t payload_count, bool counted, uint64_t *number)
{
	const struct conf *conf = &link->svc->conf;
	uint64_t given;
	int err;

	if (payload_count > WIRE_MAX_PAYLOADS)
		return E_TOOBIG;
	if (!counted) {
		err = send_now(link, body, payload, payload_count);
		if (err)
			metrics_inc(METRIC_LINK_VOLATILE_DROPPED);
		return err;
	}
	if (!link->synced)
		return E_CLOSED;
	if (link->ring.count >= (uint64_t)conf->link_unacked_count ||
	    link->ring.bytes >= (uint64_t)conf->link_unacked_bytes) {
		metrics_inc(METRIC_LINK_OVERFLOWS);
		return E_FULL;
	}
	err = bus_ring_push(&link->ring, body, payload, payload_count, &given);
	if (err)
		return err;
	show(link);
	if (number)
		*number = given;
	pump(link);
	return 0;
}

int bus_link_send_msg(struct bus_link *link, enum wire_id id, const void *message, bool counted)
{
	struct blob *body = wire_pack(id, message);
	int err = body ? bus_link_send(link, body, NULL, 0, counted, NULL) : E_NOMEM;

	blob_unref(&body);
	return err;
}

/* ── in ── */

/* The peer has sent `number`, and what comes before it is missing. */
static void ask_for_rest(struct bus_link *link, uint64_t number)
{
	struct wire_resync resync = { 0 };

	if (link->asked) /* what comes before its HELLO belongs to before */
		return;
	metrics_inc(METRIC_LINK_GAPS);
	if (!link->gap_ms || clock_ms() - link->gap_ms >= GAP_LOG_MS) {
		log_warn("bus", "a gap in the numbers of a link: the rest is asked for",
			 KV_Z("peer", bus_link_peer(link)), KV_U("expected", link->received + 1),
			 KV_U("got", number));
		link->gap_ms = clock_ms();
	}
	if (!link->server) {
		bus_link_greet(link);
		return;
	}
	link->asked = true;
	bus_link_say(link, WIRE_RESYNC, &resync);
	bus_link_arm(link, GREET_AGAIN_MS); /* it may be lost, too */
}

/* False: out of turn, drop the message. */
static bool in_order(struct bus_link *link, uint64_t number)
{
	if (number == 0)
		return true;
	if (number == link->received + 1) {
		link->received = number;
		return true;
	}
	if (number <= link->received) {
		metrics_inc(METRIC_LINK_DOUBLES);
		return false;
	}
	ask_for_rest(link, number);
	return false;
}

/* What the links say among themselves. False: it is for the service. */
static bool is_own(struct bus_link *link, const struct bus_message *m)
{
	uint64_t sent = m->id == WIRE_PING   ? m->any.ping.sent
			: m->id == WIRE_PONG ? m->any.pong.sent
					     : 0;

	switch (m->id) {
	case WIRE_PING:
	case WIRE_PONG:
		if (sent > link->received) /* the last ones were lost: no later one shows that */
			ask_for_rest(link, sent);
		else if (m->id == WIRE_PING)
			say_pong(link);
		return true;
	case WIRE_RESYNC:
		if (!link->server)
			bus_link_greet(link);
		return true;
	case WIRE_HELLO:
	case WIRE_WELCOME: /* to a HELLO that was said twice */
	case WIRE_BYE:     /* of another HELLO than the last one */
		return true;
	default:
		return false;
	}
}

void bus_link_receive(struct bus_link *link, const struct str *frames, size_t frame_count)
{
	struct bus_message m = { 0 };
	uint64_t ack;
	int err;

	if (frame_count < 2 || bus_envelope_read(frames[0], &m.number, &ack)) {
		metrics_inc(METRIC_WIRE_BAD);
		return;
	}
	if (!in_order(link, m.number))
		return;
	on_ack(link, ack);
	if (link->state != BUS_LINK_UP) /* the service has reset it when it saw that */
		return;
	err = wire_unpack(frames[1], &m.id, &m.any);
	/* Nobody waits for the acknowledgement of an answer: it goes with the next message, or the next ping. */
	if (m.number && (err || (m.id != WIRE_PUBLISHED && m.id != WIRE_SUBSCRIBED)))
		link->ack_soon = true;
	if (err == E_UNKNOWN) {
		metrics_inc(METRIC_WIRE_UNKNOWN);
	} else if (err) {
		metrics_inc(METRIC_WIRE_BAD);
		log_warn("bus", "a message does not decode and is dropped",
			 KV_Z("peer", bus_link_peer(link)), KV_ERR(err));
	}
	if (err || is_own(link, &m))
		return;
	m.body = frames[1];
	m.payload = frames + 2;
	m.payload_count = (uint32_t)(frame_count - 2);
	link->handlers->message(link->ctx, link, &m);
}

/* ── life ── */

void bus_link_setup(struct bus_link *link, struct svc *svc, const struct bus_handlers *handlers,
		    void *ctx)
{
	link->svc = svc;
	link->handlers = handlers;
	link->ctx = ctx;
	link->heard_ms = clock_ms();
	list_init(&link->node);
	bus_ring_init(&link->ring);
	link->turn = (struct svc_turn){ .fn = on_turn, .ctx = link };
	svc_turn_add(svc, SVC_RANK_FLUSH, &link->turn);
}

void bus_link_teardown(struct bus_link *link)
{
	if (link->state == BUS_LINK_UP)
		metrics_dec(METRIC_LINKS_UP);
	link->state = BUS_LINK_DOWN;
	bus_link_forget_late(link);
	svc_cancel(link->svc, &link->timer);
	svc_turn_remove(&link->turn);
	bus_link_restart_numbers(link);
}

void bus_link_down(struct bus_link *link)
{
	if (link->state != BUS_LINK_UP)
		return;
	link->state = link->server ? BUS_LINK_DOWN : BUS_LINK_GREETING;
	metrics_dec(METRIC_LINKS_UP);
	log_warn("bus", "link is down", KV_Z("peer", bus_link_peer(link)));
}

uint64_t bus_link_beat_ms(const struct bus_link *link)
{
	uint64_t beat = (uint64_t)link->svc->conf.link_heartbeat_ms;
	uint64_t most = (uint64_t)link->svc->conf.link_timeout_ms / BEATS_PER_TIMEOUT;

	return beat < most ? beat : most;
}

void bus_link_arm(struct bus_link *link, uint64_t in_ms)
{
	link->due_ms = clock_ms() + in_ms;
	svc_arm(link->svc, &link->timer, link->due_ms);
}

bool bus_link_overslept(const struct bus_link *link)
{
	return clock_ms() > link->due_ms + (uint64_t)link->svc->conf.link_timeout_ms / 2;
}

bool bus_version_fits(const char *peer, uint64_t version, uint64_t abi, uint64_t *logged_ms)
{
	if (version != WIRE_VERSION) {
		if (*logged_ms && clock_ms() - *logged_ms < VERSION_LOG_MS)
			return false;
		*logged_ms = clock_ms();
		log_error("bus", "peer speaks another protocol version: its link stays down",
			  KV_Z("peer", peer), KV_U("theirs", version), KV_U("ours", WIRE_VERSION));
		return false;
	}
	if (abi != wire_abi())
		log_info("bus", "peer has other messages than we: a rolling upgrade?",
			 KV_Z("peer", peer));
	return true;
}

/* ── connecting side ── */

void bus_link_set_known(struct bus_link *link, const struct wire_list *names)
{
	struct buf all = BUF_INIT(1u << 20);
	struct wire_list_walk w;
	struct str name;

	wire_list_walk(names, &w);
	while (wire_list_next(&w, &name)) {
		buf_add(&all, name);
		buf_addc(&all, '\0');
	}
	blob_unref(&link->known);
	link->known = buf_take_blob(&all);
	buf_fini(&all);
}

static void say_hello(struct bus_link *link)
{
	struct str names[KNOWN_MAX], rest = link->known ? blob_str(link->known) : STR_NONE;
	struct wire_hello m = {
		.version = WIRE_VERSION,
		.abi = wire_abi(),
		.name = str_of(link->svc->instance),
		.role = str_of(link->svc->spec->name),
		.epoch = bus_epoch(),
		.nonce = link->nonce,
		.serial = link->hello_serial,
		.peer_epoch = link->synced ? link->peer_epoch : 0,
		.received = link->received,
		.series = link->synced ? link->series : 0,
		.known = { .count = 0, .items = names },
	};

	while (m.known.count < KNOWN_MAX && str_cut(rest, '\0', &names[m.known.count], &rest))
		m.known.count++;
	link->hello_said = bus_link_say(link, WIRE_HELLO, &m) == 0;
}

void bus_link_greet(struct bus_link *link)
{
	if (link->state == BUS_LINK_UP)
		metrics_dec(METRIC_LINKS_UP);
	link->state = BUS_LINK_GREETING;
	link->nonce = rnd_u64();
	link->hello_serial++;
	say_hello(link);
	bus_link_arm(link, GREET_AGAIN_MS);
}

/* Last of all in its caller: the service may close the link. */
static void tell_down(struct bus_link *link)
{
	if (!link->told_up)
		return;
	link->told_up = false;
	if (link->handlers->down)
		link->handlers->down(link->ctx, link);
}

static void on_welcome(struct bus_link *link, const struct wire_welcome *m)
{
	bool resumed = m->resumed && link->synced && m->epoch == link->peer_epoch;

	if (m->nonce != link->nonce ||
	    !bus_version_fits(bus_link_peer(link), m->version, m->abi, &link->version_ms) ||
	    str_copy(m->name, link->peer, sizeof(link->peer)))
		return;
	if (resumed && !bus_link_rewind(link, m->received)) {
		link->synced = false; /* what it asks for is not ours to give: begin anew */
		bus_link_greet(link);
		return;
	}
	if (!resumed) {
		bus_link_restart_numbers(link);
		link->series = link->nonce;
		metrics_inc(METRIC_LINK_RESYNC);
	}
	link->peer_epoch = m->epoch;
	link->synced = true;
	link->state = BUS_LINK_UP;
	metrics_inc(METRIC_LINKS_UP);
	log_info("bus", "link is up", KV_Z("peer", link->peer), KV_B("resumed", resumed));
	bus_link_arm(link, bus_link_beat_ms(link));
	link->told_up = true;
	link->handlers->up(link->ctx, link, resumed); /* last: it may close the link */
}

static void on_frames(void *ctx, const struct str *frames, size_t frame_count)
{
	struct bus_link *link = ctx;
	union wire_any any;
	enum wire_id id;

	link->heard_ms = clock_ms();
	if (link->state == BUS_LINK_UP)
		bus_link_receive(link, frames, frame_count);
	else if (frame_count != 2 || wire_unpack(frames[1], &id, &any))
		return;
	else if (id == WIRE_WELCOME)
		on_welcome(link, &any.welcome);
	else if (id == WIRE_RESYNC && !link->hello_said) /* there was no connection: now there is */
		say_hello(link);
}

static void on_timer(struct wheel_timer *timer)
{
	struct bus_link *link = CONTAINER_OF(timer, struct bus_link, timer);
	struct wire_ping ping = { .sent = link->sent };
	bool silent;

	if (bus_link_overslept(link))
		link->heard_ms = clock_ms();
	silent = clock_ms() - link->heard_ms > (uint64_t)link->svc->conf.link_timeout_ms;
	if (link->state == BUS_LINK_UP && silent) {
		bus_link_down(link);
		bus_link_greet(link);
	} else if (link->state == BUS_LINK_UP) {
		bus_link_say(link, WIRE_PING, &ping);
		bus_link_arm(link, bus_link_beat_ms(link));
	} else {
		say_hello(link);
		bus_link_arm(link, GREET_AGAIN_MS);
	}
	if (silent)
		tell_down(link);
}

int bus_link_open(struct svc *svc, const char *endpoint, const struct bus_handlers *handlers,
		  void *ctx, struct bus_link **link)
{
	struct bus_link *l = mem_need(sizeof(*l));
	char identity[128];
	int err;

	/* Of this process life: a process that was started anew is another peer, the old one's leftovers cannot be taken for it. */
	snprintf(identity, sizeof(identity), "%.64s/%016llx", svc->instance,
		 (unsigned long long)bus_epoch());
	snprintf(l->endpoint, sizeof(l->endpoint), "%s", endpoint);
	err = adapt_zmq_open(svc, ADAPT_ZMQ_DEALER, identity, endpoint, on_frames, l, &l->sock);
	if (err) {
		mem_free(l);
		return err;
	}
	bus_link_setup(l, svc, handlers, ctx);
	wheel_timer_init(&l->timer, on_timer);
	l->state = BUS_LINK_GREETING;
	l->nonce = rnd_u64();
	l->hello_serial = 1;
	bus_link_arm(l, 1);
	*link = l;
	return 0;
}

void bus_link_close(struct bus_link **link)
{
	struct bus_link *l = *link;
	struct wire_bye bye = { .nonce = l ? l->nonce : 0 };

	*link = NULL;
	if (!l)
		return;
	pump(l);
	if (l->sent == bus_ring_newest(&l->ring)) /* it must not overtake anything */
		bus_link_say(l, WIRE_BYE, &bye);
	adapt_zmq_linger(l->sock, BYE_LINGER_MS);
	bus_link_teardown(l);
	blob_unref(&l->known);
	adapt_zmq_close(&l->sock);
	mem_free(l);
}

bool bus_link_up(const struct bus_link *link)
{
	return link->state == BUS_LINK_UP;
}

bool bus_link_gone(const struct bus_link *link)
{
	return link->gone;
}

const char *bus_link_peer(const struct bus_link *link)
{
	return link->peer[0] ? link->peer : link->endpoint;
}

const char *bus_link_role(const struct bus_link *link)
{
	return link->role;
}

uint64_t bus_link_peer_epoch(const struct bus_link *link)
{
	return link->peer_epoch;
}

uint64_t bus_link_unacked(const struct bus_link *link)
{
	return link->ring.count;
}

void bus_link_set_user(struct bus_link *link, void *user)
{
	link->user = user;
}

void *bus_link_user(const struct bus_link *link)
{
	return link->user;
}
