// SPDX-License-Identifier: Apache-2.0
/*
 * make jitter: the jitter test of Roomwire and of Socket.IO on Node, one after the other, side by side in one table on
 * standard output. Options: README.md. Exit: 0; 1 if Roomwire lost, doubled or misordered a message or did not recover
 * a client, or a run failed; 2 for a wrong option.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { BIN, REPO, TESTS } from '../lib/paths.mjs';
import { DEFAULTS, faults, jitter, TRANSPORTS } from './jitter.mjs';
import { markdown } from './table.mjs';

const NUMBERS = { /* name: least */
	clients: 1, rooms: 1, seconds: 1, rate: 0.1, 'in-flight': 1, 'cut-every': 0.1, 'cut-for': 0, 'half-open': 0,
	edges: 1, routers: 1, seed: 0, workers: 0,
};
const WORDS = {
	transport: Object.keys(TRANSPORTS),
	kill: ['edge', 'router', 'ingest', 'auth', 'none'],
	only: ['roomwire', 'node'],
};

const say = (text) => process.stderr.write(`${text}\n`);
const camel = (name) => name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());

class UsageError extends Error {}

function parsed() {
	const text = (names) => Object.fromEntries(names.map((name) => [name, { type: 'string' }]));
	try {
		return parseArgs({
			options: {
				...text([...Object.keys(NUMBERS), ...Object.keys(WORDS), 'json']),
				env: { type: 'string', multiple: true, default: [] },
				rolling: { type: 'boolean', default: false },
				'kill-node': { type: 'boolean', default: false },
				'allow-fresh': { type: 'boolean', default: false },
			},
		}).values;
	} catch (error) {
		throw new UsageError(error.message);
	}
}

function readOptions() {
	const values = parsed();
	const options = { rolling: values.rolling, killNode: values['kill-node'], env: {} };
	for (const [name, least] of Object.entries(NUMBERS)) {
		if (values[name] === undefined)
			continue;
		const value = Number(values[name]);
		if (!(value >= least))
			throw new UsageError(`--${name} ${values[name]}: a number of at least ${least} is due`);
		options[camel(name)] = value;
	}
	for (const [name, known] of Object.entries(WORDS)) {
		if (values[name] === undefined)
			continue;
		if (!known.includes(values[name]))
			throw new UsageError(`--${name} ${values[name]}: one of ${known.join(', ')} is due`);
		options[name] = values[name];
	}
	for (const setting of values.env) {
		const [, name, value] = setting.match(/^(\w+)=(.*)$/s) ?? [];
		if (!name)
			throw new UsageError(`--env ${setting}: NAME=VALUE is due`);
		options.env[name] = value;
	}
	const { only, ...rest } = options;
	return { options: rest, servers: only ? [only] : ['roomwire', 'node'], allowFresh: values['allow-fresh'], json: values.json };
}

function checkNeeds(servers) {
	const needs = {
		roomwire: [join(BIN, 'roomwire'), 'make'],
		node: [join(TESTS, 'bench/node_modules/socket.io/package.json'), 'npm ci --prefix tests/bench'],
	};
	for (const server of servers) {
		const [path, made] = needs[server];
		if (!existsSync(path))
			throw new UsageError(`${path} is not there; run \`${made}\` first, or leave that server out with --only`);
	}
}

function about({ clients, rooms, seconds, rate, cutEvery, cutFor, halfOpen, transport, edges, routers, kill, rolling, killNode, seed }) {
	const half = halfOpen ? `, ${halfOpen * 100} % of them unseen by the server` : '';
	const fault = rolling ? 'then all edges and routers are restarted one after another'
		: kill === 'none' ? 'nothing is killed' : `half-way one ${kill} is killed`;
	const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Linux ${release().match(/^\d+\.\d+/)[0]}, Node ${process.version}`;
	return [
		`${machine}. ${clients} clients (${transport}) in ${rooms} rooms, ${rate} messages a second for ${seconds} s;`,
		`each client is cut every ${cutEvery} s for ${cutFor} s${half}; seed ${seed}.`,
		`Roomwire: ${edges} edge${edges === 1 ? '' : 's'}, ${routers} router${routers === 1 ? '' : 's'}, ${fault}.`,
		`Node: one process, ${killNode ? 'killed half-way and started anew' : 'never killed'}.`,
	].join('\n');
}

async function main() {
	const { options, servers, allowFresh, json } = readOptions();
	checkNeeds(servers);
	const results = {}, wrong = {};
	for (const server of servers) {
		say(`${server}:`);
		results[server] = await jitter({ ...options, server, say: (text) => say(`  ${text}`) });
		wrong[server] = faults(results[server], { allowFresh });
		const used = results[server].workers.map(({ cpuMs, maxRssKb }) => `${(cpuMs / 1000).toFixed(1)} s CPU, ${Math.round(maxRssKb / 1024)} MiB`);
		say(`  client processes: ${used.join('; ')}`);
	}
	const text = `${markdown(results)}\n\n${about({ ...DEFAULTS, ...options })}`;
	process.stdout.write(`\n${text}\n`);
	if (json) {
		const machine = { cpu: cpus()[0]?.model.trim(), cores: cpus().length, node: process.version, load_after: loadavg()[0] };
		const { say: _, ...used } = { ...DEFAULTS, ...options };
		const path = resolve(REPO, json);
		mkdirSync(dirname(path), { recursive: true });
		writeFileSync(path, JSON.stringify({ machine, options: used, results, faults: wrong, markdown: text }, null, '\t'));
	}
	for (const server of servers) {
		for (const line of wrong[server])
			say(`${server === 'roomwire' ? 'WRONG' : 'note'}: ${server}: ${line}`);
	}
	return wrong.roomwire?.length || Object.values(results).some(({ failures }) => failures.length) ? 1 : 0;
}

try {
	process.exitCode = await main();
} catch (error) {
	if (!(error instanceof UsageError)) {
		say(`jitter: ${error.stack}`);
		process.exitCode = 1;
	} else {
		say(`jitter: ${error.message}`);
		process.exitCode = 2;
	}
}
