// ref/security.md 1.E by plain HTTP: RDR, PKCE, CODE, ISS, CONS, MIX.
import { full, ok, run, same, sleep, test } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import {
	Browser, Client, consent, form, isConsent, isSignin, parseForm,
	random, unescapeHtml,
} from './lib/oauth.mjs';
import { Mcp, request } from './lib/mcp.mjs';

let gw;

const isPage = (r, status, what) => {
	same(r.status, status, `${what}: status`);
	ok(/^text\/html/.test(r.headers.get('content-type')), `${what}: a page`);
	same(r.location, null, `${what}: Location`);
};

// The parameters of an error redirect.
function refused(r, error, what) {
	ok(r.status === 302 || r.status === 303,
	    `${what}: ${r.status} ${r.text.slice(0, 200)}`);
	const p = new URL(r.location).searchParams;
	for (const k of ['error', 'state', 'iss'])
		same(p.getAll(k).length, 1, `${what}: number of ${k}`);
	ok([error].flat().includes(p.get('error')),
	    `${what}: error ${p.get('error')} instead of ${error}`);
	same(p.get('iss'), gw.base, `${what}: iss`);
	same(p.get('code'), null, `${what}: code`);
	return p;
}

const client = (redirect, extra) =>
    new Client(gw.base, redirect && { redirect }).register(extra);
const browser = () => new Browser(gw.base);
const invalidGrant = (r, what) => {
	same([r.status, r.body.error], [400, 'invalid_grant'], what);
};

async function registers(uri) {
	try {
		const c = await client(uri);
		return c.info.redirect_uris.includes(uri);
	} catch (e) {
		ok(/invalid_redirect_uri/.test(e.message),
		    `${JSON.stringify(uri)}: ${e.message}`);
		return false;
	}
}

