/* SPDX-License-Identifier: Apache-2.0 */
/* What ingest is told of rooms, sockets and users: against a plain walk over all sessions, while they come and go. */
#include "services/router/directory.h"
#include "services/router/roll.h"
#include "services/router/session_test.h"

#include <stdlib.h>

#include "common/base/mem.h"

#include "common/clients/router_query.h"
#include "services/router/room.h"

#define PIDS 24
#define NAMES 5
#define USERS 4 /* and nobody in particular */
#define STEPS 400
#define KEY_BYTES 64
#define LIST_MOST 100

static struct fixture f;

/* The next answer; its parts stay readable until node_forget. */
static struct str found(const struct wire_found **m)
{
	const struct seen *seen = script_wait(&f.ingest.script, WIRE_FOUND);

	*m = &seen->any.found;
	return blob_str(node_payload(&f.ingest, seen, 0));
}

static void ask(enum wire_id id, const void *message)
{
	if (f.ingest.script.count > SEEN_MAX / 2)
		node_forget(&f.ingest);
	script_say(&f.ingest.script, 0, f.ingest.acked, id, message);
}

static void open_synced(void)
{
	fixture_open(&f);
	node_synced(&f.edge[0]);
	node_synced(&f.edge[1]);
	node_sync(&f.edge[0]);
	node_sync(&f.edge[1]);
}

/* ── a list of texts ── */

struct texts {
	char text[LIST_MOST][KEY_BYTES];
	size_t count;
};

static void texts_add(struct texts *t, struct str a, struct str b)
{
	assert_true(t->count < LIST_MOST);
	snprintf(t->text[t->count++], KEY_BYTES, STR_FMT "%s" STR_FMT, STR_ARG(a), b.n ? " " : "",
		 STR_ARG(b));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Sorted, each once, those behind `after`; then the first ones. */
static void texts_cut(struct texts *t, const char *after, uint64_t limit, bool *more)
{
	size_t kept = 0;

	qsort(t->text, t->count, KEY_BYTES, by_text);
	*more = false;
	for (size_t i = 0; i < t->count; i++) {
		if (strcmp(t->text[i], after) <= 0 ||
		    (kept && strcmp(t->text[i], t->text[kept - 1]) == 0))
			continue;
		if (kept == limit)
			*more = true;
		else
			memmove(t->text[kept++], t->text[i], KEY_BYTES);
	}
	t->count = kept;
}

static void texts_equal(const struct texts *got, const struct texts *want)
{
	assert_int_equal(got->count, want->count);
	for (size_t i = 0; i < got->count; i++)
		assert_string_equal(got->text[i], want->text[i]);
}

/* ── what a plain walk finds ── */

static bool is_in(const struct session *s, struct str key)
{
	struct str nsp, name;

	str_cut(key, ',', &nsp, &name);
	if (!str_eq(nsp, session_nsp_of(s)))
		return false;
	if (str_eq(name, session_sid_of(s)))
		return true;
	for (uint32_t i = 0; i < s->room_count; i++)
		if (str_eq(session_room_name(s->rooms[i]), name))
			return true;
	return false;
}

static void expect_figures(const struct wire_room_found *m)
{
	uint64_t sockets = 0, away = 0, users = 0;
	struct str seen[PIDS];

	MAP_EACH(&f.router.sessions, struct session, s) {
		bool fresh = session_user_id_of(s).n > 0;

		if (!is_in(s, m->room))
			continue;
		sockets++;
		away += s->parked_ms != 0;
		for (uint64_t i = 0; i < users; i++)
			fresh &= !str_eq(seen[i], session_user_id_of(s));
		if (fresh)
			seen[users++] = session_user_id_of(s);
	}
	assert_int_equal(m->sockets, sockets);
	assert_int_equal(m->away, away);
	assert_int_equal(m->users, users);
}

static void walk_rooms(struct texts *t, const char *prefix, bool own)
{
	char key[KEY_BYTES];

	MAP_EACH(&f.router.sessions, struct session, s) {
		if (own && str_starts(session_key_of(s), str_of(prefix)))
			texts_add(t, session_key_of(s), STR_NONE);
		for (uint32_t i = 0; i < s->room_count; i++) {
			if (!s->rooms[i]->roll)
				continue;
			snprintf(key, sizeof(key), STR_FMT "," STR_FMT, STR_ARG(session_nsp_of(s)),
				 STR_ARG(session_room_name(s->rooms[i])));
			if (str_starts(str_of(key), str_of(prefix)))
				texts_add(t, str_of(key), STR_NONE);
		}
	}
}

static void check_rooms(const char *prefix, const char *after, uint64_t limit, bool own)
{
	struct wire_query_rooms m = { .ref = 5,
				      .prefix = str_of(prefix),
				      .after = str_of(after),
				      .limit = limit,
				      .own = own };
	struct texts got = { .count = 0 }, want = { .count = 0 };
	const struct wire_found *answer;
	union wire_any any;
	enum wire_id id;
	struct str parts;
	bool more;

	walk_rooms(&want, prefix, own);
	texts_cut(&want, after, limit, &more);
	ask(WIRE_QUERY_ROOMS, &m);
	parts = found(&answer);
	assert_int_equal(answer->ref, 5);
	assert_str(answer->code, STR_NONE);
	assert_int_equal(answer->more, more);
	while (router_query_part(&parts, &id, &any) == 0) {
		assert_int_equal(id, WIRE_ROOM_FOUND);
		texts_add(&got, any.room_found.room, STR_NONE);
	}
	texts_equal(&got, &want);
}

static void check_figures(const char *key)
{
	struct str keys[2] = { str_of(key), STR("/,nobody") };
	struct wire_query_figures m = { .ref = 6, .rooms = { .count = 2, .items = keys } };
	const struct wire_found *answer;
	union wire_any any;
	enum wire_id id;
	struct str parts;

	ask(WIRE_QUERY_FIGURES, &m);
	parts = found(&answer);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(router_query_part(&parts, &id, &any), 0);
		assert_str(any.room_found.room, keys[i]);
		expect_figures(&any.room_found);
	}
	assert_int_equal(parts.n, 0);
}

