// What another process of its uid does to a nanny: where the kernel can it is
// kept from it, and elsewhere a nanny that is stopped takes nobody along. Then
// what an operator sees of it.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, statSync,
    writeFileSync } from 'node:fs';
import { Child, descendants, later, ok, root, run, running, same, test, until }
    from './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { Mcp } from './lib/mcp.mjs';
import { bin, live, node, npm, obj } from './lib/paths.mjs';

const child = `${live}/fixture/child.mjs`;
const users = ['_mcpevery', '_mcpfiles'];
const SOON = 5500; // ms: two seconds of SIGTERM, two of patience, the rest

const config = (mode) => ({
	drain: '1s',
	backends: Object.fromEntries(['a', 'b'].map((name, n) => [name, {
		command: [node, child], read: [npm, live],
		...(mode === 'root' && { user: users[n] }),
		stop_timeout: '1s', env: { HOME: '$STATE' },
	}])),
	endpoints: { '/mcp': { backends: '*', auth: 'none' } },
});

async function open(gw) {
	const mcp = await new Mcp(gw.url).open();
	await until('all tools on both workers', async () => {
		mcp.workers.clear();
		for (let i = 0; i < 20; i++) {
			const all = await mcp.list('tools/list', 'tools');
			if (new Set(all.map((t) => t.name[0])).size < 2)
				return false;
		}
		return mcp.workers.size === 2;
	});
	return mcp;
}

async function say(mcp, name, args = {}) {
	const r = await mcp.tool(name, args);
	ok(!r.isError, `${name}: ${r.content[0].text}`);
	return r.content[0].text;
}

const children = async (gw) => Object.fromEntries(JSON.parse((await gw.ctl(
    '-j', 'show', 'children')).out).map((c) => [c.backend, c]));

const stat = (pid) => readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '').split(' ');
const stopped = (pid) => stat(pid)[0] === 'T';

// The control groups, if they are ours to divide.
const mount = root && /^0::\/$/m.test(readFileSync('/proc/self/cgroup',
    'utf8')) ? readFileSync('/proc/self/mountinfo', 'utf8')
    .match(/^\S+ \S+ \S+ \/ (\S+) .* - cgroup2 /m)?.[1] : undefined;

async function stop(pid) {
	process.kill(pid, 'SIGSTOP');
	await until('it to be stopped', () => stopped(pid));
}

// Nothing but SIGKILL gets through to it. Without control groups it is stopped
// again and again, and may have a moment in between: then false.
async function holdDown(pid) {
	if (mount === undefined) {
		const sh = spawn('/bin/sh', ['-c',
		    'while kill -STOP "$0"; do :; done', String(pid)],
		{ stdio: 'ignore' });
		const over = new Promise((r) => sh.once('exit', r));
		later(() => { sh.kill('SIGKILL'); return over; });
		await stop(pid);
		return false;
	}
	const group = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
	    .match(/^0::\/(.+)$/m)?.[1];
	const dir = `${mount}/${group ?? `mcpgw-test-${pid}`}`;
	if (group === undefined) {
		mkdirSync(dir);
		writeFileSync(`${dir}/cgroup.procs`, String(pid));
	}
	later(async () => {
		if (!existsSync(dir))
			return;
		writeFileSync(`${dir}/cgroup.freeze`, '0');
		// Master may be first to remove it.
		await until('the group to be empty', () => {
			if (existsSync(dir))
				rmdirSync(dir);
			return true;
		}, 3000);
	});
	writeFileSync(`${dir}/cgroup.freeze`, '1');
	await until('it to be frozen', () => /^frozen 1$/m.test(readFileSync(
	    `${dir}/cgroup.events`, 'utf8')));
	return true;
}

// A server that hears nothing, with daemons: its whole tree.
async function busyTree(gw, mcp, b) {
	const { nanny } = (await children(gw))[b];
	await say(mcp, `${b}_deaf`);
	await say(mcp, `${b}_daemon`);
	return until('its daemons', () => {
		const tree = descendants(nanny);
		return ['1000', '1001'].every((s) => tree.some(({ args }) =>
		    args[0] === 'sleep' && args[1] === s)) &&
		    { nanny, pids: [nanny, ...tree.map((p) => p.pid)] };
	});
}

