// Must be true of stdio servers: real ones from npm as children behind one
// address, as they are seen directly; children that fail in every way; what a
// child can not do; kills and reloads.
import { mkdirSync, readdirSync } from 'node:fs';
import { Client as SdkClient } from
    '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from
    '@modelcontextprotocol/sdk/client/stdio.js';
import { alike, full, later, ok, run, running, same, sleep, test, until } from './lib/harness.mjs';
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
// Users that every Debian has and nobody else here runs as.
const users = ['games', 'mail', 'news', 'backup', 'list', 'irc', 'uucp', 'lp'];
const child = `${live}/fixture/child.mjs`;

// The keys of a backend that runs this; each has a user of its own.
function backend(mode, n, args, more = {}) {
	return { command: [node, ...args],
	    ...(mode === 'root' && { user: users[n] }),
	    read: [npm, live], env: { HOME: '$STATE' }, ...more };
}

const tools = (mcp) => mcp.list('tools/list', 'tools');
const say = async (mcp, name, args = {}) => {
	const r = await mcp.tool(name, args);
	return { text: r.content[0].text, error: r.isError === true };
};

// Every process below the gateway whose command line has this in it.
const children = (gw, what) => gw.processes().filter((p) =>
    p.args.join(' ').includes(what) && !/^nanny/.test(p.args[0]));

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

