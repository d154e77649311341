/* SPDX-License-Identifier: Apache-2.0 */
/* What clients send goes to a broker through an ingest that is played here: the record, and what the client hears when the broker has it, or has not. */
#include "services/edge/op.h"

#include "common/base/hash.h"
#include "common/bus/bus_ends_test.h"
#include "common/sio/plain.h"
#include "services/edge/dialect.h"

static const char profile_text[] =
	"profile: p\ndialect: plain\n"
	"auth: { token: required, user_id: sub, user: '{\"id\": {claims.sub}}' }\n"
	"namespaces:\n  - name: /\n    events:\n      - event: write\n"
	"        fields: [{ name: room, type: id }, { name: text, type: text }, { name: k, type: "
	"text, optional: true }]\n"
	"        once: { key: '{k}' }\n"
	"        do:\n"
	"          - { produce: t.in, key: '{room}', value: '{\"id\": {new.id}, \"text\": {text}, "
	"\"k\": {k|}}' }\n"
	"          - { relay: no, rooms: [r], to: all, unless_broker: kafka }\n"
	"          - { emit: done, args: '{\"id\": {new.id}}' }\n";

enum note { UNDER_WAY = 1, THROUGH }; /* of once.c */

struct fixture {
	struct world world;
	struct end end, ingest_end;
	struct bus_answerer *ingest;
	struct edge edge;
	struct session session;
	struct sock sock;
	struct profile *profile;
	const char *code; /* the broker's; NULL: it does not answer */
	struct bus_question question;
	unsigned produced, done;
	char topic[64], key[64], id[64], value[256];
	char heard[256], error[64], more[64];
};

static struct fixture f;

static void on_question(void *ctx, const struct bus_question *q, enum wire_id id,
			const union wire_any *any)
{
	const struct wire_produce *m = &any->produce;
	struct wire_produced answer = { .code = str_of(f.code ? f.code : "") };

	(void)ctx;
	assert_int_equal(id, WIRE_PRODUCE);
	assert_str(m->broker, STR("kafka"));
	assert_int_equal(str_copy(m->topic, f.topic, sizeof(f.topic)), 0);
	assert_int_equal(str_copy(m->key, f.key, sizeof(f.key)), 0);
	assert_int_equal(str_copy(m->id, f.id, sizeof(f.id)), 0);
	assert_int_equal(str_copy(m->value, f.value, sizeof(f.value)), 0);
	f.produced++;
	f.question = *q;
	if (f.code)
		bus_answerer_reply(f.ingest, q, WIRE_PRODUCED, &answer);
}

static void on_emit(struct sock *sock, struct str event, struct str args,
		    struct blob *const *attachments, uint32_t attachment_count)
{
	(void)sock;
	(void)attachments;
	(void)attachment_count;
	assert_str(event, STR("done"));
	assert_int_equal(str_copy(args, f.heard, sizeof(f.heard)), 0);
	f.done++;
}

static void on_error(struct sock *sock, struct str code, struct str message, struct str more)
{
	(void)sock;
	assert_int_equal(str_copy(more, f.more, sizeof(f.more)), 0);
	assert_true(message.n > 0);
	assert_int_equal(str_copy(code, f.error, sizeof(f.error)), 0);
	f.done++;
}

static const struct dialect dialect = { .emit = on_emit, .error = on_error };

static void fixture_open(const char *code, bool kafka)
{
	static const struct router_clnt_handlers no_handlers;
	struct router_clnt_spec no_routers = { .endpoints = "", .handlers = &no_handlers };
	struct buf errors = BUF_INIT(4096);
	struct svc *svc;
	struct edge *edge = &f.edge;

	memset(&f, 0, sizeof(f));
	f.code = code;
	assert_int_equal(profile_load_text("x.yaml", str_of(profile_text), &errors, &f.profile), 0);
	world_open(&f.world);
	svc = end_open(&f.ingest_end, &f.world, "ingest", "ingest-0");
	assert_int_equal(bus_answerer_open(svc, f.world.endpoint, on_question, NULL, &f.ingest), 0);
	edge->svc = end_open(&f.end, &f.world, "edge", "edge-0");
	edge->svc->conf.call_timeout_ms = 300;
	no_routers.svc = edge->svc;
	assert_int_equal(router_clnt_open(&no_routers, &edge->router), 0);
	map_init(&edge->claiming, once_key_of);
	idset_init(&edge->claims, 10, 600000);
	if (kafka) {
		free(edge->svc->conf.kafka_broker_url);
		edge->svc->conf.kafka_broker_url = str_dup(STR("localhost:9092"));
	}
	edge->profile = f.profile;
	edge->dialect = &dialect;
	slab_init(&edge->ops, sizeof(struct op), 10);
	buf_init(&edge->scratch, EDGE_SCRATCH_BYTES);
	buf_init(&edge->work, EDGE_SCRATCH_BYTES);
	assert_int_equal(bus_rpc_open(edge->svc, f.world.endpoint, "edge", &edge->ingest), 0);
	f.session.edge = edge;
	f.sock.edge = edge;
	f.sock.session = &f.session;
	f.sock.state = SOCK_CONNECTED;
	f.sock.nsp = &f.profile->nsps[0];
	list_init(&f.sock.inbox);
	list_init(&edge->orders);
}

