/* SPDX-License-Identifier: Apache-2.0 */
/* The shipped opsdesk profile's domain events, in every form its backends send them. */
#include "common/base/base_test.h"
#include "common/base/clock.h"
#include "common/profile/profile.h"

#define ID "8f14e45f-ceea-467f-a0e6-1b2c3d4e5f60"
#define ID_UPPER "8F14E45F-CEEA-467F-A0E6-1B2C3D4E5F60"

static struct profile *opsdesk;

static int set_up(void **state)
{
	struct buf errors = BUF_INIT(10000);
	int err = profile_load("opsdesk", &errors, &opsdesk);

	(void)state;
	if (err)
		print_error(STR_FMT, STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	return err;
}

static int tear_down(void **state)
{
	(void)state;
	profile_free(&opsdesk);
	return 0;
}

static const struct {
	const char *type, *body;
	int err;
	const char *why, *event, *args;
} rows[] = {
	{ "message.sent",
	  "{\"event\":\"message.sent\",\"payload\":{\"ticketId\":\"" ID "\", \"n\":1.50}}", 0, NULL,
	  "message:new", "{\"ticketId\":\"" ID "\", \"n\":1.50}" },
	{ "message.sent", "{\"data\":{\"ticketId\":\"" ID "\"}}", 0, NULL, "message:new",
	  "{\"ticketId\":\"" ID "\"}" },
	{ "message.sent", "{\"ticketId\":\"" ID "\",  \"text\":\"\\u00e9\"}", 0, NULL,
	  "message:new", "{\"ticketId\":\"" ID "\",  \"text\":\"\\u00e9\"}" },
	{ "message.sent", "{\"ticketId\":\"" ID_UPPER "\"}", 0, NULL, "message:new",
	  "{\"ticketId\":\"" ID_UPPER "\"}" },
	{ "message.sent", "{\"ticketId\":\"" ID "\",\"payload\":null,\"data\":[1]}", 0, NULL,
	  "message:new", "[1]" },
	{ "message.sent", "{\"ticketId\":\"" ID "\",\"payload\":null}", 0, NULL, "message:new",
	  "{\"ticketId\":\"" ID "\",\"payload\":null}" },
	{ "message.sent", "{\"ticketId\":\"" ID "\",\"payload\":false}", 0, NULL, "message:new",
	  "false" },
	{ "ticket.status_changed", "{\"payload\":{\"ticketId\":\"" ID "\",\"status\":\"open\"}}", 0,
	  NULL, "ticket:statusChanged", "{\"ticketId\":\"" ID "\",\"status\":\"open\"}" },
	{ "message.sent", "{\"payload\":{}}", E_TYPE, "ticketId is missing", NULL, NULL },
	{ "message.sent", "{}", E_TYPE, "ticketId is missing", NULL, NULL },
	{ "message.sent", "{\"payload\":{\"ticketId\":\"42\"}}", E_TYPE, "ticketId must be a uuid",
	  NULL, NULL },
	{ "message.sent", "{\"ticketId\":42,\"payload\":{\"ticketId\":\"" ID "\"}}", E_TYPE,
	  "ticketId must be a uuid", NULL, NULL },
	{ "message.sent", "[]", E_TYPE, "the body must be a JSON object", NULL, NULL },
	{ "message.read", "{\"ticketId\":\"" ID "\"}", E_UNKNOWN,
	  "the profile has no event of this type", NULL, NULL },
	{ "", "{}", E_UNKNOWN, "the profile has no event of this type", NULL, NULL },
};

static void test_map_of_every_form_then_message(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf scratch = BUF_INIT(10000), why = BUF_INIT(1000);
		struct ingest_mapped got;
		struct json_value body;
		int err;

		assert_int_equal(json_parse(str_of(rows[i].body), &body), 0);
		err = ingest_map(opsdesk, str_of(rows[i].type), body, &scratch, &got, &why);
		assert_str(buf_str(&why), str_of(rows[i].why));
		assert_int_equal(err, rows[i].err);
		if (!err) {
			assert_str(got.nsp, STR("/"));
			assert_str(got.event, str_of(rows[i].event));
			assert_str(got.args, str_of(rows[i].args));
			assert_int_equal(got.room_count, 1);
			assert_str(got.rooms[0], STR("ticket:" ID));
			assert_false(got.is_volatile);
		}
		buf_fini(&scratch);
		buf_fini(&why);
	}
}

