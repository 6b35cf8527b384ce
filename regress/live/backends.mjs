// Backends that misbehave: lists without measure, floods of pings, sessions
// that die with another status than 404, answers and connections that end as
// they should not. Whoever does not use them must not notice.
import { readdirSync } from 'node:fs';
import { ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Mcp, messages } from './lib/mcp.mjs';
import { Pins } from './lib/pin.mjs';
import { Peer, answer, asked } from './lib/sse.mjs';
import { Talker } from './lib/talker.mjs';
import { Liar, event, good, http, json, sse, text } from './fixture/liar.mjs';

const tool = (name, extra) => ({ name, inputSchema: { type: 'object' },
    ...extra });
const echo = [tool('echo')];
const error = (id, code, message, status = '200 OK') => http(JSON.stringify(
    { jsonrpc: '2.0', id, error: { code, message } }), { status });
const changed = event(JSON.stringify({ jsonrpc: '2.0',
    method: 'notifications/tools/list_changed' }));

// With sanitizers all is slower.
const patience = process.env.SANITIZE ? 3 : 1;

const free = { '/mcp': { backends: '*', auth: 'none' } };

// The session a request came in.
const sessionOf = (x) => x.liar.seen.at(-1).lines.find((l) =>
    /^mcp-session-id:/i.test(l))?.replace(/^.*?: */, '');

async function answers(mcp, name, within = 2000) {
	const nonce = String(Math.random());
	const t0 = Date.now();
	const r = await mcp.tool(name, { nonce });
	ok(!r.isError, `${name}: ${r.content[0].text}`);
	same(JSON.parse(r.content[0].text), { nonce }, `${name}`);
	ok(Date.now() - t0 < within * patience, `${name}: after ${Date.now() - t0} ms`);
}

async function shown(gw, backend) {
	const { out } = await gw.ctl('-j', 'show', 'backends');
	return JSON.parse(out).find((b) => b.backend === backend);
}

const names = async (mcp, backend) => (await mcp.list('tools/list', 'tools'))
    .map((t) => t.name).filter((n) => n.startsWith(`${backend}_`));

// Up, and every worker has heard of its tools.
async function up(gw, backend) {
	await until(`${backend} to be up`, async () =>
	    (await shown(gw, backend)).state === 'up');
	const knows = new Set();
	await until('its tools on all workers', async () => {
		const mcp = await new Mcp(gw.url).open();
		mcp.workers.clear();
		const { tools } = await mcp.call('tools/list');
		if (tools.some((t) => t.name.startsWith(`${backend}_`)))
			knows.add([...mcp.workers][0]);
		return knows.size === gw.config.workers;
	});
}

const stopped = (name, gw) => test(`${name}: nothing is left after SIGTERM`,
    () => gw.stop());

// ---- lists beyond measure ----

