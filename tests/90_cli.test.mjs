// SPDX-License-Identifier: Apache-2.0
/* The operator's commands: what they print, and with which exit code. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import jwt from 'jsonwebtoken';
import { connect, now, scenario, useRoomwire, waitFor } from './harness.mjs';
import { runChild, scratch, startChild, stopChild } from './lib/children.mjs';
import { AGENT, roomOf, TICKET } from './lib/opsdesk.mjs';
import { BIN, REPO } from './lib/paths.mjs';
import { cleanEnv } from './lib/roomwire.mjs';

const fixture = useRoomwire({ profile: 'opsdesk' });
const run = (args, { binary = 'roomwire', env = {} } = {}) =>
	runChild(join(BIN, binary), args, { env: { ...cleanEnv(), ...env }, cwd: REPO, deadlineMs: 40_000 });
const PROFILE = join(REPO, 'profiles', 'opsdesk.yaml');

function file(name, text) {
	const path = join(scratch('cli'), name);
	writeFileSync(path, text);
	return path;
}

for (const binary of ['roomwire', 'roomwire-edge', 'roomwire-auth', 'roomwire-router', 'roomwire-ingest']) {
	scenario(`${binary} --help and --version print to standard output and exit 0`, async () => {
		const help = await run(['--help'], { binary });
		assert.deepEqual([help.code, help.stderr], [0, '']);
		assert.match(help.stdout, new RegExp(`\\b${binary}\\b`));
		const version = await run(['--version'], { binary });
		assert.deepEqual([version.code, version.stderr], [0, '']);
		assert.match(version.stdout, /\d+\.\d+/);
	});

	scenario(`${binary} with an unknown option exits 2 and names it`, async () => {
		const { code, stderr } = await run(['--frobnicate'], { binary });
		assert.equal(code, 2);
		assert.match(stderr, /frobnicate/);
	});
}

scenario('roomwire without a command, or with an unknown one, exits 2 and says what there is', async () => {
	for (const args of [[], ['frobnicate']]) {
		const { code, stdout, stderr } = await run(args);
		assert.equal(code, 2);
		assert.match(stdout + stderr, /\bup\b/);
	}
});

for (const name of ['opsdesk', 'conformance', 'bench']) {
	scenario(`check says that profiles/${name}.yaml is good`, async () => {
		const { code, stdout, stderr } = await run(['check', join(REPO, 'profiles', `${name}.yaml`)]);
		assert.equal(code, 0, stdout + stderr);
	});
}

scenario('check says that a config file is good', async () => {
	const { code, stdout, stderr } = await run(['check', file('good.yaml', 'profile: opsdesk\nport: 8080\nlog_level: warn\n')],
		{ env: { JWT_SECRET: 'x'.repeat(32) } });
	assert.equal(code, 0, stdout + stderr);
});

/* file, expected line, what the message must name: key, what was found, what is allowed */
const BAD_CONFIGS = [
	['an unknown key', 'profile: opsdesk\nprot: 8080\n', 2, ['prot', 'port']],
	['a port out of range', 'profile: opsdesk\n\nport: 99999\n', 3, ['port', '99999', '65535']],
	['a port that is no number', 'port: http\nprofile: opsdesk\n', 1, ['port', 'http', '65535']],
	['a negative size', 'profile: opsdesk\nmax_rooms: -1\n', 2, ['max_rooms', '-1', '1000000']],
	['a word that is no choice', 'profile: opsdesk\nlog_level: loud\n', 2, ['log_level', 'loud', 'debug', 'error']],
	['a key that is there twice', 'profile: opsdesk\nport: 1\nport: 2\n', 3, ['port']],
	['a list where a number is due', 'profile: opsdesk\nport: [1, 2]\n', 2, ['port']],
	['broken YAML', 'profile: opsdesk\nport: "8080\n', null, []],
];
for (const [what, text, line, words] of BAD_CONFIGS) {
	scenario(`check of a config with ${what} exits 2 and says where, what was found and what is allowed`, async () => {
		const path = file('bad.yaml', text);
		const { code, stdout, stderr } = await run(['check', path]);
		const said = stdout + stderr;
		assert.equal(code, 2, said);
		assert.ok(said.includes(line === null ? 'bad.yaml' : `bad.yaml:${line}`), `names the line ${line}: ${said}`);
		for (const word of words)
			assert.ok(said.includes(word), `says ${word}: ${said}`);
	});
}

const BAD_PROFILES = [
	['an unknown key', (text) => text.replace('namespaces:', 'namespace:'), /namespace:/, ['namespace']],
	['an unknown action', (text) => text.replace('- relay:', '- relai:'), /- relai:/, ['relai']],
	['an unknown field type', (text) => text.replace('type: bool', 'type: boolish'), /type: boolish/, ['boolish', 'bool']],
	['a template that names nothing', (text) => text.replace('"user:{user.id}"', '"user:{user.nobody}"'), /user\.nobody/, ['user.nobody']],
	['a check that is not there', (text) => text.replace('check: { name: ticket_access', 'check: { name: ticket_excess'), /ticket_excess/, ['ticket_excess']],
];
for (const [what, spoil, where, words] of BAD_PROFILES) {
	scenario(`check of a profile with ${what} exits 2 and names file, line and what is wrong`, async () => {
		const good = readFileSync(PROFILE, 'utf8');
		const text = spoil(good);
		assert.notEqual(text, good, 'the profile was changed');
		const line = text.split('\n').findIndex((one) => where.test(one)) + 1;
		const { code, stdout, stderr } = await run(['check', file('opsdesk.yaml', text)]);
		const said = stdout + stderr;
		assert.equal(code, 2, said);
		const named = [...said.matchAll(/opsdesk\.yaml:(\d+)/g)].map(([, number]) => Number(number));
		assert.ok(named.some((number) => Math.abs(number - line) <= 1), `a line near ${line}: ${said}`);
		for (const word of words)
			assert.ok(said.includes(word), `says ${word}: ${said}`);
	});
}

