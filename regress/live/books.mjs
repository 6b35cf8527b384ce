// What a stdio child is told of calls that nobody waits for any more, and that
// they count in nothing: cancelled by the client, out of time, or with a worker
// that was killed. A question that nobody can answer any more. A child that
// comes back by itself.
import { ok, run, running, same, sleep, test, until } from
    './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { Mcp, request } from './lib/mcp.mjs';
import { Pins } from './lib/pin.mjs';
import { Peer, asked, note } from './lib/sse.mjs';
import { live, node, npm } from './lib/paths.mjs';

const child = `${live}/fixture/child.mjs`;
// Users that every Debian has and nobody else here runs as.
const users = ['games', 'mail', 'news', 'backup', 'list', 'irc'];
const BATCH = 100; // the most that the gateway takes
const CALLS = 4200; // more than a child may have open

const backend = (mode, n, more = {}) => ({ command: [node, child],
    ...(mode === 'root' && { user: users[n] }), read: [npm, live],
    env: { HOME: '$STATE' }, ...more });

async function say(mcp, name, args = {}) {
	const r = await mcp.tool(name, args);
	ok(!r.isError, `${name}: ${r.content[0].text}`);
	return r.content[0].text;
}

const told = async (mcp, b) => JSON.parse(await say(mcp, `${b}_told`));

// What mcpgwctl shows of the child of a backend.
async function row(gw, b) {
	const r = await gw.ctl('-j', 'show', 'children', b);
	same(r.status, 0, r.err);
	return JSON.parse(r.out)[0];
}

// The keeper may be asking it something beside.
const open = (gw, b, n) => until(`${n} calls to be open`, async () =>
    (await row(gw, b)).open === n, 3000, 10);

// The calls with these nonces have been cancelled, each once, and no other.
async function cancelled(mcp, b, nonces) {
	let heard;
	await until('the child to be told', async () => {
		heard = await told(mcp, b);
		return nonces.every((n) =>
		    heard.cancelled.includes(heard.calls[n]));
	}, 5000, 50).catch((e) => {
		throw new Error(`${e.message}: ${heard?.cancelled.length} of ${
		    nonces.length} cancels`);
	});
	same(heard.cancelled.toSorted((x, y) => x - y), nonces.map((n) =>
	    heard.calls[n]).toSorted((x, y) => x - y), 'cancelled');
	return heard;
}

// So many calls that never end, in one batch; they have all reached the child.
async function begin(peer, b, nonces, opts) {
	const calls = nonces.map((nonce) => ({ jsonrpc: '2.0', id: peer.next++,
	    method: 'tools/call', params: { name: `${b}_begin`,
		arguments: { nonce } } }));
	calls.at(-1).params._meta = { progressToken: nonces.at(-1) };
	const s = await peer.post(calls, opts);
	await s.next(note('notifications/progress'));
	return Object.assign(s, { ids: calls.map((c) => c.id) });
}

async function many(gw, mode) {
	await test(`CANCEL ${CALLS} calls count in nothing (${mode})`,
	    async () => {
		const pins = new Pins(gw.base);
		const peer = await new Peer(gw.url, pins,
		    { version: '2025-03-26' }).open();
		const [worker] = gw.workerIds();
		const all = [];
		while (all.length < CALLS) {
			const nonces = Array.from({ length: BATCH }, (_, i) =>
			    `m${all.length + i}`);
			all.push(...nonces);
			const s = await begin(peer, 'many', nonces, { worker });
			if (all.length === BATCH)
				await open(gw, 'many', BATCH);
			await cancel(peer, s.ids, { worker });
			await s.end();
		}
		same(await say(peer, 'many_echo', { text: 'x' }), 'x', 'after');
		await cancelled(peer, 'many', all);
		await open(gw, 'many', 0);
	});
}

async function few(gw, mode) {
	await test(`CANCEL by the client and for its time (${mode})`,
	    async () => {
		const pins = new Pins(gw.base);
		const peer = await new Peer(gw.url, pins).open();
		// It may be on its way out for want of work.
		await until('it to be up', async () =>
		    !(await peer.tool('lazy_echo')).isError);
		for (const b of ['own', 'lazy']) {
			const s = await peer.start(`${b}_begin`,
			    { nonce: 'mine' }, { token: 't' });
			await s.next(note('notifications/progress'));
			await peer.notify('notifications/cancelled',
			    { requestId: s.rpcId });
			await s.end();
		}
		await cancelled(peer, 'own', ['mine']);
		const r = await peer.tool('lazy_begin', { nonce: 'late' });
		ok(r.isError && /did not answer in time/.test(
		    r.content[0].text), JSON.stringify(r));
		await cancelled(peer, 'lazy', ['mine', 'late']);
		// What it has never answered does not keep it.
		const { pid } = await row(gw, 'lazy');
		ok(pid > 0, `its process: ${pid}`);
		await until('its end for want of work', () =>
		    !running(pid), 8000);
		await until('none', async () =>
		    (await row(gw, 'lazy')).state === 'none', 2000);
	});
}

