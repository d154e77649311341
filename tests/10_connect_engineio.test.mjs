// SPDX-License-Identifier: Apache-2.0
/* The Engine.IO 4 protocol by hand: handshake, payloads, heartbeat, close and upgrade. */
import assert from 'node:assert/strict';
import { endpoint, http, pollAnswered, Polling, pollUnderWay, Raw, Roomwire, scenario, SEPARATOR, tcp, useFixture, waitFor, within, wsRefusal } from './harness.mjs';

const fixture = useFixture(async (things) => {
	/* the profile's own figures, too short for a busy machine wherever they are not what is tested */
	things.own = await new Roomwire({ profile: 'conformance' }).start();
	const env = { PING_TIMEOUT_MS: '10000', CONNECT_TIMEOUT_MS: '10000' };
	things.beating = await new Roomwire({ profile: 'conformance', env }).start();
	things.rw = await new Roomwire({ profile: 'conformance', env: { ...env, PING_INTERVAL_MS: '10000' } }).start();
});
const url = () => fixture.rw.url;
const ownUrl = () => fixture.own.url;
const beatingUrl = () => fixture.beating.url;
const PING_INTERVAL_MS = 300;
const PING_TIMEOUT_MS = 200;

function assertHandshake(handshake, upgrades) {
	const { sid, ...rest } = handshake;
	assert.match(sid, /^[A-Za-z0-9_-]{16,64}$/);
	assert.deepEqual(rest, {
		upgrades, pingInterval: PING_INTERVAL_MS, pingTimeout: PING_TIMEOUT_MS, maxPayload: 1_000_000,
	});
}

