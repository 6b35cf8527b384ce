// Must be true of stdio servers: real ones from npm as children behind one
// address, as they are seen directly; what a child can not do; what passes and
// what mcpgwctl shows; kills and reloads. Children that fail: badchild.mjs.
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { Client as SdkClient } from
    '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from
    '@modelcontextprotocol/sdk/client/stdio.js';
import { alike, later, ok, run, running, same, sleep, test, until } from
    './lib/harness.mjs';
import { backend, child, children, rows, say, tree, up } from
    './lib/child.mjs';
import { connect, connectOver, everythingSeen } from './lib/everything.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { Mcp } from './lib/mcp.mjs';
import { live, modules, node, npm } from './lib/paths.mjs';

const server = (name) => `${modules}/@modelcontextprotocol/${name}/dist/index.js`;
const servers = {
	every: [server('server-everything'), 'stdio'],
	files: [server('server-filesystem'), '$DIR'],
	memory: [server('server-memory')],
	thinking: [server('server-sequential-thinking')],
};
// With sanitizers all is slower.
const patience = process.env.SANITIZE ? 3 : 1;

const tools = (mcp) => mcp.list('tools/list', 'tools');
async function direct(args, env) {
	const client = new SdkClient({ name: 'regress', version: '1' });
	later(() => client.close());
	await client.connect(new StdioClientTransport({ command: node, args,
	    cwd: '/', stderr: 'ignore', env: { PATH: '/usr/bin:/bin',
		HOME: '/nonexistent', ...env } }));
	return client;
}

const silent = (r) => r?.result?.progress === undefined ? r :
    { result: r.result.r };

async function npmServers(mode) {
	const gw = await Gateway.make({ mode });
	const dir = `${gw.dir}/share`;
	mkdirSync(dir, { mode: 0o755 });
	gw.config.backends = Object.fromEntries(Object.entries(servers).map(
	    ([name, args], n) => [name, backend(mode, n,
		args.map((a) => a === '$DIR' ? dir : a), {
		...(name === 'files' && { read: [npm, live, dir] }),
		...(name === 'memory' && { env: {
		    MEMORY_FILE_PATH: '$STATE/memory.jsonl' } }),
	    })]));
	gw.config.backends.asking = backend(mode, 4, servers.every, {
	    instance: 'session', declare: ['sampling', 'elicitation', 'roots'] });
	gw.config.endpoints = {
		'/mcp': { backends: Object.keys(servers), auth: 'none' },
		'/asking/mcp': { backends: ['asking'], auth: 'none',
		    prefix: 'none' },
	};
	gw.write();
	await gw.start();
	await test(`STDIO four servers, two clients (${mode})`, async () => {
		const want = [];
		for (const [name, args] of Object.entries(servers)) {
			const c = await direct(args.map((a) =>
			    a === '$DIR' ? dir : a));
			for (const t of (await c.listTools()).tools)
				want.push({ ...t, name: `${name}_${t.name}` });
		}
		const a = await new Mcp(gw.url).open();
		const b = await new Mcp(gw.url).open();
		for (const mcp of [a, b]) {
			const got = await tools(mcp);
			alike(got.map((t) => t.name.replace(/_[0-9a-f]{6}$/, ''))
			    .length, want.length, 'number of tools');
			for (const w of want.filter((t) => t.name.length <= 44 &&
			    !t.name.includes('.')))
				alike(got.find((t) => t.name === w.name), w, w.name);
		}
		await Promise.all([a, b].map(async (mcp, i) => {
			const sum = await say(mcp, 'every_get-sum', { a: i, b: 40 });
			ok(sum.text.includes(String(40 + i)), sum.text);
			const list = await say(mcp, 'files_list_allowed_directories');
			ok(list.text.includes(dir), list.text);
			const t = await say(mcp, 'thinking_sequentialthinking', {
			    thought: 'z', nextThoughtNeeded: false,
			    thoughtNumber: 1, totalThoughts: 1 });
			ok(!t.error, t.text);
		}));
		// One after the other: it reads and writes its file as a whole.
		for (const [i, mcp] of [a, b].entries())
			await say(mcp, 'memory_create_entities', { entities: [{
			    name: `it-${i}`, entityType: 'x',
			    observations: ['y'] }] });
		const graph = await say(b, 'memory_read_graph');
		ok(/it-0/.test(graph.text) && /it-1/.test(graph.text), graph.text);
	});
	await test(`STDIO everything in a session of one's own (${mode})`,
	    async () => {
		const one = await connectOver('SDK 1.x', new StdioClientTransport({
			command: node, args: servers.every, cwd: '/',
			stderr: 'ignore', env: { PATH: '/usr/bin:/bin',
			    HOME: '/nonexistent' } }));
		later(() => one.client.close());
		const two = await connect('SDK 1.x', `${gw.base}/asking/mcp`);
		later(() => two.client.close());
		await two.client.callTool({ name: 'echo',
		    arguments: { message: 'x' } });
		await sleep(600);
		const [want, got] = await Promise.all([
			everythingSeen('SDK 1.x', one),
			everythingSeen('SDK 1.x', two)]);
		same(got.map((g) => g[0]), want.map((w) => w[0]), 'steps');
		for (const [i, [step, r, told]] of want.entries()) {
			// What its environment holds is the gateway's choice.
			if (/^get-env|^listTools/.test(step))
				continue;
			// The SDK drops progress that comes in one piece with the
			// answer.
			alike(silent(got[i][1]), silent(r), `${step}: result`);
			alike(got[i][2], told, `${step}: asked and told`);
		}
	}, { timeout: 90_000 });
	await test(`nothing is left after SIGTERM (${mode})`, () => gw.stop());
}