async function giant(gw, mode) {
	await test(`CANCEL its late giant line is not another\'s (${mode})`,
	    async () => {
		const pins = new Pins(gw.base);
		const peer = await new Peer(gw.url, pins).open();
		const slow = peer.tool('many_slow', { ms: 1200 });
		const line = peer.start('many_line', { nonce: 'giant',
		    ms: 300, bytes: 17 << 20 });
		await open(gw, 'many', 2);
		await peer.notify('notifications/cancelled',
		    { requestId: peer.next - 1 });
		await open(gw, 'many', 1);
		const r = await slow;
		same([r.isError, r.content[0].text], [undefined, 'slow'], 'it');
		await (await line).end();
		ok(/backend many: wrote a line of more than 16 MiB/
		    .test(gw.output), 'it has come');
	});
}

// All at once: more than notes go at a time.
async function cancel(peer, ids, opts) {
	const c = await peer.post(ids.map((requestId) => ({ jsonrpc: '2.0',
	    method: 'notifications/cancelled', params: { requestId } })), opts);
	same(c.status, 202, 'status');
	await c.end();
}

async function full(gw, mode) {
	await test(`CANCEL what runner's channel has no room for (${mode})`,
	    async () => {
		const pins = new Pins(gw.base);
		const peer = await new Peer(gw.url, pins,
		    { version: '2025-03-26' }).open();
		const [worker] = gw.workerIds();
		const nonces = Array.from({ length: BATCH }, (_, i) => `f${i}`);
		const s = await begin(peer, 'calm', nonces, { worker });
		const fill = [];
		const [runner] = gw.pids('runner');
		process.kill(runner, 'SIGSTOP');
		try {
			// Large ones, then small ones for what is left.
			for (const n of [11_000, 11_000, 0, 0]) {
				fill.push(peer.post(nonces.map((x) => ({
				    jsonrpc: '2.0', id: `${fill.length}${x}`,
				    method: 'tools/call', params: {
					name: 'calm_echo', arguments: {
					    text: 't'.repeat(n) } } })),
				{ worker }));
				await sleep(60);
			}
			await cancel(peer, s.ids, { worker });
			await s.end();
		} finally {
			process.kill(runner, 'SIGCONT');
		}
		await cancelled(peer, 'calm', nonces);
		const said = [];
		for (const f of fill) {
			await (await f).end();
			said.push(...(await f).messages);
		}
		ok(said.length === 4 * BATCH && said.slice(-BATCH).every((m) =>
		    /its runner is busy/.test(m.result.content[0].text)),
		`${said.length} answers; ${JSON.stringify(said.at(-1))}`);
		await open(gw, 'calm', 0);
	});
}

// Kills the worker and waits for another.
async function kill(gw, id) {
	const pid = gw.pids('worker').find((p) => gw.workerId(p) === id);
	process.kill(pid, 'SIGKILL');
	await until('another worker', () => {
		const ids = gw.workerIds();
		return ids.length === 2 && !ids.includes(id);
	});
}

async function killed(gw, mode) {
	await test(`KILL a worker: its calls are cancelled (${mode})`,
	    async () => {
		const pins = new Pins(gw.base);
		const peer = await new Peer(gw.url, pins,
		    { version: '2025-03-26' }).open();
		const [first, other] = gw.workerIds();
		const nonces = Array.from({ length: 70 }, (_, i) => `k${i}`);
		const s = await begin(peer, 'plain', nonces, { worker: first });
		const kept = await begin(peer, 'plain', ['kept'],
		    { worker: other });
		await open(gw, 'plain', 71);
		await kill(gw, first);
		same(await s.end(), 'cut', 'its stream');
		await cancelled(peer, 'plain', nonces);
		await open(gw, 'plain', 1); // the other worker's
		same(kept.ended, undefined, 'its stream');
		await cancel(peer, kept.ids, { worker: other });
		await kept.end();
		await cancelled(peer, 'plain', [...nonces, 'kept']);
	});
}

