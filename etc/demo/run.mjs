// make run: mcpgwd with four real MCP servers from npm as its children, on this
// machine only, until Ctrl-C. Environment: OBJ, MCPGW_NPM, PORT (4444), ISSUER,
// PASSWORD.
import {
	appendFileSync, chmodSync, chownSync, copyFileSync, cpSync, mkdirSync,
	mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import net from 'node:net';

const here = dirname(fileURLToPath(import.meta.url));
const obj = resolve(here, '../..', process.env.OBJ ?? 'obj');
const modules = `${process.env.MCPGW_NPM ?? `${obj}/npm`}/node_modules`;
const port = Number(process.env.PORT || 4444);
const issuer = (process.env.ISSUER || `http://localhost:${port}`)
    .replace(/\/$/, '');
const password = process.env.PASSWORD || randomBytes(9).toString('base64url');
const isRoot = process.getuid() === 0;
const nobody = { uid: 65534, gid: 65534 };

const children = [];
let dir;
let stopping = false;

function fail(why) {
	console.error(`make run: ${why}`);
	stop(1);
}

async function stop(status) {
	if (stopping)
		return;
	stopping = true;
	for (const c of children)
		await end(c);
	if (dir)
		rmSync(dir, { recursive: true, force: true });
	process.exit(status);
}

function end(child) {
	if (child.exitCode !== null || child.signalCode !== null)
		return undefined;
	return new Promise((done) => {
		const late = setTimeout(() => kill(child, 'SIGKILL'), 5000);
		child.once('close', () => { clearTimeout(late); done(); });
		child.kill('SIGTERM');
	});
}

function kill(child, sig) {
	try {
		process.kill(-child.pid, sig);
	} catch {
		return; // gone already
	}
}

// A program in its own process group, so that Ctrl-C reaches only us. Its
// output goes to a file; the end of it is shown if the program ends.
function start(name, cmd, args, opts = {}) {
	let tail = '';
	const child = spawn(cmd, args, { cwd: '/', detached: true,
	    stdio: ['ignore', 'pipe', 'pipe'], ...opts });
	for (const s of [child.stdout, child.stderr])
		s.on('data', (d) => {
			tail = (tail + d).slice(-2000);
			if (name === 'mcpgwd')
				appendFileSync(`${dir}/mcpgwd.log`, d);
		});
	child.once('error', (e) => fail(`${name}: ${e.message}`));
	child.once('close', (code, sig) => {
		if (!stopping)
			fail(`${name} ended (${sig ?? code}): ${tail}`);
	});
	children.push(child);
	return child;
}

function canListen(p) {
	return new Promise((done) => {
		const s = net.createServer();
		s.once('error', (e) => done(e.code));
		s.listen(p, '127.0.0.1', () => s.close(() => done(undefined)));
	});
}

async function answers(url, want) {
	const end = Date.now() + 30_000;
	while (!stopping && Date.now() < end) {
		try {
			const r = await fetch(url);
			await r.body?.cancel();
			if (want(r.status))
				return true;
		} catch {
			// not listening yet
		}
		await new Promise((r) => setTimeout(r, 50));
	}
	return false;
}

// As root every server runs as a user of its own, and everything they and
// mcpgwd's processes read is put where they can read it.
function stage() {
	dir = mkdtempSync(join(tmpdir(), 'mcpgwd-run-'));
	chmodSync(dir, 0o755);
	mkdirSync(`${dir}/libexec`);
	for (const p of ['mcpgwd', 'worker', 'authd', 'runner', 'nanny',
	    'mcpgwctl']) {
		copyFileSync(`${obj}/${p}`, `${dir}/libexec/${p}`);
		chmodSync(`${dir}/libexec/${p}`, 0o755);
	}
	const readable = !isRoot || spawnSync(`${modules}/.bin/node`, ['-e', ''],
	    { cwd: '/', ...nobody }).status === 0;
	if (readable)
		symlinkSync(modules, `${dir}/node_modules`);
	else
		cpSync(modules, `${dir}/node_modules`,
		    { recursive: true, verbatimSymlinks: true });
}

// The servers, run by path: npx would take 190 ms more at each start.
function servers() {
	const of = (name) => join(realpathSync(`${dir}/node_modules`),
	    '@modelcontextprotocol', name, 'dist/index.js');
	const files = `${dir}/files`;
	mkdirSync(files, { mode: 0o755 });
	writeFileSync(`${files}/hello.txt`, 'This file is yours to change.\n');
	if (isRoot) {
		const id = (o) => Number(execFileSync('id', [o, '_mcpfiles']));
		for (const f of [files, `${files}/hello.txt`])
			chownSync(f, id('-u'), id('-g'));
	}
	return {
		// One for each session: it asks its client questions.
		every: { command: [of('server-everything'), 'stdio'],
		    instance: 'session',
		    declare: ['sampling', 'elicitation', 'roots'] },
		files: { command: [of('server-filesystem'), files],
		    write: [files] },
		memory: { command: [of('server-memory')],
		    env: { MEMORY_FILE_PATH: '$STATE/memory.jsonl' } },
		thinking: { command: [of('server-sequential-thinking')] },
	};
}

// A backend's lines, its values as JSON, which is YAML.
function backend(name, keys) {
	const node = realpathSync(`${dir}/node_modules/.bin/node`);
	const all = { ...keys, command: [node, ...keys.command],
	    read: [realpathSync(`${dir}/node_modules`), `${dir}/node_modules`],
	    ...(isRoot && { user: `_mcp${name}` }) };
	return [`  ${name}:`, ...Object.entries(all).map(([k, v]) =>
	    `    ${k}: ${JSON.stringify(v)}`)];
}

function config(backends) {
	const tunnel = issuer.startsWith('https:');
	const lines = [
		`issuer: ${issuer}`,
		'listen:',
		`  - address: 127.0.0.1:${port}`,
		'workers: 2',
		`state: ${dir}/state`,
		`control: ${dir}/run/mcpgwd.sock`,
		'auth:',
		`  password: ${JSON.stringify(password)}`,
		...(tunnel ? ['trusted_proxies: [127.0.0.1/32]'] : []),
		'backends:',
		...Object.entries(backends).flatMap(([name, keys]) =>
		    backend(name, keys)),
	];
	const file = `${dir}/mcpgwd.conf`;
	writeFileSync(file, lines.join('\n') + '\n', { mode: 0o600 });
	mkdirSync(`${dir}/run`, { mode: 0o755 });
	return file;
}

function banner() {
	const local = `http://localhost:${port}`;
	const pub = issuer.startsWith('https:');
	console.log(`
mcpgwd is running${isRoot ? '' : ' (not root)'}, with four MCP servers: every, files,
memory, thinking

  address    ${issuer}/mcp
  password   ${password}      (name: owner)

Connect a client; it opens a browser, you sign in with the password:

  claude mcp add --transport http mcpgwd ${issuer}/mcp
  npx -y @modelcontextprotocol/inspector --transport http --server-url ${issuer}/mcp
  npx -y mcp-remote ${issuer}/mcp             (for clients that only run commands)

Look at what a client finds first:

  curl -i ${local}/mcp
  curl ${local}/.well-known/oauth-protected-resource/mcp
  curl ${local}/.well-known/oauth-authorization-server

Ask the daemon:

  ${dir}/libexec/mcpgwctl -s ${dir}/run/mcpgwd.sock status
`);
	if (!pub)
		console.log(`claude.ai and ChatGPT come from the internet: they need a public https address.
Point a tunnel or an https proxy at http://127.0.0.1:${port} (for example
"cloudflared tunnel --url http://127.0.0.1:${port}"), then start again with the
name it gives you:

  make run ISSUER=https://NAME
`);
	else
		console.log(`In claude.ai: Settings, Connectors, Add custom connector, ${issuer}/mcp
Your tunnel or proxy must lead ${issuer} to http://127.0.0.1:${port} and keep
the Host header.
`);
	console.log(`The log is ${dir}/mcpgwd.log. Ctrl-C stops everything.`);
}

async function main() {
	for (const sig of ['SIGINT', 'SIGTERM', 'SIGHUP'])
		process.on(sig, () => stop(0));
	if (!(port > 0 && port < 65536))
		return fail(`PORT=${process.env.PORT} is not a port`);
	if (!/^(https:\/\/[^/?#]+|http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?)$/
	    .test(issuer))
		return fail(`ISSUER=${issuer}: https://NAME, without a path`);
	const busy = await canListen(port);
	if (busy !== undefined)
		return fail(busy === 'EADDRINUSE' ?
		    `port ${port} is taken; choose another: make run PORT=4445` :
		    `cannot listen on 127.0.0.1:${port}: ${busy}`);
	stage();
	const file = config(servers());
	if (stopping)
		return undefined;
	start('mcpgwd', `${dir}/libexec/mcpgwd`,
	    ['-d', '-f', file, '-L', `${dir}/libexec`]);
	if (!await answers(`http://127.0.0.1:${port}/health?ready`,
	    (s) => s === 200))
		return fail('mcpgwd is not ready after 30 s');
	if (!stopping)
		banner();
	return undefined;
}

await main().catch((e) => fail(e.message));
