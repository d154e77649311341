/* SPDX-License-Identifier: Apache-2.0 */
/* The profile's actions: join, leave, ack, emit, relay. Templates were compiled at start; here they are only filled in. */
#include "common/base/clock.h"
#include "services/edge/op.h"
#include "services/edge/record.h"
#include "services/edge/room.h"

enum op_next act_fail(struct op *op, int err)
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

int act_render_key(struct op *op, const struct tmpl *t, struct str *key)
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
	err = act_render_key(op, &action->room, &key);
	if (!err)
		err = room_join(op->sock, key, NULL, &m);
	buf_reset(&edge->scratch);
	if (err == E_NOTFOUND && op->kind == OP_CONNECT)
		return OP_GO_ON; /* the user has no such thing: "team:{user.teamId}" of somebody without a team */
	if (err)
		return act_fail(op, err);
	m->by_connect |= op->kind == OP_CONNECT;
	m->presence |= action->presence;
	m->stale = false;
	return OP_GO_ON;
}

static enum op_next act_leave(struct op *op, const struct action *action)
{
	struct edge *edge = op->sock->edge;
	struct str key, nsp, name;
	int err;

	buf_reset(&edge->scratch);
	err = act_render_key(op, &action->room, &key);
	if (!err)
		later_drop_room(op->sock, key);
	if (!err && room_leave(op->sock, key) && str_cut(key, ',', &nsp, &name))
		record_save_left(op->sock, name);
	buf_reset(&edge->scratch);
	return err ? act_fail(op, err) : OP_GO_ON;
}

static enum op_next act_answer(struct op *op, const struct action *action)
{
	struct edge *edge = op->sock->edge;
	struct buf *args = &edge->scratch;
	uint32_t attachments = act_attachments(op, &action->args);
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
	return err ? act_fail(op, err) : OP_GO_ON;
}

static bool has_field(const struct op *op, uint32_t field)
{
	return op->env.fields[field].type != JSON_NONE && op->env.fields[field].type != JSON_NULL;
}

/* Of a CONNECT: before it is answered only its joins run, afterwards the rest. */
bool act_is_due(const struct op *op, const struct action *action)
{
	const struct edge *edge = op->sock->edge;

	if ((action->when_broker && !edge_uses(edge, action->when_broker)) ||
	    (action->unless_broker && edge_uses(edge, action->unless_broker)))
		return false;
	if (action->when_field >= 0 && !has_field(op, (uint32_t)action->when_field))
		return false;
	if (action->unless_ack && op->packet.has_ack)
		return false;
	if (op->env.duplicate && (action->kind == ACTION_RELAY || action->kind == ACTION_PRODUCE))
		return false; /* others have had it */
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
	if (action->kind == ACTION_RELAY)
		return act_relay(op, action);
	return action->kind == ACTION_PRODUCE ? act_produce(op, action) : act_answer(op, action);
}

enum op_next act_run(struct op *op)
{
	struct sock *sock = op->sock;

	for (; op->next < op->action_count; op->next++) {
		const struct action *action = &op->actions[op->next];
		enum op_next next = OP_GO_ON;

		if (act_is_due(op, action))
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
	err = act_render_key(op, &op->event->member, &key);
	if (!err)
		member = room_has(op->sock, key);
	buf_reset(&edge->scratch);
	if (err)
		return act_fail(op, err);
	if (member)
		return OP_GO_ON;
	op_fail(op, STR("FORBIDDEN"), STR("only members of the room may do this"));
	return OP_DONE;
}
