// Clients on the official SDKs that know a URL and nothing else.
import http from 'node:http';
import { Client as Client1 } from
    '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as Stdio1 } from
    '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as Transport1 } from
    '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { UnauthorizedError as Unauthorized1 } from
    '@modelcontextprotocol/sdk/client/auth.js';
import {
	Client as Client2, StreamableHTTPClientTransport as Transport2,
	UnauthorizedError as Unauthorized2,
} from '@modelcontextprotocol/client';
import { StdioClientTransport as Stdio2 } from
    '@modelcontextprotocol/client/stdio';
import { alike, freePort, later, ok, same } from './harness.mjs';
import { challenge } from './oauth.mjs';
import { passed } from './pin.mjs';

export const sdks = {
	'SDK 1.x': { Client: Client1, Transport: Transport1, Stdio: Stdio1,
	    Unauthorized: Unauthorized1, options: {} },
	'SDK 2.x': { Client: Client2, Transport: Transport2, Stdio: Stdio2,
	    Unauthorized: Unauthorized2, options: {} },
	'SDK 2.x auto': { Client: Client2, Transport: Transport2, Stdio: Stdio2,
	    Unauthorized: Unauthorized2,
	    options: { versionNegotiation: { mode: 'auto' } } },
};

// The client's end of the redirect: a listener on loopback that waits for one
// callback.
export async function callback(host = '127.0.0.1') {
	const port = await freePort();
	let got;
	const answer = new Promise((r) => { got = r; });
	const server = http.createServer((req, res) => {
		const url = new URL(req.url, `http://${host}:${port}`);
		res.end('You can close this window.');
		if (url.pathname === '/callback')
			got(url.searchParams);
	});
	await new Promise((r) => server.listen(port, '127.0.0.1', r));
	later(() => new Promise((r) => {
		server.closeAllConnections();
		server.close(r);
	}));
	return { url: `http://${host}:${port}/callback`, answer };
}

// Keeps what a client keeps. It is handed the authorization URL.
class Provider {
	constructor(redirect) {
		this.redirect = redirect;
		this.saved = {};
		this.asked = undefined;
	}
	get redirectUrl() { return this.redirect; }
	get clientMetadata() {
		return { client_name: 'regress <sdk>',
		    redirect_uris: [this.redirect],
		    grant_types: ['authorization_code', 'refresh_token'],
		    response_types: ['code'],
		    token_endpoint_auth_method: 'none' };
	}
	state() { return this.wanted ??= 'st-' + Math.random(); }
	clientInformation() { return this.saved.client; }
	saveClientInformation(c) { this.saved.client = c; }
	tokens() { return this.saved.tokens; }
	saveTokens(t) { this.saved.tokens = t; }
	redirectToAuthorization(url) { this.asked = url; }
	saveCodeVerifier(v) { this.saved.verifier = v; }
	codeVerifier() { return this.saved.verifier; }
	saveDiscoveryState(d) { this.saved.discovery = d; }
	discoveryState() { return this.saved.discovery; }
}

function recorder() {
	const seen = [];
	return { seen, fetch: async (url, init = {}) => {
		const res = await fetch(url, init);
		seen.push({ url: String(url), status: res.status,
		    method: init.method ?? 'GET', body: String(init.body ?? ''),
		    challenge: res.headers.get('www-authenticate'),
		    worker: res.headers.get('x-mcpgw-worker') });
		return res;
	} };
}

// The same for a program whose fetch() can not be given: a proxy on loopback
// before the address that its to is set to.
export async function observer() {
	const port = await freePort();
	const o = { seen: [], url: `http://localhost:${port}`, to: undefined };
	const server = http.createServer((req, res) => {
		const parts = [];
		req.on('data', (d) => parts.push(d));
		req.on('error', () => res.destroy());
		req.on('end', () => pass(o, req, res, Buffer.concat(parts)));
	});
	await new Promise((r) => server.listen(port, '127.0.0.1', r));
	later(() => {
		server.closeAllConnections();
		return new Promise((r) => server.close(r));
	});
	return o;
}

