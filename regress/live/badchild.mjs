// Must be true of stdio servers that fail, in each of the ways there are: the
// caller hears of it in time and in words, every other backend answers all the
// while, a stop leaves nothing, and what it cost comes back.
import { readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { full, ok, root, run, running, same, sleep, test, until, zombies } from
    './lib/harness.mjs';
import { echo } from './lib/backends.mjs';
import { backend, child, children, rows, say, tree, up } from './lib/child.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { Mcp } from './lib/mcp.mjs';

// With sanitizers all is slower, and what is freed is kept for a while.
const patience = process.env.SANITIZE ? 3 : 1;
const MB = 1 << 20;
const TIMEOUT = 2000; // ms, of a call of bad
const STOP = 5000; // ms, the default of stop_timeout
const BACK = 2000; // KiB

const flood = (full ? 1024 : 64) * MB;
// It is ended for the first 128 MB of them.
const endless = (full ? 1024 : 256) * MB;
const late = /^The server "bad" did not answer in time/;

const GARBAGE = 5; // lines of it

// [a child that…, the tool, its arguments, what the call says, whether there
// is another child afterwards, by itself]
const kinds = [
	['exits in a call', 'exit', {},
	    /^The server "bad" exited with status 7/, true],
	['is killed in a call', 'die', {},
	    /^The server "bad" was killed by signal 9/, true],
	['exits in a call and then at every start', 'spoil', {},
	    /^The server "bad" exited with status 7/, true],
	['never answers', 'hang', {}, late, false],
	['writes half a line', 'half', {}, late, false],
	['floods its standard error', 'loud', { bytes: flood }, 'was loud',
	    false],
	['writes garbage', 'garbage', {}, 'after garbage', false],
	['writes a line without an end', 'endless', { bytes: endless },
	    /^The server "bad" was ended: it wrote without an end/, true],
	['writes a line that is too long', 'line', { bytes: 17 * MB },
	    /^The server "bad" .*too large/, false],
	['is deaf to SIGTERM', 'deaf', {}, 'deaf', false],
	['forks daemons', 'daemon', {}, 'daemon', false],
	['closes its output', 'mute', {}, late, false],
	['closes its input and output', 'leave', {},
	    /^The server "bad" was ended: it closed its output/, true],
	['is stopped', 'stop', {}, late, false],
];

// ---- the others ----

// Calls of the other backends, one after the other, until it is stopped.
class Beside {
	constructor(gw, names = ['good', 'http']) {
		this.names = names;
		this.all = names.map((name) => this.#run(gw, name)
		    .catch((e) => { this.why ??= e; }));
		this.done = Object.fromEntries(names.map((n) => [n, 0]));
		this.longest = 0;
	}

	async #run(gw, name) {
		const mcp = await new Mcp(gw.url).open();
		for (let n = 0; !this.over; n++) {
			const t0 = Date.now(), args = { text: `${name} ${n}` };
			const r = await say(mcp, `${name}_echo`, args);
			same(r, { text: name === 'http' ?
			    JSON.stringify(args) : args.text, error: false },
			    'beside');
			this.longest = Math.max(this.longest, Date.now() - t0);
			this.done[name]++;
			await sleep(5);
		}
	}

	async stop(ms) {
		this.over = true;
		await Promise.all(this.all);
		if (this.why)
			throw this.why;
		// One that has to wait for the bad child waits for its timeout.
		ok(this.longest < TIMEOUT * patience,
		    `a call beside it took ${this.longest} ms`);
		for (const n of this.names)
			ok(this.done[n] > ms / 1000 / patience,
			    `${this.done[n]} calls of ${n} in ${ms} ms`);
	}
}

// ---- what it costs ----

// Sockets to a port of another process: a worker and the keeper keep their
// connections to an HTTP backend, how many depends on who was asked.
const pooled = (port) => readFileSync('/proc/net/tcp', 'utf8').split('\n')
    .map((l) => l.trim().split(/ +/))
    .filter((f) => parseInt(f[2]?.split(':')[1], 16) === port)
    .map((f) => `socket:[${f[9]}]`);

// What its descriptors lead to.
const links = (pid, but) => readdirSync(`/proc/${pid}/fd`).map((n) => {
	try {
		return readlinkSync(`/proc/${pid}/fd/${n}`);
	} catch {
		return undefined; // the one that readdir had
	}
}).filter((l) => l !== undefined && !but.includes(l))
    .map((l) => l.replace(/:\[\d+\]/, '')).sort();

const tally = (list) => Object.fromEntries([...new Set(list)].map((l) =>
    [l, list.filter((x) => x === l).length]));

const kib = (pid) => Number(readFileSync(`/proc/${pid}/status`, 'utf8')
    .match(/^RssAnon:\s+(\d+)/m)[1]);

// Descriptors and memory of each process of ours, and how many processes
// there are. Whoever is not root may not see descriptors of theirs.
class Base {
	constructor(gw, http) {
		this.gw = gw;
		this.http = http;
		this.before = this.look();
	}

