// SPDX-License-Identifier: Apache-2.0
/* RabbitMQ as it is on a bad day: slowed, killed, emptied, short of memory, its queues deleted or of another kind; and nothing is lost, doubled or out of order. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { AGENT, DEAD, EXCHANGE, QUEUE, TICKET } from './lib/opsdesk.mjs';
import { scratch } from './lib/children.mjs';
import { REPO } from './lib/paths.mjs';
import { RabbitMq } from './lib/rabbitmq.mjs';

const fixture = useFixture(async (things) => {
	things.broker = await RabbitMq.create();
});
const ticketId = TICKET.alice;
/* The broker closes all connections. */
const dropAll = () => fixture.broker.evaluate('[rabbit_networking:close_connection(P, "test") || P <- rabbit_networking:connections()].');
const range = (count) => Array.from({ length: count }, (_, n) => n);

/* A Roomwire on a virtual host of its own, stopped after the body. */
async function withRoomwire({ before, ...options }, body) {
	const vhost = await fixture.broker.createVhost();
	await before?.(vhost);
	const rw = new Roomwire({ profile: 'opsdesk', ...options, env: { RABBITMQ_URL: vhost.url, ...options.env } });
	await rw.start();
	try {
		await body({ rw, vhost });
	} finally {
		await rw.stop();
		await vhost.close();
	}
}

async function member(rw) {
	await rw.waitReady('ingest');
	const client = await connect(rw.url, { token: rw.token(AGENT) });
	assert.equal((await client.ask('ticket.join', ticketId)).ok, true);
	return client;
}

/* Publishes n until the broker has it, whatever happens to the connection. */
async function publishSurely(vhost, n, options) {
	const one = async () => {
		await vhost.publish(EXCHANGE, 'message.sent', { payload: { ticketId, n } }, options);
		return true;
	};
	await waitFor(one, { what: `event ${n} to be taken by the broker`, deadlineMs: 60_000, everyMs: 20 });
}

const typeOf = (vhost, queue) => fixture.broker.evaluate(
	`{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"${vhost.name}">>, queue, <<"${queue}">>)), amqqueue:get_type(Q).`);
const numbers = (client) => client.received('message:new').map(({ n }) => n);

async function assertAll(client, count) {
	await client.next('message:new', { where: ({ n }) => n === count - 1, deadlineMs: 60_000 });
	const got = numbers(client);
	const lost = range(count).filter((n) => !got.includes(n));
	assert.deepEqual(lost, [], 'none is lost');
	assert.equal(got.length, count, 'none is there twice');
	assert.deepEqual(got, range(count), 'in the order of the queue');
}

scenario('10,000 events with ids through a slowed broker, a killed router, a killed ingest and a killed broker: once and in order', { timeout: 360_000 }, async () => {
	await withRoomwire({}, async ({ rw, vhost }) => {
		const { broker } = fixture;
		const client = await member(rw);
		const count = 10_000;
		const faults = new Map([
			[1500, async () => {
				broker.freeze();
				await new Promise((resolve) => { setTimeout(resolve, 3000); }); /* how long it stands still is the fault itself; nothing is concluded from it */
				broker.thaw();
			}],
			[3500, () => rw.killAndWait('router')],
			[5500, () => rw.killAndWait('ingest')],
			[7500, async () => {
				await broker.kill();
				await broker.start();
			}],
		]);
		const running = [];
		for (const n of range(count)) {
			if (faults.has(n))
				running.push(faults.get(n)());
			await publishSurely(vhost, n, { messageId: `f-${n}` });
		}
		await Promise.all(running);
		await assertAll(client, count);
		await waitFor(async () => (await vhost.queue(QUEUE)).messages === 0, { what: 'everything to be acknowledged' });
	});
});

scenario('events without ids that the broker gives again after the connection was lost are shown once', { timeout: 120_000 }, async () => {
	await withRoomwire({}, async ({ rw, vhost }) => {
		const client = await member(rw);
		const count = 2000;
		rw.kill('router', 'SIGSTOP'); /* they are on their way when the connections go */
		await vhost.channel();
		const sending = range(count).map((n) => publishSurely(vhost, n));
		await waitFor(async () => await rw.metric('ingest', 'roomwire_ingest_pending') >= 900, { what: 'ingest to hold many' });
		await Promise.all(sending);
		await dropAll();
		rw.kill('router', 'SIGCONT');
		await assertAll(client, count);
		await waitFor(async () => await rw.metric('ingest', 'roomwire_rabbitmq_known_total') > 0, { what: 'some to have come again' });
	});
});

