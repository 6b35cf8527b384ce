// Clients on the official SDKs that know a URL and nothing else.
import http from 'node:http';
import { Client as Client1 } from
    '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as Transport1 } from
    '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { UnauthorizedError as Unauthorized1 } from
    '@modelcontextprotocol/sdk/client/auth.js';
import {
	Client as Client2, StreamableHTTPClientTransport as Transport2,
	UnauthorizedError as Unauthorized2,
} from '@modelcontextprotocol/client';
import { freePort, later, ok, same } from './harness.mjs';

export const sdks = {
	'SDK 1.x': { Client: Client1, Transport: Transport1,
	    Unauthorized: Unauthorized1, options: {} },
	'SDK 2.x': { Client: Client2, Transport: Transport2,
	    Unauthorized: Unauthorized2, options: {} },
	'SDK 2.x auto': { Client: Client2, Transport: Transport2,
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

// Connects without authorization.
export async function connect(kind, url, capabilities = {}, opts = {}) {
	const { Client, Transport, options } = sdks[kind];
	const client = new Client({ name: 'regress', version: '1' },
	    { capabilities, ...options });
	await client.connect(new Transport(new URL(url), opts));
	later(() => client.close().catch(() => {}));
	return client;
}

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
	const client = fresh();
	await client.connect(make());
	later(() => client.close().catch(() => {}));
	return { client, seen, provider, params };
}

// The nine steps, as the recorded requests show them.
export function steps(seen) {
	const has = (what, fn) => ok(seen.some(fn), `no ${what} among ${
	    seen.map((s) => `${s.method} ${s.url} ${s.status}`).join(', ')}`);
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
