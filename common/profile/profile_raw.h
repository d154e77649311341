/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile's file as libcyaml loads it: the same shape as the YAML, nothing compiled. Between load and compile only.
 * Texts and lists are NULL where the file has none; a list NAME has NAME_count entries.
 */
#ifndef ROOMWIRE_PROFILE_PROFILE_RAW_H
#define ROOMWIRE_PROFILE_PROFILE_RAW_H

#include "common/profile/profile.h"
#include "common/profile/profile_raw_when.h"

struct cyaml_schema_value;

/* Options of common/conf/options.def but secrets, each as text. */
struct raw_settings {
#define RAW_INT(field) char *field;
#define RAW_BOOL(field) char *field;
#define RAW_TEXT(field) char *field;
#define RAW_LIST(field) char *field;
#define RAW_ENUM(field) char *field;
#define RAW_SECRET(field)
#define OPT(kind, field, env, def, min, max, users, doc) RAW_##kind(field)
#include "common/conf/options.def"
#undef OPT
#undef RAW_INT
#undef RAW_BOOL
#undef RAW_TEXT
#undef RAW_LIST
#undef RAW_ENUM
#undef RAW_SECRET
};

enum raw_token { RAW_TOKEN_REQUIRED = 0, RAW_TOKEN_NONE };

struct raw_auth {
	enum raw_token token;
	char *user_id;
	char *user;
};

struct raw_failure {
	char *ack;
};

struct raw_when {
	char *user;
	char **any;
	uint32_t any_count;
};

struct raw_rule {
	struct raw_when *when;
	bool *allow;
	char *deny;
	char *sql;
	char **params;
	uint32_t params_count;
	char *none;
	char *message;
};

struct raw_check {
	char *name;
	char **args;
	uint32_t args_count;
	struct raw_rule *rules;
	uint32_t rules_count;
	struct raw_rule *embedded;
	uint32_t embedded_count;
};

struct raw_field {
	char *name;
	enum field_type type;
	bool optional, bare;
	char *fallback; /* `default` */
	int64_t *min, *max;
	char **values;
	uint32_t values_count;
	char **paths;
	uint32_t paths_count;
};

struct raw_use { /* of a check */
	char *name;
	char **args;
	uint32_t args_count;
};

enum raw_to { RAW_TO_OTHERS = 0, RAW_TO_ALL };

struct raw_action {
	char *join, *leave, *ack, *emit, *relay, *produce;
	bool *presence;
	bool *confirm;
	enum profile_broker *broker, *when_broker, *unless_broker;
	char *topic_env, *key, *value, *when_field;
	char *args;
	char **rooms;
	uint32_t rooms_count;
	enum raw_to *to;
	bool *is_volatile; /* `volatile` */
	bool *unless_ack;
};

struct raw_event {
	char *event;
	struct raw_once *once;
	struct raw_later *later;
	struct raw_field *fields;
	uint32_t fields_count;
	struct raw_use *check;
	char *member;
	struct raw_action *actions; /* `do` */
	uint32_t actions_count;
	struct raw_failure *failure;
};

struct raw_nsp {
	char *name;
	struct raw_use *check;
	struct raw_action *connect;
	uint32_t connect_count;
	struct raw_action *presence;
	uint32_t presence_count;
	struct raw_event *events;
	uint32_t events_count;
};

struct raw_rabbitmq {
	char *exchange, *queue;
	int *queue_type;
};

struct raw_topic {
	char *topic, *env, *type;
};

struct raw_kafka {
	char *group;
	struct raw_topic *topics;
	uint32_t topics_count;
};

struct raw_ingest_event {
	char *type;
	struct raw_remove *remove;
	char *nsp; /* `namespace` */
	char *emit;
	struct raw_field *fields;
	uint32_t fields_count;
	char **rooms;
	uint32_t rooms_count;
	char **args;
	uint32_t args_count;
	bool is_volatile;
};

struct raw_ingest {
	struct raw_rabbitmq *rabbitmq;
	struct raw_kafka *kafka;
	struct raw_ingest_event *events;
	uint32_t events_count;
};

struct raw_profile {
	char *profile;
	enum profile_dialect dialect;
	char *port_env;
	bool *recovery;
	struct raw_settings *settings;
	struct raw_auth *auth;
	struct raw_failure *failure;
	struct raw_check *checks;
	uint32_t checks_count;
	struct raw_nsp *namespaces;
	uint32_t namespaces_count;
	struct raw_ingest *ingest;
};

/* The language itself: what yaml_load checks a file against, and profile_schema walks. */
const struct cyaml_schema_value *profile_raw_schema(void);

struct cyaml_schema_field;
/* Every mapping of the language by a name; ends with a NULL name. The first is the file itself. */
struct profile_raw_def {
	const char *name;
	const struct cyaml_schema_field *rows;
};
extern const struct profile_raw_def profile_raw_defs[];

#endif
