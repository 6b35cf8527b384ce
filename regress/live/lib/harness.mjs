// The harness: tests that print "ok NAME" or "not ok NAME: why", and a list of
// things to undo that is worked off whatever happens.
import { mkdtempSync, rmSync, chmodSync, readFileSync, readdirSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import net from 'node:net';

export const full = process.env.FULL === '1';
export const root = process.getuid() === 0;

let passed = 0;
let failed = 0;
const undo = [];
// The daemons' logs are shown when a test file fails.
const daemons = [];

export function later(fn) {
	undo.push(fn);
	return fn;
}

async function cleanup() {
	while (undo.length > 0) {
		try {
			await undo.pop()();
		} catch (e) {
			failed++;
			console.log(`not ok clean up: ${e.message}`);
		}
	}
}

function report(name, e) {
	if (e === undefined) {
		passed++;
		console.log(`ok ${name}`);
		return;
	}
	failed++;
	const why = String(e?.message ?? e).replace(/\s*\n\s*/g, ' | ');
	console.log(`not ok ${name}: ${why.slice(0, 2000)}`);
	if (process.env.VERBOSE && e?.stack)
		console.error(e.stack);
}

// One case. Its failure does not stop the file, so cases must not lean on one
// another; returns what fn returned, or undefined after a failure.
// CASE: a pattern that the names of the cases to run match.
export async function test(name, fn, { timeout = 60_000 } = {}) {
	let timer;
	if (!new RegExp(process.env.CASE ?? '').test(name))
		return undefined;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(
		    new Error(`not done within ${timeout} ms`)), timeout);
	});
	try {
		const r = await Promise.race([fn(), late]);
		report(name);
		return r;
	} catch (e) {
		report(name, e);
		return undefined;
	} finally {
		clearTimeout(timer);
	}
}

// A whole test file. What main throws is the file's failure.
export async function run(file, main) {
	let stopping = false;
	const stop = async (sig) => {
		if (stopping)
			return;
		stopping = true;
		console.log(`not ok ${file}: ended by ${sig}`);
		await cleanup();
		process.exit(1);
	};
	for (const sig of ['SIGINT', 'SIGTERM', 'SIGHUP'])
		process.on(sig, () => stop(sig));
	process.on('unhandledRejection', (e) => report(`${file} (unhandled)`, e));
	process.on('uncaughtException', (e) => report(`${file} (uncaught)`, e));
	try {
		await main();
	} catch (e) {
		report(file, e);
		if (e?.stack)
			console.error(e.stack);
	}
	await cleanup();
	if (failed > 0)
		for (const d of daemons.filter((x) => x.status !== 1))
			console.error(`--- the log of ${d.pid}, status ${d.status}:\n${
			    d.output.split('\n').slice(-60).join('\n')}`);
	if (passed + failed === 0)
		report(file, new Error('no test ran'));
	process.exit(failed === 0 ? 0 : 1);
}

export class Assertion extends Error {}

export function ok(cond, what) {
	if (!cond)
		throw new Assertion(what);
}

export function same(got, want, what) {
	const g = JSON.stringify(got), w = JSON.stringify(want);
	if (g !== w)
		throw new Assertion(
		    `${what}: ${clip(g)} instead of ${clip(w)}`);
}

// The same, whatever the order of keys.
export function alike(got, want, what) {
	same(sorted(got), sorted(want), what);
}

function sorted(v) {
	if (v === null || typeof v !== 'object')
		return v;
	return Array.isArray(v) ? v.map(sorted) : Object.fromEntries(
	    Object.keys(v).sort().map((k) => [k, sorted(v[k])]));
}

export function clip(s, n = 400) {
	s = String(s);
	return s.length > n ? `${s.slice(0, n)}… (${s.length})` : s;
}

export const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

// Waits until fn returns something true; fn may throw meanwhile.
export async function until(what, fn, timeout = 15_000, every = 20) {
	const end = Date.now() + timeout;
	let last;
	for (;;) {
		try {
			const r = await fn();
			if (r)
				return r;
			last = undefined;
		} catch (e) {
			last = e;
		}
		if (Date.now() > end)
			throw new Assertion(`${what}: not within ${timeout} ms` +
			    (last ? ` (${last.message})` : ''));
		await sleep(every);
	}
}

