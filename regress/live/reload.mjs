// Must be true 4: reload under load.
import { full, ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { readFileSync } from 'node:fs';
import { Gateway, modes } from './lib/gateway.mjs';
import { echo } from './lib/backends.mjs';
import { Client } from './lib/oauth.mjs';
import { Load, Work, echoes } from './lib/load.mjs';
import { Mcp, request } from './lib/mcp.mjs';
import { Sse } from './lib/sse.mjs';
import { Talker } from './lib/talker.mjs';

const ROUNDS = full ? 40 : 10;
const DRAINING = 4; // generations that may drain at the same time

const names = async (mcp) =>
    (await mcp.list('tools/list', 'tools')).map((t) => t.name)
    .filter((n) => !n.startsWith('talk_')).sort();

// What is added and removed is not called, but must not spoil a list.
async function lists(mcp, token) {
	const one = new Mcp(mcp.url, { token });
	one.session = mcp.session;
	const got = (await names(one)).filter((n) => !n.startsWith('extra'));
	same(got.length, 10, `tools: ${got}`);
	ok(got.includes('stable_echo') && got.includes('changed_echo'), got);
	return { 'x-mcpgw-worker': [...one.workers][0] };
}

const DOCUMENTS = ['/.well-known/oauth-authorization-server',
    '/.well-known/oauth-protected-resource',
    '/.well-known/oauth-protected-resource/mcp', '/oauth/jwks', '/health'];

// A document must stay what it was, byte for byte.
async function document(gw, first, n) {
	const path = DOCUMENTS[n % DOCUMENTS.length];
	const r = await request(gw.base + path, { method: 'GET' });
	same(r.status, 200, path);
	first[path] ??= r.text;
	same(r.text, first[path], path);
	return r.headers;
}

async function refresh(client) {
	const r = await client.refresh(client.tokens.refresh_token);
	same(r.status, 200, `refresh: ${JSON.stringify(r.body)}`);
	client.tokens = { ...client.tokens, ...r.body };
	return r.headers;
}

// A whole sign-in, and what it gave is of use at once.
async function signIn(gw) {
	const c = await Client.signIn(gw);
	const mcp = await new Mcp(gw.url,
	    { token: c.tokens.access_token }).open();
	await mcp.tool('stable_echo');
	return { 'x-mcpgw-worker': [...mcp.workers][0] };
}

// A call that is open until what is returned here is called, which says whether
// it got its answer.
async function hold(mcp, talker) {
	const one = new Mcp(mcp.url, { token: mcp.token });
	one.session = mcp.session;
	const nonce = String(Math.random());
	const call = one.tool('talk_hold', { nonce });
	call.catch(() => {});
	await until('the call at the backend', () => talker.held.has(nonce));
	return async () => {
		talker.held.get(nonce)();
		same(await call, { content: [{ type: 'text', text: nonce }] },
		    'a call across a reload');
	};
}

// A GET stream that is opened again whenever it has been ended. It may be
// ended by the reload that makes one generation too many, and never cut off.
class Listener {
	constructor(mcp) {
		this.mcp = mcp;
		this.reloads = 0;
		this.lived = [];
		this.bad = [];
		this.running = true;
	}

	async open() {
		this.s = await Sse.open(this.mcp.url, { headers: this.mcp.headers({
		    accept: 'text/event-stream',
		    ...(this.s?.last && { 'last-event-id': this.s.last }) }) });
		ok(this.s.status === 200 && this.s.stream,
		    `GET stream: ${this.s.status}`);
		this.born = this.reloads;
	}

	async start() {
		await this.open();
		this.loop = this.#run();
		return this;
	}

	async #run() {
		while (this.running) {
			await sleep(5);
			if (this.s.ended === undefined)
				continue;
			// A reload that is not counted yet may have ended it.
			const n = this.reloads - this.born;
			this.lived.push(n);
			if (this.s.ended !== 'clean' || n < DRAINING)
				this.bad.push(`${this.s.ended} after ${n} reloads`);
			await this.open().catch((e) => {
				this.bad.push(e.message);
				this.running = false;
			});
		}
	}

	async stop() {
		this.running = false;
		await this.loop;
		this.lived.push(this.reloads - this.born);
		this.s.close();
	}
}

// Everything that goes on while the config changes.
async function everything(gw, token) {
	const open = () => new Mcp(gw.url, { token }).open();
	const first = {};
	const mcp = [await open(), await open()];
	const refreshing = [await Client.signIn(gw), await Client.signIn(gw)];
	const calls = [];
	for (const fresh of [false, true])
		calls.push(await new Load(gw.url, token, { clients: 6, fresh,
		    tool: echoes('stable', 'changed') }).start());
	return { calls, rest: [
		new Work('list', (i) => lists(mcp[i], token), { clients: 2,
		    pace: 20 }),
		new Work('document', (i, n) => document(gw, first, n),
		    { pace: 5 }),
		new Work('refresh', (i) => refresh(refreshing[i]),
		    { clients: 2, pace: 10 }),
		new Work('sign-in', () => signIn(gw), { clients: 2 }),
	] };
}

// The tools of this round, from both of its workers, and calls with its
// headers.
async function inForce(gw, mcp, b, i, seen) {
	const workers = gw.workerIds().map(Number)
	    .sort((x, y) => x - y).slice(-2).map(String);
	const right = new Set();
	await until(`the tools of round ${i} at both workers`, async () => {
		mcp.workers.clear();
		const have = await names(mcp);
		const [w] = mcp.workers;
		if (have.includes(`extra${i}_echo`) &&
		    !have.includes(`extra${i - 1}_echo`))
			right.add(w);
		else
			right.delete(w);
		return workers.every((x) => right.has(x));
	}, 10_000);
	await until(`load at both workers of round ${i}`, () =>
	    workers.every((w) => seen().has(w)), 10_000);
	await until(`headers of round ${i}`, async () => {
		const r = await request(`${new URL(b.url).origin}/seen`,
		    { method: 'GET' });
		return JSON.parse(r.text).seen.some((m) =>
		    m.headers.join('\n').includes(`X-Round\n${i}`));
	}, 10_000);
}

