// SPDX-License-Identifier: Apache-2.0
/*
 * What one member received of its room. The messages of a room bear numbers from 1 without gaps; the member had
 * joined before the first. A number that did not come is a hole; it is excused only when the server told the
 * member that its session is new (recovered false) between the numbers around the hole, and when the message was
 * published before the member's join was acknowledged again.
 */

export class Book {
	last = 0; /* the highest number received */
	delivered = 0; /* different numbers received */
	doubles = 0;
	disorders = 0; /* received after a higher one */
	#holes = new Map(); /* number: the gap it lies in, or null */
	#gap = null; /* told since the last message that something may be missing: {joinedAt} */

	/* The server said that the session is a new one. */
	told() {
		this.#gap = { joinedAt: Infinity };
	}

	/* The join was acknowledged at this time; what is published later is due again. */
	joined(at) {
		if (this.#gap)
			this.#gap.joinedAt = Math.min(this.#gap.joinedAt, at);
	}

	take(number) {
		if (number > this.last) {
			this.#skip(number - 1);
			this.last = number;
			this.#gap = null;
		} else if (this.#holes.delete(number)) {
			this.disorders++;
		} else {
			this.doubles++;
			return;
		}
		this.delivered++;
	}

	/* Everything up to this number was published: [{number, joinedAt}], joinedAt null where nothing was told. */
	holes(final) {
		this.#skip(final);
		return [...this.#holes].map(([number, gap]) => ({ number, joinedAt: gap && gap.joinedAt }));
	}

	#skip(to) {
		for (let number = this.last + 1; number <= to; number++)
			this.#holes.set(number, this.#gap);
		this.last = Math.max(this.last, to);
	}
}

/* True if the member may miss this message, which the publisher began to publish at publishedAt. */
export const excused = ({ joinedAt }, publishedAt) => joinedAt !== null && publishedAt <= joinedAt;
