// What was on its way when something died: a question in a connection that is
// no more is not waited for, and a new keeper learns which of a client's streams
// is the newest.
import net from 'node:net';
import { later, ok, run, same, sleep, test, until } from
    './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Pins } from './lib/pin.mjs';
import { Peer, answer } from './lib/sse.mjs';
import { Talker } from './lib/talker.mjs';

const ID = /^id: (\S+)/mg;

async function start() {
	const talker = await Talker.start({ quiet: true });
	const gw = await Gateway.start({ config: {
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
		backends: { talk: { url: talker.url, declare: ['elicitation'],
		    timeout: '3s' } },
	} });
	return { talker, gw, pins: new Pins(gw.base) };
}

// A client that reads until it has seen this, and then nothing more; the id of
// the last event that it has.
async function deaf({ gw }, peer, method, body, seen) {
	const s = net.connect(gw.port, '127.0.0.1');
	later(() => s.destroy());
	s.on('error', () => {});
	let text = '';
	s.write(`${method} /mcp HTTP/1.1\r\nHost: localhost:${gw.port}\r\n` +
	    'Accept: application/json, text/event-stream\r\n' +
	    'Content-Type: application/json\r\n' +
	    `Content-Length: ${body.length}\r\n` +
	    `Mcp-Session-Id: ${peer.session}\r\n` +
	    `Mcp-Protocol-Version: ${peer.version}\r\n\r\n${body}`);
	await new Promise((done) => s.on('data', (d) => {
		text += d;
		if (text.includes(seen)) {
			s.pause();
			done();
		}
	}));
	return { socket: s, last: [...text.matchAll(ID)].at(-1)[1] };
}

// Both were written, into a connection from which nobody read them, and have
// left the log since.
const gone = (m) => m.filter((x) => x.method === 'elicitation/create').length;

async function inCall(x) {
	const peer = await new Peer(x.gw.url, x.pins).open({ elicitation: {} });
	const id = peer.next++;
	const { socket, last } = await deaf(x, peer, 'POST', JSON.stringify({
		jsonrpc: '2.0', id, method: 'tools/call', params: {
		    name: 'talk_drown', arguments: { nonce: 'd', n: 400 },
		    _meta: { progressToken: 't' } } }), 'd#0');
	(await until('its call', () => x.talker.held.get('d')))();
	await sleep(1000);
	socket.destroy();
	await sleep(200);
	const s = await peer.get({ last });
	const m = await s.next(answer(id), 'the answer');
	ok(/may have lost it/.test(JSON.parse(m.result.content[0].text).got
	    .refused), m.result.content[0].text);
	same(gone(s.messages), 0, 'the question was not in the log');
}

async function outside(x) {
	const { talker } = x;
	const peer = await new Peer(x.gw.url, x.pins).open({ elicitation: {} });
	await peer.tool('talk_echo', { nonce: 'o' });
	const up = talker.sessionOf('o');
	const { socket, last } = await deaf(x, peer, 'GET', '', 'id: ');
	await until('its stream', () => up.listens);
	const said = talker.ask(up, 'form', 'lost').then(() => 'answered',
	    (e) => e.message);
	for (let i = 0; i < 400; i++)
		await talker.log('error', `${i}`, up);
	await sleep(500);
	socket.destroy();
	await sleep(200);
	const s = await peer.get({ last });
	ok(/may have lost it/.test(await said), 'refused');
	same(gone(s.messages), 0, 'the question was not in the log');
	// What is asked now arrives.
	const next = talker.ask(up, 'form', 'seen');
	const q = await s.next((m) => m.method === 'elicitation/create');
	await peer.say({ id: q.id, result: { action: 'decline' } });
	same((await next).action, 'decline', 'the next');
}

// The second stream was opened while there was nobody who could end the first.
async function newest(x, first, second) {
	const { gw } = x;
	const peer = await new Peer(gw.url, x.pins).open();
	await peer.tool('talk_echo', { nonce: first + second });
	const older = await peer.get({ worker: first });
	await sleep(300);
	const [keeper] = gw.pids('keeper');
	process.kill(keeper, 'SIGSTOP');
	const newer = await peer.get({ worker: second });
	await sleep(300);
	process.kill(keeper, 'SIGKILL');
	await older.end();
	await until('another keeper', () => gw.pids('keeper').length === 1);
	await sleep(1000);
	same(newer.ended, undefined, 'the newest');
	newer.close();
}

run('lost', async () => {
	const x = await start();
	await Promise.all([
		test('LOST a question in a call', () => inCall(x)),
		test('LOST a question outside of calls', () => outside(x)),
	]);
	const [a, b] = await x.pins.two();
	for (const [first, second] of [[a, a], [a, b], [b, a]])
		await test(`LOST the keeper, between a stream of worker ${
			first === a ? 1 : 2} and one of ${second === a ? 1 : 2}`,
		() => newest(x, first, second));
	await test('nothing is left after SIGTERM', () => x.gw.stop());
});
