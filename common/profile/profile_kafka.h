/* SPDX-License-Identifier: Apache-2.0 */
/* `ingest: kafka:` of a profile: where its events come from. Part of struct profile_ingest. Thread: immutable after profile_load. */
#ifndef ROOMWIRE_PROFILE_PROFILE_KAFKA_H
#define ROOMWIRE_PROFILE_PROFILE_KAFKA_H

#include <stdint.h>

struct ingest_topic {
	char *name;
	char *env;  /* environment variable that renames it; NULL: none */
	char *type; /* of all its records; NULL: each says its own in member `type` */
};

struct profile_kafka {
	struct ingest_topic *topics; /* none: the profile takes no events */
	uint32_t topic_count;
	char *group; /* NULL: the same */
};

#endif
