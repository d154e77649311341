/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/restore.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "proto/values.h"
#include "services/edge/command.h"
#include "services/edge/deliver.h"
#include "services/edge/dialect.h"
#include "services/edge/record.h"

#define CLOCKS_APART_US 60000000u /* of this machine and of routers, at most */

struct str restore_key_of(const void *restore)
{
	return str_make((const char *)&((const struct restore *)restore)->ref, sizeof(uint64_t));
}

static struct restore *find(struct edge *edge, uint64_t ref)
{
	return map_get(&edge->restores, str_make((const char *)&ref, sizeof(ref)));
}

static struct restore *create(struct sock *sock)
{
	struct restore *r = mem_try(sizeof(*r));

	if (!r)
		return NULL;
	r->sock = sock;
	r->ref = ++sock->edge->last_ref;
	wheel_timer_init(&r->timer, NULL);
	if (map_put(&sock->edge->restores, r)) {
		mem_free(r);
		return NULL;
	}
	sock->restore = r;
	return r;
}

static void drop_kept(struct restore *r)
{
	while (r->kept_count > 0)
		mem_free(r->kept[--r->kept_count]);
	mem_free(r->kept);
	r->kept = NULL;
	r->kept_cap = 0;
	r->kept_bytes = 0;
	r->commanded = false;
}

void restore_free(struct sock *sock)
{
	struct restore *r = sock->restore;

	sock->restore = NULL;
	if (!r)
		return;
	drop_kept(r);
	map_del(&sock->edge->restores, restore_key_of(r));
	svc_cancel(sock->edge->svc, &r->timer);
	mem_free(r);
}

/* ── asking for the session ── */

static void ask(struct restore *r)
{
	struct sock *sock = r->sock;
	struct str user_id = sock->user ? sock->user->id : STR_NONE;
	struct str pid = str_make(r->pid, EDGE_ID_BYTES);
	struct wire_resume m = {
		.ref = r->ref,
		.pid = pid,
		.conn = str_make(sock->session->sid, EDGE_ID_BYTES),
		.nsp = sock->nsp->name,
		.user_id = user_id,
	};

	r->home = record_home(sock->edge, user_id, pid);
	if (r->home && bus_link_send_msg(r->home->link, WIRE_RESUME, &m, true))
		log_debug("restore", "asked again when the router is back");
}

/* What the first connection of this private id is to us: nothing, parked, or to be closed now. False: it is somebody else's. */
static bool take_from_here(struct sock *sock, struct str pid)
{
	struct sock *other = map_get(&sock->edge->pids, pid);

	if (!other || other == sock)
		return true;
	if (other->nsp != sock->nsp || (other->user == NULL) != (sock->user == NULL) ||
	    (sock->user && !str_eq(other->user->id, sock->user->id)))
		return false;
	if (other->session && other->session != sock->session)
		session_close(other->session, METRIC_CLOSED_TAKEN);
	return true;
}

/* A text of the CONNECT's payload; empty where there is none. */
static struct str text_of(struct op *op, struct str name, struct buf *scratch, bool *wrong)
{
	struct json_value value;
	struct str text;

	if (op->packet.data.type != JSON_OBJECT || json_get(op->packet.data, name, &value))
		return STR_NONE;
	if (value.type == JSON_STRING && json_text(value, scratch, &text) == 0)
		return text;
	*wrong = value.type != JSON_NULL;
	return STR_NONE;
}

/* An offset of routers that nobody knows, or of places that no clock has come to, proves nothing. */
static bool is_of_ours(struct edge *edge, const struct offset *had)
{
	uint64_t future = (clock_wall_us() + CLOCKS_APART_US) << PLACE_US_SHIFT;

	for (uint32_t i = 0; i < had->count; i++)
		if (had->places[i].place > future)
			return false;
	LIST_EACH(&edge->shards, node, next) {
		if (offset_get(had, CONTAINER_OF(node, struct shard, node)->id))
			return true;
	}
	return had->count == 0;
}

enum op_next restore_begin(struct op *op)
{
	struct sock *sock = op->sock;
	struct buf scratch = BUF_INIT(16384);
	struct offset had;
	bool wrong = false;
	struct str pid, offset;
	struct restore *r;

