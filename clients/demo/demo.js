// SPDX-License-Identifier: Apache-2.0
/*
 * A client of the opsdesk profile, written as any Socket.IO client would be: it joins a ticket, tells that somebody is typing, and shows
 * what arrives.
 *   ?token=T     a token: the page connects with it
 *   ?ticket=ID   the ticket to begin with
 *   ?api=PORT    port of the publish API, where it is not this page's port + 1
 */
'use strict';

(() => {
const DEFAULT_TICKET = '00000000-0000-4000-8000-000000000042';
const TYPING_REPEAT_MS = 1500;	// while somebody types, tell it this often: `typing` is volatile
const TYPING_PAUSE_MS = 3000;	// no key for so long: not typing
const TYPIST_LOST_MS = 6000;	// no word of a typist for so long: not typing
const MESSAGES_MAX = 200;
const LOG_MAX = 200;

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);

let socket = null;
let token = '';			// that the socket was made with
let user = '';
let room = '';			// the ticket joined; '' when none
let rejoin = '';		// the ticket joined when the connection was lost
let toldAt = 0;			// when `typing` was last told; 0: not typing
let pauseTimer = 0;
let messageCount = 0;
const typists = new Map();	// user id -> timer

/* ── showing ── */

function clockText() {
	return new Date().toLocaleTimeString([], { hour12: false });
}

function trim(list, most) {
	while (list.children.length > most)
		list.lastElementChild.remove();
}

function log(text, kind = '') {
	const line = document.createElement('li');
	line.className = kind;
	line.textContent = `${clockText()}  ${text}`;
	$('log').prepend(line);
	trim($('log'), LOG_MAX);
}

function showState(state) {
	$('state').textContent = state;
	$('state').dataset.state = state;
	const on = state === 'connected';
	$('disconnect').disabled = state === 'disconnected';
	$('join').disabled = !on;
	$('sid').textContent = on ? socket.id : '–';
	$('user').textContent = user || '–';
	showTransport();
}

function showTransport() {
	const engine = socket?.io.engine;
	$('transport').textContent = socket?.connected && engine ? engine.transport.name : '–';
}

function showRoom(text) {
	$('ack').textContent = text;
	$('leave').disabled = !room;
	$('typing').disabled = !room;
}

function showProblem(text) {
	$('problem').textContent = text;
	$('problem').hidden = !text;
}

function showTypists() {
	const names = [...typists.keys()].map((id) => id === user ? `${id} (you, elsewhere)` : id);
	$('typists').textContent = names.length ? `${names.join(', ')} ${names.length > 1 ? 'are' : 'is'} typing …` : '';
}

function showMessage(event, data) {
	const item = document.createElement('li');
	const meta = document.createElement('div');
	const name = document.createElement('b');
	const time = document.createElement('span');
	const body = document.createElement('pre');
	meta.className = 'meta';
	name.textContent = event;
	time.textContent = clockText();
	meta.append(name, time);
	body.textContent = typeof data?.text === 'string' && Object.keys(data).length === 1 ? data.text : JSON.stringify(data, null, 1);
	item.append(meta, body);
	$('messages').prepend(item);
	trim($('messages'), MESSAGES_MAX);
	$('count').textContent = String(++messageCount);
	$('nothing').hidden = true;
}

function showCurl() {
	const port = query.get('api') ?? String(Number(location.port || 80) + 1);
	const body = JSON.stringify({ rooms: [`ticket:${$('ticket').value.trim()}`], event: 'message:new', data: { text: 'hello from curl' } });
	$('curl').textContent = `curl -s http://${location.hostname}:${port}/v1/publish -H "Authorization: Bearer $API_KEY" ` +
		`-H 'Content-Type: application/json' -d '${body.replaceAll("'", "'\\''")}'`;
}

/* The user id a token names; only for showing: the server judges the token. */
function userOf(text) {
	try {
		const bytes = Uint8Array.from(atob(text.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
		return String(JSON.parse(new TextDecoder().decode(bytes)).sub ?? '');
	} catch {
		return '';
	}
}

/* ── typing ── */

function tellTyping(isTyping) {
	clearTimeout(pauseTimer);
	if (isTyping)
		pauseTimer = setTimeout(tellTyping, TYPING_PAUSE_MS, false);
	if (isTyping ? Date.now() - toldAt < TYPING_REPEAT_MS : !toldAt)
		return;
	toldAt = isTyping ? Date.now() : 0;
	if (socket?.connected && room)
		socket.emit('typing', { ticketId: room, isTyping });
}

function onTyping({ ticketId, userId, isTyping }) {
	if (ticketId !== room)
		return;
	clearTimeout(typists.get(userId));
	typists.delete(userId);
	if (isTyping)
		typists.set(userId, setTimeout(onTyping, TYPIST_LOST_MS, { ticketId, userId, isTyping: false }));
	showTypists();
}

function forgetTypists() {
	typists.forEach(clearTimeout);
	typists.clear();
	showTypists();
}

/* ── the ticket ── */

function left() {
	tellTyping(false);
	room = '';
	forgetTypists();
}

function answered(what, ticketId, error, ack) {
	const text = error ? 'no answer in time' : ack.ok ? `ok, ${ack.room}` : `${ack.error.code}: ${ack.error.message}`;
	log(`${what} ${ticketId}: ${error ? text : JSON.stringify(ack)}`, !error && ack.ok ? 'good' : 'bad');
	return { good: !error && ack.ok, text };
}

function join(ticketId) {
	const asked = socket;
	if (room && room !== ticketId)
		leave();
	asked.timeout(10000).emit('ticket.join', { ticketId }, (error, ack) => {
		if (asked !== socket)
			return;
		const { good, text } = answered('ticket.join', ticketId, error, ack);
		if (good)
			room = ticketId.toLowerCase();
		showRoom(good ? `joined: ${text}` : text);
	});
}

function leave() {
	const ticketId = room;
	left();
	showRoom('not joined');
	socket.timeout(10000).emit('ticket.leave', { ticketId }, (error, ack) => answered('ticket.leave', ticketId, error, ack));
}

/* ── the connection ── */

function onConnect() {
	showProblem('');
	showState('connected');
	log(`connected as ${user || '?'}, socket ${socket.id}, by ${socket.io.engine.transport.name}`, 'good');
	socket.io.engine.on('upgrade', (transport) => {
		log(`upgraded to ${transport.name}`);
		showTransport();
	});
	if (rejoin)
		join(rejoin);	// a connection that was lost knows no rooms: clients join again
	rejoin = '';
}

function onDisconnect(reason) {
	rejoin = socket.active ? room : '';
	left();
	showRoom('not joined');
	showState(socket.active ? 'connecting' : 'disconnected');
	log(`disconnected: ${reason}`, 'bad');
}

function onConnectError(error) {
	const code = error.data?.code ?? error.message;
	showProblem(socket.active ? `${code}: trying again` : code);
	showState(socket.active ? 'connecting' : 'disconnected');
	log(`connect_error ${code}`, 'bad');
}

function disconnect() {
	left();
	rejoin = '';
	socket?.off();
	socket?.disconnect();
	socket = null;
	showRoom('not joined');
	showState('disconnected');
}

function connect() {
	const wanted = $('token').value.trim();
	if (socket && (socket.connected || socket.active) && wanted === token)
		return;		// it is at it
	if (socket)
		disconnect();
	token = wanted;
	user = userOf(token);
	socket = io({ auth: { token }, forceNew: true });
	socket.on('connect', onConnect);
	socket.on('disconnect', onDisconnect);
	socket.on('connect_error', onConnectError);
	socket.on('typing', onTyping);
	for (const event of ['message:new', 'ticket:statusChanged'])
		socket.on(event, (data) => {
			showMessage(event, data);
			log(`${event} ${JSON.stringify(data)}`);
		});
	socket.on('error', (data) => log(`error ${JSON.stringify(data)}`, 'bad'));
	socket.on('token:refresh', (data) => log(`token:refresh ${JSON.stringify(data)}: the token ends soon`));
	showState('connecting');
	log('connecting');
}

/* ── start ── */

$('token').value = query.get('token') ?? '';
$('ticket').value = query.get('ticket') ?? DEFAULT_TICKET;
showRoom('not joined');
showState('disconnected');
showCurl();

$('connect').addEventListener('click', connect);
$('disconnect').addEventListener('click', () => {
	disconnect();
	log('disconnected by you');
});
$('join').addEventListener('click', () => join($('ticket').value.trim()));
$('leave').addEventListener('click', leave);
$('ticket').addEventListener('input', showCurl);
$('typing').addEventListener('input', () => tellTyping($('typing').value !== ''));
$('typing').addEventListener('blur', () => tellTyping(false));
$('copy').addEventListener('click', async () => {
	try {
		await navigator.clipboard.writeText($('curl').textContent);
		$('copy').textContent = 'Copied';
		setTimeout(() => $('copy').textContent = 'Copy', 1500);
	} catch {
		getSelection().selectAllChildren($('curl'));	// no clipboard here: at least it is marked
	}
});

if (typeof io === 'undefined')
	showProblem('socket.io.min.js is missing: run `make demo` and start again.');
else if ($('token').value)
	connect();
})();
