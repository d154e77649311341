// SPDX-License-Identifier: Apache-2.0
/* Draining one of several: its clients are moved off evenly and come back recovered, and messages go on. What 70_drain says is not said again. */
import assert from 'node:assert/strict';
import { connect, http, Raw, RECONNECTING, Roomwire, scenario, useRoomwire, waitFor } from './harness.mjs';
import { assertWhole, edgeTag, edgeTags, endsOf, metricOf, processesOf, Stream, tagOf, waitReplaced } from './lib/cluster.mjs';
import { alive, signal } from './lib/children.mjs';

const DRAIN_SECONDS = 9;
const SPREAD_MS = DRAIN_SECONDS * 1000 * 2 / 3; /* with so few clients that they take less than 20 s, and so many that they take longer than a moment */
const CLIENTS = 200;
const fixture = useRoomwire({ profile: 'bench', edges: 2, routers: 2, ingests: 2, env: { DRAIN_SECONDS: String(DRAIN_SECONDS) } });

const TRANSPORTS = [['websocket'], ['websocket'], ['websocket'], ['polling'], ['polling', 'websocket']];

/* Members of a room, over all transports. */
async function members(count, room) {
	const { rw } = fixture;
	const clients = [];
	while (clients.length < count) {
		const some = Array.from({ length: Math.min(50, count - clients.length) }, (_, i) => {
			const n = clients.length + i;
			return connect(rw.url, { token: rw.token({ sub: `user-${n}` }), transports: TRANSPORTS[n % TRANSPORTS.length], ...RECONNECTING });
		});
		clients.push(...await Promise.all(some));
	}
	await Promise.all(clients.map(async (client) => assert.equal((await client.ask('room:join', { room })).ok, true)));
	return clients;
}

/* When each of them loses its connection, and how: {times, reasons} filled as it happens. */
function watchLeaving(clients) {
	const left = { times: [], reasons: [] };
	for (const { socket } of clients) {
		socket.on('disconnect', (reason) => {
			left.times.push(performance.now());
			left.reasons.push(reason);
		});
	}
	return left;
}

const isDraining = async (one) => {
	const { status, json } = await http(`${one.opsUrl}/readyz`);
	return status === 503 && json.failing.some(({ component }) => component === 'draining');
};

/* The clients at one edge, which are at least so many of them. Those that upgrade are at the edge that has their WebSocket, and left out here. */
function clientsAt(clients, tag, least) {
	const found = clients.filter((client) => edgeTag(client) === tag && client.socket.io.opts.transports.length === 1);
	assert.ok(found.length >= least, `${found.length} of ${clients.length} clients are at that edge`);
	return found;
}

async function assertBack(clients, ids, oldTag) {
	for (const [i, client] of clients.entries()) {
		await waitFor(() => client.socket.connected && edgeTag(client) !== oldTag, { what: `client ${i} to be back, elsewhere` });
		assert.deepEqual([client.socket.recovered, client.id], [true, ids[i]], `client ${i} is recovered`);
	}
}

scenario(`SIGTERM to one of two edges with ${CLIENTS} clients on both: moved off evenly, recovered elsewhere, nothing missed, exit 0`, { timeout: 120_000 }, async () => {
	const { rw } = fixture;
	const tags = await edgeTags(rw);
	const clients = await members(CLIENTS, 'drain');
	const [[tag, name]] = Object.entries(tags);
	const moved = clientsAt(clients, tag, CLIENTS / 5);
	const stayed = clients.filter((client) => edgeTag(client) !== tag && client.socket.io.opts.transports.length === 1);
	const ids = moved.map(({ id }) => id);
	const edge = rw.processes[name];
	const left = watchLeaving(moved);
	const stream = new Stream(rw, 'drain', { gapMs: 10 }).start();
	await stream.more(10);

	signal(edge.pid, 'SIGTERM');
	const began = performance.now();
	for (let told = false; !told;) {
		const gone = left.times.length;
		told = await isDraining(edge);
		assert.ok(told || gone === 0, '/readyz is 503 draining before anybody is moved');
	}
	while (await isDraining(edge).catch(() => false)) { /* until it has ended */
		const raw = await Raw.open(rw.url);
		assert.notEqual(tagOf(raw.handshake.sid), tag, 'no new client is accepted there');
		raw.close();
	}
	await waitReplaced(rw, name, edge.pid);
	await waitFor(() => left.times.length === moved.length, { what: 'all its clients to have left' });
	assert.deepEqual(endsOf(rw, name)[0], { status: 0, signal: 0 }, 'exit 0');

	assert.deepEqual([...new Set(left.reasons)].filter((reason) => !/^transport (close|error)$/.test(reason)), [], 'a closed transport, no DISCONNECT packet');
	assertEven(left.times.map((time) => time - began), SPREAD_MS);
	await assertBack(moved, ids, tag);
	await stream.more(10);
	const count = await stream.stop();
	for (const [i, client] of clients.entries())
		await assertWhole(client, count, { who: `client ${i}` });
	for (const client of stayed)
		client.assertNone('@disconnect');
});

/* They take the time they are given, each in its turn but for a moment in which this machine had other things to do, and not in bursts. */
function assertEven(times, spreadMs) {
	const expectedMs = Math.min(spreadMs, times.length * 100);
	const sorted = times.toSorted((a, b) => a - b);
	const off = Math.max(...sorted.map((time, i) => Math.abs(time - (i + 1) * expectedMs / times.length)));
	const windows = new Set(sorted.map((time) => Math.floor(time / expectedMs * 20)));
	assert.ok(sorted.at(-1) >= expectedMs * 0.8, `the last of ${times.length} leaves after ${Math.round(sorted.at(-1))} of ${expectedMs} ms`);
	assert.ok(off <= expectedMs / 4, `somebody leaves ${Math.round(off)} of ${expectedMs} ms out of turn`);
	assert.ok(windows.size >= 15, `${times.length} leave in ${windows.size} of 20 windows`);
}

