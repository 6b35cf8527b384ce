// make bench: the gateway beside others, on this machine, in one run. Each
// pair of runs is one of ours and one of the peer right after it; what is told
// is the median of the pairs. Exit status 1: a must was missed, or something
// did not work. Environment: ROWS (groups), SECONDS_PER_RUN, PAIRS.
import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release } from 'node:os';
import { ok, run, test } from '../live/lib/harness.mjs';
import { againstHaproxy, againstNginx, errorsRow, pairs, seconds }
    from './http.mjs';
import { memory, startup } from './own.mjs';
import { peers, version } from './parts.mjs';
import { againstNpm } from './stdio.mjs';
import { missed, print } from './table.mjs';

// Peers from npm listen on every interface.
const alone = process.env.MCPGW_BENCH_ALONE === '1';

const groups = {
	nginx: { run: againstNginx },
	haproxy: { run: againstHaproxy, unless: () => haproxyCannot() },
	memory: { run: memory },
	start: { run: startup },
	stdio: { run: againstNpm, unless: () => alone ? undefined :
	    'its peers listen on every interface, and only root can put ' +
	    'them into a network namespace' },
};

function tool(name, args, pattern) {
	try {
		return execFileSync(name, args, { encoding: 'utf8',
		    stdio: ['ignore', 'pipe', 'pipe'] }).match(pattern)?.[1];
	} catch {
		return undefined;
	}
}

const haproxyVersion = tool('haproxy', ['-v'], /version ([\d.]+)/);

// jwt_verify and http_auth_bearer came with 2.5.
function haproxyCannot() {
	const [a, b] = (haproxyVersion ?? '0.0').split('.').map(Number);
	return a > 2 || (a === 2 && b >= 5) ? undefined :
	    `haproxy ${haproxyVersion} cannot check a JWT`;
}

const load = () => loadavg().map((n) => n.toFixed(2)).join(' ');

function banner() {
	console.log(`mcpgwd: make bench, ${pairs} pairs of ${seconds} s
${cpus().length} processors, ${cpus()[0].model}, Linux ${release()}
nginx ${tool('sh', ['-c', 'nginx -v 2>&1'], /nginx\/([\d.]+)/)}, haproxy ${
	    haproxyVersion}, ${peers.map((p) => `${p} ${version(p)}`).join(', ')
	    }, node ${process.version}
load average ${load()}`);
}

await run('bench', async () => {
	const wanted = (process.env.ROWS || Object.keys(groups).join(' '))
	    .split(' ').filter(Boolean);
	ok(wanted.every((g) => groups[g]),
	    `ROWS is some of: ${Object.keys(groups).join(' ')}`);
	ok(cpus().length > 1, 'the benchmark needs two processors');
	banner();
	for (const name of wanted) {
		const { run: fn, unless } = groups[name];
		const why = unless?.();
		console.log(`\n## ${name}${why ? `: left out: ${why}` : ''}`);
		if (why === undefined)
			await test(name, fn, { timeout: 900_000 });
	}
	errorsRow();
	print();
	console.log(`\nload average ${load()}`);
	// It is no failure of a program, whose logs the harness would show.
	if (missed().length > 0)
		process.on('exit', () => { process.exitCode = 1; });
});