for (const [what, path] of [['a file that is not there', '/nowhere/at-all.yaml'], ['a folder', REPO]]) {
	scenario(`check of ${what} exits 2 and names it`, async () => {
		const { code, stdout, stderr } = await run(['check', path]);
		assert.equal(code, 2);
		assert.ok((stdout + stderr).includes(path));
	});
}

scenario('check of an empty file exits 2', async () => {
	assert.equal((await run(['check', file('empty.yaml', '')])).code, 2);
});

const UP_ERRORS = [
	['no JWT_SECRET', ['--profile', 'opsdesk'], {}, /JWT_SECRET/],
	['an unknown profile', ['--profile', 'nobody'], { JWT_SECRET: 'x'.repeat(32) }, /nobody/],
	['a port out of range', ['--profile', 'opsdesk'], { JWT_SECRET: 'x'.repeat(32), PORT: '70000' }, /PORT\b.*70000|70000.*PORT\b/s],
	['a number of edges that is none', ['--profile', 'opsdesk', '--edges', 'many'], { JWT_SECRET: 'x'.repeat(32) }, /edges/],
];
for (const [what, args, env, said] of UP_ERRORS) {
	scenario(`up with ${what} exits 2 and says so`, async () => {
		const { code, stdout, stderr } = await run(['up', ...args], { env: { PORT: '0', ...env } });
		assert.equal(code, 2, stdout + stderr);
		assert.match(stderr, said);
		assert.ok(!stderr.includes('x'.repeat(32)), 'no secret is shown');
	});
}

scenario('a port that is taken ends up with an error that names it', async () => {
	const { port } = new URL(fixture.rw.apiUrl);
	const { code, stderr } = await run(['up', '--profile', 'conformance'], { env: { PORT: '0', API_PORT: port } });
	assert.notEqual(code, 0);
	assert.ok(stderr.includes(port), stderr);
});

scenario('token prints a signed token with the claims, JSON where they parse', async () => {
	const { rw } = fixture;
	const { code, stdout, stderr } = await run(['token', '--profile', 'opsdesk', '--claim', 'sub=u7',
		'--claim', 'roles=["agent"]', '--claim', 'name=7 of 9', '--claim', 'level=3'], { env: { JWT_SECRET: rw.secret } });
	assert.equal(code, 0, stderr);
	const token = stdout.trim();
	const claims = jwt.verify(token, rw.secret, { algorithms: ['HS256'] });
	assert.deepEqual([claims.sub, claims.roles, claims.name, claims.level], ['u7', ['agent'], '7 of 9', 3]);
	assert.ok(claims.exp > now());
	await connect(rw.url, { token });
});

scenario('token without JWT_SECRET exits 2 and names it', async () => {
	const { code, stderr } = await run(['token', '--profile', 'opsdesk', '--claim', 'sub=u7']);
	assert.equal(code, 2);
	assert.match(stderr, /JWT_SECRET/);
});

scenario('publish sends one event, and tail prints what arrives', async () => {
	const { rw } = fixture;
	const room = roomOf(TICKET.alice);
	const client = await connect(rw.url, { token: rw.token(AGENT) });
	assert.equal((await client.ask('ticket.join', TICKET.alice)).ok, true);

	let printed = '';
	const tail = startChild(join(BIN, 'roomwire'), ['tail', '--url', rw.url, '--token', rw.token(AGENT),
		'--emit', `ticket.join=${JSON.stringify(TICKET.alice)}`], {
		env: cleanEnv(), cwd: REPO, onOutput: (text) => { printed += text; },
	});
	try {
		await waitFor(async () => {
			const { code, stderr } = await run(['publish', '--url', rw.apiUrl, '--room', room, '--event', 'message:new',
				'--data', '{"text":"from the command line"}'], { env: { API_KEY: rw.apiKey } });
			assert.equal(code, 0, stderr);
			return printed.includes('from the command line');
		}, { what: 'tail to print what was published', everyMs: 100 });
	} finally {
		await stopChild(tail, { with: 'SIGINT', what: 'roomwire tail' });
	}
	assert.deepEqual(await client.next('message:new'), { text: 'from the command line' });
	assert.equal((await run(['publish', '--url', rw.apiUrl, '--room', room, '--event', 'e', '--data', '1'], { env: { API_KEY: 'wrong' } })).code, 1);
});

scenario('every process shows under its own name in ps', async () => {
	for (const { kind, pid } of Object.values(fixture.rw.processes)) {
		assert.equal(readFileSync(`/proc/${pid}/comm`, 'utf8').trim(), `roomwire-${kind}`.slice(0, 15));
	}
});

scenario('every process answers /healthz, /readyz and /metrics on a port of its own', async () => {
	const { rw } = fixture;
	const ports = new Set(Object.values(rw.processes).map(({ opsUrl }) => opsUrl));
	assert.equal(ports.size, Object.keys(rw.processes).length);
	for (const kind of ['edge', 'auth', 'router', 'ingest']) {
		assert.equal((await rw.ops(kind, '/healthz')).status, 200);
		assert.equal((await rw.ops(kind, '/readyz')).status, 200);
		const { status, text } = await rw.ops(kind, '/metrics');
		assert.equal(status, 200);
		assert.match(text, /^# TYPE roomwire_\w+ (counter|gauge|histogram)$/m);
	}
	assert.ok(await rw.metric('edge', 'roomwire_connections') >= 0);
});
