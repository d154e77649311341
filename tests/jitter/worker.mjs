// SPDX-License-Identifier: Apache-2.0
/* A process full of members. */
import { setTimeout as pause } from 'node:timers/promises';
import { serve } from './helper.mjs';
import { Member } from './member.mjs';

const CONNECT_AT_ONCE = 32;

let members = [];

/* Waits until test(member) holds for all, at most so long; returns for how many it does not. */
async function all(test, deadlineMs) {
	const done = Promise.all(members.map((member) => member.until(test)));
	const late = new AbortController();
	await Promise.race([done, pause(deadlineMs, null, { signal: late.signal, ref: false }).catch(() => {})]);
	late.abort();
	return members.filter((member) => !test(member)).length;
}

serve({
	/* Connects and joins them, some at a time; returns when all are members. */
	async start({ members: rows, reconnection }) {
		const left = [...rows];
		const lane = async () => {
			for (let row = left.shift(); row; row = left.shift()) {
				const member = new Member({ ...row, reconnection });
				members.push(member);
				await member.until(({ present }) => present);
			}
		};
		await Promise.all(Array.from({ length: CONNECT_AT_ONCE }, lane));
	},
	/* → how many are not connected and members at the deadline */
	settle: ({ deadlineMs }) => all(({ present }) => present, deadlineMs),
	/* → how many have not received the last message of their room at the deadline; late doubles have come, too */
	async finish({ finals, deadlineMs }) {
		const behind = await all(({ room, book }) => book.last >= finals[room], deadlineMs);
		await Promise.allSettled(members.map((member) => member.flush()));
		return behind;
	},
	report({ finals }) {
		const rows = members.map((member) => member.report(finals[member.room]));
		for (const member of members)
			member.close();
		const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
		return { rows, usage: { cpuMs: (userCPUTime + systemCPUTime) / 1000, maxRssKb: maxRSS } };
	},
});
