// SPDX-License-Identifier: Apache-2.0
/* Which web pages may connect: CORS_ORIGINS as a list, as "*", and unset. */
import assert from 'node:assert/strict';
import { endpoint, http, Raw, Roomwire, scenario, useFixture, within, wsRefusal } from './harness.mjs';

const GOOD = 'https://app.example';
const EVIL = 'https://evil.example';

const fixture = useFixture(async (things) => {
	for (const [name, origins] of [['listed', `${GOOD},http://localhost:5173`], ['any', '*'], ['unset', null]]) {
		things[name] = new Roomwire({ profile: 'conformance', env: { CORS_ORIGINS: origins } });
		await things[name].start();
	}
});
const polling = (name) => endpoint(fixture[name].url, { transport: 'polling' });
const header = (answer, word) => answer.headers.get(`access-control-allow-${word}`);

scenario('a listed origin may read answers, with credentials', async () => {
	const answer = await http(polling('listed'), { headers: { origin: GOOD } });
	assert.equal(answer.status, 200);
	assert.equal(header(answer, 'origin'), GOOD);
	assert.equal(header(answer, 'credentials'), 'true');
	assert.match(answer.headers.get('vary') ?? '', /\borigin\b/i);
});

scenario('an origin that is not listed gets no CORS headers', async () => {
	const answer = await http(polling('listed'), { headers: { origin: EVIL } });
	assert.notEqual(header(answer, 'origin'), EVIL);
	assert.notEqual(header(answer, 'origin'), '*');
});

scenario('a preflight of a listed origin is answered with methods and the headers asked for', async () => {
	const answer = await http(polling('listed'), {
		method: 'OPTIONS',
		headers: {
			origin: GOOD,
			'access-control-request-method': 'POST',
			'access-control-request-headers': 'authorization,content-type',
		},
	});
	assert.ok([200, 204].includes(answer.status), `status ${answer.status}`);
	assert.equal(header(answer, 'origin'), GOOD);
	assert.match(header(answer, 'methods'), /POST/);
	assert.match(header(answer, 'headers'), /authorization/i);
	assert.match(header(answer, 'headers'), /content-type/i);
});

scenario('with "*" every origin may read answers, without credentials', async () => {
	const answer = await http(polling('any'), { headers: { origin: EVIL } });
	assert.equal(header(answer, 'origin'), '*');
	assert.equal(header(answer, 'credentials'), null);
});

scenario('unset, there are no CORS headers', async () => {
	const answer = await http(polling('unset'), { headers: { origin: GOOD } });
	assert.equal(header(answer, 'origin'), null);
});

scenario('an error is readable by the page it is for', async () => {
	const answer = await http(endpoint(fixture.listed.url, { transport: 'pigeon' }), { headers: { origin: GOOD } });
	assert.equal(answer.status, 400);
	assert.equal(header(answer, 'origin'), GOOD);
});

const HANDSHAKES = [
	['listed', GOOD, true],
	['listed', EVIL, false],
	['listed', 'null', false],
	['any', EVIL, true],
	['unset', EVIL, false],
];
for (const [name, origin, accepted] of HANDSHAKES) {
	scenario(`a WebSocket from ${origin} is ${accepted ? 'accepted' : 'refused with 403'} when origins are ${name}`, async () => {
		if (accepted) {
			await Raw.open(fixture[name].url, { origin });
			return;
		}
		const { status, text } = await wsRefusal(fixture[name].url, { origin });
		assert.equal(status, 403);
		assert.deepEqual(JSON.parse(text), { code: 4, message: 'Forbidden' });
	});
}

scenario('unset, a WebSocket from the page the server itself serves is accepted', async () => {
	await Raw.open(fixture.unset.url, { origin: fixture.unset.url });
});

scenario('a client that is no browser sends no origin and is accepted', async () => {
	for (const name of ['listed', 'any', 'unset'])
		await within(Raw.open(fixture[name].url), { what: `a WebSocket without origin where origins are ${name}` });
});
