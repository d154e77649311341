/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/front.h"

static bool is_listed(const struct edge *edge, struct str origin, bool *any)
{
	struct str rest = str_of(edge->svc->conf.cors_origins), item;

	*any = false;
	while (conf_list_next(&rest, &item)) {
		if (str_is(item, "*"))
			*any = true;
		else if (str_eq_nocase(item, origin))
			return true;
	}
	return *any;
}

/* "https://host:port" without the scheme, against the Host header. */
static bool is_own_host(const struct http_exchange *x, struct str origin)
{
	struct str host, scheme, rest;

	if (!http_header(x, "host", &host) || !str_cut(origin, ':', &scheme, &rest) ||
	    !str_starts(rest, STR("//")))
		return false;
	return str_eq_nocase(str_skip(rest, 2), host);
}

bool cors_allows_websocket(const struct edge *edge, const struct http_exchange *x)
{
	struct str origin;
	bool any;

	if (!http_header(x, "origin", &origin)) /* no browser */
		return true;
	if (is_own_host(x, origin))
		return true;
	return is_listed(edge, origin, &any);
}

void cors_add_headers(const struct edge *edge, const struct http_exchange *x, struct buf *out)
{
	struct str origin;
	bool any;

	if (!http_header(x, "origin", &origin) || !is_listed(edge, origin, &any))
		return;
	/* A listed origin may send credentials; "*" stands for everybody, without. */
	buf_addz(out, "Access-Control-Allow-Origin: ");
	buf_add(out, any ? STR("*") : origin);
	buf_addz(out,
		 any ? "\r\n" : "\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n");
}

void cors_preflight(struct edge *edge, struct http_exchange *x)
{
	struct buf headers = BUF_INIT(16384);
	struct str wanted;

	cors_add_headers(edge, x, &headers);
	if (headers.n > 0) {
		buf_addz(&headers, "Access-Control-Allow-Methods: GET, POST, "
				   "OPTIONS\r\nAccess-Control-Max-Age: 600\r\n"
				   "Access-Control-Allow-Headers: ");
		buf_add(&headers, http_header(x, "access-control-request-headers", &wanted)
					  ? wanted
					  : STR("Content-Type, Authorization"));
		buf_addz(&headers, "\r\n");
	}
	http_respond(x, 204, STR_NONE, buf_str(&headers), STR_NONE);
	buf_fini(&headers);
}
