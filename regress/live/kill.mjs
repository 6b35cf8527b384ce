// Must be true 4: kill -9 of each process under load. The others go on, it is
// back, nothing acknowledged is lost. Every test counts the kills that fell
// between a request and its reply.
import { readFileSync, writeFileSync } from 'node:fs';
import { full, ok, run, running, same, sleep, test, until } from
    './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { echo } from './lib/backends.mjs';
import { Browser, Client, isSignin, parseForm, random } from
    './lib/oauth.mjs';
import { Granter, STEPS, verify } from './lib/granter.mjs';
import { Load, Work, echoes } from './lib/load.mjs';
import { Mcp, request } from './lib/mcp.mjs';
import { live, node, npm } from './lib/paths.mjs';

const TIMES = full ? 20 : 3;
// With sanitizers all is slower.
const patience = process.env.SANITIZE ? 3 : 1;
// What takes so long is lost: a worker gives authd up after 20 s.
const LOST = 19_000;

async function back(gw, role, old) {
	await until(`a new ${role}`, () => {
		const now = gw.pids(role);
		return now.length === old.length &&
		    now.filter((p) => old.includes(p)).length === old.length - 1;
	});
}

// Failures are allowed only on connections that the dead worker held, or may
// have held: those made just before, which had no answer yet.
const judge = (load, dead, at) => load.failures.filter((f) =>
    f.worker !== dead && !(f.worker === undefined && f.at <= at));

const loads = (gw, token) => Promise.all([{}, { fresh: true, clients: 2 },
    { sessions: true, clients: 2 }].map((how) => new Load(gw.url, token,
    { clients: 12, tool: echoes('a'), ...how }).start()));

const failures = (all, of = (l) => l.failures) => all.flatMap((l) =>
    of(l).map((f) => `${l.name ?? f.tool}: ${f.why}`));

async function killUnderLoad(gw, token, role) {
	let between = 0;
	for (let i = 0; i < TIMES; i++) {
		const all = await loads(gw, token);
		for (const l of all)
			await l.spread();
		await sleep(150);
		same(failures(all), [], 'before');
		const old = gw.pids(role);
		ok(old.length > 0, `no ${role} runs`);
		const dead = role === 'worker' ? gw.workerId(old[0]) : undefined;
		const open = all.every((l) => l.inflight > 0);
		const at = Date.now();
		process.kill(old[0], 'SIGKILL');
		await back(gw, role, old);
		await sleep(700);
		const before = all.map((l) => l.done);
		await until('calls to go on', () => all.every((l, n) =>
		    l.done > before[n]), 5000);
		if (role === 'worker')
			await until('a third worker', () =>
			    all.some((l) => l.workers.size === 3));
		for (const l of all)
			await l.stop();
		same(failures(all, (l) => role === 'worker' ?
		    judge(l, dead, at) : l.failures), [], 'failed');
		// A worker's death breaks what it had not answered; nobody
		// else's does.
		between += role === 'worker' ? all[0].failures.some((f) =>
		    f.worker === dead) : open;
	}
	same(between, TIMES, 'kills with open calls');
}

// A hasher that the kernel says is running.
function busy(gw) {
	return gw.pids('hasher').find((pid) => {
		try {
			return / R /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
		} catch {
			return false; // it ended meanwhile
		}
	});
}

// People at the form, half of them with a wrong password.
class Forms {
	constructor(gw, client) {
		this.gw = gw;
		this.client = client;
		this.posts = []; // open ones: {at}
		this.answered = [];
		this.busy = 0;
		this.workers = new Set();
	}

