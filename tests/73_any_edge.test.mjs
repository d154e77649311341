// SPDX-License-Identifier: Apache-2.0
/* Three edges on one port and no sticky sessions: any of them takes any request of any session, and sessions move when a client upgrades. */
import assert from 'node:assert/strict';
import { endpoint, http, Polling, Raw, RECONNECTING, Roomwire, scenario, SEPARATOR, tcp, useFixture, waitFor, within } from './harness.mjs';
import { assertWhole, edgeTags, metricOf, Stream, tagOf, total, waitReplaced } from './lib/cluster.mjs';
import { fresh, member, numbersOf, publishNumbers, upgraded, upTo } from './lib/comeback.mjs';
import { signal } from './lib/children.mjs';

const fixture = useFixture(async (things) => {
	things.rw = await new Roomwire({ profile: 'bench', edges: 3, routers: 2 }).start();
	things.beating = await new Roomwire({ profile: 'bench', edges: 3, env: { PING_INTERVAL_MS: '200', PING_TIMEOUT_MS: '3000' } }).start();
	things.echo = await new Roomwire({ profile: 'conformance', edges: 3, env: { PING_INTERVAL_MS: '25000', PING_TIMEOUT_MS: '20000' } }).start();
});

/* A request over a connection of its own, so that any edge may get it. */
const apart = { headers: { connection: 'close' } };

/* A long-polling session each of whose requests is made over a connection of its own; what comes is in `all`, pings apart. */
class Scattered {
	static async open(rw, { payload, polling = true } = {}) {
		const one = new Scattered();
		one.rw = rw;
		one.session = await Polling.open(rw.url, undefined, apart);
		one.sid = one.session.sid;
		one.url = one.session.url;
		one.all = [];
		await one.post(`40${payload === undefined ? '' : JSON.stringify(payload)}`);
		one.connect = JSON.parse((await one.take(1))[0].slice(2));
		if (polling)
			one.poll();
		return one;
	}

	get() {
		return http(this.url, apart);
	}

	async post(...packets) {
		const { status, text } = await http(this.url, { method: 'POST', body: packets.join(SEPARATOR), headers: { 'content-type': 'text/plain;charset=UTF-8', ...apart.headers } });
		assert.deepEqual([status, text], [200, 'ok']);
	}

	/* One GET's packets. */
	async round() {
		const { status, text } = await this.get();
		if (status !== 200)
			throw new Error(`GET is answered ${status} ${text}`);
		const packets = text.split(SEPARATOR);
		if (packets.includes('2'))
			await this.post('3');
		const found = packets.filter((packet) => packet !== '2' && packet !== '6');
		this.all.push(...found);
		return packets;
	}

	/* Polls until this many packets have come in all. */
	async take(count) {
		while (this.all.length < count)
			await this.round();
		return this.all;
	}

	/* Polls from now on; `ended` says how that ended. */
	poll() {
		this.polling = true;
		this.ended = (async () => {
			while (this.polling)
				await this.round();
		})().catch((error) => error);
	}

	/* The last GET of a session that upgrades. */
	async rest() {
		this.polling = false;
		const error = await this.ended;
		if (error)
			throw error;
	}

	/* The acknowledgement of an event. */
	ask(id, ...args) {
		return this.post(`42${id}${JSON.stringify(args)}`).then(() => waitFor(() => this.all.find((packet) => packet.startsWith(`43${id}[`)), { what: `ack ${id}`, everyMs: 1 }));
	}
}

const payloadOf = (rw, sub = fresh('user')) => ({ token: rw.token({ sub }) });
const eventsIn = (packets, name) => packets.filter((packet) => typeof packet === 'string' && packet.startsWith(`42["${name}"`)).map((packet) => JSON.parse(packet.slice(2))[1]);

async function joined(rw, room, options) {
	const one = await Scattered.open(rw, { payload: payloadOf(rw), ...options });
	assert.equal(await one.ask(0, 'room:join', { room }), '430[{"ok":true}]');
	return one;
}

/* ── long-polling, each request anywhere ── */