async function rounds(gw, token, b) {
	const { calls, rest } = await everything(gw, token);
	const ears = [];
	for (let i = 0; i < 2; i++)
		ears.push(await new Listener(await new Mcp(gw.url,
		    { token }).open()).start());
	const seen = () => new Set([...calls, ...rest]
	    .flatMap((l) => [...l.workers.keys()]));
	await sleep(300);
	const mcp = await new Mcp(gw.url, { token }).open();
	for (let i = 1; i <= ROUNDS; i++) {
		const to = i % 2 ? b.two : b.one;
		gw.config.backends = {
			stable: { url: b.stable.url }, talk: { url: b.talk.url },
			changed: { url: to.url, headers: { 'X-Round': String(i) } },
			// and extra(i-1) is removed
			[`extra${i}`]: { url: b.extra.url },
		};
		gw.write();
		const held = await Promise.all([mcp, mcp, mcp, mcp].map((m) =>
		    hold(m, b.talk)));
		for (const e of ears)
			e.reloads++;
		await gw.reload();
		await inForce(gw, mcp, to, i, seen);
		await Promise.all(held.map((release) => release()));
		await sleep(50);
	}
	await sleep(300);
	for (const l of [...calls, ...rest, ...ears])
		await l.stop();
	for (const l of [...calls, ...rest])
		same(l.failures.length, 0, `failed of ${l.done}: ${l.summary()}`);
	same(ears.flatMap((e) => e.bad), [], 'GET streams');
	for (const e of ears)
		ok(e.lived.reduce((x, y) => x + y) >= ROUNDS,
		    `streams lived through ${e.lived} reloads`);
	const done = calls.reduce((n, l) => n + l.done, 0);
	ok(done > ROUNDS * 50, `only ${done} calls were made`);
	for (const l of rest)
		ok(l.done >= ROUNDS, `only ${l.done} of ${l.name}`);
	for (const l of [...calls, ...rest])
		ok(l.workers.size >= 2, `workers: ${[...l.workers.keys()]}`);
	console.log(`# ${ROUNDS} reloads, ${done} calls, ${rest.map((l) =>
	    `${l.done} ${l.name}`).join(', ')}, 0 failed`);
}

async function badConfig(gw, token) {
	const mcp = await new Mcp(gw.url, { token }).open();
	const before = await names(mcp);
	const pids = gw.pids('worker').sort();
	const text = readFileSync(gw.conf, 'utf8');
	for (const [what, bad, says] of [
	    ['unknown key', `${text}nonsense: 1\n`, /:\d+: .*nonsense/],
	    ['wrong type', text.replace(/workers: 2/, 'workers: many'),
		/:\d+: .*workers/],
	    ['not YAML', `${text}  : [\n`, /:\d+/],
	    ['unreadable secret', text.replace(/password: .*/,
		'password: {file: /nonexistent/password}'),
		/\/nonexistent\/password/],
	    ['dangling backend', `${text}endpoints:\n  /mcp:\n` +
		'    backends: [nobody]\n', /nobody/]]) {
		gw.write(bad);
		const r = await gw.ctl('reload');
		same(r.status, 1, `${what}: ${r.out}${r.err}`);
		ok(says.test(r.out + r.err), `${what}: ${r.out}${r.err}`);
	}
	gw.write(text);
	same(await names(mcp), before, 'tools');
	// Old ones may have ended meanwhile, new ones must not have come.
	same(gw.pids('worker').filter((p) => !pids.includes(p)), [],
	    'new workers');
	await gw.reload();
}

// authd dies, and a reload is asked for before master has seen it.
async function deadAuthd(gw) {
	const master = gw.child.pid;
	const [authd] = gw.pids('authd');
	process.kill(master, 'SIGSTOP');
	process.kill(authd, 'SIGKILL');
	process.kill(master, 'SIGHUP');
	process.kill(master, 'SIGCONT');
	await until('service to be back', async () =>
	    gw.pids('authd').some((p) => p !== authd) &&
	    (await fetch(`${gw.base}/health`)).status === 200, 10_000, 100);
	ok(gw.child.alive, 'master lives');
	await gw.reload();
}

run('reload', async () => {
	const b = { stable: await echo(), one: await echo(), two: await echo(),
	    extra: await echo(), talk: await Talker.start({ quiet: true }) };
	for (const mode of modes) {
		const gw = await Gateway.start({ mode, config: { backends: {
			stable: { url: b.stable.url }, talk: { url: b.talk.url },
			changed: { url: b.one.url },
			extra0: { url: b.extra.url },
		} } });
		const token = (await Client.signIn(gw)).tokens.access_token;
		await test(`MBT-4 ${ROUNDS} reloads under load (${mode})`, () =>
		    rounds(gw, token, b), { timeout: 240_000 });
		await test(`MBT-4 a bad config changes nothing (${mode})`, () =>
		    badConfig(gw, token));
		await test(`MBT-4 a reload that meets a dead authd (${mode})`,
		    () => deadAuthd(gw));
		await test(`MBT-4 old workers go (${mode})`, () =>
		    until('two workers', () => gw.pids('worker').length === 2,
		    40_000, 200));
		await test(`nothing is left after SIGTERM (${mode})`,
		    () => gw.stop());
	}
});