/* One page of a room's members, of one user's, or of a user's sockets. */
static void check_sockets(const char *room, const char *user, const char *after, uint64_t limit)
{
	struct wire_query_sockets m = {
		.ref = 7, .room = str_of(room), .user_id = str_of(user), .limit = limit, .names = 2
	};
	struct texts got = { .count = 0 }, want = { .count = 0 };
	const struct wire_found *answer;
	union wire_any any;
	enum wire_id id;
	struct str parts;
	bool more;

	if (room[0])
		str_cut(str_of(after), ' ', &m.after_user, &m.after_sid);
	else
		m.after_sid = str_of(after);
	MAP_EACH(&f.router.sessions, struct session, s) {
		if ((room[0] && !is_in(s, m.room)) ||
		    (user[0] && !str_eq(session_user_id_of(s), m.user_id)))
			continue;
		if (room[0])
			texts_add(&want, session_user_id_of(s), session_sid_of(s));
		else
			texts_add(&want, session_key_of(s), STR_NONE);
	}
	texts_cut(&want, after, limit, &more);
	ask(WIRE_QUERY_SOCKETS, &m);
	parts = found(&answer);
	assert_int_equal(answer->more, more);
	while (router_query_part(&parts, &id, &any) == 0) {
		const struct wire_socket_found *s = &any.socket_found;
		const struct session *there;
		char key[KEY_BYTES];

		assert_int_equal(id, WIRE_SOCKET_FOUND);
		snprintf(key, sizeof(key), STR_FMT "," STR_FMT, STR_ARG(s->nsp), STR_ARG(s->sid));
		there = directory_find(&f.router, str_of(key));
		assert_non_null(there);
		assert_int_equal(s->away_ms > 0, there->parked_ms > 0);
		assert_int_equal(s->rooms.count, s->room_count < 2 ? s->room_count : 2);
		if (room[0])
			texts_add(&got, s->user_id, s->sid);
		else
			texts_add(&got, str_of(key), STR_NONE);
	}
	texts_equal(&got, &want);
}

/* ── sessions at random ── */

static const char *const names[NAMES] = { "a", "ab", "b", "room",
					  "s-03" }; /* one is somebody's own */
