// SPDX-License-Identifier: Apache-2.0
/*
 * Waiting with a deadline. Nothing in these tests sleeps for a fixed time: it waits until something
 * is so, or fails saying what it had waited for. ROOMWIRE_DEADLINE_FACTOR stretches every deadline
 * (sanitizer builds, slow machines).
 */
import { setTimeout as pause } from 'node:timers/promises';

export const DEADLINE_MS = 20_000; /* of what takes a moment; the rest is for machines that have other things to do */
const factor = Number(process.env.ROOMWIRE_DEADLINE_FACTOR || 1);

export const stretched = (ms) => ms * factor;

/* Thrown by a probe that knows that waiting is in vain. */
export class Hopeless extends Error {}

/* Polls probe() until it returns something truthy, and returns that; errors but Hopeless count as "not yet". `what` may be a function, asked when it failed. */
export async function waitFor(probe, { what, deadlineMs = DEADLINE_MS, everyMs = 20 }) {
	const end = Date.now() + stretched(deadlineMs);
	let last = 'never true';
	for (;;) {
		try {
			const found = await probe();
			if (found)
				return found;
			last = `last answer ${String(found)}`;
		} catch (error) {
			if (error instanceof Hopeless)
				throw error;
			last = `last error: ${error.message}`;
		}
		if (Date.now() >= end)
			throw new Error(`waited ${stretched(deadlineMs)} ms for ${typeof what === 'function' ? what() : what}; ${last}`);
		await pause(everyMs);
	}
}

/* The promise's result, or an error that says what had been waited for. */
export function within(promise, { what, deadlineMs = DEADLINE_MS }) {
	let timer;
	const late = new Promise((_, reject) => {
		const fail = () => reject(new Error(`waited ${stretched(deadlineMs)} ms for ${what}`));
		timer = setTimeout(fail, stretched(deadlineMs));
	});
	return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/* A list that is filled from one side and taken from, in order, by matching waits on the other. */
export class Inbox {
	#items = [];
	#waiting = new Set();
	#ended = null;

	constructor(name) {
		this.name = name;
		this.all = [];
	}

	put(item) {
		this.all.push(item);
		for (const waiter of this.#waiting) {
			if (waiter.match(item)) {
				this.#waiting.delete(waiter);
				waiter.resolve(item);
				return;
			}
		}
		this.#items.push(item);
	}

	/* Nothing more will come: nobody is left waiting. */
	end(why) {
		this.#ended = new Error(why);
		for (const waiter of this.#waiting)
			waiter.reject(this.#ended);
	}

	/* Takes the oldest item that matches, waiting for it if need be. */
	take(match, { what, deadlineMs }) {
		const at = this.#items.findIndex(match);
		if (at >= 0)
			return Promise.resolve(this.#items.splice(at, 1)[0]);
		const waiter = { match };
		const found = new Promise((resolve, reject) => { Object.assign(waiter, { resolve, reject }); });
		this.#waiting.add(waiter);
		if (this.#ended)
			waiter.reject(this.#ended);
		return within(found, { what: `${what} at ${this.name}`, deadlineMs }).catch((error) => {
			this.#waiting.delete(waiter);
			const last = this.all.slice(-5).map((item) => JSON.stringify(item).slice(0, 200));
			throw new Error(`${error === this.#ended ? `${what} at ${this.name}: ` : ''}${error.message}; last of ${this.all.length} seen: ${last.join(' ')}`);
		});
	}

	/* What has arrived and was not taken yet. */
	untaken(match) {
		return this.#items.filter(match);
	}
}
