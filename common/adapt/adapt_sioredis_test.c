/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as @socket.io/redis-adapter 8.3 and @socket.io/redis-emitter 5.1 send them (recorded), and back. */
#include "common/adapt/adapt_sioredis.h"

#include "common/base/base_test.h"

#define MAX_BYTES 65536

#define ONE_ROOM \
	"\223\247emitter\203\244type\002\244data\223\244news\201\241n\001\243two\243nsp\241/" \
	"\203\245rooms\221\241a\245flags\200\246except\220"
#define TWO_ROOMS \
	"\223\247emitter\203\244type\002\244data\223\241x\304\002\001\002\205" \
	"\241d\327\377\035SS\000i~\227\177\243nan\313\177\370\000\000\000\000\000\000" \
	"\243big\317\000\000\001\000\000\000\000\000\243neg\373\241f\313\077\340\000\000\000\000" \
	"\000\000" \
	"\243nsp\241/\203\245rooms\222\241a\241b\245flags\201\250volatile\303\246except\221\241c"
#define EVERYBODY \
	"\223\247emitter\203\244type\002\244data\221\243all\243nsp\247/second" \
	"\203\245rooms\220\245flags\200\246except\220"
#define NUMERIC_ROOM \
	"\223\246abc123\203\244type\002\244data\223\247\303\274mlaut\246\303\251\360\237\232\200" \
	"\223\300\303\302\243nsp\241/\203\245rooms\222\001\241b\246except\220\245flags\200"
#define BROADCAST_ACK \
	"\205\243uid\246abc123\251requestId\246faUbO3\244type\007\246packet" \
	"\203\244type\002\244data\222\241q\007\243nsp\241/" \
	"\244opts\203\245rooms\221\241a\246except\220\245flags\201\247timeout\012"

static struct sioredis_decoder *decoder;

static int open_decoder(void **state)
{
	(void)state;
	decoder = sioredis_decoder_new(MAX_BYTES);
	return 0;
}

static int close_decoder(void **state)
{
	(void)state;
	sioredis_decoder_free(&decoder);
	return 0;
}

static void join(const struct sioredis_names *names, struct buf *out)
{
	buf_reset(out);
	for (uint32_t i = 0; i < names->count; i++) {
		buf_add(out, names->items[i]);
		buf_addc(out, ' ');
	}
}

static void check_names(const struct sioredis_names *names, const char *want)
{
	struct buf got = BUF_INIT(MAX_BYTES);

	join(names, &got);
	assert_str(buf_str(&got), str_of(want));
	buf_fini(&got);
}

static void test_event_when_recorded_then_its_parts(void **state)
{
	static const struct {
		struct str message;
		const char *uid, *nsp, *event, *args, *rooms, *except;
		uint32_t bins;
		bool is_volatile;
	} cases[] = {
		{ STR(ONE_ROOM), "emitter", "/", "news", "{\"n\":1},\"two\"", "a ", "", 0, false },
		{ STR(TWO_ROOMS), "emitter", "/", "x",
		  "{\"_placeholder\":true,\"num\":0},{\"d\":\"2026-01-31T23:59:59.123Z\",\"nan\":"
		  "null,"
		  "\"big\":1099511627776,\"neg\":-5,\"f\":0.5}",
		  "a b ", "c ", 1, true },
		{ STR(EVERYBODY), "emitter", "/second", "all", "", "", "", 0, false },
		{ STR(NUMERIC_ROOM), "abc123", "/", "ümlaut", "\"é🚀\",[null,true,false]", "1 b ",
		  "", 0, false },
		{ STR("[\"u\",{\"type\":2,\"data\":[ \"\\u0061\" , 1 , 2 "
		      "]},{\"rooms\":[\"\\u0062\"]}]"),
		  "u", "/", "a", "1 , 2", "b ", "", 0, false }, /* of a JSON parser */
		{ STR("[\"u\",{\"type\":5,\"data\":[7]},{\"rooms\":null,\"flags\":[]}]"), "u", "/",
		  "7", "", "", "", 0, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct sioredis_event e;

		assert_int_equal(sioredis_decode_event(decoder, cases[i].message, &e), 0);
		assert_str(e.uid, str_of(cases[i].uid));
		assert_str(e.nsp, str_of(cases[i].nsp));
		assert_str(e.event, str_of(cases[i].event));
		assert_str(e.args, str_of(cases[i].args));
		check_names(&e.rooms, cases[i].rooms);
		check_names(&e.except, cases[i].except);
		assert_int_equal(e.bin_count, cases[i].bins);
		assert_int_equal(e.is_volatile, cases[i].is_volatile);
		for (uint32_t b = 0; b < e.bin_count; b++)
			assert_str(e.bins[b], STR("\001\002"));
	}
}

static void test_event_when_recorded_then_no_part_of_it_is_taken(void **state)
{
	static const struct str messages[] = { STR(ONE_ROOM), STR(TWO_ROOMS), STR(EVERYBODY),
					       STR(NUMERIC_ROOM) };
	struct sioredis_event e;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(messages); i++)
		for (size_t n = 0; n < messages[i].n; n++)
			assert_int_not_equal(
				sioredis_decode_event(decoder, str_make(messages[i].p, n), &e), 0);
}

