// Must be true 5: bad backends. SMG-13, SSE-1/2/4, POIS-3/4/5, RT: the caller
// gets a clear error within the timeout, every other backend goes on, and
// nothing of what they say reaches anybody it is not for.
import net from 'node:net';
import { Child, freePort, ok, run, same, sleep, test, until } from
    './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { echo } from './lib/backends.mjs';
import { Load, echoes } from './lib/load.mjs';
import { Mcp, messages } from './lib/mcp.mjs';
import { node } from './lib/paths.mjs';
import { Pins } from './lib/pin.mjs';
import { Peer, note } from './lib/sse.mjs';
import {
	Liar, POISON, event, good, http, json, lies, sse,
} from './fixture/liar.mjs';

const TIMEOUT = 2000;
// The gateway looks once a second; the rest is this machine's.
const LATEST = TIMEOUT + 1000 + 250;

const rows = (name) => lies[name].poison ? 'SMG-13' :
    /sse|event|newline|double|foreign|progress|id$|request|question/
    .test(name) ? 'SSE' : 'BAD';

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

async function lie(mcp, liar, name) {
	const { answer, all, ms } = await lied(mcp, name);
	ok(ms <= LATEST, `answered after ${ms} ms`);
	if (lies[name].truth) {
		ok(answer.result?.content[0].text.startsWith('truth'),
		    `not the true answer: ${JSON.stringify(answer)}`);
		same(all.length, 1, `messages: ${JSON.stringify(all)}`);
	} else {
		ok(answer.error || answer.result.isError,
		    `no error: ${JSON.stringify(answer)}`);
		const why = answer.error?.message ?? answer.result.content[0].text;
		ok(/"liar"/.test(why) && why.length < 200, `unclear: ${why}`);
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

// ---- lists ----

async function lists(beside) {
	let page = 0;
	const on = (fn) => ({ on: { 'tools/list': (x) => http(json(x.id,
	    fn(x))) } });
	const back = {
		endless: await Liar.start(on(() => ({
			tools: Array.from({ length: 10 }, () => tool(`t${page++}`)),
			nextCursor: `c${page}` }))),
		loop: await Liar.start(on(() => ({ tools: [tool('one')],
		    nextCursor: 'again' }))),
		odd: await Liar.start({ tools: [
			tool('fine'), { name: 'schemaless' },
			{ name: 'null', inputSchema: null },
			{ name: 'array', inputSchema: [] },
			{ inputSchema: { type: 'object' } }, tool(7), tool(''),
			tool('n'.repeat(10_000)), null, 'text', [], 17,
			tool('good too'),
		] }),
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
	await test('POIS-3 a malformed tool costs only itself', async () => {
		await until('the list', async () => (await of('odd')).length > 0);
		const got = await of('odd');
		same(got.length, 2, `shown: ${got}`);
		ok(got.includes('odd_fine'), got.join());
		for (const n of got)
			ok(/^[A-Za-z0-9_-]{1,44}$/.test(n), n);
		for (const n of got)
			same((await mcp.tool(n, { nonce: n })).content[0].text,
			    JSON.stringify({ nonce: n }), n);
		// By the name that it has itself.
		same(new Set(back.odd.seen.filter((s) => s.message?.method ===
		    'tools/call').map((s) => s.message.params.name)),
		new Set(['fine', 'good too']), 'names called');
	});
	await test('POIS-4 a list without end is cut', async () => {
		await until('the list', async () =>
		    (await of('endless')).length > 0, 20_000);
		const n = (await of('endless')).length;
		ok(n > 0 && n <= 1000, `${n} tools`);
		const pages = back.endless.seen.filter((s) =>
		    s.message?.method === 'tools/list').length;
		const looks = back.endless.seen.filter((s) =>
		    s.message?.method === 'tools/list' &&
		    s.message.params?.cursor === undefined).length;
		ok(pages <= looks * 50, `${pages} pages in ${looks} looks`);
	});
	await test('POIS-4 a loop of cursors is cut', async () => {
		await until('the list', async () => {
			const up = await gw.ctl('show', 'backends');
			return /loop .*\bup\b/.test(up.out) ||
			    up.out.split('\n').some((l) => /\bloop\b/.test(l) &&
			    / up( |$)/.test(l));
		}, 20_000);
		const asked = back.loop.seen.filter((s) =>
		    s.message?.method === 'tools/list');
		const looks = asked.filter((s) =>
		    s.message.params?.cursor === undefined).length;
		ok(asked.length <= looks * 50, `${asked.length} in ${looks}`);
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
	await test('POIS-4 nothing is left after SIGTERM', () => gw.stop());
}

// ---- list_changed, ten thousand a second ----

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
		const s = await peer.get();
		const change = JSON.stringify({ jsonrpc: '2.0',
		    method: 'notifications/tools/list_changed' });
		await until('the streams', () => liar.gets.size >= 2);
		const seconds = 4;
		const before = liar.seen.filter((x) =>
		    x.message?.method === 'tools/list').length;
		let sent = 0;
		const t0 = Date.now();
		while (Date.now() - t0 < seconds * 1000) {
			// Each second the list is another one.
			liar.tools = [tool('echo'),
			    tool(`t${Math.floor((Date.now() - t0) / 250)}`)];
			for (const g of liar.gets)
				g.write(event(change).repeat(100));
			sent += 100 * liar.gets.size;
			await sleep(10);
		}
		await sleep(1500);
		const told = s.messages.filter(
		    note('notifications/tools/list_changed')).length;
		ok(sent > seconds * 5000, `only ${sent} were sent`);
		ok(told >= 1 && told <= seconds + 3, `told ${told} times`);
		const asked = liar.seen.filter((x) =>
		    x.message?.method === 'tools/list').length - before;
		ok(asked <= seconds + 3, `asked ${asked} times`);
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
	await test('SSE-4 the answer for another client\'s id', () =>
	    foreignAnswer(mcp, liar));
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
	await test('BAD hang at connect', () => hangAtConnect(mcp, silent));
	await load.stop();
	await test(`BAD ${Object.keys(lies).length + 9} kinds; the backend ` +
	    'beside answered all the time', async () => {
		same(load.failures.length, 0, load.summary());
		ok(load.done > 500, `only ${load.done} calls`);
		ok(load.workers.size === 2, 'both workers');
	});
	await test('nothing is left after SIGTERM', () => gw.stop());
	await lists(beside);
	await storm();
});
