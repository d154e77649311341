// SPDX-License-Identifier: Apache-2.0
/* The profile `stream` on a Kafka of its own: numbered records by key, and members that must get each of them once and in order. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { connect, RECONNECTING } from './client.mjs';
import { KafkaBroker, kafkaEnv } from './kafka.mjs';
import { TESTS } from './paths.mjs';
import { waitFor } from './wait.mjs';

export const TOPIC = 'stream.events';
export const GROUP = 'stream.readers';
export const PARTITIONS = 4;
export const EVENTS = Number(process.env.KAFKA_EVENTS || 2000); /* of each run that something is killed in */

/* Options of useRoomwire: broker and topics are there before. */
export const onKafka = (more = {}) => async (things) => {
	const { env, broker, ...rest } = more;
	things.broker = await KafkaBroker.create(broker);
	await things.broker.createTopic(TOPIC, PARTITIONS);
	await things.broker.createTopic('renamed.notes');
	things.producer = await things.broker.producer();
	return {
		profile: join(TESTS, 'profiles', 'stream.yaml'), ...rest,
		env: { ...kafkaEnv(things.broker), KAFKA_TOPIC_NOTES: 'renamed.notes', ...env },
	};
};

export async function member(rw, room) {
	const client = await connect(rw.url, { token: rw.token({ sub: `user-${room}` }), ...RECONNECTING });
	assert.equal((await client.ask('room:join', { room })).ok, true);
	return client;
}

/* Which partition an event of this room goes to: one of its own each, so that each room has one order. */
export const partitionOf = (room) => Number(room.replace(/\D/g, '')) % PARTITIONS;

/* So many numbered events to each room, in batches, `gapMs` apart; between() runs half-way. */
export async function flood(fixture, rooms, count, { from = 0, batch = 50, gapMs = 0, between } = {}) {
	let ran = null;
	for (let n = from; n < from + count; n += batch) {
		const numbers = Array.from({ length: Math.min(batch, from + count - n) }, (_, i) => n + i);
		await fixture.producer.send(TOPIC, rooms.flatMap((room) => numbers.map((i) => (
			{ key: room, partition: partitionOf(room), value: { type: 'tick', room, n: i } }))));
		if (between && !ran && n >= from + count / 2 - batch)
			ran = between();
		if (gapMs)
			await new Promise((resolve) => setTimeout(resolve, gapMs));
	}
	await ran;
}

/* Everything read is committed. */
export async function waitCommitted(broker, topic = TOPIC) {
	await waitFor(async () => {
		const committed = await broker.committed(GROUP, topic);
		const ends = await broker.admin((admin) => admin.fetchTopicOffsets(topic));
		return ends.every(({ partition, high }) => Number(high) === 0 || committed[partition] === Number(high));
	}, { what: `${topic} to be committed to its end`, deadlineMs: 40_000, everyMs: 100 });
}
