/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of a compiled profile: what clients may send, and what happens then. Use profile.h.
 * Thread: immutable after profile_load, so any.
 */
#ifndef ROOMWIRE_PROFILE_EVENT_H
#define ROOMWIRE_PROFILE_EVENT_H

#include "common/base/map.h"
#include "common/profile/tmpl.h"

/* ── arguments of a client event, fields of a domain event ── */
enum field_type {
	FIELD_ANY = 0, /* any JSON value */
	FIELD_ID,      /* string of 1 to 128 visible characters (no blanks or control characters) */
	FIELD_UUID,    /* 8-4-4-4-12 hexadecimal digits */
	FIELD_TEXT,    /* string of min to max bytes of UTF-8 */
	FIELD_BOOL,
	FIELD_INTEGER, /* min to max */
	FIELD_NUMBER,
	FIELD_OBJECT,
	FIELD_ARRAY, /* of min to max elements */
};

struct field_spec {
	char *name;
	enum field_type type;
	bool optional; /* absent is all right */
	bool bare; /* the first argument may be the value itself instead of an object that holds it */
	struct json_value fallback; /* used when absent; JSON_NONE: none */
	int64_t min, max;
	char **values; /* strings allowed; value_count 0: any */
	uint32_t value_count;
	char **paths; /* dotted paths tried in order; default: the name */
	uint32_t path_count;
};

struct field_list {
	struct field_spec *fields;
	uint32_t count; /* <= TMPL_MAX_FIELDS */
};

/*
 * Take the fields out of a container (the first argument of an event, or the body of a domain event; JSON_NONE: no argument) into
 * env->fields. E_TYPE with the message ("ticketId must be a uuid") in why. scratch holds decoded text while checking.
 */
int field_list_take(const struct field_list *l, struct json_value container, struct tmpl_env *env,
		    struct buf *scratch, struct buf *why) MUST_CHECK;

/* ── what happens ── */
enum action_kind {
	ACTION_JOIN = 0, /* room */
	ACTION_LEAVE,    /* room */
	ACTION_ACK,      /* args; skipped when no ack was asked */
	ACTION_EMIT,     /* event, args: to the sending socket */
	ACTION_RELAY,    /* event, args, rooms: to members, through the router */
	ACTION_PRODUCE,  /* topic, key, args: a record for a broker, through ingest */
};

/* Brokers a deployment may have: whether an operator has set its address decides. */
enum profile_broker { BROKER_NONE = 0, BROKER_KAFKA, BROKER_RABBITMQ };

struct action {
	enum action_kind kind;
	struct tmpl room;      /* join, leave */
	struct str event;      /* emit, relay; OWNED by the profile */
	struct str event_json; /* the same as a JSON string */
	struct tmpl args;      /* JSON: arguments joined by commas */
	struct tmpl *rooms;    /* relay */
	uint32_t room_count;
	bool to_all;                     /* relay: the sender, too */
	bool is_volatile;                /* relay */
	bool unless_ack;                 /* only when the client asked for no ack */
	bool presence;                   /* join: the namespace's `presence` is run for this room */
	bool confirm;                    /* relay: what follows waits until the router has it */
	struct str topic;                /* produce; OWNED by the profile */
	struct tmpl key;                 /* produce: text */
	enum profile_broker broker;      /* produce: whose record it is */
	enum profile_broker when_broker; /* only where this one is used */
	enum profile_broker unless_broker; /* only where it is not */
	int32_t when_field;                /* only when this field is there; -1: always */
};

/* Run another event of the namespace after some time, unless one with the same key comes first. */
struct profile_later {
	uint32_t delay_ms;
	int32_t when_field; /* -1: always; else only when this field has one of these texts */
	char **when_any;
	uint32_t when_any_count;
	struct tmpl key;  /* text */
	struct str event; /* OWNED by the profile */
	struct tmpl args; /* JSON */
};

struct profile_check;

struct profile_event {
	struct str name;
	struct field_list fields;
	const struct profile_check *check; /* NULL: none */
	struct tmpl *check_args;           /* text, in the order of the check's arguments */
	bool has_member;
	struct tmpl member; /* the socket must be in this room, else FORBIDDEN */
	bool makes;         /* some template of it uses {now} or {new.id} */
	bool has_once;
	struct tmpl once; /* text: a key that the same user's event is accepted once with */
	struct profile_later *later; /* NULL: nothing */
	struct action *actions;
	uint32_t action_count;
	bool has_fail_ack;
	struct tmpl fail_ack; /* {error.code}, {error.message}; without: the profile's */
};

struct profile_nsp {
	struct str name;                   /* "/" or "/name" */
	const struct profile_check *check; /* of CONNECT; NULL: any signed-in user */
	struct action *actions;            /* on connect: join and emit only */
	uint32_t action_count;
	struct action *presence; /* relays: a user has come to a room, or is gone from it */
	uint32_t presence_count;
	struct map events; /* struct profile_event by name */
	struct profile_event *event_list;
	uint32_t event_count;
};

#endif
