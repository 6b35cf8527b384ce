// Children of stdio backends that are told to end, or whose clients leave, at
// whatever moment: nobody loses more than what was under way, and what has been
// stopped stays so.
import { full, ok, run, running, same, sleep, test, until } from
    './lib/harness.mjs';
import { backend, rows, say, up } from './lib/child.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { Mcp } from './lib/mcp.mjs';
import { live } from './lib/paths.mjs';
import { Pins } from './lib/pin.mjs';
import { Peer, answer } from './lib/sse.mjs';

const keeps = [`${live}/fixture/keeps.mjs`];
const LATE = 1500; // ms until it has come up
const URI = 'keeps:1';

async function start(backends) {
	const [mode] = modes;
	const gw = await Gateway.make({ mode });
	gw.config.backends = Object.fromEntries(Object.entries(backends).map(
	    ([name, { env, ...more }], n) => [name, backend(mode, n, keeps,
		{ env: { HOME: '$STATE', ...env }, ...more })]));
	gw.config.endpoints = { '/mcp': { backends: '*', auth: 'none' } };
	gw.write();
	await gw.start({ ready: false });
	return gw;
}

const opened = (gw) => new Mcp(gw.url).open();
const tools = async (gw) => (await (await opened(gw)).list('tools/list',
    'tools')).map((t) => t.name);
const known = (gw, name) => until(`the tools of ${name}`, async () =>
    (await tools(gw)).includes(`${name}_pid`), 15_000, 100);
const state = async (gw, name) => JSON.parse((await gw.ctl('-j', 'show',
    'backends')).out).find((b) => b.backend === name);
const is = (gw, name, what) => until(`${name} ${what}`, async () =>
    (await rows(gw, name)).some((c) => c.state === what), 10_000, 20);
const command = async (gw, verb, name) => same((await gw.ctl('backend', verb,
    name)).status, 0, `backend ${verb} ${name}`);

// ---- in the midst of a start ----

// Before it was ever up, and after: its lists come, and whoever has waited is
// told why, and served at the next call.
async function early(gw, name) {
	await is(gw, name, 'initializing');
	await command(gw, 'restart', name);
	await known(gw, name);
	for (const verb of ['restart', 'stop']) {
		await command(gw, 'restart', name);
		const m = await opened(gw);
		const call = say(m, `${name}_pid`);
		if (name === 'own')
			await is(gw, name, 'initializing');
		else
			await until('a new one', async () => (await rows(gw, name))
			    .some((c) => c.state === 'initializing'), 5000, 20);
		await sleep(200);
		await command(gw, verb, name);
		const { text, error } = await call;
		ok(!error || /^The server "\w+" (is being ended|was ended|has been)/
		    .test(text), `${verb}: ${text}`);
		ok((await tools(gw)).includes(`${name}_pid`), 'the last list');
		if (verb === 'stop')
			await command(gw, 'start', name);
		const after = await until(`${name} after ${verb}`, async () => {
			const r = await say(m, `${name}_pid`).catch((e) => {
				// A session whose child is gone is to begin anew.
				if (e.status !== 404)
					throw e;
				return m.open().then(() => ({ error: true }));
			});
			return !r.error && r;
		}, 10_000, 200);
		ok(Number(after.text) > 0, after.text);
		await m.close();
	}
}

async function starts() {
	const gw = await start({
		late: { env: { LATE: `${LATE}` } },
		own: { env: { LATE: `${LATE}` }, instance: 'session' },
	});
	await Promise.all(['late', 'own'].map((name) => test(`told to end while ${
		name === 'own' ? 'a session\'s' : 'a shared one'} starts`,
	() => early(gw, name))));
	await gw.stop();
}

// ---- what has been stopped ----

async function stopped() {
	const gw = await start({ one: {}, two: {} });
	await known(gw, 'one');
	await known(gw, 'two');
	const still = async (when) => {
		const [r] = await rows(gw, 'one');
		same([r.state, r.pid], ['stopped', null], when);
		const m = await opened(gw);
		const { text, error } = await say(m, 'one_pid');
		ok(error && /has been stopped/.test(text), `${when}: ${text}`);
		await m.close();
	};
	await command(gw, 'stop', 'one');
	await until('the end of it', async () =>
	    (await rows(gw, 'one'))[0].pid === null);
	await still('at once');
	await until('that it is down', async () =>
	    (await state(gw, 'one')).state !== 'up', 5000);
	const old = gw.pids('runner');
	process.kill(old[0], 'SIGKILL');
	await until('another runner', async () => {
		const now = gw.pids('runner');
		return now.length === 1 && now[0] !== old[0] && await up(gw, 'two');
	}, 10_000);
	await sleep(500);
	await still('with another runner');
	gw.config.backends.one.idle = '1h';
	gw.write();
	await gw.reload();
	await sleep(500);
	await still('by another definition');
	await command(gw, 'start', 'one');
	// Its tools were never seen, and nobody looks for some time where it was
	// down for long.
	const m = await opened(gw);
	await until('that it serves', async () =>
	    !(await say(m, 'one_pid')).error, 3000);
	await until('that it is up', async () =>
	    (await state(gw, 'one')).state === 'up', 5000);
	await gw.stop();
}

