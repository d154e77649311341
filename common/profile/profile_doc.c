/* SPDX-License-Identifier: Apache-2.0 */
/* Writes docs/profile.schema.json. */
#include "common/base/doc_page.h"
#include "common/profile/profile.h"

int main(int argc, char **argv)
{
	return doc_page_run(argc, argv, "docs/profile.schema.json", profile_schema);
}
