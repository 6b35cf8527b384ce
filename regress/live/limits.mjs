// limits.streams_per_user: what is refused, and what is not refused for it; and
// how long a body may take (DOS-1).
import net from 'node:net';
import { later, ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { Clock } from './lib/clock.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Client } from './lib/oauth.mjs';
import { Mcp } from './lib/mcp.mjs';
import { Sse } from './lib/sse.mjs';
import { Talker } from './lib/talker.mjs';

const LIMIT = 3;

const get = (mcp, last) => Sse.open(mcp.url, { headers: mcp.headers({
    accept: 'text/event-stream', ...(last && { 'last-event-id': last }) }) });

function refused(r, what) {
	same([r.status, Number(r.headers['retry-after']) > 0], [429, true], what);
}

async function streams(gw, token) {
	const open = () => new Mcp(gw.url, { token }).open();
	const clients = [];
	for (let i = 0; i < LIMIT; i++)
		clients.push(await open());
	const ears = await Promise.all(clients.map((c) => get(c)));
	same(ears.map((e) => e.status), Array(LIMIT).fill(200), 'streams');
	const more = await open();
	refused(await get(more), 'a stream too many');
	refused(await more.send({ jsonrpc: '2.0', id: 1, method: 'tools/call',
	    params: { name: 'talk_echo', arguments: {} } }), 'a call too many');

	// A client comes back: with its last event, and having lost it.
	await until('an event id', () => ears[0].last !== undefined);
	ears[0].close();
	const back = await get(clients[0], ears[0].last);
	same([back.status, back.stream], [200, true], 'resumed');
	const anew = await get(clients[1]);
	same(anew.status, 200, 'in the place of its own');
	await until('the older one to be ended', () => ears[1].ended === 'clean');
	refused(await get(more), 'still a stream too many');

	// Who says goodbye makes room.
	same(await clients[2].close(), 200, 'DELETE');
	same((await get(more)).status, 200, 'the room of an ended session');
}

// A request all of whose body has come but for as much as is missing.
async function slow(gw, path, { length, missing, token }) {
	const s = net.connect(gw.port, '127.0.0.1');
	later(() => s.destroy());
	s.got = '';
	s.on('data', (d) => { s.got += d; });
	s.on('close', () => { s.over = true; });
	s.on('error', () => {});
	s.write(`POST ${path} HTTP/1.1\r\nHost: localhost:${gw.port}\r\n` +
	    `Content-Type: application/json\r\nContent-Length: ${length}\r\n` +
	    (token ? `Authorization: Bearer ${token}\r\n` : '') +
	    '\r\n');
	await sleep(100); // what comes with the head is not counted
	s.write('x'.repeat(length - missing));
	return s;
}

// What anybody may send is there within 30 s. Of more, from who has a token,
// 500 bytes come each second.
async function bodies() {
	const clock = new Clock();
	const gw = await Gateway.make({ config: { workers: 1 } });
	await gw.start({ args: ['-L', clock.dir] });
	const token = (await Client.signIn(gw)).tokens.access_token;
	const fast = await Promise.all([
		slow(gw, '/oauth/token', { length: 65_536, missing: 1 }),
		slow(gw, '/oauth/register', { length: 65_536, missing: 30_000 }),
		slow(gw, '/mcp', { length: 30_000, missing: 1 }),
	]);
	const large = await slow(gw, '/mcp',
	    { length: 200_000, missing: 100_000, token });
	await sleep(500);
	const on = [...fast, large].map((s) => s.got + (s.over ?? ''));
	same(on, ['', '', '', ''], 'at first');
	clock.ahead(27);
	await sleep(1500);
	same(fast.map((s) => s.got), ['', '', ''], 'after 27 s');
	clock.ahead(3);
	await until('their end', () => fast.every((s) => s.over), 5000);
	same(fast.map((s) => s.got.slice(0, 12)), Array(3).fill('HTTP/1.1 408'),
	    'after 30 s');
	same(large.got, '', 'the large one');
	clock.ahead(30);
	await until('its end', () => large.over, 5000);
	ok(large.got.startsWith('HTTP/1.1 408'), large.got);
	await gw.stop();
}

run('limits', async () => {
	const talker = await Talker.start({ quiet: true });
	const gw = await Gateway.start({ config: { workers: 1,
	    backends: { talk: { url: talker.url } },
	    limits: { streams_per_user: LIMIT } } });
	const token = (await Client.signIn(gw)).tokens.access_token;
	await test('streams_per_user', () => streams(gw, token));
	await test('DOS-1 a body that does not come', bodies);
	await test('nothing is left after SIGTERM', () => gw.stop());
});
