// SPDX-License-Identifier: Apache-2.0
/* chat: a room event `removed` with a userId takes that user's connections out of the room, behind the event. */
import assert from 'node:assert/strict';
import { scenario, useRoomwire } from './harness.mjs';
import { dialPlain } from './lib/plain.mjs';

const fixture = useRoomwire({ profile: 'chat', edges: 2 });
const as = (sub) => dialPlain(fixture.rw.url, { token: fixture.rw.token({ sub }), name: sub });

scenario('every connection of the user hears it, then nothing of the room, and cannot write there', async () => {
	const clients = [];
	for (const sub of ['alice', 'alice', 'alice', 'bob'])
		clients.push(await (await (await as(sub)).join('r')).join('other'));
	const event = { roomId: 'r', action: 'removed', userId: 'alice' };
	assert.equal((await fixture.rw.api('/v1/events', { type: 'room.events', id: 'once', ...event })).status, 202);
	assert.equal((await fixture.rw.api('/v1/events', { type: 'room.events', id: 'once', ...event })).status, 202);
	for (const client of clients)
		assert.deepEqual(await client.next('room_update'), { id: 'once', ...event });
	const [alice, , , bob] = clients;
	bob.say('message', { roomId: 'r', content: 'gone?' });
	await bob.next('message');
	await fixture.rw.publish({ rooms: ['other'], event: 'marker', data: {} }); /* the one router's word after all this, at either edge */
	for (const client of clients)
		await client.next('marker');
	for (const client of clients.slice(0, 3)) {
		client.say('message', { roomId: 'r', content: 'x' });
		assert.equal((await client.next('error')).code, 'FORBIDDEN');
		assert.deepEqual(client.received('message'), []);
	}
	alice.say('message', { roomId: 'other', content: 'still here' });
	for (const client of clients)
		assert.equal((await client.next('message', { where: ({ roomId }) => roomId === 'other' })).content, 'still here');
	assert.deepEqual(await bob.next('presence', { where: ({ roomId, status }) => roomId === 'r' && status === 'offline' }), { roomId: 'r', userId: 'alice', status: 'offline' });
	await alice.join('r');
});

scenario('other actions, and `removed` without a userId, take nobody out', async () => {
	const alice = await (await as('alice')).join('r2');
	for (const event of [{ action: 'muted', userId: 'alice' }, { action: 'removed' }]) {
		assert.equal((await fixture.rw.api('/v1/events', { type: 'room.events', roomId: 'r2', ...event })).status, 202);
		await alice.next('room_update');
	}
	alice.say('message', { roomId: 'r2', content: 'x' });
	assert.equal((await alice.next('message')).content, 'x');
});
