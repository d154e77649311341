// SPDX-License-Identifier: Apache-2.0
/* The document at /v1/openapi.json: every call in it answers as it says, and none is missing in it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { Roomwire, scenario, useFixture } from './harness.mjs';
import { Api } from './lib/api.mjs';
import { fresh, member } from './lib/comeback.mjs';
import { REPO } from './lib/paths.mjs';

const fixture = useFixture(async (things) => {
	things.rw = await new Roomwire({ profile: 'bench' }).start();
	await things.rw.waitReady('ingest');
	fixture.api = await Api.of(things.rw);
});
const path = { room: 'a', id: 'u' };
const BODIES = {
	'/v1/publish': { rooms: ['a'], event: 'e', data: null },
	'/v1/events': { type: 'nothing.maps.this' },
	'/v1/rooms/{room}/join': { rooms: ['b'] },
};
const optionsOf = ({ method, path: template }) => ({
	path,
	...(template === '/v1/sockets' && { query: { room: 'a' } }),
	...(method === 'POST' && { body: BODIES[template] ?? {} }),
});
const OPEN = '/v1/openapi.json';

scenario('every call of the document answers, and its answer is as described', async () => {
	for (const one of fixture.api.operations) {
		const { status } = await fixture.api.call(`${one.method} ${one.path}`, optionsOf(one));
		assert.equal(status, one.path === '/v1/events' ? 400 : one.method === 'POST' ? 202 : 200, `${one.method} ${one.path}`);
	}
});

scenario('no call is missing in the document', async () => {
	const source = readFileSync(join(REPO, 'services/ingest/api.c'), 'utf8');
	const served = [...source.matchAll(/HTTP_METHOD_(\w+), "(\/v1\/[^"]+)"/g)].map(([, method, route]) => `${method} ${route}`);
	const described = fixture.api.operations.map(({ method, path: template }) => `${method} ${template.replace(/\{\w+\}/, '*')}`);
	assert.ok(served.length >= 10, served.join());
	assert.deepEqual(described.sort(), served.sort());
});

scenario('without a key every call but the document is 401, with a wrong one, too', async () => {
	for (const one of fixture.api.operations) {
		for (const key of [null, 'wrong'])
			assert.equal((await fixture.api.call(`${one.method} ${one.path}`, { ...optionsOf(one), key })).status === 401, one.path !== OPEN, one.path);
	}
});

scenario('another method is 405 and says which one is meant', async () => {
	for (const { method, path: template } of fixture.api.operations) {
		const response = await fetch(fixture.rw.apiUrl + template.replace(/\{\w+\}/, 'a'),
			{ method: method === 'GET' ? 'POST' : 'PUT', body: '{}', headers: { authorization: `Bearer ${fixture.rw.apiKey}` } });
		assert.deepEqual([response.status, response.headers.get('allow')], [405, method]);
		assert.deepEqual(fixture.api.schemas.check(await response.json(), fixture.api.schemas.find('#/components/schemas/Error')), []);
	}
});

scenario('a body over the limit is 413, as described', async () => {
	const { api, rw } = fixture;
	const asked = request(`${rw.apiUrl}/v1/rooms/a/leave`, { method: 'POST', headers: { authorization: `Bearer ${rw.apiKey}`, 'content-length': 2_000_001 } });
	asked.on('error', () => {}).flushHeaders(); /* it is refused before the body is sent */
	const [response] = await once(asked, 'response');
	assert.equal(response.statusCode, 413);
	const { schema } = api.schemas.resolve(api.doc.paths['/v1/rooms/{room}/leave'].post.responses[413]).content['application/json'];
	assert.deepEqual(api.schemas.check(JSON.parse(Buffer.concat(await response.toArray())), schema), []);
	asked.destroy();
});

scenario('references lead somewhere, and every parameter of a path is described', async () => {
	const { api } = fixture;
	const walk = (node) => {
		if (node?.$ref)
			api.schemas.find(node.$ref);
		if (node && typeof node === 'object')
			Object.values(node).forEach(walk);
	};
	walk(api.doc);
	for (const { path: template, operation } of api.operations) {
		const inPath = (operation.parameters ?? []).map((one) => api.schemas.resolve(one)).filter((one) => one.in === 'path');
		assert.deepEqual(inPath.map(({ name }) => `{${name}}`), template.match(/\{\w+\}/g) ?? []);
	}
	assert.match(api.doc.openapi, /^3\.1\./);
});

scenario('while API_KEY is unset all calls are 403, and the document is served', async () => {
	const rw = await new Roomwire({ profile: 'bench', env: { API_KEY: null } }).start();
	try {
		const api = await Api.of(rw);
		for (const one of api.operations.filter(({ path: template }) => template !== OPEN))
			assert.equal((await api.call(`${one.method} ${one.path}`, { ...optionsOf(one), key: 'any' })).status, 403);
	} finally {
		await rw.stop();
	}
});

scenario('a profile without recovery shows its sockets, too, and several namespaces', async () => {
	const rw = await new Roomwire({ profile: 'conformance' }).start();
	try {
		await rw.waitReady('ingest');
		const api = await Api.of(rw);
		const name = fresh('plain');
		const client = await member(rw, [name]);
		const shown = await api.expect(200, 'GET /v1/rooms/{room}', { path: { room: name } });
		assert.deepEqual([shown.sockets, shown.users, shown.edges], [1, 0, 1]);
		const { sockets: [socket] } = await api.expect(200, 'GET /v1/sockets', { query: { room: name } });
		assert.deepEqual([socket.id, socket.user, socket.rooms], [client.id, null, [name]]);
		assert.equal((await api.expect(200, 'GET /v1/rooms', { query: { namespace: '*' } })).rooms.length, 1);
		assert.equal((await api.expect(200, 'GET /v1/rooms', { query: { namespace: '/custom' } })).rooms.length, 0);
	} finally {
		await rw.stop();
	}
});
