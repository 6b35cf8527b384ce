// Must be true 8: what goes wrong at start is said in one line that names the
// place and what to do, the exit status is 1, nothing is left behind.
import net from 'node:net';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { Child, descendants, ok, root, run, running, same, sleep, test } from
    './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { bin } from './lib/paths.mjs';

// Starts it and waits for the end. Returns {status, lines}.
async function fate(gw, wrap) {
	const child = wrap === undefined ? gw.launch() :
	    new Child('mcpgwd', 'unshare', ['-m', 'sh', '-ec', wrap, 'sh',
		`${bin}/mcpgwd`, '-d', '-f', gw.conf, '-L', bin], { cwd: '/' });
	let seen = new Set();
	const watch = setInterval(() => {
		seen = new Set([...seen,
		    ...descendants(child.pid).map((p) => p.pid)]);
	}, 10);
	await Promise.race([child.exited, sleep(15_000)]);
	clearInterval(watch);
	ok(!child.alive, `it runs on: ${child.output.slice(-600)}`);
	await sleep(100);
	const left = [...seen].filter(running);
	same(left, [], 'processes left behind');
	return { status: child.status, lines: child.output.split('\n')
	    .filter((l) => l !== '') };
}

// One line matches, and none of the others is an error of another process.
function says(r, pattern, gw) {
	same(r.status, 1, `exit status: ${r.lines.join(' | ')}`);
	const hits = r.lines.filter((l) => pattern.test(l));
	same(hits.length, 1, `lines like ${pattern}: ${r.lines.join(' | ')}`);
	const rest = r.lines.filter((l) => !pattern.test(l) &&
	    !/not root|warning|ready|no_new_privs|sandbox/i.test(l));
	same(rest, [], 'further lines');
	ok(!existsSync(gw.config.control), 'the control socket is left');
}

async function config(mode) {
	const gw = await Gateway.make({ mode });
	const text = readFileSync(gw.conf, 'utf8');
	const cases = {
		'unknown key': [`${text}nonsense: 1\n`,
		    /mcpgwd\.conf:\d+: .*nonsense/],
		'key of a later step': [`${text}metrics: 127.0.0.1:9444\n`,
		    /mcpgwd\.conf:\d+: .*metrics.*not built yet/],
		'wrong type': [text.replace('workers: 2', 'workers: [2]'),
		    /mcpgwd\.conf:\d+: .*workers/],
		'unreadable secret': [text.replace(/password: .*/,
		    'password: {file: /nonexistent/pw}'),
		    /mcpgwd\.conf:\d+: .*\/nonexistent\/pw/],
		'twice the same key': [`${text}workers: 3\n`,
		    /mcpgwd\.conf:\d+: .*workers/],
		'not YAML': [`${text}\t- x\n`, /mcpgwd\.conf:\d+/],
		'dangling reference': [`${text}endpoints:\n  /mcp:\n` +
		    '    backends: [nobody]\n', /mcpgwd\.conf:\d+: .*nobody/],
	};
	for (const [what, [bad, pattern]] of Object.entries(cases))
		await test(`MBT-8 ${what} (${mode})`, async () => {
			gw.write(bad);
			says(await fate(gw), pattern, gw);
		});
	await test(`MBT-8 config writable by others (${mode})`, async () => {
		gw.write(text);
		chmodSync(gw.conf, 0o666);
		says(await fate(gw), /mcpgwd\.conf.*writ/, gw);
		chmodSync(gw.conf, 0o600);
	});
	await test(`MBT-8 no config file (${mode})`, async () => {
		const none = await Gateway.make({ mode });
		none.conf = `${none.dir}/none.conf`;
		says(await fate(none), /none\.conf/, none);
	});
}

async function ports(mode) {
	await test(`MBT-8 port in use (${mode})`, async () => {
		const gw = await Gateway.make({ mode });
		const server = net.createServer();
		await new Promise((r) => server.listen(gw.port, '127.0.0.1', r));
		try {
			says(await fate(gw), new RegExp(`127\\.0\\.0\\.1:${gw.port}`),
			    gw);
		} finally {
			server.close();
		}
	});
	await test(`MBT-8 port or state in use by another instance (${mode})`,
	    async () => {
		const gw = await Gateway.start({ mode });
		const other = await Gateway.make({ mode });
		other.config = { ...gw.config,
		    control: other.config.control, state: other.config.state };
		other.write();
		says(await fate(other),
		    new RegExp(`127\\.0\\.0\\.1:${gw.port}`), other);
		const third = await Gateway.make({ mode });
		third.config.state = gw.config.state;
		third.write();
		const r = await fate(third);
		same(r.status, 1, r.lines.join(' | '));
		ok(r.lines.some((l) => l.includes(gw.config.state)),
		    r.lines.join(' | '));
		same((await fetch(`${gw.base}/health`)).status, 200,
		    'the first goes on');
		await gw.stop();
	});
}

async function machine() {
	const can = root && spawnSync('unshare', ['-m', 'true']).status === 0;
	if (!can) {
		console.log('# missing user, full disk: need root and unshare(1)');
		return;
	}
	await test('MBT-8 missing user (root)', async () => {
		const gw = await Gateway.make({ mode: 'root' });
		const passwd = `${gw.dir}/passwd`;
		writeFileSync(passwd, readFileSync('/etc/passwd', 'utf8')
		    .split('\n').filter((l) => !l.startsWith('_mcp')).join('\n'));
		says(await fate(gw,
		    `mount --bind ${passwd} /etc/passwd; exec "$@"`),
		    /_mcpgw|_mcpauth/, gw);
	});
	await test('MBT-8 full disk (root)', async () => {
		const gw = await Gateway.make({ mode: 'root' });
		const r = await fate(gw, `mkdir ${gw.dir}/disk; mount -t tmpfs ` +
		    `-o size=32k none ${gw.dir}/disk; sed -i s,/state,/disk/state, ` +
		    `${gw.conf}; exec "$@"`);
		same(r.status, 1, r.lines.join(' | '));
		ok(r.lines.some((l) => l.includes(`${gw.dir}/disk`) &&
		    /space|full/i.test(l)), r.lines.join(' | '));
	});
}

run('start', async () => {
	for (const mode of modes) {
		await config(mode);
		await ports(mode);
	}
	await machine();
});
