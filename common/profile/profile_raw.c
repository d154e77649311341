/* SPDX-License-Identifier: Apache-2.0 */
/* The language as libcyaml schemas: one row per key. Each key's description is in profile_schema.c (a test holds them together). */
#include "common/profile/profile_raw.h"

#include <cyaml/cyaml.h>

#define OPT_KEY CYAML_FLAG_OPTIONAL
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT(key, flags, type, member) \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | (flags), type, member, 0, CYAML_UNLIMITED)
#define LIST(key, flags, type, member, entry, min) \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | (flags), type, member, &(entry), min, \
			     CYAML_UNLIMITED)
#define MAPPING(key, flags, type, member, rows) \
	CYAML_FIELD_MAPPING_PTR(key, CYAML_FLAG_POINTER | (flags), type, member, rows)

static const cyaml_schema_value_t text_entry = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0,
								    CYAML_UNLIMITED) };

static const cyaml_strval_t dialects[] = { { "socketio", PROFILE_SOCKETIO },
					   { "plain", PROFILE_PLAIN } };
static const cyaml_strval_t brokers[] = { { "kafka", BROKER_KAFKA },
					  { "rabbitmq", BROKER_RABBITMQ } };
static const cyaml_strval_t tokens[] = { { "required", RAW_TOKEN_REQUIRED },
					 { "none", RAW_TOKEN_NONE } };
static const cyaml_strval_t tos[] = { { "others", RAW_TO_OTHERS }, { "all", RAW_TO_ALL } };
static const cyaml_strval_t types[] = {
	{ "any", FIELD_ANY },       { "id", FIELD_ID },         { "uuid", FIELD_UUID },
	{ "text", FIELD_TEXT },     { "bool", FIELD_BOOL },     { "integer", FIELD_INTEGER },
	{ "number", FIELD_NUMBER }, { "object", FIELD_OBJECT }, { "array", FIELD_ARRAY },
};

static const cyaml_schema_field_t settings_rows[] = {
#define SET_INT(field) TEXT(#field, OPT_KEY, struct raw_settings, field),
#define SET_BOOL SET_INT
#define SET_TEXT SET_INT
#define SET_LIST SET_INT
#define SET_ENUM SET_INT
#define SET_SECRET(field)
#define OPT(kind, field, env, def, min, max, users, doc) SET_##kind(field)
#include "common/conf/options.def"
#undef OPT
	CYAML_FIELD_END
};

static const cyaml_schema_field_t auth_rows[] = {
	CYAML_FIELD_ENUM("token", CYAML_FLAG_STRICT, struct raw_auth, token, tokens, COUNT(tokens)),
	TEXT("user_id", OPT_KEY, struct raw_auth, user_id),
	TEXT("user", OPT_KEY, struct raw_auth, user), CYAML_FIELD_END
};

static const cyaml_schema_field_t failure_rows[] = {
	TEXT("ack", CYAML_FLAG_DEFAULT, struct raw_failure, ack), CYAML_FIELD_END
};

static const cyaml_schema_field_t when_rows[] = {
	TEXT("user", CYAML_FLAG_DEFAULT, struct raw_when, user),
	LIST("any", CYAML_FLAG_DEFAULT, struct raw_when, any, text_entry, 1), CYAML_FIELD_END
};

static const cyaml_schema_field_t rule_rows[] = {
	MAPPING("when", OPT_KEY, struct raw_rule, when, when_rows),
	CYAML_FIELD_BOOL_PTR("allow", CYAML_FLAG_POINTER | OPT_KEY, struct raw_rule, allow),
	TEXT("deny", OPT_KEY, struct raw_rule, deny),
	TEXT("sql", OPT_KEY, struct raw_rule, sql),
	LIST("params", OPT_KEY, struct raw_rule, params, text_entry, 0),
	TEXT("none", OPT_KEY, struct raw_rule, none),
	TEXT("message", OPT_KEY, struct raw_rule, message),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t rule_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT,
								     struct raw_rule, rule_rows) };

static const cyaml_schema_field_t check_rows[] = {
	TEXT("name", CYAML_FLAG_DEFAULT, struct raw_check, name),
	LIST("args", OPT_KEY, struct raw_check, args, text_entry, 0),
	LIST("rules", CYAML_FLAG_DEFAULT, struct raw_check, rules, rule_entry, 1),
	LIST("embedded", OPT_KEY, struct raw_check, embedded, rule_entry, 1), CYAML_FIELD_END
};
static const cyaml_schema_value_t check_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct raw_check, check_rows) };

static const cyaml_schema_field_t field_rows[] = {
	TEXT("name", CYAML_FLAG_DEFAULT, struct raw_field, name),
	CYAML_FIELD_ENUM("type", CYAML_FLAG_STRICT, struct raw_field, type, types, COUNT(types)),
	CYAML_FIELD_BOOL("optional", OPT_KEY, struct raw_field, optional),
	CYAML_FIELD_BOOL("bare", OPT_KEY, struct raw_field, bare),
	TEXT("default", OPT_KEY, struct raw_field, fallback),
	CYAML_FIELD_INT_PTR("min", CYAML_FLAG_POINTER | OPT_KEY, struct raw_field, min),
	CYAML_FIELD_INT_PTR("max", CYAML_FLAG_POINTER | OPT_KEY, struct raw_field, max),
	LIST("values", OPT_KEY, struct raw_field, values, text_entry, 1),
	LIST("paths", OPT_KEY, struct raw_field, paths, text_entry, 1),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t field_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct raw_field, field_rows) };

