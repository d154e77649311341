// SPDX-License-Identifier: Apache-2.0
/* Every limit of the contract's section 5: its answer, its metric, and that nobody else suffers. What 10_connect_limits says is not said again. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { connect, endpoint, http, Polling, Raw, RECONNECTING, refusal, Roomwire, scenario, tcp, useFixture, waitFor, within, wsRefusal } from './harness.mjs';
import { assertWhole, edgeTag, edgeTags, growthOf, metricOf, processesOf, Stream, total, waitReplaced } from './lib/cluster.mjs';
import { frame, upgrade } from './lib/fuzz.mjs';
import { TESTS } from './lib/paths.mjs';
import { signal } from './lib/children.mjs';

const SEVERAL = join(TESTS, 'profiles/several.yaml');
const MAX_PAYLOAD = 20_000;
const MAX_UNSENT = 1_000_000;
const MAX_ROOMS = 5;
const TIGHT = {
	MAX_PAYLOAD: String(MAX_PAYLOAD), MAX_UNSENT_BYTES: String(MAX_UNSENT), MAX_ROOMS: String(MAX_ROOMS),
	HANDSHAKE_TIMEOUT_MS: '700', CONNECT_TIMEOUT_MS: '900',
	HISTORY_BYTES: '67108864', REPLAY_BYTES: '67108864',
};
const fixture = useFixture(async (things) => {
	things.tight = await new Roomwire({ profile: SEVERAL, env: TIGHT }).start();
	things.users = await new Roomwire({ profile: SEVERAL, edges: 2, routers: 2,
		env: { MAX_CONNECTIONS_PER_USER: '2', LINK_TIMEOUT_MS: '2000', LINK_HEARTBEAT_MS: '100' } }).start();
	things.addresses = await new Roomwire({ profile: SEVERAL, env: { MAX_CONNECTIONS_PER_ADDRESS: '3' } }).start();
	things.few = await new Roomwire({ profile: SEVERAL, env: { MAX_CONNECTIONS: '4' } }).start();
});

const as = (rw, sub, options) => connect(rw.url, { token: rw.token({ sub }), ...options });
const payloadOf = (rw, sub) => ({ token: rw.token({ sub }) });
let made = 0;
const fresh = (word) => `${word}-${++made}`;

async function members(rw, count, room, options) {
	const clients = await Promise.all(Array.from({ length: count }, (_, i) => as(rw, `member-${i}`, options)));
	for (const client of clients)
		assert.equal((await client.ask('room:join', { room })).ok, true);
	return clients;
}

/* While body() runs, others get a stream of messages, each once and in order. */
async function whileOthersReceive(rw, body) {
	const room = fresh('others');
	const others = await members(rw, 5, room);
	const stream = new Stream(rw, room).start();
	await stream.more(10);
	const result = await body();
	await stream.more(10);
	const count = await stream.stop();
	for (const [i, client] of others.entries()) {
		await assertWhole(client, count, { who: `other client ${i}` });
		client.assertNone('@disconnect', 'error');
	}
	return result;
}

/* ── a message over MAX_PAYLOAD ── */

for (const transport of ['websocket', 'polling']) {
	scenario(`${transport}: a message over MAX_PAYLOAD closes that client alone, which comes back recovered`, async () => {
		const rw = fixture.tight;
		await whileOthersReceive(rw, async () => {
			const room = fresh('big');
			const client = await as(rw, 'big', { ...RECONNECTING, transports: [transport] });
			assert.equal((await client.ask('room:join', { room })).ok, true);
			const sid = client.id;
			await rw.publish({ rooms: [room], event: 'n', data: { n: 0 } });
			await client.next('n');
			client.emit('room:join', { room: 'x'.repeat(MAX_PAYLOAD) });
			assert.match(await client.next('@disconnect'), /^transport (close|error)$/);
			await rw.publish({ rooms: [room], event: 'n', data: { n: 1 } });
			await client.nextArgs('@connect');
			assert.deepEqual([client.socket.recovered, client.id], [true, sid]);
			await assertWhole(client, 2);
		});
	});
}

scenario('WebSocket: a message over MAX_PAYLOAD is closed with 1009 and counted as too big', async () => {
	const rw = fixture.tight;
	const grown = await growthOf(rw, 'edge', 'roomwire_closed_total{reason="too_big"}');
	const raw = await Raw.join(rw.url, { payload: payloadOf(rw, 'big') });
	raw.send(`42["room:join",{"room":"${'x'.repeat(MAX_PAYLOAD)}"}]`);
	assert.equal((await raw.end()).code, 1009);
	await grown.by(1);
});

