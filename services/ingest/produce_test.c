/* SPDX-License-Identifier: Apache-2.0 */
/* Records of clients, from the edge's question to the broker and back, and what the consumer makes of them. */
#include "common/adapt/adapt_kafka_mock_test.h"

#include "common/bus/bus_hand_test.h"
#include "common/bus/bus_rpc.h"
#include "common/base/mem.h"
#include "common/metrics/metrics.h"
#include "services/ingest/ingest.h"

#define TOPIC "made.events"

static const char profile_text[] = "profile: made\n"
				   "dialect: socketio\n"
				   "auth: { token: none }\n"
				   "failure: { ack: '0' }\n"
				   "namespaces: [{ name: / }]\n";

static struct world world;
static struct end edge_end, ingest_end;
static struct bus_rpc *rpc;
static struct ingest ingest;

struct outcome {
	unsigned calls;
	int err;
	char code[65];
};

static void on_answer(void *ctx, int err, enum wire_id id, const union wire_any *any)
{
	struct outcome *o = ctx;

	o->calls++;
	o->err = err;
	if (err)
		return;
	assert_int_equal(id, WIRE_PRODUCED);
	assert_int_equal(str_copy(any->produced.code, o->code, sizeof(o->code)), 0);
}

static void ask(struct outcome *o, const char *broker, struct str topic, struct str value)
{
	struct wire_produce m = { .broker = str_of(broker),
				  .topic = topic,
				  .key = STR("room-1"),
				  .id = STR("id-1"),
				  .value = value };
	uint64_t call;

	*o = (struct outcome){ 0 };
	assert_int_equal(
		bus_rpc_call(rpc, WIRE_PRODUCE, &m, clock_ms() + 15000, false, on_answer, o, &call),
		0);
}

static const char *said(const char *broker, struct str topic, struct str value)
{
	static struct outcome o;

	ask(&o, broker, topic, value);
	RUN_UNTIL(&world, o.calls);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.err, 0);
	return o.code;
}

/* With Kafka or without. */
static void open_all(bool kafka)
{
	struct buf errors = BUF_INIT(1 << 16);
	struct svc *svc;

	mock_open();
	mock_topic(TOPIC, 1);
	world_open(&world);
	svc = end_open(&ingest_end, &world, "ingest", "ingest-0");
	assert_int_equal(profile_load_text("t.yaml", str_of(profile_text), &errors, &svc->profile),
			 0);
	buf_fini(&errors);
	free(svc->conf.kafka_broker_url);
	svc->conf.kafka_broker_url = kafka ? mock_brokers() : strdup("");
	free(svc->conf.ingest_bind);
	svc->conf.ingest_bind = strdup(world.endpoint);
	svc->conf.produce_in_flight = 100;
	ingest = (struct ingest){ .svc = svc, .profile = svc->profile };
	assert_int_equal(source_kafka_open(&ingest), 0);
	assert_int_equal(produce_open(&ingest), 0);
	end_open(&edge_end, &world, "edge", "edge-0");
	assert_int_equal(bus_rpc_open(&edge_end.process.svc, world.endpoint, "ingest", &rpc), 0);
	RUN_UNTIL(&world, bus_rpc_up(rpc) == 1);
}

static void close_all(void)
{
	produce_stop(&ingest);
	source_kafka_close(&ingest);
	produce_close(&ingest);
	bus_rpc_close(&rpc);
	end_close(&edge_end);
	profile_free(&ingest_end.process.svc.profile);
	end_close(&ingest_end);
	world_close(&world);
	mock_close();
}

