// The programs of the benchmark: the load generator, the servers behind, and
// the gateways between them. A gateway is {pid, url, tool, headers, stop}, with
// url without its scheme.
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createHmac } from 'node:crypto';
import {
	Child, descendants, freePort, ok, root, sleep, tmp,
} from '../live/lib/harness.mjs';
import { Gateway } from '../live/lib/gateway.mjs';
import { node, obj } from '../live/lib/paths.mjs';
import { cpu } from './proc.mjs';

export const bench = `${obj}/bench`;
export const echo = `${bench}/echo`;

// The gateway under test has one processor, everything else the other.
const PROXY = '0';
const REST = '1';

const NOBODY = 65534;
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

// Others on this machine wait for what is measured. The kernel weighs sessions,
// not processes, where it groups them.
function first(pid) {
	if (!root)
		return;
	try {
		writeFileSync(`/proc/${pid}/autogroup`, '-20');
	} catch {
		return; // it has none
	}
}

function start(name, core, argv, opts = {}) {
	const pinned = core === undefined ? argv :
	    ['taskset', '-c', core, ...argv];
	const child = new Child(name, pinned[0], pinned.slice(1),
	    { cwd: '/', ...opts, env: { PATH, ...opts.env } });
	first(child.pid);
	return child;
}

// ---- the load generator ----

const load = (args, core) => start('load', core, [`${bench}/load`, ...args],
    { stdio: ['pipe', 'pipe', 'pipe'] });

async function ready(child) {
	while (child.alive && !/^ready$/m.test(child.output))
		await sleep(2);
	ok(child.alive, `load: ${child.output}`);
}

// When each of the targets has answered a call, or only initialize;
// milliseconds since t0.
export async function answered(urls, { t0 = process.hrtime.bigint(),
    tool = 'echo', only = false, headers = [], timeout = 30 } = {}) {
	const child = load(['-T', String(timeout), '-t', tool,
	    ...(only ? ['-i'] : []),
	    ...headers.flatMap((h) => ['-H', h]), 'wait', ...urls]);
	const status = await child.exited;
	ok(status === 0, `${urls[0]}: ${child.output}`);
	return Number(BigInt(child.output.trim()) - t0) / 1e6;
}

// Clients that call without a pause. What it cost the gateway, and how it went.
export async function measure(gw, { clients = 32, filler = 0, mode = 'call',
    seconds, during = () => {} }) {
	const child = load(['-c', String(clients), '-d', String(seconds),
	    '-f', String(filler), '-t', gw.tool,
	    ...(gw.headers ?? []).flatMap((h) => ['-H', h]), mode, gw.url],
	REST);
	await ready(child);
	const before = cpu(gw.pid);
	child.proc.stdin.write('go\n');
	const watch = setInterval(during, 100);
	await child.exited;
	clearInterval(watch);
	const used = cpu(gw.pid) - before;
	const json = child.output.split('\n').find((l) => l.startsWith('{'));
	ok(json !== undefined, `load: ${child.output}`);
	const r = JSON.parse(json);
	if (r.errors > 0)
		console.log(`  ${gw.name}: ${r.errors} errors: ${child.output
		    .split('\n').filter((l) => /^load: /.test(l)).join(' ')}`);
	return { ...r, rate: r.calls / r.seconds, cpu: used / r.calls,
	    busy: used / 1e6 / r.seconds };
}

// So many sessions with an open stream, while fn looks at them.
export async function hold(gw, clients, fn) {
	const child = load(['-c', String(clients), '-p', '16',
	    'idle', gw.url]);
	await ready(child);
	await sleep(500);
	const r = await fn();
	ok(child.alive, `load: ${child.output}`);
	child.proc.stdin.end();
	await child.exited;
	return r;
}

// ---- what stands behind ----

// MCP servers over HTTP, all in one process: {urls, stop}.
export async function sinks(n, args = []) {
	const ports = [];
	while (ports.length < n)
		ports.push(await freePort());
	const child = start('sink', REST, [`${bench}/sink`, ...args,
	    ...ports.map(String)]);
	const urls = ports.map((p) => `127.0.0.1:${p}/mcp`);
	await answered(urls);
	return { urls, stop: () => child.stop() };
}

// ---- mcpgwd ----

function pin(pid) {
	for (const p of [pid, ...descendants(pid).map((d) => d.pid)]) {
		execFileSync('taskset', ['-a', '-c', '-p', PROXY, String(p)],
		    { stdio: 'ignore' });
		first(p);
	}
}

const open = { '/mcp': { auth: 'none' } };

export const make = ({ config, ...opts }) => Gateway.make({ ...opts, config: {
	workers: 1, endpoints: open, ...config,
	limits: { streams_per_user: 0, connections: 9000 },
} });

// Starts it without waiting for it.
export function launch(gw) {
	gw.launch();
	first(gw.child.pid);
}

// backends as in mcpgwd.conf; tool: the first one's, as clients see it.
export async function mcpgwd({ backends, pinned = true, ...opts }) {
	const config = { backends, ...opts.config };
	const gw = await make({ ...opts, config });
	await gw.start();
	if (pinned)
		pin(gw.child.pid);
	return { name: 'mcpgwd', pid: gw.child.pid, gw,
	    url: `127.0.0.1:${gw.port}/mcp`,
	    tool: `${Object.keys(backends)[0]}_echo`, stop: () => gw.stop() };
}

export const http = (urls) => Object.fromEntries(urls.map((u, i) =>
    [`b${i}`, { url: `http://${u}` }]));

