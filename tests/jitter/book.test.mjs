// SPDX-License-Identifier: Apache-2.0
/* The counting itself: what it must find, and what it must excuse. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Book, excused } from './book.mjs';

/* A number is a message; 'told'; ['joined', at]. Messages are published at 10 × their number. */
function read(events, final) {
	const book = new Book();
	for (const event of events) {
		if (event === 'told')
			book.told();
		else if (Array.isArray(event))
			book.joined(event[1]);
		else
			book.take(event);
	}
	const holes = book.holes(final);
	const { delivered, doubles, disorders } = book;
	const silent = holes.filter((hole) => !excused(hole, hole.number * 10)).map(({ number }) => number);
	const told = holes.filter((hole) => excused(hole, hole.number * 10)).map(({ number }) => number);
	return { delivered, doubles, disorders, silent, told };
}

const nothing = { delivered: 0, doubles: 0, disorders: 0, silent: [], told: [] };
for (const [what, events, final, expected] of [
	['all in order', [1, 2, 3], 3, { delivered: 3 }],
	['nothing published, nothing received', [], 0, {}],
	['a hole in the middle', [1, 3], 3, { delivered: 2, silent: [2] }],
	['a hole at the start', [2, 3], 3, { delivered: 2, silent: [1] }],
	['a hole at the end', [1], 3, { delivered: 1, silent: [2, 3] }],
	['a double at once', [1, 1, 2], 2, { delivered: 2, doubles: 1 }],
	['a double later', [1, 2, 3, 1], 3, { delivered: 3, doubles: 1 }],
	['two changed places', [1, 3, 2], 3, { delivered: 3, disorders: 1 }],
	['late and twice', [1, 3, 2, 2], 3, { delivered: 3, disorders: 1, doubles: 1 }],
	['a hole that was told', [1, 'told', ['joined', 35], 4], 4, { delivered: 2, told: [2, 3] }],
	['told, but the hole goes on after the join', [1, 'told', ['joined', 25], 4], 4, { delivered: 2, told: [2], silent: [3] }],
	['told, and the first message was faster than the ack of the join', [1, 'told', 4, ['joined', 25], 5], 5, { delivered: 3, told: [2, 3] }],
	['told, then a hole after the first message again', [1, 'told', ['joined', 25], 3, 5], 5, { delivered: 3, told: [2], silent: [4] }],
	['told twice before anything came', [1, 'told', ['joined', 15], 'told', ['joined', 35], 4], 4, { delivered: 2, told: [2, 3] }],
	['told, joined twice: due from the first ack', [1, 'told', ['joined', 15], ['joined', 35], 4], 4, { delivered: 2, silent: [2, 3] }],
	['told, never joined again', [1, 'told'], 3, { delivered: 1, told: [2, 3] }],
	['told, joined, nothing came', [1, 'told', ['joined', 25]], 3, { delivered: 1, told: [2], silent: [3] }],
	['told, but nothing was missed', [1, 'told', ['joined', 15], 2], 2, { delivered: 2 }],
	['told of a new session, and the old one replayed', [1, 'told', ['joined', 35], 1, 2, 3], 3, { delivered: 3, doubles: 1 }],
]) {
	test(what, () => assert.deepEqual(read(events, final), { ...nothing, ...expected }));
}
