// Must be true 4: reload under load.
import { full, ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { readFileSync } from 'node:fs';
import { Gateway, modes } from './lib/gateway.mjs';
import { echo } from './lib/backends.mjs';
import { Client } from './lib/oauth.mjs';
import { Load, echoes } from './lib/load.mjs';
import { Mcp } from './lib/mcp.mjs';

const ROUNDS = full ? 40 : 10;

const names = async (mcp) =>
    (await mcp.list('tools/list', 'tools')).map((t) => t.name).sort();

async function rounds(gw, token, b) {
	const load = [];
	for (const fresh of [false, true])
		load.push(await new Load(gw.url, token, { clients: 6, fresh,
		    tool: echoes('stable', 'changed') }).start());
	await sleep(300);
	const mcp = await new Mcp(gw.url, { token }).open();
	for (let i = 0; i < ROUNDS; i++) {
		const extra = { [`extra${i}`]: { url: b.extra.url } };
		gw.config.backends = {
			stable: { url: b.stable.url },
			changed: { url: (i % 2 ? b.one : b.two).url,
			    headers: { 'X-Round': String(i) } },
			...extra, // and extra(i-1) is removed
		};
		gw.write();
		await gw.reload();
		await until(`the tools of round ${i}`, async () => {
			const have = await names(mcp);
			return have.includes(`extra${i}_echo`) &&
			    !have.includes(`extra${i - 1}_echo`);
		}, 10_000);
		await sleep(50);
	}
	await sleep(300);
	for (const l of load)
		await l.stop();
	const done = load.reduce((n, l) => n + l.done, 0);
	const bad = load.flatMap((l) => l.failures);
	same(bad.length, 0, `failed of ${done}: ${load[0].summary(bad)}`);
	ok(done > ROUNDS * 50, `only ${done} calls were made`);
	console.log(`# ${ROUNDS} reloads, ${done} calls, 0 failed`);
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
	    extra: await echo() };
	for (const mode of modes) {
		const gw = await Gateway.start({ mode, config: { backends: {
			stable: { url: b.stable.url }, changed: { url: b.one.url },
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
