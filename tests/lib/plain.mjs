// SPDX-License-Identifier: Apache-2.0
/* Clients of the plain dialect: a WebSocket of the package ws, with every message kept so that a test takes them in order. */
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { http } from './rawio.mjs';
import { Inbox, within } from './wait.mjs';

const open = new Set();
const wsUrl = (url, path, token) => `${url.replace(/^http/, 'ws')}${path}${token === undefined ? '' : `?token=${encodeURIComponent(token)}`}`;

export class Plain {
	constructor(socket, name) {
		this.socket = socket;
		this.name = name;
		this.inbox = new Inbox(`plain client ${name}`);
		this.closed = new Promise((resolve) => {
			socket.on('close', (code, reason) => {
				this.inbox.end(`closed with ${code}`);
				resolve({ code, reason: String(reason) });
			});
		});
		socket.on('message', (data, binary) => this.#keep(binary ? { type: '@binary' } : JSON.parse(String(data))));
		socket.on('error', () => {});
		open.add(this);
	}

	#keep(message) {
		if (message.offset)
			this.offset = message.offset;
		if (message.type === 'welcome' || message.type === 'resumed') {
			this.session = message.payload.session;
			this.offset = message.payload.offset ?? this.offset;
		}
		this.inbox.put(message);
	}

	/* The next message of this type, whole. */
	nextMessage(type, { where = () => true, deadlineMs } = {}) {
		return this.inbox.take((m) => m.type === type && where(m.payload), { what: `message ${type}`, deadlineMs });
	}

	/* Its payload. */
	async next(type, options) {
		return (await this.nextMessage(type, options)).payload;
	}

	/* Payloads of all of a type so far, in order. */
	received(type) {
		return this.inbox.all.filter((m) => m.type === type).map((m) => m.payload);
	}

	assertNone(...types) {
		assert.deepEqual(this.inbox.untaken(({ type }) => types.includes(type)), [], `no ${types.join(' or ')} arrived`);
	}

	say(type, payload) {
		this.socket.send(JSON.stringify(payload === undefined ? { type } : { type, payload }));
	}

	raw(data, options) {
		this.socket.send(data, options);
	}

	/* Everything sent before has been worked on. */
	async settled() {
		this.say('ping');
		await this.next('pong');
	}

	async join(roomId) {
		this.say('join', { roomId });
		assert.deepEqual(await this.next('room_update', { where: (p) => p.action === 'joined' && p.roomId === roomId }), { roomId, action: 'joined' });
		return this;
	}

	end({ deadlineMs } = {}) {
		return within(this.closed, { what: `the end of plain client ${this.name}`, deadlineMs });
	}

	/* The connection breaks without a word. */
	cut() {
		open.delete(this);
		this.socket.terminate();
	}

	close() {
		open.delete(this);
		this.socket.close();
	}
}

/* An open connection; refused(): what its handshake was answered with. */
export async function dialPlain(url, { token, path = '/', name = '', welcomed = true, ...options } = {}) {
	const socket = new WebSocket(wsUrl(url, path, token), options);
	const client = new Plain(socket, name);
	const opened = new Promise((resolve, reject) => {
		socket.once('open', resolve);
		socket.once('error', reject);
	});
	await within(opened, { what: `plain client ${name} to be connected` });
	if (welcomed)
		await client.next('welcome');
	return client;
}

/* The answer to a handshake that must be refused: {status, json, headers}. */
export function refusedPlain(url, { token, path = '/', ...options } = {}) {
	const socket = new WebSocket(wsUrl(url, path, token), options);
	const answered = new Promise((resolve, reject) => {
		socket.on('error', reject);
		socket.on('open', () => {
			socket.terminate();
			reject(new assert.AssertionError({ message: 'the handshake is refused' }));
		});
		socket.on('unexpected-response', (_, response) => {
			let text = '';
			response.on('data', (data) => { text += data; });
			response.on('end', () => resolve({ status: response.statusCode, json: JSON.parse(text), headers: response.headers }));
		});
	});
	return within(answered, { what: 'the handshake to be refused' });
}

/* A new connection that says it was this one: {client, resumed}. */
export async function resume(url, was, { session = was.session, offset = was.offset, ...options }) {
	const client = await dialPlain(url, { name: `${was.name}'`, ...options });
	client.say('resume', { session, offset });
	return { client, resumed: await client.next('resumed') };
}

/* The edge that a metric of one edge says it is at. */
export async function connectionsOf(rw) {
	const found = {};
	for (const [name, one] of Object.entries(rw.processes).filter(([, { kind }]) => kind === 'edge')) {
		const { text } = await http(`${one.opsUrl}/metrics`);
		found[name] = Number(text.match(/^roomwire_connections (\d+)/m)[1]);
	}
	return found;
}

export function closePlain() {
	for (const client of open)
		client.cut();
}
