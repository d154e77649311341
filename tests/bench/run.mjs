// SPDX-License-Identifier: Apache-2.0
/*
 * make bench: Roomwire, Socket.IO on Node and a bare send() loop do the same work in one run, turn by turn, several
 * times; medians go to a Markdown table on standard output, every figure to build/bench.json. Options: README.md.
 * Exit: 0; 1 if a delivery was lost, doubled, out of order or damaged, or a server failed; 2 for a wrong option.
 */
import { spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { scenarioTable } from './scenarios.mjs';
import { REPO, Server, cores, serverTable, wrapped } from './servers.mjs';
import { markdown, median, medians } from './table.mjs';

const TOKENS_MAX = 20_000; /* users; more clients share them */
const GENERATOR_SLACK_MS = 60_000;

const numbers = { reps: null, seconds: null, members: 1000, rate: 50, payload: 64, idle: 10_000, edges: 1 };
const say = (text) => process.stderr.write(`${text}\n`);

class UsageError extends Error {}

function readOptions() {
	let values;
	try {
		({ values } = parseArgs({
			options: {
				long: { type: 'boolean', default: false },
				'no-pin': { type: 'boolean', default: false },
				servers: { type: 'string' },
				scenarios: { type: 'string' },
				bin: { type: 'string', default: process.env.ROOMWIRE_BIN ?? 'bin' },
				programs: { type: 'string', default: 'build/release/bench' },
				out: { type: 'string', default: 'build/bench.json' },
				...Object.fromEntries(Object.keys(numbers).map((name) => [name, { type: 'string' }])),
			},
		}));
	} catch (error) {
		throw new UsageError(error.message);
	}
	const o = { ...values, pin: !values['no-pin'] };
	const defaults = { ...numbers, reps: o.long ? 5 : 3, seconds: o.long ? 10 : 2 };
	for (const [name, value] of Object.entries(defaults)) {
		o[name] = values[name] === undefined ? value : Number(values[name]);
		if (!(o[name] > 0))
			throw new UsageError(`--${name} ${values[name]}: a number above 0 is due`);
	}
	for (const name of ['bin', 'programs', 'out'])
		o[name] = resolve(REPO, o[name]);
	return o;
}

/* The rows of a table that were asked for, in the order asked */
function chosen(table, list, option, defaults = Object.keys(table)) {
	const names = list ? list.split(',') : defaults;
	for (const name of names) {
		if (!table[name])
			throw new UsageError(`--${option}: ${name} is none of ${Object.keys(table).join(', ')}`);
	}
	return Object.fromEntries(names.map((name) => [name, table[name]]));
}

function checkNeeds(o, servers) {
	const needs = [[join(o.programs, 'loadgen'), 'make bench'], ...Object.values(servers).map(({ need }) => need)];
	for (const [path, made] of needs) {
		if (!existsSync(path))
			throw new UsageError(`${path} is not there; run \`${made}\` first, or leave that server out with --servers`);
	}
}

/* One user per client, as a login would sign them, with a secret that is made up for this run */
function writeTokens(path, secret, count) {
	const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
	const head = part({ alg: 'HS256', typ: 'JWT' });
	const exp = Math.floor(Date.now() / 1000) + 6 * 3600;
	const lines = [];
	for (let i = 0; i < count; i++) {
		const signed = `${head}.${part({ sub: `user-${i}`, exp })}`;
		lines.push(`${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`);
	}
	writeFileSync(path, lines.join('\n'), { mode: 0o600 });
}

const running = new Set();

/* Runs the load generator to its end: {code, result, said} */
function generate(o, args, limitMs) {
	const words = Object.entries(args).flatMap(([name, value]) => [value].flat().flatMap((one) => [`--${name}`, String(one)]));
	const [program, line] = wrapped([join(o.programs, 'loadgen'), ...words], o.pin ? cores.generator : null);
	return new Promise((done, failed) => {
		const child = spawn(program, line, { stdio: ['ignore', 'pipe', 'pipe'] });
		let printed = '', said = '';
		running.add(child);
		const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
		child.stdout.on('data', (text) => { printed += text; });
		child.stderr.on('data', (text) => { said += text; });
		child.on('error', failed);
		child.on('close', (code, signal) => {
			clearTimeout(timer);
			running.delete(child);
			const result = code === 0 || code === 1 ? JSON.parse(printed) : null;
			done({ code, result, said: signal ? `${said}ended by ${signal} after ${limitMs} ms` : said });
		});
	});
}

/* CPU time that all processes of the machine have used so far, µs */
function machineUs() {
	const [, user, nice, system] = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/);
	return (Number(user) + Number(nice) + Number(system)) * 10_000;
}

/* Cores that others than the server and the generator kept busy meanwhile */
function othersCores({ processes, generator }, usedUs, tookMs) {
	const ours = processes.reduce((sum, one) => sum + one.cpu_total_us, generator.cpu_total_us);
	return Math.max(0, usedUs - ours) / (tookMs * 1000);
}

