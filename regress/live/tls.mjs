// issue 3, must be true 6: TLS listeners and https backends. The file runs
// itself again with NODE_EXTRA_CA_CERTS, as a client with a private authority
// would be started.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { chownSync, copyFileSync, mkdtempSync, readFileSync, rmSync,
    writeFileSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { full, freePort, later, ok, run, same, sleep, test, until,
} from './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { echo } from './lib/backends.mjs';
import { Mcp, request } from './lib/mcp.mjs';
import { Browser, Client, consent } from './lib/oauth.mjs';
import { hook } from './lib/paths.mjs';
import { responses } from './lib/raw.mjs';
import { signIn, steps } from './lib/sdk.mjs';
import { Sse, note } from './lib/sse.mjs';
import { Talker } from './lib/talker.mjs';

const ROUNDS = full ? 20 : 6;
const exec = promisify(execFile);
const dir = process.env.TLS_DIR;
const file = (name) => `${dir}/${name}`;
const pem = (name) => readFileSync(file(name), 'utf8');

// ---- certificates, by the openssl command ----

const openssl = (...args) => execFileSync('openssl', args,
    { stdio: ['ignore', 'ignore', 'pipe'] });
const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

function authority(at, name) {
	openssl('req', '-x509', ...EC, '-subj', `/CN=${name}`, '-days', '2',
	    '-keyout', `${at}/${name}.key`, '-out', `${at}/${name}.pem`);
}

// NAME.pem and NAME.key. by: undefined, signed by itself; old: expired.
function certificate(name, san, { by = 'ca', old = false } = {}) {
	openssl('req', '-new', ...EC, '-subj', `/CN=${name}`,
	    '-keyout', file(`${name}.key`), '-out', file(`${name}.csr`));
	writeFileSync(file(`${name}.ext`), `subjectAltName=${san}\n`);
	if (by === undefined) {
		openssl('x509', '-req', '-in', file(`${name}.csr`), '-signkey',
		    file(`${name}.key`), '-days', '2', '-extfile',
		    file(`${name}.ext`), '-out', file(`${name}.pem`));
		return;
	}
	writeFileSync(file(`${name}.cnf`), `[ca]
default_ca=d
[d]
database=${file(`${name}.db`)}
new_certs_dir=${dir}
rand_serial=yes
default_md=sha256
policy=p
[p]
commonName=supplied
`);
	writeFileSync(file(`${name}.db`), '');
	const when = old ? ['20200101000000Z', '20210101000000Z'] :
	    ['20200101000000Z', '20400101000000Z'];
	openssl('ca', '-batch', '-notext', '-config', file(`${name}.cnf`),
	    '-cert', file(`${by}.pem`), '-keyfile', file(`${by}.key`),
	    '-startdate', when[0], '-enddate', when[1],
	    '-extfile', file(`${name}.ext`), '-in', file(`${name}.csr`),
	    '-out', file(`${name}.pem`));
}

// ---- a backend behind TLS: what comes in goes to a plain one ----

async function behind(backend, cert, opts = {}) {
	const port = await freePort();
	const open = new Set();
	const server = tls.createServer({ cert: pem(`${cert}.pem`),
	    key: pem(`${cert}.key`), ALPNProtocols: ['http/1.1'], ...opts },
	    (s) => {
		const to = net.connect(backend.port, '127.0.0.1');
		s.on('error', () => to.destroy());
		to.on('error', () => s.destroy());
		s.pipe(to).pipe(s);
	});
	server.on('connection', (s) => {
		open.add(s);
		s.on('close', () => open.delete(s));
	});
	server.on('tlsClientError', () => {});
	await new Promise((r) => server.listen(port, '127.0.0.1', r));
	const cut = () => { for (const s of open) s.destroy(); };
	later(() => new Promise((r) => { server.close(r); cut(); }));
	return { port, cut, show: (c) => server.setSecureContext({
	    cert: pem(`${c}.pem`), key: pem(`${c}.key`) }) };
}

// ---- the gateway: a plain listener for the harness, one with TLS ----

