// SPDX-License-Identifier: Apache-2.0
/* Numbers in [0, 1) that are the same in every run with the same seeds (mulberry32). */

export function seeded(...seeds) {
	let state = seeds.reduce((sum, one) => Math.imul(sum ^ one, 0x9E3779B1) + 0x7F4A7C15 | 0, 0);
	return () => {
		state = state + 0x6D2B79F5 | 0;
		let mixed = Math.imul(state ^ state >>> 15, 1 | state);
		mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
		return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
	};
}
