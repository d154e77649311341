// SPDX-License-Identifier: Apache-2.0
/* Clients that are cut and come back when the test says so, and by hand: with a pid and an offset. */
import assert from 'node:assert/strict';
import { Client, connect } from './client.mjs';
import { tagOf } from './cluster.mjs';
import { Raw } from './rawio.mjs';
import { waitFor } from './wait.mjs';

let made = 0;
export const fresh = (word) => `${word}-${++made}`;
export const upTo = (count, from = 0) => Array.from({ length: count - from }, (_, i) => from + i);
export const numbersOf = (client, event = 'n') => client.received(event).map(({ n }) => n);

/* A signed-in client that is a member of the rooms and does not reconnect by itself. */
export async function member(rw, rooms = [], { sub = fresh('user'), event = 'room:join', ...options } = {}) {
	const client = await connect(rw.url, { token: rw.token({ sub }), ...options });
	for (const room of rooms)
		assert.equal((await client.ask(event, { room })).ok, true, `joining ${room}`);
	return client;
}

/* Another namespace of the same connection. */
export async function alsoAt(client, nsp, auth) {
	const other = new Client(client.socket.io.socket(nsp, { auth }));
	await other.nextArgs('@connect');
	return other;
}

export const CUTS = {
	'its WebSocket is closed': (client) => client.socket.io.engine.close(),
	'its TCP connection is reset': (client) => client.socket.io.engine.transport.ws._socket.resetAndDestroy(),
};

/* A client that closes itself in the middle of an upgrade shows what it got in that very turn once more after its recovery: that is the client's. */
export function upgraded(client) {
	const { socket } = client;
	const last = socket.io.opts.transports.at(-1); /* while it probes, the engine does not say that it is upgrading */
	return waitFor(() => socket.connected && socket.io.engine.transport.name === last, { what: 'the upgrade to be over', everyMs: 2 });
}

/* The connection ends, and the client knows; it stays away. */
export async function cut(client, how = CUTS['its WebSocket is closed']) {
	await upgraded(client);
	client.socket.io.reconnection(false);
	how(client);
	await client.nextArgs('@disconnect');
}

/* The client connects again: {recovered, id}. */
export async function comeBack(client, options) {
	client.socket.connect();
	await client.nextArgs('@connect', options);
	return { recovered: client.socket.recovered === true, id: client.id };
}

/* Publishes numbers one after another. */
export async function publishNumbers(rw, numbers, rooms, more = {}) {
	for (const n of numbers)
		await rw.publish({ rooms, event: 'n', data: { n }, ...more });
}

/* A bare WebSocket client of a room: {connect: {sid, pid}}, and what it needs to come back. */
export async function rawMember(rw, rooms = [], { sub = fresh('user'), ...options } = {}) {
	const payload = { token: rw.token({ sub }) };
	const raw = await Raw.join(rw.url, { payload, ...options });
	for (const room of rooms) {
		raw.send(`420["room:join",${JSON.stringify({ room })}]`);
		await raw.next((packet) => packet === '430[{"ok":true}]');
	}
	raw.payload = payload;
	return raw;
}

/* All events it has got, as [event, …arguments]. */
export const eventsOf = (raw) => raw.inbox.all.filter((packet) => typeof packet === 'string' && packet.startsWith('42[')).map((packet) => JSON.parse(packet.slice(2)));
/* What the client would send as its offset. */
export const lastOffset = (raw) => eventsOf(raw).at(-1)?.at(-1);
/* What it would come back with. */
export const claimOf = (raw, more) => ({ ...raw.payload, pid: raw.connect.pid, offset: lastOffset(raw), ...more });

/* A bare WebSocket at an edge of which `wanted(tag)` is true, not connected to a namespace. */
export function openAt(rw, wanted) {
	return waitFor(async () => {
		const raw = await Raw.open(rw.url);
		if (wanted(tagOf(raw.handshake.sid)))
			return raw;
		raw.close();
		return null;
	}, { what: 'a connection at the wanted edge', everyMs: 1 });
}
