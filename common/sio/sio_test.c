/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sio/sio.h"

#include <stdio.h>

#include "common/base/base_test.h"

#define NO_ACK (-1)

static const struct {
	const char *text;
	enum sio_type type;
	uint32_t attachments;
	const char *nsp;
	int64_t ack_id;
	const char *data;  /* "" for none */
	const char *event; /* raw */
	const char *args;
	uint32_t arg_count;
} good[] = {
	{ "0", SIO_CONNECT, 0, "/", NO_ACK, "", "", "", 0 },
	{ "0{\"token\":\"123\"}", SIO_CONNECT, 0, "/", NO_ACK, "{\"token\":\"123\"}", "", "", 0 },
	{ "0/custom", SIO_CONNECT, 0, "/custom", NO_ACK, "", "", "", 0 },
	{ "0/custom,", SIO_CONNECT, 0, "/custom", NO_ACK, "", "", "", 0 },
	{ "0/custom,{\"token\":1}", SIO_CONNECT, 0, "/custom", NO_ACK, "{\"token\":1}", "", "", 0 },
	{ "0/custom?a=b&c=%20,{}", SIO_CONNECT, 0, "/custom", NO_ACK, "{}", "", "", 0 },
	{ "0/", SIO_CONNECT, 0, "/", NO_ACK, "", "", "", 0 },
	{ "1", SIO_DISCONNECT, 0, "/", NO_ACK, "", "", "", 0 },
	{ "1/custom,", SIO_DISCONNECT, 0, "/custom", NO_ACK, "", "", "", 0 },
	{ "2[\"a\"]", SIO_EVENT, 0, "/", NO_ACK, "[\"a\"]", "\"a\"", "", 0 },
	{ "2[\"\"]", SIO_EVENT, 0, "/", NO_ACK, "[\"\"]", "\"\"", "", 0 },
	{ "2[\"a\",1,{\"b\":[2,3]},\"x\"]", SIO_EVENT, 0, "/", NO_ACK,
	  "[\"a\",1,{\"b\":[2,3]},\"x\"]", "\"a\"", "1,{\"b\":[2,3]},\"x\"", 3 },
	{ "2[ \"a\" , 1 , 2 ] ", SIO_EVENT, 0, "/", NO_ACK, "[ \"a\" , 1 , 2 ]", "\"a\"", "1 , 2",
	  2 },
	{ "212[\"a\",null]", SIO_EVENT, 0, "/", 12, "[\"a\",null]", "\"a\"", "null", 1 },
	{ "2/admin,456[\"a\"]", SIO_EVENT, 0, "/admin", 456, "[\"a\"]", "\"a\"", "", 0 },
	{ "2/admin,[\"a\"]", SIO_EVENT, 0, "/admin", NO_ACK, "[\"a\"]", "\"a\"", "", 0 },
	{ "29007199254740992[\"a\"]", SIO_EVENT, 0, "/", INT64_C(9007199254740992), "[\"a\"]",
	  "\"a\"", "", 0 },
	{ "2[\"connected\"]", SIO_EVENT, 0, "/", NO_ACK, "[\"connected\"]", "\"connected\"", "",
	  0 },
	{ "2[\"Connect\"]", SIO_EVENT, 0, "/", NO_ACK, "[\"Connect\"]", "\"Connect\"", "", 0 },
	{ "30[]", SIO_ACK, 0, "/", 0, "[]", "", "", 0 },
	{ "3/admin,456[\"ok\",2]", SIO_ACK, 0, "/admin", 456, "[\"ok\",2]", "", "\"ok\",2", 2 },
	{ "31[\"connect\"]", SIO_ACK, 0, "/", 1, "[\"connect\"]", "", "\"connect\"", 1 },
	{ "51-[\"hi\",{\"_placeholder\":true,\"num\":0}]", SIO_BINARY_EVENT, 1, "/", NO_ACK,
	  "[\"hi\",{\"_placeholder\":true,\"num\":0}]", "\"hi\"",
	  "{\"_placeholder\":true,\"num\":0}", 1 },
	{ "510-/admin,12[\"file\"]", SIO_BINARY_EVENT, 10, "/admin", 12, "[\"file\"]", "\"file\"",
	  "", 0 },
	{ "62-/admin,7[1,2]", SIO_BINARY_ACK, 2, "/admin", 7, "[1,2]", "", "1,2", 2 },
};

