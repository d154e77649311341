/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed messages (common/adapt/adapt_deflate.c): arbitrary bytes expand within the bound or are refused; the same bytes, compressed, come back;
 * and neither leaves anything behind for the next message.
 *
 * options: -max_len=20000
 *
 * Input: two bytes of the bound, then the message.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/adapt/adapt_deflate.h"

#define HELLO STR("\xf2\x48\xcd\xc9\xc9\x07\x00") /* RFC 7692 section 7.2.3.1 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct deflate *d;
	struct buf out, packed;
	struct str in;
	int err;

	if (!d)
		d = deflate_new(1);
	if (!d || size < 2)
		return 0;
	in = str_make((const char *)data + 2, size - 2);
	buf_init(&out, (size_t)data[0] << 8 | data[1]);
	buf_init(&packed, in.n + 64);
	err = deflate_expand(d, in, &out);
	must(err == 0 || err == E_TOOBIG || err == E_SYNTAX);
	must(out.n <= out.max && out.cap <= out.max);
	buf_fini(&out);
	buf_init(&out, in.n + 64);
	if (deflate_message(d, in, &packed) == 0) {
		must(packed.n < in.n);
		must(deflate_expand(d, buf_str(&packed), &out) == 0);
		must(str_eq(buf_str(&out), in));
	}
	buf_reset(&out);
	must(deflate_expand(d, HELLO, &out) == 0 && str_is(buf_str(&out), "Hello"));
	buf_fini(&out);
	buf_fini(&packed);
	return 0;
}