/* One server, started for one scenario and ended after it: {result, wrong} */
async function measure(o, row, scenario) {
	const server = new Server(row, { secret: o.secret, pin: o.pin, logFile: join(o.folder, 'server.log') });
	running.add(server);
	try {
		const { port, processes } = await server.start();
		const pid = processes.map((one) => `${one.name}=${one.pid}`);
		const limitMs = ((scenario.args.duration || 0) + (scenario.args.hold || 0) + (scenario.args['connect-seconds'] || 60)) * 1000 + GENERATOR_SLACK_MS;
		const usedUs = machineUs(), from = Date.now();
		const { code, result, said } = await generate(o, { port, tokens: o.tokens, pid, ...scenario.args }, limitMs);
		if (result)
			result.others_cores = othersCores(result, machineUs() - usedUs, Date.now() - from);
		if (code !== 0)
			return { result, wrong: `${said.trim().split('\n').at(-1)}${result ? '' : `\n${server.tail()}`}` };
		return { result, wrong: server.unchanged(processes) ? null : `a process died: ${server.tail()}` };
	} catch (error) {
		return { result: null, wrong: error.message };
	} finally {
		await server.stop();
		running.delete(server);
	}
}

async function measureAll(o, all, servers, scenarios) {
	const runs = [], wrongs = [];
	for (let rep = 1; rep <= o.reps; rep++) {
		for (const [scenario, row] of Object.entries(scenarios)) {
			for (const server of Object.keys(servers)) {
				const { result, wrong } = await measure(o, all[row.instead?.[server] ?? server], row);
				const first = row.rows.map(({ what, digits, of }) => result && `${what}: ${of(result).toFixed(digits)}`).slice(0, 3);
				const busy = result?.generator.cores > 0.9 && !row.args.hold && row.args.duration ? ' (the generator was the limit)' : '';
				say(`${rep}/${o.reps} ${scenario.padEnd(8)} ${server.padEnd(14)} ${result ? first.join('; ') : 'no result'}${busy}`);
				if (wrong) {
					wrongs.push({ scenario, server, rep, wrong });
					say(`  WRONG: ${wrong}`);
				}
				if (result)
					runs.push({ scenario, server, rep, result });
			}
		}
	}
	return { runs, wrongs };
}

function machine(o) {
	const version = (name) => {
		const path = join(REPO, 'tests/bench/node_modules', name, 'package.json');
		return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).version : null;
	};
	return {
		cpu: cpus()[0]?.model.trim(), cores: cpus().length, memory_gib: Math.round(totalmem() / 2 ** 30), linux: release().match(/^\d+\.\d+/)[0],
		node: process.version, socketio: version('socket.io'), ws: version('ws'), pinned: o.pin, load_before: loadavg()[0],
	};
}

/* Whatever ends this, the servers end too */
function endWithUs() {
	for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
		process.once(name, async () => {
			for (const one of running)
				await (one.stop ? one.stop() : one.kill('SIGKILL'));
			process.exit(130);
		});
	}
}

function notes(o, about, runs) {
	const others = median(runs.map(({ result }) => result.others_cores)) ?? 0;
	return [
		`${about.cores} × ${about.cpu}, Linux ${about.linux}, Node ${about.node}, Socket.IO ${about.socketio}; medians of ${o.reps} runs,`,
		`payload ${o.payload} bytes, ${o.pin ? 'all processes of a server on one core, the load generator on another' : 'no process tied to a core'};`,
		`other programs kept ${others.toFixed(2)} cores busy meanwhile${others > 0.2 ? ', so the latencies are not the servers\' own' : ''}.`,
		'CPU is of all processes of a server together. The last columns say how many times',
		'better the first named is, so above 1 it is ahead, be it a cost or a rate.',
	].join('\n');
}

async function main() {
	const o = readOptions();
	const all = serverTable(o);
	const servers = chosen(all, o.servers, 'servers', o.long ? ['roomwire', 'node', 'node-recovery', 'raw'] : ['roomwire', 'node', 'raw']);
	const scenarios = chosen(scenarioTable(o), o.scenarios, 'scenarios');
	const about = machine(o);
	checkNeeds(o, servers);
	if (o.pin && about.cores < 2)
		o.pin = about.pinned = false;
	o.folder = join(dirname(o.out), 'bench');
	o.tokens = join(o.folder, 'tokens');
	o.secret = randomBytes(32).toString('hex');
	mkdirSync(o.folder, { recursive: true });
	writeTokens(o.tokens, o.secret, Math.min(TOKENS_MAX, Math.max(o.idle, o.members, 1000)));
	endWithUs();
	process.on('exit', () => rmSync(o.tokens, { force: true }));

	const started = Date.now();
	const { runs, wrongs } = await measureAll(o, all, servers, scenarios);
	const rows = medians(runs, scenarios);
	const text = markdown(rows, servers, scenarios);
	const { secret, tokens, folder, bin, programs, out, ...options } = o;
	about.load_after = loadavg()[0];
	writeFileSync(o.out, JSON.stringify({ machine: about, options, rows, wrongs, markdown: text, runs }, null, '\t'));
	process.stdout.write(`\n${text}\n\n${notes(o, about, runs)}\n`);
	say(`\n${runs.length} runs in ${Math.round((Date.now() - started) / 1000)} s; every figure: ${relative('', o.out)}`);
	for (const { scenario, server, rep, wrong } of wrongs)
		say(`WRONG in ${scenario} of ${server}, run ${rep}: ${wrong.split('\n')[0]}`);
	return wrongs.length ? 1 : 0;
}

try {
	process.exitCode = await main();
} catch (error) {
	if (!(error instanceof UsageError))
		throw error;
	say(`bench: ${error.message}`);
	process.exitCode = 2;
}
