// SPDX-License-Identifier: Apache-2.0
/* Packets by hand over either transport, in one form: text packets are strings, attachments are Buffers; pings are answered. */
import { scenario } from '../harness.mjs';
import { http, Polling, Raw, SEPARATOR } from './rawio.mjs';
import { Inbox, within } from './wait.mjs';

export const TRANSPORTS = ['WebSocket', 'long-polling'];
const talkers = new Set();

export const toBase64 = (bytes) => `b${bytes.toString('base64')}`;

class PollingTalk {
	#leaving = new AbortController();
	#posts = Promise.resolve();

	constructor(session) {
		this.session = session;
		this.inbox = new Inbox('long-polling');
		this.closed = this.#poll();
	}

	static async open(url, options) {
		return new PollingTalk(await Polling.open(url, {}, options));
	}

	/* Until the server ends the session: {status} of the poll that told so. */
	async #poll() {
		for (;;) {
			const answer = await http(this.session.url, { signal: this.#leaving.signal }).catch((error) => ({ status: 0, text: error.message }));
			if (answer.status !== 200)
				return answer;
			for (const packet of answer.text.split(SEPARATOR)) {
				if (packet === '1')
					return answer;
				else if (packet === '2')
					this.send('3');
				else if (packet.startsWith('b'))
					this.inbox.put(Buffer.from(packet.slice(1), 'base64'));
				else if (packet !== '6')
					this.inbox.put(packet);
			}
		}
	}

	/* All of them in one POST, after the one before. */
	send(...packets) {
		const body = packets.map((one) => (typeof one === 'string' ? one : toBase64(one))).join(SEPARATOR);
		this.#posts = this.#posts.then(() => this.session.post(body)).catch((error) => ({ status: 0, text: error.message }));
		return this.#posts;
	}

	next(match = () => true) {
		return this.inbox.take(match, { what: 'a packet' });
	}

	end() {
		return within(this.closed, { what: 'the long-polling session to be ended by the server' });
	}

	close() {
		this.#leaving.abort();
	}
}

class SocketTalk {
	constructor(raw) {
		this.raw = raw;
	}

	static async open(url, options) {
		return new SocketTalk(await Raw.open(url, options));
	}

	send(...packets) {
		for (const packet of packets)
			this.raw.send(packet);
	}

	next(match) {
		return this.raw.next(match);
	}

	end() {
		return this.raw.end();
	}

	close() {
		this.raw.close();
	}
}

/* An Engine.IO session. */
export async function talk(url, transport, options) {
	const one = await (transport === 'WebSocket' ? SocketTalk : PollingTalk).open(url, options);
	talkers.add(one);
	return one;
}

/* An Engine.IO session that is connected to a namespace, with the answer in `connect` and the auth event taken. */
export async function joined(url, transport, nsp = '') {
	const one = await talk(url, transport);
	one.connect = await join(one, nsp);
	return one;
}

export async function join(one, nsp = '') {
	one.send(`40${nsp}`);
	const answer = await one.next((packet) => packet.startsWith(`40${nsp}{`));
	await one.next((packet) => packet.startsWith(`42${nsp}["auth"`));
	return JSON.parse(answer.slice(2 + nsp.length));
}

/* The promise over each transport: body(transport). */
export function both(promise, body) {
	for (const transport of TRANSPORTS) {
		scenario(`${transport}: ${promise}`, async () => {
			try {
				await body(transport);
			} finally {
				for (const one of talkers)
					one.close();
				talkers.clear();
			}
		});
	}
}
