// SPDX-License-Identifier: Apache-2.0
/* A Node Socket.IO server and Roomwire on one Redis serve one application: who is in a room is reached, whichever server he is at. */
import assert from 'node:assert/strict';
import { connect, Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { emitter, NodeServer } from './lib/nodeio.mjs';
import { Redis } from './lib/redis.mjs';

const PROFILE = 'tests/profiles/beside.yaml';
const NAMESPACES = ['/', '/second'];

const fixture = useFixture(async (things) => {
	things.redis = await Redis.create();
	things.node = await NodeServer.start(things.redis.url, { namespaces: NAMESPACES });
	things.rw = new Roomwire({ profile: PROFILE, env: { REDIS_URL: things.redis.url } });
	await things.rw.start();
	await active(things.rw);
	things.backend = await emitter(things.redis.url);
});

const active = (rw) => waitFor(async () => await rw.metric('ingest', 'roomwire_redis_adapter_active') === 1, { what: 'an ingest to act on the channels' });

let rooms = 0;
const newRoom = () => `room-${++rooms}`;

async function member(url, room, options) {
	const client = await connect(url, options);
	for (const one of [room].flat())
		assert.equal((await client.ask('room:join', { room: one })).ok, true);
	return client;
}

/* Arguments of the next such event, but for the offset of recovery that Roomwire adds behind the last one. */
const argsOf = async (client, event, count) => (await client.nextArgs(event)).slice(0, count);

/* One member at each side. */
const both = (room, options) => Promise.all([member(fixture.rw.url, room, options), member(fixture.node.url, room, options)]);

scenario('what a Node server sends to a room reaches its members at Roomwire, and others not', async () => {
	const room = newRoom();
	const [[mine, theirs], other] = await Promise.all([both(room), member(fixture.rw.url, newRoom())]);
	fixture.node.io.to(room).emit('news', { n: 1 }, 'two', [3]);
	for (const client of [mine, theirs])
		assert.deepEqual(await argsOf(client, 'news', 3), [{ n: 1 }, 'two', [3]]);
	fixture.node.io.to(other.id).emit('mark');
	await other.next('mark');
	other.assertNone('news');
});

scenario('what the emitter sends reaches both sides', async () => {
	const room = newRoom();
	const clients = await both(room);
	fixture.backend.to(room).emit('news', 'from the emitter');
	for (const client of clients)
		assert.equal(await client.next('news'), 'from the emitter');
});

scenario('a client at either side reaches the others at both, and gets nothing back itself', async () => {
	const room = newRoom();
	const [mine, theirs] = await both(room);
	const [mine2, theirs2] = await both(room);
	mine.emit('room:send', { room, from: 'roomwire' });
	for (const client of [theirs, mine2, theirs2])
		assert.equal((await client.next('room:msg')).from, 'roomwire');
	theirs.emit('room:send', { room, from: 'node' });
	for (const client of [mine, mine2, theirs2])
		assert.equal((await client.next('room:msg')).from, 'node');
	await fixture.rw.publish({ rooms: [room], event: 'mark', data: 1 });
	for (const client of [mine, theirs, mine2, theirs2])
		await client.next('mark');
	assert.equal(mine.received('room:msg').length, 1);
	assert.equal(mine2.received('room:msg').length, 2);
	assert.equal(theirs.received('room:msg').length, 1);
	assert.equal(theirs2.received('room:msg').length, 2);
});

scenario('what HTTP publishes reaches clients of Node servers: rooms, except, order', async () => {
	const [a, b, away] = [newRoom(), newRoom(), newRoom()];
	const clients = await both([a, b]);
	const left = await both([a, away]);
	await fixture.rw.publish({ rooms: [a, b], event: 'news', data: 0, except: [away] });
	for (let n = 1; n <= 50; n++)
		await fixture.rw.publish({ rooms: [a], event: 'news', data: n });
	for (const client of [...clients, ...left])
		await client.nextArgs('news', { where: (n) => n === 50 });
	const all = Array.from({ length: 51 }, (_, n) => n);
	for (const client of clients)
		assert.deepEqual(client.received('news'), all);
	for (const client of left)
		assert.deepEqual(client.received('news'), all.slice(1));
});

scenario('several rooms and except, from a Node server and the emitter: once each, in order', async () => {
	const [a, b, away] = [newRoom(), newRoom(), newRoom()];
	const clients = await both([a, b]);
	const left = await both([b, away]);
	for (const from of [fixture.node.io, fixture.backend]) {
		for (let n = 0; n < 50; n++)
			from.to([a, b]).except(away).emit('news', n);
		from.to(b).emit('mark');
		for (const client of [...clients, ...left])
			await client.next('mark');
	}
	const twice = Array.from({ length: 100 }, (_, n) => n % 50);
	for (const client of clients)
		assert.deepEqual(client.received('news'), twice);
	for (const client of left)
		client.assertNone('news');
});

scenario('one socket is reached by its id from the other side, and can be excepted by it', async () => {
	const room = newRoom();
	const [mine, theirs] = await both(room);
	fixture.node.io.to(mine.id).emit('whisper', 1);
	assert.equal(await mine.next('whisper'), 1);
	await fixture.rw.publish({ rooms: [theirs.id], event: 'whisper', data: 2 });
	assert.equal(await theirs.next('whisper'), 2);
	fixture.backend.to(room).except(mine.id).emit('news', 3);
	await fixture.rw.publish({ rooms: [room], event: 'news', data: 4, except: [theirs.id] });
	assert.equal(await theirs.next('news'), 3);
	assert.equal(await mine.next('news'), 4);
	theirs.assertNone('news');
});

const VALUES = [
	['texts', ['', 'é 🚀 \\ " \u0000 \n', 'x'.repeat(300), '€'.repeat(70_000)]],
	['numbers', [0, -1, 127, 128, -128, -129, 65536, 2 ** 32, -(2 ** 40), Number.MAX_SAFE_INTEGER, 0.1, -1.5e-9, 5e-324, 2 ** 53 * 1024]],
	['null, true, false', [null, true, false]],
	['objects', [{ a: { b: [{}, []] }, 'with "quotes"': 1, 7: 'seven' }]],
	['binary', [Buffer.from([0, 1, 254, 255]), { deep: [{ one: Buffer.alloc(300, 1) }, Buffer.alloc(0), Buffer.alloc(70_000, 2)] }]],
];
for (const [what, args] of VALUES) {
	scenario(`${what} arrive as they were sent, both ways`, async () => {
		const room = newRoom();
		const clients = await both(room);
		const senders = await both(room);
		fixture.node.io.to(room).emit('news', ...args);
		fixture.backend.to(room).emit('news', ...args);
		for (const sender of senders)
			sender.emit('room:send', { room }, ...args);
		for (const client of clients) {
			for (let i = 0; i < 2; i++)
				assert.deepEqual(await argsOf(client, 'news', args.length), args);
			for (let i = 0; i < 2; i++)
				assert.deepEqual((await argsOf(client, 'room:msg', 1 + args.length)).slice(1), args);
		}
	});
}

scenario('what JSON does not have becomes what JSON.stringify makes of it', async () => {
	const room = newRoom();
	const [client] = await both(room);
	const date = new Date('2026-01-31T23:59:59.123Z');
	const args = [undefined, NaN, -Infinity, -0, date, { gone: undefined, at: date, old: new Date(-1), list: [undefined] }];
	fixture.node.io.to(room).emit('news', ...args);
	assert.deepEqual(await argsOf(client, 'news', args.length), JSON.parse(JSON.stringify(args)));
});

scenario('volatile events go both ways', async () => {
	const room = newRoom();
	const clients = await both(room);
	fixture.node.io.volatile.to(room).emit('hint', 1);
	fixture.backend.volatile.to(room).emit('hint', 2);
	for (const client of clients)
		await waitFor(() => client.received('hint').length === 2, { what: 'both hints' });
	const inbox = await fixture.redis.subscribe('socket.io#*', { binary: true });
	clients[0].emit('room:hint', { room });
	for (const client of clients)
		await client.next('room:hint');
	assert.ok((await inbox.take(() => true, { what: 'its message in Redis' })).payload.includes('volatile'));
});

scenario('namespaces are kept apart', async () => {
	const room = newRoom();
	const first = await both(room);
	const second = await both(room, { nsp: '/second' });
	fixture.node.io.of('/second').to(room).emit('news', 1);
	fixture.backend.of('/second').to(room).emit('news', 2);
	await fixture.rw.publish({ namespace: '/second', rooms: [room], event: 'news', data: 3 });
	for (const client of second)
		await waitFor(() => client.received('news').sort().join() === '1,2,3', { what: 'all three' });
	fixture.node.io.to(room).emit('mark');
	for (const client of first) {
		await client.next('mark');
		client.assertNone('news');
	}
});

scenario('rooms whose names have marks of the channels in them', async () => {
	for (const room of ['a#b', '#', '*', 'a?[b]', 'x'.repeat(128), 'socket.io#/#', '42']) {
		const clients = await both(room);
		fixture.node.io.to(room).emit('news', room);
		await Promise.all(clients.map((client) => client.next('news')));
		await fixture.rw.publish({ rooms: [room], event: 'news', data: room });
		for (const client of clients) {
			assert.equal(await client.next('news'), room);
			client.close();
		}
	}
});

scenario('Roomwire counts as one server, and questions to it are answered', async () => {
	const { io } = fixture.node;
	for (const nsp of NAMESPACES)
		assert.equal(await io.of(nsp).adapter.serverCount(), 2);
	const room = newRoom();
	const [, theirs] = await both(room);
	assert.ok((await io.in(room).fetchSockets()).some(({ id }) => id === theirs.id));
	assert.ok((await io.of('/').adapter.allRooms()).has(room));
	assert.equal((await io.serverSideEmitWithAck('hello')).length, 1);
	io.serverSideEmit('hello');
});

scenario('garbage on the channels is ignored and counted', async () => {
	const before = await fixture.rw.metric('ingest', 'roomwire_redis_adapter_ignored_total');
	const room = newRoom();
	const client = await member(fixture.rw.url, room);
	const pack = (...bytes) => Buffer.from(bytes);
	/* What a Node server dies of is sent to a namespace that it has not. */
	const rubbish = [pack(), pack(0xc1), pack(0x93), pack(0xdd, 255, 255, 255, 255), pack(0xdf, 255, 255, 255, 255), Buffer.alloc(200, 0x91), 'text', '{"type":2', '[]', '{}'];
	for (const message of rubbish) {
		await fixture.redis.command('PUBLISH', `socket.io#/#no-such-room#`, message);
		await fixture.redis.command('PUBLISH', 'socket.io-response#/#', '{}');
	}
	for (const message of ['{', '{"type":"x"}', '{"type":99}', '{"type":2}', '{"type":5,"opts":7}'])
		await fixture.redis.command('PUBLISH', 'socket.io-request#/nowhere#', message);
	fixture.node.io.to(room).emit('mark');
	await client.next('mark');
	const ignored = await fixture.rw.metric('ingest', 'roomwire_redis_adapter_ignored_total') - before;
	assert.equal(ignored, rubbish.length);
});

scenario('a burst of events from each side arrives whole and in order', async () => {
	const room = newRoom();
	const clients = await both(room);
	const sender = await member(fixture.rw.url, newRoom());
	for (let n = 0; n < 5000; n++)
		fixture.node.io.to(room).emit('news', n);
	for (let n = 0; n < 5000; n++)
		sender.emit('room:send', { room, n });
	for (const client of clients) {
		await waitFor(() => client.received('news').length >= 5000 && client.received('room:msg').length >= 5000, { what: 'all of them' });
		assert.deepEqual(client.received('news'), Array.from({ length: 5000 }, (_, n) => n));
		assert.deepEqual(client.received('room:msg').map(({ n }) => n), Array.from({ length: 5000 }, (_, n) => n));
	}
});