static void test_event_when_not_of_the_format_then_an_error(void **state)
{
	static const struct {
		struct str message;
		int err;
	} cases[] = {
		{ STR(""), E_TRUNCATED },
		{ STR("\300"), E_TYPE },
		{ STR("\301"), E_SYNTAX },
		{ STR("\220"), E_TYPE },
		{ STR("\200\200"), E_SYNTAX },
		{ STR("\335\377\377\377\377"), E_TRUNCATED },
		{ STR("\337\377\377\377\377"), E_TRUNCATED },
		{ STR("\306\377\377\377\377"), E_TRUNCATED },
		{ STR("\311\377\377\377\377\001"), E_TRUNCATED },
		{ STR("\333\377\377\377\377"), E_TRUNCATED },
		{ STR("\201\300\001"), E_SYNTAX },
		{ STR("\201\220\001"), E_SYNTAX },
		{ STR("[]"), E_TYPE },
		{ STR("{}"), E_TYPE },
		{ STR("[\"u\",{},{}]"), E_TYPE },
		{ STR("[\"u\",{\"type\":2},{}]"), E_TYPE },
		{ STR("[\"u\",{\"type\":2,\"data\":{}},{}]"), E_TYPE },
		{ STR("[\"u\",{\"type\":2,\"data\":[]},{}]"), E_TYPE },
		{ STR("[\"u\",{\"type\":2,\"data\":[null]},{}]"), E_TYPE },
		{ STR("[\"u\",{\"type\":3,\"data\":[\"a\"]},{}]"), E_TYPE },
		{ STR("[\"u\",{\"type\":2.5,\"data\":[\"a\"]},{}]"), E_TYPE },
		{ STR("[\"u\",{\"type\":2,\"data\":[\"a\"],\"nsp\":7},{}]"), E_TYPE },
		{ STR("[\"u\",{\"type\":2,\"data\":[\"a\"],\"nsp\":\"\"},{}]"), E_RANGE },
		{ STR("[\"u\",{\"type\":2,\"data\":[\"a\"]}]"), E_TYPE },
		{ STR("[\"u\",{\"type\":2,\"data\":[\"a\"]},7]"), E_TYPE },
		{ STR("[{},{\"type\":2,\"data\":[\"a\"]},{}]"), E_TYPE },
		{ STR("[\"u\",{\"type\":2,\"data\":[\"a\"]},{\"rooms\":\"a\"}]"), E_TYPE },
		{ STR("[\"u\",{\"type\":2,\"data\":[\"a\"]},{\"rooms\":[[]]}]"), E_TYPE },
		{ STR("[\"u\",{\"type\":2,\"data\":[\"a\"]},{\"except\":[{}]}]"), E_TYPE },
	};
	struct sioredis_event e;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int err = sioredis_decode_event(decoder, cases[i].message, &e);

		if (err != cases[i].err)
			fail_msg("case %zu: got %s, want %s", i, err_name(err),
				 err_name(cases[i].err));
	}
}

