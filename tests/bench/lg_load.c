/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message is {"room":"r3","s":12,"n":7,"t":123456,"pad":"xxx"}: sender, its own number (from 1), nanoseconds since
 * the generator began. Every member keeps books per sender of its room, so each delivery is counted, none sampled.
 */
#include "tests/bench/lg.h"
#include "tests/bench/ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX (64U << 20) /* 1 GiB of books */
#define CATCH_UP_MAX 64       /* sends in one turn of the loop, so that reading goes on */
#define BURST_MAX_BYTES (256 * 1024)

struct message {
	uint64_t room, sender, number, sent_ns;
};

void lg_load_open(struct lg_load *l, struct lg_net *n)
{
	const struct lg_opts *o = n->opts;
	const uint32_t clients = (uint32_t)o->clients, window = (uint32_t)o->window;
	uint64_t pairs = 0;

	*l = (struct lg_load){ .net = n, .room_count = (uint32_t)o->rooms };
	l->sender_count = l->room_count ? (uint32_t)o->senders : 0;
	l->rooms = lg_alloc(l->room_count, sizeof(*l->rooms));
	l->senders = lg_alloc(l->sender_count, sizeof(*l->senders));
	l->pad = lg_alloc(1, LG_PAYLOAD_MAX_BYTES);
	memset(l->pad, 'x', LG_PAYLOAD_MAX_BYTES);
	for (uint32_t i = 0; i < l->room_count; i++) {
		struct lg_room *r = &l->rooms[i];
		r->members = clients / l->room_count + (i < clients % l->room_count);
		r->senders =
			l->sender_count / l->room_count + (i < l->sender_count % l->room_count);
		pairs += (uint64_t)r->members * r->senders;
		if (pairs > PAIRS_MAX)
			lg_die(LG_EXIT_USAGE,
			       "--senders: more than %u pairs of member and sender to keep books "
			       "on; give fewer",
			       PAIRS_MAX);
		r->pairs = lg_alloc((size_t)r->members * r->senders, sizeof(*r->pairs));
	}
	for (uint32_t i = 0; i < l->sender_count; i++)
		l->senders[i].missing = lg_alloc(window, sizeof(uint32_t));
	l->origin_ns = proc_now_ns();
}

/* Bytes of padding that make an object of `bytes` so far, with its last two, as long as was asked for */
static size_t pad_bytes(const struct lg_load *l, size_t bytes)
{
	const size_t wanted = (size_t)l->net->opts->payload_bytes;
	return wanted > bytes + 2 ? wanted - bytes - 2 : 0;
}

/* Writes the next message of a sender as a frame; returns its size */
static size_t next_frame(struct lg_load *l, uint32_t sender, uint8_t *to)
{
	char text[LG_PAYLOAD_MAX_BYTES + 256];
	const int prefix = snprintf(text, sizeof(text), "42[\"room:send\",");
	struct lg_sender *s = &l->senders[sender];
	const uint32_t room = sender % l->room_count;

	s->sent++;
	int bytes = prefix + snprintf(text + prefix, 200,
				      "{\"room\":\"r%u\",\"s\":%u,\"n\":%u,\"t\":%llu,\"pad\":\"",
				      room, sender, s->sent,
				      (unsigned long long)(proc_now_ns() - l->origin_ns));
	const size_t pad = pad_bytes(l, (size_t)(bytes - prefix));
	memcpy(text + bytes, l->pad, pad);
	memcpy(text + bytes + pad, "\"}]", 3);
	l->sent++;
	l->due += l->rooms[room].members - 1;
	return lg_sio_frame(l->net, to, text, (size_t)bytes + pad + 3);
}

static void send_messages(struct lg_load *l, uint32_t sender, uint32_t count)
{
	uint8_t frames[BURST_MAX_BYTES];
	const size_t frame_max = LG_PAYLOAD_MAX_BYTES + 256 + WS_HEAD_MAX_BYTES;
	size_t bytes = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (bytes + frame_max > sizeof(frames)) {
			lg_net_write(l->net, &l->net->conns[sender], frames, bytes);
			bytes = 0;
		}
		bytes += next_frame(l, sender, frames + bytes);
	}
	lg_net_write(l->net, &l->net->conns[sender], frames, bytes);
}

