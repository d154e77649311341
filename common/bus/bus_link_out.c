/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where frames leave a link. */
#include "common/bus/bus_fault.h"
#include "common/bus/bus_link_impl.h"
#include "common/log/log.h"

static int hand_over(void *to, const struct str *frames, size_t frame_count)
{
	struct bus_link *link = to;
	int err = adapt_zmq_send(link->sock, frames, frame_count);

	if (link->server)
		bus_server_note(link, err);
	return err;
}

#ifdef ROOMWIRE_FAULTS
static int let_out(struct bus_link *link, const struct str *frames, size_t frame_count)
{
	struct bus_fault *fault = bus_fault_of_process(hand_over);

	return fault ? bus_fault_pass(fault, link->svc, link, frames, frame_count)
		     : hand_over(link, frames, frame_count);
}

void bus_link_forget_late(struct bus_link *link)
{
	struct bus_fault *fault = bus_fault_of_process(hand_over);

	if (fault)
		bus_fault_forget(fault, link);
}
#else
#define let_out hand_over

void bus_link_forget_late(struct bus_link *link)
{
	(void)link;
}
#endif

int bus_link_transmit(struct bus_link *link, uint64_t number, struct str body,
		      struct blob *const *payload, uint32_t payload_count)
{
	struct str frames[3 + WIRE_MAX_PAYLOADS];
	char envelope[BUS_ENVELOPE_BYTES];
	size_t n = 0;
	int err;

	if (link->server)
		frames[n++] = str_make(link->identity, link->identity_bytes);
	frames[n++] = bus_envelope(envelope, number, link->received);
	frames[n++] = body;
	for (uint32_t i = 0; i < payload_count; i++)
		frames[n++] = blob_str(payload[i]);
	err = let_out(link, frames, n);
	if (err == 0)
		link->told = link->received;
	return err;
}

int bus_link_say(struct bus_link *link, enum wire_id id, const void *message)
{
	struct blob *body = wire_pack(id, message);
	int err = body ? bus_link_transmit(link, 0, blob_str(body), NULL, 0) : E_NOMEM;

	if (err)
		log_debug("bus", "not said now, it is said again", KV_Z("message", wire_name(id)),
			  KV_Z("peer", bus_link_peer(link)));
	blob_unref(&body);
	return err;
}
