/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/op.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "services/edge/dialect.h"
#include "services/edge/handover.h"
#include "services/edge/record.h"
#include "services/edge/restore.h"
#include "services/edge/room.h"

static void release(struct op *op)
{
	struct edge *edge = op->sock->edge;

	svc_cancel(edge->svc, &op->timer);
	act_send_forget(op);
	if (op->calling)
		bus_rpc_cancel(op->asked, op->call);
	once_let_go(op);
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

	metrics_inc(METRIC_CONNECT_ERRORS);
	sock->edge->dialect->refuse(sock, code);
	sock_close(sock, false); /* and with it the op */
}

/* Without an acknowledgement its client knows by the key which event was refused: `"dedupeKey":"k-1"`, by its field's name. */
static void add_key(const struct op *op, struct buf *out)
{
	const struct tmpl *key = op->event && op->event->has_once ? &op->event->once : NULL;
	const struct tmpl_part *part = key && key->count > 0 ? &key->parts[0] : NULL;

	if (!part || key->count > 2 || !part->has_variable || part->root != TMPL_FIELD ||
	    part->path.n > 0 || part->index >= op->env.field_count ||
	    op->env.fields[part->index].type != JSON_STRING)
		return;
	buf_add_json(out, str_of(op->event->fields.fields[part->index].name));
	buf_addc(out, ':');
	buf_add(out, op->env.fields[part->index].raw);
}

static void tell_refused(const struct op *op, struct str code, struct str message)
{
	struct buf more = BUF_INIT(2048);

	add_key(op, &more);
	op->sock->edge->dialect->error(op->sock, code, message,
				       more.failed ? STR_NONE : buf_str(&more));
	buf_fini(&more);
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
	if (op->quiet)
		; /* of nobody's doing */
	else if (!op->packet.has_ack && sock->session)
		tell_refused(op, code, op->env.error_message);
	else if (tmpl_render(ack, &op->env, &args) == 0 && !args.failed)
		sock_ack(sock, op->packet.ack_id, buf_str(&args), NULL, 0);
	buf_fini(&args);
	if (sock->session)
		finish(op);
}

/* The CONNECT is accepted: say so, once, after its rooms were joined and before anything is sent to it. */
static void greet(struct op *op)
{
	struct sock *sock = op->sock;
	struct session *s = sock->session;

	op->greeted = true;
	sock->state = SOCK_CONNECTED;
	if (!s->greeted) {
		s->greeted = true;
		svc_cancel(s->edge->svc, &s->greeting);
	}
	sock->edge->dialect->greet(sock, op->recovered);
	restore_end(sock);
	sock_send_held(sock);
}

static int join_reserved(struct sock *sock, struct str name)
{
	struct edge *edge = sock->edge;
	struct membership *m;
	struct str key;
	int err;

	buf_reset(&edge->scratch);
	err = room_key(sock->nsp->name, name, &edge->scratch, &key);
	if (!err)
		err = room_join(sock, key, NULL, &m);
	buf_reset(&edge->scratch);
	if (err)
		return err;
	m->by_connect = true;
	m->stale = false;
	return 0;
}

/* The rooms every socket is in: its own, and that of all. */
static int join_own(struct sock *sock)
{
	int err = join_reserved(sock, sock_id_of(sock));

	if (!err && room_own_count(sock->edge) > 1)
		err = join_reserved(sock, STR(ROOM_ALL));
	return err;
}

/* Begin as somebody new after all. */
static void abandon(struct op *op)
{
	struct sock *sock = op->sock;

	metrics_inc(METRIC_RECOVERED_NOT);
	record_end(sock);
	restore_free(sock);
	sock_drop_held(sock);
	room_leave_all(sock);
	rnd_id(sock->id, EDGE_ID_BYTES);
	op->env.socket_id = sock_id_of(sock);
	op->stage = OP_JOIN;
	op->next = 0;
}

static enum op_next run_join(struct op *op)
{
	struct sock *sock = op->sock;
	enum op_next next;