async function gateway(mode, backends = {}, config = {}) {
	const port = await freePort();
	const gw = await Gateway.make({ mode, config: {
		issuer: `https://localhost:${port}`, backends, ...config,
	} });
	gw.tls = port;
	gw.secure = gw.config.issuer;
	gw.config.listen = [{ address: `127.0.0.1:${gw.port}` },
	    { address: `127.0.0.1:${port}`, tls: {
		certificate: `${gw.dir}/tls.crt`, key: `${gw.dir}/tls.key` } }];
	gw.show = (name) => {
		for (const [from, to] of [['pem', 'crt'], ['key', 'key']])
			put(gw, `${name}.${from}`, `tls.${to}`);
	};
	gw.show('one');
	return gw;
}

// A file of ours where the gateway's user can read it.
function put(gw, name, to = name) {
	copyFileSync(file(name), `${gw.dir}/${to}`);
	if (gw.drop)
		chownSync(`${gw.dir}/${to}`, 65534, 65534);
	return `${gw.dir}/${to}`;
}

const agent = (keepAlive = false) => new https.Agent({ keepAlive,
    maxSockets: 1, ca: pem('ca.pem'), maxCachedSessions: 0 });

const token = async (gw) => (await Client.signIn({ base: gw.secure,
    password: gw.password })).tokens.access_token;

// The serial number of the certificate that a new connection is shown.
function serial(gw) {
	return new Promise((resolve, reject) => {
		const s = tls.connect({ port: gw.tls, host: '127.0.0.1',
		    servername: 'localhost', ca: pem('ca.pem') }, () => {
			resolve(s.getPeerCertificate().serialNumber);
			s.destroy();
		});
		s.on('error', reject);
	});
}

const shown = (name) => execFileSync('openssl', ['x509', '-noout', '-serial',
    '-in', file(`${name}.pem`)]).toString().trim().split('=')[1];

async function backendRow(gw, name) {
	const r = await gw.ctl('-j', 'show', 'backends');
	return JSON.parse(r.out).find((b) => b.backend === name);
}

// ---- cases ----

async function clients(gw) {
	const person = async (url) => {
		const b = new Browser(gw.secure);
		const page = await consent(b, await b.get(url), gw.password);
		same(page.status, 303, 'the redirect to the client');
		await (await fetch(page.location)).text();
	};
	for (const kind of ['SDK 1.x', 'SDK 2.x'])
		await test(`MBT-6 ${kind} over https with a private CA (${
		    gw.mode})`, async () => {
			const { client, seen, provider } = await signIn(kind,
			    `${gw.secure}/mcp`, person);
			steps(seen);
			ok(seen.every((s) => s.url.startsWith('https://')),
			    'a request went without TLS');
			const r = await client.callTool({ name: 'plain_echo',
			    arguments: { nonce: kind } });
			same(JSON.parse(r.content[0].text).nonce, kind, 'echo');
			await client.close();
			// Its token, on connections of their own until both workers
			// have had one.
			const mcp = await new Mcp(`${gw.secure}/mcp`, {
				token: provider.saved.tokens.access_token,
				agent: agent() }).open();
			await until('an answer of each worker', async () => {
				await mcp.tool('plain_echo', { nonce: kind });
				return mcp.workers.size === 2;
			});
		});
	await test(`MBT-6 an unknown CA is the client's to refuse (${gw.mode})`,
	    async () => {
		const e = await new Promise((done) => {
			const s = tls.connect({ port: gw.tls, host: '127.0.0.1',
			    servername: 'localhost', ca: pem('foreign.pem') },
			    () => done(undefined));
			s.on('error', done);
		});
		ok(e !== undefined, 'it was accepted');
		await serial(gw); // the worker lives
	});
}

async function bodies(gw, bearer) {
	await test(`MBT-6 large bodies both ways (${gw.mode})`, async () => {
		const mcp = await new Mcp(`${gw.secure}/mcp`, { token: bearer,
		    agent: agent(true) }).open();
		for (const n of [1, 16_000, 16_384, 16_385, 65_536, 1_000_000,
		    5_000_000]) {
			const nonce = 'x'.repeat(n);
			let r = await mcp.tool('secure_echo', { nonce });
			same(JSON.parse(r.content[0].text).nonce.length, n,
			    'echoed');
			r = await mcp.tool('secure_big', { bytes: n });
			same(r.content[0].text.length, n, 'sent');
		}
		const r = await mcp.tool('secure_stream', { ms: 5 });
		same(r.content[0].text, 'streamed', 'stream');
	});
	await test(`MBT-6 requests sent ahead (${gw.mode})`, async () => {
		const one = `GET /health HTTP/1.1\r\nHost: localhost:${gw.tls}\r\n\r\n`;
		const text = await new Promise((resolve, reject) => {
			let got = '';
			const s = tls.connect({ port: gw.tls, host: '127.0.0.1',
			    servername: 'localhost', ca: pem('ca.pem') });
			s.on('data', (d) => {
				got += d;
				if (got.split('"ok"').length > 20)
					s.end();
			});
			s.on('error', reject);
			s.on('close', () => resolve(got));
			s.write(one.repeat(20));
		});
		same(text.split('HTTP/1.1 200').length - 1, 20, 'answers');
	});
}

