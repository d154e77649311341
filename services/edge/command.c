/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/command.h"

#include "common/log/log.h"
#include "services/edge/record.h"
#include "services/edge/room.h"

/* The next of the rooms it names: its key is in edge->scratch. */
static bool next_target(struct sock *sock, struct wire_list_walk *w, struct str *name,
			struct str *key)
{
	struct buf *scratch = &sock->edge->scratch;

	while (wire_list_next(w, name)) {
		buf_reset(scratch);
		if (room_key(sock->nsp->name, *name, scratch, key) == 0)
			return true;
	}
	buf_reset(scratch);
	return false;
}

/* From the command's place on, whatever router counts the room's messages: places are a clock. */
static int join(struct sock *sock, struct str key, uint64_t place)
{
	struct membership *m;
	int err = room_join_at(sock, key, place, &m);

	if (err)
		log_warn("command", "a socket cannot join a room that the backend named",
			 KV_STR("room", key), KV_ERR(err));
	if (err == E_FULL)
		sock_emit_error(sock, STR("TOO_MANY_ROOMS"),
				STR("this connection is in too many rooms"));
	return err;
}

static void run_join(struct sock *sock, const struct wire_deliver *m)
{
	struct wire_list_walk w;
	struct str name, key;

	wire_list_walk(&m->targets, &w);
	while (next_target(sock, &w, &name, &key))
		if (join(sock, key, m->place))
			break;
	buf_reset(&sock->edge->scratch);
	record_save_joined(sock);
}

static void run_leave(struct sock *sock, const struct wire_deliver *m)
{
	struct wire_list_walk w;
	struct str name, key;

	wire_list_walk(&m->targets, &w);
	while (next_target(sock, &w, &name, &key))
		if (!str_eq(name, sock_id_of(sock)) && room_leave_at(sock, key, m->place))
			record_save_left(sock, name);
}

/* As at a Node server: each namespace is told, then the connection ends. */
static void close_all(struct session *s)
{
	struct list *node;

	while ((node = list_first(&s->socks)) != NULL)
		sock_close(CONTAINER_OF(node, struct sock, node), true);
	session_close(s, METRIC_CLOSED_COMMAND);
}

void command_run(struct sock *sock, const struct wire_deliver *m)
{
	struct session *s = sock->session;

	if (!s)
		return;
	metrics_inc(METRIC_COMMANDS);
	switch (m->verb) {
	case VERB_JOIN:
		run_join(sock, m);
		break;
	case VERB_LEAVE:
		run_leave(sock, m);
		break;
	case VERB_DISCONNECT:
		sock_close(sock, true);
		break;
	case VERB_CLOSE:
		close_all(s);
		break;
	default:
		metrics_inc(METRIC_WIRE_UNKNOWN);
		break;
	}
}

bool command_join_missed(struct sock *sock, const struct wire_deliver *m)
{
	struct wire_list_walk w;
	struct str name, key;
	bool some = false;

	wire_list_walk(&m->targets, &w);
	while (m->verb == VERB_JOIN && next_target(sock, &w, &name, &key)) {
		const struct shard *shard = shard_of(sock->edge, key);
		struct item item = { m->place, shard ? shard->id : 0, 0, name };
		struct membership *in;

		if (room_has(sock, key))
			continue;
		if (room_join(sock, key, &item, &in))
			break;
		in->saved = false;
		some = true;
	}
	buf_reset(&sock->edge->scratch);
	return some;
}

void command_mark_out(struct sock *sock, const struct wire_deliver *m)
{
	struct wire_list_walk w;
	struct str name, key;

	wire_list_walk(&m->targets, &w);
	while (next_target(sock, &w, &name, &key)) {
		struct room *room = room_find(sock->edge, key);
		struct membership *in = room ? room_membership(sock, room) : NULL;

		if (in && !str_eq(name, sock_id_of(sock)))
			in->out = m->verb == VERB_LEAVE;
	}
}

void command_leave_out(struct sock *sock)
{
	for (uint32_t i = sock->room_count; i-- > 0;) {
		struct buf *scratch = &sock->edge->scratch;
		struct str name;

		if (i >= sock->room_count || !sock->rooms[i].out)
			continue;
		buf_reset(scratch);
		buf_add(scratch,
			room_key_of(
				sock->rooms[i].room)); /* the room may be gone when it is left */
		name = str_skip(buf_str(scratch), sock->nsp->name.n + 1);
		record_save_left(sock, name);
		room_leave(sock, buf_str(scratch));
	}
	buf_reset(&sock->edge->scratch);
}
