/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepted once: of one user's events with the same key only the first reaches others; the next ones are answered with the first one's id, which is made
 * of user and key, so that it is the same wherever it is asked. A key is held while its event is under way, and kept for EVENT_ID_SECONDS when that has
 * come through; EVENT_ID_COUNT keys at most.
 *
 *   here (edge->claims) ── not known ──▶ at a router (CLAIM) ── not known ──▶ go on ── a router or a broker has it ──▶ remembered at both
 *
 * What is published is known to its router by that id, too (act_send.c): there it comes once even if every memory of keys was lost. What goes to a
 * broker depends on them: while the claim of an edge that died still stands, others are refused; the same session has it back at once.
 */
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "common/log/log.h"
#include "proto/values.h"
#include "services/edge/op.h"
#include "services/edge/shard.h"

enum note { UNDER_WAY = 1, THROUGH };

/* RFC 9562: version 4 (random) or 8 (ours). */
static void write_uuid(const uint64_t bits[2], unsigned version, char out[UUID_CHARS])
{
	uint64_t high = (bits[0] & ~0xf000ull) | (uint64_t)version << 12;
	uint64_t low = (bits[1] & ~(3ull << 62)) | 2ull << 62;
	char text[UUID_CHARS + 1];

	snprintf(text, sizeof(text), "%08x-%04x-%04x-%04x-%012llx", (unsigned)(high >> 32),
		 (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xffff), (unsigned)(low >> 48),
		 (unsigned long long)(low & 0xffffffffffffull));
	memcpy(out, text, UUID_CHARS);
}

static void hash_key(const struct op *op, struct str key, uint64_t bits[2])
{
	const struct sock *sock = op->sock;
	struct str parts[] = { sock->nsp->name, op->event->name,
			       sock->user ? sock->user->id : STR_NONE, key };
	struct buf text = BUF_INIT(1u << 17);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		buf_addu(&text, parts[i].n); /* so that no two of them run into each other */
		buf_addc(&text, ':');
		buf_add(&text, parts[i]);
	}
	hash_stable128(buf_str(&text), bits);
	buf_fini(&text);
}

/* ── the router's memory ── */

struct str once_key_of(const void *op)
{
	return str_make((const char *)&((const struct op *)op)->claim_ref, sizeof(uint64_t));
}

static int say(const struct op *op, enum claim_stage stage, uint64_t ref)
{
	struct edge *edge = op->sock->edge;
	struct str own = op->sock->pid[0] ? str_make(op->sock->pid, EDGE_ID_BYTES)
					  : sock_id_of(op->sock);
	struct wire_claim m = { .ref = ref,
				.uid_high = op->claim[0],
				.uid_low = op->claim[1],
				.owner = hash_stable64(own) | 1, /* it has its claim back */
				.stage = stage };
	const struct shard *home = shard_of(edge, str_make(op->new_id, UUID_CHARS));

	return home ? bus_link_send_msg(home->link, WIRE_CLAIM, &m, true) : E_CLOSED;
}

static bool goes_to_broker(const struct op *op)
{
	for (uint32_t i = 0; i < op->action_count; i++)
		if (op->actions[i].kind == ACTION_PRODUCE &&
		    edge_uses(op->sock->edge, op->actions[i].broker))
			return true;
	return false;
}

static enum op_next refuse(struct op *op, const char *why)
{
	op_fail(op, STR("UNAVAILABLE"), str_of(why));
	return OP_DONE;
}

static enum op_next ask_router(struct op *op)
{
	struct edge *edge = op->sock->edge;

	op->claim_ref = ++edge->last_ref;
	if (map_put(&edge->claiming, op)) {
		op->claim_ref = 0;
		return refuse(op, "out of memory");
	}
	if (say(op, CLAIM_ASK, op->claim_ref))
		return refuse(op, "no router answers now");
	return OP_WAIT;
}

static void forget_question(struct op *op)
{
	if (op->claim_ref)
		map_del(&op->sock->edge->claiming, once_key_of(op));
	op->claim_ref = 0;
}

static void remember(struct op *op)
{
	op->claimed = false;
	if (idset_note(&op->sock->edge->claims, op->claim[0], op->claim[1], THROUGH))
		log_debug("once", "more keys than EVENT_ID_COUNT: one is not remembered");
}

void once_on_claimed(struct edge *edge, const struct wire_claimed *m)
{
	struct op *op = map_get(&edge->claiming, str_make((const char *)&m->ref, sizeof(uint64_t)));

	if (!op)
		return; /* it is over, or was told and not asked */
	forget_question(op);
	svc_cancel(edge->svc, &op->timer);
	if (m->state == CLAIM_KNOWN) {
		op->env.duplicate = true;
		remember(op);
	} else if (m->state != CLAIM_YES && goes_to_broker(op)) {
		refuse(op, m->state == CLAIM_UNDER_WAY ? "the same event is under way"
						       : "it cannot be accepted now");
		return;
	}
	op_go_on(op, OP_ACTIONS);
}

/* ── a key ── */

static enum op_next claim(struct op *op, const uint64_t bits[2])
{
	struct edge *edge = op->sock->edge;
	uint64_t note = UNDER_WAY;
	int err = idset_add(&edge->claims, bits[0], bits[1], clock_ms(), &note);

	if (err == E_NOMEM)
		return refuse(op, "out of memory");
	if (err == E_EXISTS && note == UNDER_WAY)
		return refuse(op, "the same event is under way");
	op->env.duplicate = err == E_EXISTS;
	if (op->env.duplicate)
		return OP_GO_ON;
	op->claimed = true;
	op->claim[0] = bits[0];
	op->claim[1] = bits[1];
	return ask_router(op);
}

enum op_next once_claim(struct op *op)
{
	struct buf key = BUF_INIT(1u << 16);
	enum op_next next = OP_GO_ON;
	uint64_t bits[2];
	int err = E_NOTFOUND;

	if (op->made)
		return OP_GO_ON;
	op->made = true;
	if (op->event->has_once)
		err = tmpl_render(&op->event->once, &op->env, &key);
	if (err && err != E_NOTFOUND) {
		buf_fini(&key);
		return act_fail(op, err);
	}
	if (err)
		rnd_bytes(bits, sizeof(bits));
	else
		hash_key(op, buf_str(&key), bits);
	buf_fini(&key);
	write_uuid(bits, err ? 4 : 8, op->new_id);
	clock_iso(clock_wall_ms(), op->now);
	op->env.now = str_of(op->now);
	op->env.new_id = str_make(op->new_id, UUID_CHARS);
	if (!err)
		next = claim(op, bits);
	return next;
}

void once_keep(struct op *op)
{
	if (!op->claimed)
		return;
	remember(op);
	if (say(op, CLAIM_THROUGH, ++op->sock->edge->last_ref))
		log_debug("once", "not told to the router: its claim ends by itself");
}

void once_let_go(struct op *op)
{
	forget_question(op);
	if (!op->claimed)
		return;
	op->claimed = false;
	if (say(op, CLAIM_NOT, ++op->sock->edge->last_ref))
		log_debug("once", "not told to the router: its claim ends by itself");
	idset_forget(&op->sock->edge->claims, op->claim[0], op->claim[1]);
}
