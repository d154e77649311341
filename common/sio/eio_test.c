/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sio/eio.h"

#include "common/base/base_test.h"

static void test_decode_table(void **state)
{
	static const struct {
		struct str text;
		int err;
		enum eio_type type;
		struct str body;
	} rows[] = {
		{ STR("0{\"sid\":\"x\"}"), 0, EIO_OPEN, STR("{\"sid\":\"x\"}") },
		{ STR("1"), 0, EIO_CLOSE, STR("") },
		{ STR("2probe"), 0, EIO_PING, STR("probe") },
		{ STR("3"), 0, EIO_PONG, STR("") },
		{ STR("4hello"), 0, EIO_MESSAGE, STR("hello") },
		{ STR("5"), 0, EIO_UPGRADE, STR("") },
		{ STR("6"), 0, EIO_NOOP, STR("") },
		{ STR(""), E_SYNTAX, EIO_OPEN, STR("") },
		{ { NULL, 0 }, E_SYNTAX, EIO_OPEN, STR("") },
		{ STR("7"), E_SYNTAX, EIO_OPEN, STR("") },
		{ STR("bAQID"), E_SYNTAX, EIO_OPEN, STR("") },
		{ STR("abc"), E_SYNTAX, EIO_OPEN, STR("") },
		{ STR("/"), E_SYNTAX, EIO_OPEN, STR("") },
		{ STR("\xff"), E_SYNTAX, EIO_OPEN, STR("") },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct eio_packet packet;
		int err = eio_decode(rows[i].text, &packet);

		assert_int_equal(err, rows[i].err);
		if (err)
			continue;
		assert_int_equal(packet.type, rows[i].type);
		assert_str(packet.body, rows[i].body);
	}
}

static void test_payload_gives_its_packets_then_the_end(void **state)
{
	struct str rest = STR("4first\x1e"
			      "2\x1e"
			      "bAQID\x1e"
			      "4");
	struct eio_packet packet;

	(void)state;
	assert_int_equal(eio_payload_next(&rest, &packet), 0);
	assert_int_equal(packet.type, EIO_MESSAGE);
	assert_str(packet.body, STR("first"));
	assert_int_equal(eio_payload_next(&rest, &packet), 0);
	assert_int_equal(packet.type, EIO_PING);
	assert_int_equal(eio_payload_next(&rest, &packet), 0);
	assert_int_equal(packet.type, EIO_BINARY);
	assert_str(packet.body, STR("AQID"));
	assert_int_equal(eio_payload_next(&rest, &packet), 0);
	assert_int_equal(packet.type, EIO_MESSAGE);
	assert_int_equal(packet.body.n, 0);
	assert_int_equal(eio_payload_next(&rest, &packet), E_NOTFOUND);
	assert_int_equal(eio_payload_next(&rest, &packet), E_NOTFOUND);
}

static void test_payload_with_an_empty_or_unknown_packet_is_refused(void **state)
{
	static const struct {
		struct str payload;
		int good; /* packets before the bad one */
	} rows[] = {
		{ STR(""), 0 },
		{ { NULL, 0 }, 0 },
		{ STR("\x1e"), 0 },
		{ STR("\x1e"
		      "4a"),
		  0 },
		{ STR("4a\x1e"), 1 },
		{ STR("4a\x1e\x1e"
		      "4b"),
		  1 },
		{ STR("4a\x1e"
		      "9"),
		  1 },
		{ STR("abc"), 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct str rest = rows[i].payload;
		struct eio_packet packet;

		for (int k = 0; k < rows[i].good; k++)
			assert_int_equal(eio_payload_next(&rest, &packet), 0);
		assert_int_equal(eio_payload_next(&rest, &packet), E_SYNTAX);
	}
}

static void test_ws_header_at_the_size_steps(void **state)
{
	static const struct {
		enum ws_opcode opcode;
		uint64_t payload_bytes;
		struct str header;
	} rows[] = {
		{ WS_TEXT, 0, { "\x81\x00", 2 } },
		{ WS_PING, 5, { "\x89\x05", 2 } },
		{ WS_CLOSE, 2, { "\x88\x02", 2 } },
		{ WS_TEXT, 125, { "\x81\x7d", 2 } },
		{ WS_BINARY, 126, { "\x82\x7e\x00\x7e", 4 } },
		{ WS_TEXT, 65535, { "\x81\x7e\xff\xff", 4 } },
		{ WS_TEXT, 65536, { "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10 } },
		{ WS_TEXT, 0x0102030405060708, { "\x81\x7f\x01\x02\x03\x04\x05\x06\x07\x08", 10 } },
	};
	char out[WS_HEADER_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_str(str_make(out, ws_header(out, rows[i].opcode, rows[i].payload_bytes)),
			   rows[i].header);
}

static void test_ws_header_of_a_compressed_message_has_rsv1(void **state)
{
	char out[WS_HEADER_MAX];

	(void)state;
	assert_int_equal(ws_header_deflated(out, WS_TEXT, 5), 2);
	assert_str(str_make(out, 2), STR("\xc1\x05"));
	assert_int_equal(ws_header_deflated(out, WS_BINARY, 300), 4);
	assert_str(str_make(out, 4), STR("\xc2\x7e\x01\x2c"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode_table),
		cmocka_unit_test(test_payload_gives_its_packets_then_the_end),
		cmocka_unit_test(test_payload_with_an_empty_or_unknown_packet_is_refused),
		cmocka_unit_test(test_ws_header_at_the_size_steps),
		cmocka_unit_test(test_ws_header_of_a_compressed_message_has_rsv1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