	if (!record_offered(sock->edge))
		return OP_GO_ON;
	pid = text_of(op, sock->edge->dialect->pid_key, &scratch, &wrong);
	if (pid.n == 0 && !wrong)
		goto fresh;
	r = pid.n == EDGE_ID_BYTES ? create(sock) : NULL;
	if (r)
		memcpy(r->pid, pid.p, EDGE_ID_BYTES);
	buf_reset(&scratch);
	offset = text_of(op, STR("offset"), &scratch, &wrong);
	if (!r || wrong || offset_read(offset, &had) || !is_of_ours(sock->edge, &had) ||
	    !take_from_here(sock, str_make(r->pid, EDGE_ID_BYTES)) || sock->state == SOCK_CLOSED) {
		metrics_inc(METRIC_RECOVERED_NOT);
		if (sock->state != SOCK_CLOSED)
			restore_free(sock);
		goto fresh;
	}
	r->had = had;
	buf_fini(&scratch);
	ask(r);
	return OP_WAIT;
fresh:
	buf_fini(&scratch);
	return OP_GO_ON;
}

static void go_on_fresh(struct sock *sock)
{
	struct op *op = sock->op;

	metrics_inc(METRIC_RECOVERED_NOT);
	restore_free(sock);
	if (op)
		op_go_on(op, OP_JOIN);
}

/* What the namespace's rules had joined they claim again, or it is left: the token may say something else now. */
static int take_rooms(struct sock *sock, const struct wire_list *rooms)
{
	int err = room_take_all(sock, rooms);

	for (uint32_t i = 0; i < sock->room_count; i++)
		sock->rooms[i].stale = sock->rooms[i].by_connect;
	return err;
}

void restore_on_resumed(struct edge *edge, const struct wire_resumed *m)
{
	struct restore *r = find(edge, m->ref);
	struct sock *sock = r ? r->sock : NULL, *old;
	struct str pid;

	if (!r && m->code.n == 0) {
		record_give_back(edge, m); /* its client has gone again meanwhile */
		return;
	}
	if (!r || r->state != RESTORE_ASKING || !sock->op)
		return;
	pid = str_make(r->pid, EDGE_ID_BYTES);
	old = map_get(&edge->pids, pid);
	if (m->code.n > 0 || m->sid.n != EDGE_ID_BYTES) {
		if (old && old != sock && old->state == SOCK_PARKED)
			record_let_go(old);
		if (str_is(m->code, "TOO_MANY_CONNECTIONS"))
			op_fail(sock->op, m->code, STR_NONE);
		else
			go_on_fresh(sock);
		return;
	}
	memcpy(sock->id, m->sid.p, EDGE_ID_BYTES);
	if (take_rooms(sock, &m->rooms))
		r->gap = true; /* too many, or no memory: told as a fresh one */
	if (old && old != sock && old->session && old->session != sock->session)
		session_close(old->session, METRIC_CLOSED_TAKEN); /* it came a moment earlier */
	if (old && old != sock)
		record_let_go(old);
	if (record_adopt(sock, pid, m->generation))
		r->gap = true;
	r->state = RESTORE_JOINING;
	op_go_on(sock->op, OP_JOIN);
}

/* ── asking for what was missed ── */

static struct restore_part *part_of(struct restore *r, const struct shard *shard)
{
	for (uint32_t i = 0; i < r->part_count; i++)
		if (r->parts[i].shard == shard)
			return &r->parts[i];
	return NULL;
}

/* Rooms whose place was counted by another router than the one they belong to now: nobody can say what was missed. */
static bool collect_parts(struct restore *r)
{
	const struct sock *sock = r->sock;

	r->part_count = 0;
	for (uint32_t i = 0; i < sock->room_count; i++) {
		const struct membership *m = &sock->rooms[i];
		struct shard *shard = m->room->shard;

		if (!shard || m->shard != shard->id)
			return false;
		if (part_of(r, shard))
			continue;
		if (r->part_count == OFFSET_SHARDS_MAX)
			return false;
		r->parts[r->part_count++] = (struct restore_part){ shard, false };
	}
	return true;
}

static uint64_t asked_from(const struct restore *r, const struct membership *m)
{
	uint64_t had = offset_get(&r->had, m->shard);

	return had > m->joined ? had : m->joined;
}

static int ask_part(struct restore *r, const struct shard *shard)
{
	const struct sock *sock = r->sock;
	struct item_list rooms;
	struct wire_replay m = { .ref = r->ref, .sid = sock_id_of(r->sock) };
	int err = item_list_init(&rooms, sock->room_count);

	for (uint32_t i = 0; i < sock->room_count && !err; i++) {
		const struct membership *in = &sock->rooms[i];
		struct item item = { asked_from(r, in), shard->id, 0, room_key_of(in->room) };

		if (in->room->shard == shard)
			item_list_add(&rooms, &item);
	}
	if (!err)
		err = item_list_done(&rooms, &m.rooms);
	if (!err)
		err = bus_link_send_msg(shard->link, WIRE_REPLAY, &m, true);
	item_list_fini(&rooms);
	return err;
}

