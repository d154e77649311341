/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of bus.def as descriptors. */
#include <stddef.h>

#include "proto/wire.h"

#define TEXT_OF(x) #x
#define SAMPLE_U64(sample) TEXT_OF(sample)
#define SAMPLE_BOOL(sample) TEXT_OF(sample)
#define SAMPLE_STR(sample) sample
#define SAMPLE_SECRET(sample) sample
#define SAMPLE_LIST(sample) sample

#define MSG(ID, name, number, doc) static const struct wire_field fields_##name[] = {
#define FIELD(name, type, field, min, max, sample, doc) \
	{ WIRE_T_##type,         #field, offsetof(struct wire_##name, field), (min), (max), \
	  SAMPLE_##type(sample), (doc) },
#define END(ID, name) \
	{ \
		WIRE_T_END, NULL, 0, 0, 0, NULL, NULL \
	} \
	} \
	;
#include "proto/bus.def"
#undef MSG
#undef FIELD
#undef END

const struct wire_message wire_messages[] = {
#define MSG(ID, name, number, doc) \
	{ WIRE_##ID, #ID, (doc), sizeof(struct wire_##name), fields_##name },
#define FIELD(name, type, field, min, max, sample, doc)
#define END(ID, name)
#include "proto/bus.def"
#undef MSG
#undef FIELD
#undef END
};

const size_t wire_message_count = sizeof(wire_messages) / sizeof(wire_messages[0]);
