/* SPDX-License-Identifier: Apache-2.0 */
/* Events on their way to routers: split by router, kept until answered, in the order of their lanes. */
#include "common/base/mem.h"
#include "common/clients/router_clnt_impl.h"
#include "common/log/log.h"

struct str flight_key(const void *flight)
{
	return str_make((const char *)&((const struct flight *)flight)->ref, sizeof(uint64_t));
}

struct str flight_lane_key(const void *lane)
{
	return str_make((const char *)&((const struct lane *)lane)->key, sizeof(uint64_t));
}

/* ── flights and lanes ── */

static void take_off_waiting(struct router_clnt *c, struct lane *lane);

static void leave_lane(struct router_clnt *c, struct flight *lead)
{
	struct lane *lane = lead->lane;

	lead->lane = NULL;
	if (!lane || --lane->under_way > 0)
		return;
	lane->shard = NULL;
	if (!list_empty(&lane->waiting)) {
		take_off_waiting(c, lane);
		return;
	}
	map_del(&c->lanes, flight_lane_key(lane));
	mem_free(lane);
}

/* Without those under way: the part of one router is done. */
static void drop_part(struct router_clnt *c, struct flight *f)
{
	list_remove(&f->node);
	if (f->ref)
		map_del(&c->flights, flight_key(f));
	f->ref = 0;
	c->bytes -= f->bytes;
	f->bytes = 0;
	blob_unref(&f->body);
	if (f != f->lead)
		mem_free(f);
}

void flight_finish(struct router_clnt *c, struct flight *f, int err, struct str code,
		   bool duplicate)
{
	struct flight *lead = f->lead;
	router_published_fn fn = lead->fn;
	void *ctx = lead->ctx;
	struct blob *why;

	drop_part(c, f);
	if (err && !lead->err) {
		lead->err = err;
		lead->code = code.n ? blob_copy(code)
				    : NULL; /* out of memory: refused without a reason */
	}
	lead->duplicate &= duplicate;
	if (--lead->open > 0)
		return;
	err = lead->err;
	duplicate = lead->duplicate;
	why = lead->code;
	leave_lane(c, lead);
	for (uint32_t i = 0; i < lead->payload_count; i++)
		blob_unref(&lead->payload[i]);
	mem_free(lead);
	if (fn)
		fn(ctx, err, why ? blob_str(why) : STR_NONE, duplicate);
	blob_unref(&why);
}

/* ── publishing ── */

#define PARTS_MAX 64u /* routers one event may go to */
#define ROOMS_MAX 1000u

/* The rooms of one router among those of an event. */
struct part {
	struct shard *shard;
	uint32_t count;
};

struct split {
	struct str rooms[ROOMS_MAX];
	uint16_t part_of[ROOMS_MAX];
	uint32_t room_count, part_count;
	struct part parts[PARTS_MAX];
};

static int split_add(struct split *split, struct shard *shard, struct str room)
{
	uint32_t i = 0;

	while (i < split->part_count && split->parts[i].shard != shard)
		i++;
	if (i == PARTS_MAX || split->room_count == ROOMS_MAX)
		return E_RANGE;
	if (i == split->part_count)
		split->parts[split->part_count++] = (struct part){ shard, 0 };
	split->parts[i].count++;
	split->part_of[split->room_count] = (uint16_t)i;
	split->rooms[split->room_count++] = room;
	return 0;
}

/* Where there is one, no room needs to be hashed. */
static struct shard *only_shard(struct router_clnt *c)
{
	if (c->shard_count != 1)
		return NULL;
	LIST_EACH(&c->shards, node, next) {
		struct shard *s = CONTAINER_OF(node, struct shard, node);

		if (!s->retired)
			return s;
	}
	return NULL;
}

/* Which rooms belong to which router: parts in the order of their first rooms. */
static int split_rooms(struct router_clnt *c, const struct wire_publish *m, struct split *split)
{
	struct buf key = BUF_INIT(4096);
	struct wire_list_walk w;
	struct str room;
	int err = 0;

	split->room_count = split->part_count = 0;
	wire_list_walk(&m->rooms, &w);
	while (!err && wire_list_next(&w, &room)) {
		struct shard *s = only_shard(c);

		if (!s) {
			buf_reset(&key);
			buf_add(&key, m->nsp);
			buf_addc(&key, ',');
			buf_add(&key, room);
			s = router_clnt_shard(c, buf_str(&key));
		}
		err = s ? split_add(split, s, room) : E_UNAVAILABLE;
	}
	buf_fini(&key);
	return err || split->room_count > 0 ? err : E_RANGE;
}

/* The event as it goes to one of its routers. */
static struct blob *pack_part(const struct wire_publish *message, const struct split *split,
			      uint32_t part)
{
	struct str mine[ROOMS_MAX];
	struct wire_publish m = *message;
	uint32_t n = 0;

	if (split->part_count == 1 && m.all.count == 0)
		return wire_pack(WIRE_PUBLISH, message);
	for (uint32_t i = 0; i < split->room_count; i++)
		if (split->part_of[i] == part)
			mine[n++] = split->rooms[i];
	if (m.all.count == 0)
		m.all = message->rooms;
	m.rooms = (struct wire_list){ .count = n, .items = mine };
	return wire_pack(WIRE_PUBLISH, &m);
}

