/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepted once: of one user's events with the same key only the first reaches others; the next ones are answered with the first one's id, which is made
 * of user and key, so that it is the same wherever it is asked. A key is held while its event is under way, and kept for EVENT_ID_SECONDS when that has
 * come through; EVENT_ID_COUNT keys at most.
 *
 *   here (edge->claims) ── not known ──▶ at a router (CLAIM) ── not known ──▶ go on ── a router or a broker has it ──▶ remembered at both
 *
 * Who comes with a key that is under way waits until the first one has come through, or has not: it asks again every AGAIN_MS.
 *
 * What is published is known to its router by that id, too (act_send.c): there it comes once even if every memory of keys was lost. What goes to a
 * broker depends on them: a key stays held until the broker's answer is known, whether or not its client is still there (struct hold). While the claim
 * of an edge that died still stands, others are refused; the same session has it back at once.
 */
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "common/log/log.h"
#include "proto/values.h"
#include "services/edge/op.h"
#include "services/edge/shard.h"

#define AGAIN_MS 50u

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

static int say(struct edge *edge, const struct hold *hold, enum claim_stage stage, uint64_t ref)
{
	struct wire_claim m = { .ref = ref,
				.uid_high = hold->key[0],
				.uid_low = hold->key[1],
				.owner = hold->owner,
				.stage = stage };
	char id[UUID_CHARS];
	const struct shard *home;

	write_uuid(hold->key, 8, id);
	home = shard_of(edge, str_make(id, UUID_CHARS));
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
	if (say(edge, &op->hold, CLAIM_ASK, op->claim_ref))
		return refuse(op, "no router answers now");
	svc_arm(edge->svc, &op->timer, op->claim_due_ms);
	return OP_WAIT;
}

/* Another one with the same key is under way: what becomes of it decides. */
static enum op_next wait_for_it(struct op *op)
{
	if (clock_ms() >= op->claim_due_ms)
		return refuse(op, "the same event is under way");
	op->claim_again = true;
	svc_arm(op->sock->edge->svc, &op->timer, clock_ms() + AGAIN_MS);
	return OP_WAIT;
}

static void forget_question(struct op *op)
{
	if (op->claim_ref)
		map_del(&op->sock->edge->claiming, once_key_of(op));
	op->claim_ref = 0;
}

static void note_through(struct edge *edge, const struct hold *hold)
{
	if (idset_note(&edge->claims, hold->key[0], hold->key[1], THROUGH))
		log_debug("once", "more keys than EVENT_ID_COUNT: one is not remembered");
}

static void remember(struct op *op)
{
	op->claimed = false;
	note_through(op->sock->edge, &op->hold);
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
	} else if (m->state == CLAIM_UNDER_WAY && goes_to_broker(op)) {
		wait_for_it(op);
		return;
	} else if (m->state != CLAIM_YES && goes_to_broker(op)) {
		refuse(op, "it cannot be accepted now");
		return;
	}
	op_go_on(op, OP_ACTIONS);
}

/* ── a key ── */

static enum op_next claim(struct op *op)
{
	struct edge *edge = op->sock->edge;
	uint64_t note = UNDER_WAY;
	int err = 0;

	if (!op->claimed) /* else it waits for another edge */
		err = idset_add(&edge->claims, op->hold.key[0], op->hold.key[1], clock_ms(), &note);
	if (err == E_NOMEM)
		return refuse(op, "out of memory");
	if (err == E_EXISTS && note == UNDER_WAY)
		return wait_for_it(op);
	op->env.duplicate = err == E_EXISTS;
	if (op->env.duplicate)
		return OP_GO_ON;
	op->claimed = true;
	return ask_router(op);
}

static void begin_claim(struct op *op, struct str key)
{
	const struct sock *sock = op->sock;
	struct str own = sock->pid[0] ? str_make(sock->pid, EDGE_ID_BYTES) : sock_id_of(sock);

	hash_key(op, key, op->hold.key);
	op->hold.owner = hash_stable64(own) | 1; /* it has its claim back */
	op->claim_due_ms = clock_ms() + (uint64_t)sock->edge->svc->conf.call_timeout_ms;
}

enum op_next once_claim(struct op *op)
{
	struct buf key = BUF_INIT(1u << 16);
	enum op_next next = OP_GO_ON;
	uint64_t bits[2];
	int err = E_NOTFOUND;

	if (op->made && op->claim_again) {
		op->claim_again = false;
		return claim(op);
	}
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
		begin_claim(op, buf_str(&key));
	buf_fini(&key);
	write_uuid(err ? bits : op->hold.key, err ? 4 : 8, op->new_id);
	clock_iso(clock_wall_ms(), op->now);
	op->env.now = str_of(op->now);
	op->env.new_id = str_make(op->new_id, UUID_CHARS);
	if (!err)
		next = claim(op);
	return next;
}

void once_keep(struct op *op)
{
	if (!op->claimed)
		return;
	op->claimed = false;
	once_end(op->sock->edge, &op->hold, true);
}

bool once_take(struct op *op, struct hold *hold)
{
	bool had = op->claimed;

	op->claimed = false;
	*hold = op->hold;
	return had;
}

void once_end(struct edge *edge, const struct hold *hold, bool through)
{
	if (through)
		note_through(edge, hold);
	else
		idset_forget(&edge->claims, hold->key[0], hold->key[1]);
	if (say(edge, hold, through ? CLAIM_THROUGH : CLAIM_NOT, ++edge->last_ref))
		log_debug("once", "not told to the router: its claim ends by itself");
}

void once_let_go(struct op *op)
{
	forget_question(op);
	if (!op->claimed)
		return;
	op->claimed = false;
	once_end(op->sock->edge, &op->hold, false);
}
