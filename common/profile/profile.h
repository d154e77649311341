/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile: an application described as data (profiles/NAME.yaml), compiled at start into the tables that edge, auth and ingest run on.
 * No C file knows an application's event or room names. The language is described in docs/profiles.md and docs/profile.schema.json.
 * Thread: immutable after profile_load, so any.
 */
#ifndef ROOMWIRE_PROFILE_PROFILE_H
#define ROOMWIRE_PROFILE_PROFILE_H

#include "common/profile/event.h"
#include "common/profile/profile_kafka.h"

enum profile_dialect { PROFILE_SOCKETIO = 0, PROFILE_PLAIN };

/* Whether a field's value is one of these texts. scratch holds decoded text while comparing. */
bool field_is_one(struct json_value v, char *const *any, uint32_t count, struct buf *scratch);

/* ── permission checks, run by auth ── */
struct check_rule {
	bool has_when;
	struct str when_path;  /* of the user object: a string or an array of strings */
	struct tmpl *when_any; /* text: the rule holds when one of them is there */
	uint32_t when_any_count;
	enum { RULE_ALLOW = 0, RULE_DENY, RULE_SQL } verdict;
	char *sql;           /* $1, $2 … are params; at least one row: allowed */
	struct tmpl *params; /* text */
	uint32_t param_count;
	bool next_if_none; /* no row: go on with the next rule instead of refusing */
	char *code;        /* RULE_DENY, and RULE_SQL without a row */
	char *message;
};

struct profile_check {
	struct str name;
	char **args;
	uint32_t arg_count;
	struct check_rule *
		rules; /* with a database: the first rule whose `when` holds decides; none: FORBIDDEN */
	uint32_t rule_count;
	struct check_rule *embedded; /* without one; no SQL in it */
	uint32_t embedded_count;
	bool needs_database; /* some rule has SQL */
};

/* ── domain events, run by ingest ── */
struct ingest_event {
	struct str type, nsp;
	struct str emit; /* event name for clients */
	struct field_list fields;
	struct tmpl *rooms;
	uint32_t room_count;
	struct tmpl *args; /* JSON; the first that can be rendered is sent */
	uint32_t args_count;
	bool is_volatile;
	/* Then the connections of a user are taken out of the event's rooms. */
	bool removes;
	struct tmpl remove_user; /* text */
	int32_t remove_field;    /* -1: always; else only when this field has one of these texts */
	char **remove_any;
	uint32_t remove_any_count;
};

struct profile_ingest {
	char *amqp_exchange; /* always there */
	char *amqp_queue;
	struct profile_kafka kafka;
	const char *amqp_queue_type; /* classic, quorum */
	struct map events;           /* struct ingest_event by type */
	struct ingest_event *event_list;
	uint32_t event_count;
};

struct profile_setting {
	char *key, *value;
};
struct profile {
	char *name, *path; /* path: of the file */
	enum profile_dialect dialect;
	char *port_env; /* a further environment variable for the port; NULL: none */
	struct profile_setting *settings;
	uint32_t setting_count;
	bool token_required;
	bool recovery;        /* connection state recovery offered */
	char *user_id_path;   /* of the claims */
	struct tmpl user;     /* JSON object of {claims.…} */
	struct tmpl fail_ack; /* JSON */
	struct profile_nsp *nsps;
	uint32_t nsp_count;
	struct profile_check *checks;
	uint32_t check_count;
	struct profile_ingest ingest;
	void *owned; /* everything above, for profile_free */
};

/*
 * Load and compile. `name` is a path (it holds '/' or ends in .yaml) or the name of a shipped profile, looked for in $ROOMWIRE_PROFILES,
 * ./profiles, and beside the binary (../profiles, ../share/roomwire/profiles).
 * E_CONFIG with lines "FILE:LINE: KEY: found …, allowed …" in errors.
 */
int profile_load(const char *name, struct buf *errors, struct profile **profile) MUST_CHECK;
/* The same over text; file is what errors call it. The text is BORROWED until the function returns. */
int profile_load_text(const char *file, struct str text, struct buf *errors,
		      struct profile **profile) MUST_CHECK;
void profile_free(struct profile **profile); /* nulls; accepts NULL inside */
const struct profile_nsp *profile_nsp_find(const struct profile *p, struct str name);
const struct profile_check *profile_check_find(const struct profile *p, struct str name);
/* JSON Schema of the language, for editors: the page docs/profile.schema.json. */
void profile_schema(struct buf *out);

#define INGEST_MAX_ROOMS 16
struct ingest_mapped {
	struct str nsp, event, args;
	struct str rooms[INGEST_MAX_ROOMS];
	uint32_t room_count;
	bool is_volatile;
	struct str
		remove_user; /* behind the event, this user's connections leave its rooms; empty: nobody's */
};
/*
 * Map a domain event. body: the event as JSON (for HTTP without its `type`). E_UNKNOWN (no such type), E_TYPE (fields; no room left; nothing
 * to send), with the reason in why; E_TOOBIG, E_NOMEM of scratch. Slices of out are BORROWED from body, scratch and the profile.
 */
int ingest_map(const struct profile *p, struct str type, struct json_value body,
	       struct buf *scratch, struct ingest_mapped *out, struct buf *why) MUST_CHECK;

#endif
