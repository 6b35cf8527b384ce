// Must be true 5: bad backends. SMG-13, SSE-1/2/4, POIS-3/4/5, RT: the caller
// gets a clear error within the timeout, every other backend goes on, and
// nothing of what they say reaches anybody it is not for.
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { Child, freePort, ok, run, same, sleep, test, until } from
    './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { echo } from './lib/backends.mjs';
import { Load, echoes } from './lib/load.mjs';
import { Mcp, messages } from './lib/mcp.mjs';
import { node } from './lib/paths.mjs';
import { Pins } from './lib/pin.mjs';
import { wrong } from './lib/schema.mjs';
import { Peer, note } from './lib/sse.mjs';
import {
	Liar, POISON, event, good, http, json, lies, sse,
} from './fixture/liar.mjs';

const TIMEOUT = 2000;
// The gateway looks once a second; the rest is this machine's.
const LATEST = TIMEOUT + 1000 + 250;

const rows = (name) => lies[name].poison ? 'SMG-13' :
    /in-text/.test(name) ? 'SSE-2' :
    /sse|event|newline|stream/.test(name) ? 'SSE-1' :
    /double|foreign|progress|id$|request|question/.test(name) ? 'SSE-4' :
    'BAD';

// What the caller is told, by the lies that it is told of.
const reasons = {
	'did not answer in time': 'hang trickle-head trickle-body trickle-sse',
	'closed the connection before it had answered': 'close-at-once ' +
	    'reset-in-body chunked-cut cut-in-event',
	'sent an answer that is not MCP': 'garbage cl-and-te two-lengths ' +
	    'length-list length-hex flood-of-1xx upgrade-101 status-line-lf ' +
	    'bare-lf-head bare-cr-header no-header-end http-9 status-42 ' +
	    'bad-chunk-size chunk-without-end extra-after-body html ' +
	    'wrong-type no-type',
	'sent an answer that is too large': 'giant-json giant-event no-newline',
	'gave no answer': 'gzip-unasked wrong-id numeric-id null-id no-id ' +
	    'result-and-error two-results error-is-text json-array ' +
	    'json-rubbish json-cut json-deep invalid-utf8 end-in-event ' +
	    'sse-rubbish sse-bad-utf8 empty-body accepted no-content ' +
	    'empty-stream',
	'answered HTTP status 302': 'redirect',
	'answered HTTP status 307': 'redirect-307',
	'answered HTTP status 400': 'status-400 status-400-empty ' +
	    'status-400-session',
	'answered HTTP status 401': 'unauthorized',
	'answered HTTP status 403': 'forbidden',
	'answered HTTP status 404': 'lost-session',
	'answered HTTP status 500': 'status-500',
};
const reason = Object.fromEntries(Object.entries(reasons).flatMap(
    ([why, names]) => names.split(' ').map((n) => [n, why])));

const unpoisoned = (s) => ok(!s.includes(POISON), `poisoned: ${s.slice(0, 400)}`);

// What the caller of a lie sees: {answer, all, ms}.
async function lied(mcp, name) {
	const t0 = Date.now();
	const id = mcp.next++;
	const res = await mcp.send({ jsonrpc: '2.0', id, method: 'tools/call',
	    params: { name: `liar_${name}`, arguments: {},
		_meta: { progressToken: `p${id}` } } });
	const ms = Date.now() - t0;
	same(res.status, 200, res.text);
	unpoisoned(res.text);
	const all = messages(res);
	const answers = all.filter((m) => m.id === id && !m.method);
	same(answers.length, 1, `answers in ${res.text}`);
	return { answer: answers[0], all, ms };
}

// It may fail only if it is the call that bytes of a lie were sent into.
async function honest(mcp, liar) {
	const nonce = String(Math.random());
	const res = await mcp.tool('liar_echo', { nonce });
	unpoisoned(JSON.stringify(res));
	if (res.isError && liar.spoiled.delete(nonce))
		return;
	ok(!res.isError, `an honest call: ${JSON.stringify(res)}`);
	same(JSON.parse(res.content[0].text), { nonce }, 'an honest call');
}

