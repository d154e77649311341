// SPDX-License-Identifier: Apache-2.0
/* Engine.IO by hand: long-polling with fetch, WebSocket with ws, and bytes over a bare TCP connection. */
import { once } from 'node:events';
import { connect as tcpConnect } from 'node:net';
import WebSocket from 'ws';
import { DEADLINE_MS, Inbox, stretched, waitFor, within } from './wait.mjs';

const open = new Set();
export const SEPARATOR = '\x1e';

export function endpoint(url, query = {}) {
	const words = new URLSearchParams({ EIO: '4', ...query });
	for (const [name, value] of Object.entries(query)) {
		if (value === undefined)
			words.delete(name);
	}
	return `${url}/socket.io/?${words}`;
}

/* One HTTP request: {status, text, json, headers}. */
export async function http(url, options = {}) {
	const response = await fetch(url, { signal: AbortSignal.timeout(stretched(DEADLINE_MS)), ...options });
	const text = await response.text();
	let json = null;
	try {
		json = JSON.parse(text);
	} catch { /* not every answer is JSON */ }
	return { status: response.status, text, json, headers: response.headers };
}

/* A long-polling session. */
export class Polling {
	static async open(url, query, options) {
		const session = new Polling();
		const answer = await http(endpoint(url, { transport: 'polling', ...query }), options);
		if (answer.status !== 200)
			throw new Error(`handshake answered ${answer.status} ${answer.text}`);
		session.handshake = JSON.parse(answer.text.slice(1));
		session.sid = session.handshake.sid;
		session.url = endpoint(url, { transport: 'polling', sid: session.sid });
		return session;
	}

	get() {
		return http(this.url);
	}

	post(body, options) {
		return http(this.url, { method: 'POST', body, headers: { 'content-type': 'text/plain;charset=UTF-8' }, ...options });
	}

	/* Polls, answering pings, until the packets other than pings are this many. */
	async packets(count) {
		const found = [];
		while (found.length < count) {
			const { status, text } = await this.get();
			if (status !== 200)
				throw new Error(`poll answered ${status} ${text} after ${found.length} of ${count} packets`);
			for (const packet of text.split(SEPARATOR)) {
				if (packet === '2')
					await this.post('3');
				else
					found.push(packet);
			}
		}
		return found;
	}
}

/* A WebSocket that speaks packets; pings are answered and kept apart unless `pong` is false. */
export class Raw {
	constructor(url, { query, pong = true, ...options } = {}) {
		this.socket = new WebSocket(endpoint(url.replace(/^http/, 'ws'), { transport: 'websocket', ...query }), options);
		this.inbox = new Inbox('raw WebSocket');
		this.closed = new Promise((resolve) => {
			this.socket.on('close', (code, reason) => {
				this.inbox.end(`closed with ${code}`);
				resolve({ code, reason: reason.toString() });
			});
			this.socket.once('unexpected-response', () => resolve({ code: 1006, reason: 'handshake refused' }));
		});
		this.opened = new Promise((resolve, reject) => {
			this.socket.once('open', resolve);
			this.socket.once('error', reject);
			this.socket.once('unexpected-response', (_, response) => {
				reject(Object.assign(new Error(`handshake answered ${response.statusCode}`), { response }));
			});
		});
		this.opened.catch(() => {});
		this.socket.on('error', () => {});
		this.socket.on('message', (data, isBinary) => {
			if (pong && !isBinary && data.length === 1 && data[0] === 0x32)
				this.send('3');
			else
				this.inbox.put(isBinary ? data : data.toString());
		});
		open.add(this);
	}

	/* Opened, with the Engine.IO handshake read into `handshake`. */
	static async open(url, options) {
		const raw = new Raw(url, options);
		await within(raw.opened, { what: 'a WebSocket to open' });
		const first = await raw.next();
		raw.handshake = JSON.parse(first.slice(1));
		return raw;
	}

	/* Connected to a namespace, with its CONNECT answer read into `connect`. */
	static async join(url, { nsp = '', payload, ...options } = {}) {
		const raw = await Raw.open(url, options);
		raw.send(`40${nsp}${payload === undefined ? '' : JSON.stringify(payload)}`);
		const answer = await raw.next();
		if (!answer.startsWith(`40${nsp}`))
			throw new Error(`CONNECT was answered ${answer}`);
		raw.connect = JSON.parse(answer.slice(2 + nsp.length));
		return raw;
	}

	send(data) {
		if (this.socket.readyState === WebSocket.OPEN)
			this.socket.send(data);
	}

	/* The next packet (text), or attachment (Buffer). */
	next(match = () => true) {
		return this.inbox.take(match, { what: 'a packet' });
	}

	/* The {code, reason} it was closed with. */
	end(deadlineMs) {
		return within(this.closed, { what: 'the WebSocket to be closed by the server', deadlineMs });
	}

	close() {
		open.delete(this);
		this.socket.terminate();
	}
}

/* The HTTP status that refuses a WebSocket handshake, with its body. */
export async function wsRefusal(url, options = {}) {
	const raw = new Raw(url, options);
	try {
		await within(raw.opened, { what: 'a WebSocket handshake to be answered' });
	} catch (error) {
		if (!error.response)
			throw error;
		let text = '';
		for await (const piece of error.response)
			text += piece;
		return { status: error.response.statusCode, text };
	} finally {
		raw.close();
	}
	throw new Error('the WebSocket handshake was accepted');
}

/* A bare TCP connection: {socket, received() text so far, ended promise}. */
export function tcp(url) {
	const { hostname, port } = new URL(url);
	const socket = tcpConnect({ host: hostname, port: Number(port), allowHalfOpen: true });
	let text = '';
	const connection = {
		socket,
		received: () => text,
		ended: new Promise((resolve) => {
			socket.on('close', resolve);
			socket.on('end', resolve);
		}),
		/* By reset: ten thousand closed connections must not use up the ports of this machine. After end() it cannot be. */
		close: () => {
			open.delete(connection);
			if (socket.writableEnded)
				socket.destroy();
			else
				socket.resetAndDestroy();
		},
	};
	socket.setNoDelay(true);
	socket.on('error', () => {});
	socket.on('data', (bytes) => { text += bytes.toString('latin1'); });
	open.add(connection);
	return connection;
}

/* A poll of the session that waits at the server: see sent(). */
export function pollUnderWay({ url }) {
	const { pathname, search } = new URL(url);
	return sent(url, `GET ${pathname}${search} HTTP/1.1\r\nHost: x\r\n\r\n`);
}

/* It was answered by this payload. */
export function pollAnswered(connection, payload) {
	const answer = () => connection.received();
	return waitFor(() => answer().startsWith('HTTP/1.1 200 ') && answer().endsWith(`\r\n\r\n${payload}`), { what: () => `the poll to be answered ${payload}: ${answer()}` });
}

/* Bytes over a connection of its own; the server has read them when this returns, for it has answered another connection that came after them. */
export async function sent(url, bytes) {
	const connection = tcp(url);
	await within(once(connection.socket, 'connect'), { what: 'a connection' });
	await new Promise((resolve) => { connection.socket.write(bytes, resolve); });
	const later = tcp(url);
	later.socket.write('GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n');
	await waitFor(() => later.received().length > 0, { what: 'an answer', everyMs: 1 });
	later.close();
	return connection;
}

export function closeRaw() {
	for (const one of open)
		one.close();
}