/* One flight more of the lead's event: f, which may be the lead itself. */
static int add_part(struct router_clnt *c, struct flight *lead, struct flight *f,
		    const struct wire_publish *message, const struct split *split, uint32_t part)
{
	struct wire_publish m = *message;

	list_init(&f->node);
	f->lead = lead;
	m.ref = f->ref = ++c->last_ref;
	f->body = pack_part(&m, split, part);
	if (!f->body || map_put(&c->flights, f)) {
		int err = f->body ? E_NOMEM : E_RANGE;

		blob_unref(&f->body);
		f->ref = 0;
		return err;
	}
	f->shard = split->parts[part].shard;
	f->bytes = f->body->n;
	for (uint32_t i = 0; f == lead && i < f->payload_count; i++)
		f->bytes += f->payload[i]->n;
	c->bytes += f->bytes;
	lead->open++;
	return 0;
}

static void queue(struct flight *f)
{
	list_append(&f->shard->waiting, &f->node);
}

static void send_parts(const struct split *split)
{
	for (uint32_t i = 0; i < split->part_count; i++)
		router_clnt_send_waiting(split->parts[i].shard);
}

static struct lane *lane_of(struct router_clnt *c, uint64_t key, bool make)
{
	struct lane *lane = map_get(&c->lanes, str_make((const char *)&key, sizeof(key)));

	if (lane || !make)
		return lane;
	lane = mem_try(sizeof(*lane));
	if (!lane)
		return NULL;
	lane->key = key;
	list_init(&lane->waiting);
	if (map_put(&c->lanes, lane)) {
		mem_free(lane);
		return NULL;
	}
	return lane;
}

/* May it go now, behind what of its lane is under way? Nothing waits before it. */
static bool lane_is_free(const struct lane *lane, const struct split *split)
{
	if (lane->under_way == 0)
		return true;
	return split->part_count == 1 && lane->shard == split->parts[0].shard;
}

static void enter_lane(struct lane *lane, struct flight *lead, const struct split *split)
{
	lead->lane = lane;
	lane->shard = split->part_count == 1 ? split->parts[0].shard : NULL;
	lane->under_way++;
}

/* Its flights are made and sent. On error nothing of them stays. */
static int take_off(struct router_clnt *c, struct flight *lead, const struct wire_publish *m,
		    const struct split *split)
{
	struct flight *parts[PARTS_MAX];
	uint32_t n = 0;
	int err = 0;

	while (n < split->part_count) {
		struct flight *f = n == 0 ? lead : mem_try(sizeof(*f));

		err = f ? add_part(c, lead, f, m, split, n) : E_NOMEM;
		if (err) {
			if (f != lead)
				mem_free(f);
			break;
		}
		parts[n++] = f;
	}
	while (err && n > 0) {
		lead->open--;
		drop_part(c, parts[--n]);
	}
	if (err)
		return err;
	for (uint32_t i = 0; i < n; i++)
		queue(parts[i]);
	send_parts(split);
	return 0;
}

static struct flight *make_lead(struct blob *const *payload, uint32_t payload_count,
				router_published_fn fn, void *ctx)
{
	struct flight *lead = mem_try(sizeof(*lead) + payload_count * sizeof(struct blob *));

	if (!lead)
		return NULL;
	list_init(&lead->node);
	lead->lead = lead;
	lead->duplicate = true;
	lead->fn = fn;
	lead->ctx = ctx;
	lead->payload_count = payload_count;
	for (uint32_t i = 0; i < payload_count; i++)
		lead->payload[i] = blob_ref(payload[i]);
	return lead;
}

static void free_lead(struct flight *lead)
{
	list_remove(&lead->node);
	blob_unref(&lead->body);
	for (uint32_t i = 0; i < lead->payload_count; i++)
		blob_unref(&lead->payload[i]);
	mem_free(lead);
}

/* Behind others of its lane: kept whole, without a router. */
static int wait_in_lane(struct router_clnt *c, struct lane *lane, struct flight *lead,
			const struct wire_publish *m)
{
	lead->body = wire_pack(WIRE_PUBLISH, m);
	if (!lead->body)
		return E_RANGE;
	lead->ref = ++c->last_ref;
	if (map_put(&c->flights, lead)) {
		lead->ref = 0;
		return E_NOMEM;
	}
	lead->bytes = lead->body->n;
	c->bytes += lead->bytes;
	list_append(&lane->waiting, &lead->node);
	return 0;
}

