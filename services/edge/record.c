/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/record.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "common/log/log.h"
#include "services/edge/op.h"

#define LINGER_MS 5000u

struct str record_pid_of(const void *sock)
{
	return str_make(((const struct sock *)sock)->pid, EDGE_ID_BYTES);
}

struct sock *record_sock_of(struct list *home_node)
{
	return CONTAINER_OF(home_node, struct sock, home_node);
}

bool record_offered(const struct edge *edge)
{
	return edge->profile->recovery && edge->svc->conf.recovery_seconds > 0;
}

static struct str user_id_of(const struct sock *sock)
{
	return sock->user ? sock->user->id : STR_NONE;
}

struct shard *record_home(struct edge *edge, struct str user_id, struct str pid)
{
	struct buf key = BUF_INIT(1024);
	struct shard *home;

	buf_addz(&key, "session,");
	buf_add(&key, user_id.n ? user_id : pid);
	home = shard_of(edge, buf_str(&key));
	buf_fini(&key);
	return home;
}

static struct shard *home_of(const struct sock *sock)
{
	return record_home(sock->edge, user_id_of(sock), record_pid_of(sock));
}

static int begin(struct sock *sock, uint64_t generation)
{
	sock->generation = generation;
	if (map_put(&sock->edge->pids, sock)) {
		sock->pid[0] = '\0';
		return E_NOMEM;
	}
	sock->home = home_of(sock);
	return 0;
}

int record_begin(struct sock *sock)
{
	rnd_id(sock->pid, EDGE_ID_BYTES);
	return begin(sock, 1);
}

int record_adopt(struct sock *sock, struct str pid, uint64_t generation)
{
	int err;

	if (pid.n != EDGE_ID_BYTES)
		return E_RANGE;
	memcpy(sock->pid, pid.p, EDGE_ID_BYTES);
	err = begin(sock, generation);
	if (err)
		return err;
	sock->told = sock->home != NULL;
	if (sock->home)
		list_append(&sock->home->homed, &sock->home_node);
	return 0;
}

/* ── telling ── */

/* The socket's rooms; or only those the router has not heard of. */
static int list_rooms(const struct sock *sock, bool all, struct item_list *list,
		      struct wire_list *rooms)
{
	int err = item_list_init(list, sock->room_count);

	for (uint32_t i = 0; i < sock->room_count && !err; i++) {
		const struct membership *m = &sock->rooms[i];
		struct item item = room_item(m);

		if (m->presence && m->saved && !sock->left &&
		    !sock->save_ref) /* else it may not have been heard */
			item.bits |= ITEM_SHOWN;
		if (m->joined != 0 && (all || !m->saved))
			item_list_add(list, &item);
	}
	return err ? err : item_list_done(list, rooms);
}

static void mark_saved(struct sock *sock)
{
	for (uint32_t i = 0; i < sock->room_count; i++)
		sock->rooms[i].saved |= sock->rooms[i].joined != 0;
}

int record_tell(struct sock *sock)
{
	struct item_list list;
	struct wire_session m = {
		.ref = sock->save_ref,
		.pid = record_pid_of(sock),
		.sid = sock_id_of(sock),
		.conn = sock->session ? str_make(sock->session->sid, EDGE_ID_BYTES) : STR_NONE,
		.nsp = sock->nsp->name,
		.user_id = user_id_of(sock),
		.generation = sock->generation,
		.parked_ms = sock->state == SOCK_PARKED ? clock_ms() - sock->parked_at_ms + 1 : 0,
	};
	int err = list_rooms(sock, true, &list, &m.rooms);

	if (!err)
		err = bus_link_send_msg(sock->home->link, WIRE_SESSION, &m, true);
	item_list_fini(&list);
	if (err && err != E_FULL && err != E_CLOSED && err != E_AGAIN) {
		log_warn("record",
			 "a session is too large to be kept: its client cannot be recovered",
			 KV_U("rooms", sock->room_count), KV_ERR(err));
		record_let_go(sock);
		return 0;
	}
	if (err)
		return err;
	mark_saved(sock);
	sock->told = true;
	list_remove(&sock->home_node);
	list_append(&sock->home->homed, &sock->home_node);
	return 0;
}

/* It did not go: the session is told as a whole when the link takes it. */
static void tell_later(struct sock *sock)
{
	struct shard *home = sock->home;

	sock->told = false;
	list_remove(&sock->home_node);
	if (!home)
		return;
	list_append(&home->homed_untold, &sock->home_node);
	home->syncing |= bus_link_up(home->link);
}

static void tell(struct sock *sock)
{
	if (!sock->home || record_tell(sock))
		tell_later(sock);
}

static void want_answer(struct sock *sock)
{
	sock->save_ref = ++sock->edge->last_ref;
}

void record_save(struct sock *sock)
{
	if (!sock->pid[0])
		return;
	want_answer(sock);
	tell(sock);
}

static void tell_rooms(struct sock *sock, const struct wire_session_rooms *changes)
{
	struct wire_session_rooms m = *changes;

	want_answer(sock);
	if (!sock->told)
		return; /* with the whole */
	m.ref = sock->save_ref;
	m.pid = record_pid_of(sock);
	m.generation = sock->generation;
	if (bus_link_send_msg(sock->home->link, WIRE_SESSION_ROOMS, &m, true))
		tell_later(sock);
}

bool record_save_joined(struct sock *sock)
{
	struct wire_session_rooms m = { 0 };
	struct item_list list;
	bool some;

	if (!sock->pid[0])
		return false;
	if (list_rooms(sock, false, &list, &m.joined)) {
		item_list_fini(&list);
		record_end(sock); /* out of memory: better no recovery than a wrong one */
		return false;
	}
	some = m.joined.count > 0;
	if (some) {
		tell_rooms(sock, &m);
		mark_saved(sock);
	}
	item_list_fini(&list);
	return some;
}

