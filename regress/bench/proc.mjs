// What /proc tells of a process and all that it has started.
import { readFileSync, readdirSync } from 'node:fs';
import { descendants, sleep } from '../live/lib/harness.mjs';

const tree = (pid) => [pid, ...descendants(pid).map((p) => p.pid)];

// What has ended meanwhile counts for nothing.
function read(file) {
	try {
		return readFileSync(file, 'utf8');
	} catch {
		return '';
	}
}

function sum(pids, fn) {
	return pids.reduce((n, pid) => n + fn(pid), 0);
}

// The processor time of all threads, in microseconds.
export const cpu = (pid) => sum(tree(pid), (p) => {
	let threads = [];
	try {
		threads = readdirSync(`/proc/${p}/task`);
	} catch {
		return 0;
	}
	return sum(threads, (t) =>
	    Number(read(`/proc/${p}/task/${t}/schedstat`).split(' ')[0]) / 1e3);
});

const kilobytes = (text, key) =>
    Number(text.match(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm'))?.[1] ?? 0);

// Resident memory of one process, in KiB.
export const rss = (pid) => kilobytes(read(`/proc/${pid}/status`), 'VmRSS');

// Memory of all of them, in KiB, what they share counted once.
export const pss = (pid) => sum(tree(pid), (p) =>
    kilobytes(read(`/proc/${p}/smaps_rollup`), 'Pss'));

// What fn tells of a program that has just started, when it tells the same for
// a second: hashing the first password takes memory for a moment.
export async function settled(fn) {
	let last, since;
	for (let i = 0; i < 100; i++) {
		const now = fn();
		if (last === undefined || Math.abs(now - last) > last / 100) {
			last = now;
			since = Date.now();
		}
		if (Date.now() - since > 1000)
			return now;
		await sleep(100);
	}
	throw new Error('its memory does not settle within 10 s');
}

export const processes = (pid) => tree(pid).length;
