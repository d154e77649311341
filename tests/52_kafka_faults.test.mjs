// SPDX-License-Identifier: Apache-2.0
/* The broker, routers and ingests are stopped and killed while records flow: each of them is delivered once, those of a key in order. KAFKA_EVENTS: how many a run. */
import assert from 'node:assert/strict';
import { scenario, useRoomwire, waitFor } from './harness.mjs';
import { assertWhole, processesOf, total, waitReplaced } from './lib/cluster.mjs';
import { signal } from './lib/children.mjs';
import { EVENTS, flood, member, onKafka, waitCommitted } from './lib/stream.mjs';

const ROOMS = 4;
const COUNT = Math.ceil(EVENTS / ROOMS);
const fixture = useRoomwire(onKafka({ ingests: 2, edges: 2 }));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* Records flow to four rooms of four partitions, something happens half-way, all arrive. */
async function survive(name, between, options = {}) {
	const rooms = Array.from({ length: ROOMS }, (_, i) => `${name}${i}`);
	const clients = await Promise.all(rooms.map((room) => member(fixture.rw, room)));
	await flood(fixture, rooms, COUNT, { batch: 25, gapMs: 20, between, ...options });
	for (const [i, client] of clients.entries())
		await assertWhole(client, COUNT, { event: 'tick', who: rooms[i], deadlineMs: 40_000 });
	await waitCommitted(fixture.broker);
	assert.equal(await total(fixture.rw, 'ingest', 'roomwire_kafka_pending'), 0);
}

const options = { timeout: 120_000 };

scenario('nothing is killed', options, () => survive('calm', async () => {}));

scenario('both ingests share the partitions', async () => {
	await waitFor(async () => {
		const counts = await Promise.all(['ingest-0', 'ingest-1'].map(async (name) => {
			const text = await (await fetch(`${fixture.rw.processes[name].opsUrl}/metrics`)).text();
			return Number(/^roomwire_kafka_partitions (\d+)$/m.exec(text)[1]);
		}));
		return counts.every((n) => n >= 2) && counts[0] + counts[1] === 5;
	}, { what: 'two or three of the five partitions at each ingest', deadlineMs: 20_000 });
});

scenario('the router is killed', options, () => survive('router', () => fixture.rw.killAndWait('router')));

scenario('an ingest is killed: the other one takes over', options, () => survive('ingest', async () => {
	const { pid } = fixture.rw.processes['ingest-0'];
	signal(pid, 'SIGKILL');
	await waitReplaced(fixture.rw, 'ingest-0', pid);
}));

scenario('an ingest ends in an orderly way: the partitions move at once', options, () => survive('drain', async () => {
	const { pid } = fixture.rw.processes['ingest-1'];
	signal(pid, 'SIGTERM');
	await waitReplaced(fixture.rw, 'ingest-1', pid);
}));

scenario('an ingest stands still for longer than the group waits for it', options, () => survive('still', async () => {
	const { pid } = fixture.rw.processes['ingest-0'];
	signal(pid, 'SIGSTOP');
	await pause(3000);
	signal(pid, 'SIGCONT');
}));

scenario('partitions move while the router stands still: what was under way is not shown twice', options, () => survive('moved', async () => {
	const { pid } = fixture.rw.processes['ingest-1'];
	fixture.rw.kill('router', 'SIGSTOP');
	await pause(300);
	signal(pid, 'SIGKILL');
	await waitReplaced(fixture.rw, 'ingest-1', pid);
	await pause(3500); /* the session ends, the group gives the partitions anew, 2 s for what is under way */
	fixture.rw.kill('router', 'SIGCONT');
}));

scenario('the broker is stopped and started: readiness tells', options, async () => {
	const rooms = Array.from({ length: ROOMS }, (_, i) => `broker${i}`);
	const clients = await Promise.all(rooms.map((room) => member(fixture.rw, room)));
	await flood(fixture, rooms, COUNT / 2);
	await fixture.broker.stop();
	for (const { opsUrl } of Object.values(processesOf(fixture.rw, 'ingest')))
		await waitFor(async () => (await (await fetch(`${opsUrl}/readyz`)).text()).includes('"kafka"'), { what: 'readiness to name kafka', deadlineMs: 20_000 });
	await fixture.broker.start();
	await flood(fixture, rooms, COUNT / 2, { from: COUNT / 2 });
	for (const [i, client] of clients.entries())
		await assertWhole(client, COUNT, { event: 'tick', who: rooms[i], deadlineMs: 40_000 });
	await fixture.rw.waitReady('ingest');
	await waitCommitted(fixture.broker);
});

scenario('the broker is killed while records flow', options, () => survive('cut', async () => {
	await fixture.broker.kill();
	await fixture.broker.start();
}));

scenario('the broker stands still for a while', options, () => survive('frozen', async () => {
	signal(fixture.broker.pid, 'SIGSTOP');
	await pause(2500);
	signal(fixture.broker.pid, 'SIGCONT');
}));

scenario('while the router stands still ingest takes a bounded number of records, and all of them later', options, async () => {
	const most = 2 * 1000;
	const name = 'wait';
	await survive(name, async () => {
		fixture.rw.kill('router', 'SIGSTOP');
		await pause(1500);
		assert.ok(await total(fixture.rw, 'ingest', 'roomwire_kafka_pending') <= most);
		fixture.rw.kill('router', 'SIGCONT');
	});
});

scenario('the broker is gone for good: Roomwire ends in order and does not wait for it', async () => {
	await fixture.broker.kill();
	const began = Date.now();
	await fixture.rw.stop();
	assert.ok(Date.now() - began < 8000);
});
