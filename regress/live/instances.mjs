// Must be true of children of stdio backends that are not, and that are, one
// for everybody: whose each is, how it ends and is started again, and who hears
// what one says that many share.
import { spawn } from 'node:child_process';
import { z } from 'zod';
import {
	alike, ok, run, running, same, sleep, test, until,
} from './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { Mcp, messages } from './lib/mcp.mjs';
import { Browser, Client, consent } from './lib/oauth.mjs';
import { bin, live, node, npm } from './lib/paths.mjs';
import { all, connect } from './lib/sdk.mjs';
import { Sse } from './lib/sse.mjs';

const KINDS = ['SDK 1.x', 'SDK 2.x'];
const USERS = ['daemon', 'bin', 'sys', 'proxy', 'www-data', '_apt'];
const SESSION = { instance: 'session', declare: ['sampling', 'roots'] };
const BACKENDS = {
	person: { instance: 'principal', declare: ['elicitation', 'roots'] },
	own: SESSION,
	idle: { idle: '1s' },
	brief: { instance: 'session', idle: '1s' },
	single: { instance: 'session', max_instances: 1 },
	shared: {},
};
const ASKS = { person: 'elicitation,roots', own: 'sampling,roots',
    idle: 'none', brief: 'sampling,elicitation', single:
    'sampling,elicitation', shared: 'none' };

const open = (gw, name, opts) => new Mcp(`${gw.base}/${name}/mcp`, opts).open();

async function say(mcp, name, args = {}) {
	const r = await mcp.tool(name, args);
	ok(!r.isError, `${name}: ${r.content[0].text}`);
	return r.content[0].text;
}

const pidOf = async (mcp) => Number(await say(mcp, 'pid'));

// ---- users ----

function passwd(gw, user, password) {
	const child = spawn(`${bin}/mcpgwctl`, ['-s', gw.config.control, 'user',
	    'passwd', user], { stdio: ['pipe', 'ignore', 'ignore'],
	    ...(gw.drop && { uid: 65534, gid: 65534 }) });
	child.stdin.end(`${password}\n`);
	return new Promise((r) => child.once('close', r));
}

// A token of a client that this user has let in.
async function token(gw, user, password) {
	const c = await new Client(gw.base).register();
	const browser = new Browser(gw.base);
	const page = await consent(browser, await browser.get(c.authorizeUrl({
	    resource: `${gw.base}/person/mcp` })), password, { user });
	const r = await c.redeem(new URL(page.location).searchParams.get('code'));
	same(r.status, 200, JSON.stringify(r.body));
	return r.body.access_token;
}

async function principals(gw) {
	const password = 'the password of carol';
	same(await passwd(gw, 'carol', password), 0, 'user passwd');
	const tokens = [await token(gw, 'owner', gw.password),
	    await token(gw, 'owner', gw.password),
	    await token(gw, 'carol', password),
	    await token(gw, 'carol', password)];
	const [a, b, c, d] = await Promise.all(tokens.map((t) =>
	    open(gw, 'person', { token: t })));
	const [p, q, r, s] = await Promise.all([a, b, c, d].map(pidOf));
	same([q, s], [p, r], 'the second sessions of both');
	ok(p !== r, 'one child for both users');
	// What the child was told of its clients would not hold for this one.
	const able = await new Mcp(`${gw.base}/person/mcp`,
	    { token: tokens[0] }).open({ elicitation: {} });
	ok(![p, r].includes(await pidOf(able)), 'one child for both abilities');
	await able.close();
	await say(a, 'keep', { word: 'owners' });
	await say(d, 'keep', { word: 'carols' });
	await say(b, 'keep', { word: 'too' });
	same(await Promise.all([a, b, c, d].map((m) => say(m, 'kept'))),
	    ['owners too', 'owners too', 'carols', 'carols'], 'kept');
	// A session's end is not that of the child, which others may use.
	same([await a.close(), await c.close()].map((n) => n < 300),
	    [true, true], 'DELETE');
	same([await pidOf(b), await pidOf(d)], [p, r], 'the children');
	// One that ends comes back, without what it had kept.
	await kill(gw, 'person', r);
	const next = await until('another child', () => pidOf(d), 5000, 100);
	ok(next !== r && next !== p, `${next}`);
	same(await say(d, 'kept'), '', 'kept by the next');
	same(await say(b, 'kept'), 'owners too', 'kept by the other');
}

// ---- the end of a child ----

// Kills one, and waits until the gateway knows it: a call that comes before
// fails with the child instead.
async function kill(gw, name, pid) {
	const up = async () => JSON.parse((await gw.ctl('-j', 'show', 'children',
	    name)).out).filter((x) => x.state === 'up').length;
	const n = await up();
	process.kill(pid, 'SIGKILL');
	await until('its end', async () => !running(pid) && await up() === n - 1);
}

