// mcpgwd -S: one stdio server without a config file, as people use supergateway
// and mcp-proxy.
import { chownSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs';
import { Child, descendants, freePort, full, later, ok, root, run, running,
    same, test, tmp, until } from './lib/harness.mjs';
import { Client } from './lib/oauth.mjs';
import { Mcp } from './lib/mcp.mjs';
import { connect } from './lib/sdk.mjs';
import { bin, live, modules, node } from './lib/paths.mjs';

const NOBODY = 65534;
const as = root ? { uid: NOBODY, gid: NOBODY } : {};
const fixture = `'${node}' ${live}/fixture/child.mjs`;

async function place() {
	const dir = tmp();
	for (const d of ['run', 'cwd'])
		mkdirSync(`${dir}/${d}`, { mode: 0o700 });
	if (root)
		for (const d of [dir, `${dir}/run`, `${dir}/cwd`])
			chownSync(d, NOBODY, NOBODY);
	return { dir, port: await freePort() };
}

const launch = (p, args, opts = {},
    argv = [`${bin}/mcpgwd`, '-d', '-L', bin, ...args]) =>
    new Child('mcpgwd', argv[0], argv.slice(1), { cwd: `${p.dir}/cwd`, ...as,
    ...opts, env: {
	PATH: '/usr/bin:/bin', HOME: p.dir, PORT: String(p.port),
	XDG_RUNTIME_DIR: `${p.dir}/run`, API_KEY: 'k "1"\\', LINES: 'a\nb\u0085',
	...opts.env,
	ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1',
} });

async function banner(child, port) {
	const line = await until('the banner', () => {
		ok(child.alive, child.output);
		return child.output.match(/^http:\/\/localhost:.*$/m)?.[0];
	}, process.env.SANITIZE ? 30_000 : 10_000);
	ok(line.startsWith(`http://localhost:${port}/mcp `), line);
	return line;
}

// It is there once its child has told what it has.
const opened = (url, opts) => until('its tools', async () => {
	const mcp = await new Mcp(url, opts).open();
	return (await mcp.list('tools/list', 'tools')).length > 0 && mcp;
}, 15_000, 100);

const say = async (mcp, name, args = {}) =>
    (await mcp.tool(name, args)).content[0].text;

async function ends(child) {
	const pids = descendants(child.pid).map((p) => p.pid);
	ok(pids.length >= 8, `${pids.length} processes`);
	same(await child.stop(8000), 0, 'exit status');
	await until('all to end', () => !pids.some(running), 3000);
}

async function signedIn() {
	const p = await place();
	// A program above the state of the gateway.
	symlinkSync(node, `${p.dir}/server`);
	writeFileSync(`${p.dir}/beside`, '');
	// Beside the state anybody may have put a name that is not UTF-8.
	writeFileSync(Buffer.from(`${p.dir}/caf\xe9`, 'latin1'), '');
	// Links of the caller's, also to above the state.
	symlinkSync('/', `${p.dir}/run/root`);
	symlinkSync('..', `${p.dir}/run/above`);
	symlinkSync('nowhere', `${p.dir}/run/dangling`);
	const child = launch(p, ['-S',
	    `${p.dir}/server ${live}/fixture/child.mjs 'a b' "c'd" e"f"'g' '' '$(id);x|y'`]);
	const line = await banner(child, p.port);
	ok(/does without .*\/caf\\xe9/.test(child.output), child.output);
	// What lay there then need not when a session begins.
	rmSync(`${p.dir}/beside`);
	const base = `http://localhost:${p.port}`;
	const password = line.match(/password: (\S{12})$/)[1];
	same((await fetch(`${base}/mcp`, { method: 'POST' })).status, 401,
	    'without a token');
	const client = await Client.signIn({ base, password });
	const mcp = await opened(`${base}/mcp`,
	    { token: client.tokens.access_token });
	const names = (await mcp.list('tools/list', 'tools')).map((t) => t.name);
	ok(names.includes('echo'), `names have no prefix: ${names}`);
	same(JSON.parse(await say(mcp, 'argv')),
	    ['a b', 'c\'d', 'efg', '', '$(id);x|y'], 'arguments');
	const env = JSON.parse(await say(mcp, 'env'));
	same([env.API_KEY, env.HOME, env.LINES],
	    ['k "1"\\', p.dir, 'a\nb\u0085'], 'the caller\'s own');
	ok(env.TMPDIR.startsWith(`${p.dir}/run/mcpgwd-${p.port}-backends/`),
	    env.TMPDIR);
	// The caller's files, but not what the gateway knows.
	ok(/^root:/.test(await say(mcp, 'read', { path: '/etc/passwd' })), 'read');
	const secret = `${p.dir}/run/mcpgwd-${p.port}/pepper`;
	ok(existsSync(secret), secret);
	ok(/EACCES/.test(await say(mcp, 'read', { path: secret })),
	    'the state of the gateway');
	// Sign-ins outlive it.
	await ends(child);
	const again = launch(p, ['-S', fixture]);
	await banner(again, p.port);
	await opened(`${base}/mcp`, { token: client.tokens.access_token });
	again.signal('SIGHUP');
	await until('new workers', () => descendants(again.pid).some((d) =>
	    /^worker: [34]$/.test(d.args[0])));
	await opened(`${base}/mcp`, { token: client.tokens.access_token });
	await ends(again);
}

async function open() {
	const p = await place();
	const child = launch(p, ['--no-auth', '-S', `'${node}' ${modules}/` +
	    '@modelcontextprotocol/server-everything/dist/index.js stdio']);
	ok(!/password/.test(await banner(child, p.port)), child.output);
	const url = `http://localhost:${p.port}/mcp`;
	await opened(url);
	// As seen directly by a client that can be asked.
	const sdk = await connect('SDK 1.x', url,
	    { sampling: {}, elicitation: {}, roots: {} });
	const names = (await sdk.listTools()).tools.map((t) => t.name);
	for (const n of ['echo', 'get-roots-list', 'trigger-sampling-request',
	    'trigger-elicitation-request'])
		ok(names.includes(n), `${n} among ${names}`);
	const r = await sdk.callTool({ name: 'get-sum',
	    arguments: { a: 2, b: 3 } });
	ok(/5/.test(r.content[0].text), JSON.stringify(r));
	await sdk.close();
	await ends(child);
}

// start_timeout holds, and not what a backend with a url may take.
async function late() {
	const p = await place();
	const child = launch(p, ['--no-auth', '-S', fixture],
	    { env: { LATE: '16000' } });
	await banner(child, p.port);
	const mcp = await new Mcp(`http://localhost:${p.port}/mcp`).open();
	await until('its tools', async () =>
	    (await mcp.list('tools/list', 'tools')).length > 0, 25_000, 500);
	ok(Number(await say(mcp, 'pid')) > 0, 'a call');
	await ends(child);
}

// What the caller's script has started before it became mcpgwd is not a nanny's.
async function beside() {
	const p = await place();
	writeFileSync(`${p.dir}/cwd/up`, 'sleep 7777 >/dev/null 2>&1 &\n' +
	    'echo "sidecar $!"\nexec "$@"\n');
	const child = launch(p, [], {}, ['/bin/sh', 'up', `${bin}/mcpgwd`, '-d',
	    '-L', bin, '--no-auth', '-S', '/bin/sh -c \'kill -SEGV $$\'']);
	await until('its server to die twice', () => (child.output.match(
	    /was killed by signal 11/g) ?? []).length >= 3, 20_000);
	const pid = Number(child.output.match(/^sidecar (\d+)$/m)[1]);
	later(() => process.kill(pid, 'SIGKILL'));
	ok(running(pid), 'the side-car lives');
	child.signal('SIGTERM');
	same(await child.exited, 0, 'exit status');
	ok(running(pid), 'the side-car lives on');
}

async function refused(what, args, status, says, opts) {
	const p = await place();
	const child = launch(p, args, opts);
	await child.exited;
	same(child.status, status, `${what}: ${child.output}`);
	const lines = child.output.split('\n').filter((l) => l !== '');
	ok(says.test(child.output) && (status === 2 || lines.length === 1),
	    `${what}: ${child.output}`);
	ok(!existsSync(`${p.dir}/run/mcpgwd-${p.port}`), `${what}: state is left`);
}

run('single', async () => {
	await test('SINGLE a server behind a password', signedIn,
	    { timeout: 90_000 });
	await test('SINGLE a server for this machine', open, { timeout: 60_000 });
	await test('SINGLE what is beside it is not its own', beside);
	if (full)
		await test('SINGLE a server that takes 16 s to begin', late,
		    { timeout: 90_000 });
	await test('SINGLE what can not be served is said in one line',
	    async () => {
		await refused('quote', ['-S', 'echo "a'], 1, /quotes must be closed/);
		await refused('empty', ['-S', '  '], 1, /give the command/);
		await refused('program', ['-S', 'no-such-program x'], 1,
		    /no-such-program is not in PATH/);
		await refused('port', ['-S', 'cat'], 1, /PORT=x is no port/,
		    { env: { PORT: 'x' } });
		await refused('no auth without', ['--no-auth'], 2, /^usage/);
		await refused('with a file', ['-f', '/x', '-S', 'cat'], 2, /^usage/);
		if (root)
			await refused('as root', ['-S', 'cat'], 1, /as root/,
			    { uid: 0, gid: 0 });
	});
});