const tried = [];

async function lie(mcp, liar, name) {
	tried.push(name);
	const { answer, all, ms } = await lied(mcp, name);
	ok(ms <= LATEST, `answered after ${ms} ms`);
	if (lies[name].truth) {
		ok(answer.result?.content[0].text.startsWith('truth'),
		    `not the true answer: ${JSON.stringify(answer)}`);
		same(all.length, 1, `messages: ${JSON.stringify(all)}`);
	} else {
		ok(answer.error || answer.result.isError,
		    `no error: ${JSON.stringify(answer)}`);
		same(answer.error?.message ?? answer.result.content[0].text,
		    `The server "liar" ${reason[name]}.`, 'what the caller is told');
		same(all.length, 1, `messages: ${JSON.stringify(all)}`);
	}
	if (lies[name].slow)
		ok(ms >= TIMEOUT - 100, `gave up after ${ms} ms`);
	if (lies[name].asks !== undefined)
		await until('the refusal of its request', () => liar.seen.some(
		    (s) => s.message?.id === lies[name].asks &&
		    s.message.error?.code === -32601));
	await sleep(lies[name].pause ?? 0);
	// Enough to meet every idle connection of both workers; which of them
	// meets that of the lie the kernel decides.
	for (let i = 0; i < 6 || (i < 200 && liar.tails.size > 0); i++)
		await honest(mcp, liar);
	const left = liar.tails.size;
	liar.tails.clear();
	same(left, 0, 'lies that met no call');
}

// How often each lie was called, and in which sessions: a tool may do something,
// so a call whose answer went wrong is not sent again, unless it was not taken.
function calledOnce(liar, names) {
	const bad = [];
	ok(names.length > 0, 'nothing was called');
	for (const name of names) {
		const at = (s) => s.message?.method === 'tools/call' &&
		    s.message.params.name === name;
		const sessions = liar.seen.filter(at).map((s) => s.lines.find(
		    (l) => /^mcp-session-id:/i.test(l)));
		const want = lies[name].retried ? 2 : 1;
		if (sessions.length !== want || new Set(sessions).size !== want)
			bad.push(`${name}: ${sessions}`);
		// None where the other worker had made one meanwhile.
		const made = liar.seen.slice(liar.seen.findIndex(at),
		    liar.seen.findLastIndex(at)).filter((s) =>
		    s.message?.method === 'initialize').length;
		if (made > 1)
			bad.push(`${name}: ${made} sessions were made`);
	}
	same(bad, [], 'not called as often as it should');
}

// One call's stream brings the answer to another's id.
async function foreignAnswer(mcp, liar) {
	const open = [];
	liar.on['tools/call'] = (x) => {
		if (!/^(thief|victim)$/.test(x.message.params.arguments.part))
			return liar._tools_call(x);
		open.push(x);
		return undefined;
	};
	const start = (part) => mcp.tool('liar_echo', { part });
	const thief = start('thief').then((r) => r, (e) => e);
	const victim = start('victim').then((r) => r, (e) => e);
	await until('both', () => open.length === 2);
	const t = open.find((x) => x.message.params.arguments.part === 'thief');
	const v = open.find((x) => x !== t);
	t.socket.write(sse + event(JSON.stringify({ jsonrpc: '2.0', id: v.id,
	    result: { content: [{ type: 'text', text: POISON }] } })));
	await sleep(200);
	t.socket.write(event(good(t.id, 'for the thief')) + '0\r\n\r\n');
	v.socket.write(http(good(v.id, 'for the victim')));
	same((await thief).content?.[0].text, 'for the thief', 'thief');
	same((await victim).content?.[0].text, 'for the victim', 'victim');
	delete liar.on['tools/call'];
}