async function redirects() {
	await test('RDR-1 unknown client, unregistered or missing redirect',
	    async () => {
		const c = await client();
		const b = browser();
		isPage(await b.get(c.authorizeUrl({ client_id: 'nobody' })), 400,
		    'unknown client');
		isPage(await b.get(c.authorizeUrl({ client_id: undefined })), 400,
		    'no client');
		isPage(await b.get(c.authorizeUrl(
		    { redirect_uri: 'https://evil.example/cb' })), 400,
		    'foreign redirect');
		same(c.info.redirect_uris.length, 1, 'registered redirects');
		for (const [name, redirect_uri] of [['no redirect', undefined],
		    ['an empty redirect', '']]) {
			const r = await b.get(c.authorizeUrl({ redirect_uri }));
			isPage(r, 400, name);
			ok(r.text.includes('redirect_uri is missing'), r.text);
		}
	});
	await test('RDR-2 simple string comparison', async () => {
		const c = await client('https://c.example/cb');
		const b = browser();
		for (const uri of ['https://c.example/cb/',
		    'https://c.example/cb?x', 'https://c.example/CB',
		    'HTTPS://c.example/cb', 'https://c.example:443/cb',
		    'https://c.example/cb%2f..', 'https://c.example/..;/cb',
		    'https://c.example@evil/', 'https://a@@c.example/cb',
		    'https://c.example\\@evil', 'https://c.example/cb%00',
		    'https://c.example/cb ', 'https://c.example/cb\t',
		    'https://c.example/cb\n', 'https://c。example/cb',
		    'https://c.example/cb#', 'https://c.example/', '//c.example/cb',
		    'https://c.example.evil/cb'])
			isPage(await b.get(c.authorizeUrl({ redirect_uri: uri })),
			    400, JSON.stringify(uri));
		const r = await b.get(c.authorizeUrl());
		ok(isSignin(r), `the registered one: ${r.status}`);
	});
	await test('RDR-3 loopback: any port, the host literally', async () => {
		const b = browser();
		for (const host of ['127.0.0.1', 'localhost', '[::1]']) {
			const c = await client(`http://${host}/cb`);
			for (const port of [3000, 65535])
				ok(isSignin(await b.get(c.authorizeUrl({ redirect_uri:
				    `http://${host}:${port}/cb` }))),
				    `${host}:${port}`);
			for (const other of ['127.0.0.1', 'localhost', '[::1]',
			    '127.1', '127.0.0.1.nip.io', 'localhost.evil']) {
				if (other === host)
					continue;
				isPage(await b.get(c.authorizeUrl({ redirect_uri:
				    `http://${other}:3000/cb` })), 400,
				    `${other} for ${host}`);
			}
			for (const bad of ['http://HOST:3000/cb/',
			    'https://HOST:3000/cb', 'http://HOST:99999/cb',
			    'http://HOST:3000@evil/cb', 'http://HOST:/cb'])
				isPage(await b.get(c.authorizeUrl({ redirect_uri:
				    bad.replace('HOST', host) })), 400, bad);
		}
	});
	await test('RDR-4 what may be registered', async () => {
		for (const uri of ['javascript:alert(1)', 'JaVa\tScript:x',
		    'data:text/html,x', 'file:///etc/passwd', 'vbscript:x',
		    'blob:x', 'about:blank', 'http://evil.example/',
		    'unlisted://x', 'https://c.example/cb#f',
		    'https://u:p@c.example/cb', 'https://*.example/cb',
		    'https://c.example/c b', '', 'x', '//c.example/cb',
		    'https://', 'https:///cb'])
			ok(!await registers(uri), `${JSON.stringify(uri)} passed`);
		for (const uri of ['https://c.example/cb', 'cursor://x/cb',
		    'vscode://v/cb', 'com.example.app:/cb',
		    'http://127.0.0.1:99/cb', 'http://localhost/cb'])
			ok(await registers(uri), `${uri} was refused`);
		const c = await new Client(gw.base).register({ redirect_uris:
		    ['javascript:x', 'https://c.example/cb'] });
		same(c.info.redirect_uris, ['https://c.example/cb'],
		    'the ones that pass are kept');
	});
	await test('RDR-5 a parameter that comes twice', async () => {
		const c = await client();
		const b = browser();
		for (const k of ['redirect_uri', 'client_id']) {
			const url = new URL(c.authorizeUrl());
			url.searchParams.append(k, url.searchParams.get(k));
			isPage(await b.get(url), 400, k);
		}
		for (const k of ['state', 'code_challenge', 'scope']) {
			const url = new URL(c.authorizeUrl({ scope: 'mcp' }));
			url.searchParams.append(k, 'x');
			const r = await b.get(url);
			if (r.status !== 400)
				refused(r, 'invalid_request', k);
		}
		ok(isSignin(await b.get(c.authorizeUrl(
		    { resource: [gw.url, gw.url] }))), 'resource may repeat');
	});
	await test('RDR-6 error redirects are encoded', async () => {
		const c = await client();
		const nasty = 'a\r\nX-Evil: 1"\'<script>&=é';
		const url = new URL(c.authorizeUrl({ response_type: 'token' }));
		url.searchParams.set('state', nasty);
		const r = await browser().get(url);
		const p = refused(r, 'unsupported_response_type', 'token');
		same(p.get('state'), nasty, 'state');
		ok(!r.headers.has('x-evil'), 'the header was split');
		ok(/^[\x21-\x7e]+$/.test(r.location), r.location);
	});
	await test('RFC 9700 4.11.2 no open redirector', async () => {
		const there = 'https://c.example/cb?x=1';
		const c = await client(there), b = browser();
		const wrong = { prompt: 'none', state: 'a"><b>' };
		const r = await b.get(c.authorizeUrl(wrong));
		isPage(r, 400, 'before anybody has connected it');
		ok(r.text.includes('c.example') &&
		    r.text.includes('login_required'), r.text);
		const link = new URL(unescapeHtml(
		    /<a [^>]*href="([^"]*)"/.exec(r.text)[1]));
		const p = link.searchParams;
		same([link.origin, p.get('x'), p.get('error'), p.get('state'),
		    p.get('iss')], ['https://c.example', '1', 'login_required',
		    'a"><b>', gw.base], 'its link');
		await c.code(gw.password, {}, b);
		refused(await browser().get(c.authorizeUrl({ prompt: 'none' })),
		    'login_required', 'after that');
	});
	await test('RDR-7 303 after the password', async () => {
		const c = await client();
		const b = browser();
		const page = await b.get(c.authorizeUrl());
		const end = await consent(b, page, gw.password);
		same(end.status, 303, 'status');
		ok(end.location.startsWith(c.redirect), end.location);
	});
	await test('RDR-8 what is not supported is refused', async () => {
		const c = await client();
		const b = browser();
		refused(await b.get(c.authorizeUrl({ prompt: 'none' })),
		    ['login_required', 'interaction_required',
		    'consent_required'], 'prompt=none');
		for (const response_mode of ['form_post', 'fragment'])
			refused(await b.get(c.authorizeUrl({ response_mode })),
			    ['invalid_request', 'unsupported_response_mode'],
			    response_mode);
		refused(await b.get(c.authorizeUrl({ request: 'x.y.z' })),
		    ['request_not_supported', 'invalid_request'], 'request');
		refused(await b.get(c.authorizeUrl(
		    { request_uri: `${gw.base}/health` })),
		    ['request_uri_not_supported', 'request_not_supported',
		    'invalid_request'], 'request_uri');
		ok(isSignin(await b.get(c.authorizeUrl({ prompt: 'consent',
		    response_mode: 'query' }))), 'prompt=consent');
	});
}