	look() {
		const { gw } = this;
		const own = { master: [gw.child.pid] };
		for (const role of ['runner', 'keeper', 'worker', 'authd',
		    'resolver', 'hasher'])
			own[role] = gw.pids(role);
		const but = pooled(this.http.port);
		const all = Object.entries(own).flatMap(([role, pids]) =>
		    pids.map((pid) => [`${role} ${pid}`, pid]));
		return { n: gw.processes().length,
		    files: Object.fromEntries(all.map(([k, pid]) =>
			[k, root && tally(links(pid, but))])),
		    kib: Object.fromEntries(all.map(([k, pid]) =>
			[k, kib(pid)])) };
	}

	// Connections of our clients may be about to close.
	async check() {
		const { before } = this;
		await until('as many processes as before', () => {
			const { n } = this.look();
			if (n !== before.n)
				throw new Error(`${n}, ${before.n} before`);
			return true;
		}, 5000, 100);
		await until('no zombies', () => {
			const z = zombies(this.gw.child.pid);
			if (z.length > 0)
				throw new Error(z.map((p) => p.comm).join());
			return true;
		}, 2000, 50);
		await until('descriptors as before', () => {
			const { files } = this.look();
			for (const [k, was] of Object.entries(before.files))
				same(files[k], was, k);
			return true;
		}, 5000, 100);
		const now = this.look();
		for (const [k, was] of Object.entries(before.kib))
			ok(process.env.SANITIZE || now.kib[k] - was < BACK,
			    `${k}: ${now.kib[k]} KiB, ${was} before`);
	}
}

// ---- the cases ----

