// SPDX-License-Identifier: Apache-2.0
/* Reading calls of the API, over two routers and two edges: who is where, page by page, whole or not at all. */
import assert from 'node:assert/strict';
import { Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { Api } from './lib/api.mjs';
import { edgeTag, processesOf, waitReplaced, whileStopped } from './lib/cluster.mjs';
import { cut, comeBack, fresh, member, upTo } from './lib/comeback.mjs';
import { signal } from './lib/children.mjs';
import { Hopeless } from './lib/wait.mjs';

const fixture = useFixture(async (things) => {
	things.rw = await new Roomwire({ profile: 'bench', edges: 2, routers: 2, env: { QUERY_TIMEOUT_MS: '3000' } }).start();
	await things.rw.waitReady('ingest');
	fixture.api = await Api.of(things.rw);
});

const ROOMS = 'GET /v1/rooms';
const ROOM = 'GET /v1/rooms/{room}';
const USER = 'GET /v1/users/{id}';
const SOCKETS = 'GET /v1/sockets';
const room = (name) => fixture.api.expect(200, ROOM, { path: { room: name } });
const namesOf = (rooms) => rooms.map(({ name }) => name);
const byBytes = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));
const untilRoom = (name, fits, what) => waitFor(async () => fits(await room(name)), { what });

scenario('a room shows its members, their users, its edges and its newest message', async () => {
	const { rw } = fixture;
	const name = fresh('shown');
	const clients = [];
	while (clients.length < 8 || new Set(clients.map(edgeTag)).size < 2) /* which edge one comes to is chance */
		clients.push(await member(rw, [name], { sub: `${name}-user-${clients.length % 3}` }));
	assert.deepEqual(await room(name), { name, namespace: '/', sockets: clients.length, away: 0, users: 3, edges: 2, lastMessageAt: null });
	const before = Date.now();
	await rw.publish({ rooms: [name], event: 'e', data: 1 });
	const { lastMessageAt } = await room(name);
	assert.ok(Date.parse(lastMessageAt) >= before - 1000 && Date.parse(lastMessageAt) <= Date.now() + 1000, lastMessageAt);
});

scenario('a room that nobody is in has no sockets, whatever its name', async () => {
	for (const name of ['nobody', 'with/slash', 'with%percent', 'with,comma', '世界 é', 'a?b=c&d', '.a', 'x'.repeat(700)])
		assert.deepEqual(await room(name), { name, namespace: '/', sockets: 0, away: 0, users: 0, edges: 0, lastMessageAt: null });
});

scenario('rooms of any script are found as they were joined', async () => {
	const prefix = fresh('script');
	const names = ['a/b', '%2F', 'ä,ö', '世界', '"quoted"\\', '\u{1f680}'].map((text) => `${prefix}${text}`);
	await member(fixture.rw, names);
	assert.deepEqual(namesOf(await fixture.api.pages(ROOMS, 'rooms', { query: { prefix, limit: 2 } })), [...names].sort(byBytes));
	for (const name of names)
		assert.equal((await room(name)).sockets, 1);
});

scenario('the list is in the order of names, with the figures of each room, and pages together are the whole', async () => {
	const prefix = fresh('listed');
	const names = upTo(23).map((i) => `${prefix}-${i}`);
	await member(fixture.rw, names);
	await member(fixture.rw, names.slice(0, 9));
	for (const limit of [1, 7, 23, 24, 500]) {
		const rooms = await fixture.api.pages(ROOMS, 'rooms', { query: { prefix, limit } });
		assert.deepEqual(namesOf(rooms), [...names].sort(byBytes));
		for (const { name, sockets, users } of rooms)
			assert.deepEqual([sockets, users], names.indexOf(name) < 9 ? [2, 2] : [1, 1]);
	}
	assert.deepEqual(await fixture.api.expect(200, ROOMS, { query: { prefix: fresh('none') } }), { rooms: [], cursor: null });
});

scenario('a room that stays is on exactly one page while others come and go', async () => {
	const prefix = fresh('moving');
	const stay = upTo(40).map((i) => `${prefix}-${i}-stays`);
	await member(fixture.rw, stay);
	let stop = false;
	const churn = (async () => {
		for (let n = 0; !stop; n++) {
			const client = await member(fixture.rw, upTo(6).map((i) => `${prefix}-${(n * 7 + i * 5) % 40}-${n}`));
			client.close();
		}
	})();
	for (let round = 0; round < 6; round++) {
		const seen = namesOf(await fixture.api.pages(ROOMS, 'rooms', { query: { prefix, limit: 7 } }));
		assert.deepEqual(seen.filter((name) => name.endsWith('-stays')), [...stay].sort(byBytes));
		assert.deepEqual(seen, [...new Set(seen)].sort(byBytes), 'in order, none twice');
	}
	stop = true;
	await churn;
});

