/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/op.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

static void release(struct op *op)
{
	struct edge *edge = op->sock->edge;

	svc_cancel(edge->svc, &op->timer);
	list_remove(&op->waiting);
	if (op->calling)
		bus_rpc_cancel(edge->auth, op->call);
	blob_unref(&op->kept);
	for (uint32_t i = 0; op->kept_attachments && i < op->attachment_count; i++)
		blob_unref(&op->kept_attachments[i]);
	mem_free(op->kept_attachments);
	op->sock->op = NULL;
	slab_put(&edge->ops, op);
}

void op_cancel(struct op *op)
{
	release(op);
}

static void move(struct str *s, struct str from, const char *to)
{
	if (s->p >= from.p && s->p <= from.p + from.n && s->n > 0)
		s->p = to + (s->p - from.p);
}

/* The packet's bytes are about to go: keep a copy and let every slice point into it. */
static int keep(struct op *op)
{
	struct str from = op->text;
	const char *to;

	if (op->kept)
		return 0;
	op->kept = blob_copy(from);
	if (op->kept && op->attachment_count)
		op->kept_attachments = mem_try(op->attachment_count * sizeof(struct blob *));
	if (!op->kept || (op->attachment_count && !op->kept_attachments))
		return E_NOMEM;
	to = op->kept->data;
	op->text = blob_str(op->kept);
	move(&op->packet.nsp, from, to);
	move(&op->packet.data.raw, from, to);
	move(&op->packet.event.raw, from, to);
	move(&op->packet.args, from, to);
	move(&op->env.args, from, to);
	move(&op->env.auth.raw, from, to);
	for (uint32_t i = 0; i < op->env.field_count; i++)
		move(&op->env.fields[i].raw, from, to);
	for (uint32_t i = 0; i < op->attachment_count; i++)
		op->kept_attachments[i] = blob_ref(op->attachments[i]);
	op->attachments = op->kept_attachments;
	return 0;
}

static void finish(struct op *op)
{
	struct sock *sock = op->sock;

	release(op);
	sock_unpark(sock);
}

static void fail_connect(struct op *op, struct str code)
{
	struct sock *sock = op->sock;
	struct buf out = BUF_INIT(2048);

	buf_addc(&out, '4');
	sio_encode_head(&out, SIO_CONNECT_ERROR, 0, sock->nsp->name, -1);
	buf_addz(&out, "{\"message\":");
	buf_add_json(&out, code);
	buf_addz(&out, ",\"data\":{\"code\":");
	buf_add_json(&out, code);
	buf_addz(&out, "}}");
	metrics_inc(METRIC_CONNECT_ERRORS);
	if (!out.failed)
		session_send_text(sock->session, buf_str(&out));
	buf_fini(&out);
	sock_close(sock, false); /* and with it the op */
}

void op_fail(struct op *op, struct str code, struct str message)
{
	struct sock *sock = op->sock;
	struct buf args = BUF_INIT(8192);
	const struct tmpl *ack;

	if (op->kind == OP_CONNECT) {
		fail_connect(op, str_is(code, "UNAVAILABLE") ? STR("AUTH_UNAVAILABLE") : code);
		return;
	}
	metrics_inc(METRIC_EVENTS_REFUSED);
	op->env.error_code = code;
	op->env.error_message = message.n ? message : code;
	ack = op->event && op->event->has_fail_ack ? &op->event->fail_ack
						   : &sock->edge->profile->fail_ack;
	if (!op->packet.has_ack)
		sock_emit_error(sock, code, message);
	else if (tmpl_render(ack, &op->env, &args) == 0 && !args.failed)
		sock_ack(sock, op->packet.ack_id, buf_str(&args), NULL, 0);
	buf_fini(&args);
	if (sock->state != SOCK_CLOSED)
		finish(op);
}

/* The CONNECT is accepted: say so, once, after its rooms were joined and before anything is sent to it. */
static void greet(struct op *op)
{
	struct sock *sock = op->sock;
	struct session *s = sock->session;
	struct buf *out = &sock->edge->work;

	op->greeted = true;
	sock->state = SOCK_CONNECTED;
	if (!s->greeted) {
		s->greeted = true;
		svc_cancel(s->edge->svc, &s->greeting);
	}
	buf_reset(out);
	buf_addc(out, '4');
	sio_encode_head(out, SIO_CONNECT, 0, sock->nsp->name, -1);
	buf_addz(out, "{\"sid\":\"");
	buf_add(out, sock_id_of(sock));
	buf_addz(out, "\"}");
	session_send_text(s, buf_str(out));
	buf_reset(out);
}

static enum op_next run_connect_actions(struct op *op)
{
	enum op_next next;

	if (!op->greeted) {
		next = act_run(op); /* joins */
		if (next != OP_GO_ON)
			return next;
		greet(op);
		op->next = 0;
	}
	return op->sock->state == SOCK_CONNECTED ? act_run(op) : OP_DONE;
}

static void renewed(struct op *op)
{
	struct sock *sock = op->sock;
	char args[CLOCK_ISO_BYTES + 32], when[CLOCK_ISO_BYTES];

	clock_iso(sock->user ? sock->user->expires_ms : 0, when);
	snprintf(args, sizeof(args), "{\"expiresAt\":\"%s\"}", when);
	sock_emit(sock, TOKEN_UPDATED, str_of(args), NULL, 0);
	if (op->packet.has_ack)
		sock_ack(sock, op->packet.ack_id, STR("{\"ok\":true}"), NULL, 0);
}

static enum op_next run_stage(struct op *op)
{
	const struct profile_nsp *nsp = op->sock->nsp;
	enum op_next next;

