// SPDX-License-Identifier: Apache-2.0
/* What cannot go on holds up nothing else: a partition whose router stands still, dead letters that cannot be written. */
import assert from 'node:assert/strict';
import { scenario, useRoomwire, waitFor } from './harness.mjs';
import { assertWhole, metricOf, total, whileStopped } from './lib/cluster.mjs';
import { GROUP, member, onKafka, PARTITIONS, TOPIC, waitCommitted } from './lib/stream.mjs';

const fixture = useRoomwire(onKafka({ routers: 2, broker: { 'auto.create.topics.enable': 'false' }, env: { INGEST_IN_FLIGHT: '200' } }));

const send = (partition, room, from, count) => fixture.producer.send(TOPIC, Array.from({ length: count }, (_, i) => (
	{ key: room, partition, value: { type: 'tick', room, n: from + i } })));

/* A member of a room of this router, and one of the other's. */
async function oneOfEach(router) {
	const found = {};
	for (let i = 0; !found.free || !found.stuck; i++) {
		const room = `s${i}`;
		const before = await metricOf(router, 'roomwire_published_total');
		await fixture.rw.publish({ rooms: [room], event: 'probe', data: {} });
		const which = await metricOf(router, 'roomwire_published_total') > before ? 'stuck' : 'free';
		found[which] ??= { room, client: await member(fixture.rw, room) };
	}
	return found;
}

scenario('a partition whose router stands still is not read on, others are', async () => {
	const { pid } = fixture.rw.processes['router-1'];
	await fixture.rw.waitReady('ingest');
	const { free, stuck } = await oneOfEach(fixture.rw.processes['router-1']);
	await whileStopped(pid, async () => {
		await send(1, stuck.room, 0, 600);
		await waitFor(async () => await total(fixture.rw, 'ingest', 'roomwire_kafka_partitions_held') === 1, { what: 'a partition to be held' });
		await send(0, free.room, 0, 600);
		await assertWhole(free.client, 600, { event: 'tick' });
		assert.equal(stuck.client.received('tick').length, 0);
		await waitFor(async () => await total(fixture.rw, 'ingest', 'roomwire_kafka_pending') <= 200 / PARTITIONS, { what: 'only the share of one partition to be under way' });
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
	assert.ok((await fixture.broker.committed(GROUP, TOPIC))[2] <= Math.max(before, 0), 'nothing is committed past it');
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
