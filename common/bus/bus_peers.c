/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bus/bus_peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
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

/* A file of endpoints. */
struct file {
	struct list node;
	uint64_t read, taken; /* hashes of what was read last, and of what counts */
	int error;            /* errno of the last reading that was logged; 0: it could be read */
	char path[ENDPOINT_BYTES];
};

struct peer {
	struct list node;
	const void *of; /* the name or file; NULL: as it stands in the list */
	bool seen;      /* in the lookup at hand */
	char endpoint[ENDPOINT_BYTES];
};

struct bus_peers {
	struct svc *svc;
	const struct bus_peers_handlers *handlers;
	void *ctx;
	struct list names, files, peers;
	size_t count;
	struct wheel_timer timer, file_timer;
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

static void add(struct bus_peers *p, const void *of, const char *endpoint)
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
	if (!of)
		peer->of = NULL;
}

static void forget_seen(struct bus_peers *p)
{
	LIST_EACH(&p->peers, node, next)
		CONTAINER_OF(node, struct peer, node)->seen = false;
}

static void remove_unseen(struct bus_peers *p, const void *of)
{
	bool removed = false;

	LIST_EACH(&p->peers, node, next) {
		struct peer *peer = CONTAINER_OF(node, struct peer, node);

		if (peer->of != of || peer->seen)
			continue;
		p->handlers->removed(p->ctx, peer->endpoint);
		list_remove(&peer->node);
		p->count--;
		mem_free(peer);
		removed = true;
	}
	LIST_EACH(&p->files, node, next) { /* another file may have it, too: it adds it again */
		struct file *file = CONTAINER_OF(node, struct file, node);

		if (removed && file != of)
			file->taken = 0;
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
	forget_seen(p);
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

enum kind { NO_ENDPOINT = 0, AS_IT_STANDS, NAME_AND_PORT, FILE_OF_ENDPOINTS };

/* host and port: those of NAME_AND_PORT. */
static enum kind kind_of(struct str item, struct str *host, struct str *port)
{
	char text[ENDPOINT_BYTES];
	struct in_addr address;
	uint64_t number;

	if (item.n >= ENDPOINT_BYTES)
		return NO_ENDPOINT;
	if (str_starts(item, STR("ipc://")))
		return item.n > 6 ? AS_IT_STANDS : NO_ENDPOINT;
	if (str_starts(item, STR("file:///")))
		return item.n > 8 ? FILE_OF_ENDPOINTS : NO_ENDPOINT;
	if (!str_starts(item, STR("tcp://")) || !str_cut(str_skip(item, 6), ':', host, port) ||
	    host->n == 0 || str_copy(*host, text, sizeof(text)) || str_to_u64(*port, &number) ||
	    number == 0 || number > 65535)
		return NO_ENDPOINT;
	return inet_pton(AF_INET, text, &address) == 1 ? AS_IT_STANDS : NAME_AND_PORT;
}

/* ── files ── */

/* Bytes read, or a negative errno. */
static ssize_t read_file(const char *path, char *into, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n, total = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	while ((n = read(fd, into + total, room - (size_t)total)) > 0)
		total += n;
	if (n < 0)
		total = -errno;
	else if ((size_t)total == room)
		total = -EFBIG;
	close(fd);
	return total;
}

static void take_lines(struct bus_peers *p, struct file *file, struct str text)
{
	struct str line, comment, host, port;
	char endpoint[ENDPOINT_BYTES];

	forget_seen(p);
	while (text.n) {
		str_cut(text, '\n', &line, &text);
		str_cut(line, '#', &line, &comment);
		line = str_trim(line);
		if (line.n == 0)
			continue;
		if (kind_of(line, &host, &port) == AS_IT_STANDS &&
		    str_copy(line, endpoint, sizeof(endpoint)) == 0)
			add(p, file, endpoint);
		else
			log_error("bus", "a line is neither ipc://PATH nor tcp://ADDRESS:PORT",
				  KV_Z("file", file->path), KV_STR("found", line));
	}
	remove_unseen(p, file);
}

static void look_into(struct bus_peers *p, struct file *file, bool first)
{
	char text[BUS_PEERS_FILE_BYTES + 1];
	ssize_t n = read_file(file->path, text, sizeof(text));
	uint64_t before = file->read;

	if (n < 0) {
		if (file->error != (int)-n)
			log_error("bus", "a file of endpoints cannot be read: what was known stays",
				  KV_Z("file", file->path), KV_Z("reason", strerror((int)-n)));
		file->error = (int)-n;
		return;
	}
	file->error = 0;
	file->read = hash_stable64(str_make(text, (size_t)n));
	if (file->read == file->taken || (file->read != before && !first))
		return;
	file->taken = file->read;
	take_lines(p, file, str_make(text, (size_t)n));
}

static void on_file_timer(struct wheel_timer *timer)
{
	struct bus_peers *p = CONTAINER_OF(timer, struct bus_peers, file_timer);

	LIST_EACH(&p->files, node, next)
		look_into(p, CONTAINER_OF(node, struct file, node), false);
	svc_arm(p->svc, timer, clock_ms() + BUS_PEERS_FILE_MS);
}

/* ── the list ── */

static void take_file(struct bus_peers *p, struct str item)
{
	struct file *file = mem_need(sizeof(*file));

	if (str_copy(str_skip(item, 7), file->path, sizeof(file->path)))
		file->path[0] = '\0'; /* cannot be: kind_of has looked */
	list_append(&p->files, &file->node);
	look_into(p, file, true);
}

static int take_name(struct bus_peers *p, struct str host, struct str port)
{
	struct name *name = mem_need(sizeof(*name));

	if (str_copy(host, name->host, sizeof(name->host)) ||
	    str_copy(port, name->port, sizeof(name->port))) {
		mem_free(name);
		return E_CONFIG;
	}
	name->peers = p;
	list_append(&p->names, &name->node);
	return 0;
}

/* One item of the list. */
static int take(struct bus_peers *p, struct str item)
{
	char endpoint[ENDPOINT_BYTES];
	struct str host, port;

	switch (kind_of(item, &host, &port)) {
	case AS_IT_STANDS:
		if (str_copy(item, endpoint, sizeof(endpoint)))
			return E_CONFIG;
		add(p, NULL, endpoint);
		return 0;
	case FILE_OF_ENDPOINTS:
		take_file(p, item);
		return 0;
	case NAME_AND_PORT:
		return take_name(p, host, port);
	case NO_ENDPOINT:
		break;
	}
	return E_CONFIG;
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
	list_init(&p->files);
	list_init(&p->peers);
	wheel_timer_init(&p->file_timer, on_file_timer);
	wheel_timer_init(&p->timer, on_timer);
	*peers = p;
	while (conf_list_next(&rest, &item)) {
		if (take(p, item) == 0)
			continue;
		log_error(
			"bus",
			"not an endpoint: allowed are ipc://PATH, tcp://HOST:PORT and file:///PATH",
			KV_STR("found", item));
		bus_peers_close(peers);
		return E_CONFIG;
	}
	if (!list_empty(&p->names))
		on_timer(&p->timer);
	if (!list_empty(&p->files))
		svc_arm(svc, &p->file_timer, clock_ms() + BUS_PEERS_FILE_MS);
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
	svc_cancel(p->svc, &p->file_timer);
	while ((node = list_pop(&p->names)) != NULL) {
		struct name *name = CONTAINER_OF(node, struct name, node);

		name->peers = NULL;
		if (name->looking)
			uv_cancel((uv_req_t *)&name->request); /* on_addresses frees it */
		else
			mem_free(name);
	}
	while ((node = list_pop(&p->files)) != NULL)
		mem_free(CONTAINER_OF(node, struct file, node));
	while ((node = list_pop(&p->peers)) != NULL)
		mem_free(CONTAINER_OF(node, struct peer, node));
	mem_free(p);
}