const lost = (p) => p.then(() => 'answered', (e) => e.status ?? e.code);

async function killed(gw) {
	const a = await open(gw, 'own'), b = await open(gw, 'own');
	const [p, q] = await Promise.all([a, b].map(pidOf));
	ok(p !== q, 'one child for two sessions');
	await say(a, 'keep', { word: 'a' });
	const under = a.tool('slow', { ms: 5000 });
	await sleep(100);
	await kill(gw, 'own', p);
	const r = await under;
	ok(r.isError && /was killed by signal 9/.test(r.content[0].text),
	    `the call in it: ${JSON.stringify(r)}`);
	same(await lost(a.tool('kept')), 404, 'the next call');
	same([await pidOf(b), await say(b, 'kept')], [q, ''], 'the other');
	// The back-off after a crash is no longer than this.
	const c = await until('a new session', async () => {
		const m = await open(gw, 'own');
		await say(m, 'pid');
		return m;
	}, 8000, 200);
	same(await say(c, 'kept'), '', 'kept by the next');
	await Promise.all([b, c].map((m) => m.close()));
	await until('the end of theirs', () => !running(q));
}

async function killedUnder(gw, kind) {
	const url = `${gw.base}/own/mcp`;
	const pid = async (c) => Number((await c.callTool({ name: 'pid',
	    arguments: {} })).content[0].text);
	// The case before has left the back-off that a crash brings.
	same((await gw.ctl('backend', 'start', 'own')).status, 0, 'start');
	const first = await connect(kind, url);
	const p = await pid(first);
	await kill(gw, 'own', p);
	const e = await first.callTool({ name: 'pid', arguments: {} })
	    .catch((x) => x);
	ok(e instanceof Error && (e.code === 404 || e.data?.status === 404),
	    `${e.code} ${JSON.stringify(e)} after ${p}`);
	await first.close();
	const second = await connect(kind, url);
	const q = await until('a new session', () => pid(second), 8000, 200);
	ok(q !== p, 'a child of its own');
	await second.transport.terminateSession();
	await second.close();
	await until('the end of its child', () => !running(q));
}

async function idles(gw) {
	const a = await open(gw, 'idle'), b = await open(gw, 'brief');
	const [p, q] = [await pidOf(a), await pidOf(b)];
	const row = async () => JSON.parse((await gw.ctl('-j', 'show',
	    'children', 'idle')).out).map((x) => [x.instance, x.state,
	    x.restarts]);
	const [[, , n]] = await row();
	// A call that takes longer than that is no idleness.
	same(await Promise.all([say(a, 'slow', { ms: 2500 }),
	    say(b, 'slow', { ms: 2500 })]), ['slow', 'slow'], 'calls');
	same([await pidOf(a), await pidOf(b)], [p, q], 'the same children');
	await until('the end of both', () => !running(p) && !running(q), 5000);
	ok(await pidOf(a) !== p, 'a shared one comes back');
	same(await lost(b.tool('pid')), 404, 'the session of the other');
	const c = await open(gw, 'brief');
	ok(await pidOf(c) !== q, 'and a new session has another');
	same(await row(), [['shared', 'up', n + 1]], 'show children');
}

async function single(gw) {
	const full = /runs as many instances as max_instances allows/;
	const tell = (m) => m.tool('pid').then((r) => r.content[0].text);
	const a = await open(gw, 'single'), b = await open(gw, 'single');
	const p = await until('a child for the first', () => pidOf(a), 8000, 100);
	const long = a.tool('slow', { ms: 3000 });
	await sleep(100);
	ok(full.test(await tell(b)), 'refused while it was just used');
	await sleep(2500);
	ok(full.test(await tell(b)), 'refused while a call is open');
	same((await long).content[0].text, 'slow', 'that call');
	same(await pidOf(a), p, 'the first keeps it');
	// Two seconds without use, and it makes room.
	const q = await until('room for the second', () => pidOf(b), 6000, 100);
	ok(q !== p, 'a child of its own');
	await until('the end of the first', () => !running(p));
	same(await lost(a.tool('pid')), 404, 'the session that had it');
	same(await pidOf(b), q, 'the second keeps it');
	await b.close();
	await until('the end of the second', () => !running(q));
	const c = await open(gw, 'single');
	// Its nanny ends after it.
	await until('room at once', () => pidOf(c), 1500, 20);
	const [row] = JSON.parse((await gw.ctl('-j', 'show', 'children',
	    'single')).out);
	same(row.restarts, 0, 'a child per session is no restart');
}

