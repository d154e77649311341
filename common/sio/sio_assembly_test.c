/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sio/sio_assembly.h"

#include "common/base/base_test.h"
#include "common/base/mem.h"

#define P0 "{\"_placeholder\":true,\"num\":0}"
#define P1 "{\"_placeholder\":true,\"num\":1}"
#define MAX_BYTES 1000

static struct sio_packet decoded(struct str text)
{
	struct sio_packet packet;

	assert_int_equal(sio_decode(text, SIO_MAX_ATTACHMENTS_DEFAULT, &packet), 0);
	return packet;
}

static struct sio_assembly *begun(struct str text, size_t max_bytes)
{
	struct sio_packet packet = decoded(text);
	struct sio_assembly *a = NULL;

	assert_int_equal(sio_assembly_begin(text, &packet, max_bytes, &a), 0);
	return a;
}

static void test_attachments_make_the_packet_whole_in_order(void **state)
{
	char text[] = "52-/admin,12[\"file\"," P0 ",{\"deep\":[" P1 "]}]";
	struct sio_assembly *a = begun(str_of(text), MAX_BYTES);

	(void)state;
	memset(text, 'x', sizeof(text)); /* it was copied */
	assert_false(sio_assembly_is_whole(a));
	assert_int_equal(sio_assembly_add(a, STR("first")), 0);
	assert_false(sio_assembly_is_whole(a));
	assert_int_equal(sio_assembly_add(a, STR_NONE), 0);
	assert_true(sio_assembly_is_whole(a));
	assert_int_equal(a->got, 2);
	assert_str(blob_str(a->attachments[0]), STR("first"));
	assert_str(blob_str(a->attachments[1]), STR(""));
	assert_int_equal(sio_assembly_add(a, STR("third")), E_RANGE);
	assert_int_equal(a->packet.type, SIO_BINARY_EVENT);
	assert_true(a->packet.has_ack);
	assert_int_equal(a->packet.ack_id, 12);
	assert_str(a->packet.nsp, STR("/admin"));
	assert_str(a->packet.event.raw, STR("\"file\""));
	assert_str(a->packet.args, STR(P0 ",{\"deep\":[" P1 "]}"));
	assert_str(a->packet.data.raw, STR("[\"file\"," P0 ",{\"deep\":[" P1 "]}]"));
	assert_int_equal(a->packet.arg_count, 2);
	sio_assembly_free(&a);
	assert_null(a);
	sio_assembly_free(&a);
}

static void test_the_main_namespace_and_no_arguments_survive_the_copy(void **state)
{
	struct sio_assembly *a = begun(STR("51-[\"x\"]"), MAX_BYTES);

	(void)state;
	assert_str(a->packet.nsp, STR("/"));
	assert_int_equal(a->packet.args.n, 0);
	assert_int_equal(a->packet.arg_count, 0);
	sio_assembly_free(&a);
}

static void test_an_ack_is_put_together_like_an_event(void **state)
{
	struct sio_assembly *a = begun(STR("61-7[" P0 "]"), MAX_BYTES);

	(void)state;
	assert_int_equal(sio_assembly_add(a, STR("x")), 0);
	assert_true(sio_assembly_is_whole(a));
	assert_int_equal(a->packet.type, SIO_BINARY_ACK);
	assert_str(a->packet.args, STR(P0));
	sio_assembly_free(&a);
}

static void test_another_packet_before_the_last_attachment_is_refused(void **state)
{
	struct sio_assembly *a = begun(STR("51-[\"x\"," P0 "]"), MAX_BYTES), *same = a;
	struct sio_packet packet = decoded(STR("51-[\"y\"," P0 "]"));

	(void)state;
	assert_int_equal(sio_assembly_begin(STR("51-[\"y\"," P0 "]"), &packet, MAX_BYTES, &a),
			 E_EXISTS);
	assert_ptr_equal(a, same);
	assert_str(a->packet.event.raw, STR("\"x\""));
	sio_assembly_free(&a);
}

static void test_a_packet_without_attachments_is_nothing_to_assemble(void **state)
{
	struct sio_packet packet = decoded(STR("2[\"x\"]"));
	struct sio_assembly *a = NULL;

	(void)state;
	assert_int_equal(sio_assembly_begin(STR("2[\"x\"]"), &packet, MAX_BYTES, &a), E_SYNTAX);
	assert_null(a);
}