async function start(mode, http) {
	const gw = await Gateway.start({ mode, config: {
		backends: {
			bad: backend(mode, 0, [child], { timeout: '2s' }),
			good: backend(mode, 1, [child]),
			http: { url: http.url },
		},
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	return gw;
}

// Its whole tree ends within stop_timeout, and it can be started again.
async function stopped(gw, mcp, more = []) {
	const pids = [...more, ...(await rows(gw, 'bad')).flatMap((c) =>
	    c.nanny > 0 ? tree(c.nanny) : [])];
	const at = Date.now();
	const r = await gw.ctl('backend', 'stop', 'bad');
	same(r.status, 0, r.err);
	const refused = await say(mcp, 'bad_echo');
	ok(refused.error &&
	    /^The server "bad" (has been stopped with mcpgwctl|is being ended)/
	    .test(refused.text), refused.text);
	await until('all of it to end', () => !pids.some(running),
	    STOP * patience - (Date.now() - at));
	same((await gw.ctl('backend', 'start', 'bad')).status, 0, 'start');
	await until('it to be up', () => up(gw, 'bad'), 5000 * patience, 50);
	same((await say(mcp, 'bad_echo', { text: 'x' })).text, 'x', 'and well');
}

async function failing(gw, mode, [what, tool, args, says, another]) {
	await test(`BAD a child that ${what} (${mode})`, async () => {
		const mcp = await new Mcp(gw.url).open();
		const old = await until('it to be up', () => up(gw, 'bad'));
		const beside = new Beside(gw);
		const from = Date.now();
		try {
			const r = await say(mcp, `bad_${tool}`, args);
			const end = Date.now();
			if (typeof says === 'string')
				same(r, { text: says, error: false }, 'answer');
			else
				ok(r.error && says.test(r.text),
				    JSON.stringify(r));
			ok(end - from < (TIMEOUT + 1000) * patience,
			    `answered after ${end - from} ms`);
			// They begin after it has answered.
			if (tool === 'daemon')
				await until('its daemons', () => children(gw,
				    'sleep 100').length === 3, 2000, 10);
			const left = tree(old.nanny);
			if (tool === 'garbage')
				same((await rows(gw, 'bad'))[0].garbage -
				    old.garbage, GARBAGE, 'lines counted');
			if (tool === 'spoil')
				await spoilt(gw, mcp);
			if (another)
				await until('another one', async () =>
				    ((await up(gw, 'bad')).nanny ?? old.nanny) !==
				    old.nanny, 5000, 50);
			else
				same((await rows(gw, 'bad')).map((c) => c.nanny),
				    [old.nanny], 'the same child');
			await stopped(gw, mcp, left);
			await sleep(Math.max(0, end + 1000 - Date.now()));
			await beside.stop(Date.now() - from);
		} catch (e) {
			// The next case begins with one that is well.
			beside.over = true;
			await gw.ctl('backend', 'restart', 'bad');
			throw e;
		}
	});
}

// It was up once, and exits at every start now.
async function spoilt(gw, mcp) {
	await until('a start that fails', async () => {
		const r = await say(mcp, 'bad_echo');
		ok(r.error, 'it came up');
		return new RegExp('^The server "bad" exited with status 3 ' +
		    'and is restarting; try again in \\d+ s\\.$').test(r.text);
	}, 5000, 50);
	rmSync(`${gw.config.state}-backends/bad/spoilt`);
}

async function cycles(gw, mode) {
	const n = full ? 1000 : 50;
	await test(`CYCLES ${n} starts and ends (${mode})`, async () => {
		const mcp = await new Mcp(gw.url).open();
		let last = (await say(mcp, 'bad_pid')).text;
		for (let i = 0; i < n; i++) {
			// Every other one does not go by itself.
			if (i % 2 === 1)
				process.kill(Number(last), 'SIGKILL');
			await gw.ctl('backend', 'restart', 'bad');
			last = await until('the next', async () => {
				const r = await say(mcp, 'bad_pid');
				return !r.error && r.text !== last && r.text;
			}, 15_000, 10);
		}
	}, { timeout: 900_000 });
}

async function crashLoop(gw, mode, http) {
	gw.config.backends.loop = backend(mode, 2, [child],
	    { env: { AT_START: 'exit' } });
	gw.config.backends.dumb = backend(mode, 3, [child],
	    { env: { AT_START: 'hang' }, start_timeout: '1s' });
	gw.write();
	await gw.reload();
	await test(`BAD children that do not start harm nobody (${mode})`,
	    async () => {
		const mcp = await new Mcp(gw.url).open();
		const from = Date.now();
		const beside = new Beside(gw);
		// None of them has ever said what tools it has.
		for (const [name, why] of [
			['loop', 'exited with status 3'],
			['dumb', 'did not answer initialize in time'],
		]) {
			const said = new RegExp(`^The server "${name}" ${why}` +
			    '( and is restarting; try again in \\d+ s)?\\.$');
			// In its first second it has not answered yet.
			const r = await until(`${name} to be known`, async () => {
				const at = Date.now();
				const now = await say(mcp, `${name}_echo`);
				ok(Date.now() - at < (TIMEOUT + 1000) * patience,
				    `answered after ${Date.now() - at} ms`);
				return !/ has not answered yet\.$/
				    .test(now.text) && now;
			}, 3000 * patience, 100);
			ok(r.error && said.test(r.text), JSON.stringify(r));
		}
		await sleep(4000 - (Date.now() - from));
		await beside.stop(Date.now() - from);
		const { out } = await gw.ctl('show', 'backends');
		ok(/^loop .*exited with status 3/m.test(out), out);
		ok(/^dumb .*did not answer initialize in time/m.test(out), out);
		// It backs off: 1, 2, 4 s and not one start after the other.
		const starts = gw.output.split('\n').filter((l) =>
		    /backend loop: .*exited with status 3/.test(l)).length;
		ok(starts >= 2 && starts <= 6, `${starts} starts`);
	});
	await test(`BAD all of children that do not start comes back (${mode})`,
	    () => unstarted(gw, http));
}

// They are stopped, and then once more after some seconds of starts.
async function unstarted(gw, http) {
	const names = ['loop', 'dumb'];
	const all = async () => (await Promise.all(names.map((n) =>
	    rows(gw, n)))).flat().flatMap((c) =>
	    c.nanny > 0 ? tree(c.nanny) : []);
	const stop = async (more = []) => {
		const pids = [...more, ...await all()];
		const at = Date.now();
		for (const name of names) {
			const r = await gw.ctl('backend', 'stop', name);
			same(r.status, 0, r.err);
		}
		await until('the end of both', () => !pids.some(running),
		    STOP * patience - (Date.now() - at));
	};
	await stop();
	await until('the end of the old workers', () =>
	    gw.pids('worker').length === gw.config.workers, 20_000, 100);
	const base = new Base(gw, http);
	for (const name of names)
		same((await gw.ctl('backend', 'start', name)).status, 0, name);
	await sleep(4000);
	// One of them is between two starts most of the time.
	await stop(await until('a process of theirs', async () => {
		const pids = await all();
		return pids.length > 0 && pids;
	}, 8000, 20));
	await base.check();
}

async function all(mode, http) {
	const gw = await start(mode, http);
	// Before that it has not yet what it needs for good.
	const mcp = await new Mcp(gw.url).open();
	for (let i = 0; i < 5; i++)
		await stopped(gw, mcp);
	const beside = new Beside(gw);
	await sleep(500);
	await beside.stop(500);
	const base = new Base(gw, http);
	for (const kind of kinds)
		await failing(gw, mode, kind);
	await test(`BAD all of it comes back (${mode})`, () => base.check());
	await cycles(gw, mode);
	await test(`CYCLES all of it comes back (${mode})`, () => base.check());
	await crashLoop(gw, mode, http);
	await test(`BAD nothing is left after SIGTERM (${mode})`, () =>
	    gw.stop());
}

// Most of it is waiting, so the modes go side by side.
run('badchild', async () => {
	const http = await echo();
	await Promise.all(modes.map((mode) => all(mode, http)));
});
