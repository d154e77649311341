/* SPDX-License-Identifier: Apache-2.0 */
/* One value against one field of a profile; whole lists are taken by field_list_take (profile.h). Thread: any. */
#ifndef ROOMWIRE_PROFILE_FIELD_H
#define ROOMWIRE_PROFILE_FIELD_H

#include "common/profile/profile.h"

/* 0, or E_TYPE with "NAME must be …" appended to why (never the value itself). scratch holds decoded text while checking. */
int field_check(const struct field_spec *f, struct json_value v, struct buf *scratch,
		struct buf *why) MUST_CHECK;
/* 8-4-4-4-12 hexadecimal digits (RFC 9562 section 4, either case, any version). */
bool field_is_uuid(struct str s);

#endif