scenario('long-polling over changing edges: 500 broadcasts come once and in order, and so do 500 events of the client, with their acks', async () => {
	const { rw } = fixture;
	const room = fresh('scattered');
	const before = await total(rw, 'edge', FORWARDED);
	const [one, other] = [await joined(rw, room), await member(rw, [room])];
	const stream = new Stream(rw, room).start();
	const posts = upTo(500).map((n) => `42${n + 1}["room:send",{"room":"${room}","n":${n}}]`);
	while (posts.length > 0)
		await one.post(...posts.splice(0, 1 + posts.length % 7));
	await waitFor(() => stream.accepted >= 500, { what: '500 broadcasts', deadlineMs: 20_000 });
	const count = await stream.stop();
	await waitFor(() => eventsIn(one.all, 'n').length >= count, { what: 'all broadcasts' });
	assert.deepEqual(eventsIn(one.all, 'n').map(({ n }) => n), upTo(count));
	await assertWhole(other, 500, { event: 'room:msg' });
	assert.ok(await total(rw, 'edge', FORWARDED) > before + 100, 'requests were passed on');
});

scenario('binary in long-polling over changing edges: attachments both ways, acks with them, 1 MB in pieces and at once', async () => {
	const one = await Scattered.open(fixture.echo);
	const bytes = Buffer.from(upTo(256));
	const b64 = bytes.toString('base64');
	for (let id = 0; id < 10; id++) {
		one.all.length = 0;
		await one.post(`452-${id}["message-with-ack",{"_placeholder":true,"num":0},"x",{"deep":{"_placeholder":true,"num":1}}]`, `b${b64}`, 'bAQID');
		await waitFor(() => one.all.slice(-2)[0]?.startsWith(`b${b64}`) && one.all.at(-1) === 'bAQID', { what: 'the attachments of the ack', everyMs: 1 });
		assert.match(one.all.at(-3), new RegExp(`^462-${id}\\[`));
	}
	/* the header by one edge, the attachments by others */
	for (const packet of ['451-["message",{"_placeholder":true,"num":0}]', `b${b64}`])
		await one.post(packet);
	await waitFor(() => one.all.at(-2) === '451-["message-back",{"_placeholder":true,"num":0}]', { what: 'the echo' });
	const large = 'y'.repeat(900_000);
	for (let round = 0; round < 4; round++) {
		one.all.length = 0;
		await one.post(`42["message","${large}"]`);
		await waitFor(() => one.all.length === 1, { what: 'the large echo' });
		assert.ok(one.all[0] === `42["message-back","${large}"]`, 'it is the same');
	}
});

scenario('an unknown session, at whatever edge: 400 Session ID unknown, soon', async () => {
	const { rw } = fixture;
	const known = await joined(rw, fresh('room'));
	const unknown = ['nobodynobodynobody12', `${tagOf(known.sid)}nobodynobody1234`, 'x'];
	for (const sid of unknown) {
		for (let round = 0; round < 6; round++) {
			const began = performance.now();
			const { status, json } = await http(endpoint(rw.url, { transport: 'polling', sid }), apart);
			assert.deepEqual([status, json], [400, { code: 1, message: 'Session ID unknown' }]);
			assert.ok(performance.now() - began < 4000, 'soon'); /* not by the timeout of a question to the other edge */
		}
	}
});

const FORWARDED = 'roomwire_forwarded_requests_total{direction="out"}';

/* A GET of the session that waits at an edge other than its own. */
function waitingElsewhere(rw, one) {
	const { pathname, search } = new URL(one.url);
	const forwarded = () => total(rw, 'edge', FORWARDED);
	return waitFor(async () => {
		const before = await forwarded();
		const connection = tcp(rw.url);
		connection.socket.write(`POST ${pathname}${search} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n3`);
		await waitFor(() => connection.received().endsWith('ok'), { what: 'the POST to be answered', everyMs: 1 });
		if (await forwarded() === before) {
			connection.close();
			return null; /* that is where its session is */
		}
		connection.socket.write(`GET ${pathname}${search} HTTP/1.1\r\nHost: x\r\n\r\n`);
		await waitFor(async () => await forwarded() >= before + 2, { what: 'the GET to be passed on', everyMs: 1 });
		return connection;
	}, { what: 'a connection to another edge', everyMs: 1 });
}