scenario('long-polling: a body over MAX_PAYLOAD is answered 413 and counted, and its session goes on', async () => {
	const rw = fixture.tight;
	const session = await Polling.open(rw.url);
	await session.post(`40${JSON.stringify(payloadOf(rw, 'big'))}`);
	await session.packets(1);
	const grown = await growthOf(rw, 'edge', 'roomwire_http_bad_requests_total');
	assert.equal((await session.post('x'.repeat(MAX_PAYLOAD + 1))).status, 413);
	await grown.by(1);
	await session.post('420["room:join",{"room":"small"}]');
	assert.deepEqual(await session.packets(1), ['430[{"ok":true}]']);
});

/* ── handshakes that do not finish ── */

/* Bytes one after another, so slowly that they are never all there; {ended, stop}. */
function dripping(rw, bytes) {
	const connection = tcp(rw.url);
	let at = 0;
	const timer = setInterval(() => connection.socket.writable && at < bytes.length && connection.socket.write(bytes.subarray(at, ++at)), 50);
	return { ...connection, ended: connection.ended.finally(() => clearInterval(timer)) };
}

const HALF = {
	'a request line': () => Buffer.from(`GET /socket.io/?EIO=4&transport=polling&x=${'y'.repeat(200)}`),
	'a WebSocket handshake': () => upgrade([`X-Long: ${'y'.repeat(200)}`]),
};
for (const [what, bytes] of Object.entries(HALF)) {
	scenario(`${what} that drips for longer than HANDSHAKE_TIMEOUT_MS is closed and counted`, async () => {
		const rw = fixture.tight;
		const grown = await growthOf(rw, 'edge', 'roomwire_http_bad_requests_total');
		await whileOthersReceive(rw, async () => {
			const began = Date.now();
			await within(dripping(rw, bytes()).ended, { what: 'the connection to be closed' });
			assert.ok(Date.now() - began >= 600, 'not before its time');
		});
		await grown.by(1);
	});
}

scenario('a polling body that drips for longer than HANDSHAKE_TIMEOUT_MS is closed', async () => {
	const { url } = await Polling.open(fixture.tight.url);
	const { pathname, search } = new URL(url);
	const connection = tcp(fixture.tight.url);
	connection.socket.write(`POST ${pathname}${search} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n40`);
	await within(connection.ended, { what: 'the connection to be closed' });
});

for (const [what, probe] of [['never probes', null], ['probes and never says 5', '2probe']]) {
	scenario(`an upgrade that ${what} is closed after HANDSHAKE_TIMEOUT_MS, and its polling session goes on`, async () => {
		const rw = fixture.tight;
		const session = await Polling.open(rw.url);
		await session.post(`40${JSON.stringify(payloadOf(rw, 'half'))}`);
		await session.packets(1);
		const raw = new Raw(rw.url, { query: { sid: session.sid } });
		await within(raw.opened, { what: 'the WebSocket to open' });
		if (probe) {
			raw.send(probe);
			assert.equal(await raw.next(), '3probe');
		}
		await raw.end();
		await session.post('420["room:join",{"room":"half"}]');
		assert.deepEqual((await session.packets(1)).filter((one) => one !== '6'), ['430[{"ok":true}]']);
	});
}

scenario('a WebSocket upgrade of which only the TCP part comes (a pipelined half frame) is closed by the connect timeout', async () => {
	const rw = fixture.tight;
	const grown = await growthOf(rw, 'edge', 'roomwire_closed_total{reason="connect_timeout"}');
	const connection = tcp(rw.url);
	connection.socket.write(Buffer.concat([upgrade(), frame('40{}').subarray(0, 3)]));
	await within(connection.ended, { what: 'the connection to be closed' });
	assert.match(connection.received(), /^HTTP\/1\.1 101 /);
	await grown.by(1);
});

for (const transport of ['websocket', 'polling']) {
	scenario(`${transport}: no CONNECT within CONNECT_TIMEOUT_MS is closed and counted`, async () => {
		const rw = fixture.tight;
		const grown = await growthOf(rw, 'edge', 'roomwire_closed_total{reason="connect_timeout"}');
		if (transport === 'websocket') {
			await (await Raw.open(rw.url)).end();
		} else {
			const session = await Polling.open(rw.url);
			await waitFor(async () => (await session.get()).status === 400, { what: 'the session to be unknown' });
		}
		await grown.by(1);
	});
}

/* ── connections of one user ── */

const TOO_MANY = { message: 'TOO_MANY_CONNECTIONS', data: { code: 'TOO_MANY_CONNECTIONS' } };