scenario('own rooms of sockets are listed when asked for, and can be looked at', async () => {
	const client = await member(fixture.rw, [fresh('with-own')]);
	const own = (query) => fixture.api.pages(ROOMS, 'rooms', { query: { prefix: client.id, ...query } });
	assert.deepEqual(await own({}), []);
	const [found] = await own({ own: true });
	assert.deepEqual([found.name, found.sockets, found.users, found.edges], [client.id, 1, 1, 1]);
	assert.equal((await room(client.id)).sockets, 1);
	assert.deepEqual((await fixture.api.pages(SOCKETS, 'sockets', { query: { room: client.id } })).map(({ id }) => id), [client.id]);
	const other = await member(fixture.rw, [client.id]); /* a room like any other to somebody else */
	const both = await fixture.api.pages(SOCKETS, 'sockets', { query: { room: client.id, limit: 1 } });
	assert.deepEqual(both.map(({ id }) => id).sort(), [client.id, other.id].sort());
	assert.deepEqual([(await room(client.id)).sockets, (await room(client.id)).users], [2, 2]);
	assert.equal((await own({})).length, 1);
});

scenario('sockets of a room are in the order of users, page by page, and can be asked for one user', async () => {
	const name = fresh('sockets');
	const subs = upTo(5).map((i) => `${name}-${i}`);
	const clients = await Promise.all(upTo(15).map((i) => member(fixture.rw, [name], { sub: subs[i % 5] })));
	for (const limit of [1, 4, 15, 500]) {
		const sockets = await fixture.api.pages(SOCKETS, 'sockets', { query: { room: name, limit } });
		assert.deepEqual(sockets.map(({ id }) => id).sort(), clients.map(({ id }) => id).sort());
		const order = sockets.map(({ user, id }) => [user, id]);
		assert.deepEqual(order, [...order].sort(([a, x], [b, y]) => byBytes(a, b) || byBytes(x, y)));
	}
	const one = await fixture.api.pages(SOCKETS, 'sockets', { query: { room: name, user: subs[2], limit: 2 } });
	assert.deepEqual(one.map(({ id }) => id).sort(), [2, 7, 12].map((i) => clients[i].id).sort());
	assert.deepEqual(one[0], { id: one[0].id, namespace: '/', user: subs[2], connected: true, awaySince: null, roomCount: 1, rooms: [name] });
	assert.deepEqual(await fixture.api.pages(SOCKETS, 'sockets', { query: { room: name, user: 'somebody' } }), []);
});

scenario('a user shows all its sockets; one who is not there has none', async () => {
	const sub = fresh('user/é');
	const name = fresh('of-user');
	const clients = await Promise.all(upTo(5).map(() => member(fixture.rw, [name], { sub })));
	const user = (query) => fixture.api.expect(200, USER, { path: { id: sub }, query });
	const { sockets, ...rest } = await user();
	assert.deepEqual(rest, { id: sub, connected: 5, away: 0, cursor: null });
	assert.deepEqual(sockets.map(({ id }) => id).sort(), clients.map(({ id }) => id).sort());
	assert.equal((await fixture.api.pages(USER, 'sockets', { path: { id: sub }, query: { limit: 2, namespace: '/' } })).length, 5);
	for (const client of clients)
		client.close();
	await waitFor(async () => (await user()).sockets.length === 0, { what: 'the user to be gone' });
	assert.deepEqual(await user(), { id: sub, connected: 0, away: 0, sockets: [], cursor: null });
});

scenario('rooms of a socket are named up to 50, and counted', async () => {
	const sub = fresh('many');
	await member(fixture.rw, upTo(60).map((i) => `${sub}-${i}`), { sub });
	const { sockets: [socket] } = await fixture.api.expect(200, USER, { path: { id: sub } });
	assert.deepEqual([socket.roomCount, socket.rooms.length], [60, 50]);
});

scenario('who is cut is away until it comes back', async () => {
	const name = fresh('away');
	const client = await member(fixture.rw, [name], { sub: name });
	await member(fixture.rw, [name]);
	const since = Date.now();
	await cut(client);
	await untilRoom(name, ({ away }) => away === 1, 'the room to have one away');
	const { sockets: [socket], ...rest } = await fixture.api.expect(200, USER, { path: { id: name } });
	assert.deepEqual([socket.connected, rest.connected, rest.away], [false, 0, 1]);
	assert.ok(Date.parse(socket.awaySince) >= since - 1000 && Date.parse(socket.awaySince) <= Date.now() + 1000, socket.awaySince);
	assert.equal((await comeBack(client)).recovered, true);
	await untilRoom(name, ({ sockets, away }) => sockets === 2 && away === 0, 'nobody to be away');
});

