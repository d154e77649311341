/* SPDX-License-Identifier: Apache-2.0 */
/* Writes docs/config.md. */
#include "common/base/doc_page.h"
#include "common/conf/conf.h"

int main(int argc, char **argv)
{
	return doc_page_run(argc, argv, "docs/config.md", conf_doc);
}
