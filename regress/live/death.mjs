// Must be true 4: the worker that owns a GET stream, the keeper, and a backend
// that is a process, each killed while numbers stream to a client. No number
// comes twice, none is left out that whoever lives has in hand, and what can not
// go on ends cleanly.
import { ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { Far } from './lib/far.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Pins } from './lib/pin.mjs';
import { Peer, answer, asked, note } from './lib/sse.mjs';

const UPDATE = note('notifications/resources/updated');
const STEP = note('notifications/progress');
const PACE = 5; // ms from one number to the next

let serial = 0;
const fresh = (what) => `${what}-${++serial}`;

const count = (from, to) => Array.from({ length: to - from + 1 },
    (_, i) => from + i);
// What came on a GET stream, and of a call.
const numbers = (s) => s.messages.filter(note('notifications/message'))
    .map((m) => Number(m.params.data.slice(1)));
const steps = (s) => s.messages.filter(STEP).map((m) =>
    Number(m.params.message.split('#')[1]));

// A client with a session, the backend's for it, and a GET stream on a worker.
async function listening(x, worker) {
	const peer = await new Peer(x.gw.url, x.pins).open({ elicitation: {} });
	const nonce = fresh('open');
	await peer.tool('talk_echo', { nonce });
	const { id } = await x.far.tell('sessionOf', nonce);
	const g = await peer.get({ worker });
	await fed(x, id);
	return { peer, id, g };
}

const fed = (x, id) => until('the backend\'s stream', async () =>
    (await x.far.tell('session', id)).listens);

// Until some numbers have come on a stream, after those that have.
async function some(g, n = 20) {
	const before = numbers(g).length;
	await until(`${n} numbers`, () => numbers(g).length >= before + n,
	    10_000, 5).catch((e) => {
		throw new Error(`${e.message}; ${g.ended ?? 'open'}, had ${before}, ` +
		    `now ${numbers(g).length}`);
	});
}

async function killed(x, role, pid) {
	process.kill(pid, 'SIGKILL');
	return until(`another ${role}`, () => {
		const now = x.gw.pids(role);
		return now.length === (role === 'worker' ? 2 : 1) &&
		    !now.includes(pid);
	});
}

// From where a stream was, at a worker.
async function resume(s, g, worker) {
	const { last } = g;
	g.close();
	const next = await s.peer.get({ worker, last });
	same(next.status, 200, 'GET again');
	return next;
}

// keeper: it dies first, and the next must know what the client has asked for.
async function backendDies(x, keeper) {
	const s = await listening(x, x.a);
	const { peer, g } = s;
	const r = await peer.ask('resources/subscribe', { uri: 'talk://one' });
	await r.end();
	const l = await peer.ask('logging/setLevel', { level: 'error' });
	await l.end();
	if (keeper)
		await killed(x, 'keeper', x.gw.pids('keeper')[0]);
	const c = await peer.start('talk_steps', { nonce: fresh('dies'), n: 5000,
	    ms: PACE }, { worker: x.b, token: 5 });
	await x.far.tell('count', s.id, 1, PACE);
	await some(g);
	await until('steps', () => steps(c).length > 5);
	await x.far.kill();
	const m = await c.next(answer(c.rpcId), 'an end of the call', 5000);
	ok(m.result.isError && /"talk"/.test(m.result.content[0].text),
	    JSON.stringify(m));
	await c.end();
	same(c.ended, 'clean', 'its stream');
	same(steps(c), count(1, steps(c).length), 'its steps');
	const d = await peer.tool('talk_echo', {});
	ok(d.isError && /"talk"/.test(d.content[0].text), JSON.stringify(d));
	// All that the dead one had written is here, and the stream is open.
	const { wrote } = x.far;
	await until('what was written', () => numbers(g).at(-1) >= wrote, 2000);
	const reached = numbers(g).at(-1);
	same(numbers(g), count(1, reached), 'before');
	same(g.ended, undefined, 'the client\'s stream');
	// Another process, which knows no session.
	await x.far.run();
	const again = fresh('again');
	await until('the backend to be called again', async () =>
	    !(await peer.tool('talk_echo', { nonce: again })).isError, 10_000, 100);
	const up = await x.far.tell('sessionOf', again);
	ok(up.id !== s.id, 'a new session');
	same([up.uris, up.level], [['talk://one'], 'error'],
	    'what the client had asked for');
	await fed(x, up.id);
	await g.next(UPDATE, 'that it may have missed one', 5000);
	await x.far.tell('touch', 'talk://one');
	await g.next(UPDATE, 'an update', 5000);
	await x.far.tell('count', up.id, reached + 1, PACE);
	await some(g);
	const g2 = await resume(s, g, x.b);
	await some(g2);
	const end = await x.far.tell('stop');
	await until('the last number', () => numbers(g2).at(-1) === end);
	same([...numbers(g), ...numbers(g2)], count(1, end), 'numbers');
	same([g, g2].map((t) => t.messages.filter(UPDATE).length), [2, 0],
	    'updates');
	g2.close();
	console.log(`# killed at ${reached} (${wrote} written), on to ${end}`);
}

async function keeperDies(x) {
	const s = await listening(x, x.a);
	const c = await s.peer.start('talk_ask', { nonce: fresh('k') },
	    { worker: x.a });
	const q = await c.next(asked('elicitation/create'));
	const t = await s.peer.start('talk_steps', { nonce: fresh('k'), n: 100,
	    ms: PACE }, { worker: x.b, token: 5 });
	await x.far.tell('count', s.id, 1, PACE);
	await some(s.g);
	// Both are in the middle of it, and go on.
	const dead = killed(x, 'keeper', x.gw.pids('keeper')[0]);
	await some(s.g);
	// The worker that has the stream needs no keeper to resume it.
	let g = await resume(s, s.g, x.a);
	const all = [s.g, g];
	await some(g);
	await dead;
	const result = { action: 'accept', content: { a: 'yes' } };
	await until('its answer to be relayed', async () => {
		await s.peer.say({ id: q.id, result }, { worker: x.b });
		return c.messages.some(answer(c.rpcId));
	}, 10_000, 100);
	same(JSON.parse(c.messages.find(answer(c.rpcId)).result.content[0].text)
	    .got, [result], 'heard');
	// The next keeper has both workers now: it was their way.
	g = await resume(s, g, x.b);
	all.push(g);
	await some(g);
	const m = await t.next(answer(t.rpcId), 'the other call');
	ok(!m.result.isError, JSON.stringify(m));
	same(steps(t), count(1, 100), 'its steps');
	const end = await x.far.tell('stop');
	await until('the last number', () => numbers(g).at(-1) === end);
	same(all.flatMap(numbers), count(1, end), 'numbers');
	same(g.ended, undefined, 'the client\'s stream');
	// The new one knows who has the stream.
	const g2 = await s.peer.get({ worker: x.a });
	await g.end();
	same(g.ended, 'clean', 'the older stream');
	await until('the newest to be fed', async () => {
		await x.far.tell('count', s.id, end + 1, 100);
		await sleep(300);
		await x.far.tell('stop');
		return numbers(g2).length > 0;
	});
	same(new Set(numbers(g2)).size, numbers(g2).length, 'numbers twice');
	g2.close();
}

async function ownerDies(x) {
	const s = await listening(x, x.a);
	const nonce = fresh('o');
	const open = await s.peer.start('talk_steps', { nonce, n: 500, ms: PACE },
	    { worker: x.a, token: 1 });
	const other = await s.peer.start('talk_steps', { nonce: fresh('o'),
	    n: 300, ms: PACE }, { worker: x.b, token: 1 });
	await x.far.tell('count', s.id, 1, PACE);
	await some(s.g);
	await until('steps', () => steps(open).length > 5);
	const pid = x.gw.pids('worker').find((p) => x.gw.workerId(p) === x.a);
	const dead = killed(x, 'worker', pid);
	await s.g.end();
	await open.end();
	x.pins.close();
	const reached = numbers(s.g).at(-1), walked = steps(open).length;
	same(numbers(s.g), count(1, reached), 'before');
	same(steps(open), count(1, walked), 'steps before');
	const g = await resume(s, s.g, x.b);
	await some(g);
	// What nobody had a stream for is gone; what came since is all there.
	const { openedAt } = await x.far.tell('session', s.id);
	const end = await x.far.tell('stop');
	await until('the last number', () => numbers(g).at(-1) === end);
	const [first] = numbers(g);
	ok(first > reached && first <= openedAt + 1,
	    `from ${first}: had ${reached}, a stream since ${openedAt}`);
	same(numbers(g), count(first, end), 'after');
	// The call of the dead worker is over for good, not run again.
	const back = await resume(s, open, x.b);
	await sleep(300);
	same(back.messages.filter((m) => m.id !== undefined || STEP(m)), [],
	    'of the lost call');
	same(await x.far.tell('runs', nonce), 1, 'runs of it');
	const m = await other.next(answer(other.rpcId), 'the other worker\'s call');
	ok(!m.result.isError, JSON.stringify(m));
	same(steps(other), count(1, 300), 'its steps');
	g.close();
	back.close();
	await dead;
	[x.a, x.b] = await x.pins.two();
	console.log(`# killed at ${reached}, a stream since ${openedAt}, from ${
	    first} to ${end}`);
}

run('death', async () => {
	const far = await Far.start();
	const gw = await Gateway.start({ config: {
		backends: { talk: { url: far.url, declare: ['elicitation'] } },
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	const x = { gw, far, pins: new Pins(gw.base) };
	[x.a, x.b] = await x.pins.two();
	await test('DEATH of the backend', () => backendDies(x, false));
	await test('DEATH of the keeper, then of the backend', () =>
	    backendDies(x, true));
	await test('DEATH of the keeper', () => keeperDies(x));
	await test('DEATH of the worker that owns the stream', () =>
	    ownerDies(x));
	await test('nothing is left after SIGTERM', () => gw.stop());
});