// Plain bytes, nothing, half a handshake: the connection ends, nothing else.
async function silence(gw) {
	const ends = (bytes) => new Promise((resolve, reject) => {
		const t0 = Date.now();
		const s = net.connect(gw.tls, '127.0.0.1');
		if (bytes !== undefined)
			s.write(bytes);
		s.on('data', () => {});
		s.on('error', () => {});
		s.on('close', () => resolve(Date.now() - t0));
		setTimeout(() => reject(new Error('still open after 15 s')),
		    15_000).unref();
	});
	await test(`a handshake has 10 s (${gw.mode})`, async () => {
		const [idle, half] = await Promise.all([ends(undefined),
		    ends(Buffer.from('1603010200010001fc0303', 'hex')),
		    ends('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n')
			.then((ms) => ok(ms < 2000, 'plain HTTP: not at once'))]);
		for (const ms of [idle, half])
			ok(ms > 8000 && ms < 13_000, `closed after ${ms} ms`);
		await serial(gw);
	});
}

async function renewal(gw, bearer) {
	let done = 0;
	const failures = [], workers = new Set();
	let going = true;
	const loop = async (keepAlive, i) => {
		const mcp = await new Mcp(`${gw.secure}/mcp`, { token: bearer,
		    agent: agent(keepAlive) }).open();
		for (let n = 0; going; n++) {
			const nonce = `${i}.${n}`;
			try {
				const r = await mcp.tool('secure_echo', { nonce });
				if (JSON.parse(r.content[0].text).nonce !== nonce)
					throw new Error(JSON.stringify(r));
				done++;
			} catch (e) {
				failures.push(e.message);
				await sleep(20);
			}
		}
		for (const w of mcp.workers)
			workers.add(w);
	};
	const slow = async () => {
		const mcp = await new Mcp(`${gw.secure}/mcp`, { token: bearer,
		    agent: agent(true) }).open();
		const r = await mcp.tool('secure_slow', { ms: 4000 });
		same(r.content[0].text, 'slow', 'a call that outlives reloads');
	};
	const loops = [0, 1, 2, 3].map((i) => loop(i % 2 === 0, i));
	await sleep(300);
	const patient = slow();
	for (let i = 0; i < ROUNDS; i++) {
		const name = i % 2 ? 'one' : 'two';
		gw.show(name);
		await gw.reload();
		await until(`the certificate of round ${i}`, async () => {
			const seen = await Promise.all(Array.from({ length: 6 },
			    () => serial(gw)));
			return seen.every((s) => s === shown(name));
		});
		await sleep(100);
	}
	await patient;
	going = false;
	await Promise.all(loops);
	same(failures.length, 0, `failed of ${done}: ${failures[0]}`);
	ok(done > ROUNDS * 20, `only ${done} calls`);
	ok(workers.size > 2, `workers: ${[...workers]}`);
	console.log(`# ${ROUNDS} certificates, ${done} calls, 0 failed`);
}

// One TLS connection, and requests on it one after another.
class Kept {
	constructor(gw, mcp) {
		this.text = '';
		this.headers = { host: `localhost:${gw.tls}`, ...mcp.headers() };
		this.s = tls.connect({ port: gw.tls, host: '127.0.0.1',
		    servername: 'localhost', ca: pem('ca.pem') });
		this.s.once('secureConnect', () => {
			this.serial = this.s.getPeerCertificate().serialNumber;
		});
		this.s.setEncoding('latin1');
		this.s.on('data', (d) => { this.text += d; });
		this.s.on('error', (e) => { this.error = e; });
		this.s.on('end', () => { this.ended = true; });
		later(() => this.s.destroy());
	}

