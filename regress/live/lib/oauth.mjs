// The sign-in by plain HTTP: what a browser and an OAuth client would send,
// with the forms as the gateway wrote them.
import { createHash, randomBytes } from 'node:crypto';
import { ok, same } from './harness.mjs';

export const random = (n = 32) => randomBytes(n).toString('base64url');
export const challenge = (verifier) =>
    createHash('sha256').update(verifier).digest('base64url');

export const form = (params) => {
	const f = new URLSearchParams();
	for (const [k, v] of Object.entries(params))
		for (const one of [v].flat())
			if (one !== undefined)
				f.append(k, one);
	return f;
};

const entities = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
export const unescapeHtml = (s) => s.replace(
    /&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (all, hex, dec, name) =>
	hex ? String.fromCodePoint(parseInt(hex, 16)) :
	    dec ? String.fromCodePoint(Number(dec)) : entities[name] ?? all);

function attributes(tag) {
	const out = {};
	for (const [, k, q, bare] of tag.matchAll(
	    /([\w-]+)(?:=(?:"([^"]*)"|([^\s">]+)))?/g))
		out[k.toLowerCase()] = unescapeHtml(q ?? bare ?? '');
	return out;
}

// The form of a page: {action, fields, inputs, buttons}.
export function parseForm(html) {
	const m = html.match(/<form\b([^>]*)>(.*?)<\/form>/s);
	ok(m, 'a form on the page');
	const fields = {};
	const inputs = [...m[2].matchAll(/<input\b([^>]*)>/g)]
	    .map((i) => attributes(i[1]));
	for (const i of inputs)
		if (i.type === 'hidden' || (i.name && i.value !== undefined &&
		    i.type !== 'checkbox'))
			fields[i.name] = i.value;
	const buttons = [...m[2].matchAll(/<button\b([^>]*)>/g)]
	    .map((b) => attributes(b[1]));
	return { action: attributes(m[1]).action, fields, inputs, buttons };
}

// A browser without a screen: cookies, the headers a browser sends with a
// form, no redirects followed.
export class Browser {
	constructor(base) {
		this.base = base;
		this.jar = new Map();
	}

	#keep(res) {
		for (const line of res.headers.getSetCookie()) {
			const [pair, ...attrs] = line.split(';');
			const at = pair.indexOf('=');
			const name = pair.slice(0, at), value = pair.slice(at + 1);
			const gone = value === '' ||
			    attrs.some((a) => /^\s*max-age=0\s*$/i.test(a));
			if (gone)
				this.jar.delete(name);
			else
				this.jar.set(name, value);
		}
	}

	async fetch(url, opts = {}) {
		const headers = { ...opts.headers };
		if (this.jar.size > 0 && headers.cookie === undefined)
			headers.cookie = [...this.jar]
			    .map(([k, v]) => `${k}=${v}`).join('; ');
		const res = await fetch(new URL(url, this.base),
		    { redirect: 'manual', ...opts, headers });
		this.#keep(res);
		const text = await res.text();
		return { status: res.status, headers: res.headers, text,
		    location: res.headers.get('location') };
	}

	get(url, headers = {}) {
		return this.fetch(url, { headers: {
		    'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate',
		    accept: 'text/html', ...headers } });
	}

	post(url, fields, headers = {}) {
		return this.fetch(url, { method: 'POST', body: form(fields),
		    headers: { origin: this.base,
		    'sec-fetch-site': 'same-origin', ...headers } });
	}

	// Sends the page's form with values over its own.
	submit(page, values) {
		const f = parseForm(page.text);
		return this.post(f.action || page.url || '/oauth/authorize',
		    { ...f.fields, ...values });
	}
}

export const isSignin = (page) =>
    page.status === 200 && /<input\b[^>]*type="?password/.test(page.text);
export const isConsent = (page) =>
    page.status === 200 && /value="?approve/.test(page.text);

