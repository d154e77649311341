/* SPDX-License-Identifier: Apache-2.0 */
/* Real ends with a bad connection between them: cut, held, full. And what a new connection begins with. */
#include <signal.h>

#include "common/bus/bus_pair_test.h"
#include "common/bus/bus_proxy_test.h"
#include "common/metrics/metrics.h"

/* The router listens at the world's second endpoint; what connects to the first one goes through the proxy. */
struct line {
	struct world world;
	struct side router, edge;
	struct proxy proxy;
	uint64_t said[2]; /* by the edge, by the router */
};

static void line_open(struct line *l, int64_t heartbeat_ms, int64_t timeout_ms)
{
	memset(l, 0, sizeof(*l));
	world_open(&l->world);
	side_init(&l->router, &l->world, "router", "router-0");
	side_init(&l->edge, &l->world, "edge", "edge-0");
	l->edge.svc->conf.link_heartbeat_ms = l->router.svc->conf.link_heartbeat_ms = heartbeat_ms;
	l->edge.svc->conf.link_timeout_ms = l->router.svc->conf.link_timeout_ms = timeout_ms;
	side_bind(&l->router, l->world.second);
	proxy_open(&l->proxy, &l->world.loop, l->world.endpoint + strlen("ipc://"),
		   l->world.second + strlen("ipc://"));
	side_connect(&l->edge, l->world.endpoint);
	RUN_UNTIL(&l->world, l->router.ups == 1 && l->edge.ups == 1);
	memset(metrics_values, 0, sizeof(metrics_values));
	metrics_set(METRIC_LINKS_UP, 2);
}

static void line_close(struct line *l)
{
	side_close(&l->edge);
	side_close(&l->router);
	proxy_close(&l->proxy);
	world_close(&l->world);
	assert_int_equal(metrics_values[METRIC_LINKS_UP], 0);
	assert_int_equal(metrics_values[METRIC_LINK_UNACKED], 0);
}

static void say(struct side *from, uint64_t *said, uint64_t count)
{
	while (count-- > 0)
		assert_int_equal(side_send(from, ++*said), 0);
}

static bool all_arrived(const struct line *l)
{
	return l->router.got == l->said[0] && l->edge.got == l->said[1] &&
	       bus_link_unacked(l->edge.link) == 0 && bus_link_unacked(l->router.link) == 0 &&
	       l->edge.acked == l->said[0] && l->router.acked == l->said[1];
}

/* Turn the loop so long: for what is on its way, and for what must not happen. */
static void let_pass(struct line *l, uint64_t ms)
{
	uint64_t since_ns = clock_exact_ns();

	RUN_UNTIL(&l->world, clock_exact_ns() - since_ns > ms * 1000000);
}

static void test_cut_connection_resumes_and_repeats_once(void **state)
{
	struct line l;

	(void)state;
	line_open(&l, 60000, 60000); /* no PING helps */
	say(&l.edge, &l.said[0], 10);
	RUN_UNTIL(&l.world, l.router.got == 10);
	proxy_hold(&l.proxy, true);
	say(&l.edge, &l.said[0], 20);
	say(&l.router, &l.said[1], 30);
	let_pass(&l, 20); /* they are on their way, and end there */
	assert_int_equal(l.router.got, 10);
	proxy_cut(&l.proxy);
	proxy_hold(&l.proxy, false);
	RUN_UNTIL(&l.world, l.router.got == 30 && l.edge.got == 30);
	assert_int_equal(l.edge.ups, 2);
	assert_int_equal(l.edge.resumed_ups, 1);
	assert_int_equal(metrics_values[METRIC_LINK_DOUBLES], 0);
	assert_int_equal(l.edge.downs + l.router.downs, 0);
	line_close(&l);
}

