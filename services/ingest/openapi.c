/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/openapi.json: the description of the API, openapi.json beside this file, as it was when this was built. */
#include "services/ingest/api.h"

__asm__(".section .rodata\n"
	".global openapi_text\n"
	"openapi_text:\n"
	".incbin \"services/ingest/openapi.json\"\n"
	".byte 0\n"
	".previous\n");

extern const char openapi_text[];

void api_get_openapi(struct ingest *ingest, struct http_exchange *x,
		     const struct http_request *request, struct str name)
{
	(void)ingest;
	(void)request;
	(void)name;
	http_respond(x, 200, STR("application/json"), STR_NONE, str_of(openapi_text));
}