// A process that is stopped, its queue of connections full: connecting hangs.
async function silentPort() {
	const port = await freePort();
	const child = new Child('silent', node, ['-e', `
		const http = require('node:http');
		http.createServer(async (req, res) => {
			let body = '';
			for await (const d of req) body += d;
			const m = body ? JSON.parse(body) : {};
			const r = { initialize: { protocolVersion: '2025-11-25',
			    capabilities: { tools: {} },
			    serverInfo: { name: 'silent', version: '1' } },
			    'tools/list': { tools: [{ name: 'echo',
			    inputSchema: { type: 'object' } }] },
			    'tools/call': { content: [] } }[m.method];
			res.setHeader('content-type', 'application/json');
			if (m.id === undefined) return res.writeHead(
			    req.method === 'POST' ? 202 : 405).end();
			res.end(JSON.stringify({ jsonrpc: '2.0', id: m.id,
			    result: r ?? {} }));
		}).listen({ port: ${port}, host: '127.0.0.1', backlog: 1 });`]);
	return { port, child, url: `http://127.0.0.1:${port}/mcp` };
}

async function hangAtConnect(mcp, silent) {
	await mcp.tool('silent_echo');
	silent.child.signal('SIGSTOP');
	const fill = [];
	try {
		for (let i = 0; i < 6; i++)
			fill.push(net.connect(silent.port, '127.0.0.1')
			    .on('error', () => {}));
		// The gateway's idle connections to it run out.
		await sleep(5500);
		const t0 = Date.now();
		const r = await mcp.tool('silent_echo');
		const ms = Date.now() - t0;
		ok(r.isError && /"silent"/.test(r.content[0].text),
		    JSON.stringify(r));
		ok(ms <= LATEST, `after ${ms} ms`);
	} finally {
		silent.child.signal('SIGCONT');
		for (const s of fill)
			s.destroy();
	}
	await until('it to answer again', async () =>
	    !(await mcp.tool('silent_echo')).isError, 30_000, 200);
}

const tool = (name, extra) => ({ name, inputSchema: { type: 'object' },
    ...extra });
const takes = (inputSchema, i) => tool(`takes${i}`, { inputSchema });

// ---- lists ----

// One of these and a client that reads the list by the schema has no tool.
const malformed = [
	{ name: 'schemaless' }, { inputSchema: { type: 'object' } }, null,
	'text', [], 17, tool(7), tool(null), tool(''), tool({ x: 1 }),
	tool('n'.repeat(10_000)), ...[null, [], 'x', true, {}, { type: null },
	    { type: 'string' }, { type: ['object'] }, { type: 'object',
	    properties: [] }, { type: 'object', properties: { a: true } },
	    { type: 'object', required: 'a' }, { type: 'object',
	    required: [1] }, { type: 'object', $schema: 1 }].map(takes),
	...Object.entries({ description: [7, null], title: [{}],
	    annotations: ['x', { readOnlyHint: 'yes' }, { title: 1 }],
	    outputSchema: [null, [], { type: 'object', properties: 1 }],
	    _meta: ['x'], icons: [{}, [{}], ['x'], [{ src: 'a:b',
		theme: 'red' }], [{ src: 'a:b', sizes: '1x1' }]],
	    execution: [1, { taskSupport: 'maybe' }],
	}).flatMap(([k, vs]) => vs.map((v, i) => tool(`bad-${k}${i}`, { [k]: v }))),
];
const whole = tool('whole', { title: 'T', description: 'D',
    inputSchema: { $schema: 'https://json-schema.org/draft/2020-12/schema',
	type: 'object', properties: { a: {}, type: { type: 'string' } },
	required: ['a'], x: [1, null] },
    outputSchema: { type: 'object', properties: {} },
    annotations: { title: 'A', readOnlyHint: true, x: null },
    icons: [{ src: 'https://127.0.0.1/x.png', sizes: ['1x1'],
	mimeType: 'image/png', theme: 'dark' }],
    execution: { taskSupport: 'optional' }, _meta: { any: null }, y: 1 });

