// SPDX-License-Identifier: Apache-2.0
/* A topic is deleted and made again, sooner or later, with fewer records than it had, as many, or more: each record of the new one is delivered once. */
import assert from 'node:assert/strict';
import { scenario, useRoomwire, waitFor } from './harness.mjs';
import { total, whileStopped } from './lib/cluster.mjs';
import { GROUP, member, onKafka, TOPIC, waitCommitted } from './lib/stream.mjs';

const fixture = useRoomwire(onKafka({ env: { LOG_LEVEL: 'info' } }));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const NUMBERS = (count) => Array.from({ length: count }, (_, i) => i);

/* A client that made the topic's old self known to itself does not send to the new one. */
async function send(room, from, count, more = {}) {
	const producer = await fixture.broker.producer();
	await producer.send(TOPIC, NUMBERS(count).map((i) => ({ key: room, partition: 0, value: { type: 'tick', room, n: from + i }, ...more })));
	await producer.close();
}

/* Brokers delete a topic behind their answer. */
async function make(partitions) {
	await waitFor(() => fixture.broker.createTopic(TOPIC, partitions).then(() => true, () => false), { what: 'the topic to be made again', deadlineMs: 20_000 });
}

async function remake({ gapMs = 0, partitions = 1 } = {}) {
	await fixture.broker.admin((admin) => admin.deleteTopics({ topics: [TOPIC] }));
	await pause(gapMs); /* how long there is none is the fault itself */
	await make(partitions);
}

/* All of them, each once, in whatever order: some of the new ones may have been read before the deletion was noticed. */
async function assertEach(client, count) {
	await waitFor(() => new Set(client.received('tick').map(({ n }) => n)).size >= count, {
		what: () => `${count} events, got ${client.received('tick').map(({ n }) => n)}`, deadlineMs: 40_000 });
	await waitCommitted(fixture.broker);
	assert.deepEqual(client.received('tick').map(({ n }) => n).sort((a, b) => a - b), NUMBERS(count));
}

const options = { timeout: 120_000 };
let rooms = 0;

/* The old topic has OLD records that are all delivered and committed. */
const OLD = 20;
async function filled(more) {
	const room = `old${++rooms}`;
	await remake();
	const client = await member(fixture.rw, room);
	await send(room, 0, OLD, more);
	await assertEach(client, OLD);
	client.close();
}

const AMOUNTS = [['fewer', OLD / 2], ['as many', OLD], ['more', OLD * 2]];

/* After 7 s the group has taken the partition away meanwhile. */
for (const [gapMs, amounts] of [[0, AMOUNTS], [1000, AMOUNTS], [3000, AMOUNTS], [7000, [AMOUNTS[1]]]]) {
	for (const [what, count] of amounts) {
		scenario(`${gapMs} ms after the deletion it is there again, with ${what}`, options, async () => {
			const room = `new${++rooms}`;
			await filled();
			const client = await member(fixture.rw, room);
			await remake({ gapMs });
			await send(room, 0, count);
			await assertEach(client, count);
			client.close();
		});
	}
}

scenario('it is deleted while records are being delivered', options, async () => {
	const room = `busy${++rooms}`;
	await filled();
	await send('nobody', 0, OLD);
	const client = await member(fixture.rw, room);
	await remake();
	await send(room, 0, OLD * 3);
	await assertEach(client, OLD * 3);
});

scenario('all records have one time: those of the new topic are no doubles of the old ones', options, async () => {
	const room = `time${++rooms}`;
	const timestamp = String(Date.now());
	await filled({ timestamp });
	const client = await member(fixture.rw, room);
	await remake({ gapMs: 1000 });
	await send(room, 0, OLD, { timestamp });
	await assertEach(client, OLD);
});

scenario('it is deleted while the router stands still: what was taken of it is delivered too', options, async () => {
	const room = `still${++rooms}`;
	await filled();
	const client = await member(fixture.rw, room);
	await whileStopped(fixture.rw.process('router').pid, async () => {
		await send(room, 0, OLD);
		await waitFor(async () => await total(fixture.rw, 'ingest', 'roomwire_kafka_pending') === OLD, { what: 'the records to be taken' });
		await remake({ gapMs: 1500 }); /* a round of commits: it is noticed */
		await send(room, OLD, OLD * 3);
		await waitFor(async () => await total(fixture.rw, 'ingest', 'roomwire_kafka_pending') === OLD * 4, { what: 'the new ones to be taken', deadlineMs: 20_000 });
	});
	await assertEach(client, OLD * 4);
});

scenario('it has more partitions than before', options, async () => {
	const room = `wide${++rooms}`;
	await filled();
	const client = await member(fixture.rw, room);
	await remake({ gapMs: 1000, partitions: 3 });
	for (const partition of [0, 1, 2])
		await send(room, partition * OLD, OLD, { partition });
	await assertEach(client, OLD * 3);
});

scenario('while it is gone nothing is committed of it', options, async () => {
	const before = await total(fixture.rw, 'ingest', 'roomwire_kafka_renewed_total');
	await filled();
	await remake({ gapMs: 3000 }); /* three rounds of commits */
	assert.deepEqual(await fixture.broker.committed(GROUP, TOPIC), { 0: -1 });
	assert.ok(await total(fixture.rw, 'ingest', 'roomwire_kafka_renewed_total') > before);
});