/* Closed loop: as many messages under way as the window holds, as long as somebody is there to get them */
static void fill_window(struct lg_load *l, uint32_t sender)
{
	struct lg_sender *s = &l->senders[sender];
	const uint32_t window = (uint32_t)l->net->opts->window;
	const uint32_t others = l->rooms[sender % l->room_count].members - 1;

	while (others && s->flying < window && !s->missing[(s->sent + 1) % window]) {
		s->missing[(s->sent + 1) % window] = others;
		s->flying++;
		send_messages(l, sender, 1);
	}
}

static void count_down(struct lg_load *l, const struct message *m)
{
	struct lg_sender *s = &l->senders[m->sender];
	const uint32_t window = (uint32_t)l->net->opts->window;
	uint32_t *missing = &s->missing[m->number % window];

	if (m->number + window <= s->sent || !*missing || --*missing)
		return;
	s->flying--;
	if (l->sending)
		fill_window(l, (uint32_t)m->sender);
}

/* True if the message is new to this member */
static bool enter(struct lg_load *l, struct lg_pair *p, uint32_t number)
{
	if (number > p->last) {
		const uint32_t ahead = number - p->last;
		p->seen = (ahead < 64 ? p->seen << ahead : 0) | 1;
		p->last = number;
		p->got++;
		return true;
	}
	const uint32_t behind = p->last - number;
	if (p->got == p->last || (behind < 64 && p->seen >> behind & 1)) {
		l->doubled++;
		return false;
	}
	if (behind < 64)
		p->seen |= 1ULL << behind;
	l->misordered++;
	p->got++;
	return true;
}

/* Text that must come next; then a number; NULL once something did not fit */
static const char *expect(const char *at, const char *end, const char *text, size_t bytes)
{
	return at && (size_t)(end - at) >= bytes && !memcmp(at, text, bytes) ? at + bytes : NULL;
}

static const char *number(const char *at, const char *end, uint64_t *out)
{
	uint64_t value = 0;
	const char *from = at;

	if (!at)
		return NULL;
	while (at < end && *at >= '0' && *at <= '9' && at - from < 19)
		value = value * 10 + (uint64_t)(*at++ - '0');
	*out = value;
	return at > from ? at : NULL;
}

#define EXPECT(at, end, text) expect(at, end, text, sizeof(text) - 1)

/* 0 if the arguments are a message of ours, byte for byte; more arguments may follow (the offset of recovery) */
static int parse(const struct lg_load *l, const char *at, const char *end, struct message *m)
{
	const char *object = at;
	at = number(EXPECT(at, end, "{\"room\":\"r"), end, &m->room);
	at = number(EXPECT(at, end, "\",\"s\":"), end, &m->sender);
	at = number(EXPECT(at, end, ",\"n\":"), end, &m->number);
	at = number(EXPECT(at, end, ",\"t\":"), end, &m->sent_ns);
	at = EXPECT(at, end, ",\"pad\":\"");
	if (!at)
		return -1;
	at = expect(at, end, l->pad, pad_bytes(l, (size_t)(at - object)));
	at = EXPECT(at, end, "\"}");
	return at && at < end && (*at == ']' || *at == ',') ? 0 : -1;
}

