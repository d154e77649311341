/* SPDX-License-Identifier: Apache-2.0 */
/* Keyed hashing: SipHash (Aumasson, Bernstein 2012) with a random key per process, and an unkeyed stable 128-bit hash for ids. */
#ifndef ROOMWIRE_BASE_HASH_H
#define ROOMWIRE_BASE_HASH_H

#include "common/base/str.h"

/* SipHash-1-3 under the process's own random key: differs from process to process. For tables. */
uint64_t hash_keyed(struct str s);
/* SipHash-2-4 under the given key: the reference function (test vectors of the paper). */
uint64_t hash_sip24(const uint8_t key[16], struct str s);
/* The same in every process and version: two SipHash-2-4 with fixed keys. For event ids and rendezvous hashing; not secret. */
void hash_stable128(struct str s, uint64_t out[2]);
uint64_t hash_stable64(struct str s);

#endif