/* As if the process was dead, then back: the numbers stay. */
static void test_peer_without_connection_is_gone_until_it_is_back(void **state)
{
	struct line l;

	(void)state;
	line_open(&l, 60000, 60000);
	l.router.svc->conf.link_gone_ms = 100;
	say(&l.router, &l.said[1], 5);
	RUN_UNTIL(&l.world, all_arrived(&l));
	proxy_hold(&l.proxy, true);
	proxy_cut(&l.proxy);
	let_pass(&l, 50); /* a new connection was made, and nothing moves over it */
	assert_int_equal(l.router.gones, 0);
	say(&l.router, &l.said[1], 5);
	RUN_UNTIL(&l.world, l.router.gones == 1);
	assert_true(bus_link_gone(l.router.link));
	say(&l.router, &l.said[1], 5);
	let_pass(&l, 200);
	assert_int_equal(l.router.gones, 1);
	assert_int_equal(bus_link_unacked(l.router.link), 10);
	proxy_hold(&l.proxy, false);
	RUN_UNTIL(&l.world, all_arrived(&l));
	assert_false(bus_link_gone(l.router.link));
	assert_int_equal(l.router.resumed_ups, 1);
	assert_int_equal(l.router.downs, 0);
	assert_int_equal(metrics_values[METRIC_LINK_GONE], 1);
	line_close(&l);
}

static void test_short_cut_is_not_gone(void **state)
{
	struct line l;

	(void)state;
	line_open(&l, 60000, 60000);
	l.router.svc->conf.link_gone_ms = 2000;
	for (int i = 0; i < 3; i++) {
		proxy_cut(&l.proxy);
		let_pass(&l, 100);
		say(&l.router, &l.said[1], 5);
		RUN_UNTIL(&l.world, all_arrived(&l));
	}
	assert_int_equal(l.router.gones, 0);
	assert_int_equal(l.router.resumed_ups, 3);
	line_close(&l);
}

static void test_idle_peer_that_vanished_is_gone_then_forgotten(void **state)
{
	struct line l;

	(void)state;
	for (int reset = 0; reset < 2; reset++) {
		line_open(&l, 60000, 200);
		l.router.svc->conf.link_gone_ms = 100;
		proxy_hold(&l.proxy, true);
		proxy_cut(&l.proxy);
		if (reset) /* it has nothing to come back to, but who waits for it must know */
			bus_link_reset(l.router.link);
		RUN_UNTIL(&l.world, l.router.gones == 1);
		assert_int_equal(l.router.downs, 0);
		RUN_UNTIL(&l.world, l.router.downs == 1);
		assert_int_equal(l.router.gones, 1);
		line_close(&l);
	}
}

static void test_connection_cut_again_and_again_loses_nothing(void **state)
{
	uint64_t seed = 3;
	struct line l;

	(void)state;
	line_open(&l, 50, 5000);
	for (int cut = 0; cut < 20; cut++) {
		for (int turn = 0; turn < 30; turn++) {
			say(&l.edge, &l.said[0], test_random(&seed) % 40);
			say(&l.router, &l.said[1], test_random(&seed) % 40);
			uv_run(&l.world.loop, UV_RUN_ONCE);
		}
		proxy_cut(&l.proxy);
	}
	RUN_UNTIL(&l.world, all_arrived(&l));
	assert_true(l.said[0] > 5000 && l.said[1] > 5000);
	assert_int_equal(l.edge.ups, l.edge.resumed_ups + 1);
	assert_int_equal(l.router.ups, l.router.resumed_ups + 1);
	line_close(&l);
}

/* Stopped for longer than the timeout, but not for as long as it takes to be forgotten. */
static void test_stopped_peer_comes_back_without_loss(void **state)
{
	struct line l;

	(void)state;
	line_open(&l, 50, 400);
	proxy_hold(&l.proxy, true);
	say(&l.edge, &l.said[0], 10);
	say(&l.router, &l.said[1], 10);
	RUN_UNTIL(&l.world, l.edge.downs == 1);
	assert_false(bus_link_up(l.edge.link));
	say(&l.edge, &l.said[0], 10); /* kept for later */
	proxy_hold(&l.proxy, false);
	RUN_UNTIL(&l.world, all_arrived(&l));
	assert_int_equal(l.edge.ups, l.edge.resumed_ups + 1);
	assert_int_equal(l.edge.downs, 1);
	assert_int_equal(l.router.downs, 0);
	line_close(&l);
}

