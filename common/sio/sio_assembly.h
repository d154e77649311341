/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A packet with binary attachments, put together from the text that announces it and the binary messages behind it. Sans-I/O.
 * Source: the Socket.IO protocol document, revision 5, "Packet encoding" (BINARY_EVENT, BINARY_ACK).
 *
 * A connection keeps one pointer, NULL while nothing is waited for, and calls
 *
 *     text message     if (c->assembly || sio_decode(text, max_attachments, &packet))
 *                              close: nothing may come between a packet and its attachments
 *                      else if (packet.attachments == 0)
 *                              use packet
 *                      else if (sio_assembly_begin(text, &packet, max_bytes, &c->assembly))
 *                              close
 *     binary message   if (!c->assembly || sio_assembly_add(c->assembly, data))
 *                              close: nothing announced it, or too large
 *                      else if (sio_assembly_is_whole(c->assembly)) {
 *                              a = c->assembly, c->assembly = NULL;
 *                              use a->packet with a->attachments (who keeps one takes a reference)
 *                              sio_assembly_free(&a);
 *                      }
 *     end              sio_assembly_free(&c->assembly)
 *
 * Packets of Engine.IO that are no messages (ping, pong, noop) may come in between: they do not pass here.
 * Thread: any, one at a time.
 */
#ifndef ROOMWIRE_SIO_SIO_ASSEMBLY_H
#define ROOMWIRE_SIO_SIO_ASSEMBLY_H

#include "common/sio/sio.h"

struct sio_assembly {
	struct blob *text;          /* as it came; OWNED */
	struct sio_packet packet;   /* its slices are of text */
	size_t bytes, max_bytes;    /* of all parts together, the text included */
	uint32_t got;               /* attachments that have come; packet.attachments are wanted */
	struct blob *attachments[]; /* OWNED; as many as got */
};

/*
 * Remember a packet that was decoded from text and has attachments (both COPIED). What it says about them is checked before any of them
 * comes. 0, E_EXISTS (*a waits for another packet's), E_SYNTAX (no attachments; a placeholder names one that will not come),
 * E_TOOBIG (text alone is past max_bytes), E_NOMEM. After an error *a is as it was.
 */
int sio_assembly_begin(struct str text, const struct sio_packet *packet, size_t max_bytes,
		       struct sio_assembly **a) MUST_CHECK;
/* The next attachment (COPIED). 0, E_RANGE (it was whole already), E_TOOBIG (past max_bytes together), E_NOMEM; after an error free it. */
int sio_assembly_add(struct sio_assembly *a, struct str data) MUST_CHECK;
bool sio_assembly_is_whole(const struct sio_assembly *a);
void sio_assembly_free(struct sio_assembly **a); /* nulls; accepts NULL inside */

/*
 * Check the placeholders in the validated payload of a packet with this many attachments, as socket.io-parser 4.2 does: any object, at any
 * depth, whose member "_placeholder" is true stands for the attachment of its number "num", and is not looked into. 0, or E_SYNTAX
 * where num is missing, no number, or not one of 0 to attachments - 1. Several may stand for one attachment, none need stand for it.
 * Stricter than it in two things no encoder does: a fraction is E_SYNTAX (it puts undefined there), and a member that a later one of the
 * same name hides is checked, too.
 * Payloads of packets without attachments are not checked: there it is an object like any other.
 * One pass, no allocation.
 */
int sio_placeholders_check(struct json_value data, uint32_t attachments) MUST_CHECK;

#endif