static void fixture_close(void)
{
	assert_null(f.sock.op);
	assert_int_equal(f.edge.ops.live, 0);
	bus_rpc_close(&f.edge.ingest);
	act_send_free_all(&f.edge);
	assert_int_equal(f.edge.order_count, 0);
	router_clnt_close(&f.edge.router);
	map_fini(&f.edge.claiming);
	idset_fini(&f.edge.claims);
	bus_answerer_close(&f.ingest);
	slab_fini(&f.edge.ops);
	buf_fini(&f.edge.scratch);
	buf_fini(&f.edge.work);
	end_close(&f.end);
	end_close(&f.ingest_end);
	world_close(&f.world);
	profile_free(&f.profile);
}

static void write_text(const char *text)
{
	struct plain_message m;
	struct sio_packet packet = { .type = SIO_EVENT, .nsp = STR("/") };
	struct op_event event = { .text = str_of(text), .packet = &packet };

	assert_int_equal(plain_decode(event.text, &m), 0);
	packet.event = m.type;
	event.first = m.whole;
	op_begin_event(&f.sock, &event);
}

static void test_broker_has_it_then_client_hears(void **state)
{
	char want[256];

	(void)state;
	fixture_open("", true);
	write_text("{\"type\":\"write\",\"payload\":{\"room\":\"r1\",\"text\":\"a \\\"b\\\"\"}}");
	assert_int_equal(f.done, 0); /* not before the broker */
	RUN_UNTIL(&f.world, f.done == 1);
	assert_string_equal(f.error, "");
	assert_string_equal(f.topic, "t.in");
	assert_string_equal(f.key, "r1");
	assert_int_equal(strlen(f.id), UUID_CHARS);
	snprintf(want, sizeof(want), "{\"id\":\"%s\",\"text\":\"a \\\"b\\\"\"}", f.id);
	assert_string_equal(f.value, want);
	snprintf(want, sizeof(want), "{\"id\":\"%s\"}", f.id);
	assert_string_equal(f.heard, want);
	fixture_close();
}

static void test_broker_refuses_then_error_with_its_code(void **state)
{
	(void)state;
	fixture_open("TOO_LARGE", true);
	write_text("{\"type\":\"write\",\"room\":\"r1\",\"text\":\"x\"}");
	RUN_UNTIL(&f.world, f.done == 1);
	assert_string_equal(f.error, "TOO_LARGE");
	fixture_close();
}

static void test_nobody_answers_then_unavailable_and_asked_once(void **state)
{
	(void)state;
	fixture_open(NULL, true);
	RUN_UNTIL(&f.world, bus_rpc_up(f.edge.ingest) == 1);
	write_text("{\"type\":\"write\",\"room\":\"r1\",\"text\":\"x\"}");
	RUN_UNTIL(&f.world, f.done == 1);
	assert_string_equal(f.error, "UNAVAILABLE");
	assert_int_equal(f.produced, 1);
	fixture_close();
}

static void test_socket_ends_meanwhile_then_nothing_is_said(void **state)
{
	(void)state;
	fixture_open(NULL, true);
	write_text("{\"type\":\"write\",\"room\":\"r1\",\"text\":\"x\"}");
	RUN_UNTIL(&f.world, f.produced == 1);
	op_cancel(f.sock.op);
	assert_int_equal(bus_rpc_pending(f.edge.ingest), 0);
	assert_int_equal(f.done, 0);
	fixture_close();
}

/* A message with a key is on its way to the broker. */
static void produce_with_key(void)
{
	struct op *op;

	fixture_open(NULL, true);
	RUN_UNTIL(&f.world, bus_rpc_up(f.edge.ingest) == 1);
	write_text("{\"type\":\"write\",\"room\":\"r1\",\"text\":\"x\"}");
	op = f.sock.op;
	op->claimed = true;
	op->hold = (struct hold){ .key = { 5, 6 }, .owner = 7 };
	assert_int_equal(idset_add(&f.edge.claims, 5, 6, clock_ms(), (uint64_t[]){ UNDER_WAY }), 0);
	RUN_UNTIL(&f.world, f.produced == 1);
}