	// One name each: who has failed too often has to wait.
	async one(i, n) {
		const right = i % 2 === 0;
		const browser = new Browser(this.gw.base);
		const page = await browser.get(this.client.authorizeUrl());
		ok(isSignin(page), `no form: ${page.status} ${page.text}`);
		for (let tries = 0;; tries++) {
			const r = await this.post(browser, page, right ? 'owner' :
			    `user${i}.${n}.${Date.now()}`, right);
			this.workers.add(r.headers.get('x-mcpgw-worker'));
			if (r.status === 503 && tries < 2) {
				ok(Number(r.headers.get('retry-after')) > 0,
				    '503 without Retry-After');
				this.busy++;
				continue;
			}
			if (right)
				same([r.status, /txn=/.test(r.location)],
				    [303, true], `right password: ${r.text}`);
			else
				ok(r.status === 200 && isSignin(r) &&
				    /do not match/.test(r.text),
				    `wrong password: ${r.status} ${r.text}`);
			return;
		}
	}

	async post(browser, page, user, right) {
		const f = parseForm(page.text);
		const go = f.buttons.find((b) => b.name);
		const p = { at: Date.now(), right };
		this.posts.push(p);
		try {
			return await browser.fetch(f.action, { method: 'POST',
			    signal: AbortSignal.timeout(LOST),
			    headers: { origin: this.gw.base,
				'sec-fetch-site': 'same-origin' },
			    body: new URLSearchParams({ ...f.fields, user,
				password: right ? this.gw.password : 'wrong',
				[go.name]: go.value }) });
		} finally {
			this.posts.splice(this.posts.indexOf(p), 1);
			p.end = Date.now();
			this.answered.push(p);
		}
	}
}

async function killHasher(gw, token) {
	const client = await new Client(gw.base).register();
	const forms = new Forms(gw, client);
	const calls = await loads(gw, token);
	const people = new Work('sign-in', (i, n) => forms.one(i, n),
	    { clients: 4 });
	const kills = [];
	for (let i = 0; i < TIMES; i++) {
		const from = forms.answered.length;
		const after = () => forms.answered.slice(from);
		await until('answers', () => after().length >= 6);
		// Both at once every third time.
		const old = gw.pids('hasher');
		const victims = await until('hashers at work', () => {
			const b = busy(gw);
			return forms.posts.length >= 3 && b !== undefined &&
			    (i % 3 === 2 ? old : [b]);
		}, 10_000, 1);
		kills.push(Date.now());
		for (const pid of victims)
			process.kill(pid, 'SIGKILL');
		await until('new hashers', () => gw.pids('hasher')
		    .filter((p) => !victims.includes(p)).length === old.length);
		const n = forms.answered.length;
		await until('right and wrong passwords to be told apart', () =>
		    [true, false].every((r) => forms.answered.slice(n)
		    .some((p) => p.right === r)));
	}
	await people.stop();
	for (const l of calls) {
		await l.spread();
		await l.stop();
	}
	same(failures([...calls, people]), [], 'failed');
	same(forms.workers.size, 2, 'workers that had forms');
	const between = kills.filter((k) => forms.answered.some((p) =>
	    p.at < k && p.end > k)).length;
	same(between, TIMES, 'kills between a form and its answer');
	console.log(`# hasher: ${between} kills between a form and its answer, ${
	    forms.answered.length} answers, ${forms.busy} of them 503`);
}

// Whoever hashes it dies of it: the second time that is answered 503, and the
// same form is good for another try.
async function killEveryHasher(gw) {
	const client = await new Client(gw.base).register();
	const forms = new Forms(gw, client);
	const all = gw.pids('hasher').length;
	// A password may be hashed before the second one is caught at it.
	for (let tries = 0; tries < 20; tries++) {
		const browser = new Browser(gw.base);
		const page = await browser.get(client.authorizeUrl());
		const t0 = Date.now();
		const answer = forms.post(browser, page, 'owner', true);
		for (let n = 0; n < 2 && forms.posts.length === 1;) {
			const pid = busy(gw);
			if (pid !== undefined) {
				process.kill(pid, 'SIGKILL');
				await until('its end', () => !running(pid), 5000, 1);
				n++;
			}
			await sleep(1);
		}
		const r = await answer;
		await until('new hashers', () =>
		    gw.pids('hasher').length === all);
		if (r.status === 303)
			continue;
		same(r.status, 503, r.text.slice(0, 200));
		ok(Number(r.headers.get('retry-after')) > 0, 'Retry-After');
		ok(Date.now() - t0 < 5000, `after ${Date.now() - t0} ms`);
		const again = await forms.post(browser, page, 'owner', true);
		same(again.status, 303, again.text);
		return;
	}
	throw new Error('no form was answered 503');
}

