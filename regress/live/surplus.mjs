// Design 3, "Drain": what becomes of a worker that has to end while clients
// still have something with it. None of them may meet a reset.
import http from 'node:http';
import net from 'node:net';
import { later, ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { Client } from './lib/oauth.mjs';
import { Mcp } from './lib/mcp.mjs';
import { responses } from './lib/raw.mjs';
import { Sse } from './lib/sse.mjs';
import { Talker } from './lib/talker.mjs';

const DRAINING = 4; // generations, master/generation.c
const HEALTH = 'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n';

// A connection, and all that has come on it.
class Wire {
	constructor(port) {
		this.text = '';
		this.s = net.connect({ port, host: '127.0.0.1' });
		this.s.on('data', (d) => { this.text += d.toString('latin1'); });
		this.s.on('end', () => { this.ended = 'clean'; });
		this.s.on('error', (e) => { this.ended ??= e.code; });
		later(() => this.s.destroy());
	}

	async answers(n) {
		await until(`answer ${n}`, () =>
		    responses(this.text).filter((r) => r.status > 0).length >= n ||
		    this.ended !== undefined);
		const all = responses(this.text);
		ok(all.length >= n, `${all.length} answers, then ${this.ended}`);
		return all[n - 1];
	}

	async end() {
		await until('its end', () => this.ended !== undefined);
		return this.ended;
	}
}

// One that has been answered, one with half a request, a call, and a stream,
// all at this config's workers.
async function busy(gw, talker, token) {
	const b = {};
	b.idle = new Wire(gw.port);
	b.idle.s.write(HEALTH);
	const first = await b.idle.answers(1);
	same(first.status, 200, 'first');
	b.worker = first.headers['x-mcpgw-worker'];
	const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
	b.half = new Wire(gw.port);
	b.half.s.write(`POST /mcp HTTP/1.1\r\nHost: localhost:${gw.port}\r\n` +
	    `Authorization: Bearer ${token}\r\n` +
	    'Content-Type: application/json\r\n' +
	    'Accept: application/json, text/event-stream\r\n' +
	    `Content-Length: ${body.length}\r\n\r\n{`);
	b.rest = body.slice(1);
	// A connection per request: none is left idle.
	const mcp = await new Mcp(gw.url, { token,
	    agent: new http.Agent() }).open();
	b.nonce = String(Math.random());
	b.call = mcp.tool('talk_hold', { nonce: b.nonce });
	b.call.catch(() => {});
	b.stream = await Sse.open(gw.url, { headers: mcp.headers({
	    accept: 'text/event-stream' }) });
	same(b.stream.status, 200, 'stream');
	await until('the call', () => talker.held.has(b.nonce));
	return b;
}

// One generation too many: its streams end, and what else its clients have is
// done with before it goes.
async function surplus(gw, talker, token) {
	const b = await busy(gw, talker, token);
	for (let i = 0; i <= DRAINING; i++) {
		same(b.stream.ended, undefined, `the stream after ${i} reloads`);
		// So that every generation has a reason to stay.
		if (i > 0) {
			const w = new Wire(gw.port);
			w.s.write(HEALTH);
			await w.answers(1);
		}
		await gw.reload();
	}
	await until('the end of the stream', () => b.stream.ended !== undefined);
	same(b.stream.ended, 'clean', 'the stream');
	await sleep(100);
	b.idle.s.write(HEALTH);
	b.half.s.write(b.rest);
	talker.held.get(b.nonce)();
	const again = await b.idle.answers(2);
	same([again.status, again.headers.connection,
	    again.headers['x-mcpgw-worker']], [200, 'close', b.worker],
	'the next request');
	// It has no session, which is an answer too.
	same((await b.half.answers(1)).status, 400, 'the half request');
	same((await b.call).content[0].text, b.nonce, 'the call');
	same([await b.idle.end(), await b.half.end()], ['clean', 'clean'],
	    'connections');
	await until('its worker to end',
	    () => !gw.workerIds().includes(b.worker), 15_000);
}

// However fast they come: what cannot be kept is refused, and whoever serves all
// generations lives.
async function many(gw) {
	const long = ['keeper', 'runner', 'authd'].map((r) => gw.pids(r));
	const refused = [];
	for (let i = 0; i < 24; i++) {
		const w = new Wire(gw.port);
		w.s.write(HEALTH);
		same((await w.answers(1)).status, 200, `before reload ${i}`);
		const { status, err } = await gw.ctl('reload');
		if (status !== 0)
			refused.push(err);
	}
	same(['keeper', 'runner', 'authd'].map((r) => gw.pids(r)), long,
	    'those that serve all');
	ok(refused.every((e) => /still in use; try again in some seconds/
	    .test(e)), refused.join());
	await until('the next reload', async () =>
	    (await gw.ctl('reload')).status === 0, 20_000, 500);
}

// The time to drain is over: everybody is told, and nobody is cut off.
async function late(gw, talker, token) {
	gw.config.drain = '1s';
	gw.write();
	await gw.reload();
	const b = await busy(gw, talker, token);
	await gw.reload();
	const end = await Promise.all([b.idle.end(), b.half.end()]);
	same(end, ['clean', 'clean'], 'connections');
	same(responses(b.idle.text).length, 1, 'answers to one request');
	const r = await b.half.answers(1);
	same([r.status, r.headers.connection, r.headers['retry-after']],
	    [503, 'close', '1'], 'half a request');
	const result = await b.call;
	ok(result.isError && /was cut off/.test(result.content[0].text), result);
	await until('the stream', () => b.stream.ended !== undefined);
	same(b.stream.ended, 'clean', 'the stream');
	await until('its worker to end',
	    () => !gw.workerIds().includes(b.worker), 5_000);
}

run('surplus', async () => {
	const talker = await Talker.start({ quiet: true });
	for (const mode of modes) {
		const gw = await Gateway.start({ mode, config: { workers: 1,
		    backends: { talk: { url: talker.url } } } });
		const token = (await Client.signIn(gw)).tokens.access_token;
		await test(`a generation too many resets nobody (${mode})`,
		    () => surplus(gw, talker, token));
		await test(`more reloads than are kept (${mode})`, () => many(gw));
		await test(`the end of drain resets nobody (${mode})`,
		    () => late(gw, talker, token));
		await test(`nothing is left after SIGTERM (${mode})`,
		    () => gw.stop());
	}
});
