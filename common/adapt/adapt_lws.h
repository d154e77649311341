/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-side WebSockets (RFC 6455) by libwebsockets, on the libuv loop.
 *
 * thread     loop thread. blocking: never.
 * ownership  a ws_conn lives until its `closed` handler returned; bytes handed to ws_write are copied by the library where they
 *            do not fit the socket, so a shared buffer may be freed on return.
 * ordering   messages arrive in order; `closed` is the last call.
 *
 * libwebsockets never sees a byte of a client's HTTP request (it can be made to spin by pipelined requests, and drops long headers in silence):
 * the edge's own front has read and judged the request, and ws_adopt gives the library a request of ours that carries nothing of the
 * client's but its checked Sec-WebSocket-Key.
 *
 * permessage-deflate (RFC 7692) is negotiated by the library and done by us: in that request of ours we offer the one form in which no
 * message depends on another (common/sio/ws_offer.h), the library answers it and lets compressed frames pass as they are, and a whole
 * message is expanded at once (adapt_deflate.h), never to more than max_message_bytes. The library's own inflater stops for ever in the
 * middle of messages of 5 KB and more (4.1.6, measured), and ends damaged ones without a code. Not noticed: bit RSV1 on a ping or pong.
 *
 * Writing goes around the library's framing: ws_write takes ready-made frames (common/sio/eio.h ws_header) and makes one system call
 * for all of them, as long as nothing is left over from the last one.
 */
#ifndef ROOMWIRE_ADAPT_LWS_H
#define ROOMWIRE_ADAPT_LWS_H

#include "common/svc/svc.h"

struct ws_host; /* all WebSockets of a process */
struct ws_conn;

struct ws_handlers {
	void (*open)(void *user); /* the handshake is answered: frames may be written */
	/* One whole message, text (valid UTF-8) or binary; BORROWED. */
	void (*message)(void *user, struct str data, bool binary);
	/* A ping that was not empty was answered (the library is silent about empty ones); may be NULL. */
	void (*pong)(void *user);
	/* ws_write said E_AGAIN, or left something over, and now all of it is gone. */
	void (*writable)(void *user);
	/* Gone, whoever closed it; the last call, made once for every adopted connection. */
	void (*closed)(void *user);
};

int ws_host_open(struct svc *svc, const struct ws_handlers *handlers, size_t max_message_bytes,
		 struct ws_host **host) MUST_CHECK;
/* Close every connection and the library; the loop must run until it is done. */
void ws_host_close(struct ws_host **host);

/*
 * Give a client's socket to the library. fd: TAKEN also on error. key: Sec-WebSocket-Key, checked (ws_key_good). deflate: the client's offer
 * allows it (ws_offer_allows_deflate) and it is wanted. rest: what was read behind the request (COPIED). user: passed to the handlers. No
 * handler runs before this returns; `open` follows in the same turn.
 */
int ws_adopt(struct ws_host *host, int fd, struct str key, bool deflate, struct str rest,
	     void *user, struct ws_conn **conn) MUST_CHECK;
/* 24 characters of base64 for 16 bytes (RFC 6455 section 4.1). */
bool ws_key_good(struct str key);

/* 0: taken by the kernel or the library; E_AGAIN: nothing was taken, something older is still on its way: wait for `writable`; E_CLOSED. */
int ws_write(struct ws_conn *conn, struct str frames) MUST_CHECK;
/* Whether frames may be compressed ones (ws_header_deflated, deflate_message); others may be mixed in. */
bool ws_deflated(const struct ws_conn *conn);
/* Whether the library holds bytes the kernel did not take. */
bool ws_busy(const struct ws_conn *conn);
/* Send a close frame (code 0: none, just end) and end; `closed` follows. The handlers get no message any more. Harmless twice. */
void ws_close(struct ws_conn *conn, int code, const char *reason);

/* Closed because a message was over the limit? Valid inside `closed`. */
bool ws_too_big(const struct ws_conn *conn);
/* Did the client close it, and mean to: a close frame with code 1000, or with none? Valid inside `closed`. */
bool ws_closed_in_order(const struct ws_conn *conn);

#endif
