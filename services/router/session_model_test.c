/* SPDX-License-Identifier: Apache-2.0 */
/* Claims of three edges to a few sessions, at random, against a model that says in plain words who has what. */
#include "services/router/roll.h"
#include "services/router/session_test.h"

#include "common/base/clock.h"

#define PIDS 6
#define NAMES 3
#define USERS 2
#define STEPS 1500

struct model_session {
	bool there, parked, over; /* over: its window */
	int owner;                /* edge; -1: nobody */
	int user;
	uint64_t generation, conn;
	uint64_t place[NAMES]; /* 0: not in that room */
};

static const char *const pids[PIDS] = { "p0", "p1", "p2", "p3", "p4", "p5" };
static const char *const users[USERS] = { "u", "v" };

static struct fixture f;
static struct model_session model[PIDS];
static uint64_t limit, last_conn, last_place, last_nonce;
static size_t taken[EDGES]; /* SESSION_TAKENs it must have been told */

/* A session's user never changes. */
static int user_of(int pid)
{
	return pid % USERS;
}

static const char *conn_text(uint64_t conn)
{
	static char text[24];

	snprintf(text, sizeof(text), "c%llu", (unsigned long long)conn);
	return text;
}

static bool is_live(const struct model_session *s)
{
	return s->there && !s->parked;
}

/* Other connections of the user, but the one this session's client has left. */
static bool too_many(int pid, uint64_t conn)
{
	const struct model_session *own = &model[pid];
	uint64_t seen[PIDS], count = 0;

	for (int i = 0; i < PIDS; i++) {
		bool known = false;

		if (!is_live(&model[i]) || user_of(i) != user_of(pid))
			continue;
		if (model[i].conn == conn)
			return false;
		if (is_live(own) && model[i].conn == own->conn)
			continue;
		for (uint64_t k = 0; k < count; k++)
			known |= seen[k] == model[i].conn;
		if (!known)
			seen[count++] = model[i].conn;
	}
	return limit > 0 && count >= limit;
}

/* A new connection, or one that has a session of the user already. */
static uint64_t some_conn(int pid, uint64_t x)
{
	int other = (int)(x % PIDS);

	if (x & 64 && is_live(&model[other]) && user_of(other) == user_of(pid))
		return model[other].conn;
	return ++last_conn;
}

static void some_rooms(uint64_t x, struct item rooms[NAMES + 1], uint64_t place[NAMES])
{
	static const char *const names[NAMES] = { "a", "b", "c" };
	int n = 0;

	for (int i = 0; i < NAMES; i++) {
		if (!(x >> i & 1))
			continue;
		place[i] = ++last_place;
		rooms[n++] = (struct item){ place[i], 1, 0, str_of(names[i]) };
	}
	rooms[n] = (struct item){ 0 };
}

static uint64_t some_generation(const struct model_session *s, uint64_t x)
{
	uint64_t generation = s->there ? s->generation : 1;

	if (x % 4 == 0)
		generation++;
	else if (x % 4 == 1 && generation > 1)
		generation--;
	return generation;
}

static bool is_claimed(const struct model_session *s, int edge, uint64_t generation)
{
	return s->there && s->owner == edge && s->generation == generation;
}

/* ── what edges do ── */

static void tell(int edge, int pid, uint64_t x)
{
	struct model_session *s = &model[pid];
	struct item rooms[NAMES + 1];
	struct model_session next = { .there = true,
				      .owner = edge,
				      .parked = x >> 20 & 1,
				      .generation = some_generation(s, x >> 8),
				      .conn = some_conn(pid, x >> 12) };
	const char *code = "";

	some_rooms(x >> 24, rooms, next.place);
	say_session(&f.edge[edge], (struct told){ .pid = pids[pid],
						  .user = users[user_of(pid)],
						  .conn = conn_text(next.conn),
						  .generation = next.generation,
						  .parked_ms = next.parked ? 10 : 0,
						  .rooms = rooms });
	if (s->there && s->generation > next.generation) {
		code = "TAKEN";
		taken[edge] += s->owner != edge;
	} else if (!next.parked && too_many(pid, next.conn)) {
		code = "TOO_MANY_CONNECTIONS";
	} else {
		if (s->there && s->owner >= 0 && s->owner != edge)
			taken[s->owner]++;
		*s = next;
	}
	expect_saved(&f.edge[edge], pids[pid], code);
}

