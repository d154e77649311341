/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   pg_conn_open ─▶ look up names (libuv's pool) ─▶ PQconnectStartParams ─▶ PQconnectPoll … ─▶ opened
 *                   only where there are names                             (libpq may change its socket on the way)
 */
#include "common/adapt/adapt_pg_conn.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/log/log.h"

#define MAX_ADDRESSES 32
#define MAX_OPTIONS 64
#define LIST_MAX_BYTES (64u << 10)

/* What is set unless the URI says otherwise. */
static const struct {
	const char *keyword, *value;
} defaults[] = {
	{ "fallback_application_name", "roomwire" },
	{ "client_encoding", "UTF8" },
	{ "keepalives_idle", "15" },
	{ "keepalives_interval", "5" },
	{ "keepalives_count", "3" },
	{ "gssencmode", "disable" }, /* would ask Kerberos, which waits */
};

struct pg_target {
	PQconninfoOption *options; /* OWNED, of libpq */
	const char *host;          /* list by commas; NULL: libpq's default */
	const char *port;          /* list; NULL: default */
	const char *password;      /* NULL: none in the URI */
	bool has_address;          /* hostaddr was given: nothing to look up */
};

struct pg_address {
	struct str host, port;       /* BORROWED from the target */
	char text[INET6_ADDRSTRLEN]; /* empty: libpq takes the host as it is */
};

struct pg_lookup {
	uv_getaddrinfo_t request;
	struct pg_conn *conn; /* NULL: closed meanwhile */
};

enum conn_state { CONN_LOOKUP = 0, CONN_CONNECTING, CONN_OPEN };

struct pg_conn {
	enum conn_state state;
	uv_loop_t *loop;
	const struct pg_target *target;
	struct pg_conn_hooks hooks;
	PGconn *libpq;   /* OWNED */
	uv_poll_t *poll; /* OWNED until its close callback; NULL: none yet */
	int fd;          /* that poll is for */
	bool want_write;
	unsigned first;
	struct pg_lookup *lookup; /* under way, or NULL; frees itself */
	struct str hosts, ports;  /* not looked up yet */
	bool several_ports;
	struct str host, port; /* being looked up */
	struct pg_address addresses[MAX_ADDRESSES];
	unsigned address_count;
	char reason[SVC_REASON_BYTES]; /* of the last lookup that failed */
};

/* ── target ── */

static const char *option(const struct pg_target *t, const char *keyword)
{
	for (const PQconninfoOption *o = t->options; o->keyword; o++)
		if (!strcmp(o->keyword, keyword))
			return o->val && *o->val ? o->val : NULL;
	return NULL;
}

int pg_target_parse(const char *uri, struct pg_target **target)
{
	struct pg_target *t;
	char *message = NULL;
	PQconninfoOption *options = PQconninfoParse(uri, &message);

	PQfreemem(message); /* may repeat the URI, password and all */
	if (!options)
		return E_CONFIG;
	t = mem_need(sizeof(*t));
	t->options = options;
	t->host = option(t, "host") ? option(t, "host") : getenv("PGHOST");
	t->port = option(t, "port") ? option(t, "port") : getenv("PGPORT");
	t->password = option(t, "password");
	t->has_address = option(t, "hostaddr") || getenv("PGHOSTADDR");
	*target = t;
	return 0;
}

void pg_target_free(struct pg_target **target)
{
	struct pg_target *t = *target;

	*target = NULL;
	if (!t)
		return;
	PQconninfoFree(t->options);
	mem_free(t);
}

void pg_target_reason(const struct pg_target *target, const char *text,
		      char reason[SVC_REASON_BYTES])
{
	size_t hidden = target->password ? strlen(target->password) : 0, n = 0;

	while (*text && n + 4 < SVC_REASON_BYTES) {
		if (hidden && !strncmp(text, target->password, hidden)) {
			n += (size_t)snprintf(reason + n, SVC_REASON_BYTES - n, "***");
			text += hidden;
		} else {
			char ch = (unsigned char)*text < ' ' ? ' ' : *text; /* one line */

			if (ch != ' ' || (n && reason[n - 1] != ' '))
				reason[n++] = ch;
			text++;
		}
	}
	while (n && reason[n - 1] == ' ')
		n--;
	reason[n] = 0;
}

/* ── socket ── */

static void on_poll_closed(uv_handle_t *handle)
{
	mem_free(handle);
}

static void close_poll(struct pg_conn *c)
{
	if (!c->poll)
		return;
	uv_poll_stop(c->poll);
	c->poll->data = NULL;
	uv_close((uv_handle_t *)c->poll, on_poll_closed);
	c->poll = NULL;
	c->fd = -1;
}

static void on_poll(uv_poll_t *poll, int status, int events);

/* Watch libpq's present socket, which need not be the one of before. */
static int watch(struct pg_conn *c, int events)
{
	int fd = PQsocket(c->libpq);

	if (fd < 0)
		return E_IO;
	if (c->poll && c->fd != fd)
		close_poll(c);
	if (!c->poll) {
		c->poll = mem_try(sizeof(*c->poll));
		if (!c->poll)
			return E_NOMEM;
		if (uv_poll_init(c->loop, c->poll, fd)) {
			mem_free(c->poll);
			c->poll = NULL;
			return E_IO;
		}
		c->poll->data = c;
		c->fd = fd;
	}
	return uv_poll_start(c->poll, events, on_poll) ? E_IO : 0;
}

static void fail(struct pg_conn *c, const char *text)
{
	char reason[SVC_REASON_BYTES];

	pg_target_reason(c->target, text, reason);
	if (c->poll)
		uv_poll_stop(c->poll);
	c->hooks.failed(c->hooks.ctx, reason);
}

static void go_on_connecting(struct pg_conn *c)
{
	PostgresPollingStatusType status;

	/* libpq may close the socket and get the same number again: libuv must not believe that it watches it. */
	uv_poll_stop(c->poll);
	status = PQconnectPoll(c->libpq);
	if (status == PGRES_POLLING_FAILED) {
		fail(c, PQerrorMessage(c->libpq));
	} else if (status == PGRES_POLLING_OK) {
		if (PQsetnonblocking(c->libpq, 1) || watch(c, UV_READABLE)) {
			fail(c, "the socket cannot be used");
			return;
		}
		c->state = CONN_OPEN;
		c->hooks.opened(c->hooks.ctx);
	} else if (watch(c, status == PGRES_POLLING_WRITING ? UV_WRITABLE : UV_READABLE)) {
		fail(c, "the socket cannot be watched");
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct pg_conn *c = poll->data;

	(void)status; /* libpq meets the error itself */
	(void)events;
	if (!c)
		return;
	if (c->state == CONN_CONNECTING)
		go_on_connecting(c);
	else
		c->hooks.ready(c->hooks.ctx);
}

void pg_conn_want_write(struct pg_conn *conn, bool wanted)
{
	if (wanted == conn->want_write)
		return;
	conn->want_write = wanted;
	/* Should it fail, the deadline of the oldest query notices. */
	if (watch(conn, UV_READABLE | (wanted ? UV_WRITABLE : 0)))
		log_warn("postgresql", "the socket cannot be watched");
}

PGconn *pg_conn_libpq(const struct pg_conn *conn)
{
	return conn->libpq;
}

static void on_notice(void *ctx, const char *message)
{
	char line[SVC_REASON_BYTES];

	pg_target_reason(ctx, message, line);
	log_debug("postgresql", "notice", KV_Z("text", line));
}

/* ── connecting ── */

/* Three lists of equal length by commas, as libpq takes them. */
static void add_addresses(const struct pg_conn *c, struct buf *hosts, struct buf *texts,
			  struct buf *ports)
{
	for (unsigned i = 0; i < c->address_count; i++) {
		const struct pg_address *a = &c->addresses[(c->first + i) % c->address_count];

		if (i) {
			buf_addc(hosts, ',');
			buf_addc(texts, ',');
			buf_addc(ports, ',');
		}
		buf_add(hosts, a->host);
		buf_addz(texts, a->text);
		buf_add(ports, a->port);
	}
	buf_addc(hosts, 0);
	buf_addc(texts, 0);
	buf_addc(ports, 0);
}

struct options {
	const char *keywords[MAX_OPTIONS], *values[MAX_OPTIONS];
	size_t count;
};

static void add_option(struct options *o, const char *keyword, const char *value)
{
	if (o->count + 1 >= MAX_OPTIONS) /* libpq 15 knows 43 */
		return;
	o->keywords[o->count] = keyword;
	o->values[o->count++] = value;
	o->keywords[o->count] = o->values[o->count] = NULL;
}

static void gather_options(const struct pg_target *t, bool with_addresses, struct options *o)
{
	for (const PQconninfoOption *given = t->options; given->keyword; given++) {
		bool replaced = with_addresses && (!strcmp(given->keyword, "host") ||
						   !strcmp(given->keyword, "port"));

		if (given->val && *given->val && !replaced)
			add_option(o, given->keyword, given->val);
	}
	for (size_t i = 0; i < sizeof(defaults) / sizeof(*defaults); i++)
		if (!option(t, defaults[i].keyword))
			add_option(o, defaults[i].keyword, defaults[i].value);
}

static int start_connecting(struct pg_conn *c, char reason[SVC_REASON_BYTES])
{
	struct buf hosts = BUF_INIT(LIST_MAX_BYTES), texts = BUF_INIT(LIST_MAX_BYTES),
		   ports = BUF_INIT(LIST_MAX_BYTES);
	struct options o = { .count = 0 };
	int err = 0;

	gather_options(c->target, c->address_count > 0, &o);
	if (c->address_count) {
		add_addresses(c, &hosts, &texts, &ports);
		err = hosts.failed ? hosts.failed : texts.failed ? texts.failed : ports.failed;
		add_option(&o, "host", hosts.p);
		add_option(&o, "hostaddr", texts.p);
		add_option(&o, "port", ports.p);
	}
	if (!err)
		c->libpq = PQconnectStartParams(o.keywords, o.values, 0);
	buf_fini(&hosts);
	buf_fini(&texts);
	buf_fini(&ports);
	if (!c->libpq)
		return err ? err : E_NOMEM;
	c->state = CONN_CONNECTING;
	PQsetNoticeProcessor(c->libpq, on_notice, (void *)c->target);
	if (PQstatus(c->libpq) == CONNECTION_BAD || watch(c, UV_WRITABLE)) {
		pg_target_reason(c->target, PQerrorMessage(c->libpq), reason);
		return E_UNAVAILABLE;
	}
	return 0;
}

/* ── names ── */

static void add_address(struct pg_conn *c, const char *text)
{
	struct pg_address *a;

	if (c->address_count == MAX_ADDRESSES)
		return;
	a = &c->addresses[c->address_count++];
	a->host = c->host;
	a->port = c->port;
	snprintf(a->text, sizeof(a->text), "%s", text);
}

static int look_up_next(struct pg_conn *c, char reason[SVC_REASON_BYTES]);

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
	struct pg_lookup *lookup = request->data;
	struct pg_conn *c = lookup->conn;
	char text[INET6_ADDRSTRLEN], reason[SVC_REASON_BYTES] = "out of memory";

	mem_free(lookup);
	if (!c) {
		uv_freeaddrinfo(found);
		return;
	}
	c->lookup = NULL;
	for (struct addrinfo *a = found; !status && a; a = a->ai_next)
		if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0,
				NI_NUMERICHOST) == 0)
			add_address(c, text);
	uv_freeaddrinfo(found);
	if (status)
		snprintf(c->reason, sizeof(c->reason), "the name %.*s is not known: %s",
			 (int)(c->host.n < 80 ? c->host.n : 80), c->host.p, uv_strerror(status));
	if (look_up_next(c, reason))
		fail(c, reason);
}