async function shown(gw, mcp, mode) {
	await test(`mcpgwctl shows server and nanny (${mode})`, async () => {
		const rows = await children(gw);
		for (const b of ['a', 'b']) {
			const { pid, nanny } = rows[b];
			same(pid, Number(await say(mcp, `${b}_pid`)), 'pid');
			same(Number(stat(pid)[1]), nanny, 'nanny');
		}
	});
	await test(`the state of a child is its user's alone (${mode})`,
	    async () => {
		const above = `${gw.config.state}-backends`;
		const master = statSync(`/proc/${gw.child.pid}`).uid;
		same([statSync(above).uid, statSync(above).mode & 0o7777],
		    [master, mode === 'root' ? 0o711 : 0o700], 'above');
		for (const [b, { pid }] of Object.entries(await children(gw)))
			for (const d of ['', '/tmp']) {
				const s = statSync(`${above}/${b}${d}`);
				const uid = Number(readFileSync(
				    `/proc/${pid}/status`, 'utf8')
				    .match(/^Uid:\s+(\d+)/m)[1]);
				same([s.uid, s.mode & 0o7777, s.isDirectory()],
				    [uid, 0o700, true], `${b}${d}`);
			}
	});
}

// Its own nanny is refused by the filter, which is in the unit tests.
async function signals(gw, mcp) {
	const abi = Number(gw.output.match(/landlock=abi(\d+)/)?.[1] ?? 0);
	if (abi < 6) {
		console.log('# signals: Landlock of this kernel has no scope');
		return;
	}
	await test('ARG-6 it can signal nobody beside it', async () => {
		const { a, b } = await children(gw);
		const whom = { nanny: b.nanny, server: b.pid,
		    master: gw.child.pid, 'own nanny': a.nanny };
		for (const role of ['worker', 'authd', 'keeper', 'runner'])
			[whom[role]] = gw.pids(role);
		for (const [who, pid] of Object.entries(whom)) {
			ok(running(pid), `${who}: ${pid}`);
			// Nothing comes of this one where it is not refused.
			same(await say(mcp, 'a_signal', { pid, sig: 'SIGURG' }),
			    'EPERM', who);
		}
		same(await say(mcp, 'a_signal', { pid: a.pid, sig: 'SIGURG' }),
		    'sent', 'itself');
	});
}

const KILLED = /nanny \d+ does not end what it keeps: killed/;

async function stopIt(gw, mcp, held) {
	const { nanny, pids } = await busyTree(gw, mcp, 'a');
	let sure = true;
	if (held)
		sure = await holdDown(nanny);
	else
		await stop(nanny);
	const from = gw.output.length;
	same((await gw.ctl('backend', 'stop', 'a')).status, 0, 'stop');
	await until('the end of its tree', () => !pids.some(running), SOON);
	await until('no child', async () =>
	    (await children(gw)).a.state === 'stopped', 1000);
	if (sure)
		same(KILLED.test(gw.output.slice(from)), held, 'was killed');
	same((await gw.ctl('backend', 'start', 'a')).status, 0, 'start');
	await until('it to be back', async () =>
	    !(await mcp.tool('a_echo')).isError);
}

async function stops(gw, mcp, mode) {
	if (mode === 'user')
		await test('ARG-6 a nanny that is stopped goes on, to end',
		    () => stopIt(gw, mcp, false));
	await test(`ARG-6 a nanny that is held down is ended (${mode})`,
	    () => stopIt(gw, mcp, true));
}

