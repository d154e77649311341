// SPDX-License-Identifier: Apache-2.0
/* The operator's commands: what they print, and with which exit code. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import jwt from 'jsonwebtoken';
import { connect, now, Roomwire, scenario, useRoomwire, waitFor } from './harness.mjs';
import { descendants, freePorts, runChild, scratch, startChild, stopChild } from './lib/children.mjs';
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

const WORDS = {
	up: ['--edges', '--routers', '--auths', '--ingests', '--demo'],
	top: ['--once', '--interval', '--ops', '--profile', '--config'],
	check: ['FILE'],
	token: ['--claim', '--expires'],
	publish: ['--room', '--event', '--data', '--url'],
	tail: ['--profile', '--url', '--token', '--emit'],
	schema: ['schema'],
};
scenario('every command answers --help with its options and an example, and exits 0', async () => {
	for (const [word, options] of Object.entries(WORDS)) {
		const { code, stdout, stderr } = await run([word, '--help']);
		assert.deepEqual([code, stderr], [0, ''], word);
		assert.match(stdout, new RegExp(`^roomwire ${word}: `));
		assert.match(stdout, /^Example:\n {2}\S/m);
		for (const option of options)
			assert.ok(stdout.includes(option), `${word} --help names ${option}`);
		assert.ok(!stdout.includes('roomwire-up'), stdout);
	}
});

scenario('publish and tail dial the port that the environment names, not that of the profile', async () => {
	const publish = ['publish', '--profile', 'opsdesk', '--room', 'a', '--event', 'b', '--data', '1'];
	const [free, other] = await freePorts(2);
	for (const [args, env, port] of [
		[['tail', '--profile', 'chat'], { PORT: free }, free],
		[['tail', '--profile', 'opsdesk'], { PORT: other, REALTIME_PORT: free }, free],
		[publish, { PORT: free - 1 }, free],
		[publish, { REALTIME_PORT: free - 1, PORT: other }, free],
		[publish, { API_PORT: free, PORT: other }, free],
	]) {
		const { code, stderr } = await run(args, { env });
		assert.equal(code, 1, stderr);
		assert.ok(stderr.includes(`http://127.0.0.1:${port}:`), `${args[0]} with ${JSON.stringify(env)}: ${stderr}`);
	}
	const { port } = new URL(fixture.rw.apiUrl);
	const { code, stderr } = await run(publish, { env: { PORT: port - 1, API_KEY: fixture.rw.apiKey } });
	assert.equal(code, 0, stderr);
});

scenario('tail says what to do when the server speaks the other dialect', async () => {
	const { code, stderr } = await run(['tail', '--profile', 'chat', '--url', fixture.rw.url]);
	assert.equal(code, 1);
	assert.match(stderr, /hint: .*--profile/);
	const chat = await new Roomwire({ profile: 'chat' }).start();
	try {
		const { code: plain, stderr: said } = await run(['tail', '--url', chat.url]);
		assert.equal(plain, 1);
		assert.match(said, /hint: .*--profile NAME/);
	} finally {
		await chat.stop();
	}
});

scenario('token warns of a user that is no text, and says how to write it', async () => {
	const env = { JWT_SECRET: fixture.rw.secret };
	for (const [claim, said] of [['sub=42', /sub is 42.*--claim 'sub="42"'/], ['sub=true', /sub is true/], ['sub=', /sub is empty/], ['exp=soon', /exp is soon/]]) {
		const { code, stdout, stderr } = await run(['token', '--claim', claim], { env });
		assert.deepEqual([code, /^eyJ/.test(stdout)], [0, true], claim);
		assert.match(stderr, said);
	}
	for (const claim of ['sub=u42', 'sub="42"', 'roles=["agent"]'])
		assert.equal((await run(['token', '--claim', claim], { env })).stderr, '');
});

/* profile, whether the page is made for it, what tail prints before and of the curl line */
const DEMOS = [
	['chat', false, /"room_update"/, /"content":"hello from curl"/],
	['bench', false, /\{"ok":true\}/, /\["room:msg",\{.*hello from curl/],
	['conformance', false, /\{"ok":true\}/, /\["room:msg",\{.*hello from curl/],
	['opsdesk', true, /"ok":true/, /\["message:new",\{.*hello from curl/],
];
for (const [profile, page, joined, arrived] of DEMOS) {
	scenario(`up --profile ${profile} --demo prints lines that work${page ? '' : ', and no page'}`, async () => {
		const rw = await new Roomwire({ profile, args: ['--demo'], env: { JWT_SECRET: null, API_KEY: null } }).start();
		let printed = '';
		let tail;
		try {
			await waitFor(() => /^ {2}publish {2}/m.test(rw.printed), { what: 'the lines to try' });
			const [, tailLine] = rw.printed.match(/^ {2}tail +(.*)$/m);
			const [, curl] = rw.printed.match(/^ {2}publish +(.*)$/m);
			assert.equal(/^ {2}page /m.test(rw.printed), page);
			assert.equal((await fetch(rw.url)).headers.get('content-type')?.startsWith('text/html') ?? false, page);
			tail = startChild('bash', ['-c', `exec ${tailLine}`], { env: cleanEnv(), cwd: REPO, onOutput: (text) => { printed += text; } });
			await waitFor(() => joined.test(printed), { what: 'tail to be in the room' });
			const { code, stdout } = await runChild('bash', ['-c', curl], { env: cleanEnv() });
			assert.equal(code, 0);
			assert.match(stdout, /"id"/);
			await waitFor(() => arrived.test(printed), { what: 'the published event' });
		} finally {
			if (tail)
				await stopChild(tail, { with: 'SIGKILL' });
			await rw.stop();
		}
	});
}

/* {name: {kind, cells by heading}} of a page of top. */
function rowsOf(page) {
	const rows = {};
	let headings = [];
	for (const line of page.split('\n')) {
		const words = line.replace('no answer', 'no-answer').trim().split(/\s+/);
		if (/^(EDGE|ROUTER|AUTH|INGEST|PROCESS)$/.test(words[0]))
			headings = words;
		else if (words.length === headings.length)
			rows[words[0]] = Object.fromEntries(headings.map((heading, i) => [i ? heading : 'kind', i ? words[i] : heading.toLowerCase()]));
	}
	return rows;
}

scenario('top finds the processes of up by itself and shows a row of counts for each', async () => {
	const { rw } = fixture;
	await connect(rw.url, { token: rw.token(AGENT) });
	for (const kind of ['edge', 'router', 'auth', 'ingest'])
		await rw.waitReady(kind);
	const { code, stdout, stderr } = await run(['top', '--once', '--interval', '0.3', '--profile', 'opsdesk'], { env: { PORT: new URL(rw.url).port } });
	assert.equal(code, 0, stderr);
	assert.ok(stdout.includes(`opsdesk  ${rw.url}  pid ${rw.pid}`), stdout);
	const rows = rowsOf(stdout);
	assert.deepEqual(Object.keys(rows).sort(), Object.keys(rw.processes).sort());
	for (const [name, { kind, pid }] of Object.entries(rw.processes)) {
		assert.deepEqual([rows[name].kind, rows[name].PID, rows[name].STATE], [kind, String(pid), 'ready'], stdout);
		assert.match(rows[name].CPU, /^[\d.]+%$/);
		assert.match(rows[name].MEM, /^[\d.]+[kMG]$/);
	}
	assert.ok(Number(rows['edge-0'].CONNS) >= 1, stdout);
	assert.ok(Number(rows['edge-0'].SOCKETS) >= 1, stdout);
	for (const [name, heading] of [['edge-0', 'IN/s'], ['router-0', 'EVENT/s'], ['auth-0', 'TOKEN/s'], ['ingest-0', 'HTTP/s']])
		assert.match(rows[name][heading], /^\d/, `${heading} of ${name}: a rate`);
});

scenario('top shows rates, who does not answer, and what /readyz complains of', async () => {
	const own = await new Roomwire({ profile: 'opsdesk' }).start();
	const { port } = new URL(own.url);
	const top = () => run(['top'], { env: { PORT: port } }); /* no terminal: as --once */
	const { pid } = own.process('router');
	try {
		let shown;
		const showing = top().then((page) => { shown = page; });
		for (let n = 0; !shown; n++) /* whenever it takes its samples */
			await Promise.race([own.publish({ rooms: ['r'], event: 'e', data: n }), showing]);
		const rows = rowsOf(shown.stdout);
		assert.ok(Number(rows['ingest-0']['HTTP/s']) > 0 && Number(rows['router-0']['EVENT/s']) > 0, shown.stdout);
		process.kill(pid, 'SIGSTOP');
		await own.waitReady('edge', 'router');
		const { code, stdout } = await top();
		assert.equal(code, 0);
		assert.match(stdout, /^router-0 +\d+ +no answer/m);
		assert.match(stdout, /^edge-0 +\d+ +degraded .*\n {2}! router: \S/m);
	} finally {
		process.kill(pid, 'SIGCONT');
		await own.stop();
	}
	const { code, stdout, stderr } = await top();
	assert.deepEqual([code, stdout], [1, '']);
	assert.match(stderr, new RegExp(`no .roomwire up. on port ${port} runs here.*opsdesk on port ${new URL(fixture.rw.url).port}`));
});

scenario('top --ops asks the named processes, wherever they are', async () => {
	await fixture.rw.waitReady('edge');
	const { edge, router } = Object.fromEntries(['edge', 'router'].map((kind) => [kind, fixture.rw.process(kind).opsUrl]));
	const [nobody] = await freePorts(1);
	const { code, stdout } = await run(['top', '--once', '--ops', edge, '--ops', `${router}/`, '--ops', `http://127.0.0.1:${nobody}`]);
	assert.equal(code, 0);
	const rows = rowsOf(stdout);
	assert.deepEqual(Object.keys(rows).sort(), [`127.0.0.1:${nobody}`, 'edge-0', 'router-0']);
	assert.deepEqual([rows['edge-0'].PID, rows['edge-0'].STATE, rows[`127.0.0.1:${nobody}`].STATE], ['-', 'ready', 'no-answer']);
	assert.equal((await run(['top', '--once', '--ops', `http://127.0.0.1:${nobody}`])).code, 1);
	for (const args of [['--ops', 'edge'], ['--interval', '0'], ['--interval', 'x'], ['--frobnicate'], ['--ops', edge, '--profile', 'chat'], ['--profile', 'nobody']]) {
		const wrong = await run(['top', ...args]);
		assert.deepEqual([wrong.code, wrong.stdout], [2, ''], args.join(' '));
		assert.ok(wrong.stderr, args.join(' '));
	}
});

scenario('what an up that was killed has left behind is not shown, and is removed', async () => {
	const own = await new Roomwire({ profile: 'conformance' }).start();
	const folder = () => readdirSync(own.env.TMPDIR).filter((name) => existsSync(join(own.env.TMPDIR, name, 'up.json')));
	assert.equal(folder().length, 1);
	const env = { TMPDIR: own.env.TMPDIR, PORT: new URL(own.url).port };
	assert.equal((await run(['top', '--once', '--interval', '0.1'], { env })).code, 0);
	await own.killSupervisor();
	assert.equal((await run(['top', '--once'], { env })).code, 1);
	assert.deepEqual(folder(), []);
});

scenario('top on a terminal draws anew each interval, keeps to its width, and gives the terminal back', async () => {
	const command = `stty cols 60 rows 12; stty -g; ${join(BIN, 'roomwire')} top --interval 0.2 --ops ${fixture.rw.process('edge').opsUrl}; echo ended $?; stty -g`;
	let out = '';
	const child = startChild('script', ['-qec', command, '/dev/null'], {
		env: { ...cleanEnv(), TERM: 'xterm', SHELL: '/bin/sh' }, cwd: REPO, onOutput: (text) => { out += text; } });
	try {
		await fixture.rw.waitReady('edge');
		await waitFor(() => out.split('\x1b[H').length > 4, { what: 'several pages' });
		const top = await waitFor(() => descendants(child.pid).find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('\0top\0')), { what: 'top' });
		process.kill(top, 'SIGINT');
		await waitFor(() => /ended 0\s+[0-9a-f:]+\s/.test(out), { what: 'its end, and the modes of the terminal' });
	} finally {
		await stopChild(child, { with: 'SIGKILL' });
	}
		const pages = out.split('\x1b[H').slice(1).map((page) => page.split('\x1b[J')[0].replaceAll('\x1b[K', ''));
	assert.match(pages.at(-1), /^edge-0 .* ready .* \d/m);
	for (const line of pages.flatMap((page) => page.split(/\r*\n/)))
		assert.ok(line.length <= 60, `60 columns: ${line}`);
	assert.ok(out.includes('\x1b[?1049h') && /\x1b\[\?25h\x1b\[\?1049l[^\x1b]*ended 0/.test(out), JSON.stringify(out.slice(-300)));
	const modes = out.match(/^[0-9a-f]+(:[0-9a-f]+)+/gm);
	assert.equal(modes.at(-1), modes[0], 'the terminal is as it was');
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
