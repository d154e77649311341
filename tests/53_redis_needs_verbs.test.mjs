// SPDX-License-Identifier: Apache-2.0
/* What Node servers and emitters do to all sockets of a namespace, and to members: they join, leave, and are disconnected. */
import assert from 'node:assert/strict';
import { connect, Roomwire, scenario, useFixture, waitFor, within } from './harness.mjs';
import { emitter, NodeServer } from './lib/nodeio.mjs';
import { Redis } from './lib/redis.mjs';

const fixture = useFixture(async (things) => {
	things.redis = await Redis.create();
	things.node = await NodeServer.start(things.redis.url, { namespaces: ['/', '/second'] });
	things.rw = new Roomwire({ profile: 'tests/profiles/beside.yaml', edges: 2, routers: 2, env: { REDIS_URL: things.redis.url } });
	await things.rw.start();
	await waitFor(async () => await things.rw.metric('ingest', 'roomwire_redis_adapter_active') === 1, { what: 'an ingest to act' });
	things.backend = await emitter(things.redis.url);
});

let rooms = 0;
const newRoom = () => `room-${++rooms}`;

async function both(room, options) {
	const clients = await Promise.all([connect(fixture.rw.url, options), connect(fixture.node.url, options)]);
	for (const client of clients)
		assert.equal((await client.ask('room:join', { room })).ok, true);
	return clients;
}

scenario('a broadcast to the whole namespace reaches every socket of it, and of no other', async () => {
	const clients = await both(newRoom());
	const second = await both(newRoom(), { nsp: '/second' });
	fixture.node.io.emit('news', 1);
	fixture.backend.emit('news', 2);
	for (const client of clients)
		await waitFor(() => client.received('news').join() === '1,2', { what: 'both' });
	fixture.node.io.of('/second').emit('mark');
	for (const client of second) {
		await client.next('mark');
		client.assertNone('news');
	}
});

scenario('a broadcast to the whole namespace but some', async () => {
	const away = newRoom();
	const clients = await both(newRoom());
	const left = await both(away);
	fixture.node.io.except(away).emit('news', 1);
	fixture.backend.except([away, clients[0].id]).emit('news', 2);
	fixture.node.io.emit('mark');
	for (const client of [...clients, ...left])
		await client.next('mark');
	await waitFor(() => clients[1].received('news').length === 2, { what: 'both at the Node server' });
	assert.deepEqual(clients.map((client) => client.received('news')), [[1], [1, 2]]);
	for (const client of left)
		client.assertNone('news');
});

for (const [who, from] of [['a Node server', () => fixture.node.io], ['the emitter', () => fixture.backend]]) {
	scenario(`${who} lets members join rooms and leave them, in order with what it sends`, async () => {
		const [room, more] = [newRoom(), newRoom()];
		const [mine] = await both(room); /* a Node server lets its own members join later than it sends */
		from().to(room).socketsJoin([more]);
		from().to(more).emit('news', 1);
		from().to(room).socketsLeave(more);
		from().to(more).emit('news', 2);
		from().to(room).emit('mark');
		await mine.next('mark');
		await waitFor(() => mine.received('news').join() === '1', { what: 'what was sent meanwhile, and no more' });
	});

	scenario(`${who} disconnects the members of a room, and not the others`, async () => {
		const [room, away] = [newRoom(), newRoom()];
		const clients = await both(room);
		const [stays] = await both(away);
		from().to(room).disconnectSockets();
		for (const client of clients)
			await client.nextArgs('@disconnect');
		from().to(stays.id).emit('mark');
		await stays.next('mark');
	});
}

scenario('one socket is named by its id', async () => {
	const room = newRoom();
	const [mine] = await both(newRoom());
	fixture.node.io.in(mine.id).socketsJoin(room);
	fixture.node.io.to(room).emit('news', 1);
	assert.equal(await mine.next('news'), 1);
});

for (const [who, from] of [['a Node server', () => fixture.node.io], ['the emitter', () => fixture.backend]]) {
	scenario(`${who} lets a member join, sends, and lets it leave again, for many rooms without a pause: nothing is missing, nothing too much`, async () => {
		for (const count of [2, 3, 20, 200]) {
			const own = newRoom();
			const clients = await both(own);
			for (let i = 0; i < count; i++) {
				const room = newRoom();
				from().in(own).socketsJoin(room);
				from().to(room).emit('q', i);
				from().in(own).socketsLeave(room);
				from().to(room).emit('left', i);
			}
			from().to(own).emit('mark');
			const [mine] = clients; /* a Node server lets its own members join later than it sends */
			await mine.next('mark');
			await waitFor(() => mine.received('q').length >= count, { what: () => `${count} events, has ${mine.received('q').length}` });
			assert.deepEqual(mine.received('q').sort((a, b) => a - b), Array.from({ length: count }, (_, n) => n)); /* in order where one router has all the rooms */
			await fixture.rw.publish({ rooms: [own], event: 'end', data: 1 });
			await mine.next('end');
			mine.assertNone('left');
		}
	});

	scenario(`${who} moves one member after another in and out of one room`, async () => {
		const members = await Promise.all(Array.from({ length: 5 }, () => both(newRoom())));
		const room = newRoom();
		for (const [n, [one]] of members.entries()) {
			from().in(one.id).socketsJoin(room);
			from().to(room).emit('turn', n);
			from().in(one.id).socketsLeave(room);
		}
		for (const [n, [one]] of members.entries()) {
			await one.next('turn');
			await fixture.rw.publish({ rooms: [one.id], event: 'end', data: 1 });
			await one.next('end');
			assert.deepEqual(one.received('turn'), [n]);
		}
	});
}

scenario('disconnectSockets(true) ends the connection, all its namespaces included; (false) the namespace alone', async () => {
	for (const from of [fixture.node.io, fixture.backend]) {
		for (const close of [false, true]) {
			const room = newRoom();
			const [mine] = await both(room);
			const second = mine.socket.io.socket('/second');
			await within(new Promise((resolve) => { second.on('connect', resolve); }), { what: 'the second namespace' });
			const left = new Promise((resolve) => { second.once('disconnect', resolve); });
			const ended = new Promise((resolve) => { mine.socket.io.engine.once('close', resolve); });
			from.in(room).disconnectSockets(close);
			assert.equal(await mine.next('@disconnect'), 'io server disconnect');
			if (close)
				assert.equal((await within(Promise.all([left, ended]), { what: 'the end of all of it' }))[0], 'io server disconnect');
			else
				assert.equal((await second.timeout(5000).emitWithAck('room:join', { room })).ok, true);
		}
	}
});
