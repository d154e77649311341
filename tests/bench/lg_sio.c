/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's half of Engine.IO 4 (packet types 0 open, 1 close, 2 ping, 3 pong, 4 message) and Socket.IO 5
 * (0 CONNECT, 1 DISCONNECT, 2 EVENT, 3 ACK, 4 CONNECT_ERROR), each packet one text frame.
 */
#include "tests/bench/lg.h"
#include "tests/bench/ws.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_BYTES 80 /* of what the server said, in a complaint */

static int shown(size_t bytes)
{
	return (int)(bytes < SHOWN_BYTES ? bytes : SHOWN_BYTES);
}

size_t lg_sio_frame(struct lg_net *n, uint8_t *to, const char *text, size_t bytes)
{
	uint8_t mask[4];
	n->rng ^= n->rng << 13; /* xorshift64 */
	n->rng ^= n->rng >> 7;
	n->rng ^= n->rng << 17;
	memcpy(mask, &n->rng, 4);
	return ws_frame_write(to, WS_TEXT, text, bytes, mask);
}

static void send_text(struct lg_net *n, struct lg_conn *c, const char *text, size_t bytes)
{
	uint8_t frame[WS_HEAD_MAX_BYTES + 9000];
	lg_net_write(n, c, frame, lg_sio_frame(n, frame, text, bytes));
}

void lg_sio_upgrade(struct lg_net *n, struct lg_conn *c)
{
	char text[1024];
	const int bytes = snprintf(text, sizeof(text),
				   "GET %s?EIO=4&transport=websocket HTTP/1.1\r\n"
				   "Host: %s:%.0f\r\n"
				   "Connection: Upgrade\r\n"
				   "Upgrade: websocket\r\n"
				   "Sec-WebSocket-Version: 13\r\n"
				   "Sec-WebSocket-Key: " WS_KEY "\r\n\r\n",
				   n->opts->path, n->opts->host, n->opts->port);
	lg_net_write(n, c, (const uint8_t *)text, (size_t)bytes);
}

/* The answer to the upgrade; returns its size, 0 while it is not whole */
static size_t take_upgrade(struct lg_net *n, struct lg_conn *c, const char *at, size_t count)
{
	const char *end = memmem(at, count, "\r\n\r\n", 4);
	if (!end) {
		if (count > 16384)
			lg_net_drop(n, c, "the answer to the upgrade is longer than 16384 bytes");
		return 0;
	}
	const size_t bytes = (size_t)(end - at) + 4;
	if (bytes < 12 || memcmp(at, "HTTP/1.1 101", 12) != 0)
		lg_net_drop(n, c, "upgrade refused: %.*s", shown(strcspn(at, "\r\n")), at);
	else if (!memmem(at, bytes, WS_ACCEPT, sizeof(WS_ACCEPT) - 1))
		lg_net_drop(n, c, "the 101 bears no Sec-WebSocket-Accept: " WS_ACCEPT);
	c->state = LG_OPEN;
	return bytes;
}

static void sign_in(struct lg_net *n, struct lg_conn *c)
{
	char text[9000];
	int bytes = snprintf(text, sizeof(text), "40");
	if (n->token_count) {
		const struct lg_token *token = &n->tokens[c->id % n->token_count];
		bytes = snprintf(text, sizeof(text), "40{\"token\":\"%.*s\"}", (int)token->bytes,
				 token->at);
	}
	c->state = LG_SIGNIN;
	send_text(n, c, text, (size_t)bytes);
}

static void become_ready(struct lg_net *n, struct lg_conn *c)
{
	c->state = LG_READY;
	n->ready++;
	hist_add(&n->connect_ns, n->now_ns - c->started_ns);
}

static void signed_in(struct lg_net *n, struct lg_conn *c)
{
	char text[64];
	if (n->opts->rooms < 1) {
		become_ready(n, c);
		return;
	}
	const int bytes = snprintf(text, sizeof(text), "420[\"room:join\",{\"room\":\"r%u\"}]",
				   c->id % (uint32_t)n->opts->rooms);
	c->state = LG_JOIN;
	send_text(n, c, text, (size_t)bytes);
}

static void take_message(struct lg_net *n, struct lg_conn *c, const char *at, size_t bytes)
{
	const char kind = bytes ? *at : ' ';
	if (kind == '2') {
		lg_load_take(n->load, c, at + 1, bytes - 1);
	} else if (kind == '0' && c->state == LG_SIGNIN) {
		signed_in(n, c);
	} else if (kind == '3' && c->state == LG_JOIN) {
		if (!memmem(at, bytes, "\"ok\":true", 9))
			lg_net_drop(n, c, "room:join refused: %.*s", shown(bytes - 1), at + 1);
		become_ready(n, c);
	} else if (kind == '4') {
		lg_net_drop(
			n, c,
			"sign-in refused: %.*s; is the token signed with the server's JWT_SECRET?",
			shown(bytes - 1), at + 1);
	} else {
		lg_net_drop(n, c, "not expected: Socket.IO packet %.*s", shown(bytes), at);
	}
}

static void take_packet(struct lg_net *n, struct lg_conn *c, const char *at, size_t bytes)
{
	const char kind = bytes ? *at : ' ';
	if (kind == '4') {
		take_message(n, c, at + 1, bytes - 1);
	} else if (kind == '2') {
		n->pings++;
		send_text(n, c, "3", 1);
	} else if (kind == '0' && c->state == LG_OPEN) {
		sign_in(n, c);
	} else if (kind != '6') {
		lg_net_drop(n, c, "not expected: Engine.IO packet %.*s", shown(bytes), at);
	}
}

static void take_frame(struct lg_net *n, struct lg_conn *c, const struct ws_head *head,
		       uint8_t *payload)
{
	const size_t bytes = head->payload_bytes;
	n->frames_in++;
	if (head->opcode == WS_TEXT && head->final && !head->masked) {
		take_packet(n, c, (const char *)payload, bytes);
	} else if (head->opcode == WS_PING && bytes < 126) {
		uint8_t frame[WS_HEAD_MAX_BYTES + 126];
		const uint8_t mask[4] = { 1, 2, 3, 4 };
		lg_net_write(n, c, frame, ws_frame_write(frame, WS_PONG, payload, bytes, mask));
	} else if (head->opcode == WS_CLOSE) {
		lg_net_drop(n, c, "closed with code %d",
			    bytes < 2 ? 1005 : payload[0] << 8 | payload[1]);
	} else if (head->opcode != WS_PONG) {
		lg_net_drop(n, c, "not expected: frame with opcode %d%s%s", head->opcode,
			    head->final ? "" : ", in parts", head->masked ? ", masked" : "");
	}
}

size_t lg_sio_take(struct lg_net *n, struct lg_conn *c, uint8_t *at, size_t count)
{
	size_t used = 0;
	struct ws_head head;
	int parsed = 0;

	if (c->state == LG_UPGRADE) {
		used = take_upgrade(n, c, (const char *)at, count);
		if (!used)
			return 0;
	}
	while (c->state != LG_GONE &&
	       (parsed = ws_head_parse(at + used, count - used, &head)) == 1) {
		if (head.payload_bytes > count - used - head.head_bytes)
			return used;
		take_frame(n, c, &head, at + used + head.head_bytes);
		used += head.head_bytes + head.payload_bytes;
	}
	if (parsed < 0 && c->state != LG_GONE)
		lg_net_drop(n, c, "a frame has reserved bits set");
	return used;
}