// Its backend is given by a name, and while another one's name waits for its
// address the resolver is killed. It is stopped first: what it is asked here
// it answers at once otherwise.
async function killResolver(gw, token, a) {
	const mcp = await new Mcp(gw.url, { token }).open();
	const had = async (name) => (await mcp.list('tools/list', 'tools'))
	    .some((t) => t.name === `${name}_echo`);
	let between = 0;
	for (let i = 0; i < TIMES; i++) {
		const all = await loads(gw, token);
		for (const l of all)
			await l.spread();
		const name = `named${i}`;
		const [old] = gw.pids('resolver');
		process.kill(old, 'SIGSTOP');
		gw.config.backends[name] = { url: a.url };
		gw.write();
		await gw.reload();
		mcp.workers.clear();
		await until('the new workers', async () => {
			ok(!await had(name), 'its name is not resolved');
			return mcp.workers.size === 2;
		});
		const row = (await gw.ctl('show', 'backends')).out.split('\n')
		    .find((l) => l.split(/ +/).includes(name)) ?? '';
		between += row !== '' && !/ up( |$)/.test(row);
		process.kill(old, 'SIGKILL');
		const t0 = Date.now();
		await until('a new resolver', () => gw.pids('resolver')
		    .some((p) => p !== old));
		await until('the name to be resolved', () => had(name), 5000);
		ok(Date.now() - t0 < 4000, `after ${Date.now() - t0} ms`);
		const r = await mcp.tool(`${name}_echo`, { nonce: 'x' });
		ok(!r.isError, JSON.stringify(r));
		for (const l of all)
			await l.stop();
		same(failures(all), [], 'failed');
	}
	same(between, TIMES, 'kills with a name unanswered');
}

const silent = (p) => p.catch((e) => ({ thrown: e.message }));
const SLOW = 1000; // ms

// Calls of the stdio backend: what each said and when.
class Kid {
	constructor(gw, mcp) {
		this.mcp = mcp;
		this.file = `${gw.config.state}-backends/kid/ledger`;
		this.open = new Map(); // slow ones: nonce, when
		this.calls = [];
	}

	async call(name, ms) {
		const one = new Mcp(this.mcp.url, { token: this.mcp.token });
		const nonce = random(9), at = Date.now();
		one.session = this.mcp.session;
		if (ms > 0)
			this.open.set(nonce, at);
		const r = await silent(one.tool(`kid_${name}`, { nonce, ms }));
		this.open.delete(nonce);
		const text = r.content?.[0].text ?? '';
		const good = !r.isError && text === nonce;
		this.calls.push({ nonce, at, end: Date.now(), good, text,
		    thrown: r.thrown });
		if (!good)
			await sleep(20);
		return { 'x-mcpgw-worker': [...one.workers][0] };
	}

	get ledger() {
		return readFileSync(this.file, 'utf8').split('\n').slice(0, -1);
	}

	// Slow calls that the child has begun and will not end soon.
	begun() {
		const now = Date.now(), ledger = this.ledger;
		return [...this.open].filter(([nonce, at]) =>
		    now - at < SLOW / 2 && ledger.includes(nonce))
		    .map(([nonce]) => nonce);
	}
}

