/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a backend does to members: POST /v1/rooms/{room}/join, leave, disconnect. Each becomes commands (PUBLISH with a verb) to the rooms of those it
 * is for: a socket is reached by the room of its own, a user's sockets are looked up first, a whole room by itself. Commands stand in the order of their
 * rooms, like messages; 202 when routers have them.
 *
 *   join        sockets, looked-up sockets of users, other rooms ──▶ {join, targets: [room]}
 *   leave       sockets ──▶ {leave, targets: [room]};  users: to the room itself, of this user alone;  nobody named: to the room
 *   disconnect  sockets that are found to be in the room;  users, nobody named: as above
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/metrics/metrics.h"
#include "proto/values.h"
#include "services/ingest/api.h"
#include "services/ingest/api_parse.h"

#define COMMAND_ROOMS 1000u /* PUBLISH.rooms */
#define FOUND_MOST 10000u   /* sockets of users in one call */
#define PAGE_SOCKETS 1000u
#define TEXT_BYTES (4u << 20)

/* A call under way. Freed when it is answered, or its caller has left, and no command is on its way. */
struct acting {
	struct ingest *ingest;
	struct http_exchange *x; /* NULL: answered, or the caller has left */
	struct wheel_timer timer;
	uint64_t ticket, deadline_ms, lane;
	enum wire_verb verb;
	struct str room;
	struct api_action who; /* of the body; gone with the exchange */
	uint32_t user;         /* the next one to look up */
	struct buf scratch, text, after, name;
	size_t *found; /* OWNED: ends of socket ids in text */
	uint32_t found_count, found_cap;
	uint32_t open, commands; /* on their way, and one for the sending; sent */
	bool refused;
};

static void release(struct acting *a)
{
	svc_cancel(a->ingest->svc, &a->timer);
	router_query_cancel(a->ingest->queries, a->ticket);
	api_action_fini(&a->who);
	buf_fini(&a->scratch);
	buf_fini(&a->text);
	buf_fini(&a->after);
	buf_fini(&a->name);
	mem_free(a->found);
	api_end(a->ingest, 1, a);
}

static void refuse_now(struct acting *a, const char *message)
{
	if (a->x)
		api_unavailable(a->x, message);
	a->x = NULL;
}

static void answer(struct acting *a)
{
	struct buf body = BUF_INIT(256);

	if (a->refused) {
		refuse_now(a, "not all of it was accepted: send it again");
	} else if (a->x) {
		buf_addf(&body, "{\"commands\":%u}", a->commands);
		http_respond(a->x, 202, STR("application/json"), STR_NONE, buf_str(&body));
		a->x = NULL;
	}
	buf_fini(&body);
}

static void settle(struct acting *a)
{
	if (--a->open > 0)
		return;
	answer(a);
	release(a);
}

static void on_timeout(struct wheel_timer *timer)
{
	struct acting *a = CONTAINER_OF(timer, struct acting, timer);

	refuse_now(a, "no router has accepted it in time: send it again");
	if (a->open == 0)
		release(a);
}

static void on_gone(struct http_exchange *x, void *user)
{
	struct acting *a = user;

	(void)x;
	a->x = NULL;
	if (a->open == 0)
		release(a); /* it was still being looked up: nothing was sent */
}

static void on_published(void *ctx, int err, struct str code, bool duplicate)
{
	struct acting *a = ctx;

	(void)code;
	(void)duplicate;
	a->refused |= err != 0;
	settle(a);
}

/* ── sending ── */

static void send_command(struct acting *a, const struct str *rooms, uint32_t count,
			 struct str user_id)
{
	struct wire_publish m = { .nsp = a->who.nsp,
				  .rooms = { .count = count, .items = rooms },
				  .verb = a->verb,
				  .user_id = user_id };
	struct blob *nothing;
	int err = E_NOMEM;

	if (a->refused)
		return; /* behind one that did not go none is sent */
	if (a->verb != VERB_DISCONNECT)
		m.targets = (struct wire_list){ .count = 1, .items = &a->room };
	nothing = blob_copy(STR_NONE);
	if (nothing)
		err = router_clnt_publish(a->ingest->router, &m, &nothing, 1, a->lane, on_published,
					  a);
	blob_unref(&nothing);
	if (err) {
		a->refused = true;
		return;
	}
	a->open++;
	a->commands++;
	metrics_inc(METRIC_INGEST_HTTP);
}

static void send_to_all(struct acting *a, const struct str *rooms, uint32_t count)
{
	for (uint32_t i = 0; i < count; i += COMMAND_ROOMS)
		send_command(a, rooms + i, count - i < COMMAND_ROOMS ? count - i : COMMAND_ROOMS,
			     STR_NONE);
}

static void send_to_found(struct acting *a)
{
	struct str rooms[COMMAND_ROOMS];
	size_t at = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < a->found_count; i++) {
		rooms[n++] = str_make(a->text.p + at, a->found[i] - at);
		at = a->found[i];
		if (n == COMMAND_ROOMS || i + 1 == a->found_count) {
			send_command(a, rooms, n, STR_NONE);
			n = 0;
		}
	}
}

/* Everybody is known. */
static void send_all(struct acting *a)
{
	a->open = 1;
	svc_cancel(a->ingest->svc, &a->timer);
	svc_arm(a->ingest->svc, &a->timer,
		clock_ms() + (uint64_t)a->ingest->svc->conf.publish_timeout_ms);
	if (a->verb == VERB_JOIN)
		send_to_all(a, a->who.rooms, a->who.room_count);
	if (a->verb != VERB_DISCONNECT)
		send_to_all(a, a->who.sockets, a->who.socket_count);
	send_to_found(a);
	for (uint32_t i = 0; a->verb != VERB_JOIN && i < a->who.user_count; i++)
		send_command(a, &a->room, 1, a->who.users[i]);
	if (a->verb != VERB_JOIN && !a->who.sockets && !a->who.users)
		send_command(a, &a->room, 1, STR_NONE);
	settle(a);
}

