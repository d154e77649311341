/* SPDX-License-Identifier: Apache-2.0 */
/* Which call a request is, whether it may, and what all calls have in common. */
#include "services/ingest/api.h"

#include "common/base/mem.h"
#include "services/ingest/api_query.h"

#define LANES_OF_CALLS (UINT64_C(1) << 63) /* other sources number theirs from below */
#define NAME_BYTES HTTP_MAX_TARGET_BYTES

/* `*` in a path stands for one segment. Rows of one path stand together. */
struct route {
	enum http_method method;
	const char *path;
	bool open; /* no key */
	api_handler_fn fn;
};

static const struct route routes[] = {
	{ HTTP_METHOD_GET, "/v1/openapi.json", true, api_get_openapi },
	{ HTTP_METHOD_POST, "/v1/publish", false, api_post_publish },
	{ HTTP_METHOD_POST, "/v1/events", false, api_post_event },
	{ HTTP_METHOD_GET, "/v1/rooms", false, api_get_rooms },
	{ HTTP_METHOD_GET, "/v1/rooms/*", false, api_get_room },
	{ HTTP_METHOD_POST, "/v1/rooms/*/join", false, api_post_join },
	{ HTTP_METHOD_POST, "/v1/rooms/*/leave", false, api_post_leave },
	{ HTTP_METHOD_POST, "/v1/rooms/*/disconnect", false, api_post_disconnect },
	{ HTTP_METHOD_GET, "/v1/users/*", false, api_get_user },
	{ HTTP_METHOD_GET, "/v1/sockets", false, api_get_sockets },
};

void *api_begin(struct ingest *ingest, size_t count, size_t bytes)
{
	void *call = NULL;

	if (!ingest->draining &&
	    ingest->calls_under_way + count <= (size_t)ingest->svc->conf.api_in_flight)
		call = mem_try(bytes);
	if (call)
		ingest->calls_under_way += count;
	return call;
}

void api_end(struct ingest *ingest, size_t count, void *call)
{
	ingest->calls_under_way -= count;
	mem_free(call);
}

uint64_t api_lane(struct ingest *ingest)
{
	return LANES_OF_CALLS | ++ingest->last_lane;
}

void api_refuse(struct http_exchange *x, struct buf *why)
{
	buf_addc(why, '\0');
	http_respond_error(x, 400, "INVALID_PAYLOAD",
			   why->failed || why->n == 1 ? "the body cannot be read" : why->p);
}

void api_unavailable(struct http_exchange *x, const char *message)
{
	struct buf body = BUF_INIT(1024);

	buf_addz(&body, "{\"code\":\"UNAVAILABLE\",\"message\":");
	buf_add_json(&body, str_of(message));
	buf_addc(&body, '}');
	http_respond(x, 503, STR("application/json"), STR("Retry-After: 1\r\n"), buf_str(&body));
	buf_fini(&body);
}

/* 0, or the answer has been given. */
static int check_key(struct ingest *ingest, struct http_exchange *x)
{
	struct str key = str_of(ingest->svc->conf.api_key), value, scheme, given = STR_NONE;

	if (key.n == 0) {
		http_respond_error(x, 403, "FORBIDDEN", "the API is off: set API_KEY to allow it");
		return E_DENIED;
	}
	if (http_header(x, "authorization", &value) && str_cut(value, ' ', &scheme, &given) &&
	    str_eq_nocase(scheme, STR("bearer")) && str_eq_secret(str_trim(given), key))
		return 0;
	http_respond(x, 401, STR("application/json"), STR("WWW-Authenticate: Bearer\r\n"),
		     STR("{\"code\":\"UNAUTHORIZED\",\"message\":\"send the header Authorization: "
			 "Bearer API_KEY\"}"));
	return E_DENIED;
}

/* Whether the path is this one; segment: what stands for `*`. */
static bool matches(const char *pattern, struct str path, struct str *segment)
{
	struct str want = str_of(pattern), head, tail, rest;

	*segment = STR_NONE;
	if (!str_cut(want, '*', &head, &tail))
		return str_eq(want, path);
	if (!str_starts(path, head))
		return false;
	str_cut(str_skip(path, head.n), '/', segment, &rest);
	rest = str_skip(path, head.n + segment->n);
	return segment->n > 0 && str_eq(rest, tail);
}

static const struct route *find(struct str path, struct str *segment)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (matches(routes[i].path, path, segment))
			return &routes[i];
	return NULL;
}

static void refuse_method(struct http_exchange *x, enum http_method allowed)
{
	if (allowed == HTTP_METHOD_POST)
		http_respond(x, 405, STR("application/json"), STR("Allow: POST\r\n"),
			     STR("{\"code\":\"METHOD_NOT_ALLOWED\",\"message\":\"use POST\"}"));
	else
		http_respond(x, 405, STR("application/json"), STR("Allow: GET\r\n"),
			     STR("{\"code\":\"METHOD_NOT_ALLOWED\",\"message\":\"use GET\"}"));
}

void api_on_request(struct http_exchange *x, const struct http_request *request, void *ctx)
{
	struct ingest *ingest = ctx;
	struct buf text = BUF_INIT(NAME_BYTES), why = BUF_INIT(512);
	struct str segment, name = STR_NONE;
	const struct route *route = find(request->path, &segment);

	if (!route)
		http_respond_error(x, 404, "NOT_FOUND",
				   "there is no such call: see GET /v1/openapi.json");
	else if (!route->open && check_key(ingest, x))
		;
	else if (request->method != route->method)
		refuse_method(x, route->method);
	else if (segment.n && api_query_name(segment, &text, &name, &why))
		api_refuse(x, &why);
	else
		route->fn(ingest, x, request, name);
	buf_fini(&text);
	buf_fini(&why);
}
