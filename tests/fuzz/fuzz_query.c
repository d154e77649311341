/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query of arbitrary request targets (http_query in common/http), asked for every name an edge asks for, beside a second decoder.
 * Each name is asked for with room for the answer, and with less.
 * options: -max_len=8192
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/http/http_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = { "EIO", "transport", "sid", "token", "t", "b64", "" };

static void must(bool holds)
{
	if (!holds)
		abort();
}

static int digit(unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* What the first argument of this name stands for; false when there is none. */
static bool expected(struct str query, struct str name, char *out, size_t *n)
{
	size_t from = 0;

	*n = 0;
	for (size_t i = 0; i <= query.n && query.n; i++) {
		size_t at = from + name.n;

		if (i < query.n && query.p[i] != '&')
			continue;
		if (at <= i && str_starts(str_skip(query, from), name) && from < query.n &&
		    (at == i || query.p[at] == '=')) {
			while (++at < i) {
				int high = i - at > 2 ? digit((unsigned char)query.p[at + 1]) : -1;
				int low = i - at > 2 ? digit((unsigned char)query.p[at + 2]) : -1;
				bool escaped = query.p[at] == '%' && high >= 0 && low >= 0;

				out[(*n)++] = escaped ? (char)(high << 4 | low) : query.p[at];
				at += escaped ? 2 : 0;
			}
			return true;
		}
		from = i + 1;
	}
	return false;
}

static bool is_inside(struct str s, const char *p, size_t n)
{
	return s.n == 0 || (s.p >= p && s.n <= n && (size_t)(s.p - p) <= n - s.n);
}

static void ask(const struct http_request *request, const char *name, size_t scratch_bytes)
{
	struct buf scratch = BUF_INIT(scratch_bytes);
	char *want = malloc(request->query.n + 1);
	struct str value = STR("untouched");
	bool found;
	size_t n;

	must(want != NULL);
	found = http_query(request, name, &scratch, &value);
	must(found == expected(request->query, str_of(name), want, &n));
	must(is_inside(value, scratch.p, scratch.n) ||
	     is_inside(value, request->query.p, request->query.n));
	must(scratch.n <= scratch_bytes);
	if (scratch.failed)
		must(found && value.n == 0 && n > scratch_bytes);
	else
		must(str_eq(value, str_make(want, n)));
	free(want);
	buf_fini(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request request = { .method = HTTP_METHOD_GET };

	if (size > HTTP_MAX_TARGET_BYTES)
		return 0;
	request.target = str_make((const char *)data, size);
	str_cut(request.target, '?', &request.path, &request.query);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ask(&request, names[i], HTTP_MAX_TARGET_BYTES);
		ask(&request, names[i], 3);
	}
	return 0;
}
