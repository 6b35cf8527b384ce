// node all.mjs [-j N] FILE…: runs test files side by side, each with its output
// kept together, and counts. The last line is "live: N passed, N failed".
import { spawn } from 'node:child_process';
import { basename } from 'node:path';
import { hook } from './lib/paths.mjs';

const args = process.argv.slice(2);
const jobs = args[0] === '-j' ? Number(args.splice(0, 2)[1]) : 2;
// A file that hangs is a failure, not a wait for ever.
const limit = Number(process.env.LIVE_TIMEOUT ??
    (process.env.FULL === '1' ? 1800 : 420)) * 1000;
const count = { ok: 0, bad: 0 };
const running = new Set();
let stopping = false;

function one(file) {
	return new Promise((done) => {
		const t0 = Date.now();
		let out = '', err = '';
		const child = spawn(process.execPath, ['--import', hook, file],
		    { stdio: ['ignore', 'pipe', 'pipe'] });
		running.add(child);
		const late = setTimeout(() => child.kill('SIGTERM'), limit);
		const dead = setTimeout(() => child.kill('SIGKILL'), limit + 30_000);
		child.stdout.on('data', (d) => { out += d; });
		child.stderr.on('data', (d) => { err = (err + d).slice(-65_536); });
		child.once('close', (code, sig) => {
			clearTimeout(late);
			clearTimeout(dead);
			running.delete(child);
			const s = ((Date.now() - t0) / 1000).toFixed(1);
			const bad = (out.match(/^not ok /gm) ?? []).length;
			count.ok += (out.match(/^ok /gm) ?? []).length;
			count.bad += bad;
			if (code !== 0 && bad === 0) {
				count.bad++;
				out += `not ok ${basename(file)}: ended with ${sig ?? code}\n`;
			}
			console.log(`# ${basename(file)} (${s} s)\n${out.trimEnd()}`);
			if (code !== 0 && err !== '')
				console.log(err.replace(/^/gm, '#   '));
			done();
		});
	});
}

for (const sig of ['SIGINT', 'SIGTERM', 'SIGHUP'])
	process.on(sig, () => {
		stopping = true;
		for (const c of running)
			c.kill(sig);
	});

const queue = [...args];
await Promise.all(Array.from({ length: jobs }, async () => {
	while (queue.length > 0 && !stopping)
		await one(queue.shift());
}));
console.log(`live: ${count.ok} passed, ${count.bad} failed`);
process.exit(count.bad === 0 && !stopping ? 0 : 1);