// From the first page to the redirect with the code. decision: what the
// consent form says.
export async function consent(browser, page, password,
    { user = 'owner', decision = 'approve' } = {}) {
	for (let i = 0; i < 6; i++) {
		if (isSignin(page)) {
			const f = parseForm(page.text);
			const go = f.buttons.find((b) => b.name);
			page = await browser.submit(page, { user, password,
			    ...(go && { [go.name]: go.value }) });
		} else if (isConsent(page)) {
			page = await browser.submit(page, { decision });
		} else if (page.status === 303) {
			const to = new URL(page.location, browser.base);
			if (to.origin !== new URL(browser.base).origin)
				return page;
			page = await browser.get(to);
		} else {
			return page;
		}
	}
	return page;
}

// A client of the authorization server, knowing the base address only.
export class Client {
	constructor(base, { redirect = 'http://127.0.0.1:3118/callback' } = {}) {
		this.base = base;
		this.redirect = redirect;
	}

	async register(extra = {}) {
		this.meta ??= await (await fetch(
		    `${this.base}/.well-known/oauth-authorization-server`)).json();
		const r = await fetch(this.meta.registration_endpoint, {
			method: 'POST',
			headers: { 'content-type': 'application/json' },
			body: JSON.stringify({
				client_name: 'regress', redirect_uris: [this.redirect],
				token_endpoint_auth_method: 'none',
				grant_types: ['authorization_code', 'refresh_token'],
				response_types: ['code'], ...extra,
			}),
		});
		const body = await r.json();
		if (r.status !== 201)
			throw new Error(`register: ${r.status} ${JSON.stringify(body)}`);
		this.info = body;
		this.id = body.client_id;
		this.secret = body.client_secret;
		return this;
	}

	authorizeUrl(params = {}) {
		this.verifier = random(48);
		this.state = random(12);
		const url = new URL(this.meta.authorization_endpoint);
		url.search = form({
			response_type: 'code', client_id: this.id,
			redirect_uri: this.redirect, state: this.state,
			code_challenge: challenge(this.verifier),
			code_challenge_method: 'S256', ...params,
		});
		return url.href;
	}

	// Signs in and consents; returns the code.
	async code(password, params = {}, browser = new Browser(this.base)) {
		const page = await consent(browser,
		    await browser.get(this.authorizeUrl(params)), password);
		if (page.status !== 303)
			throw new Error(`no redirect: ${page.status} ${page.text}`);
		const to = new URL(page.location);
		if (to.searchParams.has('error'))
			throw new Error(`refused: ${to.search}`);
		same(to.searchParams.get('state'), this.state, 'state');
		return to.searchParams.get('code');
	}

	async token(params, headers = {}) {
		const r = await fetch(this.meta.token_endpoint, {
			method: 'POST', headers,
			body: form({ client_id: this.id,
			    client_secret: this.secret, ...params }),
		});
		return { status: r.status, headers: r.headers, body: await r.json() };
	}

	async redeem(code, params = {}) {
		return this.token({ grant_type: 'authorization_code', code,
		    redirect_uri: this.redirect, code_verifier: this.verifier,
		    ...params });
	}

	async refresh(refresh_token, params = {}) {
		return this.token({ grant_type: 'refresh_token', refresh_token,
		    ...params });
	}

	async revoke(token) {
		const r = await fetch(this.meta.revocation_endpoint, {
			method: 'POST', body: form({ token, client_id: this.id,
			    client_secret: this.secret }),
		});
		await r.text();
		return r.status;
	}

	// Everything: {access_token, refresh_token, …}
	static async signIn(gw, params = {}, opts = {}) {
		const c = await new Client(gw.base, opts).register();
		const r = await c.redeem(await c.code(gw.password, params), params);
		if (r.status !== 200)
			throw new Error(`token: ${r.status} ${JSON.stringify(r.body)}`);
		c.tokens = r.body;
		return c;
	}
}
