// SPDX-License-Identifier: Apache-2.0
/* What Node servers learn of the sockets and rooms at Roomwire, and what the HTTP API does to members at Node servers. */
import assert from 'node:assert/strict';
import { connect, Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { Api } from './lib/api.mjs';
import { NodeServer } from './lib/nodeio.mjs';
import { Redis } from './lib/redis.mjs';

const fixture = useFixture(async (things) => {
	things.redis = await Redis.create();
	things.node = await NodeServer.start(things.redis.url, { namespaces: ['/', '/second'], requestsTimeout: 4500 });
	things.rw = new Roomwire({ profile: 'tests/profiles/beside.yaml', edges: 2, routers: 2, env: { REDIS_URL: things.redis.url } });
	await things.rw.start();
	await waitFor(async () => await things.rw.metric('ingest', 'roomwire_redis_adapter_active') === 1, { what: 'an ingest to act' });
});

let rooms = 0;
const newRoom = () => `room-${++rooms}`;

async function member(url, room, options) {
	const client = await connect(url, options);
	for (const one of [room].flat())
		assert.equal((await client.ask('room:join', { room: one })).ok, true);
	return client;
}

const ids = (found) => found.map(({ id }) => id).sort();

scenario('fetchSockets finds the members at both sides, once each, with their rooms', async () => {
	const [a, b, away] = [newRoom(), newRoom(), newRoom()];
	const clients = await Promise.all([
		member(fixture.rw.url, [a, b]), member(fixture.rw.url, a), member(fixture.rw.url, b), member(fixture.node.url, a),
	]);
	const left = await member(fixture.rw.url, [a, away]);
	const other = await member(fixture.rw.url, newRoom());
	const second = await member(fixture.rw.url, a, { nsp: '/second' });
	const { io } = fixture.node;
	const wanted = clients.map(({ id }) => id).sort();
	const ask = () => io.in([a, b]).except(away).fetchSockets();
	await waitFor(async () => (await ask()).length === wanted.length, { what: 'all of them' }); /* the router is told of a join in its own time */
	const found = await ask();
	assert.deepEqual(ids(found), wanted);
	const one = found.find(({ id }) => id === clients[0].id);
	assert.deepEqual([...one.rooms].sort(), [clients[0].id, a, b].sort());
	assert.equal(typeof one.handshake, 'object');
	one.emit('hello', 1);
	assert.equal(await clients[0].next('hello'), 1);
	assert.deepEqual(ids(await io.in(other.id).fetchSockets()), [other.id]);
	assert.deepEqual(ids(await io.in(a).except([away, clients[0].id]).fetchSockets()), [clients[1].id, clients[3].id].sort());
	assert.deepEqual(await io.in('no-such-room').fetchSockets(), []);
	assert.deepEqual(ids(await io.of('/second').fetchSockets()), [second.id]);
	assert.deepEqual(ids(await io.fetchSockets()), [...wanted, left.id, other.id].sort());
});

scenario('allRooms names the rooms of both sides', async () => {
	const [a, b] = [newRoom(), newRoom()];
	const mine = await member(fixture.rw.url, a);
	await member(fixture.node.url, b);
	const adapter = fixture.node.io.of('/').adapter;
	await waitFor(async () => (await adapter.allRooms()).has(a), { what: 'the room' });
	const found = await adapter.allRooms();
	for (const room of [a, b, mine.id])
		assert.ok(found.has(room), room);
	assert.ok(![...found].some((room) => room.startsWith('\u0001')), 'rooms of Roomwire itself are not told');
});

scenario('more sockets than one page, of two routers', async () => {
	const room = newRoom();
	const many = 620;
	const clients = [];
	while (clients.length < many)
		clients.push(...await Promise.all(Array.from({ length: 62 }, () => member(fixture.rw.url, room))));
	await waitFor(async () => (await fixture.node.io.in(room).fetchSockets()).length === many, { what: 'all of them' });
	assert.deepEqual(ids(await fixture.node.io.in(room).fetchSockets()), ids(clients));
});

scenario('members join, leave and are disconnected by the HTTP API, at both sides', async () => {
	const [room, more] = [newRoom(), newRoom()];
	const clients = await Promise.all([member(fixture.rw.url, room), member(fixture.node.url, room)]);
	const stays = await Promise.all([member(fixture.rw.url, newRoom()), member(fixture.node.url, newRoom())]);
	const act = async (verb, of, body) => {
		const { status, text } = await fixture.rw.api(`/v1/rooms/${of}/${verb}`, body);
		assert.equal(status, 202, text);
	};
	const { rooms: here } = fixture.node.io.of('/').adapter;
	await act('join', more, { rooms: [room] });
	await waitFor(() => here.get(more)?.has(clients[1].id), { what: 'the member at the Node server to join' });
	await fixture.rw.publish({ rooms: [more], event: 'news', data: 1 });
	for (const client of clients)
		assert.equal(await client.next('news'), 1);
	await act('leave', more, { sockets: clients.map(({ id }) => id) });
	await waitFor(() => !here.get(more)?.has(clients[1].id), { what: 'the member at the Node server to leave' });
	await fixture.rw.publish({ rooms: [more], event: 'news', data: 2 });
	await act('disconnect', room, {});
	for (const client of clients) {
		await client.nextArgs('@disconnect');
		client.assertNone('news');
	}
	for (const client of stays)
		client.assertNone('@disconnect');
});

scenario('with a router away the asker is told that something failed', async () => {
	const { pid } = fixture.rw.process('router');
	process.kill(pid, 'SIGSTOP');
	try {
		await assert.rejects(fixture.node.io.fetchSockets(), /timeout/);
	} finally {
		process.kill(pid, 'SIGCONT');
	}
});

scenario('the room of all that Redis needs is not listed, and is none of a socket\'s rooms', async () => {
	const room = newRoom();
	const client = await member(fixture.rw.url, room);
	const api = await Api.of(fixture.rw);
	const { json: { rooms: listed } } = await api.call('GET /v1/rooms', { query: { limit: 500 } });
	assert.ok(listed.some(({ name }) => name === room));
	assert.deepEqual(listed.filter(({ name }) => name.startsWith('\x01')), []);
	const { json: { sockets } } = await api.call('GET /v1/sockets', { query: { room } });
	assert.deepEqual(sockets.map(({ id, rooms: names, roomCount }) => [id, names, roomCount]), [[client.id, [room], 1]]);
});
