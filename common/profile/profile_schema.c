/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The language as JSON Schema (draft 2020-12), made by walking the libcyaml schema: what the loader takes is what editors are told.
 * Only the descriptions are written down here; a key without one fails the unit test.
 */
#include "common/profile/profile_raw.h"

#include <cyaml/cyaml.h>

static const struct {
	const char *def, *key, *doc;
} docs[] = {
	{ "profile", "profile", "Name of the profile: small letters, digits, - and _." },
	{ "profile", "dialect", "What clients speak." },
	{ "profile", "port_env",
	  "A further environment variable for the port clients connect to." },
	{ "profile", "recovery", "Whether connection state recovery is offered; default true." },
	{ "profile", "settings",
	  "Operator options this profile wants by default; a config file and the environment "
	  "override them." },
	{ "profile", "auth", "Who may connect, and what a user is." },
	{ "profile", "failure",
	  "The answer to a refused event, where the client asked for an ack." },
	{ "profile", "checks", "Named permission checks." },
	{ "profile", "namespaces", "What clients can connect to and send." },
	{ "profile", "ingest", "What backends send, and who gets it." },
	{ "auth", "token", "Whether CONNECT needs a signed token." },
	{ "auth", "user_id", "Dotted path of the claim that is the user's id." },
	{ "auth", "user",
	  "JSON object made of {claims.…}: the user as all other templates see it." },
	{ "failure", "ack", "JSON arguments of the ack, with {error.code} and {error.message}." },
	{ "check", "name", "What events call it." },
	{ "check", "args", "Names of its arguments, variables in its rules." },
	{ "check", "rules",
	  "With a database: the first rule whose `when` holds decides. None: FORBIDDEN." },
	{ "check", "embedded",
	  "The same without a database: no SQL. Needed where `rules` hold SQL." },
	{ "rule", "when", "The rule is for some users only." },
	{ "rule", "allow", "true: yes." },
	{ "rule", "deny", "No, with this code." },
	{ "rule", "sql", "One statement with $1, $2 …: yes where it has a row." },
	{ "rule", "params", "Text templates for $1, $2 …, of the check's arguments and {user.…}." },
	{ "rule", "none",
	  "Where there is no row: a code to refuse with, or `next` to go on with the next rule." },
	{ "rule", "message", "What people are told with the refusal." },
	{ "when", "user", "Dotted path in the user object: a text or a list of texts." },
	{ "when", "any", "Text templates: the rule holds where one of them is there." },
	{ "namespace", "name", "/ or /NAME." },
	{ "namespace", "check", "A check without arguments that decides who may connect." },
	{ "namespace", "connect", "What happens when a client has connected: join and emit." },
	{ "namespace", "events", "Events clients may send here." },
	{ "event", "event", "Its name." },
	{ "event", "fields", "What its first argument holds, checked before anything happens." },
	{ "event", "check", "Permission check." },
	{ "event", "member", "Room the socket must be in, else FORBIDDEN." },
	{ "event", "do", "What happens, in this order." },
	{ "event", "failure", "The answer to a refusal of this event, in place of the profile's." },
	{ "field", "name", "Name of the member, and of the variable." },
	{ "field", "type", "What it must be." },
	{ "field", "optional", "It may be absent." },
	{ "field", "bare",
	  "The first argument may be the value itself instead of an object that holds it." },
	{ "field", "default", "JSON that stands in where it is absent." },
	{ "field", "min", "Least bytes (text), value (integer) or elements (array)." },
	{ "field", "max", "Most bytes (text), value (integer) or elements (array)." },
	{ "field", "values", "The only texts allowed." },
	{ "field", "paths", "Dotted paths tried in this order; default: its name." },
	{ "use", "name", "Which check." },
	{ "use", "args", "Text templates for its arguments." },
	{ "action", "join", "Put the socket into this room." },
	{ "action", "leave", "Take the socket out of this room." },
	{ "action", "ack", "JSON arguments of the ack, where the client asked for one." },
	{ "action", "emit", "Send this event to the socket itself." },
	{ "action", "relay", "Send this event to the members of rooms." },
	{ "action", "args", "JSON arguments of the event, joined by commas; default: none." },
	{ "action", "rooms", "Whose members get it, each once." },
	{ "action", "to", "others: not the sending socket; all: that one, too." },
	{ "action", "volatile", "May be dropped under load; no history." },
	{ "action", "unless_ack", "Only where the client asked for no ack." },
	{ "action", "presence",
	  "With join: the namespace's `presence` is run when the user comes and goes." },
	{ "action", "confirm", "With relay: what follows waits until the router has it." },
	{ "action", "produce",
	  "Send a record to this topic (RabbitMQ: routing key), where its broker is used." },
	{ "action", "broker", "With produce: which broker; default kafka." },
	{ "action", "topic_env", "With produce: an environment variable that renames the topic." },
	{ "action", "key", "With produce: text template of the record's key." },
	{ "action", "value", "With produce: JSON template of the record." },
	{ "action", "when_broker", "Only where this broker is used." },
	{ "action", "unless_broker", "Only where this broker is not used." },
	{ "action", "when_field", "Only when this field is there." },
	{ "when_field", "field", "A field of the event." },
	{ "when_field", "any", "Texts: it holds where the field has one of them." },
	{ "once", "key",
	  "Text template: of one user's events with the same key only the first reaches others." },
	{ "later", "seconds", "After how long." },
	{ "later", "event",
	  "Event of this namespace that is then run as if the client had sent "
	  "it." },
	{ "later", "args", "Its arguments, as JSON." },
	{ "later", "key",
	  "Text template: this event with the same key, come earlier, takes its place." },
	{ "later", "when", "Only when a field has one of some texts." },
	{ "event", "once", "Accept the same thing once, within EVENT_ID_SECONDS." },
	{ "event", "later", "Run another event after some time." },
	{ "namespace", "presence",
	  "What happens when a user comes to a room (by a join with `presence`), or is gone from "
	  "it: relay." },
	{ "remove", "user", "Text template: whose connections leave the rooms." },
	{ "remove", "when", "Only when a field has one of some texts." },
	{ "domain_event", "remove",
	  "Take the connections of a user out of the event's rooms, behind the event." },
	{ "ingest", "rabbitmq", "Other names in RabbitMQ than the defaults." },
	{ "ingest", "events", "Domain events by type." },
	{ "ingest", "kafka", "Take events from other Kafka topics than PROFILE.events." },
	{ "kafka", "group", "Consumer group of all ingest processes; default: PROFILE.realtime." },
	{ "kafka", "topics", "Topics; default: PROFILE.events, with `type` in each record." },
	{ "topic", "topic", "Its name." },
	{ "topic", "env", "Environment variable that renames it." },
	{ "topic", "type",
	  "Type of all its records; default: each record's member `type` says it." },
	{ "rabbitmq", "exchange", "Topic exchange; default: PROFILE.events." },
	{ "rabbitmq", "queue", "Durable queue bound to it; default: PROFILE.realtime." },
	{ "rabbitmq", "queue_type",
	  "How it and its dead letters are declared where they are not there; default: classic." },
	{ "domain_event", "type", "Its type (RabbitMQ: the routing key)." },
	{ "domain_event", "namespace", "Where clients get it; default: /." },
	{ "domain_event", "emit", "Event name for clients; default: the type." },
	{ "domain_event", "fields", "What its body holds, checked first." },
	{ "domain_event", "rooms",
	  "Whose members get it; one with an absent variable is left out." },
	{ "domain_event", "args",
	  "JSON templates: the first that can be made is sent (null counts as absent); default: "
	  "{body}." },
	{ "domain_event", "volatile", "May be dropped under load; no history." },
};

