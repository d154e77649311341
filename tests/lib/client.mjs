// SPDX-License-Identifier: Apache-2.0
/* The real socket.io-client, with every event kept so that a test takes them in order. */
import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { Inbox, within } from './wait.mjs';

const open = new Set();

export class Client {
	constructor(socket) {
		this.socket = socket;
		this.inbox = new Inbox(`client ${socket.nsp}`);
		const keep = (event, args) => this.inbox.put({ event, args });
		socket.onAny((event, ...args) => keep(event, args));
		for (const event of ['connect', 'disconnect', 'connect_error'])
			socket.on(event, (...args) => keep(`@${event}`, args));
		open.add(this);
	}

	get id() {
		return this.socket.id;
	}

	/* All arguments of the next such event; '@connect', '@disconnect', '@connect_error' are the client's own. */
	async nextArgs(event, { where = () => true, deadlineMs } = {}) {
		const match = (item) => item.event === event && where(...item.args);
		return (await this.inbox.take(match, { what: `event ${event}`, deadlineMs })).args;
	}

	/* The first argument of the next such event. */
	async next(event, options) {
		return (await this.nextArgs(event, options))[0];
	}

	/* Nothing of the kind has arrived; say so after a marker that would have come later did arrive. */
	assertNone(...events) {
		const found = this.inbox.untaken(({ event }) => events.includes(event));
		assert.deepEqual(found, [], `no ${events.join(' or ')} arrived`);
	}

	/* First arguments of every such event since the connection was made, in order. */
	received(event) {
		return this.inbox.all.filter((item) => item.event === event).map((item) => item.args[0]);
	}

	emit(event, ...args) {
		this.socket.emit(event, ...args);
	}

	/* Emits and returns the first argument of the acknowledgement. */
	ask(event, ...args) {
		return within(this.socket.emitWithAck(event, ...args), { what: `the ack of ${event}` });
	}

	close() {
		open.delete(this);
		this.socket.disconnect();
	}
}

/* A socket that is under way; options as socket.io-client's, besides token (auth.token) and nsp. */
export function dial(url, { token, nsp = '/', transports = ['websocket'], auth, ...options } = {}) {
	const socket = io(url + (nsp === '/' ? '' : nsp), {
		transports,
		auth: auth ?? (token === undefined ? {} : { token }),
		forceNew: true,
		reconnection: false,
		...options,
	});
	return new Client(socket);
}

/* A connected client. */
export async function connect(url, options) {
	const client = dial(url, options);
	const refused = new Promise((_, reject) => { client.socket.once('connect_error', reject); }); /* no deadline of its own, for which the end of the file would wait */
	refused.catch(() => {});
	try {
		await Promise.race([client.nextArgs('@connect'), refused]);
	} catch (error) {
		client.close();
		throw error;
	}
	return client;
}

/* The error of a connection that must be refused. */
export async function refusal(url, options) {
	const client = dial(url, options);
	try {
		const accepted = new Promise((_, reject) => { client.socket.once('connect', () => reject(new assert.AssertionError({ message: 'the connection is refused' }))); });
		accepted.catch(() => {});
		return await Promise.race([client.next('@connect_error'), accepted]);
	} finally {
		client.close();
	}
}

/* Clients that reconnect quickly, for tests that kill what they are connected to. */
export const RECONNECTING = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };

export function closeClients() {
	for (const client of open)
		client.close();
}
