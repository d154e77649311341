/* SPDX-License-Identifier: Apache-2.0 */
/* The profile's actions: join, leave, ack, emit, relay. Templates were compiled at start; here they are only filled in. */
#include "common/base/clock.h"
#include "services/edge/op.h"
#include "services/edge/record.h"
#include "services/edge/room.h"

/* Room names of one relay; the profile compiler allows no more. */
#define RELAY_ROOMS_MAX 16

static int fail(struct op *op, int err)
{
	if (err == E_FULL)
		op_fail(op, STR("TOO_MANY_ROOMS"), STR("this connection is in too many rooms"));
	else if (err == E_NOMEM || err == E_UNAVAILABLE)
		op_fail(op, STR("UNAVAILABLE"), STR_NONE);
	else
		op_fail(op, STR("INVALID_PAYLOAD"),
			STR("a field needed here is missing or too long"));
	return OP_DONE;
}

/* Key of the room a template names; appended to edge->scratch, which the caller empties. */
static int render_key(struct op *op, const struct tmpl *t, struct str *key)
{
	struct edge *edge = op->sock->edge;
	struct buf name = BUF_INIT(ROOM_KEY_BYTES);
	int err = tmpl_render(t, &op->env, &name);

	if (!err)
		err = name.failed || room_is_reserved(buf_str(&name))
			      ? E_RANGE
			      : room_key(op->sock->nsp->name, buf_str(&name), &edge->scratch, key);
	buf_fini(&name);
	return err;
}

static enum op_next act_join(struct op *op, const struct action *action)
{
	struct edge *edge = op->sock->edge;
	struct membership *m;
	struct str key;
	int err;

	buf_reset(&edge->scratch);
	err = render_key(op, &action->room, &key);
	if (!err)
		err = room_join(op->sock, key, NULL, &m);
	buf_reset(&edge->scratch);
	if (err == E_NOTFOUND && op->kind == OP_CONNECT)
		return OP_GO_ON; /* the user has no such thing: "team:{user.teamId}" of somebody without a team */
	if (err)
		return (enum op_next)fail(op, err);
	m->by_connect |= op->kind == OP_CONNECT;
	m->stale = false;
	return OP_GO_ON;
}

static enum op_next act_leave(struct op *op, const struct action *action)
{
	struct edge *edge = op->sock->edge;
	struct str key, nsp, name;
	int err;

	buf_reset(&edge->scratch);
	err = render_key(op, &action->room, &key);
	if (!err && room_leave(op->sock, key) && str_cut(key, ',', &nsp, &name))
		record_save_left(op->sock, name);
	buf_reset(&edge->scratch);
	return err ? (enum op_next)fail(op, err) : OP_GO_ON;
}

/* Binary attachments travel with arguments that may hold their placeholders. */
static uint32_t attachments_for(const struct op *op, const struct tmpl *args)
{
	for (uint32_t i = 0; i < args->count && op->attachment_count > 0; i++)
		if (args->parts[i].has_variable &&
		    (args->parts[i].root == TMPL_ARGS || args->parts[i].root == TMPL_ARG ||
		     args->parts[i].root == TMPL_FIELD))
			return op->attachment_count;
	return 0;
}

static enum op_next act_answer(struct op *op, const struct action *action)
{
	struct edge *edge = op->sock->edge;
	struct buf *args = &edge->scratch;
	uint32_t attachments = attachments_for(op, &action->args);
	int err;

	if (action->kind == ACTION_ACK && !op->packet.has_ack)
		return OP_GO_ON;
	buf_reset(args);
	err = tmpl_render(&action->args, &op->env, args);
	if (err == 0 && args->failed)
		err = E_NOMEM;
	if (err == 0 && action->kind == ACTION_ACK)
		sock_ack(op->sock, op->packet.ack_id, buf_str(args), op->attachments, attachments);
	else if (err == 0)
		sock_emit(op->sock, action->event, buf_str(args), op->attachments, attachments);
	buf_reset(args);
	return err ? (enum op_next)fail(op, err) : OP_GO_ON;
}

static int render_rooms(struct op *op, const struct action *action, struct buf *out,
			struct str *rooms)
{
	size_t ends[RELAY_ROOMS_MAX];
	int err = 0;