scenario('the edge of a session is killed while its GET waits at another one: the client is told soon, comes back recovered and misses nothing', async () => {
	const { rw } = fixture;
	const room = fresh('killed');
	const clients = await Promise.all(upTo(20).map(() => member(rw, [room], { transports: ['polling'], ...RECONNECTING })));
	const ids = clients.map(({ id }) => id);
	const tags = await edgeTags(rw);
	const [tag, name] = Object.entries(tags)[0];
	const stream = new Stream(rw, room).start();
	await stream.more(10);
	const { pid } = rw.processes[name];
	const hit = clients.filter((client) => tagOf(client.socket.io.engine.id) === tag);
	const began = performance.now();
	const told = Promise.all(hit.map((client) => client.nextArgs('@disconnect')));
	signal(pid, 'SIGKILL');
	await told;
	assert.ok(performance.now() - began < 10_000, 'within moments'); /* not by its ping timeout */
	await waitFor(() => clients.every(({ socket }) => socket.connected), { what: 'all to be back' });
	await stream.more(10);
	const count = await stream.stop();
	for (const [i, client] of clients.entries()) {
		await assertWhole(client, count, { who: `client ${i}` });
		assert.equal(client.id, ids[i]);
	}
	await waitReplaced(rw, name, pid);
});

scenario('the client of a GET that waits at another edge goes away: its session ends, and it can come back', async () => {
	const { rw } = fixture;
	const payload = payloadOf(rw);
	const one = await Scattered.open(rw, { payload, polling: false });
	const connection = await waitingElsewhere(rw, one);
	connection.close();
	await waitFor(async () => (await http(one.url, { ...apart, method: 'POST', body: '3' })).status === 400, { what: 'the session to be unknown' });
	const back = await Raw.join(rw.url, { payload: { ...payload, pid: one.connect.pid } });
	assert.equal(back.connect.sid, one.connect.sid);
});

scenario('two GETs of one session at a time, at different edges: 400, and the session ends', async () => {
	const { rw } = fixture;
	for (let round = 0; round < 6; round++) {
		const one = await Scattered.open(rw, { payload: payloadOf(rw), polling: false });
		const answers = await Promise.all([one.get(), one.get()]);
		assert.ok(answers.some(({ status }) => status === 400), JSON.stringify(answers.map(({ status, text }) => [status, text])));
		await waitFor(async () => (await one.get()).status === 400, { what: 'the session to be unknown' });
	}
});

/* ── upgrades ── */

/* Opens a WebSocket for the session at whatever edge takes it, and probes. */
async function probe(rw, one) {
	const raw = new Raw(rw.url, { query: { sid: one.sid } });
	await within(raw.opened, { what: 'the WebSocket to open' });
	raw.send('2probe');
	assert.equal(await raw.next(), '3probe');
	return raw;
}

scenario('60 upgrades at any edge with messages in flight both ways: none is lost, none comes twice, order is kept', async () => {
	const { rw } = fixture;
	const room = fresh('upgrade');
	const witness = await member(rw, [room]);
	const handed = await total(rw, 'edge', 'roomwire_sessions_handed_total');
	const stream = new Stream(rw, room).start();
	const upgradeOne = async () => {
		const own = fresh('own');
		const one = await joined(rw, room);
		let sent = 0;
		const send = (by) => by(`42["room:send",{"room":"${room}","n":${sent++},"from":"${own}"}]`);
		for (let i = 0; i < 5; i++)
			await send((packet) => one.post(packet));
		const raw = await probe(rw, one);
		await one.rest();
		raw.send('5');
		for (let i = 0; i < 10; i++)
			send((packet) => raw.send(packet));
		return { one, raw, own, sent };
	};
	const all = [];
	for (let wave = 0; wave < 6; wave++)
		all.push(...await Promise.all(upTo(10).map(upgradeOne)));
	await stream.more(10);
	const count = await stream.stop();
	for (const { one, raw, own, sent } of all) {
		const numbers = () => [...eventsIn(one.all, 'n'), ...eventsIn(raw.inbox.all, 'n')].map(({ n }) => n);
		await waitFor(() => numbers().at(-1) === count - 1, { what: `the last broadcast at ${own}` });
		const got = numbers();
		assert.deepEqual(got, upTo(count, got[0]), `${own} got each broadcast once, in order`);
		const relayed = () => witness.received('room:msg').filter(({ from }) => from === own).map(({ n }) => n);
		await waitFor(() => relayed().length >= sent, { what: `what ${own} sent` });
		assert.deepEqual(relayed(), upTo(sent), `what ${own} sent arrived once, in order`);
	}
	assert.ok(await total(rw, 'edge', 'roomwire_sessions_handed_total') > handed, 'sessions were handed over');
});

