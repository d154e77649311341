// SPDX-License-Identifier: Apache-2.0
/*
 * The backend: publishes by POST /v1/publish at a steady rate, to a room drawn by the seed each time. Messages of one
 * room go one after another, each after the 202 of the one before; up to inFlight rooms at once. What is not accepted is
 * sent again with the same id until it is.
 */
import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { stretched } from '../lib/wait.mjs';
import { seeded } from './random.mjs';

const ANSWER_MS = 5000;
const ACCEPT_MS = 60_000;
const RETRY_MS = 50;

export class Publisher {
	sentAgain = 0;
	slowestMs = 0; /* from the first try to the 202 */
	#url;
	#key;
	#options;
	#random;
	#agent;
	#rooms = new Map(); /* name: {startedAt: [ms of message 1, 2, …], tail: promise of the last} */
	#inFlight = new Set();
	#failure = null;

	constructor({ url, key, rooms, options }) {
		this.#url = new URL('/v1/publish', url);
		this.#key = key;
		this.#options = options;
		this.#random = seeded(options.seed, -1);
		this.#agent = new Agent({ keepAlive: true, maxSockets: options.inFlight });
		for (const name of rooms)
			this.#rooms.set(name, { startedAt: [], tail: Promise.resolve() });
	}

	/* At the rate, until over() says so; what is behind because nothing was accepted for a while is made up for. */
	async run(over) {
		const names = [...this.#rooms.keys()];
		const everyMs = 1000 / this.#options.rate;
		for (let due = Date.now() + everyMs; !over() && !this.#failure; due += everyMs) {
			if (due > Date.now())
				await pause(due - Date.now());
			await this.#enqueue(names[Math.floor(this.#random() * names.length)]);
		}
		await this.#settled();
	}

	/* One last message to every room: {room: its number}. */
	async finish() {
		for (const name of this.#rooms.keys())
			await this.#enqueue(name);
		await this.#settled();
		this.#agent.destroy();
		return Object.fromEntries([...this.#rooms].map(([name, { startedAt }]) => [name, startedAt.length]));
	}

	get published() {
		return [...this.#rooms.values()].reduce((sum, { startedAt }) => sum + startedAt.length, 0);
	}

	/* When it began to publish this message. */
	startedAt(room, number) {
		return this.#rooms.get(room).startedAt[number - 1];
	}

	async #enqueue(name) {
		const room = this.#rooms.get(name);
		room.tail = room.tail.then(() => this.#publish(name, room)).catch((error) => { this.#failure ??= error; });
		const one = room.tail.then(() => this.#inFlight.delete(one));
		this.#inFlight.add(one);
		if (this.#inFlight.size >= this.#options.inFlight)
			await Promise.race(this.#inFlight);
	}

	async #settled() {
		await Promise.all(this.#inFlight);
		if (this.#failure)
			throw this.#failure;
	}

	async #publish(name, room) {
		if (this.#failure)
			return;
		const at = Date.now();
		const number = room.startedAt.push(at);
		const body = JSON.stringify({ rooms: [name], event: 'tick', data: { room: name, number, at }, id: randomUUID() });
		for (;;) {
			const answer = await this.#post(body);
			if (answer === 202)
				break;
			if (Date.now() - at > stretched(ACCEPT_MS))
				throw new Error(`message ${number} to ${name} was not accepted in ${stretched(ACCEPT_MS)} ms; last answer: ${answer}`);
			this.sentAgain++;
			await pause(RETRY_MS);
		}
		this.slowestMs = Math.max(this.slowestMs, Date.now() - at);
	}

	/* → the status, or what went wrong */
	#post(body) {
		return new Promise((resolve) => {
			const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), authorization: `Bearer ${this.#key}` };
			const call = request(this.#url, { method: 'POST', agent: this.#agent, headers, timeout: ANSWER_MS }, (response) => {
				response.on('error', (error) => resolve(error.message));
				response.on('end', () => resolve(response.statusCode)).resume();
			});
			call.on('timeout', () => call.destroy(new Error('no answer')));
			call.on('error', (error) => resolve(error.message));
			call.end(body);
		});
	}
}