void record_save_left(struct sock *sock, struct str room_name)
{
	struct wire_session_rooms m = { .left = { .count = 1, .items = &room_name } };

	if (sock->pid[0])
		tell_rooms(sock, &m);
}

/* The router that had it keeps it no more. moved: but another one does. */
static void end_at(const struct sock *sock, bool moved)
{
	struct wire_session_ended m = { .pid = record_pid_of(sock),
					.generation = sock->generation,
					.moved = moved,
					.left = sock->session && sock->session->left };

	if (sock->told && sock->home &&
	    bus_link_send_msg(sock->home->link, WIRE_SESSION_ENDED, &m, true))
		log_debug("record", "not told to the router: its record ends with its window");
}

void record_move_all(struct edge *edge)
{
	MAP_EACH(&edge->pids, struct sock, sock) {
		struct shard *home = home_of(sock);

		if (home == sock->home)
			continue;
		end_at(sock, true);
		sock->home = home;
		tell(sock);
	}
}

/* ── park, end ── */

static void forget(struct sock *sock)
{
	struct edge *edge = sock->edge;

	list_remove(&sock->home_node);
	if (sock->pid[0] && map_get(&edge->pids, record_pid_of(sock)) == sock)
		map_del(&edge->pids, record_pid_of(sock));
	sock->pid[0] = '\0';
	sock->save_ref = 0;
	sock->home = NULL;
}

/* A parked socket is nothing but its record. */
static void drop_parked(struct sock *sock)
{
	struct edge *edge = sock->edge;

	if (sock->state != SOCK_PARKED)
		return;
	room_leave_all(sock);
	sock->state = SOCK_CLOSED;
	metrics_dec(METRIC_PARKED);
	list_remove(&sock->node);
	list_append(&edge->dead_socks, &sock->node);
}

void record_let_go(struct sock *sock)
{
	forget(sock);
	drop_parked(sock);
}

void record_end(struct sock *sock)
{
	if (!sock->pid[0])
		return;
	end_at(sock, false);
	record_let_go(sock);
}

void record_end_holders(struct room *room)
{
	LIST_EACH(&room->edge->parked, node, next) {
		struct sock *sock = CONTAINER_OF(node, struct sock, node);

		if (room_membership(sock, room))
			record_end(sock);
	}
}

void record_park(struct sock *sock)
{
	struct edge *edge = sock->edge;
	struct wire_session_parked m = { .pid = record_pid_of(sock),
					 .generation = sock->generation,
					 .left = sock->session->left };

	sock->left = m.left;
	room_park_all(sock);
	sock->state = SOCK_PARKED;
	sock->session = NULL;
	sock->parked_at_ms = clock_ms();
	sock->save_ref = 0;
	list_remove(&sock->node);
	list_append(&edge->parked, &sock->node);
	metrics_inc(METRIC_PARKED);
	if (sock->told && bus_link_send_msg(sock->home->link, WIRE_SESSION_PARKED, &m, true))
		tell_later(sock);
}

void record_sweep(struct edge *edge)
{
	uint64_t window_ms = (uint64_t)edge->svc->conf.recovery_seconds * 1000, now = clock_ms();
	struct list *node;

	while ((node = list_first(&edge->parked)) != NULL) {
		struct sock *sock = CONTAINER_OF(node, struct sock, node);

		if (now - sock->parked_at_ms <= window_ms)
			break;
		record_end(sock);
	}
	while ((node = list_first(&edge->lingering)) != NULL) {
		struct sock *sock = CONTAINER_OF(node, struct sock, node);

		if (now - sock->parked_at_ms <= LINGER_MS)
			break;
		record_let_go(sock);
	}
}

void record_free_all(struct edge *edge)
{
	struct list *node;

	while ((node = list_first(&edge->parked)) != NULL ||
	       (node = list_first(&edge->lingering)) != NULL)
		record_let_go(CONTAINER_OF(node, struct sock, node));
}

/* Taken by another edge, whose rooms are perhaps not confirmed yet: until they are, ours are held, in case a router dies just now. */
static void linger(struct sock *sock)
{
	forget(sock);
	sock->parked_at_ms = clock_ms();
	list_remove(&sock->node);
	list_append(&sock->edge->lingering, &sock->node);
}

/* ── from the routers ── */

void record_give_back(struct edge *edge, const struct wire_resumed *m)
{
	struct wire_session_parked parked = { .pid = m->pid, .generation = m->generation };

	if (m->pid.n == 0 || map_get(&edge->pids, m->pid))
		return;
	/* Only the router that has granted the claim takes it. */
	LIST_EACH(&edge->shards, node, next) {
		const struct shard *s = CONTAINER_OF(node, struct shard, node);

		if (bus_link_send_msg(s->link, WIRE_SESSION_PARKED, &parked, true))
			log_debug("record", "not told to a router that is away");
	}
}

void record_on_saved(struct edge *edge, const struct wire_saved *m)
{
	struct sock *sock = map_get(&edge->pids, m->pid);

	if (!sock || sock->save_ref != m->ref)
		return; /* of something that is over, or not the last one told */
	sock->save_ref = 0;
	if (m->code.n > 0)
		op_save_refused(sock, m->code);
	else
		op_settled(sock);
}

void record_on_taken(struct edge *edge, const struct wire_session_taken *m)
{
	struct sock *sock = map_get(&edge->pids, m->pid);
	struct session *s;

	if (!sock || sock->generation >= m->generation)
		return;
	s = sock->session;
	if (s)
		session_close(s, METRIC_CLOSED_TAKEN);
	if (sock->state == SOCK_PARKED)
		linger(sock);
	else
		record_let_go(sock);
}
