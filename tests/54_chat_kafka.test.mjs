// SPDX-License-Identifier: Apache-2.0
/* chat with Kafka: what a member writes is produced and acknowledged, and reaches members when it comes back. */
import assert from 'node:assert/strict';
import { scenario, useRoomwire, waitFor } from './harness.mjs';
import { signal } from './lib/children.mjs';
import { waitAllReady, waitReplaced } from './lib/cluster.mjs';
import { KafkaBroker, kafkaEnv } from './lib/kafka.mjs';
import { connectionsOf, dialPlain, resume } from './lib/plain.mjs';

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

/* What the room's topic holds under these keys. */
async function recordsOf(topic, keys) {
	const last = `last-${keys[0]}`;
	const marker = await (await as('marker')).join('r1');
	marker.say('message', { roomId: 'r1', content: 'last', dedupeKey: last }); /* of the same partition */
	await marker.next('ack');
	await waitFor(() => topic.all.some((record) => String(record.value).includes(last)), { what: 'the last record', deadlineMs: 20_000 });
	return topic.all.map((record) => JSON.parse(String(record.value)).dedupeKey).filter((key) => keys.includes(key));
}

const cut = (was) => was.cut();
/* Its edge is told to end, and waits for the broker. */
async function drain(was, at) {
	const { pid } = fixture.rw.processes[at];
	assert.ok(signal(pid, 'SIGTERM'));
	assert.equal((await was.end()).code, 1001);
}
const anew = async () => (await as('carol')).join('r1');
const recovered = async (was) => {
	const { client, resumed } = await resume(fixture.rw.url, was, { token: fixture.rw.token({ sub: 'carol' }) });
	assert.equal(resumed.recovered, true);
	return client;
};

for (const [what, times, leave, comeBack] of [['cut off', 6, cut, anew], ['cut off and recovered', 6, cut, recovered], ['drained and recovered', 2, drain, recovered]]) {
	scenario(`a client that is ${what} before the broker has answered, and sends the same again: it is produced once`, { timeout: 120_000 }, async () => {
		const { rw, broker } = fixture;
		const topic = await broker.consume('my.ingest');
		const keys = Array.from({ length: times }, (_, n) => `${what}-${n}`);
		for (const key of keys) {
			for (const kind of ['ingest', 'edge'])
				await waitAllReady(rw, kind);
			const before = await connectionsOf(rw);
			const was = await (await as('carol')).join('r1');
			const after = await connectionsOf(rw);
			const at = Object.keys(after).find((name) => after[name] > before[name]);
			const pid = rw.processes[at]?.pid;
			let now;
			assert.ok(signal(broker.pid, 'SIGSTOP'));
			try {
				was.say('message', { roomId: 'r1', content: key, dedupeKey: key });
				await waitFor(async () => await rw.metric('ingest', 'roomwire_produce_pending') === 1, { what: 'the record to be on its way', everyMs: 10 });
				await leave(was, at);
				now = await comeBack(was);
				now.say('message', { roomId: 'r1', content: key, dedupeKey: key });
			} finally {
				signal(broker.pid, 'SIGCONT');
			}
			assert.equal((await now.next('ack')).duplicate, true);
			if (leave === drain)
				await waitReplaced(rw, at, pid);
		}
		assert.deepEqual(await recordsOf(topic, keys), keys);
	});
}