// As root each would need a user of its own, so these gateways are not root.
export const stdioMode = { mode: 'user' };
export const stdio = (n) => Object.fromEntries(Array.from({ length: n },
    (_, i) => [`b${i}`, { command: [echo] }]));

// ---- the proxies of Debian ----

async function proxy(name, argv, port, headers = []) {
	const child = start(name, PROXY, argv);
	const gw = { name, pid: child.pid, url: `127.0.0.1:${port}/mcp`,
	    tool: 'echo', headers, stop: () => child.stop() };
	await answered([gw.url], { headers }).catch((e) => {
		throw new Error(`${name}: ${e.message} ${child.output}`);
	});
	return gw;
}

// As fast as it goes: no log, nothing to disk, connections kept on both sides.
export async function nginx(upstream) {
	const dir = tmp();
	const port = await freePort();
	const conf = `${dir}/nginx.conf`;
	writeFileSync(conf, `daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${dir}/pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
	access_log off;
	tcp_nodelay on;
	keepalive_timeout 300s;
	keepalive_requests 100000000;
	client_max_body_size 16m;
	client_body_buffer_size 128k;
	${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((t) =>
	    `${t}_temp_path ${dir}/${t};`).join('\n\t')}
	upstream sink {
		server ${upstream.replace('/mcp', '')};
		keepalive 512;
		keepalive_requests 100000000;
	}
	server {
		listen 127.0.0.1:${port} backlog=4096;
		location /mcp {
			proxy_pass http://sink;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_read_timeout 600s;
			proxy_buffering off;
		}
	}
}
`);
	return proxy('nginx', ['nginx', '-p', dir, '-c', conf], port);
}

const b64 = (x) => Buffer.from(x).toString('base64url');

// Of the same size and claims as those that mcpgwd gives out.
function hs256(key, iss, aud) {
	const now = Math.floor(Date.now() / 1000);
	const signed = `${b64('{"alg":"HS256","typ":"at+jwt","kid":"k1"}')}.${
	    b64(JSON.stringify({ iss, aud, sub: 'user-0123456789',
	    client_id: 'client-0123456789abcdef', scope: 'mcp', iat: now,
	    exp: now + 86_400, jti: '0123456789abcdef0123456789abcdef' }))}`;
	return `${signed}.${createHmac('sha256', key).update(signed)
	    .digest('base64url')}`;
}

// One thread that checks what a resource server must of an HS256 token.
export async function haproxy(upstream) {
	const dir = tmp();
	const port = await freePort();
	const iss = `http://127.0.0.1:${port}`, aud = `${iss}/mcp`;
	const key = '0123456789abcdef0123456789abcdef';
	const conf = `${dir}/haproxy.cfg`;
	const get = (v, q, type) => `http-request set-var(txn.${v}) ` +
	    `var(txn.bearer),jwt_${q}_query('$.${v}'${type ?? ''})`;
	const deny = (unless) =>
	    `http-request deny deny_status 401 unless { ${unless} }`;
	writeFileSync(conf, `global
	maxconn 4000
	nbthread 1
defaults
	mode http
	timeout connect 5s
	timeout client 600s
	timeout server 600s
	timeout http-keep-alive 300s
frontend clients
	bind 127.0.0.1:${port} backlog 4096
	${deny('req.hdr(authorization) -m found')}
	http-request set-var(txn.bearer) http_auth_bearer
	${get('alg', 'header')}
	${get('iss', 'payload')}
	${get('aud', 'payload')}
	${get('exp', 'payload', ",'int'")}
	http-request set-var(txn.now) date()
	${deny('var(txn.alg) -m str HS256')}
	${deny(`var(txn.iss) -m str ${iss}`)}
	${deny(`var(txn.aud) -m str ${aud}`)}
	${deny('var(txn.exp),sub(txn.now) -m int ge 0')}
	${deny(`var(txn.bearer),jwt_verify(txn.alg,"${key}") -m int 1`)}
	default_backend sink
backend sink
	http-reuse always
	server sink ${upstream.replace('/mcp', '')} pool-max-conn 1000
`);
	return proxy('haproxy', ['haproxy', '-f', conf], port,
	    [`Authorization: Bearer ${hs256(key, iss, aud)}`]);
}

// ---- the gateways from npm ----

const packages = `${bench}/npm/node_modules`;

export const version = (name) => JSON.parse(
    readFileSync(`${packages}/${name}/package.json`)).version;

function program(name) {
	const dir = `${packages}/${name}`;
	const { bin } = JSON.parse(readFileSync(`${dir}/package.json`));
	return `${dir}/${typeof bin === 'string' ? bin : bin[name]}`;
}

// The fastest that each can: a session keeps its child, and no more is logged
// or remembered than must be.
const npmArgs = {
	supergateway: (port) => ['--stdio', echo, '--stateful', '--port', port,
	    '--outputTransport', 'streamableHttp', '--logLevel', 'none'],
	'mcp-proxy': (port) => ['--host', '127.0.0.1', '--port', port,
	    '--server', 'stream', '--no-eventStore', '--', echo],
};

// Starts it without waiting for it.
export async function npm(name, pinned = true) {
	const port = await freePort();
	const home = tmp();
	if (root)
		chownSync(home, NOBODY, NOBODY);
	const child = start(name, pinned ? PROXY : undefined,
	    [node, program(name), ...npmArgs[name](String(port))], { cwd: home,
	    env: { HOME: home, NODE_ENV: 'production' },
	    ...(root && { uid: NOBODY, gid: NOBODY }) });
	return { name, pid: child.pid, url: `127.0.0.1:${port}/mcp`,
	    tool: 'echo', stop: () => child.stop() };
}

export const peers = Object.keys(npmArgs);
