// SPDX-License-Identifier: Apache-2.0
/* The jitter test (tests/jitter) in small: bad networks, processes killed and restarted, and nothing missed, doubled or out of order. */
import assert from 'node:assert/strict';
import { scenario } from './harness.mjs';
import { faults, jitter } from './jitter/jitter.mjs';

const SMALL = { clients: 60, rooms: 12, seconds: 10, cutEvery: 3, cutFor: 1, rate: 100 };
const LIMIT = { timeout: 240_000 };

for (const [what, options] of Object.entries({
	'an edge is killed half-way': { kill: 'edge' },
	'a router of two is killed half-way, clients of every transport': { kill: 'router', routers: 2, transport: 'mixed' },
	'edges and routers are restarted one after another': { rolling: true, routers: 2 },
	'cuts that the server is not told of, over three edges, by long-polling': { edges: 3, transport: 'polling', halfOpen: 0.2, kill: 'none' },
})) {
	scenario(`clients that are cut again and again get everything once and in order: ${what}`, LIMIT, async () => {
		const counts = await jitter({ ...SMALL, ...options });

		assert.deepEqual(faults(counts), []);
		assert.ok(counts.recovered > 0, 'somebody was cut and came back');
	});
}
