/* SPDX-License-Identifier: Apache-2.0 */
/* Values of fields of proto/bus.def that more than one process must know by name. Thread: any. */
#ifndef ROOMWIRE_PROTO_VALUES_H
#define ROOMWIRE_PROTO_VALUES_H

/* PUBLISH.verb, DELIVER.verb: what is done to members of the rooms. */
enum wire_verb {
	VERB_NONE = 0, /* an event */
	VERB_JOIN,
	VERB_LEAVE,
	VERB_DISCONNECT, /* from the namespace */
	VERB_CLOSE,      /* with its connection */
};

enum wire_origin { ORIGIN_ROOMWIRE = 0, ORIGIN_REDIS }; /* PUBLISH.origin */

enum claim_stage { CLAIM_ASK = 0, CLAIM_THROUGH, CLAIM_NOT };                  /* CLAIM.stage */
enum claim_state { CLAIM_YES = 0, CLAIM_UNDER_WAY, CLAIM_KNOWN, CLAIM_LATER }; /* CLAIMED.state */

enum life_kind { LIFE_USER = 'u', LIFE_ROOM = 'r' }; /* LIFE.kind */

/* Places are a hybrid logical clock: microseconds since 1970, then so many bits of a counter. */
#define PLACE_US_SHIFT 10

#endif