static void test_event_when_past_a_bound_then_an_error(void **state)
{
	struct buf m = BUF_INIT(1u << 20);
	struct sioredis_event e;

	(void)state;
	for (int i = 0; i <= SIOREDIS_DEPTH_MAX; i++)
		buf_addc(&m, '\x91');
	buf_addc(&m, '\x01');
	assert_int_equal(sioredis_decode_event(decoder, buf_str(&m), &e), E_DEPTH);
	buf_reset(&m);
	buf_addz(&m, "[\"u\",{\"type\":2,\"data\":[\"a\"]},{\"rooms\":[0");
	for (int i = 0; i < SIOREDIS_NAMES_MAX; i++)
		buf_addf(&m, ",%d", i);
	buf_addz(&m, "]}]");
	assert_int_equal(sioredis_decode_event(decoder, buf_str(&m), &e), E_RANGE);
	buf_reset(&m);
	buf_addc(&m, '\xdc');
	buf_add(&m, STR("\001\000"));
	for (int i = 0; i < 256; i++)
		buf_add(&m, STR("\304\000"));
	assert_int_equal(sioredis_decode_event(decoder, buf_str(&m), &e), E_RANGE);
	buf_reset(&m);
	buf_add(&m, STR("\333\000\001\000\001"));
	for (int i = 0; i < 65537; i++)
		buf_addc(&m, 'x');
	assert_int_equal(sioredis_decode_event(decoder, buf_str(&m), &e), E_TOOBIG);
	buf_reset(&m);
	buf_addz(&m, "[\"u\",{\"type\":2,\"data\":[\"");
	for (int i = 0; i < 256; i++)
		buf_addc(&m, 'e');
	buf_addz(&m, "\"]},{}]");
	assert_int_equal(sioredis_decode_event(decoder, buf_str(&m), &e), E_RANGE);
	buf_fini(&m);
}

/* Values of msgpack as the JSON they become. */
static const struct {
	struct str bytes;
	const char *json;
} values[] = {
	{ STR("\000"), "0" },
	{ STR("\177"), "127" },
	{ STR("\377"), "-1" },
	{ STR("\340"), "-32" },
	{ STR("\314\377"), "255" },
	{ STR("\315\377\377"), "65535" },
	{ STR("\316\377\377\377\377"), "4294967295" },
	{ STR("\317\377\377\377\377\377\377\377\377"), "18446744073709551615" },
	{ STR("\320\200"), "-128" },
	{ STR("\321\200\000"), "-32768" },
	{ STR("\322\200\000\000\000"), "-2147483648" },
	{ STR("\323\200\000\000\000\000\000\000\000"), "-9223372036854775808" },
	{ STR("\323\177\377\377\377\377\377\377\377"), "9223372036854775807" },
	{ STR("\312\077\200\000\000"), "1" },
	{ STR("\312\077\000\000\000"), "0.5" },
	{ STR("\313\077\271\231\231\231\231\231\232"), "0.1" },
	{ STR("\313\200\000\000\000\000\000\000\000"), "0" }, /* -0 */
	{ STR("\313\000\000\000\000\000\000\000\001"), "4.94065645841247e-324" },
	{ STR("\313\177\360\000\000\000\000\000\000"), "null" },
	{ STR("\312\177\300\000\000"), "null" },
	{ STR("\300"), "null" },
	{ STR("\303"), "true" },
	{ STR("\302"), "false" },
	{ STR("\240"), "\"\"" },
	{ STR("\243a\"\n"), "\"a\\\"\\n\"" },
	{ STR("\331\001x"), "\"x\"" },
	{ STR("\332\000\001x"), "\"x\"" },
	{ STR("\333\000\000\000\001x"), "\"x\"" },
	{ STR("\243a\377b"), "\"a\xef\xbf\xbd"
			     "b\"" },
	{ STR("\334\000\002\001\002"), "[1,2]" },
	{ STR("\335\000\000\000\001\300"), "[null]" },
	{ STR("\336\000\001\241a\001"), "{\"a\":1}" },
	{ STR("\337\000\000\000\001\241a\220"), "{\"a\":[]}" },
	{ STR("\203\001\001\314\310\002\331\001k\003"), "{\"1\":1,\"200\":2,\"k\":3}" },
	/* undefined: left out of objects, null in arrays */
	{ STR("\324\000\000"), "null" },
	{ STR("\221\324\000\000"), "[null]" },
	{ STR("\201\241a\324\000\000"), "{}" },
	{ STR("\203\241a\324\000\000\241b\001\241c\324\000\000"), "{\"b\":1}" },
	/* dates */
	{ STR("\326\377\000\000\000\000"), "\"1970-01-01T00:00:00.000Z\"" },
	{ STR("\326\377\177\377\377\377"), "\"2038-01-19T03:14:07.000Z\"" },
	{ STR("\327\377\035SS\000i~\227\177"), "\"2026-01-31T23:59:59.123Z\"" },
	{ STR("\307\014\377\073\213\207\300\377\377\377\377\377\377\377\377"),
	  "\"1969-12-31T23:59:59.999Z\"" },
	{ STR("\307\014\377\000\000\000\000\000\000\000\072\377\364\101\177"),
	  "\"9999-12-31T23:59:59.000Z\"" },
	{ STR("\307\014\377\000\000\000\000\000\000\000\072\377\364\101\200"),
	  "\"+010000-01-01T00:00:00.000Z\"" },
	{ STR("\307\014\377\000\000\000\000\377\377\377\361\206\213\203\377"),
	  "\"-000001-12-31T23:59:59.000Z\"" },
	{ STR("\307\014\377\000\000\000\000\177\377\377\377\377\377\377\377"), "null" },
	{ STR("\327\000\000\000\000\000\000\000\000\001"), "\"1970-01-01T00:00:00.001Z\"" },
	/* binary */
	{ STR("\304\001x"), "{\"_placeholder\":true,\"num\":0}" },
	{ STR("\222\305\000\001x\306\000\000\000\001y"),
	  "[{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]" },
	{ STR("\307\001\000x"), "{\"_placeholder\":true,\"num\":0}" },
	{ STR("\310\000\001\000x"), "{\"_placeholder\":true,\"num\":0}" },
	{ STR("\324\005x"), "[5,{\"_placeholder\":true,\"num\":0}]" },
	{ STR("\325\376xy"), "[-2,{\"_placeholder\":true,\"num\":0}]" },
};

