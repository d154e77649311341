// SPDX-License-Identifier: Apache-2.0
/* chat: every message type of the document, both ways, in direct mode; errors; what backends publish. */
import assert from 'node:assert/strict';
import { scenario, useRoomwire } from './harness.mjs';
import { dialPlain } from './lib/plain.mjs';

const fixture = useRoomwire({ profile: 'chat', env: { MAX_ROOMS: '3' } });
let serial = 0;
const someRoom = () => `room-${serial++}`;
const as = (sub) => dialPlain(fixture.rw.url, { token: fixture.rw.token({ sub }), name: sub });

async function members(room, ...subs) {
	const clients = await Promise.all(subs.map(as));
	for (const client of clients)
		await client.join(room);
	return clients;
}

const event = async (body) => assert.equal((await fixture.rw.api('/v1/events', body)).status, 202);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[48][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

scenario('join and leave are answered; fields may stand at the top level', async () => {
	const client = await as('alice');
	await client.join('r');
	client.raw(JSON.stringify({ type: 'leave', roomId: 'r' }));
	assert.deepEqual(await client.next('room_update'), { roomId: 'r', action: 'left' });
	client.raw(JSON.stringify({ type: 'join', roomId: 'other', payload: { roomId: 'r' } }));
	assert.deepEqual(await client.next('room_update'), { roomId: 'r', action: 'joined' });
});

scenario('a message reaches all members with the object of the document, the sender included', async () => {
	const room = someRoom();
	const [alice, bob] = await members(room, 'alice', 'bob');
	const began = Date.now();
	alice.say('message', { roomId: room, content: 'Hello! ✓ "quoted"' });
	for (const client of [alice, bob]) {
		const { id, createdAt, ...rest } = await client.next('message');
		assert.match(id, UUID);
		assert.match(createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
		assert.ok(Date.parse(createdAt) >= began - 1000 && Date.parse(createdAt) <= Date.now() + 1000);
		assert.deepEqual(rest, { roomId: room, senderType: 'human', senderId: 'alice', content: 'Hello! ✓ "quoted"', attachments: [] });
	}
	assert.equal(alice.received('message')[0].id, bob.received('message')[0].id);
	alice.assertNone('ack');
});

scenario('attachments and dedupeKey travel along; the ack names the key and the id', async () => {
	const room = someRoom();
	const [alice, bob] = await members(room, 'alice', 'bob');
	const attachments = [{ url: 'https://x', size: 1.50 }, 'text', null];
	alice.say('message', { roomId: room, content: 'x', attachments, dedupeKey: `k-${room}` });
	const got = await bob.next('message');
	assert.deepEqual(got.attachments, attachments);
	assert.equal(got.dedupeKey, `k-${room}`);
	assert.deepEqual(await alice.next('ack'), { dedupeKey: `k-${room}`, id: got.id, duplicate: false });
	bob.assertNone('ack');
});

scenario('the same dedupeKey of the same sender is accepted once, on another connection, too; of another sender it is another', async () => {
	const room = someRoom();
	const [alice, again, bob] = await members(room, 'alice', 'alice', 'bob');
	const say = async (client) => {
		client.say('message', { roomId: room, content: 'once', dedupeKey: room });
		return client.next('ack');
	};
	const first = await say(alice);
	assert.equal(first.duplicate, false);
	for (const client of [alice, again])
		assert.deepEqual(await say(client), { ...first, duplicate: true });
	const other = await say(bob);
	assert.equal(other.duplicate, false);
	assert.notEqual(other.id, first.id);
	assert.deepEqual(bob.received('message').map(({ senderId }) => senderId), ['alice', 'bob']);
});

scenario('the same dedupeKey at the same time on two connections: the second waits for the first, and is answered with its id', async () => {
	const room = someRoom();
	const [bob, ...two] = await members(room, 'bob', 'alice', 'alice');
	for (let n = 0; n < 20; n++) {
		for (const client of two)
			client.say('message', { roomId: room, content: 'x', dedupeKey: `${room}-${n}` });
		const acks = await Promise.all(two.map((client) => client.next('ack')));
		assert.equal(acks[0].id, acks[1].id);
		assert.deepEqual(acks.map(({ duplicate }) => duplicate).sort(), [false, true]);
	}
	await bob.settled();
	assert.equal(bob.received('message').length, 20);
});

scenario('a message that was refused does not use its key up', async () => {
	const room = someRoom();
	const alice = await as('alice');
	alice.say('message', { roomId: room, content: 'x', dedupeKey: room });
	const { code, dedupeKey } = await alice.next('error');
	assert.deepEqual([code, dedupeKey], ['FORBIDDEN', room], 'the error says which message it is about');
	await alice.join(room);
	alice.say('message', { roomId: room, content: 'x', dedupeKey: room });
	assert.equal((await alice.next('ack')).duplicate, false);
});

for (const [what, payload] of [['32,768 bytes', { content: 'x'.repeat(32_768) }], ['32,768 bytes of UTF-8', { content: 'ä'.repeat(16_384) }],
	['16 attachments', { content: 'x', attachments: Array(16).fill(0) }], ['one byte', { content: 'x' }]]) {
	scenario(`${what} are within the limits`, async () => {
		const room = someRoom();
		const [alice] = await members(room, 'alice');
		alice.say('message', { roomId: room, ...payload });
		assert.equal((await alice.next('message')).content, payload.content);
	});
}

const R = 'rr';
const WRONG = [
	['join', undefined], ['join', {}], ['join', { roomId: 7 }], ['join', { roomId: '' }], ['join', { roomId: 'a b' }], ['join', { roomId: 'x'.repeat(129) }], ['join', null], ['join', 'text'],
	['leave', {}], ['message', { roomId: R }], ['message', { content: 'x' }], ['message', { roomId: R, content: '' }], ['message', { roomId: R, content: 7 }],
	['message', { roomId: R, content: 'x'.repeat(32_769) }], ['message', { roomId: R, content: 'ä'.repeat(16_385) }],
	['message', { roomId: R, content: 'x', attachments: 'no' }], ['message', { roomId: R, content: 'x', attachments: Array(17).fill(0) }],
	['message', { roomId: R, content: 'x', dedupeKey: 7 }], ['presence', { roomId: R }], ['presence', { roomId: R, status: 'offline' }], ['presence', { status: 'idle' }],
	['resume', { session: 'x', offset: 'y' }],
];
for (const [type, payload] of WRONG) {
	scenario(`${type} with ${JSON.stringify(payload)?.slice(0, 60)} is an error, and the connection stays`, async () => {
		const [alice, bob] = await members(R, 'alice', 'bob');
		alice.say(type, payload);
		const { code, message } = await alice.next('error');
		assert.equal(code, 'INVALID_PAYLOAD');
		assert.equal(typeof message, 'string');
		await alice.settled();
		await bob.settled();
		bob.assertNone('message');
	});
}

for (const text of ['', 'hello', '{', '[]', '"x"', 'null', '{}', '{"type":7}', '{"type":null}', '{"type":"join"} x']) {
	scenario(`text ${JSON.stringify(text)} is an error, and the connection stays`, async () => {
		const alice = await as('alice');
		alice.raw(text);
		assert.equal((await alice.next('error')).code, 'INVALID_PAYLOAD');
		await alice.settled();
	});
}

for (const type of ['nope', '', 'constructor', 'welcome', 'error', 'room_update']) {
	scenario(`type ${JSON.stringify(type)} is unknown`, async () => {
		const alice = await as('alice');
		alice.say(type, {});
		const { code, message } = await alice.next('error');
		assert.equal(code, 'UNKNOWN_EVENT');
		assert.ok(!message.includes('namespace'), message);
		await alice.settled();
	});
}

scenario('the 20th message in error within a minute closes with 1008; refusals do not count', async () => {
	const alice = await as('alice');
	for (let i = 0; i < 40; i++)
		alice.say('message', { roomId: 'not-in-it', content: 'x' });
	for (let i = 0; i < 40; i++)
		assert.equal((await alice.next('error')).code, 'FORBIDDEN');
	for (let i = 0; i < 19; i++) {
		alice.raw(i % 2 ? '{' : '{"type":"nope"}');
		await alice.next('error');
	}
	await alice.settled();
	alice.say('join', {});
	assert.equal((await alice.next('error')).code, 'INVALID_PAYLOAD');
	assert.equal((await alice.end()).code, 1008);
});

scenario('who is not in the room cannot write there, nor be present', async () => {
	const room = someRoom();
	const [bob] = await members(room, 'bob');
	const eve = await as('eve');
	for (const [type, payload] of [['message', { content: 'x' }], ['presence', { status: 'typing' }]]) {
		eve.say(type, { roomId: room, ...payload });
		assert.equal((await eve.next('error')).code, 'FORBIDDEN');
	}
	await bob.settled();
	bob.assertNone('message', 'presence');
});

scenario('more rooms than MAX_ROOMS are TOO_MANY_ROOMS', async () => {
	const alice = await as('alice');
	for (const room of ['m1', 'm2', 'm3'])
		await alice.join(room);
	alice.say('join', { roomId: 'm4' });
	assert.equal((await alice.next('error')).code, 'TOO_MANY_ROOMS');
	alice.say('join', { roomId: 'm1' });
	assert.equal((await alice.next('room_update')).roomId, 'm1');
});

scenario('after leave nothing arrives any more', async () => {
	const room = someRoom();
	const [alice, bob] = await members(room, 'alice', 'bob');
	bob.say('leave', { roomId: room });
	await bob.next('room_update');
	alice.say('message', { roomId: room, content: 'x' });
	await alice.next('message');
	await bob.settled();
	bob.assertNone('message');
});

scenario('all members see the messages of several writers in one order', async () => {
	const room = someRoom();
	const clients = await members(room, 'a', 'b', 'c', 'd');
	const EACH = 100;
	for (let i = 0; i < EACH; i++)
		clients.forEach((client) => client.say('message', { roomId: room, content: `${client.name}-${i}` }));
	for (const client of clients)
		await client.next('message', { where: () => client.received('message').length === EACH * clients.length });
	const [first, ...others] = clients.map((client) => client.received('message').map(({ id }) => id));
	for (const other of others)
		assert.deepEqual(other, first);
	for (const { name } of clients) {
		const own = clients[0].received('message').filter(({ senderId }) => senderId === name).map(({ content }) => Number(content.slice(2)));
		assert.deepEqual(own, Array.from({ length: EACH }, (_, i) => i));
	}
});

for (const status of ['idle', 'online', 'typing']) {
	scenario(`presence ${status} reaches the others`, async () => {
		const room = someRoom();
		const [alice, bob] = await members(room, 'alice', 'bob');
		alice.say('presence', { roomId: room, status });
		assert.deepEqual(await bob.next('presence', { where: (p) => p.userId === 'alice' && p.status === status }), { roomId: room, userId: 'alice', status });
		await alice.settled();
		assert.deepEqual(alice.received('presence').filter(({ userId }) => userId === 'alice'), []);
	});
}

scenario('typing ends by itself after 5 s, and not where something else was said meanwhile', async () => {
	const room = someRoom();
	const [alice, bob, carol, dave] = await members(room, 'alice', 'bob', 'carol', 'dave');
	const began = Date.now();
	for (const client of [alice, bob, carol])
		client.say('presence', { roomId: room, status: 'typing' });
	await bob.settled();
	bob.say('presence', { roomId: room, status: 'idle' });
	carol.say('leave', { roomId: room });
	await dave.next('presence', { where: (p) => p.userId === 'alice' && p.status === 'typing' });
	await dave.next('presence', { where: (p) => p.userId === 'alice' && p.status === 'online' && Date.now() - began > 4000 });
	const took = Date.now() - began;
	assert.ok(took > 4800 && took < 10_000, `after ${took} ms`);
	const after = dave.inbox.all.slice(dave.inbox.all.findIndex(({ type, payload }) => type === 'presence' && payload.status === 'typing'));
	assert.deepEqual(after.filter(({ payload }) => payload?.status === 'online').map(({ payload }) => payload.userId), ['alice']);
	carol.assertNone('error');
});

scenario('HTTP publish: event is the type, data the payload', async () => {
	const room = someRoom();
	const [alice, bob] = await members(room, 'alice', 'bob');
	await fixture.rw.publish({ rooms: [room], event: 'notice', data: { a: [1, 'x', null] } });
	for (const client of [alice, bob]) {
		const { offset, ...message } = await client.nextMessage('notice');
		assert.deepEqual(message, { type: 'notice', payload: { a: [1, 'x', null] } });
		assert.equal(typeof offset, 'string');
	}
	for (const data of [null, 'text', 7, [1, 2], '}', '"\\']) {
		await fixture.rw.publish({ rooms: [room], event: 'some "type"\n', data });
		assert.deepEqual(await alice.next('some "type"\n'), data);
	}
});

scenario('message.created and room.events go to the room as they came', async () => {
	const room = someRoom();
	const [alice] = await members(room, 'alice');
	const message = { id: 'm1', roomId: room, senderType: 'agent', senderId: 'bot', content: 'hi', createdAt: '2024-01-01T00:00:00Z', extra: 1.0 };
	await event({ type: 'message.created', ...message });
	assert.deepEqual(await alice.next('message'), message);
	await event({ type: 'room.events', roomId: room, action: 'renamed', name: 'x' });
	assert.deepEqual(await alice.next('room_update'), { roomId: room, action: 'renamed', name: 'x' });
	assert.equal((await fixture.rw.api('/v1/events', { type: 'room.events', action: 'x' })).status, 400);
});
