/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/asked.h"

#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "common/metrics/metrics.h"

#define ID_MASK 0x7fffffffu

struct owed {
	uint64_t number; /* of the DELIVER */
	uint32_t shard;
	uint32_t id;
};

struct asked {
	struct owed *owed; /* oldest first; OWNED */
	uint32_t count, cap;
};

uint32_t asked_next_id(struct edge *edge)
{
	if (edge->last_ack_id == 0)
		edge->last_ack_id = (uint32_t)rnd_u64() & ID_MASK;
	edge->last_ack_id = (edge->last_ack_id + 1) & ID_MASK;
	if (edge->last_ack_id == 0)
		edge->last_ack_id = 1;
	return edge->last_ack_id;
}

static void drop(struct asked *a, uint32_t i)
{
	a->count--;
	memmove(a->owed + i, a->owed + i + 1, (a->count - i) * sizeof(a->owed[0]));
}

static int note(struct sock *sock, const struct owed *owed)
{
	struct asked *a = sock->asked;

	if (!a)
		a = sock->asked = mem_try(sizeof(*a));
	if (!a)
		return E_NOMEM;
	if (a->count == ASKED_MAX) {
		drop(a, 0);
		metrics_inc(METRIC_ACKS_FORGOTTEN);
	}
	if (a->count == a->cap && mem_grow((void **)&a->owed, &a->cap, sizeof(a->owed[0])))
		return E_NOMEM;
	a->owed[a->count++] = *owed;
	return 0;
}

void asked_note(struct sock *sock, uint32_t id, const struct shard *shard, uint64_t number)
{
	struct owed owed = { number, shard->id, id };

	metrics_inc(METRIC_ACKS_ASKED);
	if (note(sock, &owed))
		metrics_inc(METRIC_ACKS_FORGOTTEN);
}

void asked_forget(struct sock *sock)
{
	if (sock->asked)
		mem_free(sock->asked->owed);
	mem_free(sock->asked);
	sock->asked = NULL;
}

/* ── answers ── */

static struct shard *find_shard(struct edge *edge, uint32_t id)
{
	LIST_EACH(&edge->shards, node, next) {
		struct shard *shard = CONTAINER_OF(node, struct shard, node);

		if (shard->id == id)
			return shard;
	}
	return NULL;
}

static int pass_on(struct shard *shard, uint64_t number, struct str args,
		   struct blob *const *attachments, uint32_t attachment_count)
{
	struct wire_ack m = { .ack = number };
	struct blob *payload[WIRE_MAX_PAYLOADS];
	struct blob *body;
	int err = E_NOMEM;

	if (attachment_count >= WIRE_MAX_PAYLOADS)
		return E_TOOBIG;
	body = wire_pack(WIRE_ACK, &m);
	payload[0] = blob_copy(args);
	for (uint32_t i = 0; i < attachment_count; i++)
		payload[1 + i] = attachments[i];
	if (body && payload[0])
		err = bus_link_send(shard->link, body, payload, 1 + attachment_count, true, NULL);
	blob_unref(&payload[0]);
	blob_unref(&body);
	return err;
}

void asked_on_ack(struct sock *sock, uint64_t id, struct str args, struct blob *const *attachments,
		  uint32_t attachment_count)
{
	struct asked *a = sock->asked;
	struct shard *shard;
	struct owed owed;
	uint32_t i = 0;

	while (a && i < a->count && a->owed[i].id != id)
		i++;
	if (!a || i == a->count) {
		metrics_inc(METRIC_ACKS_UNASKED);
		return;
	}
	owed = a->owed[i];
	drop(a, i);
	shard = find_shard(sock->edge, owed.shard);
	if (shard && pass_on(shard, owed.number, args, attachments, attachment_count) == 0)
		metrics_inc(METRIC_ACKS_TAKEN);
	else
		metrics_inc(METRIC_ACKS_DROPPED);
}

void asked_tell(struct shard *shard, uint64_t number, uint64_t clients)
{
	struct wire_asked m = { .ack = number, .clients = clients };

	if (bus_link_send_msg(shard->link, WIRE_ASKED, &m, true))
		metrics_inc(
			METRIC_ACKS_DROPPED); /* the asker's time runs out: never a wrong number */
}

/* ── to another edge ── */

int asked_pack(const struct sock *sock, struct item_list *list, struct wire_list *out)
{
	const struct asked *a = sock->asked;
	uint32_t count = a ? a->count : 0;
	int err = item_list_init(list, count);

	for (uint32_t i = 0; i < count && !err; i++) {
		struct item item = { .place = a->owed[i].number, .shard = a->owed[i].shard };
		char digits[16];

		item.name = str_make(digits,
				     (size_t)snprintf(digits, sizeof(digits), "%u", a->owed[i].id));
		item_list_add(list, &item);
	}
	return err ? err : item_list_done(list, out);
}

int asked_take(struct sock *sock, const struct wire_list *list)
{
	struct wire_list_walk w;
	struct str text;

	wire_list_walk(list, &w);
	while (wire_list_next(&w, &text)) {
		struct item item;
		uint64_t id;

		if (item_read(text, &item) || str_to_u64(item.name, &id) || id > ID_MASK)
			return E_SYNTAX;
		if (note(sock, &(struct owed){ item.place, item.shard, (uint32_t)id }))
			metrics_inc(METRIC_ACKS_FORGOTTEN);
	}
	return 0;
}