/* Those that waited in the lane, as many as may go. */
static void take_off_waiting(struct router_clnt *c, struct lane *lane)
{
	struct split *split = mem_need(sizeof(*split));
	struct list *node;

	while ((node = list_first(&lane->waiting)) != NULL) {
		struct flight *lead = CONTAINER_OF(node, struct flight, node);
		struct blob *body = lead->body;
		union wire_any any;
		enum wire_id id;
		bool fits = !c->closing && wire_unpack(blob_str(body), &id, &any) == 0 &&
			    split_rooms(c, &any.publish, split) == 0;

		list_remove(node);
		if (fits && !lane_is_free(lane, split)) {
			list_prepend(&lane->waiting, node);
			break;
		}
		blob_ref(body);
		map_del(&c->flights, flight_key(lead));
		c->bytes -= lead->bytes;
		lead->bytes = lead->ref = 0;
		blob_unref(&lead->body);
		if (fits)
			enter_lane(lane, lead, split);
		if (!fits || take_off(c, lead, &any.publish, split)) {
			if (!c->closing)
				log_error(
					"bus",
					"an event that waited for its turn cannot be sent: out of "
					"memory, or no router is left");
			if (fits)
				lane->under_way--;
			if (lead->fn)
				lead->fn(lead->ctx, c->closing ? E_CLOSED : E_UNAVAILABLE, STR_NONE,
					 false);
			free_lead(lead);
		}
		blob_unref(&body);
	}
	mem_free(split);
	if (lane->under_way == 0 && list_empty(&lane->waiting)) {
		map_del(&c->lanes, flight_lane_key(lane));
		mem_free(lane);
	}
}

static int send_volatile(const struct wire_publish *message, const struct split *split,
			 struct blob *const *payload, uint32_t payload_count)
{
	int first = 0;

	for (uint32_t i = 0; i < split->part_count; i++) {
		struct blob *body = pack_part(message, split, i);
		int err = body ? bus_link_send(split->parts[i].shard->link, body, payload,
					       payload_count, false, NULL)
			       : E_RANGE;

		blob_unref(&body);
		if (!first)
			first = err;
	}
	return first;
}

static int depart(struct router_clnt *c, struct flight *lead, struct wire_publish *message,
		  uint64_t lane_number, const struct split *split)
{
	bool in_lane = c->shard_count > 1 && lane_number;
	struct lane *lane = in_lane ? lane_of(c, lane_number, true) : NULL;
	int err;

	if (in_lane && !lane)
		return E_NOMEM;
	if (lane && (!list_empty(&lane->waiting) || !lane_is_free(lane, split)))
		return wait_in_lane(c, lane, lead, message);
	if (lane)
		enter_lane(lane, lead, split);
	err = take_off(c, lead, message, split);
	if (err)
		leave_lane(c, lead);
	return err;
}

static int publish(struct router_clnt *clnt, struct wire_publish *message,
		   struct blob *const *payload, uint32_t payload_count, uint64_t lane,
		   router_published_fn fn, void *ctx, struct split *split)
{
	struct flight *lead;
	int err = split_rooms(clnt, message, split);

	if (err)
		return err;
	if (message->is_volatile)
		return send_volatile(message, split, payload, payload_count);
	if (map_count(&clnt->flights) >= clnt->spec.max_in_flight ||
	    clnt->bytes >= clnt->spec.max_bytes)
		return E_FULL;
	lead = make_lead(payload, payload_count, fn, ctx);
	if (!lead)
		return E_NOMEM;
	if (!message->uid_high && !message->uid_low) {
		message->uid_high = bus_epoch();
		message->uid_low = ++clnt->last_uid;
	}
	err = depart(clnt, lead, message, lane, split);
	if (err)
		free_lead(lead);
	return err;
}

int router_clnt_publish(struct router_clnt *clnt, struct wire_publish *message,
			struct blob *const *payload, uint32_t payload_count, uint64_t lane,
			router_published_fn fn, void *ctx)
{
	struct split split;

	if (clnt->shard_count == 0)
		return message->rooms.count ? E_UNAVAILABLE : E_RANGE;
	return publish(clnt, message, payload, payload_count, lane, fn, ctx, &split);
}

void flight_rehome(struct router_clnt *c, struct flight *f)
{
	struct split *split = mem_need(sizeof(*split));
	struct flight *lead = f->lead;
	struct blob *body = blob_ref(f->body);
	union wire_any any;
	enum wire_id id;
	int err = wire_unpack(blob_str(body), &id, &any);

	if (!err)
		err = split_rooms(c, &any.publish, split);
	for (uint32_t i = 0; i < split->part_count && !err; i++) {
		struct flight *part = mem_try(sizeof(*part));

		err = part ? add_part(c, lead, part, &any.publish, split, i) : E_NOMEM;
		if (err)
			mem_free(part);
		else
			queue(part);
	}
	if (!err)
		send_parts(split);
	if (lead->lane)
		lead->lane->shard = NULL; /* that router will be freed; what comes behind waits */
	flight_finish(c, f, err ? E_UNAVAILABLE : 0, STR_NONE, true);
	blob_unref(&body);
	mem_free(split);
}
