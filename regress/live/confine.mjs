// ARG-1, ARG-3, ARG-7: what a stdio child can not be made to run, and what it
// can not do, as the real servers meet it. The rest of these rows is in
// stdio.mjs.
import { chmodSync, chownSync, existsSync, readFileSync, readdirSync } from
    'node:fs';
import net from 'node:net';
import { networkInterfaces } from 'node:os';
import { descendants, freePort, later, ok, root, run, running, same, test,
    until } from './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { Mcp, request } from './lib/mcp.mjs';
import { bin, live, node, npm, top } from './lib/paths.mjs';

const child = `${live}/fixture/child.mjs`;
const users = ['_mcpevery', '_mcpfiles', '_mcpmemory', '_mcpthinking'];
const OUTSIDE = '192.0.2.1'; // TEST-NET-1

// What it has open at its start is in a file: node opens more of its own.
const START = 'ls /proc/self/fd >"$HOME/open"; exec "$@"';

const backend = (mode, n, more = {}) => ({ command: ['/bin/sh', '-c', START,
    'sh', node, child, '${user}', '$USER', '{{name}}'],
    ...(mode === 'root' && { user: users[n] }),
    read: [npm, live], max_instances: 1, env: { HOME: '$STATE' }, ...more });

async function say(mcp, name, args = {}) {
	const r = await mcp.tool(name, args);
	ok(!r.isError, `${name}: ${r.content[0].text}`);
	return r.content[0].text;
}

async function listener(host) {
	const port = await freePort();
	const s = net.createServer((c) => c.destroy());
	await new Promise((r) => s.listen(port, host, r));
	later(() => new Promise((r) => s.close(r)));
	return port;
}

// An address of this machine that is not loopback, if it has one.
const own = Object.values(networkInterfaces()).flat()
    .find((a) => a.family === 'IPv4' && !a.internal)?.address;

async function network(mcp, port, mode) {
	const to = (b, host, p = port) => say(mcp, `${b}_connect`,
	    { host, port: p });
	await test(`ARG-7 network: none (${mode})`, async () => {
		same(await to('none', '127.0.0.1'), 'EAFNOSUPPORT', 'TCP');
		same(await say(mcp, 'none_listen', { host: '127.0.0.1' }),
		    'EAFNOSUPPORT', 'listen');
		same(await say(mcp, 'none_datagram', { host: OUTSIDE, port: 9 }),
		    'EAFNOSUPPORT', 'UDP');
	});
	await test(`ARG-7 network: loopback (${mode})`, async () => {
		for (const host of ['127.0.0.1', 'localhost', '::ffff:127.0.0.1'])
			same(await to('loop', host), 'connected', host);
		same(await to('loop', '127.0.0.1', 1), 'ECONNREFUSED', 'nobody');
		for (const host of [OUTSIDE, '2001:db8::1', `::ffff:${OUTSIDE}`,
		    ...(own ? [own] : [])])
			same(await to('loop', host), 'EPERM', host);
		same(await say(mcp, 'loop_datagram', { host: '127.0.0.1', port }),
		    'EAFNOSUPPORT', 'UDP');
		same(await say(mcp, 'loop_listen', { host: '127.0.0.1' }),
		    'listens', 'listen here');
		same(await say(mcp, 'loop_listen', { host: '0.0.0.0' }), 'EPERM',
		    'listen everywhere');
	});
	await test(`ARG-7 network: loopback, 200 at once (${mode})`, async () => {
		const all = await Promise.all(Array.from({ length: 200 }, (_, i) =>
		    to('loop', i % 2 ? '127.0.0.1' : OUTSIDE)));
		same(all.filter((t, i) => t !== (i % 2 ? 'connected' : 'EPERM')),
		    [], 'answers');
	});
}