static const char *const users[USERS + 1] = { "u", "u1", "v", "w", "" };
static const char *const nsps[] = { "/", "/n" };

static void tell(uint64_t x)
{
	struct item rooms[4] = { { 0 } };
	char pid[8], sid[8];
	unsigned i = x % PIDS, n = 0;

	snprintf(pid, sizeof(pid), "p-%02u", i);
	snprintf(sid, sizeof(sid), "s-%02u", i);
	rooms[n++] = (struct item){ 1, 1, 0, str_of(sid) };
	for (unsigned j = 0; j < NAMES && n < 3; j++)
		if (x >> (8 + j) & 1 && strcmp(names[j], sid) != 0)
			rooms[n++] = (struct item){ 1, 1, 0, str_of(names[j]) };
	/* Always the same user and namespace: a session keeps them. */
	say_session(&f.edge[x >> 20 & 1], (struct told){ .pid = pid,
							 .sid = sid,
							 .conn = pid,
							 .nsp = nsps[i % 5 == 0],
							 .user = users[i % (USERS + 1)],
							 .generation = 1 + (x >> 24 & 3),
							 .parked_ms = x >> 30 & 1,
							 .rooms = rooms });
}

static void step(uint64_t x)
{
	char pid[8];

	snprintf(pid, sizeof(pid), "p-%02u", (unsigned)(x >> 40) % PIDS);
	switch (x % 8) {
	case 0:
		say_ended(&f.edge[x >> 32 & 1], pid, 1 + (x >> 33 & 3));
		break;
	case 1:
		say_parked(&f.edge[x >> 32 & 1], pid, 1 + (x >> 33 & 3));
		break;
	default:
		tell(x >> 4);
		break;
	}
	node_sync(&f.edge[0]);
	node_sync(&f.edge[1]);
	if (f.edge[0].script.count > SEEN_MAX / 2)
		node_forget(&f.edge[0]);
	if (f.edge[1].script.count > SEEN_MAX / 2)
		node_forget(&f.edge[1]);
	node_ack(&f.edge[0]);
	node_ack(&f.edge[1]);
}

static void check(uint64_t x)
{
	static const char *const prefixes[] = { "", "/,", "/n,", "/,a", "/,s-", "/,s-03", "/,zz" };
	static const char *const afters[] = { "", "/,a", "/,b", "/,s-11", "/n,", "zz" };
	static const char *const places[] = { "", "u s-05", "u1", "v s-07", "w s-99" };
	static const char *const keys[] = { "/,a", "/,b", "/n,ab", "/,s-03", "/,s-01" };

	check_rooms(prefixes[x % COUNT_OF(prefixes)], afters[(x >> 8) % COUNT_OF(afters)],
		    1 + (x >> 16) % 9, x >> 24 & 1);
	check_rooms("", "", 90, x >> 24 & 1);
	check_figures(keys[(x >> 28) % COUNT_OF(keys)]);
	check_sockets(keys[(x >> 28) % COUNT_OF(keys)], "", places[(x >> 32) % COUNT_OF(places)],
		      1 + (x >> 36) % 6);
	check_sockets(keys[(x >> 40) % COUNT_OF(keys)], users[(x >> 44) % USERS], "", 90);
	check_sockets("", users[(x >> 48) % USERS], afters[(x >> 52) % COUNT_OF(afters)],
		      1 + (x >> 56) % 4);
}

static void test_answers_match_a_walk_over_all_sessions(void **state)
{
	uint64_t seed = 41;

	(void)state;
	open_synced();
	for (int i = 0; i < STEPS; i++) {
		step(test_random(&seed));
		check(test_random(&seed));
	}
	fixture_close(&f);
	assert_null(f.router.rolls.root);
	assert_null(f.router.sids.root);
	assert_int_equal(metrics_values[METRIC_ROLLS], 0);
}

/* ── the rest ── */

static void test_router_that_is_not_told_all_says_so(void **state)
{
	struct wire_query_rooms m = { .ref = 1, .limit = 1 };
	const struct wire_found *answer;

	(void)state;
	fixture_open(&f);
	node_synced(&f.edge[0]);
	node_sync(&f.edge[0]);
	ask(WIRE_QUERY_ROOMS, &m);
	assert_int_equal(found(&answer).n, 0);
	assert_str(answer->code, STR("UNAVAILABLE"));
	node_synced(&f.edge[1]);
	node_sync(&f.edge[1]);
	ask(WIRE_QUERY_ROOMS, &m);
	found(&answer);
	assert_str(answer->code, STR_NONE);
	fixture_close(&f);
}

