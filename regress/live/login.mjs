// ref/security.md LOGIN-1 and LOGIN-2: what guessing passwords costs the one who
// guesses, what it does not cost the owner, and that it tells nothing of who
// there is. Clients have addresses of their own by a trusted proxy's word.
import http from 'node:http';
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { full, ok, run, same, sleep, test } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Browser, Client, isConsent, isSignin, parseForm } from
    './lib/oauth.mjs';
import { request } from './lib/mcp.mjs';
import { bin } from './lib/paths.mjs';

const start = (auth) => Gateway.start({ config: {
	workers: 2, trusted_proxies: ['127.0.0.1/32'], ...(auth && { auth }),
} });

let last = 0;
// An address that nobody has had.
const fresh = () => `10.${++last >> 16 & 255}.${last >> 8 & 255}.${last & 255}`;

// A sign-in page: its form may be sent again after a wrong password.
class Page {
	static async open(g, ip = fresh()) {
		const p = new Page();
		g.client ??= await new Client(g.base).register();
		p.browser = new Browser(g.base);
		const page = await p.browser.get(g.client.authorizeUrl(),
		    { 'x-forwarded-for': ip });
		ok(isSignin(page), `no sign-in page: ${page.status}`);
		p.form = parseForm(page.text);
		return p;
	}

	async try(ip, user, password) {
		const via = { 'x-forwarded-for': ip };
		const t0 = performance.now();
		const r = await this.browser.post(this.form.action, {
		    ...this.form.fields, user, password, decision: 'signin' }, via);
		const ms = performance.now() - t0;
		let entered = false;
		if (r.status === 303)
			entered = isConsent(await this.browser.get(r.location, via));
		else
			ok(isSignin({ ...r, status: 200 }), `${r.status} ${r.text}`);
		return { ...r, ms, entered, after: Number(
		    r.headers.get('retry-after') ?? NaN) };
	}
}

const attempt = async (g, ...args) => (await Page.open(g)).try(...args);

// Has been in the hands of the password hashers, in ms of processor time.
const hashing = (g) => g.pids('hasher').reduce((sum, pid) => sum + Number(
    readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6, 0);

// Makes users of these names; the password is everybody's.
function users(g, names, password) {
	const one = (name) => new Promise((done, fail) => {
		const child = spawn(`${bin}/mcpgwctl`,
		    ['-s', g.config.control, 'user', 'passwd', name],
		    { stdio: ['pipe', 'ignore', 'pipe'],
			...(g.drop && { uid: 65534, gid: 65534 }) });
		let err = '';
		child.stderr.on('data', (d) => { err += d; });
		child.stdin.on('error', () => {});
		child.stdin.end(`${password}\n`);
		child.once('close', (code) => code === 0 ? done() :
		    fail(new Error(`user passwd ${name}: ${err}`)));
	});
	const queue = [...names];
	return Promise.all(Array.from({ length: 4 }, async () => {
		while (queue.length > 0)
			await one(queue.pop());
	}));
}

// ---- LOGIN-1 ----

// 1000 wrong passwords: who(i) is [address, user].
async function guesses(g, who) {
	const n = 1000;
	const page = await Page.open(g);
	const before = hashing(g);
	let cost = 0, ran = 0;
	const ms = [];
	for (let i = 0; i < n; i++) {
		const r = await page.try(...who(i), 'wrong');
		ok(!r.entered && [200, 429].includes(r.status), `${r.status}`);
		if (r.status === 429) {
			ok(r.after > 0 && r.after <= 600, `Retry-After ${r.after}`);
			ms.push(r.ms);
		} else if (++ran === 1) {
			cost = g.cost = hashing(g) - before;
		}
	}
	const used = hashing(g) - before;
	console.log(`# LOGIN-1: ${ran} of ${n} hashed, ${used.toFixed(0)} ms ` +
	    `in all, one is ${cost.toFixed(0)} ms; the others ${
	    ms.sort((a, b) => a - b)[ms.length >> 1].toFixed(2)} ms each`);
	ok(cost > 1, `a hash of ${cost} ms`);
	ok(ran >= 3 && ran <= n / 100, `${ran} of ${n} were hashed`);
	// What the log says of it is true of the processor, too.
	ok(used < 2 * (ran + 1) * cost, `${used} ms of hashing for ${ran}`);
}

// As many wrong passwords as make one wait: who(i) is [address, user].
async function penalty(g, who) {
	for (let i = 0; i < 4; i++)
		same((await attempt(g, ...who(i), 'wrong')).status, 200,
		    'a wrong password');
}

// The right password is refused while the penalty lasts, at no cost, and taken
// as soon as it is over. Nobody else signs in when this begins.
async function waits(g, right) {
	const before = hashing(g);
	const sent = Date.now();
	const first = await attempt(g, ...right);
	same([first.status, first.entered], [429, false], 'under the penalty');
	ok(first.after > 0 && first.after <= 10, `Retry-After ${first.after}`);
	ok(hashing(g) - before < g.cost / 2, 'the password was hashed');
	const over = Date.now() + first.after * 1000;
	let r;
	do {
		await sleep(500);
		r = { late: Date.now() > over, ...await attempt(g, ...right) };
	} while (!r.entered && !r.late);
	ok(r.entered, `still out: ${r.status}, Retry-After ${r.after}`);
	// The daemon counts in whole seconds.
	const ms = Date.now() - sent;
	ok(ms >= (first.after - 1) * 1000, `${ms} ms, not ${first.after} s`);
}

// As many requests of one address as there is room for, each with as much in it
// as there may be.
async function flood(g) {
	const page = await Page.open(g, '198.51.100.40');
	const before = memory(g);
	const url = g.client.authorizeUrl({ state: 's'.repeat(4000) });
	const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
	const seen = {};
	let n = 0;
	const one = async () => {
		while (n++ < 10_100) {
			const { status } = await request(url, { method: 'GET',
			    agent, headers: { 'x-forwarded-for': '203.0.113.5' } });
			seen[status] = (seen[status] ?? 0) + 1;
		}
	};
	await Promise.all(Array.from({ length: 64 }, one));
	agent.destroy();
	const after = memory(g);
	same(Object.keys(seen), ['200'], 'answers');
	const r = await page.try('198.51.100.40', 'owner', g.password);
	ok(r.entered, `${r.status} ${r.text.slice(0, 1000)}`);
	// Sanitizers keep what has been freed.
	ok(process.env.SANITIZE || after - before < 4096,
	    `${after - before} KiB more`);
}

const memory = (g) => g.pids('authd').reduce((sum, pid) => sum + Number(
    /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]), 0);