// A child does not say which call makes it ask: the question goes with the
// newest, and is still one when that is answered, or given up.
async function outlives(gw) {
	const kinds = await Promise.all(KINDS.map(async (kind) => {
		const c = await connect(kind, `${gw.base}/brief/mcp`,
		    { elicitation: {} });
		const answer = async ({ params }) => {
			await sleep(900);
			return { action: 'accept', content: {
			    word: `${params.message} of ${kind}` } };
		};
		const method = 'elicitation/create';
		c.setRequestHandler(kind === 'SDK 1.x' ?
		    z.object({ method: z.literal(method), params: z.any() }) :
		    method, answer);
		return [kind, c];
	}));
	await Promise.all(kinds.map(async ([kind, c]) => {
		const call = (name, args, o) => c.callTool({ name,
		    arguments: args }, ...(kind === 'SDK 1.x' ? [undefined] : []),
		    o).then((r) => r.content[0].text);
		await call('pid', {});
		for (const gone of [false, true]) {
			const word = gone ? 'given up' : 'answered';
			const stop = new AbortController();
			const asking = call('ask', { word, ms: 300 });
			await sleep(100);
			const other = call('slow', { ms: gone ? 3000 : 600 },
			    { signal: stop.signal }).catch(() => 'stopped');
			if (gone)
				setTimeout(() => stop.abort(), 600);
			same(await other, gone ? 'stopped' : 'slow', 'the other');
			same(JSON.parse(await asking),
			    { word: `${word} of ${kind}` }, 'what the child heard');
		}
		await c.close();
	}));
}

// ---- what a shared child says ----

async function listChanged(gw) {
	const heard = [];
	const clients = await Promise.all(KINDS.map(async (kind, i) => {
		const c = await connect(kind, `${gw.base}/shared/mcp`);
		heard[i] = [];
		c.fallbackNotificationHandler = (n) => heard[i].push(n.method);
		await all(c, 'listTools', 'tools');
		await c.callTool({ name: 'pid', arguments: {} });
		return c;
	}));
	await until('their streams', async () => JSON.parse((await gw.ctl('-j',
	    'show', 'sessions', 'shared')).out).filter((x) =>
	    x.stream !== null).length === 2);
	const names = async (c) => (await all(c, 'listTools', 'tools'))
	    .map((t) => t.name);
	// Each comes as soon as the one before is seen: none is lost because the
	// child has just been asked.
	const more = ['extra', 'further', 'last'];
	for (const name of more) {
		await clients[0].callTool({ name: 'more', arguments: { name } });
		await until(`${name} in the list`, async () =>
		    (await names(clients[1])).includes(name), 6000);
	}
	for (const [i, c] of clients.entries()) {
		await until(`${KINDS[i]} to be told`, () => heard[i].filter((m) =>
		    m === 'notifications/tools/list_changed').length >=
		    more.length, 6000);
		await until('the list', async () => (await names(c)).slice(-3)
		    .join() === more.join(), 6000);
		same((await c.callTool({ name: 'last', arguments: {} }))
		    .content[0].text, 'last', 'the new tool');
	}
	await Promise.all(clients.map((c) => c.close()));
}

// Calls of several clients to one child under equal ids, with equal tokens.
async function progress(gw) {
	const peers = await Promise.all(Array.from({ length: 6 }, () =>
	    open(gw, 'shared')));
	const pids = new Set(await Promise.all(peers.map(pidOf)));
	same(pids.size, 1, 'children');
	const N = 12;
	for (let round = 0; round < 3; round++)
		await Promise.all(peers.map(async (mcp, i) => {
			const word = `word ${round} of ${i}`;
			const r = await mcp.send({ jsonrpc: '2.0', id: 'same',
			    method: 'tools/call', params: { name: 'steps',
				arguments: { word, n: N, ms: 5 + i },
				_meta: { progressToken: 'same' } } });
			const got = messages(r);
			same(got.slice(0, -1).map((m) => [m.method, m.params]),
			    Array.from({ length: N }, (_, n) =>
				['notifications/progress',
				{ progressToken: 'same', progress: n + 1,
				    total: N, message: word }]), 'progress');
			alike(got.at(-1), { jsonrpc: '2.0', id: 'same',
			    result: { content: [{ type: 'text', text: word }] } },
			    'the answer');
		}));
}

