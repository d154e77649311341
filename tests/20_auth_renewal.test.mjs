// SPDX-License-Identifier: Apache-2.0
/* A connection outlives its token only by renewal. */
import assert from 'node:assert/strict';
import { connect, now, scenario, useRoomwire } from './harness.mjs';

const fixture = useRoomwire({ profile: 'opsdesk' });
const token = (claims) => fixture.rw.token({ sub: 'u1', roles: ['agent'], ...claims });
const signedIn = (claims) => connect(fixture.rw.url, { token: token(claims) });
const LEEWAY_S = 30;

/* Seconds, whatever form the server gives a time in. */
const seconds = (expiresAt) => (typeof expiresAt === 'string' ? Date.parse(expiresAt) / 1000
	: expiresAt > 1e11 ? expiresAt / 1000 : expiresAt);

scenario('a token with less than a minute left brings token:refresh at once', async () => {
	const exp = now() + 40;
	const client = await signedIn({ exp });
	const { expiresAt } = await client.next('token:refresh');
	assert.equal(Math.round(seconds(expiresAt)), exp);
});

scenario('token:refresh comes 60 s before exp', async () => {
	const exp = now() + 63;
	const client = await signedIn({ exp });
	await client.next('token:refresh');
	const left = exp - Date.now() / 1000;
	assert.ok(left > 50 && left <= 60.5, `${left} s left`);
});

scenario('token:update with a good token answers token:updated and the ack', async () => {
	const client = await signedIn({ exp: now() + 40 });
	const exp = now() + 7200;
	assert.deepEqual(await client.ask('token:update', { token: token({ exp }) }), { ok: true });
	assert.equal(Math.round(seconds((await client.next('token:updated')).expiresAt)), exp);
});

scenario('token:update without an ack answers token:updated alone', async () => {
	const client = await signedIn();
	client.emit('token:update', { token: token() });
	await client.next('token:updated');
	client.assertNone('error');
});

const BAD_UPDATES = [
	['of another user', () => ({ token: token({ sub: 'u2' }) })],
	['that is no JWT', () => ({ token: 'not-a-token' })],
	['that expired', () => ({ token: token({ exp: now() - 60 }) })],
];
for (const [what, body] of BAD_UPDATES) {
	scenario(`token:update with a token ${what} is refused and the connection stays`, async () => {
		const client = await signedIn();
		client.emit('token:update', body());
		const { code } = await client.next('error');
		assert.match(code, /^AUTH_TOKEN_(INVALID|EXPIRED)$/);
		const answer = await client.ask('token:update', body());
		assert.notEqual(answer.ok, true);
		assert.deepEqual(await client.ask('token:update', { token: token() }), { ok: true });
		client.assertNone('@disconnect');
	});
}

scenario('token:update with another user\'s token says AUTH_TOKEN_INVALID', async () => {
	const client = await signedIn();
	client.emit('token:update', { token: token({ sub: 'u2' }) });
	assert.equal((await client.next('error')).code, 'AUTH_TOKEN_INVALID');
});

for (const args of [[], [null], ['text'], [{}], [{ token: 7 }]]) {
	scenario(`token:update with ${JSON.stringify(args)} is refused and the connection stays`, async () => {
		const client = await signedIn();
		client.emit('token:update', ...args);
		assert.match((await client.next('error')).code, /^(INVALID_PAYLOAD|AUTH_TOKEN_(INVALID|MISSING))$/);
		assert.deepEqual(await client.ask('token:update', { token: token() }), { ok: true });
	});
}

scenario('not renewed, the client gets AUTH_TOKEN_EXPIRED and is disconnected at exp and leeway', async () => {
	const exp = now() - LEEWAY_S + 6;
	const client = await signedIn({ exp });
	assert.equal((await client.next('error')).code, 'AUTH_TOKEN_EXPIRED');
	assert.equal(await client.next('@disconnect'), 'io server disconnect');
	const late = Date.now() / 1000 - (exp + LEEWAY_S);
	assert.ok(late > -1 && late < 8, `${late} s after exp and leeway`);
});

scenario('renewed in time, the client stays connected past the old exp and leeway', async () => {
	const oldEnd = now() + 6;
	const [renewed, other] = await Promise.all([
		signedIn({ exp: oldEnd - LEEWAY_S }),
		signedIn({ exp: oldEnd - LEEWAY_S }),
	]);
	assert.deepEqual(await renewed.ask('token:update', { token: token() }), { ok: true });
	await other.next('@disconnect');
	assert.deepEqual(await renewed.ask('token:update', { token: token() }), { ok: true });
	renewed.assertNone('@disconnect', 'error');
});