static void test_figures_tell_edges_and_newest_message_of_the_rooms_router(void **state)
{
	struct str keys[] = { STR("/,r"), STR("/,s") };
	struct wire_query_figures m = { .ref = 1, .rooms = { .count = 2, .items = keys } };
	const struct wire_found *answer;
	union wire_any any;
	enum wire_id id;
	struct str parts;

	(void)state;
	open_synced();
	subscribe(&f.edge[0], "/,r");
	subscribe(&f.edge[1], "/,r");
	publish(&f.ingest, (struct publish){ .ref = 1, .uid = 1, .rooms = { "r" } });
	node_sync(&f.ingest);
	ask(WIRE_QUERY_FIGURES, &m);
	parts = found(&answer);
	assert_int_equal(router_query_part(&parts, &id, &any), 0);
	assert_int_equal(any.room_found.edges, 2);
	assert_int_equal(any.room_found.place, f.router.place);
	assert_int_equal(any.room_found.sockets, 0);
	assert_int_equal(router_query_part(&parts, &id, &any), 0);
	assert_int_equal(any.room_found.edges + any.room_found.place, 0);
	fixture_close(&f);
}

static void test_only_named_sockets_that_are_in_the_room_are_found(void **state)
{
	static const struct item in[] = { { 1, 1, 0, STR("r") }, { 0 } };
	struct str sids[] = { STR("s1"), STR("s2"), STR("s3"), STR("nobody"), STR("s1") };
	struct wire_query_sockets m = {
		.ref = 1, .room = STR("/,r"), .sids = { .count = 5, .items = sids }, .limit = 1
	};
	const struct wire_found *answer;
	union wire_any any;
	enum wire_id id;
	struct str parts;

	(void)state;
	open_synced();
	say_session(&f.edge[0], (struct told){ .pid = "1", .sid = "s1", .rooms = in });
	say_session(&f.edge[0], (struct told){ .pid = "2", .sid = "s2" });
	say_session(&f.edge[1], (struct told){ .pid = "3", .sid = "s3", .nsp = "/n", .rooms = in });
	node_sync(&f.edge[0]);
	node_sync(&f.edge[1]);
	ask(WIRE_QUERY_SOCKETS, &m);
	parts = found(&answer);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(router_query_part(&parts, &id, &any), 0);
		assert_str(any.socket_found.sid, STR("s1"));
	}
	assert_int_equal(parts.n, 0);
	fixture_close(&f);
}

static void test_session_without_memory_is_on_no_roll(void **state)
{
	static const struct item in[] = { { 1, 1, 0, STR("r") }, { 1, 1, 0, STR("t") }, { 0 } };
	struct told_items items;
	struct wire_session m = { .pid = STR("p"),
				  .sid = STR("s"),
				  .nsp = STR("/"),
				  .user_id = STR("u"),
				  .generation = 1 };

	(void)state;
	open_synced();
	items_open(&items, in);
	m.rooms = items.wire;
	for (uint64_t nth = 1;; nth++) {
		bool kept;

		mem_fail_at(nth);
		session_restore(&f.router, &m);
		mem_fail_at(0);
		kept = map_count(&f.router.sessions) > 0;
		assert_int_equal(f.router.rolls.root != NULL, kept);
		assert_int_equal(f.router.sids.root != NULL, kept);
		assert_int_equal(map_count(&f.router.users) > 0, kept);
		if (kept)
			break;
		assert_true(nth < 50);
	}
	buf_fini(&items.text);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_match_a_walk_over_all_sessions),
		cmocka_unit_test(test_router_that_is_not_told_all_says_so),
		cmocka_unit_test(test_figures_tell_edges_and_newest_message_of_the_rooms_router),
		cmocka_unit_test(test_only_named_sockets_that_are_in_the_room_are_found),
		cmocka_unit_test(test_session_without_memory_is_on_no_roll),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