function pass({ seen, to }, req, res, body) {
	const next = http.request(new URL(req.url, to), { method: req.method,
	    headers: passed(req.rawHeaders), setHost: false, agent: false }, (r) => {
		seen.push({ url: req.url, status: r.statusCode,
		    method: req.method, body: body.toString(),
		    bearer: req.headers.authorization,
		    challenge: r.headers['www-authenticate'] });
		res.writeHead(r.statusCode, passed(r.rawHeaders));
		res.flushHeaders();
		r.pipe(res);
		r.on('error', () => res.destroy());
	});
	next.on('error', () => res.destroy());
	res.on('close', () => next.destroy());
	next.end(body);
}

async function connectOver(kind, transport, capabilities) {
	const { Client, options } = sdks[kind];
	const client = new Client({ name: 'regress', version: '1' },
	    { capabilities, ...options });
	await client.connect(transport);
	later(() => client.close().catch(() => {}));
	return client;
}

// Connects without authorization.
export const connect = (kind, url, capabilities = {}, opts = {}) =>
    connectOver(kind, new sdks[kind].Transport(new URL(url), opts),
	capabilities);

// Connects to a server that it runs itself: params are those of the SDK's
// transport.
export const connectStdio = (kind, params, capabilities = {}) =>
    connectOver(kind, new sdks[kind].Stdio({ stderr: 'ignore', ...params }),
	capabilities);

// Connects with what a sign-in left, as a client that is started again.
export const connectAgain = (kind, url, { provider }, capabilities = {}) =>
    connect(kind, url, capabilities, { authProvider: provider });

// From the URL to a connected client; allow(url) plays the person.
// Returns {client, seen, provider}; seen is every HTTP request it made.
export async function signIn(kind, url, allow,
    { capabilities = {}, host } = {}) {
	const { Client, Transport, Unauthorized, options } = sdks[kind];
	const back = await callback(host);
	const provider = new Provider(back.url);
	const { seen, fetch } = recorder();
	const make = () => new Transport(new URL(url),
	    { authProvider: provider, fetch });
	const fresh = () => new Client({ name: 'regress', version: '1' },
	    { capabilities, ...options });

	const first = make();
	const refused = await fresh().connect(first).then(() => undefined,
	    (e) => e);
	ok(refused instanceof Unauthorized,
	    `the first connect should ask for authorization: ${refused}`);
	ok(provider.asked, 'the client was not sent to authorize');
	await allow(provider.asked);
	const params = await back.answer;
	same(params.get('state'), provider.wanted, 'state');
	await (kind === 'SDK 1.x' ? first.finishAuth(params.get('code')) :
	    first.finishAuth(params));
	pkce(provider, seen);
	const client = fresh();
	await client.connect(make());
	later(() => client.close().catch(() => {}));
	return { client, seen, provider, params };
}

// The code was asked for with a challenge and redeemed with its verifier.
function pkce(provider, seen) {
	const asked = provider.asked.searchParams;
	const [token] = seen.filter((s) =>
	    s.body.includes('grant_type=authorization_code'));
	const verifier = new URLSearchParams(token?.body).get('code_verifier');
	ok(verifier, `a verifier in ${token?.body}`);
	same([asked.get('code_challenge_method'), asked.get('code_challenge')],
	    ['S256', challenge(verifier)], 'challenge');
}