/* ── looking up ── */

static void look_up(struct acting *a);

static int note(struct acting *a, struct str sid)
{
	if (a->found_count == FOUND_MOST)
		return E_FULL;
	if (a->found_count == a->found_cap &&
	    mem_grow((void **)&a->found, &a->found_cap, sizeof(a->found[0])))
		return E_NOMEM;
	buf_add(&a->text, sid);
	a->found[a->found_count++] = a->text.n;
	return a->text.failed;
}

static int note_parts(struct acting *a, struct str parts)
{
	union wire_any any;
	enum wire_id id;
	int err;

	while ((err = router_query_part(&parts, &id, &any)) == 0) {
		const struct wire_socket_found *m = &any.socket_found;

		err = id == WIRE_SOCKET_FOUND ? note(a, m->sid) : E_TYPE;
		if (err)
			return err;
		buf_reset(&a->after);
		buf_add(&a->after, m->nsp);
		buf_addc(&a->after, ',');
		buf_add(&a->after, m->sid);
	}
	return err == E_NOTFOUND ? 0 : err;
}

static void on_found(void *ctx, int err, const struct router_found *found, uint32_t count)
{
	struct acting *a = ctx;

	a->ticket = 0;
	for (uint32_t i = 0; i < count && !err; i++)
		err = note_parts(a, found[i].parts);
	if (err == E_FULL && a->x) {
		http_respond_error(a->x, 400, "INVALID_PAYLOAD",
				   "these users have more than 10000 sockets: name fewer of them");
		a->x = NULL;
	} else if (err) {
		refuse_now(a, "a router does not answer now");
	}
	if (err) {
		release(a);
		return;
	}
	if (a->verb != VERB_JOIN || !found[0].more) {
		a->user++;
		buf_reset(&a->after);
	}
	look_up(a);
}

/* Which of the named sockets are in the room; else of one user after the other, which it has. */
static void look_up(struct acting *a)
{
	struct wire_query_sockets m = { .limit = PAGE_SOCKETS };
	struct buf key = BUF_INIT(2048);
	struct str user_id = STR_NONE;
	int err;

	if (a->user >= (a->verb == VERB_JOIN                           ? a->who.user_count
			: a->verb == VERB_DISCONNECT && a->who.sockets ? 1u
								       : 0u)) {
		send_all(a);
		return;
	}
	if (a->verb == VERB_JOIN) {
		user_id = m.user_id = a->who.users[a->user];
		m.nsp = a->who.nsp;
		m.after_sid = buf_str(&a->after);
	} else {
		buf_add(&key, a->who.nsp);
		buf_addc(&key, ',');
		buf_add(&key, a->room);
		m.room = buf_str(&key);
		m.sids =
			(struct wire_list){ .count = a->who.socket_count, .items = a->who.sockets };
	}
	err = router_query_ask(a->ingest->queries, WIRE_QUERY_SOCKETS, &m, user_id, a->deadline_ms,
			       on_found, a, &a->ticket);
	buf_fini(&key);
	if (err) {
		refuse_now(a, "a router does not answer now");
		release(a);
	}
}

/* ── calls ── */

static const char *missing(const struct acting *a)
{
	if (a->verb == VERB_JOIN && !a->who.sockets && !a->who.users && !a->who.rooms)
		return "who is to join? Name sockets, users or rooms";
	if (a->verb != VERB_JOIN && a->who.rooms)
		return "rooms is for join alone: the room in the path is the one that is meant";
	return NULL;
}

static void act(struct ingest *ingest, struct http_exchange *x, const struct http_request *request,
		struct str name, enum wire_verb verb)
{
	struct buf why = BUF_INIT(512);
	struct acting *a = api_begin(ingest, 1, sizeof(*a));
	const char *refusal = NULL;

	if (!a) {
		api_unavailable(x, "too many calls are under way");
		return;
	}
	a->ingest = ingest;
	a->verb = verb;
	a->lane = api_lane(ingest);
	a->deadline_ms = clock_ms() + (uint64_t)ingest->svc->conf.query_timeout_ms;
	buf_init(&a->scratch, (size_t)ingest->svc->conf.max_payload * 2 + 4096);
	buf_init(&a->text, TEXT_BYTES);
	buf_init(&a->after, 1024);
	buf_init(&a->name, 1024);
	wheel_timer_init(&a->timer, on_timeout);
	if (api_parse_action(ingest->profile, request->body, &a->who, &a->scratch, &why)) {
		api_refuse(x, &why);
		release(a);
	} else if ((refusal = missing(a)) != NULL) {
		http_respond_error(x, 400, "INVALID_PAYLOAD", refusal);
		release(a);
	} else {
		buf_add(&a->name, name);
		a->room = buf_str(&a->name);
		a->x = x;
		http_on_gone(x, on_gone, a);
		look_up(a);
	}
	buf_fini(&why);
}

void api_post_join(struct ingest *ingest, struct http_exchange *x,
		   const struct http_request *request, struct str name)
{
	act(ingest, x, request, name, VERB_JOIN);
}

void api_post_leave(struct ingest *ingest, struct http_exchange *x,
		    const struct http_request *request, struct str name)
{
	act(ingest, x, request, name, VERB_LEAVE);
}

void api_post_disconnect(struct ingest *ingest, struct http_exchange *x,
			 const struct http_request *request, struct str name)
{
	act(ingest, x, request, name, VERB_DISCONNECT);
}