static void test_produce_when_the_broker_has_it_then_no_code(void **state)
{
	struct outcome many[100];

	(void)state;
	open_all(true);
	assert_string_equal(said("kafka", STR(TOPIC), STR("{\"n\":1}")), "");
	for (size_t i = 0; i < COUNT_OF(many); i++)
		ask(&many[i], "kafka", STR(TOPIC), STR("{}"));
	for (size_t i = 0; i < COUNT_OF(many); i++) {
		RUN_UNTIL(&world, many[i].calls);
		assert_string_equal(many[i].code, "");
	}
	assert_int_equal(produce_under_way(&ingest), 0);
	assert_int_equal(metrics_values[METRIC_PRODUCE_PENDING], 0);
	close_all();
}

static void test_produce_when_it_cannot_be_then_the_code_says_why(void **state)
{
	char *large = mem_need(3145728);
	char code[65];

	(void)state;
	memset(large, 'x', 3145728);
	open_all(true);
	assert_string_equal(said("rabbitmq?", STR(TOPIC), STR("{}")), "UNAVAILABLE");
	assert_string_equal(said("kafka", STR("a\0b"), STR("{}")), "NOT_FOUND");
	mock_refuse(MOCK_PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	snprintf(code, sizeof(code), "%s", said("kafka", STR(TOPIC), str_make(large, 3145728)));
	assert_string_equal(code, "TOO_LARGE");
	assert_string_equal(said("kafka", STR(TOPIC), STR("{}")), "");
	mock_refuse(MOCK_PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	assert_string_equal(said("kafka", STR(TOPIC), STR("{}")), "FORBIDDEN");
	close_all();
	mem_free(large);
}

static void test_produce_when_no_broker_answers_then_unavailable_and_bounded(void **state)
{
	struct outcome many[150];
	char reason[SVC_REASON_BYTES];
	unsigned refused = 0;

	(void)state;
	open_all(true);
	assert_string_equal(said("kafka", STR(TOPIC), STR("{}")), "");
	rd_kafka_mock_broker_set_down(mock.cluster, 1);
	RUN_UNTIL(&world, !adapt_kafka_up(ingest.kafka, reason));
	for (size_t i = 0; i < COUNT_OF(many); i++)
		ask(&many[i], "kafka", STR(TOPIC), STR("{}"));
	RUN_UNTIL(&world, many[149].calls);
	for (size_t i = 0; i < COUNT_OF(many); i++)
		refused += many[i].calls;
	assert_int_equal(refused, 50);
	assert_int_equal(produce_under_way(&ingest), 100);
	for (size_t i = 0; i < COUNT_OF(many); i++) {
		RUN_UNTIL(&world, many[i].calls);
		assert_string_equal(many[i].code, "UNAVAILABLE");
	}
	rd_kafka_mock_broker_set_up(mock.cluster, 1);
	RUN_UNTIL(&world, adapt_kafka_up(ingest.kafka, reason));
	assert_string_equal(said("kafka", STR(TOPIC), STR("{}")), "");
	close_all();
}

static void test_produce_when_draining_or_closed_then_unavailable(void **state)
{
	struct outcome o;

	(void)state;
	open_all(true);
	ingest.draining = true;
	assert_string_equal(said("kafka", STR(TOPIC), STR("{}")), "UNAVAILABLE");
	ingest.draining = false;
	rd_kafka_mock_broker_set_down(mock.cluster, 1);
	ask(&o, "kafka", STR(TOPIC), STR("{}"));
	RUN_UNTIL(&world, produce_under_way(&ingest) == 1);
	close_all(); /* nothing leaks, nobody is answered */
}

static void test_produce_when_kafka_is_not_set_then_unavailable(void **state)
{
	(void)state;
	open_all(false);
	assert_string_equal(said("kafka", STR(TOPIC), STR("{}")), "UNAVAILABLE");
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_produce_when_the_broker_has_it_then_no_code),
		cmocka_unit_test(test_produce_when_it_cannot_be_then_the_code_says_why),
		cmocka_unit_test(test_produce_when_no_broker_answers_then_unavailable_and_bounded),
		cmocka_unit_test(test_produce_when_draining_or_closed_then_unavailable),
		cmocka_unit_test(test_produce_when_kafka_is_not_set_then_unavailable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
