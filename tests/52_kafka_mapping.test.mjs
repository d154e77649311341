// SPDX-License-Identifier: Apache-2.0
/* Records become events, each of a partition in its order, ids once; what cannot be mapped goes to the dead letters as it is, and never loops. */
import assert from 'node:assert/strict';
import { scenario, useRoomwire, waitFor } from './harness.mjs';
import { assertWhole } from './lib/cluster.mjs';
import { flood, member, onKafka, TOPIC, waitCommitted } from './lib/stream.mjs';

const fixture = useRoomwire(onKafka({ env: { MAX_PAYLOAD: '100000' } }));
const send = (...records) => fixture.producer.send(TOPIC, records.map((one) => ({ partition: 0, ...one })));

scenario('a record reaches the members of its room as it came', async () => {
	const client = await member(fixture.rw, 'r1');
	await fixture.rw.waitReady('ingest');
	const value = '{"type":"tick", "room":"r1","big":12345678901234567890,"text":"ä\\u00e4"}';
	await send({ key: 'r1', value });
	const got = await client.next('tick');
	assert.deepEqual(got, JSON.parse(value));
});

scenario('a topic whose records have a fixed type, under the name an environment variable gave it', async () => {
	const client = await member(fixture.rw, 'r2');
	await fixture.producer.send('renamed.notes', [{ key: 'r2', value: { room: 'r2', type: 'tick', text: 'hello' } }]);
	assert.deepEqual(await client.next('note'), { room: 'r2', type: 'tick', text: 'hello' });
	client.assertNone('tick');
});

scenario('every partition keeps its order', async () => {
	const rooms = ['o0', 'o1', 'o2', 'o3'];
	const clients = await Promise.all(rooms.map((room) => member(fixture.rw, room)));
	await flood(fixture, rooms, 500);
	for (const [i, client] of clients.entries())
		await assertWhole(client, 500, { event: 'tick', who: rooms[i] });
	await waitCommitted(fixture.broker);
});

scenario('an event with the id of an earlier one is not shown again; records without id are', async () => {
	const client = await member(fixture.rw, 'r3');
	const one = { key: 'r3', value: { type: 'tick', room: 'r3', n: 1 } };
	const headers = { id: 'event-1' };
	await send({ ...one, headers }, { ...one, headers }, one, one, { ...one, value: { type: 'tick', room: 'r3', n: 2 } });
	await client.next('tick', { where: ({ n }) => n === 2 });
	assert.deepEqual(client.received('tick').map(({ n }) => n), [1, 1, 1, 2]);
	const { text } = await fixture.rw.api('/v1/publish', { rooms: ['r3'], event: 'tick', data: { n: 3 }, id: 'event-1' });
	assert.ok(text.includes('event-1'));
	await send({ ...one, value: { type: 'tick', room: 'r3', n: 4 } });
	await client.next('tick', { where: ({ n }) => n === 4 });
	assert.deepEqual(client.received('tick').map(({ n }) => n), [1, 1, 1, 2, 4], 'one space of ids');
});

const POISON = [
	{ what: 'no JSON', value: 'garbage', reason: /not JSON/ },
	{ what: 'bytes that are no text', value: Buffer.from([0xff, 0, 0xfe]), reason: /not JSON/ },
	{ what: 'no object', value: '[1]', reason: /not a JSON object/ },
	{ what: 'null value', value: null, reason: /no value/ },
	{ what: 'empty value', value: '', reason: /not JSON|no value/ },
	{ what: 'no type', value: { room: 'r4' }, reason: /type/ },
	{ what: 'a type that is no text', value: { type: 7, room: 'r4' }, reason: /type/ },
	{ what: 'unknown type', value: { type: 'nobody.knows', room: 'r4' }, reason: /no event of this type/ },
	{ what: 'a bad field', value: { type: 'tick', room: 7 }, reason: /room/ },
	{ what: 'a missing field', value: { type: 'tick' }, reason: /room/ },
	{ what: 'too large', value: { type: 'tick', room: 'r4', pad: 'x'.repeat(300_000) }, reason: /300\d\d\d bytes/ },
	{ what: 'nested too deeply', value: '{"type":"tick","room":"r4","a":' + '['.repeat(500) + ']'.repeat(500) + '}', reason: /not JSON/ },
];

scenario('what cannot be mapped goes to the dead letters, key, headers and body as they were, with the reason', async () => {
	const client = await member(fixture.rw, 'r4');
	for (const [i, { value }] of POISON.entries())
		await send({ key: `key-${i}`, value, headers: { id: `poison-${i}`, other: 'kept' } });
	await send({ key: 'r4', value: { type: 'tick', room: 'r4', n: 1 } });
	await client.next('tick'); /* the partition goes on */
	await waitFor(async () => (await fixture.broker.admin((admin) => admin.listTopics())).includes(`${TOPIC}.dead`), { what: 'the topic of the dead letters' });
	const dead = await fixture.broker.consume(`${TOPIC}.dead`);
	for (const [i, { what, value, reason }] of POISON.entries()) {
		const letter = await dead.take(({ key }) => key === `key-${i}`, { what });
		assert.match(letter.headers.reason, reason, what);
		assert.equal(letter.headers.id, `poison-${i}`, what);
		assert.equal(letter.headers.other, 'kept', what);
		const text = value === null || typeof value === 'string' || Buffer.isBuffer(value) ? value?.toString() ?? null : JSON.stringify(value);
		assert.ok(letter.value === text || (value === '' && !letter.value), what);
	}
	await waitCommitted(fixture.broker);
	await fixture.rw.killAndWait('ingest');
	await fixture.rw.waitReady('ingest');
	await send({ key: 'r4', value: { type: 'tick', room: 'r4', n: 2 } });
	await client.next('tick', { where: ({ n }) => n === 2, deadlineMs: 20_000 });
	assert.equal(dead.all.length, POISON.length, 'no dead letter was written twice');
});

scenario('a topic that is deleted and made again is read from its beginning', async () => {
	const client = await member(fixture.rw, 'r5');
	const note = (n) => fixture.producer.send('renamed.notes', [{ key: 'r5', value: { room: 'r5', n } }]);
	for (const n of [1, 2, 3, 4, 5, 6])
		await note(n);
	await client.next('note', { where: ({ n }) => n === 6 });
	await fixture.broker.admin((admin) => admin.deleteTopics({ topics: ['renamed.notes'] }));
	await waitFor(async () => !(await fixture.broker.admin((admin) => admin.listTopics())).includes('renamed.notes'), { what: 'the topic to be gone' });
	await fixture.broker.createTopic('renamed.notes');
	for (const n of [7, 8])
		await note(n);
	await client.next('note', { where: ({ n }) => n === 8, deadlineMs: 30_000 });
	assert.deepEqual(client.received('note').map(({ n }) => n), [1, 2, 3, 4, 5, 6, 7, 8]);
});
