// SPDX-License-Identifier: Apache-2.0
/* Medians of the runs, and the Markdown table of them. */

export function median(values) {
	const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
	if (!sorted.length)
		return null;
	const half = sorted.length >> 1;
	return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

const shown = (value, digits) => value === null ? '–'
	: value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });

/* How many times better a is than b; above 1 a is ahead, whichever way is good */
function ratio(a, b, better) {
	if (!(a > 0) || !(b > 0) || !better)
		return null;
	return better === 'less' ? b / a : a / b;
}

/* runs: [{scenario, server, result}] → [{scenario, what, digits, better, of: {server: {median, edge, low, high}}}] */
export function medians(runs, scenarios) {
	const rows = [];
	for (const [scenario, { rows: wanted }] of Object.entries(scenarios)) {
		for (const { what, digits, better, of, edge } of wanted) {
			const found = {};
			for (const server of new Set(runs.map((run) => run.server))) {
				const results = runs.filter((run) => run.scenario === scenario && run.server === server).map((run) => run.result);
				if (!results.length)
					continue;
				const values = results.map(of);
				found[server] = {
					median: median(values), low: Math.min(...values), high: Math.max(...values),
					...(edge && { edge: median(results.map((result) => edge(result) ?? NaN)) }),
				};
			}
			rows.push({ scenario, what, digits, better, of: found });
		}
	}
	return rows;
}

export function markdown(rows, servers, scenarios) {
	const names = Object.keys(servers);
	const pairs = [['roomwire', 'node', 'Roomwire beside Node'], ['raw', 'roomwire', 'the limit beside Roomwire']]
		.filter(([a, b]) => names.includes(a) && names.includes(b));
	const head = ['', ...names.map((name) => servers[name].title), ...pairs.map(([, , title]) => title)];
	const lines = [head, head.map((_, i) => i ? '--:' : '---')];
	let last = null;
	for (const { scenario, what, digits, better, of } of rows) {
		if (!Object.keys(of).length)
			continue;
		if (scenario !== last)
			lines.push([`**${scenarios[scenario].title}**`, ...head.slice(1).map(() => '')]);
		last = scenario;
		const cells = names.map((name) => cell(of[name], digits));
		const times = pairs.map(([a, b]) => {
			const value = ratio(of[a]?.median, of[b]?.median, better);
			return value === null ? '' : `${shown(value, value < 10 ? 2 : 0)}×`;
		});
		lines.push([what, ...cells, ...times]);
	}
	return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function cell(found, digits) {
	if (!found)
		return '–';
	const edge = Number.isFinite(found.edge) && found.edge !== null ? ` (edge ${shown(found.edge, digits)})` : '';
	return shown(found.median, digits) + edge;
}