// SIGTERM of master, while both nannies are stopped.
async function end(gw, mcp) {
	await test('ARG-6 SIGTERM ends nannies that are stopped',
	    async () => {
		const a = await busyTree(gw, mcp, 'a');
		const b = await busyTree(gw, mcp, 'b');
		const sure = await holdDown(a.nanny);
		await stop(b.nanny);
		const from = gw.output.length;
		await gw.stop(SOON);
		same([...a.pids, ...b.pids].filter(running), [], 'left');
		if (sure)
			same(gw.output.slice(from).match(new RegExp(KILLED,
			    'g'))?.length, 1, 'killed');
	});
}

// The next master ends what the one before, that was killed, has left.
async function swept(gw, mcp) {
	if (mount === undefined) {
		console.log('# control groups: none, or not ours to divide');
		return;
	}
	await test('ARG-6 what a killed master leaves goes at the next start',
	    async () => {
		const { nanny, pids } = await busyTree(gw, mcp, 'a');
		const groups = () => readdirSync(mount).filter((n) =>
		    n.startsWith(`mcpgwd-${old}-`));
		const old = gw.child.pid;
		await stop(nanny);
		const rest = gw.processes().map((p) => p.pid)
		    .filter((p) => !pids.includes(p));
		process.kill(old, 'SIGKILL');
		await gw.child.exited;
		await until('the others to end', () => !rest.some(running));
		ok(running(nanny) && groups().length > 0, 'nothing is left');
		await gw.start();
		same(pids.filter(running), [], 'left');
		same(groups(), [], 'groups');
	});
}

// Nobody can kill what the freezer of cgroup v1 holds: it is as a process that
// a device does not let go.
async function frozen(gw, mcp) {
	const dir = `/sys/fs/cgroup/freezer/mcpgw-test-${process.pid}`;
	if (!root || !existsSync('/sys/fs/cgroup/freezer/cgroup.procs')) {
		console.log('# freezer: none');
		return;
	}
	await test('SIGTERM ends master, whoever does not end', async () => {
		const { nanny, pids } = await busyTree(gw, mcp, 'a');
		mkdirSync(dir);
		const thaw = later(async () => {
			if (!existsSync(dir))
				return;
			writeFileSync(`${dir}/freezer.state`, 'THAWED');
			await until('the end of all', () => !pids.some(running),
			    3000);
			await until('the freezer to be empty', () => {
				rmdirSync(dir);
				return true;
			}, 3000);
		});
		writeFileSync(`${dir}/cgroup.procs`, String(nanny));
		writeFileSync(`${dir}/freezer.state`, 'FROZEN');
		gw.child.signal('SIGTERM');
		await until('its end', () => !gw.child.alive, 10_000);
		ok(running(nanny), 'it was not held');
		ok(/does not end: left/.test(gw.output), gw.output.slice(-500));
		await thaw();
	});
}

async function noLandlock() {
	const filter = `${obj}/regress/unit/common_nanny_test`;
	if (!existsSync(filter)) {
		console.log('# no Landlock: make unit');
		return;
	}
	await test('without Landlock the log says it once', async () => {
		const gw = await Gateway.make({ config: config(modes[0]) });
		const d = new Child('mcpgwd', filter, ['without landlock',
		    `${bin}/mcpgwd`, '-d', '-f', gw.conf, '-L', bin],
		{ cwd: '/', env: { PATH: '/usr/bin:/bin', HOME: gw.dir,
		    ASAN_OPTIONS: 'detect_leaks=0' } });
		await until('both', () => [...d.output.matchAll(
		    /process \d+ is up/g)].length === 2);
		same([...d.output.matchAll(/this kernel has no Landlock: /g)]
		    .length, 1, 'lines');
		ok(/landlock=none/.test(d.output), d.output);
		await d.stop();
	});
}

run('nanny', async () => {
	await noLandlock();
	for (const mode of modes) {
		const gw = await Gateway.start({ mode, config: config(mode) });
		const mcp = await open(gw);
		await shown(gw, mcp, mode);
		if (mode === 'user')
			await signals(gw, mcp);
		await stops(gw, mcp, mode);
		if (mode === 'root') {
			await swept(gw, mcp);
			await frozen(gw, await open(gw));
		} else
			await end(gw, mcp);
	}
});
