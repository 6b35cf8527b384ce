// Somebody who registers clients, signs in, consents, redeems and revokes
// without a pause, and writes down what the gateway has acknowledged.
import { ok, same, sleep } from './harness.mjs';
import { Browser, Client, form, isConsent, isSignin, parseForm } from
    './oauth.mjs';
import { request } from './mcp.mjs';

export const STEPS = ['register', 'authorize', 'signin', 'approve',
    'exchange', 'revoke'];
const SAMPLE = 6; // of each kind, the newest

// The gateway could not answer: nothing is promised.
class Unanswered extends Error {}

const json = (r) => JSON.parse(r.text);

export class Granter {
	// kills: an object whose n counts the kills.
	constructor(gw, kills) {
		this.gw = gw;
		this.kills = kills;
		this.browser = new Browser(gw.base);
		this.step = undefined; // what waits for its answer
		this.hit = []; // steps that waited at a kill and got none
		this.bad = [];
		this.workers = new Set();
		this.promised = { clients: [], codes: [], tokens: [],
		    revoked: [] };
		this.running = true;
		this.loop = this.#run();
	}

	async #run() {
		for (let n = 0; this.running; n++) {
			const kills = this.kills.n;
			try {
				await this.#one(n);
			} catch (e) {
				// A page that is open is lost with authd, what it
				// has led to is not.
				const lost = e.message === 'expired' &&
				    this.kills.n > kills;
				if (!(e instanceof Unanswered) && !lost)
					this.bad.push(e.message.slice(0, 300));
				await sleep(10);
			}
		}
	}

	// One request and its answer, which is 503 with Retry-After or what fn
	// returns.
	async #ask(step, fn) {
		let r;
		const kills = this.kills.n;
		this.step = step;
		try {
			r = await fn();
		} catch (e) {
			r = { status: 0, why: e.message };
		}
		this.step = undefined;
		if (r.status === 503) {
			const wait = r.headers.get?.('retry-after') ??
			    r.headers['retry-after'];
			ok(Number(wait) > 0, `${step}: 503 without Retry-After`);
		}
		if (r.status === 0 || r.status === 503) {
			// While there is no authd there is no answer either.
			if (this.kills.n > kills)
				this.hit.push(step);
			throw new Unanswered(step);
		}
		const worker = r.headers.get?.('x-mcpgw-worker') ??
		    r.headers['x-mcpgw-worker'];
		this.workers.add(worker);
		return r;
	}

	#post(step, path, params) {
		return this.#ask(step, () => request(this.gw.base + path, {
		    body: String(form(params)), headers: { 'content-type':
			'application/x-www-form-urlencoded' } }));
	}

	#submit(step, page, values) {
		return this.#ask(step, () => this.browser.submit(page, values));
	}

	async #client() {
		const c = new Client(this.gw.base);
		c.meta = { authorization_endpoint:
		    `${this.gw.base}/oauth/authorize` };
		const r = await this.#ask('register', () => request(
		    `${this.gw.base}/oauth/register`, {
			headers: { 'content-type': 'application/json' },
			body: JSON.stringify({ client_name: 'granter',
			    redirect_uris: [c.redirect],
			    token_endpoint_auth_method: 'none',
			    grant_types: ['authorization_code',
				'refresh_token'] }) }));
		same(r.status, 201, `register: ${r.text}`);
		c.id = json(r).client_id;
		this.promised.clients.push({ at: Date.now(), client: c });
		return c;
	}

	async #code(c) {
		let page = await this.#ask('authorize', () =>
		    this.browser.get(c.authorizeUrl()));
		if (isSignin(page)) {
			const go = parseForm(page.text).buttons.find((b) => b.name);
			page = await this.#submit('signin', page, { user: 'owner',
			    password: this.gw.password, [go.name]: go.value });
			ok(page.status !== 400 || !/expired/.test(page.text),
			    'expired');
			same(page.status, 303, `signin: ${page.text}`);
			page = await this.#ask('authorize', () =>
			    this.browser.get(page.location));
		}
		ok(page.status !== 400 || !/expired/.test(page.text), 'expired');
		// Who was signed in before a kill has to sign in again.
		ok(!isSignin(page), 'expired');
		ok(isConsent(page), `no consent: ${page.status} ${page.text}`);
		const to = await this.#submit('approve', page,
		    { decision: 'approve' });
		ok(to.status !== 400 || !/expired/.test(to.text), 'expired');
		ok(!isSignin(to), 'expired');
		same(to.status, 303, `approve: ${to.text}`);
		const code = new URL(to.location).searchParams.get('code');
		ok(code, `no code: ${to.location}`);
		const promise = { at: Date.now(), client: c, code,
		    verifier: c.verifier };
		this.promised.codes.push(promise);
		return promise;
	}

	async #one(n) {
		const c = await this.#client();
		const promise = await this.#code(c);
		if (n % 3 === 0)
			return; // is redeemed after the kill
		promise.tried = true;
		const r = await this.#post('exchange', '/oauth/token', {
		    grant_type: 'authorization_code', client_id: c.id,
		    code: promise.code, code_verifier: c.verifier,
		    redirect_uri: c.redirect });
		same(r.status, 200, `exchange: ${r.text}`);
		const tokens = { at: Date.now(), client: c, ...json(r) };
		promise.done = true;
		if (n % 3 === 1) {
			this.promised.tokens.push(tokens);
			return;
		}
		const gone = await this.#post('revoke', '/oauth/revoke',
		    { client_id: c.id, token: tokens.refresh_token });
		same(gone.status, 200, `revoke: ${gone.text}`);
		this.promised.revoked.push({ ...tokens, at: Date.now() });
	}

	async stop() {
		this.running = false;
		await this.loop;
	}

	// The newest of what was promised until then; all codes whose exchange
	// was not answered.
	kept(until) {
		const newest = (list) => list.filter((p) => p.at <= until)
		    .slice(-SAMPLE);
		const { clients, codes, tokens, revoked } = this.promised;
		return { clients: newest(clients), tokens: newest(tokens),
		    revoked: newest(revoked),
		    codes: newest(codes.filter((p) => !p.tried)),
		    unsure: codes.filter((p) => p.tried && !p.done) };
	}
}