static void test_value_when_msgpack_then_json(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		struct buf json = BUF_INIT(MAX_BYTES);
		struct sioredis_bins bins = { .count = 0 };
		struct json_value v;

		assert_int_equal(sioredis_value_to_json(values[i].bytes, &json, &bins), 0);
		assert_str(buf_str(&json), str_of(values[i].json));
		assert_int_equal(json_parse(buf_str(&json), &v), 0);
		buf_fini(&json);
	}
}

static void test_value_when_json_then_msgpack(void **state)
{
	static const struct {
		const char *json;
		struct str bytes;
	} cases[] = {
		{ "0", STR("\000") },
		{ "-1", STR("\377") },
		{ "-0", STR("\000") },
		{ "1.0", STR("\001") },
		{ "1e3", STR("\315\003\350") },
		{ "0.1", STR("\313\077\271\231\231\231\231\231\232") },
		{ "18446744073709551615", STR("\317\377\377\377\377\377\377\377\377") },
		{ "18446744073709551616", STR("\313\103\360\000\000\000\000\000\000") },
		{ "-9223372036854775808", STR("\323\200\000\000\000\000\000\000\000") },
		{ "1e400", STR("\313\177\360\000\000\000\000\000\000") },
		{ "null", STR("\300") },
		{ "[true,false]", STR("\222\303\302") },
		{ "\"\\u0061\\n\"", STR("\242a\n") },
		{ "{ \"a\\u0062\" : { \"c\" : [ ] } }", STR("\201\242ab\201\241c\220") },
		{ "{\"_placeholder\":true,\"num\":1}", STR("\304\002yz") },
		{ "{\"_placeholder\":true,\"num\":2}", STR("\300") },
		{ "{\"_placeholder\":true}", STR("\300") },
		{ "{\"_placeholder\":false}", STR("\201\254_placeholder\302") },
	};
	static const struct str bins[] = { STR("x"), STR("yz") };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf scratch = BUF_INIT(MAX_BYTES), out = BUF_INIT(MAX_BYTES);
		struct json_value v;

		assert_int_equal(json_parse(str_of(cases[i].json), &v), 0);
		assert_int_equal(sioredis_value_from_json(v, bins, 2, &scratch, &out), 0);
		assert_str(buf_str(&out), cases[i].bytes);
		buf_fini(&scratch);
		buf_fini(&out);
	}
}

static void test_value_when_there_are_no_attachments_then_placeholders_are_objects(void **state)
{
	struct buf scratch = BUF_INIT(MAX_BYTES), out = BUF_INIT(MAX_BYTES);
	struct json_value v;

	(void)state;
	assert_int_equal(json_parse(STR("{\"_placeholder\":true,\"num\":0}"), &v), 0);
	assert_int_equal(sioredis_value_from_json(v, NULL, 0, &scratch, &out), 0);
	assert_str(buf_str(&out), STR("\202\254_placeholder\303\243num\000"));
	buf_fini(&scratch);
	buf_fini(&out);
}