/* Our own loop did not turn for a long time: what the peer said meanwhile lies unread, it was not silent. */
static void test_own_sleep_is_not_the_peers_silence(void **state)
{
	uint64_t end_ns;
	struct line l;

	(void)state;
	line_open(&l, 20, 100);
	for (int i = 0; i < 3; i++) {
		end_ns = clock_exact_ns() + 400000000;
		while (clock_exact_ns() < end_ns)
			continue;
		say(&l.edge, &l.said[0], 5);
		RUN_UNTIL(&l.world, all_arrived(&l));
	}
	assert_int_equal(l.edge.downs + l.router.downs, 0);
	assert_int_equal(l.edge.ups, 1);
	line_close(&l);
}

static void test_full_sockets_lose_nothing(void **state)
{
	struct wire_published m = { .ref = 1 };
	struct line l;

	(void)state;
	adapt_zmq_set_high_water(100);
	line_open(&l, 1000, 60000);
	adapt_zmq_set_high_water(0);
	say(&l.edge, &l.said[0], 50000);
	say(&l.router, &l.said[1], 50000);
	/* What is not counted does not overtake them. */
	assert_int_equal(bus_link_send_msg(l.edge.link, WIRE_PUBLISHED, &m, false), E_AGAIN);
	assert_int_equal(metrics_values[METRIC_LINK_VOLATILE_DROPPED], 1);
	RUN_UNTIL(&l.world, all_arrived(&l));
	assert_int_equal(metrics_values[METRIC_LINK_GAPS] + metrics_values[METRIC_LINK_DOUBLES], 0);
	line_close(&l);
}

static void test_too_many_payload_frames_are_refused(void **state)
{
	struct wire_published m = { .ref = 1 };
	struct blob *body = wire_pack(WIRE_PUBLISHED, &m), *frames[WIRE_MAX_PAYLOADS + 1];
	struct line l;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(frames); i++)
		frames[i] = body;
	line_open(&l, 1000, 60000);
	assert_int_equal(bus_link_send(l.edge.link, body, frames, COUNT_OF(frames), true, NULL),
			 E_TOOBIG);
	assert_int_equal(bus_link_send(l.edge.link, body, frames, COUNT_OF(frames), false, NULL),
			 E_TOOBIG);
	line_close(&l);
	assert_int_equal(body->refs, 1);
	blob_unref(&body);
}

/* ── new connections, and second ones ── */

static void test_new_connection_is_asked_for_hello_at_once(void **state)
{
	struct wire_hello m = { .version = WIRE_VERSION,
				.abi = wire_abi(),
				.name = STR("edge-0"),
				.role = STR("edge"),
				.epoch = 7,
				.nonce = 1 };
	struct side router;
	struct script edge;
	struct world w;

	(void)state;
	world_open(&w);
	side_init(&router, &w, "router", "router-0");
	side_bind(&router, w.endpoint);
	script_open(&edge, &w, ADAPT_ZMQ_DEALER, "edge-0/7", w.endpoint);
	script_wait(&edge, WIRE_RESYNC); /* it has said nothing */
	script_say(&edge, 0, 0, WIRE_HELLO, &m);
	script_wait(&edge, WIRE_WELCOME);
	assert_int_equal(side_send(&router, 1), 0);
	script_wait(&edge, WIRE_PUBLISHED);
	/* The same HELLO again: perhaps neither the WELCOME nor what came behind it was there. PING shows what that was. */
	script_say(&edge, 0, 0, WIRE_HELLO, &m);
	script_wait(&edge, WIRE_WELCOME);
	assert_int_equal(script_wait(&edge, WIRE_PING)->any.ping.sent, 1);
	assert_int_equal(router.ups, 1);
	/* The same connection, another process: it is what HELLO says that counts. */
	m.epoch = 8;
	m.nonce = 2;
	script_say(&edge, 0, 0, WIRE_HELLO, &m);
	script_wait(&edge, WIRE_WELCOME);
	RUN_UNTIL(&w, router.downs == 1 && router.ups == 2);
	script_close(&edge);
	side_close(&router);
	world_close(&w);
}