static const char *doc_of(const char *def, const char *key)
{
	for (size_t i = 0; i < sizeof(docs) / sizeof(docs[0]); i++)
		if (!strcmp(docs[i].def, def) && !strcmp(docs[i].key, key))
			return docs[i].doc;
	return "";
}

static const char *def_of(const cyaml_schema_field_t *rows)
{
	const struct profile_raw_def *def = profile_raw_defs;

	while (def->name && def->rows != rows)
		def++;
	return def->name ? def->name : "";
}

static void add_value(struct buf *out, const cyaml_schema_value_t *v)
{
	switch (v->type) {
	case CYAML_STRING:
		buf_addz(out, "\"type\": \"string\"");
		break;
	case CYAML_BOOL:
		buf_addz(out, "\"type\": \"boolean\"");
		break;
	case CYAML_INT:
	case CYAML_UINT:
		buf_addz(out, "\"type\": \"integer\"");
		break;
	case CYAML_ENUM:
		buf_addz(out, "\"enum\": [");
		for (uint32_t i = 0; i < v->enumeration.count; i++)
			buf_addf(out, "%s\"%s\"", i ? ", " : "", v->enumeration.strings[i].str);
		buf_addz(out, "]");
		break;
	case CYAML_SEQUENCE:
		buf_addf(out, "\"type\": \"array\", \"minItems\": %u, \"items\": { ",
			 v->sequence.min);
		add_value(out, v->sequence.entry);
		buf_addz(out, " }");
		break;
	case CYAML_MAPPING:
		buf_addf(out, "\"$ref\": \"#/$defs/%s\"", def_of(v->mapping.fields));
		break;
	default:
		break;
	}
}

