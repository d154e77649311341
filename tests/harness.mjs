// SPDX-License-Identifier: Apache-2.0
/*
 * What every scenario imports. A file says which Roomwire it needs with useRoomwire(), and its
 * promises with scenario(); starting, stopping and telling why are done here.
 */
import { after, before, test } from 'node:test';
import { closeClients } from './lib/client.mjs';
import { closePlain } from './lib/plain.mjs';
import { stopSharedPostgres } from './lib/postgres.mjs';
import { stopSharedRabbitMq } from './lib/rabbitmq.mjs';
import { closeRaw } from './lib/rawio.mjs';
import { Roomwire, runningLogs } from './lib/roomwire.mjs';
import { stretched } from './lib/wait.mjs';

export * from './lib/client.mjs';
export * from './lib/rawio.mjs';
export { Roomwire } from './lib/roomwire.mjs';
export { now, sign, withHeader } from './lib/tokens.mjs';
export { waitFor, within } from './lib/wait.mjs';

/* One promise of the contract. Connections it opened are closed after it; a failure prints the logs. */
export function scenario(promise, options, body) {
	if (typeof options === 'function')
		return scenario(promise, {}, options);
	const { timeout = 120_000, ...more } = options;
	return test(promise, { timeout: stretched(timeout), ...more }, async (t) => {
		try {
			await body(t);
		} catch (error) {
			process.stderr.write(`\n### ${promise}: ${error.message}\n${runningLogs()}\n`);
			throw error;
		} finally {
			closeClients();
			closePlain();
			closeRaw();
		}
	});
}

/*
 * Runs start() before the first scenario of the file and calls what it returned for stopping after
 * the last one: {name: thing}; things have stop() or close(), and are stopped last to first.
 */
export function useFixture(start) {
	const fixture = {};
	before(async () => {
		try {
			await start(fixture);
		} catch (error) {
			process.stderr.write(`\n### starting: ${error.message}\n${runningLogs()}\n`);
			throw error;
		}
	});
	after(async () => {
		const stops = Object.values(fixture).reverse()
			.map((thing) => () => (thing?.destroy ?? thing?.stop ?? thing?.close)?.call(thing));
		const errors = [];
		for (const stop of [...stops, stopSharedPostgres, stopSharedRabbitMq]) {
			try {
				await stop();
			} catch (error) {
				errors.push(error); /* the others are stopped all the same */
			}
		}
		if (errors.length)
			throw errors[0];
	});
	return fixture;
}

/* A Roomwire for the whole file: fixture.rw. Options as Roomwire's, or a function that finds them. */
export function useRoomwire(options) {
	return useFixture(async (fixture) => {
		const wanted = typeof options === 'function' ? await options(fixture) : options;
		fixture.rw = new Roomwire(wanted);
		await fixture.rw.start();
	});
}
