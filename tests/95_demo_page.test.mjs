// SPDX-License-Identifier: Apache-2.0
/*
 * A newcomer's first minutes, in a real browser: the page that `up --demo` prints, in two tabs, with the
 * token it prints, and the message of the curl line it prints. ROOMWIRE_SCREENSHOT=FILE keeps a picture.
 */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { runChild, scratch } from './lib/children.mjs';
import { Roomwire, scenario, useFixture, waitFor } from './harness.mjs';

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
	'--disable-component-update', '--disable-sync'];
const DEADLINE = { timeout: 40_000 };

const fixture = useFixture(async (things) => {
	const executablePath = BROWSERS.find((path) => existsSync(path));
	assert.ok(executablePath, 'Chromium is installed: apt-get install chromium');
	things.rw = await new Roomwire({ profile: 'opsdesk', args: ['--demo'], env: { JWT_SECRET: null, API_KEY: null } }).start();
	things.browser = await chromium.launch({ executablePath, headless: true, args: ARGUMENTS });
});

/* The three things a newcomer is told to try. */
async function printedLines() {
	const { rw } = fixture;
	await waitFor(() => /curl/.test(rw.printed), { what: 'a printed curl line' });
	const [page] = rw.printed.match(/http:\/\/[^\s"']+\/(?=\s|$)/) ?? [`${rw.url}/`];
	const [token] = rw.printed.match(/eyJ[\w-]+\.[\w-]+\.[\w-]+/) ?? [];
	const [curl] = rw.printed.match(/curl .*(?:\\\n.*)*/) ?? [];
	return { page, token, curl };
}

async function openTab(context, { page: url, token }, problems) {
	const tab = await context.newPage();
	tab.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
	tab.on('pageerror', (error) => problems.push(error.message));
	tab.on('requestfailed', (request) => problems.push(`${request.url()} ${request.failure()?.errorText}`));
	await tab.goto(url);
	if (!await tab.inputValue('#token'))
		await tab.fill('#token', token);
	if (await tab.textContent('#state') !== 'connected')
		await tab.click('#connect');
	await tab.waitForFunction(() => document.querySelector('#state').textContent.trim() === 'connected', null, DEADLINE);
	return tab;
}

scenario('two tabs join a ticket, see each other type and both get what the printed curl line publishes', { timeout: 180_000 }, async () => {
	const told = await printedLines();
	assert.ok(told.token, 'a token is printed');
	const problems = [];
	const context = await fixture.browser.newContext();
	const picture = join(scratch('demo'), 'page.png');
	const [first, second] = [await openTab(context, told, problems), await openTab(context, told, problems)];
	try {
		const ticket = told.curl.match(/ticket:([0-9a-f-]{36})/)?.[1] ?? await first.inputValue('#ticket');
		for (const tab of [first, second]) {
			await tab.fill('#ticket', ticket);
			await tab.click('#join');
		}
		await waitFor(async () => {
			await first.locator('#typing').pressSequentially('hello ', { timeout: 10_000 });
			return (await second.textContent('#typists')).trim();
		}, { what: 'the second tab to show who is typing', everyMs: 100 });

		const before = await Promise.all([first, second].map((tab) => tab.locator('#messages li').count()));
		const { code, stdout, stderr } = await runChild('bash', ['-c', told.curl], { env: { PATH: process.env.PATH } });
		assert.equal(code, 0, stderr);
		assert.match(stdout, /"id"/);
		for (const [index, tab] of [first, second].entries()) {
			await tab.waitForFunction((count) => document.querySelectorAll('#messages li').length > count, before[index], DEADLINE);
		}
		assert.deepEqual(problems, []);
	} finally {
		await second.screenshot({ path: picture, fullPage: true });
		if (process.env.ROOMWIRE_SCREENSHOT)
			copyFileSync(picture, process.env.ROOMWIRE_SCREENSHOT);
		await context.close();
	}
});

scenario('the page is plain HTML that loads nothing from elsewhere', async () => {
	const { page } = await printedLines();
	const context = await fixture.browser.newContext();
	const elsewhere = [];
	const tab = await context.newPage();
	tab.on('request', (request) => new URL(request.url()).origin !== new URL(page).origin && elsewhere.push(request.url()));
	await tab.goto(page, { waitUntil: 'load' });
	assert.deepEqual(elsewhere, []);
	await context.close();
});