// The child of a definition that is no longer in force is known, ends when it
// has nothing to do, and at a command.
async function before() {
	const gw = await start({ one: {}, two: {} });
	await known(gw, 'one');
	await known(gw, 'two');
	const change = async (idle) => {
		const m = await opened(gw);
		const { text } = await say(m, 'one_pid');
		gw.config.backends.one.idle = idle;
		gw.write();
		return { m, pid: Number(text) };
	};
	const pids = async () => (await rows(gw, 'one')).map((c) => c.pid).sort();
	// This call keeps the workers before.
	const hold = await opened(gw);
	const held = say(hold, 'two_slow', { ms: 12_000 });
	const a = await change('1h');
	const slow = say(a.m, 'one_slow', { ms: 3000 });
	await until('it is under way', async () => (await up(gw, 'one')).open === 1);
	await gw.reload();
	await until('both', async () => (await pids()).length === 2);
	ok((await pids()).includes(a.pid), 'the old one is shown');
	same((await slow).text, 'slow', 'what it had to do');
	await until('its end', () => !running(a.pid), 6000);
	same((await pids()).length, 1, 'one');
	const b = await change('2h');
	const cut = say(b.m, 'one_slow', { ms: 60_000 });
	await until('it is under way', async () => (await up(gw, 'one')).open === 1);
	await gw.reload();
	await until('both', async () => (await pids()).length === 2);
	await command(gw, 'stop', 'one');
	await until('the end of both', async () => (await pids())[0] === null);
	ok(!running(b.pid), 'the old one has ended');
	ok((await cut).error, 'its call');
	same((await held).text, 'slow', 'the other backend');
	await gw.stop();
}

// ---- clients of one child ----

// What an instance says of its lists, and what one client does to its own, costs
// nobody else theirs.
async function others() {
	const gw = await start({ one: { instance: 'session', max_instances: 1 },
	    more: { instance: 'session' } });
	await known(gw, 'one');
	const m = await opened(gw);
	const { text: pid } = await say(m, 'one_pid');
	await sleep(2200); // it could be taken now
	await say(m, 'one_more', { name: 'x' });
	await sleep(2200);
	same(await say(m, 'one_pid'), { text: pid, error: false }, 'the child');
	same((await state(gw, 'one')).state, 'up', 'the backend');
	const [a, b] = [await opened(gw), await opened(gw)];
	const r = await say(a, 'more_exit');
	ok(r.error && /exited with status 7/.test(r.text), r.text);
	ok(!(await say(b, 'more_pid')).error, 'another client at once');
	await gw.stop();
}

async function subscriptions() {
	const gw = await start({ one: {}, own: { instance: 'session' } });
	await known(gw, 'one');
	await known(gw, 'own');
	const heard = async (name, m) => (await say(m, `${name}_heard`)).text;
	const [p, q, r] = [await opened(gw), await opened(gw), await opened(gw)];
	const on = (m, uri = URI) => m.call('resources/subscribe', { uri });
	const off = (m, uri = URI) => m.call('resources/unsubscribe', { uri });
	// Both have the resource; the first backend by name has the URI.
	for (const m of [p, q]) {
		await on(m);
		await off(m);
	}
	same(await heard('one', r), '+keeps:1 -keeps:1 +keeps:1 -keeps:1',
	    'one after the other');
	await on(p);
	await on(q);
	await off(q);
	same((await heard('one', r)).split(' ').slice(4),
	    ['+keeps:1', '+keeps:1'], 'who has it still');
	await p.close();
	await until('that nobody has it', async () =>
	    (await heard('one', r)).endsWith(' -keeps:1'), 5000, 100);
	await gw.stop();
}

// start_timeout holds for whoever waits for another worker that makes the session.
async function patient() {
	const gw = await start({ one: { env: { LATE: '24000' },
	    start_timeout: '60s', instance: 'session' } });
	await until('its tools', async () => (await tools(gw)).includes('one_pid'),
	    60_000, 500);
	const pins = new Pins(gw.base);
	const peer = await new Peer(gw.url, pins).open();
	const all = await Promise.all((await pins.two()).map(async (worker) => {
		const s = await peer.start('one_pid', {}, { worker });
		return (await s.next(answer(s.rpcId), 'its answer', 60_000)).result;
	}));
	ok(all.every((r) => !r.isError), JSON.stringify(all));
	await gw.stop();
}

run('moments', async () => {
	if (full)
		await test('a child that takes 24 s, and both workers', patient,
		    { timeout: 180_000 });
	await starts();
	await Promise.all([
		test('what is stopped stays so', stopped, { timeout: 60_000 }),
		test('the child of an old definition ends', before,
		    { timeout: 60_000 }),
		test('nobody loses a child by another client', others,
		    { timeout: 60_000 }),
		test('a child hears when nobody is subscribed any more',
		    subscriptions, { timeout: 60_000 }),
	]);
});