static bool all_done(const struct restore *r)
{
	for (uint32_t i = 0; i < r->part_count; i++)
		if (!r->parts[i].done)
			return false;
	return true;
}

enum op_next restore_replay(struct sock *sock)
{
	struct restore *r = sock->restore;

	if (r->state == RESTORE_DONE)
		return OP_GO_ON;
	if (r->state == RESTORE_REPLAYING)
		return OP_WAIT;
	if (!collect_parts(r))
		r->gap = true;
	/* Our own position in a shard must be past what its client is given of it, before others carry it. */
	for (uint32_t i = 0; i < r->part_count && !r->gap; i++)
		if (r->parts[i].shard->filling > 0)
			return OP_WAIT;
	r->state = RESTORE_REPLAYING;
	for (uint32_t i = 0; i < r->part_count && !r->gap; i++) {
		int err = ask_part(r, r->parts[i].shard);

		/* Not up: it is asked when it is, see restore_begin_anew. */
		r->gap |= err && err != E_CLOSED && err != E_FULL;
	}
	if (r->gap || r->part_count == 0)
		r->state = RESTORE_DONE;
	return r->state == RESTORE_DONE ? OP_GO_ON : OP_WAIT;
}

bool restore_takes_live(const struct sock *sock, const struct shard *shard)
{
	const struct restore *r = sock->restore;
	const struct restore_part *part = part_of(sock->restore, shard);

	return r->state == RESTORE_DONE || (part && part->done);
}

void restore_keep(struct sock *sock, struct shard *shard, const struct bus_message *m)
{
	struct restore *r = sock->restore;
	struct tail_item *item = NULL;

	r->commanded |= m->any.deliver.verb != VERB_NONE;
	r->gap |= m->any.deliver.verb >= VERB_DISCONNECT; /* it may come as somebody new */
	if (r->kept_count < r->kept_cap ||
	    mem_grow((void **)&r->kept, &r->kept_cap, sizeof(struct tail_item *)) == 0)
		item = tail_copy(shard, m, m->any.deliver.place);
	if (item) {
		r->kept_bytes += item->bytes;
		r->kept[r->kept_count++] = item;
	}
	r->gap |= !item || r->kept_bytes > sock_held_bytes_max(sock->edge);
}

static int by_place(const void *a, const void *b)
{
	const struct tail_item *x = *(struct tail_item *const *)a;
	const struct tail_item *y = *(struct tail_item *const *)b;

	return x->place < y->place ? -1 : x->place > y->place;
}

static void hold(struct sock *sock, const struct bus_message *m, struct str offset)
{
	struct frame *frames[WIRE_MAX_PAYLOADS];
	uint32_t n = 0;

	if (sock->edge->dialect->encode(sock->edge, m, offset, 0, frames, &n) && sock->session)
		session_close(sock->session, METRIC_CLOSED_SLOW);
	for (uint32_t i = 0; i < n; i++) {
		sock_hold(sock, frames[i]);
		frame_unref(&frames[i]);
	}
}

/* What was kept, in its order: an event is held for the client, a command is done. */
static void do_kept(struct restore *r, const struct tail_item *item, struct str offset)
{
	struct str payload[WIRE_MAX_PAYLOADS];
	struct sock *sock = r->sock;
	struct bus_message m;

	if (!tail_read(item, &m, payload))
		return;
	if (m.any.deliver.verb == VERB_NONE) {
		if (!r->commanded || deliver_is_for(sock, item, &m))
			hold(sock, &m, offset);
		return;
	}
	command_mark_out(sock, &m.any.deliver);
	if (m.any.deliver.verb == VERB_JOIN)
		command_run(sock, &m.any.deliver); /* where it is in none of them yet */
}

void restore_end(struct sock *sock)
{
	struct restore *r = sock->restore;
	struct buf text = BUF_INIT(OFFSET_MAX_CHARS);
	bool offered = record_offered(sock->edge);

	if (!r)
		return;
	sock->restore = NULL; /* ours now: a session that is closed meanwhile does not free it */
	if (r->kept_count > 1)
		qsort(r->kept, r->kept_count, sizeof(struct tail_item *), by_place);
	for (uint32_t i = 0; i < r->kept_count && sock->session; i++) {
		const struct tail_item *item = r->kept[i];

		offset_set(&r->had, item->shard->id, item->place);
		buf_reset(&text);
		offset_write(&r->had, &text);
		do_kept(r, item, offered ? buf_str(&text) : STR_NONE);
	}
	buf_fini(&text);
	if (r->commanded && sock->session)
		command_leave_out(sock);
	sock->restore = r;
	restore_free(sock);
}

