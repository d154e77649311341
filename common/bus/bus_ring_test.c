/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bus/bus_ring.h"

#include "common/base/base_test.h"
#include "common/base/mem.h"

#define MODEL_MAX 4096

static struct blob *blob_of(uint64_t n)
{
	return blob_copy(str_make((const char *)&n, sizeof(n)));
}

static uint64_t value_of(const struct blob *b)
{
	uint64_t n;

	memcpy(&n, b->data, sizeof(n));
	return n;
}

static int push(struct bus_ring *r, uint64_t value, uint32_t payload_count, uint64_t *number)
{
	struct blob *body = blob_of(value), *payload[8];
	int err;

	for (uint32_t i = 0; i < payload_count; i++)
		payload[i] = blob_of(value + 1 + i);
	err = bus_ring_push(r, body, payload, payload_count, number);
	blob_unref(&body);
	for (uint32_t i = 0; i < payload_count; i++)
		blob_unref(&payload[i]);
	return err;
}

static void expect_item(const struct bus_ring *r, uint64_t number, uint64_t value,
			uint32_t payload_count)
{
	const struct bus_ring_item *item = bus_ring_get(r, number);

	assert_non_null(item);
	assert_int_equal(value_of(item->body), value);
	assert_int_equal(item->payload_count, payload_count);
	for (uint32_t i = 0; i < payload_count; i++)
		assert_int_equal(value_of(bus_ring_payload(item)[i]), value + 1 + i);
}

static void test_numbers_begin_at_one_and_go_on(void **state)
{
	struct bus_ring r;
	uint64_t number;

	(void)state;
	bus_ring_init(&r);
	assert_int_equal(bus_ring_newest(&r), 0);
	assert_null(bus_ring_get(&r, 0));
	assert_null(bus_ring_get(&r, 1));
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(push(&r, i * 10, (uint32_t)i - 1, &number), 0);
		assert_int_equal(number, i);
	}
	assert_int_equal(r.bytes, 8 + 16 + 24);
	bus_ring_drop(&r, 0);
	assert_int_equal(r.count, 3);
	bus_ring_drop(&r, 2);
	assert_null(bus_ring_get(&r, 2));
	expect_item(&r, 3, 30, 2);
	assert_null(bus_ring_get(&r, 4));
	assert_null(bus_ring_get(&r, UINT64_MAX));
	bus_ring_drop(&r, UINT64_MAX); /* more than there is */
	assert_int_equal(r.bytes, 0);
	assert_int_equal(bus_ring_newest(&r), 3);
	assert_int_equal(push(&r, 40, 0, &number), 0);
	assert_int_equal(number, 4);
	bus_ring_reset(&r);
	assert_null(r.items);
	assert_int_equal(push(&r, 50, 8, &number), 0);
	assert_int_equal(number, 1);
	expect_item(&r, 1, 50, 8);
	bus_ring_reset(&r);
}

static void test_blobs_are_shared_not_copied(void **state)
{
	struct blob *body = blob_of(1), *payload[2] = { blob_of(2), blob_of(3) };
	struct bus_ring r;
	uint64_t number;

	(void)state;
	bus_ring_init(&r);
	for (uint32_t count = 0; count <= 2; count++)
		assert_int_equal(bus_ring_push(&r, body, payload, count, &number), 0);
	assert_int_equal(body->refs, 4);
	assert_int_equal(payload[0]->refs, 3);
	assert_int_equal(payload[1]->refs, 2);
	bus_ring_drop(&r, 3);
	assert_int_equal(body->refs, 1);
	assert_int_equal(payload[0]->refs, 1);
	assert_int_equal(payload[1]->refs, 1);
	bus_ring_reset(&r);
	blob_unref(&body);
	blob_unref(&payload[0]);
	blob_unref(&payload[1]);
}

static void test_push_when_memory_ends_changes_nothing(void **state)
{
	struct blob *body = blob_of(1), *payload[2] = { body, body };
	struct bus_ring r;
	uint64_t number = 77;

	(void)state;
	bus_ring_init(&r);
	mem_fail_at(1);
	assert_int_equal(bus_ring_push(&r, body, NULL, 0, &number), E_NOMEM);
	assert_int_equal(bus_ring_push(&r, body, NULL, 0, &number), 0);
	mem_fail_at(1);
	assert_int_equal(bus_ring_push(&r, body, payload, 2, &number), E_NOMEM);
	mem_fail_at(0);
	assert_int_equal(r.count, 1);
	assert_int_equal(body->refs, 2);
	assert_int_equal(number, 1);
	bus_ring_reset(&r);
	blob_unref(&body);
}

/* Pushes and drops at random, against two counters: the values are made of the numbers. */
static void test_random_operations_match_model(void **state)
{
	uint64_t random = 42, first = 1, newest = 0, bytes = 0, number;
	struct bus_ring r;

	(void)state;
	bus_ring_init(&r);
	for (int i = 0; i < 200000; i++) {
		uint64_t x = test_random(&random);

		if (x % 100 < (i / 20000 % 2 ? 30 : 95) && newest - first + 1 < MODEL_MAX) {
			newest++;
			assert_int_equal(push(&r, newest, newest % 4, &number), 0);
			assert_int_equal(number, newest);
			bytes += 8 * (1 + newest % 4);
		} else if (x % 100 < 99) {
			uint64_t upto = first + (x >> 32) % 8;

			bus_ring_drop(&r, upto);
			for (; first <= upto && first <= newest; first++)
				bytes -= 8 * (1 + first % 4);
		}
		assert_int_equal(r.bytes, bytes);
		assert_int_equal(bus_ring_newest(&r), newest);
		assert_null(bus_ring_get(&r, first - 1));
		if (first <= newest) {
			number = first + (x >> 16) % (newest - first + 1);
			expect_item(&r, number, number, number % 4);
		}
	}
	bus_ring_reset(&r);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_begin_at_one_and_go_on),
		cmocka_unit_test(test_blobs_are_shared_not_copied),
		cmocka_unit_test(test_push_when_memory_ends_changes_nothing),
		cmocka_unit_test(test_random_operations_match_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