async function lists() {
	const PAGES = 20, EACH = 15;
	const description = 'd'.repeat(900 * 1024);
	const huge = await Liar.start({ on: { 'tools/list': (x) => {
		const page = Number(x.message.params?.cursor ?? 0);
		return http(json(x.id, {
			tools: Array.from({ length: EACH }, (_, i) =>
			    tool(`t${page * EACH + i}`, { description })),
			...(page + 1 < PAGES && { nextCursor: String(page + 1) }),
		}));
	} } });
	const halves = await Liar.start({ on: { 'tools/list': (x) =>
	    x.message.params?.cursor === undefined ?
	    http(json(x.id, { tools: echo, nextCursor: '2' })) :
	    error(x.id, -32603, 'database is locked') } });
	const sound = await Liar.start({ tools: echo });
	const waits = [];
	const late = await Liar.start({ tools: echo, on: { initialize: (x) => {
		waits.push(x);
		return undefined;
	} } });
	const gw = await Gateway.make({ config: {
		backends: { huge: { url: huge.url }, halves: { url: halves.url },
		    sound: { url: sound.url }, late: { url: late.url } },
		endpoints: free,
	} });
	await gw.start({ ready: false });
	const pins = new Pins(gw.base);
	await test('a backend with 270 MB of tools does not delay another\'s',
	    async () => {
		const t0 = Date.now();
		const mcp = await new Mcp(gw.url).open();
		await until('its list', async () =>
		    (await names(mcp, 'sound')).includes('sound_echo'), 4000);
		await answers(mcp, 'sound_echo');
		const ms = Date.now() - t0;
		ok(ms < 4000, `after ${ms} ms`);
	});
	await test('nor the list of one that comes after it', async () => {
		await until('all of the long list to be read', async () =>
		    huge.seen.some((s) => Number(s.message?.params?.cursor) ===
		    PAGES - 1) || (await shown(gw, 'huge')).state === 'up');
		await sleep(1000);
		const t0 = Date.now();
		delete late.on.initialize;
		for (const x of waits)
			x.socket.write(late._initialize(x));
		const mcp = await new Mcp(gw.url).open();
		await until('its list', async () =>
		    (await names(mcp, 'late')).includes('late_echo'), 4000);
		await answers(mcp, 'late_echo');
		const ms = Date.now() - t0;
		ok(ms < 4000, `after ${ms} ms`);
	});
	await test('270 MB of tools are cut to 8 MB, and are there', async () => {
		const mcp = await new Mcp(gw.url).open();
		await until('its list', async () =>
		    (await names(mcp, 'huge')).length > 0, 20_000, 200);
		const got = await names(mcp, 'huge');
		same(got, Array.from({ length: 9 }, (_, i) => `huge_t${i}`),
		    'tools');
		await answers(mcp, 'huge_t8');
		for (const pid of gw.pids('worker')) {
			const worker = gw.workerId(pid);
			const peer = await new Peer(gw.url, pins).open();
			const all = [];
			let cursor;
			do {
				const s = await peer.ask('tools/list', { cursor },
				    { worker });
				const m = await s.next(answer(s.rpcId));
				all.push(...m.result.tools.map((t) => t.name));
				cursor = m.result.nextCursor;
			} while (cursor !== undefined);
			ok(all.includes('sound_echo') && all.includes('huge_t8'),
			    `worker ${worker}: ${all}`);
		}
	});
	await test('an error on the second page of its first list', async () => {
		const b = await until('the reason', async () => {
			const now = await shown(gw, 'halves');
			return now.error && now;
		});
		ok(b.state !== 'up', `state ${b.state}`);
		const mcp = await new Mcp(gw.url).open();
		same(await names(mcp, 'halves'), [], 'tools');
	});
	await stopped('lists', gw);
}

async function laterPage({ gw, back, state }) {
	await up(gw, 'pages');
	const mcp = await new Mcp(gw.url).open();
	same(await names(mcp, 'pages'), ['pages_p1', 'pages_p2'], 'tools');
	const tell = async () => {
		await until('its stream', () => back.pages.gets.size > 0);
		for (const s of back.pages.gets)
			s.write(changed);
	};
	state.broken = true;
	await tell();
	const b = await until('the error to be shown', async () => {
		const now = await shown(gw, 'pages');
		return now.error && now;
	}).catch(async (e) => {
		throw new Error(`${e.message}: ${
		    JSON.stringify(await shown(gw, 'pages'))}`);
	});
	same(b.tools, 2, 'its tools as shown');
	same(await names(mcp, 'pages'), ['pages_p1', 'pages_p2'],
	    'the last list');
	await answers(mcp, 'pages_p1');
	await answers(mcp, 'pages_p2');
	state.broken = false;
	state.more = true;
	await until('the list to be read again', async () =>
	    (await names(mcp, 'pages')).length === 3, 20_000, 200);
	await until('the error to go', async () =>
	    !(await shown(gw, 'pages')).error);
}

async function loop({ gw, back }) {
	await up(gw, 'loop');
	const mcp = await new Mcp(gw.url).open();
	same(await names(mcp, 'loop'), ['loop_one', 'loop_two'], 'tools');
	await answers(mcp, 'loop_one');
	await answers(mcp, 'loop_two');
	const asked_ = back.loop.seen.filter((s) =>
	    s.message?.method === 'tools/list');
	const looks = asked_.filter((s) =>
	    s.message.params?.cursor === undefined).length;
	ok(asked_.length <= looks * 3, `${asked_.length} pages in ${looks} looks`);
}

// ---- thirty thousand pings ----