// The same of the other lists: [good, bad].
const others = {
	'prompts/list': [{ name: 'fine', title: 'T', arguments: [
	    { name: 'a', required: true, description: 'D' }] },
	[{ arguments: [] }, { name: 'p', arguments: {} },
	    { name: 'q', arguments: [{}] }, { name: 'r', arguments: ['a'] },
	    { name: 's', arguments: [{ name: 'a', required: 'yes' }] },
	    { name: 't', description: null }]],
	'resources/list': [{ uri: 'odd://fine', name: 'n', size: 3,
	    mimeType: 'a/b', annotations: { audience: ['user'],
		priority: 0.5, lastModified: '2025-01-12T15:00:58Z' } },
	[{ uri: 'odd://a' }, { name: 'n' }, { uri: 1, name: 'n' },
	    ...Object.entries({ size: ['3', 1.5], mimeType: [1],
		annotations: [[], { audience: 'user' },
		    { audience: ['root'] }, { priority: 2 },
		    { priority: '1' }] }).flatMap(([k, vs]) => vs.map((v, i) =>
		({ uri: `odd://${k}${i}`, name: 'n', [k]: v })))]],
	'resources/templates/list': [{ uriTemplate: 'odd://many/{n}',
	    name: 'n' }, [{ uriTemplate: 'odd://a/{n}' }, { name: 'n' },
	    { uriTemplate: 'odd://b/{n}', name: 'n', title: 1 }]],
};
const member = { 'prompts/list': 'prompts', 'resources/list': 'resources',
    'resources/templates/list': 'resourceTemplates' };

// What is left of them, to clients of every revision.
async function malformedItems(url, odd, mcp) {
	const got = await until('the list', async () => {
		const all = await mcp.list('tools/list', 'tools');
		const of = all.filter((t) => t.name.startsWith('odd_'));
		return of.length > 0 && of;
	});
	const names = got.map((t) => t.name);
	same([names.length, names[0], names[2]], [3, 'odd_fine', 'odd_whole'],
	    `shown: ${names}`);
	same({ ...got[2], name: 'whole' }, whole, 'the whole one');
	for (const n of names) {
		ok(/^[A-Za-z0-9_-]{1,44}$/.test(n), n);
		same((await mcp.tool(n, { nonce: n })).content[0].text,
		    JSON.stringify({ nonce: n }), n);
	}
	// By the name that it has itself.
	same(new Set(odd.seen.filter((s) => s.message?.method ===
	    'tools/call').map((s) => s.message.params.name)),
	new Set(['fine', 'good too', 'whole']), 'names called');
	for (const version of ['2025-03-26', '2025-06-18', '2025-11-25']) {
		const c = await new Mcp(url, { version }).open();
		for (const method of ['tools/list', ...Object.keys(others)]) {
			const result = await c.call(method);
			same(wrong({ jsonrpc: '2.0', id: 1, result }, method,
			    version), undefined, `${version} ${method}`);
			if (method === 'tools/list')
				continue;
			const left = result[member[method]].map((i) =>
			    i.uri ?? i.uriTemplate ?? i.name);
			same(left.length, 1, `${method}: ${left}`);
			ok(/fine|many/.test(left[0]), left[0]);
		}
	}
}