async function processes(mcp) {
	await test('ARG-7 forks beyond processes are refused', async () => {
		const [n, why] = (await say(mcp, 'few_forks', { most: 100 }))
		    .split(' ');
		same(why, 'EAGAIN', 'the error');
		ok(Number(n) > 0 && Number(n) < 30, `${n} processes`);
		// Another user's are not counted with them, and it lives on.
		same(await say(mcp, 'loop_forks', { most: 40 }), '40 undefined',
		    'another\'s');
		same(await say(mcp, 'few_echo', { text: 'x' }), 'x', 'after');
	});
}

// Without root it has our uid: the control socket must not take it for the
// owner, whoever of its tree comes.
async function control(gw, mcp, mode) {
	await test(`ARG-7 the control socket is not for it (${mode})`,
	    async () => {
		const argv = [`${bin}/mcpgwctl`, '-s', gw.config.control, 'status'];
		same((await gw.ctl('status')).status, 0, 'the owner');
		for (const orphan of [false, true]) {
			const said = await say(mcp, 'any_run', { argv, orphan });
			ok(!/master/.test(said) && said !== '',
			    `orphan ${orphan}: ${said}`);
		}
		// mcpgwctl with sanitizers does not get so far in a sandbox.
		await say(mcp, 'any_connect', { path: gw.config.control });
		if (mode !== 'root')
			await until('it to be told', () =>
			    /a process of ours \(\d+\) is refused/.test(gw.output));
	});
}

// Where our control group may be divided: each child and its nanny are in one
// of their own, so that nothing survives a nanny which is killed, and no group
// is left. What gives the names of the groups of a gateway.
async function groups(gw, mcp) {
	const mount = readFileSync('/proc/self/mountinfo', 'utf8')
	    .match(/^\S+ \S+ \S+ \/ (\S+) .* - cgroup2 /m)?.[1];
	const own = readFileSync('/proc/self/cgroup', 'utf8')
	    .match(/^0::(.*)$/m)?.[1];
	if (mount === undefined || own !== '/') {
		console.log('# control groups: none, or not ours to divide');
		return () => [];
	}
	const ours = () => readdirSync(mount).filter((n) =>
	    n.startsWith(`mcpgwd-${gw.child.pid}-`));
	const members = (n) => readFileSync(`${mount}/${n}/cgroup.procs`, 'utf8')
	    .trim().split('\n').map(Number);
	await test('ARG-6 what a killed nanny leaves goes with its group',
	    async () => {
		const nannies = gw.processes().filter((p) =>
		    p.args[0] === 'nanny').map((p) => p.pid);
		same(ours().flatMap((n) => members(n).filter((p) =>
		    nannies.includes(p))).sort(), nannies.sort(), 'nannies');
		const was = Number(await say(mcp, 'any_pid'));
		const all = () => members(ours().find((n) =>
		    members(n).includes(was)));
		const alone = all();
		await say(mcp, 'any_daemon');
		await until('its daemons', () => all().length >= alone.length + 3);
		const tree = all();
		const [nanny] = tree.filter((p) => nannies.includes(p));
		process.kill(nanny, 'SIGKILL');
		await until('all of its tree to go', () =>
		    !tree.some(running), 5000);
		await until('another child', async () => {
			const r = await mcp.tool('any_pid');
			return !r.isError && Number(r.content[0].text) !== was;
		}, 15_000, 100);
		same(ours().length, nannies.length, 'groups');
	});
	return ours;
}

// Without such groups what a killed nanny leaves comes to master, who ends it.
async function bereft(gw, mcp) {
	await test('ARG-6 what a killed nanny leaves is ended', async () => {
		const was = Number(await say(mcp, 'any_pid'));
		const nanny = gw.processes().find((p) => p.args[0] === 'nanny' &&
		    descendants(p.pid).some((d) => d.pid === was)).pid;
		const tree = () => descendants(nanny).map((p) => p.pid);
		const alone = tree().length;
		await say(mcp, 'any_daemon');
		await until('its daemons', () => tree().length >= alone + 3);
		const left = tree();
		process.kill(nanny, 'SIGKILL');
		await until('all of its tree to go', () =>
		    !left.some(running), 5000);
		await until('another child', async () => {
			const r = await mcp.tool('any_pid');
			return !r.isError && Number(r.content[0].text) !== was;
		}, 15_000, 100);
	});
}

