/* SPDX-License-Identifier: Apache-2.0 */
/* The actions that reach others: relay, to the members of rooms; produce, to a broker. */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "services/edge/op.h"
#include "services/edge/room.h"

/* Ingest lives and has not answered: its record may still come through. As long as a router's claim stands (services/router/claim.h). */
#define DOUBT_MS 60000u

/* Room names of one relay; the profile compiler allows no more. */
#define RELAY_ROOMS_MAX 16

/* Binary attachments travel with arguments that may hold their placeholders. */
uint32_t act_attachments(const struct op *op, const struct tmpl *args)
{
	for (uint32_t i = 0; i < args->count && op->attachment_count > 0; i++)
		if (args->parts[i].has_variable &&
		    (args->parts[i].root == TMPL_ARGS || args->parts[i].root == TMPL_ARG ||
		     args->parts[i].root == TMPL_FIELD))
			return op->attachment_count;
	return 0;
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

/* Whoever waits for a router's word; it outlives an op that ends before that. */
struct await {
	struct op *op; /* NULL: gone */
};

/* What was asked of a broker; with a key it outlives an op that ends before the answer. */
struct order {
	struct list node; /* on edge->orders */
	struct edge *edge;
	struct op *op;            /* NULL: gone, and its key is held here */
	struct hold hold;         /* where the op is gone */
	struct wheel_timer timer; /* no answer came: until the key is let go */
};

static void free_order(struct order *o)
{
	struct edge *edge = o->edge;

	svc_cancel(edge->svc, &o->timer);
	list_remove(&o->node);
	edge->order_count--;
	mem_free(o);
}

/* The op ends, and what it has asked goes on; without a key it is not waited for. */
static void leave_order(struct op *op)
{
	struct order *o = op->order;

	op->order = NULL;
	if (!once_take(op, &o->hold)) {
		free_order(o); /* and the op ends the question */
		return;
	}
	o->op = NULL;
	op->calling = false;
	metrics_inc(METRIC_PRODUCE_LEFT);
}

void act_send_forget(struct op *op)
{
	if (op->await)
		op->await->op = NULL;
	op->await = NULL;
	if (op->order)
		leave_order(op);
}

bool act_send_idle(const struct edge *edge)
{
	LIST_EACH(&edge->orders, node, next)
		if (!wheel_armed(&CONTAINER_OF(node, struct order, node)->timer))
			return false;
	return true;
}

void act_send_free_all(struct edge *edge)
{
	struct list *node;

	while ((node = list_first(&edge->orders)) != NULL)
		free_order(CONTAINER_OF(node, struct order, node));
}

static void on_published(void *ctx, int err, struct str code, bool duplicate)
{
	struct await *await = ctx;
	struct op *op = await->op;

	(void)code;
	mem_free(await);
	if (!op)
		return;
	op->await = NULL;
	svc_cancel(op->sock->edge->svc, &op->timer);
	if (err) {
		op_fail(op, STR("UNAVAILABLE"), STR("the event cannot be accepted now"));
		return;
	}
	op->env.duplicate |= duplicate;
	once_keep(op);
	op->next++;
	op_go_on(op, OP_ACTIONS);
}

/* What was claimed by a key is known to routers by the id it was given: whoever forgets the key, it comes once. */
static void set_uid(const struct op *op, const struct action *action, struct wire_publish *m)
{
	char text[UUID_CHARS + 16];
	int n;

	if (!op->hold.key[0] && !op->hold.key[1])
		return;
	n = snprintf(text, sizeof(text), "%.*s/%u", UUID_CHARS, op->new_id,
		     (unsigned)(action - op->actions));
	router_clnt_uid(str_make(text, (size_t)n), &m->uid_high, &m->uid_low);
}

/* Else nobody would hear of the router's word, and the next event need not wait for it. */
static bool something_follows(const struct op *op)
{
	for (uint32_t i = op->next + 1; i < op->action_count; i++)
		if (act_is_due(op, &op->actions[i]))
			return true;
	return false;
}

static int send_event(struct op *op, const struct action *action, struct wire_publish *m,
		      struct blob *const *payload)
{
	struct edge *edge = op->sock->edge;
	uint64_t lane = (uint64_t)(uintptr_t)op->sock;
	struct await *await = NULL;
	int err;

	if (action->confirm && !action->is_volatile && something_follows(op)) {
		await = mem_try(sizeof(*await));
		if (!await)
			return E_NOMEM;
		await->op = op;
	}
	err = router_clnt_publish(edge->router, m, payload, 1 + (uint32_t)m->attachments, lane,
				  await ? on_published : NULL, await);
	if (err)
		mem_free(await);
	else
		op->await = await;
	return err;
}

static int publish(struct op *op, const struct action *action, struct str args,
		   const struct str *rooms)
{
	uint32_t attachments = act_attachments(op, &action->args);
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
	set_uid(op, action, &m);
	err = send_event(op, action, &m, payload);
	blob_unref(&payload[0]);
	if (action->is_volatile && (err == E_AGAIN || err == E_CLOSED))
		return 0; /* may be lost, and is counted by the link */
	return err == E_FULL || err == E_CLOSED || err == E_AGAIN ? E_UNAVAILABLE : err;
}

enum op_next act_relay(struct op *op, const struct action *action)
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
	if (err)
		return act_fail(op, err);
	return op->await ? OP_WAIT : OP_GO_ON;
}

