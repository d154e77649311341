/* SPDX-License-Identifier: Apache-2.0 */
/* `tail` as a plain client: one WebSocket (RFC 6455), blocking. What it sends is masked with zeros: the bytes need no hiding here. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/b64.h"
#include "common/base/rnd.h"
#include "common/sio/eio.h"
#include "common/sio/plain.h"
#include "services/roomwire/http_client.h"
#include "services/roomwire/tail.h"

#define WAIT_SECONDS 120
#define MESSAGE_MOST (64u << 20)
#define MASK 0x80
#define FIN 0x80

struct wire {
	int fd;
	struct buf in; /* received and not taken */
};

static int fill(struct wire *w)
{
	char *room = buf_room(&w->in, 65536);
	ssize_t n = room ? recv(w->fd, room, 65536, 0) : -1;

	if (n > 0)
		w->in.n += (size_t)n;
	return n > 0 ? 0 : E_IO;
}

static int send_frame(struct wire *w, enum ws_opcode opcode, struct str payload)
{
	struct buf out = BUF_INIT(MESSAGE_MOST);
	char head[WS_HEADER_MAX];
	size_t n = ws_header(head, opcode, payload.n);
	int err;

	head[1] = (char)(head[1] | MASK);
	buf_add(&out, str_make(head, n));
	buf_add(&out, str_make("\0\0\0\0", 4));
	buf_add(&out, payload);
	err = out.failed ? out.failed : http_send(w->fd, buf_str(&out));
	buf_fini(&out);
	return err;
}

static uint64_t number(const char *p, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | (unsigned char)p[i];
	return value;
}

/* The next frame: payload is BORROWED from w->in until the next call; *taken bytes are to be dropped then. */
static int next_frame(struct wire *w, enum ws_opcode *opcode, struct str *payload, size_t *taken)
{
	for (;;) {
		const unsigned char *p = (const unsigned char *)w->in.p;
		size_t head = 2;
		uint64_t n;

		if (w->in.n >= 2) {
			n = p[1] & 0x7f;
			head += n == 126 ? 2 : n == 127 ? 8 : 0;
			if (w->in.n >= head && n >= 126)
				n = number(w->in.p + 2, head - 2);
			if (w->in.n >= head && n > MESSAGE_MOST)
				return E_TOOBIG;
			if (w->in.n >= head && w->in.n - head >= n) {
				*opcode = (enum ws_opcode)(p[0] & 0x0f);
				*payload = str_make(w->in.p + head, (size_t)n);
				*taken = head + (size_t)n;
				return 0;
			}
		}
		if (fill(w))
			return E_IO;
	}
}

/* The handshake; what came behind it stays in w->in. */
static int shake_hands(const struct tail *t, struct wire *w)
{
	struct buf out = BUF_INIT(1u << 16);
	char raw[16], key[32];
	struct str head, status;
	size_t at = 0;
	int err;

	rnd_bytes(raw, sizeof(raw));
	b64_encode(str_make(raw, sizeof(raw)), key);
	buf_addf(&out,
		 "GET / HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.24s\r\n",
		 t->url.host, t->url.port, key);
	if (t->token)
		buf_addf(&out, "Authorization: Bearer %s\r\n", t->token);
	buf_addz(&out, "\r\n");
	err = out.failed ? out.failed : http_send(w->fd, buf_str(&out));
	buf_fini(&out);
	while (!err) {
		for (; at + 4 <= w->in.n && memcmp(w->in.p + at, "\r\n\r\n", 4) != 0; at++)
			;
		if (at + 4 <= w->in.n)
			break;
		err = fill(w);
	}
	if (err)
		return err;
	head = str_make(w->in.p, at);
	if (!str_starts(head, STR("HTTP/1.1 101 "))) {
		str_cut(head, '\r', &status, &head);
		fprintf(stderr, STR_FMT " " STR_FMT "\n", STR_ARG(status),
			STR_ARG(str_skip(buf_str(&w->in), at + 4)));
		if (str_starts(status, STR("HTTP/1.1 404")) ||
		    str_starts(status, STR("HTTP/1.1 426")))
			tail_hint(t);
		return E_FAIL;
	}
	buf_drop_front(&w->in, at + 4);
	return 0;
}

/* What --emit asked for. */
static int say_hello(const struct tail *t, struct wire *w)
{
	struct buf out = BUF_INIT(MESSAGE_MOST);
	int err = 0;

	for (int i = 0; i < t->emit_count && !err; i++) {
		struct str name, payload;

		str_cut(str_of(t->emits[i]), '=', &name, &payload);
		buf_reset(&out);
		plain_encode(&out, name, payload, STR_NONE);
		err = send_frame(w, WS_TEXT, buf_str(&out));
	}
	buf_fini(&out);
	return err;
}

static int follow(struct wire *w)
{
	for (;;) {
		enum ws_opcode opcode;
		struct str payload;
		size_t taken;
		int err = next_frame(w, &opcode, &payload, &taken);

		if (err)
			return err;
		if (opcode == WS_TEXT)
			printf(STR_FMT "\n", STR_ARG(payload));
		fflush(stdout);
		if (opcode == WS_PING)
			err = send_frame(w, WS_PONG, payload);
		if (opcode == WS_CLOSE) {
			fprintf(stderr, "the server has closed the connection (%u)\n",
				payload.n >= 2 ? (unsigned)number(payload.p, 2) : 0);
			return 0;
		}
		if (err)
			return err;
		buf_drop_front(&w->in, taken);
	}
}

int tail_plain(const struct tail *t)
{
	struct wire w = { .fd = http_dial(&t->url, WAIT_SECONDS),
			  .in = BUF_INIT(MESSAGE_MOST + 65536) };
	int err = w.fd < 0 ? E_IO : shake_hands(t, &w);

	if (!err)
		err = say_hello(t, &w);
	if (!err)
		err = follow(&w);
	if (err == E_IO && w.fd >= 0)
		fprintf(stderr, "http://%s:%s: the connection broke\n", t->url.host, t->url.port);
	if (w.fd >= 0)
		close(w.fd);
	buf_fini(&w.in);
	return err;
}