// Neither the messages between processes nor a client can name a program.
async function literal(mcp, mode) {
	await test(`ARG-3 nothing is put into arguments (${mode})`, async () => {
		same(JSON.parse(await say(mcp, 'loop_argv')),
		    ['${user}', '$USER', '{{name}}'], 'argv');
		same(JSON.parse(await say(mcp, 'loop_argv', { argv: ['x'],
		    command: '/bin/sh', user: 'root' })),
		['${user}', '$USER', '{{name}}'], 'argv of a call that names some');
	});
}

// Whatever network it may use: with loopback there is a socket to its nanny
// before it starts.
async function descriptors(gw, mode) {
	await test(`ARG-5 descriptors 0 to 2 and no other (${mode})`, () => {
		for (const name of ['none', 'loop', 'any'])
			// 3 is the directory that ls reads.
			same(readFileSync(`${gw.config.state}-backends/${name
			    }/open`, 'utf8'), '0\n1\n2\n3\n', name);
	});
}

// perl, because node knows no such socket.
const SOCKETS = `for (split / /, shift) {
	my ($domain, $type, $protocol) = split /,/;
	print "$_ ", socket(my $s, $domain, $type, $protocol) ? "made" :
	    $!{EAFNOSUPPORT} ? "EAFNOSUPPORT" : $!, "\n";
}`;

async function sockets(mcp, mode) {
	await test(`ARG-7 network: none, no MPTCP, no netlink (${mode})`,
	    async () => {
		const kinds = { mptcp: '2,1,262', mptcp6: '10,1,262',
		    netlink: '16,3,0', 'netlink of netfilter': '16,3,12',
		    packet: '17,3,0', unix: '1,1,0' };
		const made = async (b) => (await say(mcp, `${b}_run`, { argv: [
		    '/usr/bin/perl', '-MErrno', '-e', SOCKETS,
		    Object.values(kinds).join(' ')] })).split('\n')
		    .filter(Boolean).map((l) => l.split(/(?<=^\S+) /)[1]);
		same(await made('none'), Object.keys(kinds).map((k) =>
		    k === 'unix' ? 'made' : 'EAFNOSUPPORT'), 'none');
		const any = await made('any');
		same([any[2], any[5]], ['made', 'made'], 'any');
	});
}

