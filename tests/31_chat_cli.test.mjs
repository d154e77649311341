// SPDX-License-Identifier: Apache-2.0
/* chat: token, tail and publish of the command line; the names of the document's environment. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Roomwire, scenario, useFixture, waitFor, within } from './harness.mjs';
import { startChild, stopChild } from './lib/children.mjs';
import { BIN, REPO } from './lib/paths.mjs';
import { cleanEnv } from './lib/roomwire.mjs';
import { dialPlain } from './lib/plain.mjs';

const SECRET = 'a-secret-that-is-long-enough-for-hs256';
const fixture = useFixture(async (things) => {
	things.rw = await new Roomwire({ profile: 'chat', env: { JWT_SECRET: null, JWT_DEV: SECRET } }).start();
	things.rw.secret = SECRET;
});

function run(args, env = {}) {
	let out = '';
	let errors = '';
	const child = startChild(join(BIN, 'roomwire'), args, { env: { ...cleanEnv(), JWT_DEV: SECRET, API_KEY: fixture.rw.apiKey, ...env }, cwd: REPO,
		onOutput: (text) => { out += text; }, onError: (text) => { errors += text; } });
	return { child, get out() { return out; }, get errors() { return errors; } };
}

async function finish(args, env) {
	const run1 = run(args, env);
	const { code } = await within(run1.child.exited, { what: `roomwire ${args[0]} to end` }); /* and what it printed to be read */
	return { code, out: run1.out, errors: run1.errors };
}

scenario('token, tail and publish speak the dialect of the profile; JWT_DEV is the secret', async () => {
	const { out: token } = await finish(['token', '--profile', 'chat', '--claim', 'sub=me']);
	const tail = run(['tail', '--profile', 'chat', '--url', fixture.rw.url, '--token', token.trim(), '--emit', 'join={"roomId":"cli"}', '--emit', 'ping=null']);
	try {
		await waitFor(() => tail.out.includes('"pong"'), { what: 'the pong' });
		const { code } = await finish(['publish', '--profile', 'chat', '--url', fixture.rw.apiUrl, '--room', 'cli', '--event', 'notice', '--data', '{"x":"' + 'y'.repeat(70_000) + '"}']);
		assert.equal(code, 0);
		await waitFor(() => tail.out.includes('"notice"') && tail.out.trimEnd().endsWith('}'), { what: 'the notice' });
		const types = tail.out.trim().split('\n').map((line) => JSON.parse(line).type);
		assert.deepEqual(types, ['welcome', 'room_update', 'pong', 'notice']);
	} finally {
		await stopChild(tail.child, { with: 'SIGKILL' });
	}
});

scenario('tail says why it was refused', async () => {
	const { code, errors } = await finish(['tail', '--profile', 'chat', '--url', fixture.rw.url, '--token', 'bad']);
	assert.equal(code, 1);
	assert.match(errors, /401/);
	assert.match(errors, /AUTH_TOKEN_INVALID/);
});

scenario('a token of JWT_DEV connects', async () => {
	await dialPlain(fixture.rw.url, { token: fixture.rw.token({ sub: 'x' }) });
});