scenario('equal events without ids are all shown, also around a loss of the connection', { timeout: 120_000 }, async () => {
	await withRoomwire({}, async ({ rw, vhost }) => {
		const client = await member(rw);
		rw.kill('router', 'SIGSTOP');
		for (let i = 0; i < 20; i++)
			await publishSurely(vhost, 7);
		await dropAll();
		for (let i = 0; i < 20; i++)
			await publishSurely(vhost, 7);
		rw.kill('router', 'SIGCONT');
		await publishSurely(vhost, 8);
		await client.next('message:new', { where: ({ n }) => n === 8, deadlineMs: 30_000 });
		assert.equal(numbers(client).filter((n) => n === 7).length, 40);
	});
});

scenario('a broker that comes back empty gets its exchange, queues and bindings again; so does one whose queue is deleted', { timeout: 120_000 }, async () => {
	await withRoomwire({}, async ({ rw, vhost }) => {
		const client = await member(rw);
		await publishSurely(vhost, 0);
		await client.next('message:new');
		await (await vhost.channel()).deleteQueue(QUEUE);
		await waitFor(async () => (await vhost.queue(QUEUE)).consumers === 1, { what: 'the queue to be there again' });
		await publishSurely(vhost, 1);
		await client.next('message:new', { where: ({ n }) => n === 1 });
		await (await vhost.channel()).deleteQueue(DEAD);
		await vhost.publish(EXCHANGE, 'message.sent', 'poison');
		await waitFor(async () => (await vhost.queue(DEAD)).messages === 1, { what: 'the dead letter', deadlineMs: 40_000 });

		await fixture.broker.wipe();
		const told = async () => /vhost .* not found/.test((await rw.ops('ingest', '/readyz')).text);
		await waitFor(told, { what: 'readiness to say that the virtual host is missing' });
		await fixture.broker.createVhost(vhost.name);
		await rw.waitReady('ingest');
		await publishSurely(vhost, 2);
		await client.next('message:new', { where: ({ n }) => n === 2 });
	});
});

/* Publishes n, again and again, until the client has it: what is published while no queue is bound is the broker's to drop. */
const flows = (vhost, client, n) => waitFor(async () => {
	await vhost.publish(EXCHANGE, 'message.sent', { payload: { ticketId, n } }, { messageId: `flows-${vhost.name}-${n}` });
	return numbers(client).includes(n);
}, { what: `event ${n} to come`, deadlineMs: 40_000, everyMs: 50 });
const count = (text, pattern) => text.match(pattern)?.length ?? 0;
const OURS = ['topic', { durable: true }];

scenario('an exchange that is deleted is declared and bound again, and told once; so is the queue of dead letters', { timeout: 120_000 }, async () => {
	await withRoomwire({}, async ({ rw, vhost }) => {
		const client = await member(rw);
		await flows(vhost, client, 0);
		const channel = await vhost.channel();
		await channel.deleteExchange(EXCHANGE);
		await channel.deleteQueue(DEAD);
		const there = () => vhost.assertSame('checkExchange', EXCHANGE).then(() => true, () => false);
		await waitFor(there, { what: 'the exchange to be there again', deadlineMs: 40_000 });
		await vhost.assertSame('assertExchange', EXCHANGE, ...OURS);
		await flows(vhost, client, 1);
		const dead = () => vhost.queue(DEAD).then(() => true, () => false);
		await waitFor(dead, { what: 'the queue of dead letters to be there again', deadlineMs: 40_000 });
		assert.equal(count(rw.log, /the exchange was gone/g), 1, 'told once');
		assert.equal(count(rw.log, /the queue of dead letters was gone/g), 1, 'told once');
		await rw.waitReady('ingest');
		assert.equal(count(rw.log, /no connection/g), 0, 'no connection was lost for it');
	});
});

scenario('an exchange that a backend deletes and makes again is bound again, each time', { timeout: 120_000 }, async () => {
	await withRoomwire({}, async ({ rw, vhost }) => {
		const client = await member(rw);
		const channel = await vhost.channel();
		for (const n of range(3)) {
			await channel.deleteExchange(EXCHANGE);
			await channel.assertExchange(EXCHANGE, ...OURS);
			await flows(vhost, client, n);
		}
		await rw.waitReady('ingest');
		assert.equal(count(rw.log, /no connection/g), 0, 'no connection was lost for it');
	});
});