	if (join_own(sock)) {
		op_fail(op, STR("UNAVAILABLE"), STR_NONE);
		return OP_DONE;
	}
	next = act_run(op); /* joins alone */
	if (next != OP_GO_ON)
		return next;
	if (sock->restore)
		room_leave_stale(sock);
	else if (record_begin(sock)) {
		op_fail(op, STR("UNAVAILABLE"), STR_NONE);
		return OP_DONE;
	}
	op->next = 0;
	op->stage = OP_SETTLE;
	return OP_GO_ON;
}

/* Rooms confirmed, what was missed there, the session saved: then the CONNECT is answered. */
static enum op_next run_settle(struct op *op)
{
	struct sock *sock = op->sock;

	if (sock->unconfirmed > 0)
		return OP_WAIT;
	if (sock->restore && !op->recovered) {
		if (!sock->restore->gap && restore_replay(sock) == OP_WAIT)
			return OP_WAIT;
		if (sock->restore->gap) {
			abandon(op);
			return OP_GO_ON;
		}
		op->recovered = true;
		metrics_inc(METRIC_RECOVERED);
	}
	if (!op->saving) {
		op->saving = true;
		if (!sock->restore)
			record_save(sock);
		else
			record_save_joined(sock);
	}
	if (sock->save_ref)
		return OP_WAIT;
	op->stage = OP_ACTIONS;
	if (op->recovered) /* its client goes on where it was: nothing is said to it anew */
		op->next = op->action_count;
	greet(op); /* may be the end of the op */
	return sock->state == SOCK_CONNECTED ? OP_GO_ON : OP_DONE;
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

static enum op_next run_check(struct op *op)
{
	const struct profile_nsp *nsp = op->sock->nsp;

	op->stage = op->kind == OP_CONNECT ? OP_RESUME : OP_ACTIONS;
	if (op->kind == OP_CONNECT && nsp->check)
		return ask_check(op, nsp->check, NULL);
	if (op->kind == OP_EVENT && op->event->check)
		return ask_check(op, op->event->check, op->event->check_args);
	return OP_GO_ON;
}

static enum op_next run_actions(struct op *op)
{
	enum op_next next;

	if (op->kind == OP_RENEW) {
		renewed(op);
		return OP_GO_ON;
	}
	if (op->kind == OP_EVENT && (next = act_check_member(op)) != OP_GO_ON)
		return next;
	if (op->kind == OP_EVENT && op->event->makes && (next = once_claim(op)) != OP_GO_ON)
		return next;
	next = act_run(op);
	if (next == OP_GO_ON)
		next = op_settle(op);
	if (next == OP_GO_ON && op->kind == OP_EVENT) {
		once_keep(op);
		if (op->event->later)
			later_set(op);
	}
	return next;
}

static enum op_next run_stage(struct op *op)
{
	enum op_next next;

	switch (op->stage) {
	case OP_VERIFY:
		return ask_verify(op);
	case OP_CHECK:
		return run_check(op);
	case OP_RESUME:
		op->stage = OP_JOIN; /* where it goes on without, and with the answer */
		next = restore_begin(op);
		if (next == OP_WAIT)
			op->settling = true;
		return next;
	case OP_JOIN:
		return run_join(op);
	case OP_SETTLE:
		next = run_settle(op);
		op->settling = next == OP_WAIT;
		return next;
	default:
		return run_actions(op);
	}
}

/* Wait for routers: not for ever. */
static void watch(struct op *op)
{
	struct edge *edge = op->sock->edge;

	if ((op->settling || op->await || op->claim_ref) && !wheel_armed(&op->timer))
		svc_arm(edge->svc, &op->timer,
			clock_ms() + (uint64_t)edge->svc->conf.call_timeout_ms);
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
		if (!sock->session || sock->op != op || next == OP_DONE)
			return; /* refused, or closed: the op is gone */
		if (next == OP_WAIT) {
			if (keep(op))
				op_fail(op, STR("UNAVAILABLE"), STR("out of memory"));
			else
				watch(op);
			return;
		}
	} while (!last);
	if (op->kind == OP_CONNECT)
		token_watch(sock);
	if (sock->session)
		finish(op);
}

enum op_next op_settle(struct op *op)
{
	struct sock *sock = op->sock;

