// SPDX-License-Identifier: Apache-2.0
/* kill -9 of edges and routers, one and several, while messages flow: clients come back recovered with what they missed, or are told that they are new. */
import assert from 'node:assert/strict';
import { connect, RECONNECTING, Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { assertWhole, edgeTag, edgeTags, growthOf, processesOf, Stream, waitReplaced } from './lib/cluster.mjs';
import { comeBack, cut, fresh, member, numbersOf, publishNumbers, upgraded, upTo } from './lib/comeback.mjs';
import { signal } from './lib/children.mjs';

const fixture = useFixture(async (things) => {
	const env = { DRAIN_SECONDS: '2' };
	things.one = await new Roomwire({ profile: 'bench', edges: 2, env }).start();
	things.two = await new Roomwire({ profile: 'bench', edges: 2, routers: 2, env }).start();
});

const TRANSPORTS = [['websocket'], ['polling'], ['polling', 'websocket']];
const LIMIT = { timeout: 120_000 };

/* Members of the rooms, over all transports; each notes the socket ids it had and whether it was recovered. */
async function members(rw, count, rooms) {
	const clients = await Promise.all(upTo(count).map((n) => member(rw, rooms, { transports: TRANSPORTS[n % TRANSPORTS.length], ...RECONNECTING })));
	await Promise.all(clients.map(upgraded));
	for (const client of clients) {
		client.firstId = client.id;
		client.returns = [];
		client.socket.on('connect', () => client.returns.push(client.socket.recovered));
	}
	return clients;
}

const allConnected = (clients) => waitFor(() => clients.every(({ socket }) => socket.connected), { what: 'all clients to be connected' });

/* Those that upgrade are at the edge that has their WebSocket, which their session id does not tell. */
const isWebSocket = (client) => client.socket.io.opts.transports[0] === 'websocket';
const hasOneTransport = (client) => client.socket.io.opts.transports.length === 1;

/* Each of them has had everything; those who were cut came back recovered, the others were left alone. */
async function assertUnharmed(clients, streams, wereHit = () => false) {
	const counts = await Promise.all(streams.map((stream) => stream.stop()));
	await allConnected(clients);
	for (const [i, client] of clients.entries()) {
		for (const [at, { event }] of streams.entries())
			await assertWhole(client, counts[at], { event, who: `client ${i}` });
		assert.equal(client.id, client.firstId, `client ${i} is who it was`);
		assert.equal(client.returns.every(Boolean), true, `client ${i} was recovered each time`);
		assert.ok(client.returns.length > 0 || !wereHit(client), `client ${i} was cut`);
		if (isWebSocket(client)) /* a long-polling client may have been asking by way of the edge that died */
			assert.ok(client.returns.length === 0 || wereHit(client), `client ${i} was left alone`);
	}
}

/* kill -9 by the name of a process; {pid, replaced()}. */
function kill(rw, name) {
	const { pid } = rw.processes[name];
	assert.ok(signal(pid, 'SIGKILL'), `${name} is there`);
	return { pid, replaced: () => waitReplaced(rw, name, pid) };
}

/* The edge of the first client: {name, clients: those of whom it is known that they are at it}. */
async function edgeOf(rw, clients) {
	const tags = await edgeTags(rw);
	const tag = edgeTag(clients[0]);
	return { name: tags[tag], clients: clients.filter((client) => hasOneTransport(client) && edgeTag(client) === tag) };
}

const streamsTo = (rw, rooms) => rooms.map((room, i) => new Stream(rw, room, { event: `n${i}` }).start());
const more = (streams, count) => Promise.all(streams.map((stream) => stream.more(count)));

for (const kind of ['one', 'two']) {
	const said = `${kind === 'one' ? 'one router' : 'two routers'}`;
	scenario(`${said}: kill -9 of an edge: all its clients come back recovered, with all that was sent meanwhile`, LIMIT, async () => {
		const rw = fixture[kind];
		const rooms = upTo(4).map(() => fresh('edge'));
		const clients = await members(rw, 30, rooms);
		const streams = streamsTo(rw, rooms);
		const edge = await edgeOf(rw, clients);
		await more(streams, 10);
		const killed = kill(rw, edge.name);
		await more(streams, 10);
		await waitFor(() => edge.clients.every(({ returns, socket }) => returns.length > 0 && socket.connected), { what: 'its clients to be back' });
		await more(streams, 10);
		await assertUnharmed(clients, streams, (client) => edge.clients.includes(client));
		await killed.replaced();
	});

	for (const order of [['router', 'edge'], ['edge', 'router']]) {
		scenario(`${said}: kill -9 of the ${order[0]}, and of the ${order[1]} when all is well again: recovered, nothing missed`, LIMIT, async () => {
			const rw = fixture[kind];
			const rooms = upTo(4).map(() => fresh('turn'));
			const clients = await members(rw, 30, rooms);
			const streams = streamsTo(rw, rooms);
			const edge = await edgeOf(rw, clients);
			for (const what of order) {
				await more(streams, 10);
				const killed = kill(rw, what === 'edge' ? edge.name : 'router-0');
				await more(streams, 10);
				if (what === 'edge')
					await waitFor(() => edge.clients.every(({ returns, socket }) => returns.length > 0 && socket.connected), { what: 'its clients to be back' });
				else
					await killed.replaced();
				killed.replaced().catch(() => {});
			}
			await more(streams, 10);
			await assertUnharmed(clients, streams, (client) => edge.clients.includes(client));
			for (const name of [edge.name, 'router-0'])
				await waitFor(() => signal(rw.processes[name].pid, 0), { what: `${name} to be there` });
		});
	}
}

for (const kind of ['one', 'two']) {
	scenario(`kill -9 of ${kind === 'one' ? 'the only router' : 'a router of two'}, three times in a stream: no client notices, nothing is missed`, LIMIT, async () => {
		const rw = fixture[kind];
		const rooms = upTo(4).map(() => fresh('router'));
		const clients = await members(rw, 12, rooms);
		const streams = streamsTo(rw, rooms);
		for (let round = 0; round < 3; round++) {
			await more(streams, 10);
			const killed = kill(rw, kind === 'one' ? 'router-0' : `router-${round % 2}`);
			await more(streams, 10);
			await killed.replaced();
		}
		await assertUnharmed(clients, streams);
	});
}

scenario('a router is killed while a client is away, without Redis: recovered with what was sent before and after, to whichever edge it comes back', LIMIT, async () => {
	const rw = fixture.one;
	const rooms = upTo(3).map(() => fresh('away'));
	const clients = await Promise.all(upTo(12).map(() => member(rw, rooms)));
	const ids = clients.map(({ id }) => id);
	await publishNumbers(rw, [0], [rooms[0]]);
	await Promise.all(clients.map((client) => client.next('n')));
	await Promise.all(clients.map((client) => cut(client)));
	await publishNumbers(rw, [1, 2, 3], rooms);
	const killed = kill(rw, 'router-0');
	await killed.replaced();
	const after = new Stream(rw, rooms[1], { event: 'after' }).start();
	await after.more(5);
	const count = await after.stop();
	for (const [i, client] of clients.entries()) {
		assert.deepEqual(await comeBack(client), { recovered: true, id: ids[i] }, `client ${i}`);
		await assertWhole(client, count, { event: 'after' });
		assert.deepEqual(numbersOf(client), [0, 1, 2, 3]);
	}
});

scenario('a client that comes back while its router is being replaced waits for it, and is recovered', LIMIT, async () => {
	const rw = fixture.one;
	const room = fresh('meanwhile');
	const clients = await Promise.all(upTo(12).map(() => member(rw, [room])));
	const ids = clients.map(({ id }) => id);
	await publishNumbers(rw, [0], [room]);
	await Promise.all(clients.map((client) => client.next('n')));
	await Promise.all(clients.map((client) => cut(client)));
	await publishNumbers(rw, [1], [room]);
	const killed = kill(rw, 'router-0');
	const back = await Promise.all(clients.map((client) => comeBack(client)));
	assert.deepEqual(back, ids.map((id) => ({ recovered: true, id })));
	await killed.replaced();
	const stream = new Stream(rw, room, { event: 'after' }).start();
	await stream.more(3);
	const count = await stream.stop();
	for (const client of clients) {
		await assertWhole(client, count, { event: 'after' });
		assert.deepEqual(numbersOf(client), [0, 1]);
	}
});

scenario('an edge and then the router, within moments: whoever is told recovered has everything, whoever is not is told so', LIMIT, async () => {
	const rw = fixture.one;
	const room = fresh('both');
	const clients = await members(rw, 30, [room]);
	const edge = await edgeOf(rw, clients);
	const stream = new Stream(rw, room).start();
	await stream.more(20);
	const killed = [kill(rw, edge.name), kill(rw, 'router-0')];
	await Promise.all(killed.map((one) => one.replaced()));
	await waitFor(() => edge.clients.every(({ returns }) => returns.length > 0), { what: 'its clients to be back' });
	await allConnected(clients);
	await stream.more(10);
	/* Those who were told that they are new join again; from the answer on they have everything. */
	const news = clients.filter(({ returns }) => returns.includes(false));
	const since = new Map();
	for (const client of news) {
		assert.ok(edge.clients.includes(client) || !hasOneTransport(client), 'clients of the other edge are not new');
		assert.equal((await client.ask('room:join', { room })).ok, true);
		since.set(client, stream.accepted);
	}
	await stream.more(10);
	const count = await stream.stop();
	for (const [i, client] of clients.entries()) {
		await waitFor(() => numbersOf(client).includes(count - 1), { what: `client ${i} to get number ${count - 1}` });
		const got = numbersOf(client);
		assert.deepEqual(got, [...new Set(got)].sort((a, b) => a - b), `client ${i}: no doubles, in order`);
		const missed = upTo(count).filter((n) => !got.includes(n));
		if (since.has(client))
			assert.deepEqual(missed.filter((n) => n > since.get(client)), [], `client ${i}, told that it is new, has all since it joined`);
		else
			assert.deepEqual(missed, [], `client ${i}, recovered or left alone, has everything`);
	}
});

scenario('a rolling restart of all edges and routers while HTTP calls and clients send: nothing is missed, doubled or out of order', LIMIT, async () => {
	const rw = fixture.two;
	const rooms = upTo(3).map(() => fresh('rolling'));
	const clients = await members(rw, 18, rooms);
	const streams = streamsTo(rw, rooms);
	for (const kind of ['edge', 'router']) {
		for (const [name, { pid }] of Object.entries(processesOf(rw, kind))) {
			await more(streams, 10);
			signal(pid, 'SIGTERM');
			await waitReplaced(rw, name, pid);
			await allConnected(clients);
		}
	}
	await more(streams, 10);
	const counts = await Promise.all(streams.map((stream) => stream.stop()));
	for (const [i, client] of clients.entries()) {
		for (const [at, { event }] of streams.entries())
			await assertWhole(client, counts[at], { event, who: `client ${i}` });
		assert.deepEqual([client.id, client.returns.every(Boolean)], [client.firstId, true], `client ${i} was recovered each time`);
	}
});

scenario('a message to rooms of several routers: once to each client, while edges and routers are killed', LIMIT, async () => {
	const rw = fixture.two;
	const rooms = upTo(6).map(() => fresh('spread'));
	const clients = await members(rw, 18, rooms.slice(0, 5));
	const streams = [new Stream(rw, rooms, { event: 'all' }), new Stream(rw, [...rooms].reverse(), { event: 'reverse' }), new Stream(rw, rooms[2], { event: 'one' })];
	for (const stream of streams)
		stream.start();
	for (const name of ['edge-0', 'router-0', 'edge-1', 'router-1']) {
		await more(streams, 10);
		const killed = kill(rw, name);
		await more(streams, 10);
		await killed.replaced();
		await allConnected(clients);
	}
	await more(streams, 10);
	const counts = await Promise.all(streams.map((stream) => stream.stop()));
	for (const [i, client] of clients.entries()) {
		for (const [at, { event }] of streams.entries())
			await assertWhole(client, counts[at], { event, who: `client ${i}` });
		assert.deepEqual([client.id, client.returns.every(Boolean)], [client.firstId, true], `client ${i} was recovered each time`);
	}
});

scenario('both routers are killed at once: no client notices, nothing is missed', LIMIT, async () => {
	const rw = fixture.two;
	const rooms = upTo(4).map(() => fresh('routers'));
	const clients = await members(rw, 12, rooms);
	const streams = streamsTo(rw, rooms);
	await more(streams, 10);
	const killed = ['router-0', 'router-1'].map((name) => kill(rw, name));
	await Promise.all(killed.map((one) => one.replaced()));
	await more(streams, 10);
	await assertUnharmed(clients, streams);
});

scenario('what clients relay while routers are killed arrives once and in order', LIMIT, async () => {
	const rw = fixture.two;
	const rooms = upTo(4).map(() => fresh('relay'));
	const witnesses = await members(rw, 6, rooms);
	const senders = await members(rw, 4, rooms);
	let sent = 0;
	const timer = setInterval(() => {
		for (const [i, sender] of senders.entries())
			sender.emit('room:send', { room: rooms[i], from: i, n: sent });
		sent++;
	}, 4);
	try {
		for (const name of ['router-0', 'router-1', 'router-0']) {
			const goal = sent + 40;
			await waitFor(() => sent >= goal, { what: '40 more events to be sent' });
			await kill(rw, name).replaced();
		}
	} finally {
		clearInterval(timer);
	}
	for (const client of witnesses) {
		for (const i of senders.keys()) {
			const numbers = () => client.received('room:msg').filter(({ from }) => from === i).map(({ n }) => n);
			await waitFor(() => numbers().includes(sent - 1), { what: `the last event of sender ${i}` });
			assert.deepEqual(numbers(), upTo(sent), `events of sender ${i}`);
		}
	}
});

scenario('an edge is killed in the very moment it has answered a join: the room is joined, and what is sent there arrives', LIMIT, async () => {
	const rw = fixture.one;
	for (let round = 0; round < 3; round++) {
		const room = fresh('moment');
		const clients = await members(rw, 10, [fresh('other')]);
		const edge = await edgeOf(rw, clients);
		await Promise.all(clients.map((client) => client.ask('room:join', { room })));
		const killed = kill(rw, edge.name);
		await publishNumbers(rw, [round], [room]);
		for (const client of clients)
			await client.next('n', { where: ({ n }) => n === round });
		await killed.replaced();
		await waitFor(() => edge.clients.every(({ returns, socket }) => returns.length > 0 && socket.connected), { what: 'its clients to be back' });
		await allConnected(clients); /* and those whose long-polling went by way of it, or that were upgrading */
		assert.deepEqual(clients.map(({ id, returns }) => [id, returns.every(Boolean)]), clients.map(({ firstId }) => [firstId, true]));
		for (const client of clients)
			assert.deepEqual(numbersOf(client), [round]);
	}
});

scenario('the edge of clients that are away is killed, and then the router: recovered with everything all the same', LIMIT, async () => {
	const rw = fixture.one;
	const rooms = upTo(3).map(() => fresh('foster'));
	const clients = await Promise.all(upTo(12).map(() => member(rw, rooms)));
	const ids = clients.map(({ id }) => id);
	await publishNumbers(rw, [0], [rooms[0]]);
	await Promise.all(clients.map((client) => client.next('n')));
	const edge = await edgeOf(rw, clients);
	await Promise.all(clients.map((client) => cut(client)));
	await publishNumbers(rw, [1, 2], rooms);
	const fostered = await growthOf(rw, 'router', 'roomwire_sessions_fostered_total');
	const killed = kill(rw, edge.name);
	await fostered.by(edge.clients.length);
	await publishNumbers(rw, [3], rooms);
	await killed.replaced();
	await kill(rw, 'router-0').replaced();
	const after = new Stream(rw, rooms[1], { event: 'after' }).start();
	await after.more(3);
	const count = await after.stop();
	for (const [i, client] of clients.entries()) {
		assert.deepEqual(await comeBack(client), { recovered: true, id: ids[i] }, `client ${i}`);
		await assertWhole(client, count, { event: 'after' });
		assert.deepEqual(numbersOf(client), [0, 1, 2, 3]);
	}
});

scenario('every edge is killed at once: its clients come back, recovered, to the new ones', LIMIT, async () => {
	const rw = fixture.one;
	const room = fresh('all');
	const clients = await members(rw, 20, [room]);
	const stream = new Stream(rw, room).start();
	await stream.more(20);
	const killed = Object.keys(processesOf(rw, 'edge')).map((name) => kill(rw, name));
	await Promise.all(killed.map((one) => one.replaced()));
	await waitFor(() => clients.every(({ returns, socket }) => returns.length > 0 && socket.connected), { what: 'all to be back' });
	await stream.more(10);
	await assertUnharmed(clients, [stream], () => true);
	const late = await connect(rw.url, { token: rw.token({ sub: 'late' }) });
	assert.equal(late.socket.recovered ?? false, false);
});
