// SPDX-License-Identifier: Apache-2.0
/* chat: the handshake of a plain WebSocket, judged before it is answered; heartbeat; limits of the connection. */
import assert from 'node:assert/strict';
import { now, Roomwire, scenario, sign, useFixture, waitFor } from './harness.mjs';
import { dialPlain, refusedPlain } from './lib/plain.mjs';

const fixture = useFixture(async (things) => {
	things.rw = await new Roomwire({ profile: 'chat', env: { MAX_CONNECTIONS_PER_USER: '2', MAX_PAYLOAD: '60000' } }).start();
	things.beating = await new Roomwire({ profile: 'chat', env: { PING_INTERVAL_MS: '300', PING_TIMEOUT_MS: '2000' } }).start();
	things.listed = await new Roomwire({ profile: 'chat', env: { CORS_ORIGINS: 'https://a.example', MAX_CONNECTIONS_PER_ADDRESS: '2' } }).start();
});
const url = () => fixture.rw.url;
let users = 0;
const token = (claims) => fixture.rw.token({ sub: `u${users++}`, ...claims });

for (const path of ['/', '/ws', '/ws/']) {
	scenario(`${path} takes the token of the query`, async () => {
		const client = await dialPlain(url(), { token: token(), path, welcomed: false });
		const { session, offset } = await client.next('welcome');
		assert.match(session, /^[\w-]{20}$/);
		assert.equal(typeof offset, 'string');
	});
	scenario(`${path} takes the token of the Authorization header`, async () => {
		await dialPlain(url(), { path, headers: { authorization: `Bearer ${token()}` } });
	});
}

const REFUSED = [
	['no token', 'AUTH_TOKEN_MISSING', () => undefined],
	['an expired token', 'AUTH_TOKEN_EXPIRED', () => token({ exp: now() - 60 })],
	['garbage', 'AUTH_TOKEN_INVALID', () => 'garbage'],
	['another secret', 'AUTH_TOKEN_INVALID', () => sign({ sub: 'u' }, 'another-secret-another-secret-0123')],
	['no sub', 'AUTH_TOKEN_INVALID', () => token({ sub: undefined })],
];
for (const [what, code, make] of REFUSED) {
	scenario(`${what} is answered 401 ${code} before the upgrade`, async () => {
		const { status, json, headers } = await refusedPlain(url(), { token: make() });
		assert.equal(status, 401);
		assert.equal(json.code, code);
		assert.equal(typeof json.message, 'string');
		assert.match(headers['content-type'], /^application\/json/);
	});
}

scenario('auth that does not answer is 503 AUTH_UNAVAILABLE, and connections go on', async () => {
	const client = await dialPlain(url(), { token: token() });
	const { pid } = fixture.rw.process('auth');
	process.kill(pid, 'SIGSTOP');
	try {
		const { status, json } = await refusedPlain(url(), { token: token() });
		assert.deepEqual([status, json.code], [503, 'AUTH_UNAVAILABLE']);
		await client.settled();
	} finally {
		process.kill(pid, 'SIGCONT');
	}
});

scenario('a WebSocket of an origin that is not listed is 403; of a listed one, or of none, it is taken', async () => {
	const rw = fixture.listed;
	const good = rw.token({ sub: 'u' });
	const { status, json } = await refusedPlain(rw.url, { token: good, origin: 'https://b.example' });
	assert.deepEqual([status, json.code], [403, 'FORBIDDEN']);
	for (const options of [{ origin: 'https://a.example' }, {}])
		(await dialPlain(rw.url, { token: good, ...options })).close();
});

scenario('without CORS_ORIGINS only the own host is an origin', async () => {
	assert.equal((await refusedPlain(url(), { token: token(), origin: 'https://b.example' })).status, 403);
	await dialPlain(url(), { token: token(), origin: url() });
});

scenario('one connection of a user too many is 429 with Retry-After', async () => {
	const mine = token({ sub: 'many' });
	const first = await dialPlain(url(), { token: mine });
	await dialPlain(url(), { token: mine });
	const { status, json, headers } = await refusedPlain(url(), { token: mine });
	assert.deepEqual([status, json.code], [429, 'TOO_MANY_CONNECTIONS']);
	assert.ok(Number(headers['retry-after']) >= 1);
	first.close();
	await waitFor(async () => dialPlain(url(), { token: mine }), { what: 'room for another one' });
});