	op->settling = true;
	if (sock->unconfirmed > 0)
		return OP_WAIT;
	record_save_joined(sock);
	if (sock->save_ref)
		return OP_WAIT;
	op->settling = false;
	svc_cancel(sock->edge->svc, &op->timer);
	return OP_GO_ON;
}

void op_settled(struct sock *sock)
{
	struct op *op = sock->op;

	if (!op && sock->restore)
		handover_go_on(sock);
	if (!op || !op->settling || op->calling || op->await || op->claim_ref) {
		record_save_joined(sock); /* what a backend made it join: see command.c */
		return;
	}
	op->settling = false;
	run(op);
}

void op_save_refused(struct sock *sock, struct str code)
{
	struct op *op = sock->op;

	if (str_is(code, "TAKEN")) {
		struct session *s = sock->session;

		record_let_go(sock);
		if (s)
			session_close(s, METRIC_CLOSED_TAKEN);
		return;
	}
	record_let_go(sock);
	if (op && op->kind == OP_CONNECT && str_is(code, "TOO_MANY_CONNECTIONS"))
		op_fail(op, code, STR_NONE);
	else
		op_settled(sock);
}

void op_go_on(struct op *op, enum op_stage stage)
{
	op->stage = stage;
	if (op->sock->user) {
		op->env.user = op->sock->user->value;
	}
	run(op);
}

/* Routers do not answer. */
static void on_timeout(struct wheel_timer *timer)
{
	struct op *op = CONTAINER_OF(timer, struct op, timer);
	struct sock *sock = op->sock;

	if (op->claim_again) {
		op_go_on(op, OP_ACTIONS);
		return;
	}
	if (op->await || op->claim_ref) {
		op_fail(op, STR("UNAVAILABLE"), STR("the room's router does not answer"));
		return;
	}
	if (!op->settling)
		return;
	if (op->kind == OP_CONNECT) {
		session_close(sock->session, METRIC_CLOSED_ROUTER);
		return;
	}
	if (sock->unconfirmed > 0) {
		room_leave_unconfirmed(sock);
		op_fail(op, STR("UNAVAILABLE"), STR("the room's router does not answer"));
		return;
	}
	/* It is in its rooms; only the session's router is away, and hears of it when it is back. */
	sock->save_ref = 0;
	op_settled(sock);
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
	op->stage = sock->edge->profile->token_required && !sock->user ? OP_VERIFY : OP_CHECK;
	run(op);
}

static void refuse_arguments(struct op *op, struct buf *why)
{
	op_fail(op, STR("INVALID_PAYLOAD"),
		why->n ? buf_str(why) : STR("the arguments do not fit the event"));
}

void op_begin_event(struct sock *sock, const struct op_event *event)
{
	struct buf name_scratch = BUF_INIT(4096), why = BUF_INIT(512),
		   scratch = BUF_INIT(EDGE_SCRATCH_BYTES);
	struct profile_nsp *nsp =
		(struct profile_nsp *)(uintptr_t)
			sock->nsp; /* map_get finishes a resize, the entries stay */
	struct str name = STR_NONE;
	bool named = json_text(event->packet->event, &name_scratch, &name) == 0;
	bool renewal = named && sock->edge->dialect->renews &&
		       sock->edge->profile->token_required && token_is_renewal(name);
	struct op *op = begin(sock, renewal ? OP_RENEW : OP_EVENT, event->text, event->packet);

	if (!op) {
		sock_emit_error(sock, STR("UNAVAILABLE"), STR("too many events are under way"));
		goto out;
	}
	op->attachments = event->attachments;
	op->attachment_count = event->attachment_count;
	op->quiet = event->quiet;
	op->event = named ? map_get(&nsp->events, name) : NULL;
	op->stage = renewal ? OP_VERIFY : OP_CHECK;
	if (!renewal && !op->event) {
		op->packet.has_ack = false; /* an unknown event is always told by `error` */
		op_fail(op, STR("UNKNOWN_EVENT"), str_of(sock->edge->dialect->unknown));
		goto out;
	}
	if (op->event) {
		op->actions = op->event->actions;
		op->action_count = op->event->action_count;
		if (field_list_take(&op->event->fields, event->first, &op->env, &scratch, &why)) {
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
