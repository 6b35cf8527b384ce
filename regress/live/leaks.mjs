// What a worker holds goes with those it was for: connections to a backend after
// a burst, the stream of a client that has left in the midst of what it sent; and
// descriptors that are scarce are not for connections only.
import http from 'node:http';
import net from 'node:net';
import { readFileSync, readdirSync } from 'node:fs';
import { Child, full, later, ok, run, same, sleep, test, until } from
    './lib/harness.mjs';
import { backend, child, rows, say } from './lib/child.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { Mcp } from './lib/mcp.mjs';
import { Talker } from './lib/talker.mjs';

const BURST = 100;
const LARGE = 12 << 20;
const CLIENTS = 60;
// They take as little as the kernel lets them.
const DEAF = `for (1..$ARGV[1]) {
	socket(my $s, PF_INET, SOCK_STREAM, 0) or die;
	setsockopt($s, SOL_SOCKET, SO_RCVBUF, pack("l", 4096)) or die;
	connect($s, sockaddr_in($ARGV[0], inet_aton("127.0.0.1"))) or die;
	syswrite($s, $ARGV[2]) or die;
	push @all, $s;
	select(undef, undef, undef, 0.1);
}
sleep 600;`;
const FILES = 150; // that a process may have open

const [mode] = modes;
const workers = (gw) => gw.ctl('-j', 'show', 'workers').then((r) =>
    JSON.parse(r.out));

async function idle(x) {
	const { gw, talker } = x;
	const mcp = await new Mcp(gw.url).open();
	await mcp.tool('talk_echo', { nonce: 'first' });
	// Both are wanted: the one that the burst came to hears of no other call.
	talker.http.keepAliveTimeout = 0;
	const of = () => new Promise((done) =>
	    talker.http.getConnections((e, n) => done(n)));
	const before = await of();
	await Promise.all(Array.from({ length: BURST }, (_, i) =>
	    mcp.tool('talk_wait', { nonce: `${i}`, ms: 500 })));
	ok(await of() > before + BURST / 2, 'a connection for each');
	await until('the end of those', async () => await of() <= before + 4,
	    8000, 200);
}

// Nothing is read from it meanwhile, so that only writing can tell.
async function ahead(x) {
	const { gw } = x;
	const mcp = await new Mcp(gw.url).open();
	const s = net.connect(gw.port, '127.0.0.1');
	later(() => s.destroy());
	s.on('error', () => {});
	s.write(`GET /mcp HTTP/1.1\r\nHost: localhost:${gw.port}\r\n` +
	    'Accept: text/event-stream\r\n' +
	    `Mcp-Session-Id: ${mcp.session}\r\n\r\n`);
	await new Promise((done) => s.once('data', done));
	const n = async () => (await workers(gw)).reduce((sum, w) =>
	    sum + w.connections, 0);
	// This process has other connections there, which end by themselves.
	await until('that it is the only one', async () => await n() === 1,
	    20_000);
	s.write('x'.repeat(140_000));
	await sleep(300);
	s.destroy();
	// A comment comes each 15 s, and the first is what the other end refuses.
	await until('the end of the stream', async () => await n() === 0, 40_000,
	    500);
}

// Calls whose client has left keep their connections to a backend. What comes
// from the runner with a descriptor finds room all the same.
async function descriptors(x) {
	const gw = await Gateway.make({ mode, config: { workers: 1,
	    backends: { kid: backend(mode, 0, [child]),
		talk: { url: x.talker.url } },
	    endpoints: { '/mcp': { backends: '*', auth: 'none' } } } });
	gw.files = FILES;
	await gw.start();
	const mcp = await new Mcp(gw.url, { agent: new http.Agent(
	    { keepAlive: true, maxSockets: 1 }) }).open();
	later(() => mcp.agent.destroy());
	const big = async (when) => same((await say(mcp, 'kid_big',
	    { bytes: 100_000 })).text.length, 100_000, when);
	await big('before');
	const files = () => readdirSync(`/proc/${gw.pids('worker')[0]}/fd`).length;
	let last = 0;
	for (let i = 0; i < 2 * FILES && last < FILES; i++) {
		const body = JSON.stringify({ jsonrpc: '2.0', id: `w${i}`,
		    method: 'tools/call', params: { name: 'talk_wait',
			arguments: { nonce: `w${i}`, ms: 4000 } } });
		const s = net.connect(gw.port, '127.0.0.1');
		s.on('error', () => {});
		s.end(`POST /mcp HTTP/1.1\r\nHost: localhost:${gw.port}\r\n` +
		    'Accept: application/json, text/event-stream\r\n' +
		    'Content-Type: application/json\r\n' +
		    `Content-Length: ${body.length}\r\n` +
		    `Mcp-Session-Id: ${mcp.session}\r\n\r\n${body}`);
		await sleep(5);
		s.destroy();
		last = Math.max(last, files());
	}
	ok(last > FILES / 2 && last < FILES - 32, `${last} of ${FILES} descriptors`);
	await big('with hardly any left');
	await until('that the backend can be asked', async () =>
	    !(await say(mcp, 'talk_echo', {})).error, 15_000, 500);
	await big('after');
	await gw.stop();
}

// Answers that nobody reads have a bound, and whoever holds most of them gives
// way to those who do read.
async function unread() {
	const gw = await Gateway.make({ mode, config: { workers: 1,
	    backends: { kid: backend(mode, 0, [child]) },
	    endpoints: { '/mcp': { backends: '*', auth: 'none' } } } });
	await gw.start();
	const mcp = await new Mcp(gw.url).open();
	const kib = () => Number(readFileSync(`/proc/${gw.pids('worker')[0]
	    }/status`, 'utf8').match(/^VmRSS:\s+(\d+)/m)[1]);
	const body = JSON.stringify({ jsonrpc: '2.0', id: 1,
	    method: 'tools/call', params: { name: 'kid_big',
		arguments: { bytes: LARGE } } });
	const all = new Child('deaf', '/usr/bin/perl', ['-MSocket', '-e', DEAF,
	    `${gw.port}`, `${CLIENTS}`,
	    `POST /mcp HTTP/1.1\r\nHost: localhost:${gw.port}\r\n` +
	    'Accept: application/json\r\nContent-Type: application/json\r\n' +
	    `Content-Length: ${body.length}\r\n` +
	    `Mcp-Session-Id: ${mcp.session}\r\n\r\n${body}`], {});
	await until('all answers', async () => (await workers(gw))[0].calls >= CLIENTS &&
	    (await rows(gw, 'kid'))[0].open === 0, 20_000, 200);
	ok(kib() < 340 * 1024, `${kib()} KiB`);
	await until('room for who reads', async () => (await say(mcp, 'kid_big',
	    { bytes: LARGE })).text.length === LARGE, 20_000, 500);
	await all.stop();
	await gw.stop();
}

run('leaks', async () => {
	const talker = await Talker.start({ quiet: true });
	const gw = await Gateway.start({ config: { workers: 1,
	    backends: { talk: { url: talker.url } },
	    endpoints: { '/mcp': { backends: '*', auth: 'none' } } } });
	const x = { gw, talker };
	await test('connections of a burst end', () => idle(x));
	await Promise.all([
		...(full ? [test('a stream whose client has sent ahead ends ' +
		    'with it', () => ahead(x))] : []),
		test('answers that are not read have a bound', unread),
		test('channels have descriptors when connections have none',
		    () => descriptors(x)),
	]);
	await test('nothing is left after SIGTERM', () => gw.stop());
});