async function assertRefused(rw, sub, options) {
	const { message, data } = await refusal(rw.url, { token: rw.token({ sub }), ...options });
	assert.deepEqual({ message, data }, TOO_MANY);
}

const canConnect = (rw, sub, options) => waitFor(() => as(rw, sub, options),
	{ what: `a slot for ${sub}`, deadlineMs: 40_000, everyMs: 50 });

scenario('MAX_CONNECTIONS_PER_USER counts over all edges: one too many is CONNECT_ERROR TOO_MANY_CONNECTIONS, others are not touched', async () => {
	const rw = fixture.users;
	const user = fresh('user');
	const clients = [await as(rw, user), await as(rw, user, { transports: ['polling'] })];
	const grown = await growthOf(rw, 'router', 'roomwire_limited_total{limit="connections_per_user"}');
	for (let i = 0; i < 8; i++) /* on either edge */
		await assertRefused(rw, user, { transports: [i % 2 ? 'polling' : 'websocket'] });
	await grown.by(8);
	await as(rw, fresh('user'));
	for (const client of clients) {
		assert.equal((await client.ask('room:join', { room: 'r' })).ok, true);
		client.assertNone('@disconnect');
	}
});

scenario('several namespaces of one connection count once', async () => {
	const rw = fixture.users;
	const user = fresh('user');
	const token = rw.token({ sub: user });
	const raws = [];
	for (let i = 0; i < 2; i++) {
		const raw = await Raw.join(rw.url, { payload: { token } });
		raw.send(`40/second,${JSON.stringify({ token })}`);
		assert.match(await raw.next(), /^40\/second,\{"sid"/);
		raws.push(raw);
	}
	await assertRefused(rw, user);
	/* one namespace left: the connection still counts; the other one, too: it does not */
	raws[0].send('41/second,');
	await assertRefused(rw, user);
	raws[0].send('41');
	await canConnect(rw, user);
});

for (const [how, end] of [
	['disconnects', (client) => client.socket.disconnect()],
	['loses its transport', (client) => client.socket.io.engine.close()],
	['is cut', (client) => client.socket.io.engine.transport.ws._socket.destroy()],
]) {
	scenario(`the slot of a connection that ${how} is free again`, async () => {
		const rw = fixture.users;
		const user = fresh('user');
		const clients = [await as(rw, user), await as(rw, user)];
		await assertRefused(rw, user);
		end(clients[0]);
		await canConnect(rw, user);
		await assertRefused(rw, user);
	});
}

scenario('a parked session does not count, and takes its slot only if there is one', async () => {
	const rw = fixture.users;
	const user = fresh('user');
	const first = await Raw.join(rw.url, { payload: payloadOf(rw, user) });
	await rw.publish({ rooms: [first.connect.sid], event: 'hello', data: 1 });
	const offset = JSON.parse((await first.next()).slice(2)).at(-1);
	first.close();
	const others = [await canConnect(rw, user), await canConnect(rw, user)];
	const back = { ...payloadOf(rw, user), pid: first.connect.pid, offset };
	const refused = await Raw.open(rw.url);
	refused.send(`40${JSON.stringify(back)}`);
	assert.match(await refused.next(), /^44\{"message":"TOO_MANY_CONNECTIONS"/);
	others[0].close();
	await waitFor(async () => {
		const raw = await Raw.open(rw.url);
		raw.send(`40${JSON.stringify(back)}`);
		const answer = await raw.next();
		return answer.startsWith('40') && assert.equal(JSON.parse(answer.slice(2)).sid, first.connect.sid) === undefined;
	}, { what: 'it to be recovered when there is a slot again', everyMs: 50 });
});

scenario('the slots of a killed edge: its clients come back at once, and do not count twice', async () => {
	const rw = fixture.users;
	const user = fresh('user');
	const tags = await edgeTags(rw);
	const clients = [await as(rw, user, RECONNECTING), await as(rw, user, RECONNECTING)];
	const ids = clients.map(({ id }) => id);
	const name = tags[edgeTag(clients[0])];
	const { pid } = rw.processes[name];
	const hit = clients.filter((client) => tags[edgeTag(client)] === name);
	signal(pid, 'SIGKILL');
	for (const client of hit) {
		await client.next('@disconnect');
		await client.nextArgs('@connect', { where: () => client.inbox.all.filter(({ event }) => event === '@connect').length > 1 });
		assert.equal(client.socket.recovered, true);
	}
	assert.deepEqual(clients.map(({ id }) => id), ids, 'they are who they were');
	await assertRefused(rw, user);
	await waitReplaced(rw, name, pid);
});

scenario('the slots of a killed edge whose clients do not come back are free again', async () => {
	const rw = fixture.users;
	const user = fresh('user');
	const tags = await edgeTags(rw);
	const clients = [await as(rw, user), await as(rw, user)];
	const name = tags[edgeTag(clients[0])];
	const { pid } = rw.processes[name];
	signal(pid, 'SIGKILL');
	await clients[0].next('@disconnect');
	await canConnect(rw, user);
	await waitReplaced(rw, name, pid);
});

/* ── connections of one address, and of all ── */

const fromAddress = (localAddress) => ({ localAddress });

scenario('MAX_CONNECTIONS_PER_ADDRESS: one too many is 429 with Retry-After, another address is not touched, an ended connection makes room', async () => {
	const rw = fixture.addresses;
	const held = [await Raw.join(rw.url, { payload: payloadOf(rw, 'a') }), await Polling.open(rw.url), await Raw.open(rw.url)];
	const grown = await growthOf(rw, 'edge', 'roomwire_limited_total{limit="connections_per_address"}');
	const polling = await http(endpoint(rw.url, { transport: 'polling' }));
	assert.deepEqual([polling.status, polling.json.code], [429, 'TOO_MANY_CONNECTIONS']);
	assert.match(polling.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
	const refused = new Raw(rw.url);
	const { response } = await refused.opened.catch((error) => error);
	assert.equal(response.statusCode, 429);
	assert.match(response.headers['retry-after'] ?? '', /^[1-9]\d*$/);
	await grown.by(2);

	const elsewhere = await Raw.join(rw.url, { payload: payloadOf(rw, 'b'), ...fromAddress('127.0.0.2') });
	elsewhere.close();
	held[0].send('420["room:join",{"room":"r"}]');
	assert.equal(await held[0].next(), '430[{"ok":true}]');
	held[2].close();
	await waitFor(() => Raw.open(rw.url), { what: 'room for another connection', everyMs: 20 });
});

scenario('MAX_CONNECTIONS: one too many is 503 with Retry-After, and an ended connection makes room', async () => {
	const rw = fixture.few;
	const held = [];
	for (let i = 0; i < 4; i++)
		held.push(await Raw.join(rw.url, { payload: payloadOf(rw, `f${i}`) }));
	const grown = await growthOf(rw, 'edge', 'roomwire_limited_total{limit="connections"}');
	assert.equal((await wsRefusal(rw.url)).status, 503);
	await grown.by(1);
	held[0].send('420["room:join",{"room":"r"}]');
	assert.equal(await held[0].next(), '430[{"ok":true}]');
	held[1].close();
	const again = await waitFor(() => Raw.join(rw.url, { payload: payloadOf(rw, 'again') }), { what: 'room for another connection', everyMs: 20 });
	again.close();
});

/* ── unsent bytes ── */

/* A member that stops reading. */
async function stalled(rw, room) {
	const raw = await Raw.join(rw.url, { payload: payloadOf(rw, 'slow') });
	raw.send(`420["room:join",${JSON.stringify({ room })}]`);
	assert.equal(await raw.next(), '430[{"ok":true}]');
	raw.socket._socket.pause();
	return raw;
}

const eventsOf = (raw) => raw.inbox.all.filter((packet) => packet.startsWith('42["n"')).map((packet) => JSON.parse(packet.slice(2)));

/* Streams to a room until its stalled member was closed; {count, most}: most unsent bytes seen. */
async function untilClosed(rw, room) {
	const grown = await growthOf(rw, 'edge', 'roomwire_closed_total{reason="slow_client"}');
	const stream = new Stream(rw, room, { pad: 15_000 }).start();
	const [edge] = Object.values(processesOf(rw, 'edge'));
	let most = 0;
	const watch = setInterval(async () => { most = Math.max(most, await metricOf(edge, 'roomwire_unsent_bytes').catch(() => 0)); }, 10);
	try {
		await grown.by(1, 60_000);
	} finally {
		clearInterval(watch);
	}
	await stream.more(20);
	return { count: await stream.stop(), most };
}

scenario('a client that does not read is closed at MAX_UNSENT_BYTES; twenty others in its room miss nothing and wait for nobody', async () => {
	const rw = fixture.tight;
	const room = fresh('slow');
	const others = await members(rw, 20, room);
	const raw = await stalled(rw, room);
	const { count, most } = await untilClosed(rw, room);
	assert.ok(most <= MAX_UNSENT + 20 * 100_000, `its unsent bytes stay bounded: ${most}`);
	for (const [i, client] of others.entries()) {
		await assertWhole(client, count, { who: `other client ${i}` });
		client.assertNone('@disconnect');
	}
	await waitFor(async () => await total(rw, 'edge', 'roomwire_unsent_bytes') === 0, { what: 'roomwire_unsent_bytes to be 0 again' });
	raw.socket._socket.resume();
	await raw.end();
});

scenario('a client closed at MAX_UNSENT_BYTES recovers with exactly what it missed', async () => {
	const rw = fixture.tight;
	const room = fresh('slow');
	const raw = await stalled(rw, room);
	const { count } = await untilClosed(rw, room);
	raw.socket._socket.resume();
	await raw.end();
	const had = eventsOf(raw);
	assert.deepEqual(had.map(([, { n }]) => n), had.map((_, n) => n), 'what it got is whole up to there');
	assert.ok(had.length < count, 'it missed something');
	const back = await Raw.join(rw.url, { payload: { ...payloadOf(rw, 'slow'), pid: raw.connect.pid, offset: had.at(-1).at(-1) } });
	assert.deepEqual([back.connect.sid, back.connect.pid], [raw.connect.sid, raw.connect.pid], 'it is recovered');
	await waitFor(() => eventsOf(back).at(-1)?.[1].n === count - 1, { what: 'the last message' });
	assert.deepEqual(eventsOf(back).map(([, { n }]) => n), Array.from({ length: count - had.length }, (_, i) => had.length + i));
});

scenario('a long-polling client that does not poll is closed at MAX_UNSENT_BYTES', async () => {
	const rw = fixture.tight;
	const room = fresh('slow');
	const session = await Polling.open(rw.url);
	await session.post(`40${JSON.stringify(payloadOf(rw, 'slow'))}`);
	await session.packets(1);
	await session.post(`420["room:join",${JSON.stringify({ room })}]`);
	await session.packets(1);
	const { most } = await untilClosed(rw, room);
	assert.ok(most <= MAX_UNSENT, `its unsent bytes stay bounded: ${most}`);
	assert.equal((await session.get()).status, 400);
	await waitFor(async () => await total(rw, 'edge', 'roomwire_unsent_bytes') === 0, { what: 'roomwire_unsent_bytes to be 0 again' });
});

/* ── rooms ── */

scenario('MAX_ROOMS: past it the failure ack or error TOO_MANY_ROOMS; the own room is not counted, nor a room joined twice; leaving makes room', async () => {
	const rw = fixture.tight;
	const client = await as(rw, 'rooms');
	const grown = await growthOf(rw, 'edge', 'roomwire_limited_total{limit="rooms"}');
	for (let i = 0; i < MAX_ROOMS; i++)
		assert.equal((await client.ask('room:join', { room: `room-${i}` })).ok, true);
	const { ok, error } = await client.ask('room:join', { room: 'one-more' });
	assert.deepEqual([ok, error.code], [false, 'TOO_MANY_ROOMS']);
	client.emit('room:join', { room: 'one-more' });
	assert.equal((await client.next('error')).code, 'TOO_MANY_ROOMS');
	await grown.by(2);
	assert.equal((await client.ask('room:join', { room: 'room-0' })).ok, true, 'a room it is in already');
	await client.ask('room:leave', { room: 'room-0' });
	assert.equal((await client.ask('room:join', { room: 'one-more' })).ok, true);
	await rw.publish({ rooms: ['one-more'], event: 'n', data: 1 });
	await client.next('n');
});

scenario('MAX_ROOMS is counted for each namespace of a connection, and holds after a recovery', async () => {
	const rw = fixture.tight;
	const raw = await Raw.join(rw.url, { payload: payloadOf(rw, 'rooms') });
	raw.send(`40/second,${JSON.stringify(payloadOf(rw, 'rooms'))}`);
	await raw.next();
	for (const nsp of ['', '/second,']) {
		for (let i = 0; i < MAX_ROOMS; i++) {
			raw.send(`42${nsp}${i}["room:join",{"room":"room-${i}"}]`);
			assert.equal(await raw.next(), `43${nsp}${i}[{"ok":true}]`);
		}
	}
	await rw.publish({ rooms: ['room-0'], event: 'n', data: 1 });
	const offset = JSON.parse((await raw.next()).slice(2)).at(-1);
	raw.close();
	const back = await Raw.join(rw.url, { payload: { ...payloadOf(rw, 'rooms'), pid: raw.connect.pid, offset } });
	assert.equal(back.connect.sid, raw.connect.sid, 'recovered');
	back.send('420["room:join",{"room":"one-more"}]');
	assert.match(await back.next(), /^430\[\{"ok":false,"error":\{"code":"TOO_MANY_ROOMS"/);
});
