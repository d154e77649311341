// SPDX-License-Identifier: Apache-2.0
/* The Engine.IO 4 protocol by hand: which request is answered what, payloads, heartbeats, the ends of a session, and upgrades that go well or not. */
import assert from 'node:assert/strict';
import { endpoint, http, pollAnswered, Polling, pollUnderWay, Raw, Roomwire, scenario, sent, SEPARATOR, tcp, useFixture, waitFor, within, wsRefusal } from './harness.mjs';
import { both, join, joined, talk, toBase64 } from './lib/rawtalk.mjs';

const ORIGIN = 'https://app.example';
const PING_INTERVAL_MS = 300;
const PING_TIMEOUT_MS = 2000; /* as long as a busy machine may leave a process without a turn */
const HANDSHAKE_TIMEOUT_MS = 1500;
const MAX_PAYLOAD = 50_000;
const fixture = useFixture(async (things) => {
	const start = (env) => new Roomwire({ profile: 'conformance', env }).start();
	/* heartbeats do not get into the way of what is tested */
	things.calm = await start({ PING_INTERVAL_MS: '10000', PING_TIMEOUT_MS: '10000', CONNECT_TIMEOUT_MS: '3000', CORS_ORIGINS: ORIGIN });
	things.hasty = await start({
		PING_INTERVAL_MS: '10000', PING_TIMEOUT_MS: '10000', HANDSHAKE_TIMEOUT_MS: String(HANDSHAKE_TIMEOUT_MS), MAX_PAYLOAD: String(MAX_PAYLOAD),
	});
	/* a session without CONNECT ends before an upgrade that stands still does */
	things.abrupt = await start({ PING_INTERVAL_MS: '10000', PING_TIMEOUT_MS: '10000', CONNECT_TIMEOUT_MS: '2000', HANDSHAKE_TIMEOUT_MS: '60000' });
	things.beating = await start({ CONNECT_TIMEOUT_MS: '10000', PING_INTERVAL_MS: String(PING_INTERVAL_MS), PING_TIMEOUT_MS: String(PING_TIMEOUT_MS) });
});
const url = () => fixture.calm.url;

const MESSAGES = ['Transport unknown', 'Session ID unknown', 'Bad handshake method', 'Bad request', 'Forbidden', 'Unsupported protocol version'];
const refusalBody = (code) => JSON.stringify({ code, message: MESSAGES[code] });

function assertRefused({ status, text }, code) {
	assert.deepEqual([status, text], [code === 4 ? 403 : 400, refusalBody(code)]);
}