static int look_up(struct pg_conn *c)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct pg_lookup *lookup;
	char name[NI_MAXHOST];

	if (str_copy(c->host, name, sizeof(name)))
		return E_TOOBIG;
	lookup = mem_try(sizeof(*lookup));
	if (!lookup)
		return E_NOMEM;
	lookup->conn = c;
	lookup->request.data = lookup;
	if (uv_getaddrinfo(c->loop, &lookup->request, on_looked_up, name, NULL, &hints)) {
		mem_free(lookup);
		return E_NOMEM;
	}
	c->lookup = lookup;
	return 0;
}

/* A folder of Unix sockets, an address, or nothing: libpq needs no lookup for it. */
static bool is_no_name(struct str host)
{
	char text[INET6_ADDRSTRLEN + 1];
	struct in6_addr address;

	if (!host.n || host.p[0] == '/' || host.p[0] == '@')
		return true;
	return str_copy(host, text, sizeof(text)) == 0 &&
	       (inet_pton(AF_INET, text, &address) == 1 ||
		inet_pton(AF_INET6, text, &address) == 1);
}

/* Go through the list of hosts until one has to be looked up; at its end connect. */
static int look_up_next(struct pg_conn *c, char reason[SVC_REASON_BYTES])
{
	int err;

	while (c->hosts.p) {
		bool more = str_cut(c->hosts, ',', &c->host, &c->hosts);

		if (!more)
			c->hosts = STR_NONE;
		if (c->several_ports)
			str_cut(c->ports, ',', &c->port, &c->ports);
		if (is_no_name(c->host)) {
			add_address(c, "");
			continue;
		}
		err = look_up(c);
		if (err != E_TOOBIG)
			return err;
		snprintf(c->reason, sizeof(c->reason), "a host name is too long");
	}
	if (!c->address_count) {
		snprintf(reason, SVC_REASON_BYTES, "%s", c->reason);
		return E_UNAVAILABLE;
	}
	return start_connecting(c, reason);
}

