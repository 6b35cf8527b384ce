// ref/security.md 1.D: JSON-1..10 against the daemon.
import { readFileSync } from 'node:fs';
import { ok, run, same, test } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { echo } from './lib/backends.mjs';
import { Mcp, messages } from './lib/mcp.mjs';
import { exchange, responses } from './lib/raw.mjs';

let gw, mcp, backend;

async function refused(body, codes, what) {
	const r = await mcp.send(body);
	same(r.status, 400, `${what}: status (${r.text.slice(0, 200)})`);
	const [m] = messages(r);
	ok([codes].flat().includes(m?.error?.code),
	    `${what}: code ${m?.error?.code} instead of ${codes}`);
	return m;
}

// What a request whose form is right but whose content is not gives: an error,
// with status 400 or 200.
async function fails(body, codes, what) {
	const r = await mcp.send(body);
	ok([200, 400, 404].includes(r.status), `${what}: ${r.status}`);
	const [m] = messages(r);
	ok([codes].flat().includes(m?.error?.code),
	    `${what}: ${r.text.slice(0, 300)}`);
}

function memory() {
	return gw.pids('worker').map((pid) => Number(readFileSync(
	    `/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]));
}

const growth = (a, b) => Math.max(...b.map((x, i) => x - a[i]));
const seen = async () => (await (await fetch(
    backend.url.replace(/mcp$/, 'seen'))).json()).seen;

const call = (args, extra = '') => '{"jsonrpc":"2.0","id":9,"method":' +
    `"tools/call","params":{"name":"echo","arguments":${args}${extra}}}`;

async function parsing() {
	await test('JSON-1 depth', async () => {
		// Every worker has seen one before memory is compared.
		for (let i = 0; i < 8; i++)
			await refused('['.repeat(100_000), [-32700, -32600], '[');
		const before = memory();
		for (let i = 0; i < 8; i++) {
			await refused('['.repeat(100_000), [-32700, -32600], '[');
			await refused('{"a":'.repeat(100_000), [-32700, -32600],
			    '{"a":');
		}
		if (!process.env.SANITIZE)
			ok(growth(before, memory()) < 1024,
			    `grew by ${growth(before, memory())} KiB`);
		await refused(call('['.repeat(70) + ']'.repeat(70)),
		    [-32700, -32600], '70 deep');
		const r = await mcp.send(call(`{"nonce":${'['.repeat(40)}${
		    ']'.repeat(40)}}`));
		same(r.status, 200, '40 deep passes');
	});
	await test('JSON-2 duplicate keys', async () => {
		const id = '"jsonrpc":"2.0","id":1';
		for (const b of [
		    `{${id},"method":"tools/list","method":"tools/call"}`,
		    `{${id},"id":2,"method":"ping"}`,
		    `{${id},"method":"tools/call","params":{"name":"echo",` +
			'"name":"slow"}}',
		    `{${id},"method":"ping","params":{"_meta":{"a":1,"a":2}}}`,
		    `{${id},"method":"ping","params":{},"params":{}}`,
		    `{${id},"method":"ping","meth\\u006fd":"tools/call"}`])
			await refused(b, [-32700, -32600], b);
		// Whose this is we would say by one, and the backend by the other.
		for (const second of ['uri', '\\u0075ri'])
			await fails(`{${id},"method":"completion/complete",` +
			    '"params":{"ref":{"type":"ref/resource","uri":"a:1",' +
			    `"${second}":"b:2"},"argument":{"name":"n",` +
			    '"value":"1"}}}', -32602, second);
	});
	await test('JSON-3 keys that only look like ours', async () => {
		for (const b of ['{"jsonrpc":"2.0","id":1,"Method":"ping"}',
		    '{"jsonrpc":"2.0","id":1,"METHOD":"ping"}',
		    '{"jsonrpc":"2.0","id":1,"method ":"ping"}'])
			await refused(b, -32600, b);
		const r = await mcp.send('{"jsonrpc":"2.0","id":1,' +
		    '"method":"ping","\u212A":1,"param\u017F":{}}');
		ok(r.status === 200 || r.status === 400, `${r.status}`);
	});
	await test('JSON-4 a NUL in a key', async () => {
		await refused('{"jsonrpc":"2.0","id":1,"method\\u0000":"x"}',
		    [-32600, -32700], 'escape');
		await refused('{"jsonrpc":"2.0","id":1,"method\0":"x"}',
		    -32700, 'raw');
	});
	await test('JSON-6 bytes that are not UTF-8', async () => {
		const raw = (s) => Buffer.from(s, 'latin1');
		const text = '{"jsonrpc":"2.0","id":1,"method":"ping"';
		for (const b of [raw(`${text},"x":"\xff\xfe"}`),
		    raw(`${text},"x":"\xc0\xaf"}`),
		    raw(`${text},"x":"\xed\xa0\x80"}`),
		    raw(`${text},"x":"\xf5\x80\x80\x80"}`),
		    raw(`${text},"x":"\xc3"}`),
		    raw(`\xef\xbb\xbf${text}}`), Buffer.from(`${text}}`, 'utf16le'),
		    raw(`${text},"x":"a\x01b"}`), raw(`${text},"x":"a\nb"}`)])
			await refusedRaw(b);
		for (const b of ['{"jsonrpc":"2.0","id":1,"method":"\\ud800"}',
		    '{"jsonrpc":"2.0","id":1,"method":"tools/call",' +
		    '"params":{"name":"\\ud800","arguments":{}}}'])
			await fails(b, [-32700, -32600, -32601, -32602], b);
		await mcp.call('ping');
	});
	await test('JSON-10 not JSON', async () => {
		for (const b of ['', ' ', '{}x', '{} {}', '{/**/}', '{"a":NaN}',
		    '{\'a\':1}', '{"a":1,}', '[1,]', '{"a":01}', '{"a":1.}',
		    '{"a":.5}', '{"a":+1}', '{"a":1e}', '{a:1}', '{"a" 1}',
		    '{"a":tru}', '"\\x"', '{"a":"\\u12"}', '{,}', '//x\n{}',
		    '{"a":Infinity}', '{"a":-}', 'nul', '{"a":1}}'])
			await refused(b, [-32700, -32600], JSON.stringify(b));
		for (const b of ['1', '"x"', 'null', 'true', '{}',
		    '{"jsonrpc":"1.0","id":1,"method":"ping"}',
		    '{"jsonrpc":"2.0","id":1,"method":5}'])
			await refused(b, -32600, b);
	});
}

// mcp.send takes strings; this one takes bytes.
async function refusedRaw(bytes) {
	const r = await exchange(gw.port, [Buffer.concat([Buffer.from(
	    `POST /bare/mcp HTTP/1.1\r\nHost: localhost:${gw.port}\r\n` +
	    'Content-Type: application/json\r\nAccept: application/json, ' +
	    `text/event-stream\r\nMcp-Session-Id: ${mcp.session}\r\n` +
	    `Content-Length: ${bytes.length}\r\nConnection: close\r\n\r\n`),
	    bytes])]);
	const [a] = responses(r.bytes);
	same(a?.status, 400, `status for ${bytes.toString('latin1')}`);
	same(JSON.parse(a.body).error.code, -32700,
	    `code for ${bytes.toString('latin1')}`);
}

async function values() {
	await test('JSON-5 values pass byte for byte', async () => {
		const args = '{"a":1.0,"b":1e400,"c":12345678901234567890,' +
		    '"d":-0,"e":"\\u00e9\\/é\\ud83d\\ude00","f":[ 1 , 2 ],' +
		    '"g":{"x":1,"x":2},"h":1E+2,"nonce":"n"}';
		await mcp.send(call(args));
		const { raw } = (await seen()).at(-1);
		const sent = Buffer.from(raw, 'latin1').toString();
		ok(sent.includes(args), `sent: ${sent}`);
		for (const k of ['jsonrpc', 'id', 'method', 'params'])
			same(sent.split(`"${k}":`).length, 2, `"${k}" once`);
	});
	await test('JSON-7 ids come back as they were, or are refused',
	    async () => {
		const good = ['0', '1', '-1', '9007199254740993',
		    '9223372036854775808', '"x"', '""', '"é\\u00e9"',
		    `"${'i'.repeat(200)}"`];
		for (const id of good) {
			const r = await mcp.send(
			    `{"jsonrpc":"2.0","id":${id},"method":"ping"}`);
			same(r.status, 200, id);
			ok(r.text.includes(`"id":${id}`), `${id}: ${r.text}`);
		}
		for (const id of ['-0', '1.5', '1e308']) {
			const r = await mcp.send(
			    `{"jsonrpc":"2.0","id":${id},"method":"ping"}`);
			ok(r.status === 200 && r.text.includes(`"id":${id}`) ||
			    r.status === 400 && r.text.includes('-32600'),
			    `${id}: ${r.status} ${r.text}`);
		}
		for (const id of ['null', '{}', '[]', 'true',
		    `"${'i'.repeat(10 << 20)}"`]) {
			const r = await mcp.send(
			    `{"jsonrpc":"2.0","id":${id},"method":"ping"}`);
			same(r.status, 400, `${id.slice(0, 20)}: ${
			    r.text.slice(0, 100)}`);
			ok(r.text.includes('-32600'), r.text.slice(0, 200));
		}
	});
	await test('JSON-8 batches were removed', async () => {
		await refused('[]', -32600, 'empty');
		await refused('[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
		    -32600, 'one');
	});
	await test('JSON-9 too large: refused before the body', async () => {
		const head = (n) => `POST /bare/mcp HTTP/1.1\r\nHost: localhost:${
		    gw.port}\r\nContent-Type: application/json\r\n` +
		    `Content-Length: ${n}\r\n\r\n`;
		const before = memory();
		for (let i = 0; i < 10; i++)
			for (const n of [(16 << 20) + 1, 1 << 30]) {
				const r = await exchange(gw.port, head(n));
				const [a] = responses(r.bytes);
				same(a?.status, 413, `${n}`);
			}
		if (!process.env.SANITIZE)
			ok(growth(before, memory()) < 1024, 'memory grew');
	});
	await test('JSON-9 15 MiB pass', async () => {
		const nonce = 'x'.repeat(15 << 20);
		const r = await mcp.tool('echo', { nonce });
		same(JSON.parse(r.content[0].text).nonce.length, nonce.length,
		    'length');
	});
	await test('unknown methods, tools and parameters', async () => {
		await fails('{"jsonrpc":"2.0","id":1,"method":"nothing"}', -32601,
		    'method');
		await fails('{"jsonrpc":"2.0","id":1,"method":"tools/call",' +
		    '"params":{"name":"nothing"}}', -32602, 'tool');
		await fails('{"jsonrpc":"2.0","id":1,"method":"tools/call"}',
		    -32602, 'no params');
		await fails('{"jsonrpc":"2.0","id":1,"method":"tools/call",' +
		    '"params":{"name":5}}', -32602, 'name is a number');
		await fails('{"jsonrpc":"2.0","id":1,"method":"tools/list",' +
		    '"params":{"cursor":"nonsense"}}', -32602, 'cursor');
		await fails('{"jsonrpc":"2.0","id":1,"method":"ping",' +
		    '"params":[]}', [-32600, -32602], 'params is an array');
	});
}

run('json', async () => {
	backend = await echo();
	gw = await Gateway.start({ config: {
		backends: { echo: { url: backend.url } },
		endpoints: { '/bare/mcp': { backends: ['echo'], prefix: 'none',
		    auth: 'none' } },
	} });
	mcp = await new Mcp(`${gw.base}/bare/mcp`).open();
	const pids = gw.pids('worker');
	await parsing();
	await values();
	await test('both workers have answered and live', async () => {
		same(gw.pids('worker'), pids, 'workers');
		same(mcp.workers.size, 2, 'workers seen');
	});
	await test('nothing is left after SIGTERM', () => gw.stop());
});