async function pings() {
	const N = 30_000;
	let call, held = [], silent = true;
	const flood = await Liar.start({ tools: [tool('echo'), tool('pings')],
	    on: {
		'tools/call': (x) => {
			if (x.message.params.name !== 'pings')
				return x.liar._tools_call(x);
			call = x;
			x.socket.write(sse);
			for (let i = 0; i < N; i += 100)
				x.socket.write(Array.from({ length: 100 }, (_, k) =>
				    event(JSON.stringify({ jsonrpc: '2.0',
				    id: i + k, method: 'ping' }))).join(''));
			return undefined;
		},
		answer: ({ socket }) => {
			if (!silent)
				return http('', { status: '202 Accepted', type: null });
			held.push(socket);
			return undefined;
		},
	} });
	const beside = await Liar.start({ tools: echo });
	const gw = await Gateway.start({ config: {
		workers: 1,
		backends: { flood: { url: flood.url }, beside: { url: beside.url } },
		endpoints: free,
	} });
	await test('30,000 pings that it does not let be answered', async () => {
		const mcp = await new Mcp(gw.url).open();
		await answers(mcp, 'beside_echo');
		const [pid] = gw.pids('worker');
		const files = () => readdirSync(`/proc/${pid}/fd`).length;
		const result = mcp.tool('flood_pings').then((r) => r, (e) => e);
		await until('the pings to be answered', () => held.length > 0);
		let most = 0;
		for (const t0 = Date.now(); Date.now() - t0 < 5000;) {
			most = Math.max(most, files());
			ok(most < 200, `${most} descriptors`);
			await answers(await new Mcp(gw.url).open(), 'beside_echo');
			await sleep(100);
		}
		console.log(`# pings: ${most} descriptors, ${held.length
		    } answers under way`);
		silent = false;
		for (const s of held.splice(0))
			s.write(http('', { status: '202 Accepted', type: null }));
		call.socket.write(`${event(good(call.id, 'at last'))}0\r\n\r\n`);
		const r = await result;
		same(r.content?.[0].text, 'at last', `the call (${r.message})`);
		await answers(mcp, 'flood_echo');
		await until('few descriptors', () => files() < 100, 8000);
	});
	await stopped('pings', gw);
}

// ---- sessions ----

async function deadSession({ gw, back, state }) {
	await up(gw, 'dead');
	const mcp = await new Mcp(gw.url).open();
	await answers(mcp, 'dead_echo');
	const before = back.dead.next;
	for (let i = 0; i < 3; i++) {
		for (let n = 1; n < back.dead.next; n++)
			state.dead.add(`s${n}`);
		for (let k = 0; k < 6; k++)
			await answers(mcp, 'dead_echo');
	}
	ok(back.dead.next > before, 'a new session');
	// What is not about sessions is an error, and asked twice at most.
	const calls = () => back.dead.seen.filter((s) =>
	    s.message?.params?.name === 'refuse').length;
	const r = await mcp.tool('dead_refuse');
	ok(r.isError && /"dead"/.test(r.content[0].text), JSON.stringify(r));
	ok(calls() <= 2, `${calls()} times`);
}

// The session is deleted while both workers wait for the one upstream.
async function deleted({ gw, back, state, pins, workers }) {
	await up(gw, 'gate');
	for (let round = 0; round < 3; round++) {
		const old = await new Peer(gw.url, pins).open();
		state.gate = [];
		const open = [];
		for (let i = 0; i < 4; i++)
			for (const worker of workers)
				open.push(old.start('gate_echo', { nonce: 'x' },
				    { worker }).then((s) => s.end(6000)
				    .then(() => s)));
		const all = Promise.allSettled(open);
		await until('a session to be asked for',
		    () => state.gate.length > 0);
		await sleep(300);
		const status = await old.close();
		ok([200, 204].includes(status), `DELETE: ${status}`);
		const after = workers.map((worker) => old.start('gate_echo', {},
		    { worker }));
		for (const s of await Promise.all(after)) {
			await s.end(2000);
			same(s.status, 404, 'a call after DELETE');
		}
		const t0 = Date.now();
		for (const x of state.gate)
			x.socket.write(back.gate._initialize(x));
		state.gate = undefined;
		const hung = (await all).filter((p) => p.status === 'rejected' ||
		    p.value.ended !== 'clean');
		same(hung.map((p) => p.reason?.message ?? p.value.ended), [],
		    `of ${open.length} open calls, these did not end`);
		ok(Date.now() - t0 < 5000, `after ${Date.now() - t0} ms`);
		const peer = await new Peer(gw.url, pins).open();
		for (const worker of [...workers, ...workers]) {
			const s = await peer.start('gate_echo', { nonce: 'y' },
			    { worker });
			const m = await s.next(answer(s.rpcId), 'an answer', 3000);
			same(m.result?.content[0].text, '{"nonce":"y"}',
			    `worker ${worker}: ${JSON.stringify(m)}`);
		}
	}
}