scenario('one connection of an address too many is 429 with Retry-After', async () => {
	const { listed } = fixture;
	await waitFor(async () => await listed.metric('edge', 'roomwire_connections') === 0, { what: 'connections of before to be gone' });
	const clients = [await dialPlain(listed.url, { token: listed.token({ sub: 'a' }) }), await dialPlain(listed.url, { token: listed.token({ sub: 'b' }) })];
	const { status, headers } = await refusedPlain(listed.url, { token: listed.token({ sub: 'c' }) });
	assert.equal(status, 429);
	assert.ok(Number(headers['retry-after']) >= 1);
	clients.forEach((client) => client.close());
});

for (const path of ['/socket.io/?EIO=4&transport=polling', '/ws', '/other']) {
	scenario(`GET ${path} without an upgrade is no connection`, async () => {
		assert.equal((await fetch(url() + path)).status, 404);
	});
}

for (const path of ['/other', '/socket.io/?EIO=4&transport=websocket']) {
	scenario(`a WebSocket to ${path} is 404`, async () => {
		assert.equal((await refusedPlain(url(), { path })).status, 404);
	});
}

scenario('a handshake of another version is 400 with a reason', async () => {
	const { status, json } = await refusedPlain(url(), { token: token(), protocolVersion: 8 });
	assert.equal(status, 400);
	assert.equal(typeof json.message, 'string');
});

scenario('messages sent before the welcome are worked on in their order', async () => {
	const client = await dialPlain(url(), { token: token(), welcomed: false });
	client.say('join', { roomId: 'early' });
	client.say('ping');
	await client.next('pong');
	assert.deepEqual(client.inbox.all.map(({ type }) => type), ['welcome', 'room_update', 'pong']);
});

scenario('a client that answers pings stays, one that does not is closed', async () => {
	const { beating } = fixture;
	const own = (sub) => beating.token({ sub });
	const lively = await dialPlain(beating.url, { token: own('lively') });
	const deaf = await dialPlain(beating.url, { token: own('deaf'), autoPong: false });
	assert.equal((await deaf.end()).code, 1001, 'come again');
	await lively.settled();
	await waitFor(async () => await beating.metric('edge', 'roomwire_closed_total') === 1, { what: 'one to be counted' });
});

scenario('a token that ends is told and closes with 1008', async () => {
	const client = await dialPlain(url(), { token: token({ exp: now() - 25 }) });
	assert.equal((await client.next('error')).code, 'AUTH_TOKEN_EXPIRED');
	assert.equal((await client.end()).code, 1008);
});

scenario('a binary message is worked on as text; one that is no UTF-8 is an error, and the connection stays', async () => {
	const client = await dialPlain(url(), { token: token() });
	client.raw(Buffer.from('{"type":"join","payload":{"roomId":"bin-ä"}}'), { binary: true });
	assert.deepEqual(await client.next('room_update'), { roomId: 'bin-ä', action: 'joined' });
	for (let n = 1; n <= 20; n++) {
		client.raw(Buffer.from([0x22, 0xc3, 0x28, 0x22]), { binary: true });
		assert.equal((await client.next('error')).code, 'INVALID_PAYLOAD');
		if (n === 1)
			await client.settled();
	}
	assert.equal((await client.end()).code, 1008, 'it counts as malformed');
});

scenario('a message over the limit closes with 1009', async () => {
	const client = await dialPlain(url(), { token: token() });
	client.raw(JSON.stringify({ type: 'ping', pad: 'x'.repeat(60_000) }));
	assert.equal((await client.end()).code, 1009);
});

scenario('text that is no UTF-8 closes with 1007', async () => {
	const client = await dialPlain(url(), { token: token() });
	client.socket._sender.sendFrame([Buffer.from([0x81, 0x84, 0, 0, 0, 0]), Buffer.from([0x22, 0xc3, 0x28, 0x22])]);
	assert.equal((await client.end()).code, 1007);
});

scenario('clients that leave before their handshake is answered leave nothing behind', async () => {
	const { pid } = fixture.rw.process('auth');
	process.kill(pid, 'SIGSTOP');
	try {
		const leavers = [];
		for (let i = 0; i < 5; i++)
			leavers.push(dialPlain(url(), { token: token(), handshakeTimeout: 200 }).catch(() => {}));
		await Promise.all(leavers);
	} finally {
		process.kill(pid, 'SIGCONT');
	}
	await waitFor(async () => await fixture.rw.metric('edge', 'roomwire_connections') === 0, { what: 'no connection to be left' });
	await dialPlain(url(), { token: token() });
});
