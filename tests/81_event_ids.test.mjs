// SPDX-License-Identifier: Apache-2.0
/* Event ids are remembered: in the router, and with Redis across its death, longer than its history. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { signal } from './lib/children.mjs';
import { waitReplaced } from './lib/cluster.mjs';
import { fresh, member, numbersOf } from './lib/comeback.mjs';
import { Redis } from './lib/redis.mjs';

const fixture = useFixture(async (things) => {
	things.redis = await Redis.create();
	things.rw = await new Roomwire({ profile: 'bench', env: { REDIS_URL: things.redis.url } }).start();
});

async function kill(rw, name) {
	const { pid } = rw.processes[name];
	signal(pid, 'SIGKILL');
	await waitReplaced(rw, name, pid);
}

const publishAll = async (events) => {
	for (const event of events)
		await waitFor(async () => (await fixture.rw.api('/v1/publish', event)).status === 202, { what: 'a publish to be accepted', everyMs: 20 });
};

scenario('what was published before the router died is not shown again when it is sent again, though its history is gone', async () => {
	const { rw, redis } = fixture;
	const room = fresh('ids');
	const client = await member(rw, [room]);
	const events = Array.from({ length: 50 }, (_, n) => ({ rooms: [room], event: 'n', data: { n }, id: randomUUID() }));
	await publishAll(events);
	await redis.command('DEL', 'roomwire:router-0:history');
	await Promise.all([kill(rw, 'edge-0'), kill(rw, 'router-0')]); /* the edge would remember, too */
	const other = await waitFor(() => member(rw, [room]), { what: 'a client to join', deadlineMs: 20_000 });
	await publishAll(events);
	await rw.publish({ rooms: [room], event: 'n', data: { n: 1000 } });
	await other.next('n', { where: ({ n }) => n === 1000 });
	assert.deepEqual(numbersOf(other), [1000], 'none of them came again');
	client.socket.disconnect();
});