static const cyaml_schema_field_t use_rows[] = {
	TEXT("name", CYAML_FLAG_DEFAULT, struct raw_use, name),
	LIST("args", OPT_KEY, struct raw_use, args, text_entry, 0), CYAML_FIELD_END
};

#define BROKER(key, member) \
	CYAML_FIELD_ENUM_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_STRICT | OPT_KEY, \
			     struct raw_action, member, brokers, COUNT(brokers))

static const cyaml_schema_field_t when_field_rows[] = {
	TEXT("field", CYAML_FLAG_DEFAULT, struct raw_when_field, field),
	LIST("any", CYAML_FLAG_DEFAULT, struct raw_when_field, any, text_entry, 1), CYAML_FIELD_END
};

static const cyaml_schema_field_t action_rows[] = {
	TEXT("join", OPT_KEY, struct raw_action, join),
	TEXT("leave", OPT_KEY, struct raw_action, leave),
	TEXT("ack", OPT_KEY, struct raw_action, ack),
	TEXT("emit", OPT_KEY, struct raw_action, emit),
	TEXT("relay", OPT_KEY, struct raw_action, relay),
	TEXT("args", OPT_KEY, struct raw_action, args),
	LIST("rooms", OPT_KEY, struct raw_action, rooms, text_entry, 1),
	CYAML_FIELD_ENUM_PTR("to", CYAML_FLAG_POINTER | CYAML_FLAG_STRICT | OPT_KEY,
			     struct raw_action, to, tos, COUNT(tos)),
	CYAML_FIELD_BOOL_PTR("volatile", CYAML_FLAG_POINTER | OPT_KEY, struct raw_action,
			     is_volatile),
	CYAML_FIELD_BOOL_PTR("unless_ack", CYAML_FLAG_POINTER | OPT_KEY, struct raw_action,
			     unless_ack),
	CYAML_FIELD_BOOL_PTR("presence", CYAML_FLAG_POINTER | OPT_KEY, struct raw_action, presence),
	CYAML_FIELD_BOOL_PTR("confirm", CYAML_FLAG_POINTER | OPT_KEY, struct raw_action, confirm),
	TEXT("produce", OPT_KEY, struct raw_action, produce),
	BROKER("broker", broker),
	TEXT("topic_env", OPT_KEY, struct raw_action, topic_env),
	TEXT("key", OPT_KEY, struct raw_action, key),
	TEXT("value", OPT_KEY, struct raw_action, value),
	BROKER("when_broker", when_broker),
	BROKER("unless_broker", unless_broker),
	TEXT("when_field", OPT_KEY, struct raw_action, when_field),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t action_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct raw_action, action_rows) };

static const cyaml_schema_field_t once_rows[] = {
	TEXT("key", CYAML_FLAG_DEFAULT, struct raw_once, key), CYAML_FIELD_END
};

static const cyaml_schema_field_t later_rows[] = {
	CYAML_FIELD_INT_PTR("seconds", CYAML_FLAG_POINTER, struct raw_later, seconds),
	TEXT("event", CYAML_FLAG_DEFAULT, struct raw_later, event),
	TEXT("args", OPT_KEY, struct raw_later, args),
	TEXT("key", CYAML_FLAG_DEFAULT, struct raw_later, key),
	MAPPING("when", OPT_KEY, struct raw_later, when, when_field_rows),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t event_rows[] = {
	TEXT("event", CYAML_FLAG_DEFAULT, struct raw_event, event),
	LIST("fields", OPT_KEY, struct raw_event, fields, field_entry, 0),
	MAPPING("check", OPT_KEY, struct raw_event, check, use_rows),
	TEXT("member", OPT_KEY, struct raw_event, member),
	MAPPING("once", OPT_KEY, struct raw_event, once, once_rows),
	MAPPING("later", OPT_KEY, struct raw_event, later, later_rows),
	CYAML_FIELD_SEQUENCE_COUNT("do", CYAML_FLAG_POINTER, struct raw_event, actions,
				   actions_count, &action_entry, 1, CYAML_UNLIMITED),
	MAPPING("failure", OPT_KEY, struct raw_event, failure, failure_rows),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t event_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct raw_event, event_rows) };

static const cyaml_schema_field_t nsp_rows[] = {
	TEXT("name", CYAML_FLAG_DEFAULT, struct raw_nsp, name),
	MAPPING("check", OPT_KEY, struct raw_nsp, check, use_rows),
	LIST("connect", OPT_KEY, struct raw_nsp, connect, action_entry, 0),
	LIST("presence", OPT_KEY, struct raw_nsp, presence, action_entry, 0),
	LIST("events", OPT_KEY, struct raw_nsp, events, event_entry, 0),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t nsp_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT,
								    struct raw_nsp, nsp_rows) };