// The nine steps, in their order, as the recorded requests show them.
export function steps(seen) {
	let from = 0;
	const has = (what, fn) => {
		const at = seen.findIndex((s, i) => i >= from && fn(s));
		ok(at >= 0, `no ${what} from ${from} on among ${seen.map((s) =>
		    `${s.method} ${s.url} ${s.status}`).join(', ')}`);
		from = at + 1;
	};
	has('401 with resource_metadata', (s) => s.status === 401 &&
	    /resource_metadata="/.test(s.challenge ?? ''));
	has('protected-resource metadata', (s) => s.status === 200 &&
	    s.url.includes('/.well-known/oauth-protected-resource'));
	has('authorization-server metadata', (s) => s.status === 200 &&
	    /oauth-authorization-server|openid-configuration/.test(s.url));
	has('registration', (s) => s.status === 201);
	has('token request', (s) => s.status === 200 && s.method === 'POST' &&
	    s.body.includes('authorization_code'));
	has('MCP call', (s) => s.status === 200 && s.method === 'POST' &&
	    s.url.endsWith('/mcp'));
}

// All pages of one of a client's lists.
export async function all(client, method, key) {
	const out = [];
	let cursor;
	do {
		const page = await client[method](cursor ? { cursor } : undefined);
		out.push(...page[key]);
		cursor = page.nextCursor;
	} while (cursor !== undefined);
	return out;
}

const LISTS = { tools: 'listTools', prompts: 'listPrompts',
    resources: 'listResources', resourceTemplates: 'listResourceTemplates' };

// What a client that is connected to servers themselves sees:
// {name: {client, tools, prompts, resources, resourceTemplates}}.
export async function looked(clients) {
	const out = {};
	for (const [name, client] of Object.entries(clients)) {
		const { ...has } = client.getServerCapabilities();
		has.resourceTemplates = has.resources;
		out[name] = { client };
		for (const [key, method] of Object.entries(LISTS))
			out[name][key] = has[key] ?
			    await all(client, method, key) : [];
	}
	return out;
}

// Every list is the servers' own, one after the other, each definition whole
// under the name the gateway gives it.
export async function compareLists(client, direct) {
	for (const [key, method] of Object.entries(LISTS)) {
		const prefixed = key === 'tools' || key === 'prompts';
		const want = Object.entries(direct).flatMap(([server, d]) =>
		    d[key].map((x) => prefixed ?
			{ ...x, name: `${server}_${x.name}` } : x));
		const got = await all(client, method, key);
		same(got.map((x) => x.name), want.map((x) => x.name),
		    `names of ${key}`);
		for (const [i, x] of want.entries())
			alike(got[i], x, `${key}: ${x.name}`);
	}
}

// The clock in what server-everything says.
const plain = (v) => JSON.parse(JSON.stringify(v)
    .replace(/"blob":"([^"]*)"/g, (_, b) =>
	`"blob":${JSON.stringify(Buffer.from(b, 'base64').toString())}`)
    .replace(/\d{1,2}:\d\d:\d\d( [AP]M)?/g, 'TIME'));

const argument = ({ name }) => [name, /id$/i.test(name) ? '1' :
    /type$/i.test(name) ? 'Text' : 'milk'];

// Every resource, one of each template, and every prompt say the same. Their
// number is returned.
export async function compareContents(client, direct) {
	let n = 0;
	for (const [server, d] of Object.entries(direct)) {
		const uris = [...d.resources.map((r) => r.uri),
		    ...d.resourceTemplates.map((t) =>
			t.uriTemplate.replace(/\{\w+\}/g, '2'))];
		for (const uri of uris) {
			const want = await d.client.readResource({ uri });
			ok(want.contents.length > 0, `${uri} is empty`);
			alike(plain(await client.readResource({ uri })),
			    plain(want), uri);
		}
		for (const p of d.prompts) {
			const args = { arguments: Object.fromEntries(
			    (p.arguments ?? []).map(argument)) };
			const want = await d.client.getPrompt({ name: p.name,
			    ...args });
			alike(plain(await client.getPrompt({
			    name: `${server}_${p.name}`, ...args })),
			    plain(want), `prompt ${server}_${p.name}`);
		}
		n += uris.length + d.prompts.length;
	}
	return n;
}