async function pkce() {
	await test('PKCE-1 no challenge (PKCE-4: so none to leave out)',
	    async () => {
		const c = await client();
		refused(await browser().get(c.authorizeUrl(
		    { code_challenge: undefined })), 'invalid_request', 'absent');
		refused(await browser().get(c.authorizeUrl({ code_challenge:
		    undefined, code_challenge_method: undefined })),
		    'invalid_request', 'both absent');
	});
	await test('PKCE-2 only S256', async () => {
		const c = await client();
		const b = browser();
		for (const code_challenge_method of ['plain', undefined, 's256',
		    'S256 ', 'S512'])
			refused(await b.get(c.authorizeUrl(
			    { code_challenge_method })), 'invalid_request',
			    String(code_challenge_method));
		for (const code_challenge of ['x'.repeat(42), 'x'.repeat(44),
		    '!'.repeat(43), `${'x'.repeat(42)}=`, `${'x'.repeat(42)}+`])
			refused(await b.get(c.authorizeUrl({ code_challenge })),
			    'invalid_request', code_challenge);
	});
	await test('PKCE-3 wrong, missing, short and long verifiers',
	    async () => {
		const c = await client();
		for (const v of [random(48), '', undefined, 'x'.repeat(42),
		    'x'.repeat(129)]) {
			const code = await c.code(gw.password);
			const r = await c.redeem(code, { code_verifier: v });
			ok(r.status === 400 && ['invalid_grant',
			    'invalid_request'].includes(r.body.error),
			    `${v}: ${r.status} ${r.body.error}`);
		}
		const code = await c.code(gw.password);
		invalidGrant(await c.redeem(code,
		    { code_verifier: random(48) }), 'wrong verifier');
		invalidGrant(await c.redeem(code), 'burnt by it');
		const other = await c.code(gw.password);
		const wrong = await c.redeem(other,
		    { redirect_uri: 'http://127.0.0.1:1/other' });
		ok(wrong.status === 400, 'wrong redirect');
		same((await c.redeem(other)).status, 200,
		    'kept after a redirect error');
	});
}

async function accepted(token) {
	const r = await request(gw.url, { headers: {
		authorization: `Bearer ${token}`,
		'content-type': 'application/json',
		accept: 'application/json, text/event-stream',
	}, body: '{"jsonrpc":"2.0","id":1,"method":"ping"}' });
	return r.status !== 401;
}