	// {worker, last (the answer says that it is), result}
	async call(name, args) {
		this.text = '';
		const body = JSON.stringify({ jsonrpc: '2.0', id: 1,
		    method: 'tools/call', params: { name, arguments: args } });
		this.s.write(`POST /mcp HTTP/1.1\r\n${Object.entries({
		    ...this.headers, 'content-length': body.length })
		    .map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n${body}`);
		const whole = () => {
			const at = this.text.indexOf('\r\n\r\n');
			const n = this.text.match(/^content-length: (\d+)/im)?.[1];
			return at > 0 && this.text.length >= at + 4 + Number(n);
		};
		await until('an answer', () => whole() || this.ended || this.error,
		    10_000, 5);
		ok(whole(), `cut after ${this.text.length} bytes: ${this.error}`);
		const [r] = responses(this.text);
		same(r.status, 200, r.body);
		return { worker: r.headers['x-mcpgw-worker'],
		    last: r.headers.connection === 'close',
		    result: JSON.parse(r.body).result };
	}
}

// Connections of before a new certificate: a stream that numbers come on, a
// sequence of calls, and one with a call open. None is cut; the calls' end after
// the next answer, which says so.
async function held(gw, bearer, talker) {
	const old = await serial(gw);
	const name = old === shown('one') ? 'two' : 'one';
	const mcp = await new Mcp(`${gw.secure}/mcp`, { token: bearer,
	    agent: agent() }).open();
	const nonce = `held ${gw.mode}`;
	await mcp.tool('talk_echo', { nonce });
	const up = talker.sessionOf(nonce);
	const g = await Sse.open(mcp.url, { agent: agent(),
	    headers: mcp.headers({ accept: 'text/event-stream' }) });
	same(g.status, 200, 'GET');
	await until('the backend\'s stream', () => up.listens);
	let sent = 0;
	const timer = setInterval(() => talker.log('error', ++sent, up), 10);
	const got = () => g.messages.filter(note('notifications/message'))
	    .map((m) => m.params.data);
	try {
		const idle = new Kept(gw, mcp), busy = new Kept(gw, mcp);
		let worker;
		for (let i = 0; i < 5; i++) {
			const r = await idle.call('plain_echo', { nonce: i });
			same([r.last, JSON.parse(r.result.content[0].text).nonce],
			    [false, i], 'before');
			worker = r.worker;
		}
		const slow = busy.call('plain_slow', { ms: 1500 });
		await sleep(100);
		gw.show(name);
		await gw.reload();
		await until('the new certificate', async () => (await Promise.all(
		    Array.from({ length: 6 }, () => serial(gw)))).every((s) =>
		    s === shown(name)));
		const after = await idle.call('plain_echo', { nonce: 'after' });
		same([after.worker, after.last,
		    JSON.parse(after.result.content[0].text).nonce],
		[worker, true, 'after'], 'the sequence goes on');
		const late = await slow;
		same([late.last, late.result.content[0].text], [true, 'slow'],
		    'the open call');
		for (const k of [idle, busy]) {
			same(k.serial, old, 'its certificate');
			await until('its end', () => k.ended, 5000);
			same(k.error, undefined, 'not as it should end');
		}
		const n = sent;
		await until('what comes after', () => got().includes(n + 20));
	} finally {
		clearInterval(timer);
	}
	await until('the last number', () => got().at(-1) === sent);
	same(got(), Array.from({ length: sent }, (_, i) => i + 1), 'numbers');
	same([g.ended, g.req.socket.getPeerCertificate().serialNumber],
	    [undefined, old], 'the stream');
	g.close();
}

async function badCertificates(gw) {
	const before = await serial(gw);
	for (const [what, key, text] of [
	    ['a key of another certificate', pem('other.key'),
		/mcpgwd\.conf:\d+: listen\.tls\.key: does not belong/],
	    ['no key', 'nothing', /:\d+: listen\.tls\.key: .*is no PEM/],
	    ['a broken key', pem('one.key').replace(/\n..../, '\n!!!!'),
		/:\d+: listen\.tls\.key: holds a private key that can not/]]) {
		writeFileSync(`${gw.dir}/tls.key`, key);
		const r = await gw.ctl('reload');
		same(r.status, 1, what);
		ok(text.test(r.out + r.err), `${what}: ${r.out}${r.err}`);
		const n = gw.launchCheck();
		same(await n.exited, 1, `${what}: mcpgwd -n`);
		ok(text.test(n.output), `${what}: mcpgwd -n: ${n.output}`);
	}
	gw.show('one');
	const ca = gw.config.backends.secure.ca;
	gw.config.backends.secure.ca = `${gw.dir}/tls.key`;
	gw.write();
	const r = await gw.ctl('reload');
	ok(/:\d+: backends\.secure\.ca: holds no certificate/.test(r.out + r.err),
	    `a ca without one: ${r.out}${r.err}`);
	gw.config.backends.secure.ca = ca;
	gw.write();
	same(await serial(gw), before, 'the certificate');
	await gw.reload();
	const n = gw.launchCheck();
	same(await n.exited, 0, `mcpgwd -n: ${n.output}`);
}