// The same, while nobody can note that the session is over: whatever becomes
// of it, no call of it waits for ever.
async function unheard() {
	let gate;
	const slow = await Liar.start({ tools: echo, on: { initialize: (x) => {
		if (gate === undefined)
			return x.liar._initialize(x);
		gate.push(x);
		return undefined;
	} } });
	const gw = await Gateway.start({ config: {
		backends: { slow: { url: slow.url, timeout: '30s' } },
		endpoints: free,
	} });
	await test('DELETE that cannot be noted, while the upstream session is ' +
	    'being made', async () => {
		const pins = new Pins(gw.base);
		const workers = gw.workerIds();
		const [authd] = gw.pids('authd');
		const old = await new Peer(gw.url, pins).open();
		const start = (peer, n) => Array.from({ length: n }, (_, i) =>
		    peer.start('slow_echo', { nonce: 'x' },
			{ worker: workers[i % workers.length] })
		    .then((s) => s.end(8000).then(() => s)));
		gate = [];
		const before = Promise.allSettled(start(old, 8));
		await until('a session to be asked for', () => gate.length > 0);
		await sleep(300);
		process.kill(authd, 'SIGSTOP');
		await Promise.race([old.close().catch(() => {}), sleep(3000)]);
		process.kill(authd, 'SIGKILL');
		const held = gate;
		gate = undefined;
		for (const x of held)
			x.socket.write(slow._initialize(x));
		await sleep(1000);
		const after = Promise.allSettled(start(old, 8));
		for (const [when, all] of [['before', await before],
		    ['after', await after]])
			same(all.map((p) => p.reason?.message ?? p.value.ended)
			    .filter((e) => e !== 'clean'), [],
			    `of 8 calls ${when} it, these did not end`);
		const peer = await new Peer(gw.url, pins).open();
		for (const s of await Promise.all(start(peer, 4)))
			same(s.messages.find(answer(s.rpcId))?.result?.content[0]
			    .text, '{"nonce":"x"}', 'a call of a new session');
	});
	await stopped('unheard', gw);
}

// ---- connections and answers ----

async function unannounced({ gw }) {
	await up(gw, 'closer');
	const mcp = await new Mcp(gw.url).open();
	const failed = [];
	for (let i = 0; i < 300; i++)
		await answers(mcp, 'closer_echo').catch((e) =>
		    failed.push(`${i}: ${e.message}`));
	ok(mcp.workers.size === 2, 'both workers');
	ok(failed.length <= 3, `${failed.length} of 300 calls failed: ${
	    failed.slice(0, 4).join('; ')}; ${
	    JSON.stringify(await shown(gw, 'closer'))}`);
}

async function forever(socket, bytes) {
	while (!socket.destroyed) {
		socket.write(bytes);
		await sleep(200);
	}
}

const endless = {};
for (const status of ['401 Unauthorized', '404 Not Found',
    '500 Internal Server Error'])
	for (const [how, head, piece] of [
	    ['length', 'Content-Length: 1000000', ' '],
	    ['chunks', 'Transfer-Encoding: chunked', '1\r\n \r\n'],
	    ['silence', 'Content-Length: 1000000', ''],
	    ['neither', 'Connection: close', ' ']])
		endless[`${status.slice(0, 3)}-${how}`] = (x) => {
			x.socket.write(`HTTP/1.1 ${status}\r\nContent-Type: ` +
			    `application/json\r\n${head}\r\n\r\n`);
			forever(x.socket, piece);
		};

async function noEnd({ gw }) {
	await up(gw, 'endless');
	await Promise.all(Object.keys(endless).map((name) => test(
	    `a body without end: ${name}`, async () => {
		const mcp = await new Mcp(gw.url).open();
		const t0 = Date.now();
		const r = await mcp.tool(`endless_${name}`);
		const ms = Date.now() - t0;
		ok(r.isError && /"endless"/.test(r.content[0].text),
		    JSON.stringify(r));
		ok(ms < 2000 * patience, `after ${ms} ms`);
		await answers(mcp, 'endless_echo');
	})));
}

// ---- what is said with an error ----

// name: [status, body, type, what the client must see, POSTs of the call]
const ours = (code, message, data) => (x) => JSON.stringify({ jsonrpc: '2.0',
    id: x.id, error: { code, message, data } });