static void change_rooms(int edge, int pid, uint64_t x)
{
	static struct str names[NAMES] = { STR("a"), STR("b"), STR("c") };
	struct model_session *s = &model[pid];
	uint64_t generation = some_generation(s, x >> 8), place[NAMES] = { 0 };
	struct item rooms[NAMES + 1];
	struct wire_list left = { .count = 1, .items = &names[(x >> 12) % NAMES] };
	bool mine = is_claimed(s, edge, generation);

	some_rooms(x >> 24, rooms, place);
	say_rooms(&f.edge[edge], pids[pid], generation, rooms, &left);
	expect_saved(&f.edge[edge], pids[pid], mine ? "" : "UNKNOWN");
	if (!mine)
		return;
	s->place[(x >> 12) % NAMES] = 0;
	for (int i = 0; i < NAMES; i++)
		if (place[i])
			s->place[i] = place[i];
}

static void park_or_end(int edge, int pid, uint64_t x)
{
	struct model_session *s = &model[pid];
	uint64_t generation = some_generation(s, x >> 8);
	bool end = x >> 12 & 1;

	if (end)
		say_ended(&f.edge[edge], pids[pid], generation);
	else
		say_parked(&f.edge[edge], pids[pid], generation);
	if (!is_claimed(s, edge, generation))
		return;
	s->there = !end;
	s->over &= s->parked && end;
	s->parked = true;
}

static void resume(int edge, int pid, uint64_t x)
{
	struct model_session *s = &model[pid];
	const char *code = "";
	uint64_t conn = some_conn(pid, x >> 12);
	bool wrong = (x >> 8) % 8 == 0;

	if (!s->there || wrong || s->over)
		code = "UNKNOWN";
	else if (too_many(pid, conn))
		code = "TOO_MANY_CONNECTIONS";
	say_resume(&f.edge[edge], (struct told){ .pid = pids[pid],
						 .user = users[user_of(pid) ^ wrong],
						 .conn = conn_text(conn) });
	expect_resumed(&f.edge[edge], code);
	if (code[0])
		return;
	if (s->owner >= 0 && s->owner != edge)
		taken[s->owner]++;
	s->owner = edge;
	s->generation++;
	s->conn = conn;
	s->parked = false;
}

/* The router has forgotten the edge: what it had is nobody's, and ends with its window. */
static void forget_edge(int edge)
{
	node_greet(&f.edge[edge], ++last_nonce);
	for (int i = 0; i < PIDS; i++) {
		if (!model[i].there || model[i].owner != edge)
			continue;
		model[i].owner = -1;
		model[i].parked = true;
		model[i].there = !model[i].over;
	}
	session_sweep(&f.router);
}

static void pass_window(int pid)
{
	struct session *s = session_at(&f, pids[pid]);

	if (!s || !s->parked_ms)
		return;
	s->parked_ms = clock_ms() - 1000 * (uint64_t)f.end.process.svc.conf.recovery_seconds - 1;
	model[pid].over = true;
	model[pid].there = model[pid].owner >= 0; /* its edge ends it */
	session_sweep(&f.router);
}

/* ── both compared ── */

static void compare_rooms(const struct session *s, const struct model_session *want)
{
	uint32_t count = 0;

	for (int i = 0; i < NAMES; i++)
		count += want->place[i] > 0;
	assert_int_equal(s->room_count, count);
	for (uint32_t i = 0; i < s->room_count; i++) {
		const struct session_room *room = s->rooms[i];

		assert_int_equal(session_room_name(room).n, 1);
		assert_int_equal(room->place, want->place[session_room_name(room).p[0] - 'a']);
	}
}

