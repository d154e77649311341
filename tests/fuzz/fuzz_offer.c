/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The offer in Sec-WebSocket-Extensions (common/sio/ws_offer.c) on arbitrary bytes: read within bounds, and judged by the rules of a list: more
 * blanks and empty elements change nothing, a foreign offer beside it changes nothing, a malformed one beside it ends everything,
 * and two lists joined allow what one of them allows.
 *
 * options: -max_len=600
 *
 * Input: one byte that says where it is cut in two, then the header.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/sio/ws_offer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* before + header + after, in memory that ends where it ends */
static bool judge(struct str before, struct str header, struct str after)
{
	size_t n = before.n + header.n + after.n;
	char *exact = malloc(n ? n : 1);
	bool allows;

	must(exact != NULL);
	if (before.n)
		memcpy(exact, before.p, before.n);
	if (header.n)
		memcpy(exact + before.n, header.p, header.n);
	if (after.n)
		memcpy(exact + before.n + header.n, after.p, after.n);
	allows = ws_offer_allows_deflate(str_make(exact, n));
	free(exact);
	return allows;
}

/* Whether nothing in it is malformed: a good offer beside it counts. */
static bool well_formed(struct str header)
{
	return judge(STR("permessage-deflate,"), header, STR_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str header, left, right;
	bool allows;

	if (size == 0)
		return 0;
	header = str_make((const char *)data + 1, size - 1);
	allows = judge(STR_NONE, header, STR_NONE);
	must(allows == judge(STR(" , ,\t"), header, STR(" ,,")));
	must(allows == judge(STR("foo; bar=\"b\\az\","), header, STR(", x-webkit-deflate-frame")));
	must(!judge(STR("foo;,"), header, STR_NONE));
	must(!allows || well_formed(header));
	must(!allows || memmem(header.p, header.n, "permessage-deflate", 18) != NULL);
	left = str_make(header.p, data[0] % (header.n + 1));
	right = str_skip(header, left.n);
	if (well_formed(left) && well_formed(right)) {
		struct buf joined = BUF_INIT(size + 1);

		buf_add(&joined, left);
		buf_addc(&joined, ',');
		buf_add(&joined, right);
		must(judge(STR_NONE, buf_str(&joined), STR_NONE) ==
		     (judge(STR_NONE, left, STR_NONE) || judge(STR_NONE, right, STR_NONE)));
		buf_fini(&joined);
	}
	return 0;
}