async function start(mode) {
	return Gateway.start({ mode, config: {
		backends: {
			bad: backend(mode, 0, [child, 'a b', '$(id);x'],
			    { timeout: '2s' }),
			good: backend(mode, 1, [child],
			    { env: { REVISION: '2025-03-26' } }),
			own: backend(mode, 3, [child], { instance: 'session' }),
		},
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
		drain: '10s',
	} });
}

async function confined(gw, mode) {
	const mcp = await new Mcp(gw.url).open();
	await test(`ARG-2 arguments are literal (${mode})`, async () =>
	    same(JSON.parse((await say(mcp, 'bad_argv')).text),
		['a b', '$(id);x'], 'argv'));
	await test(`ARG-4 the environment is exact (${mode})`, async () => {
		const { text: pid } = await say(mcp, 'bad_pid');
		const state = `${gw.config.state}-backends/bad`;
		// As the kernel has it: nothing of ours, nothing of the others.
		same(readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
		    .filter(Boolean).sort(), [`HOME=${state}`,
		    'PATH=/usr/local/bin:/usr/bin:/bin',
		    `TMPDIR=${state}/tmp`], 'env');
	});
	await test(`ARG-5 descriptors 0 to 2 (${mode})`, async () => {
		const { text } = await say(mcp, 'bad_pid');
		const links = readdirSync(`/proc/${text}/fd`);
		ok(['0', '1', '2'].every((n) => links.includes(n)), `${links}`);
		const sockets = JSON.parse((await say(mcp, 'bad_fds')).text)
		    .filter((n) => n > 2);
		// node's own: an epoll, pipes and the like, none above 40.
		ok(sockets.every((n) => n < 40), `${sockets}`);
	});
	await test(`ARG-7 no privileges, no files of ours (${mode})`,
	    async () => {
		const { text: good } = await say(mcp, 'good_pid');
		const { text } = await say(mcp, 'bad_status');
		ok(/^NoNewPrivs:\t1$/m.test(text), 'NoNewPrivs');
		ok(/^Seccomp:\t2$/m.test(text), 'Seccomp');
		ok(/^CapEff:\t0+$/m.test(text), 'CapEff');
		if (mode === 'root')
			ok(!/^Uid:\t0/m.test(text), 'Uid');
		const state = `${gw.config.state}-backends/good`;
		for (const path of [gw.conf, gw.config.state, state,
		    '/etc/shadow', '/root/.profile', gw.config.control,
		    // The secrets of another are in its environment.
		    ...[good, (await up(gw, 'bad')).nanny, gw.child.pid,
			...gw.pids('runner')].map((pid) =>
			`/proc/${pid}/environ`)]) {
			const r = await say(mcp, 'bad_read', { path });
			ok(r.error && /EACCES|EPERM|ENOENT/.test(r.text),
			    `${path}: ${r.text}`);
		}
	});
}