/* Rolls count what the sessions say. */
static void compare_rolls(void)
{
	for (int i = 0; i < NAMES; i++) {
		const char key[] = { '/', ',', (char)('a' + i) };
		const struct roll *roll = roll_find(&f.router, str_make(key, sizeof(key)));
		uint32_t count = 0, away = 0, distinct = 0;
		struct str seen[PIDS];

		MAP_EACH(&f.router.sessions, struct session, s) {
			bool in = false;

			for (uint32_t j = 0; j < s->room_count; j++)
				in |= session_room_name(s->rooms[j]).p[0] == key[2];
			count += in;
			away += in && s->parked_ms;
			for (uint32_t j = 0; j < distinct; j++)
				in &= !str_eq(seen[j], session_user_id_of(s));
			if (in)
				seen[distinct++] = session_user_id_of(s);
		}
		assert_int_equal(roll ? roll->count : 0, count);
		assert_int_equal(roll ? roll->away : 0, away);
		assert_int_equal(roll ? roll->users : 0, distinct);
	}
}

static void compare(void)
{
	uint64_t parked = 0, there = 0;

	for (int e = 0; e < EDGES; e++) {
		node_sync(&f.edge[e]);
		assert_int_equal(script_count(&f.edge[e].script, WIRE_SESSION_TAKEN), taken[e]);
		if (f.edge[e].script.count < SEEN_MAX / 2)
			continue;
		node_ack(&f.edge[e]);
		node_forget(&f.edge[e]);
		taken[e] = 0;
	}
	for (int i = 0; i < PIDS; i++) {
		const struct model_session *want = &model[i];
		const struct session *s = session_at(&f, pids[i]);

		assert_int_equal(s != NULL, want->there);
		if (!s)
			continue;
		assert_int_equal(s->generation, want->generation);
		assert_int_equal(s->parked_ms > 0, want->parked);
		assert_str(str_make(s->conn, s->conn_bytes), str_of(conn_text(want->conn)));
		if (want->owner < 0)
			assert_null(s->owner);
		else
			assert_ptr_equal(s->owner, peer_of(&f, &f.edge[want->owner]));
		compare_rooms(s, want);
		there++;
		parked += want->parked;
	}
	assert_int_equal(map_count(&f.router.sessions), there);
	assert_int_equal(metrics_values[METRIC_SESSIONS_PARKED], parked);
	compare_rolls();
}

static void step(uint64_t x)
{
	int edge = (int)(x % EDGES), pid = (int)((x >> 4) % PIDS);
	uint64_t y = x >> 16;

	switch ((x >> 8) % 16) {
	case 0 ... 4:
		tell(edge, pid, y);
		break;
	case 5 ... 7:
		change_rooms(edge, pid, y);
		break;
	case 8 ... 9:
		park_or_end(edge, pid, y);
		break;
	case 10 ... 13:
		resume(edge, pid, y);
		break;
	case 14:
		pass_window(pid);
		break;
	default:
		if (y % 3 == 0)
			forget_edge(edge);
	}
}

static void run_random(uint64_t seed, uint64_t most)
{
	fixture_open(&f);
	edge_open(&f, 2);
	limit = most;
	f.end.process.svc.conf.max_connections_per_user = (int64_t)most;
	memset(model, 0, sizeof(model));
	memset(taken, 0, sizeof(taken));
	last_nonce = 10;
	for (int i = 0; i < STEPS; i++) {
		step(test_random(&seed));
		compare();
	}
	fixture_close(&f);
}

static void test_random_claims_match_model(void **state)
{
	(void)state;
	run_random(1, 0);
	run_random(2, 1);
	run_random(3, 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_claims_match_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