static const char several[] =
	"profile: several\n"
	"dialect: socketio\n"
	"auth: { token: none }\n"
	"failure: { ack: '' }\n"
	"namespaces: [{ name: / }, { name: /custom }]\n"
	"ingest:\n"
	"  events:\n"
	"    - type: moved\n"
	"      namespace: /custom\n"
	"      fields:\n"
	"        - { name: a, type: id }\n"
	"        - { name: b, type: id, optional: true }\n"
	"      rooms: ['a:{a}', 'b:{b}', 'user:{body.user.id}']\n"
	"      args: ['{\"moved\": {a}, \"by\": {body.user.id}}', '\"{a}\", 1']\n"
	"      volatile: true\n"
	"    - type: plain\n"
	"      rooms: ['r:{body.r}']\n";

static void map_several(const char *type, const char *body, struct str want)
{
	struct buf errors = BUF_INIT(10000), scratch = BUF_INIT(10000), why = BUF_INIT(1000),
		   story = BUF_INIT(10000);
	struct ingest_mapped got;
	struct profile *p;
	struct json_value v;
	int err = profile_load_text("several.yaml", str_of(several), &errors, &p);

	assert_str(buf_str(&errors), STR_NONE);
	assert_int_equal(err, 0);
	assert_int_equal(json_parse(str_of(body), &v), 0);
	if (ingest_map(p, str_of(type), v, &scratch, &got, &why)) {
		buf_add(&story, buf_str(&why));
	} else {
		for (uint32_t i = 0; i < got.room_count; i++)
			buf_addf(&story, STR_FMT " ", STR_ARG(got.rooms[i]));
		buf_addf(&story, STR_FMT " " STR_FMT " " STR_FMT " %d", STR_ARG(got.nsp),
			 STR_ARG(got.event), STR_ARG(got.args), got.is_volatile);
	}
	assert_str(buf_str(&story), want);
	profile_free(&p);
	buf_fini(&errors);
	buf_fini(&scratch);
	buf_fini(&why);
	buf_fini(&story);
}

static void test_map_when_something_is_absent_then_left_out(void **state)
{
	(void)state;
	map_several("moved", "{\"a\":\"1\",\"b\":\"2\",\"user\":{\"id\":3}}",
		    STR("a:1 b:2 user:3 /custom moved {\"moved\":\"1\",\"by\":3} 1"));
	map_several("moved", "{\"a\":\"1\"}", STR("a:1 /custom moved \"1\",1 1"));
	map_several("moved", "{\"a\":\"1\",\"user\":{\"id\":[]}}",
		    STR("a room's name must be made of texts, numbers or booleans"));
	map_several("plain", "{\"r\":true}", STR("r:true / plain {\"r\":true} 0"));
	map_several("plain", "{}", STR("the event names no room"));
}

static void test_map_cost_printed(void **state)
{
	static const char text[] =
		"{\"event\":\"message.sent\",\"payload\":{\"ticketId\":\"" ID
		"\",\"author\":\"someone\",\"text\":\"a message of usual length\"}}";
	struct buf scratch = BUF_INIT(10000), why = BUF_INIT(1000);
	const unsigned rounds = 200000;
	struct ingest_mapped got;
	struct json_value body;
	uint64_t start;

	(void)state;
	assert_int_equal(json_parse(str_of(text), &body), 0);
	start = clock_exact_ns();
	for (unsigned i = 0; i < rounds; i++) {
		buf_reset(&scratch);
		assert_int_equal(
			ingest_map(opsdesk, STR("message.sent"), body, &scratch, &got, &why), 0);
	}
	print_message("map a domain event: %llu ns\n",
		      (unsigned long long)((clock_exact_ns() - start) / rounds));
	buf_fini(&scratch);
	buf_fini(&why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map_of_every_form_then_message),
		cmocka_unit_test(test_map_when_something_is_absent_then_left_out),
		cmocka_unit_test(test_map_cost_printed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
