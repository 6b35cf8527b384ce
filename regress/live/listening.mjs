// Issue 3: a client that only listens on its GET stream goes on hearing whatever
// becomes of the backend meanwhile, and what the gateway says to a backend of its
// own accord (ids: worker/askid.c) is what the protocol allows.
import { Clock } from './lib/clock.mjs';
import { ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { Far } from './lib/far.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Pins } from './lib/pin.mjs';
import { Peer, answer, note } from './lib/sse.mjs';
import { Talker } from './lib/talker.mjs';

const UPDATED = note('notifications/resources/updated');
const LOG = note('notifications/message');
const CHANGED = /^notifications\/(\w+)\/list_changed$/;
const URIS = ['talk://one', 'talk://two', 'talk://many/3'];

let serial = 0;
const fresh = (what) => `${what}-${++serial}`;
const updates = (g) => g.messages.filter(UPDATED).map((m) => m.params.uri);

async function asks(peer, method, params) {
	const r = await peer.ask(method, params);
	same((await r.next(answer(r.rpcId))).result, {}, method);
}

// ---- a backend that is a process ----

// A client with the backend's session for it, a GET stream, a resource that it
// watches, and a level.
async function listening(x) {
	const peer = await new Peer(`${x.gw.base}/far`, x.pins).open();
	const nonce = fresh('open');
	await peer.tool('far_echo', { nonce });
	const { id } = await x.far.tell('sessionOf', nonce);
	const g = await peer.get({ worker: x.a });
	await until('the backend\'s stream', async () =>
	    (await x.far.tell('session', id)).listens);
	await asks(peer, 'resources/subscribe', { uri: URIS[0] });
	await asks(peer, 'logging/setLevel', { level: 'error' });
	return { peer, id, g };
}

// It makes no call, and hears of what it may have missed and of what is new.
async function restarted(x) {
	const { id, g } = await listening(x);
	await x.far.kill();
	await x.far.run();
	const watching = async () => (await x.far.tell('sessions'))
	    .filter((s) => s.uris.length > 0);
	const [up] = await until('a new session', async () => {
		const all = await watching();
		return all[0]?.listens && all;
	}, 15_000, 100);
	ok(up.id !== id, 'the same session');
	same([up.uris, up.level], [[URIS[0]], 'error'], 'what was asked for');
	await g.next(UPDATED, 'what it may have missed', 2000);
	await x.far.tell('touch', URIS[0]);
	await g.next(UPDATED, 'the update', 2000);
	await x.far.tell('count', up.id, 1, 10);
	await g.next(LOG, 'a line', 2000);
	await x.far.tell('stop');
	await sleep(500);
	same(updates(g), [URIS[0], URIS[0]], 'updates');
	same((await watching()).length, 1, 'sessions');
	same(g.ended, undefined, 'the client\'s stream');
	g.close();
}

const changed = (g) => g.messages.map((m) => CHANGED.exec(m.method)?.[1])
    .filter(Boolean).sort();

async function otherLists(x) {
	const { peer, g } = await listening(x);
	same(changed(g), [], 'before');
	await x.far.kill();
	await sleep(1000);
	same(changed(g), [], 'while it is down');
	await x.far.run({ prompts: ['p', 'q'], names: ['new'],
	    resources: ['three'] });
	await until('all of them', () => new Set(changed(g)).size === 3, 15_000);
	const has = async (method, key, name) => ok((await peer.list(method, key))
	    .some((e) => (e.uri ?? e.name) === name), `${name} is not there`);
	await has('tools/list', 'tools', 'far_new');
	await has('prompts/list', 'prompts', 'far_q');
	await has('resources/list', 'resources', 'talk://three');
	await sleep(1500);
	same(changed(g), ['prompts', 'resources', 'tools'], 'told');
	g.close();
}

// Nor has it or anybody else ever made one: the backend has no session but the
// gateway's own.
async function neverCalled(x) {
	const g = await (await new Peer(`${x.gw.base}/lone`, x.pins).open())
	    .get({ worker: x.b });
	// The gateway looks twice at one that has just come up.
	await sleep(2500);
	x.lone.extra.push('newer');
	x.lone.forget();
	await until('the new tool', () => changed(g).includes('tools'), 15_000);
	g.close();
}

// ---- a backend in this process ----

async function streaming(x, caps = {}) {
	const peer = await new Peer(`${x.gw.base}/talk`, x.pins).open(caps);
	const nonce = fresh('open');
	await peer.tool('talk_echo', { nonce });
	const up = x.talker.sessionOf(nonce);
	const g = await peer.get({ worker: x.a });
	await until('the backend to be asked for a stream', () =>
	    x.talker.heard.some(([m, id]) => m === 'GET' && id === up.id));
	return { peer, up, g };
}

// It is there again but begins no session for a while.
async function backsOff(x) {
	const { peer, up, g } = await streaming(x);
	await asks(peer, 'resources/subscribe', { uri: URIS[1] });
	await x.talker.stop();
	x.talker.broken = true;
	await x.talker.listen();
	const asked = () => x.talker.unknown.filter(([m, id]) => m === 'GET' &&
	    id === up.id).length;
	await until('it to ask again', () => asked() >= 2, 15_000);
	const n = asked();
	await sleep(900);
	ok(asked() <= n + 1, `${asked() - n} times within a second`);
	x.talker.broken = false;
	await until('the watch on a new session', () => [...x.talker.sessions
	    .values()].some((s) => s.listens && s.uris.has(URIS[1])), 15_000);
	await g.next(UPDATED, 'what it may have missed', 2000);
	await x.talker.touch(URIS[1]);
	await g.next(UPDATED, 'the update', 2000);
	g.close();
}

// 404 to a GET may mean that there are no streams: the session stays.
async function streamless(x) {
	x.bare.streamless = true;
	const peer = await new Peer(`${x.gw.base}/bare`, x.pins).open();
	const first = fresh('bare'), second = fresh('bare');
	await peer.tool('bare_echo', { nonce: first });
	const { id } = x.bare.sessionOf(first);
	const g = await peer.get({ worker: x.a });
	await until('it to be asked for a stream', () => x.bare.heard.some(
	    ([m, s]) => m === 'GET' && s === id));
	await sleep(500);
	await peer.tool('bare_echo', { nonce: second });
	same(x.bare.sessionOf(second).id, id, 'the session');
	g.close();
}

async function ids(x) {
	const { peer, up, g } = await streaming(x);
	for (const uri of URIS)
		await asks(peer, 'resources/subscribe', { uri });
	const levels = async (n) => {
		for (let i = 0; i < n; i++)
			await asks(peer, 'logging/setLevel', { level: 'info' });
	};
	await levels(20);
	// The next keeper speaks on the same sessions.
	const [pid] = x.gw.pids('keeper');
	process.kill(pid, 'SIGKILL');
	await until('another keeper', () => x.gw.pids('keeper').length === 1 &&
	    x.gw.pids('keeper')[0] !== pid);
	await until('it to know the session', async () => {
		const n = x.talker.heard.length;
		await asks(peer, 'logging/setLevel', { level: 'info' })
		    .catch(() => {});
		return x.talker.heard.slice(n).some(([, id, m]) => id === up.id &&
		    m?.method === 'logging/setLevel');
	}, 10_000, 200);
	await levels(40);
	// Its lists are asked for again, on the session of the first time.
	const listed = () => x.talker.heard.filter(([, , m]) =>
	    m?.method === 'tools/list').length;
	const n = listed();
	await x.talker.add(fresh('tool'));
	await until('the lists to be read', () => listed() > n);
	// It forgets the session, and takes its time with each subscription.
	x.talker.sessions.delete(up.id);
	x.talker.slowly = 300;
	const t0 = Date.now(), nonce = fresh('again');
	ok(!(await peer.tool('talk_echo', { nonce })).isError, 'the call');
	const took = Date.now() - t0;
	x.talker.slowly = 0;
	ok(took < 5000, `made anew within ${took} ms`);
	const now = x.talker.sessionOf(nonce);
	same([[...now.uris].sort(), now.level], [[...URIS].sort(), 'info'],
	    'what was asked for');
	const seen = new Map(), methods = new Set();
	for (const [what, id, m] of x.talker.heard) {
		if (what !== 'message' || m.method === undefined ||
		    m.id === undefined || id === undefined)
			continue;
		methods.add(m.method);
		const key = `${id} ${JSON.stringify(m.id)}`;
		ok(!seen.has(key), `${m.method} has the id of ${seen.get(key)}: ${
		    key}`);
		seen.set(key, m.method);
	}
	for (const m of ['tools/list', 'resources/list', 'resources/subscribe',
	    'logging/setLevel', 'tools/call'])
		ok(methods.has(m), `no ${m}`);
	g.close();
}

async function roots(x) {
	const heard = (up) => x.talker.heard.filter(([what, id]) =>
	    what === 'roots' && id === up.id).length;
	const all = [];
	for (const caps of [{ roots: {} }, {}, { roots: { listChanged: true } }]) {
		const s = await streaming(x, caps);
		all.push(s);
		for (const worker of [x.a, x.b])
			same(await s.peer.say({
			    method: 'notifications/roots/list_changed' },
			{ worker }), 202, 'status');
	}
	await until('the last to be heard', () => heard(all[2].up) === 2);
	await sleep(200);
	same(all.map((s) => heard(s.up)), [0, 0, 2], 'heard');
	for (const s of all)
		s.g.close();
}

// ---- half an hour ----

// A session that nobody uses is closed, but not one of a client that listens or
// waits for an answer.
async function used() {
	const clock = new Clock();
	const talker = await Talker.start();
	const gw = await Gateway.make({ config: {
		backends: { talk: { url: talker.url, timeout: '2h',
		    max_time: '2h' } },
		endpoints: { '/talk': { backends: '*', auth: 'none' } },
	} });
	await gw.start({ args: ['-L', clock.dir] });
	const x = { gw, talker, pins: new Pins(gw.base) };
	[x.a, x.b] = await x.pins.two();
	const one = await streaming(x);
	await asks(one.peer, 'resources/subscribe', { uri: URIS[0] });
	const two = await streaming(x);
	two.g.close();
	const [idle, held] = [await new Peer(`${gw.base}/talk`, x.pins).open(),
	    fresh('held')];
	const nonce = fresh('idle');
	await idle.tool('talk_echo', { nonce });
	const unused = talker.sessionOf(nonce);
	const c = await two.peer.start('talk_hold', { nonce: held },
	    { worker: x.b });
	await until('the call', () => talker.held.has(held));
	const ended = (s) => talker.heard.some(([m, id]) => m === 'DELETE' &&
	    id === s.id);
	for (let min = 0; min < 36; min += 9) {
		clock.ahead(9 * 60);
		await sleep(1600);
	}
	await until('the unused one to be closed', () => ended(unused));
	same([one, two].map((s) => ended(s.up)), [false, false], 'closed');
	await talker.touch(URIS[0]);
	await one.g.next(UPDATED, 'the update', 3000);
	talker.held.get(held)();
	same((await c.next(answer(c.rpcId))).result.content[0].text, held,
	    'the answer');
	same([one, two].map((s) => talker.sessions.has(s.up.id)), [true, true],
	    'sessions');
	one.g.close();
	await gw.stop();
}

run('listening', async () => {
	const far = await Far.start({ prompts: ['p'] });
	const talker = await Talker.start(), bare = await Talker.start();
	const lone = await Talker.start();
	const declare = ['roots'];
	const gw = await Gateway.start({ config: {
		backends: {
			far: { url: far.url },
			lone: { url: lone.url },
			talk: { url: talker.url, declare },
			bare: { url: bare.url },
		},
		// They have the same resources.
		endpoints: Object.fromEntries(['far', 'lone', 'talk', 'bare'].map((b) =>
		    [`/${b}`, { backends: [b], auth: 'none' }])),
	} });
	const x = { gw, far, lone, talker, bare, pins: new Pins(gw.base) };
	[x.a, x.b] = await x.pins.two();
	await test('LISTEN no id comes twice in a session', () => ids(x));
	await test('LISTEN a backend forgets a session whose client is silent',
	    () => restarted(x));
	await test('LISTEN a backend that begins no session is asked less often',
	    () => backsOff(x));
	await test('LISTEN no stream is no reason for another session', () =>
	    streamless(x));
	await test('LISTEN the lists of a backend change while it is down', () =>
	    otherLists(x));
	await test('LISTEN a client that has never called hears of it too', () =>
	    neverCalled(x));
	await test('LISTEN roots have changed, of whoever declared it', () =>
	    roots(x));
	await test('LISTEN half an hour without a call', used);
	await test('nothing is left after SIGTERM', () => gw.stop());
});
