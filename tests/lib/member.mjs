// SPDX-License-Identifier: Apache-2.0
/* A client that stays in one room whatever happens, as an application would do it, and what it has seen of the room's numbers. */
import assert from 'node:assert/strict';
import { connect, RECONNECTING } from './client.mjs';
import { waitFor } from './wait.mjs';

export class Member {
	/* {n} or {connected: recovered} in the order in which they came */
	book = [];

	static async join(url, { room, event = 'n', ...options }) {
		const member = new Member();
		const client = await connect(url, { ...RECONNECTING, ...options });
		client.socket.io.timeout(1000); /* of those that follow: what it meets may be a process that stands still */
		Object.assign(member, { client, room, event });
		client.socket.on(event, ({ n }) => member.book.push({ n }));
		client.socket.on('connect', () => {
			member.book.push({ connected: client.socket.recovered });
			if (!client.socket.recovered)
				member.#joinAgain();
		});
		assert.equal((await client.ask('room:join', { room })).ok, true);
		return member;
	}

	/* Again and again until it is in, or away again (and joins when it is back). */
	#joinAgain() {
		const { socket } = this.client;
		const { id } = socket;
		const ask = () => socket.timeout(2000).emit('room:join', { room: this.room }, (error, answer) => {
			if (socket.connected && socket.id === id && !answer?.ok)
				setTimeout(ask, 100);
		});
		ask();
	}

	get numbers() {
		return this.book.filter(({ n }) => n !== undefined).map(({ n }) => n);
	}

	/* Times it was told that it is a new one. */
	get fresh() {
		return this.book.filter(({ connected }) => connected === false).length;
	}

	get returns() {
		return this.book.filter(({ connected }) => connected !== undefined).length;
	}

	/* Got the last of so many, in order and none twice, and with holes only where it was told. */
	async assertNoSilentHole(count, who, { deadlineMs = 40_000 } = {}) {
		await waitFor(() => this.numbers.includes(count - 1), { what: `${who} to get number ${count - 1}`, deadlineMs })
			.catch((error) => { throw new Error(`${error.message}; its last: ${JSON.stringify(this.book.slice(-8))}`); });
		let expected = 0;
		let told = false;
		for (const { n, connected } of this.book) {
			if (n === undefined) {
				told ||= connected === false;
				continue;
			}
			assert.ok(n >= expected, `${who} gets ${n} after ${expected - 1}: twice, or out of order`);
			assert.ok(n === expected || told, `${who} gets ${n} after ${expected - 1} and was not told of the hole`);
			expected = n + 1;
			told = false;
		}
	}

	async assertWhole(count, who, options) {
		await this.assertNoSilentHole(count, who, options);
		assert.equal(this.numbers.length, count, `${who} has got all ${count}`);
	}
}