/* How long the process takes to be gone from now on. */
async function lifeLeftMs(pid) {
	const began = performance.now();
	await waitFor(() => !alive(pid), { what: `process ${pid} to be gone`, everyMs: 5 });
	return performance.now() - began;
}

scenario('a second SIGTERM ends a draining edge at once, with exit 0, and its clients are recovered all the same', async () => {
	const { rw } = fixture;
	const tags = await edgeTags(rw);
	const clients = await members(120, 'twice'); /* so many that half of them would take 6 s */
	const [tag, name] = Object.entries(tags)[1];
	const moved = clientsAt(clients, tag, 10);
	const ids = moved.map(({ id }) => id);
	const edge = rw.processes[name];
	const stream = new Stream(rw, 'twice').start();
	signal(edge.pid, 'SIGTERM');
	await waitFor(() => isDraining(edge), { what: '/readyz to be 503 draining', everyMs: 1 });
	assert.ok(await metricOf(edge, 'roomwire_connections') > 0, 'it has clients still');
	signal(edge.pid, 'SIGTERM');
	assert.ok(await lifeLeftMs(edge.pid) < 3000, 'at once');
	await waitReplaced(rw, name, edge.pid);
	assert.deepEqual(endsOf(rw, name)[0], { status: 0, signal: 0 }, 'exit 0');
	await assertBack(moved, ids, tag);
	await stream.more(10);
	const count = await stream.stop();
	for (const [i, client] of clients.entries()) {
		await assertWhole(client, count, { who: `client ${i}` });
		for (const [reason] of client.inbox.untaken(({ event }) => event === '@disconnect').map(({ args }) => args))
			assert.match(reason, /^transport (close|error)$/);
	}
});

for (const kind of ['router', 'ingest']) {
	scenario(`SIGTERM to each ${kind} in turn under load: everything accepted arrives once and in order, and no client notices`, { timeout: 120_000 }, async () => {
		const { rw } = fixture;
		const rooms = Array.from({ length: 6 }, (_, i) => `${kind}-${i}`); /* on either router */
		const groups = await Promise.all(rooms.map((room) => members(5, room)));
		const streams = rooms.map((room) => new Stream(rw, room).start());
		for (const [name, { pid }] of Object.entries(processesOf(rw, kind))) {
			await Promise.all(streams.map((stream) => stream.more(20)));
			signal(pid, 'SIGTERM');
			await waitReplaced(rw, name, pid);
			assert.deepEqual(endsOf(rw, name)[0], { status: 0, signal: 0 }, 'exit 0');
		}
		await Promise.all(streams.map((stream) => stream.more(20)));
		for (const [at, stream] of streams.entries()) {
			const count = await stream.stop();
			for (const [i, client] of groups[at].entries()) {
				await assertWhole(client, count, { who: `client ${i} of ${rooms[at]}` });
				client.assertNone('@disconnect', 'error');
			}
		}
	});
}

scenario('a rolling restart of both edges and both routers, one after another: recovered every time, nothing missed', { timeout: 120_000 }, async () => {
	const { rw } = fixture;
	const clients = await members(30, 'rolling');
	const ids = clients.map(({ id }) => id);
	const stream = new Stream(rw, 'rolling').start();
	for (const kind of ['edge', 'router']) {
		for (const [name, { pid }] of Object.entries(processesOf(rw, kind))) {
			await stream.more(10);
			signal(pid, 'SIGTERM');
			await waitReplaced(rw, name, pid);
			await waitFor(() => clients.every(({ socket }) => socket.connected), { what: 'everybody to be connected' });
		}
	}
	await stream.more(10);
	const count = await stream.stop();
	for (const [i, client] of clients.entries()) {
		await assertWhole(client, count, { who: `client ${i}` });
		assert.equal(client.id, ids[i], 'the same id to the end');
	}
});

scenario('DRAIN_SECONDS 1: an edge with many clients has ended within it, and they are recovered', async (t) => {
	const rw = await new Roomwire({ profile: 'bench', edges: 2, env: { DRAIN_SECONDS: '1' } }).start();
	t.after(() => rw.stop());
	const tags = await edgeTags(rw);
	const clients = await Promise.all(Array.from({ length: 100 }, (_, i) => connect(rw.url, { token: rw.token({ sub: `user-${i}` }), ...RECONNECTING })));
	const [tag, name] = Object.entries(tags)[0];
	const moved = clientsAt(clients, tag, 10);
	await Promise.all(moved.map((client) => client.ask('room:join', { room: 'short' })));
	await rw.publish({ rooms: ['short'], event: 'n', data: { n: 0 } });
	await Promise.all(moved.map((client) => client.next('n')));
	const ids = moved.map(({ id }) => id);
	const { pid } = rw.processes[name];
	signal(pid, 'SIGTERM');
	assert.ok(await lifeLeftMs(pid) < 3000, 'it has ended'); /* 50 clients would take 5 s */
	await waitReplaced(rw, name, pid);
	assert.deepEqual(endsOf(rw, name)[0], { status: 0, signal: 0 }, 'exit 0');
	await assertBack(moved, ids, tag);
	await rw.publish({ rooms: ['short'], event: 'n', data: { n: 1 } });
	for (const client of moved)
		await assertWhole(client, 2);
});