// What waits goes on while others run: returns how to wait for that.
async function login1() {
	const g = await start();
	const pw = { alice: randomBytes(12).toString('hex') };
	await users(g, ['alice', 'bob'], pw.alice);
	await test('LOGIN-1 1000 wrong passwords from one address', () =>
	    guesses(g, (i) => ['198.51.100.7', `user${i}`]));
	await test('LOGIN-1 1000 addresses on one user', () =>
	    guesses(g, () => [fresh(), 'carol']));
	await test('LOGIN-1 others are not kept out by that', async () => {
		const r = await attempt(g, '198.51.100.8', 'owner', g.password);
		ok(r.entered, `${r.status} ${r.text}`);
	});
	await test('LOGIN-1 a user under attack, at an address known and not',
	    async () => {
		const home = '198.51.100.20';
		ok((await attempt(g, home, 'bob', pw.alice)).entered, 'at home');
		for (let i = 0; i < 8; i++)
			ok(!(await attempt(g, fresh(), 'bob', 'wrong')).entered,
			    'let in');
		const away = await attempt(g, fresh(), 'bob', pw.alice);
		same([away.status, away.entered], [429, false], 'elsewhere');
		ok(away.after <= 30, `Retry-After ${away.after}`);
		const wrong = await attempt(g, home, 'bob', 'wrong');
		same([wrong.status, wrong.entered], [200, false],
		    'a wrong one at home');
		ok((await attempt(g, home, 'bob', pw.alice)).entered,
		    'kept out at home');
	});
	await test('DOS sign-ins begun without end keep nobody from his own',
	    () => flood(g));
	const ip = '198.51.100.30';
	await Promise.all([penalty(g, (i) => [ip, `dave${i}`]),
	    penalty(g, () => [fresh(), 'alice'])]);
	const waiting = [
		test('LOGIN-1 the right password from an address that must wait',
		    () => waits(g, [ip, 'owner', g.password])),
		test('LOGIN-1 the right password of a user who must wait',
		    () => waits(g, [fresh(), 'alice', pw.alice])),
	];
	return async () => {
		await Promise.all(waiting);
		await test('LOGIN-1 nothing is left after SIGTERM',
		    () => g.stop());
	};
}

// ---- LOGIN-2 ----

const mean = (l) => l.reduce((a, b) => a + b, 0) / l.length;
const variance = (l) => l.reduce((a, x) => a + (x - mean(l)) ** 2, 0) /
    (l.length - 1);
const median = (l) => [...l].sort((a, b) => a - b)[l.length >> 1];

// The standard error of a median, from the median deviation, which what is
// slow for another process's sake does not move.
function error(l) {
	const m = median(l);
	const sd = 1.4826 * median(l.map((x) => Math.abs(x - m)));
	return 1.2533 * sd / Math.sqrt(l.length);
}

