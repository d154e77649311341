// SPDX-License-Identifier: Apache-2.0
/* POST /v1/publish: who may call it, what it takes, and that everything accepted arrives once, in order. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { connect, scenario, useRoomwire } from './harness.mjs';
import { AGENT, ALICE, BOB, roomOf, TICKET } from './lib/opsdesk.mjs';

const fixture = useRoomwire({ profile: 'opsdesk' });
const A = roomOf(TICKET.alice);
const B = roomOf(TICKET.bob);
const api = (...args) => fixture.rw.api('/v1/publish', ...args);
const publish = (message) => fixture.rw.publish(message);

/* A client in these rooms; their names double as the claim that lets it in. */
async function member(user, ...rooms) {
	const client = await connect(fixture.rw.url, { token: fixture.rw.token({ ...user, rooms }) });
	for (const room of rooms)
		assert.equal((await client.ask('ticket.join', room.slice('ticket:'.length))).ok, true);
	return client;
}

/* Everything of the kind a client got before a marker that is published now. */
async function gotUntilMarker(client, rooms, event) {
	const id = await publish({ rooms, event: 'marker', data: {} });
	await client.next('marker');
	assert.ok(id);
	return client.received(event);
}

scenario('an accepted message is answered 202 with an id and reaches the members of the room only', async () => {
	const [alice, bob] = await Promise.all([member(ALICE, A), member(BOB, B)]);
	const { status, json } = await api({ rooms: [A], event: 'message:new', data: { text: 'hello' } });
	assert.equal(status, 202);
	assert.match(json.id, /^\S+$/);
	assert.deepEqual(await alice.next('message:new'), { text: 'hello' });
	assert.deepEqual(await gotUntilMarker(bob, [B], 'message:new'), []);
});

scenario('a message to a room nobody is in is accepted', async () => {
	assert.equal((await api({ rooms: ['ticket:empty'], event: 'message:new', data: {} })).status, 202);
});

for (const [what, key] of [['without a key', null], ['with a wrong key', 'wrong'], ['with a longer key', 'x'.repeat(5000)]]) {
	for (const path of ['/v1/publish', '/v1/events']) {
		scenario(`${path} ${what} is answered 401 and publishes nothing`, async () => {
			const alice = await member(ALICE, A);
			const body = { type: 'message.sent', ticketId: TICKET.alice, rooms: [A], event: 'message:new', data: {} };
			assert.equal((await fixture.rw.api(path, body, { key })).status, 401);
			assert.deepEqual(await gotUntilMarker(alice, [A], 'message:new'), []);
		});
	}
}

scenario('a key in another scheme is answered 401', async () => {
	const headers = { authorization: `Basic ${fixture.rw.apiKey}` };
	assert.equal((await api({ rooms: [A], event: 'x', data: 1 }, { key: null, headers })).status, 401);
});

const BAD = [
	['no JSON', 'not json'],
	['nothing', ''],
	['an array', '[]'],
	['no object', '"text"'],
	['text after the object', `{"rooms":["${A}"],"event":"e","data":1} more`],
	['no rooms', { event: 'e', data: 1 }],
	['an empty list of rooms', { rooms: [], event: 'e', data: 1 }],
	['rooms that are no list', { rooms: A, event: 'e', data: 1 }],
	['a room that is no text', { rooms: [A, 7], event: 'e', data: 1 }],
	['an empty room', { rooms: [''], event: 'e', data: 1 }],
	['no event', { rooms: [A], data: 1 }],
	['an event that is no text', { rooms: [A], event: 7, data: 1 }],
	['an empty event', { rooms: [A], event: '', data: 1 }],
	['except that is no list', { rooms: [A], event: 'e', data: 1, except: A }],
	['an id that is no text', { rooms: [A], event: 'e', data: 1, id: {} }],
	['an unknown namespace', { rooms: [A], event: 'e', data: 1, namespace: '/nowhere' }],
];
for (const [what, body] of BAD) {
	scenario(`a body with ${what} is answered 400, says why, and publishes nothing`, async () => {
		const alice = await member(ALICE, A);
		const { status, json } = await api(body, { raw: typeof body === 'string' });
		assert.equal(status, 400);
		assert.ok(json, 'the answer is JSON');
		await gotUntilMarker(alice, [A], 'e');
		alice.assertNone('e', '');
	});
}