void lg_load_take(struct lg_load *l, struct lg_conn *c, const char *event, size_t bytes)
{
	const char *end = event + bytes;
	const char *at = EXPECT(event, end, "[\"room:msg\",");
	struct message m;

	if (!at) {
		if (!l->strangers++)
			lg_say("client %u got another event: %.*s", c->id,
			       (int)(bytes < 100 ? bytes : 100), event);
		return;
	}
	if (parse(l, at, end, &m) || m.sender >= l->sender_count || m.sender == c->id ||
	    m.room != c->id % l->room_count || m.room != m.sender % l->room_count || !m.number ||
	    m.number > l->senders[m.sender].sent) {
		if (!l->damaged++)
			lg_say("client %u got what nobody sent to it: %.*s", c->id,
			       (int)(bytes < 200 ? bytes : 200), event);
		return;
	}
	const struct lg_room *r = &l->rooms[m.room];
	struct lg_pair *pair =
		&r->pairs[(size_t)(c->id / l->room_count) * r->senders + m.sender / l->room_count];
	if (!enter(l, pair, (uint32_t)m.number))
		return;
	l->delivered++;
	c->order_hash = (c->order_hash ^ (m.sender << 32 | m.number)) * 0x9e3779b97f4a7c15ULL;
	c->order_hash ^= c->order_hash >> 29;
	hist_add(&l->latency_ns, l->net->now_ns - l->origin_ns - m.sent_ns);
	if (l->net->opts->rate <= 0)
		count_down(l, &m);
}

static void run_paced(struct lg_load *l, uint64_t end_ns)
{
	struct lg_net *n = l->net;
	const uint32_t burst = (uint32_t)n->opts->burst;
	const double step_ns = 1e9 * burst / n->opts->rate;
	const uint64_t start_ns = n->now_ns = proc_now_ns();
	uint64_t done = 0, due_ns = start_ns;

	while (n->now_ns < end_ns) {
		for (int i = 0; i < CATCH_UP_MAX && due_ns <= n->now_ns && due_ns < end_ns; i++) {
			send_messages(l, l->turn, burst);
			hist_add(&l->lag_ns, proc_now_ns() - due_ns);
			l->turn = (l->turn + 1) % l->sender_count;
			due_ns = start_ns + (uint64_t)((double)++done * step_ns);
		}
		lg_net_turn(n, due_ns < end_ns ? due_ns : end_ns);
	}
}

static void run_closed(struct lg_load *l, uint64_t end_ns)
{
	const uint32_t window = (uint32_t)l->net->opts->window;

	l->sending = true;
	for (uint32_t i = 0; i < l->sender_count; i++) {
		memset(l->senders[i].missing, 0, window * sizeof(uint32_t));
		l->senders[i].flying = 0;
		fill_window(l, i);
	}
	while (l->net->now_ns < end_ns)
		lg_net_turn(l->net, end_ns);
	l->sending = false;
}

void lg_load_run(struct lg_load *l, double seconds)
{
	const uint64_t end_ns = proc_now_ns() + (uint64_t)(seconds * 1e9);

	l->net->now_ns = proc_now_ns();
	if (!l->sender_count) {
		while (l->net->now_ns < end_ns)
			lg_net_turn(l->net, end_ns);
	} else if (l->net->opts->rate > 0) {
		run_paced(l, end_ns);
	} else {
		run_closed(l, end_ns);
	}
}

void lg_load_drain(struct lg_load *l)
{
	const uint64_t end_ns = proc_now_ns() + (uint64_t)(l->net->opts->drain_s * 1e9);
	while (l->delivered < l->due && l->net->now_ns < end_ns)
		lg_net_turn(l->net, end_ns);
}

void lg_load_restart_counts(struct lg_load *l)
{
	hist_clear(&l->latency_ns);
	hist_clear(&l->lag_ns);
}

uint64_t lg_load_order_differs(const struct lg_load *l)
{
	uint64_t differs = 0;
	for (uint32_t room = 0; room < l->room_count; room++) {
		const struct lg_conn *first = NULL;
		/* from the first member that does not send: senders do not get their own */
		for (uint32_t i = l->rooms[room].senders; i < l->rooms[room].members; i++) {
			const struct lg_conn *c = &l->net->conns[room + i * l->room_count];
			if (c->state != LG_READY)
				continue;
			if (!first)
				first = c;
			differs += c->order_hash != first->order_hash;
		}
	}
	return differs;
}