function post(gw, path, params) {
	return request(gw.base + path, { body: String(form(params)), headers: {
	    'content-type': 'application/x-www-form-urlencoded' } });
}

const redeem = (gw, p) => post(gw, '/oauth/token', {
    grant_type: 'authorization_code', client_id: p.client.id, code: p.code,
    code_verifier: p.verifier, redirect_uri: p.client.redirect });

const refresh = (gw, p) => post(gw, '/oauth/token', {
    grant_type: 'refresh_token', client_id: p.client.id,
    refresh_token: p.refresh_token });

// A ping is refused with 400 for want of a session, but only to whom the token
// has let in.
async function admitted(gw, token) {
	const r = await request(gw.url, { headers: {
	    authorization: `Bearer ${token}`,
	    'content-type': 'application/json',
	    accept: 'application/json, text/event-stream' },
	    body: '{"jsonrpc":"2.0","id":1,"method":"ping"}' });
	return r.status !== 401;
}

async function good(gw, p, what) {
	ok(await admitted(gw, p.access_token), `${what}: access token`);
	const r = await refresh(gw, p);
	same(r.status, 200, `${what}: refresh: ${r.text}`);
	ok(await admitted(gw, json(r).access_token), `${what}: the next token`);
}

async function void_(gw, p, what) {
	for (let i = 0; i < 4; i++)
		ok(!await admitted(gw, p.access_token),
		    `${what}: its token is accepted`);
	const r = await refresh(gw, p);
	same([r.status, json(r).error], [400, 'invalid_grant'],
	    `${what}: refresh`);
}

async function once(gw, p, sure) {
	const r = await redeem(gw, p);
	if (sure || r.status === 200) {
		same(r.status, 200, `an acknowledged code: ${r.text}`);
		await good(gw, { ...p, ...json(r) }, 'of a code');
	}
	const again = await redeem(gw, p);
	same([again.status, json(again).error], [400, 'invalid_grant'],
	    'a code for the second time');
	return r.status === 200;
}

// What was promised holds. Returns how many promises were looked at.
export async function verify(gw, kept) {
	for (const { client } of kept.clients) {
		const r = await new Browser(gw.base).get(client.authorizeUrl());
		ok(isSignin(r), `an acknowledged client: ${r.status} ${r.text}`);
	}
	for (const p of kept.tokens)
		await good(gw, p, 'acknowledged');
	for (const p of kept.revoked)
		await void_(gw, p, 'revoked');
	for (const p of kept.codes)
		await once(gw, p, true);
	for (const p of kept.unsure)
		await once(gw, p, false);
	return Object.values(kept).reduce((n, l) => n + l.length, 0);
}
