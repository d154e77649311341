// SPDX-License-Identifier: Apache-2.0
/* POST /v1/rooms/{room}/join, leave, disconnect: members follow, in the order of messages, at every edge. */
import assert from 'node:assert/strict';
import { Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { Api } from './lib/api.mjs';
import { processesOf, whileStopped } from './lib/cluster.mjs';
import { comeBack, cut, fresh, member, numbersOf, publishNumbers, upTo } from './lib/comeback.mjs';

const fixture = useFixture(async (things) => {
	things.rw = await new Roomwire({ profile: 'bench', edges: 2, routers: 2, env: { QUERY_TIMEOUT_MS: '3000', PUBLISH_TIMEOUT_MS: '4000' } }).start();
	await things.rw.waitReady('ingest');
	fixture.api = await Api.of(things.rw);
});
const act = (verb, room, body, status = 202) => fixture.api.expect(status, `POST /v1/rooms/{room}/${verb}`, { path: { room }, body });
const idsIn = async (room) => (await fixture.api.pages('GET /v1/sockets', 'sockets', { query: { room } })).map(({ id }) => id).sort();
const idsOf = (clients) => clients.map(({ id }) => id).sort();
const untilIn = (room, clients) => waitFor(async () => JSON.stringify(await idsIn(room)) === JSON.stringify(idsOf(clients)),
	{ what: `${clients.length} members of ${room}` });
const assertGone = (client) => client.nextArgs('@disconnect');

scenario('named sockets join, and get what is published behind the answer', async () => {
	const room = fresh('join');
	const clients = await Promise.all(upTo(6).map(() => member(fixture.rw)));
	assert.deepEqual(await act('join', room, { sockets: clients.slice(0, 4).map(({ id }) => id) }), { commands: 1 });
	await untilIn(room, clients.slice(0, 4));
	await publishNumbers(fixture.rw, [1, 2], [room]);
	for (const client of clients.slice(0, 4))
		await waitFor(() => numbersOf(client).length === 2, { what: 'both' });
	assert.deepEqual(clients.slice(4).map((client) => numbersOf(client)), [[], []]);
});

scenario('all sockets of users join', async () => {
	const [room, sub] = [fresh('join-users'), fresh('user-of')];
	const clients = await Promise.all(upTo(5).map(() => member(fixture.rw, [], { sub })));
	const other = await member(fixture.rw, [], { sub: `${sub}-2` });
	await member(fixture.rw);
	assert.deepEqual(await act('join', room, { users: [sub, `${sub}-2`, 'nobody'] }), { commands: 1 });
	await untilIn(room, [...clients, other]);
});

scenario('members of other rooms join', async () => {
	const [a, b, room] = [fresh('from'), fresh('from'), fresh('joined')];
	const clients = await Promise.all([member(fixture.rw, [a]), member(fixture.rw, [b]), member(fixture.rw, [a, b])]);
	await member(fixture.rw);
	await act('join', room, { rooms: [a, b, 'nobody-is-here'] });
	await untilIn(room, clients);
});

scenario('named sockets leave, others stay', async () => {
	const room = fresh('leave');
	const clients = await Promise.all(upTo(4).map(() => member(fixture.rw, [room])));
	const outside = await member(fixture.rw);
	await act('leave', room, { sockets: [clients[0].id, clients[1].id, outside.id, 'nobody'] });
	await untilIn(room, clients.slice(2));
});

scenario('all sockets of a user leave', async () => {
	const [room, sub] = [fresh('leave-user'), fresh('leaver')];
	await Promise.all(upTo(3).map(() => member(fixture.rw, [room], { sub })));
	const others = await Promise.all(upTo(2).map(() => member(fixture.rw, [room])));
	await act('leave', room, { users: [sub] });
	await untilIn(room, others);
});

for (const [what, body] of [['{}', {}], ['no body', undefined]]) {
	scenario(`${what}: all leave, and nothing more reaches them`, async () => {
		const [room, kept] = [fresh('leave-all'), fresh('kept')];
		const clients = await Promise.all(upTo(4).map(() => member(fixture.rw, [room, kept])));
		await publishNumbers(fixture.rw, [1], [room]);
		await act('leave', room, body);
		await publishNumbers(fixture.rw, [2], [room]);
		await publishNumbers(fixture.rw, [3], [kept]);
		await untilIn(room, []);
		for (const client of clients) {
			await waitFor(() => numbersOf(client).includes(3), { what: 'the marker' });
			assert.deepEqual(numbersOf(client), [1, 3], 'the command has its place among the messages');
		}
	});
}

scenario('named members are disconnected; one who is not in the room is not', async () => {
	const room = fresh('disconnect');
	const clients = await Promise.all(upTo(3).map(() => member(fixture.rw, [room])));
	const outside = await member(fixture.rw);
	assert.deepEqual(await act('disconnect', room, { sockets: [clients[0].id, outside.id] }), { commands: 1 });
	await assertGone(clients[0]);
	await untilIn(room, clients.slice(1));
	assert.equal(outside.socket.connected, true);
	assert.deepEqual(await act('disconnect', room, { sockets: [outside.id] }), { commands: 0 });
});

scenario('a user is disconnected, and then all', async () => {
	const [room, sub] = [fresh('disconnect-all'), fresh('thrown-out')];
	const his = await Promise.all(upTo(2).map(() => member(fixture.rw, [room], { sub })));
	const others = await Promise.all(upTo(2).map(() => member(fixture.rw, [room])));
	await act('disconnect', room, { users: [sub] });
	await Promise.all(his.map(assertGone));
	await untilIn(room, others);
	await act('disconnect', room, {});
	await Promise.all(others.map(assertGone));
	await untilIn(room, []);
});

scenario('who is away joins and leaves when it comes back', async () => {
	const [room, old] = [fresh('while-away'), fresh('left-away')];
	const client = await member(fixture.rw, [old]);
	const { id } = client;
	await cut(client);
	await act('join', room, { sockets: [id] });
	await act('leave', old, { sockets: [id] });
	await publishNumbers(fixture.rw, [1], [room]);
	await publishNumbers(fixture.rw, [2], [old]);
	assert.deepEqual(await comeBack(client), { recovered: true, id });
	await waitFor(() => numbersOf(client).includes(1), { what: 'what was sent to the room it was to join' });
	await untilIn(room, [client]);
	await untilIn(old, []);
	assert.deepEqual(numbersOf(client), [1]);
});

const WRONG = [
	['join', {}], ['join', undefined], ['join', { sockets: [] }], ['join', { sockets: 'a' }], ['join', { users: [7] }], ['join', { users: upTo(101).map(String) }],
	['join', { sockets: ['x'.repeat(65)] }], ['join', { users: ['x'.repeat(257)] }], ['join', { rooms: [''] }], ['join', { rooms: ['a'], namespace: '/nowhere' }],
	['leave', { rooms: ['a'] }], ['leave', { socket: ['a'] }], ['leave', { sockets: [] }], ['leave', '[]'], ['leave', 'no json'], ['disconnect', { userS: ['a'] }],
	['disconnect', '{"sockets":["a"],"sockets":["b"]}'],
];
for (const [verb, body] of WRONG) {
	scenario(`${verb} with ${JSON.stringify(body)?.slice(0, 40)} is answered 400 and does nothing`, async () => {
		const room = fresh('wrong');
		const client = await member(fixture.rw, [room]);
		await act(verb, room, body, 400);
		assert.deepEqual(await idsIn(room), [client.id]);
	});
}

scenario('while a router does not answer, it is 503, and nothing is half done by looking up a part', async () => {
	const [room, subs] = [fresh('down'), upTo(20).map(() => fresh('down-user'))];
	await Promise.all(subs.map((sub) => member(fixture.rw, [], { sub })));
	const [router] = Object.values(processesOf(fixture.rw, 'router'));
	await whileStopped(router.pid, () => act('join', room, { users: subs }, 503));
	await fixture.rw.waitReady('ingest');
	await waitFor(async () => (await fixture.api.call('GET /v1/rooms/{room}', { path: { room } })).status === 200, { what: 'answers again' });
	assert.deepEqual(await idsIn(room), []);
});
