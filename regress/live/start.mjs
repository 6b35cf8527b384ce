// Must be true 8: what goes wrong at start is said in one line that names the
// place and what to do, the exit status is 1, nothing is left behind.
import net from 'node:net';
import {
	chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readFileSync,
	readdirSync, writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import {
	Child, bindable, ok, root, run, same, sleep, test, tmp,
} from './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { bin } from './lib/paths.mjs';

// Everything below a folder: names, kinds, owners, modes, sizes.
function tree(dir, at = '') {
	return readdirSync(dir + at).sort().flatMap((name) => {
		const path = `${at}/${name}`;
		const st = lstatSync(dir + path);
		const sub = st.isDirectory();
		return [[path, st.mode, st.uid, sub || st.size],
		    ...(sub ? tree(dir, path) : [])];
	});
}

// Pids of the process group, which none of its processes leaves.
const group = (id) => readdirSync('/proc').filter((d) => {
	try {
		const stat = readFileSync(`/proc/${d}/stat`, 'utf8');
		const [state, , pgrp] = stat.slice(stat.lastIndexOf(')') + 2)
		    .split(' ');
		return state !== 'Z' && pgrp === String(id);
	} catch {
		return false;
	}
});

// Those with this word in their command line.
const named = (word) => readdirSync('/proc').filter((d) => {
	try {
		return /^\d+$/.test(d) && readFileSync(`/proc/${d}/cmdline`,
		    'utf8').split('\0').includes(word);
	} catch {
		return false;
	}
});

// Starts it, by a shell script where one is given ("$@" is the command), and
// waits for the end. In the end there is exit status 1, one line on standard
// error and nothing else: no process, no file, no socket. own: whether the port
// is free in the end. daemon: not in the foreground. warned: that it is not
// root comes first, since it got far enough to say so. Returns the line.
async function fate(gw, { script, own = true, warned = false,
    daemon = false } = {}) {
	const before = tree(gw.dir);
	const command = [`${bin}/mcpgwd`, '-f', gw.conf, '-L', bin];
	const as = { cwd: '/', ...(gw.drop && { uid: 65534, gid: 65534 }) };
	let child;
	if (daemon)
		child = new Child('mcpgwd', command[0], command.slice(1), as);
	else if (script !== undefined)
		child = new Child('mcpgwd', 'unshare', ['-m', 'sh', '-ec',
		    script, 'sh', ...command, '-d'], as);
	else
		child = gw.launch();
	await Promise.race([child.exited, sleep(15_000)]);
	ok(!child.alive, `it runs on: ${child.output.slice(-600)}`);
	same(child.status, 1, `exit status: ${child.output}`);
	same(group(child.pid), [], 'processes left behind');
	same(named(gw.conf), [], 'daemons left behind');
	same(tree(gw.dir), before, 'what is in the folder');
	ok(!existsSync(gw.config.control), 'the control socket is left');
	if (own)
		ok(await bindable(gw.port), 'the port is still taken');
	const lines = child.output.split('\n');
	if (warned)
		ok(/^mcpgwd: not started by root: .* limit processes .* not hold$/
		    .test(lines.shift()), child.output);
	same([lines.length, lines.at(-1)], [2, ''],
	    `one line, not ${child.output}`);
	return lines[0];
}

// The line begins with this and ends with this.
function says(line, start, advice) {
	ok(line.startsWith(start), `${line}, not ${start}`);
	ok(advice.test(line.slice(start.length)), `${line}, not ${advice}`);
}

// A bad config, the line of it (or none) that is named, the rest of the message.
function mistakes(text) {
	const end = text.split('\n').length;
	const at = (re) => text.slice(0, text.search(re)).split('\n').length;
	return {
		'unknown key': [`${text}nonsense: 1\n`, end,
		    'nonsense: ', /^unknown key; take it out/],
		'misspelt key': [`${text}worker: 1\n`, end,
		    'worker: ', /^unknown key; did you mean workers\?$/],
		'unknown key below another': [text.replace('limits:\n',
		    'limits:\n  bodi: 1M\n'), at(/^limits:/m) + 1,
		    'limits.bodi: ', /^unknown key; did you mean body\?$/],
		'key of a later step': [`${text}metrics: 127.0.0.1:9444\n`, end,
		    'metrics: ', /^not built yet; take this key out$/],
		'wrong type': [text.replace('workers: 2', 'workers: [2]'),
		    at(/^workers:/m), 'workers: ', /^must be a single value/],
		'missing secret': [text.replace(/password: .*/,
		    'password: {file: /nonexistent/pw}'), at(/password:/),
		    'auth.password: /nonexistent/pw: ',
		    /^No such file or directory; make it, or name another$/],
		'twice the same key': [`${text}workers: 3\n`, end, 'workers: ',
		    new RegExp(`^given twice; the first is on line ${
			at(/^workers:/m)}$`)],
		'not YAML': [`${text}\t- x\n`, end, 'yaml: ', /token/],
		'dangling reference': [`${text}endpoints:\n  /mcp:\n` +
		    '    backends: [nobody]\n', end + 2, 'endpoints./mcp: ',
		    /^there is no backend nobody under backends$/],
	};
}

async function config(mode) {
	const gw = await Gateway.make({ mode });
	const text = readFileSync(gw.conf, 'utf8');
	for (const [what, [bad, line, key, advice]] of
	    Object.entries(mistakes(text)))
		await test(`MBT-8 ${what} (${mode})`, async () => {
			gw.write(bad);
			says(await fate(gw), `${gw.conf}:${line}: ${key}`, advice);
		});
	await test(`MBT-8 unreadable secret (${mode})`, async () => {
		const pw = `${gw.dir}/pw`;
		writeFileSync(pw, 'not for everybody\n', { mode: 0o600 });
		// Root reads what it owns; what others may write is refused.
		const why = mode === 'root' ?
		    /^others can write to it; chmod go-w it$/ :
		    /^Permission denied; it must be readable for the user who/;
		chmodSync(pw, mode === 'root' ? 0o666 : 0);
		gw.write(text.replace(/password: .*/,
		    `password: {file: ${pw}}`));
		const line = text.slice(0, text.indexOf('password:'))
		    .split('\n').length;
		says(await fate(gw), `${gw.conf}:${line}: auth.password: ${pw}: `,
		    why);
	});
	await test(`MBT-8 config writable by others (${mode})`, async () => {
		gw.write(text);
		chmodSync(gw.conf, 0o666);
		says(await fate(gw), `${gw.conf}: `,
		    /^others can write to it; chmod go-w it$/);
		chmodSync(gw.conf, 0o600);
	});
	await test(`MBT-8 no config file (${mode})`, async () => {
		const none = await Gateway.make({ mode });
		none.conf = `${none.dir}/none.conf`;
		says(await fate(none), `${none.conf}: `,
		    /^No such file or directory; make it, or name another$/);
	});
	await test(`MBT-8 what only a child finds out (${mode})`, async () => {
		const g = await Gateway.make({ mode, config:
		    { log: { level: 'warn' } } });
		const db = `${g.config.state}/db`;
		for (const dir of [g.config.state, db]) {
			mkdirSync(dir, { mode: 0o700 });
			own(g, dir);
		}
		writeFileSync(`${db}/DB_CONFIG`, '');
		own(g, `${db}/DB_CONFIG`);
		const warned = mode === 'user';
		const line = await fate(g, { warned });
		says(line.replace(/^authd\[\d+\]: /, ''),
		    `state ${db}/DB_CONFIG: `, /^is not allowed here; remove it$/);
		says(await fate(g, { warned, daemon: true }), 'mcpgwd: authd ' +
		    'exited with status 1 before it was ready; ',
		    /^syslog has its own message$/);
	});
}

// Gives it to whom the state belongs.
function own(gw, path) {
	const uid = gw.drop ? 65534 : root ? mcpauth() : process.getuid();
	if (root)
		chownSync(path, uid, uid);
}

const mcpauth = () => Number(readFileSync('/etc/passwd', 'utf8')
    .match(/^_mcpauth:[^:]*:(\d+):/m)[1]);

async function ports(mode) {
	const taken = (gw) => {
		const line = readFileSync(gw.conf, 'utf8').split('\n')
		    .findIndex((l) => l.startsWith('listen:')) + 1;
		return [`${gw.conf}:${line}: listen: 127.0.0.1:${gw.port}: ` +
		    'Address already in use',
		    /^ \(is another mcpgwd running\? see who has it with: ss -/];
	};
	await test(`MBT-8 port in use (${mode})`, async () => {
		const gw = await Gateway.make({ mode });
		const server = net.createServer();
		await new Promise((r) => server.listen(gw.port, '127.0.0.1', r));
		try {
			says(await fate(gw, { own: false }), ...taken(gw));
		} finally {
			server.close();
		}
	});
	const gw = await Gateway.start({ mode });
	// A config of its own but for what it shares with the first.
	const beside = async (share) => {
		const g = await Gateway.make({ mode });
		g.config = { ...g.config, ...share };
		g.write();
		return g;
	};
	const lives = async () => {
		same((await fetch(`${gw.base}/health`)).status, 200,
		    'the first goes on');
		ok(existsSync(gw.config.control), 'its control socket is gone');
		same((await gw.ctl('show', 'workers')).status, 0, 'mcpgwctl');
	};
	await test(`MBT-8 port in use by another instance (${mode})`,
	    async () => {
		const g = await beside({ listen: gw.config.listen,
		    issuer: gw.config.issuer });
		g.port = gw.port;
		says(await fate(g, { own: false }), ...taken(g));
		await lives();
	});
	await test(`MBT-8 state in use by another instance (${mode})`,
	    async () => {
		const g = await beside({ state: gw.config.state });
		const state = () => tree(gw.config.state).map(([path]) => path);
		const before = state();
		const [authd] = gw.pids('authd');
		says(await fate(g), `mcpgwd: state: ${gw.config.state}: in use ` +
		    `by another mcpgwd (process ${authd}); `,
		    /^stop it, or give this one its own state folder$/);
		same(state(), before, 'files of the state');
		await lives();
	});
	await test(`MBT-8 control socket in use by another instance (${mode})`,
	    async () => {
		const g = await beside({ control: gw.config.control });
		const { control } = gw.config;
		g.config.control = '/nonexistent';
		says(await fate(g), `mcpgwd: control: ${control}: another ` +
		    'mcpgwd is already running; ',
		    /^stop it, or set control and state to others$/);
		await lives();
	});
	await test(`MBT-8 a wider address at the same port (${mode})`,
	    async () => {
		const { listen } = gw.config;
		gw.config.listen = [{ address: `0.0.0.0:${gw.port}` }];
		gw.write();
		const { status, err } = await gw.ctl('reload');
		ok(status !== 0 && /mcpgwd itself listens at this port/.test(err),
		    err);
		gw.config.listen = listen;
		gw.write();
		await gw.reload();
		await lives();
	});
	await test(`MBT-8 the other instance ends clean (${mode})`,
	    () => gw.stop());
}

async function machine() {
	const can = root && spawnSync('unshare', ['-m', 'true']).status === 0;
	if (!can) {
		console.log('# missing user, full disk: need root and unshare(1)');
		return;
	}
	for (const user of ['_mcpgw', '_mcpauth', '_mcprun'])
		await test(`MBT-8 missing user ${user} (root)`, async () => {
			const gw = await Gateway.make({ mode: 'root' });
			const passwd = `${tmp()}/passwd`;
			writeFileSync(passwd, readFileSync('/etc/passwd', 'utf8')
			    .split('\n').filter((l) => !l.startsWith(`${user}:`))
			    .join('\n'));
			says(await fate(gw, { script:
			    `mount --bind ${passwd} /etc/passwd; exec "$@"` }),
			    `mcpgwd: user ${user} does not exist; `,
			    /^make it with: useradd .*/);
		});
	await test('MBT-8 full disk (root)', async () => {
		const gw = await Gateway.make({ mode: 'root' });
		const disk = `${gw.dir}/disk`, left = `${tmp()}/left`;
		mkdirSync(disk);
		gw.config.state = `${disk}/state`;
		gw.write();
		says(await fate(gw, { script: `mount -t tmpfs -o size=4m none ${
		    disk}; head -c 64k /dev/zero >${disk}/full; ` +
		    `set +e; "$@"; s=$?; find ${disk} >${left}; exit $s` }),
		    `mcpgwd: state: ${disk}/state: No space left on device; `,
		    /^the store needs at least 4 MiB: free some, or set state to/);
		same(readFileSync(left, 'utf8').split('\n'),
		    [disk, `${disk}/full`, ''], 'what is on the disk');
	});
}

run('start', async () => {
	for (const mode of modes) {
		await config(mode);
		await ports(mode);
	}
	await machine();
});
