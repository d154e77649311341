// SPDX-License-Identifier: Apache-2.0
/* The counts of one or both servers as a Markdown table. */

const TITLES = { roomwire: 'Roomwire', node: 'Socket.IO on Node, recovery on' };
const whole = (value) => value.toLocaleString('en');
const times = ({ p50, p99, max }) => p50 === null ? '–' : [p50, p99, max].map((ms) => ms.toFixed(1)).join(' / ');

/* Rounded down, so that 100.000 % is all of them. */
const share = ({ delivered, expected }) => `${(Math.floor(delivered / expected * 1e5) / 1e3).toFixed(3)} %`;

const ROWS = [
	['messages published', ({ published }) => whole(published)],
	['deliveries due', ({ expected }) => whole(expected)],
	['**delivered**', (counts) => `**${share(counts)}** (${whole(counts.delivered)})`],
	['missing, the client was not told', ({ silentHoles }) => whole(silentHoles)],
	['missing, the client was told (`recovered` false)', ({ missedTold }) => whole(missedTold)],
	['**doubles**', ({ doubles }) => whole(doubles)],
	['**order errors**', ({ disorders }) => whole(disorders)],
	['cuts; connections reset; attempts refused', (c) => [c.cuts, c.connectionsCut, c.connectionsRefused].map(whole).join('; ')],
	['returns of clients', ({ reconnects }) => whole(reconnects)],
	['recovered', ({ recovered }) => whole(recovered)],
	['not recovered (of these without any message before)', ({ fresh, unheard }) => `${whole(fresh)} (${whole(unheard)})`],
	['refused with CONNECT_ERROR', ({ refused }) => whole(refused)],
	['other faults: strays, ids changed, never back, behind', (c) => [c.strays, c.idsChanged, c.away, c.behind].map(whole).join(', ')],
	['replay from `connect` to the last missed message, ms: p50 / p99 / max', ({ replayFromConnectMs }) => times(replayFromConnectMs)],
	['replay from the TCP reconnect, ms: p50 / p99 / max', ({ replayFromDialMs }) => times(replayFromDialMs)],
	['publishes sent again; slowest to be accepted, ms', (c) => `${whole(c.publishesSentAgain)}; ${whole(c.slowestPublishMs)}`],
];

/* results: {roomwire: counts, node: counts}, either may be missing */
export function markdown(results) {
	const names = Object.keys(results);
	const lines = [
		['', ...names.map((name) => TITLES[name])],
		['---', ...names.map(() => '--:')],
		...ROWS.map(([what, cell]) => [what, ...names.map((name) => cell(results[name]))]),
	];
	return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