static const cyaml_strval_t queue_types[] = { { "classic", 0 }, { "quorum", 1 } };

static const cyaml_schema_field_t rabbitmq_rows[] = {
	TEXT("exchange", OPT_KEY, struct raw_rabbitmq, exchange),
	TEXT("queue", OPT_KEY, struct raw_rabbitmq, queue),
	CYAML_FIELD_ENUM_PTR("queue_type", CYAML_FLAG_POINTER | CYAML_FLAG_STRICT | OPT_KEY,
			     struct raw_rabbitmq, queue_type, queue_types, COUNT(queue_types)),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t remove_rows[] = {
	TEXT("user", CYAML_FLAG_DEFAULT, struct raw_remove, user),
	MAPPING("when", OPT_KEY, struct raw_remove, when, when_field_rows), CYAML_FIELD_END
};

static const cyaml_schema_field_t topic_rows[] = {
	TEXT("topic", CYAML_FLAG_DEFAULT, struct raw_topic, topic),
	TEXT("env", OPT_KEY, struct raw_topic, env), TEXT("type", OPT_KEY, struct raw_topic, type),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t topic_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct raw_topic, topic_rows) };

static const cyaml_schema_field_t kafka_rows[] = {
	TEXT("group", OPT_KEY, struct raw_kafka, group),
	LIST("topics", OPT_KEY, struct raw_kafka, topics, topic_entry, 1), CYAML_FIELD_END
};

static const cyaml_schema_field_t ingest_event_rows[] = {
	TEXT("type", CYAML_FLAG_DEFAULT, struct raw_ingest_event, type),
	TEXT("namespace", OPT_KEY, struct raw_ingest_event, nsp),
	TEXT("emit", OPT_KEY, struct raw_ingest_event, emit),
	LIST("fields", OPT_KEY, struct raw_ingest_event, fields, field_entry, 0),
	LIST("rooms", CYAML_FLAG_DEFAULT, struct raw_ingest_event, rooms, text_entry, 1),
	LIST("args", OPT_KEY, struct raw_ingest_event, args, text_entry, 1),
	CYAML_FIELD_BOOL("volatile", OPT_KEY, struct raw_ingest_event, is_volatile),
	MAPPING("remove", OPT_KEY, struct raw_ingest_event, remove, remove_rows),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t ingest_event_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct raw_ingest_event, ingest_event_rows) };

static const cyaml_schema_field_t ingest_rows[] = {
	MAPPING("rabbitmq", OPT_KEY, struct raw_ingest, rabbitmq, rabbitmq_rows),
	MAPPING("kafka", OPT_KEY, struct raw_ingest, kafka, kafka_rows),
	LIST("events", CYAML_FLAG_DEFAULT, struct raw_ingest, events, ingest_event_entry, 1),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t profile_rows[] = {
	TEXT("profile", CYAML_FLAG_DEFAULT, struct raw_profile, profile),
	CYAML_FIELD_ENUM("dialect", CYAML_FLAG_STRICT, struct raw_profile, dialect, dialects,
			 COUNT(dialects)),
	TEXT("port_env", OPT_KEY, struct raw_profile, port_env),
	CYAML_FIELD_BOOL_PTR("recovery", CYAML_FLAG_POINTER | OPT_KEY, struct raw_profile,
			     recovery),
	MAPPING("settings", OPT_KEY, struct raw_profile, settings, settings_rows),
	MAPPING("auth", CYAML_FLAG_DEFAULT, struct raw_profile, auth, auth_rows),
	MAPPING("failure", OPT_KEY, struct raw_profile, failure, failure_rows),
	LIST("checks", OPT_KEY, struct raw_profile, checks, check_entry, 0),
	LIST("namespaces", CYAML_FLAG_DEFAULT, struct raw_profile, namespaces, nsp_entry, 1),
	MAPPING("ingest", OPT_KEY, struct raw_profile, ingest, ingest_rows),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t schema = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_POINTER, struct raw_profile, profile_rows) };

const struct profile_raw_def profile_raw_defs[] = {
	{ "profile", profile_rows },
	{ "settings", settings_rows },
	{ "auth", auth_rows },
	{ "failure", failure_rows },
	{ "check", check_rows },
	{ "rule", rule_rows },
	{ "when", when_rows },
	{ "namespace", nsp_rows },
	{ "event", event_rows },
	{ "field", field_rows },
	{ "use", use_rows },
	{ "action", action_rows },
	{ "when_field", when_field_rows },
	{ "once", once_rows },
	{ "later", later_rows },
	{ "remove", remove_rows },
	{ "ingest", ingest_rows },
	{ "rabbitmq", rabbitmq_rows },
	{ "kafka", kafka_rows },
	{ "topic", topic_rows },
	{ "domain_event", ingest_event_rows },
	{ NULL, NULL },
};

const struct cyaml_schema_value *profile_raw_schema(void)
{
	return &schema;
}