async function codes() {
	await test('CODE-1 a second use revokes the grant', async () => {
		const c = await client();
		const code = await c.code(gw.password);
		const first = await c.redeem(code);
		same(first.status, 200, 'first use');
		ok(await accepted(first.body.access_token), 'token works');
		invalidGrant(await c.redeem(code), 'second use');
		for (let i = 0; i < 10; i++)
			ok(!await accepted(first.body.access_token),
			    'the access token lives on');
		invalidGrant(await c.refresh(first.body.refresh_token),
		    'refresh token');
	});
	await test('CODE-2 a wrong code leaves its grant alone', async () => {
		const c = await client();
		const code = await c.code(gw.password);
		const last = code.at(-2) === 'A' ? 'B' : 'A';
		invalidGrant(await c.redeem(code.slice(0, -2) + last +
		    code.at(-1)), 'changed code');
		invalidGrant(await c.redeem(code.slice(0, 8)), 'prefix');
		invalidGrant(await c.redeem(`${code}A`), 'longer');
		same((await c.redeem(code)).status, 200, 'the code itself');
	});
	await test('CODE-3 bound to client, redirect and resource', async () => {
		const a = await client(), b = await client();
		const code = await a.code(gw.password);
		ok(Buffer.from(code.replace(/^[a-z]+_/, ''), 'base64url').length
		    >= 20, `160 bits: ${code}`);
		b.verifier = a.verifier;
		invalidGrant(await b.redeem(code), 'other client');
		const r = await a.redeem(await a.code(gw.password),
		    { redirect_uri: 'http://127.0.0.1:3118/other' });
		invalidGrant(r, 'other redirect');
		const t = await a.redeem(await a.code(gw.password,
		    { resource: gw.url }), { resource: `${gw.base}/other` });
		ok(t.status === 400 && ['invalid_target', 'invalid_grant']
		    .includes(t.body.error), `other resource: ${t.body.error}`);
		if (!full)
			return;
		const late = await a.code(gw.password);
		await sleep(61_500);
		invalidGrant(await a.redeem(late), 'after 61 s');
	}, { timeout: 120_000 });
	await test('CODE-4 50 redemptions at once: one success', async () => {
		const c = await client();
		const code = await c.code(gw.password);
		const all = await Promise.all(Array.from({ length: 50 },
		    () => c.redeem(code)));
		const good = all.filter((r) => r.status === 200);
		same(good.length, 1, 'successes');
		ok(!await accepted(good[0].body.access_token),
		    'it was not revoked (CODE-1)');
	});
	await test('ISS-1 iss in the answer is the metadata\'s issuer',
	    async () => {
		const c = await client();
		same(c.meta.issuer, gw.base, 'issuer');
		same(c.meta.authorization_response_iss_parameter_supported, true,
		    'announced');
		const b = browser();
		const end = await consent(b, await b.get(c.authorizeUrl()),
		    gw.password);
		same(new URL(end.location).searchParams.getAll('iss'), [gw.base],
		    'iss');
	});
}

async function toConsent(b, c, params) {
	let page = await b.get(c.authorizeUrl(params));
	for (let i = 0; i < 3 && !isConsent(page); i++)
		page = page.status === 303 ? await b.get(page.location) :
		    await b.submit(page, { user: 'owner',
			password: gw.password, decision: 'signin' });
	ok(isConsent(page), `no consent page: ${page.status}`);
	return page;
}