async function lists(beside) {
	let page = 0, slowly = 0;
	const many = (n) => Array.from({ length: n }, () => tool(`t${page++}`));
	const on = (fn) => ({ on: { 'tools/list': (x) => http(json(x.id,
	    fn(x))) } });
	const back = {
		endless: await Liar.start(on(() => ({
			tools: many(10), nextCursor: `c${page}` }))),
		// A million of them: 34 pages are a thousand.
		million: await Liar.start(on(() => ({ tools: many(30),
		    nextCursor: page < 1_000_000 ? `c${page}` : undefined }))),
		slow: await Liar.start({ on: { 'tools/list': (x) => {
			setTimeout(() => x.socket.write(http(json(x.id, {
			    tools: [tool(`s${++slowly}`)],
			    nextCursor: `s${slowly}` }))), 1500);
		} } }),
		loop: await Liar.start(on(() => ({ tools: [tool('one')],
		    nextCursor: 'again' }))),
		odd: await Liar.start({
			tools: [tool('fine'), ...malformed, tool('good too'), whole],
			on: { initialize: (x) => http(json(x.id, {
				protocolVersion: '2025-11-25', capabilities: {
				    tools: {}, prompts: {}, resources: {} },
				serverInfo: { name: 'odd', version: '1' } })),
			...Object.fromEntries(Object.entries(others).map(
			    ([method, [fine, bad]]) => [method, (x) => http(json(
				x.id, { [member[method]]: [...bad, fine] }))])) },
		}),
		huge: await Liar.start({ tools: Array.from({ length: 100_000 },
		    (_, i) => tool(`t${i}`)) }),
		none: await Liar.start(on(() => ({ tools: 'none' }))),
		silent: await Liar.start({ on: { 'tools/list': () => {} } }),
		mute: await Liar.start({ on: { initialize: () => {} } }),
		future: await Liar.start({ on: { initialize: (x) => http(json(x.id,
		    { protocolVersion: '2099-01-01', capabilities: {},
			serverInfo: { name: 'x', version: '1' } })) } }),
	};
	const gw = await Gateway.make({ config: {
		backends: Object.fromEntries([...Object.entries(back).map(
		    ([n, l]) => [n, { url: l.url, timeout: '2s' }]),
		['beside', { url: beside.url }]]),
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	const t0 = Date.now();
	gw.launch();
	const mcp = new Mcp(gw.url);
	await until('the gateway', () => mcp.open(), 20_000, 50);
	const shown = async () => (await mcp.list('tools/list', 'tools'))
	    .map((t) => t.name);
	const of = async (b) => (await shown()).filter((n) =>
	    n.startsWith(`${b}_`));
	await test('POIS-4 a backend without lists does not delay the others',
	    async () => {
		await until('the tools of the good one', async () =>
		    (await shown()).includes('beside_echo'), 5000, 50);
		ok(Date.now() - t0 < 8000, `${Date.now() - t0} ms`);
		const r = await mcp.tool('beside_echo', { nonce: '1' });
		ok(!r.isError, JSON.stringify(r));
	});
	let longest = 0;
	const load = await new Load(gw.url, undefined, { clients: 2, fresh: true,
	    tool: (i, n) => {
		const begun = performance.now(), t = echoes('beside')(i, n);
		return { ...t, check: (r) => {
			longest = Math.max(longest, performance.now() - begun);
			t.check(r);
		} };
	    } }).start();
	load.pace = 50;
	// The rest waits most of the time.
	const beat = storm();
	await test(`POIS-3 ${malformed.length} malformed tools, and other ` +
	    'items, cost only themselves', () =>
	    malformedItems(gw.url, back.odd, mcp));
	// Requests for the tools, and how often from the start.
	const asked = (b) => {
		const all = back[b].seen.filter((s) =>
		    s.message?.method === 'tools/list');
		return [all.length, all.filter((s) =>
		    s.message.params?.cursor === undefined).length];
	};
	await test('POIS-4 a list without end is cut', async () => {
		await until('the list', async () =>
		    (await of('endless')).length > 0, 20_000);
		same((await of('endless')).length, 500, 'tools');
		const [pages, looks] = asked('endless');
		ok(pages <= looks * 50, `${pages} pages in ${looks} looks`);
	});
	await test('POIS-4 a million tools in pages are cut to 1,000',
	    async () => {
		await until('the list', async () =>
		    (await of('million')).length > 0, 20_000);
		same((await of('million')).length, 1000, 'tools');
		const [pages, looks] = asked('million');
		ok(pages <= looks * 34, `${pages} pages in ${looks} looks`);
	});
	await test('POIS-4 a loop of cursors is cut', async () => {
		await until('the list', async () => {
			const up = await gw.ctl('show', 'backends');
			return /loop .*\bup\b/.test(up.out) ||
			    up.out.split('\n').some((l) => /\bloop\b/.test(l) &&
			    / up( |$)/.test(l));
		}, 20_000);
		const [pages, looks] = asked('loop');
		ok(pages <= looks * 50, `${pages} in ${looks}`);
	});
	await test('POIS-4 100,000 tools are cut to 1,000', async () => {
		await until('the list', async () =>
		    (await of('huge')).length > 0, 20_000);
		same((await of('huge')).length, 1000, 'tools');
	});
	await test('POIS-4 what is wrong is told', async () => {
		await until('the reasons', async () => {
			const { out } = await gw.ctl('-j', 'show', 'backends');
			return ['none', 'silent', 'mute', 'future'].every((b) =>
			    out.split('\n').some((l) => l.includes(`"${b}"`) &&
			    /"error": ?"[^"]{8,}"/.test(l)));
		}, 30_000, 200).catch(async (e) => {
			throw new Error(`${e.message}: ${(await gw.ctl('-j',
			    'show', 'backends')).out}`);
		});
	});
	await test('POIS-4 lists that come slowly have 10 s', async () => {
		await until('the reason', async () => {
			const { out } = await gw.ctl('-j', 'show', 'backends');
			return /did not send its lists in time/.test(JSON.parse(out)
			    .find((b) => b.backend === 'slow').error);
		}, 20_000, 100);
		const ms = Date.now() - t0;
		ok(ms >= 9500, `after ${ms} ms`);
		// The first look has asked for a page every 1.5 s.
		const [pages, looks] = asked('slow');
		ok(pages <= looks * 7, `${pages} pages in ${looks} looks`);
		same(await of('slow'), [], 'tools');
	});
	await beat;
	await load.stop();
	await test(`POIS-4 ${Object.keys(back).length} backends with lists that ` +
	    'lie; the one beside answered all the time', async () => {
		same(load.failures.length, 0, load.summary());
		ok(load.done > 100, `only ${load.done} calls`);
		same(load.workers.size, 2, 'workers');
		console.log(`# ${load.done} calls beside the lists, at most ${
		    Math.round(longest)} ms`);
		// None has waited for a backend that does not answer.
		ok(longest < TIMEOUT, `one took ${longest} ms`);
	});
	await test('POIS-4 nothing is left after SIGTERM', () => gw.stop());
}

// ---- list_changed, ten thousand a second ----

// KiB that a process has in memory.
const resident = (pid) => Number(readFileSync(`/proc/${pid}/status`, 'utf8')
    .match(/VmRSS:\s+(\d+) kB/)[1]);

async function storm() {
	const liar = await Liar.start({ tools: [tool('echo')] });
	const gw = await Gateway.start({ config: {
		backends: { liar: { url: liar.url } },
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	await test('POIS-5 a storm of list_changed is one message a second',
	    async () => {
		const pins = new Pins(gw.base);
		const peer = await new Peer(gw.url, pins).open();
		await peer.tool('liar_echo');
		const s = await peer.get(), times = [];
		s.saw = (m) => note('notifications/tools/list_changed')(m) &&
		    times.push(performance.now());
		const change = event(JSON.stringify({ jsonrpc: '2.0',
		    method: 'notifications/tools/list_changed' }));
		await until('the streams', () => liar.gets.size >= 2);
		const streams = [...liar.gets];
		const pids = [...gw.pids('worker'), ...gw.pids('keeper')];
		const asked = () => liar.seen.filter((x) =>
		    x.message?.method === 'tools/list').length;
		const seconds = 4, before = asked(), was = pids.map(resident);
		let sent = 0, most = 0;
		const t0 = performance.now();
		while (sent < seconds * 10_000) {
			const ms = Math.min(performance.now() - t0, seconds * 1000);
			// Each quarter of a second the list is another one.
			liar.tools = [tool('echo'), tool(`t${Math.floor(ms / 250)}`)];
			// Ten a millisecond.
			const n = Math.floor(ms * 10) - sent;
			for (const g of streams)
				g.write(change.repeat(n));
			sent += n;
			await sleep(5);
			most = Math.max(most, ...pids.map((p, i) =>
			    resident(p) - was[i]));
		}
		await until('all of it to be read', () => streams.every((g) =>
		    g.writableLength === 0 && !g.destroyed), 2000);
		await sleep(1500);
		ok(times.length >= 2 && times.length <= seconds + 2,
		    `told ${times.length} times`);
		const gaps = times.slice(1).map((t, i) => Math.round(t - times[i]));
		// A message may have waited for this process.
		ok(gaps.every((g) => g >= 800), `told ${gaps} ms apart`);
		ok(asked() - before <= seconds + 3,
		    `asked ${asked() - before} times`);
		console.log(`# ${sent} list_changed on each of ${streams.length} ` +
		    `streams, told ${gaps} ms apart, ${most} KiB more`);
		ok(process.env.SANITIZE || most < 4096, `${most} KiB more`);
		const last = liar.tools[1].name;
		await until('the last list', async () =>
		    (await peer.list('tools/list', 'tools')).some((t) =>
		    t.name === `liar_${last}`), 5000);
		s.close();
	});
	await test('POIS-5 nothing is left after SIGTERM', () => gw.stop());
}

run('lying', async () => {
	const liar = await Liar.start(), beside = await echo();
	const silent = await silentPort();
	const gw = await Gateway.start({ config: {
		limits: { body: '1M' },
		backends: {
			liar: { url: liar.url, timeout: '2s' },
			silent: { url: silent.url, timeout: '2s' },
			a: { url: beside.url },
		},
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	const mcp = await new Mcp(gw.url).open();
	const load = await new Load(gw.url, undefined, { clients: 4, fresh: true,
	    tool: echoes('a') }).start();
	load.pace = 20;
	const slow = Object.keys(lies).filter((n) => lies[n].slow);
	// What makes the gateway use no connection twice comes last: before it,
	// connections that must not be used again are among those that are.
	const last = Object.keys(lies).filter((n) => lies[n].distrust);
	const quick = Object.keys(lies).filter((n) => !lies[n].slow &&
	    !lies[n].distrust);
	await Promise.all(slow.map((n) => test(`${rows(n)} ${n}`,
	    () => lie(mcp, liar, n))));
	for (const n of quick)
		await test(`${rows(n)} ${n}`, () => lie(mcp, liar, n));
	const more = { foreignAnswer, hangAtConnect };
	await test('SSE-4 the answer for another client\'s id', () =>
	    more.foreignAnswer(mcp, liar));
	await test('SMG-13 none of those connections was used again', async () => {
		same(liar.reused, [], 'used again after');
		ok(!liar.seen.some((s) => s.target?.includes(POISON)),
		    'a redirect was followed');
		// It says nothing unless most connections are used again.
		ok(liar.again > liar.seen.length / 2, `${liar.again} of ${
		    liar.seen.length} requests came on a used connection`);
	});
	for (const n of last)
		await test(`${rows(n)} ${n}`, () => lie(mcp, liar, n));
	await test('BAD each was called once, or twice when it may have lost a ' +
	    'session', async () => calledOnce(liar, tried));
	await test('BAD hang at connect', () =>
	    more.hangAtConnect(mcp, silent));
	await load.stop();
	const count = Object.keys({ ...lies, ...more }).length;
	await test(`BAD ${count} kinds; the backend beside answered all the ` +
	    'time', async () => {
		same(load.failures.length, 0, load.summary());
		ok(load.done > 500, `only ${load.done} calls`);
		ok(load.workers.size === 2, 'both workers');
	});
	await test('nothing is left after SIGTERM', () => gw.stop());
	await lists(beside);
});