scenario('100 socket.io-clients with their default transports: connected, upgraded, and nothing missed meanwhile', async () => {
	const { rw } = fixture;
	const room = fresh('default');
	const witness = await member(rw, [room]);
	const stream = new Stream(rw, room).start();
	const clients = [];
	const sent = [];
	const MOST = 100;
	const timer = setInterval(() => { /* while they upgrade, and after it */
		for (const [from, client] of clients.entries()) {
			if (sent[from] < MOST) /* a slow machine is not to have more to do */
				client.emit('room:send', { room, from, n: sent[from]++ });
		}
	}, 10);
	try {
		for (let wave = 0; wave < 4; wave++) {
			await Promise.all(upTo(25).map(async () => {
				const client = await member(rw, [room], { transports: ['polling', 'websocket'] });
				sent[clients.push(client) - 1] = 0;
			}));
		}
		await Promise.all(clients.map(upgraded));
		await stream.more(10);
	} finally {
		clearInterval(timer);
	}
	const count = await stream.stop();
	for (const from of clients.keys()) {
		const relayed = () => witness.received('room:msg').filter((one) => one.from === from).map(({ n }) => n);
		await waitFor(() => relayed().length >= sent[from], { what: `what client ${from} sent` });
		assert.deepEqual(relayed(), upTo(sent[from]), `what client ${from} sent`);
	}
	for (const [i, client] of clients.entries()) {
		await waitFor(() => numbersOf(client).at(-1) === count - 1, { what: `the last message at client ${i}` });
		const got = numbersOf(client);
		assert.deepEqual(got, upTo(count, got[0]), `client ${i}`);
		assert.equal(client.socket.io.engine.transport.name, 'websocket');
		client.assertNone('@disconnect');
	}
});

scenario('an edge is killed while 60 clients connect and upgrade: all come back, and nothing is missed', { timeout: 120_000 }, async () => {
	const rw = fixture.beating; /* a client whose WebSocket dies just after its probe waits for its ping timeout */
	const room = fresh('amid');
	const clients = await Promise.all(upTo(60).map(() => member(rw, [room], { transports: ['polling'], ...RECONNECTING })));
	for (const client of clients)
		client.returns = [];
	const ids = clients.map(({ id }) => id);
	const stream = new Stream(rw, room).start();
	for (const client of clients) {
		client.socket.on('connect', () => client.returns.push(client.socket.recovered));
		client.socket.io.opts.transports = ['polling', 'websocket']; /* from the next connection on */
		client.socket.io.engine.close();
	}
	const { pid } = rw.processes['edge-1'];
	const upgrading = () => clients.filter(({ socket }) => socket.io.engine.upgrading).length;
	await waitFor(() => upgrading() > 5, { what: 'upgrades to be under way', everyMs: 1 });
	signal(pid, 'SIGKILL');
	await waitReplaced(rw, 'edge-1', pid);
	await waitFor(() => clients.every(({ socket }) => socket.connected && !socket.io.engine.upgrading), { what: 'all to be back' });
	await stream.more(20);
	const count = await stream.stop();
	for (const [i, client] of clients.entries()) {
		await assertWhole(client, count, { who: `client ${i}` });
		assert.deepEqual([client.id, client.returns.every(Boolean)], [ids[i], true], `client ${i}`);
	}
});

scenario('50 socket.io-clients by long-polling alone: acks, broadcasts, relays and binary, each once and in order', async () => {
	const { rw } = fixture;
	const room = fresh('polling');
	const clients = await Promise.all(upTo(50).map(() => member(rw, [room], { transports: ['polling'] })));
	const stream = new Stream(rw, room).start();
	for (let n = 0; n < 10; n++)
		clients[0].emit('room:send', { room, n, bytes: Buffer.from([n]) });
	await stream.more(60);
	const count = await stream.stop();
	for (const [i, client] of clients.entries()) {
		await assertWhole(client, count, { who: `client ${i}` });
		if (i > 0) {
			await assertWhole(client, 10, { event: 'room:msg', who: `client ${i}` });
			assert.deepEqual(client.received('room:msg').map(({ bytes }) => bytes[0]), upTo(10));
		}
		client.assertNone('@disconnect');
	}
});

