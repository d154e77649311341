// SPDX-License-Identifier: Apache-2.0
/* What is measured: options of the load generator, and the rows of the table that come of it. */

const perKind = (kind, field) => ({ processes }) => {
	const own = processes.filter(({ name }) => name === kind);
	return own.length ? own.reduce((sum, one) => sum + one[field], 0) : null;
};

/* Rows: what, of: a figure of one run; edge: the same of the edges alone; better: which way is good */
const CPU = {
	what: 'server CPU per delivery, µs', digits: 2, better: 'less',
	of: ({ server }) => server.cpu_us_per_delivery, edge: perKind('edge', 'cpu_us_per_delivery'),
};
const LATENCY = ['p50', 'p99', 'p999'].map((name) => ({
	what: `latency ${name === 'p999' ? 'p99.9' : name}, ms`, digits: 2, better: 'less', of: ({ latency_us }) => latency_us[name] / 1000,
}));
const THROUGHPUT = {
	what: 'deliveries per second', digits: 0, better: 'more', of: ({ deliveries_per_second }) => deliveries_per_second,
};
const COALESCED = {
	what: 'frames that reach a client in one read', digits: 1, better: null, of: ({ generator }) => generator.frames_per_read,
};

/*
 * instead: which row of the server table is started where another one is named.
 * o: options of run.mjs. A paced load is the same for every server, and low enough for the slowest on one core;
 * `full speed` is a closed loop, so each server shows what it can do.
 */
export function scenarioTable(o) {
	const load = { payload: o.payload, duration: o.seconds, warmup: o.long ? 1 : 0.4, settle: 0.2 };
	return {
		connect: {
			title: `${o.idle.toLocaleString('en')} connections, idle`,
			args: { clients: o.idle, rooms: 0, senders: 0, duration: 0, hold: o.long ? 30 : 0, settle: o.long ? 3 : 1, 'connect-seconds': 60 + o.idle / 500 },
			rows: [
				{ what: 'connections per second', digits: 0, better: 'more', of: (r) => r.connects_per_second },
				{
					what: 'server CPU per connection made, µs', digits: 0, better: 'less',
					of: ({ server }) => server.cpu_us_per_connect, edge: perKind('edge', 'cpu_us_per_connect'),
				},
				{
					what: 'resident memory per connection, bytes', digits: 0, better: 'less',
					of: ({ server }) => server.rss_per_connection, edge: perKind('edge', 'rss_per_connection'),
				},
				...(o.long ? [{
					what: 'CPU while idle, % of a core', digits: 2, better: 'less', of: ({ server }) => server.cores * 100,
				}] : []),
			],
		},
		fanout: {
			title: `1 room of ${o.members.toLocaleString('en')}, ${o.rate} messages/s`,
			args: { ...load, clients: o.members, rooms: 1, senders: Math.min(10, o.members), rate: o.rate },
			rows: [CPU, ...LATENCY.slice(0, 2)],
		},
		rooms: {
			title: `1,000 clients in 100 rooms, ${o.rate * 40} messages/s`,
			args: { ...load, clients: 1000, rooms: 100, senders: 1000, rate: o.rate * 40 },
			rows: [CPU, ...LATENCY.slice(0, 2)],
		},
		pairs: {
			title: '100 rooms of two, 1,000 messages/s',
			args: { ...load, clients: 200, rooms: 100, senders: 200, rate: 1000 },
			rows: [CPU, ...LATENCY],
		},
		full: {
			title: `1 room of ${o.members.toLocaleString('en')}, full speed (the bare loop joins frames)`,
			args: { ...load, clients: o.members, rooms: 1, senders: Math.min(10, o.members), window: 4 },
			rows: [THROUGHPUT, CPU, LATENCY[1], COALESCED],
			instead: { raw: 'raw-coalesced' },
		},
		...(o.long ? {
			busy: {
				title: '1,000 clients in 100 rooms, full speed (the bare loop joins frames)',
				args: { ...load, clients: 1000, rooms: 100, senders: 1000, window: 1 },
				rows: [THROUGHPUT, CPU, LATENCY[1], COALESCED],
				instead: { raw: 'raw-coalesced' },
			},
			burst: {
				title: `1 room of ${o.members.toLocaleString('en')}, ${o.rate} messages/s in bursts of 8 (the bare loop joins frames)`,
				args: { ...load, clients: o.members, rooms: 1, senders: Math.min(10, o.members), rate: o.rate, burst: 8 },
				rows: [CPU, COALESCED],
				instead: { raw: 'raw-coalesced' },
			},
			large: {
				title: `1 room of ${o.members.toLocaleString('en')}, 4 KB messages, ${Math.ceil(o.rate / 5)} messages/s`,
				args: { ...load, payload: 4096, clients: o.members, rooms: 1, senders: Math.min(10, o.members), rate: Math.ceil(o.rate / 5) },
				rows: [CPU, ...LATENCY.slice(0, 2)],
			},
		} : {}),
	};
}