static void test_decode_what_clients_send(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		struct sio_packet p;
		int err = sio_decode(str_of(good[i].text), SIO_MAX_ATTACHMENTS_DEFAULT, &p);

		if (err)
			fail_msg("%s: %s", good[i].text, err_name(err));
		assert_int_equal(p.type, good[i].type);
		assert_int_equal(p.attachments, good[i].attachments);
		assert_str(p.nsp, str_of(good[i].nsp));
		assert_int_equal(p.has_ack, good[i].ack_id != NO_ACK);
		if (p.has_ack)
			assert_true(p.ack_id == (uint64_t)good[i].ack_id);
		assert_str(p.data.raw, str_of(good[i].data));
		assert_str(p.event.raw, str_of(good[i].event));
		assert_str(p.args, str_of(good[i].args));
		assert_int_equal(p.arg_count, good[i].arg_count);
	}
}

static const struct {
	struct str text;
	int err;
} bad[] = {
	{ STR(""), E_SYNTAX },
	{ { NULL, 0 }, E_SYNTAX },
	{ STR("7"), E_SYNTAX },
	{ STR("a"), E_SYNTAX },
	{ STR("abc"), E_SYNTAX },
	{ STR("0[]"), E_SYNTAX },
	{ STR("0null"), E_SYNTAX },
	{ STR("0\"x\""), E_SYNTAX },
	{ STR("01{}"), E_SYNTAX },
	{ STR("0{"), E_TRUNCATED },
	{ STR("0x"), E_SYNTAX },
	{ STR("1{}"), E_SYNTAX },
	{ STR("1/custom,[]"), E_SYNTAX },
	{ STR("15"), E_SYNTAX },
	{ STR("2"), E_SYNTAX },
	{ STR("21"), E_SYNTAX },
	{ STR("2/admin,"), E_SYNTAX },
	{ STR("2/admin[\"x\"]"), E_SYNTAX },
	{ STR("2[]"), E_SYNTAX },
	{ STR("2{}"), E_SYNTAX },
	{ STR("2\"x\""), E_SYNTAX },
	{ STR("2[1]"), E_SYNTAX },
	{ STR("2[null,\"a\"]"), E_SYNTAX },
	{ STR("2[[\"a\"]]"), E_SYNTAX },
	{ STR("2[\"a\"]x"), E_SYNTAX },
	{ STR("2[\"a\",]"), E_SYNTAX },
	{ STR("2[\"a\""), E_TRUNCATED },
	{ STR("2[\"a\xff\"]"), E_UTF8 },
	{ STR("2-1[\"a\"]"), E_SYNTAX },
	{ STR("21.5[\"a\"]"), E_SYNTAX },
	{ STR("29007199254740993[\"a\"]"), E_RANGE },
	{ STR("299999999999999999999999[\"a\"]"), E_RANGE },
	{ STR("2/\xff,[\"a\"]"), E_UTF8 },
	{ STR("2/a?\xff,[\"a\"]"), E_UTF8 },
	{ STR("3[]"), E_SYNTAX },
	{ STR("31"), E_SYNTAX },
	{ STR("31{}"), E_SYNTAX },
	{ STR("4{\"message\":\"x\"}"), E_SYNTAX },
	{ STR("4"), E_SYNTAX },
	{ STR("5[\"a\"]"), E_SYNTAX },
	{ STR("5-[\"a\"]"), E_SYNTAX },
	{ STR("51[\"a\"]"), E_SYNTAX },
	{ STR("5"), E_SYNTAX },
	{ STR("51"), E_SYNTAX },
	{ STR("51-"), E_SYNTAX },
	{ STR("50-[\"a\"]"), E_SYNTAX },
	{ STR("511-[\"a\"]"), E_TOOBIG },
	{ STR("599999999999999999999999-[\"a\"]"), E_TOOBIG },
	{ STR("51-[1]"), E_SYNTAX },
	{ STR("61-[1]"), E_SYNTAX },
	{ STR("61-2{}"), E_SYNTAX },
};

static void test_decode_refuses_what_clients_may_not_send(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct sio_packet p;
		int err = sio_decode(bad[i].text, SIO_MAX_ATTACHMENTS_DEFAULT, &p);

		if (err != bad[i].err)
			fail_msg("'" STR_FMT "': got %s, want %s", STR_ARG(bad[i].text),
				 err_name(err), err_name(bad[i].err));
	}
}

