// SPDX-License-Identifier: Apache-2.0
/* Where things are; the environment may point elsewhere. */
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const TESTS = resolve(dirname(fileURLToPath(import.meta.url)), '..');
export const REPO = resolve(process.env.ROOMWIRE_ROOT || join(TESTS, '..'));
export const BIN = resolve(REPO, process.env.ROOMWIRE_BIN || 'bin');
