// SPDX-License-Identifier: Apache-2.0
/*
 * The promise of the whole: what was accepted arrives, once and in order, while ingest and router are
 * killed again and again in the middle of the stream.
 */
import assert from 'node:assert/strict';
import { connect, scenario, useRoomwire, waitFor } from './harness.mjs';
import { AGENT, ALICE, EXCHANGE, QUEUE, roomOf, TICKET } from './lib/opsdesk.mjs';
import { sharedRabbitMq } from './lib/rabbitmq.mjs';

const fixture = useRoomwire(async (things) => {
	things.vhost = await (await sharedRabbitMq()).createVhost();
	return { profile: 'opsdesk', env: { RABBITMQ_URL: things.vhost.url } };
});
const EVENTS = 1000;
const KILLS = [['router'], ['ingest'], ['router'], ['ingest'], ['router'], ['ingest'], ['router', 'ingest']];
const SEGMENT = Math.ceil(EVENTS / KILLS.length);
const ticketId = TICKET.alice;

/* Publishes n = 0 … EVENTS-1 one after another, but no further than the gate lets it. */
async function stream(gate, send) {
	for (gate.sent = 0; gate.sent < EVENTS; gate.sent++) {
		if (gate.sent >= gate.limit)
			await gate.opened;
		await send(gate.sent);
	}
}

function makeGate() {
	const gate = { sent: 0, limit: 0 };
	gate.raise = (limit) => {
		gate.limit = limit;
		gate.open?.();
		gate.opened = new Promise((resolve) => { gate.open = resolve; });
	};
	gate.raise(SEGMENT);
	return gate;
}

/* Kills in the middle of each segment, so that the stream never stands still around a kill. */
async function killAllAlong(gates) {
	for (const [round, kinds] of KILLS.entries()) {
		const middle = Math.min(round * SEGMENT + SEGMENT / 2, EVENTS - 1);
		await waitFor(() => gates.every((gate) => gate.sent >= middle),
			{ what: `both publishers to pass ${middle} before kill ${round}`, deadlineMs: 60_000, everyMs: 1 });
		const old = kinds.map((kind) => [kind, fixture.rw.process(kind).pid]);
		for (const kind of kinds)
			fixture.rw.kill(kind);
		for (const gate of gates)
			gate.raise((round + 2) * SEGMENT);
		for (const [kind, pid] of old)
			await fixture.rw.waitRestart(kind, pid);
	}
}

/* One HTTP call with a fixed id, again and again until it is accepted. */
async function publishSurely(n) {
	const message = { rooms: [roomOf(ticketId)], event: 'http', data: { n }, id: `http-${n}` };
	const accepted = async () => (await fixture.rw.api('/v1/publish', message)).status === 202;
	await waitFor(accepted, { what: `the call for event ${n} to be accepted`, deadlineMs: 30_000, everyMs: 10 });
}

scenario(`${EVENTS} events by RabbitMQ and ${EVENTS} by HTTP through ${KILLS.length} kills: none lost, none twice, in order`,
	{ timeout: 240_000 }, async () => {
		const { rw, vhost } = fixture;
		const clients = await Promise.all([[AGENT, 'websocket'], [AGENT, 'polling'], [ALICE, 'websocket']].map(([user, transport]) =>
			connect(rw.url, { token: rw.token({ ...user, rooms: [roomOf(ticketId)] }), transports: [transport] })));
		for (const client of clients)
			assert.equal((await client.ask('ticket.join', ticketId)).ok, true);
		await rw.waitReady('ingest');
		const edge = rw.process('edge').pid;

		const gates = [makeGate(), makeGate()];
		await Promise.all([
			stream(gates[0], (n) => vhost.publish(EXCHANGE, 'message.sent', { payload: { ticketId, n } }, { messageId: `rabbitmq-${n}` })),
			stream(gates[1], publishSurely),
			killAllAlong(gates),
		]);

		const expected = Array.from({ length: EVENTS }, (_, n) => n);
		for (const [index, client] of clients.entries()) {
			for (const event of ['message:new', 'http']) {
				await client.next(event, { where: ({ n }) => n === EVENTS - 1, deadlineMs: 60_000 });
				assert.deepEqual(differences(client.received(event).map(({ n }) => n), expected), null, `${event} at client ${index}`);
			}
			client.assertNone('@disconnect', 'error');
		}
		assert.equal(rw.process('edge').pid, edge, 'the edge was left alone');
		await waitFor(async () => (await vhost.queue(QUEUE)).messages === 0, { what: 'everything to be acknowledged' });
	});

/* What is lost, doubled or out of order; null when nothing is. */
function differences(got, expected) {
	const lost = expected.filter((n) => !got.includes(n));
	const doubled = got.filter((n, at) => got.indexOf(n) !== at);
	const misplaced = got.filter((n, at) => at > 0 && n < got[at - 1]);
	return lost.length || doubled.length || misplaced.length ? { lost, doubled, misplaced } : null;
}
