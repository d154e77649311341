// SPDX-License-Identifier: Apache-2.0
/* What Node servers and emitters do to all sockets of a namespace, and to members: they join, leave, and are disconnected. */
import assert from 'node:assert/strict';
import { connect, Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
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