static void test_event_when_encoded_then_it_is_what_a_server_sends(void **state)
{
	static const struct str rooms[] = { STR("a"), STR("b") }, except[] = { STR("c") };
	static const struct str bins[] = { STR("\001\002") };
	struct sioredis_event e = { .uid = STR("abc123"),
				    .nsp = STR("/"),
				    .event = STR("x"),
				    .args = STR("{\"_placeholder\":true,\"num\":0},{\"f\":0.5}"),
				    .bins = bins,
				    .bin_count = 1,
				    .rooms = { 2, rooms },
				    .except = { 1, except },
				    .is_volatile = true };
	struct buf scratch = BUF_INIT(MAX_BYTES), out = BUF_INIT(MAX_BYTES);
	struct sioredis_event back;

	(void)state;
	assert_int_equal(sioredis_encode_event(&e, &scratch, &out), 0);
	assert_str(
		buf_str(&out),
		STR("\223\246abc123\203\244type\002\244data\223\241x\304\002\001\002"
		    "\201\241f\313\077\340\000\000\000\000\000\000\243nsp\241/"
		    "\203\245rooms\222\241a\241b\246except\221\241c\245flags\201\250volatile\303"));
	assert_int_equal(sioredis_decode_event(decoder, buf_str(&out), &back), 0);
	assert_str(back.args, e.args);
	e.args = STR("{");
	buf_reset(&out);
	assert_int_not_equal(sioredis_encode_event(&e, &scratch, &out), 0);
	buf_fini(&scratch);
	buf_fini(&out);
}