const WRONG = [
	[ROOMS, 'limit=0'], [ROOMS, 'limit=501'], [ROOMS, 'limit=ten'], [ROOMS, 'limit='], [ROOMS, 'limit=1&limit=2'], [ROOMS, 'cursor=a'], [ROOMS, 'cursor=%ff'],
	[ROOMS, 'namespace=/nowhere'], [ROOMS, 'own=yes'], [ROOMS, 'prefix=%zz'], [ROOMS, 'prefix=%ff'], [ROOMS, 'prefix=a&namespace=*'], [ROOMS, 'room=a'], [ROOMS, 'x'],
	[ROOMS, `prefix=${'x'.repeat(701)}`], [SOCKETS, ''], [SOCKETS, 'room='], [SOCKETS, 'room=a&user='], [SOCKETS, 'room=a&namespace=*'], [SOCKETS, `room=${'x'.repeat(701)}`],
	[USER, 'namespace=/nowhere', { id: 'a' }], [USER, '', { id: 'x'.repeat(257) }], [ROOM, 'limit=1', { room: 'a' }], [ROOM, '', { room: 'x'.repeat(701) }],
];
for (const [what, query, path] of WRONG) {
	scenario(`${what}?${query.slice(0, 30)} ${path ? Object.values(path)[0].slice(0, 9) : ''} is answered 400 and says why`, async () => {
		const { message } = await fixture.api.expect(400, what, { query, path });
		assert.ok(message.length > 10, message);
	});
}

scenario('a cursor of another call is refused', async () => {
	const name = fresh('cursor');
	await Promise.all(upTo(2).map(() => member(fixture.rw, [name])));
	const { cursor } = await fixture.api.expect(200, SOCKETS, { query: { room: name, limit: 1 } });
	await fixture.api.expect(400, ROOMS, { query: { cursor } });
	await fixture.api.expect(400, USER, { path: { id: 'a' }, query: { cursor } });
	await fixture.api.expect(200, SOCKETS, { query: { room: name, cursor } });
});

scenario('a path that is not percent-encoded UTF-8 is answered 400', async () => {
	const headers = { authorization: `Bearer ${fixture.rw.apiKey}` };
	for (const path of ['/v1/rooms/%', '/v1/rooms/%zz', '/v1/rooms/%ff', '/v1/users/a%2'])
		assert.equal((await fetch(fixture.rw.apiUrl + path, { headers })).status, 400, path);
	for (const path of ['/v1/rooms/', '/v1/rooms/a/b', '/v1/users', '/v1/users/', '/v1/sockets/a', '/v1', '/'])
		assert.equal((await fetch(fixture.rw.apiUrl + path, { headers })).status, 404, path);
});

scenario('while a router does not answer, readers are told 503 and never a part', async () => {
	const { rw, api } = fixture;
	const name = fresh('partial');
	await Promise.all(upTo(6).map(() => member(rw, [name])));
	const [router] = Object.values(processesOf(rw, 'router'));
	await whileStopped(router.pid, async () => {
		for (const [what, options] of [[ROOMS, {}], [ROOM, { path: { room: name } }], [SOCKETS, { query: { room: name } }]])
			await api.expect(503, what, options);
	});
	await untilRoom(name, ({ sockets }) => sockets === 6, 'the room to be whole again');
});

scenario('after a router was killed the answers are whole, or 503', async () => {
	const { rw, api } = fixture;
	const name = fresh('killed');
	await Promise.all(upTo(12).map((i) => member(rw, [name, `${name}-${i}`])));
	const [[who, { pid }]] = Object.entries(processesOf(rw, 'router'));
	signal(pid, 'SIGKILL');
	let refused = 0;
	const whole = async () => {
		const { status, json } = await api.call(ROOM, { path: { room: name } });
		if (status === 503)
			return void refused++;
		if (status !== 200 || json.sockets !== 12 || json.users !== 12)
			throw new Hopeless(`never a part, but ${status} ${JSON.stringify(json)}`);
		return true;
	};
	const isAnother = () => rw.processes[who].pid !== pid;
	await waitFor(async () => await whole() && isAnother(), { what: 'the new router to know all', everyMs: 1 }); /* from the kill on */
	await waitReplaced(rw, who, pid);
	assert.equal((await api.pages(ROOMS, 'rooms', { query: { prefix: `${name}-`, limit: 5 } })).length, 12);
	assert.ok(refused > 0, 'it was refused in between');
});