const refusals = {
	wronghost: /is not trusted: host name does not match the certificate/,
	expired: /is not trusted: certificate has expired/,
	selfsigned: /is not trusted: self-signed certificate/,
	unknown: /is not trusted: certificate of an authority that is not trusted/,
	wrongip: /is not trusted: address does not match the certificate/,
	nocert: /can not be reached by TLS: .*certificate/,
	nottls: /can not be reached by TLS: it does not speak TLS/,
};

async function backends(gw, bearer, b) {
	for (const [name, why] of Object.entries(refusals))
		await test(`MBT-6 backend ${name} is refused by name (${
		    gw.mode})`, async () => {
			const row = await until('a reason', async () => {
				const r = await backendRow(gw, name);
				return why.test(r?.error ?? '') && r;
			}, 20_000).catch(async (e) => {
				throw new Error(`${e.message}: ${
				    (await backendRow(gw, name))?.error}`);
			});
			same(row.state, 'down', 'state');
			ok(gw.output.split('\n').some((l) =>
			    l.includes(`backend ${name} `) && why.test(l)),
			    'it is not in the log');
		});
	await test(`MBT-6 a private CA, an address, a client certificate (${
	    gw.mode})`, async () => {
		const mcp = await new Mcp(`${gw.secure}/mcp`, { token: bearer,
		    agent: agent() }).open();
		for (const name of ['secure', 'ip', 'mutual']) {
			// Connections are new each time; whose they are the
			// kernel decides.
			mcp.workers.clear();
			for (let i = 0; i < 200 && mcp.workers.size < 2; i++) {
				const r = await mcp.tool(`${name}_echo`,
				    { nonce: name });
				same(JSON.parse(r.content[0].text).nonce, name, name);
			}
			same(mcp.workers.size, 2, `workers that reached ${name}`);
		}
	});
	await test(`MBT-6 a backend whose certificate goes bad says so (${
	    gw.mode})`, async () => {
		const mcp = await new Mcp(`${gw.secure}/mcp`, { token: bearer,
		    agent: agent() }).open();
		await mcp.tool('turns_echo', { nonce: 'a' });
		b.turns.show('expired');
		b.turns.cut();
		const r = await until('the refusal', async () => {
			const a = await mcp.tool('turns_echo', { nonce: 'b' });
			return a.isError && /expired/.test(a.content[0].text) && a;
		});
		ok(/"turns" is not trusted: certificate has expired/.test(
		    r.content[0].text), r.content[0].text);
		b.turns.show('backend');
		await until('it to be back', async () => !(await mcp.tool(
		    'turns_echo', { nonce: 'c' })).isError);
	});
}

async function scan(gw) {
	const { stdout } = await exec('sslscan', ['--no-colour', '--show-sigs',
	    `--sni-name=localhost`, `127.0.0.1:${gw.tls}`], { timeout: 60_000 });
	const says = (re, what) => ok(re.test(stdout), `${what}: ${stdout}`);
	for (const v of ['SSLv2', 'SSLv3', 'TLSv1.0', 'TLSv1.1'])
		says(new RegExp(`^${v.replace('.', '\\.')} +disabled`, 'm'), v);
	for (const v of ['TLSv1.2', 'TLSv1.3'])
		says(new RegExp(`^${v.replace('.', '\\.')} +enabled`, 'm'), v);
	says(/renegotiation not supported/i, 'renegotiation');
	ok(!/compression enabled/i.test(stdout), `compression: ${stdout}`);
	const groups = stdout.split('\n').filter((l) => /ffdhe|x448/.test(l));
	same(groups, [], 'groups');
	const weak = stdout.split('\n').filter((l) =>
	    /^(Accepted|Preferred) /.test(l) && !/GCM|POLY1305/.test(l));
	same(weak, [], 'ciphers');
}