/* Connected to "/" by long-polling, with the CONNECT answer and the auth event taken. */
async function connected(at = url()) {
	const session = await Polling.open(at);
	assert.equal((await session.post('40')).status, 200);
	const [answer] = await session.packets(2);
	assert.match(answer, /^40\{"sid":"[^"]+"\}$/);
	return session;
}

/* A WebSocket that may take over the session. */
async function candidate(session, at = url(), options = {}) {
	const socket = new Raw(at, { query: { sid: session.sid }, ...options });
	await within(socket.opened, { what: 'the WebSocket of the upgrade' });
	return socket;
}

async function probed(session, at = url(), options = {}) {
	const socket = await candidate(session, at, options);
	socket.send('2probe');
	assert.equal(await socket.next(), '3probe');
	return socket;
}

async function upgraded(at = url(), options = {}) {
	const session = await connected(at);
	const socket = await probed(session, at, options);
	socket.send('5');
	return { session, socket };
}

async function assertEcho(session, word) {
	assert.equal((await session.post(`42["message","${word}"]`)).status, 200);
	const found = [];
	while (!found.length)
		found.push(...(await session.packets(1)).filter((packet) => packet !== '6'));
	assert.deepEqual(found, [`42["message-back","${word}"]`]);
}

async function assertSocketEcho(socket, word) {
	socket.send(`42["message","${word}"]`);
	assert.equal(await socket.next((packet) => packet !== '6'), `42["message-back","${word}"]`);
}

async function assertOver(session) {
	await waitFor(async () => (await session.get()).status !== 200, { what: 'the session to be over' });
	assertRefused(await session.get(), 1);
}

/* A POST whose body comes in two parts, the first of which has come: {send(), answered}. */
async function slowPost(session, body) {
	const { pathname, search } = new URL(session.url);
	const bytes = Buffer.from(body);
	const cut = bytes.length >> 1;
	const head = `POST ${pathname}${search} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: ${bytes.length}\r\n\r\n`;
	const connection = await sent(session.url, Buffer.concat([Buffer.from(head), bytes.subarray(0, cut)]));
	return {
		send: () => connection.socket.write(bytes.subarray(cut)),
		answered: () => waitFor(() => /^HTTP\/1\.1 (\d+) /.exec(connection.received())?.[1], { what: 'the answer of a slow POST' }),
	};
}

/* ---- which refusal comes first ---- */

const ORDER = [
	['an unknown transport with an unknown session', { transport: 'pigeon', sid: 'x' }, 'GET', 0],
	['an unknown transport by POST', { transport: 'pigeon' }, 'POST', 0],
	['an unknown transport with another protocol version', { transport: 'pigeon', EIO: '3' }, 'GET', 0],
	['a transport in capitals', { transport: 'POLLING' }, 'GET', 0],
	['a transport that is a word of JavaScript', { transport: '__proto__' }, 'GET', 0],
	['WebTransport', { transport: 'webtransport' }, 'GET', 0],
	['an unknown session by POST', { transport: 'polling', sid: 'x' }, 'POST', 1],
	['an unknown session by PUT', { transport: 'polling', sid: 'x' }, 'PUT', 1],
	['an unknown session with another protocol version', { transport: 'polling', sid: 'x', EIO: '3' }, 'GET', 1],
	['an unknown session of a word of JavaScript', { transport: 'polling', sid: '__proto__' }, 'GET', 1],
	['an unknown session of 4,000 characters', { transport: 'polling', sid: 'x'.repeat(4000) }, 'GET', 1],
	['a handshake by POST with another protocol version', { transport: 'polling', EIO: '3' }, 'POST', 2],
	['a handshake by DELETE', { transport: 'polling' }, 'DELETE', 2],
	['a WebSocket handshake without an upgrade and with another protocol version', { transport: 'websocket', EIO: '3' }, 'GET', 3],
	['protocol version 5', { transport: 'polling', EIO: '5' }, 'GET', 5],
	['protocol version 04', { transport: 'polling', EIO: '04' }, 'GET', 5],
	['an empty protocol version', { transport: 'polling', EIO: '' }, 'GET', 5],
];
for (const [what, query, method, code] of ORDER) {
	scenario(`${what} is answered ${refusalBody(code)}`, async () => {
		assertRefused(await http(endpoint(url(), query), { method }), code);
	});
}

const WS_REFUSED = [
	['an unknown transport', { transport: 'pigeon' }, 0],
	['an unknown session', { sid: 'x' }, 1],
	['no protocol version', { EIO: undefined }, 5],
	['protocol version 3', { EIO: '3' }, 5],
];
for (const [what, query, code] of WS_REFUSED) {
	scenario(`WebSocket: ${what} is answered ${refusalBody(code)}`, async () => {
		const { status, text } = await wsRefusal(url(), { query });
		assertRefused({ status, text }, code);
	});
}

const BAD_UPGRADES = [
	['with an old version', 'Upgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='],
	['without a key', 'Upgrade: websocket\r\nSec-WebSocket-Version: 13'],
	['with a key that is too short', 'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA'],
	['to another protocol', 'Upgrade: h2c\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='],
];
for (const [what, headers] of BAD_UPGRADES) {
	scenario(`a WebSocket handshake ${what} is refused, and so it is for a session, which goes on`, async () => {
		const session = await connected();
		for (const sid of ['', `&sid=${session.sid}`]) {
			const connection = tcp(url());
			connection.socket.write(`GET /socket.io/?EIO=4&transport=websocket${sid} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n${headers}\r\n\r\n`);
			await waitFor(() => /^HTTP\/1\.1 4\d\d /.test(connection.received()), { what: 'the refusal' });
		}
		await assertEcho(session, 'not upgraded');
	});
}

const ACCEPTED = [
	['an empty session id', 'EIO=4&transport=polling&sid='],
	['percent-encoded values', 'EIO=%34&transport=%70ollin%67'],
	['words of others beside its own', 'a=b&&t=x1&EIO=4&=&b64=1&transport=polling&c'],
];
for (const [what, query] of ACCEPTED) {
	scenario(`a handshake with ${what} is accepted`, async () => {
		const answer = await http(`${url()}/socket.io/?${query}`);
		assert.equal(answer.status, 200);
		assert.match(answer.text, /^0\{"sid":"/);
	});
}

const MISMATCHES = [
	['without the protocol version', { EIO: undefined, transport: 'polling' }],
	['with another protocol version', { EIO: '3', transport: 'polling' }],
	['with the WebSocket transport and no upgrade', { transport: 'websocket' }],
];
for (const [what, query] of MISMATCHES) {
	scenario(`a request of a session ${what} is a bad request, and the session goes on`, async () => {
		const session = await connected();
		for (const method of ['GET', 'POST'])
			assertRefused(await http(endpoint(url(), { ...query, sid: session.sid }), { method, body: method === 'POST' ? '42["message"]' : undefined }), 3);
		await assertEcho(session, 'as before');
	});
}

scenario('a long-polling request of a WebSocket session is a bad request, and the session goes on', async () => {
	const socket = await Raw.join(url());
	const sid = socket.handshake.sid;
	for (const method of ['GET', 'POST'])
		assertRefused(await http(endpoint(url(), { transport: 'polling', sid }), { method, body: method === 'POST' ? '41' : undefined }), 3);
	await socket.next();
	await assertSocketEcho(socket, 'as before');
});

scenario('another method on a session is refused, and the session goes on', async () => {
	const session = await connected();
	for (const method of ['PUT', 'DELETE', 'PATCH', 'HEAD'])
		assert.ok((await http(session.url, { method })).status >= 400, method);
	await assertEcho(session, 'as before');
});

scenario('every answer of a session may be read by a page of a listed origin, refusals too', async () => {
	const headers = { origin: ORIGIN };
	const handshake = await http(endpoint(url(), { transport: 'polling' }), { headers });
	const at = endpoint(url(), { transport: 'polling', sid: JSON.parse(handshake.text.slice(1)).sid });
	const post = await http(at, { method: 'POST', body: '40', headers });
	const poll = await http(at, { headers });
	const broken = await http(at, { method: 'POST', body: 'x', headers });
	const unknown = await http(at, { headers });
	assert.deepEqual([post.status, poll.status, unknown.status], [200, 200, 400]);
	for (const answer of [handshake, post, poll, broken, unknown]) {
		assert.equal(answer.headers.get('access-control-allow-origin'), ORIGIN);
		assert.equal(answer.headers.get('access-control-allow-credentials'), 'true');
	}
	const preflight = await http(at, { method: 'OPTIONS', headers: { ...headers, 'access-control-request-method': 'POST' } });
	assert.equal(preflight.headers.get('access-control-allow-origin'), ORIGIN);
	assert.ok(preflight.status < 300);
});

/* ---- payloads ---- */

const placeholder = (num) => `{"_placeholder":true,"num":${num}}`;

scenario('one POST with five hundred packets of all kinds is answered in order', async () => {
	const session = await connected();
	const sent = [];
	const wanted = [];
	for (let i = 0; i < 500; i++) {
		const bytes = Buffer.from([i & 255, i >> 8, 0xff]);
		if (i % 5 === 0)
			sent.push('3'); /* a pong, or a noop: nothing comes back */
		else if (i % 5 === 1)
			sent.push('6');
		else if (i % 5 === 2)
			sent.push(`451-["message",${i},${placeholder(0)}]`, toBase64(bytes)) && wanted.push(`451-["message-back",${i},${placeholder(0)}]`, toBase64(bytes));
		else if (i % 5 === 3)
			sent.push(`42${i}["message-with-ack",${i}]`) && wanted.push(`43${i}[${i}]`);
		else
			sent.push(`42["message","${i}"]`) && wanted.push(`42["message-back","${i}"]`);
	}
	const { status, text } = await session.post(sent.join(SEPARATOR));
	assert.deepEqual([status, text], [200, 'ok']);
	assert.deepEqual(await session.packets(wanted.length), wanted);
});

scenario('attachments of every length and byte come back as the same base64', async () => {
	const session = await connected();
	const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
	const attachments = [Buffer.alloc(0), ...Array.from({ length: 5 }, (_, i) => all.subarray(250 - i)), all, Buffer.from([0xfb, 0xff, 0xbf])].map(toBase64);
	const args = attachments.map((_, i) => placeholder(i));
	await session.post([`45${args.length}-["message",${args}]`, ...attachments].join(SEPARATOR));
	assert.deepEqual(await session.packets(1 + args.length), [`45${args.length}-["message-back",${args}]`, ...attachments]);
});

scenario('no answer begins or ends with a separator or holds an empty packet', async () => {
	const session = await connected();
	const found = [];
	for (let i = 0; i < 20; i++)
		await session.post(Array.from({ length: i }, (_, k) => `42["message",${i},${k}]`).concat('6').join(SEPARATOR));
	while (found.length < 190) {
		const { text } = await session.get();
		assert.ok(text.split(SEPARATOR).every((packet) => packet.length > 1), JSON.stringify(text.slice(0, 100)));
		found.push(...text.split(SEPARATOR));
	}
	assert.equal(found.length, 190);
});

scenario('more than fits one answer is given by several polls, whole and in order', async () => {
	const session = await connected();
	const piece = 'x'.repeat(90_000);
	for (let i = 0; i < 3; i++)
		assert.equal((await session.post(Array.from({ length: 10 }, (_, k) => `42["message",${i * 10 + k},"${piece}"]`).join(SEPARATOR))).status, 200);
	const found = await session.packets(30);
	assert.deepEqual(found.map((packet) => JSON.parse(packet.slice(2)).slice(1)), Array.from({ length: 30 }, (_, i) => [i, piece]));
});

const BAD_PAYLOADS = [
	['a separator in front', `${SEPARATOR}42["message","x"]`],
	['a separator behind', `42["message","x"]${SEPARATOR}`],
	['two separators', `42["message","x"]${SEPARATOR}${SEPARATOR}42["message","y"]`],
	['nothing but a separator', SEPARATOR],
	['a separator within a string', `42["message","a${SEPARATOR}b"]`],
	['a ping', '2'],
	['a probe', '2probe'],
	['base64 that nothing announced behind an event', `42["message","x"]${SEPARATOR}bAQID`],
	['text in the place of base64', `451-["message",${placeholder(0)}]${SEPARATOR}4AQID`],
	['no UTF-8', Buffer.from([0x34, 0x32, 0x5b, 0x22, 0xff, 0x22, 0x5d])],
	['a zero byte', '42["message","\0"]'],
];
for (const [what, body] of BAD_PAYLOADS) {
	scenario(`a payload with ${what} ends the session and no other`, async () => {
		const [session, other] = await Promise.all([connected(), connected()]);
		await session.post(body);
		await assertOver(session);
		await assertEcho(other, 'unharmed');
	});
}

scenario('what stands before a close packet is worked on, what stands behind it is not', async () => {
	const [session, other] = await Promise.all([connected(), connected()]);
	for (const each of [session, other]) {
		await each.post('421["room:join",{"room":"closing"}]');
		assert.deepEqual(await each.packets(1), ['431[{"ok":true}]']);
	}
	const send = (n) => `42["room:send",{"room":"closing","n":${n}}]`;
	await session.post([send(1), send(2), '1', send(3)].join(SEPARATOR));
	assert.deepEqual(await other.packets(2), [1, 2].map((n) => `42["room:msg",{"room":"closing","n":${n}}]`));
	await assertOver(session);
	await assertEcho(other, 'nothing more');
});

/* ---- requests at the same time ---- */

scenario('a poll is answered while a POST of the same session is still coming', async () => {
	const [session, other] = await Promise.all([connected(), connected()]);
	for (const each of [session, other]) {
		await each.post('421["room:join",{"room":"slow"}]');
		assert.deepEqual(await each.packets(1), ['431[{"ok":true}]']);
	}
	const post = await slowPost(session, '42["message","late"]');
	const poll = session.packets(1);
	await other.post('42["room:send",{"room":"slow"}]');
	assert.deepEqual(await poll, ['42["room:msg",{"room":"slow"}]']);
	post.send();
	assert.equal(await post.answered(), '200');
	assert.deepEqual(await session.packets(1), ['42["message-back","late"]']);
});

scenario('a poll that waits does not hold up a POST, and brings its answer', async () => {
	const session = await connected();
	const poll = session.packets(1);
	assert.equal((await session.post('42["message","x"]')).status, 200);
	assert.deepEqual(await poll, ['42["message-back","x"]']);
});

scenario('two POSTs at the same time are each worked on whole, or the session ends', async () => {
	const session = await connected();
	const post = await slowPost(session, `42["message",1]${SEPARATOR}42["message",2]`);
	const second = await session.post(`42["message",3]${SEPARATOR}42["message",4]`);
	if (second.status !== 200) {
		await assertOver(session);
		return;
	}
	post.send();
	assert.equal(await post.answered(), '200');
	assert.deepEqual(await session.packets(4), [3, 4, 1, 2].map((n) => `42["message-back",${n}]`));
});

scenario('a poll whose client goes away ends the session', async () => {
	const session = await connected();
	(await pollUnderWay(session)).close();
	await waitFor(async () => (await session.post('6')).status === 400, { what: 'the session to be over' });
	assertRefused(await session.get(), 1);
});

/* ---- heartbeats ---- */

both('pongs nobody asked for do no harm', async (transport) => {
	const one = await joined(url(), transport);
	one.send('3', '3', '3probe', '42["message","x"]');
	assert.equal(await one.next(), '42["message-back","x"]');
});

both('a ping by the client ends the session', async (transport) => {
	const one = await joined(url(), transport);
	one.send('2');
	await one.end();
});

both('heartbeats answered over five intervals keep a busy session', async (transport) => {
	const one = await talk(fixture.beating.url, transport);
	await join(one);
	const end = Date.now() + 5 * PING_INTERVAL_MS;
	for (let i = 0; Date.now() < end; i++) {
		one.send(`42["message",${i}]`);
		assert.equal(await one.next(), `42["message-back",${i}]`);
	}
});

scenario('a session that is never polled is over after interval and timeout', async () => {
	const session = await Polling.open(fixture.beating.url);
	const opened = Date.now();
	await waitFor(async () => (await session.post('6')).status === 400, { what: 'the session to be over' });
	assert.ok(Date.now() - opened >= PING_INTERVAL_MS + PING_TIMEOUT_MS - 50);
	assertRefused(await session.get(), 1);
	assertRefused(await session.post('3'), 1);
});

scenario('an event is no pong: without one the connection is closed', async () => {
	const socket = await Raw.join(fixture.beating.url, { pong: false });
	await socket.next((packet) => packet === '2');
	let open = true;
	const closed = socket.end().then(() => { open = false; });
	while (open) {
		socket.send('42["message","x"]');
		await Promise.race([closed, socket.next((packet) => packet.startsWith('42["message-back"')).catch(() => {})]);
	}
});

/* ---- the end of a session ---- */

scenario('long-polling: the server ends a session by a close packet to the poll that waits', async () => {
	const session = await Polling.open(url()); /* sends no CONNECT */
	const { status, text } = await session.get();
	assert.deepEqual([status, text], [200, '1']);
	assertRefused(await session.get(), 1);
	assertRefused(await session.post('40'), 1);
});

scenario('WebSocket: the session of a socket that was closed is unknown', async () => {
	const socket = await Raw.join(url());
	const { sid } = socket.handshake;
	socket.close();
	await waitFor(async () => (await http(endpoint(url(), { transport: 'polling', sid }))).json.code === 1, { what: 'the session to be over' });
});

scenario('WebSocket: a text that is no UTF-8 closes the connection', async () => {
	const socket = await Raw.join(url());
	socket.socket.send(Buffer.from([0x34, 0x32, 0x5b, 0x22, 0xff, 0x22, 0x5d]), { binary: false });
	await socket.end();
});

scenario('WebSocket: an empty text closes the connection', async () => {
	const socket = await Raw.join(url());
	socket.socket.send('');
	await socket.end();
});

scenario('after an upgrade a close packet ends the session for both transports', async () => {
	const { session, socket } = await upgraded();
	await assertSocketEcho(socket, 'over');
	socket.send('1');
	await socket.end();
	await waitFor(async () => (await session.get()).json.code === 1, { what: 'the session to be over' });
});

scenario('a close packet by POST while an upgrade is under way closes the WebSocket, too', async () => {
	const session = await connected(fixture.hasty.url);
	const socket = await probed(session, fixture.hasty.url);
	assert.equal((await session.post('1')).status, 200);
	await socket.end();
	assertRefused(await session.get(), 1);
});

/* ---- the upgrade ---- */

scenario('the upgrade: messages to the client, sent while it is under way, arrive once and in order', async () => {
	const [session, sender] = await Promise.all([connected(), Raw.join(url())]);
	await session.post('421["room:join",{"room":"upgrading"}]');
	assert.deepEqual(await session.packets(1), ['431[{"ok":true}]']);
	sender.send('421["room:join",{"room":"upgrading"}]');
	await sender.next((packet) => packet.startsWith('431'));
	let stop = false;
	let sent = 0;
	const sending = (async () => {
		while (!stop || sent < 300) {
			for (let i = 0; i < 10; i++)
				sender.send(`42["room:send",{"room":"upgrading","n":${sent++}}]`);
			sender.send('422["message-with-ack"]');
			await sender.next((packet) => packet.startsWith('432'));
		}
	})();
	const found = [];
	const take = (packets) => found.push(...packets.filter((packet) => packet.startsWith('42')).map((packet) => JSON.parse(packet.slice(2))[1].n));
	const poll = async () => take((await session.get()).text.split(SEPARATOR));
	for (let i = 0; i < 5; i++)
		await poll();
	const socket = await candidate(session);
	socket.send('2probe');
	const answered = socket.next();
	await poll();
	assert.equal(await answered, '3probe');
	await poll();
	socket.send('5');
	while (found.length < 200)
		take([await socket.next()]);
	stop = true;
	await sending;
	while (found.length < sent)
		take([await socket.next((packet) => packet.startsWith('42'))]);
	assert.deepEqual(found, Array.from({ length: sent }, (_, i) => i));
});

scenario('the upgrade: messages by the client, the last by POST and the first over WebSocket, keep their order', async () => {
	const session = await connected();
	const socket = await candidate(session);
	const numbers = Array.from({ length: 40 }, (_, i) => i);
	const packets = numbers.map((n) => `42["message",${n}]`);
	await session.post(packets.slice(0, 10).join(SEPARATOR));
	socket.send('2probe');
	await session.post(packets.slice(10, 20).join(SEPARATOR));
	assert.equal(await socket.next(), '3probe');
	await session.post(packets.slice(20, 30).join(SEPARATOR));
	for (const packet of ['5', ...packets.slice(30)])
		socket.send(packet);
	for (const n of numbers)
		assert.equal(await socket.next((packet) => packet !== '6'), `42["message-back",${n}]`);
});

scenario('the upgrade: a packet with an attachment passes over both sides of it', async () => {
	const session = await connected();
	const socket = await probed(session);
	await session.post([`451-["message",${placeholder(0)}]`, toBase64(Buffer.from('by POST'))].join(SEPARATOR));
	for (const packet of ['5', `451-["message",${placeholder(0)}]`, Buffer.from('by WebSocket')])
		socket.send(packet);
	for (const bytes of ['by POST', 'by WebSocket']) {
		assert.equal(await socket.next((packet) => packet !== '6'), `451-["message-back",${placeholder(0)}]`);
		assert.deepEqual(await socket.next(), Buffer.from(bytes));
	}
});

scenario('the upgrade: a poll that waits is answered by its end', async () => {
	const session = await connected();
	const socket = await candidate(session);
	const poll = await pollUnderWay(session);
	socket.send('2probe');
	assert.equal(await socket.next(), '3probe');
	socket.send('5');
	await pollAnswered(poll, '6');
	await assertSocketEcho(socket, 'over');
});

scenario('the upgrade: polls and POSTs of the session are refused afterwards', async () => {
	const { session, socket } = await upgraded();
	await assertSocketEcho(socket, 'over');
	for (const answer of [await session.get(), await session.post('42["message","x"]')])
		assertRefused(answer, answer.json?.code === 1 ? 1 : 3); /* an edge that has handed it on does not know it any more */
	await assertSocketEcho(socket, 'nothing came of it');
});

scenario('the upgrade: heartbeats go on over the WebSocket', async () => {
	const { socket } = await upgraded(fixture.beating.url, { pong: false });
	for (let i = 0; i < 3; i++) {
		assert.equal(await socket.next((packet) => packet === '2'), '2');
		socket.send('3');
	}
	await assertSocketEcho(socket, 'alive');
	assert.equal(await socket.next((packet) => packet === '2'), '2');
	await socket.end(); /* no pong */
});

const GARBAGE = [
	['a pong', '3probe'],
	['a ping that is no probe', '2'],
	['another probe', '2prob'],
	['a message', '42["message","x"]'],
	['a close packet', '1'],
	['text that is no packet', 'garbage'],
	['a binary message', Buffer.from('2probe')],
];
for (const [what, packet] of GARBAGE) {
	scenario(`the upgrade: ${what} in the place of the probe, and behind it, closes the WebSocket, the session goes on`, async () => {
		const session = await connected();
		const first = await candidate(session);
		first.send(packet);
		await first.end();
		const second = await probed(session);
		second.send(packet);
		await second.end();
		await assertEcho(session, 'carry on');
		const third = await probed(session);
		third.send('5');
		await assertSocketEcho(third, 'third time');
	});
}

scenario('the upgrade: one that stands still is closed after its time, before and behind the probe, the session goes on', async () => {
	const at = fixture.hasty.url;
	const session = await connected(at);
	const begun = Date.now();
	const silent = await candidate(session, at);
	await silent.end();
	assert.ok(Date.now() - begun >= HANDSHAKE_TIMEOUT_MS - 100, 'not before its time');
	const halfway = await probed(session, at);
	await halfway.end();
	await assertEcho(session, 'carry on');
	const { socket } = await upgraded(at);
	await assertSocketEcho(socket, 'another one');
});

scenario('the upgrade: a finished one is not closed by the time for it', async () => {
	const at = fixture.hasty.url;
	const { socket } = await upgraded(at);
	const later = await Polling.open(at);
	await (await candidate(later, at)).end(); /* the time of an upgrade has passed */
	await assertSocketEcho(socket, 'still here');
});

scenario('the upgrade: a second WebSocket beside one under way is closed, the first takes over', async () => {
	const session = await connected();
	const first = await probed(session);
	const second = await candidate(session);
	second.send('2probe');
	await second.end();
	first.send('5');
	await assertSocketEcho(first, 'first come');
});

scenario('the upgrade: a second WebSocket for a session that began as one is closed, the first goes on', async () => {
	const first = await Raw.join(url());
	await first.next();
	const second = await candidate(first.handshake);
	second.send('2probe');
	await second.end();
	await assertSocketEcho(first, 'still here');
});

scenario('the upgrade: refused by origin it is answered 403 and the session goes on', async () => {
	const session = await connected();
	const { status, text } = await wsRefusal(url(), { query: { sid: session.sid }, origin: 'https://evil.example' });
	assertRefused({ status, text }, 4);
	await assertEcho(session, 'carry on');
});

scenario('the upgrade: the end of the session while it is under way closes the WebSocket', async () => {
	const at = fixture.abrupt.url;
	const session = await Polling.open(at); /* sends no CONNECT: ended by the connect timeout */
	const socket = await probed(session, at);
	await socket.end();
	await waitFor(async () => (await session.post('6')).status === 400, { what: 'the session to be over' });
	assertRefused(await session.get(), 1);
});

/* ---- maxPayload ---- */

scenario('long-polling: a body over the limit is answered 413 and the session goes on', async () => {
	const session = await connected(fixture.hasty.url);
	assert.equal((await session.post('x'.repeat(MAX_PAYLOAD + 1))).status, 413);
	await assertEcho(session, 'carry on');
});

scenario('WebSocket: an attachment of the limit passes, one byte more closes the connection', async () => {
	const socket = await Raw.join(fixture.hasty.url);
	await socket.next();
	for (const [bytes, passes] of [[MAX_PAYLOAD, true], [MAX_PAYLOAD + 1, false]]) {
		socket.send(`451-["message",${placeholder(0)}]`);
		socket.send(Buffer.alloc(bytes, 7));
		if (!passes)
			break;
		assert.equal(await socket.next(), `451-["message-back",${placeholder(0)}]`);
		assert.equal((await socket.next()).length, bytes);
	}
	await socket.end();
});

scenario('WebSocket: ten attachments that together are over the limit pass', async () => {
	const socket = await Raw.join(fixture.hasty.url);
	await socket.next();
	socket.send(`4510-["message",${Array.from({ length: 10 }, (_, i) => placeholder(i))}]`);
	for (let i = 0; i < 10; i++)
		socket.send(Buffer.alloc(MAX_PAYLOAD / 2, i));
	assert.match(await socket.next(), /^4510-\["message-back",/);
	for (let i = 0; i < 10; i++)
		assert.ok(Buffer.alloc(MAX_PAYLOAD / 2, i).equals(await socket.next()));
});