async function passing(gw, mode) {
	const mcp = await new Mcp(gw.url).open();
	await test(`BAD an array is of the revision that has them (${mode})`,
	    async () => {
		same((await say(mcp, 'good_array')).text, 'in an array', 'it');
		const r = await say(mcp, 'bad_array');
		ok(r.error && /did not answer in time/.test(r.text), r.text);
	});
	await test(`BAD 15 MB pass (${mode})`, async () => {
		const r = await say(mcp, 'bad_big', { bytes: 15 << 20 });
		same(r.text.length, 15 << 20, 'length');
		const t = 'z'.repeat(3 << 20);
		same((await say(mcp, 'bad_echo', { text: t })).text.length,
		    t.length, 'there and back');
	});
	await test(`mcpgwctl shows children and their log (${mode})`,
	    async () => {
		// One whose heap is small yet.
		const { nanny: pid } = await up(gw, 'bad');
		same((await gw.ctl('backend', 'restart', 'bad')).status, 0,
		    'restart');
		await until('the next', async () =>
		    ((await up(gw, 'bad')).nanny ?? pid) !== pid);
		const r = await gw.ctl('show', 'children');
		same(r.status, 0, r.err);
		ok(/^bad +shared +up /m.test(r.out), r.out);
		ok((await gw.ctl('show', 'log', 'bad')).status === 0, 'log');
		const row = async () => JSON.parse((await gw.ctl('-j', 'show',
		    'children', 'bad')).out)[0];
		const before = await row();
		await say(mcp, 'bad_use', { mb: 64, ms: 500 });
		await sleep(600);
		const after = await row();
		ok(after.kib - before.kib > 60_000 && after.kib < 1_000_000,
		    `KiB: ${before.kib}, then ${after.kib}`);
		ok(after.cpu - before.cpu >= 0.3 && after.cpu < 60,
		    `seconds: ${before.cpu}, then ${after.cpu}`);
		same(Object.keys(after).at(-1), 'said', 'the last column');
		// The same with the backends.
		const { out } = await gw.ctl('show', 'backends');
		ok(/^bad +up .*\n\n(.*\n)*bad +shared +up /ms.test(out), out);
		const all = JSON.parse((await gw.ctl('-j', 'show',
		    'backends')).out);
		const [mine] = all.find((b) => b.backend === 'bad').children;
		same([mine.pid, mine.uid, mine.instance, mine.restarts],
		    [after.pid, after.uid, 'shared', after.restarts], 'child');
		ok(mine.kib > 0 && mine.cpu > 0, JSON.stringify(mine));
	});
}

// A child that is hard to be rid of: deaf, with two daemons below its nanny,
// and a call under way. The pids of its tree.
async function stubborn(gw, mcp, name) {
	await say(mcp, `${name}_daemon`);
	await say(mcp, `${name}_deaf`);
	const { nanny: pid } = await up(gw, name);
	return until('its daemons', () => {
		const pids = tree(pid);
		// The nanny, the child, two of sleep and the shell of one.
		return pids.length >= 5 && pids;
	});
}

// It answers again in time after a kill, as a new client sees it.
async function back(gw, at, tool) {
	const r = await until('service', async () => {
		const mcp = await new Mcp(gw.url).open();
		const now = await say(mcp, tool);
		return !now.error && now;
	}, 10_000, 20);
	ok(Date.now() - at < 2000 * patience,
	    `back after ${Date.now() - at} ms`);
	return r;
}

const fate = (p) => p.then((r) => r, (e) => e);

async function killed(gw, mode) {
	await test(`KILL runner (${mode})`, async () => {
		const mcp = await new Mcp(gw.url).open();
		const names = ['good', 'bad', 'own'];
		await say(mcp, 'own_echo');
		const old = [...await stubborn(gw, mcp, 'bad'),
		    ...tree((await up(gw, 'good')).nanny),
		    ...(await rows(gw, 'own')).flatMap((c) => tree(c.nanny))];
		const slow = names.map((name) =>
		    say(mcp, `${name}_slow`, { ms: 3000 }));
		await until('calls under way', async () => (await Promise.all(
		    names.map((name) => rows(gw, name))))
		    .every((r) => r.some((c) => c.open === 1)));
		const at = Date.now();
		process.kill(gw.pids('runner')[0], 'SIGKILL');
		for (const r of await Promise.all(slow))
			ok(r.error && /^The server "\w+" .*(runner|ended)/
			    .test(r.text), JSON.stringify(r));
		ok(Date.now() - at < 1000 * patience, 'told at once');
		for (const name of names)
			await back(gw, at, `${name}_echo`);
		await until('its children to be gone', () =>
		    !old.some(running), 2000 * patience - (Date.now() - at));
	});
	await test(`KILL a worker cancels its calls (${mode})`, async () => {
		const mcp = await new Mcp(gw.url).open();
		const { text: pid } = await say(mcp, 'good_pid');
		const slow = mcp.tool('good_slow', { ms: 1000 }).catch((e) => e);
		await until('a call under way', async () =>
		    (await up(gw, 'good')).open === 1);
		const at = Date.now();
		for (const w of gw.pids('worker'))
			process.kill(w, 'SIGKILL');
		ok(await slow instanceof Error, 'the call of a killed worker');
		same((await back(gw, at, 'good_pid')).text, pid, 'the child');
	});
}

