/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes from the kernel (getrandom(2)), buffered. Unpredictable: used for session ids and secrets. */
#ifndef ROOMWIRE_BASE_RND_H
#define ROOMWIRE_BASE_RND_H

#include <stddef.h>
#include <stdint.h>

void rnd_bytes(void *out, size_t n);
uint64_t rnd_u64(void); /* never 0 */
/* n characters of base64url from 6 random bits each, not terminated. */
void rnd_id(char *out, size_t n);
uint32_t rnd_below(uint32_t bound); /* 0 <= x < bound; bound > 0 */

#endif