static uint64_t note(void)
{
	uint64_t note = 0;

	idset_find(&f.edge.claims, 5, 6, clock_ms(), &note);
	return note;
}

static void answer_late(const char *code)
{
	struct wire_produced m = { .code = str_of(code) };

	bus_answerer_reply(f.ingest, &f.question, WIRE_PRODUCED, &m);
	RUN_UNTIL(&f.world, bus_rpc_pending(f.edge.ingest) == 0);
}

static void test_socket_ends_meanwhile_then_key_is_held_until_broker_says(void **state)
{
	static const struct {
		const char *code;
		uint64_t note;
	} cases[] = { { "", THROUGH }, { "UNAVAILABLE", 0 } };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		produce_with_key();
		op_cancel(f.sock.op);
		assert_int_equal(note(), UNDER_WAY);
		assert_false(act_send_idle(&f.edge));
		answer_late(cases[i].code);
		assert_int_equal(note(), cases[i].note);
		assert_true(act_send_idle(&f.edge));
		assert_int_equal(f.edge.order_count, 0);
		assert_int_equal(f.done, 0);
		fixture_close();
	}
}

/* The record may come through all the same. */
static void test_broker_never_says_then_key_is_held_for_a_while(void **state)
{
	(void)state;
	for (int gone = 0; gone < 2; gone++) {
		produce_with_key();
		if (gone)
			op_cancel(f.sock.op);
		RUN_UNTIL(&f.world, bus_rpc_pending(f.edge.ingest) == 0);
		assert_int_equal(f.done, !gone);
		assert_int_equal(note(), UNDER_WAY);
		assert_true(act_send_idle(&f.edge)); /* nothing that a drain could wait for */
		assert_int_equal(f.edge.order_count, 1);
		fixture_close();
	}
}

/* The first one comes through: answered as its double. It does not: the second one tries itself (and finds no router here). */
static void test_same_key_is_under_way_then_waited_for(void **state)
{
	static const char text[] =
		"{\"type\":\"write\",\"room\":\"r1\",\"text\":\"x\",\"k\":\"a\"}";
	enum first { COMES_THROUGH, FAILS, TAKES_TOO_LONG };
	uint64_t key[2], under_way = UNDER_WAY;

	(void)state;
	hash_stable128(STR("1:/5:write0:1:a"), key);
	for (int first = COMES_THROUGH; first <= TAKES_TOO_LONG; first++) {
		fixture_open("", true);
		assert_int_equal(idset_add(&f.edge.claims, key[0], key[1], clock_ms(), &under_way),
				 0);
		write_text(text);
		assert_string_equal(f.error, "");
		assert_int_equal(f.done, 0);
		if (first == COMES_THROUGH)
			assert_int_equal(idset_note(&f.edge.claims, key[0], key[1], THROUGH), 0);
		else if (first == FAILS)
			idset_forget(&f.edge.claims, key[0], key[1]);
		RUN_UNTIL(&f.world, f.done == 1);
		assert_string_equal(f.error, first == COMES_THROUGH ? "" : "UNAVAILABLE");
		assert_int_equal(idset_find(&f.edge.claims, key[0], key[1], clock_ms(), NULL),
				 first != FAILS);
		assert_int_equal(f.produced, 0);
		fixture_close();
	}
}

/* So that its client knows which one it was. */
static void test_error_names_the_key(void **state)
{
	(void)state;
	fixture_open("", true);
	write_text("{\"type\":\"write\",\"room\":\"r1\",\"text\":\"x\",\"k\":\"a\"}");
	assert_string_equal(f.error, "UNAVAILABLE"); /* no router knows */
	assert_string_equal(f.more, "\"k\":\"a\"");
	fixture_close();
}

static void test_no_ingest_then_unavailable(void **state)
{
	(void)state;
	fixture_open("", true);
	bus_rpc_close(&f.edge.ingest);
	write_text("{\"type\":\"write\",\"room\":\"r1\",\"text\":\"x\"}");
	assert_string_equal(f.error, "UNAVAILABLE");
	fixture_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_broker_has_it_then_client_hears),
		cmocka_unit_test(test_broker_refuses_then_error_with_its_code),
		cmocka_unit_test(test_nobody_answers_then_unavailable_and_asked_once),
		cmocka_unit_test(test_socket_ends_meanwhile_then_nothing_is_said),
		cmocka_unit_test(test_socket_ends_meanwhile_then_key_is_held_until_broker_says),
		cmocka_unit_test(test_broker_never_says_then_key_is_held_for_a_while),
		cmocka_unit_test(test_same_key_is_under_way_then_waited_for),
		cmocka_unit_test(test_error_names_the_key),
		cmocka_unit_test(test_no_ingest_then_unavailable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
