// SPDX-License-Identifier: Apache-2.0
/* The broker, routers and ingests are stopped and killed while records flow: each of them is delivered once, those of a key in order. KAFKA_EVENTS: how many a run. */
import assert from 'node:assert/strict';
import { scenario, useRoomwire, waitFor } from './harness.mjs';
import { assertWhole, metricOf, processesOf, total, waitReplaced, whileStopped } from './lib/cluster.mjs';
import { signal } from './lib/children.mjs';
import { EVENTS, flood, member, onKafka, PARTITIONS, waitCommitted } from './lib/stream.mjs';

const ROOMS = 4;
const COUNT = Math.ceil(EVENTS / ROOMS);
const fixture = useRoomwire(onKafka({ ingests: 2, edges: 2, env: { DRAIN_SECONDS: '30' } }));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* {ingest: how many partitions it reads}, or so much of another metric. */
async function ofEach(series = 'roomwire_kafka_partitions') {
	const ingests = Object.entries(processesOf(fixture.rw, 'ingest'));
	return Object.fromEntries(await Promise.all(ingests.map(async ([name, one]) => [name, await metricOf(one, series)])));
}

const ALL = PARTITIONS + 1; /* of both topics */
/* Each has some, and together they have all. */
const waitShared = () => waitFor(async () => {
	const counts = Object.values(await ofEach());
	return counts.every((n) => n >= 2) && counts.reduce((sum, n) => sum + n) === ALL;
}, { what: 'two or three of the five partitions at each ingest', deadlineMs: 40_000 });

/* Records flow to four rooms of four partitions, something happens half-way, all arrive. */
async function survive(name, between, { count = COUNT } = {}) {
	await waitShared();
	const rooms = Array.from({ length: ROOMS }, (_, i) => `${name}${i}`);
	const clients = await Promise.all(rooms.map((room) => member(fixture.rw, room)));
	await flood(fixture, rooms, count, { batch: 25, gapMs: 20, between });
	for (const [i, client] of clients.entries())
		await assertWhole(client, count, { event: 'tick', who: rooms[i], deadlineMs: 40_000 });
	await waitCommitted(fixture.broker);
	await waitFor(async () => await total(fixture.rw, 'ingest', 'roomwire_kafka_pending') === 0, { what: 'nothing to be under way' });
}

const options = { timeout: 120_000 };

scenario('nothing is killed', options, () => survive('calm', async () => {}));

scenario('both ingests share the partitions', waitShared);

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
	await whileStopped(pid, () => waitFor(async () => await metricOf(fixture.rw.processes['ingest-1'], 'roomwire_kafka_partitions') === ALL,
		{ what: 'the other one to have all partitions', deadlineMs: 40_000 }));
}));

scenario('partitions move while the router stands still: what was under way is not shown twice', options, () => survive('moved', async () => {
	const { pid } = fixture.rw.processes['ingest-1'];
	await whileStopped(fixture.rw.process('router').pid, async () => {
		await waitFor(async () => Object.values(await ofEach('roomwire_kafka_pending')).every((n) => n > 0), { what: 'records to be under way from both' });
		signal(pid, 'SIGKILL');
		await waitReplaced(fixture.rw, 'ingest-1', pid);
		await waitShared(); /* the session has ended, and what was under way has had its time */
	});
}));

scenario('the broker is stopped and started: readiness tells', options, async () => {
	const rooms = Array.from({ length: ROOMS }, (_, i) => `broker${i}`);
	const clients = await Promise.all(rooms.map((room) => member(fixture.rw, room)));
	await flood(fixture, rooms, COUNT / 2);
	await fixture.broker.stop();
	for (const { opsUrl } of Object.values(processesOf(fixture.rw, 'ingest')))
		await waitFor(async () => (await (await fetch(`${opsUrl}/readyz`)).text()).includes('"kafka"'), { what: 'readiness to name kafka', deadlineMs: 40_000 });
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
	await pause(2500); /* longer than a session of the group: how long is the fault itself */
	signal(fixture.broker.pid, 'SIGCONT');
}));

scenario('while the router stands still ingest takes a bounded number of records, and all of them later', options, async () => {
	const most = 2 * 1000;
	const name = 'wait';
	await survive(name, () => whileStopped(fixture.rw.process('router').pid, async () => {
		await waitFor(async () => await total(fixture.rw, 'ingest', 'roomwire_kafka_partitions_held') >= ROOMS, { what: 'none of the partitions to be read on' });
		assert.ok(await total(fixture.rw, 'ingest', 'roomwire_kafka_pending') <= most);
	}), { count: Math.max(COUNT, 1500) }); /* more than are taken */
});

scenario('the broker is gone for good: Roomwire ends in order and does not wait for it', async () => {
	await fixture.broker.kill();
	const began = Date.now();
	await fixture.rw.stop();
	assert.ok(Date.now() - began < 20_000);
});
