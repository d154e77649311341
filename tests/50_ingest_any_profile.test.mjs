// SPDX-License-Identifier: Apache-2.0
/* RabbitMQ with profiles that say nothing of it: PROFILE.events, PROFILE.realtime, PROFILE.realtime.dead; both ways. */
import assert from 'node:assert/strict';
import { connect, Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { dialPlain } from './lib/plain.mjs';
import { sharedRabbitMq } from './lib/rabbitmq.mjs';

const fixture = useFixture(async (things) => {
	things.broker = await sharedRabbitMq();
});

/* A Roomwire on a virtual host of its own, stopped after the body. */
async function withProfile(profile, env, body) {
	const vhost = await fixture.broker.createVhost();
	const rw = new Roomwire({ profile, env: { RABBITMQ_URL: vhost.url, ...env } });
	await rw.start();
	try {
		await rw.waitReady('ingest');
		await body({ rw, vhost });
	} finally {
		await rw.stop();
		await vhost.close();
	}
}

async function deadLetter(vhost, queue, body) {
	const letters = await vhost.consume(`${queue}.dead`);
	await vhost.publish('', queue, body);
	const letter = await letters.take(() => true, { what: 'a dead letter' });
	assert.equal(letter.body, body);
	assert.ok(letter.headers['x-reason'].length > 3, letter.headers['x-reason']);
}

scenario('chat: events by their type; what cannot be mapped to the dead letters', async () => {
	await withProfile('chat', {}, async ({ rw, vhost }) => {
		await vhost.assertSame('assertExchange', 'chat.events', 'topic', { durable: true });
		const ann = await (await dialPlain(rw.url, { token: rw.token({ sub: 'ann' }), name: 'ann' })).join('r1');
		await vhost.publish('chat.events', 'message.created', { roomId: 'r1', id: 'm1', content: 'from a backend' });
		assert.deepEqual(await ann.next('message'), { roomId: 'r1', id: 'm1', content: 'from a backend' });
		await vhost.publish('chat.events', 'room.events', { roomId: 'r1', action: 'renamed' });
		assert.deepEqual(await ann.next('room_update', { where: ({ action }) => action === 'renamed' }), { roomId: 'r1', action: 'renamed' });
		const letters = await vhost.consume('chat.realtime.dead');
		await vhost.publish('chat.events', 'message.created', '{"content":"no room"}');
		const letter = await letters.take(() => true, { what: 'a dead letter' });
		assert.equal(letter.body, '{"content":"no room"}');
		assert.match(letter.headers['x-reason'], /roomId/);
	});
});

for (const profile of ['bench', 'conformance']) {
	scenario(`${profile}: nothing is mapped, and all that comes into its queue goes to the dead letters`, async () => {
		await withProfile(profile, {}, async ({ vhost }) => {
			await vhost.assertSame('assertExchange', `${profile}.events`, 'topic', { durable: true });
			await deadLetter(vhost, `${profile}.realtime`, '{"type":"x"}');
			await (await vhost.channel()).bindQueue(`${profile}.realtime`, `${profile}.events`, '#');
			await vhost.publish(`${profile}.events`, 'some.type', '{}');
			await waitFor(async () => (await vhost.queue(`${profile}.realtime`)).messages === 0, { what: 'the queue to be empty' });
		});
	});
}

for (const profile of ['chat', 'bench']) {
	scenario(`${profile}: who is online, as a stream to its exchange`, { timeout: 60_000 }, async () => {
		await withProfile(profile, { PRESENCE_STREAM: 'rabbitmq' }, async ({ rw, vhost }) => {
			const channel = await vhost.channel();
			await channel.assertQueue('presence');
			await channel.bindQueue('presence', `${profile}.events`, 'user.*');
			const inbox = await vhost.consume('presence');
			const token = rw.token({ sub: 'ann' });
			await (profile === 'chat' ? dialPlain(rw.url, { token, name: 'ann' }) : connect(rw.url, { token }));
			const { key, body } = await inbox.take(() => true, { what: 'a change' });
			assert.equal(key, 'user.online');
			assert.equal(JSON.parse(body).userId, 'ann');
		});
	});
}