static void test_all_parts_together_are_bounded(void **state)
{
	static const struct str text = { "52-[\"x\"]", 8 };
	struct sio_packet packet = decoded(text);
	struct sio_assembly *a = NULL;

	(void)state;
	assert_int_equal(sio_assembly_begin(text, &packet, text.n - 1, &a), E_TOOBIG);
	assert_null(a);
	a = begun(text, text.n + 5);
	assert_int_equal(sio_assembly_add(a, STR("1234")), 0);
	assert_int_equal(sio_assembly_add(a, STR("12")), E_TOOBIG);
	assert_false(sio_assembly_is_whole(a));
	assert_int_equal(sio_assembly_add(a, STR("1")), 0);
	assert_true(sio_assembly_is_whole(a));
	assert_int_equal(a->bytes, text.n + 5);
	sio_assembly_free(&a);
	a = begun(text, text.n); /* empty attachments need no room */
	assert_int_equal(sio_assembly_add(a, STR("")), 0);
	assert_int_equal(sio_assembly_add(a, STR("")), 0);
	assert_true(sio_assembly_is_whole(a));
	sio_assembly_free(&a);
}

static void test_the_whole_packet_may_outlive_the_assembly_by_references(void **state)
{
	struct sio_assembly *a = begun(STR("51-[\"x\"," P0 "]"), MAX_BYTES);
	struct blob *kept;

	(void)state;
	assert_int_equal(sio_assembly_add(a, STR("kept")), 0);
	kept = blob_ref(a->attachments[0]);
	sio_assembly_free(&a);
	assert_str(blob_str(kept), STR("kept"));
	blob_unref(&kept);
}

static void test_no_memory_at_any_step_leaks_nothing(void **state)
{
	struct str text = STR("52-[\"x\"]");
	struct sio_packet packet = decoded(text);

	(void)state;
	for (uint64_t failing = 1; failing <= 4; failing++) {
		struct sio_assembly *a = NULL;
		int err;

		mem_fail_at(failing);
		err = sio_assembly_begin(text, &packet, MAX_BYTES, &a);
		assert_int_equal(err, failing <= 2 ? E_NOMEM : 0);
		for (uint32_t i = 0; !err && i < 2; i++)
			err = sio_assembly_add(a, STR("part"));
		mem_fail_at(0);
		assert_int_equal(err, E_NOMEM);
		assert_true(failing <= 2 ? !a : a->got == failing - 3);
		sio_assembly_free(&a);
	}
}

/* What socket.io-parser 4.2 lets through, or throws "illegal attachments" at. */
static const struct {
	const char *data;
	uint32_t attachments;
	int err;
} placeholders[] = {
	{ "[\"x\"]", 1, 0 }, /* nothing stands for it */
	{ "[\"x\"," P0 "]", 1, 0 },
	{ "[\"x\"," P1 "," P0 "]", 2, 0 },
	{ "[\"x\"," P0 "," P0 "]", 1, 0 }, /* twice the same */
	{ "[\"x\",1,{\"a\":[{\"b\":" P0 "}]},null]", 1, 0 },
	{ "[" P0 "]", 1, 0 },
	{ "[ \"x\" , { \"num\" : 0 , \"_placeholder\" : true } ]", 1, 0 },
	{ "[\"x\",{\"_placeholder\":true,\"num\":0,\"more\":[1]}]", 1, 0 },
	{ "[\"x\",{\"_placeholder\":true,\"num\":0.0}]", 1, 0 },
	{ "[\"x\",{\"_placeholder\":true,\"num\":10e-1}]", 2, 0 },
	{ "[\"x\",{\"_placeholder\":true,\"num\":-0}]", 1, 0 },
	{ "[\"x\",{\"\\u005fplaceholder\":true,\"n\\u0075m\":0}]", 1, 0 },
	{ "[\"x\",{\"_placeholder\":true,\"num\":9}]", 10, 0 },
	/* one that is none */
	{ "[\"x\"," P1 "]", 1, E_SYNTAX },
	{ "[\"x\"," P0 "," P1 "]", 1, E_SYNTAX },
	{ "[\"x\",[[{\"a\":{\"b\":" P1 "}}]]]", 1, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":true}]", 1, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":true,\"num\":\"0\"}]", 1, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":true,\"num\":null}]", 1, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":true,\"num\":true}]", 1, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":true,\"num\":[0]}]", 1, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":true,\"num\":{}}]", 1, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":true,\"num\":-1}]", 1, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":true,\"num\":10}]", 10, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":true,\"num\":0.5}]", 1, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":true,\"num\":1e999}]", 1, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":true,\"num\":4294967296}]", 1, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":true,\"num\":18446744073709551616}]", 1, E_SYNTAX },
	{ "[\"x\",{\"\\u005fplaceholder\":true,\"num\":7}]", 1, E_SYNTAX },
	{ "[\"x\",{\"num\":7,\"_placeholder\":true}]", 1, E_SYNTAX },
	/* like one, and none */
	{ "[\"x\",{\"_placeholder\":false,\"num\":7}]", 1, 0 },
	{ "[\"x\",{\"_placeholder\":1,\"num\":7}]", 1, 0 },
	{ "[\"x\",{\"_placeholder\":\"true\",\"num\":7}]", 1, 0 },
	{ "[\"x\",{\"_placeholder\":null,\"num\":7}]", 1, 0 },
	{ "[\"x\",{\"_placeholder\":[true],\"num\":7}]", 1, 0 },
	{ "[\"x\",{\"placeholder\":true,\"num\":7}]", 1, 0 },
	{ "[\"x\",[\"_placeholder\",true,\"num\",7]]", 1, 0 },
	{ "[\"x\",\"{\\\"_placeholder\\\":true,\\\"num\\\":7}\"]", 1, 0 },
	{ "[\"x\",{\"a\":\"_placeholder\",\"num\":7}]", 1, 0 },
	/* the last member of a name counts */
	{ "[\"x\",{\"_placeholder\":true,\"num\":7,\"num\":0}]", 1, 0 },
	{ "[\"x\",{\"_placeholder\":true,\"num\":0,\"num\":7}]", 1, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":true,\"num\":7,\"_placeholder\":false}]", 1, 0 },
	{ "[\"x\",{\"_placeholder\":false,\"num\":7,\"_placeholder\":true}]", 1, E_SYNTAX },
	/* one is not looked into, whatever comes first; what only looks like one is */
	{ "[\"x\",{\"_placeholder\":true,\"num\":0,\"in\":" P1 "}]", 1, 0 },
	{ "[\"x\",{\"in\":[" P1 "],\"num\":0,\"_placeholder\":true}]", 1, 0 },
	{ "[\"x\",{\"in\":" P1 ",\"num\":0,\"_placeholder\":false}]", 1, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":" P1 ",\"num\":0}]", 1, E_SYNTAX },
	{ "[\"x\",{\"_placeholder\":{\"in\":true},\"num\":7}]", 1, 0 },
};

