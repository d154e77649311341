/* SPDX-License-Identifier: Apache-2.0 */
/* The adapter's consumer against brokers that librdkafka plays: what was stored does not come again, what was not does. */
#include "common/adapt/adapt_kafka_mock_test.h"

#include "common/adapt/adapt_kafka.h"
#include "common/bus/bus_ends_test.h"
#include "common/metrics/metrics.h"

#define TOPIC "in"
#define PARTITIONS 2
#define RECORDS 300

static struct world world;
static struct end end;
static struct adapt_kafka *kafka;
static struct kafka_partition *partitions[PARTITIONS];
static unsigned assigned, revoked, reports;
static int64_t next[PARTITIONS]; /* offset wanted */
static int64_t taken, held_from; /* partition 0 is not taken from past this offset */

static void on_assigned(void *ctx, struct kafka_partition *p)
{
	(void)ctx;
	assigned++;
	partitions[p->number] = p;
}

static void on_revoked(void *ctx, struct kafka_partition *p, bool lost)
{
	(void)ctx;
	assert_false(lost);
	revoked++;
	partitions[p->number] = NULL;
	adapt_kafka_release(p);
}

static void on_turn(void *ctx)
{
	struct kafka_record r;

	(void)ctx;
	for (int i = 0; i < PARTITIONS; i++) {
		while (partitions[i] && (i || next[i] < held_from) &&
		       adapt_kafka_take(partitions[i], &r)) {
			assert_int_equal(r.offset, next[i]);
			assert_str(r.id, STR("id"));
			next[i]++;
			taken++;
			kafka_record_free(&r);
			adapt_kafka_store(partitions[i], next[i]);
		}
	}
}

static void on_report(void *ctx, int err)
{
	(void)ctx;
	assert_int_equal(err, 0);
	reports++;
}

static void open_one(void)
{
	static const char *const topics[] = { TOPIC, NULL };
	char *brokers = mock_brokers();
	struct adapt_kafka_spec spec = {
		.svc = end_open(&end, &world, "ingest", "ingest-0"),
		.brokers = brokers,
		.client_id = "test",
		.group = "group",
		.topics = topics,
		.assigned = on_assigned,
		.revoked = on_revoked,
		.turn = on_turn,
	};

	spec.svc->conf.kafka_session_ms =
		5000; /* the brokers played here let the first member wait 3 s, others for this less 1 s */
	assigned = revoked = 0;
	taken = 0;
	assert_int_equal(adapt_kafka_open(&spec, &kafka), 0);
	free(brokers);
	RUN_UNTIL(&world, assigned == PARTITIONS);
}

static void leave(void)
{
	adapt_kafka_leave(kafka);
	RUN_UNTIL(&world, adapt_kafka_left(kafka));
	assert_int_equal(revoked, PARTITIONS);
	assert_int_equal(adapt_kafka_partitions(kafka), 0);
	adapt_kafka_close(&kafka);
	end_close(&end);
}

static void test_take_when_a_partition_is_held_then_others_go_on_and_it_comes_later(void **state)
{
	(void)state;
	mock_open();
	mock_topic(TOPIC, PARTITIONS);
	world_open(&world);
	held_from = 10;
	open_one();
	for (int i = 0; i < RECORDS * 4; i++) /* keys spread them; the mock's partitioner decides */
		assert_int_equal(adapt_kafka_produce(kafka, TOPIC, STR_NONE, STR("id"), STR("{}"),
						     on_report, NULL),
				 0);
	RUN_UNTIL(&world, reports == RECORDS * 4);
	RUN_UNTIL(&world, next[0] == held_from || next[1] == RECORDS * 4);
	leave();
	assert_in_range(next[0], 0, held_from);

	held_from = INT64_MAX; /* another life: only what was not stored */
	open_one();
	RUN_UNTIL(&world, next[0] + next[1] == RECORDS * 4);
	leave();
	world_close(&world);
	mock_close();
}

/* What is committed is asked for before each commit: if there is no answer for long, it is committed all the same. */
static void test_store_when_the_group_does_not_answer_then_it_is_committed_later(void **state)
{
	(void)state;
	mock_open();
	mock_topic(TOPIC, PARTITIONS);
	world_open(&world);
	held_from = INT64_MAX;
	next[0] = next[1] = 0;
	reports = 0;
	open_one();
	for (int i = 0; i < RECORDS; i++)
		assert_int_equal(adapt_kafka_produce(kafka, TOPIC, STR_NONE, STR("id"), STR("{}"),
						     on_report, NULL),
				 0);
	RUN_UNTIL(&world, taken == RECORDS);
	mock_refuse_many(MOCK_OFFSET_FETCH, RD_KAFKA_RESP_ERR_NOT_COORDINATOR, 50);
	for (int i = 0; i < PARTITIONS; i++)
		RUN_UNTIL(&world, !next[i] || partitions[i]->committed == next[i]);
	leave();
	mock_refuse_many(MOCK_OFFSET_FETCH, 0, 0);

	open_one(); /* another life: nothing comes again */
	assert_int_equal(
		adapt_kafka_produce(kafka, TOPIC, STR_NONE, STR("id"), STR("{}"), on_report, NULL),
		0);
	RUN_UNTIL(&world, next[0] + next[1] == RECORDS + 1);
	leave();
	world_close(&world);
	mock_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_take_when_a_partition_is_held_then_others_go_on_and_it_comes_later),
		cmocka_unit_test(
			test_store_when_the_group_does_not_answer_then_it_is_committed_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