static unsigned versions_logged;

static void on_line(struct str line, void *ctx)
{
	(void)ctx;
	versions_logged += memmem(line.p, line.n, "another protocol version", 24) != NULL;
}

static void test_other_version_is_logged_once_a_minute(void **state)
{
	struct wire_hello m = { .version = WIRE_VERSION + 1,
				.name = STR("edge-0"),
				.role = STR("edge"),
				.epoch = 7,
				.nonce = 1 };
	struct side router;
	struct script edge;
	struct world w;

	(void)state;
	world_open(&w);
	log_threshold = LOG_ERROR;
	log_capture(on_line, NULL);
	side_init(&router, &w, "router", "router-0");
	side_bind(&router, w.endpoint);
	script_open(&edge, &w, ADAPT_ZMQ_DEALER, "edge-0/7", w.endpoint);
	for (; m.nonce < 10; m.nonce++)
		script_say(&edge, 0, 0, WIRE_HELLO, &m);
	m.version = WIRE_VERSION; /* with other messages: a rolling upgrade */
	script_say(&edge, 0, 0, WIRE_HELLO, &m);
	RUN_UNTIL(&w, router.ups == 1);
	assert_int_equal(script_wait(&edge, WIRE_WELCOME)->any.welcome.nonce, m.nonce);
	assert_int_equal(versions_logged, 1);
	log_capture(NULL, NULL);
	script_close(&edge);
	side_close(&router);
	world_close(&w);
}

/* ── closed inside its own callbacks ── */

static struct bus_link *to_close;
static unsigned closed;

static void close_in_up(void *ctx, struct bus_link *link, bool resumed)
{
	(void)ctx;
	(void)link;
	(void)resumed;
	closed++;
	bus_link_close(&to_close);
}

static void close_in_message(void *ctx, struct bus_link *link, const struct bus_message *m)
{
	(void)m;
	close_in_up(ctx, link, false);
}

static void close_in_down(void *ctx, struct bus_link *link)
{
	close_in_up(ctx, link, false);
}

static void test_link_is_closed_in_its_callbacks(void **state)
{
	const struct bus_handlers rows[] = {
		{ .up = close_in_up, .message = side_on_message },
		{ .up = side_on_up, .message = close_in_message },
		{ .up = side_on_up, .message = side_on_message, .down = close_in_down },
	};
	struct side closing = { .expected = 1 };
	struct line l;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		line_open(&l, 50, 200);
		bus_link_close(&l.edge.link);
		closed = 0;
		closing.got = 0;
		closing.expected = 1;
		assert_int_equal(
			bus_link_open(l.edge.svc, l.world.endpoint, &rows[i], &closing, &to_close),
			0);
		RUN_UNTIL(&l.world, l.router.ups == 2);
		say(&l.router, &l.said[1], 3);
		RUN_UNTIL(&l.world, closed || closing.got == 3);
		proxy_hold(&l.proxy, true); /* silence */
		RUN_UNTIL(&l.world, closed == 1);
		assert_null(to_close);
		line_close(&l);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_connection_resumes_and_repeats_once),
		cmocka_unit_test(test_peer_without_connection_is_gone_until_it_is_back),
		cmocka_unit_test(test_short_cut_is_not_gone),
		cmocka_unit_test(test_idle_peer_that_vanished_is_gone_then_forgotten),
		cmocka_unit_test(test_connection_cut_again_and_again_loses_nothing),
		cmocka_unit_test(test_stopped_peer_comes_back_without_loss),
		cmocka_unit_test(test_own_sleep_is_not_the_peers_silence),
		cmocka_unit_test(test_full_sockets_lose_nothing),
		cmocka_unit_test(test_too_many_payload_frames_are_refused),
		cmocka_unit_test(test_new_connection_is_asked_for_hello_at_once),
		cmocka_unit_test(test_other_version_is_logged_once_a_minute),
		cmocka_unit_test(test_link_is_closed_in_its_callbacks),
	};

	signal(SIGPIPE, SIG_IGN); /* as the skeleton does: the proxy writes to who is gone */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
