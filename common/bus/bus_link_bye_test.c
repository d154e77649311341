/* SPDX-License-Identifier: Apache-2.0 */
/* A connecting side that ends in an orderly way. Ends without a word are in bus_link_cut_test.c. */
#include "common/bus/bus_pair_test.h"

/* BYE goes behind everything else, and nobody waits for a process that has ended. */
static void test_closed_link_is_forgotten_behind_its_last_message(void **state)
{
	struct side router, edge;
	struct world w;

	(void)state;
	world_open(&w);
	side_init(&router, &w, "router", "router-0");
	side_init(&edge, &w, "edge", "edge-0");
	router.svc->conf.link_timeout_ms = router.svc->conf.link_gone_ms = 600000;
	side_bind(&router, w.endpoint);
	side_connect(&edge, w.endpoint);
	RUN_UNTIL(&w, router.ups == 1 && edge.ups == 1);
	for (uint64_t i = 1; i <= 5000; i++)
		assert_int_equal(side_send(&edge, i), 0);
	bus_link_close(&edge.link);
	RUN_UNTIL(&w, router.downs == 1);
	assert_int_equal(router.got, 5000);
	assert_int_equal(router.gones, 0);
	assert_null(bus_server_next(router.server, NULL));
	side_connect(&edge, w.endpoint); /* the same process, another link */
	RUN_UNTIL(&w, edge.ups == 2 && router.ups == 2);
	assert_int_equal(edge.resumed_ups + router.resumed_ups, 0);
	side_close(&edge);
	RUN_UNTIL(&w, router.downs == 2);
	side_close(&router);
	world_close(&w);
}

/* ── one side played by hand ── */

/* HELLOs of a link before this one may still come: until one was right. */
static uint64_t welcome(struct script *router, const struct side *edge, unsigned ups)
{
	struct wire_welcome m = { .version = WIRE_VERSION, .name = STR("router-0"), .epoch = 99 };

	while (edge->ups < ups) {
		const struct seen *hello = script_find(router, WIRE_HELLO);

		if (hello) {
			m.nonce = hello->any.hello.nonce;
			script_say(router, 0, 0, WIRE_WELCOME, &m);
		}
		uv_run(&router->world->loop, UV_RUN_ONCE);
	}
	return m.nonce;
}

/* What is still unsent would be lost behind it: then the server must find out by itself. */
static void test_bye_is_said_only_when_everything_else_was(void **state)
{
	struct wire_resync resync = { 0 };
	struct script router;
	struct side edge;
	struct world w;
	uint64_t nonce;

	(void)state;
	world_open(&w);
	side_init(&edge, &w, "edge", "edge-0");
	script_open(&router, &w, ADAPT_ZMQ_ROUTER, NULL, w.endpoint);
	side_connect(&edge, w.endpoint);
	welcome(&router, &edge, 1);
	assert_int_equal(side_send(&edge, 1), 0);
	script_say(&router, 0, 0, WIRE_RESYNC, &resync);
	script_wait(&router, WIRE_PUBLISHED);
	script_wait(&router, WIRE_HELLO);
	assert_int_equal(side_send(&edge, 2), 0); /* waits for the WELCOME */
	bus_link_close(&edge.link);
	side_connect(&edge, w.endpoint);
	nonce = welcome(&router, &edge, 2);
	assert_int_equal(script_count(&router, WIRE_BYE), 0);
	bus_link_close(&edge.link);
	assert_int_equal(script_wait(&router, WIRE_BYE)->any.bye.nonce, nonce);
	side_close(&edge);
	script_close(&router);
	world_close(&w);
}

static void greet(struct script *edge, uint64_t nonce)
{
	struct wire_hello m = { .version = WIRE_VERSION,
				.name = STR("edge-0"),
				.role = STR("edge"),
				.epoch = 7,
				.nonce = nonce };

	script_say(edge, 0, 0, WIRE_HELLO, &m);
	script_wait(edge, WIRE_WELCOME);
}

static void test_server_forgets_at_bye_of_the_last_hello(void **state)
{
	struct wire_bye bye = { .nonce = 999 };
	struct wire_published message = { .ref = 1 };
	struct script edge;
	struct side router;
	struct world w;

	(void)state;
	world_open(&w);
	side_init(&router, &w, "router", "router-0");
	side_bind(&router, w.endpoint);
	script_open(&edge, &w, ADAPT_ZMQ_DEALER, "edge-0/7", w.endpoint);
	greet(&edge, 1000);
	script_say(&edge, 0, 0, WIRE_BYE, &bye); /* of an older link of this process */
	script_say(&edge, 1, 0, WIRE_PUBLISHED, &message);
	RUN_UNTIL(&w, router.got == 1);
	assert_int_equal(router.downs, 0);
	bye.nonce = 1000;
	script_say(&edge, 0, 0, WIRE_BYE, &bye);
	RUN_UNTIL(&w, router.downs == 1);
	assert_null(bus_server_next(router.server, NULL));
	script_say(&edge, 0, 0, WIRE_BYE, &bye); /* again: nobody is known by it, nobody answers */
	greet(&edge, 1001);
	assert_int_equal(router.ups, 2);
	script_close(&edge);
	side_close(&router);
	world_close(&w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed_link_is_forgotten_behind_its_last_message),
		cmocka_unit_test(test_bye_is_said_only_when_everything_else_was),
		cmocka_unit_test(test_server_forgets_at_bye_of_the_last_hello),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
