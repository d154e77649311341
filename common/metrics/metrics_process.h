/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel counts for this process (proc(5)), under the names Prometheus clients give it. Only metrics.c uses this. */
#ifndef ROOMWIRE_METRICS_METRICS_PROCESS_H
#define ROOMWIRE_METRICS_METRICS_PROCESS_H

#include "common/base/buf.h"

/* Appends process_* metrics; those that cannot be read are left out. Constant time in the number of open files. */
void metrics_process_text(struct buf *out);

#endif
