/* SPDX-License-Identifier: Apache-2.0 */
/* A session as bytes: messages of proto/bus.def, each behind its length. */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "services/edge/asked.h"
#include "services/edge/handover.h"
#include "services/edge/record.h"
#include "services/edge/restore.h"

static int add_part(struct buf *out, enum wire_id id, const void *message)
{
	struct blob *part = wire_pack(id, message);
	unsigned char head[4];

	if (!part)
		return E_RANGE;
	for (int i = 0; i < 4; i++)
		head[i] = (unsigned char)(part->n >> (24 - 8 * i) & 0xff);
	buf_add(out, str_make((const char *)head, sizeof(head)));
	buf_add(out, blob_str(part));
	blob_unref(&part);
	return out->failed;
}

static bool next_part(struct str *rest, struct str *part)
{
	size_t n = 0;

	if (rest->n < 4)
		return false;
	for (int i = 0; i < 4; i++)
		n = n << 8 | (unsigned char)rest->p[i];
	if (n > rest->n - 4)
		return false;
	*part = str_make(rest->p + 4, n);
	*rest = str_skip(*rest, 4 + n);
	return true;
}

static int pack_socket(const struct sock *sock, struct buf *out)
{
	struct item_list rooms, asked;
	struct wire_handed_socket m = {
		.nsp = sock->nsp->name,
		.sid = sock_id_of(sock),
		.pid = sock->pid[0] ? record_pid_of(sock) : STR_NONE,
		.generation = sock->generation,
		.has_user = sock->user != NULL,
		.reminded = sock->refresh_told,
		.positions = shard_offset(sock->edge),
	};
	int err = item_list_init(&rooms, sock->room_count);

	if (sock->user) {
		m.user_id = sock->user->id;
		m.user = sock->user->value.raw;
		m.expires_ms = sock->user->expires_ms;
	}
	for (uint32_t i = 0; i < sock->room_count && !err; i++) {
		struct item item = room_item(&sock->rooms[i]);

		item_list_add(&rooms, &item);
	}
	if (!err)
		err = item_list_done(&rooms, &m.rooms);
	if (!err)
		err = asked_pack(sock, &asked, &m.asked);
	else
		asked = (struct item_list){ 0 };
	if (!err)
		err = add_part(out, WIRE_HANDED_SOCKET, &m);
	item_list_fini(&asked);
	item_list_fini(&rooms);
	return err;
}

int handover_pack(struct session *s, struct buf *out)
{
	uint64_t now = clock_ms();
	struct wire_handed m = {
		.sid = str_make(s->sid, EDGE_ID_BYTES),
		.token = str_of(s->token),
		.greeted = s->greeted,
		.awaiting_pong = s->awaiting_pong,
		.pong_ms = s->deadline_ms > now ? s->deadline_ms - now : 0,
	};
	int err = add_part(out, WIRE_HANDED, &m);

	LIST_EACH(&s->socks, node, next) {
		if (!err)
			err = pack_socket(CONTAINER_OF(node, struct sock, node), out);
	}
	for (const struct out_node *node = s->out_first; node && !err; node = node->next) {
		struct wire_handed_frame frame = { .binary = node->frame->binary,
						   .payload = frame_payload(node->frame) };

		err = add_part(out, WIRE_HANDED_FRAME, &frame);
	}
	return err;
}

static void on_timeout(struct wheel_timer *timer)
{
	struct restore *r = CONTAINER_OF(timer, struct restore, timer);

	session_close(r->sock->session, METRIC_CLOSED_ROUTER);
}

static int unpack_socket(struct session *s, const struct wire_handed_socket *m)
{
	struct edge *edge = s->edge;
	const struct profile_nsp *nsp = profile_nsp_find(edge->profile, m->nsp);
	struct sock *sock = nsp ? sock_create(s, nsp, m->sid) : NULL;
	struct offset had;

	if (!sock || m->sid.n != EDGE_ID_BYTES || offset_read(m->positions, &had))
		return E_SYNTAX;
	if (m->has_user) {
		sock->user = ask_make_user(m->user_id, m->user, m->expires_ms);
		if (!sock->user)
			return E_NOMEM;
	}
	sock->refresh_told = m->reminded;
	if (asked_take(sock, &m->asked))
		return E_SYNTAX;
	if (!restore_handed(sock, &had) || room_take_all(sock, &m->rooms))
		return E_NOMEM;
	sock->restore->timer.fn = on_timeout;
	svc_arm(edge->svc, &sock->restore->timer,
		clock_ms() + (uint64_t)edge->svc->conf.call_timeout_ms);
	if (m->pid.n == 0)
		return 0;
	if (record_adopt(sock, m->pid, m->generation + 1))
		return E_NOMEM;
	record_save(sock);
	sock->save_ref = 0; /* nobody waits for it */
	return 0;
}

static int unpack_frame(struct session *s, const struct wire_handed_frame *m)
{
	struct frame *frame = frame_new(m->payload, m->binary);

	if (!frame)
		return E_NOMEM;
	session_send(s, frame);
	frame_unref(&frame);
	return 0;
}

static int unpack_rest(struct session *s, struct str rest)
{
	union wire_any any;
	enum wire_id id;
	struct str part;
	int err = 0;

	while (!err && next_part(&rest, &part)) {
		err = wire_unpack(part, &id, &any);
		if (!err && id == WIRE_HANDED_SOCKET)
			err = unpack_socket(s, &any.handed_socket);
		else if (!err && id == WIRE_HANDED_FRAME)
			err = unpack_frame(s, &any.handed_frame);
	}
	return err || rest.n == 0 ? err : E_TRUNCATED;
}

struct session *handover_unpack(struct edge *edge, struct str body, struct ws_link *link)
{
	struct session *s = NULL;
	union wire_any any;
	enum wire_id id;
	struct str part;

	if (next_part(&body, &part) && wire_unpack(part, &id, &any) == 0 && id == WIRE_HANDED)
		s = session_adopt(edge, &any.handed);
	if (!s)
		return NULL;
	s->ws = link;
	link->session = s;
	metrics_inc(METRIC_CONNECTIONS_WS);
	if (unpack_rest(s, body)) {
		s->ws = NULL; /* the WebSocket is the caller's to end */
		link->session = NULL;
		metrics_dec(METRIC_CONNECTIONS_WS);
		metrics_inc(METRIC_CONNECTIONS_POLLING);
		session_close(s, METRIC_CLOSED_PARSE);
		return NULL;
	}
	LIST_EACH(&s->socks, node, next)
		handover_go_on(CONTAINER_OF(node, struct sock, node));
	return s->state == SESSION_OPEN ? s : NULL;
}
