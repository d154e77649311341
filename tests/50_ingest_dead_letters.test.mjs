// SPDX-License-Identifier: Apache-2.0
/* What cannot be mapped goes to the dead letters, body unchanged, with the reason, and holds up nothing. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { connect, scenario, useRoomwire } from './harness.mjs';
import { AGENT, DEAD, EXCHANGE, QUEUE, TICKET } from './lib/opsdesk.mjs';
import { sharedRabbitMq } from './lib/rabbitmq.mjs';

const fixture = useRoomwire(async (things) => {
	things.vhost = await (await sharedRabbitMq()).createVhost();
	return { profile: 'opsdesk', env: { RABBITMQ_URL: things.vhost.url } };
});
const ticketId = TICKET.alice;
let dead = null;

async function deadLetters() {
	await fixture.rw.waitReady('ingest');
	dead ??= await fixture.vhost.consume(DEAD);
	return dead;
}

const BAD = [
	['no JSON', 'message.sent', 'hello'],
	['nothing', 'message.sent', ''],
	['half a JSON', 'message.sent', `{"payload":{"ticketId":"${ticketId}"`],
	['text after the JSON', 'message.sent', `{"ticketId":"${ticketId}"} x`],
	['a JSON that is no object', 'message.sent', `["${ticketId}"]`],
	['no ticketId', 'message.sent', '{"payload":{"text":"hi"}}'],
	['a ticketId that is no uuid', 'message.sent', '{"payload":{"ticketId":"42"}}'],
	['a ticketId that is a number', 'ticket.status_changed', '{"payload":{"ticketId":42}}'],
	['an empty object', 'ticket.status_changed', '{}'],
	['JSON nested 100,000 deep', 'message.sent', '['.repeat(100_000)],
];
for (const [what, key, body] of BAD) {
	scenario(`${key} with ${what} goes to the dead letters, unchanged, with x-reason`, async () => {
		const letters = await deadLetters();
		const messageId = randomUUID();
		await fixture.vhost.publish(EXCHANGE, key, body, { messageId });
		const letter = await letters.take(() => true, { what: 'a dead letter' });
		assert.equal(letter.body, body);
		assert.equal(typeof letter.headers['x-reason'], 'string');
		assert.ok(letter.headers['x-reason'].length > 3, letter.headers['x-reason']);
	});
}

scenario('a type the profile does not name, put into the queue by hand, goes to the dead letters', async () => {
	const letters = await deadLetters();
	const body = JSON.stringify({ payload: { ticketId } });
	await fixture.vhost.publish('', QUEUE, body);
	const letter = await letters.take(() => true, { what: 'a dead letter' });
	assert.equal(letter.body, body);
	assert.ok(letter.headers['x-reason']);
});

scenario('bytes that are no UTF-8 come back unchanged', async () => {
	const channel = await fixture.vhost.channel();
	await deadLetters();
	const bytes = Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x00, 0x22, 0x7d]);
	channel.publish(EXCHANGE, 'message.sent', bytes);
	const letter = await dead.take(() => true, { what: 'a dead letter' });
	assert.equal(letter.body, bytes.toString());
});

scenario('headers the message bore are kept beside x-reason', async () => {
	const letters = await deadLetters();
	await fixture.vhost.publish(EXCHANGE, 'message.sent', 'bad', { headers: { traceparent: '00-abc', count: 3 } });
	const { headers } = await letters.take(() => true, { what: 'a dead letter' });
	assert.equal(headers.traceparent, '00-abc');
	assert.equal(headers.count, 3);
	assert.ok(headers['x-reason']);
});

scenario('good events between bad ones arrive, in order', async () => {
	const letters = await deadLetters();
	const client = await connect(fixture.rw.url, { token: fixture.rw.token(AGENT) });
	assert.equal((await client.ask('ticket.join', ticketId)).ok, true);
	const count = 100;
	for (let n = 0; n < count; n++)
		await fixture.vhost.publish(EXCHANGE, 'message.sent', n % 2 ? `bad ${n}` : { payload: { ticketId, n } });
	await client.next('message:new', { where: ({ n }) => n === count - 2 });
	assert.deepEqual(client.received('message:new').map(({ n }) => n), Array.from({ length: count / 2 }, (_, i) => 2 * i));
	for (let n = 1; n < count; n += 2)
		assert.equal((await letters.take(() => true, { what: 'a dead letter' })).body, `bad ${n}`);
});