for (const [type, options] of [['fanout', { durable: true }], ['direct', { durable: false, autoDelete: true }]]) {
	scenario(`an exchange that is made again as ${type} is told, and what it and the queue have flows; told no more when it is put right`, { timeout: 180_000 }, async () => {
		await withRoomwire({}, async ({ rw, vhost }) => {
			const client = await member(rw);
			await flows(vhost, client, 0);
			const channel = await vhost.channel();
			await channel.deleteExchange(EXCHANGE);
			await waitFor(() => /the exchange was gone/.test(rw.log), { what: 'it to be missed, and so be known as ours', deadlineMs: 40_000 });
			await channel.deleteExchange(EXCHANGE);
			await channel.assertExchange(EXCHANGE, type, options);
			const told = async () => /PRECONDITION_FAILED/.test((await rw.ops('ingest', '/readyz')).text);
			await waitFor(told, { what: 'readiness to say so', deadlineMs: 40_000 });
			await vhost.publish('', QUEUE, { payload: { ticketId, n: 1 } }); /* no type: to the dead letters */
			await waitFor(async () => (await vhost.queue(DEAD)).messages === 1, { what: 'what is in the queue to be taken' });
			await flows(vhost, client, 2);
			assert.ok(await told());
			assert.equal(count(rw.log, /not as it was declared.*PRECONDITION_FAILED/g), 1, 'told once');
			await channel.deleteExchange(EXCHANGE);
			await channel.assertExchange(EXCHANGE, ...OURS);
			await flows(vhost, client, 3);
			await waitFor(async () => !(await told()), { what: 'readiness to say it no more', deadlineMs: 60_000 });
			await rw.waitReady('ingest');
			assert.equal(count(rw.log, /no connection/g), 0, 'no connection was lost for it');
		});
	});
}

scenario('an exchange of another kind, made beforehand, is used as it is', { timeout: 120_000 }, async () => {
	const before = async (vhost) => {
		await (await vhost.channel()).assertExchange(EXCHANGE, 'direct', { durable: true });
	};
	await withRoomwire({ before }, async ({ rw, vhost }) => {
		const client = await member(rw);
		await flows(vhost, client, 0);
		await waitFor(() => /the exchange is used as it is/.test(rw.log), { what: 'it to be told', deadlineMs: 40_000 });
		await rw.waitReady('ingest');
		await (await vhost.channel()).deleteExchange(EXCHANGE);
		await (await vhost.channel()).assertExchange(EXCHANGE, 'direct', { durable: true });
		await flows(vhost, client, 1);
		await rw.waitReady('ingest');
	});
});

scenario('a quorum queue, made by somebody else, is used as it is, and survives the broker', { timeout: 120_000 }, async () => {
	const before = async (vhost) => {
		const channel = await vhost.channel();
		await channel.assertQueue(QUEUE, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
	};
	await withRoomwire({ before }, async ({ rw, vhost }) => {
		const client = await member(rw);
		for (const n of range(200)) {
			if (n === 100)
				dropAll().catch(() => {});
			await publishSurely(vhost, n, { messageId: `q-${n}` });
		}
		await assertAll(client, 200);
		assert.equal(await typeOf(vhost, QUEUE), 'rabbit_quorum_queue');
	});
});

scenario('queue_type: quorum in the profile makes quorum queues', { timeout: 120_000 }, async () => {
	const folder = scratch('profiles');
	const text = readFileSync(join(REPO, 'profiles/opsdesk.yaml'), 'utf8');
	writeFileSync(join(folder, 'opsdesk.yaml'), text.replace(/^  rabbitmq:.*\n/m, '$&    queue_type: quorum\n'));
	await withRoomwire({ env: { ROOMWIRE_PROFILES: folder } }, async ({ rw, vhost }) => {
		const client = await member(rw);
		for (const n of range(50))
			await publishSurely(vhost, n, { messageId: `p-${n}` });
		await assertAll(client, 50);
		assert.equal(await typeOf(vhost, QUEUE), 'rabbit_quorum_queue');
		assert.equal(await typeOf(vhost, DEAD), 'rabbit_quorum_queue');
	});
});

scenario('dead letters that the broker refuses wait, hold up nothing and are taken later', { timeout: 120_000 }, async () => {
	const before = async (vhost) => {
		await (await vhost.channel()).assertQueue(DEAD, { durable: true, arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } });
	};
	await withRoomwire({ before }, async ({ rw, vhost }) => {
		const client = await member(rw);
		for (const n of range(300)) {
			if (n % 100 === 0)
				await vhost.publish(EXCHANGE, 'message.sent', `poison ${n}`, { headers: { n } });
			await publishSurely(vhost, n);
		}
		await assertAll(client, 300);
		await waitFor(async () => await rw.metric('ingest', 'roomwire_rabbitmq_dead_waiting') >= 1, { what: 'dead letters to wait' });
		assert.ok((await vhost.queue(QUEUE)).consumers === 1);
		const letters = await vhost.consume(DEAD);
		const got = new Set();
		for (let i = 0; i < 3; i++)
			got.add((await letters.take(() => true, { what: 'a dead letter', deadlineMs: 40_000 })).body);
		assert.deepEqual([...got].sort(), ['poison 0', 'poison 100', 'poison 200']);
		await waitFor(async () => await rw.metric('ingest', 'roomwire_rabbitmq_dead_waiting') === 0, { what: 'none to wait' });
	});
});