static void test_request_when_recorded_then_its_parts(void **state)
{
	static const struct {
		struct str message;
		enum sioredis_kind kind;
		const char *uid, *id, *rooms, *except, *targets;
		bool close;
	} cases[] = {
		{ STR("{\"type\":2,\"opts\":{\"rooms\":[\"a\"],\"except\":[]},\"rooms\":[\"x\","
		      "\"y\"]}"),
		  SIOREDIS_JOIN, "", "", "a ", "", "x y ", false },
		{ STR("{\"type\":3,\"opts\":{\"rooms\":[\"a\"],\"except\":[\"b\"]},\"rooms\":["
		      "\"x\"]}"),
		  SIOREDIS_LEAVE, "", "", "a ", "b ", "x ", false },
		{ STR("{\"type\":4,\"opts\":{\"rooms\":[],\"except\":[]},\"close\":true}"),
		  SIOREDIS_DISCONNECT, "", "", "", "", "", true },
		{ STR("{\"uid\":\"emitter\",\"type\":6,\"data\":[\"hello\",1]}"),
		  SIOREDIS_SERVER_SIDE_EMIT, "emitter", "", "", "", "", false },
		{ STR("{\"uid\":\"abc123\",\"requestId\":\"3WzXHI\",\"type\":6,\"data\":[\"hi\",2]"
		      "}"),
		  SIOREDIS_SERVER_SIDE_EMIT, "abc123", "\"3WzXHI\"", "", "", "", false },
		{ STR("{\"uid\":\"abc123\",\"requestId\":\"zBDNEL\",\"type\":1}"),
		  SIOREDIS_ALL_ROOMS, "abc123", "\"zBDNEL\"", "", "", "", false },
		{ STR("{\"uid\":\"abc123\",\"requestId\":\"KL52-S\",\"type\":5,\"opts\":{\"rooms\":"
		      "[\"a\"],\"except\":[]}}"),
		  SIOREDIS_FETCH, "abc123", "\"KL52-S\"", "a ", "", "", false },
		{ STR("{\"requestId\":\"r\",\"type\":0,\"rooms\":[\"a\",7]}"), SIOREDIS_SOCKETS, "",
		  "\"r\"", "a 7 ", "", "", false },
		{ STR("{\"requestId\":\"r\",\"type\":2,\"sid\":\"s\",\"room\":\"a\"}"),
		  SIOREDIS_JOIN, "", "\"r\"", "s ", "", "a ", false },
		{ STR("{\"requestId\":\"r\",\"type\":4,\"sid\":\"s\",\"close\":true}"),
		  SIOREDIS_DISCONNECT, "", "\"r\"", "s ", "", "", false },
		{ STR(BROADCAST_ACK), SIOREDIS_BROADCAST, "abc123", "\"faUbO3\"", "a ", "", "",
		  false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct sioredis_request r;

		assert_int_equal(sioredis_decode_request(decoder, cases[i].message, &r), 0);
		assert_int_equal(r.kind, cases[i].kind);
		assert_str(r.uid, str_of(cases[i].uid));
		assert_str(r.id, str_of(cases[i].id));
		check_names(&r.rooms, cases[i].rooms);
		check_names(&r.except, cases[i].except);
		check_names(&r.targets, cases[i].targets);
		assert_int_equal(r.close, cases[i].close);
		if (r.kind == SIOREDIS_BROADCAST) {
			assert_str(r.event.event, STR("q"));
			assert_str(r.event.args, STR("7"));
			check_names(&r.event.rooms, "a ");
			assert_int_equal(r.timeout_ms, 10);
		}
	}
}

static void test_request_when_not_of_the_format_then_an_error(void **state)
{
	static const struct str cases[] = {
		STR(""),
		STR("{"),
		STR("[]"),
		STR("{}"),
		STR("\200"),
		STR("{\"type\":\"2\"}"),
		STR("{\"type\":-1}"),
		STR("{\"type\":10}"),
		STR("{\"type\":2}"),
		STR("{\"type\":2,\"opts\":[],\"rooms\":[]}"),
		STR("{\"type\":2,\"sid\":\"s\"}"),
		STR("{\"type\":5}"),
		STR("{\"type\":7,\"opts\":{}}"),
		STR("{\"type\":1,\"requestId\":7}"),
		STR("{\"type\":1,\"uid\":{}}"),
		STR("{\"type\":1,\"requestId\":"
		    "\"01234567890123456789012345678901234567890123456789012345678901234\"}"),
	};
	struct sioredis_request r;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (sioredis_decode_request(decoder, cases[i], &r) == 0)
			fail_msg("case %zu is taken", i);
}

static void test_answers_when_encoded_then_what_servers_read(void **state)
{
	static const struct str rooms[] = { STR("a\"") }, targets[] = { STR("x"), STR("y") };
	struct sioredis_request r = { .kind = SIOREDIS_JOIN,
				      .uid = STR("u"),
				      .rooms = { 1, rooms },
				      .targets = { 2, targets } };
	struct buf out = BUF_INIT(MAX_BYTES);

	(void)state;
	sioredis_encode_verb(&r, &out);
	assert_str(buf_str(&out), STR("{\"uid\":\"u\",\"type\":2,\"opts\":{\"rooms\":[\"a\\\"\"],"
				      "\"except\":[]},\"rooms\":[\"x\",\"y\"]}"));
	buf_reset(&out);
	r.kind = SIOREDIS_DISCONNECT;
	sioredis_encode_verb(&r, &out);
	assert_str(buf_str(&out), STR("{\"uid\":\"u\",\"type\":4,\"opts\":{\"rooms\":[\"a\\\"\"],"
				      "\"except\":[]},\"close\":false}"));
	buf_reset(&out);
	sioredis_encode_sockets(STR("\"r\""), STR("{}"), &out);
	sioredis_encode_rooms(STR("\"r\""), STR("\"a\""), &out);
	sioredis_encode_no_answer(STR("\"r\""), &out);
	sioredis_encode_client_count(STR("\"r\""), 2, &out);
	assert_str(buf_str(&out), STR("{\"requestId\":\"r\",\"sockets\":[{}]}"
				      "{\"requestId\":\"r\",\"rooms\":[\"a\"]}"
				      "{\"requestId\":\"r\",\"type\":6,\"data\":null}"
				      "{\"requestId\":\"r\",\"type\":8,\"clientCount\":2}"));
	buf_fini(&out);
}

/* Bytes of notepack.io 3.0. */
static void test_ack_when_encoded_then_as_a_node_server_writes_it(void **state)
{
	static const struct str bins[] = { STR("\1\2") };
	static const struct {
		struct str args;
		struct str bytes;
	} cases[] = {
		{ STR(""), STR("\202\244type\011\251requestId\243abc") },
		{ STR("42,7"), STR("\203\244type\011\251requestId\243abc\246packet\052") },
		{ STR("null"), STR("\203\244type\011\251requestId\243abc\246packet\300") },
		{ STR("{\"a\":[{\"_placeholder\":true,\"num\":0}]}"),
		  STR("\203\244type\011\251requestId\243abc\246packet\201\241a\221\304\002\001"
		      "\002") },
	};
	struct buf out = BUF_INIT(MAX_BYTES), scratch = BUF_INIT(MAX_BYTES);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		buf_reset(&out);
		assert_int_equal(
			sioredis_encode_ack(STR("\"abc\""), cases[i].args, bins, 1, &scratch, &out),
			0);
		assert_str(buf_str(&out), cases[i].bytes);
	}
	assert_int_not_equal(sioredis_encode_ack(STR("\"abc\""), STR("{"), NULL, 0, &scratch, &out),
			     0);
	assert_int_not_equal(sioredis_encode_ack(STR("abc"), STR("1"), NULL, 0, &scratch, &out), 0);
	buf_fini(&out);
	buf_fini(&scratch);
}