async function start(mode, more = {}, config = {}) {
	return Gateway.start({ mode, config: {
		backends: {
			bad: backend(mode, 0, [child, 'a b', '$(id);x'],
			    { timeout: '2s', ...more }),
			good: backend(mode, 1, [child],
			    { env: { REVISION: '2025-03-26' } }),
			...config,
		},
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
}

async function confined(gw, mode) {
	const mcp = await new Mcp(gw.url).open();
	await test(`ARG-2 arguments are literal (${mode})`, async () =>
	    same(JSON.parse((await say(mcp, 'bad_argv')).text),
		['a b', '$(id);x'], 'argv'));
	await test(`ARG-4 the environment is exact (${mode})`, async () => {
		const env = JSON.parse((await say(mcp, 'bad_env')).text);
		same(Object.keys(env).sort(), ['HOME', 'PATH', 'TMPDIR'], 'env');
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
		const { text } = await say(mcp, 'bad_status');
		ok(/^NoNewPrivs:\t1$/m.test(text), 'NoNewPrivs');
		ok(/^Seccomp:\t2$/m.test(text), 'Seccomp');
		ok(/^CapEff:\t0+$/m.test(text), 'CapEff');
		if (mode === 'root')
			ok(!/^Uid:\t0/m.test(text), 'Uid');
		const state = `${gw.config.state}-backends/good`;
		for (const path of [gw.conf, gw.config.state, state,
		    '/etc/shadow', '/root/.profile', gw.config.control]) {
			const r = await say(mcp, 'bad_read', { path });
			ok(r.error && /EACCES|EPERM|ENOENT/.test(r.text),
			    `${path}: ${r.text}`);
		}
	});
}

// [what, the call, what the error says, is the child another one afterwards?]
const failures = [
	['exits in a call', 'exit', /exited with status 7/, true],
	['is killed in a call', 'die', /killed by signal 9/, true],
	['never answers', 'hang', /did not answer in time/, false],
	['writes half a line', 'half', /did not answer in time/, undefined],
	['closes its output', 'closeout', /did not answer in time|exited/,
	    undefined],
	['is stopped', 'stop', /did not answer in time/, undefined],
];

async function failing(gw, mode) {
	const mcp = await new Mcp(gw.url).open();
	const other = await new Mcp(gw.url).open();
	for (const [what, name, why] of failures)
		await test(`BAD a child that ${what} (${mode})`, async () => {
			const t0 = Date.now();
			const call = say(mcp, `bad_${name}`);
			let n = 0;
			const beside = (async () => {
				while (Date.now() - t0 < 1500) {
					const r = await say(other, 'good_echo',
					    { text: String(n) });
					same(r, { text: String(n), error: false },
					    'beside');
					n++;
				}
			})();
			const r = await call;
			const ms = Date.now() - t0;
			ok(r.error && why.test(r.text) && /"bad"/.test(r.text),
			    JSON.stringify(r));
			ok(ms < 2000 + 1000 + 250, `answered after ${ms} ms`);
			await beside;
			ok(n > 20, `${n} calls beside it`);
			const back = await gw.ctl('backend', 'restart', 'bad');
			same(back.status, 0, back.err);
			await until('it to be back', async () => !(await say(mcp,
			    'bad_echo')).error, 15_000, 100);
		});
	await test(`ARG-6 garbage is skipped (${mode})`, async () => {
		same((await say(mcp, 'bad_garbage')).text, 'after garbage', 'it');
		const r = await say(mcp, 'bad_echo', { text: 'x' });
		same(r.text, 'x', 'and after');
	});
	await test(`BAD an array is of the revision that has them (${mode})`,
	    async () => {
		same((await say(mcp, 'good_array')).text, 'in an array', 'it');
		const r = await say(mcp, 'bad_array');
		ok(r.error && /did not answer in time/.test(r.text), r.text);
	});
	await test(`ARG-6 a flood on standard error (${mode})`, async () => {
		const bytes = (full ? 1024 : 64) << 20;
		same((await say(mcp, 'bad_loud', { bytes })).error, false, 'it');
	}, { timeout: 120_000 });
	await test(`ARG-6 a line of 17 MB fails its call alone (${mode})`,
	    async () => {
		const { text: pid } = await say(mcp, 'bad_pid');
		const r = await say(mcp, 'bad_line', { bytes: 17 << 20 });
		ok(r.error && /too large/.test(r.text), JSON.stringify(r));
		same((await say(mcp, 'bad_pid')).text, pid, 'the child');
	});
	await test(`BAD 15 MB pass (${mode})`, async () => {
		const r = await say(mcp, 'bad_big', { bytes: 15 << 20 });
		same(r.text.length, 15 << 20, 'length');
		const t = 'z'.repeat(3 << 20);
		same((await say(mcp, 'bad_echo', { text: t })).text.length,
		    t.length, 'there and back');
	});
	await test(`ARG-6 a flood without a line end ends it (${mode})`,
	    async () => {
		const { text: pid } = await say(mcp, 'bad_pid');
		const r = await say(mcp, 'bad_endless', { bytes: 256 << 20 });
		ok(r.error, JSON.stringify(r));
		await until('its end', () => !running(Number(pid)));
		await gw.ctl('backend', 'restart', 'bad');
		await until('it to be back', async () => !(await say(mcp,
		    'bad_echo')).error, 15_000, 100);
	}, { timeout: 60_000 });
	await test(`ARG-6 daemons and deaf ones go with it (${mode})`,
	    async () => {
		await say(mcp, 'bad_daemon');
		await say(mcp, 'bad_deaf');
		await until('its daemons', () =>
		    children(gw, 'sleep 100').length >= 2);
		await gw.ctl('backend', 'stop', 'bad');
		await until('their end', () =>
		    children(gw, 'sleep 100').length === 0, 15_000);
		const r = await say(mcp, 'bad_echo');
		ok(r.error && /stopped with mcpgwctl/.test(r.text), r.text);
		same((await gw.ctl('backend', 'start', 'bad')).status, 0, 'start');
		await until('it to be back', async () => !(await say(mcp,
		    'bad_echo')).error, 15_000, 100);
	}, { timeout: 60_000 });
	await test(`mcpgwctl shows children and their log (${mode})`,
	    async () => {
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

async function cycles(gw, mode) {
	const n = full ? 1000 : 50;
	const files = () => ['runner', 'keeper', 'worker'].flatMap((role) =>
	    gw.pids(role)).map((pid) => readdirSync(`/proc/${pid}/fd`).length);
	await test(`CYCLES ${n} starts and ends (${mode})`, async () => {
		const mcp = await new Mcp(gw.url).open();
		await until('it to be up', async () => !(await say(mcp,
		    'bad_echo')).error, 15_000, 100);
		await until('the workers of a reload before to go', () =>
		    gw.pids('worker').length === 2, 40_000, 100);
		const before = files(), procs = gw.processes().length;
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
		await until('all to be as before', () =>
		    gw.processes().length === procs, 8000).catch(() => {
			throw new Error(`${gw.processes().length} processes, ${
			    procs} before`);
		});
		const after = files();
		// Connections of this client come and go.
		ok(after.every((f, i) => f <= before[i] + 4),
		    `descriptors: ${before} before, ${after} after`);
		const zombies = gw.processes().filter((p) => p.args[0] === '');
		same(zombies.length, 0, 'zombies');
	}, { timeout: 900_000 });
}

async function crashLoop(gw, mode) {
	gw.config.backends.loop = backend(mode, 2, [child],
	    { env: { AT_START: 'exit' } });
	gw.config.backends.dumb = backend(mode, 3, [child],
	    { env: { AT_START: 'hang' }, start_timeout: '1s' });
	gw.write();
	await gw.reload();
	await test(`BAD children that do not start harm nobody (${mode})`,
	    async () => {
		const mcp = await new Mcp(gw.url).open();
		const t0 = Date.now();
		let n = 0;
		while (Date.now() - t0 < 4000) {
			const r = await say(mcp, 'good_echo', { text: String(n) });
			same(r, { text: String(n), error: false }, 'beside');
			n++;
		}
		ok(n > 100, `${n} calls`);
		const rows = (await gw.ctl('show', 'backends')).out;
		ok(/^loop .*exited with status 3/m.test(rows), rows);
		ok(/^dumb .*did not answer initialize in time/m.test(rows), rows);
		// It backs off: 1, 2, 4 s and not one start after the other.
		const starts = gw.output.split('\n').filter((l) =>
		    /backend loop: .*exited with status 3/.test(l)).length;
		ok(starts >= 2 && starts <= 6, `${starts} starts`);
	});
}

async function killed(gw, mode) {
	await test(`KILL runner (${mode})`, async () => {
		const mcp = await new Mcp(gw.url).open();
		const { text: pid } = await say(mcp, 'good_pid');
		const [runner] = gw.processes().filter((p) =>
		    p.args[0].startsWith('runner'));
		const slow = say(mcp, 'good_slow', { ms: 1500 });
		await sleep(200);
		process.kill(runner.pid, 'SIGKILL');
		const r = await slow;
		ok(r.error, JSON.stringify(r));
		await until('its children to be gone', () =>
		    !running(Number(pid)), 5000);
		const t0 = Date.now();
		await until('service', async () => !(await say(mcp,
		    'good_echo')).error, 10_000, 50);
		ok(Date.now() - t0 < 5000, `back after ${Date.now() - t0} ms`);
	});
	await test(`KILL a worker cancels its calls (${mode})`, async () => {
		const mcp = await new Mcp(gw.url).open();
		const { text: pid } = await say(mcp, 'good_pid');
		const slow = mcp.tool('good_slow', { ms: 1000 }).catch((e) => e);
		await sleep(200);
		for (const w of gw.pids('worker'))
			process.kill(w, 'SIGKILL');
		ok(await slow instanceof Error, 'the call of a killed worker');
		await until('service', async () => (await say(mcp,
		    'good_pid')).text === pid, 10_000, 50);
	});
}

async function reloaded(gw, mode) {
	await test(`RELOAD keeps what is the same (${mode})`, async () => {
		const mcp = await new Mcp(gw.url).open();
		const { text: good } = await say(mcp, 'good_pid');
		const { text: bad } = await say(mcp, 'bad_pid');
		gw.config.backends.bad = { ...gw.config.backends.bad,
		    env: { HOME: '$STATE', MORE: '1' } };
		gw.config.backends.third = backend(mode, 2, [child]);
		gw.write();
		await gw.reload();
		await until('the third', async () => (await tools(mcp))
		    .some((t) => t.name === 'third_echo'), 15_000, 100);
		same((await say(mcp, 'good_pid')).text, good, 'unchanged');
		const env = JSON.parse((await say(mcp, 'bad_env')).text);
		same(env.MORE, '1', 'the changed one');
		await until('the end of the old one', () =>
		    !running(Number(bad)), 20_000);
		delete gw.config.backends.third;
		gw.write();
		await gw.reload();
		await until('no third', async () => !(await tools(mcp))
		    .some((t) => t.name === 'third_echo'), 15_000, 100);
		same((await say(mcp, 'good_pid')).text, good, 'still');
	}, { timeout: 90_000 });
}

async function master(gw, mode) {
	await test(`KILL master: everything goes (${mode})`, async () => {
		const pids = gw.processes().map((p) => p.pid);
		ok(children(gw, child).length >= 2, 'children');
		process.kill(gw.child.pid, 'SIGKILL');
		await until('the end of all', () => !pids.some(running), 5000);
	});
}

run('stdio', async () => {
	for (const mode of modes) {
		await npmServers(mode);
		const gw = await start(mode, {}, { });
		gw.config.drain = '1s';
		await confined(gw, mode);
		await failing(gw, mode);
		await killed(gw, mode);
		await reloaded(gw, mode);
		await cycles(gw, mode);
		await crashLoop(gw, mode);
		await master(gw, mode);
	}
});