static void test_reserved_names_are_refused_however_written(void **state)
{
	static const char *const names[] = {
		"connect",     "connect_error",  "disconnect",    "disconnecting",
		"newListener", "removeListener", "\\u0063onnect", "disconnec\\u0074",
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct sio_packet p;

		snprintf(text, sizeof(text), "2[\"%s\",1]", names[i]);
		assert_int_equal(sio_decode(str_of(text), SIO_MAX_ATTACHMENTS_DEFAULT, &p),
				 E_SYNTAX);
	}
}

static void test_namespace_at_and_past_the_bound(void **state)
{
	char text[SIO_MAX_NSP_BYTES + 20];
	struct sio_packet p;

	(void)state;
	memset(text, 'n', sizeof(text));
	memcpy(text, "0/", 2);
	assert_int_equal(sio_decode(str_make(text, SIO_MAX_NSP_BYTES + 1), 1, &p), 0);
	assert_int_equal(p.nsp.n, SIO_MAX_NSP_BYTES);
	assert_int_equal(sio_decode(str_make(text, SIO_MAX_NSP_BYTES + 2), 1, &p), E_TOOBIG);
	text[20] = '?';
	assert_int_equal(sio_decode(str_make(text, SIO_MAX_NSP_BYTES + 2), 1, &p), 0);
	assert_int_equal(p.nsp.n, 19);
}

static void test_too_deep_payload_is_refused(void **state)
{
	char text[2 * JSON_MAX_DEPTH] = "2[\"a\",";
	struct sio_packet p;

	(void)state;
	memset(text + 6, '[', JSON_MAX_DEPTH);
	assert_int_equal(sio_decode(str_make(text, 6 + JSON_MAX_DEPTH), 1, &p), E_DEPTH);
}

static void test_attachments_may_be_forbidden(void **state)
{
	struct sio_packet p;

	(void)state;
	assert_int_equal(sio_decode(STR("51-[\"a\"]"), 0, &p), E_TOOBIG);
	assert_int_equal(sio_decode(STR("51-[\"a\"]"), 1, &p), 0);
}

static void test_encode_table(void **state)
{
	static const struct {
		enum sio_type type;
		uint32_t attachments;
		struct str nsp;
		int64_t ack_id;
		const char *want;
	} rows[] = {
		{ SIO_CONNECT, 0, STR("/"), NO_ACK, "0" },
		{ SIO_CONNECT, 0, { NULL, 0 }, NO_ACK, "0" },
		{ SIO_DISCONNECT, 0, STR("/custom"), NO_ACK, "1/custom," },
		{ SIO_EVENT, 0, STR("/"), 0, "20" },
		{ SIO_EVENT, 0, STR("/admin"), 12, "2/admin,12" },
		{ SIO_ACK, 0, STR("/"), INT64_MAX, "39223372036854775807" },
		{ SIO_CONNECT_ERROR, 0, STR("/x"), NO_ACK, "4/x," },
		{ SIO_BINARY_EVENT, 2, STR("/"), NO_ACK, "52-" },
		{ SIO_BINARY_ACK, 1, STR("/admin"), 456, "61-/admin,456" },
	};
	struct buf out = BUF_INIT(200);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		buf_reset(&out);
		sio_encode_head(&out, rows[i].type, rows[i].attachments, rows[i].nsp,
				rows[i].ack_id);
		assert_str(buf_str(&out), str_of(rows[i].want));
	}
	buf_reset(&out);
	sio_encode_args(&out, STR("say \"hi\""), STR("1,{\"a\":2}"));
	assert_str(buf_str(&out), STR("[\"say \\\"hi\\\"\",1,{\"a\":2}]"));
	buf_reset(&out);
	sio_encode_args(&out, STR("x"), STR_NONE);
	assert_str(buf_str(&out), STR("[\"x\"]"));
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode_what_clients_send),
		cmocka_unit_test(test_decode_refuses_what_clients_may_not_send),
		cmocka_unit_test(test_reserved_names_are_refused_however_written),
		cmocka_unit_test(test_namespace_at_and_past_the_bound),
		cmocka_unit_test(test_too_deep_payload_is_refused),
		cmocka_unit_test(test_attachments_may_be_forbidden),
		cmocka_unit_test(test_encode_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
