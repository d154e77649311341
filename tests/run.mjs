// SPDX-License-Identifier: Apache-2.0
/*
 * Runs scenario files, two at a time, beside one PostgreSQL and one RabbitMQ for all of them (Kafka: one for each file that uses it).
 *
 *   node tests/run.mjs [FILE …]     all files without arguments
 *
 * ROOMWIRE_BIN  folder of the binaries (default bin)
 * A file also runs alone (node --test FILE) and then starts what it needs itself.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { scratch } from './lib/children.mjs';
import { BIN, TESTS } from './lib/paths.mjs';
import { postgresForChildren, stopSharedPostgres } from './lib/postgres.mjs';
import { rabbitMqForChildren, stopSharedRabbitMq } from './lib/rabbitmq.mjs';
import { stretched } from './lib/wait.mjs';

const AT_ONCE = 2;
const FILE_TIMEOUT_MS = 600_000;

function files() {
	if (process.argv.length > 2)
		return process.argv.slice(2).map((file) => resolve(file));
	return readdirSync(TESTS).filter((name) => name.endsWith('.test.mjs')).sort().map((name) => join(TESTS, name));
}

if (!existsSync(join(BIN, 'roomwire'))) {
	console.error(`no ${join(BIN, 'roomwire')}: run make first, or set ROOMWIRE_BIN`);
	process.exit(2);
}
process.env.ROOMWIRE_TEST_DIR = scratch('run');
const [postgres, rabbitmq] = await Promise.all([postgresForChildren(), rabbitMqForChildren()]);
Object.assign(process.env, postgres, rabbitmq);

const stream = run({ files: files(), concurrency: AT_ONCE, timeout: stretched(FILE_TIMEOUT_MS) });
stream.on('test:fail', () => { process.exitCode = 1; });
const report = stream.compose(spec.prototype ? new spec() : spec); /* a class or a generator, by Node's version */
for await (const text of report)
	process.stdout.write(text);
await stopSharedPostgres();
await stopSharedRabbitMq();
