// ARG-7: what a stdio child is not given though it has put a link in the way,
// at its next start, after a reload, and after a restart.
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync,
} from 'node:fs';
import {
	Child, bindable, ok, root, run, running, same, test, tmp, until,
} from './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { Mcp } from './lib/mcp.mjs';
import { backend, child, say, up } from './lib/child.mjs';
import { live, node } from './lib/paths.mjs';

const NOBODY = 65534;

// In a folder that everybody may enter. The server is a's; b only reads what a
// may change.
async function make(mode) {
	const gw = await Gateway.make({ mode, config: {
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	const d = gw.dir;
	for (const name of ['x', 'x/share', 'x/share/data', 'p', 'other'])
		mkdirSync(`${d}/${name}`);
	for (const name of ['x/share/data', 'other'])
		writeFileSync(`${d}/${name}/file`, `of ${name}`);
	// The admin's: neither lies where a child can get.
	symlinkSync(`${d}/x/share/data`, `${d}/x/data`);
	symlinkSync(node, `${d}/p/node`);
	chmodSync(d, 0o755);
	for (const name of ['x/share', 'x/share/data']) {
		chmodSync(`${d}/${name}`, 0o777);
		if (root && mode === 'user')
			chownSync(`${d}/${name}`, NOBODY, NOBODY);
	}
	const of = (n, more) => {
		// Nanny says why it ends after the limits are set, and sanitizers
		// want memory for that.
		const b = backend(mode, n, [child], { ...more,
		    ...(process.env.SANITIZE && { memory: 0 }) });
		b.command[0] = `${d}/p/node`;
		b.read = [...b.read, `${d}/x/data`];
		return b;
	};
	gw.config.backends = {
		a: of(0, { write: [`${d}/x/share/.`] }), b: of(1),
	};
	gw.write();
	return gw;
}

const tool = async (gw, name, args) =>
    say(await new Mcp(gw.url).open(), name, args);

async function works(gw, name) {
	return until(`${name} to work`, async () => {
		const r = await tool(gw, `${name}_pid`);
		return !r.error && Number(r.text);
	}, 20_000, 100);
}

async function denied(gw, when) {
	const { text } = await tool(gw, 'a_read', { path: `${gw.dir}/x/data/file` });
	ok(/EACCES/.test(text), `${when}: ${text}`);
}

const refused = (gw, from) => until('b to be refused', () =>
    gw.output.slice(from).split('\n').some((l) => l.includes(
	`b: nanny: ${gw.dir}/x/share/data: goes by a link where a child could ` +
	'have put it; name where it leads')), 20_000, 100);

async function swapped(gw) {
	const d = gw.dir, path = `${d}/x/data/file`;
	for (const b of ['a', 'b'])
		same((await tool(gw, `${b}_read`, { path })).text, 'of x/share/data',
		    `${b} before`);
	const { text } = await tool(gw, 'a_run', { argv: ['/bin/sh', '-c',
	    `cd ${d}/x/share && mv data old && ln -s ${d}/other data && ` +
	    'echo new >>new && cat new old/file'] });
	same(text, 'new\nof x/share/data', 'what is its own');
	await denied(gw, 'at once');

	const was = await works(gw, 'a');
	await tool(gw, 'a_die');
	await until('another', async () => await works(gw, 'a') !== was);
	await denied(gw, 'at its next start');
	ok(gw.output.includes(`a: mcpgwd: ${d}/x/data: goes by a link in what ` +
	    'this backend may change, and gives it nothing'), gw.output);
	let from = gw.output.length;
	await tool(gw, 'b_die');
	await refused(gw, from);

	for (const b of ['a', 'b'])
		gw.config.backends[b].env.ANOTHER = 'x';
	gw.write();
	from = gw.output.length;
	await gw.reload();
	await refused(gw, from);
	await until('the new one', async () => /ANOTHER/.test(
	    (await tool(gw, 'a_env')).text), 20_000, 100);
	await denied(gw, 'after a reload');
	// What it could change is remembered when it no longer can.
	delete gw.config.backends.a.write;
	gw.config.backends.a.env.ANOTHER = 'y';
	gw.write();
	from = gw.output.length;
	await gw.reload();
	await until('a to be refused', () => gw.output.slice(from).includes(
	    `a: nanny: ${d}/x/share/data: goes by a link`), 20_000, 100);
	gw.config.backends.a.write = [`${d}/x/share`];
	gw.write();
	await gw.stop();

	await gw.start({ ready: false });
	await works(gw, 'a');
	await denied(gw, 'after a restart');
	await refused(gw, 0);
}

// Its program lies where the config does, and another's where a secret does.
async function beside() {
	const state = tmp();
	if (root)
		chownSync(state, NOBODY, NOBODY);
	const gw = await Gateway.make({ mode: 'user', config: {
		state: `${state}/s`,
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	const d = gw.dir;
	mkdirSync(`${d}/sec`);
	chmodSync(`${d}/sec`, 0o755);
	writeFileSync(`${d}/sec/token`, 'swordfish', { mode: 0o600 });
	if (root)
		chownSync(`${d}/sec/token`, NOBODY, NOBODY);
	const of = (at, more) => {
		const b = backend('user', 0, [child], more);
		symlinkSync(node, `${at}/node`);
		b.command[0] = `${at}/node`;
		return b;
	};
	const T = { file: `${d}/sec/token` };
	gw.config.backends = { a: of(d), b: of(`${d}/sec`, { env: { T } }) };
	gw.write();
	await gw.start();
	for (const [b, path] of [['a', gw.conf], ['b', T.file]]) {
		const { text } = await tool(gw, `${b}_read`, { path });
		ok(/EACCES/.test(text), `${b}: ${text}`);
		ok(gw.output.includes('is not for this backend, since it holds ' +
		    path), `${path}: ${gw.output}`);
	}
	await gw.stop();
}

// What one may read is on a file system that does not answer.
async function hangs(mnt) {
	const gw = await Gateway.make({ mode: 'root', config: {
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	const slow = backend('root', 1, [child]);
	slow.read.push(`${mnt}/x`);
	gw.config.backends = { a: backend('root', 0, [child]), slow };
	gw.write();
	await gw.start({ ready: false });
	await works(gw, 'a');
	await gw.reload();
	await works(gw, 'a');
	// Master would have to find out where that leads.
	slow.write = [`${mnt}/y`];
	gw.write();
	const r = await gw.ctl('reload');
	same(r.status, 1, 'a reload that names more of it');
	ok(r.err.includes('a file system with what the config names does not ' +
	    'answer'), r.out + r.err);
	same((await gw.ctl('status')).status, 0, 'master after that');
	await works(gw, 'a');
	const pids = gw.processes().map((p) => p.pid);
	ok(gw.processes().some((p) => p.args[0].endsWith('/mcpgwd')),
	    'a child that waits for it');
	process.kill(gw.child.pid, 'SIGKILL');
	await until('all to end with master', () => !pids.some(running));
	ok(await bindable(gw.port), 'its port is free');
}

// Only root can mount one, and not where the kernel has no FUSE.
async function unanswered() {
	const d = tmp(), mnt = `${d}/mnt`;
	mkdirSync(mnt);
	execFileSync(process.env.CC ?? 'cc', ['-D_GNU_SOURCE', '-o', `${d}/hang`,
	    `${live}/fixture/hang.c`]);
	const fs = new Child('hang', `${d}/hang`, [mnt]);
	await until('it to be mounted', () => !fs.alive || fs.output !== '');
	if (!fs.output.startsWith('mounted')) {
		console.log(`# no FUSE here: ${fs.output.trim()}`);
		return;
	}
	try {
		await hangs(mnt);
	} finally {
		await fs.stop();
		execFileSync('umount', ['-l', mnt]);
	}
}

run('reach', async () => {
	if (root)
		await test('ARG-7 a file system that does not answer keeps one ' +
		    'child waiting, and nothing else (root)', unanswered);
	await test('ARG-7 what lies beside a program is not the config (user)',
	    beside);
	for (const mode of modes) {
		const gw = await make(mode);
		await gw.start();
		for (const b of ['a', 'b'])
			await until(`${b} to be up`, () => up(gw, b));
		await test(`ARG-7 a link in the way leads nowhere (${mode})`,
		    () => swapped(gw), { timeout: 120_000 });
		await test(`nothing is left after SIGTERM (${mode})`,
		    () => gw.stop());
	}
});
