// SPDX-License-Identifier: Apache-2.0
/*
 * One member of a room: an unmodified socket.io-client, used as its documentation says. It joins when it is told that
 * the session is new (or when its join was never acknowledged), and leaves reconnecting to the library.
 */
import { io } from 'socket.io-client';
import { Book } from './book.mjs';

const JOIN_MS = 5000;
const REFUSED_RETRY_MS = 300;

/* As Date.now(), with fractions. */
const now = () => performance.timeOrigin + performance.now();

export class Member {
	book = new Book();
	/* connects that follow the first; fresh: told so; unheard: of these, with no message in the session before */
	counts = { reconnects: 0, recovered: 0, fresh: 0, unheard: 0, refused: 0, joinErrors: 0, strays: 0, idsChanged: 0 };
	reasons = {}; /* of disconnects, as the library calls them */
	freshAt = []; /* when it was told so, ms */
	replays = []; /* {at, fromConnectMs, fromDialMs} of each recovered return with something to replay */
	#socket;
	#joined = false;
	#id = null; /* of the session; null before the first connect */
	#heard = false; /* a message in this session */
	#dialledAt = 0;
	#away = null; /* since the last disconnect, the return included: {connectedAt, lastMissedAt}, null until then */
	#waiters = new Set();

	constructor({ room, url, token, transports, reconnection }) {
		this.room = room;
		this.#socket = io(url, { auth: { token }, transports, forceNew: true, ...reconnection });
		this.#socket.io.on('reconnect_attempt', () => { this.#dialledAt = now(); });
		this.#socket.on('connect', () => this.#connected());
		this.#socket.on('disconnect', (reason) => this.#disconnected(reason));
		this.#socket.on('connect_error', () => this.#failed());
		this.#socket.on('tick', (message) => this.#took(message));
	}

	get present() {
		return this.#socket.connected && this.#joined;
	}

	/* Resolves as soon as test(this) is so. */
	until(test) {
		return test(this) ? Promise.resolve() : new Promise((resolve) => this.#waiters.add({ test, resolve }));
	}

	/* Everything that the server sent before it answers this has arrived when it is answered. */
	flush() {
		return this.#socket.timeout(JOIN_MS).emitWithAck('room:join', { room: this.room });
	}

	report(final) {
		this.#closeReplay();
		const { delivered, doubles, disorders } = this.book;
		return {
			room: this.room, holes: this.book.holes(final), freshAt: this.freshAt, replays: this.replays, reasons: this.reasons,
			counts: { ...this.counts, delivered, doubles, disorders },
		};
	}

	close() {
		this.#socket.off();
		this.#socket.disconnect();
	}

	#connected() {
		const { id, recovered } = this.#socket;
		if (this.#id !== null) {
			this.counts.reconnects++;
			if (recovered)
				this.counts.recovered++;
			else
				this.#startAnew();
			if (recovered && id !== this.#id)
				this.counts.idsChanged++;
		}
		if (!recovered)
			this.#away = null;
		else if (this.#away)
			Object.assign(this.#away, { dialledAt: this.#dialledAt, connectedAt: now() });
		this.#id = id;
		if (!recovered || !this.#joined)
			this.#join();
		this.#changed();
	}

	#startAnew() {
		this.counts.fresh++;
		this.freshAt.push(Date.now());
		if (!this.#heard)
			this.counts.unheard++;
		this.#heard = false;
		this.#joined = false;
		this.book.told();
	}

	async #join() {
		try {
			const { ok } = await this.flush();
			if (!ok)
				throw new Error('the join was refused');
			this.book.joined(Date.now());
			this.#joined = true;
			this.#changed();
		} catch {
			this.counts.joinErrors++;
			if (this.#socket.connected)
				this.#join(); /* else the next connect does */
		}
	}

	#took({ room, number, at }) {
		if (room !== this.room) {
			this.counts.strays++;
			return;
		}
		this.#heard = true;
		this.book.take(number);
		/* a server may replay before it says that the session is recovered; the library keeps that order */
		if (this.#away && (this.#away.connectedAt === null || at <= this.#away.connectedAt))
			this.#away.lastMissedAt = now();
		this.#changed();
	}

	#disconnected(reason) {
		this.reasons[reason] = (this.reasons[reason] ?? 0) + 1;
		this.#closeReplay();
		this.#away = { connectedAt: null, lastMissedAt: null };
	}

	#closeReplay() {
		if (this.#away?.connectedAt && this.#away.lastMissedAt) {
			const { dialledAt, connectedAt, lastMissedAt } = this.#away;
			this.replays.push({ at: dialledAt, fromConnectMs: Math.max(0, lastMissedAt - connectedAt), fromDialMs: lastMissedAt - dialledAt });
		}
		this.#away = null;
	}

	/* After a CONNECT_ERROR the library leaves it to the application to try again. */
	#failed() {
		if (this.#socket.active)
			return;
		this.counts.refused++;
		setTimeout(() => this.#socket.connect(), REFUSED_RETRY_MS);
	}

	#changed() {
		for (const waiter of this.#waiters) {
			if (waiter.test(this)) {
				this.#waiters.delete(waiter);
				waiter.resolve();
			}
		}
	}
}
