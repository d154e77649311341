/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sio/ws_offer.h"

#include <stdlib.h>

#include "common/base/base_test.h"

static const struct {
	struct str header;
	bool allows;
} rows[] = {
	/* what clients in use send */
	{ STR("permessage-deflate"), true },
	{ STR("permessage-deflate; client_max_window_bits"), true },
	{ STR("permessage-deflate; client_max_window_bits=10"), true },
	{ STR("permessage-deflate; server_no_context_takeover; client_no_context_takeover"), true },
	{ STR("permessage-deflate;client_no_context_takeover;server_no_context_takeover"), true },
	{ STR("permessage-deflate; client_max_window_bits, x-webkit-deflate-frame"), true },
	/* several offers: any of them */
	{ STR("permessage-deflate; server_max_window_bits=10, permessage-deflate"), true },
	{ STR("permessage-deflate; mystery, permessage-deflate; client_max_window_bits=15"), true },
	{ STR("foo; bar=baz; quoted=\"token\", permessage-deflate"), true },
	{ STR("foo, bar;x=1"), false },
	{ STR("permessage-deflate, permessage-deflate"), true },
	{ STR("permessage-deflate; x, permessage-deflate; y"), false },
	/* blanks and empty elements */
	{ STR(" \tpermessage-deflate\t;\tclient_max_window_bits = 9 , "), true },
	{ STR(",, ,permessage-deflate,,"), true },
	{ STR(""), false },
	{ { NULL, 0 }, false },
	{ STR(" , ,"), false },
	/* values */
	{ STR("permessage-deflate; client_max_window_bits=\"12\""), true },
	{ STR("permessage-deflate; client_max_window_bits=\"1\\2\""), true },
	{ STR("permessage-deflate; client_max_window_bits=8"), true },
	{ STR("permessage-deflate; client_max_window_bits=7"), false },
	{ STR("permessage-deflate; client_max_window_bits=16"), false },
	{ STR("permessage-deflate; client_max_window_bits=08"), false },
	{ STR("permessage-deflate; client_max_window_bits=150"), false },
	{ STR("permessage-deflate; client_max_window_bits=1a"), false },
	{ STR("permessage-deflate; client_max_window_bits=-9"), false },
	{ STR("permessage-deflate; client_no_context_takeover=1"), false },
	{ STR("permessage-deflate; server_no_context_takeover=true"), false },
	/* would have to be answered */
	{ STR("permessage-deflate; server_max_window_bits=15"), false },
	{ STR("permessage-deflate; server_max_window_bits"), false },
	/* doubled or unknown parameters */
	{ STR("permessage-deflate; client_max_window_bits; client_max_window_bits"), false },
	{ STR("permessage-deflate; server_no_context_takeover; server_no_context_takeover"),
	  false },
	{ STR("permessage-deflate; client_no_context"), false },
	{ STR("permessage-deflate; client_no_context_takeover2"), false },
	/* other names */
	{ STR("permessage-deflate2"), false },
	{ STR("permessage-deflat"), false },
	{ STR("Permessage-Deflate"), false },
	{ STR("permessage-bzip2"), false },
	/* malformed as a whole: a good offer in it does not count */
	{ STR("permessage-deflate;"), false },
	{ STR("permessage-deflate; ;client_max_window_bits"), false },
	{ STR(";permessage-deflate"), false },
	{ STR("permessage-deflate client_max_window_bits"), false },
	{ STR("permessage-deflate, foo bar"), false },
	{ STR("permessage-deflate, foo;=1"), false },
	{ STR("permessage-deflate, foo; x="), false },
	{ STR("permessage-deflate, foo; x=\"\""), false },
	{ STR("permessage-deflate, foo; x=\"open"), false },
	{ STR("permessage-deflate, foo; x=\"a b\""), false },
	{ STR("permessage-deflate, foo; x=\"a\\"), false },
	{ STR("permessage-deflate, foo; x=\"a\"b"), false },
	{ STR("permessage-deflate, foo=1"), false },
	{ STR("permessage-deflate\0"), false },
	{ STR("permessage-deflate, f\xc3\xa9"), false },
	{ STR("permessage-deflate\r\nSet-Cookie: x"), false },
};

static void test_offer_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		bool got = ws_offer_allows_deflate(rows[i].header);

		if (got != rows[i].allows)
			fail_msg("\"" STR_FMT "\": got %d, want %d", STR_ARG(rows[i].header), got,
				 rows[i].allows);
	}
}

static void test_offer_cut_anywhere_stays_in_bounds(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		for (size_t n = 0; n < rows[i].header.n; n++) {
			char *exact =
				malloc(n ? n : 1); /* a sanitizer build sees one byte too many */

			memcpy(exact, rows[i].header.p, n);
			(void)ws_offer_allows_deflate(str_make(exact, n));
			free(exact);
		}
	}
}

static void test_our_own_answer_is_an_offer_we_take(void **state)
{
	(void)state;
	assert_true(ws_offer_allows_deflate(STR(WS_OFFER_DEFLATE_ANSWER)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offer_table),
		cmocka_unit_test(test_offer_cut_anywhere_stays_in_bounds),
		cmocka_unit_test(test_our_own_answer_is_an_offer_we_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