// What gateways before had: a way to start a program of the caller's choice.
async function routes(gw, mcp, mode) {
	await test(`ARG-1 no route and no verb starts a program (${mode})`,
	    async () => {
		const mark = `${gw.config.state}-backends/any/made`;
		const command = ['/usr/bin/touch', mark];
		const params = { name: 'x', url: 'stdio:x', type: 'stdio',
		    transport: 'stdio', command: command[0], args: [mark],
		    env: { A: '1' }, command_line: command.join(' ') };
		const before = (await gw.ctl('show', 'backends')).out
		    .split('\n').map((l) => l.split(' ')[0]);
		const text = readFileSync(`${top}/worker/route.c`, 'utf8');
		const own = [...text.matchAll(/^ {4}\{(WK )?"([^"]+)"/gm)]
		    .map(([, w, p]) => (w ? '/.well-known/' : '') + p);
		ok(own.length >= 15, `${own.length} routes`);
		for (const path of [...own, '/mcp', '/mcp/client', '/servers',
		    '/test/connection', '/stdio', '/sse', '/api/servers'])
			for (const body of [params, { jsonrpc: '2.0', id: 1,
			    method: 'initialize', params },
			    { jsonrpc: '2.0', id: 1, method: 'tools/call',
			    params: { ...params, name: 'any_echo',
				_meta: params } }])
				for (const method of ['POST', 'PUT'])
					await request(gw.base + path, { method,
					    headers: mcp.headers(),
					    body: JSON.stringify(body) });
		for (const verb of ['start', 'restart'])
			for (const words of [command, [command.join(' ')],
			    ['any', ...command]]) {
				const r = await gw.ctl('backend', verb,
				    ...words);
				ok(r.status !== 0, `${verb} ${words}`);
			}
		same((await gw.ctl('show', 'backends')).out.split('\n')
		    .map((l) => l.split(' ')[0]), before, 'backends');
		ok(!existsSync(mark), 'it was run');
		// It can be made there.
		await say(mcp, 'any_run', { argv: command });
		ok(existsSync(mark), 'by the child itself');
	});
}

async function contract() {
	await test('ARG-1 only master and nanny speak of programs', () => {
		const proto = ['proto.h', 'proto_conf.h'].map((f) =>
		    readFileSync(`${top}/common/${f}`, 'utf8')).join('\n');
		const structs = [...proto.matchAll(/^struct (\w+) \{(.*?)^\};/gms)];
		ok(structs.length > 30, `${structs.length} structs`);
		const naming = structs.filter(([, , body]) =>
		    /\b(argv|args|program|command|env|uid|cwd|groups)\b/
			.test(body))
		    .map(([, name]) => name);
		// m_start: as whom a process of ours runs; m_child: as whom a
		// child does, for mcpgwctl; ctl_req: the words of mcpgwctl.
		same(naming.sort(), ['ctl_req', 'm_child', 'm_exec', 'm_start'],
		    'messages');
		same([...proto.matchAll(/struct m_exec: (.*?),/g)]
		    .map((m) => m[1]), ['to nanny'], 'm_exec goes');
	});
	await test('ARG-1 a config that others can change is refused',
	    async () => {
		const gw = await Gateway.make();
		for (const mode of [0o620, 0o602, 0o666]) {
			chmodSync(gw.conf, mode);
			const c = gw.launch();
			await c.exited;
			same(c.status, 1, c.output);
			ok(/others can write to it; chmod go-w it/.test(c.output),
			    c.output);
		}
		chmodSync(gw.conf, 0o600);
		if (!root)
			return;
		chownSync(gw.conf, 65534, 65534);
		const c = gw.launch();
		await c.exited;
		ok(c.status === 1 && /its owner is neither root nor you/
		    .test(c.output), c.output);
	});
}

run('confine', async () => {
	const port = await listener('127.0.0.1');
	await contract();
	for (const mode of modes) {
		const gw = await Gateway.start({ mode, config: {
			backends: {
				none: backend(mode, 0, { network: 'none' }),
				loop: backend(mode, 1, { network: 'loopback' }),
				few: backend(mode, 2, { processes: 30 }),
				any: backend(mode, 3, { read: [npm, live, bin] }),
			},
			endpoints: { '/mcp': { backends: '*', auth: 'none' } },
		} });
		const mcp = await new Mcp(gw.url).open();
		await until('all tools on both workers', async () => {
			mcp.workers.clear();
			for (let i = 0; i < 20; i++) {
				const all = await mcp.list('tools/list', 'tools');
				if (new Set(all.map((t) => t.name.split('_')[0]))
				    .size < 4)
					return false;
			}
			return mcp.workers.size === 2;
		});
		let left = () => [];
		await literal(mcp, mode);
		await descriptors(gw, mode);
		await routes(gw, mcp, mode);
		await sockets(mcp, mode);
		await control(gw, mcp, mode);
		await network(mcp, port, mode);
		if (mode === 'root') {
			await processes(mcp);
			left = await groups(gw, mcp);
		} else
			await bereft(gw, mcp);
		await test(`nothing is left after SIGTERM (${mode})`,
		    async () => {
			await gw.stop();
			same(left(), [], 'control groups');
		});
	}
});
