// SPDX-License-Identifier: Apache-2.0
/* What one client may send, how long it may take, and what the settings change. */
import assert from 'node:assert/strict';
import { connect, dial, endpoint, http, Polling, Raw, Roomwire, scenario, tcp, useFixture, waitFor, within } from './harness.mjs';

const MAX_PAYLOAD = 20_000;
const LIMITS = {
	MAX_PAYLOAD: String(MAX_PAYLOAD), CONNECT_TIMEOUT_MS: '700', HANDSHAKE_TIMEOUT_MS: '900',
	PING_INTERVAL_MS: '400', PING_TIMEOUT_MS: '5000',
};
const fixture = useFixture(async (things) => {
	things.normal = await new Roomwire({ profile: 'conformance', env: { PING_TIMEOUT_MS: '5000' } }).start();
	things.tight = await new Roomwire({ profile: 'conformance', env: LIMITS }).start();
});

const packetOf = (bytes) => `42["message","${'x'.repeat(bytes - '42["message",""]'.length)}"]`;

for (const [name, limit] of [['normal', 1_000_000], ['tight', MAX_PAYLOAD]]) {
	scenario(`WebSocket: a message of exactly ${limit} bytes passes`, async () => {
		const socket = await Raw.join(fixture[name].url);
		await socket.next();
		socket.send(packetOf(limit));
		const answer = await socket.next();
		assert.equal(answer.length, limit + '-back'.length);
	});

	scenario(`WebSocket: a message of more than ${limit} bytes closes the connection`, async () => {
		const socket = await Raw.join(fixture[name].url);
		socket.send(packetOf(limit + 1));
		await socket.end();
	});

	scenario(`long-polling: a body of exactly ${limit} bytes passes`, async () => {
		const session = await Polling.open(fixture[name].url);
		await session.post('40');
		assert.equal((await session.post(packetOf(limit))).status, 200);
	});

	scenario(`long-polling: a body of more than ${limit} bytes is answered 413`, async () => {
		const session = await Polling.open(fixture[name].url);
		await session.post('40');
		assert.equal((await session.post(packetOf(limit + 1))).status, 413);
	});
}

const HUGE = [
	['says its length', 'Content-Length: 900000000\r\n\r\n', 0],
	['comes in chunks', 'Transfer-Encoding: chunked\r\n\r\n', 4],
];
for (const [what, headers, chunks] of HUGE) {
	scenario(`a body over the limit that ${what} is refused before its end`, async () => {
		const { pathname, search } = new URL((await Polling.open(fixture.tight.url)).url);
		const connection = tcp(fixture.tight.url);
		connection.socket.write(`POST ${pathname}${search} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n${headers}`);
		const chunk = 'x'.repeat(MAX_PAYLOAD / 2);
		for (let i = 0; i < chunks; i++)
			connection.socket.write(`${chunk.length.toString(16)}\r\n${chunk}\r\n`);
		await waitFor(() => /^HTTP\/1\.1 413 /.test(connection.received()), { what: 'the answer 413' });
		await within(connection.ended, { what: 'the connection to be closed' });
	});
}

scenario('many messages that together are over the limit pass', async () => {
	const client = await connect(fixture.tight.url);
	for (let i = 0; i < 20; i++)
		client.emit('message', 'y'.repeat(5000));
	for (let i = 0; i < 20; i++)
		assert.equal((await client.next('message-back')).length, 5000);
});

scenario('a fragmented WebSocket message is counted as a whole', async () => {
	const socket = await Raw.join(fixture.tight.url);
	for (let i = 0; i < 4; i++)
		socket.socket.send('z'.repeat(MAX_PAYLOAD / 2), { fin: false });
	await socket.end();
});

scenario('the settings show in the handshake', async () => {
	const { handshake } = await Polling.open(fixture.tight.url);
	const { pingInterval, pingTimeout, maxPayload } = handshake;
	assert.deepEqual({ pingInterval, pingTimeout, maxPayload }, { pingInterval: 400, pingTimeout: 5000, maxPayload: MAX_PAYLOAD });
});

scenario('no CONNECT within CONNECT_TIMEOUT_MS closes a connection, a client that did is left alone', async () => {
	const client = await connect(fixture.tight.url);
	const opened = Date.now();
	const idle = await Raw.open(fixture.tight.url);
	await idle.end();
	assert.ok(Date.now() - opened >= 600);
	assert.equal(await client.ask('message-with-ack', 'alive'), 'alive');
});

scenario('a handshake that does not finish within HANDSHAKE_TIMEOUT_MS is closed, dripped or silent', async () => {
	const silent = tcp(fixture.tight.url);
	const dripped = tcp(fixture.tight.url);
	dripped.socket.write('GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n');
	const drip = setInterval(() => dripped.socket.writable && dripped.socket.write('X-Drip: 1\r\n'), 100);
	try {
		await within(Promise.all([silent.ended, dripped.ended]), { what: 'unfinished handshakes to be closed' });
	} finally {
		clearInterval(drip);
	}
});

scenario('heartbeats keep a quiet client connected over many intervals', async () => {
	const client = await connect(fixture.tight.url);
	let pings = 0;
	const enough = new Promise((resolve) => client.socket.io.engine.on('packet', ({ type }) => type === 'ping' && ++pings === 5 && resolve()));
	await within(enough, { what: 'five pings' });
	client.assertNone('@disconnect');
});

scenario('a client over the limit sees its transport close and may come back', async () => {
	const client = dial(fixture.tight.url, { reconnection: true, reconnectionDelay: 20 });
	await client.next('@connect');
	client.emit('message', 'x'.repeat(MAX_PAYLOAD * 2));
	assert.match(await client.next('@disconnect'), /transport (close|error)/);
	await client.next('@connect');
	assert.equal(await client.ask('message-with-ack', 'back'), 'back');
});

scenario('a HEAD or unknown method is answered and the server goes on', async () => {
	for (const method of ['HEAD', 'DELETE', 'PATCH']) {
		const { status } = await http(endpoint(fixture.normal.url, { transport: 'polling' }), { method });
		assert.ok(status >= 400 && status < 500, `${method} is answered ${status}`);
	}
	await connect(fixture.normal.url);
});
