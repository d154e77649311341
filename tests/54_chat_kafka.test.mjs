// SPDX-License-Identifier: Apache-2.0
/* chat with Kafka: what a member writes is produced and acknowledged, and reaches members when it comes back. */
import assert from 'node:assert/strict';
import { scenario, useRoomwire } from './harness.mjs';
import { KafkaBroker, kafkaEnv } from './lib/kafka.mjs';
import { dialPlain } from './lib/plain.mjs';

const fixture = useRoomwire(async (things) => {
	things.broker = await KafkaBroker.create();
	for (const topic of ['my.ingest', 'message.created', 'room.events'])
		await things.broker.createTopic(topic);
	things.producer = await things.broker.producer();
	return { profile: 'chat', edges: 2, env: { ...kafkaEnv(things.broker), KAFKA_TOPIC_INGEST: 'my.ingest' } };
});
const as = (sub) => dialPlain(fixture.rw.url, { token: fixture.rw.token({ sub }), name: sub });

scenario('a message is produced with its room as key, acknowledged, and shown when it returns; the same key is accepted once', { timeout: 120_000 }, async () => {
	await fixture.rw.waitReady('ingest');
	const [alice, again, bob] = [await (await as('alice')).join('r1'), await (await as('alice')).join('r1'), await (await as('bob')).join('r1')];
	const ask = async (client) => {
		client.say('message', { roomId: 'r1', content: 'hello', attachments: [1], dedupeKey: 'k' });
		return client.next('ack');
	};
	const first = await ask(alice);
	assert.equal(first.duplicate, false);
	for (const client of [alice, again])
		assert.deepEqual(await ask(client), { ...first, duplicate: true });
	const topic = await fixture.broker.consume('my.ingest');
	const record = await topic.take(() => true, { what: 'the record', deadlineMs: 20_000 });
	const value = JSON.parse(String(record.value));
	const { createdAt, ...rest } = value;
	assert.match(createdAt, /Z$/);
	assert.deepEqual(rest, { id: first.id, roomId: 'r1', senderType: 'human', senderId: 'alice', content: 'hello', attachments: [1], dedupeKey: 'k' });
	assert.equal(String(record.key), 'r1');
	await bob.settled();
	bob.assertNone('message');
	await fixture.producer.send('message.created', [{ key: 'r1', value }]);
	for (const client of [alice, again, bob])
		assert.deepEqual(await client.next('message'), value);
	await fixture.producer.send('room.events', [{ key: 'r1', value: { roomId: 'r1', action: 'removed', userId: 'alice' } }]);
	assert.equal((await alice.next('room_update')).action, 'removed');
	await bob.next('presence', { where: ({ userId, status }) => userId === 'alice' && status === 'offline' });
	assert.equal(topic.all.length, 1);
});
