/* SPDX-License-Identifier: Apache-2.0 */
/* Writes docs/metrics.md. */
#include "common/base/doc_page.h"
#include "common/metrics/metrics.h"

int main(int argc, char **argv)
{
	return doc_page_run(argc, argv, "docs/metrics.md", metrics_doc);
}