scenario('invalid UTF-8 is answered 400', async () => {
	const body = Buffer.concat([Buffer.from(`{"rooms":["${A}"],"event":"e","data":"`), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
	assert.equal((await api(body, { raw: true })).status, 400);
});

scenario('other methods and paths are answered 4xx', async () => {
	assert.ok([404, 405].includes((await api(undefined, { method: 'GET' })).status));
	assert.equal((await fixture.rw.api('/v1/nowhere', {})).status, 404);
});

const DATA = [
	['an object', { a: { b: [1, 2, { c: null }] } }],
	['text of every width', 'a é 世 \u{1f680} \u0000 \u2028 "quoted" \\'],
	['a number', 1.5],
	['true', true],
	['null', null],
	['an array', [1, [2, [3]]]],
	['an empty object', {}],
	['100,000 characters', 'é'.repeat(50_000)],
];
for (const [what, data] of DATA) {
	scenario(`data that is ${what} arrives as it was`, async () => {
		const alice = await member(ALICE, A);
		await publish({ rooms: [A], event: 'message:new', data });
		assert.deepEqual(await alice.next('message:new'), data);
	});
}

scenario('event names and rooms of any script arrive as they were', async () => {
	const user = { sub: 'нина-世界', roles: [] };
	const client = await connect(fixture.rw.url, { token: fixture.rw.token(user) });
	await publish({ rooms: [`user:${user.sub}`], event: 'ереигнис:\u{1f680}', data: 1 });
	assert.equal(await client.next('ереигнис:\u{1f680}'), 1);
});

scenario('a socket in several of the rooms named gets the message once', async () => {
	const both = await member(AGENT, A, B);
	await publish({ rooms: [A, B, A, `user:${AGENT.sub}`], event: 'message:new', data: { n: 1 } });
	assert.deepEqual(await gotUntilMarker(both, [A], 'message:new'), [{ n: 1 }]);
});

scenario('except leaves out the members of those rooms', async () => {
	const [alice, agent] = await Promise.all([member(ALICE, A), member(AGENT, A)]);
	await publish({ rooms: [A], except: [`user:${AGENT.sub}`, 'ticket:unknown'], event: 'message:new', data: { n: 1 } });
	assert.deepEqual(await alice.next('message:new'), { n: 1 });
	assert.deepEqual(await gotUntilMarker(agent, [A], 'message:new'), []);
});

scenario('the same id twice is accepted twice and delivered once', async () => {
	const alice = await member(ALICE, A);
	const message = { rooms: [A], event: 'message:new', data: { n: 1 }, id: randomUUID() };
	assert.equal(await publish(message), message.id);
	assert.equal(await publish(message), message.id);
	await publish({ ...message, id: randomUUID(), data: { n: 2 } });
	assert.deepEqual(await gotUntilMarker(alice, [A], 'message:new'), [{ n: 1 }, { n: 2 }]);
});

scenario('calls with the same id at the same time are delivered once', async () => {
	const alice = await member(ALICE, A);
	const message = { rooms: [A], event: 'message:new', data: {}, id: randomUUID() };
	await Promise.all(Array.from({ length: 20 }, () => publish(message)));
	assert.equal((await gotUntilMarker(alice, [A], 'message:new')).length, 1);
});

scenario('calls one after another arrive in that order at every member', async () => {
	const clients = await Promise.all([member(ALICE, A), member(BOB, A), member(AGENT, A)]);
	const numbers = Array.from({ length: 200 }, (_, i) => i);
	for (const n of numbers)
		await publish({ rooms: [A], event: 'message:new', data: n });
	for (const client of clients)
		assert.deepEqual(await gotUntilMarker(client, [A], 'message:new').then((got) => got.slice(-200)), numbers);
});

scenario('calls at the same time all arrive, in one order for all members', async () => {
	const clients = await Promise.all([member(ALICE, A), member(BOB, A)]);
	await Promise.all(Array.from({ length: 200 }, (_, i) => publish({ rooms: [A], event: 'message:new', data: i })));
	await publish({ rooms: [A], event: 'marker', data: {} });
	const [first, second] = await Promise.all(clients.map(async (client) => {
		await client.next('marker');
		return client.received('message:new');
	}));
	assert.deepEqual(first, second);
	assert.deepEqual([...first].sort((a, b) => a - b), Array.from({ length: 200 }, (_, i) => i));
});

scenario('a body over the limit is answered 413 or 400 and the next call works', async () => {
	const data = 'x'.repeat(20_000_000);
	const answer = await api({ rooms: [A], event: 'e', data }).catch((error) => ({ status: error.cause?.code ?? 'closed' }));
	assert.ok([413, 400, 'EPIPE', 'ECONNRESET', 'UND_ERR_SOCKET', 'closed'].includes(answer.status), `answered ${answer.status}`);
	await publish({ rooms: [A], event: 'message:new', data: {} });
});