export function tmp(prefix = 'mcpgw-') {
	const dir = mkdtempSync(join(tmpdir(), prefix));
	chmodSync(dir, 0o755);
	later(() => rmSync(dir, { recursive: true, force: true }));
	return dir;
}

const taken = new Set();

// A free port on 127.0.0.1 below 32768, where no ephemeral port collides.
// Files that run side by side start from different places.
export async function freePort() {
	for (let i = 0; i < 200; i++) {
		const port = 10_000 + Math.floor(Math.random() * 22_000);
		if (taken.has(port))
			continue;
		taken.add(port);
		if (await bindable(port))
			return port;
	}
	throw new Error('no free port');
}

export function bindable(port, host = '127.0.0.1') {
	return new Promise((done) => {
		const s = net.createServer();
		s.once('error', () => done(false));
		s.listen(port, host, () => s.close(() => done(true)));
	});
}

// A child in a process group of its own. Its output is kept (the last 256 KiB)
// and shown when VERBOSE is set.
export class Child {
	constructor(name, cmd, args, opts = {}) {
		this.name = name;
		this.output = '';
		this.lines = [];
		this.proc = spawn(cmd, args, {
			stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...opts,
		});
		this.pid = this.proc.pid;
		this.exited = new Promise((r) => {
			this.proc.once('error', (e) => {
				this.status = `cannot run ${cmd}: ${e.message}`;
				r(this.status);
			});
			this.proc.once('close', (code, sig) => {
				this.status ??= sig ?? code;
				r(this.status);
			});
		});
		for (const s of [this.proc.stdout, this.proc.stderr])
			s?.on('data', (d) => this.#take(d));
		later(() => this.stop());
		if (name === 'mcpgwd')
			daemons.push(this);
	}

	#take(d) {
		if (process.env.VERBOSE)
			process.stderr.write(`[${this.name}] ${d}`);
		this.output = (this.output + d).slice(-262_144);
	}

	get alive() {
		return this.status === undefined;
	}

	signal(sig) {
		try {
			process.kill(this.pid, sig);
		} catch (e) {
			if (e.code !== 'ESRCH')
				throw e;
		}
	}

	// TERM, then KILL for the whole group after grace ms.
	async stop(grace = 5000) {
		if (this.alive) {
			this.signal('SIGTERM');
			await Promise.race([this.exited, sleep(grace)]);
		}
		this.killGroup();
		await this.exited;
		return this.status;
	}

	killGroup() {
		try {
			process.kill(-this.pid, 'SIGKILL');
		} catch (e) {
			if (e.code !== 'ESRCH')
				throw e;
		}
	}
}

// /proc: the living processes below pid: [{pid, ppid, comm, args}].
export function descendants(pid) {
	const all = processes();
	const found = [];
	let front = [pid];
	while (front.length > 0) {
		const next = all.filter((p) => front.includes(p.ppid));
		found.push(...next);
		front = next.map((p) => p.pid);
	}
	return found;
}

// Those that nobody has waited for, of pid's and of all that live below it.
export function zombies(pid) {
	const parents = [pid, ...descendants(pid).map((p) => p.pid)];
	return processes(true).filter((p) => parents.includes(p.ppid));
}

function processes(dead = false) {
	const out = [];
	for (const d of readdirSync('/proc')) {
		if (!/^\d+$/.test(d))
			continue;
		try {
			const stat = readFileSync(`/proc/${d}/stat`, 'utf8');
			const m = stat.match(/^\d+ \((.*)\) (\S) (\d+)/s);
			if ((m[2] === 'Z') !== dead)
				continue;
			out.push({
				pid: Number(d), comm: m[1], ppid: Number(m[3]),
				args: readFileSync(`/proc/${d}/cmdline`, 'utf8')
				    .split('\0').slice(0, -1),
			});
		} catch {
			continue; // it ended meanwhile
		}
	}
	return out;
}

export function running(pid) {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
		return !/^\d+ \(.*\) Z/s.test(stat);
	} catch {
		return false;
	}
}