const long = 'é'.repeat(1000);
const refusals = {
	'no-id': ['400 Bad Request', () => JSON.stringify({ jsonrpc: '2.0',
	    id: null, error: { code: -32000, message: 'Quota of 5 is used up' } }),
	'application/json', 'answered HTTP status 400: Quota of 5 is used up.', 1],
	'ours': ['422 Unprocessable', ours(-32042, 'No such unit', { unit: 7 }),
	    'application/json', { code: -32042, message: 'No such unit',
		data: { unit: 7 } }, 1],
	'own-session': ['400 Bad Request',
	    ours(-32000, 'The browser session was not found'),
	    'application/json', { code: -32000,
		message: 'The browser session was not found' }, 1],
	'foreign': ['403 Forbidden', () => ours(-32000, 'Not you')({ id: '1.1' }),
	    'application/json', 'answered HTTP status 403: Not you.', 1],
	'plain': ['500 Internal Server Error', () => 'at /usr/lib/x.js:1',
	    'text/plain', 'answered HTTP status 500.', 1],
	'result': ['503 Unavailable', (x) => json(x.id, text('all is well')),
	    'application/json', 'answered HTTP status 503.', 1],
	'cut': ['400 Bad Request', () => ours(-32000, long)({ id: 1 }),
	    'application/json', /^answered HTTP status 400: é{200,250}\.$/, 1],
	'large': ['400 Bad Request', (x) => ours(-32000, long.repeat(10))(x),
	    'application/json', 'answered HTTP status 400.', 2],
	'says-session': ['400 Bad Request', () => 'No valid SESSION id',
	    'text/plain', 'answered HTTP status 400.', 2],
	'says-nothing': ['400 Bad Request', () => '', 'text/plain',
	    'answered HTTP status 400.', 2],
};

async function refused({ gw, back }) {
	await up(gw, 'refuser');
	for (const [name, [, , , want, posts]] of Object.entries(refusals))
		await test(`said with an error: ${name}`, async () => {
			const mcp = await new Mcp(gw.url).open();
			const id = mcp.next++;
			const [m] = messages(await mcp.send({ jsonrpc: '2.0', id,
			    method: 'tools/call', params: {
				name: `refuser_${name}`, arguments: {} } }));
			same(m.id, id, 'id');
			if (want.code !== undefined)
				same(m.error, want, 'error');
			else {
				ok(m.result?.isError, JSON.stringify(m));
				const why = m.result.content[0].text.replace(
				    'The server "refuser" ', '');
				ok(want instanceof RegExp ? want.test(why) :
				    why === want, why);
			}
			same(back.refuser.seen.filter((s) =>
			    s.message?.params?.name === name).length, posts,
			    'POSTs of the call');
		});
}

// ---- a large answer for the other worker ----

async function relayed({ gw, pins, workers }) {
	await up(gw, 'talk');
	const [a, b] = workers;
	const peer = await new Peer(gw.url, pins).open(
	    { elicitation: { form: {} } });
	const said = { action: 'accept', content: { a: Array.from(
	    { length: 300_000 }, (_, i) => i.toString(36).padStart(8, '.'))
	    .join('') } };
	for (const [on, by] of [[a, b], [b, a], [a, a]]) {
		const nonce = `relay-${on}-${by}`;
		const c = await peer.start('talk_ask', { nonce }, { worker: on });
		const q = await c.next(asked('elicitation/create'));
		same(await peer.say({ id: q.id, result: said }, { worker: by }),
		    202, `the answer, said to ${by}, for ${on}`);
		const m = await c.next(answer(c.rpcId), 'the call to end', 5000);
		const { got } = JSON.parse(m.result.content[0].text);
		ok(got.length === 1 && got[0].content?.a === said.content.a,
		    `heard ${JSON.stringify(got).slice(0, 200)}`);
	}
}

