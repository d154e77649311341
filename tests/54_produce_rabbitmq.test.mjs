// SPDX-License-Identifier: Apache-2.0
/* What clients send goes to RabbitMQ, is acknowledged when the broker has confirmed it, and comes to the room when it returns: once, whatever is killed meanwhile. */
import assert from 'node:assert/strict';
import { connect, RECONNECTING, scenario, useRoomwire, waitFor } from './harness.mjs';
import { signal } from './lib/children.mjs';
import { waitAllReady, waitReplaced } from './lib/cluster.mjs';
import { fresh } from './lib/comeback.mjs';
import { sharedRabbitMq } from './lib/rabbitmq.mjs';

const fixture = useRoomwire(async (things) => {
	things.vhost = await (await sharedRabbitMq()).createVhost();
	return { profile: 'tests/profiles/loop.yaml', edges: 2, ingests: 2, env: { RABBITMQ_URL: things.vhost.url, DRAIN_SECONDS: '2' } };
});

async function member(room) {
	await waitAllReady(fixture.rw, 'ingest'); /* an edge asks any of them */
	const client = await connect(fixture.rw.url, { token: fixture.rw.token({ sub: fresh('user') }), ...RECONNECTING });
	assert.equal((await client.ask('room:join', { room })).ok, true);
	return client;
}

scenario('acknowledged by the broker, then seen by the room; the same key is accepted once', { timeout: 120_000 }, async () => {
	const room = fresh('loop');
	const [one, two] = [await member(room), await member(room)];
	const first = await waitFor(async () => {
		const answer = await one.ask('say', { room, n: 1, key: 'k' });
		return answer.ok && answer;
	}, { what: 'an ingest that publishes' });
	assert.equal(first.duplicate, false);
	assert.deepEqual(await one.ask('say', { room, n: 1, key: 'k' }), { ...first, duplicate: true });
	await one.ask('say', { room, n: 2, key: 'k2' });
	for (const client of [one, two]) {
		await client.next('said', { where: ({ n }) => n === 2 });
		assert.deepEqual(client.received('said').map(({ n }) => n), [1, 2]);
	}
});

scenario('what no queue wants is refused, with the reason', { timeout: 120_000 }, async () => {
	const room = fresh('loop');
	const client = await member(room);
	assert.equal((await client.ask('mutter', { room })).error.code, 'UNROUTABLE');
});

/* A client that asks again, with the same key, until it is accepted. */
async function insist(client, what) {
	await waitFor(async () => client.socket.connected && (await client.socket.timeout(3000).emitWithAck('say', what)).ok, { what: `${what.n} to be accepted`, deadlineMs: 40_000, everyMs: 10 });
}

for (const kind of ['ingest', 'router', 'edge']) {
	scenario(`every ${kind} is killed while a client sends, and sends again what was not acknowledged: the room sees each once`, { timeout: 120_000 }, async () => {
		const { rw } = fixture;
		const room = fresh('loop');
		const [sender, witness] = [await member(room), await member(room)];
		const count = 120;
		let killing;
		for (let n = 0; n < count; n++) {
			if (n === count / 3)
				killing = Promise.all(Object.keys(rw.processes).filter((name) => name.startsWith(kind)).map((name) => {
					const { pid } = rw.processes[name];
					signal(pid, 'SIGKILL');
					return waitReplaced(rw, name, pid);
				}));
			await insist(sender, { room, n, key: `${room}-${n}` });
		}
		await killing;
		for (const client of [sender, witness]) {
			await waitFor(() => client.received('said').length >= count, { what: 'all of them', deadlineMs: 40_000 });
			assert.deepEqual(client.received('said').map(({ n }) => n).sort((a, b) => a - b), Array.from({ length: count }, (_, n) => n));
		}
	});
}