static void test_placeholders_are_judged_as_the_javascript_parser_does(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(placeholders); i++) {
		struct json_value data;
		int err;

		assert_int_equal(json_parse(str_of(placeholders[i].data), &data), 0);
		err = sio_placeholders_check(data, placeholders[i].attachments);
		if (err != placeholders[i].err)
			fail_msg("'%s' with %u: got %s, want %s", placeholders[i].data,
				 placeholders[i].attachments, err_name(err),
				 err_name(placeholders[i].err));
	}
}

static void test_a_bad_placeholder_is_refused_before_its_attachments(void **state)
{
	struct str text = STR("51-[\"x\"," P1 "]");
	struct sio_packet packet = decoded(text);
	struct sio_assembly *a = NULL;

	(void)state;
	assert_int_equal(sio_assembly_begin(text, &packet, MAX_BYTES, &a), E_SYNTAX);
	assert_null(a);
}

static void test_placeholders_at_the_greatest_depth_are_found(void **state)
{
	struct buf text = BUF_INIT(4096);
	struct json_value data;

	(void)state;
	for (int inner = 0; inner < 2; inner++) {
		buf_reset(&text);
		for (int i = 0; i < JSON_MAX_DEPTH - 1; i++)
			buf_addz(&text, i % 2 ? "{\"a\":" : "[");
		buf_addz(&text, inner ? P1 : P0);
		for (int i = JSON_MAX_DEPTH - 2; i >= 0; i--)
			buf_addz(&text, i % 2 ? "}" : "]");
		assert_int_equal(json_parse(buf_str(&text), &data), 0);
		assert_int_equal(sio_placeholders_check(data, 1), inner ? E_SYNTAX : 0);
	}
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attachments_make_the_packet_whole_in_order),
		cmocka_unit_test(test_the_main_namespace_and_no_arguments_survive_the_copy),
		cmocka_unit_test(test_an_ack_is_put_together_like_an_event),
		cmocka_unit_test(test_another_packet_before_the_last_attachment_is_refused),
		cmocka_unit_test(test_a_packet_without_attachments_is_nothing_to_assemble),
		cmocka_unit_test(test_all_parts_together_are_bounded),
		cmocka_unit_test(test_the_whole_packet_may_outlive_the_assembly_by_references),
		cmocka_unit_test(test_no_memory_at_any_step_leaks_nothing),
		cmocka_unit_test(test_placeholders_are_judged_as_the_javascript_parser_does),
		cmocka_unit_test(test_a_bad_placeholder_is_refused_before_its_attachments),
		cmocka_unit_test(test_placeholders_at_the_greatest_depth_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