static void on_doubt_over(struct wheel_timer *timer)
{
	struct order *o = CONTAINER_OF(timer, struct order, timer);

	once_end(o->edge, &o->hold, false);
	free_order(o);
}

/* Of an op that is gone, or is about to be refused. E_CLOSED: this process ends: what became of it is not known. */
static void end_hold(struct order *o, int err, bool through)
{
	if (err == E_TIMEOUT) {
		o->op = NULL;
		svc_arm(o->edge->svc, &o->timer, clock_ms() + DOUBT_MS);
		return;
	}
	if (err != E_CLOSED)
		once_end(o->edge, &o->hold, through);
	free_order(o);
}

static void on_produced(void *ctx, int err, enum wire_id id, const union wire_any *any)
{
	struct order *o = ctx;
	struct op *op = o->op;

	if (!err && id != WIRE_PRODUCED)
		err = E_FAIL;
	if (!op) {
		end_hold(o, err, !err && any->produced.code.n == 0);
		return;
	}
	op->calling = false;
	op->order = NULL;
	if (err && once_take(op, &o->hold))
		end_hold(o, err, false);
	else
		free_order(o);
	if (err) {
		op_fail(op, STR("UNAVAILABLE"), STR("the broker cannot be reached now"));
	} else if (any->produced.code.n > 0) {
		op_fail(op, any->produced.code, STR("the broker did not take it"));
	} else {
		once_keep(op);
		op->next++;
		op_go_on(op, OP_ACTIONS);
	}
}

static const char *name_of(enum profile_broker broker)
{
	return broker == BROKER_KAFKA ? "kafka" : "rabbitmq";
}

/* NULL: out of memory, or too many are under way. */
static struct order *make_order(struct op *op)
{
	struct edge *edge = op->sock->edge;
	struct order *o = NULL;

	if (edge->order_count < (uint64_t)edge->svc->conf.max_calls)
		o = mem_try(sizeof(*o));
	if (!o)
		return NULL;
	o->edge = edge;
	o->op = op;
	wheel_timer_init(&o->timer, on_doubt_over);
	list_init(&o->node);
	list_append(&edge->orders, &o->node);
	edge->order_count++;
	return o;
}

/* Asked once: should the answer be lost, the client is told, and may send the same again. */
enum op_next act_produce(struct op *op, const struct action *action)
{
	struct edge *edge = op->sock->edge;
	struct buf *value = &edge->scratch, *key = &edge->work;
	struct order *o = make_order(op);
	struct wire_produce m = { .broker = str_of(name_of(action->broker)),
				  .topic = action->topic,
				  .id = op->env.new_id };
	int err = o ? 0 : E_UNAVAILABLE;

	buf_reset(value);
	buf_reset(key);
	if (!err)
		err = tmpl_render(&action->key, &op->env, key);
	if (!err)
		err = tmpl_render(&action->args, &op->env, value);
	m.key = buf_str(key);
	m.value = buf_str(value);
	if (!err && edge->ingest)
		err = bus_rpc_call(edge->ingest, WIRE_PRODUCE, &m,
				   clock_ms() + (uint64_t)edge->svc->conf.call_timeout_ms, false,
				   on_produced, o, &op->call);
	else if (!err)
		err = E_UNAVAILABLE;
	buf_reset(value);
	buf_reset(key);
	if (err == E_FULL || err == E_CLOSED)
		err = E_UNAVAILABLE;
	if (err && o)
		free_order(o);
	if (err)
		return act_fail(op, err);
	op->calling = true;
	op->order = o;
	op->asked = edge->ingest;
	return OP_WAIT;
}