// HTTP never fails; calls of children fail at once and in words, are good
// again soon, and none is run twice.
async function killRunner(gw, token) {
	let between = 0;
	for (let i = 0; i < TIMES; i++) {
		const all = await loads(gw, token);
		const mcp = await new Mcp(gw.url, { token }).open();
		await until('the child', async () => !(await mcp.tool(
		    'kid_echo', { nonce: '-' })).isError);
		writeFileSync(`${gw.config.state}-backends/kid/ledger`, '');
		const kid = new Kid(gw, mcp);
		const work = [0, SLOW].map((ms) => new Work(ms ? 'slow' : 'echo',
		    () => kid.call(ms ? 'slow' : 'echo', ms),
		    { clients: 3, pace: 5 }));
		for (const l of [...all, ...work])
			await l.spread();
		const cut = await until('open calls', () => {
			const b = kid.begun();
			return b.length > 0 && b;
		}, 15_000, 5);
		same(kid.calls.filter((c) => !c.good), [], 'before');
		const old = gw.pids('runner');
		same(old.length, 1, 'runners');
		const at = Date.now();
		process.kill(old[0], 'SIGKILL');
		await back(gw, 'runner', old);
		const first = await until('calls of the child to succeed', () =>
		    kid.calls.find((c) => c.good && c.at > at));
		ok(first.end - at < 2000 * patience,
		    `again after ${first.end - at} ms`);
		await sleep(500);
		for (const l of [...work, ...all])
			await l.stop();
		same(failures([...all, ...work]), [], 'HTTP');
		same(kid.calls.filter((c) => c.thrown), [], 'no answer');
		const bad = kid.calls.filter((c) => !c.good);
		ok(bad.every((c) => /^The server "kid" .*(runner|ended|exited)/
		    .test(c.text)), `in words: ${JSON.stringify(bad[0])}`);
		ok(bad.every((c) => c.end - Math.max(c.at, at) < 1000 * patience),
		    'told at once');
		same(bad.filter((c) => c.at > first.end), [], 'after it was back');
		between += cut.every((n) => bad.some((c) => c.nonce === n));
		const ledger = kid.ledger;
		same(ledger.length, new Set(ledger).size, 'calls that were run');
	}
	same(between, TIMES, 'kills that ended open calls');
}

// Refreshes without a pause; last is what was acknowledged last.
class Refresher {
	constructor(client, kills) {
		this.client = client;
		this.kills = kills;
		this.last = client.tokens.refresh_token;
		this.running = true;
		this.open = 0;
		this.hit = 0; // waited at a kill, and got no answer
		this.bad = [];
		this.workers = new Set();
		this.loop = this.#run();
	}

	async #run() {
		while (this.running) {
			const kills = this.kills.n;
			this.open = 1;
			try {
				const r = await this.client.refresh(this.last);
				this.workers.add(r.headers.get('x-mcpgw-worker'));
				if (r.status === 200)
					this.last = r.body.refresh_token ?? this.last;
				else if (r.status !== 503)
					this.bad.push(`${r.status} ${r.body.error}`);
				else
					this.hit += this.kills.n > kills;
			} catch {
				// the connection broke: ask again with the same
			}
			this.open = 0;
			await sleep(5);
		}
	}

	async stop() {
		this.running = false;
		await this.loop;
	}
}

