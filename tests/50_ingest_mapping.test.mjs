// SPDX-License-Identifier: Apache-2.0
/* RabbitMQ to clients: what is declared, how events map, and that the bytes are left alone. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { connect, Raw, scenario, useRoomwire, waitFor } from './harness.mjs';
import { AGENT, DEAD, EXCHANGE, QUEUE, roomOf, TICKET } from './lib/opsdesk.mjs';
import { sharedRabbitMq } from './lib/rabbitmq.mjs';

const fixture = useRoomwire(async (things) => {
	things.vhost = await (await sharedRabbitMq()).createVhost();
	return { profile: 'opsdesk', env: { RABBITMQ_URL: things.vhost.url } };
});
const ticketId = TICKET.alice;

/* A member of the ticket, once ingest consumes. */
async function member() {
	await fixture.rw.waitReady('ingest');
	const client = await connect(fixture.rw.url, { token: fixture.rw.token(AGENT) });
	assert.equal((await client.ask('ticket.join', ticketId)).ok, true);
	return client;
}

const send = (key, body, options) => fixture.vhost.publish(EXCHANGE, key, body, options);
const mark = (n) => send('message.sent', { payload: { ticketId, marker: n } });

scenario('exchange, queue and dead-letter queue are declared durable', async () => {
	await fixture.rw.waitReady('ingest');
	await fixture.vhost.assertSame('assertExchange', EXCHANGE, 'topic', { durable: true });
	await fixture.vhost.queue(QUEUE);
	await fixture.vhost.queue(DEAD);
});

for (const [key, event] of [['message.sent', 'message:new'], ['ticket.status_changed', 'ticket:statusChanged']]) {
	const forms = [
		['payload', { event: key, payload: { ticketId, a: 1 } }, { ticketId, a: 1 }],
		['data', { event: key, data: { ticketId, a: 1 } }, { ticketId, a: 1 }],
		['ticketId at the top and payload', { ticketId, payload: { a: 1 } }, { a: 1 }],
		['ticketId at the top and data', { ticketId, data: [1, 2] }, [1, 2]],
		['ticketId at the top alone', { ticketId, a: 1 }, { ticketId, a: 1 }],
	];
	for (const [form, body, expected] of forms) {
		scenario(`${key} with ${form} arrives as ${event}`, async () => {
			const client = await member();
			await send(key, body);
			assert.deepEqual(await client.next(event), expected);
		});
	}
}

const PAYLOADS = [
	'{"ticketId":"ID","n":[1.0,1e3,-0.0,12345678901234567890,0.1000]}',
	'{"z":1,"a":2,"ticketId":"ID","m":{"b":[],"a":{}}}',
	'{"ticketId":"ID","text":"\\u00e9 é \\/ \\ud83d\\ude80 \\\\ \\" \\n"}',
	'{ "ticketId" : "ID" ,\t"spaced" : [ 1 , 2 ] }',
];
for (const payload of PAYLOADS) {
	scenario(`the bytes of ${payload} are passed on as they are`, async () => {
		await fixture.rw.waitReady('ingest');
		const raw = await Raw.join(fixture.rw.url, { payload: { token: fixture.rw.token(AGENT) } });
		raw.send(`421["ticket.join","${ticketId}"]`);
		assert.match(await raw.next(), /^431\[\{"ok": ?true/);
		const sent = payload.replace('ID', ticketId);
		await send('message.sent', `{"event":"message.sent","payload":${sent},"more":1}`);
		const frame = await raw.next();
		assert.ok(frame.startsWith(`42["message:new",${sent}`), frame);
	});
}

scenario('an event reaches the members of its ticket only', async () => {
	const [client, other] = await Promise.all([member(), connect(fixture.rw.url, { token: fixture.rw.token(AGENT) })]);
	assert.equal((await other.ask('ticket.join', TICKET.bob)).ok, true);
	await send('message.sent', { payload: { ticketId, n: 1 } });
	await send('message.sent', { payload: { ticketId: TICKET.bob, n: 2 } });
	assert.equal((await client.next('message:new')).n, 1);
	assert.equal((await other.next('message:new')).n, 2);
});

scenario('a message-id seen before is not delivered again; without one, equal bodies are two events', async () => {
	const client = await member();
	const body = { payload: { ticketId, n: 1 } };
	const messageId = randomUUID();
	for (let i = 0; i < 3; i++)
		await send('message.sent', body, { messageId });
	await send('message.sent', body);
	await send('message.sent', body);
	await mark('end');
	await client.next('message:new', { where: ({ marker }) => marker === 'end' });
	assert.equal(client.received('message:new').filter(({ n }) => n === 1).length, 3);
});

scenario('ids are one space: what came by HTTP with an id is not delivered again from RabbitMQ', async () => {
	const client = await member();
	const id = randomUUID();
	await fixture.rw.publish({ rooms: [roomOf(ticketId)], event: 'message:new', data: { from: 'http' }, id });
	await send('message.sent', { payload: { ticketId, from: 'rabbitmq' } }, { messageId: id });
	await mark('end');
	await client.next('message:new', { where: ({ marker }) => marker === 'end' });
	assert.deepEqual(client.received('message:new').map(({ from, marker }) => from ?? marker), ['http', 'end']);
});

scenario('five hundred events of one publisher arrive in order at every member', async () => {
	const clients = await Promise.all([member(), member()]);
	const numbers = Array.from({ length: 500 }, (_, i) => i);
	await Promise.all(numbers.map((n) => send('message.sent', { payload: { ticketId, n } })));
	for (const client of clients) {
		await client.next('message:new', { where: ({ n }) => n === numbers.length - 1 });
		assert.deepEqual(client.received('message:new').map(({ n }) => n), numbers);
	}
});

scenario('what was accepted is acknowledged: nothing stays in the queue', async () => {
	const client = await member();
	await mark('end');
	await client.next('message:new');
	await waitFor(async () => (await fixture.vhost.queue(QUEUE)).messages === 0, { what: 'an empty queue' });
	assert.ok((await fixture.vhost.queue(QUEUE)).consumers >= 1);
});