async function certificates() {
	authority(dir, 'foreign');
	const here = 'DNS:localhost';
	for (const name of ['one', 'two', 'backend'])
		certificate(name, `${here},IP:127.0.0.1`);
	certificate('other', 'DNS:other.example,IP:192.0.2.1');
	certificate('expired', here, { old: true });
	certificate('selfsigned', here, { by: undefined });
	certificate('unknown', here, { by: 'foreign' });
	certificate('client', 'DNS:gateway');
}

async function all(mode, plain, talker, bad) {
	const b = { secure: await behind(plain, 'backend'),
	    turns: await behind(plain, 'backend'),
	    mutual: await behind(plain, 'backend', { requestCert: true,
		rejectUnauthorized: true, ca: pem('ca.pem') }) };
	const gw = await gateway(mode, {}, {});
	const ca = put(gw, 'ca.pem');
	const at = (x, more = { ca }, host = 'localhost') =>
	    ({ url: `https://${host}:${x.port}/mcp`, ...more });
	const shows = { certificate: put(gw, 'client.pem'),
	    key: put(gw, 'client.key') };
	gw.config.backends = {
		plain: { url: plain.url }, talk: { url: talker.url },
		secure: at(b.secure), turns: at(b.turns),
		ip: at(b.secure, { ca }, '127.0.0.1'),
		mutual: at(b.mutual, { ca, cert: shows }),
		wronghost: at(bad.other), wrongip: at(bad.other, { ca },
		    '127.0.0.1'),
		expired: at(bad.expired),
		selfsigned: at(bad.selfsigned, {}),
		unknown: at(bad.unknown, {}),
		nocert: at(b.mutual), nottls: at(plain),
	};
	gw.launchCheck = () => {
		const served = gw.child;
		const n = gw.launch(['-n']);
		gw.child = served;
		return n;
	};
	gw.write();
	await gw.start({ ready: false });
	await until('the good backends', async () => {
		for (const n of ['plain', 'talk', 'secure', 'turns', 'ip', 'mutual'])
			if ((await backendRow(gw, n))?.state !== 'up')
				throw new Error(`${n}: ${
				    (await backendRow(gw, n))?.error}`);
		return true;
	});
	const quiet = silence(gw);
	await clients(gw);
	const bearer = await token(gw);
	await bodies(gw, bearer);
	await backends(gw, bearer, b);
	await test(`MBT-6 certificate replaced ${ROUNDS} times under load (${
	    mode})`, () => renewal(gw, bearer), { timeout: 120_000 });
	await test(`MBT-6 what is open goes on over a new certificate (${mode})`,
	    () => held(gw, bearer, talker));
	await test(`MBT-6 a bad certificate changes nothing (${mode})`,
	    () => badCertificates(gw));
	if (mode === modes[0])
		await test('MBT-6 sslscan: nothing below 1.2, no renegotiation',
		    () => scan(gw));
	await quiet;
	await test(`HSTS and plain HTTP beside it (${mode})`, async () => {
		const r = await request(`${gw.secure}/health`, { method: 'GET',
		    agent: agent() });
		same(r.status, 200, 'https');
		ok(/max-age=\d/.test(r.headers['strict-transport-security']),
		    'no Strict-Transport-Security');
		same((await request(`${gw.base}/health`, { method: 'GET' }))
		    .status, 200, 'http');
	});
	await test(`nothing is left after SIGTERM (${mode})`, () => gw.stop());
}

// The process that the runner starts: makes the authority, and runs the rest
// with it in its environment.
async function outer() {
	const at = mkdtempSync(`${tmpdir()}/mcpgw-tls-`);
	authority(at, 'ca');
	const child = spawn(process.execPath, ['--import', hook,
	    process.argv[1]], { stdio: 'inherit', env: { ...process.env,
	    NODE_EXTRA_CA_CERTS: `${at}/ca.pem`, TLS_DIR: at } });
	for (const sig of ['SIGINT', 'SIGTERM', 'SIGHUP'])
		process.on(sig, () => child.kill(sig));
	child.once('close', (code, sig) => {
		rmSync(at, { recursive: true, force: true });
		process.exit(sig ? 1 : code);
	});
}

if (dir === undefined)
	await outer();
else
	run('tls', async () => {
		await certificates();
		const plain = await echo(), talker = await Talker.start();
		const bad = {};
		for (const name of ['other', 'expired', 'selfsigned', 'unknown'])
			bad[name] = await behind(plain, name);
		for (const mode of modes)
			await all(mode, plain, talker, bad);
	});
