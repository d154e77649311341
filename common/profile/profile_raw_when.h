/* SPDX-License-Identifier: Apache-2.0 */
/* Part of profile_raw.h: under which conditions, how often and when something happens. */
#ifndef ROOMWIRE_PROFILE_PROFILE_RAW_WHEN_H
#define ROOMWIRE_PROFILE_PROFILE_RAW_WHEN_H

#include <stdint.h>

struct raw_when_field {
	char *field;
	char **any;
	uint32_t any_count;
};

struct raw_once {
	char *key;
};

struct raw_later {
	struct raw_when_field *when;
	int64_t *seconds;
	char *key, *event, *args;
};

struct raw_remove {
	char *user;
	struct raw_when_field *when;
};

#endif
