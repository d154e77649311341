/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frame 0 of everything between processes: two numbers as a msgpack array. Links: [number, ack]; questions: [request id, milliseconds left];
 * PING and PONG of questions: [0, epoch].
 */
#ifndef ROOMWIRE_BUS_BUS_WIRE_H
#define ROOMWIRE_BUS_BUS_WIRE_H

#include "common/base/buf.h"
#include "common/bus/bus_link.h"
#include "proto/wire.h"

#define BUS_ENVELOPE_BYTES 19

struct str bus_envelope(char out[BUS_ENVELOPE_BYTES], uint64_t first, uint64_t second);
int bus_envelope_read(struct str frame, uint64_t *first,
		      uint64_t *second) MUST_CHECK; /* E_SYNTAX */

#endif