// A log message is for whoever has a call open, where nobody else has.
async function logMessages(gw) {
	const a = await open(gw, 'shared'), b = await open(gw, 'shared');
	const streams = await Promise.all([a, b].map((m) => Sse.open(m.url,
	    { headers: m.headers({ accept: 'text/event-stream' }) })));
	const call = async (mcp, name, args) => messages(await mcp.send({
	    jsonrpc: '2.0', id: mcp.next++, method: 'tools/call',
	    params: { name, arguments: args } }))
	    .filter((m) => m.method === 'notifications/message')
	    .map((m) => m.params.data);
	for (const [mcp, word] of [[a, 'for a'], [b, 'for b']])
		same(await call(mcp, 'log', { word }), [word], word);
	const slow = call(b, 'slow', { ms: 600 });
	await sleep(200);
	same(await call(a, 'log', { word: 'whose?' }), [], 'beside another call');
	same(await slow, [], 'the other call');
	same(await call(a, 'log', { word: 'again' }), ['again'], 'alone again');
	await sleep(100);
	for (const s of streams) {
		same(s.messages.filter((m) => m.method ===
		    'notifications/message'), [], 'GET streams');
		s.close();
	}
}

// Standard error: 20 lines a second to the log, the last 100 for mcpgwctl.
async function errorLines(gw) {
	const mcp = await open(gw, 'shared');
	const N = 150;
	await say(mcp, 'errors', { word: 'line', n: N });
	const kept = await until('the last of them', async () => {
		const r = JSON.parse((await gw.ctl('-j', 'show', 'log', 'shared'))
		    .out).map((x) => x.line);
		return r.at(-1) === `line ${N - 1}` && r;
	});
	same(kept, Array.from({ length: 100 }, (_, i) => `line ${N - 100 + i}`),
	    'show log');
	// What was left out is counted with the next line of another second.
	await sleep(1100);
	await say(mcp, 'errors', { word: 'last', n: 1 });
	await until('the next line', () =>
	    /backend shared: last 0$/m.test(gw.output));
	const shown = gw.output.match(/backend shared: line \d+$/gm).length;
	const [, more] = gw.output.match(/backend shared: (\d+) more lines$/m);
	same(shown + Number(more), N, 'lines shown and counted');
	// They may have come in two seconds, but not in three.
	ok(shown >= 20 && shown <= 40, `${shown} lines in the log`);
	const last = async (...verb) => (await gw.ctl(...verb, 'log', 'shared'))
	    .out.split('\n').at(-2);
	same(await last('show'), 'last 0', 'show log, the last');
	// A terminal is not to be told what to do by a child.
	const rude = '\u001b[2J\\';
	await say(mcp, 'errors', { word: rude, n: 1 });
	await until('it', async () => await last('show') === '\\x1b[2J\\\\ 0');
	same(JSON.parse((await gw.ctl('-j', 'show', 'log', 'shared')).out)
	    .at(-1).line, `${rude} 0`, 'as JSON');
	ok(gw.output.includes('backend shared: \\x1b[2J\\\\ 0'), 'the log');
}

async function shows(gw) {
	const r = await gw.ctl('-j', 'show', 'backends');
	same(Object.fromEntries(JSON.parse(r.out).map((b) =>
	    [b.backend, b.asks])), ASKS, 'asks');
	const { out } = await gw.ctl('show', 'backends');
	ok(/^backend .* asks +/.test(out) && /^shared .* none /m.test(out) &&
	    /^person .* elicitation,roots /m.test(out), out);
}

// Side by side, since most of them is waiting; those of one backend one after
// the other.
const GROUPS = [[
	['principal: a child for each user', principals],
], [
	['session: a child that is killed ends it', killed],
	...KINDS.map((kind) => [`session: ${kind} and a killed child`,
	    (gw) => killedUnder(gw, kind)]),
], [
	['session: a question outlives the call it went with', outlives],
	['idle: a child that nobody uses ends', idles],
], [
	['max_instances: the idle one makes room', single],
], [
	['shared: list_changed reaches every client', listChanged],
	['shared: progress goes to its call', progress],
	['shared: log messages go to the only call', logMessages],
	['shared: standard error', errorLines],
]];

async function start(mode) {
	const gw = await Gateway.make({ mode });
	gw.config.backends = Object.fromEntries(Object.entries(BACKENDS)
	    .map(([name, more], n) => [name, { command: [node,
		`${live}/fixture/keeps.mjs`], processes: 0,
		...(mode === 'root' && { user: USERS[n] }),
		read: [npm, live], ...more }]));
	gw.config.endpoints = Object.fromEntries(Object.keys(BACKENDS)
	    .map((b) => [`/${b}/mcp`, { backends: [b], prefix: 'none',
		...(b !== 'person' && { auth: 'none' }) }]));
	gw.write();
	await gw.start();
	return gw;
}

run('instances', async () => {
	for (const mode of modes) {
		const gw = await start(mode);
		await test(`INST show backends tells what each may ask for (${
		    mode})`, () => shows(gw));
		await Promise.all(GROUPS.map(async (cases) => {
			for (const [what, fn] of cases)
				await test(`INST ${what} (${mode})`, () => fn(gw));
		}));
		await test(`nothing is left after SIGTERM (${mode})`,
		    () => gw.stop());
	}
});