	if (op->stage == OP_VERIFY)
		return ask_verify(op);
	if (op->stage == OP_CHECK) {
		op->stage = OP_ACTIONS;
		if (op->kind == OP_CONNECT && nsp->check)
			return ask_check(op, nsp->check, NULL);
		if (op->kind == OP_EVENT && op->event->check)
			return ask_check(op, op->event->check, op->event->check_args);
		return OP_GO_ON;
	}
	if (op->kind == OP_RENEW)
		renewed(op);
	else if (op->kind == OP_CONNECT)
		return run_connect_actions(op);
	else if ((next = act_check_member(op)) != OP_GO_ON || (next = act_run(op)) != OP_GO_ON)
		return next;
	return OP_GO_ON;
}

/* Run until it waits or ends. */
static void run(struct op *op)
{
	struct sock *sock = op->sock;
	enum op_next next;
	bool last;

	do {
		last = op->stage == OP_ACTIONS;
		next = run_stage(op);
		if (sock->state == SOCK_CLOSED || sock->op != op || next == OP_DONE)
			return; /* refused, or closed: the op is gone */
		if (next == OP_WAIT) {
			if (keep(op))
				op_fail(op, STR("UNAVAILABLE"), STR("out of memory"));
			return;
		}
	} while (!last);
	if (op->kind == OP_CONNECT)
		token_watch(sock);
	if (sock->state != SOCK_CLOSED)
		finish(op);
}

void op_go_on(struct op *op, enum op_stage stage)
{
	op->stage = stage;
	if (op->sock->user) {
		op->env.user = op->sock->user->value;
	}
	run(op);
}

void op_room_confirmed(struct room *room)
{
	struct list ready;
	struct list *node;

	/* Into a list of our own: what goes on may wait for this room again, or end. */
	list_init(&ready);
	while ((node = list_pop(&room->waiters)) != NULL)
		list_append(&ready, node);
	while ((node = list_pop(&ready)) != NULL) {
		struct op *op = CONTAINER_OF(node, struct op, waiting);

		op->room = NULL;
		svc_cancel(op->sock->edge->svc, &op->timer);
		run(op);
	}
}

static void on_timeout(struct wheel_timer *timer)
{
	struct op *op = CONTAINER_OF(timer, struct op, timer);
	struct room *room = op->room;

	list_remove(&op->waiting);
	op->room = NULL;
	if (room)
		room_leave(op->sock, room_key_of(room));
	op_fail(op, STR("UNAVAILABLE"), STR("the room's router does not answer"));
}

static struct op *begin(struct sock *sock, enum op_kind kind, struct str text,
			const struct sio_packet *packet)
{
	struct op *op = slab_get(&sock->edge->ops);

	if (!op)
		return NULL;
	op->kind = kind;
	op->sock = sock;
	op->text = text;
	op->packet = *packet;
	op->env.args = packet->args;
	op->env.socket_id = sock_id_of(sock);
	if (sock->user)
		op->env.user = sock->user->value;
	list_init(&op->waiting);
	wheel_timer_init(&op->timer, on_timeout);
	sock->op = op;
	return op;
}

void op_begin_connect(struct sock *sock, struct str text, const struct sio_packet *packet)
{
	struct op *op = begin(sock, OP_CONNECT, text, packet);

	if (!op) {
		session_close(sock->session, METRIC_CLOSED_SLOW);
		return;
	}
	op->env.auth = packet->data;
	if (op->env.auth.type != JSON_OBJECT)
		op->env.auth = (struct json_value){ JSON_OBJECT, STR("{}") };
	op->actions = sock->nsp->actions;
	op->action_count = sock->nsp->action_count;
	op->stage = sock->edge->profile->token_required ? OP_VERIFY : OP_CHECK;
	run(op);
}

static void refuse_arguments(struct op *op, struct buf *why)
{
	op_fail(op, STR("INVALID_PAYLOAD"),
		why->n ? buf_str(why) : STR("the arguments do not fit the event"));
}

void op_begin_event(struct sock *sock, struct str text, const struct sio_packet *packet,
		    struct blob *const *attachments, uint32_t attachment_count)
{
	struct buf name_scratch = BUF_INIT(4096), why = BUF_INIT(512),
		   scratch = BUF_INIT(EDGE_SCRATCH_BYTES);
	struct profile_nsp *nsp =
		(struct profile_nsp *)(uintptr_t)
			sock->nsp; /* map_get finishes a resize, the entries stay */
	struct json_value first = { JSON_NONE, STR_NONE };
	struct str name = STR_NONE;
	bool named = json_text(packet->event, &name_scratch, &name) == 0;
	bool renewal = named && sock->edge->profile->token_required && token_is_renewal(name);
	struct op *op = begin(sock, renewal ? OP_RENEW : OP_EVENT, text, packet);

	if (!op) {
		sock_emit_error(sock, STR("UNAVAILABLE"), STR("too many events are under way"));
		goto out;
	}
	op->attachments = attachments;
	op->attachment_count = attachment_count;
	op->event = named ? map_get(&nsp->events, name) : NULL;
	op->stage = renewal ? OP_VERIFY : OP_CHECK;
	if (!renewal && !op->event) {
		op->packet.has_ack = false; /* an unknown event is always told by `error` */
		op_fail(op, STR("UNKNOWN_EVENT"), STR("this namespace has no such event"));
		goto out;
	}
	if (json_at(packet->data, 1, &first))
		first.type = JSON_NONE;
	if (op->event) {
		op->actions = op->event->actions;
		op->action_count = op->event->action_count;
		if (field_list_take(&op->event->fields, first, &op->env, &scratch, &why)) {
			refuse_arguments(op, &why);
			goto out;
		}
	}
	run(op);
out:
	buf_fini(&name_scratch);
	buf_fini(&why);
	buf_fini(&scratch);
}
