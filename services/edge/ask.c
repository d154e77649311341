/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to auth: is this token good, may this user do that? */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "services/edge/op.h"

#define CHECK_ARGS_MAX 16

struct user *ask_make_user(struct str id, struct str json, uint64_t expires_ms)
{
	struct user *u = mem_try(sizeof(*u) + id.n + json.n);

	if (!u)
		return NULL;
	u->id = str_make(u->data, id.n);
	if (id.n)
		memcpy(u->data, id.p, id.n);
	if (json.n)
		memcpy(u->data + id.n, json.p, json.n);
	u->expires_ms = expires_ms;
	if (json_parse(str_make(u->data + id.n, json.n), &u->value) ||
	    u->value.type != JSON_OBJECT) {
		mem_free(u);
		return NULL;
	}
	return u;
}

static void on_verified(void *ctx, int err, enum wire_id id, const union wire_any *any)
{
	struct op *op = ctx;
	struct sock *sock = op->sock;
	struct user *user;

	op->calling = false;
	if (err || id != WIRE_VERIFIED) {
		op_fail(op, STR("UNAVAILABLE"), STR("the token cannot be judged now"));
		return;
	}
	if (any->verified.code.n > 0) {
		op_fail(op, any->verified.code, STR_NONE);
		return;
	}
	user = ask_make_user(any->verified.user_id, any->verified.user, any->verified.expires_ms);
	if (!user) {
		op_fail(op, STR("UNAVAILABLE"), STR("the token cannot be judged now"));
		return;
	}
	mem_free(sock->user);
	sock->user = user;
	if (op->kind == OP_RENEW) {
		sock->refresh_told = false;
		token_watch(sock);
		if (!sock->session)
			return;
	}
	op_go_on(op, op->kind == OP_RENEW ? OP_ACTIONS : OP_CHECK);
}

/* The token: `token` of the payload, else (CONNECT) what the handshake brought. */
static struct str find_token(struct op *op, struct buf *scratch)
{
	struct json_value value, object = op->kind == OP_CONNECT
						  ? op->env.auth
						  : (struct json_value){ JSON_NONE, STR_NONE };
	struct str token;

	if (op->kind == OP_RENEW && json_at(op->packet.data, 1, &object))
		object.type = JSON_NONE;
	if (object.type == JSON_OBJECT && json_get(object, STR("token"), &value) == 0 &&
	    value.type == JSON_STRING && json_text(value, scratch, &token) == 0)
		return token;
	if (op->kind == OP_CONNECT && op->sock->session->token)
		return str_of(op->sock->session->token);
	return STR_NONE;
}

enum op_next ask_verify(struct op *op)
{
	struct edge *edge = op->sock->edge;
	struct buf scratch = BUF_INIT(1u << 16);
	struct wire_verify m = { .nsp = op->sock->nsp->name };
	int err;

	m.token = find_token(op, &scratch);
	if (m.token.n > 16384) /* longer than any header may be: no token of ours */
		m.token = STR("too-long");
	if (op->kind == OP_RENEW && op->sock->user)
		m.user_id = op->sock->user->id;
	err = bus_rpc_call(edge->auth, WIRE_VERIFY, &m,
			   clock_ms() + (uint64_t)edge->svc->conf.call_timeout_ms, true,
			   on_verified, op, &op->call);
	buf_fini(&scratch);
	if (err) {
		op_fail(op, STR("UNAVAILABLE"), STR("too many questions are under way"));
		return OP_DONE;
	}
	op->calling = true;
	op->asked = edge->auth;
	return OP_WAIT;
}

static void on_allowed(void *ctx, int err, enum wire_id id, const union wire_any *any)
{
	struct op *op = ctx;

	op->calling = false;
	if (err || id != WIRE_ALLOWED)
		op_fail(op, STR("UNAVAILABLE"), STR("permission cannot be checked now"));
	else if (any->allowed.code.n > 0)
		op_fail(op, any->allowed.code, any->allowed.message);
	else
		op_go_on(op, OP_ACTIONS);
}

enum op_next ask_check(struct op *op, const struct profile_check *check, const struct tmpl *args)
{
	struct edge *edge = op->sock->edge;
	struct buf scratch = BUF_INIT(1u << 16);
	struct str items[CHECK_ARGS_MAX];
	size_t ends[CHECK_ARGS_MAX];
	struct wire_allow m = { .check = check->name };
	uint32_t count = args && check->arg_count <= CHECK_ARGS_MAX ? check->arg_count : 0;
	int err = 0;

	for (uint32_t i = 0; i < count && !err; i++) {
		err = tmpl_render(&args[i], &op->env, &scratch);
		ends[i] = scratch.n;
	}
	for (uint32_t i = 0; i < count && !err; i++)
		items[i] = str_make(scratch.p + (i ? ends[i - 1] : 0),
				    ends[i] - (i ? ends[i - 1] : 0));
	m.args = (struct wire_list){ .count = count, .items = items };
	if (op->sock->user) {
		m.user_id = op->sock->user->id;
		m.user = op->sock->user->value.raw;
	} else {
		m.user = STR("{}");
	}
	if (!err)
		err = bus_rpc_call(edge->auth, WIRE_ALLOW, &m,
				   clock_ms() + (uint64_t)edge->svc->conf.call_timeout_ms, true,
				   on_allowed, op, &op->call);
	buf_fini(&scratch);
	if (err) {
		op_fail(op, err == E_FULL ? STR("UNAVAILABLE") : STR("INVALID_PAYLOAD"), STR_NONE);
		return OP_DONE;
	}
	op->calling = true;
	op->asked = edge->auth;
	return OP_WAIT;
}