async function questions(gw, mode) {
	const client = () => new Peer(gw.url, new Pins(gw.base))
	    .open({ sampling: {} });
	const question = asked('sampling/createMessage');
	const answers = async (mcp, b, name) => (await told(mcp, b)).answers
	    .filter((m) => m.id === name);
	await test(`ASK a killed worker's question is refused (${mode})`,
	    async () => {
		const peer = await client();
		const [first, other] = gw.workerIds();
		const one = await peer.start('own_ask', { name: 'lost' },
		    { worker: first });
		await one.next(question);
		const two = await peer.start('own_ask', { name: 'good' },
		    { worker: other });
		const q = await two.next(question);
		await kill(gw, first);
		const got = await until('the child to hear of it', async () => {
			const all = await answers(peer, 'own', 'lost');
			return all.length > 0 && all;
		}, 5000, 50);
		same(got.map((m) => m.error?.code), [-32603], 'errors');
		// Of another worker's nothing is changed.
		const result = { role: 'assistant', model: 'm',
		    content: { type: 'text', text: 'yes' } };
		same(await peer.say({ id: q.id, result }), 202, 'the answer');
		const done = await two.next((m) => m.id === two.rpcId);
		const { text } = done.result.content[0];
		same(JSON.parse(text).result, result, 'what the child has got');
		// No answer twice, nor one to what is no question any more.
		same(await peer.say({ id: q.id, result }), 202, 'again');
		same((await answers(peer, 'own', 'good')).length, 1, 'answers');
		same((await answers(peer, 'own', 'lost')).length, 1, 'errors');
	});
	await test(`ASK one of a session that has ended is refused (${mode})`,
	    async () => {
		const peer = await client(), beside = await client();
		const [first, other] = gw.workerIds();
		const s = await peer.start('common_ask', { name: 'ended' },
		    { worker: first });
		await s.next(question);
		const { agent } = await peer.pins.get(other);
		const r = await request(gw.url, { method: 'DELETE',
		    headers: peer.headers(), agent });
		agent.destroy();
		same(r.status, 200, r.text);
		await s.end();
		const got = await until('the child to hear of it', async () => {
			const all = await answers(beside, 'common', 'ended');
			return all.length > 0 && all;
		}, 3000, 50);
		ok(got.length === 1 && got[0].error, JSON.stringify(got));
	});
}

async function again(gw, mode) {
	await test(`a child that was up for 10 s is back at once (${mode})`,
	    async () => {
		let was = await until('its age', async () => {
			const r = await row(gw, 'calm');
			return r.age >= 11 && r;
		}, 20_000, 250);
		const back = () => until('another', async () => {
			const r = await row(gw, 'calm');
			return r.pid > 0 && r.pid !== was.pid && r;
		}, 3000, 50);
		process.kill(was.pid, 'SIGKILL');
		const t0 = Date.now();
		was = await back();
		ok(Date.now() - t0 < 800, `back after ${Date.now() - t0} ms`);
		// And one that mcpgwctl has ended in order to have another.
		const r = await gw.ctl('backend', 'restart', 'calm');
		same(r.status, 0, r.err);
		await back();
	});
}

// Calls that come while the child ends wait for the next, unless there will be
// none.
async function meanwhile(gw, mode) {
	await test(`a call while the old child ends (${mode})`, async () => {
		const mcp = await new Mcp(gw.url).open();
		const pid = () => say(mcp, 'plain_pid');
		const old = await pid();
		await say(mcp, 'plain_deaf');
		const ends = async (verb) => {
			const r = await gw.ctl('backend', verb, 'plain');
			same(r.status, 0, r.err);
		};
		await ends('restart');
		const t0 = Date.now();
		const both = await Promise.all([pid(), pid()]);
		ok(both[0] !== old && both[0] === both[1] &&
		    !running(Number(old)), `${old}, then ${both}`);
		ok(Date.now() - t0 > 1000, 'it was not deaf');
		await say(mcp, 'plain_deaf');
		await ends('restart');
		const late = mcp.tool('plain_pid');
		const due = await until('it to wait', async () => JSON.parse(
		    (await gw.ctl('-j', 'show', 'children', 'plain')).out)
		    .find((c) => c.state === 'due'), 1500, 20);
		same([due.pid, due.uid, due.kib, due.cpu].filter((x) => x),
		    [], 'figures of what has not begun');
		await ends('stop');
		const r = await late;
		ok(r.isError && /has been stopped with mcpgwctl/
		    .test(r.content[0].text), JSON.stringify(r));
		await ends('start');
		ok(Number(await pid()) > 0, 'started');
	});
}

async function start(mode) {
	const ask = { declare: ['sampling'] };
	return Gateway.start({ mode, config: {
		backends: {
			many: backend(mode, 0),
			lazy: backend(mode, 1, { idle: '2s', timeout: '1s' }),
			own: backend(mode, 2, { instance: 'session', ...ask }),
			common: backend(mode, 3,
			    { instance: 'principal', ...ask }),
			plain: backend(mode, 4, { stop_timeout: '3s' }),
			calm: backend(mode, 5),
		},
		limits: { streams_per_user: 0 },
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
}

run('books', async () => {
	// Together: the last case of each wants a child that is old enough.
	const all = await Promise.all(modes.map(start));
	for (const [i, mode] of modes.entries()) {
		const gw = all[i];
		await many(gw, mode);
		await giant(gw, mode);
		await few(gw, mode);
		await full(gw, mode);
		await killed(gw, mode);
		await questions(gw, mode);
		await meanwhile(gw, mode);
		await again(gw, mode);
		await test(`nothing is left after SIGTERM (${mode})`,
		    () => gw.stop());
	}
});
