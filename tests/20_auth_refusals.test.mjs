// SPDX-License-Identifier: Apache-2.0
/* Who may connect: every refusal of local mode, the leeway, and where a token may stand. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { connect, now, Raw, refusal, scenario, sign, useRoomwire, waitFor, withHeader } from './harness.mjs';

const fixture = useRoomwire({ profile: 'opsdesk', env: { LOG_LEVEL: 'debug' } });
const url = () => fixture.rw.url;
const good = (claims) => fixture.rw.token({ sub: 'u1', roles: ['agent'], ...claims });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048, privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
	publicKeyEncoding: { type: 'spki', format: 'pem' } });

const REFUSED = [
	['no token', 'AUTH_TOKEN_MISSING', () => undefined],
	['an empty token', 'AUTH_TOKEN_MISSING', () => ''],
	['a token that expired a minute ago', 'AUTH_TOKEN_EXPIRED', () => good({ exp: now() - 60 })],
	['no JWT at all', 'AUTH_TOKEN_INVALID', () => 'not-a-token'],
	['three empty parts', 'AUTH_TOKEN_INVALID', () => '..'],
	['another secret', 'AUTH_TOKEN_INVALID', () => sign({ sub: 'u1' }, 'another-secret-another-secret-0123')],
	['an empty secret', 'AUTH_TOKEN_INVALID', () => withHeader(good(), { alg: 'HS256' }).replace(/[^.]+$/, '')],
	['a token both expired and wrongly signed', 'AUTH_TOKEN_INVALID', () => sign({ sub: 'u1', exp: now() - 60 }, 'another-secret')],
	['a payload that was changed', 'AUTH_TOKEN_INVALID', () => {
		const [header, , signature] = good().split('.');
		return `${header}.${good({ sub: 'u2' }).split('.')[1]}.${signature}`;
	}],
	['alg none without a signature', 'AUTH_TOKEN_INVALID', () => sign({ sub: 'u1' }, '', { algorithm: 'none' })],
	['alg none over a good signature', 'AUTH_TOKEN_INVALID', () => withHeader(good(), { alg: 'none', typ: 'JWT' })],
	['an RS256 header over a good HS256 signature', 'AUTH_TOKEN_INVALID', () => withHeader(good(), { alg: 'RS256', typ: 'JWT' })],
	['a token really signed with RS256', 'AUTH_TOKEN_INVALID', () => sign({ sub: 'u1' }, rsa.privateKey, { algorithm: 'RS256' })],
	['HS512 with the right secret', 'AUTH_TOKEN_INVALID', () => sign({ sub: 'u1' }, fixture.rw.secret, { algorithm: 'HS512' })],
	['no header algorithm', 'AUTH_TOKEN_INVALID', () => withHeader(good(), { typ: 'JWT' })],
	['no sub', 'AUTH_TOKEN_INVALID', () => good({ sub: undefined })],
	['a sub that is no text', 'AUTH_TOKEN_INVALID', () => fixture.rw.token({ sub: undefined, roles: [] })],
	['no exp', 'AUTH_TOKEN_INVALID', () => good({ exp: undefined })],
	['an nbf in two minutes', 'AUTH_TOKEN_INVALID', () => good({ nbf: now() + 120 })],
	['text after the signature', 'AUTH_TOKEN_INVALID', () => `${good()}.more`],
	['a token of 100,000 characters', 'AUTH_TOKEN_INVALID', () => good({ filler: 'x'.repeat(100_000) })
		.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))],
];
for (const [what, code, token] of REFUSED) {
	scenario(`CONNECT with ${what} is refused with ${code}`, async () => {
		const error = await refusal(url(), { token: token() });
		assert.deepEqual([error.message, error.data], [code, { code }]);
	});
}

scenario('a token that is no text is refused and the server goes on', async () => {
	for (const token of [7, null, { token: 'x' }, ['x'], true]) {
		const { message } = await refusal(url(), { auth: { token } });
		assert.match(message, /^AUTH_TOKEN_(MISSING|INVALID)$/);
	}
	await connect(url(), { token: good() });
});

const LEEWAY = [
	['expired 20 s ago', { exp: now() - 20 }],
	['becomes valid in 20 s', { nbf: now() + 20 }],
];
for (const [what, claims] of LEEWAY) {
	scenario(`a token that ${what} is within the leeway of 30 s`, async () => {
		await connect(url(), { token: good(claims) });
	});
}

const SOURCES = [
	['auth.token', (token) => ({ token })],
	['the Authorization header', (token) => ({ extraHeaders: { authorization: `Bearer ${token}` } })],
	['an authorization header in another case', (token) => ({ extraHeaders: { AUTHORIZATION: `bearer ${token}` } })],
	['the query', (token) => ({ query: { token } })],
];
for (const transports of [['websocket'], ['polling']]) {
	for (const [what, options] of SOURCES) {
		scenario(`a token in ${what} is taken (${transports})`, async () => {
			await connect(url(), { transports, ...options(good()) });
		});
	}
}

const bad = 'not-a-token';
const PRECEDENCE = [
	['auth.token before the header', { token: true }, { header: bad }],
	['auth.token before the query', { token: true }, { query: bad }],
	['the header before the query', { header: true }, { query: bad }],
	['a bad auth.token is not saved by a good header', { header: true }, { token: bad }, 'AUTH_TOKEN_INVALID'],
	['a bad header is not saved by a good query', { query: true }, { header: bad }, 'AUTH_TOKEN_INVALID'],
];
for (const [what, goods, bads, code] of PRECEDENCE) {
	scenario(`sources of a token: ${what}`, async () => {
		const at = (place) => (goods[place] ? good() : bads[place]);
		const options = {
			...(at('token') && { token: at('token') }),
			...(at('header') && { extraHeaders: { authorization: `Bearer ${at('header')}` } }),
			...(at('query') && { query: { token: at('query') } }),
		};
		if (code)
			assert.equal((await refusal(url(), options)).message, code);
		else
			await connect(url(), options);
	});
}

scenario('a refused CONNECT leaves the connection, and a good one may follow', async () => {
	const socket = await Raw.open(url());
	socket.send('40{"token":"not-a-token"}');
	assert.match(await socket.next(), /^44\{.*"AUTH_TOKEN_INVALID"/);
	socket.send(`40${JSON.stringify({ token: good() })}`);
	assert.match(await socket.next(), /^40\{"sid"/);
});

scenario('no secret and no token is ever logged, nor shown by an operations port', async () => {
	const token = good({ marker: 'secret-claim' });
	await connect(url(), { token });
	await refusal(url(), { query: { token: `${token}x` } });
	const { rw } = fixture;
	await waitFor(() => rw.log.length > 0, { what: 'a line in the log' });
	const shown = [rw.log, rw.printed];
	for (const kind of ['edge', 'auth', 'router', 'ingest']) {
		for (const path of ['/metrics', '/readyz', '/healthz'])
			shown.push((await rw.ops(kind, path)).text);
	}
	for (const hidden of [rw.secret, rw.apiKey, ...token.split('.').slice(1)])
		assert.ok(!shown.join('\n').includes(hidden), `${hidden.slice(0, 8)}… is not shown`);
});