void restore_on_repeat(struct shard *shard, const struct bus_message *m)
{
	struct restore *r = find(shard->edge, m->any.repeat.ref);
	struct bus_message inner = { .body = m->payload_count ? m->payload[0] : STR_NONE,
				     .payload = m->payload + 1,
				     .payload_count = m->payload_count - 1 };

	if (!r || r->state != RESTORE_REPLAYING || m->payload_count < 2 ||
	    wire_unpack(inner.body, &inner.id, &inner.any) || inner.id != WIRE_DELIVER ||
	    inner.payload_count != 1 + inner.any.deliver.attachments)
		return;
	tail_add_old(shard, &inner);
	deliver_repeat(shard, r->sock, &inner);
}

/* All that was repeated is in our history now: this edge knows its rooms from there on. */
static void note_known(const struct restore *r, const struct shard *shard)
{
	for (uint32_t i = 0; i < r->sock->room_count; i++) {
		const struct membership *m = &r->sock->rooms[i];

		if (m->room->shard == shard && asked_from(r, m) < m->room->known_from)
			m->room->known_from = asked_from(r, m);
	}
}

/* Ask anew, when all its rooms are confirmed. */
static void wait_again(struct restore *r)
{
	struct sock *sock = r->sock;

	drop_kept(r);
	sock->attempts++;
	r->state = RESTORE_JOINING;
	for (uint32_t i = 0; i < sock->room_count; i++) {
		struct membership *m = &sock->rooms[i];

		if (m->waiting || m->room->confirmed)
			continue;
		m->waiting = true;
		sock->unconfirmed++;
	}
}

/* Rooms it was told to join while it was away. */
static bool join_missed(struct restore *r)
{
	struct str payload[WIRE_MAX_PAYLOADS];
	struct bus_message m;
	bool some = false;

	for (uint32_t i = 0; r->commanded && i < r->kept_count; i++)
		if (tail_read(r->kept[i], &m, payload))
			some |= command_join_missed(r->sock, &m.any.deliver);
	return some;
}

void restore_on_repeated(struct shard *shard, const struct wire_repeated *m)
{
	struct restore *r = find(shard->edge, m->ref);
	struct restore_part *part = r ? part_of(r, shard) : NULL;

	shard_passed(shard, m->place);
	if (!part || r->state != RESTORE_REPLAYING)
		return;
	part->done = true;
	r->gap |= m->gap;
	if (!m->gap)
		note_known(r, shard);
	if (!r->gap && !all_done(r))
		return;
	if (!r->gap && join_missed(r)) {
		wait_again(r); /* and what was sent to those, too */
		if (r->sock->unconfirmed == 0)
			op_settled(r->sock);
		return;
	}
	r->state = RESTORE_DONE;
	op_settled(r->sock);
}

/* ── links that begin anew ── */

void restore_on_filled(struct edge *edge)
{
	/* What goes on may end, and with it its restore: not while the table is walked. */
	struct sock *waiting[256];
	size_t n;

	do {
		n = 0;
		MAP_EACH(&edge->restores, struct restore, r) {
			if (n < sizeof(waiting) / sizeof(waiting[0]) &&
			    r->state == RESTORE_JOINING && !r->woken && r->sock->unconfirmed == 0) {
				r->woken = true;
				waiting[n++] = r->sock;
			}
		}
		for (size_t i = 0; i < n; i++)
			if (waiting[i]->restore)
				op_settled(waiting[i]);
	} while (n == sizeof(waiting) / sizeof(waiting[0]));
	MAP_EACH(&edge->restores, struct restore, r)
		r->woken = false;
}

void restore_begin_anew(struct edge *edge, struct shard *shard)
{
	MAP_EACH(&edge->restores, struct restore, r) {
		if (r->state == RESTORE_ASKING && (r->home == shard || !r->home))
			ask(r);
		else if (r->state == RESTORE_REPLAYING && part_of(r, shard))
			wait_again(r);
	}
}

struct restore *restore_handed(struct sock *sock, const struct offset *had)
{
	struct restore *r = create(sock);

	if (!r)
		return NULL;
	r->had = *had;
	r->state = RESTORE_JOINING;
	return r;
}