// Kills of authd, each while a step of its own waits for an answer.
async function killAuthd(gw) {
	const clients = [];
	for (let i = 0; i < 4; i++)
		clients.push(await Client.signIn(gw));
	const workers = new Set(), fell = {};
	let hits = 0, refreshes = 0, promises = 0;
	const turn = ['refresh', ...STEPS];
	let i = 0;
	// Where a kill falls is chance, but so many must have fallen there.
	for (; i < TIMES * 3 || (i < TIMES * 12 &&
	    (refreshes < TIMES || hits < TIMES)); i++) {
		const kills = { n: 0 };
		const all = clients.map((c) => new Refresher(c, kills));
		const granters = [0, 1, 2].map(() => new Granter(gw, kills));
		await until('promises of every kind', () => ['codes', 'tokens',
		    'revoked'].every((k) => granters.some((g) =>
			g.promised[k].length > 0)));
		const step = turn[i % turn.length];
		const old = gw.pids('authd');
		await until(`an open ${step}`, () => step === 'refresh' ?
		    all.some((r) => r.open) :
		    // Nobody is signed in again until a kill has made it so.
		    granters.some((g) => g.step === step ||
			(step === 'signin' && g.step === 'exchange')), 5000, 0);
		const at = Date.now();
		kills.n++;
		process.kill(old[0], 'SIGKILL');
		await back(gw, 'authd', old);
		await until('authd to answer', async () =>
		    (await fetch(`${gw.base}/health`)).status === 200);
		await sleep(100);
		for (const r of [...all, ...granters])
			await r.stop();
		same([...all, ...granters].flatMap((r) => r.bad), [], 'refused');
		refreshes += all.some((r) => r.hit > 0);
		const hit = granters.flatMap((g) => g.hit);
		hits += hit.length > 0;
		for (const h of hit)
			fell[h] = (fell[h] ?? 0) + 1;
		for (const [n, r] of all.entries()) {
			const t = await clients[n].refresh(r.last);
			same(t.status, 200, `an acknowledged token: ${
			    JSON.stringify(t.body)}`);
			clients[n].tokens = t.body;
		}
		for (const g of granters)
			promises += await verify(gw, g.kept(at));
		for (const r of [...all, ...granters])
			for (const w of r.workers)
				workers.add(w);
	}
	console.log(`# authd: ${i} kills, ${refreshes} between a refresh ` +
	    `and its reply, ${hits} between a step of a sign-in and its reply (${
	    Object.entries(fell).map((e) => e.reverse().join(' ')).join(', ')
	    }), ${promises} promises kept`);
	ok(refreshes >= TIMES, `${refreshes} kills fell into a refresh`);
	ok(hits >= TIMES, `${hits} kills fell into a sign-in`);
	same(workers.size, 2, 'workers seen');
}

run('kill', async () => {
	const a = await echo({ DELAY: '4' });
	const named = { url: a.url.replace('127.0.0.1', 'localhost') };
	for (const mode of modes) {
		const gw = await Gateway.start({ mode, config: {
			auth: { refresh_grace: '1s' },
			backends: { a: named, kid: {
				command: [node, `${live}/lib/ledger.mjs`],
				...(mode === 'root' && { user: 'man' }),
				read: [npm, live], env: { HOME: '$STATE' },
				timeout: '2s',
			} },
		} });
		const token = (await Client.signIn(gw)).tokens.access_token;
		for (const role of ['worker', 'keeper', 'authd'])
			await test(`MBT-4 kill -9 ${role} (${mode})`, () =>
			    killUnderLoad(gw, token, role), { timeout: 180_000 });
		await test(`MBT-4 kill -9 hasher (${mode})`, () =>
		    killHasher(gw, token), { timeout: 180_000 });
		await test(`MBT-4 kill -9 hasher twice for one form (${mode})`,
		    () => killEveryHasher(gw));
		await test(`MBT-4 kill -9 runner (${mode})`, () =>
		    killRunner(gw, token), { timeout: 180_000 });
		await test(`MBT-4 kill -9 authd loses no grant (${mode})`, () =>
		    killAuthd(gw), { timeout: 240_000 });
		await test(`MBT-4 kill -9 resolver (${mode})`, () =>
		    killResolver(gw, token, named), { timeout: 180_000 });
		await test(`MBT-4 kill -9 mcpgwd: everything ends (${mode})`,
		    async () => {
			const pids = gw.processes().map((p) => p.pid);
			ok(pids.length >= 7, `${pids.length} processes`);
			process.kill(gw.child.pid, 'SIGKILL');
			await until('all processes to end', () =>
			    !pids.some(running), 3000);
		});
		await test(`MBT-4 and starts again on the same state (${mode})`,
		    async () => {
			await gw.start();
			const again = await Client.signIn(gw);
			ok(again.tokens.access_token, 'sign-in');
			const load = await new Load(gw.url, token, { clients: 2,
			    tool: echoes('a') }).start();
			await sleep(200);
			await load.stop();
			same(load.failures.length, 0,
			    `old token: ${load.summary()}`);
			await gw.stop();
		});
	}
});