// Welch's t. What is slowest of all is another process's doing, and goes.
function welch(a, b) {
	const all = [...a, ...b].sort((x, y) => x - y);
	const limit = all[Math.floor(all.length * 0.9)];
	const [p, q] = [a, b].map((l) => l.filter((x) => x <= limit));
	return (mean(p) - mean(q)) /
	    Math.sqrt(variance(p) / p.length + variance(q) / q.length);
}

// A user's fourth try is the last that need not wait.
const TRIES = 4;

// What a browser sees, without what is never the same and the name it sent.
function seen(r, user) {
	const headers = [...r.headers].filter(([k]) =>
	    !['date', 'x-mcpgw-worker'].includes(k));
	return JSON.stringify([r.status, headers, r.text
	    .replace(/name="(txn|csrf)" value="[^"]*"/g, '$1')
	    .replaceAll(user, 'USER')]);
}

// n wrong passwords of known and n of unknown users, by turns. All names are of
// one length, as the page says the name again.
async function compare(g, known, unknown, n) {
	const kinds = { known, unknown };
	const ms = { known: [], unknown: [] };
	const cpu = { known: [], unknown: [] };
	const page = await Page.open(g);
	let want;
	for (let i = 0; i < n; i++) {
		const order = ['known', 'unknown'];
		if (Math.random() < 0.5)
			order.reverse();
		for (const kind of order) {
			const user = kinds[kind][Math.floor(i / TRIES)];
			const before = hashing(g);
			const r = await page.try(fresh(), user, 'wrong');
			cpu[kind].push(hashing(g) - before);
			ms[kind].push(r.ms);
			same(r.status, 200, `${user}, try ${i % TRIES}`);
			want ??= seen(r, user);
			same(seen(r, user), want, `what ${user} sees`);
		}
	}
	const both = [...cpu.known, ...cpu.unknown];
	const hash = median(both);
	const delta = median(ms.known) - median(ms.unknown);
	const sigma = Math.sqrt(variance([...ms.known, ...ms.unknown]));
	const t = welch(ms.known, ms.unknown);
	console.log(`# LOGIN-2: ${n} + ${n} tries, a hash is ${
	    hash.toFixed(1)} ms; medians ${median(ms.known).toFixed(2)} and ${
	    median(ms.unknown).toFixed(2)} ms, Δ ${
	    (100 * delta / sigma).toFixed(1)} % of σ, t ${t.toFixed(2)}`);
	ok(hash > 1, `a hash of ${hash} ms`);
	for (const [kind, l] of Object.entries(cpu))
		ok(Math.min(...l) > hash / 2,
		    `${kind}: a try with ${Math.min(...l)} ms of hashing`);
	ok(Math.abs(median(cpu.known) - median(cpu.unknown)) < hash / 10,
	    `hashing: ${median(cpu.known)} and ${median(cpu.unknown)} ms`);
	// Either is so by chance in one of 100 000 runs.
	const chance = 4.5 * Math.hypot(error(ms.known), error(ms.unknown));
	ok(Math.abs(delta) < hash / 20 + chance,
	    `medians differ by ${delta} ms, by chance by ${chance} ms`);
	ok(Math.abs(t) < 4.5, `t is ${t}`);
}

async function login2(name, auth, n) {
	const g = await start(auth);
	const digits = (i) => String(i).padStart(4, '0');
	const count = Math.ceil(n / TRIES);
	const known = Array.from({ length: count }, (_, i) => `u${digits(i)}`);
	const unknown = known.map((u) => u.replace('u', 'n'));
	// Where there is no owner, that name is one of the unknown.
	if (!auth?.password)
		(auth === undefined ? known : unknown)[0] = 'owner';
	await test(`LOGIN-2 ${name}`, async () => {
		await users(g, known.filter((u) => u !== 'owner'),
		    randomBytes(12).toString('hex'));
		await compare(g, known, unknown, n);
	}, { timeout: 900_000 });
	await test(`LOGIN-2 ${name}: nothing is left after SIGTERM`,
	    () => g.stop());
}

run('login', async () => {
	const end = await login1();
	await login2('unknown users beside an owner and others', undefined,
	    full ? 1000 : 60);
	await login2('unknown users where there is no owner',
	    { password: undefined, access_token_ttl: '1h' }, full ? 200 : 12);
	const hash = execFileSync('openssl', ['passwd', '-6', 'of the owner'])
	    .toString().trim();
	await login2('unknown users beside an owner with another kind of hash',
	    { password: hash }, full ? 200 : 12);
	await end();
});