static void add_description(struct buf *out, const char *doc)
{
	buf_addz(out, ", \"description\": ");
	buf_add_json(out, str_of(doc));
}

/* ── settings: the option table knows more than the loader's schema ── */

enum setting_kind {
	SETTING_INT,
	SETTING_BOOL,
	SETTING_TEXT,
	SETTING_LIST,
	SETTING_ENUM,
	SETTING_SECRET
};

static const struct {
	enum setting_kind kind;
	const char *field;
	long long min, max;
	const char *doc;
} settings[] = {
#define OPT(kind, field, env, def, min, max, users, doc) { SETTING_##kind, #field, min, max, doc },
#include "common/conf/options.def"
#undef OPT
};

static void add_words(struct buf *out, const char *doc)
{
	struct str words, word, rest;

	(void)str_cut(str_of(doc), ';', &words, &rest);
	buf_addz(out, "\"enum\": [");
	for (bool first = true; words.n; first = false) {
		(void)str_cut(words, '|', &word, &rest);
		buf_addz(out, first ? "" : ", ");
		buf_add_json(out, str_trim(word));
		words = rest;
	}
	buf_addz(out, "]");
}

static void add_setting(struct buf *out, const char *key)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (strcmp(settings[i].field, key) != 0)
			continue;
		if (settings[i].kind == SETTING_INT)
			buf_addf(out, "\"type\": \"integer\", \"minimum\": %lld, \"maximum\": %lld",
				 settings[i].min, settings[i].max);
		else if (settings[i].kind == SETTING_BOOL)
			buf_addz(out, "\"type\": \"boolean\"");
		else if (settings[i].kind == SETTING_ENUM)
			add_words(out, settings[i].doc);
		else
			buf_addz(out, "\"type\": \"string\"");
		add_description(out, settings[i].doc);
	}
}

/* ── mappings ── */

/* Of these keys there must be exactly one. */
static void add_one_of(struct buf *out, const char *def)
{
	static const struct {
		const char *def;
		const char *keys[6];
	} rules[] = {
		{ "action", { "join", "leave", "ack", "emit", "relay", NULL } },
		{ "rule", { "allow", "deny", "sql", NULL } },
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (strcmp(rules[i].def, def) != 0)
			continue;
		buf_addz(out, ",\n      \"oneOf\": [");
		for (size_t k = 0; rules[i].keys[k]; k++)
			buf_addf(out, "%s{ \"required\": [\"%s\"] }", k ? ", " : "",
				 rules[i].keys[k]);
		buf_addz(out, "]");
	}
}

static void add_required(struct buf *out, const cyaml_schema_field_t *rows)
{
	bool first = true;

	for (; rows->key; rows++) {
		if (rows->value.flags & CYAML_FLAG_OPTIONAL)
			continue;
		buf_addf(out, "%s\"%s\"", first ? ",\n      \"required\": [" : ", ", rows->key);
		first = false;
	}
	if (!first)
		buf_addz(out, "]");
}

static void add_def(struct buf *out, const struct profile_raw_def *def)
{
	bool is_settings = !strcmp(def->name, "settings");

	buf_addf(
		out,
		"    \"%s\": {\n      \"type\": \"object\",\n      \"additionalProperties\": false",
		def->name);
	add_required(out, def->rows);
	add_one_of(out, def->name);
	buf_addz(out, ",\n      \"properties\": {");
	for (const cyaml_schema_field_t *row = def->rows; row->key; row++) {
		buf_addf(out, "%s\n        \"%s\": { ", row == def->rows ? "" : ",", row->key);
		if (is_settings) {
			add_setting(out, row->key);
		} else {
			add_value(out, &row->value);
			add_description(out, doc_of(def->name, row->key));
		}
		buf_addz(out, " }");
	}
	buf_addz(out, "\n      }\n    }");
}

void profile_schema(struct buf *out)
{
	buf_addz(out, "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
		      "  \"title\": \"Roomwire profile\",\n"
		      "  \"description\": \"Generated from common/profile/profile_raw.c; do not "
		      "edit.\",\n"
		      "  \"$ref\": \"#/$defs/profile\",\n  \"$defs\": {\n");
	for (const struct profile_raw_def *def = profile_raw_defs; def->name; def++) {
		buf_addz(out, def == profile_raw_defs ? "" : ",\n");
		add_def(out, def);
	}
	buf_addz(out, "\n  }\n}\n");
}
