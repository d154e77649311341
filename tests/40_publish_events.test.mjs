// SPDX-License-Identifier: Apache-2.0
/* POST /v1/events: a domain event through the profile's mapping. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { connect, Roomwire, scenario, useRoomwire, waitFor } from './harness.mjs';
import { AGENT, roomOf, TICKET } from './lib/opsdesk.mjs';

const fixture = useRoomwire({ profile: 'opsdesk' });
const post = (event) => fixture.rw.api('/v1/events', event);
const ticketId = TICKET.alice;

async function member() {
	const client = await connect(fixture.rw.url, { token: fixture.rw.token(AGENT) });
	assert.equal((await client.ask('ticket.join', ticketId)).ok, true);
	return client;
}

const MAPPED = [
	['message.sent', 'message:new'],
	['ticket.status_changed', 'ticket:statusChanged'],
];
for (const [type, event] of MAPPED) {
	const forms = [
		['payload', { payload: { ticketId, text: 'hi' } }, { ticketId, text: 'hi' }],
		['data', { data: { ticketId, text: 'hi' } }, { ticketId, text: 'hi' }],
		['ticketId at the top and a payload', { ticketId, payload: { text: 'hi' } }, { text: 'hi' }],
		['no payload: the body without type', { ticketId, text: 'hi' }, { ticketId, text: 'hi' }],
	];
	for (const [form, body, expected] of forms) {
		scenario(`${type} with ${form} becomes ${event}`, async () => {
			const client = await member();
			const { status, json } = await post({ type, ...body });
			assert.equal(status, 202);
			assert.ok(json.id);
			assert.deepEqual(await client.next(event), expected);
		});
	}
}

const UNMAPPABLE = [
	['no type', { payload: { ticketId } }],
	['an unknown type', { type: 'ticket.exploded', payload: { ticketId } }],
	['a type that is no text', { type: 7, payload: { ticketId } }],
	['no ticketId', { type: 'message.sent', payload: { text: 'hi' } }],
	['a ticketId that is no uuid', { type: 'message.sent', payload: { ticketId: 'ticket-1' } }],
];
for (const [what, body] of UNMAPPABLE) {
	scenario(`an event with ${what} is answered 400 and says why`, async () => {
		const { status, text } = await post(body);
		assert.equal(status, 400);
		assert.ok(text.length > 2);
	});
}

scenario('the same id twice is delivered once', async () => {
	const client = await member();
	const event = { type: 'message.sent', id: randomUUID(), payload: { ticketId, n: 1 } };
	assert.equal((await post(event)).status, 202);
	assert.equal((await post(event)).status, 202);
	await fixture.rw.publish({ rooms: [roomOf(ticketId)], event: 'marker', data: {} });
	await client.next('marker');
	assert.equal(client.received('message:new').length, 1);
});

scenario('while API_KEY is unset every call is answered 403', async () => {
	const closed = new Roomwire({ profile: 'opsdesk', env: { API_KEY: null } });
	await closed.start();
	try {
		for (const path of ['/v1/publish', '/v1/events']) {
			for (const key of [closed.apiKey, null, '', 'undefined'])
				assert.equal((await closed.api(path, { rooms: ['r'], event: 'e', data: 1 }, { key })).status, 403);
		}
	} finally {
		await closed.stop();
	}
});

scenario('a router that does not answer: the call ends with 503 and its event is not lost track of', async () => {
	const { rw } = fixture;
	const client = await member();
	rw.kill('router', 'SIGSTOP');
	const message = { rooms: [roomOf(ticketId)], event: 'message:new', data: { n: 1 }, id: randomUUID() };
	try {
		assert.equal((await rw.api('/v1/publish', message)).status, 503);
	} finally {
		rw.kill('router', 'SIGCONT');
	}
	await waitFor(async () => (await rw.api('/v1/publish', message)).status === 202, { what: 'it to be accepted under its id' });
	await rw.publish({ rooms: [roomOf(ticketId)], event: 'marker', data: {} });
	await client.next('marker');
	assert.deepEqual(client.received('message:new'), [{ n: 1 }]);
});
