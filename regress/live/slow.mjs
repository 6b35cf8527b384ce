// Who pays for a reader that does not read: of a worker, its own calls and for
// a second those of the child that speaks to it; of a stdio child, its own
// calls. Nothing else waits.
import { ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { Pins } from './lib/pin.mjs';
import { Peer, note } from './lib/sse.mjs';
import { live, node, npm } from './lib/paths.mjs';

const child = `${live}/fixture/child.mjs`;
// Users that every Debian has and nobody else here runs as.
const users = ['games', 'mail', 'news'];
const MB = 1 << 20;
// ms: runner holds a child for a worker that does not read, and says so to
// master (runner/main.c); and what a machine under load may add.
const HOLD = 1000, REPORT = 5000, SLACK = 1000;
// [ms until an answer, its bytes]
const LATE = [[HOLD + 800, 15_000], [HOLD + 1100, 100], [HOLD + 1100, 100]];

const backend = (mode, n, more = {}) => ({ command: [node, child],
    ...(mode === 'root' && { user: users[n] }), read: [npm, live],
    env: { HOME: '$STATE' }, ...more });

// What mcpgwctl shows of the child of a backend.
async function row(gw, b) {
	const r = await gw.ctl('-j', 'show', 'children', b);
	same(r.status, 0, r.err);
	return JSON.parse(r.out)[0];
}

// The keeper may be asking it something beside.
const open = (gw, b, n) => until(`${n} calls to be open`, async () =>
    (await row(gw, b)).open === n, 3000, 5);

// Calls one after the other, for ms or until it is stopped: how long the
// slowest took.
function calls(mcp, name, ms) {
	const c = { n: 0, slowest: 0, on: true };
	const end = Date.now() + ms;
	c.done = (async () => {
		while (c.on && Date.now() < end) {
			const t0 = Date.now(), text = `${name}.${c.n}`;
			const r = await mcp.tool(name, { text });
			same(r.content[0].text, text, name);
			c.slowest = Math.max(c.slowest, Date.now() - t0);
			c.n++;
			await sleep(5);
		}
		return c;
	})();
	return c;
}

// A client that has a connection to that worker for itself.
async function client(gw, pins, worker) {
	const peer = await new Peer(gw.url, pins,
	    { version: '2025-03-26' }).open();
	peer.agent = (await pins.get(worker)).agent;
	return peer;
}

// A batch of calls, one for each of the arguments: what each has been answered.
async function batch(peer, name, all, opts) {
	const s = await peer.post(all.map((args) => ({ jsonrpc: '2.0',
	    id: peer.next++, method: 'tools/call',
	    params: { name, arguments: args } })), opts);
	await s.end();
	same(s.messages.length, all.length, 'answers');
	return s.messages.map((m) => m.result.content[0].text);
}

const nonces = (of, n, more = {}) => Array.from({ length: n }, (_, i) =>
    ({ nonce: `${of}${i}`, ...more }));

// The child that others call, too, says much to a worker that is stopped.
// Returns what the call had been answered; the worker has gone on after ms.
async function stopped(gw, ms) {
	const pins = new Pins(gw.base);
	const [first, other] = gw.workerIds();
	const pid = gw.pids('worker').find((p) => gw.workerId(p) === first);
	const [one, two] = [await client(gw, pins, other),
	    await client(gw, pins, other)];
	const peer = await new Peer(gw.url, pins,
	    { version: '2025-03-26' }).open();
	// Their answers, more than its channel takes, come when the child is
	// not held any more; then small ones, so that there is no room even to
	// say that one is lost.
	const late = LATE.map(([ms, bytes]) => batch(peer, 'same_late',
	    nonces('', 100, { ms, bytes }), { worker: first })
	    .catch(() => 'cut'));
	await open(gw, 'same', 100 * LATE.length);
	const chat = await peer.start('same_chat', { n: 5000, bytes: 2000 },
	    { token: 'c', worker: first });
	await chat.next(note('notifications/progress'));
	process.kill(pid, 'SIGSTOP');
	const t0 = Date.now();
	const beside = calls(one, 'else_echo', ms);
	const shared = calls(two, 'same_echo', ms);
	try {
		await Promise.race([until('its end', () =>
		    !gw.workerIds().includes(first), ms + SLACK, 50),
		sleep(ms)]);
	} finally {
		try {
			process.kill(pid, 'SIGCONT');
		} catch { /* killed */ }
	}
	const took = Date.now() - t0;
	beside.on = shared.on = false;
	await Promise.all([beside.done, shared.done]);
	for (const c of [one, two])
		c.agent.destroy();
	return { first, took, chat, late: await Promise.all(late), beside,
	    shared };
}

function waited({ beside, shared }) {
	ok(beside.slowest < SLACK, `another child: ${beside.slowest} ms`);
	ok(shared.slowest < HOLD + SLACK, `the same: ${shared.slowest} ms`);
}

async function goesOn(gw, mode) {
	await test(`a stopped worker goes on after 3 s (${mode})`, async () => {
		const s = await stopped(gw, 3000);
		waited(s);
		ok(gw.workerIds().includes(s.first), 'it lives');
		// Progress is lost, and so are answers that the channel does
		// not take; but of every call it hears in the end.
		const r = await s.chat.next((m) => m.id === s.chat.rpcId);
		ok(/^said it all$|has answered, in vain/.test(
		    r.result.content[0].text), JSON.stringify(r));
		ok(s.chat.messages.length < 5000, 'its progress is lost');
		same(s.late.map((all) => all.length), [100, 100, 100],
		    'answers to each batch');
		const lost = s.late.map((all, i) => {
			const not = all.filter((t) => t !== 'l'.repeat(
			    LATE[i][1]));
			ok(not.every((t) => /has answered, in vain/.test(t)),
			    not[0]);
			return not.length;
		});
		ok(lost[0] > 0 && lost[0] < 100 && lost[1] + lost[2] > 100,
		    `lost: ${lost}`);
	});
}

async function ended(gw, mode) {
	await test(`a stopped worker is ended after 5 s (${mode})`,
	    async () => {
		const s = await stopped(gw, REPORT + 3000);
		waited(s);
		ok(s.took >= REPORT - 500 && s.took < REPORT + 2000,
		    `it was ended after ${s.took} ms`);
		ok(/runner complains of worker \d+: does not read/
		    .test(gw.output), gw.output.slice(-1000));
		same(await s.chat.end(), 'cut', 'its stream');
		same(s.late, LATE.map(() => 'cut'), 'the others');
		await until('another', () => gw.workerIds().length === 2);
	});
}

async function deaf(gw, mode) {
	await test(`a child that does not read harms no other (${mode})`,
	    async () => {
		const pins = new Pins(gw.base);
		const [first] = gw.workerIds();
		const peer = await client(gw, pins, first);
		const one = await client(gw, pins, first);
		const was = (await peer.tool('deaf_pid')).content[0].text;
		await peer.tool('deaf_pause', { ms: 4500 });
		const beside = calls(one, 'else_echo', 3000);
		// Many to be cancelled, then large ones, then small ones that
		// take what is left of the room.
		const said = [batch(peer, 'deaf_begin', nonces('b', 100))];
		await open(gw, 'deaf', 100);
		said.push(batch(peer, 'deaf_echo', nonces('l', 4,
		    { text: 't'.repeat(MB) })));
		await until('them', async () =>
		    (await row(gw, 'deaf')).open >= 103, 2000, 5);
		for (const n of [11_000, 11_001, 999]) {
			said.push(batch(peer, 'deaf_echo', nonces(`${n}.`, 50,
			    { text: 't'.repeat(n) })));
			await sleep(100); // more than runner takes at once
		}
		await until('no more room', async () => {
			const t0 = Date.now();
			const r = await peer.tool('deaf_echo',
			    { text: 't'.repeat(MB) });
			return /does not read what it is sent/.test(
			    r.content[0].text) && Date.now() - t0 < SLACK;
		}, 1000);
		const all = (await Promise.all(said)).flat();
		const out = all.filter((t) => /did not answer in time/.test(t));
		const full = all.filter((t) =>
		    /does not read what it is sent/.test(t));
		same(all.filter((t) => !out.includes(t) && !full.includes(t))
		    .map((t) => t.slice(0, 60)), [], 'other answers');
		ok(out.length + full.length === 254 && full.length > 0 &&
		    out.length > 103, `${out.length} and ${full.length}`);
		await beside.done;
		ok(beside.slowest < SLACK, `others: ${beside.slowest} ms`);
		// It goes on, and learns of each that nobody waits for it.
		await until('it to read again', async () => (await peer.tool(
		    'deaf_pid')).content[0].text === was, 8000, 50);
		await open(gw, 'deaf', 0);
		const heard = JSON.parse((await peer.tool('deaf_told'))
		    .content[0].text);
		const came = Object.values(heard.calls);
		same(came.length, out.length, 'calls that came');
		for (const id of came)
			same(heard.cancelled.filter((c) => c === id), [id],
			    'its cancel');
	});
}

run('slow', async () => {
	for (const mode of modes) {
		const gw = await Gateway.start({ mode, config: {
			backends: {
				same: backend(mode, 0),
				else: backend(mode, 1),
				deaf: backend(mode, 2, { timeout: '2s' }),
			},
			limits: { streams_per_user: 0 },
			endpoints: { '/mcp': { backends: '*', auth: 'none' } },
		} });
		await goesOn(gw, mode);
		if (mode === modes[0])
			await ended(gw, mode);
		await deaf(gw, mode);
		await test(`nothing is left after SIGTERM (${mode})`,
		    () => gw.stop());
	}
});