scenario('a probe that is closed without an upgrade, at any edge: long-polling goes on, and a later upgrade works', async () => {
	const { rw } = fixture;
	const room = fresh('probe');
	for (let round = 0; round < 8; round++) {
		const one = await joined(rw, room);
		const raw = await probe(rw, one);
		raw.close();
		await rw.publish({ rooms: [room], event: 'n', data: { n: round } });
		await waitFor(() => eventsIn(one.all, 'n').at(-1)?.n === round, { what: 'the message by long-polling' });
		const again = await waitFor(() => probe(rw, one), { what: 'another probe to be answered', everyMs: 20 });
		await one.rest();
		again.send('5');
		await rw.publish({ rooms: [room], event: 'n', data: { n: 100 } });
		await again.next((packet) => packet.startsWith('42["n",{"n":100}'));
		again.send('421["room:join",{"room":"x"}]');
		assert.equal(await again.next((packet) => packet.startsWith('43')), '431[{"ok":true}]');
	}
});

scenario('the edge of a WebSocket dies when it has probed: the GETs of its session wait again soon, and a later upgrade works', async (t) => {
	const rw = await new Roomwire({ profile: 'bench', edges: 2, env: { HANDSHAKE_TIMEOUT_MS: '500' } }).start();
	t.after(() => rw.stop());
	const room = fresh('dead');
	const tags = await edgeTags(rw);
	const one = await Scattered.open(rw, { payload: payloadOf(rw), polling: false });
	await one.post(`420["room:join",{"room":"${room}"}]`);
	await one.take(2); /* the answers to CONNECT and to this */
	const home = tags[tagOf(one.sid)];
	const away = Object.values(tags).find((name) => name !== home);
	const asked = () => metricOf(rw.processes[home], 'roomwire_forwarded_requests_total{direction="in"}');
	const raw = await waitFor(async () => {
		const before = await asked();
		const found = await probe(rw, one);
		if (await asked() > before)
			return found;
		found.close();
		return null;
	}, { what: 'a WebSocket at the other edge', everyMs: 20 });
	const { pid } = rw.processes[away];
	signal(pid, 'SIGKILL');
	await raw.end();
	await waitReplaced(rw, away, pid);
	let n = 0;
	await waitFor(async () => { /* answered at once while the probe is thought to live, then only by a message */
		const getting = one.get();
		const others = publishNumbers(rw, upTo(10), [fresh('elsewhere')]);
		if (!await Promise.race([getting.then(() => false), others.then(() => true)]))
			return false;
		await rw.publish({ rooms: [room], event: 'n', data: { n: ++n } });
		const { text } = await getting;
		return text === `42["n",{"n":${n}}]` || text.startsWith(`42["n",{"n":${n}},`);
	}, { what: 'a GET to wait' });
	const again = await waitFor(() => probe(rw, one), { what: 'another probe to be answered', everyMs: 20 });
	again.send('5');
	again.send('421["room:join",{"room":"x"}]');
	assert.equal(await again.next((packet) => packet.startsWith('43')), '431[{"ok":true}]');
});

scenario('an upgrade of an unknown session, at any edge, is refused', async () => {
	const { rw } = fixture;
	for (const sid of ['nobodynobodynobody12', 'x']) {
		for (let round = 0; round < 4; round++) {
			const raw = new Raw(rw.url, { query: { sid } });
			const { response } = await within(raw.opened.then(() => assert.fail('refused'), (error) => error), { what: 'an answer' });
			assert.equal(response.statusCode, 400);
		}
	}
});

scenario('heartbeats go on across hand-overs, and over changing edges; a client that does not answer is closed', async () => {
	const rw = fixture.beating;
	const clients = await Promise.all(upTo(30).map((n) => member(rw, [], { transports: n % 2 ? ['polling', 'websocket'] : ['polling'] })));
	const beats = clients.map(() => 0);
	for (const [i, client] of clients.entries())
		client.socket.io.on('ping', () => { beats[i]++; });
	await waitFor(() => beats.every((count) => count >= 6), { what: 'six heartbeats of every client' });
	for (const client of clients)
		client.assertNone('@disconnect');

	await Promise.all(upTo(4).map(async () => {
		const one = await Scattered.open(rw, { payload: payloadOf(rw), polling: false });
		const raw = new Raw(rw.url, { query: { sid: one.sid }, pong: false });
		await within(raw.opened, { what: 'the WebSocket to open' });
		raw.send('2probe');
		await raw.next((packet) => packet === '3probe');
		raw.send('5');
		await raw.end();
	}));
});