async function consents() {
	await test('CONS-1 a new client is asked for', async () => {
		const a = await client(), b = browser();
		await a.code(gw.password, {}, b);
		const other = await client();
		const page = await b.get(other.authorizeUrl());
		ok(isSignin(page) || isConsent(page),
		    `${page.status} ${page.location}`);
	});
	await test('CONS-2 forms without their csrf, cookie or twice',
	    async () => {
		const c = await client(), b = browser();
		const page = await toConsent(b, c);
		const f = parseForm(page.text);
		const say = (fields, headers) => b.post(f.action,
		    { ...f.fields, decision: 'approve', ...fields }, headers);
		isPage(await say({ csrf: undefined }), 403, 'no csrf');
		const other = browser();
		const foreign = parseForm((await toConsent(other,
		    await client())).text);
		isPage(await say({ csrf: foreign.fields.csrf }), 403,
		    'foreign csrf');
		isPage(await say({}, { cookie: 'none=1' }), 403, 'no cookie');
		isPage(await say({}, { cookie: [...other.jar].map(([k, v]) =>
		    `${k}=${v}`).join() }), 403, 'foreign cookie');
		const evil = await say({}, { origin: 'https://evil.example' });
		same(evil.status, 403, 'foreign Origin');
		const cross = await say({}, { origin: 'null',
		    'sec-fetch-site': 'cross-site' });
		same(cross.status, 403, 'Origin null, cross-site');
		const good = await say({});
		same(good.status, 303, 'the right one');
		const again = await say({});
		ok(again.status >= 400 && again.location === null,
		    `replayed: ${again.status} ${again.location}`);
	});
	await test('CONS-3 another browser cannot go on with a sign-in',
	    async () => {
		const c = await client(), attacker = browser();
		const page = await toConsent(attacker, c);
		const f = parseForm(page.text);
		const victim = browser();
		isPage(await victim.post(f.action, { ...f.fields,
		    decision: 'approve' }), 403, 'form');
		const r = await victim.get(`/oauth/authorize?txn=${
		    encodeURIComponent(f.fields.txn)}`);
		isPage(r, 403, 'address');
	});
	await test('CONS-4 headers of the pages, no script', async () => {
		const c = await client('https://c.example/cb'), b = browser();
		const first = await b.get(c.authorizeUrl());
		const second = await toConsent(b, c);
		for (const [name, p] of [['sign-in', first],
		    ['consent', second]]) {
			const csp = p.headers.get('content-security-policy') ?? '';
			for (const part of ['default-src \'none\'',
			    'frame-ancestors \'none\'', 'base-uri \'none\'',
			    'form-action \'self\''])
				ok(csp.includes(part), `${name}: ${part}: ${csp}`);
			ok(!/script-src|unsafe-inline/.test(csp), csp);
			same(p.headers.get('x-frame-options'), 'DENY', name);
			same(p.headers.get('x-content-type-options'), 'nosniff',
			    name);
			same(p.headers.get('referrer-policy'), 'same-origin', name);
			same(p.headers.get('cache-control'), 'no-store', name);
			same(p.headers.get('access-control-allow-origin'), null,
			    name);
			same(p.headers.get('cross-origin-opener-policy'), null,
			    name);
			ok(!/<script|<img|\son\w+=/i.test(p.text), `${name}: script`);
		}
		ok(second.headers.get('content-security-policy')
		    .includes('https://c.example'), 'form-action of the redirect');
	});
	await test('CONS-5 a client\'s name is shown as text', async () => {
		const c = await new Client(gw.base,
		    { redirect: 'http://127.0.0.1:4/cb' }).register({
			client_name: `<script>x</script>\u202e\u200b\u0007${
			    'n'.repeat(10_000)}`,
			logo_uri: 'javascript:x', client_uri: 'javascript:y',
		});
		const page = await toConsent(browser(), c);
		ok(!/<script|[\u202e\u200b\u0007]|javascript:|<img/.test(page.text),
		    'shown raw');
		ok(page.text.includes('&lt;script&gt;'), 'the name is missing');
		ok(!page.text.includes('n'.repeat(65)), 'longer than 64');
		ok(/<p class="host">127\.0\.0\.1<\//.test(page.text),
		    'the redirect host, the biggest thing on the page');
		ok(/class="?warn/.test(page.text), 'a warning for loopback');
	});
	await test('CONS-6 only decision=approve grants', async () => {
		for (const decision of [undefined, 'Approve', 'yes', 'deny',
		    'approve ', 'APPROVE', 'true']) {
			const c = await client(), b = browser();
			const f = parseForm((await toConsent(b, c)).text);
			const r = await b.post(f.action,
			    { ...f.fields, decision });
			refused(r, 'access_denied', String(decision));
		}
	});
	await test('CONS-7 the cookie', async () => {
		const r = await fetch((await client()).authorizeUrl());
		await r.text();
		const [cookie, ...more] = r.headers.getSetCookie();
		same(more, [], 'one cookie');
		ok(/; HttpOnly/i.test(cookie) && /; SameSite=Lax/i.test(cookie) &&
		    /; Path=\//i.test(cookie), cookie);
		ok(Number(cookie.match(/max-age=(\d+)/i)?.[1]) <= 600, cookie);
		ok(!/Secure|__Host-/.test(cookie),
		    `the issuer is http: ${cookie}`);
	});
}

const claims = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[1],
    'base64url'));

async function resources() {
	await test('MIX-1 resource: exact or refused, absent is the default',
	    async () => {
		const c = await client();
		const b = browser();
		for (const resource of ['https://other.example/mcp',
		    `${gw.url}#f`, '/mcp', `${gw.base}/nothing`,
		    `${gw.url}//`, 'x'])
			refused(await b.get(c.authorizeUrl({ resource })),
			    'invalid_target', resource);
		for (const resource of [undefined, gw.url, `${gw.url}/`,
		    gw.url.replace('localhost', 'LOCALHOST')]) {
			const r = await c.redeem(await c.code(gw.password,
			    { resource }), { resource });
			same(r.status, 200, `${resource}: ${r.body.error}`);
			same([claims(r.body.access_token).aud].flat(), [gw.url],
			    `aud for ${resource}`);
		}
	});
	await test('MIX-1 a token of one endpoint is refused at another',
	    async () => {
		const c = await Client.signIn(gw,
		    { resource: `${gw.base}/other/mcp` });
		const r = await request(gw.url, { headers: { authorization:
		    `Bearer ${c.tokens.access_token}` }, body: '{}' });
		same(r.status, 401, 'status');
		const own = new Mcp(`${gw.base}/other/mcp`,
		    { token: c.tokens.access_token });
		await own.open();
	});
}