static void test_socket_when_added_then_of_the_shape_servers_read(void **state)
{
	struct buf out = BUF_INIT(MAX_BYTES);
	struct json_value root, v;

	(void)state;
	buf_addc(&out, '[');
	sioredis_add_socket(&out, STR("s-1"), STR("u\"1"));
	buf_addz(&out, ",\"a\"]},");
	sioredis_add_socket(&out, STR("s-2"), STR_NONE);
	buf_addz(&out, "]}]");
	assert_int_equal(json_parse(buf_str(&out), &root), 0);
	assert_int_equal(json_at(root, 0, &v), 0);
	assert_int_equal(json_get_path(v, STR("data.userId"), &v), 0);
	assert_str(v.raw, STR("\"u\\\"1\""));
	assert_int_equal(json_at(root, 0, &v), 0);
	assert_int_equal(json_get(v, STR("rooms"), &v), 0);
	assert_str(v.raw, STR("[\"s-1\",\"a\"]"));
	assert_int_equal(json_at(root, 1, &v), 0);
	assert_int_equal(json_get(v, STR("data"), &v), 0);
	assert_str(v.raw, STR("{}"));
	buf_fini(&out);
}

static void test_channels_when_named_then_as_the_adapter_does(void **state)
{
	struct buf out = BUF_INIT(MAX_BYTES);

	(void)state;
	sioredis_add_channel(&out, STR("socket.io"), STR("/"), STR_NONE);
	buf_addc(&out, ' ');
	sioredis_add_channel(&out, STR("k"), STR("/a"), STR("r#"));
	buf_addc(&out, ' ');
	sioredis_add_request_channel(&out, STR("k"), STR("/a"));
	buf_addc(&out, ' ');
	sioredis_add_response_channel(&out, STR("k"), STR("/a"));
	buf_addc(&out, ' ');
	sioredis_add_pattern(&out, STR("k*"), STR("/[a]"));
	assert_str(buf_str(&out),
		   STR("socket.io#/# k#/a#r## k-request#/a# k-response#/a# k\\*#/\\[a\\]#*"));
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event_when_recorded_then_its_parts),
		cmocka_unit_test(test_event_when_recorded_then_no_part_of_it_is_taken),
		cmocka_unit_test(test_event_when_not_of_the_format_then_an_error),
		cmocka_unit_test(test_event_when_past_a_bound_then_an_error),
		cmocka_unit_test(test_value_when_msgpack_then_json),
		cmocka_unit_test(test_value_when_json_then_msgpack),
		cmocka_unit_test(
			test_value_when_there_are_no_attachments_then_placeholders_are_objects),
		cmocka_unit_test(test_event_when_encoded_then_it_is_what_a_server_sends),
		cmocka_unit_test(test_request_when_recorded_then_its_parts),
		cmocka_unit_test(test_request_when_not_of_the_format_then_an_error),
		cmocka_unit_test(test_answers_when_encoded_then_what_servers_read),
		cmocka_unit_test(test_ack_when_encoded_then_as_a_node_server_writes_it),
		cmocka_unit_test(test_socket_when_added_then_of_the_shape_servers_read),
		cmocka_unit_test(test_channels_when_named_then_as_the_adapter_does),
	};

	return cmocka_run_group_tests(tests, open_decoder, close_decoder);
}
