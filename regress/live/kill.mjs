// Must be true 4: kill -9 of each process under load. The others go on, it is
// back, nothing acknowledged is lost.
import { full, ok, run, running, same, sleep, test, until } from
    './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { echo } from './lib/backends.mjs';
import { Client } from './lib/oauth.mjs';
import { Load, echoes } from './lib/load.mjs';

const TIMES = full ? 20 : 3;

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

async function killUnderLoad(gw, token, role) {
	let inflight = 0;
	for (let i = 0; i < TIMES; i++) {
		const load = await new Load(gw.url, token, { clients: 12,
		    tool: echoes('a') }).start();
		await sleep(250);
		same(load.failures.length, 0, `before: ${load.summary()}`);
		const old = gw.pids(role);
		ok(old.length > 0, `no ${role} runs`);
		inflight += load.inflight > 0;
		const dead = role === 'worker' ? gw.workerId(old[0]) : undefined;
		const at = Date.now();
		process.kill(old[0], 'SIGKILL');
		await back(gw, role, old);
		await sleep(700);
		const before = load.done;
		await sleep(200);
		ok(load.done > before, 'calls go on');
		await load.stop();
		const bad = role === 'worker' ? judge(load, dead, at) :
		    load.failures;
		same(bad.length, 0, `failed of ${load.done}: ${load.summary(bad)}`);
	}
	ok(inflight === TIMES, `${inflight} of ${TIMES} kills had open calls`);
}

// Refreshes without a pause; last is what was acknowledged last.
class Refresher {
	constructor(client) {
		this.client = client;
		this.last = client.tokens.refresh_token;
		this.running = true;
		this.open = 0;
		this.bad = [];
		this.loop = this.#run();
	}

	async #run() {
		while (this.running) {
			this.open = 1;
			try {
				const r = await this.client.refresh(this.last);
				if (r.status === 200)
					this.last = r.body.refresh_token ?? this.last;
				else if (r.status !== 503)
					this.bad.push(`${r.status} ${r.body.error}`);
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

async function killAuthd(gw) {
	const clients = [];
	for (let i = 0; i < 4; i++)
		clients.push(await Client.signIn(gw));
	let between = 0;
	for (let i = 0; i < TIMES * 3; i++) {
		const all = clients.map((c) => new Refresher(c));
		await sleep(150 + Math.random() * 50);
		const old = gw.pids('authd');
		await until('an open refresh', () => all.some((r) => r.open), 2000, 0);
		between += all.some((r) => r.open);
		process.kill(old[0], 'SIGKILL');
		await back(gw, 'authd', old);
		await until('authd to answer', async () =>
		    (await fetch(`${gw.base}/health`)).status === 200);
		for (const r of all)
			await r.stop();
		same(all.flatMap((r) => r.bad), [], 'refused');
		for (const [n, r] of all.entries()) {
			const t = await clients[n].refresh(r.last);
			same(t.status, 200, `an acknowledged token: ${
			    JSON.stringify(t.body)}`);
			clients[n].tokens = t.body;
		}
	}
	ok(between >= TIMES, `${between} kills fell into a refresh`);
	console.log(`# authd: ${TIMES * 3} kills, ${between} between a request ` +
	    'and its reply, 0 grants lost');
}

run('kill', async () => {
	const a = await echo({ DELAY: '4' });
	for (const mode of modes) {
		const gw = await Gateway.start({ mode, config: {
			auth: { refresh_grace: '1s' },
			backends: { a: { url: a.url } },
		} });
		const token = (await Client.signIn(gw)).tokens.access_token;
		for (const role of ['worker', 'keeper', 'resolver', 'authd',
		    'hasher'])
			await test(`MBT-4 kill -9 ${role} (${mode})`, () =>
			    killUnderLoad(gw, token, role), { timeout: 180_000 });
		await test(`MBT-4 kill -9 authd loses no grant (${mode})`, () =>
		    killAuthd(gw), { timeout: 240_000 });
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