async function flow() {
	await test('token answers: no-store, JSON, expires_in, scope',
	    async () => {
		const c = await client();
		const r = await c.redeem(await c.code(gw.password));
		same(r.headers.get('cache-control'), 'no-store', 'Cache-Control');
		ok(/^application\/json/.test(r.headers.get('content-type')),
		    'type');
		same(r.body.token_type.toLowerCase(), 'bearer', 'token_type');
		ok(Number.isInteger(r.body.expires_in), 'expires_in');
		const t = claims(r.body.access_token);
		same([t.iss, t.client_id], [gw.base, c.id], 'iss, client_id');
		for (const k of ['sub', 'gid', 'jti', 'exp', 'iat', 'scope'])
			ok(k in t, `claim ${k}`);
	});
	await test('client_secret_post and basic, raw and form-encoded',
	    async () => {
		for (const m of ['client_secret_post', 'client_secret_basic']) {
			const c = await client(undefined,
			    { token_endpoint_auth_method: m });
			ok(c.secret, 'a secret');
			const code = await c.code(gw.password);
			const basic = (id, s) => ({ authorization: `Basic ${
			    Buffer.from(`${id}:${s}`).toString('base64')}` });
			const fields = { grant_type: 'authorization_code', code,
			    redirect_uri: c.redirect, code_verifier: c.verifier };
			const bad = await c.token({ ...fields,
			    client_secret: 'wrong' });
			same([bad.status, bad.body.error],
			    [401, 'invalid_client'], 'wrong secret');
			if (m === 'client_secret_basic') {
				const none = { client_id: undefined,
				    client_secret: undefined };
				const r = await c.token({ ...fields, ...none },
				    basic(encodeURIComponent(c.id),
				    encodeURIComponent(c.secret)));
				same(r.status, 200, JSON.stringify(r.body));
			} else {
				same((await c.token(fields)).status, 200, m);
			}
		}
	});
	await test('unknown client at the token endpoint: 401', async () => {
		const c = await client();
		const r = await c.token({ grant_type: 'refresh_token',
		    refresh_token: 'x', client_id: 'nobody' });
		same([r.status, r.body.error], [401, 'invalid_client'], 'answer');
	});
	await test('aliases at the root, a trailing slash, no redirects',
	    async () => {
		const c = await client();
		for (const p of ['/token', '/token/', '/oauth/token/']) {
			const r = await fetch(gw.base + p, { method: 'POST',
			    redirect: 'manual', body: form({ client_id: c.id,
			    grant_type: 'nonsense' }) });
			same([r.status, (await r.json()).error],
			    [400, 'unsupported_grant_type'], p);
		}
		for (const p of ['/authorize', '/oauth/authorize/']) {
			const url = new URL(c.authorizeUrl());
			url.pathname = p;
			ok(isSignin(await browser().get(url)), p);
		}
		for (const p of ['oauth-protected-resource',
		    'oauth-protected-resource/mcp', 'oauth-authorization-server',
		    'openid-configuration', 'jwks.json']) {
			const r = await fetch(`${gw.base}/.well-known/${p}`,
			    { redirect: 'manual' });
			same(r.status, 200, p);
			same(r.headers.get('access-control-allow-origin'), '*', p);
			await r.json();
		}
		const r = await fetch(`${gw.base}/.well-known/nothing`);
		same(r.status, 404, 'unknown');
		await r.json();
	});
	await test('the challenge of a 401', async () => {
		for (const method of ['POST', 'GET', 'HEAD', 'DELETE']) {
			const r = await request(gw.url, { method });
			same(r.status, 401, method);
			same(r.headers['www-authenticate'],
			    `Bearer resource_metadata="${gw.base}/.well-known/` +
			    'oauth-protected-resource/mcp", scope="mcp"', method);
		}
	});
}

run('oauth', async () => {
	gw = await Gateway.start({ config: {
		backends: { },
		endpoints: { '/mcp': { backends: '*' },
		    '/other/mcp': { backends: '*' } },
	} });
	await flow();
	await redirects();
	await pkce();
	await codes();
	await consents();
	await resources();
	await test('nothing is left after SIGTERM', () => gw.stop());
});
