// SPDX-License-Identifier: Apache-2.0
/* Rooms spread over three routers: once to each socket, one order for everybody, and the death of one router is nobody else's. */
import assert from 'node:assert/strict';
import { RECONNECTING, Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { assertWhole, metricOf, processesOf, Stream, waitReplaced } from './lib/cluster.mjs';
import { claimOf, comeBack, cut, eventsOf, fresh, member, numbersOf, openAt, publishNumbers, rawMember, upTo } from './lib/comeback.mjs';
import { signal } from './lib/children.mjs';

const ROUTERS = 3;
const fixture = useFixture(async (things) => {
	things.rw = await new Roomwire({ profile: 'bench', edges: 2, routers: ROUTERS, ingests: 2 }).start();
});

const publishedCounts = (rw) => Promise.all(Object.values(processesOf(rw, 'router')).map((one) => metricOf(one, 'roomwire_published_total')));

/* New rooms, at least so many of each router: [[rooms of router-0], …]. Nobody else may publish meanwhile. */
async function roomsOfEach(rw, least = 2) {
	const found = Array.from({ length: ROUTERS }, () => []);
	while (found.some((rooms) => rooms.length < least)) {
		const room = fresh('sharded');
		const before = await publishedCounts(rw);
		await rw.publish({ rooms: [room], event: 'probe', data: {} });
		const after = await publishedCounts(rw);
		found[after.findIndex((count, i) => count > before[i])].push(room);
	}
	return found.map((rooms) => rooms.slice(0, least));
}

/* Members of the rooms at both edges. */
async function bothEdges(rw, rooms, options) {
	const clients = [];
	const tags = () => new Set(clients.map(({ socket }) => socket.io.engine.id.slice(0, 4)));
	while (clients.length < 4 || tags().size < 2)
		clients.push(await member(rw, rooms, options));
	return clients;
}

const assertNumbers = async (client, expected, event = 'n') => {
	await waitFor(() => numbersOf(client, event).length >= expected.length, { what: `${expected.length} messages` })
		.catch((error) => { throw new Error(`${error.message}: ${numbersOf(client, event)}`); });
	assert.deepEqual(numbersOf(client, event), expected);
};

const range = (from, count) => upTo(from + count, from);

scenario('rooms of every router serve joins, publishes, relays and recovery', async () => {
	const { rw } = fixture;
	const rooms = (await roomsOfEach(rw)).flat();
	const clients = await bothEdges(rw, rooms);
	const sender = await member(rw, rooms);
	let n = 0;
	for (const room of rooms) {
		await publishNumbers(rw, [n++], [room]);
		sender.emit('room:send', { room, at: n });
	}
	for (const client of clients) {
		await assertNumbers(client, upTo(rooms.length));
		await waitFor(() => client.received('room:msg').length === rooms.length, { what: 'relays to every room' });
	}
	const ids = clients.map(({ id }) => id);
	await Promise.all(clients.map((client) => cut(client)));
	for (const room of rooms)
		await publishNumbers(rw, [n++], [room]);
	for (const [i, client] of clients.entries()) {
		assert.deepEqual(await comeBack(client), { recovered: true, id: ids[i] });
		await assertNumbers(client, upTo(2 * rooms.length));
	}
});

scenario('a message to rooms of several routers: once to a socket in more than one of them, live and on recovery', async () => {
	const { rw } = fixture;
	const [[a], [b], [c]] = await roomsOfEach(rw, 1);
	const sets = [[a, b, c], [a, b], [b, c], [a, c], [a], [b], [c]];
	const clients = await Promise.all([...sets, ...sets].map((rooms) => member(rw, rooms)));
	const ways = [[a, b, c], [c, b, a], [b, a], [c, a], [b, c], [c]];
	const expected = (rooms, from) => ways.map((way, i) => [from + i, way]).filter(([, way]) => way.some((room) => rooms.includes(room))).map(([n]) => n);
	const all = async (from) => {
		for (const [i, way] of ways.entries())
			await publishNumbers(rw, [from + i], way);
	};
	await all(0);
	for (const [i, client] of clients.entries())
		await assertNumbers(client, expected(sets[i % sets.length], 0));
	for (let round = 1; round <= 3; round++) {
		const half = clients.filter((_, i) => i % 2 === round % 2);
		await Promise.all(half.map((client) => cut(client)));
		await all(round * 10);
		for (const client of half)
			assert.equal((await comeBack(client)).recovered, true);
		for (const [i, client] of clients.entries())
			await assertNumbers(client, range(0, round + 1).flatMap((k) => expected(sets[i % sets.length], k * 10)));
	}
});

scenario('messages to several rooms while clients are cut again and again: once each', async () => {
	const { rw } = fixture;
	const rooms = (await roomsOfEach(rw, 1)).flat();
	const sets = [rooms, rooms.slice(0, 2), rooms.slice(1), [rooms[2], rooms[0]]];
	const clients = await Promise.all(upTo(16).map((i) => member(rw, sets[i % sets.length], RECONNECTING)));
	let going = true;
	let count = 0;
	const publishing = (async () => {
		while (going)
			await publishNumbers(rw, [count++], count % 2 ? rooms : [...rooms].reverse());
	})();
	for (let round = 0; round < 8; round++) {
		const goal = count + 15;
		for (const [i, { socket }] of clients.entries()) {
			if (i % 2 === round % 2)
				socket.io.engine.close();
		}
		await waitFor(() => count >= goal && clients.every(({ socket }) => socket.connected), { what: 'all to be back', everyMs: 2 });
	}
	going = false;
	await publishing;
	for (const [i, client] of clients.entries()) {
		await assertWhole(client, count, { who: `client ${i}` });
		assert.equal(client.socket.recovered, true);
	}
});

scenario('except across routers: whoever is in an excepted room of another router is left out, live and on recovery', async () => {
	const { rw } = fixture;
	const [[a], [b], [c]] = await roomsOfEach(rw, 1);
	const [plain, inB, inC] = await Promise.all([member(rw, [a]), member(rw, [a, b]), member(rw, [a, c])]);
	const all = async (from) => {
		await publishNumbers(rw, [from], [a], { except: [b] });
		await publishNumbers(rw, [from + 1], [a], { except: [b, c] });
		await publishNumbers(rw, [from + 2], [a, b], { except: [c] });
		await publishNumbers(rw, [from + 3], [b, c], { except: [a] });
		await publishNumbers(rw, [from + 4], [a], { except: [inB.was] });
		await publishNumbers(rw, [from + 5], [a, c]);
	};
	inB.was = inB.id;
	const plus = (numbers, from) => numbers.map((n) => n + from);
	const expected = new Map([[plain, [0, 1, 2, 4, 5]], [inB, [2, 5]], [inC, [0, 4, 5]]]);
	await all(0);
	for (const [client, numbers] of expected)
		await assertNumbers(client, numbers);
	for (const client of expected.keys())
		await cut(client);
	await all(10);
	for (const [client, numbers] of expected) {
		assert.equal((await comeBack(client)).recovered, true);
		await assertNumbers(client, [...numbers, ...plus(numbers, 10)]);
	}
});

/* What each client saw of a room: the marks of the messages, in the order they came. */
const seenOf = (client, room) => client.inbox.all.filter(({ event, args }) => (event === 'n' || event === 'room:msg') && args[0].to === room).map(({ args }) => args[0].mark);

scenario('concurrent publishers by HTTP and by clients: all members of a room on all edges see one order, and each publisher\'s own order', async () => {
	const { rw } = fixture;
	const rooms = (await roomsOfEach(rw, 1)).flat();
	const watchers = [...await bothEdges(rw, rooms), await member(rw, rooms, { transports: ['polling'] })];
	const senders = await bothEdges(rw, rooms);
	const COUNT = 120;
	const byHttp = upTo(3).map(async (p) => {
		for (let i = 0; i < COUNT; i++) {
			const to = rooms[(i + p) % rooms.length];
			await rw.publish({ rooms: [to], event: 'n', data: { to, mark: `http-${p}-${i}` } });
		}
	});
	const byClients = senders.slice(0, 4).map(async (sender, p) => {
		for (let i = 0; i < COUNT; i++) {
			const to = rooms[(i + p) % rooms.length];
			sender.emit('room:send', { room: to, to, mark: `client-${p}-${i}` });
			if (i % 10 === 9)
				await sender.ask('room:join', { room: rooms[0] });
		}
	});
	await Promise.all([...byHttp, ...byClients]);
	const total = COUNT * (byHttp.length + byClients.length);
	const countOf = (client) => rooms.reduce((sum, room) => sum + seenOf(client, room).length, 0);
	for (const client of watchers)
		await waitFor(() => countOf(client) === total, { what: `all ${total} messages` }).catch((error) => { throw new Error(`${error.message}: ${countOf(client)}`); });
	for (const room of rooms) {
		const order = seenOf(watchers[0], room);
		for (const [i, client] of watchers.entries())
			assert.deepEqual(seenOf(client, room), order, `watcher ${i} sees the order of watcher 0 in ${room}`);
		/* a sender sees it too, but for its own */
		for (const [p, sender] of senders.slice(0, 4).entries())
			assert.deepEqual(seenOf(sender, room), order.filter((mark) => !mark.startsWith(`client-${p}-`)), `sender ${p} in ${room}`);
	}
	/* one publisher's messages, over all rooms, in the order they were sent */
	for (const client of watchers) {
		const marks = client.inbox.all.filter(({ event }) => event === 'n' || event === 'room:msg').map(({ args }) => args[0].mark);
		for (const who of [...upTo(3).map((p) => `http-${p}-`), ...upTo(4).map((p) => `client-${p}-`)])
			assert.deepEqual(marks.filter((mark) => mark.startsWith(who)), upTo(COUNT).map((i) => `${who}${i}`), who);
	}
});

scenario('one publisher over rooms of different routers, one HTTP call after another: that order at every client, also at one that comes back', async () => {
	const { rw } = fixture;
	const rooms = (await roomsOfEach(rw, 2)).flat();
	const clients = await bothEdges(rw, rooms);
	const away = await member(rw, rooms);
	await publishNumbers(rw, [0], [rooms[0]]);
	await assertNumbers(away, [0]);
	await cut(away);
	for (const n of range(1, 300))
		await publishNumbers(rw, [n], n % 5 ? [rooms[n % rooms.length]] : rooms);
	for (const client of clients)
		await assertNumbers(client, upTo(301));
	assert.equal((await comeBack(away)).recovered, true);
	await assertNumbers(away, upTo(301));
});

for (const hard of [true, false]) {
	scenario(`${hard ? 'kill -9 of' : 'SIGTERM to'} one router of three: messages of the others' rooms go on at once, its own follow, and no client notices`, { timeout: 120_000 }, async () => {
		const { rw } = fixture;
		const each = await roomsOfEach(rw, 1);
		const clients = await bothEdges(rw, each.flat());
		const [own, ...others] = each.flat().map((room, i) => new Stream(rw, room, { event: `n${i}` }));
		for (const stream of [own, ...others])
			stream.start();
		await Promise.all([own, ...others].map((stream) => stream.more(20)));
		const { pid } = rw.processes['router-0'];
		const others_pids = ['router-1', 'router-2'].map((name) => rw.processes[name].pid);
		signal(pid, hard ? 'SIGKILL' : 'SIGTERM');
		await Promise.all(others.map((stream) => stream.more(50)));
		await waitReplaced(rw, 'router-0', pid);
		await own.more(20);
		const counts = await Promise.all([own, ...others].map((stream) => stream.stop()));
		for (const client of clients) {
			for (const [i, count] of counts.entries())
				await assertWhole(client, count, { event: `n${i}` });
			client.assertNone('@disconnect', 'error');
		}
		assert.deepEqual(['router-1', 'router-2'].map((name) => rw.processes[name].pid), others_pids);
		const late = await roomsOfEach(rw, 1);
		assert.equal(late.length, ROUTERS, 'rooms are spread over all of them again');
	});
}

scenario('a router is killed while clients are away: recovered over all routers, with messages to several rooms once', async () => {
	const { rw } = fixture;
	const rooms = (await roomsOfEach(rw, 1)).flat();
	const clients = await Promise.all(upTo(8).map(() => member(rw, rooms)));
	const ids = clients.map(({ id }) => id);
	await publishNumbers(rw, [0], rooms);
	await Promise.all(clients.map((client) => client.next('n')));
	await Promise.all(clients.map((client) => cut(client)));
	await publishNumbers(rw, [1, 2, 3], rooms);
	for (const n of [4, 5, 6])
		await publishNumbers(rw, [n], [rooms[n - 4]]);
	const { pid } = rw.processes['router-1'];
	signal(pid, 'SIGKILL');
	await waitReplaced(rw, 'router-1', pid);
	for (const n of [7, 8, 9])
		await waitFor(async () => (await rw.api('/v1/publish', { rooms: n === 9 ? rooms : [rooms[n - 7]], event: 'n', data: { n }, id: `${rooms[0]}-${n}` })).status === 202, { what: 'a publish to be accepted' });
	for (const [i, client] of clients.entries()) {
		assert.deepEqual(await comeBack(client), { recovered: true, id: ids[i] });
		await assertNumbers(client, upTo(10));
	}
});

scenario('an offset bears one place per router; a client that comes back to either edge continues from it', async () => {
	const { rw } = fixture;
	const rooms = (await roomsOfEach(rw, 1)).flat();
	const raw = await rawMember(rw, rooms);
	for (const [n, room] of rooms.entries())
		await publishNumbers(rw, [n], [room]);
	await waitFor(() => eventsOf(raw).length === rooms.length, { what: 'three messages' });
	assert.equal(claimOf(raw).offset.length, 16 * ROUTERS);
	/* from each message on: exactly what came behind it */
	for (let had = 0; had < rooms.length; had++) {
		for (const there of [true, false]) {
			const back = await openAt(rw, (tag) => (tag === raw.handshake.sid.slice(0, 4)) === there);
			back.send(`40${JSON.stringify(claimOf(raw, { offset: eventsOf(raw)[had].at(-1) }))}`);
			assert.equal(JSON.parse((await back.next()).slice(2)).sid, raw.connect.sid);
			await publishNumbers(rw, [100 + had], [raw.connect.sid]);
			await back.next((packet) => packet.includes(`{"n":${100 + had}}`));
			const got = eventsOf(back).map(([, { n }]) => n).filter((n) => n < 100);
			assert.deepEqual(got, upTo(rooms.length, had + 1), `after message ${had}`);
			back.close();
		}
	}
});
