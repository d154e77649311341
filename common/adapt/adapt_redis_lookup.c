/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_redis_lookup.h"

#include <netdb.h>
#include <stdio.h>

#include "common/base/mem.h"

struct redis_lookup {
	uv_getaddrinfo_t request;
	redis_lookup_done_fn fn; /* NULL: dropped */
	void *ctx;
};

bool redis_lookup_literal(const struct redis_url *url, struct redis_addresses *found)
{
	struct sockaddr_in *four = (struct sockaddr_in *)(void *)&found->items[0];
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&found->items[0];

	found->count = uv_ip4_addr(url->host, url->port, four) == 0 ||
		       uv_ip6_addr(url->host, url->port, six) == 0;
	return found->count > 0;
}

static void on_found(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	struct redis_lookup *lookup = request->data;
	struct redis_addresses found = { .count = 0 };
	char reason[128] = "the name of the host has no address";

	for (struct addrinfo *a = list; !status && a && found.count < REDIS_ADDRESSES;
	     a = a->ai_next)
		if (a->ai_addrlen <= sizeof(found.items[0]))
			memcpy(&found.items[found.count++], a->ai_addr, a->ai_addrlen);
	uv_freeaddrinfo(list);
	if (status)
		snprintf(reason, sizeof(reason), "the name of the host is not known: %s",
			 uv_strerror(status));
	if (lookup->fn)
		lookup->fn(lookup->ctx, &found, reason);
	mem_free(lookup);
}

int redis_lookup_start(uv_loop_t *loop, const struct redis_url *url, redis_lookup_done_fn fn,
		       void *ctx, struct redis_lookup **lookup)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct redis_lookup *l = mem_try(sizeof(*l));
	char port[16];

	if (!l)
		return E_NOMEM;
	l->fn = fn;
	l->ctx = ctx;
	l->request.data = l;
	snprintf(port, sizeof(port), "%d", url->port);
	if (uv_getaddrinfo(loop, &l->request, on_found, url->host, port, &hints)) {
		mem_free(l);
		return E_NOMEM;
	}
	*lookup = l;
	return 0;
}

void redis_lookup_drop(struct redis_lookup **lookup)
{
	struct redis_lookup *l = *lookup;

	*lookup = NULL;
	if (!l)
		return;
	l->fn = NULL;
	uv_cancel((uv_req_t *)&l->request);
}
