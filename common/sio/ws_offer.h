/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client offers in Sec-WebSocket-Extensions (RFC 6455 section 9.1), judged for one answer: the only one this server gives,
 *
 *     permessage-deflate; server_no_context_takeover; client_no_context_takeover
 *
 * so that every message is compressed by itself: once for all who get it, and without memory per connection. Sans-I/O. Thread: any.
 */
#ifndef ROOMWIRE_SIO_WS_OFFER_H
#define ROOMWIRE_SIO_WS_OFFER_H

#include "common/base/str.h"

#define WS_OFFER_DEFLATE_ANSWER \
	"permessage-deflate; server_no_context_takeover; client_no_context_takeover"

/*
 * Whether one of the offers in the header (repeated header lines joined by ",") allows that answer. An offer is passed over when it has a
 * parameter that is unknown, doubled or of a wrong value (RFC 7692 section 5.1), or asks for server_max_window_bits, which would
 * have to be answered (section 7.1.2.1). A header that is not well-formed as a whole allows nothing.
 */
bool ws_offer_allows_deflate(struct str header);

#endif
