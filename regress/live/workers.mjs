// Must be true 2: two workers, one session; a restart of everything.
import { ok, run, same, test } from './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { everything, notes } from './lib/backends.mjs';
import { Client } from './lib/oauth.mjs';
import { Mcp } from './lib/mcp.mjs';

const LISTS = [['tools/list', 'tools'], ['prompts/list', 'prompts'],
    ['resources/list', 'resources'],
    ['resources/templates/list', 'resourceTemplates']];

async function identical(mcp) {
	const first = new Map();
	for (let i = 0; i < 12; i++)
		for (const [method, key] of LISTS) {
			const got = JSON.stringify(await mcp.list(method, key));
			if (!first.has(key))
				first.set(key, got);
			ok(got === first.get(key),
			    `${method} differs the ${i + 1}. time`);
		}
	ok(mcp.workers.size === 2, `workers seen: ${[...mcp.workers]}`);
	return first;
}

async function alternate(mcp) {
	mcp.workers.clear();
	for (let i = 0; i < 60; i++) {
		const r = await mcp.tool('every_get-sum', { a: i, b: 1 });
		ok(r.content[0].text.includes(`${i + 1}`), JSON.stringify(r));
		const n = await mcp.tool('notes_list');
		ok(/Welcome/.test(n.content[0].text), JSON.stringify(n));
	}
	ok(mcp.workers.size === 2, `workers seen: ${[...mcp.workers]}`);
}

// Both workers must share one upstream session of this client session, or a
// server that keeps state per session would forget half of it.
async function oneUpstream(mcp) {
	const before = await mcp.tool('notes_add', { title: 't', text: 'x' });
	const id = before.structuredContent.id;
	for (let i = 0; i < 10; i++) {
		const r = await mcp.call('resources/read',
		    { uri: `notes://note/${id}` });
		same(r.contents[0].text, 'x', 'note');
	}
}

run('workers', async () => {
	const every = await everything(), note = await notes({ PAGE: '2' });
	for (const mode of modes) {
		const gw = await Gateway.start({ mode, config: { backends: {
			every: { url: every.url }, notes: { url: note.url },
		} } });
		const c = await Client.signIn(gw);
		const mcp = await new Mcp(gw.url,
		    { token: c.tokens.access_token }).open();
		const lists = await test(`MBT-2 (${mode}): the same lists from ` +
		    'both workers', () => identical(mcp));
		await test(`MBT-2 (${mode}): calls of one session alternate`, () =>
		    alternate(mcp));
		await test(`MBT-2 (${mode}): a change is seen by both workers`, () =>
		    oneUpstream(mcp));
		await test(`MBT-2 (${mode}): session, token and refresh token ` +
		    'survive a restart of everything', async () => {
			await gw.restart();
			mcp.workers.clear();
			await alternate(mcp);
			const again = await identical(mcp);
			same([...again.keys()], [...lists.keys()], 'lists');
			for (const k of ['tools', 'prompts'])
				ok(again.get(k) === lists.get(k), `${k} changed`);
			const r = await c.refresh(c.tokens.refresh_token);
			same(r.status, 200, JSON.stringify(r.body));
			const next = new Mcp(gw.url,
			    { token: r.body.access_token });
			next.session = mcp.session;
			await next.tool('notes_list');
		});
		await test(`MBT-2 (${mode}): an ended session is ended on both`,
		    async () => {
			const s = await new Mcp(gw.url,
			    { token: c.tokens.access_token }).open();
			const status = await s.close();
			ok(status === 200 || status === 204, `DELETE: ${status}`);
			for (let i = 0; i < 20; i++) {
				const r = await s.send({ jsonrpc: '2.0', id: i,
				    method: 'ping' });
				same(r.status, 404, 'after DELETE');
			}
			same(s.workers.size, 2, 'workers seen');
		});
		await test(`nothing is left after SIGTERM (${mode})`,
		    () => gw.stop());
	}
});