// What each session has of its own is there before and after a reload.
async function reloaded(gw, mode) {
	await test(`RELOAD keeps what is the same (${mode})`, async () => {
		const mcp = await new Mcp(gw.url).open();
		const other = await new Mcp(gw.url).open();
		const { text: good } = await say(mcp, 'good_pid');
		const { text: bad } = await say(mcp, 'bad_pid');
		const own = [];
		for (const [i, m] of [mcp, other].entries()) {
			await say(m, 'own_keep', { text: `kept ${i}` });
			own.push((await say(m, 'own_pid')).text);
		}
		ok(own[0] !== own[1], 'a child for each session');
		const its = async () => {
			for (const [i, m] of [mcp, other].entries()) {
				same((await say(m, 'own_pid')).text, own[i],
				    'the child of a session');
				same((await say(m, 'own_kept')).text,
				    `kept ${i}`, 'what it had kept');
			}
		};
		const open = ['own', 'good'].map((name) =>
		    fate(say(mcp, `${name}_slow`, { ms: 1500 })));
		await until('calls under way', async () =>
		    (await rows(gw, 'own')).some((c) => c.open === 1) &&
		    (await up(gw, 'good')).open === 1);
		const workers = gw.pids('worker');
		gw.config.backends.bad = { ...gw.config.backends.bad,
		    env: { HOME: '$STATE', MORE: '1' } };
		gw.config.backends.third = backend(mode, 2, [child]);
		gw.write();
		const at = Date.now();
		await gw.reload();
		await until('the third', async () => (await tools(mcp))
		    .some((t) => t.name === 'third_echo'), 15_000, 50);
		ok(Date.now() - at < 1400, 'the calls are still open');
		await its();
		for (const r of await Promise.all(open))
			same(r, { text: 'slow', error: false }, 'an open call');
		same((await say(mcp, 'good_pid')).text, good, 'unchanged');
		const env = JSON.parse((await say(mcp, 'bad_env')).text);
		same(env.MORE, '1', 'the changed one');
		await until('the end of the old one', () =>
		    !running(Number(bad)), 20_000);
		await until('the end of the old workers', () =>
		    !workers.some(running), 20_000);
		await its();
		const [third] = await rows(gw, 'third');
		const gone = tree(third.nanny);
		// All three in one.
		delete gw.config.backends.third;
		gw.config.backends.fourth = backend(mode, 5, [child]);
		gw.config.backends.bad.env.MORE = '2';
		gw.write();
		await gw.reload();
		await until('a fourth for the third', async () => {
			const names = (await tools(mcp)).map((t) => t.name);
			return !names.includes('third_echo') &&
			    names.includes('fourth_echo');
		}, 15_000, 100);
		same(JSON.parse((await say(mcp, 'bad_env')).text).MORE, '2',
		    'changed again');
		same((await say(mcp, 'good_pid')).text, good, 'still');
		await its();
		await until('the end of the third', () => !gone.some(running),
		    20_000);
	}, { timeout: 90_000 });
}

async function master(gw, mode) {
	await test(`KILL master: everything goes (${mode})`, async () => {
		const mcp = await new Mcp(gw.url).open();
		await stubborn(gw, mcp, 'bad');
		const slow = ['good', 'bad', 'own'].map((name) =>
		    fate(say(mcp, `${name}_slow`, { ms: 5000 })));
		await until('calls under way', async () => (await Promise.all(
		    ['good', 'bad', 'own'].map((name) => rows(gw, name))))
		    .every((r) => r.some((c) => c.open === 1)));
		const pids = gw.processes().map((p) => p.pid);
		same(children(gw, 'sleep 100').length, 3, 'daemons');
		ok(children(gw, child).length >= 3, 'children');
		const at = Date.now();
		process.kill(gw.child.pid, 'SIGKILL');
		await until('the end of all', () => !pids.some(running),
		    2000 * patience);
		for (const r of await Promise.all(slow))
			ok(r instanceof Error, 'a call of a dead gateway');
		ok(Date.now() - at < 2000 * patience, 'told at once');
	});
	await test(`KILL master: it starts again (${mode})`, async () => {
		await gw.start();
		const mcp = await new Mcp(gw.url).open();
		for (const name of ['good', 'bad', 'own'])
			same(await say(mcp, `${name}_echo`, { text: 'x' }),
			    { text: 'x', error: false }, name);
		await gw.stop();
	});
}

run('stdio', async () => {
	for (const mode of modes) {
		await npmServers(mode);
		const gw = await start(mode);
		await confined(gw, mode);
		await passing(gw, mode);
		await killed(gw, mode);
		await reloaded(gw, mode);
		await master(gw, mode);
	}
});