async function many() {
	const state = { dead: new Set(), gate: undefined, broken: false };
	const soon = (fn) => (x) => {
		// A request that crosses the close is not answered.
		if (x.socket.closing)
			return undefined;
		x.socket.closing = true;
		setTimeout(() => x.socket.end(), 3);
		return fn(x);
	};
	const accepted = () => http('', { status: '202 Accepted', type: null });
	const back = {
		dead: await Liar.start({ tools: [tool('echo'), tool('refuse')],
		    on: { 'tools/call': (x) => state.dead.has(sessionOf(x)) ||
			x.message.params.name === 'refuse' ?
			error(null, -32000, 'Bad Request: No valid session ID',
			    '400 Bad Request') : x.liar._tools_call(x) } }),
		gate: await Liar.start({ tools: echo, on: { initialize: (x) => {
			if (state.gate === undefined)
				return x.liar._initialize(x);
			state.gate.push(x);
			return undefined;
		} } }),
		pages: await Liar.start({ on: {
			'tools/list': (x) => {
				if (x.message.params?.cursor === undefined)
					return http(json(x.id, { tools: [tool('p1')],
					    nextCursor: '2' }));
				if (state.broken)
					return error(x.id, -32603, 'database is locked');
				return http(json(x.id, { tools: [tool('p2'),
				    ...(state.more ? [tool('p3')] : [])] }));
			} } }),
		loop: await Liar.start({ on: { 'tools/list': (x) =>
		    http(json(x.id, { tools: [tool('one'), tool('two')],
			nextCursor: 'same' })) } }),
		closer: await Liar.start({ on: {
			initialize: soon((x) => x.liar._initialize(x)),
			'notifications/initialized': soon(accepted),
			'tools/list': soon((x) => http(json(x.id,
			    { tools: echo }))),
			'tools/call': soon((x) => x.liar._tools_call(x)),
		} }),
		endless: await Liar.start({ tools: [tool('echo'),
		    ...Object.keys(endless).map((name) => tool(name))],
		on: { 'tools/call': (x) => {
			const fn = endless[x.message.params.name];
			return fn ? fn(x) : x.liar._tools_call(x);
		} } }),
		refuser: await Liar.start({
			tools: Object.keys(refusals).map((name) => tool(name)),
			on: { 'tools/call': (x) => {
				const [status, body, type] =
				    refusals[x.message.params.name];
				return http(body(x), { status, type });
			} } }),
	};
	const talker = await Talker.start();
	const gw = await Gateway.make({ config: {
		backends: { ...Object.fromEntries(Object.entries(back).map(
		    ([name, l]) => [name, { url: l.url, timeout: '30s' }])),
		talk: { url: talker.url } },
		endpoints: free,
	} });
	await gw.start({ ready: false });
	const x = { gw, back, state, pins: new Pins(gw.base),
	    workers: gw.workerIds() };
	await Promise.all([
		test('a backend that answers 400 to a dead session',
		    () => deadSession(x)),
		test('DELETE while the upstream session is being made',
		    () => deleted(x)),
		test('an error on the second page of a later list',
		    () => laterPage(x)),
		test('a cursor that is always the same', () => loop(x)),
		test('300 calls of a backend that closes without a word',
		    () => unannounced(x)),
		test('an answer of 2.4 MB for a question of the other worker',
		    () => relayed(x)),
	]);
	await noEnd(x);
	await refused(x);
	await stopped('backends', gw);
}

// What servers say to a notification, and in which order they have their keys.
async function manners() {
	const said = {
		ok: () => http('OK', { type: 'text/plain' }),
		untyped: () => http('OK', { type: null }),
		chunks: () => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n' +
		    '\r\n0\r\n\r\n',
		html: () => http('<p>Accepted', { type: 'text/html' }),
	};
	const last = await Liar.start({ tools: echo, on: {
		'initialize': (x) => http(json(x.id, {
			protocolVersion: x.message.params.protocolVersion,
			capabilities: { tools: {},
			    resources: { listChanged: true, subscribe: true } },
			serverInfo: { name: 'last', version: '1' } }),
		{ headers: ['Mcp-Session-Id: m1'] }),
		'resources/list': (x) => http(json(x.id, { resources: [] })),
		'resources/templates/list': (x) => http(json(x.id,
		    { resourceTemplates: [] })) } });
	const back = Object.fromEntries(await Promise.all(Object.entries(said)
	    .map(async ([name, fn]) => [name, await Liar.start({ tools: echo,
		on: { 'notifications/initialized': fn } })])));
	const gw = await Gateway.start({ config: { endpoints: free, backends: {
		...Object.fromEntries(Object.entries(back).map(([name, l]) =>
		    [name, { url: l.url }])), last: { url: last.url } } } });
	await test('whatever a backend says to a notification', async () => {
		await Promise.all(Object.keys(said).map((name) => up(gw, name)));
		const mcp = await new Mcp(gw.url).open();
		for (const name of Object.keys(said))
			await answers(mcp, `${name}_echo`);
	});
	await test('subscribe need not be the first of its keys', async () => {
		const mcp = await new Mcp(gw.url).open();
		ok(mcp.server.capabilities.resources?.subscribe,
		    JSON.stringify(mcp.server.capabilities));
	});
	await stopped('manners', gw);
}

run('backends', async () => {
	await Promise.all([many(), unheard(), manners()]);
	// These two keep this process busy, too.
	await pings();
	await lists();
});