scenario('odd messages have a clear end: too large, empty, no text, long keys, headers of every type, long ids', { timeout: 120_000 }, async () => {
	await withRoomwire({ env: { MAX_PAYLOAD: '1000' } }, async ({ rw, vhost }) => {
		const client = await member(rw);
		const letters = await vhost.consume(DEAD);
		const headers = {
			text: 'é', n: -1, big: 2 ** 40, f: 1.5, yes: true, none: null, list: [1, 'a', { x: [] }], table: { a: { b: 1 } },
			at: { '!': 'timestamp', value: 1000 }, bytes: Buffer.from([0, 255]), dec: { '!': 'decimal', value: { digits: 314, places: 2 } },
			byte: { '!': 'byte', value: 1 }, short: { '!': 'short', value: 2 }, float: { '!': 'float', value: 0.5 },
		};
		const big = 'x'.repeat(3_000_000);
		const bodies = [big, '', Buffer.from([0xff, 0xfe]), `{"a":${'['.repeat(900)}`];
		for (const body of bodies) {
			await vhost.publish(EXCHANGE, 'message.sent', body, {
				headers, messageId: 'm'.repeat(255), contentType: 'application/json', correlationId: 'c', timestamp: 5,
			});
			const letter = await letters.take(() => true, { what: 'a dead letter' });
			assert.equal(letter.body, body.toString());
			assert.ok(letter.headers['x-reason']);
			assert.equal(letter.headers.f, 1.5);
			assert.deepEqual(letter.headers.list, [1, 'a', { x: [] }]);
			assert.equal(letter.messageId.length, 255);
		}
		await vhost.publish('', QUEUE, '{}', { headers: { fat: 'h'.repeat(60_000), f: 1 } });
		assert.ok((await letters.take(() => true, { what: 'a dead letter' })).headers['x-reason']);
		await (await vhost.channel()).bindQueue(QUEUE, EXCHANGE, '#');
		await vhost.publish(EXCHANGE, 'k'.repeat(255), '{}');
		assert.equal((await letters.take(() => true, { what: 'a dead letter' })).headers['x-routing-key'].length, 255);
		await publishSurely(vhost, 0);
		await client.next('message:new');
	});
});

scenario('a broker short of memory: what it holds is delivered all the same, and dead letters wait for it', { timeout: 120_000 }, async () => {
	await withRoomwire({}, async ({ rw, vhost }) => {
		const client = await member(rw);
		rw.kill('ingest', 'SIGSTOP');
		await vhost.publish(EXCHANGE, 'message.sent', 'poison');
		await vhost.publish(EXCHANGE, 'message.sent', 'poison');
		for (const n of range(100))
			await publishSurely(vhost, n);
		await fixture.broker.alarm(true);
		try {
			rw.kill('ingest', 'SIGCONT');
			await assertAll(client, 100);
			await waitFor(async () => await rw.metric('ingest', 'roomwire_rabbitmq_blocked') === 1, { what: 'it to be told' });
		} finally {
			await fixture.broker.alarm(false);
		}
		await waitFor(async () => (await vhost.queue(DEAD)).messages === 2, { what: 'the dead letters', deadlineMs: 40_000 });
	});
});

scenario('two ingests share a queue: nothing is lost or doubled', { timeout: 120_000 }, async () => {
	await withRoomwire({ ingests: 2 }, async ({ rw, vhost }) => {
		const client = await member(rw);
		await waitFor(async () => (await vhost.queue(QUEUE)).consumers === 2, { what: 'two consumers' });
		const count = 1000;
		for (const n of range(count)) {
			if (n === 500)
				rw.kill('ingest');
			await publishSurely(vhost, n, { messageId: `two-${n}` });
		}
		await waitFor(() => numbers(client).length >= count, { what: 'all of them', deadlineMs: 60_000 });
		assert.deepEqual(numbers(client).sort((a, b) => a - b), range(count));
	});
});

for (const [what, change, expected] of [
	['a wrong password', (url) => url.replace(/:[0-9a-f]+@/, ':wrong-secret@'), /ACCESS_REFUSED|403/],
	['a virtual host that is not there', (url) => `${url}-not`, /vhost|530/],
]) {
	scenario(`${what} is told, without credentials`, async () => {
		const vhost = await fixture.broker.createVhost();
		const rw = new Roomwire({ profile: 'opsdesk', env: { RABBITMQ_URL: change(vhost.url) } });
		await rw.start();
		try {
			const told = async () => expected.test((await rw.ops('ingest', '/readyz')).text);
			await waitFor(told, { what: 'readiness to say why' });
			assert.ok(!rw.log.includes('wrong-secret') && !rw.log.includes(fixture.broker.password));
		} finally {
			await rw.stop();
		}
	});
}
