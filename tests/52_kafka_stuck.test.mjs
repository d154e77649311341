// SPDX-License-Identifier: Apache-2.0
/* What cannot go on holds up nothing else: a partition whose router stands still, dead letters that cannot be written. */
import assert from 'node:assert/strict';
import { scenario, useRoomwire, waitFor } from './harness.mjs';
import { assertWhole, total, whileStopped } from './lib/cluster.mjs';
import { GROUP, member, onKafka, PARTITIONS, TOPIC, waitCommitted } from './lib/stream.mjs';

const fixture = useRoomwire(onKafka({ routers: 2, broker: { 'auto.create.topics.enable': 'false' }, env: { INGEST_IN_FLIGHT: '200' } }));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const send = (partition, room, from, count) => fixture.producer.send(TOPIC, Array.from({ length: count }, (_, i) => (
	{ key: room, partition, value: { type: 'tick', room, n: from + i } })));

/* Members of rooms that belong to either router. */
async function oneOfEach(pid) {
	const rooms = Array.from({ length: 8 }, (_, i) => `s${i}`);
	const clients = await Promise.all(rooms.map((room) => member(fixture.rw, room)));
	await whileStopped(pid, async () => {
		for (const room of rooms)
			fixture.rw.api('/v1/publish', { rooms: [room], event: 'probe', data: {} }).catch(() => {});
		await waitFor(() => clients.some((client) => client.received('probe').length), { what: 'a room of the other router' });
		await pause(500);
	});
	const free = rooms.findIndex((_, i) => clients[i].received('probe').length);
	const stuck = rooms.findIndex((_, i) => !clients[i].received('probe').length);
	assert.ok(free >= 0 && stuck >= 0, 'rooms of both routers');
	return { free: { room: rooms[free], client: clients[free] }, stuck: { room: rooms[stuck], client: clients[stuck] } };
}

scenario('a partition whose router stands still is not read on, others are', async () => {
	const { pid } = fixture.rw.processes['router-1'];
	const { free, stuck } = await oneOfEach(pid);
	await fixture.rw.waitReady('ingest');
	await whileStopped(pid, async () => {
		await send(1, stuck.room, 0, 600);
		await waitFor(async () => await total(fixture.rw, 'ingest', 'roomwire_kafka_partitions_held') === 1, { what: 'a partition to be held' });
		await send(0, free.room, 0, 600);
		await assertWhole(free.client, 600, { event: 'tick', deadlineMs: 4000 });
		assert.equal(stuck.client.received('tick').length, 0);
		assert.ok(await total(fixture.rw, 'ingest', 'roomwire_kafka_pending') <= 200 / PARTITIONS);
	});
	await assertWhole(stuck.client, 600, { event: 'tick' });
	await waitCommitted(fixture.broker);
});

scenario('dead letters that cannot be written are told, hold the commit and nothing else, and are written later', async () => {
	const client = await member(fixture.rw, 'd1');
	const before = (await fixture.broker.committed(GROUP, TOPIC))[2] ?? -1;
	await fixture.producer.send(TOPIC, [{ key: 'bad', partition: 2, value: 'poison', headers: { a: 'b' } }]);
	await send(2, 'd1', 0, 100);
	await assertWhole(client, 100, { event: 'tick' });
	await waitFor(() => fixture.rw.log.includes('dead letters cannot be written'), { what: 'the log to tell' });
	assert.equal((await fixture.broker.committed(GROUP, TOPIC))[2] ?? -1, before, 'nothing is committed past it');
	await fixture.broker.createTopic(`${TOPIC}.dead`, 1, [{ name: 'max.message.bytes', value: '2000' }]);
	const dead = await fixture.broker.consume(`${TOPIC}.dead`);
	const letter = await dead.take(() => true, { what: 'the dead letter', deadlineMs: 30_000 });
	assert.equal(letter.value, 'poison');
	assert.equal(letter.headers.a, 'b');
	await waitCommitted(fixture.broker);

	await fixture.producer.send(TOPIC, [{ key: 'large', partition: 2, value: 'x'.repeat(5000), headers: { a: 'c' } }]);
	const large = await dead.take(({ key }) => key === 'large', { what: 'the large dead letter', deadlineMs: 20_000 });
	assert.equal(large.value, null, 'without its body, which the topic does not take');
	assert.equal(large.headers.a, 'c');
	await waitCommitted(fixture.broker);
});
