/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bus/bus_peers.h"

#include <arpa/inet.h>
#include <netdb.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"

#define ENDPOINT_BYTES 256

/* A name that is looked up. Heap: a lookup under way outlives bus_peers_close. */
struct name {
	struct list node;
	struct bus_peers *peers; /* NULL: closed meanwhile */
	char host[200];
	char port[8];
	bool looking;
	uv_getaddrinfo_t request;
};

struct peer {
	struct list node;
	const struct name *of; /* NULL: as it stands in the list */
	bool seen;             /* in the lookup at hand */
	char endpoint[ENDPOINT_BYTES];
};

struct bus_peers {
	struct svc *svc;
	const struct bus_peers_handlers *handlers;
	void *ctx;
	struct list names, peers;
	size_t count;
	struct wheel_timer timer;
};

static struct peer *find(struct bus_peers *p, const char *endpoint)
{
	LIST_EACH(&p->peers, node, next) {
		struct peer *peer = CONTAINER_OF(node, struct peer, node);

		if (strcmp(peer->endpoint, endpoint) == 0)
			return peer;
	}
	return NULL;
}

static void add(struct bus_peers *p, const struct name *of, const char *endpoint)
{
	struct peer *peer = find(p, endpoint);

	if (!peer) {
		if (p->count >= BUS_PEERS_MAX || !(peer = mem_try(sizeof(*peer))))
			return;
		snprintf(peer->endpoint, sizeof(peer->endpoint), "%s", endpoint);
		peer->of = of;
		list_append(&p->peers, &peer->node);
		p->count++;
		p->handlers->added(p->ctx, peer->endpoint);
	}
	peer->seen = true;
}

static void remove_unseen(struct bus_peers *p, const struct name *of)
{
	LIST_EACH(&p->peers, node, next) {
		struct peer *peer = CONTAINER_OF(node, struct peer, node);

		if (peer->of != of || peer->seen)
			continue;
		p->handlers->removed(p->ctx, peer->endpoint);
		list_remove(&peer->node);
		p->count--;
		mem_free(peer);
	}
}

static void on_addresses(uv_getaddrinfo_t *request, int status, struct addrinfo *result)
{
	struct name *name = request->data;
	struct bus_peers *p = name->peers;

	name->looking = false;
	if (!p) {
		uv_freeaddrinfo(result);
		mem_free(name);
		return;
	}
	if (status) {
		log_warn("bus", "a name cannot be resolved: the addresses known before stay",
			 KV_Z("host", name->host), KV_Z("reason", uv_strerror(status)));
		return;
	}
	LIST_EACH(&p->peers, node, next)
		CONTAINER_OF(node, struct peer, node)->seen = false;
	for (struct addrinfo *a = result; a; a = a->ai_next) {
		char address[INET6_ADDRSTRLEN], endpoint[ENDPOINT_BYTES];

		if (a->ai_family != AF_INET ||
		    uv_ip4_name((struct sockaddr_in *)(void *)a->ai_addr, address, sizeof(address)))
			continue;
		snprintf(endpoint, sizeof(endpoint), "tcp://%s:%s", address, name->port);
		add(p, name, endpoint);
	}
	uv_freeaddrinfo(result);
	remove_unseen(p, name);
}

static void look_up(struct name *name)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };

	if (name->looking)
		return;
	name->request.data = name;
	name->looking = uv_getaddrinfo(name->peers->svc->loop, &name->request, on_addresses,
				       name->host, NULL, &hints) == 0;
}

static void on_timer(struct wheel_timer *timer)
{
	struct bus_peers *p = CONTAINER_OF(timer, struct bus_peers, timer);

	LIST_EACH(&p->names, node, next)
		look_up(CONTAINER_OF(node, struct name, node));
	svc_arm(p->svc, timer, clock_ms() + BUS_PEERS_AGAIN_MS);
}

/* One item of the list. */
static int take(struct bus_peers *p, struct str item)
{
	struct str rest, host, port;
	char endpoint[ENDPOINT_BYTES];
	struct in_addr address;
	struct name *name;
	uint64_t number;

	if (str_copy(item, endpoint, sizeof(endpoint)))
		return E_CONFIG;
	if (str_starts(item, STR("ipc://")) && item.n > 6) {
		add(p, NULL, endpoint);
		return 0;
	}
	if (!str_starts(item, STR("tcp://")))
		return E_CONFIG;
	rest = str_skip(item, 6);
	if (!str_cut(rest, ':', &host, &port) || host.n == 0 || str_to_u64(port, &number) ||
	    number == 0 || number > 65535)
		return E_CONFIG;
	name = mem_need(sizeof(*name));
	if (str_copy(host, name->host, sizeof(name->host)) ||
	    str_copy(port, name->port, sizeof(name->port))) {
		mem_free(name);
		return E_CONFIG;
	}
	if (inet_pton(AF_INET, name->host, &address) == 1) {
		mem_free(name);
		add(p, NULL, endpoint);
		return 0;
	}
	name->peers = p;
	list_append(&p->names, &name->node);
	return 0;
}

int bus_peers_open(struct svc *svc, const char *endpoints,
		   const struct bus_peers_handlers *handlers, void *ctx, struct bus_peers **peers)
{
	struct bus_peers *p = mem_need(sizeof(*p));
	struct str rest = str_of(endpoints), item;

	p->svc = svc;
	p->handlers = handlers;
	p->ctx = ctx;
	list_init(&p->names);
	list_init(&p->peers);
	wheel_timer_init(&p->timer, on_timer);
	*peers = p;
	while (conf_list_next(&rest, &item)) {
		if (take(p, item) == 0)
			continue;
		log_error("bus", "not an endpoint: allowed are ipc://PATH and tcp://HOST:PORT",
			  KV_STR("found", item));
		bus_peers_close(peers);
		return E_CONFIG;
	}
	if (!list_empty(&p->names))
		on_timer(&p->timer);
	return 0;
}

void bus_peers_close(struct bus_peers **peers)
{
	struct bus_peers *p = *peers;
	struct list *node;

	*peers = NULL;
	if (!p)
		return;
	svc_cancel(p->svc, &p->timer);
	while ((node = list_pop(&p->names)) != NULL) {
		struct name *name = CONTAINER_OF(node, struct name, node);

		name->peers = NULL;
		if (name->looking)
			uv_cancel((uv_req_t *)&name->request); /* on_addresses frees it */
		else
			mem_free(name);
	}
	while ((node = list_pop(&p->peers)) != NULL)
		mem_free(CONTAINER_OF(node, struct peer, node));
	mem_free(p);
}
