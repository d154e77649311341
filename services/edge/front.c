/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/front.h"

#include "services/edge/dialect.h"
#include "services/edge/forward.h"

static const struct {
	int status;
	const char *body;
} refusals[] = {
	[FRONT_TRANSPORT_UNKNOWN] = { 400, "{\"code\":0,\"message\":\"Transport unknown\"}" },
	[FRONT_SESSION_UNKNOWN] = { 400, "{\"code\":1,\"message\":\"Session ID unknown\"}" },
	[FRONT_BAD_METHOD] = { 400, "{\"code\":2,\"message\":\"Bad handshake method\"}" },
	[FRONT_BAD_REQUEST] = { 400, "{\"code\":3,\"message\":\"Bad request\"}" },
	[FRONT_FORBIDDEN] = { 403, "{\"code\":4,\"message\":\"Forbidden\"}" },
	[FRONT_BAD_VERSION] = { 400, "{\"code\":5,\"message\":\"Unsupported protocol version\"}" },
};

void front_answer(struct edge *edge, struct http_exchange *x, int status, const char *content_type,
		  struct str body)
{
	struct buf headers = BUF_INIT(4096);

	cors_add_headers(edge, x, &headers);
	buf_addz(&headers, "Cache-Control: no-store\r\n");
	http_respond(x, status, str_of(content_type), buf_str(&headers), body);
	buf_fini(&headers);
}

void front_refuse(struct edge *edge, struct http_exchange *x, enum front_refusal why)
{
	front_answer(edge, x, refusals[why].status, "application/json", str_of(refusals[why].body));
}

void front_reply(struct edge *edge, const struct asker *to, const char *content_type,
		 struct str body)
{
	struct wire_forwarded m = { .status = 200, .body = body };

	if (to->x)
		front_answer(edge, to->x, 200, content_type, body);
	else
		bus_answerer_reply(edge->forwards, &to->question, WIRE_FORWARDED, &m);
}

void front_refuse_asker(struct edge *edge, const struct asker *to, enum front_refusal why)
{
	struct wire_forwarded m = { .status = (uint64_t)refusals[why].status,
				    .refusal = (uint64_t)why };

	if (to->x)
		front_refuse(edge, to->x, why);
	else
		bus_answerer_reply(edge->forwards, &to->question, WIRE_FORWARDED, &m);
}

void front_turn_away(struct edge *edge, struct http_exchange *x, int status)
{
	struct buf headers = BUF_INIT(4096);

	cors_add_headers(edge, x, &headers);
	buf_addz(&headers, "Retry-After: 1\r\n");
	http_respond_close(x, status, STR("application/json"), buf_str(&headers),
			   status == 429 ? STR("{\"code\":\"TOO_MANY_CONNECTIONS\",\"message\":"
					       "\"too many connections of this address or user\"}")
					 : STR("{\"code\":\"UNAVAILABLE\",\"message\":\"this edge "
					       "takes no new clients now\"}"));
	buf_fini(&headers);
}

struct str front_token(struct http_exchange *x, const struct http_request *request,
		       struct buf *scratch)
{
	struct str value, scheme, token;

	if (http_header(x, "authorization", &value) && str_cut(value, ' ', &scheme, &token) &&
	    str_eq_nocase(scheme, STR("bearer")))
		return str_trim(token);
	if (http_query(request, "token", scratch, &value))
		return value;
	return STR_NONE;
}

bool front_is_version_4(const struct http_request *request)
{
	struct buf scratch = BUF_INIT(16);
	struct str version;
	bool is = http_query(request, "EIO", &scratch, &version) && str_is(version, "4");

	buf_fini(&scratch);
	return is;
}

void front_on_session_request(struct edge *edge, struct session *s, struct http_exchange *x,
			      const struct http_request *request, bool websocket)
{
	if (websocket != request->upgrade || !front_is_version_4(request))
		front_refuse(edge, x, FRONT_BAD_REQUEST);
	else
		(websocket ? ws_on_request : polling_on_request)(edge, s, x, request);
}

void front_on_engine_request(struct edge *edge, struct http_exchange *x,
			     const struct http_request *request)
{
	struct buf scratch = BUF_INIT(HTTP_MAX_TARGET_BYTES);
	struct str transport = STR_NONE, sid = STR_NONE;
	struct session *s = NULL;
	bool websocket, known;

	http_query(request, "transport", &scratch, &transport);
	websocket = str_is(transport, "websocket");
	known = websocket || str_is(transport, "polling");
	buf_reset(&scratch);
	if (known && http_query(request, "sid", &scratch, &sid) && sid.n > 0) {
		s = session_find(edge, sid);
		if (s)
			front_on_session_request(edge, s, x, request, websocket);
		else if (!forward_request(edge, sid, x, request, websocket))
			front_refuse(edge, x, FRONT_SESSION_UNKNOWN);
		buf_fini(&scratch);
		return;
	}
	buf_reset(&scratch);
	if (!known)
		front_refuse(edge, x, FRONT_TRANSPORT_UNKNOWN);
	else if (request->method != HTTP_METHOD_GET)
		front_refuse(edge, x, FRONT_BAD_METHOD);
	else if (websocket != request->upgrade)
		front_refuse(edge, x, FRONT_BAD_REQUEST);
	else if (!front_is_version_4(request))
		front_refuse(edge, x, FRONT_BAD_VERSION);
	else
		(websocket ? ws_on_request : polling_on_request)(edge, NULL, x, request);
	buf_fini(&scratch);
}

void front_on_request(struct http_exchange *x, const struct http_request *request, void *ctx)
{
	struct edge *edge = ctx;

	if (edge->dialect->request(edge, x, request))
		return;
	if (edge->assets && assets_serve(edge->assets, x, request))
		return;
	http_respond_error(x, 404, "NOT_FOUND", edge->dialect->offered);
}