/* A long-polling session that is connected to "/", with the CONNECT answer and the auth event taken. */
async function connectedPolling(at = url()) {
	const session = await Polling.open(at);
	assert.equal((await session.post('40')).status, 200);
	const [answer] = await session.packets(2);
	assert.match(answer, /^40\{"sid":"[^"]+"\}$/);
	return session;
}

/* The server's side of a session that is over answers every request as unknown. */
async function assertClosed(session) {
	const answer = await session.get();
	assert.equal(answer.status, 400);
	assert.deepEqual(answer.json, { code: 1, message: 'Session ID unknown' });
}

/* A session whose WebSocket has answered the probe; the poll under way was ended by a noop. */
async function probed(session) {
	const socket = new Raw(url(), { query: { sid: session.sid } });
	await within(socket.opened, { what: 'the WebSocket of the upgrade' });
	socket.send('2probe');
	assert.equal(await socket.next(), '3probe');
	return socket;
}

scenario('long-polling: the handshake names the session and its figures', async () => {
	const session = await Polling.open(ownUrl());
	assertHandshake(session.handshake, ['websocket']);
});

scenario('WebSocket: the handshake names the session and offers no upgrade', async () => {
	const raw = await Raw.open(ownUrl());
	assertHandshake(raw.handshake, []);
});

scenario('two sessions have two ids', async () => {
	const sessions = await Promise.all(Array.from({ length: 20 }, () => Polling.open(url())));
	assert.equal(new Set(sessions.map(({ sid }) => sid)).size, sessions.length);
});

const REFUSED = [
	['no protocol version', { EIO: undefined, transport: 'polling' }, {}, 5, 'Unsupported protocol version'],
	['protocol version 3', { EIO: '3', transport: 'polling' }, {}, 5, 'Unsupported protocol version'],
	['a protocol version that is no number', { EIO: 'abc', transport: 'polling' }, {}, 5, 'Unsupported protocol version'],
	['no transport', { transport: undefined }, {}, 0, 'Transport unknown'],
	['an unknown transport', { transport: 'pigeon' }, {}, 0, 'Transport unknown'],
	['an unknown session', { transport: 'polling', sid: 'unknown-session' }, {}, 1, 'Session ID unknown'],
	['a handshake by POST', { transport: 'polling' }, { method: 'POST', body: '40' }, 2, 'Bad handshake method'],
	['a handshake by PUT', { transport: 'polling' }, { method: 'PUT', body: '40' }, 2, 'Bad handshake method'],
	['a WebSocket handshake without an upgrade', { transport: 'websocket' }, {}, 3, 'Bad request'],
];
for (const [what, query, options, code, message] of REFUSED) {
	scenario(`HTTP: ${what} is refused with code ${code} ${message}`, async () => {
		const answer = await http(endpoint(url(), query), options);
		assert.deepEqual([answer.status, answer.json], [400, { code, message }]);
		assert.match(answer.headers.get('content-type'), /^application\/json/);
	});
}

const WS_REFUSED = [
	['no protocol version', { EIO: undefined }],
	['a protocol version that is no number', { EIO: 'abc' }],
	['an unknown transport', { transport: 'pigeon' }],
	['an unknown session', { sid: 'unknown-session' }],
];
for (const [what, query] of WS_REFUSED) {
	scenario(`WebSocket: ${what} is refused with 400`, async () => {
		assert.equal((await wsRefusal(url(), { query })).status, 400);
	});
}

scenario('another path is no Socket.IO', async () => {
	assert.equal((await http(`${url()}/nowhere/?EIO=4&transport=polling`)).status, 404);
});

scenario('long-polling: POST is answered "ok" and the echo comes by the next poll', async () => {
	const session = await connectedPolling();
	const answer = await session.post('42["message","hello"]');
	assert.deepEqual([answer.status, answer.text], [200, 'ok']);
	assert.deepEqual(await session.packets(1), ['42["message-back","hello"]']);
});

scenario('long-polling: a payload of many packets is answered in order', async () => {
	const session = await connectedPolling();
	const numbers = Array.from({ length: 500 }, (_, i) => i);
	await session.post(numbers.map((i) => `42["message",${i}]`).join(SEPARATOR));
	assert.deepEqual(await session.packets(500), numbers.map((i) => `42["message-back",${i}]`));
});

scenario('long-polling: binary travels as base64 in both directions', async () => {
	const session = await connectedPolling();
	await session.post(['451-["message",{"_placeholder":true,"num":0}]', 'bAQIDBA=='].join(SEPARATOR));
	assert.deepEqual(await session.packets(2), ['451-["message-back",{"_placeholder":true,"num":0}]', 'bAQIDBA==']);
});

scenario('long-polling: characters of every width pass unharmed', async () => {
	const session = await connectedPolling();
	await session.post('42["message","a é 世 \u{1f680} \\u001e"]');
	const [packet] = await session.packets(1);
	assert.equal(JSON.parse(packet.slice(2))[1], 'a é 世 \u{1f680} \u001e');
});

scenario('long-polling: answers are not cached and are text', async () => {
	const answer = await http(endpoint(url(), { transport: 'polling' }));
	assert.match(answer.headers.get('content-type'), /^text\/plain; *charset=utf-8$/i);
	assert.equal(answer.headers.get('cache-control'), 'no-store');
});

const MALFORMED = ['abc', '9', '4', '4abc', '42{}', '42abc["message-with-ack",1]', '42["message"', '42["message"]junk',
	'42[]', 'b', '49["x"]', '42/nowhere,["message"]', '40{"a":', '4\u0000', '45-["x"]', '459999999999-["x"]'];
for (const body of [...MALFORMED, '', 'b!!!!', `42["message"]${SEPARATOR}${SEPARATOR}`]) {
	scenario(`long-polling: the malformed packet ${JSON.stringify(body)} ends that session only`, async () => {
		const [session, other] = await Promise.all([connectedPolling(), connectedPolling()]);
		await session.post(body);
		await waitFor(async () => (await session.get()).status === 400, { what: 'the session to be over' });
		await assertClosed(session);
		await other.post('42["message","unharmed"]');
		assert.deepEqual(await other.packets(1), ['42["message-back","unharmed"]']);
	});
}
for (const packet of MALFORMED) {
	scenario(`WebSocket: the malformed packet ${JSON.stringify(packet)} closes that connection only`, async () => {
		const [socket, other] = await Promise.all([Raw.join(url()), Raw.join(url())]);
		socket.send(packet);
		await socket.end();
		await other.next((one) => one.startsWith('42["auth"'));
		other.send('42["message","unharmed"]');
		assert.equal(await other.next(), '42["message-back","unharmed"]');
	});
}

scenario('WebSocket: an attachment that nothing announced closes the connection', async () => {
	const socket = await Raw.join(url());
	socket.send(Buffer.from([1, 2, 3]));
	await socket.end();
});

scenario('WebSocket: text where an attachment is due closes the connection', async () => {
	const socket = await Raw.join(url());
	socket.send('451-["message",{"_placeholder":true,"num":0}]');
	socket.send('42["message","too early"]');
	await socket.end();
});

scenario('long-polling: a second poll at the same time ends the session', async () => {
	const session = await connectedPolling();
	const answers = await Promise.all([session.get(), session.get()]);
	const [first, second] = answers.sort((a, b) => a.status - b.status); /* whichever came first */
	assert.deepEqual([first.status, first.text], [200, '1']);
	assert.equal(second.status, 400);
	await assertClosed(session);
});

scenario('long-polling: a close packet ends the session and the poll under way', async () => {
	const session = await connectedPolling();
	const poll = await pollUnderWay(session);
	assert.equal((await session.post('1')).status, 200);
	await pollAnswered(poll, '6');
	await assertClosed(session);
});

scenario('WebSocket: a close packet ends the connection', async () => {
	const socket = await Raw.join(url());
	socket.send('1');
	await socket.end();
});

scenario('long-polling: pings come at their interval and pongs keep the session', async () => {
	const session = await connectedPolling(beatingUrl());
	const started = Date.now();
	for (let i = 0; i < 3; i++) {
		const { status, text } = await session.get();
		assert.deepEqual([status, text], [200, '2']);
		assert.equal((await session.post('3')).status, 200);
	}
	assert.ok(Date.now() - started >= 2 * PING_INTERVAL_MS, 'pings keep their distance');
});

scenario('WebSocket: pings come at their interval and pongs keep the connection', async () => {
	const socket = await Raw.open(beatingUrl(), { pong: false });
	const started = Date.now();
	for (let i = 0; i < 3; i++) {
		assert.equal(await socket.next(), '2');
		socket.send('3');
	}
	assert.ok(Date.now() - started >= 2 * PING_INTERVAL_MS, 'pings keep their distance');
	assert.equal(socket.socket.readyState, 1);
});

scenario('WebSocket: a missing pong closes the connection after the ping timeout', async () => {
	const began = Date.now();
	const socket = await Raw.join(ownUrl(), { pong: false });
	await socket.next((packet) => packet === '2');
	const asked = Date.now();
	await socket.end();
	assert.ok(Date.now() - began >= PING_INTERVAL_MS + PING_TIMEOUT_MS - 50, 'not before the timeout');
	assert.ok(Date.now() - asked < PING_TIMEOUT_MS + 5000, 'not much later');
});

scenario('long-polling: a missing pong ends the session after the ping timeout', async () => {
	const session = await waitFor(async () => { /* it has half a second to be connected and polled */
		const one = await connectedPolling(ownUrl());
		return (await one.get()).text === '2' && one;
	}, { what: 'a ping' });
	await waitFor(async () => (await session.post('42["message"]')).status === 400 || null,
		{ what: 'the session to be over', everyMs: PING_INTERVAL_MS + PING_TIMEOUT_MS });
	await assertClosed(session);
});

scenario('the upgrade: probe, noop, upgrade packet, and messages go on over WebSocket', async () => {
	const session = await connectedPolling();
	const poll = session.get();
	const socket = await probed(session);
	const { status, text } = await poll;
	assert.deepEqual([status, text], [200, '6']);
	socket.send('5');
	socket.send('42["message","after"]');
	assert.equal(await socket.next((packet) => packet !== '6'), '42["message-back","after"]');
});

scenario('the upgrade: what was sent by POST before it is answered after it, once', async () => {
	const session = await connectedPolling();
	const socket = await probed(session);
	await session.post('42["message","before"]');
	const answers = session.get().then(({ text }) => text.split(SEPARATOR));
	const polled = (await answers).filter((packet) => packet.startsWith('42'));
	socket.send('5');
	socket.send('42["message","after"]');
	const over = [];
	while (over.at(-1) !== '42["message-back","after"]')
		over.push(await socket.next((packet) => packet.startsWith('42')));
	assert.deepEqual([...polled, ...over], ['42["message-back","before"]', '42["message-back","after"]']);
});

scenario('the upgrade: afterwards long-polling requests of the session are refused, the WebSocket goes on', async () => {
	const session = await connectedPolling();
	const socket = await probed(session);
	socket.send('5');
	socket.send('42["message","over"]');
	await socket.next((packet) => packet.startsWith('42'));
	const answer = await session.get();
	assert.deepEqual([answer.status, answer.json.code], [400, 3]);
	socket.send('42["message","still"]');
	assert.equal(await socket.next((packet) => packet.startsWith('42')), '42["message-back","still"]');
});

scenario('the upgrade: a second WebSocket with the same session is closed, the first goes on', async () => {
	const session = await connectedPolling();
	const socket = await probed(session);
	socket.send('5');
	socket.send('42["message","over"]');
	await socket.next((packet) => packet.startsWith('42'));
	const second = new Raw(url(), { query: { sid: session.sid } });
	await second.end();
	socket.send('42["message","still"]');
	assert.equal(await socket.next((packet) => packet.startsWith('42')), '42["message-back","still"]');
});

scenario('the upgrade: a WebSocket that gives up leaves the long-polling session working', async () => {
	const session = await connectedPolling();
	const socket = await probed(session);
	socket.close();
	await session.post('42["message","carry on"]');
	const found = [];
	while (!found.includes('42["message-back","carry on"]'))
		found.push(...await session.packets(1));
	assert.deepEqual(found.filter((packet) => packet !== '6'), ['42["message-back","carry on"]']);
});

scenario('the upgrade: a WebSocket that sends no probe is closed, the session goes on', async () => {
	const session = await connectedPolling();
	const socket = new Raw(url(), { query: { sid: session.sid } });
	await within(socket.opened, { what: 'the WebSocket to open' });
	socket.send('42["message","no probe"]');
	await socket.end();
	await session.post('42["message","carry on"]');
	assert.deepEqual(await session.packets(1), ['42["message-back","carry on"]']);
});

scenario('a session whose client vanishes is taken down', async () => {
	const before = await fixture.rw.metric('edge', 'roomwire_connections');
	const socket = await Raw.join(url());
	await waitFor(async () => await fixture.rw.metric('edge', 'roomwire_connections') > before, { what: 'the connection to be counted' });
	socket.close();
	await waitFor(async () => await fixture.rw.metric('edge', 'roomwire_connections') <= before, { what: 'the connection to be gone' });
});

scenario('a connection that never finishes its request line is closed', { timeout: 120_000 }, async () => {
	const connection = tcp(url());
	connection.socket.write('GET /socket.io/?EIO=4');
	await within(connection.ended, { what: 'an unfinished handshake to be closed' });
});