int pg_conn_open(uv_loop_t *loop, const struct pg_target *target, unsigned first,
		 const struct pg_conn_hooks *hooks, char reason[SVC_REASON_BYTES],
		 struct pg_conn **conn)
{
	struct pg_conn *c = mem_try(sizeof(*c));
	int err;

	snprintf(reason, SVC_REASON_BYTES, "out of memory");
	if (!c)
		return E_NOMEM;
	c->loop = loop;
	c->target = target;
	c->hooks = *hooks;
	c->first = first;
	c->fd = -1;
	if (target->host && !target->has_address) {
		c->hosts = str_of(target->host);
		c->ports = c->port = str_of(target->port);
		c->several_ports = memchr(target->port ? target->port : "", ',', c->ports.n) !=
				   NULL;
		err = look_up_next(c, reason);
	} else {
		err = start_connecting(c, reason);
	}
	*conn = c;
	if (err)
		pg_conn_close(conn);
	return err;
}

void pg_conn_close(struct pg_conn **conn)
{
	struct pg_conn *c = *conn;

	*conn = NULL;
	if (!c)
		return;
	if (c->lookup) {
		c->lookup->conn = NULL;
		uv_cancel((uv_req_t *)&c->lookup->request);
	}
	close_poll(c); /* before the socket goes */
	if (c->libpq)
		PQfinish(c->libpq);
	mem_free(c);
}