	for (uint32_t i = 0; i < action->room_count && !err; i++) {
		err = tmpl_render(&action->rooms[i], &op->env, out);
		ends[i] = out->n;
	}
	for (uint32_t i = 0; i < action->room_count && !err; i++) {
		rooms[i] =
			str_make(out->p + (i ? ends[i - 1] : 0), ends[i] - (i ? ends[i - 1] : 0));
		err = room_is_reserved(rooms[i]) ? E_RANGE : 0;
	}
	return out->failed ? out->failed : err;
}

static int publish(struct op *op, const struct action *action, struct str args,
		   const struct str *rooms)
{
	struct edge *edge = op->sock->edge;
	uint32_t attachments = attachments_for(op, &action->args);
	struct str self = sock_id_of(op->sock);
	struct wire_publish m = {
		.nsp = op->sock->nsp->name,
		.rooms = { .count = action->room_count, .items = rooms },
		.event = action->event,
		.except = { .count = action->to_all ? 0 : 1, .items = &self },
		.is_volatile = action->is_volatile,
		.attachments = attachments,
	};
	struct blob *payload[1 + 255];
	int err;

	payload[0] = blob_copy(args);
	if (!payload[0])
		return E_NOMEM;
	for (uint32_t i = 0; i < attachments; i++)
		payload[1 + i] = op->attachments[i];
	err = router_clnt_publish(edge->router, &m, payload, 1 + attachments,
				  (uint64_t)(uintptr_t)op->sock, NULL, NULL);
	blob_unref(&payload[0]);
	if (action->is_volatile && (err == E_AGAIN || err == E_CLOSED))
		return 0; /* may be lost, and is counted by the link */
	return err == E_FULL || err == E_CLOSED || err == E_AGAIN ? E_UNAVAILABLE : err;
}

static enum op_next act_relay(struct op *op, const struct action *action)
{
	struct edge *edge = op->sock->edge;
	struct buf *args = &edge->scratch, *names = &edge->work;
	struct str rooms[RELAY_ROOMS_MAX];
	int err = action->room_count > RELAY_ROOMS_MAX ? E_RANGE : 0;

	buf_reset(args);
	buf_reset(names);
	if (!err)
		err = render_rooms(op, action, names, rooms);
	if (!err)
		err = tmpl_render(&action->args, &op->env, args);
	if (!err)
		err = args->failed ? E_NOMEM : publish(op, action, buf_str(args), rooms);
	buf_reset(args);
	buf_reset(names);
	return err ? (enum op_next)fail(op, err) : OP_GO_ON;
}

/* Before the CONNECT is answered only its joins run, afterwards the rest. */
static bool belongs_here(const struct op *op, const struct action *action)
{
	if (op->kind != OP_CONNECT)
		return true;
	return (action->kind == ACTION_JOIN) != op->greeted;
}

static enum op_next run_one(struct op *op, const struct action *action)
{
	enum op_next next;

	if (action->kind == ACTION_JOIN)
		return act_join(op, action);
	if (action->kind == ACTION_LEAVE)
		return act_leave(op, action);
	next = op_settle(op);
	if (next != OP_GO_ON)
		return next;
	return action->kind == ACTION_RELAY ? act_relay(op, action) : act_answer(op, action);
}

enum op_next act_run(struct op *op)
{
	struct sock *sock = op->sock;

	for (; op->next < op->action_count; op->next++) {
		const struct action *action = &op->actions[op->next];
		enum op_next next = OP_GO_ON;

		if (belongs_here(op, action) && !(action->unless_ack && op->packet.has_ack))
			next = run_one(op, action);
		if (next == OP_DONE || !sock->session)
			return OP_DONE;
		if (next == OP_WAIT)
			return OP_WAIT; /* it runs when it goes on */
	}
	return OP_GO_ON;
}

enum op_next act_check_member(struct op *op)
{
	struct edge *edge = op->sock->edge;
	struct str key;
	bool member = false;
	int err;

	if (!op->event->has_member || op->next > 0)
		return OP_GO_ON;
	buf_reset(&edge->scratch);
	err = render_key(op, &op->event->member, &key);
	if (!err)
		member = room_has(op->sock, key);
	buf_reset(&edge->scratch);
	if (err)
		return (enum op_next)fail(op, err);
	if (member)
		return OP_GO_ON;
	op_fail(op, STR("FORBIDDEN"), STR("only members of the room may do this"));
	return OP_DONE;
}
